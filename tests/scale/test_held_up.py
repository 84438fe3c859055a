"""A process whose reads or writes take long keeps its lease, and with it its jobs."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from hunyuan_ui.job import JobStatus
from tests.faults.conftest import impatient as impatient
from tests.faults.conftest import service as service
from tests.faults.rig import OWNER, Rig, click, ended, until
from tests.faults.service import PaidService
from tests.postgres_server import PostgresServer
from tests.scale.test_two_runners import two

pytestmark = [pytest.mark.anyio, pytest.mark.faults]

LONG_S = 3.0  # three times a lease in a test


@pytest.fixture
def rig(tmp_path: Path, service: PaidService, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Opens runners on one folder and one database."""
    monkeypatch.setattr("tests.stored_jobs.server", postgres_server)
    return Rig(tmp_path / "data", service.origin, settings={"daily_limit_usd": 1000.0})


@pytest.mark.slow
@pytest.mark.parametrize("busy", ["reads", "writes"])
@pytest.mark.parametrize("count", [1, 6])
async def test_a_process_that_waits_for_its_own_calls_loses_no_job(
    rig: Rig, service: PaidService, busy: str, count: int
) -> None:
    service.is_held = True
    async with two(rig) as (one, other):
        job_id = await click(one)
        await until(lambda: one._dispatcher.live[job_id].job.status is JobStatus.RUNNING)
        calls = getattr(one._services, busy)
        slow = [asyncio.ensure_future(calls(time.sleep, LONG_S / count)) for _ in range(count)]  # as of visitors
        await asyncio.wait(slow)
        assert job_id not in other._dispatcher.live
        assert job_id in one._dispatcher.live
        service.is_held = False
        assert (await ended(one, job_id)).status is JobStatus.DONE
        await one.stop()
        assert len([task for task in asyncio.all_tasks() if task.get_name() == "replicas lease"]) == 1
        assert (await other.view(job_id, OWNER)).job.status is JobStatus.DONE
