"""A page over a service that never ends a job, and helpers that fill in its form."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from hunyuan_ui.estimate import estimate
from hunyuan_ui.prompt_help.examples import EXAMPLES
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.words import words
from tests.app_process import RunningApp, running_app
from tests.browser.conftest import LONG_MS
from tests.browser.fault_proxy import FaultProxy
from tests.browser.paid_endpoint import PaidEndpoint, paid_endpoint
from tests.browser.steps import until

takes = itertools.count(1)
DEFAULT = VideoRequest.model_construct()
LATENCIES_S = (0.25, pytest.param(1.0, marks=pytest.mark.slow))


@pytest.fixture(scope="module")
def endpoint() -> Iterator[PaidEndpoint]:
    with paid_endpoint(seconds=600, credits=10_000.0) as running:
        yield running


@pytest.fixture(scope="module")
def app(endpoint: PaidEndpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """An app whose jobs never end, so that no price is calibrated."""
    settings = {**endpoint.settings, "HUNYUAN_UI_CONCURRENCY": "1000", "HUNYUAN_UI_DAILY_LIMIT_USD": "5000"}
    with running_app(tmp_path_factory.mktemp("form"), **settings) as started:
        yield started


@pytest.fixture
def proxy(app: RunningApp) -> Iterator[FaultProxy]:
    with FaultProxy(app.port) as running:
        yield running


@pytest.fixture(autouse=True)
def no_event_breaks(page: Page) -> Iterator[None]:
    """Fails on server errors in responses to the page, and on script errors."""
    troubles: list[str] = []
    page.on("response", lambda answer: troubles.append(answer.url) if answer.status >= 500 else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda told: troubles.append(told.text) if "Error executing" in told.text else None)
    yield
    assert troubles == []


@pytest.fixture(params=LATENCIES_S, ids=lambda latency_s: f"{latency_s * 1000:g} ms")
def slow(request: pytest.FixtureRequest, page: Page, proxy: FaultProxy) -> Page:
    """A page with a slow connection from now on."""
    opened(page, proxy.url)
    proxy.latency_s = request.param
    return page


@pytest.fixture
def prompt() -> str:
    return f"A heron lands on a frozen pond, take {next(takes)}."


def opened(page: Page, url: str) -> Page:
    page.set_default_timeout(LONG_MS)
    page.goto(url)
    expect(page.locator(".examples button")).to_have_count(len(EXAMPLES))
    expect(page.locator("#generate")).to_contain_text("at most $")
    return page


def pick(page: Page, group: str, text: str) -> None:
    page.locator(f"#{group} label").filter(has_text=text).click()


def number(page: Page, name: str) -> Any:
    return page.locator(f"#field-{name.replace('_', '-')} input[type=number]")


def chosen(page: Page, group: str) -> str:
    return page.locator(f"#{group} input:checked").input_value()


def sent(page: Page, endpoint: PaidEndpoint, before: int) -> dict[str, Any]:
    """Return the request that the service was paid for since then; exactly one POST."""
    expect(page.locator(".under-way")).to_be_visible()
    until(page, lambda: len(endpoint.bodies) > before)
    assert len(endpoint.bodies) == before + 1
    return endpoint.bodies[-1]


def price_of(**values: Any) -> str:
    return words().price(estimate(DEFAULT.model_copy(update=values)))
