"""Replicas: renews this process's lease, takes over jobs of dead processes, and reads the state of the others.

Source: docs/architecture.md 4 and docs/facts/scale.md 3. Used only where several processes share the database.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final, NamedTuple

import anyio

from hunyuan_ui import cancellation, log
from hunyuan_ui.errors import StorageError
from hunyuan_ui.job import AT_SERVICE, Job, JobProblem, JobStatus, Phase
from hunyuan_ui.jobs.dispatcher import Dispatcher
from hunyuan_ui.jobs.ledger_thread import LedgerThread
from hunyuan_ui.jobs.live_job import PHASE_OF, LiveJob, VolatileState, state_of
from hunyuan_ui.jobs.recovery import end_preview
from hunyuan_ui.jobs.replica_stores import ReplicaAccess, ReplicaCalls, ReplicaLists
from hunyuan_ui.jobs.services import KEY, Services
from hunyuan_ui.jobs.wait_times import WARMING
from hunyuan_ui.ledger import confirm_damage, was_damaged
from hunyuan_ui.ledger.replica_updates import UNPUBLISHED, Pause, PublishedState, ReplicaRequest, SharedJob
from hunyuan_ui.ledger.shared_ledger import SharedLedger
from hunyuan_ui.ledger.shared_stores import ReviewStore

LEASE_RENEWAL_S: Final = 3.0
TICK_S: Final = 1.0
RESTART_S: Final = 1.0  # after an unexpected error
BOARD_FRESH_S: Final = 0.5
DELETIONS_EVERY_S: Final = 60.0  # deleted files are removed within this time once their store can be reached
HEALTH_WITHIN_S: Final = 1.0
_FITS: Final = {
    JobStatus.QUEUED: {Phase.WAITING, Phase.PAUSED},
    JobStatus.SUBMITTING: {Phase.SENT, Phase.RENDERING, Phase.PAUSED},
    JobStatus.RUNNING: {Phase.IN_SERVICE_QUEUE, Phase.RENDERING, Phase.RECONNECTING, Phase.PAUSED},
    JobStatus.DOWNLOADING: {Phase.DOWNLOADING, Phase.PAUSED},
}

_WANT_KEY: Final = (
    JobProblem.from_code("key_forgotten"),
    JobProblem.from_code("key_forgotten_unsent"),
    JobProblem.from_code("engine_not_set"),
)
_WANT_THEIR_KEY: Final = (JobProblem.from_code("key_other"), JobProblem.from_code("owner_key_other"))


class Board(NamedTuple):
    """All unfinished jobs of all processes, oldest first."""

    seen: dict[str, SharedJob]
    read_at: float  # time.monotonic()

    def waiting(self) -> list[Job]:
        """Return the queue in order."""
        return [seen.job for seen in self.seen.values() if seen.job.status is JobStatus.QUEUED]

    def in_flight(self) -> list[Job]:
        """Return the jobs that occupy a slot."""
        return [seen.job for seen in self.seen.values() if seen.takes_place and seen.job.status is not JobStatus.QUEUED]

    def ready(self) -> list[Job]:
        """Return the queued jobs that will be sent in their turn."""
        return [job for job in self.waiting() if self.seen[job.id].takes_place]

    def parked(self) -> list[Job]:
        """Return the queued jobs that occupy no slot because they wait for their visitor's key."""
        return [job for job in self.waiting() if not self.seen[job.id].takes_place]


class Replicas:
    """This process among those that share the ledger."""

    def __init__(self, services: Services, dispatcher: Dispatcher) -> None:
        ledger = services.ledger
        assert isinstance(ledger, SharedLedger)
        assert isinstance(ledger.review, ReviewStore)
        self._review = ledger.review
        self._ledger = ledger
        self._services = services
        self._dispatcher = dispatcher
        self.access = ReplicaAccess(ledger.access, services)
        self.lists = ReplicaLists(ledger.lists, services)
        self.calls = ReplicaCalls(ledger.calls, services.reads)
        self._deletions = _Deletions(ledger, services)
        self._board = Board({}, -math.inf)
        self._reading = asyncio.Lock()
        self._renewed_at = -math.inf  # time.monotonic()
        self.problem: StorageError | None = None  # why the last look at the database, or the lease, failed
        self._done_at = 0.0
        self._pause_changes = services.pause.changes
        self._paused_at = 0.0  # time of the last adopted pause, by the server's clock
        self.refused = set[tuple[str, str]]()  # ids and visitors of jobs that were refused but may have been stored
        self._clock_set_at = ledger.clock_set_at
        self._strays: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._restart: asyncio.TimerHandle | None = None
        self._lease_thread = LedgerThread("ledger lease")
        self._lease_task: asyncio.Task[None] | None = None

    async def join(self) -> None:
        """Acquire a lease before any job is accepted.

        Raises:
            StorageError: The ledger cannot be reached, or a live process uses another service.
        """
        await self._renew_lease()
        try:
            await self._services.reads(self._ledger.check_alike)
        except StorageError:
            await self._services.writes(self._ledger.leave)
            raise
        await self._services.writes(self._ledger.forget_pause)

    def start(self) -> None:
        """Start renewing the lease and taking over jobs."""
        self._task = asyncio.create_task(self._go_on(), name="replicas")
        self._task.add_done_callback(self._start_again)
        if self._lease_task is None:
            self._lease_task = asyncio.create_task(self._keep_lease(), name="replicas lease")

    async def stop(self) -> None:
        """Release the lease after the dispatcher has stopped; unfinished jobs continue in other processes at once."""
        if self._restart is not None:
            self._restart.cancel()
        if tasks := [task for task in (self._task, self._lease_task) if task is not None]:
            await cancellation.end(tasks)
            await self._deletions.stop()
            with suppress(StorageError):
                await self.remove_refused()
            with suppress(StorageError):
                await self._services.writes(self._ledger.leave)
        await asyncio.to_thread(self._lease_thread.close)

    async def board(self, job_id: str = "") -> Board:
        """Return all unfinished jobs, at most half a second old; older if the ledger cannot be read.

        Args:
            job_id: Of a job that was just seen: if the cached board lacks it, the ledger is read at once.
        """
        asked_at = time.monotonic()
        async with self._reading:
            is_fresh = asked_at - self._board.read_at < BOARD_FRESH_S and (not job_id or job_id in self._board.seen)
            # One read serves all callers that waited for it.
            if not is_fresh and self._board.read_at < asked_at:
                read_at = time.monotonic()
                with suppress(StorageError):
                    seen = await self._services.reads(self._ledger.board)
                    self._board = Board({one.job.id: one for one in seen}, read_at)
        return self._board

    def published_state(self, seen: SharedJob) -> VolatileState:
        """Return the state that a job's process reports of it."""
        job, is_stopping = seen.job, seen.wish == "stop"
        with suppress(ValueError, KeyError, TypeError):
            published = json.loads(seen.shown or "{}")
            if (phase := Phase(published["phase"])) in _FITS[job.status]:
                note = JobProblem.from_code(published["code"], **published["facts"]) if published.get("code") else None
                retry_at = published.get("retry_at")
                retry_in_s = None if retry_at is None else max(0.0, retry_at - self._ledger.now())
                return VolatileState(phase, retry_in_s, note, published.get("progress"), is_stopping)
        return VolatileState(PHASE_OF[job.status], is_stopping=is_stopping)

    async def parked_elsewhere(self) -> list[Job]:
        """Return queued jobs of other processes that occupy no slot because they wait for their visitor's key."""
        board = await self.board()
        return [job for job in board.parked() if job.id not in self._dispatcher.live]

    async def waiting_for_visitor(self) -> list[Job]:
        """Return the jobs of other processes that wait until their visitor enters their key again."""
        # A health check need not wait for a database that is known to be away, or in which somebody locks a table.
        if self._ledger.problem is None:
            with anyio.move_on_after(HEALTH_WITHIN_S):
                await self.board()
        strange = [seen for job_id, seen in self._board.seen.items() if job_id not in self._dispatcher.live]
        return [seen.job for seen in strange if self.published_state(seen).note in _WANT_KEY]

    async def send_request(self, job_id: str, request: ReplicaRequest) -> None:
        """Ask the process that has a job, at the time of reading, to stop its run or to end a wait."""
        await self._services.writes.soon(self._ledger.record_request, job_id, request)

    async def remove_refused(self, job_id: str = "") -> None:
        """Remove jobs that were stored although their click was refused, so that they are not sent and block no others.

        Args:
            job_id: Of one click; all if empty.
        """
        for refused in [one for one in self.refused if job_id in ("", one[0])]:
            if refused[0] not in self._dispatcher.live:
                await self._services.writes.soon(self._ledger.remove_refused, *refused)
            self.refused.discard(refused)

    async def _go_on(self) -> None:
        while True:
            try:
                await self._tick()
                self.problem = None
            except StorageError as error:
                if self.problem is None or self.problem.code != error.code:
                    log.trouble("replicas.not_seen", code=error.code)
                self.problem = error.with_traceback(None)
            await asyncio.sleep(TICK_S)

    def _start_again(self, task: asyncio.Task[None]) -> None:
        """Restart after any failure: without its lease this process would lose all its jobs to others."""
        if not task.cancelled() and (error := task.exception()) is not None:
            log.trouble("replicas.died", kind=type(error).__name__)
            self._restart = asyncio.get_running_loop().call_later(RESTART_S, self.start)

    async def _tick(self) -> None:
        if time.monotonic() - self._renewed_at >= LEASE_RENEWAL_S:
            await self._renew_lease()
        await self.remove_refused()
        await self._share_review()
        before = dict(self._dispatcher.live)
        taken = [job_id for job_id, live in before.items() if live.job.status in AT_SERVICE]
        updates = await self._services.reads(self._ledger.updates, taken)
        if self._clock_set_at != self._ledger.clock_set_at:
            self._clock_set_at = self._ledger.clock_set_at
            self._dispatcher.date_back(self._ledger.now())
        await self._restore_rows(updates.unsent, before)
        await self._repeat_decisions(updates.lost_decisions)
        await self._drop_taken_over(before, updates.own)
        await self._resume_strays(updates.own)
        if updates.has_unowned and self._services.folder.can_write:
            await self._take_over()
        if updates.done_at != self._done_at:
            # All replicas must show the same price.
            self._done_at = updates.done_at
            await self._services.estimates.reload()
        await self._share_pause(updates.pause)
        if updates.has_parked:
            await self._take_over_parked()
        await self._handle_requests(updates.requests)
        await self._publish_states(updates.published)
        await self.lists.tick()
        await self.access.recall()
        if self._services.folder.can_write:
            self._deletions.tick()

    async def _share_review(self) -> None:
        folder, problem = self._services.folder, self._ledger.problem
        is_unsure = was_damaged(folder.path) or (problem is not None and problem.code == "database_set_back")
        was_wanted = self._review.is_wanted
        if await self._services.reads(partial(self._review.exchange, is_unsure=is_unsure)):
            confirm_damage(folder.path)
        if was_wanted != self._review.is_wanted:
            self._dispatcher.recheck_limits()

    async def _renew_lease(self) -> None:
        began = time.monotonic()
        await self._lease_thread(self._ledger.renew_lease)
        self._renewed_at = began

    async def _keep_lease(self) -> None:
        """Renew the lease where slow reads or writes hold up the ticks: another process would take the jobs over."""
        while True:
            await asyncio.sleep(LEASE_RENEWAL_S)
            if time.monotonic() - self._renewed_at >= 2 * LEASE_RENEWAL_S:
                with suppress(StorageError):  # which the next tick reports
                    await self._renew_lease()

    async def _restore_rows(self, lost: set[str], before: dict[str, LiveJob]) -> None:
        """Store again the running jobs of this process that a restored older database has lost."""
        if not lost:
            return
        live = {**before, **self._dispatcher.live}  # jobs may have been started since
        found = await self._services.restore_rows(*(live[job_id].job for job_id in sorted(lost & set(live))))
        await self._services.writes(self._ledger.mark_sent_unknown, sorted(lost - found))

    async def _repeat_decisions(self, lost_decisions: set[str]) -> None:
        """Cancel or delete again what was cancelled or deleted here, before it is sent or shown."""
        if lost_decisions:
            await self._services.writes(self._ledger.repeat_decisions, sorted(lost_decisions))
            for job_id in sorted(lost_decisions):
                log.trouble("job.decided_again", job=job_id)

    async def _resume_strays(self, own: set[str]) -> None:
        """Resume sent jobs that had already ended here before the database was restored to an older state."""
        strays = own - set(self._dispatcher.live)
        known, self._strays = self._strays, strays  # jobs stored a moment ago are not taken yet
        for job, is_own in (await self._services.reads(self._ledger.whose, sorted(strays & known))).values():
            if is_own and job.is_active and job.is_sent and job.id not in self._dispatcher.live:
                self._resume(job)

    def _resume(self, job: Job) -> None:
        log.event("job.taken_over", job=job.id, status=job.status.value, request_id=job.request_id)
        self._dispatcher.take(job)

    async def _take_over(self) -> None:
        """Take over jobs without a process, and complete deletions of dead processes."""
        self._deletions.soon()
        for job in await self._services.writes(self._ledger.take_over):
            if await self._services.writes(end_preview, self._services, job):
                continue
            self._dispatcher.drop(job.id)  # from before another process took it over, and it came back
            self._resume(job)

    async def _take_over_parked(self) -> None:
        """Take over jobs of other processes that lack a key or an engine there which is here."""
        waiting = [
            seen.job.id
            for seen in (await self.board()).seen.values()
            if seen.job.id not in self._dispatcher.live and self._has_wanted_key(seen)
        ]
        if waiting:
            for job in await self._services.writes(self._ledger.take_parked, waiting):
                self._resume(job)

    def _has_wanted_key(self, seen: SharedJob) -> bool:
        """Whether another process's job waits for a key that is here."""
        note, key = self.published_state(seen).note, self._services.keys.for_job_elsewhere(seen.job)
        if key is None or note not in _WANT_THEIR_KEY:
            return key is not None and note in _WANT_KEY
        return self._services.key_mark(key) == seen.job.notes.get(KEY)

    async def _share_pause(self, shared: Pause | None) -> None:
        """Share with all processes the begin and end of a pause for a rate limit or a refused account."""
        pause = self._services.pause
        if (changes := pause.changes) != self._pause_changes:
            problem = None if pause.problem is None or pause.problem.code == WARMING else pause.problem
            await self._services.writes(self._ledger.pause, pause.own_wait_s, problem)
            self._pause_changes = changes
        elif shared is not None and shared.at > self._paused_at:
            self._paused_at = shared.at
            pause.adopt(shared.wait_s, shared.problem)
            self._dispatcher.wake()

    async def _handle_requests(self, requests: dict[str, ReplicaRequest]) -> None:
        for job_id, request in requests.items():
            if request == "stop":  # kept for whichever process has the job when this one dies
                self._dispatcher.stop_run(job_id)
            else:
                self._dispatcher.retry_now(job_id)
                await self._services.writes(self._ledger.record_request, job_id, None)

    async def _drop_taken_over(self, before: dict[str, LiveJob], own: set[str]) -> None:
        """Drop jobs that another process has taken over or cancelled."""
        # The response to a POST in flight is recorded in any case.
        missing = [
            job_id
            for job_id, live in before.items()
            if job_id not in own and live.job.status is not JobStatus.SUBMITTING
        ]
        whose = await self._services.reads(self._ledger.whose, missing)
        await self._restore_rows(set(missing) - set(whose), before)
        for job_id in missing:
            live = self._dispatcher.live.get(job_id)
            if live is None or live is not before[job_id] or live.job.status is JobStatus.SUBMITTING:
                continue
            job, is_own = whose.get(job_id, (None, True))
            if job is not None and job.is_active and not is_own:
                log.event("job.taken_by_another", job=job_id)
                self._dispatcher.drop(job_id)
            elif job is not None and not job.is_active and (self._dispatcher.is_idle(job_id) or not is_own):
                self._dispatcher.remove_ended(job)

    async def _publish_states(self, published: Mapping[str, PublishedState]) -> None:
        """Publish what differs from what the database had at the beginning of this tick."""
        states = {live.job.id: self._state_of(live) for live in self._dispatcher.live.values()}
        changed = {job_id: state for job_id, state in states.items() if published.get(job_id, UNPUBLISHED) != state}
        if changed:
            await self._services.writes(self._ledger.show, changed)

    def _state_of(self, live: LiveJob) -> PublishedState:
        takes_place = live.takes_place
        if live.job.status is JobStatus.QUEUED:
            takes_place = self._services.keys.for_job(live.job) is not None
        phase, retry_in_s, note, progress, _ = state_of(live, self._services)
        if phase is PHASE_OF.get(live.job.status) and note is None and retry_in_s is None and progress is None:
            return PublishedState(None, takes_place)
        facts: dict[str, Any] = {"phase": phase.value}
        if retry_in_s is not None:
            facts["retry_at"] = round(self._ledger.now() + retry_in_s)
        if progress is not None:
            facts["progress"] = progress
        if note is not None:
            facts |= {"code": note.code, "facts": note.facts}
        return PublishedState(json.dumps(facts), takes_place)


class _Deletions:
    """The files of deleted jobs, whichever process accepted the deletion.

    Only the ledger's rows decide: no store is listed, and nothing is removed that is not marked as deleted there.
    """

    def __init__(self, ledger: SharedLedger, services: Services) -> None:
        self._ledger = ledger
        self._services = services
        self._looked_at = -math.inf  # time.monotonic()
        self._forgot_at = time.monotonic()  # the start has already handled earlier deletions
        self._task: asyncio.Task[None] | None = None

    def tick(self) -> None:
        """Check once a minute; files are removed in the background."""
        is_under_way = self._task is not None and not self._task.done()
        if not is_under_way and time.monotonic() - self._looked_at >= DELETIONS_EVERY_S:
            self._looked_at = time.monotonic()
            self._task = asyncio.create_task(self._finish(), name="replicas deletions")

    def soon(self) -> None:
        """Check at the next tick, because a process has died."""
        self._looked_at = -math.inf

    async def stop(self) -> None:
        """Stop; other processes complete what is left."""
        if self._task is not None:
            await cancellation.end([self._task])

    async def _finish(self) -> None:
        services = self._services
        with suppress(StorageError):  # store or ledger is away, which is reported elsewhere; retried at the next check
            if time.monotonic() - self._forgot_at >= DELETIONS_EVERY_S:
                self._forgot_at = time.monotonic()
                # This process's cached copies and exports of videos that another process has deleted.
                deleted = await services.reads(self._ledger.ids, "deleted")
                await asyncio.to_thread(services.library.forget_copies, deleted)
                await asyncio.to_thread(services.exports.forget, deleted)
            for job_id in await services.reads(self._ledger.to_delete):
                with suppress(StorageError):  # the store may hold one video, and no other waits for it
                    await services.library.delete_elsewhere(job_id)
                    if await asyncio.to_thread(services.delete_files, job_id):
                        await services.writes(self._ledger.deleted, job_id)
                        log.event("job.files_deleted", job=job_id)
