"""HistoryImport: reads the history of the owner's key, where a restart may have wiped the ledger or set it back.

Source: docs/architecture.md 5, "A wiped disk"; docs/facts/segmind-api.md 3.3.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final, TypeVar

from hunyuan_ui import cancellation, log
from hunyuan_ui.endpoint.contract import FILE_LIFE_S, RemoteState
from hunyuan_ui.endpoint.history import UNKNOWN_PROMPT, PastRequest
from hunyuan_ui.errors import (
    AuthenticationError,
    EndpointError,
    InvalidRequestError,
    SpendLimitError,
    StorageError,
    reason,
)
from hunyuan_ui.estimate import estimate, is_plausible
from hunyuan_ui.job import MICRO, Job, JobProblem, JobStatus
from hunyuan_ui.jobs.dispatcher import Dispatcher
from hunyuan_ui.jobs.job_view import MOST_USD, HistoryState
from hunyuan_ui.jobs.services import Services
from hunyuan_ui.ledger import CLOCKS_S, DECLARED_USD, FROM_HISTORY, NAMED, UNTIMED, declared_id, expected_usd
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.settings import Settings

_T = TypeVar("_T")

NewJob = Callable[[str, VideoRequest], Job]

RETRY_S: Final = 60.0
AGAIN_S: Final = (20.0, 40.0, 120.0, 600.0, 1800.0)  # between further readings, after the first that succeeded
_TRIES_IF_KEPT: Final = 10
FIRST_TRY_S: Final = 1.5  # limit on a start's wait for the first response
_DEAREST: Final = {"width": 1280, "height": 1280, "video_length": 129, "infer_steps": 70}


class HistoryImport:
    """Pauses the owner's key until past spending is known, and restores jobs that the ledger lacks.

    Args:
        settings: Of this run; they decide whether a restart may have wiped the ledger.
    """

    def __init__(self, services: Services, settings: Settings, dispatcher: Dispatcher, new_job: NewJob) -> None:
        self._services = services
        self._is_needed = settings.needs_history
        self._can_be_read = settings.has_history
        self._is_wiped_whole = settings.storage == "wiped"
        self._lost_from, self._lost_until = -math.inf, math.inf  # UTC seconds
        self._dispatcher = dispatcher
        self._new_job = new_job
        self._is_read = False
        self._tried_at: float | None = None  # time.monotonic()
        self._problem: JobProblem | None = None
        self._reading = asyncio.Lock()
        self._has_tried = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._under_way: set[asyncio.Task[Any]] = set()

    # start and stop

    async def start(self) -> None:
        """Read the history every minute until that succeeds, if it is needed; until then the key is not used.

        On a disk that is kept the ledger may be deleted, or an older copy with all that is beside it, which nothing
        there can tell. It is more likely what it was, so there the key is used also if the history cannot be read, and
        what another program does with the key, before the newest job here or after this start, is left to that one.
        """
        if not self._can_be_read:
            return
        if not self._is_needed:
            ledger = self._services.ledger
            self._lost_from, self._lost_until = ledger.newest_when_opened - CLOCKS_S, ledger.now() + CLOCKS_S
        declared = await self._services.reads(self._services.ledger.get, declared_id(self._services.ledger.now()))
        # If today's declared amount still exists, nothing was wiped since.
        if declared is None or not self._is_wiped_whole:
            self._services.pause.history_problem = JobProblem.from_code("history_unread")
        self._begin()

    async def first_try(self) -> None:
        """Wait briefly for the first response, so that an ordinary start can spend at once."""
        if self._task is not None:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._has_tried.wait(), FIRST_TRY_S)

    async def stop(self) -> None:
        """Cancel all reading."""
        task, self._task = self._task, None
        await cancellation.end([*self._under_way, *([task] if task is not None else [])])

    def check(self) -> None:
        """Check that a job on the owner's key may be accepted.

        Raises:
            SpendLimitError: The key is not used, since past spending is unknown.
        """
        if self._services.pause.history_problem is not None:
            raise SpendLimitError(self._services.pause.history_problem.code)

    def state(self) -> HistoryState:
        """Return whether the history was read, and why not."""
        tried_s_ago = None if self._tried_at is None else time.monotonic() - self._tried_at
        is_key_paused = self._services.pause.history_problem is not None
        return HistoryState(self._is_needed, self._is_read, is_key_paused, tried_s_ago, self._problem)

    # actions

    async def find(self) -> int:
        """Read the history, continue the requests that the ledger lacks, and return their number.

        Raises:
            EndpointError: It cannot be read completely.
        """
        return await self._to_the_end(self._find())

    async def declare_spending(self, usd: object) -> None:
        """Record the owner's statement of what the account was charged today, and use the key again.

        Raises:
            InvalidRequestError: It is not an amount of US dollars.
        """
        declared = self._declared(usd)
        await self._to_the_end(self._count(declared))

    async def _to_the_end(self, change: Coroutine[Any, Any, _T]) -> _T:
        """Finish a change even if its caller is cancelled: a job must not be stored and then forgotten."""
        task = asyncio.create_task(change, name="history change")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await cancellation.shielded(task)

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._ask_until_read(), name="history")
        self._task.add_done_callback(self._begin_again)

    def _begin_again(self, task: asyncio.Task[None]) -> None:
        """Restart after any failure, or the key would never be used again."""
        if task is self._task and not task.cancelled() and task.exception() is not None:
            log.trouble("history.died", kind=type(task.exception()).__name__)
            asyncio.get_running_loop().call_later(RETRY_S, lambda: self._begin() if task is self._task else None)

    async def _ask_until_read(self) -> None:
        tries = 0
        while not self._is_read:
            tries += 1
            try:
                await self._to_the_end(self._find(self._may_be_lost))
            except (EndpointError, StorageError) as error:
                log.trouble("history.unread", code=error.code)
                if not self._is_needed:
                    self._end_rest()
            finally:
                self._has_tried.set()
            if self._is_read:
                break
            if tries == _TRIES_IF_KEPT and not self._is_needed:
                return
            await asyncio.sleep(RETRY_S)
        # A request of the last minute before the wipe may be in none of the service's lists yet.
        for wait_s in AGAIN_S:
            await asyncio.sleep(wait_s)
            try:
                await self._to_the_end(self._find(self._may_be_lost))
            except (EndpointError, StorageError) as error:
                self._problem = None  # what was read still counts
                log.trouble("history.unread", code=error.code)

    def _may_be_lost(self, past: PastRequest) -> bool:
        return past.at is None or self._lost_from <= past.at <= self._lost_until

    async def _find(self, is_sought: Callable[[PastRequest], bool] = lambda _: True) -> int:
        async with self._reading:
            self._tried_at = time.monotonic()
            try:
                taken = await self._take_in(list(filter(is_sought, await self._ask())))
                # Includes jobs that an earlier attempt stored although its commit raised.
                elsewhere = await self._services.reads(self._services.ledger.elsewhere)
                active = await self._services.reads(self._services.ledger.active)
            except (EndpointError, StorageError) as error:
                self._problem = JobProblem.of(error)
                raise
            for job in taken:
                self._dispatcher.drop(job.id)  # queued here until now, or known as it was
            for job in active:
                if FROM_HISTORY in job.notes and job.id not in self._dispatcher.live and job.id not in elsewhere:
                    self._dispatcher.take(job)
            self._is_read, self._problem = True, None
        log.event("history.read", found=len(taken))
        self._end_rest()
        return len(taken)

    async def _ask(self) -> list[PastRequest]:
        key = self._services.keys.owner_key()
        if key is None:
            raise AuthenticationError("key_missing")
        ledger = self._services.ledger
        ahead_s = ledger.ahead_s
        since = ledger.now() - ahead_s - FILE_LIFE_S
        found = await self._services.hosted.client.past_requests(key, since=since, now=lambda: ledger.now() - ahead_s)
        return [past if past.at is None else replace(past, at=past.at + ahead_s) for past in found]

    async def _take_in(self, requests: list[PastRequest]) -> list[Job]:
        self._services.folder.check_room()
        now = self._services.ledger.now()
        known = [job for request in requests if (job := job_of(request, now, self._new_job)) is not None]
        found = [replace(job, notes={**job.notes, **self._services.key_note(job)}) for job in known]
        taken: list[Job] = await self._services.writes(self._services.ledger.import_history, found)
        for job in taken:
            log.event("history.taken_in", job=job.id, status=job.status.value, request_id=job.request_id)
        return taken

    async def _count(self, declared: Job) -> None:
        await self._services.writes(self._services.ledger.declare_spending, declared)
        log.event("history.said", microusd=declared.cost_microusd)
        self._end_rest()

    def _end_rest(self) -> None:
        self._services.pause.history_problem = None
        self._dispatcher.wake()

    def _declared(self, usd: object) -> Job:
        if isinstance(usd, bool) or not isinstance(usd, (int, float)) or not 0 <= usd <= MOST_USD:
            raise InvalidRequestError("bad_amount", field="usd", high=MOST_USD)
        job = self._new_job("", VideoRequest.parse({"prompt": UNKNOWN_PROMPT}))
        problem = JobProblem.from_code("said_spent")
        # It is not a failed video, so it does not count for the breaker.
        notes = {DECLARED_USD: float(usd), "reviewed": True}
        return replace(job, status=JobStatus.LOST, cost_microusd=math.ceil(usd * MICRO), problem=problem, notes=notes)


def job_of(past: PastRequest, now: float, new_job: NewJob) -> Job | None:
    """Return the job for a request of the history; None if it has neither a cost nor a video."""
    at = now if past.at is None else min(past.at, now)
    status = _status(past)
    if status is None or at < now - FILE_LIFE_S:
        return None
    request = past.request or VideoRequest.parse({"prompt": UNKNOWN_PROMPT})
    job = new_job(sha256(past.identity.encode("utf-8", "replace")).hexdigest()[:32], request)
    notes = {**job.notes, FROM_HISTORY: True, **({UNTIMED: True} if past.at is None else {})}
    found = replace(
        job,
        status=status,
        dialect="v2",  # requests are polled this way, however they were sent
        created_at=at,
        sent_at=at,
        ended_at=at if status in (JobStatus.LOST, JobStatus.UNKNOWN) else None,
        # An unknown request must not calibrate the estimates.
        predicted_s=job.predicted_s if past.request else 0.0,
        request_id=past.request_id,
        result_url=past.url if past.state is RemoteState.COMPLETED else None,
        problem=_problem(past, status),
        notes=notes,
    )
    return _at_its_cost(found, past)


def _status(past: PastRequest) -> JobStatus | None:
    if past.state is RemoteState.COMPLETED:
        return JobStatus.DOWNLOADING if past.url or past.request_id else JobStatus.LOST
    if past.state is RemoteState.FAILED:
        return JobStatus.LOST if past.cost else None
    return JobStatus.RUNNING if past.request_id else JobStatus.UNKNOWN


def _at_its_cost(job: Job, past: PastRequest) -> Job:
    """Return the job with the named cost; an implausible one counts as the estimate (docs/architecture.md 3)."""
    if past.cost is None or (past.cost == 0 and past.state is not RemoteState.COMPLETED):
        return job
    expected = expected_usd(job)
    # An unknown request may have been the most expensive one.
    dearest_usd = expected if past.request else estimate(job.request.model_copy(update=_DEAREST)).cost_usd
    if is_plausible(past.cost, expected) or expected < past.cost <= dearest_usd:
        return replace(job, cost_microusd=math.ceil(past.cost * MICRO))
    return replace(job, cost_microusd=round(expected * MICRO), notes={**job.notes, NAMED: past.cost})


def _problem(past: PastRequest, status: JobStatus) -> JobProblem | None:
    if status is JobStatus.UNKNOWN:
        return JobProblem.from_code("unreadable_answer", reason=reason("history_without_id"))
    if status is not JobStatus.LOST:
        return None
    if past.state is RemoteState.FAILED:
        return JobProblem.from_code("job_failed_charged", request_id=past.request_id or reason("unknown"))
    return JobProblem.from_code("video_lost", request_id=past.request_id or reason("unknown"))
