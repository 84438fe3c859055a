"""Every state of the page: drawn at five widths, light and dark, in both languages, or looked at in another way."""

from __future__ import annotations

import re
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any, Final, TypeAlias

from playwright.sync_api import Browser, Page, expect

from hunyuan_ui.errors import reason
from hunyuan_ui.job import JobProblem, JobStatus, new_id
from hunyuan_ui.words import words
from tests.app_process import RunningApp, running_app
from tests.browser.conftest import LONG_MS
from tests.browser.paid_endpoint import PaidEndpoint, paid_endpoint
from tests.browser.steps import press_escape, write
from tests.engines import FakeEngine
from tests.faults.service import PaidService
from tests.stored_jobs import added, opened_ledger
from tests.videos import mp4_bytes

FOLDER: Final = Path(__file__).parents[2] / "test-artifacts" / "states"
WIDTHS: Final = {320: 640, 390: 844, 768: 1024, 1280: 800, 1440: 900}
LANGUAGES: Final = {"en": "en-GB", "zh": "zh-CN"}
SCHEMES: Final = ("light", "dark")
JOB_S: Final = 1.0
SETTLE_MS: Final = 350
DRAWN_OUT_OF_SIGHT: Final = ".posters li { content-visibility: visible !important; }"
TOKEN: Final = "00112233445566778899aabbccddeeff"
PROMPT: Final = "A heron stands in a shallow lake at dawn while mist drifts over the water."


Look: TypeAlias = Callable[[Page, str], None]


def draw_states(browser: Browser, folder: Path = FOLDER) -> None:
    """Write `<language>-<scheme>-<width>-<state>.png` for all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=LONG_MS)
    for language, scheme in product(LANGUAGES, SCHEMES):
        with_look: Any = {"locale": LANGUAGES[language], "color_scheme": scheme, "reduced_motion": "reduce"}
        for walk in WALKS.values():
            walk(browser, with_look, partial(_shoot, folder, f"{language}-{scheme}"))


def _paid(browser: Browser, options: Any, look: Look) -> None:
    with paid_endpoint(seconds=JOB_S, credits=1000.0) as endpoint:
        settings = {**endpoint.settings, "HUNYUAN_UI_DAILY_LIMIT_USD": "50", "HUNYUAN_UI_CONCURRENCY": "3"}
        with _opened(browser, options, settings) as (page, app):
            for state in _states(page, app, endpoint):
                look(page, state)


def _engine(browser: Browser, options: Any, look: Look) -> None:
    """Look at the states of a page with an engine of one's own."""
    with PaidService() as service:
        service.engine.video_of = lambda _: mp4_bytes(width=864, height=480, frames=48)
        settings = {"HUNYUAN_UI_ENGINE_URL": service.origin, "HUNYUAN_UI_ENGINE_USD_PER_HOUR": "2.50"}
        with _opened(browser, options, settings) as (page, app):
            for state in _engine_states(page, app, service.engine):
                look(page, state)


def _ending(status: JobStatus, browser: Browser, options: Any, look: Look) -> None:
    """Look at the state of a page whose last video was paid for and is not there."""
    with (
        paid_endpoint(seconds=JOB_S, credits=1000.0) as endpoint,
        _opened(browser, options, endpoint.settings, lambda data: _store_ended(data, status)) as (page, app),
    ):
        page.add_init_script(f"if (location.host) localStorage.setItem('hunyuan_visitor', '{TOKEN}');")
        page.goto(app.url)
        expect(page.locator(".examples button")).to_have_count(12)
        expect(page.locator(".ended")).to_have_attribute("data-status", status.value)
        look(page, "15-lost" if status is JobStatus.LOST else "16-unknown")


def _public(browser: Browser, options: Any, look: Look) -> None:
    """Look at the states of a page that strangers can reach."""
    own = {"HUNYUAN_UI_DAILY_LIMIT_USD": "10", "HUNYUAN_UI_ACCESS_CODE": "marzipan-hedgehog"}
    with paid_endpoint(seconds=JOB_S, credits=1000.0) as endpoint:
        settings = {**endpoint.settings, **own, "script": "tests/public_app.py"}
        with _opened(browser, options, settings) as (page, app):
            for state in _public_states(page, app):
                look(page, state)


WALKS: Final[dict[str, Callable[[Browser, Any, Look], None]]] = {
    "paid": _paid,
    "engine": _engine,
    "lost": partial(_ending, JobStatus.LOST),
    "unknown": partial(_ending, JobStatus.UNKNOWN),
    "public": _public,
}


@contextmanager
def _opened(
    browser: Browser, options: Any, settings: dict[str, Any], prepare: Callable[[Path], None] = lambda _: None
) -> Iterator[tuple[Page, RunningApp]]:
    with tempfile.TemporaryDirectory() as data:
        prepare(Path(data))
        with running_app(Path(data), **settings) as app, browser.new_context(**options) as context:
            yield context.new_page(), app


def _store_ended(folder: Path, status: JobStatus) -> None:
    """Store a paid job of the visitor `TOKEN` that ended a moment ago without a video."""
    ledger = opened_ledger(folder / "data", clock=time.time)
    job = added(ledger, PROMPT, id=new_id(), visitor=sha256(TOKEN.encode()).hexdigest()[:32], created_at=time.time())
    ledger.claim(job.id)
    if status is JobStatus.LOST:
        request_id = str(uuid.UUID(int=7))
        ledger.mark_running(job.id, request_id)
        ledger.mark_lost(job.id, JobProblem.from_code("video_lost", request_id=request_id), cost_usd=1.46)
    else:
        ledger.mark_unknown(job.id, JobProblem.from_code("no_answer", reason=reason("connection_broke")), cost_usd=None)
    ledger.close()


def _shoot(folder: Path, name: str, page: Page, state: str) -> None:
    is_dialog = page.locator("dialog[open]").count() > 0
    for width, height in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": height})
        page.evaluate("document.querySelector('dialog[open]') || scrollTo(0, 0)")
        page.wait_for_timeout(SETTLE_MS)
        path = folder / f"{name}-{width}-{state}.png"
        page.screenshot(path=path, full_page=not is_dialog, style=DRAWN_OUT_OF_SIGHT)


def _states(page: Page, app: RunningApp, endpoint: PaidEndpoint) -> Iterator[str]:
    """Bring the page from one state into the next, and name each."""
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(app.url)
    expect(page.locator(".examples button")).to_have_count(12)
    expect(page.locator("[data-part=nothing-lead]")).not_to_be_empty()
    yield "1-first-visit"
    _open_form(page)
    yield "2-form-open"
    page.locator(".prompt-panel [data-part=keep]").click()
    page.locator("#advanced > button").click()
    write(page, "x" * 2001)
    page.locator("#generate").click()
    expect(page.locator("#part-notice .notice")).to_be_visible()
    yield "3-refused"
    with _waiting(page, endpoint):
        yield "4-waiting"
    expect(page.locator("#player video")).to_be_visible()
    yield "5-done"
    with endpoint.rendering():
        page.locator("#variations label").nth(3).click()
        expect(page.locator("#generate")).to_have_text(re.compile(r"(?<![.\d])4(?![.\d])"))
        _generate(page)
        expect(page.locator(".variations [data-part=cancel]")).to_be_visible()
        page.locator(".variations [data-part=cancel]").click()
        expect(page.locator(".variations [data-do=again]:visible")).to_have_count(1)
        yield "6-variations-waiting"
    expect(page.locator(".variations video")).to_have_count(3)
    yield "7-variations"
    page.locator(".owner summary").click()
    expect(page.locator(".owner tbody tr").first).to_be_visible()
    yield "8-owner"
    page.locator(".posters .tile-button").first.click()
    expect(page.locator("dialog.viewer")).to_be_visible()
    yield "9-viewer"
    page.locator("dialog.viewer [data-part=compare]").click()
    page.locator(".posters .tile-button").nth(1).click()
    expect(page.locator("dialog.compare")).to_be_visible()
    yield "10-compare"
    press_escape(page, page.locator("dialog.compare"))
    page.goto(app.url)
    expect(page.locator(".examples button")).to_have_count(12)
    page.locator("#part-several button").click()
    expect(page.locator("dialog.batch")).to_be_visible()
    yield "19-several"
    page.locator("dialog.batch [data-part=text]").fill(f"{PROMPT}\nA fox in the snow.\nA lighthouse at dusk.")
    page.locator("dialog.batch [data-part=name]").fill("lake")
    page.locator("dialog.batch [data-part=check]").click()
    expect(page.locator("dialog.batch tbody tr").first).to_be_visible()
    yield "20-several-read"


def _public_states(page: Page, app: RunningApp) -> Iterator[str]:
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(app.url)
    expect(page.locator(".examples button")).to_have_count(12)
    expect(page.locator(".payment")).to_be_visible()
    yield "17-public"
    _generate(page)
    expect(page.locator("#part-notice [data-part=secret]")).to_be_visible()
    yield "18-public-code-asked"


def _engine_states(page: Page, app: RunningApp, engine: FakeEngine) -> Iterator[str]:
    engine.kind, engine.is_warm, engine.is_busy = "sglang", False, True
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(app.url)
    expect(page.locator(".examples button")).to_have_count(12)
    expect(page.locator("#field-prompt textarea")).to_be_enabled()
    page.locator("#advanced > button").click()
    write(page, PROMPT)
    page.locator("#generate").click()
    said = [words(language)["phase.warming"] for language in LANGUAGES]
    expect(page.locator(".under-way [data-part=phase]")).to_have_text(re.compile("|".join(said)))
    yield "11-engine-warming"
    engine.is_warm, engine.progress = True, 37
    expect(page.locator(".under-way [data-part=bar]")).to_have_attribute("aria-valuenow", "37")
    page.locator(".owner summary").click()
    expect(page.locator(".owner tbody tr").first).to_be_visible()
    yield "12-engine-rendering"
    engine.fails, engine.is_busy = {"message": "CUDA out of memory"}, False
    expect(page.locator("[data-part=request]")).to_be_visible()
    yield "13-engine-failed"
    engine.kind, engine.is_busy, engine.progress = "vllm", True, None
    _generate(page)
    page.locator(".under-way [data-part=cancel]").click()
    expect(page.locator("[data-part=request]")).to_contain_text("video_gen_")
    yield "14-engine-stopped"


def _open_form(page: Page) -> None:
    write(page, "a heron in a lake")
    page.locator("#advanced > button").click()
    page.locator(".prompt-panel [data-group=shot]").click()
    page.locator(".prompt-panel [data-part=improve]").click()
    expect(page.locator(".prompt-panel .proposal")).to_be_visible()
    number = page.locator("#field-width input[type=number]")
    number.fill("853")
    number.blur()


def _generate(page: Page) -> None:
    expect(page.locator("#generate")).not_to_have_attribute("aria-disabled", "true")
    write(page, PROMPT)
    page.locator("#generate").click()


@contextmanager
def _waiting(page: Page, endpoint: PaidEndpoint) -> Iterator[None]:
    page.locator("#size label").first.click()
    number = page.locator("#field-video-length input[type=number]")
    number.fill("9")
    number.blur()
    with endpoint.rendering():
        _generate(page)
        expect(page.locator(".under-way")).to_be_visible()
        yield
