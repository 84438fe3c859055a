"""Differences for jobs on a self-hosted engine: warm-up, recovery from its job list, cost by running time.

Source: docs/facts/engines.md 1 and 2. The engine's HTTP is in `endpoint/openai_videos.py`.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from hunyuan_ui import log
from hunyuan_ui.endpoint.contract import Metrics
from hunyuan_ui.errors import AuthenticationError, EndpointError, HunyuanUIError
from hunyuan_ui.job import MICRO, Job, JobProblem, JobStatus
from hunyuan_ui.jobs.services import Services
from hunyuan_ui.jobs.wait_times import WARMING, backoff_s
from hunyuan_ui.settings import Settings

STOPPED: Final = "engine_stopped"
ENGINE_KEY: Final = "engine_key_refused"
MOST_TIMES: Final = 10  # of the expected seconds, as for costs (docs/architecture.md 3)
BELIEVED_S: Final = 3600.0  # reported by an engine, whatever is expected
WARM_CHECK_S: Final = 5.0  # between two checks whether an engine has loaded its model
LIST_ATTEMPTS: Final = 3  # attempts at reading an engine's job list


def fields_set_at_engine(settings: Settings) -> tuple[str, ...]:
    """Return the request fields that the owner's engine does not accept; none if no engine is set."""
    if settings.engine_url is None:
        return ()
    from hunyuan_ui.endpoint.engines import SET_AT_ENGINE

    return SET_AT_ENGINE


async def pause_unless_warm(services: Services, job: Job, key: str) -> bool:
    """Return whether a job can be sent now; pause the queue while its engine loads its model."""
    if not job.is_at_engine:
        return True
    try:
        if await services.needed_engine.client.is_ready(key):
            return True
    except EndpointError:
        return True  # the POST will show it
    services.away.remove(job)  # it can be reached
    services.pause.until_warm(JobProblem.from_code(WARMING), WARM_CHECK_S)
    return False


async def takes_key(services: Services) -> bool:
    """Return whether the engine takes its key again, so that the queue may go on; whatever else is wrong, a POST shows.

    Raises:
        AuthenticationError: It still refuses it.
    """
    if services.engine is not None:
        try:
            await services.engine.client.check(services.keys.engine_key())
        except AuthenticationError:
            raise
        except EndpointError:
            pass
    return True


def can_be_stopped(job: Job) -> bool:
    """Whether a run can be stopped: it is at an engine whose DELETE does that (docs/facts/engines.md 2, number 5)."""
    if not job.is_at_engine or job.status is not JobStatus.RUNNING or job.request_id is None:
        return False
    from hunyuan_ui.endpoint.engines import engine_of

    engine = engine_of(job.request_id)
    return engine is not None and engine.stops


async def id_at_engine(services: Services, job: Job) -> str | None:
    """Return the engine's id of a job whose POST got no response, if the engine lists jobs with their prompts.

    None if several listed jobs match, if the engine cannot be queried, and for every other service.
    """
    key = services.keys.for_job(job)
    if not job.is_at_engine or key is None:
        return None
    client = services.needed_engine.client
    for attempt in range(LIST_ATTEMPTS):
        try:
            found = await client.sent(job.request, key, job.began_at)
            own = await services.reads(services.ledger.unclaimed, job, found)
            return own[0] if len(own) == 1 else None
        except EndpointError as error:
            log.event("job.list_unread", job=job.id, code=error.code)
            await asyncio.sleep(backoff_s(attempt, cap=5.0))
    return None


def priced_by_time(services: Services, job: Job, metrics: Metrics, watched_s: float | None) -> Metrics:
    """Return a job's metrics with the cost of its running time on a self-hosted engine.

    Args:
        metrics: As the service reported them; an engine reports at most seconds.
        watched_s: Seconds that it took as far as polls can tell, if they can; used if the engine reports none.
    """
    if not job.is_at_engine or services.engine is None or job.cost_microusd is not None:
        return metrics
    reported = _believable(services, job, metrics.inference_time)
    seconds = watched_s if reported is None else reported
    if seconds is None:
        return replace(metrics, cost=job.estimate_microusd / MICRO, inference_time=None)
    return replace(metrics, cost=seconds * (services.engine.usd_per_hour or 0.0) / 3600, inference_time=seconds)


def _believable(services: Services, job: Job, seconds: float | None) -> float | None:
    """Return reported engine seconds; None for hours that are neither expected nor have passed since sending."""
    most_s = max(BELIEVED_S, services.ledger.now() - job.began_at, MOST_TIMES * job.predicted_s)
    return None if seconds is None or seconds > most_s else seconds


def engine_usage(
    services: Services, job: Job, seen_s: float | None, error: HunyuanUIError | None = None
) -> dict[str, float | None]:
    """Return the engine seconds, and their cost in US dollars, of a job that ends without a video.

    Empty if unknown: for a job that was never seen running, and for every other service.

    Args:
        job: The job before it ends.
        seen_s: Seconds from sending until the job was last seen running; used if the engine reports none.
        error: The error it ends with, which may contain them.
    """
    worked = error.facts.get("worked_s") if error is not None else None
    reported = _believable(services, job, worked if isinstance(worked, float) else None)
    seconds = seen_s if reported is None else reported
    if not job.is_at_engine or job.status is not JobStatus.RUNNING or seconds is None:
        return {}
    spent = priced_by_time(services, job, Metrics(inference_time=seconds), None)
    return {"cost_usd": spent.cost, "inference_s": seconds}


def wants_key(job: Job) -> JobProblem:
    """Return why a job waits for a missing key: its visitor's, or that of an engine that is no longer configured."""
    if job.is_at_engine:
        return JobProblem.from_code("engine_not_set")
    return JobProblem.from_code("key_forgotten" if job.is_sent else "key_forgotten_unsent")
