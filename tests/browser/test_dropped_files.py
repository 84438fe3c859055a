"""A file dropped on the page restores its settings, or gets a sentence."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

from hunyuan_ui.media import settings_tag
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.words import words
from tests.browser.one_gallery import (
    HOSTILE,
)
from tests.browser.one_gallery import app as app
from tests.browser.one_gallery import gallery as gallery
from tests.browser.one_gallery import videos as videos
from tests.browser.steps import press_escape, until, write
from tests.videos import mp4_bytes

pytestmark = pytest.mark.slow


def dropped(page: Page, data: bytes, *names: str, on: str = "#field-prompt") -> None:
    page.evaluate(
        """([data, names, on]) => {
            const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
            const dataTransfer = new DataTransfer();
            for (const name of names) dataTransfer.items.add(new File([bytes], name, { type: "video/mp4" }));
            const target = document.querySelector(on);
            for (const kind of ["dragenter", "dragover", "drop"])
                target.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer }));
        }""",
        [base64.b64encode(data).decode(), names or ["clip.mp4"], on],
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


def test_what_is_changed_while_a_file_is_read_stays(gallery: Page, tmp_path: Path) -> None:
    tagged(tmp_path, prompt="from a chosen file", seed=78)
    held: list[Route] = []
    gallery.route("**/hunyuan/settings", lambda route: held.append(route))
    gallery.locator(".videos input[type=file]").set_input_files(tmp_path / "tagged.mp4")
    until(gallery, lambda: held)
    box = gallery.locator("#field-prompt textarea")
    box.fill("typed meanwhile")
    gallery.get_by_label("540p", exact=True).check(force=True)
    expect(gallery.locator("#made-as")).to_contain_text("960x544")
    held[0].continue_()
    expect(gallery.get_by_label("Seed", exact=True)).to_have_value("78")
    expect(box).to_have_value("typed meanwhile")
    expect(gallery.locator("#made-as")).to_contain_text("960x544")
    gallery.unroute_all()


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


def test_of_several_files_none_is_taken_by_chance(gallery: Page, tmp_path: Path) -> None:
    write(gallery, "kept")
    several = words()["gallery.one_file"]
    dropped(gallery, tagged(tmp_path, prompt=HOSTILE), "one.mp4", "another.mp4")
    expect(gallery.locator(".videos .line")).to_have_text(several)
    expect(gallery.locator("#field-prompt textarea")).to_have_value("kept")
    gallery.locator("#part-several button").click()
    dropped(gallery, b"A fox.", "one.txt", "another.txt", on="dialog.batch form")
    expect(gallery.locator("dialog.batch [data-part=problem]")).to_have_text(several)
    expect(gallery.locator("dialog.batch [data-part=text]")).to_have_value("")


def dragging(page: Page, file: Path) -> Callable[[str], object]:
    """Return a function for the steps of a mouse that drags a file over the page's middle."""
    mouse = page.context.new_cdp_session(page)
    at = {"x": 640, "y": 320, "data": {"items": [], "files": [str(file)], "dragOperationsMask": 1}}
    return lambda kind: mouse.send("Input.dispatchDragEvent", {"type": kind, **at})


@pytest.mark.parametrize("name", ["clips", "prompts.txt"])
@pytest.mark.parametrize("is_open", [False, True])
def test_a_dropped_folder_is_named_as_unreadable(gallery: Page, tmp_path: Path, name: str, is_open: bool) -> None:
    troubles: list[str] = []
    gallery.on("pageerror", lambda error: troubles.append(str(error)))
    (tmp_path / name).mkdir()
    if is_open:
        gallery.locator("#part-several button").click()
    drag = dragging(gallery, tmp_path / name)
    for kind in ("dragEnter", "dragOver", "drop"):
        drag(kind)
    expect(gallery.get_by_text(words()["gallery.unreadable"]).filter(visible=True)).to_have_count(1)
    expect(gallery.locator(".landing:visible")).to_have_count(0)
    assert troubles == []


@pytest.mark.parametrize("gone", ["what it was over", "the window", "nothing"])
def test_a_file_that_leaves_the_page_leaves_no_sign_behind(gallery: Page, tmp_path: Path, gone: str) -> None:
    (tmp_path / "list.txt").write_text("a boat")
    landing = gallery.locator(".landing:visible")
    if gone == "the window":
        gallery.locator("#part-several button").click()
    drag = dragging(gallery, tmp_path / "list.txt")
    drag("dragEnter")
    expect(landing).to_have_count(1)
    drag("dragOver")
    if gone == "what it was over":
        gallery.evaluate("document.elementFromPoint(640, 320).replaceWith('')")
    elif gone == "the window":
        press_escape(gallery, gallery.locator("dialog.batch"))
        drag("dragOver")
    drag("dragCancel")
    expect(landing).to_have_count(0)
    gallery.locator("#part-several button").click()
    expect(gallery.locator("dialog.batch")).to_be_visible()
    expect(landing).to_have_count(0)
