"""Videos that the browser does not play: the messages about them, and that they play once they can."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from hunyuan_ui.job import new_id
from tests.app_process import RunningApp, running_app
from tests.browser.one_gallery import cards, open_first, plays, viewer
from tests.shelves import put_video
from tests.videos import encoded_bytes, mp4_bytes

pytestmark = pytest.mark.slow

SIZE = {"width": 320, "height": 176}
NOT_PLAYED = "This browser cannot play this file: it lacks the decoder, or the file is damaged."
GONE = "no longer in the library"
NO_ANSWER = "No answer from this page's server. Nothing is lost"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[RunningApp]:
    """A page with a video of the usual codec, and an older one as OpenCV writes it by default."""
    put_video(tmp_path / "data", new_id(), age_s=10, data=mp4_bytes(frames=49, **SIZE), prompt="of the usual kind")
    put_video(tmp_path / "data", new_id(), age_s=20, data=encoded_bytes("mp4", "mpeg4", **SIZE), prompt="of MPEG-4")
    with running_app(tmp_path) as started:
        yield started


@pytest.fixture
def gallery(page: Page, app: RunningApp) -> Page:
    page.goto(app.url)
    page.locator(".videos .switch").click()
    expect(cards(page)).to_have_count(2)
    return page


def files_fail(page: Page, fail: Any) -> None:
    page.route("**/videos/*.mp4?*", fail)


def test_a_video_that_the_browser_has_no_decoder_for_is_named_so_and_not_as_gone(gallery: Page) -> None:
    opened = open_first(gallery, 1)
    expect(opened.locator(".missing")).to_contain_text(NOT_PLAYED)
    expect(opened.locator("video")).to_be_hidden()
    opened.locator("[data-part=previous]").click()
    plays(gallery, ".viewer video")
    expect(opened.locator(".missing")).to_be_hidden()


def test_a_damaged_file_is_not_blamed_on_the_browser_alone(gallery: Page, app: RunningApp) -> None:
    for file in (app.data_dir / "videos").glob("*.mp4"):
        os.truncate(file, 3000)
    expect(open_first(gallery).locator(".missing")).to_contain_text("or the file is damaged")


def test_of_two_videos_the_one_without_a_decoder_is_named(gallery: Page) -> None:
    gallery.get_by_role("button", name="Select").click()
    cards(gallery).nth(0).click()
    cards(gallery).nth(1).click()
    gallery.get_by_role("button", name="Compare").last.click()
    expect(gallery.locator(".compare .line")).to_have_text(f"B: {NOT_PLAYED} Download it and try another player.")


def test_the_large_view_waits_for_a_server_that_does_not_answer(gallery: Page) -> None:
    files_fail(gallery, lambda route: route.abort())
    opened = open_first(gallery)
    expect(opened.locator(".missing")).to_contain_text(NO_ANSWER)
    gallery.unroute_all()
    plays(gallery, ".viewer video")
    expect(opened.locator(".missing")).to_be_hidden()


@pytest.mark.parametrize("status", [502, 429])
def test_what_a_proxy_answers_does_not_make_a_video_gone(gallery: Page, status: int) -> None:
    files_fail(gallery, lambda route: route.fulfill(status=status, content_type="text/html", body="busy"))
    opened = open_first(gallery)
    expect(opened.locator(".missing")).to_contain_text(NO_ANSWER)


def test_a_file_that_is_gone_is_named_as_gone(gallery: Page, app: RunningApp) -> None:
    for path in (app.data_dir / "videos").glob("*.mp4"):
        path.unlink()
    expect(open_first(gallery).locator(".missing")).to_contain_text(GONE)


def ask_for_short(page: Page) -> None:
    page.locator("#field-prompt textarea").fill("a boat")
    number = page.locator("#field-video-length input[type=number]")
    number.fill("5")
    number.blur()


def test_the_player_says_why_it_shows_nothing_until_it_does(gallery: Page) -> None:
    ask_for_short(gallery)
    left = [2]

    def undecodable(route: Route) -> None:
        if not left[0]:
            return route.continue_()
        left[0] -= route.request.headers.get("range") != "bytes=0-0"
        return route.fulfill(status=200, content_type="video/mp4", body=encoded_bytes("mp4", "mpeg4", **SIZE))

    files_fail(gallery, undecodable)
    gallery.locator("#generate").click()
    expect(gallery.locator(".result [data-part=unplayed]")).to_contain_text(NOT_PLAYED)
    plays(gallery, "#player video")
    expect(gallery.locator(".result [data-part=unplayed]")).to_be_hidden()
    expect(viewer(gallery)).to_be_hidden()


def test_the_player_names_no_time_and_seeks_nowhere_until_it_knows_the_length(gallery: Page) -> None:
    errors: list[str] = []
    gallery.on("pageerror", lambda error: errors.append(error.message))
    files_fail(gallery, lambda route: route.abort())
    ask_for_short(gallery)
    gallery.locator("#generate").click()
    expect(gallery.locator(".result [data-part=unplayed]")).to_contain_text(NO_ANSWER)
    time = gallery.locator("#player .time")
    expect(time).to_have_count(1)
    expect(time).to_be_hidden()
    for key in ("ArrowRight", "ArrowLeft"):
        gallery.locator("#player .controls [role=button]").first.press(key)
    assert errors == []
    gallery.unroute_all()
    plays(gallery, "#player video")
    expect(time).to_be_visible()
    expect(time).to_have_text(re.compile(r"0:00 / 0:00"))
