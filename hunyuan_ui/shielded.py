"""Shields work from the cancellation of its waiter."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

_T = TypeVar("_T")


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


def _retrieve(done: asyncio.Future[_T]) -> None:
    """Mark an exception as retrieved, which asyncio would otherwise report when the future is collected."""
    if not done.cancelled():
        done.exception()
