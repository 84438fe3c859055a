"""Browsers without lasting storage: the page works, says what is true, and offers an address."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Frame, Page, expect

from hunyuan_ui.job import is_id
from tests.app_process import RunningApp, running_app
from tests.browser.conftest import LONG_MS
from tests.browser.steps import generate_short, write

pytestmark = pytest.mark.slow

THROWS = """
for (const name of ["localStorage", "sessionStorage"])
  Object.defineProperty(window, name, { get() { throw new DOMException("denied", "SecurityError"); } });
"""
COOKIES_THROW = """
Object.defineProperty(document, "cookie", {
  get() { throw new DOMException("denied", "SecurityError"); },
  set() { throw new DOMException("denied", "SecurityError"); },
});
"""
REFUSES_COOKIES = 'Object.defineProperty(document, "cookie", { get: () => "", set() {} });'
DROPS = "Storage.prototype.setItem = () => undefined;"
FULL = 'Storage.prototype.setItem = () => { throw new DOMException("full", "QuotaExceededError"); };'
GONE = "for (const name of ['localStorage', 'sessionStorage', 'Notification', 'BroadcastChannel']) delete window[name];"
NULL = "for (const name of ['localStorage', 'sessionStorage']) Object.defineProperty(window, name, { value: null });"
KEEP_NOTHING = {
    "throws": THROWS + COOKIES_THROW,
    "drops": DROPS + REFUSES_COOKIES,
    "full": FULL,
    "gone": GONE + COOKIES_THROW,
    "null": NULL + REFUSES_COOKIES,
}
HUB = "https://huggingface.co/spaces/somebody/hunyuan-ui"
FOX = "A fox crosses a frozen lake."


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """A public page where all visitors watch the free preview."""
    with running_app(tmp_path_factory.mktemp("public"), GRADIO_SERVER_NAME="0.0.0.0") as started:
        yield started


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    with running_app(tmp_path_factory.mktemp("space"), SYSTEM="spaces", SPACE_ID="somebody/hunyuan-ui") as started:
        yield started


class Visit:
    """A browser, the visitor token that its pages send, and their errors."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.tokens: set[str] = set()
        self.troubles: list[str] = []
        context.set_default_timeout(LONG_MS)
        context.on("request", self._note)
        context.on("console", self._listen)
        context.on("weberror", lambda error: self.troubles.append(str(error.error)))

    def open(self, url: str) -> Page:
        page = self.context.new_page()
        page.goto(url)
        is_ready(page)
        return page

    def _note(self, request: Any) -> None:
        if token := request.headers.get("x-hunyuan-visitor"):
            self.tokens.add(token)

    def _listen(self, message: ConsoleMessage) -> None:
        # On the hub, Gradio requests fonts and the Space's state, which are unreachable from here.
        is_hubs = "ERR_NAME_NOT_RESOLVED" in message.text or message.text == "Space not found"
        if message.type == "error" and not is_hubs:
            self.troubles.append(f"{message.text} {message.location['url']}")


@pytest.fixture
def visit(new_context: Callable[..., BrowserContext]) -> Iterator[Callable[..., Visit]]:
    visits: list[Visit] = []

    def enter(script: str = "", **options: Any) -> Visit:
        context = new_context(**options)
        if script:
            context.add_init_script(script)
        visits.append(Visit(context))
        return visits[-1]

    yield enter
    troubles = "\n".join(trouble for one in visits for trouble in one.troubles)
    assert troubles == ""


def is_ready(page: Page | Frame) -> None:
    expect(page.locator(".examples button").first).to_be_visible()


def is_done(page: Page | Frame, prompt: str) -> None:
    expect(page.locator(".result .prompt")).to_have_text(prompt)


def in_my_videos(page: Page | Frame, prompt: str) -> None:
    expect(page.locator("[data-part=posters] li", has_text=prompt)).to_have_count(1)


def own_address(page: Page | Frame) -> str:
    page.locator(".address").get_by_role("button", name="Copy my address").click()
    return page.locator(".address input").input_value()


@pytest.mark.parametrize("kind", KEEP_NOTHING)
def test_who_is_kept_by_nothing_is_told_before_and_comes_back_by_an_address(
    visit: Callable[..., Visit], app: RunningApp, kind: str
) -> None:
    first = visit(KEEP_NOTHING[kind])
    page = first.open(app.url)
    expect(page.locator(".address")).to_contain_text("only your own address leads back")
    expect(page.locator(".notice")).to_be_hidden()
    prompt = f"{FOX} {kind}"
    generate_short(page, prompt)
    expect(page.locator(".under-way .keep")).to_have_text(re.compile("^Keep your own address"))
    expect(page.locator("body")).not_to_contain_text("You can close this tab")
    is_done(page, prompt)
    in_my_videos(page, prompt)
    token, address = first.tokens.copy(), own_address(page)
    assert token == {address.partition("#visitor=")[2]}
    page.reload()
    is_done(page, prompt)
    in_my_videos(page, prompt)
    assert first.tokens == token
    page.close()

    back = visit(KEEP_NOTHING[kind])
    again = back.open(address)
    in_my_videos(again, prompt)
    is_done(again, prompt)
    assert "visitor" not in again.url
    assert back.tokens == token
    assert own_address(again) == address
    again.reload()
    in_my_videos(again, prompt)


def test_who_is_kept_is_told_nothing_of_addresses(visit: Callable[..., Visit], app: RunningApp) -> None:
    known = visit()
    page = known.open(app.url)
    generate_short(page, FOX)
    expect(page.locator(".under-way .keep")).to_have_text("You can close this tab. It will be in My videos.")
    is_done(page, FOX)
    expect(page.locator(".address")).to_be_hidden()
    page.close()
    again = known.open(app.url)
    in_my_videos(again, FOX)
    assert len(known.tokens) == 1


def test_an_address_is_for_its_tab_and_changes_nobody_for_good(visit: Callable[..., Visit], app: RunningApp) -> None:
    browser = visit()
    own = browser.open(app.url)
    mine = own.evaluate("localStorage.getItem('hunyuan_visitor')")
    given = "0123456789abcdef" * 2
    page = browser.open(f"{app.url}#visitor={given}")
    expect(page.locator(".address")).to_contain_text("You came by a personal address")
    assert page.evaluate("hunyuan.visitor()") == given
    page.reload()
    is_ready(page)
    assert page.evaluate("hunyuan.visitor()") == given
    assert page.evaluate("localStorage.getItem('hunyuan_visitor')") == mine
    assert browser.open(app.url).evaluate("hunyuan.visitor()") == mine


def test_an_address_entered_in_an_open_page_is_followed(visit: Callable[..., Visit], app: RunningApp) -> None:
    page = visit().open(app.url)
    given = "fedcba9876543210" * 2
    with page.expect_navigation(wait_until="load"):
        page.evaluate("given => { location.hash = `visitor=${given}`; }", given)
    page.wait_for_function("given => window.hunyuan && hunyuan.visitor() === given", arg=given)


@pytest.mark.parametrize("wrong", ["", "nonsense", "0" * 31, "g" * 32, "<img src=x onerror=alert(1)>"])
def test_an_address_that_is_none_changes_nobody_and_is_said(
    visit: Callable[..., Visit], app: RunningApp, wrong: str
) -> None:
    page = visit().open(f"{app.url}#visitor={wrong}")
    assert is_id(page.evaluate("hunyuan.visitor()"))
    assert page.evaluate("hunyuan.browser.keeping()") == "kept"
    expect(page.locator(".address")).to_contain_text("is not whole")
    expect(page.locator(".address button")).to_be_hidden()
    page.reload()
    is_ready(page)
    expect(page.locator(".address")).to_be_hidden()


def test_a_store_that_is_cleared_meanwhile_is_filled_again(visit: Callable[..., Visit], app: RunningApp) -> None:
    page = visit().open(app.url)
    mine = page.evaluate("hunyuan.visitor()")
    page.evaluate("localStorage.clear()")
    generate_short(page, f"{FOX} cleared")
    expect(page.locator(".under-way .keep")).to_contain_text("It will be in My videos")
    assert page.evaluate("localStorage.getItem('hunyuan_visitor')") == mine
    is_done(page, f"{FOX} cleared")


def test_a_private_page_says_where_its_owner_finds_the_video(visit: Callable[..., Visit], preview: RunningApp) -> None:
    page = visit(KEEP_NOTHING["throws"]).open(preview.url)
    expect(page.locator(".address")).to_have_count(0)
    generate_short(page, FOX)
    expect(page.locator(".under-way .keep")).to_contain_text("All videos on this computer")
    is_done(page, FOX)


# the language


@pytest.mark.parametrize("kind", ["throws", "drops"])
def test_the_language_changes_without_cookies_and_the_prompt_comes_along(
    visit: Callable[..., Visit], app: RunningApp, kind: str
) -> None:
    browser = visit(KEEP_NOTHING[kind], locale="en-GB")
    page = browser.open(app.url)
    write(page, FOX)
    page.locator(".language").click()
    expect(page.locator(".language")).to_have_text("English")
    expect(page.locator("#field-prompt textarea")).to_have_value(FOX)
    expect(page.locator(".masthead .mode")).to_have_text("本地预览")  # the server's words
    expect(page.locator("#generate")).to_contain_text("生成")
    page.locator("#field-video-length input[type=number]").fill("9")
    page.locator("#field-video-length input[type=number]").blur()
    expect(page.locator("#made-as")).to_contain_text("0.4 秒")
    page.locator("#generate").click()
    is_done(page, FOX)
    expect(page.locator(".result .facts")).to_contain_text("免费预览")
    assert len(browser.tokens) == 1
    page.reload()
    expect(page.locator(".masthead .mode")).to_have_text("本地预览")
    page.locator(".language").click()
    expect(page.locator(".masthead .mode")).to_have_text("Local preview")


def test_where_cookies_are_kept_the_address_stays_as_it_is(visit: Callable[..., Visit], app: RunningApp) -> None:
    page = visit(locale="en-GB").open(app.url)
    page.locator(".language").click()
    expect(page.locator(".masthead .mode")).to_have_text("本地预览")
    assert page.url == app.url
    page.goto(f"{app.url}?lang=en")
    expect(page.locator(".masthead .mode")).to_have_text("Local preview")


# inside another site's page


def test_a_page_in_another_sites_frame_works_and_offers_an_address(
    visit: Callable[..., Visit], space: RunningApp
) -> None:
    hub = visit(locale="en-GB")
    hub.context.grant_permissions(["local-network-access"])
    outer = hub.context.new_page()
    outer.route(
        HUB,
        lambda route: route.fulfill(
            content_type="text/html",
            body=f"<iframe allow=local-network-access src={space.url} width=1200 height=2000></iframe>",
        ),
    )
    outer.goto(HUB)
    _, frame = outer.frames
    is_ready(frame)
    expect(frame.locator(".address")).to_contain_text(re.compile("our own address leads"))
    frame.locator("#field-prompt textarea").fill(FOX)
    frame.locator(".language").click()
    expect(frame.locator(".masthead .mode")).to_have_text("本地预览")
    expect(frame.locator("#field-prompt textarea")).to_have_value(FOX)
    frame.locator(".language").click()
    expect(frame.locator(".masthead .mode")).to_have_text("Local preview")
    generate_short(frame, FOX)  # pyright: ignore[reportArgumentType]
    expect(frame.locator(".under-way .keep")).to_contain_text("our own address")
    is_done(frame, FOX)
    address = own_address(frame)
    in_my_videos(visit().open(address), FOX)
