"""A self-hosted engine, and jobs on it."""

from __future__ import annotations

import pytest

from hunyuan_ui.job import JobStatus
from hunyuan_ui.jobs import JobRunner
from tests.engines import VIDEOS
from tests.faults.rig import KEY, OWNER, Rig, click, until
from tests.faults.service import PaidService
from tests.raw_service import Reply, answer
from tests.seen import seen


@pytest.fixture
def engine(rig: Rig, service: PaidService) -> PaidService:
    """The service with an engine's API."""
    rig.dialect = "openai"
    service.engine.key = KEY
    return service


async def running(runner: JobRunner) -> str:
    """Click, and return the job once its engine has it."""
    job_id = await click(runner)
    await until(lambda: seen(runner, job_id, OWNER).job.status is JobStatus.RUNNING)
    return job_id


def talks(service: PaidService, taken: object, job: object, *more: tuple[str, Reply]) -> None:
    """Answer as an engine of another build."""
    service.on("POST", VIDEOS, answer(200, taken))  # type: ignore[arg-type]
    service.on("GET", f"{VIDEOS}/vid-12345", answer(200, job))  # type: ignore[arg-type]
    for path, reply in (("content", answer(404)), *more):
        service.on("GET", path if path.startswith("/") else f"{VIDEOS}/vid-12345/{path}", reply)
