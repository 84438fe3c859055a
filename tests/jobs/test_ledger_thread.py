from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from hunyuan_ui.errors import AccessError, StorageError
from hunyuan_ui.jobs.ledger_thread import LedgerThread
from hunyuan_ui.ledger import sqlite

pytestmark = pytest.mark.anyio


class Held:
    """A call that blocks until released."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.may_end = threading.Event()

    def __call__(self) -> str:
        self.began.set()
        assert self.may_end.wait(30)
        return "ended"


@pytest.fixture
async def thread() -> AsyncIterator[LedgerThread]:
    made = LedgerThread()
    yield made
    made.close()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.05)


async def test_calls_run_one_after_the_other_in_the_order_they_came(thread: LedgerThread) -> None:
    names: list[int] = []
    ways = (thread, thread.soon)
    await asyncio.gather(*(ways[number % 2](names.append, number) for number in range(50)))
    assert names == list(range(50))


async def test_what_a_call_returns_or_raises_comes_back(thread: LedgerThread) -> None:
    def refuse() -> None:
        raise AccessError("not_yours")

    for way in (thread, thread.soon):
        assert await way(divmod, 7, 2) == (3, 1)
        with pytest.raises(AccessError):
            await way(refuse)


@pytest.mark.usefixtures("hasty")
async def test_a_call_that_cannot_begin_in_time_is_refused_and_never_made(thread: LedgerThread) -> None:
    held, made = Held(), list[int]()
    first = asyncio.ensure_future(thread(held))
    refused = await asyncio.gather(*(thread.soon(made.append, n) for n in range(5)), return_exceptions=True)
    assert [error.code for error in refused if isinstance(error, StorageError)] == ["ledger_busy"] * 5
    held.may_end.set()
    assert await first == "ended"
    await thread(int)
    assert made == []


@pytest.mark.usefixtures("hasty")
async def test_a_call_that_has_begun_is_waited_for_however_long_it_takes(thread: LedgerThread) -> None:
    held = Held()
    asked = asyncio.ensure_future(thread.soon(held))
    await asyncio.to_thread(held.began.wait, 30)
    await asyncio.sleep(4 * sqlite.BUSY_TIMEOUT_S)
    assert not asked.done()
    held.may_end.set()
    assert await asked == "ended"


@pytest.mark.usefixtures("hasty")
async def test_what_need_not_be_soon_waits(thread: LedgerThread) -> None:
    held = Held()
    first, second = asyncio.ensure_future(thread(held)), asyncio.ensure_future(thread(int))
    await asyncio.sleep(4 * sqlite.BUSY_TIMEOUT_S)
    assert not second.done()
    held.may_end.set()
    assert (await first, await second) == ("ended", 0)


async def test_after_the_end_nothing_is_taken(thread: LedgerThread) -> None:
    thread.close()
    for way in (thread, thread.soon):
        with pytest.raises(StorageError) as caught:
            await way(int)
        assert caught.value.code == "stopping"
