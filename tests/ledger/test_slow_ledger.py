"""The page works while the ledger cannot be written: reads never wait, and clicks are refused with the reason."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from hunyuan_ui import checkpoint
from hunyuan_ui.data_folder import DataFolder
from hunyuan_ui.errors import StorageError
from hunyuan_ui.job import JobStatus, Visitor, new_id
from hunyuan_ui.jobs import JobRunner, build_runner
from hunyuan_ui.jobs.my_videos import VideoFilter
from hunyuan_ui.ledger import sqlite
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.settings import Secret, Settings
from hunyuan_ui.ui.health import HEALTH
from hunyuan_ui.ui.routes import JOBS, build_routes
from tests.fake_service import FakeService

pytestmark = pytest.mark.anyio

TOKEN = "a1" * 16
VISITOR = Visitor.from_token(TOKEN, is_owner=True)
Get = Callable[[str], Awaitable[httpx.Response]]


@asynccontextmanager
async def running(folder: Path, service: FakeService, **options: Any) -> AsyncIterator[tuple[JobRunner, Get]]:
    settings = Settings(data_dir=folder, api_key=Secret("SG_00112233aabbccdd"), poll_interval_s=0.002)
    held = DataFolder(folder, min_free_bytes=0)
    runner = build_runner(settings, client=service.client(), download=service.download, folder=held, **options)
    await runner.start()
    transport = httpx.ASGITransport(Starlette(routes=build_routes(runner)))
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as http:

            async def get(path: str) -> httpx.Response:
                return await http.get(path, headers={"x-hunyuan-visitor": TOKEN})

            yield runner, get
    finally:
        await runner.stop()


@contextmanager
def held_by_another(folder: Path, kind: str = "IMMEDIATE") -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(folder / sqlite.FILE_NAME, isolation_level=None)) as other:
        other.execute(f"BEGIN {kind}")
        yield other


async def clicked(runner: JobRunner) -> str:
    job_id = new_id()
    await runner.submit(job_id, VideoRequest(prompt="a heron"), VISITOR)
    return job_id


async def look_at_everything(runner: JobRunner, get: Get, job_id: str) -> None:
    """Make all requests of an open page, its owner's page and My videos."""
    assert (await get(HEALTH)).json()["status"] == "ok"
    assert (await get(JOBS)).status_code == 200
    assert (await get(f"{JOBS}/{job_id}")).json()["status"] == "done"
    assert (await runner.spending()).spent_today_usd > 0
    assert (await runner.newest(VISITOR)) is not None
    assert [job.id for job in (await runner.videos.find(VISITOR, VideoFilter(search="heron")))[0]] == [job_id]
    for ask in (runner.owner.all_jobs, runner.owner.unknown, runner.owner.days, runner.owner.is_paused):
        await ask(VISITOR)


@pytest.mark.parametrize("kind", ["IMMEDIATE", "EXCLUSIVE"])
async def test_the_page_goes_on_while_another_program_holds_the_ledger(tmp_path: Path, kind: str) -> None:
    service = FakeService()
    async with running(tmp_path / "data", service) as (runner, get):
        done = await clicked(runner)
        await runner.wait(done, VISITOR, 20)
        with held_by_another(tmp_path / "data", kind) as other:
            click = asyncio.ensure_future(clicked(runner))
            await asyncio.sleep(0)
            for _ in range(3):
                await look_at_everything(runner, get, done)
                await asyncio.sleep(0.01)
            assert not click.done()
            other.execute("ROLLBACK")
        assert (await runner.wait(await click, VISITOR, 20)).status is JobStatus.DONE


@pytest.mark.parametrize("step", ["begin", "commit", "committed"])
async def test_the_page_goes_on_while_a_commit_waits_for_the_disk(tmp_path: Path, step: str) -> None:
    is_held, may_go = threading.Event(), threading.Event()

    def hold(name: str) -> None:
        if name == f"ledger.add.{step}" and done:
            is_held.set()
            assert may_go.wait(30)

    done = ""
    checkpoint.hook = hold
    async with running(tmp_path / "data", FakeService()) as (runner, get):
        made = await clicked(runner)
        await runner.wait(made, VISITOR, 20)
        done = made
        click = asyncio.ensure_future(clicked(runner))
        await asyncio.to_thread(is_held.wait, 30)
        # Newest and in the lists by then.
        if step != "committed":
            await look_at_everything(runner, get, done)
        assert (await get(HEALTH)).json()["status"] == "ok"
        assert not click.done()
        may_go.set()
        assert (await runner.wait(await click, VISITOR, 20)).status is JobStatus.DONE


async def test_a_click_that_cannot_be_stored_says_why_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.05)
    service = FakeService()
    async with running(tmp_path / "data", service) as (runner, _):
        with held_by_another(tmp_path / "data"):
            with pytest.raises(StorageError) as caught:
                await clicked(runner)
            assert caught.value.code == "ledger_busy"
        assert (await runner.jobs(VISITOR)) == []
        assert (await runner.wait(await clicked(runner), VISITOR, 20)).status is JobStatus.DONE
        assert service.posts == 1


async def test_a_click_does_not_wait_for_ever_behind_what_others_have_to_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go = threading.Event()
    service = FakeService()
    async with running(tmp_path / "data", service) as (runner, _):
        monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.05)
        other = asyncio.ensure_future(runner._services.writes(may_go.wait, 30))
        clicks = [clicked(runner) for _ in range(10)]
        refused = await asyncio.wait_for(asyncio.gather(*clicks, return_exceptions=True), 20)
        assert [error.code for error in refused if isinstance(error, StorageError)] == ["ledger_busy"] * 10
        assert not other.done()
        may_go.set()
        assert (await runner.wait(await clicked(runner), VISITOR, 20)).status is JobStatus.DONE
        assert len(await runner.jobs(VISITOR)) == 1


async def test_a_start_stores_nothing_on_the_event_loop(tmp_path: Path) -> None:
    threads: list[str] = []

    def note(name: str) -> None:
        if name.startswith("ledger."):
            threads.append(threading.current_thread().name)

    async with running(tmp_path / "data", FakeService()) as (runner, _):
        sent = await clicked(runner)
        await runner.wait(sent, VISITOR, 20)
        lost = new_id()
        await runner._services.writes(_leave_in_doubt, runner, lost)
    checkpoint.hook = note
    async with running(tmp_path / "data", FakeService()) as (runner, _):
        assert (await runner.view(lost, VISITOR)).job.status is JobStatus.UNKNOWN
        await runner.owner.settle(lost, VISITOR, was_charged=False)
        await runner.owner.resume(VISITOR)
        await runner.delete(sent, VISITOR)
        await runner.wait(await clicked(runner), VISITOR, 20)
    assert len(threads) > 10
    assert threading.main_thread().name not in threads


def _leave_in_doubt(runner: JobRunner, job_id: str) -> None:
    ledger = runner._services.ledger
    job = runner._new_job(job_id, VideoRequest(prompt="a heron"), VISITOR, "owner")
    ledger.add(job, lambda *_: None)
    ledger.claim(job_id)
