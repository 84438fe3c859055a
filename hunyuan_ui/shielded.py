"""Work that goes on to its end when whoever waits for it is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

_T = TypeVar("_T")


async def shielded(work: Awaitable[_T]) -> _T:
    """Wait for work that a cancelled waiter leaves behind: it ends all the same, and a failure then concerns nobody.

    Args:
        work: A future, a task or a coroutine; several may wait for one future.

    Raises:
        Exception: What the work raises, if its waiter is still there.
    """
    future = asyncio.ensure_future(work)
    future.add_done_callback(_retrieve)
    return await asyncio.shield(future)


def _retrieve(done: asyncio.Future[_T]) -> None:
    """Mark a failure as seen, which asyncio would otherwise report once the future is collected."""
    if not done.cancelled():
        done.exception()
