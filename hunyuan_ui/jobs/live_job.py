"""A job that has not ended: its in-memory state, and the commits of its steps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import anyio

from hunyuan_ui import log
from hunyuan_ui.checkpoint import checkpoint
from hunyuan_ui.endpoint.contract import RECORD_LIFE_S
from hunyuan_ui.errors import HunyuanUIError, StorageError
from hunyuan_ui.job import MICRO, Job, JobProblem, JobStatus, Phase
from hunyuan_ui.jobs.services import Services
from hunyuan_ui.jobs.wait_times import backoff_s
from hunyuan_ui.ledger import NAMED, TakenOverError

OVERDUE_TIMES: Final = 10  # of the expected seconds, as for costs (docs/architecture.md 3)
SLOW_DOWNLOAD_S: Final = 60.0
PHASE_OF: Final = {
    JobStatus.QUEUED: Phase.WAITING,
    JobStatus.SUBMITTING: Phase.SENT,
    JobStatus.RUNNING: Phase.RENDERING,
    JobStatus.DOWNLOADING: Phase.DOWNLOADING,
}


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
    is_run_over: bool = False  # this process works on it no longer
    held_until: float = 0.0  # time.monotonic(); other processes use all slots
    is_overdue: bool = False  # has been running for longer than any run takes
    is_slow_download: bool = False  # its file comes over a thin line
    slot_freed: Callable[[], None] = lambda: None  # called when its slot is free for another job
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
        """Wait before the next attempt; `end_wait` ends the wait.

        Raises:
            CancelledError: This process works on the job no longer.
        """
        if not self.is_run_over:
            self._wait_ended.clear()
            self.is_between_attempts = True
            if self.is_between_downloads:
                self.slot_freed()
            try:
                with anyio.move_on_after(seconds):
                    await self._wait_ended.wait()
            finally:
                self.is_between_attempts = False
        # Python 3.10 loses a cancellation that meets one of anyio's own, as when a connection opens at that moment.
        if self.is_run_over:
            raise asyncio.CancelledError

    @property
    def is_between_downloads(self) -> bool:
        """Whether a download has failed and the next attempt is not due."""
        return self.is_between_attempts and self.phase is Phase.DOWNLOADING

    @property
    def takes_place(self) -> bool:
        """Whether it occupies a slot once it has a task.

        One that waits for a key or between downloads occupies none, nor does one whose end the service never tells, or
        whose file comes slowly. One that waits between polls does: the service still works on it.
        """
        is_stuck = (self.is_overdue and self.job.status is JobStatus.RUNNING) or self.is_slow_download
        return self.phase is not Phase.PAUSED and not self.is_between_downloads and not is_stuck

    def free_slot_of_overdue(self, age_s: float) -> None:
        """Give the slot back once the job has been running for longer than any run takes."""
        if not self.is_overdue and age_s > max(RECORD_LIFE_S, OVERDUE_TIMES * self.job.predicted_s):
            self.is_overdue = True
            self.slot_freed()

    @contextmanager
    def freeing_slot_of_slow(self) -> Generator[None]:
        """Give the slot back for good once the download in this block takes long: the next attempt would, too."""

        def free() -> None:
            self.is_slow_download = True
            self.slot_freed()

        timer = asyncio.get_running_loop().call_later(SLOW_DOWNLOAD_S, free)
        try:
            yield
        finally:
            timer.cancel()

    def end_wait(self) -> None:
        """End the wait before the next attempt."""
        self._wait_ended.set()

    def end_run(self) -> None:
        """End this process's work on the job at its next wait, whatever became of its task's cancellation."""
        self.is_run_over = True
        self.end_wait()

    @contextmanager
    def holding_stop(self) -> Generator[None]:
        """Make a stop wait for the end of this block, within the stop's time limit."""
        before, self.holds_stop = self.holds_stop, True
        try:
            yield
        finally:
            self.holds_stop = before


class JobCommits:
    """Stores changes of one job, and keeps the live job equal to its row."""

    def __init__(self, live: LiveJob, services: Services) -> None:
        self._live = live
        self._services = services

    @property
    def _job(self) -> Job:
        return self._live.job

    async def stored(self) -> Job:
        """Return the job as stored.

        Raises:
            TakenOverError: Another process has it, or it was ended and deleted there.
        """
        if (job := await self._services.reads(self._services.ledger.own, self._job.id)) is None:
            raise TakenOverError
        return job

    async def step(self, change: Callable[..., Job], *args: Any, **values: Any) -> None:
        """Commit a transition that must not be lost; retry for as long as the ledger cannot be written.

        Args:
            change: A method of the ledger; called with the job's id and the other arguments.
        """
        attempt = 0
        while True:
            try:
                # A commit that raised may have succeeded. Where other processes may also have changed the row, the
                # transition itself detects it.
                is_asked = attempt and not self._services.ledger.is_shared
                stored = await self._services.writes(self._services.ledger.get, self._job.id) if is_asked else None
                if stored is None or stored.status is self._job.status:
                    stored = await self._services.writes(change, self._job.id, *args, **values)
                break
            except TakenOverError:
                known = await self._services.read_again(self._job)
                if known is None or known.status is not self._job.status:
                    raise
            except StorageError as error:
                attempt += 1
                log.trouble("ledger.refused", job=self._job.id, code=error.code, attempt=attempt)
                self._services.folder.drop_ballast()
                self._live.note = self._live.problem_of(error)
                await asyncio.sleep(backoff_s(attempt, base=0.5, cap=30.0))
        if attempt:
            self._live.note = None
        self.moved(stored)

    async def facts(self, change: Callable[..., Job], *args: Any, **values: Any) -> None:
        """Commit a change that keeps the status; dropped on failure, as the next poll repeats it."""
        try:
            self._live.job = await self._services.writes(change, self._job.id, *args, **values)
        except StorageError as error:
            log.trouble("ledger.refused", job=self._job.id, code=error.code, attempt=1)

    async def name_cost(self, cost_usd: float | None, *, is_so_far: bool = False) -> None:
        """Store a cost named by any response unless a higher one is stored: it may grow; zero means not named."""
        if cost_usd and cost_usd > self._job.notes.get(NAMED, (self._job.cost_microusd or 0) / MICRO):
            await self.facts(self._services.ledger.name_cost, cost_usd, is_so_far=is_so_far)

    def moved(self, job: Job) -> None:
        """Take over a stored row, and log a new status."""
        if job.status is not self._job.status:
            code = job.problem.code if job.problem else None
            facts = {"request_id": job.request_id, "cost_microusd": job.cost_microusd, "problem": code}
            log.event(f"job.{job.status.value}", job=job.id, **{k: v for k, v in facts.items() if v is not None})
        self._live.job = job
        checkpoint(f"journey.{job.status.value}")


class VolatileState(NamedTuple):
    """A job's volatile state beyond its row; `retry_in_s` in seconds from now, `progress` in percent.

    `is_stopping` means that its run is to be stopped.
    """

    phase: Phase
    retry_in_s: float | None = None
    note: JobProblem | None = None
    progress: float | None = None
    is_stopping: bool = False


def state_of(live: LiveJob, services: Services) -> VolatileState:
    """Return the volatile state of a job of this process."""
    retry_in_s = None if live.retry_at is None else max(0.0, live.retry_at - time.monotonic())
    pause = services.pause
    away_s, away = services.away.wait(live.job)
    is_owners = live.job.payer == "owner"
    pause_s = pause.wait_s if is_owners else 0.0
    why = pause.unknown_spending or pause.problem if is_owners else None  # also while a call checks whether it is over
    if live.job.status is not JobStatus.QUEUED or (pause_s <= 0 and away_s <= 0 and why is None):
        return VolatileState(live.phase, retry_in_s, live.note, live.progress, live.wants_stop)
    note = why or away or live.note
    return VolatileState(Phase.PAUSED, max(retry_in_s or 0.0, pause_s, away_s), note, live.progress)
