"""What a start does with half-written files and with previews that an earlier run, or another process, has left."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hunyuan_ui.data_folder import DataFolder
from hunyuan_ui.job import JobStatus, new_id
from hunyuan_ui.jobs.recovery import recover
from hunyuan_ui.jobs.services import Services, build_services
from hunyuan_ui.settings import Secret, Settings
from tests.postgres_server import PostgresServer
from tests.stored_jobs import added, in_status

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def opened(folder: Path, url: str | None = None, **options: Any) -> AsyncIterator[Services]:
    settings = Settings(data_dir=folder, database_url=Secret(url) if url else None, **options)
    services = build_services(settings, folder=DataFolder(folder, min_free_bytes=0, is_shared=url is not None))
    try:
        yield services
    finally:
        await services.close()


def half_written(services: Services, job_id: str, *, age_s: float = 0.0) -> Path:
    part = services.library.part(job_id)
    part.write_bytes(b"half of it")
    written = time.time() - age_s
    os.utime(part, (written, written))
    return part


async def test_what_is_half_written_goes_at_once_where_no_other_process_can_be_writing_it(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as services:
        part = half_written(services, new_id())
        recover(services)
        assert not part.exists()


async def test_what_another_process_may_be_writing_stays_for_an_hour(
    tmp_path: Path, postgres_server: PostgresServer
) -> None:
    async with opened(tmp_path / "data", postgres_server.url(tmp_path)) as services:
        young, old = (half_written(services, new_id(), age_s=age_s) for age_s in (3500.0, 3700.0))
        recover(services)
        assert young.exists()
        assert not old.exists()


async def test_what_came_of_a_video_that_is_being_fetched_stays(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as services:
        ledger = services.ledger
        running, loading = added(ledger), added(ledger)
        for job in (running, loading):
            ledger.claim(job.id)
            ledger.mark_running(job.id, f"request of {job.id}")
        ledger.mark_downloading(loading.id, request_id="r", result_url=None, cost_usd=1.46, inference_s=None)
        gone, kept = half_written(services, running.id), half_written(services, loading.id)
        assert {job.id for job in recover(services)} == {running.id, loading.id}
        assert kept.exists()
        assert not gone.exists()


@pytest.mark.parametrize(
    ("begun", "ended"), [(JobStatus.RUNNING, JobStatus.FAILED), (JobStatus.DOWNLOADING, JobStatus.LOST)]
)
async def test_a_preview_ends_where_none_is_offered_however_far_it_was(
    tmp_path: Path, begun: JobStatus, ended: JobStatus
) -> None:
    async with opened(tmp_path / "data") as services:
        preview = in_status(services.ledger, begun, payer="nobody")
    async with opened(tmp_path / "data", api_key=Secret("SG_00112233aabbccdd")) as services:
        assert recover(services) == []
        stored = services.ledger.get(preview.id)
        assert stored is not None
        assert (stored.status, stored.problem and stored.problem.code) == (ended, "preview_gone")
        assert recover(services) == []
