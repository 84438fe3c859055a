"""A job that nobody watches any more, and one whose video must be requested: both are followed to their end."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from hunyuan_ui.job import JobProblem, new_id
from tests.app_process import RunningApp, running_app
from tests.browser.paid_endpoint import PaidEndpoint, paid_endpoint
from tests.browser.steps import write
from tests.raw_service import RawService, answer
from tests.stored_jobs import added, opened_ledger
from tests.videos import mp4_bytes

pytestmark = pytest.mark.slow

JOB_S = 6.0
PLAYS = "() => { const video = document.querySelector('#player video'); return video && video.currentTime > 0.1; }"
TOKEN = "00112233445566778899aabbccddeeff"
REQUEST_ID = "11112222333344445555666677778888"

numbers = itertools.count(1)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[PaidEndpoint]:
    with paid_endpoint(seconds=JOB_S, credits=1000.0) as running:
        yield running


@pytest.fixture(scope="module")
def app(endpoint: PaidEndpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    settings = {**endpoint.settings, "HUNYUAN_UI_DAILY_LIMIT_USD": "1000"}
    with running_app(tmp_path_factory.mktemp("stopped"), **settings) as started:
        yield started


@pytest.fixture
def prompt() -> str:
    return f"A kite over a hill, take {next(numbers)}."


def opened(visitor: BrowserContext, url: str) -> Page:
    page = visitor.new_page()
    page.goto(url)
    expect(page.locator(".examples button").first).to_be_visible()
    return page


def generate(page: Page, prompt: str) -> None:
    expect(page.locator("#generate")).to_be_enabled()
    write(page, prompt)
    page.locator("#generate").click()
    expect(page.locator(".under-way .prompt")).to_have_text(prompt)
    expect(page.locator(".job-card [data-part=stop]")).to_be_visible()


def stop(page: Page) -> None:
    page.get_by_role("button", name="Stop watching").click()


def is_stopped(page: Page, prompt: str) -> None:
    expect(page.locator(".stopped")).to_contain_text("goes on without you")
    expect(page.locator(".stopped")).to_contain_text(prompt)


def is_ready_quietly(page: Page, prompt: str) -> None:
    expect(page.locator(".ready")).to_contain_text("Ready: in My videos")
    expect(page.locator(".ready")).to_contain_text(prompt)
    expect(page.locator(".stopped")).to_be_hidden()
    in_my_videos(page, prompt)


def in_my_videos(page: Page, prompt: str) -> None:
    expect(page.locator("[data-part=posters] li", has_text=prompt)).to_have_count(1)


def plays(page: Page, prompt: str) -> None:
    expect(page.locator(".result .prompt")).to_have_text(prompt)
    page.wait_for_function(PLAYS)


def test_who_stops_watching_is_told_quietly_and_can_have_it_shown(
    visitor: BrowserContext, app: RunningApp, endpoint: PaidEndpoint, prompt: str
) -> None:
    page = opened(visitor, app.url)
    generate(page, prompt)
    spent = page.locator(".masthead [data-part=spent]").inner_text()
    stop(page)
    is_stopped(page, prompt)
    expect(page).to_have_title("Hunyuan Video")
    is_ready_quietly(page, prompt)
    expect(page.locator("#player video[src]")).to_have_count(0)
    expect(page.locator(".blank")).to_be_visible()
    expect(page.locator(".masthead [data-part=spent]")).not_to_have_text(spent)
    page.get_by_role("button", name="Show it").click()
    plays(page, prompt)
    expect(page.locator(".ready")).to_be_hidden()
    assert endpoint.posts[prompt] == 1


def test_the_player_keeps_what_it_shows(visitor: BrowserContext, app: RunningApp, prompt: str) -> None:
    page = opened(visitor, app.url)
    generate(page, f"{prompt} one")
    plays(page, f"{prompt} one")
    generate(page, f"{prompt} two")
    stop(page)
    is_ready_quietly(page, f"{prompt} two")
    expect(page.locator(".result .prompt")).to_have_text(f"{prompt} one")
    page.reload()
    plays(page, f"{prompt} two")
    expect(page.locator(".ready")).to_be_hidden()


def test_a_reload_does_not_begin_to_watch_again(visitor: BrowserContext, app: RunningApp, prompt: str) -> None:
    page = opened(visitor, app.url)
    generate(page, prompt)
    stop(page)
    is_stopped(page, prompt)
    page.reload()
    is_stopped(page, prompt)
    is_ready_quietly(page, prompt)


def test_another_tab_goes_on_watching(visitor: BrowserContext, app: RunningApp, prompt: str) -> None:
    first, second, idle = opened(visitor, app.url), opened(visitor, app.url), opened(visitor, app.url)
    generate(first, prompt)
    for tab in (second, idle):
        expect(tab.locator(".under-way .prompt")).to_have_text(prompt)
    stop(first)
    stop(idle)
    expect(second.locator(".under-way")).to_be_visible()
    plays(second, prompt)
    for tab in (first, idle):
        is_ready_quietly(tab, prompt)


def test_who_watches_again_sees_it_in_the_player(visitor: BrowserContext, app: RunningApp, prompt: str) -> None:
    page = opened(visitor, app.url)
    generate(page, prompt)
    stop_button = page.locator(".job-card [data-part=stop]")
    expect(stop_button).to_be_enabled()  # not in the instant in which it came
    stop_button.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".job-card [data-part=again]")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".under-way .prompt")).to_have_text(prompt)
    plays(page, prompt)
    expect(page.locator(".ready")).to_be_hidden()


def test_of_two_jobs_one_is_watched_and_one_is_not(visitor: BrowserContext, app: RunningApp, prompt: str) -> None:
    page = opened(visitor, app.url)
    generate(page, f"{prompt} one")
    generate(page, f"{prompt} two")
    stop(page)
    expect(page.locator(".under-way .prompt")).to_have_text(f"{prompt} one")
    row = page.locator(".others li", has_text=f"{prompt} two")
    expect(row).to_contain_text("goes on without you")
    expect(row.get_by_role("button", name="Watch again")).to_be_visible()
    plays(page, f"{prompt} one")
    is_ready_quietly(page, f"{prompt} two")
    in_my_videos(page, f"{prompt} one")
    expect(page.locator(".result .prompt")).to_have_text(f"{prompt} one")


def test_of_two_that_were_stopped_one_is_watched_again(visitor: BrowserContext, app: RunningApp, prompt: str) -> None:
    page = opened(visitor, app.url)
    generate(page, f"{prompt} one")
    generate(page, f"{prompt} two")
    stop(page)
    stop(page)
    is_stopped(page, f"{prompt} one")
    page.locator(".others li", has_text=f"{prompt} two").get_by_role("button", name="Watch again").click()
    expect(page.locator(".under-way .prompt")).to_have_text(f"{prompt} two")
    plays(page, f"{prompt} two")
    is_ready_quietly(page, f"{prompt} one")


# videos that must be requested


@pytest.fixture
def service() -> Iterator[RawService]:
    with RawService() as running:
        running.serve_v2(mp4_bytes(width=64, height=48))
        yield running


def settings_for(service: RawService) -> dict[str, Any]:
    return {"SEGMIND_API_KEY": "SG_0011223344556677", "SEGMIND_BASE_URL": service.origin}


@pytest.fixture
def known(visitor: BrowserContext) -> BrowserContext:
    """A browser whose visitor has lost a video before."""
    at_home = "location.protocol.startsWith('http')"
    visitor.add_init_script(f"if ({at_home}) localStorage.setItem('hunyuan_visitor', '{TOKEN}');")
    return visitor


def lost_video(folder: Path, service: RawService, prompt: str, request_id: str = REQUEST_ID) -> None:
    """Store a job of the known visitor whose file could not be downloaded."""
    ledger = opened_ledger(folder / "data", clock=time.time)
    url = f"{service.origin}/files/{request_id}.mp4"
    job = added(ledger, prompt, id=new_id(), visitor=sha256(TOKEN.encode()).hexdigest()[:32])
    ledger.claim(job.id)
    ledger.mark_running(job.id, request_id)
    ledger.mark_downloading(
        job.id, request_id=request_id, result_url=url, cost_usd=1.46, inference_s=100.0, queue_s=1.0
    )
    ledger.mark_lost(job.id, JobProblem.from_code("video_lost", request_id=request_id))
    ledger.close()


def test_a_lost_video_is_looked_for_again(
    known: BrowserContext, service: RawService, tmp_path: Path, prompt: str
) -> None:
    lost_video(tmp_path, service, prompt)
    result = {"status": "COMPLETED", "output": f"{service.origin}/files/{REQUEST_ID}.mp4", "metrics": {"cost": 1.46}}
    service.on("GET", f"/v2/requests/{REQUEST_ID}*", answer(200, result))
    with running_app(tmp_path, **settings_for(service)) as app:
        page = opened(known, app.url)
        ended = page.locator(".ended")
        expect(ended).to_contain_text("could not be fetched")
        service.on("GET", "/files/*", answer(404, {"error": "not found"}))
        ended.get_by_role("button", name="Look again").click()
        expect(page.locator(".under-way .prompt")).to_have_text(prompt)
        expect(ended).to_be_hidden()
        # Far enough away that this page need not wait for it.
        expect(page.locator(".under-way .note")).to_contain_text(re.compile(r"Tried again in (9|\d\d) s"))
        service.on("GET", "/files/*", answer(200, mp4_bytes(width=64, height=48), content_type="video/mp4"))
        page.locator(".under-way").get_by_role("button", name="Ask now").click()
        plays(page, prompt)
        in_my_videos(page, prompt)
        assert service.bill == []


def test_a_problem_that_was_dismissed_stays_away_everywhere(
    known: BrowserContext, service: RawService, tmp_path: Path, prompt: str
) -> None:
    lost_video(tmp_path, service, prompt)
    with running_app(tmp_path, **settings_for(service)) as app:
        first, second = opened(known, app.url), opened(known, app.url)
        for tab in (first, second):
            expect(tab.locator(".ended")).to_be_visible()
        first.get_by_role("button", name="Dismiss").click()
        for tab in (first, second):
            expect(tab.locator(".ended")).to_be_hidden()
        first.reload()
        expect(first.locator(".examples button").first).to_be_visible()
        first.wait_for_function("hunyuan.videos.visitor().then(() => true)")
        expect(first.locator(".blank")).to_be_visible()
        expect(first.locator(".ended")).to_be_hidden()


def test_each_of_two_lost_videos_is_told_of_until_it_was_dismissed(
    known: BrowserContext, service: RawService, tmp_path: Path, prompt: str
) -> None:
    lost_video(tmp_path, service, f"{prompt}, older", "request-older")
    lost_video(tmp_path, service, prompt)
    with running_app(tmp_path, **settings_for(service)) as app:
        page = opened(known, app.url)
        told = page.locator(".ended .prompt")
        expect(told).to_have_text(prompt)
        expect(page.locator(".job-card:not([aria-disabled])")).to_be_visible()  # what has just come takes no press
        page.get_by_role("button", name="Dismiss").press("Enter")
        for _ in range(2):
            expect(told).to_have_text(f"{prompt}, older")
            expect(page.get_by_role("button", name="Look again")).to_be_visible()
            page.reload()
        expect(told).to_have_text(f"{prompt}, older")
        expect(page.locator(".job-card:not([aria-disabled])")).to_be_visible()
        page.get_by_role("button", name="Dismiss").click()
        expect(page.locator(".ended")).to_be_hidden()


def test_a_job_that_fails_unwatched_says_so_and_is_tried_again(
    visitor: BrowserContext, service: RawService, tmp_path: Path, prompt: str
) -> None:
    service.on("GET", "/v2/requests/*/status", answer(200, {"status": "PROCESSING"}))
    with running_app(tmp_path, **settings_for(service)) as app:
        page = opened(visitor, app.url)
        generate(page, prompt)
        stop(page)
        is_stopped(page, prompt)
        service.on("GET", "/v2/requests/*/status", answer(422, {"status": "FAILED", "error": "out of memory"}))
        service.on("GET", "/v2/requests/*", answer(422, {"status": "FAILED", "error": "out of memory"}))
        service.on("GET", "*/request-history/*", answer(404, {"error": "not found"}))
        expect(page.locator(".ended")).to_contain_text("out of memory")
        expect(page.locator(".ended").get_by_role("button", name="Look again")).to_be_hidden()
        expect(page.locator(".stopped")).to_be_hidden()
        service.on("GET", "/files/*", answer(200, mp4_bytes(width=64, height=48), content_type="video/mp4"))
        result = {"status": "COMPLETED", "output": f"{service.origin}/files/again.mp4", "metrics": {"cost": 1.46}}
        service.on("GET", "/v2/requests/*", answer(200, result))
        page.locator(".ended").get_by_role("button", name=re.compile(r"Try again · about \$1\.\d\d")).dblclick()
        plays(page, prompt)
        expect(page.locator(".ended")).to_be_hidden()
        assert len(service.bill) == 2
