"""A prompt list in a real Chromium: typed or dropped, checked, confirmed, followed, resumed."""

from __future__ import annotations

import json
import re
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.app_process import RunningApp
from tests.browser.axe import broken_rules
from tests.browser.one_list import app as app
from tests.browser.one_list import checked, dialog_of, generate, opened, rows, written
from tests.browser.one_list import endpoint as endpoint
from tests.browser.one_list import name as name
from tests.browser.paid_endpoint import PaidEndpoint
from tests.browser.steps import press_escape, put_on, resize

pytestmark = pytest.mark.slow

LOOKS: list[dict[str, Any]] = [
    {"color_scheme": "light"},
    {"color_scheme": "dark"},
    {"color_scheme": "light", "forced_colors": "active"},
]
TOUCH_PX = 44
PHONES = (320, 360, 390)


def test_a_list_is_kept_over_a_reload_where_the_browser_keeps_the_history_alone(
    page: Page, app: RunningApp, name: str
) -> None:
    page.add_init_script("Storage.prototype.setItem = () => undefined;")
    dialog = opened(page, app)
    dialog.locator("[data-part=text]").fill(rows(name, 2))
    dialog.locator("[data-part=name]").fill(name)
    press_escape(page, dialog)
    page.reload()
    expect(page.locator(".prompt-panel .groups button")).to_have_count(4)
    assert dialog_of(page).locator("[data-part=text]").input_value() == rows(name, 2)
    expect(dialog.locator("[data-part=name]")).to_have_value(name)


def test_a_list_goes_over_a_reload_is_stopped_and_sent_again_and_pays_once(
    visitor: BrowserContext, app: RunningApp, endpoint: PaidEndpoint, name: str, tmp_path: Path
) -> None:
    page = visitor.new_page()
    dialog = opened(page, app)
    written(dialog, rows(name, 12), name)
    expect(checked(dialog).locator("tbody tr")).to_have_count(12)
    expect(dialog.locator("[data-part=sum]")).to_have_text("12 videos")
    expect(generate(dialog)).to_have_text(re.compile(r"^Generate 12 · about .+ · about \$0\.\d\d, at most \$\d\.\d\d"))
    assert endpoint.posts.total() == 0
    generate(dialog).click()
    expect(dialog.get_by_role("alert")).to_contain_text("Say how much this list may spend")
    expect(dialog.get_by_label("Budget in $")).to_be_focused()
    dialog.get_by_label("Budget in $").fill("5")

    with endpoint.rendering():
        generate(dialog).click()
        expect(dialog.locator("[data-part=line]")).to_have_text(re.compile(r"^0 of 12 · \$0\.\d\d of \$5\.00 · about "))
        press_escape(page, dialog)
        page.reload()
        told = page.locator("#part-several button")
        expect(told).to_have_text(re.compile(r"^0 of 12 · \$0\.\d\d of \$5\.00 · about "))
        dialog = dialog_of(page)
        dialog.get_by_role("button", name="Stop what was not sent").click()
        expect(dialog.get_by_role("button", name="Stop what was not sent")).to_be_hidden()
        expect(dialog.locator("button:focus")).to_be_visible()  # the keyboard focus stays where it was
    sent = endpoint.posts.total()
    assert 0 < sent < 12
    expect(dialog.locator("[data-part=line]")).to_have_text(re.compile(rf"^{sent} of 12 · \$0\.\d\d of \$5\.00$"))
    expect(dialog.get_by_text("Check the list again to go on")).to_be_visible()

    expect(dialog.get_by_label("Name of the list")).to_have_value(name)
    expect(checked(dialog).locator("[data-part=sum]")).to_have_text(re.compile(rf"^12 videos · {sent} of them sent"))
    expect(dialog.locator("tbody td:nth-child(3)", has_text="done")).to_have_count(sent)
    generate(dialog).click()
    expect(dialog.locator("[data-part=line]")).to_have_text(re.compile(r"^12 of 12 · \$0\.\d\d of \$5\.00$"))
    assert Counter(endpoint.posts.values()) == Counter({1: 12})
    expect(dialog.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "100")

    expect(checked(dialog).get_by_text("Nothing of it is left to make")).to_be_visible()
    expect(generate(dialog)).to_be_hidden()
    with page.expect_download() as saving:
        dialog.get_by_role("link", name="Download as ZIP").click()
    saving.value.save_as(tmp_path / "list.zip")
    with zipfile.ZipFile(tmp_path / "list.zip") as archive:
        assert len(archive.namelist()) == 13
    page.keyboard.press("Escape")
    expect(page.locator("#part-several button")).to_have_text("Several prompts")


def test_a_list_that_nobody_saw_going_leaves_its_videos(visitor: BrowserContext, app: RunningApp, name: str) -> None:
    page = visitor.new_page()
    dialog = opened(page, app)
    page.route("**/hunyuan/jobs", lambda route: route.fulfill(json={**route.fetch().json(), "jobs": []}))
    written(dialog, rows(name, 2), name, "9")
    checked(dialog)
    generate(dialog).click()
    expect(dialog.locator("[data-part=line]")).to_contain_text("2 of 2")
    expect(page.locator(".posters li").filter(has_text=name)).to_have_count(2)
    page.unroute_all()


def test_one_frame_is_said_as_one(visitor: BrowserContext, app: RunningApp) -> None:
    page = visitor.new_page()
    press_escape(page, opened(page, app))
    number = page.locator("#field-video-length input[type=number]")
    number.fill("1")
    number.blur()
    expect(page.locator("#made-as:not([data-old])")).to_be_visible()
    expect(dialog_of(page).get_by_text("1 frame, 40 steps,")).to_be_visible()


def test_what_a_list_was_sent_with_stays_until_somebody_takes_the_form_anew(
    visitor: BrowserContext, app: RunningApp, endpoint: PaidEndpoint, name: str
) -> None:
    page = visitor.new_page()
    dialog = opened(page, app)
    written(dialog, f"{name}, a fox\n{name}, a crow", name, "9")
    expect(dialog.get_by_text("as in the form: 864x480, 77 frames, 40 steps, a seed of its own")).to_be_visible()
    checked(dialog)
    with endpoint.rendering():
        generate(dialog).click()
        expect(dialog.locator("[data-part=line]")).to_contain_text("0 of 2")
        press_escape(page, dialog)
        page.locator("#size label", has_text="720p").click()
        dialog = dialog_of(page)
        expect(dialog.get_by_text("as when the list was sent: 864x480")).to_be_visible()
        expect(checked(dialog).locator("[data-part=sum]")).to_contain_text("2 of them sent before")
        expect(dialog.locator("[data-part=sum]")).to_be_focused()  # which announces it, so that nothing else has to
        expect(dialog.locator("[data-part=sum]")).not_to_have_attribute("role", "status")
        dialog.get_by_role("button", name="Take it from the form").click()
        expect(dialog.locator("button:focus")).to_be_visible()
        expect(dialog.get_by_text("as in the form: 1280x720")).to_be_visible()
        expect(dialog.locator(".checked")).to_be_hidden()
        expect(checked(dialog).locator("[data-part=sum]")).to_have_text(re.compile(r"^2 videos · \$"))


def test_what_is_wrong_is_told_by_line_and_nothing_can_be_sent(
    visitor: BrowserContext, app: RunningApp, endpoint: PaidEndpoint, name: str
) -> None:
    sent = endpoint.posts.total()
    dialog = opened(visitor.new_page(), app)
    written(dialog, f"prompt,width,steps\n{name},wide,\n{name},64,", name, "5")
    expect(checked(dialog)).to_contain_text("1 to put right")
    expect(dialog.locator(".faults li")).to_contain_text(["Line 1: "])
    written(dialog, f"prompt,width\n{name},wide\n{name},64", name)
    expect(dialog.locator(".checked")).to_be_hidden()
    expect(checked(dialog).locator(".faults li")).to_have_text(re.compile("^Line 2: Width: wide is not a number"))
    expect(dialog.locator("tbody tr")).to_have_count(1)
    expect(generate(dialog)).to_be_hidden()
    assert endpoint.posts.total() == sent


def test_a_prompt_and_a_name_are_text_and_nothing_else(visitor: BrowserContext, app: RunningApp) -> None:
    evil = '<img src=x onerror="window.hit=1"><script>window.hit=1</script> ${window.hit=1} {{7*7}}'
    page = visitor.new_page()
    dialog = opened(page, app)
    written(dialog, f"a boat {evil}\n{{{evil}", evil, "0")
    expect(checked(dialog).locator("tbody td.text")).to_contain_text("<img src=x")
    expect(dialog.locator(".faults li")).to_contain_text("Line 2: Prompt: the brace")
    written(dialog, rows("evil", 1), evil, "0")
    checked(dialog)
    generate(dialog).click()
    expect(dialog.locator("[data-part=of]")).to_have_text(evil)
    assert page.evaluate("window.hit") is None


def test_a_thousand_rows_are_shown_when_they_are_asked_for(visitor: BrowserContext, app: RunningApp, name: str) -> None:
    dialog = opened(visitor.new_page(), app)
    written(dialog, "\n".join(f"{name} {number}" for number in range(1000)), name)
    expect(checked(dialog).locator("tbody tr")).to_have_count(100)
    dialog.get_by_role("button", name="Show the other 900").click()
    expect(dialog.locator("tbody tr")).to_have_count(1000)
    expect(dialog.get_by_role("button", name="Show the other")).to_be_hidden()


def test_the_keyboard_leads_in_and_out_and_sends_nothing_else(
    visitor: BrowserContext, app: RunningApp, endpoint: PaidEndpoint, name: str
) -> None:
    sent = endpoint.posts.total()
    page = visitor.new_page()
    page.goto(app.url)
    page.locator("#field-prompt textarea").fill("a single prompt, which stands in the form")
    page.locator("#field-prompt textarea").press("Shift+Tab")
    expect(page.locator("#part-several button")).to_be_focused()
    page.keyboard.press("Enter")
    dialog = page.locator("dialog.batch")
    expect(dialog.get_by_label("Prompts, one in each line")).to_be_focused()
    page.keyboard.type(f"{name} one")
    page.keyboard.press("Control+Enter")
    dialog.get_by_label("Name of the list").press("Enter")
    expect(dialog.locator("[data-part=sum]")).to_be_focused()
    page.keyboard.press("Tab")
    expect(dialog.locator("[data-part=table]")).to_be_focused()
    press_escape(page, dialog)
    expect(page.locator("#part-several button")).to_be_focused()
    assert endpoint.posts.total() == sent
    page.reload()
    expect(dialog_of(page).get_by_label("Prompts, one in each line")).to_have_value(f"{name} one")


def test_a_dialog_goes_on_after_an_error_that_nobody_foresaw(page: Page, app: RunningApp, name: str) -> None:
    dialog = opened(page, app)
    written(dialog, name, name)
    page.evaluate("void (window.form = hunyuan.form.settings)")
    page.evaluate("void (hunyuan.form.settings = () => { throw Error() })")
    dialog.get_by_role("button", name="Check and price").click()
    expect(dialog).not_to_have_attribute("aria-busy", "true")
    page.evaluate("void (hunyuan.form.settings = window.form)")
    expect(checked(dialog).locator("tbody tr")).to_have_count(1)


TARGETS = """() => [...document.querySelectorAll("dialog.batch :is(button, a, input, textarea, label.switch)")]
  .filter((one) => one.checkVisibility() && one.type !== "checkbox")
  .map((one) => ({ what: one.outerHTML.slice(0, 90), box: one.getBoundingClientRect() }))
  .filter(({ box }) => box.height < 43.5 || box.width < 43.5 || box.left < 0 || box.right > innerWidth)
  .map(({ what }) => what)"""


# At the same moment: content above may still grow by a line.
BOXES = """["#part-several button", "#field-prompt [data-testid=block-info]", "#field-prompt textarea"]
  .map((one) => document.querySelector(one).getBoundingClientRect().toJSON())"""


@pytest.mark.parametrize("language", ["en", "zh"])
def test_all_of_it_is_on_a_phones_screen_and_as_large_as_a_finger(
    visitor: BrowserContext, app: RunningApp, language: str, name: str
) -> None:
    page = visitor.new_page()
    page.set_viewport_size({"width": PHONES[0], "height": 740})
    page.goto(f"{app.url}?lang={language}")
    expect(page.locator("html[data-drawn=all]")).to_be_attached()
    for width in PHONES:
        resize(page, width, 740)
        way, named, prompt = page.evaluate(BOXES)
        assert way["height"] >= TOUCH_PX, width
        assert way["bottom"] <= prompt["top"], width
        assert abs(way["top"] + way["bottom"] - named["top"] - named["bottom"]) <= 8, width
    dialog = dialog_of(page)
    dialog.locator("textarea").fill("a {red|blue} " + "very long prompt " * 20)
    dialog.locator("[data-part=name]").fill(name)
    dialog.locator("[data-part=budget]").fill("1")
    dialog.locator("[data-part=check]").click()
    expect(dialog.locator("[data-part=send]")).to_be_visible()
    expect(dialog.locator("[data-part=note]")).to_be_visible()  # the budget is less than the maximum cost
    for width in PHONES:
        resize(page, width, 740)
        assert page.evaluate(TARGETS) == [], width
        assert dialog.evaluate("one => one.scrollWidth <= one.clientWidth"), width
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        is_whole = dialog.locator(".table").evaluate("one => one.scrollWidth <= one.clientWidth")
        assert is_whole, width  # the price is in sight


def test_the_way_to_it_ends_where_the_prompt_ends(visitor: BrowserContext, app: RunningApp) -> None:
    page = visitor.new_page()
    page.goto(app.url)
    expect(page.locator("html[data-drawn=all]")).to_be_attached()
    for width in (390, 1280):
        resize(page, width, 800)
        ends: list[float] = page.evaluate(
            """["#part-several button", "#field-prompt textarea"].map((one) => {
              const range = document.createRange();
              const found = document.querySelector(one);
              range.selectNodeContents(found);
              return (found.matches("button") ? range : found).getBoundingClientRect().right;
            })"""
        )
        assert abs(ends[0] - ends[1]) <= 4, width


def test_axe_finds_nothing_in_a_list_that_was_sent_and_in_one_that_is_wrong(
    visitor: BrowserContext, app: RunningApp, name: str
) -> None:
    page = visitor.new_page()
    dialog = opened(page, app)
    written(dialog, rows(name, 1), name, "1")
    checked(dialog)
    generate(dialog).click()
    expect(dialog.locator(".standing")).to_be_visible()
    written(dialog, f"prompt,width\n{name} in {{red|blue}},\n{name},wide", name)
    expect(checked(dialog).locator(".faults")).to_be_visible()
    for look in LOOKS:
        put_on(page, **look, reduced_motion="reduce")
        assert broken_rules(page) == {}, look


# Texts that are written over the line about a list.
OVER_THE_LINE = """() => {
  const boxesOf = (one) => {
    const range = document.createRange();
    range.selectNodeContents(one);
    return [...range.getClientRects()];
  };
  const line = boxesOf(document.querySelector("#part-several button"));
  const others = ".masthead span, #field-prompt label > span, #field-prompt .info-text, #field-prompt textarea";
  return [...document.querySelectorAll(others)]
    .filter((one) => [one.getBoundingClientRect(), ...boxesOf(one)].slice(one.matches("textarea") ? 0 : 1)
      .some((a) => line.some((b) => Math.min(a.right, b.right) > Math.max(a.left, b.left) &&
        Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1)))
    .map((one) => one.outerHTML.slice(0, 80));
}"""


def tell_much(route: Route) -> None:
    """Answer with a line about a list that is as long as one gets."""
    answer = route.fetch()
    much = "0 of 3 · 1 failed · 1 unknown · $12.34 of $50.00 · about 12 min"
    route.fulfill(response=answer, json={**answer.json(), "text": much})


def test_a_list_that_a_limit_ends_is_told_beside_the_form_until_somebody_has_looked(
    visitor: BrowserContext, app: RunningApp, name: str
) -> None:
    page = visitor.new_page()
    dialog = opened(page, app)
    written(dialog, rows(name, 3), name, "0.02")
    checked(dialog)
    generate(dialog).click()
    expect(dialog.locator("[data-part=stopped]")).to_contain_text("budget of $0.02 leaves")
    press_escape(page, dialog)
    page.route("**/gradio_api/hunyuan/lists/*", tell_much)
    page.reload()
    told = page.locator("#part-several button")
    expect(told).to_have_text(re.compile(r"^\d of 3 · "))
    for width in (320, 390, 768, 860, 1100, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate(OVER_THE_LINE) == [], width
    dialog = dialog_of(page)
    expect(dialog.locator("[data-part=stopped]")).to_be_visible()
    press_escape(page, dialog)
    page.reload()
    expect(page.locator(".prompt-panel .groups button")).to_have_count(4)
    page.wait_for_timeout(1500)
    expect(told).to_have_text("Several prompts")


@pytest.mark.parametrize("path", ["check", "send"])
def test_an_answer_that_does_not_come_is_said_and_nothing_is_lost(
    visitor: BrowserContext, app: RunningApp, name: str, path: str
) -> None:
    page = visitor.new_page()
    dialog = opened(page, app)
    written(dialog, rows(name, 2), name, "5")
    refuse: Any = lambda route: route.fulfill(status=413, content_type="text/html", body="<h1>too large</h1>")  # noqa: E731
    if path == "send":
        checked(dialog)
    page.route(f"**/lists/{path}", refuse)
    button = generate(dialog) if path == "send" else dialog.get_by_role("button", name="Check and price")
    button.click()
    expect(dialog.get_by_role("alert")).to_contain_text("Something between you and this page answered with status 413")
    page.unroute(f"**/lists/{path}")
    page.route(f"**/lists/{path}", lambda route: route.abort())
    button.click()
    expect(dialog.get_by_role("alert")).to_contain_text("No answer from this page's server")
    page.unroute(f"**/lists/{path}")
    if path == "check":
        checked(dialog)
    generate(dialog).click()
    expect(dialog.locator("[data-part=line]")).to_contain_text("2 of 2")
    assert json.loads(page.evaluate("localStorage.hunyuan_list_draft"))["sentName"] == name


def test_the_longest_name_without_a_space_stays_within_its_card(visitor: BrowserContext, app: RunningApp) -> None:
    page = visitor.new_page()
    dialog = opened(page, app)
    written(dialog, "a fox", "N" * 100, "9")
    checked(dialog)
    generate(dialog).click()
    told = dialog.locator("[data-part=of]")
    expect(told).to_have_text("N" * 100)
    for width in (1280, 390, 320):
        page.set_viewport_size({"width": width, "height": 800})
        assert told.evaluate("name => name.scrollWidth <= name.clientWidth && name.offsetWidth < innerWidth")
