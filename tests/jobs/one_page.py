"""A private or public page, its runner and its visitors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from hunyuan_ui.data_folder import DataFolder
from hunyuan_ui.errors import HunyuanUIError
from hunyuan_ui.job import JobStatus, Payer, Visitor, new_id
from hunyuan_ui.jobs import JobRunner, build_runner, job_run, wait_times
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.settings import Secret, Settings
from tests.fake_service import FakeService

VISITOR = Visitor.from_token("a" * 32)
NEIGHBOUR = Visitor.from_token("b" * 32)
KEY = "SG_00112233aabbccdd"
OWN_KEY = "SG_ffff0000ffff0000"
FOX = VideoRequest.parse({"prompt": "a fox"})
SMALL = VideoRequest.parse({"prompt": "a fox", "width": 64, "height": 64, "video_length": 5, "infer_steps": 2})


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the waits that protect a real service."""
    for module in (job_run, wait_times):
        monkeypatch.setattr(module, "backoff_s", lambda *_, **__: 0.001)


@pytest.fixture
def service() -> FakeService:
    """A service that works until scripted otherwise."""
    return FakeService()


@pytest.fixture
def private(tmp_path: Path) -> Settings:
    """A run on the owner's own machine."""
    return Settings(data_dir=tmp_path / "data", api_key=Secret(KEY), poll_interval_s=0.002)


@pytest.fixture
def public(private: Settings) -> Settings:
    """A page for everybody."""
    return replace(private, share=True, daily_limit_usd=100.0)


@asynccontextmanager
async def running(settings: Settings, service: FakeService) -> AsyncIterator[JobRunner]:
    """Run a runner."""
    folder = DataFolder(settings.data_dir, min_free_bytes=0)
    runner = build_runner(settings, client=service.client(), download=service.download, folder=folder)
    await runner.start()
    try:
        yield runner
    finally:
        await runner.stop()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition without an event."""

    async def hold() -> None:
        while not condition():  # noqa: ASYNC110 - the runner has no event for every state
            await asyncio.sleep(0.002)

    await asyncio.wait_for(hold(), 10)


async def made(runner: JobRunner, visitor: Visitor = VISITOR, payer: Payer | None = None) -> str:
    """Return the id of a job that has ended with its video."""
    job_id = new_id()
    await runner.submit(job_id, FOX, visitor, payer=payer)
    assert (await runner.wait(job_id, visitor, 10)).status is JobStatus.DONE
    return job_id


async def refusal(asked: Awaitable[object]) -> str | None:
    """Return the code of the error that a call raises."""
    try:
        await asked
    except HunyuanUIError as error:
        return error.code
    return None
