"""A page that stays open: overnight, while the computer sleeps, while it is offline."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from hunyuan_ui.credential_attempts import OF_A_VISITOR
from hunyuan_ui.limits import SECONDS_BETWEEN_SUBMITS
from tests.app_process import RunningApp, free_port, running_app
from tests.browser.one_page import open_page
from tests.browser.paid_endpoint import PaidEndpoint
from tests.browser.steps import generate_short, two_frames, write
from tests.browser.test_public import CODE
from tests.browser.test_public import paid as paid

ASKED_AGAIN = ("jobs", "price", "allowance", "videos")


@pytest.fixture(scope="module")
def app(paid: PaidEndpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """A public page on which each visitor has one video a day."""
    settings = {**paid.settings, "HUNYUAN_UI_ACCESS_CODE": CODE, "HUNYUAN_UI_DAILY_LIMIT_USD": "50"}
    settings |= {"HUNYUAN_UI_VISITOR_DAILY_VIDEOS": "1", "script": "tests/public_app.py"}
    with running_app(tmp_path_factory.mktemp("returning"), **settings) as started:
        yield started


# The app's clock does not jump along with the page's: an answer in the middle of the jump would set the page back.
ONLY_THE_PAGES_CLOCK = """() => {
  const get = Headers.prototype.get;
  Headers.prototype.get = function (name) { return name === "date" ? null : get.call(this, name); };
}"""


def is_of(what: str) -> re.Pattern[str]:
    return re.compile(rf"/hunyuan/{what}(\?|$)")


@pytest.fixture
def opened(page: Page, app: RunningApp) -> Page:
    page.clock.install()
    return open_page(page, app)


def test_a_computer_that_has_slept_shows_how_things_stand_now(opened: Page) -> None:
    with ExitStack() as answers:
        for what in ASKED_AGAIN:
            answers.enter_context(opened.expect_response(is_of(what)))
        opened.clock.fast_forward("08:00:00")


def test_a_computer_that_fell_asleep_while_the_page_opened_shows_the_videos(page: Page, app: RunningApp) -> None:
    unanswered: list[Route] = []
    page.route(is_of("videos"), lambda route: unanswered.append(route), times=1)
    page.clock.install()
    with page.expect_request(is_of("videos")):
        open_page(page, app)
    with page.expect_response(is_of("videos")):
        page.clock.fast_forward("08:00:00")
    assert len(unanswered) == 1
    expect(page.locator(".videos [data-part=line].problem")).to_have_count(0)


def test_a_page_in_sight_at_midnight_takes_back_that_nothing_is_left_of_the_day(opened: Page) -> None:
    opened.evaluate(ONLY_THE_PAGES_CLOCK)
    code = opened.locator(".payment [data-part=code-form] input")
    code.fill(CODE)
    code.press("Enter")
    expect(opened.locator(".payment .allowance")).to_contain_text("1 of 1 video left")
    generate_short(opened, "a lone heron")
    expect(opened.locator("#player video")).to_be_visible()
    expect(opened.locator(".payment .allowance")).to_contain_text("More tomorrow")
    write(opened, "a heron too many")
    opened.locator("#generate").click()
    notice = opened.locator(".notice")
    expect(notice).to_contain_text("come back tomorrow")
    opened.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    two_frames(opened)
    expect(notice).to_be_visible()
    opened.clock.fast_forward("24:00:00")
    expect(notice).to_be_hidden()


def test_what_was_too_soon_is_said_until_it_is_no_longer(opened: Page) -> None:
    opened.get_by_label("Nobody: local preview").check()
    generate_short(opened, "a quick heron")
    expect(opened.locator(".under-way, #player video").first).to_be_visible()
    write(opened, "a quicker heron")
    opened.locator("#generate").click()
    notice = opened.locator(".notice")
    expect(notice).to_contain_text("very quick after the last one")
    opened.clock.fast_forward(1000 * SECONDS_BETWEEN_SUBMITS)
    expect(notice).to_be_hidden()


def test_too_many_codes_are_spoken_of_until_the_next_one_may_be_tried(opened: Page) -> None:
    box = opened.locator(".payment [data-part=code-form] input")
    problem = opened.locator(".payment .problem")
    expect(box).to_be_visible()
    # On a slow machine one more may be tried before the last of the first ones is answered.
    for tried in range(4 * OF_A_VISITOR.burst):
        box.fill(f"a wrong code, {tried}")
        expect(problem).to_be_hidden()
        box.press("Enter")
        expect(problem).to_be_visible()
        if "Too many" in problem.inner_text():
            break
    expect(problem).to_contain_text("Too many codes")
    opened.clock.fast_forward(int(1000 * OF_A_VISITOR.every_s))
    expect(problem).to_be_hidden()


@pytest.mark.slow
def test_a_page_that_is_open_over_a_start_with_other_events_sends_what_it_shows(page: Page, tmp_path: Path) -> None:
    port, prompt = free_port(), "a fox over a restart"
    with running_app(tmp_path, port=port) as before:
        open_page(page, before)
        write(page, prompt)
    with running_app(tmp_path, port=port, SYSTEM="spaces", SPACE_ID="someone/hunyuan"):
        page.locator("#generate").click()
        expect(page.locator("#duplicate")).to_be_visible()
        expect(page.locator("#field-prompt textarea")).to_have_value(prompt)
        page.locator("#generate").click()
        expect(page.locator(".job-card .prompt").or_(page.locator(".result .prompt")).first).to_have_text(prompt)
