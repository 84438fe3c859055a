"""Two people who log in one after the other in one browser: neither is shown what the other has written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.app_process import RunningApp, running_app
from tests.browser.one_page import open_page

pytestmark = pytest.mark.slow

SECRET = "a surprise for the heron"
SEARCH = "herons of mine"
LIST = "a fox of mine\na crow of mine"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    with running_app(tmp_path_factory.mktemp("logins"), script="tests/login_app.py") as started:
        yield started


def log_in(page: Page, app: RunningApp, name: str) -> None:
    """Leave the page for the login and come back as somebody, or as nobody."""
    page.context.clear_cookies(name="login")
    if name:
        page.context.add_cookies([{"name": "login", "value": name, "url": app.url}])
    page.goto("about:blank")
    with page.expect_response("**/gradio_api/hunyuan/videos?*"):
        open_page(page, app)


def prompt(page: Page) -> Any:
    return page.locator("#field-prompt textarea")


def search(page: Page) -> Any:
    return page.locator(".videos input[type=search]")


def list_box(page: Page) -> Any:
    page.locator(".several .button").click()
    return page.locator("dialog.batch textarea")


def close_list(page: Page) -> None:
    page.keyboard.press("Escape")
    expect(page.locator("dialog.batch")).to_be_hidden()
    page.wait_for_function("!history.state?.hunyuan_dialog")  # a step back that is under way would stop the next one


def write_all(page: Page, written: str = SECRET, searched: str = SEARCH, listed: str = LIST) -> None:
    prompt(page).fill(written)
    search(page).fill(searched)
    list_box(page).fill(listed)
    close_list(page)


def has(page: Page, written: str, searched: str, listed: str) -> None:
    expect(prompt(page)).to_have_value(written)
    expect(search(page)).to_have_value(searched)
    expect(list_box(page)).to_have_value(listed)
    close_list(page)


@pytest.mark.parametrize("following", ["bob", ""], ids=["another login", "no login"])
def test_what_one_login_wrote_is_not_shown_to_who_comes_next_and_is_there_again_for_itself(
    page: Page, app: RunningApp, following: str
) -> None:
    log_in(page, app, "alice")
    write_all(page)
    log_in(page, app, following)
    has(page, "", "", "")
    if following:
        write_all(page, "of the next one", "crows", "a crow")
    log_in(page, app, "alice")
    has(page, SECRET, SEARCH, LIST)


def test_what_is_written_before_the_login_stays_and_then_belongs_to_it(page: Page, app: RunningApp) -> None:
    log_in(page, app, "")
    write_all(page)
    log_in(page, app, "carol")
    has(page, SECRET, SEARCH, LIST)
    log_in(page, app, "")
    has(page, "", "", "")


def test_another_tab_of_the_browser_has_a_login_s_list_only_for_that_login(page: Page, app: RunningApp) -> None:
    log_in(page, app, "dora")
    list_box(page).fill(LIST)
    page.locator("dialog.batch [data-part=form] button[type=submit]").click()
    page.locator("dialog.batch [data-part=send]").click()
    expect(page.locator("dialog.batch [data-part=standing]")).to_be_visible()
    close_list(page)
    other = page.context.new_page()
    log_in(other, app, "erik")
    expect(list_box(other)).to_have_value("")
    close_list(other)
    log_in(other, app, "dora")
    expect(list_box(other)).to_have_value(LIST)
