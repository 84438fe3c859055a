"""The page with a self-hosted engine, from a form that names the engine's settings to a playing video."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.app_process import RunningApp, running_app
from tests.browser.steps import PROMPT, generate_short, write
from tests.faults.service import PaidService
from tests.videos import mp4_bytes

pytestmark = pytest.mark.slow

KEY = "the-engines-key"
SET_THERE = "Set at the engine when it was started; not sent with a video."


@pytest.fixture
def service() -> Iterator[PaidService]:
    with PaidService() as running:
        running.engine.key = KEY
        running.engine.video_of = lambda _: mp4_bytes(width=864, height=480, frames=48)
        yield running


@pytest.fixture
def app(request: pytest.FixtureRequest, service: PaidService, tmp_path: Path) -> Iterator[RunningApp]:
    settings = {"HUNYUAN_UI_ENGINE_URL": service.origin, "HUNYUAN_UI_ENGINE_KEY": KEY, **getattr(request, "param", {})}
    with running_app(tmp_path, **settings) as started:
        yield started


def opened(page: Page, app: RunningApp) -> Locator:
    """Open the page and return the card of the running job."""
    page.goto(app.url)
    expect(page.locator("#generate")).to_contain_text("about")
    return page.locator(".under-way")


def owners_line(page: Page) -> str:
    """Return the owner's page's line about the engine."""
    page.locator(".owner summary").click()
    line = page.locator(".owner [data-part=limits] > *").first
    expect(line).to_contain_text("h of work")
    return line.inner_text()


def test_from_a_form_that_tells_what_is_set_at_the_engine_to_a_video(
    page: Page, app: RunningApp, service: PaidService
) -> None:
    service.engine.is_warm, service.engine.is_busy, service.engine.progress = False, True, 37
    card = opened(page, app)
    expect(page.locator(".masthead")).to_contain_text("Own engine")
    page.locator("#advanced > button").click()
    for name in ("flow-shift", "embedded-guidance-scale"):
        field = page.locator(f"#field-{name}")
        expect(field).to_contain_text(SET_THERE)
        expect(field.locator("input[type=number]")).to_be_disabled()
    write(page)
    expect(page.locator("#generate")).to_contain_text("free, on your own machine")

    generate_short(page)
    expect(card).to_contain_text("The engine is warming up")
    assert service.posts() == {}
    service.engine.is_warm = True
    expect(card.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "37")
    expect(card.get_by_role("button", name="Stop the run")).to_have_count(0)
    service.engine.is_busy = False
    player = page.locator("#player video")
    expect(player).to_be_visible()
    page.wait_for_function("document.querySelector('#player video').currentTime > 0.1")
    assert service.posts() == {PROMPT: 1}
    line = owners_line(page)
    assert line == f"SGLang-Diffusion at {service.origin}: ready, 0.06 h of work"
    assert "$" not in page.locator(".owner").inner_text()  # nothing has a price
    service.engine.is_warm = False
    page.locator(".owner").get_by_role("button", name="Refresh").click()
    expect(page.locator(".owner")).to_contain_text("warming up")


@pytest.mark.parametrize("app", [{"HUNYUAN_UI_ENGINE_USD_PER_HOUR": "3.60"}], indirect=True)
def test_a_run_is_stopped_from_the_page(page: Page, app: RunningApp, service: PaidService) -> None:
    service.engine.kind, service.engine.is_busy = "vllm", True
    card = opened(page, app)
    generate_short(page)
    card.get_by_role("button", name="Stop the run").click()
    ended = page.locator("[data-part=ended]")
    expect(ended).to_contain_text("You stopped this run at the engine")
    expect(ended.locator("[data-part=problem-title]")).to_have_text("Stopped")
    assert len(service.engine.deleted) == 1


def test_a_list_needs_no_budget_where_nothing_has_a_price(page: Page, app: RunningApp, service: PaidService) -> None:
    page.goto(app.url)
    page.locator("#part-several button").click()
    dialog = page.locator("dialog.batch")
    dialog.get_by_label("Prompts, one in each line").fill("a heron\na crane")
    dialog.get_by_role("button", name="Check and price").click()
    send = dialog.get_by_role("button", name="Generate 2")
    expect(send).to_contain_text("free, on your own machine")
    send.click()
    expect(dialog.locator("[data-part=line]")).to_have_text("2 of 2")
    assert "$" not in dialog.locator(".standing").inner_text()
    assert service.posts() == {"a heron": 1, "a crane": 1}


@pytest.mark.parametrize(
    ("language", "said"), [("en", "free, on the owner's machine"), ("zh", "免费，在所有者的机器上")]
)
def test_a_visitor_of_a_public_page_is_told_whose_machine_it_is(
    page: Page, service: PaidService, tmp_path: Path, language: str, said: str
) -> None:
    settings: dict[str, Any] = {"HUNYUAN_UI_ENGINE_URL": service.origin, "HUNYUAN_UI_ENGINE_KEY": KEY}
    settings["HUNYUAN_UI_DAILY_LIMIT_USD"] = "5"
    with running_app(tmp_path, script="tests/public_app.py", **settings) as app:
        page.goto(f"{app.url}?lang={language}")
        expect(page.locator("#generate")).to_contain_text(said)
        expect(page.locator(".examples li").first).to_contain_text(said)
        write(page)
        page.locator("#generate").click()
        expect(page.locator(".result .facts")).to_contain_text(said)
        expect(page.locator("#part-result [data-part=again]")).to_contain_text(said)
