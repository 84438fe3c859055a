"""JobRunner: accepts jobs, runs them, and reports on them; the page never waits for a paid call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hunyuan_ui import log
from hunyuan_ui.access_code import AccessCode
from hunyuan_ui.cancellation import shielded
from hunyuan_ui.credential_attempts import AttemptLimiter
from hunyuan_ui.errors import AccessError, InvalidRequestError, SpendLimitError, StorageError
from hunyuan_ui.estimate import Estimate, predicted_seconds
from hunyuan_ui.job import MICRO, OWNER, InClick, InList, Job, JobProblem, JobStatus, Payer, Visitor, is_id
from hunyuan_ui.jobs.batch import Batches
from hunyuan_ui.jobs.dispatcher import Dispatcher
from hunyuan_ui.jobs.engine_jobs import can_be_stopped
from hunyuan_ui.jobs.history_import import HistoryImport
from hunyuan_ui.jobs.job_view import Spending
from hunyuan_ui.jobs.job_watch import JobWatch
from hunyuan_ui.jobs.my_videos import MyVideos
from hunyuan_ui.jobs.owner_actions import OwnerActions
from hunyuan_ui.jobs.recovery import recover
from hunyuan_ui.jobs.services import Services, build_services
from hunyuan_ui.jobs.visitor_keys import VisitorKeys, check_key
from hunyuan_ui.limits import Allowance, QueueFacts
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.settings import Secret, Settings

if TYPE_CHECKING:
    from hunyuan_ui.jobs.replicas import Replicas


class JobRunner:
    """The single owner of all jobs of a data folder.

    A method that takes a job's id raises AccessError if its visitor has no such job.

    Args:
        services: From `build_services`; closed by `stop`.
    """

    def __init__(self, settings: Settings, services: Services) -> None:
        self.settings = settings
        self._services = services
        self._limits = services.limits
        self._dispatcher = Dispatcher(settings, services)
        self.payers = self._limits.payers
        self._replicas = _replicas_of(services, self._dispatcher)
        self.calls = None if self._replicas is None else self._replicas.calls
        attempts = AttemptLimiter(store=None if self._replicas is None else self._replicas.access)
        self.access = AccessCode(settings.access_code, attempts)
        self.keys = VisitorKeys(services.keys, services.hosted.client, attempts, self._dispatcher.wake)
        owners_job = partial(self._new_job, visitor=OWNER, payer="owner")
        self._history = HistoryImport(services, settings, self._dispatcher, owners_job)
        self._watch = JobWatch(services, settings, self._dispatcher, self._replicas)
        self.view, self.active, self.wait = self._watch.view, self._watch.active, self._watch.wait
        self.can_look_again = self._watch.can_look_again
        self.recheck_limits = self._dispatcher.recheck_limits
        self.default_payer = self._limits.default_payer
        self.owns = services.folder.owns
        self.owner = OwnerActions(services, settings, self._dispatcher, self._history, attempts, watch=self._watch)
        self.videos = MyVideos(services, is_public=settings.is_public)
        self.batches = Batches(self, services, settings, None if self._replicas is None else self._replicas.lists)
        if self._replicas is not None:
            self._replicas.access.share(self.access)
            self._replicas.access.share(self.owner.proof)
        self._is_open = False

    async def recall(self, visitor: Visitor) -> None:
        """Load what a visitor has proven to another process that shares the ledger."""
        if self._replicas is not None and not (self.access.knows(visitor.id) and self.owner.proof.knows(visitor.id)):
            await self._replicas.access.recall()

    def visitor(self, token: str, address: str = "") -> Visitor:
        """Return the visitor with a token; on a private run everybody is the owner.

        Args:
            address: Source address of the call, for rate limits on keys and codes.
        """
        return Visitor.from_token(token, is_owner=not self.settings.is_public, address=address)

    # start and stop

    async def start(self) -> None:
        """Recover the state of an earlier run, then accept jobs."""
        problem = self._services.folder.problem
        if problem is not None:
            log.trouble("runner.view_only", code=problem.code)
            return
        try:
            if self._replicas is not None:
                await self._replicas.join()
            jobs = await self._services.writes(recover, self._services)
        except StorageError as error:
            # With an unwritable ledger nothing may be sent; its jobs can still be shown.
            self._services.folder.refuse(error)
            log.trouble("runner.view_only", code=error.code)
            return
        await asyncio.to_thread(self.videos.sweep)
        for job in jobs:
            self._dispatcher.take(job)
        await self._history.start()  # before anything can be sent
        self._dispatcher.start()
        if self._replicas is not None:
            self._replicas.start()
        self._is_open = True
        await self._history.first_try()
        log.event("runner.started", active=len(self._dispatcher.live))

    async def stop(self) -> None:
        """Accept no more jobs, record the responses to POSTs in flight, and end within 10 s."""
        self._is_open = False
        await self.batches.close()
        await self._history.stop()
        await self._dispatcher.stop()
        if self._replicas is not None:
            await self._replicas.stop()
        await self._services.close()
        log.event("runner.stopped", active=len(self._dispatcher.live))

    # calls from the page

    async def submit(
        self,
        job_id: str,
        request: VideoRequest,
        visitor: Visitor,
        *,
        payer: Payer | None = None,
        own_key: str | None = None,
        shown_usd: float | None = None,
        is_confirmed: bool = False,
        is_logged_in: bool = False,
        in_list: InList | None = None,
        in_click: InClick | None = None,
    ) -> Job:
        """Store a job and its reservation, and start it; the same id again is the same job.

        Args:
            job_id: 32 hexadecimal digits made by the browser, so that a repeated click is the same row.
            request: A seed of -1 is drawn here, before the job is stored.
            payer: The chosen payer; None for the default.
            own_key: The visitor's own key for this job, if not the one entered before; checked, and kept in memory
                only.
            shown_usd: The highest price in US dollars that the caller was shown, 0 for none; None skips the comparison.
            is_confirmed: The visitor has accepted a price above the limit for one video.

        Raises:
            InvalidRequestError: The id is malformed, or is the visitor's token.
            AuthenticationError: The key is malformed, or the service does not know it.
            SpendLimitError: A limit would be exceeded, or the price is higher than the one shown.
            EndpointError: The key cannot be checked with the service.
            StorageError: The job cannot be stored safely, so nothing is sent.
            AccessError: The id belongs to another visitor's job, or to a deleted one.
        """
        if not is_id(job_id):
            raise InvalidRequestError("bad_job_id", field="job_id")
        if visitor.id == Visitor.from_token(job_id).id:
            raise InvalidRequestError("job_id_is_token", field="job_id")  # ids are public, and must grant no access
        if self._replicas is not None:
            await self._replicas.remove_refused(job_id)
        if (known := await self._known(job_id, visitor, own_key)) is not None:
            return known
        key = self._own_key(visitor, own_key)
        await self.recall(visitor)
        payer = self.payer_of(visitor, payer=payer, own_key=own_key, is_logged_in=is_logged_in)
        job = self._new_job(job_id, request.with_drawn_seed(), visitor, payer)
        if in_list is not None:
            in_list.note(job)
        if in_click is not None:
            in_click.note(job)
        self._check_may_store(job)
        if own_key and payer == "visitor":
            await self.keys.check(own_key, visitor)
        budget_usd = None if in_list is None else in_list.budget_usd
        check = partial(self._limits.check, shown_usd=shown_usd, is_confirmed=is_confirmed, budget_usd=budget_usd)
        return await shielded(self._add(job, key, check, None if in_list is None else in_list.list_id))

    def payer_of(
        self,
        visitor: Visitor,
        *,
        payer: Payer | None,
        own_key: str | None,
        is_logged_in: bool,
    ) -> Payer:
        """Return the payer of a visitor's video; arguments and errors are those of `submit`."""
        return self._limits.payer(
            payer,
            has_own_key=self._own_key(visitor, own_key) is not None,
            knows_code=self.access.knows(visitor.id),
            is_logged_in=is_logged_in,
        )

    async def newest(self, visitor: Visitor) -> Job | None:
        """Return the visitor's latest job."""
        return next(iter(await self.jobs(visitor, limit=1)), None)

    async def jobs(self, visitor: Visitor, **filters: Any) -> list[Job]:
        """Return the visitor's own jobs newest first; filters as in `Ledger.jobs`."""
        return await self._services.reads(self._services.ledger.jobs, visitor.id, **filters)

    async def cancel(self, job_id: str, visitor: Visitor) -> Job:
        """Cancel a job that was not sent, or have its run stopped if its engine supports that.

        Raises:
            AccessError: It was already sent and cannot be stopped, or has ended.
        """
        job = (await self.view(job_id, visitor)).job
        if can_be_stopped(job) and (job_id in self._dispatcher.live or self._replicas is not None):
            if self._replicas is not None:
                await self._replicas.send_request(job_id, "stop")
            self._dispatcher.stop_run(job_id)
            return job
        return await shielded(self._cancel(job_id))

    async def retry_lost(self, job_id: str, visitor: Visitor, *, own_key: str | None = None) -> Job:
        """Try to get a job's video now, unless it is there: end the wait before the next attempt, or resume a lost job.

        Args:
            own_key: The visitor's own key, if their job needs it and they have not entered it before.

        Raises:
            AccessError: It cannot be resumed.
            AuthenticationError: The service does not know the key.
            SpendLimitError: There were too many attempts at keys.
            EndpointError: The key cannot be checked.
            StorageError: The ledger cannot be written.
        """
        job = (await self.view(job_id, visitor)).job
        if job.is_active:
            if self._replicas is not None and job_id not in self._dispatcher.live:
                await self._replicas.send_request(job_id, "ask")
            self._dispatcher.retry_now(job_id)
            return job
        if job.status is JobStatus.DONE:  # another page was first
            return job
        if not self.can_look_again(job):
            raise AccessError("cannot_look_again")
        if not self._is_open:
            problem = self._services.folder.problem or StorageError("stopping")
            raise StorageError(problem.code, **problem.facts)
        if job.payer != "visitor":
            own_key = None
        if own_key:
            await self.keys.check(own_key, visitor)
        return await shielded(self._retry_lost(job_id, Secret(own_key) if own_key else None))

    async def delete(self, job_id: str, visitor: Visitor) -> None:
        """Delete an ended job and its files; its cost stays counted.

        Raises:
            AccessError: It has not ended.
            StorageError: The ledger cannot be written, a bucket is unreachable and the deletion could be forgotten, or
                a file could not be removed, which every start tries again.
        """
        if (await self.view(job_id, visitor)).job.is_active:
            raise AccessError("still_under_way")
        await shielded(self._delete(job_id))

    async def allowance(self, visitor: Visitor) -> Allowance | None:
        """Return a visitor's remaining quota; None in private, where there is none."""
        if not self.settings.is_public:
            return None
        return self._limits.allowance(await self._services.reads(self._services.ledger.totals, visitor.id))

    def estimate(self, request: VideoRequest, payer: Payer | None = None) -> Estimate:
        """Return the expected seconds and cost of a request, calibrated by this service's finished jobs."""
        kind: Payer = payer or ("nobody" if self.settings.is_preview else "owner")
        return self._services.estimates.estimate(request, kind)

    async def video_path(self, job_id: str, visitor: Visitor) -> Path:
        """Return the path of a finished video.

        Raises:
            MediaError: The file is not in the library.
        """
        return await self.videos.video((await self.view(job_id, visitor)).job)

    async def waiting_for_visitor(self) -> int:
        """Return how many jobs, of all processes, wait until their visitor enters their key again."""
        return len(await self._watch.waiting_for_visitor())

    @property
    def is_healthy(self) -> bool:
        """Whether jobs are accepted and will be sent."""
        is_usable = self._services.folder.refusal is None and self._services.ledger.problem is None
        return self._is_open and self._dispatcher.is_alive and is_usable

    @property
    def problem(self) -> JobProblem | None:
        """Why nothing may be spent now; None if it may."""
        folder, ledger = self._services.folder, self._services.ledger
        refusal = folder.refusal or folder.shortage or ledger.problem
        # The lease is the one write of an idle page: reads may work while the database takes no change.
        refusal = refusal or (None if self._replicas is None else self._replicas.problem)
        if refusal is not None:
            return JobProblem.of(refusal)
        if self._services.needs_review and not self.settings.is_preview:
            return JobProblem.from_code("ledger_damaged")
        return self._services.pause.problem

    @property
    def notice(self) -> JobProblem | None:
        """What the owner should fix although jobs continue."""
        return self._services.notice

    async def spending(self) -> Spending:
        """Return this run's spending and what prevents more of it."""
        return await self._services.reads(self.read_spending)

    def read_spending(self) -> Spending:
        """Return `spending` before an event loop runs; reads the ledger in the caller's thread."""
        totals = self._services.ledger.totals("")
        return Spending(
            spent_today_usd=totals.today_microusd / MICRO,
            spent_total_usd=totals.total_microusd / MICRO,
            reserved_today_usd=totals.reserved_microusd / MICRO,
            problem=self.problem,
            notice=self.notice,
        )

    async def _known(self, job_id: str, visitor: Visitor, own_key: str | None) -> Job | None:
        """Return a stored job of this visitor, and give it the key that it may be waiting for."""
        live = self._dispatcher.live.get(job_id)
        job = live.job if live is not None else await self._services.reads(self._services.ledger.get, job_id)
        if job is None or job.visitor != visitor.id:
            return None
        if own_key and live is not None and self._services.keys.for_job(job) is None:
            await self.keys.check(own_key, visitor)
            self._services.keys.use_for_job(job, Secret(own_key))
            self._dispatcher.wake()
        return job

    def _own_key(self, visitor: Visitor, own_key: str | None) -> Secret | None:
        if not own_key:
            return self._services.keys.remembered(visitor.id)
        check_key(own_key)
        return Secret(own_key)

    async def _add(self, job: Job, own_key: Secret | None, check: Callable[..., None], list_id: str | None) -> Job:
        keys, live = self._services.keys, self._dispatcher.live
        own_key = own_key if job.payer == "visitor" else None
        key_mark = "" if own_key is None else self._services.key_mark(own_key.reveal())
        check = partial(check, queue_facts=await self._queue_facts(job, own_key))
        if own_key is not None and job.id not in live:
            keys.use_for_job(job, own_key)  # before it is stored, so that concurrent calls count each other
        try:
            try:
                stored, is_new = await self._services.writes.soon(
                    self._services.ledger.add, job, check, list_id, key_mark
                )
            except SpendLimitError as error:
                self._services.notifications.refused(error, self._services.ledger.now())
                raise
            except StorageError:
                # A commit that raised may have succeeded; then the click must not be refused, or the row must not stay.
                found = None
                with suppress(StorageError):
                    found = await self._services.reads(self._services.ledger.get, job.id)
                if found is None and self._replicas is not None:
                    self._replicas.refused.add((job.id, job.visitor))
                if found is None or found.visitor != job.visitor or not found.is_active:
                    raise
                stored, is_new = found, job.id not in live
            if is_new:
                if own_key is not None:
                    keys.use_for_job(stored, own_key)
                    keys.renew(stored.visitor)
                log.event("job.queued", job=job.id, payer=stored.payer, reserved_microusd=stored.reserved_microusd)
                self._dispatcher.take(stored)
            elif job.id not in live:
                await self._services.stored(job.id)  # a deleted one would be called done, with nothing to show
        finally:
            if job.id not in live:
                keys.forget_job(job.id)
        return stored

    async def _queue_facts(self, job: Job, own_key: Secret | None) -> QueueFacts:
        """Return the facts about waiting jobs that `SpendLimits.check` needs beyond the ledger."""
        live = self._dispatcher.live
        # These occupy no slot in the queue: their visitors may never come back.
        parked = [entry.job for entry in self._dispatcher.waiting_for_visitor() if entry.job.status is JobStatus.QUEUED]
        if self._replicas is not None:
            parked += await self._replicas.parked_elsewhere()
        on_key = [] if own_key is None else self._services.keys.jobs_on(own_key)
        waiting = [job_id for job_id in on_key if job_id not in live or live[job_id].job.status is JobStatus.QUEUED]
        own_parked = sum(entry.visitor == job.visitor for entry in parked)
        return QueueFacts(len(parked), own_parked, len(waiting))

    async def _cancel(self, job_id: str) -> Job:
        cancelled = await self._services.writes.soon(self._services.ledger.cancel, job_id)
        if cancelled is None:
            job = await self._services.stored(job_id)
            if job.status is JobStatus.CANCELLED:
                return job  # by another page
            raise AccessError("cannot_cancel" if job.is_active else "has_ended")
        log.event("job.cancelled", job=job_id)
        self._dispatcher.remove_ended(cancelled)
        return cancelled

    async def _retry_lost(self, job_id: str, own_key: Secret | None) -> Job:
        looked_for = await self._services.writes.soon(self._services.ledger.retry_lost, job_id)
        if looked_for is None:
            job = await self._services.reads(self._services.ledger.get, job_id)
            if job is not None and (job.is_active or job.status is JobStatus.DONE):
                return job  # a concurrent call was first
            raise AccessError("cannot_look_again")
        if own_key is not None:
            self._services.keys.use_for_job(looked_for, own_key)
        log.event("job.looked_for_again", job=job_id, request_id=looked_for.request_id)
        self._dispatcher.take(looked_for)
        return looked_for

    async def _delete(self, job_id: str) -> None:
        if self.settings.forgets_spending:
            # A row on an ephemeral disk would not remember that files in a bucket are still to be deleted.
            await self._services.library.delete_elsewhere(job_id)
        # Hide the row first: a file without a row would be adopted at the next start.
        await self._services.writes.soon(self._services.ledger.hide, job_id)
        is_gone = await asyncio.to_thread(self._services.delete_files, job_id)
        await asyncio.to_thread(self.videos.exports.forget, {job_id})
        self._dispatcher.back_up()  # older backups of the ledger still hold the prompts
        log.event("job.deleted", job=job_id)
        if not is_gone:
            raise StorageError("files_not_deleted")

    def _new_job(self, job_id: str, request: VideoRequest, visitor: Visitor, payer: Payer) -> Job:
        expected = self.estimate(request, payer)
        reserved = 0 if payer == "nobody" else round(expected.high_usd * MICRO)
        return Job(
            id=job_id,
            visitor=visitor.id,
            status=JobStatus.QUEUED,
            request=request,
            dialect="openai" if payer == "owner" and self.settings.engine_url else self.settings.dialect,
            payer=payer,
            created_at=0.0,
            updated_at=0.0,
            reserved_microusd=reserved,
            predicted_s=predicted_seconds(request),
            notes={} if payer == "nobody" else {"estimate_usd": round(expected.cost_usd, 6)},
        )

    def _check_may_store(self, job: Job) -> None:
        self._services.folder.check_room()
        if not self._is_open:
            raise StorageError("stopping")
        if job.payer == "owner" and self._services.needs_review:
            raise StorageError("ledger_damaged")
        if job.payer == "owner":
            self._history.check()


def _replicas_of(services: Services, dispatcher: Dispatcher) -> Replicas | None:
    if not services.ledger.is_shared:
        return None
    from hunyuan_ui.jobs.replicas import Replicas  # loads the packages for PostgreSQL

    return Replicas(services, dispatcher)


def build_runner(settings: Settings, **replaced: Any) -> JobRunner:
    """Return a runner that is not started yet; `replaced` and the errors are those of `build_services`."""
    return JobRunner(settings, build_services(settings, **replaced))
