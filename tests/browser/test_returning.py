"""A page that stays open: over a night, while the computer sleeps, while the line is away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Page

from tests.app_process import RunningApp, running_app
from tests.browser.one_page import open_page
from tests.browser.paid_endpoint import PaidEndpoint, paid_endpoint

CODE = "marzipan-hedgehog"
ASKED_AGAIN = ("jobs", "price", "allowance", "videos")


@pytest.fixture(scope="module")
def paid() -> Iterator[PaidEndpoint]:
    with paid_endpoint(seconds=0.5) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def app(paid: PaidEndpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """A public page on which each visitor has one video a day."""
    settings = {**paid.settings, "HUNYUAN_UI_ACCESS_CODE": CODE, "HUNYUAN_UI_DAILY_LIMIT_USD": "50"}
    settings |= {"HUNYUAN_UI_VISITOR_DAILY_VIDEOS": "1", "script": "tests/public_app.py"}
    with running_app(tmp_path_factory.mktemp("returning"), **settings) as started:
        yield started


@pytest.fixture
def opened(page: Page, app: RunningApp) -> Page:
    page.clock.install()
    return open_page(page, app)


def test_a_computer_that_has_slept_shows_how_things_stand_now(opened: Page) -> None:
    with ExitStack() as answers:
        for what in ASKED_AGAIN:
            answers.enter_context(opened.expect_response(f"**/hunyuan/{what}"))
        opened.clock.fast_forward("08:00:00")
