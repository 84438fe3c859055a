"""A page with the dialog of a list of prompts, and what is done in it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.app_process import RunningApp, running_app
from tests.browser.paid_endpoint import PaidEndpoint, paid_endpoint

SMALL = ', "width": 64, "height": 64, "video_length": 5'
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[PaidEndpoint]:
    with paid_endpoint(seconds=0.2, credits=1000.0) as running:
        yield running


@pytest.fixture(scope="module")
def app(endpoint: PaidEndpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    settings = {**endpoint.settings, "HUNYUAN_UI_DAILY_LIMIT_USD": "1000", "HUNYUAN_UI_CONCURRENCY": "2"}
    with running_app(tmp_path_factory.mktemp("batch"), **settings) as started:
        yield started


@pytest.fixture
def name() -> str:
    return f"herons {next(numbers)}"


def rows(name: str, count: int) -> str:
    return "\n".join(f'{{"prompt": "{name}, take {number}"{SMALL}}}' for number in range(count))


def opened(page: Page, app: RunningApp) -> Locator:
    """Open the page and the dialog of a list."""
    page.goto(app.url)
    expect(page.locator(".prompt-panel .groups button")).to_have_count(4)
    return dialog_of(page)


def dialog_of(page: Page) -> Locator:
    page.locator("#part-several button").click()
    expect(page.locator("dialog.batch")).to_be_visible()
    return page.locator("dialog.batch")


def written(dialog: Locator, text: str, name: str, budget: str = "") -> None:
    dialog.get_by_label("Prompts, one in each line").fill(text)
    dialog.get_by_label("Name of the list").fill(name)
    if budget:
        dialog.get_by_label("Budget in $").fill(budget)


def checked(dialog: Locator) -> Locator:
    dialog.get_by_role("button", name="Check and price").click()
    expect(dialog.locator(".checked")).to_be_visible()
    return dialog.locator(".checked")


def generate(dialog: Locator) -> Locator:
    return dialog.get_by_role("button", name=re.compile("^Generate "))
