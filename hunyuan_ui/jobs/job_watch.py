"""JobWatch: the state of jobs and their expected starts for the page, whichever process works on them."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from hunyuan_ui.endpoint.contract import FILE_LIFE_S
from hunyuan_ui.errors import AccessError, StorageError
from hunyuan_ui.job import Job, JobStatus, Phase, Visitor
from hunyuan_ui.jobs.calibrated_estimates import CalibratedEstimates
from hunyuan_ui.jobs.dispatcher import Dispatcher
from hunyuan_ui.jobs.engine_jobs import STOPPED, can_be_stopped
from hunyuan_ui.jobs.job_view import JobView
from hunyuan_ui.jobs.live_job import PHASE_OF, VolatileState, state_of
from hunyuan_ui.jobs.queue_times import QueueEntry, starts_in_s
from hunyuan_ui.jobs.services import Services
from hunyuan_ui.settings import Settings

if TYPE_CHECKING:
    from hunyuan_ui.jobs.replicas import Replicas

POLL_S: Final = 0.5  # between two reads of a job that another process works on


class QueueState(NamedTuple):
    """The queue: job ids in order, expected seconds until each starts, and the states reported by other processes."""

    ids: list[str]
    starts: Mapping[str, float]
    states: Mapping[str, VolatileState]


class JobWatch:
    """Reads jobs from memory and, where several processes share the ledger, from the ledger.

    A method that takes a job's id raises AccessError if its visitor has no such job.
    """

    def __init__(
        self, services: Services, settings: Settings, dispatcher: Dispatcher, replicas: Replicas | None
    ) -> None:
        self._services = services
        self._settings = settings
        self._dispatcher = dispatcher
        self._replicas = replicas

    async def view(self, job_id: str, visitor: Visitor) -> JobView:
        """Return the current state of a job."""
        live = self._dispatcher.live.get(job_id)
        job = live.job if live is not None else await self._services.stored(job_id)
        if not visitor.may_see(job):
            raise AccessError("not_yours")
        return self._view_of(job, await self._queue_state([job]))

    async def active(self, visitor: Visitor) -> list[JobView]:
        """Return the visitor's jobs that have not ended, oldest first."""
        live = {live.job.id: live.job for live in self._dispatcher.live.values()}
        if self._replicas is not None:
            board = await self._replicas.board()
            live = {job_id: seen.job for job_id, seen in board.seen.items()} | live
        mine = [job for job in live.values() if job.visitor == visitor.id and job.is_active]
        queue = await self._queue_state(mine)
        return [self._view_of(job, queue) for job in sorted(mine, key=lambda job: job.created_at)]

    async def wait(self, job_id: str, visitor: Visitor, timeout_s: float | None = None) -> Job:
        """Return the job when it has ended, or its state after the timeout."""
        give_up_at = math.inf if timeout_s is None else time.monotonic() + timeout_s
        job: Job | None = None
        while True:
            try:
                job = (await self.view(job_id, visitor)).job
            except StorageError:
                if job is None:
                    raise
                # Another process works on it, and goes on while the ledger cannot be read.
            left_s = give_up_at - time.monotonic()
            live = self._dispatcher.live.get(job_id)
            if live is not None:
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(live.ended.wait(), None if math.isinf(left_s) else left_s)
                job = live.job
            if not job.is_active or left_s <= 0 or self._dispatcher.is_stopping:
                return job
            if live is None:  # another process works on it, or it has just been stored here
                await asyncio.sleep(min(left_s, POLL_S))

    async def waiting_for_visitor(self) -> list[Job]:
        """Return the jobs of all processes that wait until their visitor enters their key again."""
        here = [live.job for live in self._dispatcher.waiting_for_visitor()]
        return here if self._replicas is None else here + await self._replicas.waiting_for_visitor()

    def can_look_again(self, job: Job) -> bool:
        """Whether a lost job can be resumed: charged, with an address or request id, and before the file expires."""
        is_young = self._services.ledger.now() - job.began_at < FILE_LIFE_S
        is_known = job.request_id is not None or job.result_url is not None
        is_stopped = job.problem is not None and job.problem.code == STOPPED
        return job.status is JobStatus.LOST and is_known and is_young and not job.is_preview and not is_stopped

    async def _queue_state(self, jobs: Iterable[Job]) -> QueueState:
        """Return the queue, as far as these jobs need it."""
        dispatcher = self._dispatcher
        is_queued = any(job.status is JobStatus.QUEUED for job in jobs)
        if self._replicas is None:
            parked = {live.job.id for live in dispatcher.waiting_for_visitor()}
            waiting = [live.job for live in dispatcher.waiting()]
            ready = [job for job in waiting if job.id not in parked]
            in_flight = [live.job for live in dispatcher.in_flight() if live.job.is_sent]
            return QueueState([job.id for job in waiting], self._starts(in_flight, ready) if is_queued else {}, {})
        strange = [job.id for job in jobs if job.is_active and job.id not in dispatcher.live]
        if not is_queued and not strange:
            return QueueState([], {}, {})
        board = await self._replicas.board(next(iter(jobs)).id)
        states = {
            job_id: self._replicas.published_state(board.seen[job_id]) for job_id in strange if job_id in board.seen
        }
        starts = self._starts(board.in_flight(), board.ready()) if is_queued else {}
        return QueueState([job.id for job in board.waiting()], starts, states)

    def _starts(self, in_flight: list[Job], waiting: list[Job]) -> dict[str, float]:
        estimates, now = self._services.estimates, self._services.ledger.now()

        def entries(jobs: list[Job]) -> list[QueueEntry]:
            return [QueueEntry(job.id, job.visitor, _left_s(job, estimates, now)) for job in jobs]

        settings = self._settings
        return starts_in_s(entries(in_flight), entries(waiting), settings.concurrency, one_each=settings.is_public)

    def _view_of(self, job: Job, queue: QueueState) -> JobView:
        live = self._dispatcher.live.get(job.id)
        job = live.job if live is not None else job
        usual = self._services.estimates.estimate(job.request, job.payer)
        began = job.began_at
        if not job.is_active or (live is None and job.id not in queue.states):
            # Another process may hold the folder and run the job.
            phase = PHASE_OF.get(job.status, Phase.ENDED)
            elapsed_s = max(0.0, (job.ended_at or job.updated_at) - began)
            return JobView(job, phase, elapsed_s, usual, note=job.problem, can_look_again=self.can_look_again(job))
        place = queue.ids.index(job.id) + 1 if job.id in queue.ids else None
        state = queue.states[job.id] if live is None else state_of(live, self._services)
        elapsed_s, starts_in_s = self._services.ledger.now() - began, queue.starts.get(job.id)
        at = (state.phase, elapsed_s, usual, place, len(queue.ids), state.retry_in_s, state.note)
        can_stop = can_be_stopped(job) and not state.is_stopping
        return JobView(job, *at, starts_in_s=starts_in_s, progress=state.progress, can_stop=can_stop)


def _left_s(job: Job, estimates: CalibratedEstimates, now: float) -> float | None:
    usual = estimates.estimate(job.request, job.payer)
    # A preview is rendered locally in seconds; the formula describes the service.
    if job.is_preview and not usual.is_calibrated:
        return None
    elapsed_s = 0.0 if job.sent_at is None else now - job.sent_at
    left_s = usual.seconds - elapsed_s if elapsed_s < usual.seconds else usual.high_s - elapsed_s
    return left_s if left_s >= 0 else None
