"""What the runner keeps in memory: jobs under way, whose key each uses, and how fast it may knock."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import anyio

from hunyuan_ui.errors import HunyuanUIError
from hunyuan_ui.job import Job, JobProblem, Phase

FIRST_POLL_S: Final = 0.1  # after sending, where refusals and quick jobs end
POLL_JITTER: Final = 0.5  # spreads what was begun together
STEADY_JITTER: Final = 0.1  # keeps it spread; a wider one would let the second round overlap the first
PAUSE_CHECK_S: Final = 60.0  # how often a paused queue asks the free balance call whether it may go on


@dataclass(slots=True, eq=False)
class LiveJob:
    """A job under way: its latest row, and what the page says of it between two rows."""

    job: Job
    phase: Phase = Phase.WAITING
    retry_at: float | None = None  # time.monotonic()
    note: JobProblem | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    holds_stop: bool = False  # a stop just now would leave a row that knows less than this program does
    is_resting: bool = False  # between two tries; its place in flight is free meanwhile
    _nudge: asyncio.Event = field(default_factory=asyncio.Event)

    def say(self, phase: Phase, *, retry_in_s: float | None = None, note: JobProblem | None = None) -> None:
        """Set what the page shows."""
        self.phase = phase
        self.retry_at = None if retry_in_s is None else time.monotonic() + retry_in_s
        self.note = note

    def problem_of(self, error: HunyuanUIError) -> JobProblem:
        """Return what went wrong with a sentence that is true of this job's money now."""
        return JobProblem.of(error, is_sent=self.job.is_sent)

    async def rest(self, seconds: float) -> None:
        """Wait before another try, unless somebody asks for it at once."""
        self._nudge.clear()
        self.is_resting = True
        try:
            with anyio.move_on_after(seconds):
                await self._nudge.wait()
        finally:
            self.is_resting = False

    @property
    def is_between_downloads(self) -> bool:
        """Whether a download has failed and the next try is not due."""
        return self.is_resting and self.phase is Phase.DOWNLOADING

    def nudge(self) -> None:
        """End the rest before the next try."""
        self._nudge.set()

    @contextmanager
    def holding_stop(self) -> Generator[None]:
        """Let a stop wait, within its limit, for the end of this block."""
        before, self.holds_stop = self.holds_stop, True
        try:
            yield
        finally:
            self.holds_stop = before


class QueuePause:
    """When the owner's queue may send again: after a rate limit, or while credits, key or past spending are missing."""

    def __init__(self) -> None:
        self._until = 0.0
        self.problem: JobProblem | None = None
        self.history_problem: JobProblem | None = None  # what was spent before this start is not known
        self.is_stopping = False  # for good: the program stops

    @property
    def wait_s(self) -> float:
        """Seconds until the next submit, or the next question whether submits may go on, can leave."""
        wait_s = max(0.0, self._until - time.monotonic())
        return wait_s if self.history_problem is None else max(wait_s, PAUSE_CHECK_S)

    def for_seconds(self, seconds: float) -> None:
        """Send nothing for a while."""
        self._until = max(self._until, time.monotonic() + seconds)

    def until_fixed(self, problem: JobProblem) -> None:
        """Send nothing until a call succeeds."""
        self.problem = problem
        self.extend()

    def extend(self) -> None:
        """Ask again later whether a stopped queue may go on."""
        self.for_seconds(PAUSE_CHECK_S)

    def clear(self) -> None:
        """Go on, since a call succeeded."""
        if self.problem is not None:
            self.problem = None
            self._until = 0.0


def poll_wait_s(interval_s: float, age_s: float, *, is_first: bool = False) -> float:
    """Return seconds until the next question about a job: soon while it is young, then the interval, never in step.

    Args:
        interval_s: The longest wait, within the jitter.
        age_s: How long ago the job was sent.
        is_first: Nothing was asked yet; an old job is then one of many that a start has taken up at once.
    """
    growing_s = FIRST_POLL_S + max(0.0, age_s) / 4
    if growing_s < interval_s:
        return growing_s * random.uniform(1 - POLL_JITTER, 1 + POLL_JITTER)
    if is_first:
        return random.uniform(0, interval_s)
    return interval_s * random.uniform(1 - STEADY_JITTER, 1 + STEADY_JITTER)


def backoff_s(attempt: int, *, base: float = 2.0, cap: float = 15.0) -> float:
    """Return seconds to wait before another harmless try: exponential with full jitter over the upper half."""
    return min(cap, base * 2.0 ** min(attempt, 10)) * random.uniform(0.5, 1.0)
