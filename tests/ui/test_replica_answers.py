"""Gradio's queue and streams where several processes answer: what is refused is not run, what is left is forgotten."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from gradio.server_messages import ProcessCompletedMessage

from hunyuan_ui.errors import StorageError
from hunyuan_ui.ledger.shared_stores import Answer
from hunyuan_ui.ui.replica_answers import AnswerStreams, share_answers

pytestmark = pytest.mark.anyio

CALLER: Any = SimpleNamespace(cookies={}, headers={})
MADE = ProcessCompletedMessage(output={"data": ["made"]}, success=True, event_id="call").model_dump()


class Calls:
    """The calls of one process, whose database can be away, and whose answers can be waited for."""

    def __init__(self) -> None:
        self.is_away = False
        self.begun: list[tuple[str, str]] = []
        self.forgotten: list[str] = []
        self.has_more = asyncio.Event()

    async def begin(self, call_id: str, session: str) -> None:
        if self.is_away:
            raise StorageError("database_away")
        self.begun.append((call_id, session))

    async def answers(self, _key: str, _linger_s: float) -> AsyncGenerator[Answer | None]:
        yield Answer("call", json.dumps(MADE))
        await self.has_more.wait()

    def forget(self, key: str) -> None:
        self.forgotten.append(key)


async def test_a_call_that_cannot_be_announced_is_refused_and_leaves_the_queue() -> None:
    cleaned: list[str] = []

    async def push(**_: Any) -> tuple[bool, str, str]:
        return True, "call", "success"

    async def clean_events(*, event_id: str) -> None:
        cleaned.append(event_id)

    queue: Any = SimpleNamespace(push=push, clean_events=clean_events, remove_from_queue=None, send_message=None)
    calls = Calls()
    share_answers(queue, cast("Any", calls))
    body = SimpleNamespace(session_hash="session")
    assert await queue.push(body, CALLER, None) == (True, "call", "success")
    assert (calls.begun, cleaned) == ([("call", "session")], [])
    calls.is_away = True
    is_taken, sentence, state = await queue.push(body, CALLER, None)
    assert (is_taken, state, cleaned) == (False, "queue_full", ["call"])
    assert "database" in sentence


@pytest.mark.parametrize("is_whole", [False, True])
async def test_the_calls_of_a_client_that_has_gone_are_forgotten(is_whole: bool) -> None:
    calls = Calls()
    blocks = SimpleNamespace(_queue=SimpleNamespace(stopped=False))
    app = SimpleNamespace(get_blocks=lambda: blocks)
    request: Any = SimpleNamespace(query_params={"session_hash": "session"}, app=app, cookies={}, headers={})
    stream: Any = await AnswerStreams(cast("Any", calls)).of_session(request)
    told = stream.body_iterator
    assert json.loads((await anext(told)).removeprefix("data: ")) == MADE
    if is_whole:
        calls.has_more.set()
        assert [json.loads(one.removeprefix("data: "))["msg"] async for one in told] == ["close_stream"]
    else:
        await told.aclose()
    assert calls.forgotten == ([] if is_whole else ["session"])
