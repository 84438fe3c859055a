"""No database statement runs on an event loop's thread, whoever calls it: page, API, owner, or the jobs."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from starlette.applications import Starlette

from hunyuan_ui.data_folder import DataFolder
from hunyuan_ui.errors import StorageError
from hunyuan_ui.job import ACTIVE, Job, JobStatus, Visitor, new_id
from hunyuan_ui.jobs import JobRunner, build_runner
from hunyuan_ui.request import VideoRequest, parameters
from hunyuan_ui.settings import Secret, Settings
from hunyuan_ui.ui.api import ApiCalls
from hunyuan_ui.ui.events import PageEvents
from hunyuan_ui.ui.gallery import VIDEOS
from hunyuan_ui.ui.health import HEALTH
from hunyuan_ui.ui.owner import OwnerEvents
from hunyuan_ui.ui.price_texts import PRICE
from hunyuan_ui.ui.routes import JOBS, build_routes
from hunyuan_ui.ui.visitor import VISITOR_HEADER
from tests.fake_service import FakeService
from tests.stored_jobs import job
from tests.ui.test_owner_page import asking, event

pytestmark = pytest.mark.anyio

TOKEN = "a1" * 16
VISITOR = Visitor.from_token(TOKEN, is_owner=True)
KEY = "SG_00112233aabbccdd"
PUBLIC = {"share": True, "daily_limit_usd": 30.0}
VALUES = {"prompt": "a heron", "video_length": 5, "width": 64, "height": 64}


class WatchedConnection(sqlite3.Connection):
    """Records each statement that runs in a thread with a running event loop, and each that does not."""

    on_the_loop: list[str]
    elsewhere: list[str]

    def _note(self, what: str) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self.elsewhere.append(threading.current_thread().name)
        else:
            self.on_the_loop.append(f"{what}\n{''.join(traceback.format_stack(limit=12))}")

    def execute(self, *values: Any) -> sqlite3.Cursor:
        self._note(str(values[0]))
        return super().execute(*values)

    def executescript(self, *values: Any) -> sqlite3.Cursor:
        self._note(str(values[0]))
        return super().executescript(*values)

    def backup(self, *values: Any, **named: Any) -> None:
        self._note("backup")
        super().backup(*values, **named)

    def close(self) -> None:
        self._note("close")
        super().close()


@pytest.fixture(autouse=True)
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[WatchedConnection]]:
    """Watch every connection, and fail the test if one was used on an event loop's thread."""
    connect = sqlite3.connect
    monkeypatch.setattr(WatchedConnection, "on_the_loop", [], raising=False)
    monkeypatch.setattr(WatchedConnection, "elsewhere", [], raising=False)
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **o: connect(*a, **{**o, "factory": WatchedConnection}))
    yield WatchedConnection
    assert WatchedConnection.elsewhere
    assert not WatchedConnection.on_the_loop, WatchedConnection.on_the_loop[0]


@pytest.fixture(params=[{}, PUBLIC], ids=["private", "public"])
async def runner(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A runner whose ledger holds a job in every status."""
    settings = Settings(data_dir=tmp_path / "data", api_key=Secret(KEY), poll_interval_s=0.002)
    settings = replace(settings, **request.param)
    service, folder = FakeService(), DataFolder(settings.data_dir, min_free_bytes=0)
    runner = await asyncio.to_thread(
        build_runner, settings, client=service.client(), download=service.download, folder=folder
    )
    await asyncio.to_thread(fill, runner)
    await runner.start()
    yield runner
    await runner.stop()


def fill(runner: JobRunner) -> None:
    ledger = runner._services.ledger
    for status in JobStatus:
        at = ledger.now() - 60  # on a public run a visitor must wait between two clicks
        whose = VISITOR.id if status in (JobStatus.DONE, JobStatus.LOST) else "b" * 32
        facts = {"sent_at": at, "created_at": at, "request_id": f"request-{status.value}", "visitor": whose}
        notes = {"named_usd": 99.0} if status is JobStatus.DONE else {}
        assert ledger.adopt(job(status=status, notes=notes, **facts))


def one(runner: JobRunner, status: JobStatus) -> Job:
    return runner._services.ledger.jobs(None, statuses=frozenset({status}))[0]


async def made(runner: JobRunner, **named: Any) -> str:
    job_id = new_id()
    visitor = runner.owner.seen_as(replace(VISITOR, is_owner=not runner.settings.is_public))
    await runner.submit(job_id, VideoRequest.parse({"prompt": "a heron"}), visitor, **named)
    assert (await runner.wait(job_id, visitor, 20)).status is JobStatus.DONE
    return job_id


async def test_every_route_of_the_page(runner: JobRunner) -> None:
    job_id = await made(runner)
    transport = httpx.ASGITransport(Starlette(routes=build_routes(runner)))
    async with httpx.AsyncClient(transport=transport, base_url="http://app", headers={VISITOR_HEADER: TOKEN}) as http:
        shown = (await http.get(f"{JOBS}/{job_id}?within_s=1")).json()["video"]
        mine = f"{VIDEOS}/{job_id}"
        answers = [
            await http.get(JOBS),
            await http.get(HEALTH),
            await http.get(f"{VIDEOS}?search=heron&everybody=1"),
            await http.post(PRICE, json={"is_whole": True, **VALUES}),
            await http.get(mine),
            await http.get(f"{mine}.mp4?k={shown['code']}"),
            await http.get(f"{mine}.webp?k={shown['code']}"),
            await http.get(f"{mine}/export.png?k={shown['code']}"),
            await http.delete(mine),
        ]
        assert {str(answer.url): answer.status_code for answer in answers if answer.status_code != 200} == {}
        for status in set(JobStatus) - ACTIVE:
            stored = await asyncio.to_thread(one, runner, status)
            is_theirs = stored.visitor == VISITOR.id or not runner.settings.is_public
            assert (await http.get(f"{JOBS}/{stored.id}")).status_code == (200 if is_theirs else 404)


async def test_every_event_of_the_page(runner: JobRunner) -> None:
    page = PageEvents(runner)
    opened = await page.attach(asking(), TOKEN)
    assert opened[0] == TOKEN
    job_id = new_id()
    click = {"form": {**asdict_of_defaults(), **VALUES}, "shown_usd": 99, "is_confirmed": True}
    watch, notice = await page.send(asking(), job_id, TOKEN, json.dumps(click))
    assert (watch["job"], notice["text"]) == (job_id, "")
    lost = await asyncio.to_thread(one, runner, JobStatus.LOST)
    await page.look_again(asking(), event(job=lost.id), TOKEN)
    with suppress(gr.Error, Exception):
        await page.cancel(asking(), event(job=job_id), TOKEN)


def asdict_of_defaults() -> dict[str, Any]:
    return {parameter.name: parameter.default for parameter in parameters()}


async def test_every_function_of_the_api(runner: JobRunner) -> None:
    calls = ApiCalls(runner)
    caller = asking(headers=[(VISITOR_HEADER.encode(), TOKEN.encode())])
    values = [{**asdict_of_defaults(), **VALUES}[parameter.name] for parameter in parameters()]
    _, told = await calls.generate(*values, new_id(), 99.0, caller)
    await calls.estimate(*values, caller)
    assert (await calls.status(caller, told["job_id"]))["status"] == "done"
    await calls.result(caller, told["job_id"])
    with suppress(Exception):  # in public one job per visitor at a time, and not soon after the last
        await calls.submit(*values, new_id(), 99.0, caller)


@pytest.mark.parametrize(
    "action",
    [
        *("refresh", "settle", "correct", "confirm", "look_again", "open_video", "export", "end_waiting"),
        *("find_videos", "say_spent", "set_clock_right", "resume"),
    ],
)
async def test_every_action_of_the_owner(runner: JobRunner, action: str) -> None:
    events = OwnerEvents(runner)
    if runner.settings.is_public:
        await events.event("prove")(asking(), event(key=KEY), TOKEN)
    wanted = {"settle": JobStatus.UNKNOWN, "look_again": JobStatus.LOST}.get(action, JobStatus.DONE)
    shown = runner.videos.public_id(await asyncio.to_thread(one, runner, wanted))
    answer = await events.event(action)(asking(), event(job=shown, cost_usd=1.0, usd=2.0, was_charged=True), TOKEN)
    assert answer["needs_proof"] is False


async def test_a_start_that_was_killed_and_a_job_that_was_not_paid(tmp_path: Path) -> None:
    """Recovery, the copies of the ledger, and a preview, which has its own calibration."""
    service = FakeService()
    settings = Settings(data_dir=tmp_path / "data", api_key=Secret(KEY), poll_interval_s=0.002)
    for _ in range(2):
        folder = DataFolder(settings.data_dir, min_free_bytes=0)
        runner = await asyncio.to_thread(
            build_runner, settings, client=service.client(), download=service.download, folder=folder
        )
        await runner.start()
        await made(runner)
        await runner.newest(VISITOR)
        await runner.spending()
        await runner.stop()
        with pytest.raises(StorageError):
            await runner.newest(VISITOR)
