"""Cancels tasks for certain, and shields work from the cancellation of its waiter."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeVar

_T = TypeVar("_T")

AGAIN_S: Final = 1.0  # longer than a task needs for what it does at its end


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks until all have ended.

    One cancellation may be lost: in Python 3.10 to a cancel scope of anyio that ends at that moment, as when a
    connection opens, and in 3.10 and 3.11 to `asyncio.wait_for` whose result is there.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=AGAIN_S)


async def shielded(work: Awaitable[_T]) -> _T:
    """Wait for work that continues if this waiter is cancelled; its later failure is then ignored.

    Args:
        work: A future, a task or a coroutine; one future may have several waiters.

    Raises:
        Exception: The work's own exception, unless its waiter was cancelled.
    """
    future = asyncio.ensure_future(work)
    future.add_done_callback(_retrieve)
    return await asyncio.shield(future)


async def in_thread(work: Callable[[], _T], at_end: Callable[[], object]) -> _T:
    """Run blocking work in a thread that goes on if this waiter is cancelled; `at_end` is called when it has ended."""
    future = asyncio.ensure_future(asyncio.to_thread(work))
    future.add_done_callback(lambda _: at_end())
    return await shielded(future)


def _retrieve(done: asyncio.Future[_T]) -> None:
    """Mark an exception as retrieved, which asyncio would otherwise report when the future is collected."""
    if not done.cancelled():
        done.exception()
