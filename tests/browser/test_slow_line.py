"""The wait and My videos over a connection with a round trip of a quarter of a second, as to a Space."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.app_process import running_app
from tests.browser.fault_proxy import FaultProxy
from tests.browser.paid_endpoint import PaidEndpoint, paid_endpoint
from tests.browser.steps import short, write

pytestmark = pytest.mark.slow

LATENCY_S = 0.25
JOB_S = 2.0
PLAYS = "(place) => (document.querySelector(`${place} video`) || {}).currentTime > 0.1"


@pytest.fixture
def endpoint() -> Iterator[PaidEndpoint]:
    with paid_endpoint(seconds=JOB_S) as running:
        yield running


@pytest.fixture
def far(page: Page, endpoint: PaidEndpoint, tmp_path: Path) -> Iterator[Page]:
    """A page behind a slow connection."""
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    settings = {**endpoint.settings, "HUNYUAN_UI_CONCURRENCY": "1"}
    with running_app(tmp_path, **settings) as app, FaultProxy(app.port, LATENCY_S) as proxy:
        page.goto(proxy.url)
        expect(page.locator(".examples button").first).to_be_visible()
        yield page
    assert troubles == []


SIGN = "getComputedStyle(document.body, '::before')"


def test_a_page_that_takes_long_to_come_has_its_name_on_it_until_something_is_drawn(
    page: Page, endpoint: PaidEndpoint, tmp_path: Path
) -> None:
    with running_app(tmp_path, **endpoint.settings) as app, FaultProxy(app.port, 1.5) as proxy:
        page.goto(proxy.url, wait_until="commit")
        page.wait_for_function(f"document.body && {SIGN}.visibility === 'visible'")
        assert page.evaluate(f"{SIGN}.content") == '"Hunyuan Video"'
        assert page.locator("#desk").count() == 0
        expect(page.locator("#desk")).to_be_visible()
        assert page.evaluate(f"{SIGN}.content") == "none"


def ask_for(page: Page, prompt: str) -> None:
    expect(page.locator("#generate")).to_be_enabled()
    write(page, prompt)
    page.locator("#generate").click()


def test_a_wait_with_a_cancel_and_a_second_thought(far: Page, endpoint: PaidEndpoint) -> None:
    with endpoint.rendering():
        short(far)
        ask_for(far, "a heron")
        expect(far.locator("[data-part=phase]")).to_have_text("Rendering")
        ask_for(far, "a crane")
        expect(far.locator(".under-way .prompt")).to_have_text("a crane")
        far.locator(".under-way").get_by_role("button", name="Cancel").click()
        expect(far.locator(".ended .prompt")).to_have_text("a crane")
        far.locator(".ended").get_by_role("button", name="Put it back").dblclick()
        expect(far.locator(".ended")).to_be_hidden()
        expect(far.locator(".under-way .prompt")).to_have_text("a crane")
        far.locator(".others").get_by_text("a heron").wait_for()
        far.reload()
        expect(far.locator(".under-way")).to_be_visible()
    expect(far.locator(".posters li")).to_have_count(2)
    far.wait_for_function(PLAYS, arg="#player")
    assert endpoint.posts == {"a heron": 1, "a crane": 1}


def test_my_videos_from_the_first_to_the_last_click(far: Page) -> None:
    short(far)
    for index, prompt in enumerate(("a heron", "a crane")):
        ask_for(far, prompt)
        expect(far.locator(".posters li")).to_have_count(index + 1)
        expect(far.locator(".result .prompt")).to_have_text(prompt)
    far.locator(".posters [data-do=star]").first.click()
    expect(far.locator(".posters [data-do=star]").first).to_have_attribute("aria-pressed", "true")
    far.get_by_placeholder("Search in prompts").press_sequentially("heron", delay=60)
    expect(far.locator(".posters li")).to_have_count(1)
    far.get_by_placeholder("Search in prompts").fill("")
    expect(far.locator(".posters li")).to_have_count(2)
    far.locator(".posters .tile-button").first.click()
    far.wait_for_function(PLAYS, arg=".viewer")
    far.keyboard.press("ArrowRight")
    expect(far.locator(".viewer [data-part=prompt]")).to_have_text("a heron")
    far.go_back()
    expect(far.locator(".viewer")).to_be_hidden()
    far.locator(".posters [data-do=delete]").first.click()
    far.get_by_role("button", name="Undo", exact=True).click()
    expect(far.locator(".posters li:visible")).to_have_count(2)
    far.locator(".posters [data-do=reuse]").last.click()
    expect(far.locator("#field-prompt textarea")).to_have_value("a heron")
