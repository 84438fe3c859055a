"""A deleted video: for ten seconds it can be restored, in every tab it disappears."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, Route, expect

from tests.app_process import RunningApp, running_app
from tests.browser.one_gallery import (
    ELSEWHERE,
    cards,
    make_one,
    open_first,
    open_gallery,
    plays,
    viewer,
)
from tests.browser.one_gallery import app as app
from tests.browser.one_gallery import gallery as gallery
from tests.browser.one_gallery import videos as videos
from tests.browser.steps import two_frames
from tests.shelves import put_video
from tests.videos import mp4_bytes

pytestmark = pytest.mark.slow

CLOSED = "The video that was open here was deleted in another tab."


def delete_now(page: Page, opened: Any) -> None:
    """Delete the video of an open dialog without the ten seconds in which that can be undone."""
    opened.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete now").click()


def fox(page: Page, number: int) -> Locator:
    return cards(page).filter(has=page.get_by_text(f"a fox number {number}", exact=True))


def deletions(page: Page) -> list[str]:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "DELETE" else None)
    return sent


@pytest.mark.parametrize("at", [2, 11])
def test_after_a_deletion_the_keyboard_goes_on_beside_it(page: Page, app: RunningApp, at: int) -> None:
    page.route("**/hunyuan/videos/*", lambda route: route.fulfill(json={}))  # the others' tests need these videos
    open_gallery(page, app)
    page.get_by_role("searchbox").fill("fox number 1")
    expect(cards(page)).to_have_count(12)
    page.locator(".posters li").nth(at).locator("[data-do=delete]").press("Enter")
    expect(page.get_by_role("button", name="Undo", exact=True)).to_be_focused()
    page.keyboard.press("Tab")
    with page.expect_response(lambda got: got.request.method == "DELETE"):  # not only after the route is gone
        page.keyboard.press("Enter")
    expect(page.locator(".videos .undo")).to_be_hidden()
    expect(cards(page).nth(min(at, 10))).to_be_focused()


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_what_is_done_with_the_chosen_ones_stays_in_sight_and_covers_no_focus(
    page: Page, app: RunningApp, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 640})
    open_gallery(page, app)
    page.get_by_role("button", name="Select").click()
    expect(page.get_by_text("Choose the videos")).to_be_visible()
    cards(page).nth(0).click()
    page.locator(".videos .more").scroll_into_view_if_needed()
    expect(page.locator(".posters li")).to_have_count(30)
    cards(page).nth(20).click()
    bar = page.locator(".videos .chosen")
    expect(bar).to_contain_text("Chosen: 2")
    expect(bar.get_by_role("button", name="Delete")).to_be_in_viewport(ratio=1)
    for _ in range(8):
        page.keyboard.press("Shift+Tab")
        shown, covered = (
            page.evaluate(f"document.{which}.getBoundingClientRect().toJSON()")
            for which in ("activeElement.querySelector('.tile')", "querySelector('.videos .chosen')")
        )
        assert shown["top"] >= covered["bottom"]
    before = page.evaluate("scrollY")
    bar.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("button", name="Undo", exact=True)).to_be_focused()
    assert abs(page.evaluate("scrollY") - before) < 400  # the place in the list, but for the rows that are gone
    page.get_by_role("button", name="Undo", exact=True).click()


def test_what_was_deleted_is_said_in_one_line_on_a_phone(page: Page, app: RunningApp) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    open_gallery(page, app)
    page.get_by_role("button", name="Select").click()
    for index in range(3):
        cards(page).nth(index).click()
    page.locator(".videos .chosen").get_by_role("button", name="Delete").click()
    box = page.locator(".videos .undo").bounding_box()
    assert box is not None
    assert box["height"] < 64
    assert box["x"] >= 8
    assert box["x"] + box["width"] <= 312
    assert abs(box["x"] + box["width"] / 2 - 160) < 1
    page.get_by_role("button", name="Undo", exact=True).click()


def test_a_deletion_can_be_undone_for_ten_seconds_and_is_then_for_good(gallery: Page, app: RunningApp) -> None:
    gallery.get_by_role("searchbox").fill("fox number 25")
    expect(cards(gallery)).to_have_count(1)
    sent = deletions(gallery)
    open_first(gallery).get_by_role("button", name="Delete").click()
    expect(viewer(gallery)).to_be_hidden()
    expect(cards(gallery)).to_have_count(0)
    expect(gallery.get_by_role("button", name="Undo", exact=True)).to_be_focused()
    gallery.keyboard.press("Enter")
    expect(cards(gallery)).to_have_count(1)
    expect(cards(gallery).first).to_be_focused()
    assert sent == []
    # By the page's own clock, independent of other load.
    gallery.evaluate(
        """() => {
          const { fetch } = window;
          window.fetch = (...given) => {
            if (given[1]?.method === "DELETE") window.deletedAt = performance.now();
            return fetch(...given);
          };
        }"""
    )
    gallery.locator(".posters:not([aria-disabled])").wait_for()  # the card has just come back
    press = "() => { document.querySelector('.posters [data-do=delete]').click(); return performance.now() }"
    began = gallery.evaluate(press)
    gallery.wait_for_function("window.deletedAt", timeout=30_000)
    assert gallery.evaluate("window.deletedAt") - began == pytest.approx(10_000, abs=3000)
    expect(gallery.get_by_role("button", name="Undo", exact=True)).to_be_hidden()
    gallery.reload()
    expect(gallery.get_by_role("searchbox")).to_have_value("fox number 25")
    expect(gallery.get_by_text("No prompt says that")).to_be_visible()


def test_a_page_that_is_left_deletes_what_it_said_was_deleted(gallery: Page, app: RunningApp) -> None:
    gallery.get_by_role("searchbox").fill("fox number 18")
    expect(cards(gallery)).to_have_count(1)
    gallery.locator(".posters [data-do=delete]").click()
    expect(cards(gallery)).to_have_count(0)
    gallery.reload()
    expect(gallery.get_by_role("searchbox")).to_have_value("fox number 18")
    expect(gallery.get_by_text("No prompt says that")).to_be_visible()


def test_a_page_that_is_left_deletes_more_videos_than_a_browser_has_requests_that_outlive_it(
    context: BrowserContext, tmp_path: Path
) -> None:
    data, count = mp4_bytes(), 280
    for index in range(count + 3):
        put_video(tmp_path / "data", ELSEWHERE, age_s=10 + index, data=data)
    with running_app(tmp_path) as app:
        page = open_gallery(context.new_page(), app)
        while page.locator(".posters li").count() < count:
            page.locator(".videos .more").evaluate("more => more.click()")
            page.wait_for_timeout(50)
        page.get_by_role("button", name="Select").click()
        page.wait_for_timeout(500)  # what has just appeared takes no press
        page.evaluate(
            "n => [...document.querySelectorAll('.posters .tile-button')].slice(0, n).map(b => b.click())", count
        )
        page.locator(".videos .chosen").get_by_role("button", name="Delete").click()
        expect(page.locator(".videos .undo")).to_contain_text(str(count))
        page.goto("about:blank")
        left, ends_at = count, time.monotonic() + 30
        while left > 3 and time.monotonic() < ends_at:
            time.sleep(0.1)
            left = len([*app.data_dir.glob("videos/*.mp4")])
        assert left == 3


def test_a_deletion_that_did_not_happen_is_not_shown_as_one(gallery: Page) -> None:
    gallery.get_by_role("searchbox").fill("fox number 19")
    expect(cards(gallery)).to_have_count(1)
    answers = iter([lambda route: route.abort(), lambda route: route.fulfill(status=503, json={"problem": "Not now."})])

    def refuse(route: Route) -> None:
        next(answers)(route) if route.request.method == "DELETE" else route.continue_()

    gallery.route("**/hunyuan/videos/*", refuse)
    for sentence in ("the video may still be there", "Not now."):
        delete_now(gallery, open_first(gallery))
        expect(gallery.locator(".videos .line.problem")).to_contain_text(sentence)
        expect(cards(gallery)).to_have_count(1)


def test_a_video_deleted_in_another_tab_while_it_plays_closes_and_leaves_the_grid(
    gallery: Page, app: RunningApp, context: BrowserContext
) -> None:
    gallery.get_by_role("searchbox").fill("fox number 24")
    expect(cards(gallery)).to_have_count(1)
    open_first(gallery)
    plays(gallery, ".viewer video")
    other = open_gallery(context.new_page(), app)
    other.get_by_role("searchbox").fill("fox number 24")
    expect(cards(other)).to_have_count(1)
    delete_now(other, open_first(other))
    expect(cards(other)).to_have_count(0)
    expect(viewer(gallery)).to_be_hidden()
    expect(cards(gallery)).to_have_count(0)
    expect(gallery.locator(".videos .line")).to_have_text(CLOSED)


def test_a_video_deleted_in_another_tab_is_not_offered_back(
    gallery: Page, app: RunningApp, context: BrowserContext
) -> None:
    other = open_gallery(context.new_page(), app)
    for page in (gallery, other):
        page.get_by_role("searchbox").fill("fox number 17")
        expect(cards(page)).to_have_count(1)
    gallery.locator(".posters [data-do=delete]").click()
    expect(gallery.get_by_role("button", name="Undo", exact=True)).to_be_focused()
    delete_now(other, open_first(other))
    expect(gallery.locator(".videos .undo")).to_be_hidden(timeout=5000)  # before its own ten seconds are over
    expect(gallery.get_by_role("searchbox")).to_be_focused()


def test_a_video_deleted_in_another_tab_is_no_longer_chosen_for_comparison(
    gallery: Page, app: RunningApp, context: BrowserContext
) -> None:
    box = gallery.get_by_role("searchbox")
    box.fill("fox number 2")
    expect(cards(gallery).filter(has_text="fox number 21")).to_be_visible()
    gallery.get_by_role("button", name="Select").click()
    cards(gallery).filter(has_text="fox number 21").click()
    expect(cards(gallery).filter(has_text="fox number 21").locator(".mark")).to_have_text("✓")
    other = open_gallery(context.new_page(), app)
    other.get_by_role("searchbox").fill("fox number 21")
    expect(cards(other)).to_have_count(1)
    delete_now(other, open_first(other))
    expect(cards(gallery).filter(has_text="fox number 21")).to_have_count(0)
    compared = gallery.locator("dialog.compare")
    for number, is_enabled in ((20, False), (22, True)):
        cards(gallery).filter(has_text=f"fox number {number}").click()
        expect(cards(gallery).filter(has_text=f"fox number {number}").locator(".mark")).to_have_text("✓")
        expect(gallery.get_by_role("button", name="Compare two")).to_be_enabled(enabled=is_enabled)
    gallery.get_by_role("button", name="Compare two").click()
    expect(compared).to_be_visible()
    expect(compared.locator("video").first).to_have_attribute("aria-label", "A: a fox number 20")
    expect(compared.locator("video").last).to_have_attribute("aria-label", "B: a fox number 22")


def test_a_video_deleted_in_another_tab_while_it_is_compared_closes_the_comparison(
    gallery: Page, app: RunningApp, context: BrowserContext
) -> None:
    gallery.get_by_role("searchbox").fill("fox number")
    gallery.get_by_role("button", name="Select").click()
    for number in (3, 5):
        fox(gallery, number).click()
    gallery.get_by_role("button", name="Compare two").click()
    compared = gallery.locator("dialog.compare")
    expect(compared).to_be_visible()
    other = open_gallery(context.new_page(), app)
    other.get_by_role("searchbox").fill("fox number")
    for number, is_open in ((4, True), (5, False)):
        fox(other, number).click()
        delete_now(other, viewer(other))
        expect(fox(other, number)).to_have_count(0)
        two_frames(gallery)
        expect(compared).to_be_visible(visible=is_open)
        expect(gallery.locator(".videos .line")).to_have_text("" if is_open else CLOSED)


def test_a_video_deleted_in_another_tab_leaves_the_large_screen(
    page: Page, context: BrowserContext, preview: RunningApp
) -> None:
    page.goto(preview.url)
    expect(page.get_by_text("Nothing here yet")).to_be_visible()
    make_one(page, "a wren")
    tabs = [page, context.new_page(), context.new_page()]
    for tab in tabs[1:]:
        tab.goto(preview.url)
    tabs[2].locator(".result [data-part=export]").click()
    expect(viewer(tabs[2])).to_be_visible()
    for tab in tabs:
        expect(tab.locator(".result .prompt")).to_have_text("a wren")
        expect(tab.locator("#player video")).to_have_attribute("src", re.compile(r"\.mp4\?"))
    delete_now(page, open_first(page))
    for tab in tabs:
        expect(tab.locator(".result")).to_be_hidden()
        expect(tab.locator("#player video[src], #player video[poster]")).to_have_count(0)
        expect(viewer(tab)).to_be_hidden()
        expect(cards(tab)).to_have_count(0)


def test_a_video_whose_file_is_gone_is_named_as_gone(gallery: Page, app: RunningApp) -> None:
    gallery.get_by_role("searchbox").fill("fox number 23")
    expect(cards(gallery)).to_have_count(1)
    job_id = str(gallery.locator(".posters li").get_attribute("data-id"))
    (app.data_dir / "videos" / f"{job_id}.mp4").unlink()
    open_first(gallery)
    expect(viewer(gallery).locator(".missing")).to_be_visible()
    viewer(gallery).get_by_label("What", exact=True).select_option(label="GIF")
    viewer(gallery).get_by_role("button", name="Prepare").click()
    expect(viewer(gallery).locator(".line.problem")).to_contain_text("no longer in the library")
