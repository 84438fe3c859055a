"""A public page on a disk that every restart wipes, and its visitors."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from hunyuan_ui.errors import SpendLimitError
from hunyuan_ui.job import OWNER as ACCOUNT
from hunyuan_ui.job import JobStatus, Payer, Visitor, new_id
from hunyuan_ui.jobs import JobRunner
from tests.faults.rig import KEY, Rig, click, kill, until
from tests.faults.service import COST_USD, PaidService, pictures
from tests.raw_service import Reply

LIMIT_USD = 5.0
PUBLIC: dict[str, Any] = {"share": True, "daily_limit_usd": LIMIT_USD, "storage": "wiped"}
DAY_S = 86_400


def spent_usd(service: PaidService) -> float:
    """Return what the service has billed on the owner's key."""
    paid = [one for one in service.requests if one.method == "POST" and one.headers["x-api-key"] == KEY]
    return len(paid) * COST_USD


def wipe(rig: Rig) -> None:
    """Delete the data folder."""
    shutil.rmtree(rig.folder)


async def visit(runner: JobRunner, job_id: str | None = None, **options: Any) -> str:
    """Click as a new visitor, on the owner's key once it is in use: a busy machine may read the history late."""
    if not options:
        await until(lambda: runner._services.pause.history_problem is None)
    return await click(runner, job_id, Visitor.from_token(new_id()), **options)


async def refusal(runner: JobRunner, **options: Any) -> str:
    """Return why a click is refused."""
    with pytest.raises(SpendLimitError) as caught:
        await click(runner, None, Visitor.from_token(new_id()), **options)
    return caught.value.code


async def at_rest(runner: JobRunner) -> None:
    """Wait until no job is unfinished."""
    await until(lambda: not runner._dispatcher.live)


async def done(runner: JobRunner, *, payer: Payer = "owner") -> dict[str, bytes]:
    """Return the frames of each finished video by its prompt."""
    jobs = [job for job in await runner.owner.all_jobs(ACCOUNT) if job.status is JobStatus.DONE and job.payer == payer]
    return {job.request.prompt: pictures((await runner.video_path(job.id, ACCOUNT)).read_bytes()) for job in jobs}


@asynccontextmanager
async def killed(rig: Rig) -> AsyncIterator[JobRunner]:
    """Open a runner that ends as by SIGKILL."""
    runner = rig.open()
    await runner.start()
    yield runner
    await kill(runner)


def service_again(service: PaidService) -> Reply:
    """Return the list's response when it works."""
    return Reply(lambda wire, received: service.behave(received).act(wire, received))


@pytest.fixture(autouse=True)
def wiped(rig: Rig, service: PaidService) -> None:
    """Open every runner as such a page; the history has the owner's requests."""
    rig.settings = PUBLIC
    service.history_key = KEY
