"""A visitor with a filled gallery, and the positions of its elements."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from hunyuan_ui.job import Job, new_id
from tests.app_process import RunningApp, running_app
from tests.shelves import put_video
from tests.videos import mp4_bytes

ELSEWHERE = new_id()  # the visitor whose browser storage was cleared
HOSTILE = '<img src=x onerror="window.hit=1"><script>window.hit=1</script> ${window.hit=1} {{7*7}}'
DONE_WITHIN_MS = 30_000
FRAME_S = 1 / 24


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Job]]:
    """A data folder with 30 videos, newest first."""
    folder = tmp_path_factory.mktemp("library")
    size = {"width": 320, "height": 176}
    first, second, short = (mp4_bytes(frames=frames, shade=20 + frames, **size) for frames in (73, 74, 49))

    def put(age_s: float, data: bytes, prompt: str, **settings: Any) -> Job:
        return put_video(folder / "data", ELSEWHERE, age_s=age_s, data=data, prompt=prompt, **settings)

    jobs = [
        put(10, first, "a heron, first", infer_steps=30, seed=5),
        put(20, second, "a heron, second", infer_steps=45, seed=5),
        put(30, short, "a short heron", video_length=49),
        put(40, mp4_bytes(), HOSTILE),
    ]
    return folder, jobs + [put(100 + index, first, f"a fox number {index}", seed=index) for index in range(26)]


@pytest.fixture(scope="module")
def app(videos: tuple[Path, list[Job]]) -> Iterator[RunningApp]:
    with running_app(videos[0]) as started:
        yield started


@pytest.fixture
def gallery(page: Page, app: RunningApp) -> Page:
    return open_gallery(page, app)


def open_gallery(page: Page, app: RunningApp, query: str = "") -> Page:
    page.set_default_timeout(15_000)
    page.goto(app.url + query)
    page.locator(".videos .switch input").check()  # it may be on already: a reload keeps it
    expect(cards(page).first).to_be_visible()
    return page


def cards(page: Page) -> Any:
    return page.locator(".posters li:visible .tile-button")


def viewer(page: Page) -> Any:
    return page.locator("dialog.viewer")


def open_first(page: Page, index: int = 0) -> Any:
    cards(page).nth(index).click()
    expect(viewer(page)).to_be_visible()
    return viewer(page)


def plays(page: Page, selector: str) -> None:
    page.wait_for_function("one => { const v = document.querySelector(one); return v.currentTime > 0.2 }", arg=selector)


def make_one(page: Page, prompt: str) -> dict[str, Any]:
    """Make a video through the page; return its JSON as the page's script received it."""
    listed: list[dict[str, Any]] = []
    page.on("response", lambda answer: listed.append({"answer": answer}) if "/hunyuan/videos?" in answer.url else None)
    page.locator("#field-prompt textarea").fill(prompt)
    number = page.locator("#field-video-length input[type=number]")
    number.fill("5")
    number.blur()
    page.locator("#generate").click()
    expect(cards(page)).to_have_count(1, timeout=DONE_WITHIN_MS)
    return page.evaluate(
        """async () => (await hunyuan.videos.ask("videos")).videos[0]""",
    )
