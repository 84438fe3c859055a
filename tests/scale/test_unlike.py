"""Processes with unlike settings on one database: each job goes on at one that can send, poll and fetch it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hunyuan_ui.job import JobStatus
from hunyuan_ui.jobs import JobRunner
from hunyuan_ui.settings import Secret
from tests.faults.conftest import impatient as impatient
from tests.faults.conftest import service as service
from tests.faults.rig import Dialect, Rig, click, ended, kill, until
from tests.faults.service import PaidService
from tests.postgres_server import PostgresServer

pytestmark = [pytest.mark.anyio, pytest.mark.faults]

KEYLESS: dict[str, Any] = {"api_key": None}


@pytest.fixture
def rig(tmp_path: Path, service: PaidService, postgres_server: PostgresServer) -> Callable[..., Rig]:
    """Opens runners on one database and one folder, with settings of their own."""
    url = postgres_server.url(tmp_path)

    def rig_of(dialect: Dialect = "v2", **settings: Any) -> Rig:
        settings = {"daily_limit_usd": 1000.0, "concurrency": 1, **settings}
        return Rig(tmp_path / "data", service.origin, dialect, settings=settings, url=Secret(url))

    return rig_of


def status_of(runner: JobRunner, job_id: str) -> JobStatus:
    job = runner._services.ledger.get(job_id)
    assert job is not None
    return job.status


@pytest.mark.parametrize(("dialect", "without"), [("v2", KEYLESS), ("openai", KEYLESS), ("openai", {})], ids=str)
@pytest.mark.parametrize("is_kept", [True, False])
async def test_jobs_of_a_dead_process_go_on_where_there_is_a_key_although_one_without_took_them_first(
    is_kept: bool, dialect: Dialect, without: dict[str, Any], rig: Callable[..., Rig], service: PaidService
) -> None:
    """The one without may go on living, or hand over what it has."""
    service.is_held = service.engine.is_busy = True
    dead = rig(dialect).open()
    await dead.start()
    sent, waiting = await click(dead), await click(dead)
    await until(lambda: status_of(dead, sent) is JobStatus.RUNNING)
    await kill(dead)
    keyless = rig(**without).open()
    await keyless.start()
    await until(lambda: {sent, waiting} <= set(keyless._dispatcher.live))
    service.is_held = service.engine.is_busy = False
    async with rig(dialect).running() as runner:
        if not is_kept:
            await keyless.stop()
        for job_id in (sent, waiting):
            assert (await ended(runner, job_id)).status is JobStatus.DONE
        if is_kept:
            await until(lambda: not keyless._dispatcher.live)
            await keyless.stop()
    assert len(service.bill) == 2


async def test_a_preview_of_a_dead_process_ends_where_none_is_offered(
    rig: Callable[..., Rig], service: PaidService
) -> None:
    service.is_held = True
    dead = rig(**KEYLESS).open()
    await dead.start()
    drawn, waiting = await click(dead), await click(dead)
    await until(lambda: status_of(dead, drawn) is JobStatus.RUNNING)
    await kill(dead)
    async with rig().running() as runner:
        for job_id in (drawn, waiting):
            job = await ended(runner, job_id)
            assert (job.status, job.problem and job.problem.code) == (JobStatus.FAILED, "preview_gone")
        service.is_held = False
        assert (await ended(runner, await click(runner))).status is JobStatus.DONE
