"""The page on a phone: what comes first, scroll positions, touch targets."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.app_process import RunningApp
from tests.browser.conftest import set_browser
from tests.browser.one_page import app as app
from tests.browser.one_page import open_page, video_plays
from tests.browser.one_page import opened as opened
from tests.browser.steps import LINES, TOPS, comes_to_rest_in_sight, generate_short, resize, short, write

pytestmark = pytest.mark.slow


def test_a_phone_on_its_side_is_shown_what_has_been_made(page: Page, app: RunningApp) -> None:
    page.set_viewport_size({"width": 844, "height": 390})
    open_page(page, app)
    write(page)
    short(page)
    page.locator("#made-as").evaluate("line => line.scrollIntoView({ block: 'center' })")
    page.locator("#generate").click()
    video_plays(page)
    page.wait_for_function("Math.abs(document.querySelector('#player').getBoundingClientRect().top) < 20")


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_from_the_first_sight_to_a_playing_video_are_two_clicks_without_a_scroll(
    page: Page, app: RunningApp, width: int, height: int
) -> None:
    def click_where_it_is(name: str) -> None:
        box = page.locator(name).first.bounding_box() or {"x": 0, "y": -1, "width": 0, "height": 0}
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        assert 0 <= y < height, name
        page.mouse.click(x, y)

    page.set_viewport_size({"width": width, "height": height})
    open_page(page, app)
    page.wait_for_timeout(600)  # a press on content that has just appeared is ignored
    click_where_it_is(".showcase button")
    expect(page.locator("#field-prompt textarea")).not_to_have_value("")
    page.wait_for_function("!document.querySelector('#generate').disabled")
    click_where_it_is("#generate")
    video_plays(page)
    expect(page.locator("#player video")).to_be_in_viewport()


@pytest.mark.parametrize("shape", ["16:9", "9:16"])
def test_a_phone_has_prompt_button_and_player_first_and_scrolls_to_their_tops(
    page: Page, app: RunningApp, shape: str
) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_page(page, app)
    tops = page.evaluate(TOPS, ["#field-prompt", ".blank", "#shape"])
    assert tops == sorted(tops)
    generate_is_seen = "document.querySelector('#generate').getBoundingClientRect().bottom <= innerHeight"
    assert page.evaluate(generate_is_seen)
    page.locator("#shape label").filter(has_text=shape).dispatch_event("click")
    generate_short(page)
    expect(page.locator(".under-way")).to_be_visible()
    page.wait_for_function("Math.abs(document.querySelector('#part-watch').getBoundingClientRect().top) < 20")
    video_plays(page)
    page.wait_for_function("Math.abs(document.querySelector('#player').getBoundingClientRect().top) < 20")
    assert page.evaluate("document.querySelector('#player').getBoundingClientRect().bottom <= innerHeight")
    assert page.evaluate(generate_is_seen)


def test_no_line_on_a_button_of_a_phone_ends_with_the_dot_between_its_parts(page: Page, app: RunningApp) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    generate_short(open_page(page, app))
    again = page.locator("#part-result [data-part=again]")
    expect(again).to_have_accessible_name(re.compile(r"^Again with a new seed · about \$"))
    lines = again.evaluate(LINES)
    assert lines[0] == "Again with a new seed"
    assert [line for line in lines[1:] if line.strip(" ·") != line] == []


def test_a_phone_rests_where_the_waiting_card_begins_while_it_grows(page: Page, app: RunningApp) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_page(page, app)
    page.locator(".showcase button").first.click()
    expect(page.locator("#field-prompt textarea")).not_to_have_value("")
    page.locator("#generate").click()
    expect(page.locator(".under-way .phase")).to_have_text("Rendering")
    comes_to_rest_in_sight(page, ".under-way .phase")
    expect(page.locator(".under-way")).to_be_visible()
    video_plays(page)


def test_a_new_video_does_not_pull_a_phone_away_from_what_is_being_typed(page: Page, app: RunningApp) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_page(page, app)
    generate_short(page)
    expect(page.locator(".under-way")).to_be_visible()
    page.locator("#field-prompt textarea").click()
    video_plays(page)
    expect(page.locator("#field-prompt textarea")).to_be_in_viewport()


def test_a_finger_can_hit_everything_on_a_phone(page: Page, app: RunningApp) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    open_page(page, app)
    page.get_by_role("button", name="Advanced").click()
    heights = page.evaluate(
        """() => [...document.querySelectorAll("#desk button, #desk .segmented label, .examples button")]
            .filter((element) => element.getClientRects().length)
            .map((element) => [element.textContent.trim(), element.getBoundingClientRect().height])"""
    )
    assert len(heights) > 20
    assert [found for found in heights if found[1] < 44] == []


def test_a_finger_leaves_nothing_behind_that_looks_chosen(new_visitor: Any, app: RunningApp) -> None:
    page = new_visitor(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True).new_page()
    open_page(page, app)
    control = page.locator(".prompt-panel [data-group=shot]")
    before = control.evaluate("control => getComputedStyle(control).backgroundColor")
    for wanted in ("true", "false"):
        control.tap()
        expect(control).to_have_attribute("aria-expanded", wanted)
    expect(control).to_have_css("background-color", before)


@pytest.mark.parametrize(("width", "height"), [(320, 568), (360, 740), (844, 390)])
def test_the_players_controls_are_one_row_below_the_picture_for_a_finger(
    new_visitor: Any, app: RunningApp, width: int, height: int
) -> None:
    page = new_visitor(viewport={"width": width, "height": height}, has_touch=True, is_mobile=True).new_page()
    open_page(page, app)
    write(page)
    short(page)
    page.locator("#generate").tap()
    video_plays(page)
    expect(page.locator("#player .controls")).to_have_css("opacity", "1")
    bottom, top, end = page.evaluate(
        """["#player video", "#player .controls"].map((part) => document.querySelector(part).getBoundingClientRect())
          .flatMap(({ top, bottom }, at) => (at ? [top, bottom - top] : [bottom]))"""
    )
    assert bottom <= top
    assert end == 44


COVERED_FOCUS = """() => {
  const [one, button] = [document.activeElement, document.getElementById("generate")];
  if (one === document.body || button.contains(one)) return "";
  const [a, b] = [one.closest("label") ?? one, button].map((box) => box.getBoundingClientRect());
  const isBeside = a.right <= b.left || a.left >= b.right;
  return isBeside || a.top < b.top - 4 || a.top >= b.bottom ? "" : one.outerHTML.slice(0, 120);
}"""


def test_what_has_the_focus_is_not_under_the_button_with_letters_of_twice_the_size(
    browser: Browser, app: RunningApp
) -> None:
    with set_browser(browser, "defaultFontSize=32") as other:
        page = other.new_page(reduced_motion="reduce")
        open_page(page, app)
        expect(page.locator("#generate")).to_contain_text("$")
        page.locator("#advanced > button").click()
        for width in (390, 1280):
            resize(page, width, 800)
            page.locator("#field-prompt textarea").focus()
            covered: list[str] = []
            for _ in range(45):
                page.keyboard.press("Tab")
                page.wait_for_timeout(50)
                covered.append(page.evaluate(COVERED_FOCUS))
            assert [what for what in covered if what] == [], width
