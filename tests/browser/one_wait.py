"""A page over a service whose jobs take seconds, and helpers that watch them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import BrowserContext, CDPSession, ConsoleMessage, Page, Request, expect

from tests.app_process import RunningApp, running_app
from tests.browser.conftest import LONG_MS
from tests.browser.fault_proxy import FaultProxy
from tests.browser.paid_endpoint import PaidEndpoint, paid_endpoint
from tests.browser.steps import until, write

JOB_S = 3.0
SLOW_JOB_S = 12.0
CLICKED = b'{"data":["'  # begins with a click's id; other requests with the prompt begin differently
PLAYS = "() => { const video = document.querySelector('#player video'); return video && video.currentTime > 0.2; }"
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[PaidEndpoint]:
    with paid_endpoint(seconds=JOB_S, credits=1000.0) as running:
        yield running


@pytest.fixture(scope="module")
def app(endpoint: PaidEndpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    settings = {**endpoint.settings, "HUNYUAN_UI_DAILY_LIMIT_USD": "1000"}  # by default 13 videos reach it
    with running_app(tmp_path_factory.mktemp("watching"), **settings) as started:
        yield started


@pytest.fixture
def proxy(app: RunningApp) -> Iterator[FaultProxy]:
    with FaultProxy(app.port) as running:
        yield running


@pytest.fixture
def prompt() -> str:
    return f"A heron lands on a frozen pond, take {next(numbers)}."


@pytest.fixture
def new_visitor(new_visitor: Callable[..., BrowserContext]) -> Iterator[Callable[[], BrowserContext]]:
    """Creates visitors whose pages must run without a script error and load nothing from another host."""
    troubles: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        # The browser's own message about a broken connection is no script error.
        is_fault = "net::ERR_" in message.text or "status of 502" in message.text
        if message.type == "error" and not is_fault:
            troubles.append(message.text)

    def look(request: Request) -> None:
        if not request.url.startswith(("http://127.0.0.", "data:", "blob:")):
            troubles.append(f"asked {request.url}")

    def enter() -> BrowserContext:
        context = new_visitor()
        context.set_default_timeout(LONG_MS)
        context.on("console", listen)
        context.on("weberror", lambda error: troubles.append(str(error.error)))
        context.on("request", look)
        return context

    yield enter
    assert troubles == []


@pytest.fixture
def visitor(new_visitor: Callable[[], BrowserContext]) -> BrowserContext:
    return new_visitor()


@pytest.fixture
def page(visitor: BrowserContext) -> Page:
    return visitor.new_page()


def visit(page: Page, url: str) -> Page:
    page.goto(url)
    expect(page.locator(".examples button").first).to_be_visible()
    return page


def generate(page: Page, prompt: str) -> None:
    write(page, prompt)
    page.locator("#generate").click()
    sees_under_way(page, prompt)


def sees_under_way(page: Page, prompt: str) -> None:
    expect(page.locator(".under-way")).to_be_visible()
    expect(page.locator(".under-way .prompt")).to_have_text(prompt)


def sees_rendering(page: Page) -> None:
    expect(page.locator("[data-part=phase]")).to_have_text("Rendering")


def sees_video(page: Page, prompt: str) -> None:
    expect(page.locator(".result .prompt")).to_have_text(prompt)
    page.wait_for_function(PLAYS)
    assert page.locator("#player video").evaluate("video => video.videoWidth") == 864
    expect(page.locator(".under-way")).to_be_hidden()


def wake(phone: CDPSession, visitor: BrowserContext) -> None:
    phone.send("Page.setWebLifecycleState", {"state": "active"})
    visitor.set_offline(False)


def clicks_of(page: Page, prompt: str) -> list[Request]:
    """Return a list that grows with each click with this prompt that the page sends."""
    clicks: list[Request] = []

    def look(sent: Request) -> None:
        if (sent.post_data or "").startswith(CLICKED.decode()) and prompt in str(sent.post_data):
            clicks.append(sent)

    page.on("request", look)
    return clicks


def statuses_of(page: Page, path: str) -> list[int]:
    """Return a list that grows with the status of each response from such an address."""
    statuses: list[int] = []
    page.on("response", lambda got: statuses.append(got.status) if path in got.url else None)
    return statuses


def made(app: RunningApp) -> int:
    return len(app.events("job.done"))


def until_made(page: Page, app: RunningApp, before: int) -> None:
    until(page, lambda: made(app) > before)
