"""The page's own JSON over HTTP: the state of a visitor's jobs, and each one's end."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from starlette.applications import Starlette

from hunyuan_ui import limits
from hunyuan_ui.data_folder import DataFolder
from hunyuan_ui.errors import StorageError
from hunyuan_ui.job import JobStatus, Visitor, new_id
from hunyuan_ui.jobs import JobRunner, build_runner, endings
from hunyuan_ui.jobs.endings import Ending, Proof
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.settings import Secret, Settings
from hunyuan_ui.ui import routes
from hunyuan_ui.ui.health import HEALTH
from hunyuan_ui.ui.routes import PAGES, build_routes
from hunyuan_ui.ui.variations import variations
from tests.fake_service import FakeService, answer

pytestmark = pytest.mark.anyio

TOKEN, OTHER = "a1" * 16, "b2" * 16
JOBS = "/gradio_api/hunyuan/jobs"

Ask = Callable[..., Awaitable[httpx.Response]]


@asynccontextmanager
async def asking(data_dir: Path, service: FakeService) -> AsyncIterator[tuple[JobRunner, Ask]]:
    key = Secret("SG_00112233aabbccdd")
    settings = Settings(data_dir=data_dir, api_key=key, poll_interval_s=0.002, share=True, daily_limit_usd=100.0)
    folder = DataFolder(data_dir, min_free_bytes=0)
    runner = build_runner(settings, client=service.client(), download=service.download, folder=folder)
    app = Starlette(routes=build_routes(runner))
    await runner.start()
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as http:

            async def ask(
                path: str = "", token: str = TOKEN, *, is_expected: bool = False, **query: Any
            ) -> httpx.Response:
                headers = {"x-hunyuan-visitor": token, **({"x-hunyuan-expected": "yes"} if is_expected else {})}
                return await http.get(JOBS + path, params=query, headers=headers)

            yield runner, ask
    finally:
        await runner.stop()


async def begun(runner: JobRunner, prompt: str = "a fox") -> str:
    job_id = new_id()
    await runner.submit(job_id, VideoRequest.parse({"prompt": prompt}), Visitor.from_token(TOKEN))
    return job_id


async def test_a_click_of_which_only_some_videos_are_stored_is_told_from_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with asking(tmp_path, FakeService(polls_needed=10**9)) as (runner, ask):
        click_id, wish = new_id(), VideoRequest.parse({"prompt": "a fox", "seed": 7})
        specs = variations(click_id, wish, 2)
        seen: list[tuple[bool, bool]] = []
        monkeypatch.setattr(limits, "SECONDS_BETWEEN_SUBMITS", 0)
        for spec in specs:  # between them the server may be killed
            visitor = Visitor.from_token(TOKEN)
            await runner.submit(spec.id, spec.request, visitor, in_click=spec.in_click)
            listed = next(one for one in (await ask()).json()["jobs"] if one["id"] == click_id)
            seen.append((listed["is_whole"], (await ask(f"/{click_id}")).json()["is_whole"]))
        assert seen == [(False, False), (True, True)]


async def test_what_can_be_asked_for_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endings, "PROOFS", dict.fromkeys(Ending, Proof(2, 0.0)))
    service = FakeService(polls_needed=10**9)
    async with asking(tmp_path, service) as (runner, ask):
        job_id = await begun(runner)
        job = (await ask(f"/{job_id}")).json()
        assert (job["can_ask"], job["can_look_again"]) == (False, False)
        service.script("status", *[answer(404, {"error": "not found"})] * 9)
        service.script("history", *[answer(404, {"error": "not found"})] * 9)
        with anyio.fail_after(10):
            while not (job := (await ask(f"/{job_id}", within_s=1)).json())["can_ask"]:
                assert job["is_active"]
        assert job["retry_in_s"] is not None
        visitor = Visitor.from_token(TOKEN)
        await runner.retry_lost(job_id, visitor)
        await runner.wait(job_id, visitor)
        job = (await ask(f"/{job_id}")).json()
        assert job["status"] == "lost"
        assert (job["can_ask"], job["can_look_again"]) == (False, True)


async def test_a_quick_end_is_told_in_the_answer_that_was_held_for_it(tmp_path: Path) -> None:
    async with asking(tmp_path, FakeService()) as (runner, ask):
        job_id = await begun(runner, "a fox in the snow")
        body = (await ask(f"/{job_id}", within_s=2)).json()
        assert (body["status"], body["is_active"]) == ("done", False)
        assert body["video"]["id"] == job_id
        assert body["video"]["settings"]["prompt"] == "a fox in the snow"
        assert (await runner.videos.opened(job_id, body["video"]["code"])).status is JobStatus.DONE


async def test_an_answer_is_held_no_longer_than_asked_and_says_that_the_job_goes_on(tmp_path: Path) -> None:
    service = FakeService(polls_needed=10**9)
    async with asking(tmp_path, service) as (runner, ask):
        job_id = await begun(runner)
        began = time.monotonic()
        body = (await ask(f"/{job_id}", within_s=1)).json()
        assert time.monotonic() - began >= 0.9
        assert body["is_active"]
        assert body["video"] is None
        assert [job["id"] for job in (await ask()).json()["jobs"]] == [job_id]


async def test_no_answer_is_held_for_longer_than_two_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "MOST_WAIT_S", 0.2)
    async with asking(tmp_path, FakeService(polls_needed=10**9)) as (runner, ask):
        job_id = await begun(runner)
        with anyio.fail_after(10):
            assert (await ask(f"/{job_id}", within_s=99)).json()["is_active"]


@pytest.mark.parametrize("within_s", ["", "0", "-1", "1e9", "²", "999999999999", "soon"])
async def test_what_is_no_short_time_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, within_s: str
) -> None:
    monkeypatch.setattr(routes, "MOST_WAIT_S", 60)
    service = FakeService(polls_needed=10**9)
    async with asking(tmp_path, service) as (runner, ask):
        job_id = await begun(runner)
        began = time.monotonic()
        assert (await ask(f"/{job_id}", within_s=within_s)).json()["is_active"]
        assert time.monotonic() - began < routes.MOST_WAIT_S / 2


async def test_a_neighbour_learns_nothing_and_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "MOST_WAIT_S", 99)
    async with asking(tmp_path, FakeService(polls_needed=10**9)) as (runner, ask):
        job_id = await begun(runner)
        with anyio.move_on_after(0.3) as held:
            await ask(f"/{job_id}", within_s=99)
        assert held.cancelled_caught
        for token in (OTHER, "", "x"):
            with anyio.fail_after(30):
                answer = await ask(f"/{job_id}", token, within_s=99)
            assert answer.status_code == 404
            assert answer.json().keys() == {"version", "problem", "code"}
            assert answer.json() == (await ask(f"/{new_id()}", token)).json()
        assert (await ask(token=OTHER)).json()["jobs"] == []


async def test_only_a_visitor_counts_a_page_of_their_own(tmp_path: Path) -> None:
    async with asking(tmp_path, FakeService()) as (runner, _):
        transport = httpx.ASGITransport(Starlette(routes=build_routes(runner)))
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as http:
            for page_id, token, status in ((new_id(), TOKEN, 200), ("x", TOKEN, 404), (new_id(), "x", 404)):
                for method in ("POST", "DELETE"):
                    answer = await http.request(method, f"{PAGES}/{page_id}", headers={"x-hunyuan-visitor": token})
                    assert answer.status_code == status


async def test_a_click_that_is_still_on_its_way_is_no_error_of_the_page_that_sent_it(tmp_path: Path) -> None:
    async with asking(tmp_path, FakeService(polls_needed=10**9)) as (runner, ask):
        job_id = await begun(runner)
        for asked, token in ((new_id(), TOKEN), (job_id, OTHER)):
            early = await ask(f"/{asked}", token, is_expected=True, within_s=1)
            assert (early.status_code, early.json().keys()) == (200, {"version"})
        assert (await ask(f"/{job_id}", is_expected=True)).json()["id"] == job_id
        assert (await ask(f"/{job_id}", "x", is_expected=True)).status_code == 404


async def test_health_says_what_holds_all_clicks_back_and_that_a_clock_was_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with asking(tmp_path, FakeService()) as (runner, _):
        ledger = runner._services.ledger
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(Starlette(routes=build_routes(runner))), base_url="http://app"
        ) as http:
            well = await http.get(HEALTH)
            monkeypatch.setattr(type(ledger), "ahead_s", 100 * 86_400.0)
            told = await http.get(HEALTH)
            (tmp_path / "ledger.lock").rename(tmp_path / "away")
            gone = await http.get(HEALTH)
            (tmp_path / "away").rename(tmp_path / "ledger.lock")
            again = await http.get(HEALTH)
            monkeypatch.setattr(runner._services.folder, "min_free_bytes", 2**60)
            full = await http.get(HEALTH)
            problem = (await runner.spending()).problem
            with pytest.raises(StorageError, match=problem.code if problem else "none"):
                await begun(runner)
    answers = [(one.status_code, one.json()["status"], one.json()["problem"]) for one in (well, told, gone, full)]
    assert answers[:2] == [(200, "ok", None), (200, "ok", "clock_ahead")]
    assert answers[2:] == [(503, "trouble", "folder_replaced"), (503, "trouble", "disk_full")]
    assert again.json() == told.json()
