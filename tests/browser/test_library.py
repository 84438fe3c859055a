"""My videos in a real Chromium: gallery, one video, two in sync, settings from a file, neighbours."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

from hunyuan_ui.job import Job, new_id
from tests.app_process import RunningApp, running_app
from tests.browser.one_gallery import (
    DONE_WITHIN_MS,
    FRAME_S,
    HOSTILE,
    cards,
    open_first,
    open_gallery,
    plays,
    viewer,
)
from tests.browser.one_gallery import app as app
from tests.browser.one_gallery import gallery as gallery
from tests.browser.one_gallery import videos as videos
from tests.browser.steps import generate_short, press_escape, two_frames, until

COMPOSED = """(box, [kind, text]) => {
  box.value = text;
  box.dispatchEvent(kind === "input" ? new InputEvent(kind, { isComposing: true }) : new CompositionEvent(kind));
}"""

# the grid


def test_posters_stand_newest_first_with_length_and_a_line_of_the_prompt(gallery: Page) -> None:
    first = cards(gallery).first
    expect(first).to_contain_text("a heron, first")
    expect(first.locator(".length")).to_have_text("3.0 s")
    gallery.wait_for_function("document.querySelector('.posters img').naturalWidth > 100")
    assert re.search(r"/videos/[0-9a-f]{32}\.webp\?k=[0-9a-f]{32}$", str(first.locator("img").get_attribute("src")))


@pytest.mark.parametrize(
    ("locale", "said"),
    [
        ("en-US", r"^[A-Z][a-z]{2,3} \d+, \d{4}, \d+:\d\d\s[AP]M$"),
        ("en-GB", r"^\d+ [A-Z][a-z]{2,3} \d{4}, \d\d:\d\d$"),
        ("de-DE", r"^[A-Z][a-z]{2,3} \d+, \d{4}, \d\d:\d\d$"),
    ],
)
def test_days_and_hours_are_written_as_the_visitors_country_writes_them(
    new_visitor: Any, app: RunningApp, locale: str, said: str
) -> None:
    page = open_gallery(new_visitor(locale=locale, timezone_id="Asia/Kathmandu").new_page(), app)
    expect(cards(page).first.locator(".when")).to_have_text(re.compile(said))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_controls_of_one_clicks_videos_have_names_that_tell_them_apart(
    page: Page, app: RunningApp, language: str
) -> None:
    def of_one_click(route: Route) -> None:
        answer = route.fetch().json()
        for video in answer["videos"]:
            video["settings"]["prompt"] = "a {when} costs $& here"
            video["created_at"] = 1_700_000_000
        route.fulfill(json=answer)

    page.route("**/gradio_api/hunyuan/videos?*", of_one_click)
    open_gallery(page, app, f"?lang={language}")
    expect(cards(page)).to_have_count(24)
    names = page.locator(".posters li:visible").evaluate_all(
        """all => all.slice(4).flatMap((item) => [...item.querySelectorAll("button, a")])
          .map((one) => one.ariaLabel || one.innerText)"""
    )
    assert len(set(names)) == len(names) == 5 * 20
    assert all("a {when} costs $& here" in name for name in names), names


def test_more_videos_come_when_the_end_is_reached(gallery: Page) -> None:
    expect(cards(gallery)).to_have_count(24)
    held: list[Route] = []
    gallery.route("**/gradio_api/hunyuan/videos?*before=*", lambda route: held.append(route))
    gallery.locator(".videos .more").focus()
    until(gallery, lambda: bool(held))
    held[0].continue_()
    expect(cards(gallery)).to_have_count(30)
    expect(gallery.locator(".videos .more")).to_be_hidden()
    expect(cards(gallery).nth(24)).to_be_focused()


def test_search_narrows_the_grid_and_says_when_nothing_is_left(gallery: Page) -> None:
    box = gallery.get_by_role("searchbox", name="Search in prompts")
    box.fill("heron")
    expect(cards(gallery)).to_have_count(3)
    box.fill("no such thing")
    expect(gallery.get_by_text("No prompt says that")).to_be_visible()
    box.fill("")
    expect(cards(gallery)).to_have_count(24)
    # What an input method composes is searched for once it is written.
    for kind, data, found in (("input", "zz", 24), ("compositionend", "heron", 3)):
        box.evaluate(COMPOSED, [kind, data])
        gallery.wait_for_timeout(500)
        expect(cards(gallery)).to_have_count(found)


def test_a_prompt_is_text_and_nothing_else(gallery: Page) -> None:
    expect(gallery.get_by_text("<img src=x").first).to_be_visible()
    open_first(gallery, 3)
    expect(viewer(gallery).locator(".prompt")).to_have_text(HOSTILE)
    viewer(gallery).get_by_role("button", name="Compare with").click()
    cards(gallery).first.click()
    expect(gallery.locator("dialog.compare dd").first).to_contain_text("onerror")
    assert gallery.evaluate("window.hit") is None


def test_an_empty_gallery_says_what_will_stand_there(page: Page, app: RunningApp) -> None:
    page.goto(app.url)
    expect(page.get_by_text("Nothing here yet")).to_be_visible()
    expect(page.get_by_role("button", name="Select")).to_be_hidden()


def test_a_card_moves_while_it_has_attention_and_downloads_and_reuses_there(gallery: Page) -> None:
    moving = gallery.locator(".posters video")
    expect(moving).to_have_count(0)
    cards(gallery).nth(1).hover()
    gallery.wait_for_function("document.querySelector('.posters li:nth-child(2) video')?.currentTime > 0")
    expect(moving).to_have_count(1)
    gallery.mouse.move(0, 0)
    expect(moving).to_have_count(0)
    cards(gallery).nth(1).focus()
    gallery.keyboard.press("Tab")
    gallery.keyboard.press("Shift+Tab")
    expect(moving).to_have_count(1)
    second = gallery.locator(".posters li").nth(1)
    with gallery.expect_download() as saving:
        second.get_by_role("link", name="Download: a heron, second").click()
    assert saving.value.suggested_filename.endswith(".mp4")
    second.get_by_role("button", name="Reuse settings: a heron, second").click()
    expect(gallery.locator("#field-prompt textarea")).to_have_value("a heron, second")


def test_what_stands_on_a_tile_is_seen_while_its_video_moves(gallery: Page) -> None:
    gallery.get_by_role("button", name="Select").click()
    cards(gallery).nth(1).click()
    gallery.wait_for_function("document.querySelector('.posters li:nth-child(2) video')?.currentTime > 0")
    is_in_front = """(piece) => {
      const { x, y, width, height } = piece.getBoundingClientRect();
      return document.elementFromPoint(x + width / 2, y + height / 2) === piece;
    }"""
    for piece in (".mark", ".length"):
        assert gallery.locator(".posters li").nth(1).locator(piece).evaluate(is_in_front), piece


def only_oldest(count: int) -> Callable[[Route], None]:
    """Respond as if the newer videos did not exist yet."""

    def answer(route: Route) -> None:
        known = [*route.fetch().json()["videos"]]
        if before := route.fetch().json()["before"]:
            known += route.fetch(url=f"{route.request.url}&before={before}").json()["videos"]
        route.fulfill(json={"version": "", "videos": known[-count:], "before": None})

    return answer


def test_what_was_made_meanwhile_is_all_there_however_much_it_is(page: Page, app: RunningApp) -> None:
    page.route("**/hunyuan/videos?*", only_oldest(2))
    open_gallery(page, app)
    expect(cards(page)).to_have_count(2)
    page.unroute_all()
    page.evaluate("document.dispatchEvent(new CustomEvent('hunyuan:returned'))")
    expect(cards(page)).to_have_count(30)
    prompts = page.locator(".posters li:visible .text").all_text_contents()
    assert prompts[:3] == ["a heron, first", "a heron, second", "a short heron"]
    assert [text.split()[-1] for text in prompts[4:]] == [str(number) for number in range(26)]


def test_of_very_much_that_was_made_meanwhile_the_list_begins_anew(page: Page, app: RunningApp) -> None:
    page.route("**/hunyuan/videos?*", only_oldest(1))
    open_gallery(page, app)
    page.unroute_all()
    asked: list[str] = []

    def endless(route: Route) -> None:
        """Respond as if there were hundreds: each page has other ids."""
        asked.append(route.request.url)
        told = route.fetch(url=route.request.url.split("&before")[0]).json()
        videos = [{**video, "id": new_id()} for video in told["videos"]]
        route.fulfill(json={**told, "videos": videos, "before": f"{len(asked)}"})

    page.route("**/hunyuan/videos?*", endless)
    page.evaluate("document.dispatchEvent(new CustomEvent('hunyuan:returned'))")
    expect(cards(page)).to_have_count(24)
    assert len([url for url in asked if "search" not in url]) == 3
    assert "search" in asked[3]
    page.unroute_all()


def test_of_two_quick_presses_of_a_star_the_last_holds(gallery: Page) -> None:
    held: list[Route] = []
    gallery.route("**/favourite", lambda route: held.append(route))
    star = gallery.locator(".posters li").first.locator(".star")
    was = star.get_attribute("aria-pressed") == "true"
    star.click()
    star.click()
    for number, wished in enumerate((not was, was), 1):
        until(gallery, lambda number=number: len(held) == number)
        assert held[-1].request.post_data_json == {"is_favourite": wished}
        held[-1].continue_()
    expect(star).to_have_attribute("aria-pressed", str(was).lower())
    gallery.unroute_all()


def test_favourites_outlive_the_page_and_are_found_by_shape_too(gallery: Page, app: RunningApp) -> None:
    marked = gallery.locator(".posters li").nth(2)
    star = marked.locator("[data-do=star]")
    expect(star).to_have_attribute("aria-pressed", "false")
    with gallery.expect_response(lambda answer: answer.url.endswith("/favourite")):
        star.click()
    expect(star).to_have_attribute("aria-pressed", "true")
    open_gallery(gallery, app)
    gallery.get_by_role("button", name="Favourites").click()
    expect(cards(gallery)).to_have_count(1)
    expect(cards(gallery)).to_contain_text("a short heron")
    shape = gallery.get_by_label("Shape of the videos")
    shape.select_option(label="Tall")
    expect(gallery.get_by_text("No video here is like that")).to_be_visible()
    shape.select_option(label="Wide")
    expect(cards(gallery)).to_have_count(1)
    with gallery.expect_response(lambda answer: answer.url.endswith("/favourite")):
        gallery.locator(".posters [data-do=star]").click()
    gallery.get_by_role("searchbox").fill("heron short")
    expect(gallery.get_by_text("No prompt says that")).to_be_visible()
    gallery.get_by_role("button", name="Favourites").click()
    expect(cards(gallery)).to_have_count(1)


def test_several_are_downloaded_and_deleted_at_once_and_come_back_together(gallery: Page) -> None:
    gallery.get_by_role("searchbox").fill("fox number 1")
    expect(cards(gallery)).to_have_count(12)
    gallery.get_by_role("button", name="Select").click()
    cards(gallery).nth(0).click()
    gallery.locator(".chosen [data-part=delete]").press("Escape")
    expect(gallery.get_by_role("button", name="Select")).to_be_focused()
    gallery.keyboard.press("Enter")
    for index in (0, 3):
        cards(gallery).nth(index).click()
    gallery.locator(".chosen [data-part=compare]").press("Enter")
    expect(gallery.locator("dialog.compare")).to_be_visible()
    press_escape(gallery, gallery.locator("dialog.compare"))
    expect(gallery.get_by_role("button", name="Select")).to_be_focused()
    gallery.keyboard.press("Enter")
    for index in (0, 3):
        cards(gallery).nth(index).click()
    expect(gallery.locator(".chosen")).to_contain_text("Chosen: 2")
    saved: list[str] = []
    gallery.on("download", lambda download: saved.append(download.suggested_filename))
    gallery.locator(".chosen [data-part=download]").click()
    for _ in range(80):
        if len(saved) < 2:
            gallery.wait_for_timeout(250)
    assert len(set(saved)) == 2
    gallery.locator(".chosen [data-part=delete]").click()
    expect(cards(gallery)).to_have_count(10)
    gallery.get_by_role("button", name="Undo", exact=True).click()
    expect(cards(gallery)).to_have_count(12)
    expect(gallery.locator(".chosen")).to_be_hidden()


def test_escape_clears_a_search_before_it_ends_the_choosing(gallery: Page) -> None:
    gallery.get_by_role("button", name="Select").click()
    cards(gallery).nth(5).click()
    search = gallery.get_by_role("searchbox")
    search.fill("fox number 1")
    expect(cards(gallery)).to_have_count(12)
    for text, choosing in (("", "true"), ("", "false")):
        search.press("Escape")
        expect(search).to_have_value(text)
        expect(gallery.get_by_role("button", name="Select")).to_have_attribute("aria-pressed", choosing)


# one video


def test_a_video_opens_plays_and_closes_by_keyboard_alone(gallery: Page) -> None:
    cards(gallery).first.focus()
    gallery.keyboard.press("Enter")
    expect(viewer(gallery)).to_be_visible()
    plays(gallery, ".viewer video")
    assert gallery.url.endswith("?job=" + str(gallery.locator(".posters li").first.get_attribute("data-id")))
    expect(viewer(gallery)).to_be_focused()
    gallery.keyboard.press("ArrowRight")
    expect(viewer(gallery).locator(".prompt")).to_have_text("a heron, second")
    gallery.keyboard.press("ArrowLeft")
    expect(viewer(gallery).locator(".prompt")).to_have_text("a heron, first")
    gallery.keyboard.press("Escape")
    expect(viewer(gallery)).to_be_hidden()
    expect(cards(gallery).first).to_be_focused()
    expect(gallery).not_to_have_url(re.compile("job="))


@pytest.mark.parametrize("first", [0, 22])
def test_arrows_lead_through_every_page_and_the_focus_returns_to_the_last_one_shown(gallery: Page, first: int) -> None:
    opened = open_first(gallery, first)
    for index in range(first + 1, 30):
        gallery.keyboard.press("ArrowRight")
        shown = gallery.locator(".posters li").nth(index).get_attribute("data-id")
        expect(gallery).to_have_url(re.compile(f"job={shown}"))
    expect(opened.get_by_role("button", name="Older video")).to_be_disabled()
    press_escape(gallery, opened)
    expect(cards(gallery).nth(29)).to_be_focused()
    expect(cards(gallery).nth(29)).to_be_in_viewport()


@pytest.mark.parametrize("is_back", [False, True], ids=["to the next", "back from the newest"])
def test_a_step_to_a_video_that_is_not_listed_yet_is_made_once_it_is(gallery: Page, is_back: bool) -> None:
    held: list[Route] = []
    gallery.route("**/gradio_api/hunyuan/videos?*before=*", lambda route: held.append(route))
    gallery.reload()
    expect(cards(gallery)).to_have_count(24)
    opened = open_first(gallery, 23)
    until(gallery, lambda: held)
    for _ in range(24 if is_back else 1):
        gallery.keyboard.press("ArrowLeft" if is_back else "ArrowRight")
    expect(gallery).to_have_url(re.compile(f"job={id_of(gallery, 0 if is_back else 23)}$"))
    for route in held:
        route.continue_()
    expect(cards(gallery)).to_have_count(30)
    shown = id_of(gallery, 0 if is_back else 24)
    expect(gallery).to_have_url(re.compile(f"job={shown}$"))
    two_frames(gallery)
    assert gallery.url.endswith(shown)
    expect(opened.get_by_role("button", name="Older video")).to_be_enabled()


def id_of(page: Page, index: int) -> str:
    return str(page.locator(".posters li").nth(index).get_attribute("data-id"))


def test_comma_and_full_stop_step_frames(gallery: Page) -> None:
    open_first(gallery)
    plays(gallery, ".viewer video")
    gallery.keyboard.press(".")
    settled = "() => { const v = document.querySelector('.viewer video'); return v.paused && !v.seeking }"
    time_of = "document.querySelector('.viewer video').currentTime"
    gallery.wait_for_function(settled)
    before = gallery.evaluate(time_of)
    for key, by in ((".", 1), (".", 2), (",", 1)):
        gallery.keyboard.press(key)
        gallery.wait_for_function(settled)
        assert gallery.evaluate(time_of) == pytest.approx(before + by * FRAME_S, abs=0.002)


@pytest.mark.parametrize("status", [413, 502])
def test_an_answer_of_something_between_is_named_by_its_status(gallery: Page, status: int) -> None:
    gallery.route(
        "**/gradio_api/hunyuan/videos?*",
        lambda route: route.fulfill(status=status, content_type="text/html", body="no"),
    )
    gallery.get_by_role("searchbox", name="Search in prompts").fill("heron")
    expect(gallery.locator(".videos .line")).to_contain_text(f"answered with status {status}")


def test_a_search_without_a_line_is_made_up_for_once_there_is_one(gallery: Page) -> None:
    gallery.context.set_offline(True)
    gallery.locator(".videos").get_by_role("searchbox").fill("heron")
    expect(gallery.locator(".videos .line")).to_contain_text("No answer from this page's server")
    gallery.context.set_offline(False)
    expect(cards(gallery)).to_have_count(3)
    expect(gallery.locator(".videos .line")).to_be_empty()


def test_what_was_said_of_a_lost_line_goes_with_its_cause(gallery: Page) -> None:
    gallery.context.set_offline(True)
    gallery.locator(".star").first.click()
    expect(gallery.locator(".videos .line")).to_contain_text("No answer from this page's server")
    gallery.context.set_offline(False)
    expect(gallery.locator(".videos .line")).to_be_empty()


def test_the_address_opens_ones_own_video(page: Page, app: RunningApp, videos: tuple[Path, list[Job]]) -> None:
    page.goto(f"{app.url}?job={videos[1][1].id}")
    expect(viewer(page).locator(".prompt")).to_have_text("a heron, second")
    page.goto(f"{app.url}?job={new_id()}")
    expect(page.get_by_text("There is no such video for you")).to_be_in_viewport()
    expect(viewer(page)).to_be_hidden()
    expect(page).not_to_have_url(re.compile("job="))  # a reload would say it again


def test_reuse_fills_the_form_with_the_seed_and_new_seed_leaves_it_to_chance(gallery: Page) -> None:
    open_first(gallery, 1).get_by_role("button", name="Reuse settings").click()
    expect(viewer(gallery)).to_be_hidden()
    expect(gallery.locator("#field-prompt textarea")).to_have_value("a heron, second")
    expect(gallery.get_by_label("Seed", exact=True)).to_have_value("5")
    expect(gallery.locator("#is-random input")).not_to_be_checked()
    expect(gallery.locator("#field-prompt textarea")).to_be_focused()
    open_first(gallery, 1).get_by_role("button", name="New seed").click()
    expect(gallery.locator("#is-random input")).to_be_checked()


def test_change_one_thing_goes_to_that_control_with_everything_else_kept(gallery: Page) -> None:
    open_first(gallery, 1).get_by_label("Change one thing").select_option(label="Steps")
    steps = gallery.locator("#field-infer-steps input[type=number]")
    expect(steps).to_be_focused()
    expect(steps).to_have_value("45")
    expect(gallery.get_by_label("Seed", exact=True)).to_have_value("5")
    expect(gallery.locator("#is-random input")).not_to_be_checked()


def test_an_export_shows_its_size_before_it_is_saved(gallery: Page, tmp_path: Path) -> None:
    opened = open_first(gallery)
    opened.get_by_label("What", exact=True).select_option(label="GIF")
    opened.get_by_label("Size", exact=True).select_option("320")
    make = opened.get_by_role("button", name="Prepare")
    gallery.route("**/export.gif*", lambda route: route.abort(), times=1)
    make.press("Enter")
    expect(opened.locator(".line.problem")).to_be_visible()
    expect(make).to_be_focused()
    make.click()
    link = opened.get_by_role("link", name=re.compile(r"Download · [\d.]+ [kM]?B"))
    expect(link).to_be_visible()
    said = link.inner_text()
    with gallery.expect_download() as saving:
        link.click()
    assert saving.value.suggested_filename == "hunyuan-video-320x176-seed-5.gif"
    saving.value.save_as(tmp_path / "saved.gif")
    with Image.open(tmp_path / "saved.gif") as picture:
        assert (picture.format, picture.size) == ("GIF", (320, 176))
    shown = re.search(r"([\d.]+) ([kM]?)B", said)
    assert shown is not None
    bytes_shown = float(shown[1]) * {"": 1, "k": 1e3, "M": 1e6}[shown[2]]
    assert bytes_shown == pytest.approx((tmp_path / "saved.gif").stat().st_size, rel=0.005)
    opened.get_by_label("Size", exact=True).select_option("480")
    expect(link).to_be_hidden()


@pytest.mark.parametrize("keeps", [True, False])
def test_a_saved_video_carries_its_settings_unless_switched_off(gallery: Page, tmp_path: Path, keeps: bool) -> None:
    opened = open_first(gallery)
    opened.get_by_label("Keep prompt and settings inside the file").set_checked(keeps)
    expect(opened.get_by_role("button", name="Prepare")).to_be_hidden()
    with gallery.expect_download() as saving:
        opened.get_by_role("link", name=re.compile("Download")).click()
    saving.value.save_as(tmp_path / "saved.mp4")
    assert (b"heron" in (tmp_path / "saved.mp4").read_bytes()) is keeps


def test_the_current_frame_is_saved_as_a_picture(gallery: Page, tmp_path: Path) -> None:
    opened = open_first(gallery)
    plays(gallery, ".viewer video")
    gallery.evaluate("() => { const v = document.querySelector('.viewer video'); v.pause(); v.currentTime = 2.0 }")
    opened.get_by_label("What", exact=True).select_option(label="This frame (PNG)")
    opened.get_by_role("button", name="Prepare").click()
    with gallery.expect_download() as saving:
        opened.get_by_role("link", name=re.compile("Download")).click()
    assert "at=2.000" in saving.value.url
    gallery.keyboard.press(".")
    expect(opened.get_by_role("button", name="Prepare")).to_be_focused()
    saving.value.save_as(tmp_path / "frame.png")
    with Image.open(tmp_path / "frame.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (320, 176))


@pytest.mark.slow
def test_a_browser_without_a_decoder_says_so_and_still_downloads(page: Page, tmp_path: Path) -> None:
    page.add_init_script("HTMLMediaElement.prototype.canPlayType = () => ''")
    with running_app(tmp_path) as app:
        page.goto(app.url)
        generate_short(page)
        expect(page.locator("#part-result")).to_contain_text("no decoder for this video")
        open_first(page)
        plays(page, ".viewer video")  # what plays later takes the sentence back
        page.locator(".viewer video").dispatch_event("error")
        expect(page.locator(".viewer [data-part=missing]")).to_contain_text("no decoder for this video")
        expect(page.locator("#part-result [data-part=download]")).to_be_attached()


def test_three_variations_are_three_jobs_with_the_next_seeds(page: Page, tmp_path: Path) -> None:
    with running_app(tmp_path) as app:
        page.goto(app.url)
        expect(page.get_by_text("Nothing here yet")).to_be_visible()
        page.locator("#field-prompt textarea").fill("a heron three times")
        number = page.locator("#field-video-length input[type=number]")
        number.fill("5")
        number.blur()
        page.locator("#is-random input").uncheck()
        page.get_by_label("Seed", exact=True).fill("100")
        page.locator("#variations").get_by_label("3", exact=True).check()
        expect(page.locator("#generate")).to_contain_text("Generate 3")
        page.locator("#generate").dblclick()
        expect(cards(page)).to_have_count(3, timeout=DONE_WITHIN_MS)
        answer = page.evaluate("""async () => (await hunyuan.videos.ask("videos")).videos""")
        assert sorted(video["settings"]["seed"] for video in answer) == [100, 101, 102]
        assert {video["settings"]["prompt"] for video in answer} == {"a heron three times"}
