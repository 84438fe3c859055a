"""In-memory state of a job that has not ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio

from hunyuan_ui.errors import HunyuanUIError
from hunyuan_ui.job import Job, JobProblem, Phase


@dataclass(slots=True, eq=False)
class LiveJob:
    """A job that has not ended: its latest row, and the phase that the page shows."""

    job: Job
    phase: Phase = Phase.WAITING
    retry_at: float | None = None  # time.monotonic()
    note: JobProblem | None = None
    progress: float | None = None  # in percent, if the service reports progress
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    holds_stop: bool = False  # a stop would lose a response that is not committed yet
    is_between_attempts: bool = False  # waits between two attempts
    wants_stop: bool = False  # its run is to be stopped at its engine
    held_until: float = 0.0  # time.monotonic(); other processes use all slots
    _wait_ended: asyncio.Event = field(default_factory=asyncio.Event)

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

    async def wait_for_attempt(self, seconds: float) -> None:
        """Wait before the next attempt; `end_wait` ends the wait."""
        self._wait_ended.clear()
        self.is_between_attempts = True
        try:
            with anyio.move_on_after(seconds):
                await self._wait_ended.wait()
        finally:
            self.is_between_attempts = False

    @property
    def is_between_downloads(self) -> bool:
        """Whether a download has failed and the next attempt is not due."""
        return self.is_between_attempts and self.phase is Phase.DOWNLOADING

    def end_wait(self) -> None:
        """End the wait before the next attempt."""
        self._wait_ended.set()

    @contextmanager
    def holding_stop(self) -> Generator[None]:
        """Make a stop wait for the end of this block, within the stop's time limit."""
        before, self.holds_stop = self.holds_stop, True
        try:
            yield
        finally:
            self.holds_stop = before
