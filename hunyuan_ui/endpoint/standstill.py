"""Time limits that do not count the time in which this process stood still, such as suspended or paused."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import anyio

TICK_S: Final = 1.0
SLOW_S: Final = 2.0  # a busy event loop is late by less


@contextmanager
def not_counting_standstill(scope: anyio.CancelScope) -> Generator[None]:
    """Extend a scope's deadline by each standstill inside the block: what arrived meanwhile has not been read yet.

    Args:
        scope: Entered; its deadline is on the event loop's clock, in s.
    """
    loop = asyncio.get_running_loop()

    def tick(due: float) -> None:
        # Runs before the scope's own timer, because it was due before.
        nonlocal ticker
        late_s = loop.time() - due
        if late_s > SLOW_S:
            scope.deadline += late_s
        ticker = next_tick()

    def next_tick() -> asyncio.TimerHandle:
        due = loop.time() + TICK_S
        return loop.call_at(due, tick, due)

    ticker = next_tick()
    try:
        yield
    finally:
        ticker.cancel()
