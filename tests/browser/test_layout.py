"""Layout: no horizontal scroll bar at any width, touch targets, the first screen on a desktop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from hunyuan_ui.prompt_help.examples import EXAMPLES
from tests.app_process import RunningApp
from tests.browser.conftest import Visitors, set_browser
from tests.browser.steps import resize, short, write

pytestmark = pytest.mark.slow

ARTIFACTS = Path(__file__).parents[2] / "test-artifacts" / "layout"
SCREENS = {360: 740, 768: 1024, 1280: 800}
LANGUAGES = ["en-GB", "zh-CN"]
TOUCH_PX = 44
LONGEST = max(EXAMPLES, key=lambda example: len(example.request.prompt))

VISIBLE_TARGETS = """() => [...document.querySelectorAll("button, a, label, select, summary, input, textarea")]
  .filter((element) => !element.closest("dialog:not([open])"))
  .filter((element) => element.checkVisibility({ visibilityProperty: true, opacityProperty: true }))
  .filter((element) => !element.closest(".visually-hidden"))
  // The target of a choice is its label, and a label that only names a box is not one.
  .filter((element) => element.tagName !== "LABEL" || element.querySelector("input[type=radio], input[type=checkbox]"))
  .filter((element) => !["radio", "checkbox"].includes(element.type) || !element.closest("label"))
  .map((element) => {
    const box = element.getBoundingClientRect();
    return { what: element.outerHTML.slice(0, 120), width: box.width, height: box.height };
  })"""


def open_page(page: Page, preview: RunningApp, width: int = 1280, height: int = 800) -> None:
    page.set_default_timeout(30_000)
    page.set_viewport_size({"width": width, "height": height})
    page.goto(preview.url)
    expect(page.locator(".examples button")).to_have_count(len(EXAMPLES))
    expect(page.locator(".prompt-panel .groups button")).to_have_count(4)


def open_everything(page: Page) -> None:
    page.locator("#field-prompt textarea").fill("a red apple")
    page.locator("#advanced > button").click()
    page.locator(".prompt-panel [data-group=shot]").click()
    page.locator(".prompt-panel [data-part=improve]").click()
    expect(page.locator(".prompt-panel .proposal")).to_be_visible()
    expect(page.locator("#field-width input[type=number]")).to_be_visible()


class Standing:
    """Pages that tests only look at and resize: one for each language and state.

    Args:
        enter: Lets a visitor with a language stay, and returns their context.
        preview: The app.
    """

    def __init__(self, enter: Callable[[str], BrowserContext], preview: RunningApp) -> None:
        self._enter, self._preview = enter, preview
        self._pages: dict[tuple[str, bool], Page] = {}

    def page(self, language: str = "en-GB", *, is_open: bool = False) -> Page:
        """Return a page as it was opened, or with everything open."""
        if (language, is_open) not in self._pages:
            page = self._enter(language).new_page()
            open_page(page, self._preview)
            if is_open:
                open_everything(page)
            self._pages[language, is_open] = page
        page = self._pages[language, is_open]
        resize(page, 1280, 800)
        page.evaluate("() => { document.activeElement?.blur(); scrollTo(0, 0); }")
        return page


@pytest.fixture(scope="module")
def standing(visitors: Visitors, preview: RunningApp) -> Iterator[Standing]:
    with ExitStack() as stays:
        yield Standing(lambda language: stays.enter_context(visitors.staying(locale=language)), preview)


@pytest.fixture
def shown(standing: Standing) -> Page:
    """A page as it is opened, which a test leaves as it is."""
    return standing.page()


@contextmanager
def styled(page: Page, css: str) -> Iterator[None]:
    """Add rules to a page for as long as this lasts."""
    tag = page.add_style_tag(content=css)
    try:
        yield
    finally:
        tag.evaluate("(tag) => tag.remove()")


OUTSIDE = """() => [...document.querySelectorAll("button, a, input, textarea, label, select, p")]
  .filter((one) => one.checkVisibility() && !one.closest(".visually-hidden, .groups, table"))
  .filter((one) => one.getBoundingClientRect().right > innerWidth + 1 && one.getBoundingClientRect().width > 2)
  .map((one) => one.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize("is_open", [False, True])
def test_letters_of_a_size_that_a_browser_is_set_to_leave_nothing_outside(standing: Standing, *, is_open: bool) -> None:
    page = standing.page(is_open=is_open)
    with styled(page, "body * { font-size: 20px !important; }"):
        for width in (320, 390, 768, 1280):
            resize(page, width, 844)
            expect(page.locator(".showcase button").first).to_be_visible()
            assert page.evaluate(OUTSIDE) == [], width


CUT_OFF = """() => [...document.querySelectorAll(".segmented .wrap span, .examples span, #is-random span")]
  .filter((one) => one.checkVisibility() && !one.closest(".tile, .two-lines") && one.innerText)
  .filter((one) => {
    const edge = one.closest(".card, .segmented .wrap")?.getBoundingClientRect().right ?? innerWidth;
    return one.getBoundingClientRect().right > edge;
  })
  .map((one) => one.outerHTML.slice(0, 120))"""


# A name of this page's own; a visitor's prompt may be.
SHORTENED = """() => [...document.querySelectorAll("#screen .title, .examples .title, h1, h2, button, label")]
  .filter((one) => one.checkVisibility() && one.scrollWidth > one.clientWidth + 1)
  .filter((one) => getComputedStyle(one).overflowX !== "visible")
  .map((one) => one.textContent)"""


@pytest.mark.parametrize("language", LANGUAGES)
def test_letters_of_twice_the_size_are_not_cut(standing: Standing, language: str) -> None:
    page = standing.page(language)
    with styled(page, "html { font-size: 200% !important; }"):
        for width in (320, 390, 768, 1280):
            resize(page, width, 844)
            assert page.evaluate(CUT_OFF) == [], width
            assert page.evaluate(SHORTENED) == [], width


def bottom(page: Page, selector: str) -> float:
    box = page.locator(selector).bounding_box()
    assert box is not None
    assert box["y"] >= 0
    return box["y"] + box["height"]


SIZES = """() => Object.fromEntries([...document.querySelectorAll("body *")]
  .filter((one) => one.checkVisibility() && [...one.childNodes].some((text) => text.nodeType === 3 && text.data.trim()))
  .map((one) => [one.outerHTML.slice(0, 90), parseFloat(getComputedStyle(one).fontSize)]))"""


def test_all_text_follows_the_size_that_the_browser_is_set_to(
    shown: Page, browser: Browser, preview: RunningApp
) -> None:
    usual = shown.evaluate(SIZES)
    with set_browser(browser, "defaultFontSize=24") as other:  # half as large again
        larger = other.new_page()
        open_page(larger, preview)
        found = larger.evaluate(SIZES)
        assert len(found.keys() & usual.keys()) > 50
        assert [text for text, size in usual.items() if abs(found.get(text, size * 1.5) - size * 1.5) > 0.1] == []
        for width in (320, 390, 768, 1280):
            resize(larger, width, 844)
            assert larger.evaluate(OUTSIDE) == [], width


CUT_BY_ITS_BOX = """() => [...document.querySelectorAll(".groups button, #form input[type=number], .player-part")]
  .map((one) => [one, one.getBoundingClientRect(), one.closest("#player")?.getBoundingClientRect().right ?? innerWidth])
  .filter(([one, box, edge]) => box.right > edge || (one.tagName === "INPUT" && one.scrollWidth > one.clientWidth))
  .map(([one]) => one.outerHTML.slice(0, 120))"""

LINES_OF_PIECES = """() => [...document.querySelectorAll(".prompt-panel .pieces li")]
  .map((one) => [one.getBoundingClientRect().height, parseFloat(getComputedStyle(one).fontSize)])"""


@pytest.mark.parametrize("setting", ["minimumFontSize=24", "defaultFontSize=32"])
def test_letters_that_a_browser_makes_larger_are_not_cut_either(
    browser: Browser, preview: RunningApp, setting: str
) -> None:
    """A least size of letters changes neither `em` nor `rem`."""
    with set_browser(browser, setting) as other:
        page = other.new_page()
        open_page(page, preview)
        write(page, "a red kite climbs over a hill")
        short(page)
        page.locator("#generate").click()
        expect(page.locator("#player video")).to_be_visible()
        page.locator("#advanced > button").click()
        page.locator("#field-width input[type=number]").fill("1280")
        page.evaluate(
            """() => document.querySelectorAll("#player .controls > div > *")
              .forEach((one) => one.classList.add("player-part"))"""
        )
        for width in (320, 390, 768, 1280):
            resize(page, width, 844)
            assert page.evaluate(CUT_OFF) == [], width
            assert page.evaluate(CUT_BY_ITS_BOX) == [], width
            assert page.locator(".player-part").count() == 5
            assert all(height > 1.2 * letters for height, letters in page.evaluate(LINES_OF_PIECES)), width


OVER_EACH_OTHER = """() => {
  const all = [...document.querySelectorAll("#part-several button, #field-prompt [data-testid=block-info], " +
    "#field-prompt textarea, .prompt-panel .groups button, .prompt-panel [data-part=improve], #screen")];
  const boxes = all.map((one) => [one, one.getBoundingClientRect()]);
  return boxes.flatMap(([one, a], at) => boxes.slice(at + 1)
    .filter(([, b]) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1)
    .filter(([, b]) => Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 6)
    .map(([other]) => [one, other].map((text) => text.outerHTML.slice(0, 60)).join(" over ")));
}"""


def test_letters_of_twice_the_size_leave_room_for_each_other_around_the_prompt(
    browser: Browser, preview: RunningApp
) -> None:
    with set_browser(browser, "defaultFontSize=32") as other:
        page = other.new_page()
        open_page(page, preview)
        for width in (320, 390, 701, 768, 860, 920, 1280):
            resize(page, width, 900)
            assert page.evaluate(OVER_EACH_OTHER) == [], width


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("is_open", [False, True])
def test_a_screen_shows_everything_without_a_horizontal_scroll_bar(
    standing: Standing, language: str, *, is_open: bool
) -> None:
    page = standing.page(language, is_open=is_open)
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    for width, height in SCREENS.items():
        resize(page, width, height)
        page.screenshot(path=ARTIFACTS / f"{width}-{language}{'-open' if is_open else ''}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, width


def test_no_width_from_phone_to_desk_needs_a_horizontal_scroll_bar(standing: Standing) -> None:
    page = standing.page(is_open=True)
    too_wide: list[int] = []
    for width in range(360, 1601, 40):
        resize(page, width, 800)
        if page.evaluate("document.documentElement.scrollWidth") > width:
            too_wide.append(width)
    assert too_wide == []


COVERED = """() => {
  const range = document.createRange();
  const boxesOf = (element) => (range.selectNodeContents(element), [...range.getClientRects()]);
  const meet = (one, other) =>
    one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;
  const help = document.querySelector("#field-prompt .info-text");
  const names = [...document.querySelectorAll("#part-several button, #field-prompt [data-testid=block-info]")];
  return names.filter((name) => boxesOf(name).some((one) => boxesOf(help).some((other) => meet(one, other)))).length;
}"""
CUT = """() => [...document.querySelectorAll(".showcase .title")]
  .filter((title) => title.checkVisibility() && title.scrollWidth > title.clientWidth)
  .map((title) => title.textContent)"""

HELP_LINES = """() => {
  const range = document.createRange();
  range.selectNodeContents(document.querySelector("#field-prompt .info-text"));
  return new Set([...range.getClientRects()].map((box) => Math.round(box.top))).size;
}"""

BROKEN = """() => [...document.querySelectorAll(".prompt-panel .tools button")].filter((button) => {
  const range = document.createRange();
  range.selectNodeContents(button);
  return new Set([...range.getClientRects()].map((box) => Math.round(box.top))).size > 1;
}).map((button) => button.textContent)"""


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_lies_over_another_and_the_first_examples_keep_their_names(standing: Standing, language: str) -> None:
    page = standing.page(language)
    found = {}
    for width in (320, 390, 701, 768, 860, 999, 1024, 1280, 1440):
        resize(page, width, 800)
        if covered := page.evaluate(COVERED):
            found[width] = [str(covered)]
        if (lines := page.evaluate(HELP_LINES)) > 2:
            found[width] = [*found.get(width, []), f"{lines} lines of help"]
        found |= {width: broken} if (broken := page.evaluate(BROKEN)) else {}
        if width > 390 and (cut := page.evaluate(CUT)):
            found[width] = [*found.get(width, []), *cut]
    assert found == {}


def test_generate_stays_in_reach_on_a_phone(shown: Page) -> None:
    resize(shown, 360, SCREENS[360])
    assert bottom(shown, "#generate") <= SCREENS[360]
    is_on_top = "() => { const box = document.querySelector('#generate').getBoundingClientRect();"
    is_on_top += "return document.elementFromPoint(box.x + 9, box.y + 9).closest('#generate') !== null; }"
    assert shown.evaluate(is_on_top)


def test_generate_covers_nothing_in_a_window_as_low_as_at_400_percent(shown: Page) -> None:
    resize(shown, 320, 256)
    top, height = "document.querySelector('#generate').getBoundingClientRect().top", 256
    assert shown.evaluate(top) > height
    shown.locator("#generate").focus()
    shown.wait_for_function(f"{top} < {height}")


@pytest.mark.parametrize("prompt", ["", LONGEST.request.prompt], ids=["empty", "written"])
def test_the_first_screen_holds_prompt_button_and_player_and_the_button_takes_focus_and_press_without_a_scroll(
    page: Page, preview: RunningApp, prompt: str
) -> None:
    open_page(page, preview)
    page.locator("#field-prompt textarea").fill(prompt)
    expect(page.locator(".prompt-panel .pieces li")).to_have_count(4 if prompt else 0)
    for part in ("#field-prompt", "#generate", ".blank"):
        assert bottom(page, part) <= SCREENS[1280], part
    assert page.evaluate("scrollY") == 0
    for width, height in ((1280, 800), (1280, 600), (390, 844), (320, 640)):
        resize(page, width, height)
        page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
        assert bottom(page, "#generate") <= height, (width, height)
        page.locator("#generate").focus()
        assert page.evaluate("scrollY") == 0, (width, height)
        page.locator("#generate").click(trial=True)
        assert page.evaluate("scrollY") == 0, (width, height)


def test_a_finger_hits_everything_on_a_phone(standing: Standing) -> None:
    page = standing.page(is_open=True)
    resize(page, 360, SCREENS[360])
    targets = page.evaluate(VISIBLE_TARGETS)
    assert len(targets) > 60
    assert [target for target in targets if target["height"] < TOUCH_PX or target["width"] < TOUCH_PX] == []


def test_a_choice_is_written_in_the_middle_of_its_box(shown: Page) -> None:
    off = shown.evaluate(
        """() => [...document.querySelectorAll(".segmented label")].map((label) => {
          const [box, text] = [label, label.querySelector("span")].map((element) => element.getBoundingClientRect());
          return Math.abs(text.x + text.width / 2 - (box.x + box.width / 2));
        })"""
    )
    assert len(off) >= 11
    assert max(off) <= 1


def test_a_button_of_two_lines_keeps_them_off_its_border(page: Page, preview: RunningApp) -> None:
    open_page(page, preview, 320, 640)
    air = page.locator(".videos [data-part=restore]").evaluate(
        """(button) => {
          button.textContent = "Again with a new seed · about $0.16, at most $0.24, as its card says";
          const text = document.createRange();
          text.selectNodeContents(button);
          const [inner, outer] = [text.getBoundingClientRect(), button.getBoundingClientRect()];
          return { above: inner.top - outer.top, below: outer.bottom - inner.bottom, lines: inner.height };
        }"""
    )
    assert air["lines"] > 30
    assert min(air["above"], air["below"]) >= 5


TWO_LINES = ("Generate · about 3.5 min · about $1.46, at most $2.20", "Try again · $1.46, at most $2.20")
LAST_LINE = """([selector, text]) => {
  const button = document.querySelector(selector);
  button.textContent = text;
  const range = document.createRange();
  range.selectNodeContents(button);
  const widths = new Map();
  for (const { top, width } of range.getClientRects()) widths.set(top, (widths.get(top) ?? 0) + width);
  const lines = [...widths.values()];
  return { lines: lines.length, share: lines.at(-1) / Math.max(...lines) };
}"""


def test_no_button_leaves_a_single_word_for_its_last_line(page: Page, preview: RunningApp) -> None:
    open_page(page, preview)
    shares = {}
    for width in (320, 360, 390, 701, 768, 1024, 1280, 1440):
        resize(page, width, 800)
        for selector, text in product(("#generate", ".videos [data-part=restore]"), TWO_LINES):
            found = page.evaluate(LAST_LINE, [selector, text])
            if found["lines"] > 1 and found["share"] < 0.5:
                shares[width, selector, text] = found
    assert shares == {}


FIRST_DOTS = """(width) => {
  const tile = document.createElement("div");
  tile.style.width = `${width}px`;
  tile.innerHTML = '<button class="button"></button>';
  tile.firstChild.append(document.querySelector("#generate .unbroken-line").cloneNode(true));
  tile.querySelector(".part .unbroken").firstChild.data = "Again with a new seed, whichever comes";
  document.querySelector("#form").prepend(tile);
  const found = [...tile.querySelectorAll(".dot")].map((dot) => {
    const before = document.createRange();
    before.setStart(tile, 0);
    before.setEndBefore(dot);
    const { left, width } = dot.getBoundingClientRect();
    return { isShown: width > 0, isFirst: width > 0 && left < [...before.getClientRects()].at(-1).right - 1 };
  });
  tile.remove();
  return found;
}"""


def test_no_line_of_a_button_begins_with_the_dot_between_its_parts(shown: Page) -> None:
    count, first = 0, {}
    for window, button in product((701, 860, 1100, 1101, 1280, 1440), (160, 240, 300, 340, 420)):
        resize(shown, window, 800)
        dots = shown.evaluate(FIRST_DOTS, button)
        count += sum(dot["isShown"] for dot in dots)
        first |= {(window, button): dots} if any(dot["isFirst"] for dot in dots) else {}
    assert first == {}
    assert count > 0


def test_what_a_box_suggests_does_not_look_like_what_was_typed(shown: Page) -> None:
    alike = shown.evaluate(
        """() => [...document.querySelectorAll("[placeholder]:not([placeholder='']):not([type=range])")]
          .filter((box) => getComputedStyle(box, "::placeholder").color === getComputedStyle(box).color)
          .map((box) => box.placeholder)"""
    )
    assert alike == []


def test_a_slider_has_its_help_below_its_name_and_box_and_stands_level_with_its_neighbour(
    standing: Standing,
) -> None:
    page = standing.page(is_open=True)
    for width in (320, 390, 768, 1280, 1440):
        resize(page, width, 800)
        sliders = page.evaluate(
            """() => [...document.querySelectorAll("#advanced .head")].map((head) => {
              const boxOf = (selector) => head.parentElement.querySelector(selector).getBoundingClientRect();
              const [name, help, number] = ["label > span", ".info-text", ".tab-like-container"].map(boxOf);
              return {
                isBelow: help.top >= number.bottom && help.top >= name.bottom,
                isWide: help.width >= 0.95 * head.clientWidth,
                isLevel: Math.abs(name.top + name.bottom - number.top - number.bottom) <= 4,
                row: Math.round(head.closest(".block").getBoundingClientRect().top),
                slider: Math.round(boxOf("input[type=range]").top),
              };
            })"""
        )
        assert len(sliders) == 5
        assert all(one["isBelow"] and one["isWide"] and one["isLevel"] for one in sliders), (width, sliders)
        assert len({one["row"] for one in sliders}) == len({one["slider"] for one in sliders}), (width, sliders)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_narrow_head_has_the_language_at_its_corner_and_one_row_more(standing: Standing, language: str) -> None:
    page = standing.page(language)
    for width in (320, 390, 600, 768, 999, 1280):
        resize(page, width, 800)
        switch, title, head = [
            page.locator(one).bounding_box() for one in (".masthead .language", ".masthead h1", ".masthead")
        ]
        assert switch
        assert title
        assert head
        assert abs(switch["y"] + switch["height"] / 2 - title["y"] - title["height"] / 2) <= 2, width
        assert abs(switch["x"] + switch["width"] - head["x"] - head["width"]) <= 1, width
        assert head["height"] <= (48 if width > 1000 else 84), width


def test_the_foot_of_the_page_begins_with_a_word(shown: Page) -> None:
    resize(shown, 360, SCREENS[360])
    assert shown.locator("footer").inner_text().strip()[0].isalpha()


def test_nothing_comes_from_another_host(page: Page, preview: RunningApp) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    open_page(page, preview)
    open_everything(page)
    page.locator(".examples button").first.click()
    assert len(asked) > 20
    assert [url for url in asked if not url.startswith((preview.url, "data:", "blob:"))] == []
