"""Answers to API calls between two processes on one PostgreSQL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hunyuan_ui.errors import StorageError
from hunyuan_ui.job import new_id
from hunyuan_ui.jobs import replica_stores
from hunyuan_ui.jobs.ledger_thread import LedgerThread
from hunyuan_ui.jobs.replica_stores import ReplicaCalls
from hunyuan_ui.ledger import LEASE_S, ReplicaInfo, shared_stores
from hunyuan_ui.ledger.postgres import open_postgres
from hunyuan_ui.ledger.shared_ledger import SharedLedger
from hunyuan_ui.ledger.shared_stores import Answer
from tests.postgres_server import PostgresServer

pytestmark = pytest.mark.anyio


class Process:
    """The relevant objects of one process."""

    def __init__(self, url: str) -> None:
        self.ledger = SharedLedger(open_postgres(url), ReplicaInfo(new_id(), "x", 1, one_each=False), lease_s=LEASE_S)
        self.ledger.renew_lease()
        self.reads = LedgerThread()
        self.calls = ReplicaCalls(self.ledger.calls, self.reads)

    async def heard(self, key: str, within_s: float = 20.0, **options: Any) -> list[Answer]:
        """Return all answers to an id or a session."""

        async def all_of_it() -> list[Answer]:
            return [answer async for answer in self.calls.answers(key, **options) if answer is not None]

        return await asyncio.wait_for(all_of_it(), within_s)


@pytest.fixture
def url(tmp_path: Path, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(replica_stores, "POLL_S", 0.02)
    monkeypatch.setattr(replica_stores, "RETRY_S", 0.02)
    monkeypatch.setattr(replica_stores, "RECHECK_S", 60.0)
    return postgres_server.url(tmp_path)


@asynccontextmanager
async def two(url: str) -> AsyncIterator[tuple[Process, Process]]:
    both = Process(url), Process(url)
    yield both
    for process in both:
        process.reads.close()
        process.ledger.close()


async def test_an_answer_comes_where_it_is_asked_for_and_only_once(url: str) -> None:
    async with two(url) as (one, other):
        for call in ("call", "a later call"):
            await one.calls.begin(call, "session")
            asked = asyncio.create_task(other.heard(call))
            await asyncio.sleep(0.1)
            assert not asked.done()
            one.calls.end(call, "session", 'a "text" of\u0000any kind ☃'.replace("\u0000", "\\u0000"))
            assert [answer.call_id for answer in await asked] == [call]
            await asyncio.sleep(0.1)
        assert await one.heard("call") == await other.heard("session") == []


async def test_a_session_hears_of_the_calls_that_either_had_and_of_one_that_begins_late(url: str) -> None:
    async with two(url) as (one, other):
        for process, call in ((one, "first"), (other, "second")):
            await process.calls.begin(call, "session")
        await one.calls.begin("foreign", "another session")
        asked = asyncio.create_task(one.heard("session", linger_s=1.0))
        for process, call in ((one, "first"), (other, "second")):
            process.calls.end(call, "session", call)
        await asyncio.sleep(0.3)
        await other.calls.begin("late", "session")
        other.calls.end("late", "session", "late")
        assert sorted(await asked) == [Answer(call, call) for call in ("first", "late", "second")]


@pytest.mark.parametrize("key", ["call", "session"])
async def test_an_answer_at_the_same_process_is_not_looked_for(
    key: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wait in ("POLL_S", "HEARTBEAT_S"):
        monkeypatch.setattr(replica_stores, wait, 30.0)
    async with two(url) as (one, _):
        await one.calls.begin("call", "session")
        asked = asyncio.create_task(one.heard(key))
        await asyncio.sleep(0.1)
        began = time.monotonic()
        one.calls.end("call", "session", "made")
        assert await asked == [Answer("call", "made")]
        assert time.monotonic() - began < replica_stores.HEARTBEAT_S


async def test_a_call_of_a_process_that_died_is_told_as_lost_and_its_own_never(url: str) -> None:
    async with two(url) as (one, other):
        await one.calls.begin("call", "session")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DELETE FROM workers")  # as `take_over` does when the lease expires
        own = asyncio.create_task(one.heard("call"))
        await asyncio.sleep(0.1)
        assert not own.done()
        own.cancel()
        assert await other.heard("session") == [Answer("call", None)]


async def test_who_is_not_waited_for_any_more_leaves_nothing(url: str) -> None:
    async with two(url) as (one, other):
        await one.calls.begin("call", "session")
        other.calls.forget("session")
        await asyncio.gather(*other.calls._ending)
        one.calls.end("call", "session", "made")
        await asyncio.gather(*one.calls._ending)
        assert await one.heard("call") == []


async def test_answers_that_nobody_came_for_are_forgotten(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with two(url) as (one, _):
        for call in ("old", "new"):
            await one.calls.begin(call, "session")
            one.calls.end(call, "session", call)
        await one.calls.begin("stuck", "session")
        await asyncio.gather(*one.calls._ending)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "UPDATE calls SET kept_until = kept_until - %s WHERE id = 'old'", [shared_stores.ANSWER_KEPT_S]
            )
            connection.execute(
                "UPDATE calls SET kept_until = kept_until - %s WHERE id = 'stuck'", [shared_stores.CALL_KEPT_S]
            )
        await one.calls.begin("next", "another")
        assert await one.heard("session") == [Answer("new", "new")]


async def test_an_answer_waits_for_a_server_that_is_away(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with two(url) as (one, other):
        await one.calls.begin("call", "session")
        asked = asyncio.create_task(other.heard("call"))
        away = True

        def fail(real: Any) -> Any:
            def failing(*values: Any) -> Any:
                if away:
                    raise StorageError("database_away")
                return real(*values)

            return failing

        for store in (one.ledger.calls, other.ledger.calls):
            for name in ("begin", "end", "ended", "take"):
                monkeypatch.setattr(store, name, fail(getattr(store, name)))
        one.calls.end("call", "session", "made")
        with pytest.raises(StorageError):
            await one.calls.begin("next", "session")
        await asyncio.sleep(0.2)
        assert not asked.done()
        away = False
        assert await asked == [Answer("call", "made")]


async def test_an_answer_that_comes_while_the_program_ends_is_not_tried_again(url: str) -> None:
    async with two(url) as (one, _):
        await one.calls.begin("call", "session")
        one.reads.close()
        one.calls.end("call", "session", "made")
        await asyncio.wait_for(asyncio.gather(*one.calls._ending), 5.0)


async def test_who_waits_is_heard_from_meanwhile(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica_stores, "HEARTBEAT_S", 0.02)
    async with two(url) as (one, other):
        await one.calls.begin("call", "session")
        async with aclosing(other.calls.answers("call")) as told:
            assert [await anext(told) for _ in range(3)] == [None] * 3
        assert other.calls._waiting == set()


async def test_many_who_wait_for_one_call_ask_the_server_together(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica_stores, "HEARTBEAT_S", 0.02)
    monkeypatch.setattr(replica_stores, "POLL_S", 0.2)
    async with two(url) as (one, other):
        await one.calls.begin("call", "session")
        asked, real = 0, other.reads._begin

        def counted(*values: Any, **named: Any) -> Any:
            nonlocal asked
            asked += 1
            return real(*values, **named)

        monkeypatch.setattr(other.reads, "_begin", counted)
        waiting = [asyncio.create_task(other.heard("session")) for _ in range(50)]
        await asyncio.sleep(1.0)
        assert 50 <= asked < 50 + 10
        one.calls.end("call", "session", "made")
        assert [answers for task in waiting if (answers := await task)] == [[Answer("call", "made")]]


async def test_who_has_heard_one_answer_waits_for_the_next_one(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with two(url) as (one, _):
        for call in ("first", "second"):
            await one.calls.begin(call, "session")
        taken, real = 0, one.ledger.calls.take

        def counted(key: str) -> tuple[list[Answer], int]:
            nonlocal taken
            taken += 1
            return real(key)

        monkeypatch.setattr(one.ledger.calls, "take", counted)
        asked = asyncio.create_task(one.heard("session"))
        one.calls.end("first", "session", "made")
        await asyncio.sleep(0.5)
        assert taken <= 4
        one.calls.end("second", "session", "made")
        assert len(await asked) == 2
