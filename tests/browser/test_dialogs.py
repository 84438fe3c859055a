"""Dialogs in a real Chromium: Back and Forward, the keys of a video, and low windows."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.one_gallery import app as app
from tests.browser.one_gallery import cards, open_first, plays, viewer
from tests.browser.one_gallery import gallery as gallery
from tests.browser.one_gallery import videos as videos
from tests.browser.steps import press_escape, resize, two_frames


def stays_closable(page: Page, name: str) -> None:
    """Check that a dialog can be closed wherever it is scrolled to, in a desk's and in a phone's window."""
    for width, height in ((390, 400), (1280, 500)):
        page.set_viewport_size({"width": width, "height": height})
        page.locator(name).evaluate("(dialog) => { dialog.scrollTop = 9999; }")
        close = page.locator(name).get_by_role("button", name="Close")
        expect(close).to_be_in_viewport(ratio=1)
        is_on_top = """(button) => {
          const { x, y, width, height } = button.getBoundingClientRect();
          return button.contains(document.elementFromPoint(x + width / 2, y + height / 2));
        }"""
        assert close.evaluate(is_on_top)


RING = """() => {
  const one = document.activeElement;
  const { outlineStyle: style, outlineColor: color } = getComputedStyle(one);
  return { name: `${one.tagName} ${one.dataset.part || one.className}`, style, color };
}"""

RING_WITHIN = """(video) => {
  const { outlineStyle, outlineOffset, outlineWidth } = getComputedStyle(video);
  return outlineStyle !== "none" && parseFloat(outlineOffset) + parseFloat(outlineWidth) <= 0;
}"""

ACCENT = """() => {
  const probe = document.querySelector(".gradio-container").appendChild(document.createElement("i"));
  probe.style.color = "var(--accent)";
  return getComputedStyle(probe).color;
}"""


def _ring_of_the_next(page: Page) -> dict[str, str]:
    page.keyboard.press("Tab")
    ring: dict[str, str] = page.evaluate(RING)
    return ring


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1366, 650), (1024, 500), (910, 420), (768, 1024), (740, 360)])
def test_everything_beside_a_video_is_reached_by_a_wheel_in_a_low_window(gallery: Page, size: tuple[int, int]) -> None:
    gallery.set_viewport_size({"width": size[0], "height": size[1]})
    button = open_first(gallery).get_by_role("button", name="Delete", exact=True)
    gallery.wait_for_function("document.querySelector('dialog.viewer video').readyState > 0")
    box = viewer(gallery).bounding_box()
    gallery.mouse.move(box["x"] + box["width"] - 60, box["y"] + box["height"] - 30)
    gallery.mouse.wheel(0, 3000)
    expect(button).to_be_in_viewport(ratio=1)
    if size[0] <= 860:  # on a phone all of the dialog moves, and so a prompt of a few lines stands there whole
        expect(viewer(gallery).get_by_role("button", name="Close")).to_be_in_viewport(ratio=1)
        cut_px = """(prompt) => {
          prompt.textContent = Array(5).fill("a heron").join("\\n");
          return prompt.scrollHeight - prompt.clientHeight;
        }"""
        assert viewer(gallery).locator("[data-part=prompt]").evaluate(cut_px) == 0
    press_escape(gallery, viewer(gallery))
    expect(open_first(gallery, 1).get_by_role("button", name="Close")).to_be_in_viewport(ratio=1)


def test_a_prompt_of_one_line_leaves_no_gap(gallery: Page) -> None:
    prompt = open_first(gallery).locator("[data-part=prompt]")
    prompt.evaluate("(prompt) => { prompt.textContent = 'a heron'; }")
    for width, height in ((390, 844), (740, 360), (1280, 800)):
        resize(gallery, width, height)
        gap = prompt.evaluate("(prompt) => prompt.clientHeight - parseFloat(getComputedStyle(prompt).lineHeight)")
        assert gap < 2, (width, height)


def test_the_browsers_back_closes_a_dialog_and_stays(gallery: Page) -> None:
    address = gallery.url
    open_first(gallery)
    gallery.go_back()
    expect(viewer(gallery)).to_be_hidden()
    expect(gallery).to_have_url(address)
    open_first(gallery, 1).get_by_role("button", name="Compare with").click()
    cards(gallery).first.click()
    expect(gallery.locator("dialog.compare")).to_be_visible()
    gallery.reload()
    stays_closable(gallery, "dialog.compare")
    gallery.go_back()
    expect(gallery.locator("dialog.compare")).to_be_hidden()
    open_first(gallery)
    gallery.reload()
    expect(viewer(gallery)).to_be_visible()
    gallery.go_back()
    expect(viewer(gallery)).to_be_hidden()
    expect(gallery).to_have_url(address)


CLOSE_AND_OPEN = """() => {
  document.querySelector("dialog.batch").close();
  document.querySelector("#part-several button").click();
}"""


def test_the_browsers_forward_opens_again_what_back_or_a_key_has_closed(gallery: Page) -> None:
    open_first(gallery, 1)
    address = gallery.url
    gallery.go_back()
    expect(viewer(gallery)).to_be_hidden()
    gallery.go_forward()
    expect(viewer(gallery).locator("[data-part=prompt]")).to_have_text("a heron, second")
    press_escape(gallery, viewer(gallery))
    expect(gallery).not_to_have_url(address)
    gallery.go_forward()
    expect(viewer(gallery)).to_be_visible()
    expect(gallery).to_have_url(address)
    viewer(gallery).get_by_role("button", name="Compare with").click()
    cards(gallery).first.click()
    compared = gallery.locator("dialog.compare")
    expect(compared).to_be_visible()
    gallery.go_back()
    expect(compared).to_be_hidden()
    gallery.go_forward()
    expect(compared).to_be_visible()
    expect(viewer(gallery)).to_be_hidden()
    gallery.go_back()
    expect(compared).to_be_hidden()
    gallery.locator("#part-several button").click()
    gallery.go_back()
    expect(gallery.locator("dialog.batch")).to_be_hidden()
    gallery.go_forward()
    expect(gallery.locator("dialog.batch")).to_be_visible()
    gallery.reload()
    stays_closable(gallery, "dialog.batch")
    gallery.evaluate(CLOSE_AND_OPEN)  # in one go, before the browser tells that it was closed
    gallery.wait_for_timeout(300)
    assert gallery.evaluate("history.state?.hunyuan_dialog") == "batch"
    press_escape(gallery, gallery.locator("dialog.batch"))


def test_forward_does_not_open_what_is_being_deleted(gallery: Page) -> None:
    open_first(gallery).get_by_role("button", name="Delete", exact=True).click()
    expect(viewer(gallery)).to_be_hidden()
    gallery.wait_for_function("!history.state?.hunyuan_dialog")
    gallery.evaluate("addEventListener('popstate', () => (window.steps = (window.steps ?? 0) + 1))")
    gallery.go_forward()
    gallery.wait_for_function("window.steps === 2")  # there, and by itself back again
    assert not gallery.evaluate("history.state?.hunyuan_dialog")
    expect(viewer(gallery)).to_be_hidden()
    gallery.locator(".videos [data-part=undo]").click()
    expect(cards(gallery).first).to_contain_text("a heron, first")


def test_a_dialog_that_was_closed_leaves_no_step_behind(gallery: Page) -> None:
    gallery.evaluate("window.marked = true")
    before = gallery.evaluate("history.length")
    for _ in range(3):
        open_first(gallery)
        press_escape(gallery, viewer(gallery))
    open_first(gallery)
    top = gallery.evaluate("scrollY")
    gallery.mouse.move(5, 300)  # beside the dialog
    gallery.mouse.wheel(0, 400)
    gallery.wait_for_timeout(300)  # nothing to wait for: the page stays where it is
    assert gallery.evaluate("scrollY") == top
    press_escape(gallery, viewer(gallery))
    gallery.mouse.wheel(0, 400)
    gallery.wait_for_function("(top) => scrollY > top", arg=top)
    assert gallery.evaluate("history.length") <= before + 1
    open_first(gallery).get_by_role("button", name="Reuse settings").click()
    expect(gallery.locator("#field-prompt textarea")).to_be_in_viewport()
    assert gallery.evaluate("window.marked")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["viewer", "batch", "compare"])
def test_a_dialog_is_closed_by_a_press_that_begins_and_ends_beside_it(gallery: Page, name: str) -> None:
    if name != "batch":
        open_first(gallery)
    if name == "compare":
        viewer(gallery).get_by_role("button", name="Compare with").click()
        cards(gallery).nth(1).click()
    elif name == "batch":
        gallery.locator("#part-several button").click()
    dialog = gallery.locator(f"dialog.{name}")
    box = dialog.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    inside, edge, beside = box["x"] + box["width"] / 2, box["x"] + 4, box["x"] / 2
    for begin, end in ((inside, beside), (edge, edge), (beside, inside), (beside, edge)):
        gallery.mouse.move(begin, middle)
        gallery.mouse.down()
        gallery.mouse.move(end, middle + 30, steps=3)
        gallery.mouse.up()
        two_frames(gallery)
        expect(dialog).to_be_visible()
    gallery.mouse.click(beside, middle)
    expect(dialog).to_be_hidden()


def test_whatever_the_keyboard_reaches_has_the_same_ring(gallery: Page) -> None:
    """Also what a browser makes focusable by itself: selects, players, and text that scrolls."""
    accent = gallery.evaluate(ACCENT)
    gallery.locator(".videos [data-part=search]").focus()
    rings = [_ring_of_the_next(gallery) for _ in range(3)]
    gallery.locator("#part-several button").click()
    dialog = gallery.locator("dialog.batch")
    dialog.locator("textarea").fill("\n".join(f"a fox, {index}" for index in range(30)))
    gallery.keyboard.press("Tab")
    dialog.get_by_role("button", name="Check and price").press("Enter")
    expect(dialog.locator("[data-part=sum]")).to_be_focused()
    rings.append(gallery.evaluate(RING))
    rings.append(_ring_of_the_next(gallery))
    press_escape(gallery, dialog)
    cards(gallery).first.focus()
    gallery.keyboard.press("Enter")
    expect(viewer(gallery)).to_be_visible()
    rings += [_ring_of_the_next(gallery) for _ in range(10)]
    others = [ring for ring in rings if ring["style"] != "solid" or ring["color"] != accent]
    assert {ring["name"] for ring in others} <= {"VIDEO video"}  # the controls in a player have the browser's own
    assert len(others) < len(rings) / 2


def test_arrows_seek_where_the_focus_is_in_the_videos_own_controls(gallery: Page) -> None:
    opened = open_first(gallery)
    plays(gallery, ".viewer video")
    while not opened.evaluate("dialog => document.activeElement.matches('.viewer video')"):
        gallery.keyboard.press("Tab")
    assert opened.locator("video").evaluate(RING_WITHIN), "the dialog's edge cuts off its ring"
    for key in ("ArrowRight", "ArrowLeft"):
        gallery.keyboard.press(key)
        expect(opened.locator(".prompt")).to_have_text("a heron, first")
    opened.get_by_role("button", name="Older video").focus()
    gallery.keyboard.press("ArrowRight")
    expect(opened.locator(".prompt")).to_have_text("a heron, second")
