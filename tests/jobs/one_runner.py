"""A runner over a service that works until scripted otherwise, and its jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hunyuan_ui.data_folder import DataFolder
from hunyuan_ui.job import Job, new_id
from hunyuan_ui.jobs import JobRunner, build_runner, endings, job_run, wait_times
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.settings import Secret, Settings
from tests.fake_service import FakeService
from tests.jobs.one_page import KEY, VISITOR


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the waits that protect a real service."""
    for module in (job_run, wait_times):
        monkeypatch.setattr(module, "backoff_s", lambda *_, **__: 0.001)
    monkeypatch.setattr(endings, "PROOFS", {ending: endings.Proof(3, 0.0) for ending in endings.Ending})
    monkeypatch.setattr(wait_times, "PAUSE_CHECK_S", 0.02)
    monkeypatch.setattr(wait_times, "AWAY_CHECK_S", 0.02)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a run on the owner's own machine."""
    return Settings(data_dir=tmp_path / "data", api_key=Secret(KEY), poll_interval_s=0.002)


def opened(settings: Settings, service: FakeService, **options: Any) -> JobRunner:
    """Return a runner that is not started."""
    options.setdefault("folder", DataFolder(settings.data_dir, min_free_bytes=0))
    return build_runner(settings, client=service.client(), download=service.download, **options)


@asynccontextmanager
async def running(settings: Settings, service: FakeService, **options: Any) -> AsyncIterator[JobRunner]:
    """Run a runner."""
    runner = opened(settings, service, **options)
    await runner.start()
    try:
        yield runner
    finally:
        await runner.stop()


async def made(runner: JobRunner, job_id: str | None = None, **values: Any) -> Job:
    """Return a job that has ended."""
    job_id = job_id or new_id()
    await runner.submit(job_id, VideoRequest(prompt="a heron", **values), VISITOR)
    return await runner.wait(job_id, VISITOR, 10)


async def clicks(runner: JobRunner, count: int) -> list[str]:
    """Return the ids of jobs that were clicked one after the other; each has its id as its prompt."""
    ids = [new_id() for _ in range(count)]
    for job_id in ids:
        await runner.submit(job_id, VideoRequest(prompt=job_id), VISITOR)
    return ids
