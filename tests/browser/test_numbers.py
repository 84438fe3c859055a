"""Countable properties of the page: tab stops, layout shifts while it opens, its space, axe's findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from hunyuan_ui.job import new_id
from hunyuan_ui.prompt_help.examples import EXAMPLES, SHOWCASE
from hunyuan_ui.words import words
from tests.app_process import RunningApp, running_app
from tests.browser.axe import broken_rules
from tests.browser.conftest import Visitors
from tests.browser.steps import put_on, resize, until
from tests.shelves import put_video
from tests.videos import mp4_bytes

pytestmark = pytest.mark.slow

WHO = new_id()
MOST_STOPS = 14
MOST_SHIFT = 0.02
TOUCH_PX = 44
WINDOWS = [(360, 844), (390, 844), (768, 800), (768, 1400), (1280, 800), (1440, 800), (1440, 1200), (1920, 1080)]
SHIFTS = """window.shifts = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts.push(entry.value);
}).observe({ type: "layout-shift", buffered: true });"""
TITLES = """() => [...document.querySelectorAll(".showcase .title")].map((one) => {
  const text = document.createRange();
  text.selectNodeContents(one);
  const { x, y, width } = text.getBoundingClientRect();
  return [Math.round(x), Math.round(y), Math.round(width), getComputedStyle(one).color].join(" ");
})"""
FRAMES = """window.framesAsked = 0;
const ask = window.requestAnimationFrame.bind(window);
window.requestAnimationFrame = (callback) => { window.framesAsked++; return ask(callback); };"""
REMEMBER = f"localStorage.setItem('hunyuan_visitor', '{WHO}')"
TOO_SMALL = """() => [...document.querySelectorAll("button, a[href], select, summary, input, label:has(input)")]
  .filter((one) => !document.querySelector("dialog[open]") || one.closest("dialog[open]"))
  .filter((one) => one.checkVisibility({ visibilityProperty: true, opacityProperty: true }))
  .filter((one) => !["radio", "checkbox"].includes(one.type) && !one.closest(".visually-hidden, pre"))
  .filter((one) => one.tagName !== "LABEL" || one.querySelector("input[type=radio], input[type=checkbox]"))
  .filter((one) => ["width", "height"].some((side) => one.getBoundingClientRect()[side] < 43.5))
  .map((one) => one.outerHTML.slice(0, 160))"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An app with videos of one visitor."""
    folder = tmp_path_factory.mktemp("numbers")
    for index, (width, height) in enumerate([(320, 176), (176, 320), (240, 240)]):
        data = mp4_bytes(width=width, height=height, frames=25, shade=60 * index)
        put_video(folder / "data", WHO, age_s=60 + index, data=data, prompt=f"a heron {index}")
    with running_app(folder) as started:
        yield started


def opened(page: Page, app: RunningApp, *, is_known: bool = True) -> Page:
    """Open the page, as the visitor with videos or as a stranger."""
    page.set_default_timeout(30_000)
    if is_known:
        page.add_init_script(REMEMBER)
    page.goto(app.url)
    expect(page.locator(".examples button")).to_have_count(len(EXAMPLES))
    expect(page.locator(".prompt-panel .groups button")).to_have_count(4)
    if is_known:
        expect(page.locator(".posters li")).to_have_count(3)
    return page


# states


def everything(page: Page) -> None:
    page.locator("#advanced > button").click()
    expect(page.locator("#field-width input[type=number]")).to_be_visible()
    page.locator(".owner summary").click()
    expect(page.locator(".owner tbody tr").first).to_be_visible()


def one_video(page: Page) -> None:
    page.locator(".posters .tile-button").first.click()
    expect(page.locator("dialog.viewer")).to_be_visible()


def two_videos(page: Page) -> None:
    one_video(page)
    page.locator("dialog.viewer [data-part=compare]").click()
    page.locator(".posters .tile-button").nth(1).click()
    expect(page.locator("dialog.compare")).to_be_visible()


def several(page: Page) -> None:
    page.locator(".videos [data-part=choose]").click()
    page.locator(".posters .tile-button").first.click()
    expect(page.locator(".videos .chosen")).to_be_visible()


STATES: dict[str, Callable[[Page], None]] = {
    "open": everything,
    "viewer": one_video,
    "compare": two_videos,
    "several": several,
}
LOOKS: list[dict[str, Any]] = [
    {"color_scheme": scheme, "forced_colors": forced} for scheme in ("light", "dark") for forced in ("none", "active")
]


@pytest.mark.parametrize("state", STATES)
def test_axe_finds_nothing_of_any_impact_and_nothing_is_wider_than_the_screen(
    page: Page, app: RunningApp, state: str
) -> None:
    page.emulate_media(**LOOKS[0], reduced_motion="reduce")
    opened(page, app)
    STATES[state](page)
    for look in LOOKS:
        put_on(page, **look, reduced_motion="reduce")
        assert broken_rules(page) == {}, look
    put_on(page, **LOOKS[0], reduced_motion="no-preference")
    wider: list[int] = []
    for width in (320, 341, 360, 390, 430, 560, 701, 861, 1024, 1280):
        resize(page, width, 800)
        if page.evaluate("document.documentElement.scrollWidth") > width:
            wider.append(width)
    assert wider == []


def test_few_stops_of_the_tab_key_lead_from_the_prompt_to_the_button(page: Page, app: RunningApp) -> None:
    opened(page, app, is_known=False)
    page.locator("#field-prompt textarea").focus()
    stops: list[str] = []
    while not stops or stops[-1] != "generate":
        page.keyboard.press("Tab")
        stops.append(page.evaluate("document.activeElement.closest('[id]').id"))
        assert len(stops) <= MOST_STOPS, stops


def test_the_words_to_add_are_reached_by_arrow_keys(page: Page, app: RunningApp) -> None:
    opened(page, app, is_known=False)
    page.locator("#field-prompt textarea").focus()
    page.keyboard.press("Tab")
    for key, name in (("", "Camera"), ("ArrowRight", "Light"), ("End", "Shot"), ("ArrowRight", "Camera")):
        if key:
            page.keyboard.press(key)
        expect(page.locator(":focus")).to_have_text(name)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    expect(page.locator(":focus")).to_have_text("Shot")


@pytest.fixture(scope="module")
def returning(visitors: Visitors, app: RunningApp) -> Iterator[BrowserContext]:
    """A visitor with videos who has been here before."""
    with visitors.staying() as context:
        first = opened(context.new_page(), app)
        expect(first.locator("#player video")).to_be_visible()
        first.close()
        yield context


def moves_little(page: Page, app: RunningApp, *, is_known: bool) -> None:
    page.add_init_script(SHIFTS)
    opened(page, app, is_known=is_known)
    page.wait_for_timeout(1500)
    assert page.evaluate("document.documentElement.hasAttribute('data-drawn')")
    shifts = page.evaluate("window.shifts")
    assert sum(shifts) < MOST_SHIFT, shifts


@pytest.mark.parametrize(("width", "height"), WINDOWS)
def test_little_moves_while_the_page_opens(browser: Browser, app: RunningApp, width: int, height: int) -> None:
    with browser.new_context(viewport={"width": width, "height": height}) as context:
        moves_little(context.new_page(), app, is_known=False)


@pytest.mark.parametrize(("width", "height"), WINDOWS)
def test_little_moves_while_the_page_opens_again(
    returning: BrowserContext, app: RunningApp, width: int, height: int
) -> None:
    with returning.new_page() as page:
        page.set_viewport_size({"width": width, "height": height})
        moves_little(page, app, is_known=True)


KEEPS_NOTHING = "Storage.prototype.setItem = () => undefined;"


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A public page, where a personal address is offered, with a video of one visitor."""
    folder = tmp_path_factory.mktemp("public")
    data = mp4_bytes(width=176, height=320, frames=25, shade=60)
    put_video(folder / "data", WHO, age_s=60, data=data, prompt="a heron")
    with running_app(folder, GRADIO_SERVER_NAME="0.0.0.0") as started:
        yield started


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("script", ["", KEEPS_NOTHING], ids=["keeps", "keeps-nothing"])
@pytest.mark.parametrize("way", ["", f"#visitor={WHO}"], ids=["plain", "address"])
def test_little_moves_on_a_first_visit_that_has_to_speak_of_a_personal_address(
    browser: Browser, public: RunningApp, way: str, script: str, width: int
) -> None:
    with browser.new_context(viewport={"width": width, "height": 844 if width < 500 else 800}) as context:
        page = context.new_page()
        page.add_init_script(SHIFTS + script)
        page.goto(public.url + way)
        if way:
            expect(page.locator("#player video")).to_be_visible()
        if way or script:
            expect(page.locator(".address")).to_be_visible()
        expect(page.locator("#generate")).to_be_visible()
        page.wait_for_timeout(1500)
        shifts = page.evaluate("window.shifts")
        assert sum(shifts) < MOST_SHIFT, shifts


@pytest.mark.parametrize(("width", "count"), [(390, 4), (1280, 6)])
def test_the_first_pictures_wait_for_no_answer_and_are_fetched_once(
    page: Page, app: RunningApp, width: int, count: int
) -> None:
    asked: list[str] = []
    held: list[Any] = []
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    page.route("**/gradio_api/run/**", lambda route: held.append(route))
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(app.url)
    pictures = page.locator(".showcase img:visible")
    expect(pictures).to_have_count(count, timeout=30_000)
    page.wait_for_function("[...document.querySelectorAll('.showcase img')].every((one) => one.naturalWidth > 100)")
    titles = page.locator(".showcase .title:visible").all_inner_texts()
    assert titles == [words()[f"example.{example.key}"] for example in SHOWCASE[:count]]
    expect(page.locator(".showcase button")).to_have_count(0)
    until(page, lambda: held)
    page.wait_for_timeout(300)
    for route in held.copy():
        route.continue_()
    expect(page.locator(".showcase button:visible")).to_have_count(count)
    expect(page.locator(".examples button")).to_have_count(len(EXAMPLES))
    assert page.locator(".showcase button:visible .title").all_inner_texts() == titles
    page.wait_for_function("[...document.querySelectorAll('.examples img')].every((one) => one.naturalWidth > 100)")
    files = [path for path in asked if path.endswith((".webp", ".js", ".css"))]
    assert len(files) > len(EXAMPLES)
    assert sorted(files) == sorted(set(files))


@pytest.mark.parametrize("width", [320, 390, 1280])
@pytest.mark.parametrize("language", ["en-GB", "zh-CN"])
def test_nothing_moves_when_the_first_answer_comes(
    browser: Browser, public: RunningApp, language: str, width: int
) -> None:
    size: Any = {"width": width, "height": 844 if width < 500 else 800}
    with browser.new_context(viewport=size, locale=language) as context:
        page = context.new_page()
        page.add_init_script(SHIFTS)
        held: list[Any] = []
        page.route("**/gradio_api/run/**", lambda route: held.append(route))
        page.goto(public.url)
        expect(page.locator(".showcase li").first).to_be_visible(timeout=30_000)
        page.wait_for_timeout(500)
        said = page.locator(".masthead").inner_text()
        expect(page.locator("#generate")).to_contain_text(words(language[:2])["page.pricing"])
        places = page.evaluate(TITLES)
        for route in held.copy():
            route.continue_()
        expect(page.locator(".examples button")).to_have_count(len(EXAMPLES))
        page.wait_for_timeout(500)
        assert page.locator(".masthead").inner_text() == said
        assert page.evaluate(TITLES) == places
        assert sum(page.evaluate("window.shifts")) < MOST_SHIFT / 100  # the price beside a button's other words


def test_where_pictures_of_ones_own_were_seen_no_others_are_shown_first(page: Page, app: RunningApp) -> None:
    page.route("**/gradio_api/run/**", lambda _: None)
    page.add_init_script("localStorage.setItem('hunyuan_own_examples', 'yes')")
    page.goto(app.url)
    expect(page.locator(".showcase li").first).to_be_visible(timeout=30_000)
    expect(page.locator(".showcase img")).to_have_count(0)


def test_a_page_that_is_never_drawn_whole_is_shown_all_the_same(page: Page, app: RunningApp) -> None:
    page.add_init_script("localStorage.setItem('hunyuan_has_video', 'yes')")  # deleted elsewhere since
    opened(page, app, is_known=False)
    expect(page.locator("#generate")).to_be_visible()
    expect(page.locator(".blank")).to_be_visible()


@pytest.mark.parametrize("state", STATES)
def test_a_coarse_pointer_finds_every_target_large(new_visitor: Any, app: RunningApp, state: str) -> None:
    page = opened(new_visitor(has_touch=True, is_mobile=True).new_page(), app)
    STATES[state](page)
    for width in (390, 820, 1024):
        resize(page, width, 844)
        assert page.evaluate("[innerWidth, matchMedia('(pointer: coarse)').matches]") == [width, True]
        assert page.evaluate(TOO_SMALL) == [], width


def test_a_page_at_rest_asks_for_no_frame(page: Page, app: RunningApp) -> None:
    page.add_init_script(FRAMES)
    opened(page, app, is_known=False)  # a playing video requests each
    page.wait_for_function(
        """() => {
          const asked = window.framesAsked - (window.framesSeen ?? 0);
          window.framesSeen = window.framesAsked;
          return asked === 0;
        }""",
        polling=1500,
    )
