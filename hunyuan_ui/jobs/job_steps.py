"""JobSteps: what sending, polling and downloading one job have in common."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hunyuan_ui.endpoint.contract import HistoryRow, Metrics, RemoteState
from hunyuan_ui.endpoint.segmind import EndpointClient
from hunyuan_ui.errors import EndpointError, HunyuanUIError
from hunyuan_ui.estimate import believable_s
from hunyuan_ui.job import Job, JobProblem, JobStatus, Phase
from hunyuan_ui.jobs.endings import Endings, problem_of_lost
from hunyuan_ui.jobs.engine_jobs import engine_usage, priced_by_time
from hunyuan_ui.jobs.live_job import JobCommits, LiveJob
from hunyuan_ui.jobs.services import NeedsKeyError, Service, Services
from hunyuan_ui.jobs.video_addresses import VideoAddresses
from hunyuan_ui.ledger import CHARGED, NAMED

if TYPE_CHECKING:  # imported only if an engine is set
    from hunyuan_ui.endpoint.openai_videos import EngineClient


class JobSteps:
    """One job, what is known about it in memory, and the commits that several phases make."""

    def __init__(self, live: LiveJob, services: Services) -> None:
        self._live = live
        self._services = services
        self._ledger = services.ledger
        self._library = services.library
        self._commits = JobCommits(live, services)
        self._endings = Endings(is_free=live.job.is_preview)
        self._addresses = VideoAddresses()
        self._was_completed = live.job.status is JobStatus.DOWNLOADING or CHARGED in live.job.notes
        self._seen_s: float | None = None  # seconds from sending until last seen running; counts as engine time
        self._looked_at = -math.inf  # time.monotonic() of the last query of the history about a late job

    @property
    def _job(self) -> Job:
        return self._live.job

    @property
    def _service(self) -> Service[EndpointClient] | Service[EngineClient]:
        return self._services.service_for(self._job)

    async def give_up(self, problem: JobProblem, *, cost_usd: float | None = None) -> None:
        """Mark a job as unknown whose POST was sent and whose response was lost."""
        await self._commits.step(self._ledger.mark_unknown, problem, cost_usd=cost_usd)

    async def _requeue(self, problem: JobProblem, wait_s: float, **more: Any) -> None:
        await self._commits.step(self._ledger.requeue, self._ledger.now() + wait_s, problem, **more)
        self._live.show(Phase.PAUSED, retry_in_s=wait_s, note=problem)

    async def _row(self) -> HistoryRow | None:
        """Return the history's row for this request; a video that it names is downloaded next."""
        row = await self._service.client.history(self._request_id(), self._key())
        if row is not None and row.url is not None:
            await self._settle(Metrics(cost=row.cost), row.url, self._request_id())
        elif row is not None and row.state is RemoteState.COMPLETED:
            await self._keep_completed()
        return row

    async def _keep_completed(self) -> None:
        """Store that the service called the job completed, which it charges for whatever it says later."""
        self._was_completed = True
        if CHARGED not in self._job.notes:
            await self._commits.facts(self._ledger.note, **{CHARGED: True})

    async def _confirm_cost(self) -> None:
        """Query the history about an implausible cost; the cost it names replaces it."""
        named = self._job.notes.get(NAMED)
        if named is None or self._job.request_id is None:
            return
        with suppress(EndpointError, NeedsKeyError):  # the file needs no key, and will not be there for ever
            row = await self._service.client.history(self._job.request_id, self._key())
            # Zero means that the request is not billed yet.
            if row is not None and row.cost:
                is_same = math.isclose(row.cost, named, rel_tol=0.01)
                await self._commits.facts(self._ledger.name_cost, row.cost, is_confirmed=is_same)

    async def _settle(self, metrics: Metrics, url: str | None, request_id: str | None) -> None:
        if self._job.is_at_engine:
            # It may have ended at any moment since the last poll, which is long ago if this machine slept.
            seen_s, age_s = self._seen_s, self._age_s()
            watched = None if seen_s is None else min(age_s, max(seen_s, self._job.predicted_s))
            metrics = priced_by_time(self._services, self._job, metrics, watched)
        else:
            seconds = believable_s(metrics.inference_time, self._job.predicted_s, self._age_s())
            metrics = replace(metrics, inference_time=seconds)
        times = {"inference_s": metrics.inference_time, "queue_s": metrics.queue_time}
        told = {"request_id": request_id, "result_url": url, "cost_usd": metrics.cost, **times}
        await self._commits.step(self._ledger.mark_downloading, **told)

    async def _lose(self, error: HunyuanUIError) -> None:
        lost = problem_of_lost(self._job, error, self._library.unreadable(self._job.id))
        await self._commits.step(self._ledger.mark_lost, lost, **self._worked(error))

    def _key(self) -> str:
        key = self._services.keys.for_job(self._job)
        if key is None:
            raise NeedsKeyError
        return key

    def _request_id(self) -> str:
        if self._job.request_id is None:
            raise RuntimeError(f"job {self._job.id} is {self._job.status.value} without a request id")
        return self._job.request_id

    def _worked(self, error: HunyuanUIError) -> dict[str, float | None]:
        return engine_usage(self._services, self._job, self._seen_s, error)

    def _age_s(self) -> float:
        return self._ledger.now() - self._job.began_at
