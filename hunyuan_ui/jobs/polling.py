"""State of running jobs in memory, the pause of the queue, and the waits between polls."""

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

WARMING: Final = "engine_warming"
FIRST_POLL_S: Final = 0.1  # after sending, where refusals and quick jobs end
POLL_JITTER: Final = 0.5  # spreads what was begun together
STEADY_JITTER: Final = 0.1  # keeps it spread; a wider one would let the second round overlap the first
PAUSE_CHECK_S: Final = 60.0  # how often a paused queue asks the free balance call whether it may go on


@dataclass(slots=True, eq=False)
class LiveJob:
    """A job that has not ended: its latest row, and the phase that the page shows."""

    job: Job
    phase: Phase = Phase.WAITING
    retry_at: float | None = None  # time.monotonic()
    note: JobProblem | None = None
    progress: float | None = None  # in percent, where the service tells a part of the way
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    holds_stop: bool = False  # a stop would lose a response that is not committed yet
    is_resting: bool = False  # waits between two tries
    wants_stop: bool = False  # its run is to be stopped at its engine
    held_until: float = 0.0  # time.monotonic(); other processes have all places in flight
    _nudge: asyncio.Event = field(default_factory=asyncio.Event)

    def show(
        self,
        phase: Phase,
        *,
        retry_in_s: float | None = None,
        note: JobProblem | None = None,
        progress: float | None = None,
    ) -> None:
        """Set what the page shows."""
        self.phase = phase
        self.progress = progress
        self.retry_at = None if retry_in_s is None else time.monotonic() + retry_in_s
        self.note = note

    def problem_of(self, error: HunyuanUIError) -> JobProblem:
        """Return the problem of an error, worded for whether this job was sent."""
        return JobProblem.of(error, is_sent=self.job.is_sent)

    async def rest(self, seconds: float) -> None:
        """Wait before the next try; `nudge` ends the wait."""
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
        """End the wait before the next try."""
        self._nudge.set()

    @contextmanager
    def holding_stop(self) -> Generator[None]:
        """Make a stop wait for the end of this block, within the stop's time limit."""
        before, self.holds_stop = self.holds_stop, True
        try:
            yield
        finally:
            self.holds_stop = before


class QueuePause:
    """Until when jobs on the owner's key wait: for a rate limit, credits, a valid key, or the history."""

    def __init__(self) -> None:
        self._until = 0.0
        self.changes = 0  # begun or ended here, for reasons that are the account's and hold for every process
        self.problem: JobProblem | None = None
        self.history_problem: JobProblem | None = None  # spending before this start is unknown
        self.is_stopping = False  # nothing is sent any more

    @property
    def own_wait_s(self) -> float:
        """The same, whatever is known of the history."""
        return max(0.0, self._until - time.monotonic())

    @property
    def wait_s(self) -> float:
        """Seconds until the next POST may be sent, or the balance may be asked for again."""
        wait_s = self.own_wait_s
        return wait_s if self.history_problem is None else max(wait_s, PAUSE_CHECK_S)

    def for_seconds(self, seconds: float) -> None:
        """Send nothing for some seconds."""
        self._wait(seconds)
        self.changes += 1

    def until_fixed(self, problem: JobProblem) -> None:
        """Send nothing until a call succeeds; `problem` says why."""
        self.problem = problem
        self.for_seconds(PAUSE_CHECK_S)

    def until_warm(self, problem: JobProblem, check_s: float) -> None:
        """Send nothing until this process has found its engine ready; `check_s` says when to ask first."""
        self.problem = problem
        self._wait(check_s)

    def adopt(self, wait_s: float, problem: JobProblem | None) -> None:
        """Wait as another process does, which has begun or ended the pause."""
        self.problem = problem
        self._until = time.monotonic() + wait_s

    def extend(self) -> None:
        """Wait once more before the balance is asked for."""
        self.for_seconds(PAUSE_CHECK_S)

    def clear(self) -> None:
        """End the pause, since a call succeeded."""
        if self.problem is not None:
            self.changes += self.problem.code != WARMING
            self.problem = None
            self._until = 0.0

    def _wait(self, seconds: float) -> None:
        self._until = max(self._until, time.monotonic() + seconds)


def poll_wait_s(interval_s: float, age_s: float, *, is_first: bool = False) -> float:
    """Return seconds until the next poll of a job: short at first, then the interval, with jitter.

    Args:
        interval_s: The longest wait, apart from the jitter.
        age_s: Seconds since the job was sent.
        is_first: The first poll of this run; the polls of all recovered jobs are spread over the interval.
    """
    growing_s = FIRST_POLL_S + max(0.0, age_s) / 4
    if growing_s < interval_s:
        return growing_s * random.uniform(1 - POLL_JITTER, 1 + POLL_JITTER)
    if is_first:
        return random.uniform(0, interval_s)
    return interval_s * random.uniform(1 - STEADY_JITTER, 1 + STEADY_JITTER)


def backoff_s(attempt: int, *, base: float = 2.0, cap: float = 15.0) -> float:
    """Return seconds to wait before retrying: exponential, with jitter over the upper half."""
    return min(cap, base * 2.0 ** min(attempt, 10)) * random.uniform(0.5, 1.0)
