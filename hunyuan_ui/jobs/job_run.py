"""JobRun: runs one job from our queue to the library; each step is committed before the next begins."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final

from hunyuan_ui import log
from hunyuan_ui.checkpoint import checkpoint
from hunyuan_ui.endpoint.contract import FILE_LIFE_S, RECORD_LIFE_S, HistoryRow, Metrics, RemoteResult, RemoteState
from hunyuan_ui.endpoint.download import save_bytes
from hunyuan_ui.endpoint.segmind import BlockingAnswer, EndpointClient
from hunyuan_ui.errors import (
    DownloadError,
    EndpointError,
    EndpointStatusError,
    EndpointUnreachableError,
    HunyuanUIError,
    JobFailedError,
    MediaError,
    OutcomeUnknownError,
    RateLimitError,
    RequestExpiredError,
    StorageError,
)
from hunyuan_ui.job import JobProblem, JobStatus, Phase
from hunyuan_ui.jobs.endings import Ending, ending_of, gone
from hunyuan_ui.jobs.engine_jobs import STOPPED, engine_usage, id_at_engine, pause_unless_warm
from hunyuan_ui.jobs.job_steps import JobSteps
from hunyuan_ui.jobs.services import KEY, NeedsKeyError
from hunyuan_ui.jobs.wait_times import (
    ALL_TAKEN_S,
    LATE_LOOK_S,
    SLOWEST_FETCH_S,
    SLOWEST_RETRY_S,
    asked_wait_s,
    backoff_s,
    hold_queue,
    hold_unsent,
    poll_wait_s,
    why_unsent,
)
from hunyuan_ui.ledger import UNCONFIRMED

HOPELESS_AFTER: Final = 20  # failed downloads, once the file's seven days are over
MOVED_AFTER: Final = 3  # failed downloads that say nothing about the file
UNUSABLE_AFTER: Final = 3  # consecutive responses for a completed job
_FORGOTTEN: Final = (RequestExpiredError, JobFailedError)  # so that only the history may still have the address
_NOT_WRITTEN: Final = ("no_room_for_video", "video_not_written", "disk_read_only")
_UNEXPLAINED: Final = "job_failed_unexplained"


class JobRun(JobSteps):
    """Runs one job as far as possible."""

    async def advance(self) -> None:
        """Continue from the job's stored status until it has ended or is queued again."""
        if self._job.status is JobStatus.SUBMITTING:
            await self._follow(OutcomeUnknownError("interrupted"))
        if self._job.status is JobStatus.QUEUED:
            await self._send()
        if self._job.status is JobStatus.RUNNING:
            await self._poll()
        if self._job.status is JobStatus.DOWNLOADING:
            await self._fetch()

    async def _send(self) -> None:
        key = self._key()
        self._services.folder.check_room()
        if not await pause_unless_warm(self._services, self._job, key):
            return
        with self._live.holding_stop():
            if await self._claim(key):
                self._live.show(Phase.SENT)
                await self._post(key)

    async def _claim(self, key: str) -> bool:
        """Commit `submitting`; return whether the POST may be sent."""
        if self._services.pause.is_stopping:
            return False
        claim = partial(self._ledger.claim, **{KEY: self._services.key_mark(key)})
        job = await self._services.writes(claim, self._job.id, self._services.check_sending)
        if job is None:
            # Cancelled meanwhile, or other processes use all slots, or a claim was committed although it raised.
            job = await self._commits.stored()
            self._live.held_until = time.monotonic() + ALL_TAKEN_S
        self._commits.moved(job)
        if self._job.status is JobStatus.SUBMITTING and (
            self._services.pause.is_stopping or self._services.folder.missing_files
        ):
            await self._commits.step(self._ledger.requeue, None, None)
        return self._job.status is JobStatus.SUBMITTING

    async def _post(self, key: str) -> None:
        try:
            if self._job.dialect == "v1":
                await self._send_blocking(key)
            else:
                taken = await self._service.client.submit(self._job.request, key)
                # Logged before the commit: if the commit never happens, the owner can still find the id.
                log.event("job.accepted", job=self._job.id, request_id=taken.request_id)
                checkpoint("journey.accepted")
                if taken.url is not None or taken.video is not None:
                    await self._settle(Metrics(cost=taken.cost), taken.url, taken.request_id or None)
                    await self._take_body(taken.video)
                else:
                    await self._commits.step(self._ledger.mark_running, taken.request_id, cost_usd=taken.cost)
        except EndpointUnreachableError as error:
            await self._unsent(error)
            return
        except RateLimitError as error:
            if self._job.payer == "owner":
                self._services.pause.for_seconds(error.retry_after_s)
            await self._requeue(JobProblem.of(error), error.retry_after_s)
        except EndpointStatusError as error:
            if hold_queue(self._services.pause, self._job, error):
                # Twice, so that the next job has its turn: this one may cost more than the account allows.
                await self._requeue(JobProblem.of(error), 2 * self._services.pause.own_wait_s)
            else:
                await self._commits.step(self._ledger.mark_failed, JobProblem.of(error))
        except OutcomeUnknownError as error:
            if self._job.status is JobStatus.SUBMITTING:
                await self._follow(error)
        else:
            if self._job.payer == "owner":
                self._services.pause.end_by_post(self._age_s())
        if self._services.away.remove(self._job):
            self._live.slot_freed()  # the others need not wait until this attempt would be over

    async def _follow(self, error: OutcomeUnknownError) -> None:
        """Poll the request id of an unusable response; without an id the outcome is unknown."""
        problem = JobProblem.of(error)
        request_id = error.facts.get("request_id") or await id_at_engine(self._services, self._job)
        if request_id is None:
            await self.give_up(problem, cost_usd=error.cost_usd)
            return
        # Only polling can tell whether the id is a job's: a gateway may add ids to its own errors.
        doubts = {UNCONFIRMED: {"code": problem.code, "facts": problem.facts}}
        await self._commits.step(self._ledger.mark_running, str(request_id), cost_usd=error.cost_usd, **doubts)

    async def _send_blocking(self, key: str) -> None:
        self._live.show(Phase.RENDERING)
        self._live.holds_stop = False  # the response may take minutes, which a stop cannot wait for
        client = self._service.client
        assert isinstance(client, EndpointClient)
        try:
            async with client.generate(self._job.request, key, expected_s=self._job.predicted_s) as answer:
                self._live.holds_stop = True
                await self._take_in(answer)
        finally:
            self._live.holds_stop = True

    async def _take_in(self, answer: BlockingAnswer) -> None:
        log.event("job.accepted", job=self._job.id, request_id=answer.request_id)
        checkpoint("journey.accepted")
        await self._settle(answer.metrics, answer.url, answer.request_id)
        if answer.url is None:
            await self._store_body(answer.save)

    async def _take_body(self, video: bytes | None) -> None:
        """Store the video that a response contained, if it did."""
        if video is not None:
            await self._store_body(partial(save_bytes, video))

    async def _store_body(self, save: Callable[..., Awaitable[None]]) -> None:
        self._live.show(Phase.DOWNLOADING)
        try:
            await save(self._library.part(self._job.id), check=self._library.check)
            await self._store()
        except (DownloadError, StorageError, MediaError, OSError) as error:
            # A POST's body is sent only once; _fetch continues with a complete part file, the result or the history.
            log.trouble("job.body_lost", job=self._job.id, kind=type(error).__name__)

    async def _unsent(self, error: EndpointUnreachableError) -> None:
        wait_s, attempts = hold_unsent(self._services.away, self._job, error)
        if wait_s is None:
            await self._commits.step(self._ledger.mark_failed, JobProblem.of(error))
        else:
            await self._requeue(why_unsent(error), wait_s, notes={"attempts": attempts})

    # polling

    async def _poll(self) -> None:
        self._key()
        if self._live.phase not in (Phase.IN_SERVICE_QUEUE, Phase.RENDERING):
            self._live.show(Phase.IN_SERVICE_QUEUE)
        misses, is_first = 0, True
        while self._job.status is JobStatus.RUNNING:
            if misses == 0:
                await asyncio.sleep(poll_wait_s(self._service.poll_interval_s, self._age_s(), is_first=is_first))
            is_first = False
            self._live.free_slot_of_overdue(self._age_s())
            try:
                await self._ask_once(misses)
                misses = 0
            except EndpointError as error:
                misses += 1
                await self._missed(error, misses)

    async def _ask_once(self, misses: int) -> None:
        request_id, key = self._request_id(), self._key()
        status = await self._service.client.status(request_id, key)
        confirmed = {UNCONFIRMED: None} if self._job.notes.get(UNCONFIRMED) else {}  # it is the service's own id
        if note := {**self._services.key_note(self._job), **confirmed}:
            await self._commits.facts(self._ledger.note, **note)
        if status.state is not RemoteState.COMPLETED:
            await self._commits.name_cost(status.metrics.cost, is_so_far=True)
            self._endings.clear()
            self._seen_s = self._age_s()
            phase = Phase.IN_SERVICE_QUEUE if status.state is RemoteState.QUEUED else Phase.RENDERING
            self._live.show(phase, progress=status.progress)
            if self._live.wants_stop:
                await self._stop_run(key)
            else:
                await self._look_up_if_late()
            return
        self._live.show(Phase.RENDERING)
        try:
            result = await self._service.client.result(request_id, key)
        except EndpointError:
            await self._keep_completed()  # a restart would forget it, and the cost
            await self._commits.name_cost(status.metrics.cost)
            if status.url is None or misses + 1 < UNUSABLE_AFTER:
                raise
            result = RemoteResult(status.url)
        # Either response may name the cost; zero means not known yet.
        cost = max((one for one in (result.metrics.cost, status.metrics.cost) if one is not None), default=None)
        await self._settle(replace(result.metrics, cost=cost), result.url, request_id)
        await self._take_body(result.video)

    async def _stop_run(self, key: str) -> None:
        if await self._services.needed_engine.client.stop(self._request_id(), key):
            worked = engine_usage(self._services, self._job, self._age_s())
            await self._commits.step(self._ledger.mark_lost, JobProblem.from_code(STOPPED), **worked)

    async def _look_up_if_late(self, *, is_late: bool = False) -> None:
        """Query the history at intervals about an overdue job: its status may be stuck."""
        if not (is_late or self._age_s() >= RECORD_LIFE_S) or time.monotonic() - self._looked_at < LATE_LOOK_S:
            return
        self._looked_at = time.monotonic()
        row = await self._row()
        if self._job.status is JobStatus.RUNNING and row is not None and row.state is RemoteState.FAILED:
            raise JobFailedError(_UNEXPLAINED, **({"cost": row.cost} if row.cost else {}))

    async def _missed(self, error: EndpointError, misses: int) -> None:
        """Handle a failed poll: end the job once its ending is confirmed, else wait before the next poll."""
        await self._commits.name_cost(error.cost_usd)
        self._services.change_refused_key(self._job, error)
        if isinstance(error, RequestExpiredError) and KEY in self._job.notes:
            await self._require_its_key()
        if ending_of(error) is None:  # and may stay uninformative until the file expires
            try:
                await self._look_up_if_late(is_late=self._was_completed and misses >= UNUSABLE_AFTER)
            except JobFailedError as failure:
                error = failure
            except EndpointError as unread:
                log.event("job.history_unread", job=self._job.id, code=unread.code)
        ending = ending_of(error, was_completed=self._was_completed)
        is_sure = ending is not None and self._endings.confirm(ending)
        if ending is not None and (is_sure or ending not in (Ending.FAILED, Ending.NO_VIDEO)):
            await self._look_up(error, is_sure=is_sure)
        if self._job.status is JobStatus.RUNNING:
            wait_s = backoff_s(misses, cap=SLOWEST_RETRY_S) if ending else backoff_s(misses)
            wait_s = error.retry_after_s if isinstance(error, RateLimitError) else wait_s
            if ending is not None or misses > 1 or isinstance(error, RateLimitError):
                self._live.show(Phase.RECONNECTING, retry_in_s=wait_s, note=self._live.problem_of(error))
            await self._live.wait_for_attempt(wait_s)

    async def _require_its_key(self) -> None:
        """Have the job wait for the key that it was sent with, unless the history of the one in use has it."""
        if not self._services.may_need_its_key(self._job):
            return
        with suppress(EndpointError):
            if await self._row() is not None:  # another key of the same account
                return
        self._services.require_its_key(self._job)

    async def _look_up(self, error: EndpointError, *, is_sure: bool) -> None:
        """Query the history about a request that seems to have ended; end the job if that is confirmed."""
        try:
            row = await self._row()
        except EndpointError as history_error:
            # A failed status is reliable by itself; an expired request needs the history while a file may exist.
            if is_sure and (isinstance(error, JobFailedError) or self._age_s() > FILE_LIFE_S):
                await self._end(error, None)
            log.event("job.history_unread", job=self._job.id, code=history_error.code)
            return
        is_over = row is None or not row.goes_on or self._age_s() > FILE_LIFE_S  # no request goes on for longer
        if self._job.status is JobStatus.RUNNING and is_sure and is_over:
            if row is None and isinstance(error, RequestExpiredError):
                self._services.require_its_key(self._job)
            await self._end(error, row)

    async def _end(self, error: EndpointError, row: HistoryRow | None) -> None:
        """End a job without a video: failed if no response named a charge, else lost."""
        is_failed = isinstance(error, JobFailedError) or (row is not None and row.state is RemoteState.FAILED)
        cost_usd = (row.cost if row is not None else None) or None
        was_charged = cost_usd is not None or bool(self._job.cost_microusd) or self._was_completed
        if is_failed and (self._job.is_preview or not was_charged):
            problem = JobProblem.of(error if isinstance(error, JobFailedError) else JobFailedError(_UNEXPLAINED))
            seconds = self._worked(error).get("inference_s")
            await self._commits.step(self._ledger.mark_failed, problem, inference_s=seconds)
        elif is_failed:
            problem = JobProblem.from_code("job_failed_charged", request_id=self._request_id())
            costs = {"cost_usd": cost_usd, **self._worked(error)}
            await self._commits.step(self._ledger.mark_lost, problem, **costs)
        elif (doubts := self._job.notes.get(UNCONFIRMED)) and row is None and not self._was_completed:
            await self.give_up(JobProblem.from_code(doubts["code"], **doubts["facts"]))
        else:
            await self._lose(error)

    # downloading

    async def _fetch(self) -> None:
        self._live.show(Phase.DOWNLOADING)
        await self._confirm_cost()
        try:
            await self._fetch_until_stored()
        finally:
            self._services.folder.note_stored(self._job.id)

    async def _fetch_until_stored(self) -> None:
        misses, is_stale = 0, False
        while self._job.status is JobStatus.DOWNLOADING:
            try:
                await self._fetch_once(is_stale=is_stale)
            except (HunyuanUIError, OSError) as error:
                misses += 1
                problem = error if isinstance(error, HunyuanUIError) else StorageError("disk_read_only")
                if problem.code in _NOT_WRITTEN:
                    self._services.folder.note_unstored(self._job.id)
                is_stale = await self._not_fetched(problem, misses) or is_stale
                if not is_stale and misses % MOVED_AFTER == 0:
                    await self._look_for_another()

    async def _not_fetched(self, error: HunyuanUIError, misses: int) -> bool:
        """Wait before the next attempt, or mark the job as lost; return whether its address must be renewed."""
        log.trouble("job.fetch_failed", job=self._job.id, kind=type(error).__name__, code=error.code)
        self._services.change_refused_key(self._job, error)
        ending = ending_of(error, was_completed=True)
        # Age alone proves nothing: a clock jump must not lose a video.
        is_ours = isinstance(error, StorageError)  # a local failure, which says nothing about the service's file
        is_hopeless = misses > HOPELESS_AFTER and self._age_s() > FILE_LIFE_S and not is_ours
        if is_hopeless or (ending is not None and self._endings.confirm(ending)):
            await self._lose(error)
        else:
            wait_s = backoff_s(misses, cap=SLOWEST_RETRY_S if is_ours else SLOWEST_FETCH_S)
            wait_s = max(wait_s, asked_wait_s(error))
            self._live.show(Phase.DOWNLOADING, retry_in_s=wait_s, note=self._live.problem_of(error))
            await self._live.wait_for_attempt(wait_s)
        return ending is not None

    async def _fetch_once(self, *, is_stale: bool) -> None:
        needs_fetch = not is_stale and self._job.result_url is not None and not await self._library.holds(self._job.id)
        refusal = None if needs_fetch or await self._store() else await self._renew_url()
        url = self._job.result_url
        if url is None and refusal is not None:
            raise refusal
        if url is not None and self._job.status is JobStatus.DOWNLOADING:
            self._addresses.fail(url)  # if it succeeds, this no longer matters
            try:
                with self._live.freeing_slot_of_slow():
                    await self._service.fetch(url, self._library.part(self._job.id))
            except DownloadError as error:
                # As long as nobody can be asked for a fresh address, an old one proves nothing.
                raise (refusal if refusal is not None and ending_of(error) else error) from None
            if not await self._store():
                is_kept = self._library.unreadable(self._job.id) is not None
                raise MediaError("video_undecodable" if is_kept else "not_a_video")

    async def _store(self) -> bool:
        """Store the downloaded file in the library; return False if there is no complete one."""
        # A thread keeps running after cancellation: without this, the next start could work on the same file.
        with self._live.holding_stop():
            if self._ledger.is_shared:
                await self._commits.stored()
            made = await asyncio.to_thread(self._services.finish, self._job)
        # A stop may interrupt this: the finished file waits in the folder.
        done = await self._library.keep(self._job.id, made)
        if done is None:
            return False
        with self._live.holding_stop():
            checkpoint("journey.stored")
            await self._commits.step(self._ledger.mark_done, sha256=done.sha256, notes=done.notes)
        return True

    async def _look_for_another(self) -> None:
        """Query the result for an address that has not failed: a host may be gone for good, and the file have moved."""
        if self._job.request_id is None or self._job.dialect == "v1":
            return
        with suppress(EndpointError, NeedsKeyError):  # the file needs no key
            result = await self._service.client.result(self._job.request_id, self._key())
            if result.url is not None:
                url = self._addresses.best(result.url, *result.others)
                await self._settle(result.metrics, url, self._job.request_id)

    async def _renew_from_history(self, url: str | None) -> None:
        with suppress(EndpointError, NeedsKeyError):
            await self._row()
            best = self._addresses.best(url, self._job.result_url)
            if best != self._job.result_url:
                await self._settle(Metrics(), best, self._job.request_id)

    async def _renew_url(self) -> EndpointError | None:
        """Renew the address from the result, else from the history; return why neither could be asked, or named one."""
        if self._job.request_id is None:
            # A stored address is the only one then.
            if self._job.result_url is None:
                await self._lose(gone())
            return None
        refusal: EndpointError | None = None
        if self._job.dialect != "v1":
            try:
                result = await self._service.client.result(self._job.request_id, self._key())
            except EndpointError as error:
                if self._job.is_at_engine:  # it has no history
                    raise
                refusal = error
            else:
                url = self._addresses.best(result.url, *result.others)
                await self._settle(result.metrics, url, self._job.request_id)
                if result.video is not None:
                    await save_bytes(result.video, self._library.part(self._job.id), check=self._library.check)
                    await self._store()
                elif self._addresses.has_failed(url) and not self._job.is_at_engine:
                    await self._renew_from_history(url)
                return None
        try:
            row = await self._row()  # has what the API forgets, or does not tell at the moment
        except EndpointError as error:
            refusal, row = error, None
        if (row is None or row.url is None) and refusal and not isinstance(refusal, _FORGOTTEN):
            return refusal
        if row is None:
            self._services.require_its_key(self._job)
        return gone() if self._job.result_url is None else None
