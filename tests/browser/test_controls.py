"""Controls by keyboard, screen reader and in other colours: what Gradio's own controls lack here."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from hunyuan_ui.ui.form import FIELDS
from tests.app_process import RunningApp
from tests.browser.conftest import set_browser
from tests.browser.one_page import video_plays
from tests.browser.steps import generate_short, put_on, resize, short, write
from tests.browser.test_layout import Standing, open_everything, open_page
from tests.browser.test_layout import shown as shown
from tests.browser.test_layout import standing as standing

WIDTHS = [*range(320, 1601, 40), 390, 430]
# Minimum size of each control to be legible and clickable.
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


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en-GB", "zh-CN"])
def test_every_control_is_whole_at_every_width(standing: Standing, language: str) -> None:
    page = standing.page(language, is_open=True)
    found: dict[int, list[str]] = {}
    for width in WIDTHS:
        resize(page, width, 800)
        if narrow := page.evaluate(TOO_NARROW):
            found[width] = narrow
    assert found == {}


def test_the_largest_number_fits_into_each_box(standing: Standing) -> None:
    page = standing.page(is_open=True)
    for width in (320, 900, 1280):
        resize(page, width, 800)
        assert page.evaluate(CUT_NUMBERS) == [], width


def test_a_phone_does_not_zoom_into_a_field(new_visitor: Any, preview: RunningApp) -> None:
    page = new_visitor(has_touch=True, is_mobile=True, viewport={"width": 390, "height": 844}).new_page()
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


def test_no_control_gets_the_focus_under_the_button_that_stays_in_sight(standing: Standing) -> None:
    page = standing.page(is_open=True)
    resize(page, 640, 400)
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


def test_a_switch_below_shows_where_the_focus_is(shown: Page) -> None:
    box = shown.locator(".videos .switch input")
    shown.locator("[data-part=restore]").focus()
    shown.keyboard.press("Tab")
    expect(box).to_be_focused()
    assert box.evaluate("(box) => [getComputedStyle(box).outlineStyle, getComputedStyle(box).outlineWidth]") == [
        "solid",
        "2px",
    ]


def test_no_box_cuts_the_focus_ring_of_its_field(standing: Standing) -> None:
    page = standing.page(is_open=True)
    for name in FIELDS:
        field = page.locator(f"#field-{name.replace('_', '-')}")
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


def test_borders_and_help_are_as_strong_as_text_where_more_contrast_is_wanted(page: Page, preview: RunningApp) -> None:
    page.emulate_media(contrast="more")
    open_page(page, preview)
    open_everything(page)
    for scheme in ("light", "dark"):
        put_on(page, color_scheme=scheme)
        ink = page.locator("h1").evaluate("(one) => getComputedStyle(one).color")
        for bordered in ("#field-prompt textarea", ".groups button", "#field-seed input", ".payment"):
            expect(page.locator(bordered).first, f"{scheme} {bordered}").to_have_css("border-top-color", ink)
        for text in (".examples .heading p", ".tagline", ".payment .soft"):
            expect(page.locator(text).first, f"{scheme} {text}").to_have_css("color", ink)


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
    background = "(one, part) => getComputedStyle(one, part).backgroundColor"
    for bar in (".under-way .bar", ".batch .meter"):
        whole, done = page.locator(bar).evaluate(background), page.locator(f"{bar} div").evaluate(background)
        assert whole != done, bar
    # What scrolls past the button that stays in sight does not touch it.
    assert "10px" in page.locator("#generate").evaluate("(one) => getComputedStyle(one).boxShadow")
    # A button that is held back does not look like the others.
    for button in ("#generate", ".batch [data-part=check]", ".payment .button"):
        one = page.locator(button).first
        enabled = str(one.evaluate("(one) => getComputedStyle(one).color"))
        one.evaluate("(one) => one.setAttribute('aria-disabled', 'true')")
        expect(one).not_to_have_css("color", enabled)
        one.evaluate("(one) => one.removeAttribute('aria-disabled')")
    pieces = page.locator(".pieces")
    said, unsaid = pieces.locator(".present").first, pieces.locator("[class]:not(.present)").first
    assert said.evaluate(background, "::before") != unsaid.evaluate(background, "::before")


# groups, names, scripts


GROUPS = {
    "Shape": ("shape", "9:16"),
    "Size": ("size", "540"),
    "Quality": ("quality", "fine"),
    "Variations": ("variations", "2"),
}


def test_each_choice_is_one_named_group_whose_arrow_keys_move(opened: Page) -> None:
    for name, (ident, after) in GROUPS.items():
        opened.get_by_role("radiogroup", name=name, exact=True).get_by_role("radio", checked=True).focus()
        opened.keyboard.press("ArrowRight")
        expect(opened.locator(f"#{ident} input:checked")).to_have_value(after)
    expect(opened.locator("#made-as:not([data-old])")).to_contain_text("544x960")
    opened.keyboard.press("ArrowLeft")
    expect(opened.locator("#variations input:checked")).to_have_value("1")
    payers = opened.get_by_role("radiogroup", name="Who pays")
    payers.get_by_role("radio", checked=True).focus()
    opened.keyboard.press("ArrowDown")
    expect(payers.get_by_role("radio", name="Your own key")).to_be_checked()


def test_a_choice_is_one_stop_of_the_tab_key(shown: Page) -> None:
    shown.locator("#field-prompt textarea").focus()
    stops: list[str] = []
    while not stops or stops[-1] != "generate":
        shown.keyboard.press("Tab")
        stops.append(shown.evaluate("document.activeElement.closest('[id]').id"))
        assert len(stops) < 60
    assert [stops.count(ident) for ident, _ in GROUPS.values()] == [1, 1, 1, 1]


def test_a_reader_hears_the_keys_that_press_generate(shown: Page) -> None:
    expect(shown.locator("#generate")).to_have_attribute("aria-keyshortcuts", "Control+Enter")


def test_a_fold_says_whether_it_is_open(opened: Page) -> None:
    fold = opened.get_by_role("button", name="Advanced")
    for is_open in ("false", "true", "false"):
        expect(fold).to_have_attribute("aria-expanded", is_open)
        fold.click()


def test_a_reader_hears_no_english_on_the_chinese_page(new_visitor: Any, preview: RunningApp) -> None:
    page = new_visitor(locale="zh-CN").new_page()
    open_page(page, preview)
    open_everything(page)
    write(page, "a heron")
    number = page.locator("#field-video-length input[type=number]")
    number.fill("9")
    number.blur()
    page.locator("#generate").click()
    video_plays(page)
    page.get_by_label("你自己的密钥", exact=True).check()
    names: list[str] = page.evaluate(
        """() => [...document.querySelectorAll("[aria-label], [title], [placeholder], [alt]")]
          .filter((element) => element.closest(".gradio-container"))
          .filter((element) => element.checkVisibility())
          .flatMap((element) => ["aria-label", "title", "placeholder", "alt"].map((name) => element.getAttribute(name)))
          .filter((text) => text && /[a-z]{3}/i.test(text) && !/[\\u4e00-\\u9fff]/.test(text))"""
    )
    assert names == []
    expect(page.locator(".gradio-container svg title")).to_have_count(0)  # a tooltip of Gradio's player
    expect(page.get_by_role("slider", name="宽度")).to_be_visible()
    expect(page.get_by_role("spinbutton", name="宽度")).to_be_visible()
    expect(page.get_by_role("button", name="重置宽度")).to_be_visible()


@pytest.mark.slow
@pytest.mark.parametrize(("locale", "page_s"), [("zh-CN", "zh"), ("zh-TW", "zh"), ("en-GB", "zh"), ("zh-CN", "en")])
def test_a_reader_hears_the_foot_once_whichever_language_browser_and_page_have(
    new_visitor: Any, preview: RunningApp, locale: str, page_s: str
) -> None:
    page = new_visitor(locale=locale).new_page()
    open_page(page, preview)
    if not locale.startswith(page_s):
        page.locator(".masthead .language").click()
    expect(page.locator("html")).to_have_attribute("lang", re.compile(f"^{page_s}"))
    open_everything(page)
    expect(page.locator('footer img[alt=""]')).to_have_count(3)
    expect(page.get_by_role("contentinfo", name="页脚" if page_s == "zh" else "Foot of the page")).to_be_visible()


@pytest.mark.parametrize("locale", ["zh-TW", "zh-HK", "zh"])
def test_every_chinese_browser_gets_one_chinese_page(new_visitor: Any, preview: RunningApp, locale: str) -> None:
    page = new_visitor(locale=locale).new_page()
    page.goto(preview.url)
    expect(page.locator("footer")).to_contain_text("通过 API 使用")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")


def test_what_is_written_from_the_right_stands_there(opened: Page) -> None:
    box = opened.locator("#field-prompt textarea")
    box.fill("قطة تمشي على العشب")
    assert box.evaluate("(box) => box.matches(':dir(rtl)')")
    box.fill("A cat walks")
    assert box.evaluate("(box) => box.matches(':dir(ltr)')")
    generate_short(opened, "قطة تمشي على العشب")
    shown = opened.locator(".result .prompt")
    expect(shown).to_have_text("قطة تمشي على العشب")
    ends = """(shown) => { const range = document.createRange(); range.selectNodeContents(shown);
      return shown.getBoundingClientRect().right - range.getBoundingClientRect().right; }"""
    assert shown.evaluate(ends) < 40


# where the focus goes


def test_generate_by_key_keeps_the_focus(opened: Page) -> None:
    write(opened)
    short(opened)
    button = opened.locator("#generate")
    button.focus()
    opened.keyboard.press("Enter")
    expect(button).to_be_focused()
    expect(opened.locator("#player video")).to_be_visible()
    expect(button).to_be_focused()


def test_a_notice_gives_the_focus_back(opened: Page) -> None:
    opened.locator("#generate").press("Enter")
    opened.locator(".notice").get_by_role("button", name="Dismiss").press("Enter")
    expect(opened.locator("#generate")).to_be_focused()


UNDER_ITS_KEYS = """(button) => {
  button.querySelector(".part:last-child .unbroken").textContent = "about 3.5 min · about $1.46,";
  const text = document.createRange();
  text.selectNodeContents(button);
  const end = Math.max(...[...text.getClientRects()].map(({ right }) => right));
  const keys = getComputedStyle(button, "::after");
  return keys.content !== "none" && end > button.getBoundingClientRect().right - parseFloat(keys.width) - 9;
}"""


@pytest.mark.parametrize("setting", ["defaultFontSize=16", "defaultFontSize=32", "minimumFontSize=24"])
def test_the_keys_of_generate_lie_over_no_price(browser: Browser, preview: RunningApp, setting: str) -> None:
    with set_browser(browser, setting) as other:
        page = other.new_page()
        open_page(page, preview)
        for width in (1000, 1200, 1280, 1440, 1920, 2500):
            resize(page, width, 900)
            assert not page.locator("#generate").evaluate(UNDER_ITS_KEYS), width
