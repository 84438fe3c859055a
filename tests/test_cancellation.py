"""Cancelled tasks end; shielded work ends without its waiter, and its exception is then ignored."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from hunyuan_ui import cancellation
from hunyuan_ui.cancellation import shielded

pytestmark = pytest.mark.anyio


@contextmanager
def nothing_reported() -> Iterator[None]:
    """Fail if asyncio reports a never retrieved exception."""
    loop, found = asyncio.get_running_loop(), list[dict[str, Any]]()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: found.append(context))
    try:
        yield
        gc.collect()
    finally:
        loop.set_exception_handler(before)
    assert found == []


class Work:
    """Work that waits for a signal and then ends as specified."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.may_end = asyncio.Event()
        self.is_ended = False
        self._failure = failure

    async def run(self) -> str:
        await self.may_end.wait()
        self.is_ended = True
        if self._failure is not None:
            raise self._failure
        return "made"


async def leave(waiter: asyncio.Task[str]) -> None:
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter


async def ended(work: Work) -> None:
    work.may_end.set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert work.is_ended


@pytest.mark.parametrize("failure", [None, ValueError("failed")], ids=["made", "failed"])
async def test_work_whose_waiter_left_goes_on_and_its_failure_is_not_reported(failure: Exception | None) -> None:
    work = Work(failure)
    with nothing_reported():
        await leave(asyncio.ensure_future(shielded(work.run())))
        assert not work.is_ended
        await ended(work)


async def test_whoever_still_waits_gets_what_the_work_gives() -> None:
    with nothing_reported():
        work = Work()
        work.may_end.set()
        assert await shielded(work.run()) == "made"
        work = Work(ValueError("failed"))
        work.may_end.set()
        with pytest.raises(ValueError, match="failed"):
            await shielded(work.run())


async def test_of_two_who_wait_for_one_work_the_second_is_not_left_with_the_first() -> None:
    work = Work(ValueError("failed"))
    with nothing_reported():
        task = asyncio.ensure_future(work.run())
        first, second = (asyncio.ensure_future(shielded(task)) for _ in range(2))
        await leave(first)
        await ended(work)
        with pytest.raises(ValueError, match="failed"):
            await second
        del task, first, second


async def test_work_that_is_itself_cancelled_is_not_reported() -> None:
    work = Work()
    with nothing_reported():
        task = asyncio.ensure_future(work.run())
        waiter = asyncio.ensure_future(shielded(task))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter


@pytest.mark.parametrize("lost", [0, 1, 3])
async def test_tasks_end_however_many_of_their_cancellations_are_lost(
    monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    async def deaf(left: int) -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if (left := left - 1) < 0:
                    raise

    monkeypatch.setattr(cancellation, "AGAIN_S", 0.01)
    tasks = [asyncio.create_task(deaf(count)) for count in (lost, 0)]
    await asyncio.sleep(0)
    await asyncio.wait_for(cancellation.end(tasks), 10)
    assert all(task.cancelled() for task in tasks)


async def test_what_a_cancelled_task_does_at_its_end_is_not_interrupted() -> None:
    async def tidy() -> str:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
        return ""

    task = asyncio.create_task(tidy())
    await asyncio.sleep(0)
    started = asyncio.get_running_loop().time()
    await cancellation.end([task])
    assert asyncio.get_running_loop().time() - started >= 0.05


async def test_no_task_is_ended_at_once() -> None:
    await cancellation.end([])
