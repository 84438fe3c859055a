"""Gradio's queue and streams where several processes answer: what is refused is not run, what is left is forgotten."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from gradio.server_messages import EstimationMessage, ProcessCompletedMessage

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
        self.ended: list[tuple[str, str, Any]] = []
        self.forgotten: list[str] = []
        self.told: list[Answer | None] = [Answer("call", json.dumps(MADE))]
        self.now = 0.0  # seconds
        self.has_more = asyncio.Event()

    async def begin(self, call_id: str, session: str) -> None:
        if self.is_away:
            raise StorageError("database_away")
        self.begun.append((call_id, session))

    async def answers(self, _key: str, _linger_s: float) -> AsyncGenerator[Answer | None]:
        for answer in self.told:
            self.now += 1.0
            yield answer
        await self.has_more.wait()

    def end(self, call_id: str, session: str, text: str) -> None:
        self.ended.append((call_id, session, json.loads(text)))

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


def shared(calls: Calls) -> Any:
    """Return a queue that publishes to these calls; it has one call of one session and two of another."""

    async def remove(event_id: str) -> None:
        queue.removed.append(event_id)

    queue: Any = SimpleNamespace(
        push=None,
        send_message=None,
        remove_from_queue=remove,
        removed=[],
        pending_event_ids_session={"one": {"call"}, "two": {"first", "second"}},
        pending_messages_per_session={"one": object(), "two": object()},
    )
    share_answers(queue, cast("Any", calls))
    return queue


def event(call_id: str, session: str, *, alive: bool = True) -> Any:
    return SimpleNamespace(_id=call_id, session_hash=session, alive=alive)


def completed() -> ProcessCompletedMessage:
    return ProcessCompletedMessage(output={"data": ["made"]}, success=True)


async def test_only_the_end_of_a_call_that_somebody_waits_for_is_published() -> None:
    calls = Calls()
    queue = shared(calls)
    queue.send_message(event("call", "one"), EstimationMessage(rank=0, queue_size=1))
    queue.send_message(event("first", "two", alive=False), completed())
    assert calls.ended == []
    queue.send_message(event("call", "one"), completed())
    assert calls.ended == [("call", "one", MADE)]


async def test_a_session_leaves_nothing_in_the_queue_once_its_calls_have_ended() -> None:
    queue = shared(Calls())
    queue.send_message(event("call", "one"), completed())
    queue.send_message(event("first", "two", alive=False), completed())
    assert queue.pending_event_ids_session == {"two": {"second"}}
    assert list(queue.pending_messages_per_session) == ["two"]
    queue.send_message(event("second", "two"), completed())
    assert (queue.pending_event_ids_session, queue.pending_messages_per_session) == ({}, {})


async def test_a_call_that_is_taken_out_of_the_queue_ends_for_who_waits_for_it() -> None:
    calls = Calls()
    queue = shared(calls)
    await queue.remove_from_queue("call")
    assert queue.removed == ["call"]
    assert [(call_id, told["success"]) for call_id, _, told in calls.ended] == [("call", True)]


async def stream_of(calls: Calls, *, is_one: bool = False, stopped: bool = False) -> Any:
    """Return the chunks that a client is sent: of a session, or of one call."""
    blocks = SimpleNamespace(_queue=SimpleNamespace(stopped=stopped))
    app = SimpleNamespace(get_blocks=lambda: blocks)
    keys: dict[str, Any] = {"query_params": {"session_hash": "session"}, "path_params": {"event_id": "call"}}
    request: Any = SimpleNamespace(**keys, app=app, cookies={}, headers={})
    streams = AnswerStreams(cast("Any", calls))
    stream: Any = await (streams.of_call(request) if is_one else streams.of_session(request))
    return stream.body_iterator


@pytest.mark.parametrize("is_one", [False, True])
async def test_a_client_is_told_that_nobody_knows_its_call_or_that_the_page_is_stopping(is_one: bool) -> None:
    calls = Calls()
    calls.told = []
    calls.has_more.set()
    (unknown,) = [chunk async for chunk in await stream_of(calls, is_one=is_one)]
    assert "404: Not Found" in unknown
    calls.told = [None, *calls.told]
    (stopping,) = [chunk async for chunk in await stream_of(calls, is_one=is_one, stopped=True)]
    assert "Server stopped unexpectedly." in stopping


async def test_a_waiting_client_is_sent_a_heartbeat_only_after_as_long_a_silence_as_at_gradio(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = Calls()
    calls.told = [*[None] * 20, *calls.told, *[None] * 32]
    calls.has_more.set()
    monkeypatch.setattr("hunyuan_ui.ui.replica_answers.utils.get_heartbeat_rate", lambda: 15.0)
    monkeypatch.setattr("hunyuan_ui.ui.replica_answers.time", SimpleNamespace(monotonic=lambda: calls.now))
    said = [json.loads(chunk.removeprefix("data: "))["msg"] async for chunk in await stream_of(calls)]
    assert said == ["heartbeat", "process_completed", "heartbeat", "heartbeat", "close_stream"]


async def test_the_calls_of_a_client_whose_request_is_cancelled_are_forgotten() -> None:
    calls = Calls()
    told = await stream_of(calls)
    await anext(told)
    waiting = asyncio.ensure_future(anext(told))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert calls.forgotten == ["session"]


@pytest.mark.parametrize("is_whole", [False, True])
async def test_the_calls_of_a_client_that_has_gone_are_forgotten(is_whole: bool) -> None:
    calls = Calls()
    told = await stream_of(calls)
    assert json.loads((await anext(told)).removeprefix("data: ")) == MADE
    if is_whole:
        calls.has_more.set()
        assert [json.loads(one.removeprefix("data: "))["msg"] async for one in told] == ["close_stream"]
    else:
        await told.aclose()
    assert calls.forgotten == ([] if is_whole else ["session"])
