"""Dispatcher: sends queued jobs in order, and keeps a task for every sent job."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final

from hunyuan_ui import log
from hunyuan_ui.data_folder import LOCK_NAME
from hunyuan_ui.endpoint.retry_after import LONGEST_S
from hunyuan_ui.errors import EndpointError, SpendLimitError, StorageError
from hunyuan_ui.job import Job, JobProblem, JobStatus, Phase
from hunyuan_ui.jobs.data_folder_watch import HOLDS, LOOK_EVERY_S, DataFolderWatch
from hunyuan_ui.jobs.engine_jobs import ENGINE_KEY, takes_key, wants_key
from hunyuan_ui.jobs.job_run import JobRun
from hunyuan_ui.jobs.live_job import LiveJob
from hunyuan_ui.jobs.services import NeedsKeyError, Services
from hunyuan_ui.jobs.wait_times import PAUSE_CHECK_S, WARMING, backoff_s
from hunyuan_ui.ledger import TakenOverError
from hunyuan_ui.settings import Settings

# A stop must end within 10 s, and a v2 submit is answered long before (docs/facts/faults-and-security.md row 56).
STOP_WITHIN_S: Final = 8.0
_KEY_CHECK_S: Final = 1.0
_OTHER_KEY_S: Final = 30.0  # between two questions with a key under which the service does not know a job
_HELD_S: Final = 1.0  # between two checks while nothing may be sent
LIMIT_ASKED_S: Final = 60.0  # between checks of jobs held by a limit: the day may have changed, others settled
_RESTART_S: Final = 1.0  # before a failed task is restarted


class Dispatcher:
    """Holds all jobs that have not ended.

    Args:
        settings: Of this run; `concurrency` is the number of jobs in flight.
    """

    def __init__(self, settings: Settings, services: Services) -> None:
        self.live: dict[str, LiveJob] = {}
        self._settings = settings
        self._services = services
        self._folder_watch = DataFolderWatch(services, lambda: (live.job for live in self.live.values()))
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()
        self._loop_task: asyncio.Task[None] | None = None
        self._balance_query: asyncio.Task[None] | None = None
        self._backup: asyncio.Task[None] | None = None
        self._needs_backup = False
        self._is_stopping = False

    def start(self) -> None:
        """Begin to send queued jobs."""
        self._loop_task = asyncio.create_task(self._dispatch(), name="dispatcher")
        self._loop_task.add_done_callback(self._start_again)

    async def stop(self) -> None:
        """Send nothing more, wait within the limit for responses that must be recorded, then cancel all tasks."""
        self._is_stopping = True
        self._services.pause.is_stopping = True
        self._wake.set()
        deadline = time.monotonic() + STOP_WITHIN_S
        while (held := self._held()) and (left_s := deadline - time.monotonic()) > 0:
            await asyncio.wait(held, timeout=min(left_s, 0.05))
        for live in self.live.values():
            live.end_run()
        tasks = [task for task in (self._loop_task, self._balance_query, *self._tasks.values()) if task is not None]
        for task in tasks:
            task.cancel()
        if self._backup is not None:
            tasks.append(self._backup)
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)
        await self._folder_watch.end()
        await self._folder_watch.look()
        for live in self.live.values():
            live.ended.set()

    @property
    def is_stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._is_stopping

    @property
    def is_alive(self) -> bool:
        """Whether queued jobs will be sent."""
        return self._loop_task is not None and not self._loop_task.done()

    def date_back(self, now: float) -> None:
        """Cap the times of all jobs at `now`, after the ledger's clock was corrected."""
        for live in self.live.values():
            job = live.job
            sent_at = None if job.sent_at is None else min(job.sent_at, now)
            live.job = replace(job, created_at=min(job.created_at, now), sent_at=sent_at)

    def take(self, job: Job) -> None:
        """Add a job that has not ended."""
        if (ending := self.live.get(job.id)) is not None:
            ending.ended.set()  # a lost one that is looked for again before its end was announced
        live = self.live[job.id] = LiveJob(job, slot_freed=self._wake.set)
        if job.not_before is not None:
            # From here on by the monotonic clock.
            wait_s = min(max(0.0, job.not_before - self._services.ledger.now()), LONGEST_S)
            live.show(Phase.PAUSED, retry_in_s=wait_s, note=job.problem)
        if job.status is not JobStatus.QUEUED:
            self._start_task(job.id)
        self._wake.set()

    def wake(self) -> None:
        """Check immediately whether something may be sent, for example after a visitor entered a key."""
        self._wake.set()

    def remove_ended(self, job: Job) -> None:
        """Remove a job that has ended, and wake its waiters."""
        live = self.live.pop(job.id, None)
        if live is not None:
            live.job = job
            live.ended.set()
        self._services.keys.forget_job(job.id)
        self.recheck_limits()

    def recheck_limits(self) -> None:
        """Recheck the jobs held by a limit immediately, for example after a job settled for less than it reserved."""
        for live in self.waiting():
            if live.job.held_by is not None and live.phase is Phase.PAUSED:
                live.retry_at = None
        self._wake.set()

    def drop(self, job_id: str) -> None:
        """Stop working on a job that another process has taken over; it continues there."""
        if (live := self.live.pop(job_id, None)) is None:
            return
        live.end_run()
        if (task := self._tasks.get(job_id)) is not None:
            task.cancel()
        live.ended.set()
        self._services.keys.forget_job(job_id)
        self._wake.set()

    def is_idle(self, job_id: str) -> bool:
        """Whether a job is idle at the moment."""
        return job_id not in self._tasks

    def waiting_for_visitor(self) -> list[LiveJob]:
        """Return the jobs that wait until their visitor enters their key again; they take no slot."""
        return [live for live in self.live.values() if self._services.keys.for_job(live.job) is None]

    def stop_run(self, job_id: str) -> None:
        """Have a job's run stopped at its engine, unless the next poll finds the video finished."""
        live = self.live.get(job_id)
        if live is not None and not live.wants_stop:
            live.wants_stop = True
            live.end_wait()

    def retry_now(self, job_id: str) -> None:
        """End a job's wait before its next attempt."""
        if live := self.live.get(job_id):
            live.end_wait()

    def waiting(self) -> list[LiveJob]:
        """Return the queued jobs in sending order."""
        return [live for live in self.live.values() if live.job.status is JobStatus.QUEUED]

    def in_flight(self) -> list[LiveJob]:
        """Return the jobs that occupy a slot."""
        going = (self.live[job_id] for job_id in self._tasks if job_id in self.live)
        return [live for live in going if live.takes_place]

    async def _dispatch(self) -> None:
        while not self._is_stopping:
            self._folder_watch.begin_test()
            wait_s: float | None = _HELD_S
            if not await self._hold_for_the_folder():
                self._end_pause_if_possible()
                is_unsure = self._services.needs_review
                self._services.pause.review_problem = JobProblem.from_code("ledger_damaged") if is_unsure else None
                wait_s = self._send_due()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._wake.wait(), min(wait_s or math.inf, LOOK_EVERY_S))
            self._wake.clear()

    async def _hold_for_the_folder(self) -> bool:
        """Pause the queued jobs while ledger or lock are unavailable; return whether they are."""
        trouble = await self._folder_watch.look()
        for live in self.waiting():
            if trouble is not None:
                live.phase, live.note = Phase.PAUSED, trouble
            elif live.note is not None and live.note.code in HOLDS:
                live.phase, live.note = Phase.WAITING, None
        return trouble is not None

    def _end_pause_if_possible(self) -> None:
        """Have the balance queried for a paused queue; others' jobs do not wait for the answer."""
        pause = self._services.pause
        if pause.problem is None or pause.wait_s > 0 or self._is_balance_due:
            return
        if pause.problem.code == WARMING:
            pause.clear()  # each job checks the engine itself before it is sent
        elif self.waiting():
            self._balance_query = asyncio.create_task(self._query_balance(), name="balance")
            self._balance_query.add_done_callback(self._on_balance)

    @property
    def _is_balance_due(self) -> bool:
        return self._balance_query is not None and not self._balance_query.done()

    async def _query_balance(self) -> None:
        """Check with a free call whether a paused queue may continue."""
        pause = self._services.pause
        try:
            if pause.problem is not None and pause.problem.code == ENGINE_KEY:
                may_go_on = await takes_key(self._services)
            else:
                credits_usd = await self._services.hosted.client.credits(self._services.keys.owner_key() or "")
                may_go_on = credits_usd > 0 and credits_usd >= self._needed_usd()
        except EndpointError as error:
            log.trouble("queue.still_stopped", code=error.code)
            may_go_on = False
        if may_go_on:
            log.event("queue.goes_on")
            pause.clear()
        elif pause.problem is not None:  # another process may have ended the pause
            pause.until_fixed(pause.problem)

    def _needed_usd(self) -> float:
        """Return the lowest price of the next job if the queue waits for credits: what is left may not be enough."""
        problem = self._services.pause.problem
        if problem is None or problem.code != "out_of_credits":
            return 0.0
        hosted = (live.job for live in self.waiting() if live.job.payer == "owner" and not live.job.is_at_engine)
        prices = (self._services.estimates.estimate(job.request, job.payer).low_usd for job in hosted)
        return next(prices, 0.0)

    def _on_balance(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.trouble("queue.died", kind=type(error).__name__)
            self._services.pause.for_seconds(PAUSE_CHECK_S)
        self._wake.set()

    def _send_due(self) -> float | None:
        """Start queued jobs while slots are free; return seconds until the next check, None to wait until woken."""
        waits: list[float] = []
        for live in self.waiting():
            if live.job.id in self._tasks:
                continue
            wait_s = self._wait_s(live)
            if wait_s > 0:
                waits.append(wait_s)
            elif self._services.keys.for_job(live.job) is None:
                live.show(Phase.PAUSED, note=wants_key(live.job))
            elif len(self.in_flight()) < self._settings.concurrency and self._is_turn_of(live.job):
                live.show(Phase.WAITING, note=live.job.problem if live.job.held_by else None)
                self._services.away.begin_attempt(live.job)
                self._start_task(live.job.id)
        return min(waits) + 0.01 if waits else None

    def _wait_s(self, live: LiveJob) -> float:
        own = max(0.0, max(live.retry_at or 0.0, live.held_until) - time.monotonic())
        own = max(own, self._services.away.wait(live.job)[0])
        if live.job.payer != "owner":
            return own
        return max(own, self._services.pause.wait_s, _HELD_S if self._is_balance_due else 0.0)

    def _is_turn_of(self, job: Job) -> bool:
        # In public each visitor has one job in flight, so that a full queue is shared fairly.
        return not self._settings.is_public or all(live.job.visitor != job.visitor for live in self.in_flight())

    def _held(self) -> list[asyncio.Task[None]]:
        return [task for job_id, task in self._tasks.items() if job_id in self.live and self.live[job_id].holds_stop]

    def _start_task(self, job_id: str) -> None:
        if job_id in self._tasks or job_id not in self.live or self._is_stopping:
            return
        task = asyncio.create_task(self._run(self.live[job_id]), name=f"job {job_id}")
        self._tasks[job_id] = task
        task.add_done_callback(partial(self._on_task_done, job_id))

    def _on_task_done(self, job_id: str, task: asyncio.Task[None]) -> None:
        self._tasks.pop(job_id, None)
        live = self.live.get(job_id)
        if live is None:
            self._services.library.drop_part(job_id)
        elif not live.job.is_active:
            self.remove_ended(live.job)
            self.back_up()
            self._give_notice(live.job)
        elif not task.cancelled() and task.exception() is not None:
            log.trouble("job.task_died", job=job_id, kind=type(task.exception()).__name__)
            asyncio.get_running_loop().call_later(_RESTART_S, self._start_task, job_id)
        elif live.job.status is not JobStatus.QUEUED:
            self._start_task(job_id)  # it was dropped or lost, and came back before this task had ended
        self._wake.set()

    def _give_notice(self, job: Job) -> None:
        # Free previews and videos on visitors' own keys do not notify the owner.
        if job.payer == "owner" or not self._settings.is_public:
            self._services.notifications.job_ended(job)

    def _start_again(self, task: asyncio.Task[None]) -> None:
        """Restart the dispatch loop after any failure (docs/facts/faults-and-security.md row 55)."""
        if self._is_stopping or task.cancelled() or task.exception() is None:
            return
        log.trouble("queue.died", kind=type(task.exception()).__name__)
        asyncio.get_running_loop().call_later(_RESTART_S, self.start)

    def back_up(self) -> None:
        """Back up the ledger after a job has ended; if a backup is running, queue another."""
        self._needs_backup = True
        if not self._is_stopping and (self._backup is None or self._backup.done()):
            self._backup = asyncio.create_task(self._back_up_until_done(), name="ledger backup")

    async def _back_up_until_done(self) -> None:
        while self._needs_backup and not self._is_stopping:
            self._needs_backup = False
            if LOCK_NAME in self._services.folder.missing_files:
                return  # another process owns the backups in this folder
            try:
                await self._services.writes(self._services.ledger.database.back_up, self._services.folder.path)
            except (StorageError, OSError) as error:
                log.trouble("ledger.backup_failed", kind=type(error).__name__)

    async def _run(self, live: LiveJob) -> None:
        """Run one job; the boundary where every error is caught, and the job continues from its row."""
        attempt = 0
        while live.job.is_active:
            try:
                await JobRun(live, self._services).advance()
            except NeedsKeyError as error:
                retry_in_s = None if error.problem is None else _OTHER_KEY_S
                live.show(Phase.PAUSED, retry_in_s=retry_in_s, note=error.problem or wants_key(live.job))
            except TakenOverError:
                attempt += 1
                if not await self._reload_own(live):
                    return
                live.show(Phase.PAUSED, retry_in_s=backoff_s(attempt))
            except StorageError as error:
                attempt += 1
                live.show(Phase.PAUSED, retry_in_s=backoff_s(attempt, cap=30.0), note=live.problem_of(error))
            except Exception as error:  # noqa: BLE001 - one of the two named boundaries (docs/architecture.md 1)
                attempt += 1
                reference = f"{live.job.id[:8]}-{attempt}"
                log.trouble("job.internal_error", job=live.job.id, reference=reference, kind=type(error).__name__)
                await self._after_internal_error(live, reference, attempt)
            if live.job.status is JobStatus.QUEUED:
                self._hold_at_limit(live)
                return
            if live.phase is Phase.PAUSED and live.job.is_active:
                self._wake.set()  # its slot is free
                await live.wait_for_attempt(_KEY_CHECK_S if live.retry_at is None else live.retry_at - time.monotonic())
        await self._services.estimates.reload()  # before the end is announced

    def _hold_at_limit(self, live: LiveJob) -> None:
        """Put a job back to waiting after its claim was refused by a limit."""
        limit, problem = live.job.held_by, live.job.problem
        is_asked = live.phase is Phase.WAITING and live.held_until <= time.monotonic()
        if limit is None or problem is None or not is_asked:
            return
        if live.note is None or live.note.code != problem.code:
            log.event("job.held", job=live.job.id, limit=limit)
            self._services.notifications.refused(SpendLimitError(limit, **problem.facts), self._services.ledger.now())
        live.show(Phase.PAUSED, retry_in_s=LIMIT_ASKED_S, note=problem)

    async def _reload_own(self, live: LiveJob) -> bool:
        """Reload a job whose transition was refused; drop it if another process has it."""
        try:
            job = await self._services.read_again(live.job)
        except StorageError as error:
            log.trouble("ledger.refused", job=live.job.id, code=error.code, attempt=1)
            return True
        except TakenOverError:
            job = None
        if job is None:
            log.event("job.taken_by_another", job=live.job.id)
            if self.live.get(live.job.id) is live:
                self.drop(live.job.id)
            return False
        live.job = job
        return True

    async def _after_internal_error(self, live: LiveJob, reference: str, attempt: int) -> None:
        problem = JobProblem.from_code("internal", reference=reference)
        if not await self._reload_own(live):
            return
        if live.job.status is JobStatus.SUBMITTING:
            await JobRun(live, self._services).give_up(problem)
        elif live.job.is_active:
            live.show(Phase.PAUSED, retry_in_s=backoff_s(attempt, base=5.0, cap=60.0), note=problem)
