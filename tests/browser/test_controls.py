"""Controls by keyboard, by a reader's ear and in other colours: what Gradio's own controls lack here."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from hunyuan_ui.ui.form import FIELDS
from tests.app_process import RunningApp
from tests.browser.test_layout import open_everything, open_page

WIDTHS = [*range(320, 1601, 40), 390, 430]
# The least that each control needs in order to be read and hit.
TOO_NARROW = """() => [...document.querySelectorAll("#form :is(label, button, input, textarea, .segmented)")]
  .filter((element) => element.checkVisibility({ visibilityProperty: true, opacityProperty: true }))
  .filter((element) => !["radio", "checkbox"].includes(element.type))
  .filter((element) => {
    const box = element.getBoundingClientRect();
    const cut = element.scrollWidth > element.clientWidth + 1 && !element.matches("input, textarea");
    return box.width < 24 || box.right > innerWidth || box.left < 0 || cut;
  })
  .map((element) => element.outerHTML.slice(0, 80))"""
CUT_NUMBERS = """() => [...document.querySelectorAll("#form input[type=number]")]
  .filter((box) => {
    const before = box.value;
    box.value = box.max || "4294967295";
    const isCut = box.scrollWidth > box.clientWidth;
    box.value = before;
    return isCut;
  })
  .map((box) => box.closest("[id]").id)"""


@pytest.fixture
def opened(page: Page, preview: RunningApp) -> Page:
    open_page(page, preview)
    return page


@pytest.mark.parametrize("language", ["en-GB", "zh-CN"])
def test_every_control_is_whole_at_every_width(new_context: Any, preview: RunningApp, language: str) -> None:
    page = new_context(locale=language).new_page()
    open_page(page, preview)
    open_everything(page)
    found: dict[int, list[str]] = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        if narrow := page.evaluate(TOO_NARROW):
            found[width] = narrow
    assert found == {}


def test_the_largest_number_fits_into_each_box(opened: Page) -> None:
    open_everything(opened)
    for width in (320, 900, 1280):
        opened.set_viewport_size({"width": width, "height": 800})
        assert opened.evaluate(CUT_NUMBERS) == [], width


def test_a_phone_does_not_zoom_into_a_field(new_context: Any, preview: RunningApp) -> None:
    page = new_context(has_touch=True, is_mobile=True, viewport={"width": 390, "height": 844}).new_page()
    page.set_default_timeout(30_000)
    page.goto(preview.url)
    expect(page.locator(".prompt-panel .groups button")).to_have_count(4)
    open_everything(page)
    page.get_by_label("Your own key", exact=True).check()
    sizes: dict[str, str] = page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll("input, textarea, select")]
          .filter((field) => !["radio", "checkbox", "range", "file"].includes(field.type))
          .map((field, index) => [`${index} ${field.outerHTML.slice(0, 80)}`, getComputedStyle(field).fontSize]))"""
    )
    assert len(sizes) > 10
    assert {field: size for field, size in sizes.items() if float(size.removesuffix("px")) < 16} == {}


def test_no_control_gets_the_focus_under_the_button_that_stays_in_sight(page: Page, preview: RunningApp) -> None:
    open_page(page, preview, 640, 400)
    open_everything(page)
    page.locator("#field-prompt textarea").focus()
    covered: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        found = page.evaluate(
            """() => {
              const focus = document.activeElement;
              const shown = (focus.type === "radio" ? focus.closest("label") : focus).getBoundingClientRect();
              const top = document.querySelector("#generate").getBoundingClientRect().top;
              if (focus.id === "generate") return "generate";
              return focus.closest("#form") && shown.bottom > top + 1 && shown.height < 200 ? focus.outerHTML : "";
            }"""
        )
        if found == "generate":
            break
        covered += [found[:120]] if found else []
    assert found == "generate"
    assert covered == []


def test_a_switch_below_shows_where_the_focus_is(opened: Page) -> None:
    box = opened.locator(".videos .switch input")
    opened.locator("[data-part=restore]").focus()
    opened.keyboard.press("Tab")
    expect(box).to_be_focused()
    assert box.evaluate("(box) => [getComputedStyle(box).outlineStyle, getComputedStyle(box).outlineWidth]") == [
        "solid",
        "2px",
    ]


def test_no_box_cuts_the_focus_ring_of_its_field(opened: Page) -> None:
    open_everything(opened)
    for name in FIELDS:
        field = opened.locator(f"#field-{name.replace('_', '-')}")
        clips = field.evaluate(
            """(block) => {
              const found = [];
              let box = block.querySelector("textarea, input");
              while ((box = box.parentElement).id !== "form")
                if (getComputedStyle(box).overflowX !== "visible") found.push(box.id || box.className);
              return found;
            }"""
        )
        assert [clip for clip in clips if "tab-like" not in clip] == [], name


def test_forced_colours_show_what_is_chosen(page: Page, preview: RunningApp) -> None:
    page.emulate_media(forced_colors="active")
    open_page(page, preview)
    open_everything(page)
    for box in ("#is-random input", "#field-width input[type=range]", ".videos .switch input"):
        assert page.locator(box).evaluate("(box) => getComputedStyle(box).appearance") == "auto", box
    backgrounds = page.evaluate(
        """() => [...document.querySelectorAll("#shape label")].map((one) => getComputedStyle(one).backgroundColor)"""
    )
    assert backgrounds[0] not in backgrounds[1:]
