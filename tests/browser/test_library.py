"""My videos in a real Chromium: gallery, one video, two in step, settings from a file, neighbours."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from hunyuan_ui.job import Job, new_id
from hunyuan_ui.media import settings_tag as settings_tag
from hunyuan_ui.request import VideoRequest
from tests.app_process import RunningApp, running_app
from tests.browser.steps import generate_short
from tests.shelves import put_video
from tests.videos import mp4_bytes

ELSEWHERE = new_id()  # the visitor whose browser storage was cleared
HOSTILE = '<img src=x onerror="window.hit=1"><script>window.hit=1</script> ${window.hit=1} {{7*7}}'
FRAME_S = 1 / 24
DONE_WITHIN_MS = 30_000


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
    page.locator(".videos .switch").click()
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


# the grid


def test_posters_stand_newest_first_with_length_and_a_line_of_the_prompt(gallery: Page) -> None:
    first = cards(gallery).first
    expect(first).to_contain_text("a heron, first")
    expect(first.locator(".length")).to_have_text("3.0 s")
    gallery.wait_for_function("document.querySelector('.posters img').naturalWidth > 100")
    assert re.search(r"/videos/[0-9a-f]{32}\.webp\?k=[0-9a-f]{32}$", str(first.locator("img").get_attribute("src")))


def test_more_videos_come_when_the_end_is_reached(gallery: Page) -> None:
    assert cards(gallery).count() == 24
    cards(gallery).nth(23).scroll_into_view_if_needed()
    expect(cards(gallery)).to_have_count(30)
    expect(gallery.locator(".videos .more")).to_be_hidden()


def test_search_narrows_the_grid_and_says_when_nothing_is_left(gallery: Page) -> None:
    box = gallery.get_by_role("searchbox", name="Search in prompts")
    box.fill("heron")
    expect(cards(gallery)).to_have_count(3)
    box.fill("no such thing")
    expect(gallery.get_by_text("No prompt says that")).to_be_visible()
    box.fill("")
    expect(cards(gallery)).to_have_count(24)


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
    shape = gallery.get_by_label("Any shape")
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
    assert "job=" not in gallery.url


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


def test_the_browsers_back_closes_a_dialog_and_stays(gallery: Page) -> None:
    address = gallery.url
    open_first(gallery)
    gallery.go_back()
    expect(viewer(gallery)).to_be_hidden()
    assert gallery.url == address
    open_first(gallery, 1).get_by_role("button", name="Compare with").click()
    cards(gallery).first.click()
    expect(gallery.locator("dialog.compare")).to_be_visible()
    gallery.go_back()
    expect(gallery.locator("dialog.compare")).to_be_hidden()
    open_first(gallery)
    gallery.reload()
    expect(viewer(gallery)).to_be_visible()
    gallery.go_back()
    expect(viewer(gallery)).to_be_hidden()
    assert gallery.url == address


def test_a_dialog_that_was_closed_leaves_no_step_behind(gallery: Page) -> None:
    gallery.evaluate("window.marked = true")
    before = gallery.evaluate("history.length")
    for _ in range(3):
        open_first(gallery)
        gallery.keyboard.press("Escape")
        expect(viewer(gallery)).to_be_hidden()
        gallery.wait_for_function("!history.state?.hunyuan_dialog")
    assert gallery.evaluate("history.length") <= before + 1
    open_first(gallery).get_by_role("button", name="Reuse settings").click()
    expect(gallery.locator("#field-prompt textarea")).to_be_in_viewport()
    assert gallery.evaluate("window.marked")


@pytest.mark.parametrize("status", [413, 502])
def test_an_answer_of_something_between_is_named_by_its_status(gallery: Page, status: int) -> None:
    gallery.route(
        "**/gradio_api/hunyuan/videos?*",
        lambda route: route.fulfill(status=status, content_type="text/html", body="no"),
    )
    gallery.get_by_role("searchbox", name="Search in prompts").fill("heron")
    expect(gallery.locator(".videos .line")).to_contain_text(f"answered with status {status}")


def test_the_address_opens_ones_own_video(page: Page, app: RunningApp, videos: tuple[Path, list[Job]]) -> None:
    page.goto(f"{app.url}?job={videos[1][1].id}")
    expect(viewer(page).locator(".prompt")).to_have_text("a heron, second")
    page.goto(f"{app.url}?job={new_id()}")
    expect(page.get_by_text("There is no such video for you")).to_be_visible()
    expect(viewer(page)).to_be_hidden()


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
    opened.get_by_role("button", name="Prepare").click()
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
    opened.get_by_role("button", name="Prepare").click()
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
    saving.value.save_as(tmp_path / "frame.png")
    with Image.open(tmp_path / "frame.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (320, 176))


def delete_now(page: Page, opened: Any) -> None:
    """Delete the video of an open dialog without the ten seconds in which that can be undone."""
    opened.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete now").click()


def deletions(page: Page) -> list[str]:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "DELETE" else None)
    return sent


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
    # By the page's own clock, whatever else this machine does.
    gallery.evaluate(
        """() => {
          const { fetch } = window;
          window.fetch = (...given) => {
            if (given[1]?.method === "DELETE") window.deletedAt = performance.now();
            return fetch(...given);
          };
        }"""
    )
    press = "() => { document.querySelector('.posters [data-do=delete]').click(); return performance.now() }"
    began = gallery.evaluate(press)
    gallery.wait_for_function("window.deletedAt", timeout=30_000)
    assert gallery.evaluate("window.deletedAt") - began == pytest.approx(10_000, abs=3000)
    expect(gallery.get_by_role("button", name="Undo", exact=True)).to_be_hidden()
    open_gallery(gallery, app)
    gallery.get_by_role("searchbox").fill("fox number 25")
    expect(gallery.get_by_text("No prompt says that")).to_be_visible()


def test_a_page_that_is_left_deletes_what_it_said_was_deleted(gallery: Page, app: RunningApp) -> None:
    gallery.get_by_role("searchbox").fill("fox number 18")
    expect(cards(gallery)).to_have_count(1)
    gallery.locator(".posters [data-do=delete]").click()
    expect(cards(gallery)).to_have_count(0)
    open_gallery(gallery, app)
    gallery.get_by_role("searchbox").fill("fox number 18")
    expect(gallery.get_by_text("No prompt says that")).to_be_visible()


def test_a_deletion_that_did_not_happen_is_not_shown_as_one(gallery: Page) -> None:
    gallery.get_by_role("searchbox").fill("fox number 19")
    expect(cards(gallery)).to_have_count(1)
    answers = iter([lambda route: route.abort(), lambda route: route.fulfill(status=503, json={"problem": "Not now."})])

    def refuse(route: Route) -> None:
        next(answers)(route) if route.request.method == "DELETE" else route.continue_()

    gallery.route("**/hunyuan/videos/*", refuse)
    for sentence in ("The video itself is untouched", "Not now."):
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


# settings from a file


def dropped(page: Page, data: bytes, name: str = "clip.mp4") -> None:
    page.evaluate(
        """([data, name]) => {
            const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([bytes], name, { type: "video/mp4" }));
            const target = document.querySelector("#field-prompt");
            for (const kind of ["dragenter", "dragover", "drop"])
                target.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer }));
        }""",
        [base64.b64encode(data).decode(), name],
    )


def tagged(folder: Path, **settings: Any) -> bytes:
    (folder / "plain.mp4").write_bytes(mp4_bytes(width=320, height=176, frames=73))
    settings_tag.write(folder / "plain.mp4", folder / "tagged.mp4", VideoRequest.parse(settings))
    return (folder / "tagged.mp4").read_bytes()


def test_dropping_an_mp4_on_the_page_restores_the_form(gallery: Page, tmp_path: Path) -> None:
    dropped(gallery, tagged(tmp_path, prompt=HOSTILE, seed=123, infer_steps=33, width=720, height=720))
    expect(gallery.locator("#field-prompt textarea")).to_have_value(HOSTILE)
    expect(gallery.get_by_label("Seed", exact=True)).to_have_value("123")
    expect(gallery.locator("#is-random input")).not_to_be_checked()
    expect(gallery.locator("#made-as")).to_contain_text("720x720")
    expect(gallery.get_by_text("The settings are in the form")).to_be_visible()
    expect(gallery.locator(".landing:visible")).to_have_count(0)
    assert gallery.evaluate("window.hit") is None


def test_a_chosen_file_restores_the_form_too(gallery: Page, tmp_path: Path) -> None:
    tagged(tmp_path, prompt="from a chosen file", seed=77)
    gallery.locator(".videos input[type=file]").set_input_files(tmp_path / "tagged.mp4")
    expect(gallery.locator("#field-prompt textarea")).to_have_value("from a chosen file")


def test_of_a_large_file_the_settings_alone_are_sent(gallery: Page, tmp_path: Path) -> None:
    padding = (3_000_008).to_bytes(4, "big") + b"free" + bytes(3_000_000)
    sent: list[int] = []
    gallery.on("request", lambda request: sent.append(len(request.post_data_buffer or b"")))
    dropped(gallery, tagged(tmp_path, prompt="a large file") + padding)
    expect(gallery.locator("#field-prompt textarea")).to_have_value("a large file")
    assert 0 < max(sent) < 4096


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("foreign", "No settings of this app were found"),
        ("cut short", "the file ends too early"),
        ("html", "not an MP4 or QuickTime file"),
        ("bomb", "not an MP4 or QuickTime file"),
        ("hostile", "cannot be used"),
        ("ComfyUI's", "seem to be ComfyUI's"),
    ],
)
def test_any_other_file_gets_a_sentence_and_the_form_stays(
    gallery: Page, tmp_path: Path, name: str, words: str
) -> None:
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    whole = tagged(tmp_path, prompt="x", infer_steps=40)
    files = {
        "foreign": mp4_bytes(),
        "cut short": mp4_bytes()[:-9],
        "html": b"<script>window.hit=1</script>",
        "bomb": (tmp_path / "bomb.png").read_bytes(),
        "hostile": whole.replace(b'"infer_steps": 40', b'"infer_steps": 99'),
        "ComfyUI's": whole.replace(b'{"hunyuan_ui": 1,', b'{"class_type": 1,'),
    }
    gallery.locator("#field-prompt textarea").fill("what I was writing")
    dropped(gallery, files[name])
    expect(gallery.locator(".videos .line.problem")).to_contain_text(words)
    expect(gallery.locator("#field-prompt textarea")).to_have_value("what I was writing")
    assert gallery.evaluate("window.hit") is None


# two in step

MEASURE = """async (ms) => {
    const [a, b] = document.querySelectorAll(".compare video");
    const began = performance.now();
    const apart = [], times = [];
    while (performance.now() - began < ms) {
        await new Promise(requestAnimationFrame);
        if (a.paused || b.paused || a.seeking || b.seeking) continue;
        apart.push(Math.abs(a.currentTime - b.currentTime));
        times.push(a.currentTime);
    }
    return { apart, times };
}"""


def compare(page: Page, left: int, right: int) -> Any:
    page.get_by_role("button", name="Select").click()
    cards(page).nth(left).click()
    cards(page).nth(right).click()
    page.get_by_role("button", name="Compare two").click()
    dialog = page.locator("dialog.compare")
    expect(dialog).to_be_visible()
    plays(page, ".compare video")
    return dialog


def test_two_videos_stay_in_step_within_a_frame_through_a_loop(gallery: Page) -> None:
    compare(gallery, 0, 1)
    measured = gallery.evaluate(MEASURE, 7000)
    assert len(measured["apart"]) > 50
    assert max(measured["apart"]) <= FRAME_S
    times = measured["times"]
    assert any(later < earlier for earlier, later in pairwise(times)), "it did not loop"


# The second one is a frame longer, so it leads and the first one has to come back.
THROW = """async (by) => {
    const [follower, leader] = document.querySelectorAll(".compare video");
    const until = async (is) => { while (!is()) await new Promise(requestAnimationFrame); };
    const isOn = () => !follower.paused && !leader.paused && !follower.seeking;
    await until(() => leader.currentTime > 0.7 && leader.currentTime < 0.9 && isOn());
    follower.currentTime += by;
    await until(() => leader.currentTime > 1.9 || leader.currentTime < 0.6);
    return [leader.currentTime, follower.currentTime];
}"""


@pytest.mark.parametrize("by", [0.15, 0.6, -0.6])
def test_a_video_that_was_thrown_out_of_step_comes_back_before_the_loop_ends(gallery: Page, by: float) -> None:
    compare(gallery, 0, 1)
    leader, follower = gallery.evaluate(THROW, by)
    assert leader > 1.9
    assert follower == pytest.approx(leader, abs=FRAME_S)


def test_frame_keys_step_both_videos_by_one_frame(gallery: Page) -> None:
    dialog = compare(gallery, 0, 1)
    dialog.get_by_role("button", name="Pause").click()
    times = "[...document.querySelectorAll('.compare video')].map((video) => video.currentTime)"
    settled = "[...document.querySelectorAll('.compare video')].every((video) => video.paused && !video.seeking)"
    gallery.wait_for_function(settled)
    before = gallery.evaluate(times)
    assert before[0] == pytest.approx(before[1], abs=0.001)
    for key, by in ((".", 1), (".", 2), (",", 1)):
        gallery.keyboard.press(key)
        gallery.wait_for_function(settled)
        now = gallery.evaluate(times)
        assert now == pytest.approx([before[0] + by * FRAME_S] * 2, abs=0.002)
    dialog.get_by_label("Time in both videos").fill("0")
    gallery.wait_for_function(settled)
    assert gallery.evaluate(times) == pytest.approx([FRAME_S / 2] * 2, abs=0.002)


def test_only_what_differs_is_listed(gallery: Page) -> None:
    dialog = compare(gallery, 0, 1)
    expect(dialog.locator("dt")).to_have_text(["Prompt", "Steps"])
    expect(dialog.locator("dd").nth(1)).to_have_text("30 → 45")


def test_the_shorter_video_rests_on_its_last_frame_until_the_longer_one_ends(gallery: Page) -> None:
    compare(gallery, 0, 2)
    gallery.wait_for_function(
        """() => {
            const [long, short] = document.querySelectorAll(".compare video");
            return long.currentTime > short.duration + 0.3 && short.currentTime > short.duration - 0.1;
        }"""
    )
    gallery.wait_for_function("document.querySelectorAll('.compare video')[1].currentTime < 0.6")


def test_a_browser_without_a_decoder_says_so_and_still_downloads(page: Page, tmp_path: Path) -> None:
    page.add_init_script("HTMLMediaElement.prototype.canPlayType = () => ''")
    with running_app(tmp_path) as app:
        page.goto(app.url)
        generate_short(page)
        expect(page.locator("#part-result")).to_contain_text("no decoder for H.264")
        open_first(page)
        page.locator(".viewer video").dispatch_event("error")
        expect(page.locator(".viewer [data-part=missing]")).to_contain_text("no decoder for H.264")
        expect(page.locator("#part-result [data-part=download]")).to_be_attached()


# several seeds in one click


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


# neighbours


@pytest.fixture(scope="module")
def public_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    with running_app(tmp_path_factory.mktemp("public"), script="tests/public_app.py") as started:
        yield started


def make_one(page: Page, prompt: str) -> dict[str, Any]:
    """Make a video through the page; return it as the page's own script was told of it."""
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


def test_two_visitors_cannot_see_fetch_or_delete_each_others_videos(browser: Browser, public_app: RunningApp) -> None:
    alice, bob = (browser.new_context().new_page() for _ in range(2))
    for page in (alice, bob):
        page.goto(public_app.url)
        expect(page.get_by_text("Nothing here yet")).to_be_visible()
        expect(page.get_by_text("All videos on this computer", exact=True)).to_be_hidden()
    alices, bobs = make_one(alice, "a secret of Alice's"), make_one(bob, "a secret of Bob's")
    assert alices["id"] != bobs["id"]
    bob.reload()
    expect(cards(bob)).to_have_count(1)
    expect(cards(bob).first).to_contain_text("Bob's")
    guesses = """async ([mine, theirs]) => {
        const base = `gradio_api/hunyuan/videos/${theirs.id}`;
        const files = [".mp4", ".webp", "/export.gif", "/export.png"];
        const urls = files.flatMap((end) => [`${base}${end}`, `${base}${end}?k=${mine.code}`, `${base}${end}?k=`]);
        const fetched = await Promise.all(urls.map(async (url) => (await fetch(url)).status));
        const seen = await hunyuan.videos.ask(`videos/${theirs.id}`);
        const all = await hunyuan.videos.ask("videos?everybody=1");
        const gone = await hunyuan.videos.ask(`videos/${theirs.id}`, { method: "DELETE" });
        return [fetched, seen.isOk, gone.isOk, all.videos.map((video) => video.id)];
    }"""
    fetched, saw, deleted, ids = bob.evaluate(guesses, [bobs, alices])
    assert set(fetched) == {404}
    assert (saw, deleted, ids) == (False, False, [bobs["id"]])
    bob.goto(f"{public_app.url}?job={alices['id']}")
    expect(bob.get_by_text("There is no such video for you")).to_be_visible()
    open_first(alice)
    plays(alice, ".viewer video")
    page_text = bob.content()
    assert "Alice" not in page_text
    assert alices["code"] not in json.dumps(bob.evaluate("Object.values(localStorage)"))
    for page in (alice, bob):
        page.context.close()
