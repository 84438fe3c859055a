"""A video that was paid for reaches its page: whatever breaks in between, and with one POST for one click."""

from __future__ import annotations

import itertools
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, CDPSession, ConsoleMessage, Page, Request, expect

from tests.app_process import RunningApp, free_port, running_app
from tests.browser.conftest import LONG_MS
from tests.browser.fault_proxy import Fault, FaultProxy
from tests.browser.paid_endpoint import PaidEndpoint, paid_endpoint
from tests.browser.steps import write

JOB_S = 3.0
IN_LINE = re.compile("Next in line|Starts in about")
SLOW_JOB_S = 12.0
LASTS_MS = {Fault.RESET: 0, Fault.ENDED: 1_000, Fault.REFUSED: 8_000, Fault.BAD_GATEWAY: 8_000, Fault.SILENT: 20_000}
MOST_SILENCE_MS = 10_000
OUTAGES = (Fault.REFUSED, Fault.BAD_GATEWAY, Fault.SILENT)
CLICKED = b'{"data":["'  # and the prompt: a click begins with its id; what else carries the prompt, with something else
ASKED_HOW_IT_GOES = b"GET /gradio_api/hunyuan/jobs HTTP/1.1"
ASKED_FOR_A_QUICK_END = b"?within_s=1 HTTP/1.1"
ASKED_FOR_THE_END = b"?within_s=0 HTTP/1.1"
ASKED_FOR_THE_FILE = b".mp4?k="
PLAYS = "() => { const video = document.querySelector('#player video'); return video && video.currentTime > 0.2; }"

COUNTDOWN = re.compile(r"Tried again in (\d+) s\.")

numbers = itertools.count(1)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[PaidEndpoint]:
    with paid_endpoint(seconds=JOB_S, credits=1000.0) as running:
        yield running


@pytest.fixture(scope="module")
def app(endpoint: PaidEndpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    settings = {**endpoint.settings, "HUNYUAN_UI_DAILY_LIMIT_USD": "1000"}  # the usual limit ends after 13 videos
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
def new_visitor(new_context: Callable[..., BrowserContext]) -> Iterator[Callable[[], BrowserContext]]:
    """Makes visitors whose pages run without a script error and load nothing from another host."""
    troubles: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        # The browser's own note of a broken connection, or of a job that never arrived, is not the page's.
        is_fault = "net::ERR_" in message.text or "status of 502" in message.text
        if message.type == "error" and not is_fault and "/hunyuan/jobs/" not in message.location["url"]:
            troubles.append(message.text)

    def look(request: Request) -> None:
        if not request.url.startswith(("http://127.0.0.", "data:", "blob:")):
            troubles.append(f"asked {request.url}")

    def enter() -> BrowserContext:
        context = new_context()
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


def until(page: Page, condition: Callable[[], object]) -> None:
    """Wait for what happens outside the page, while the page lives on."""
    give_up_at = time.monotonic() + LONG_MS / 1000
    while not condition():
        assert time.monotonic() < give_up_at, "waited in vain"
        page.wait_for_timeout(50)


def clicks_of(page: Page, prompt: str) -> list[Request]:
    """Return a list that grows by each click with this prompt that the page sends."""
    clicks: list[Request] = []

    def look(sent: Request) -> None:
        if (sent.post_data or "").startswith(CLICKED.decode()) and prompt in str(sent.post_data):
            clicks.append(sent)

    page.on("request", look)
    return clicks


def statuses_of(page: Page, path: str) -> list[int]:
    """Return a list that grows by the status of each answer to such an address."""
    statuses: list[int] = []
    page.on("response", lambda got: statuses.append(got.status) if path in got.url else None)
    return statuses


def made(app: RunningApp) -> int:
    return len(app.events("job.done"))


def until_made(page: Page, app: RunningApp, before: int) -> None:
    until(page, lambda: made(app) > before)


# leaving and coming back


@pytest.mark.parametrize("is_made", [False, True], ids=["rendering", "made"])
def test_a_reload_finds_the_video(
    page: Page, app: RunningApp, endpoint: PaidEndpoint, prompt: str, is_made: bool
) -> None:
    before = made(app)
    with endpoint.rendering():
        generate(visit(page, app.url), prompt)
        sees_rendering(page)
        if not is_made:
            page.reload()
            sees_under_way(page, prompt)
    if is_made:
        until_made(page, app, before)
        page.reload()
    sees_video(page, prompt)
    assert endpoint.posts[prompt] == 1


@pytest.mark.parametrize("is_made", [False, True], ids=["rendering", "made"])
def test_a_tab_closed_and_another_opened_finds_the_video(
    visitor: BrowserContext, app: RunningApp, endpoint: PaidEndpoint, prompt: str, is_made: bool
) -> None:
    before = made(app)
    second = visitor.new_page()
    with endpoint.rendering():
        first = visit(visitor.new_page(), app.url)
        generate(first, prompt)
        first.close()
        if not is_made:
            visit(second, app.url)
            sees_under_way(second, prompt)
    if is_made:
        until_made(second, app, before)
        visit(second, app.url)
    sees_video(second, prompt)
    assert endpoint.posts[prompt] == 1


@pytest.mark.parametrize("is_open_before", [True, False], ids=["open before the click", "opened after it"])
def test_two_tabs_show_the_same_job_and_its_video(
    visitor: BrowserContext, app: RunningApp, endpoint: PaidEndpoint, prompt: str, is_open_before: bool
) -> None:
    first, second = visit(visitor.new_page(), app.url), visitor.new_page()
    if is_open_before:
        visit(second, app.url)
    with endpoint.rendering():
        generate(first, prompt)
        if not is_open_before:
            visit(second, app.url)
        for tab in (first, second):
            sees_under_way(tab, prompt)
    for tab in (first, second):
        sees_video(tab, prompt)
    assert endpoint.posts[prompt] == 1


@pytest.mark.parametrize("is_made", [False, True], ids=["wakes while it renders", "wakes after the end"])
def test_a_phone_that_slept_shows_the_video(
    page: Page, visitor: BrowserContext, app: RunningApp, endpoint: PaidEndpoint, prompt: str, is_made: bool
) -> None:
    before = made(app)
    other = visitor.browser.new_page() if visitor.browser else page
    with endpoint.rendering():
        generate(visit(page, app.url), prompt)
        phone = visitor.new_cdp_session(page)
        visitor.set_offline(True)
        phone.send("Page.setWebLifecycleState", {"state": "frozen"})
        until(other, lambda: endpoint.posts[prompt] == 1)
        if not is_made:
            wake(phone, visitor)
            sees_under_way(page, prompt)
    if is_made:
        until_made(other, app, before)
        wake(phone, visitor)
    other.close()
    sees_video(page, prompt)
    assert endpoint.posts[prompt] == 1


# a broken way between browser and app


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.ENDED])
@pytest.mark.parametrize("moment", [ASKED_HOW_IT_GOES, ASKED_FOR_THE_END, ASKED_FOR_THE_FILE])
def test_a_blip_is_not_noticed(
    page: Page, proxy: FaultProxy, endpoint: PaidEndpoint, prompt: str, fault: Fault, moment: bytes
) -> None:
    generate(visit(page, proxy.url), prompt)
    proxy.fail_at(fault, moment)
    until(page, proxy.has_struck.is_set)
    page.wait_for_timeout(LASTS_MS[fault])
    proxy.heal()
    sees_video(page, prompt)
    assert endpoint.posts[prompt] == 1


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.ENDED, Fault.BAD_GATEWAY])
def test_a_quick_end_that_cannot_be_asked_for_is_found_by_the_next_poll(
    page: Page, proxy: FaultProxy, endpoint: PaidEndpoint, prompt: str, fault: Fault
) -> None:
    write(visit(page, proxy.url), prompt)
    proxy.fail_at(fault, ASKED_FOR_A_QUICK_END)
    page.locator("#generate").click()
    until(page, proxy.has_struck.is_set)
    proxy.heal()
    sees_video(page, prompt)
    assert endpoint.posts[prompt] == 1


@pytest.mark.parametrize("moment", [ASKED_HOW_IT_GOES, ASKED_FOR_THE_END])
def test_an_outage_is_sat_out(
    new_visitor: Callable[[], BrowserContext], app: RunningApp, endpoint: PaidEndpoint, prompt: str, moment: bytes
) -> None:
    with ExitStack() as proxies:
        outages = {fault: proxies.enter_context(FaultProxy(app.port)) for fault in OUTAGES}
        pages = {fault: new_visitor().new_page() for fault in OUTAGES}
        for fault in OUTAGES:
            generate(visit(pages[fault], outages[fault].url), f"{prompt} {fault.value}")
            outages[fault].fail_at(fault, moment)
        for fault in OUTAGES:
            until(pages[fault], outages[fault].has_struck.is_set)
        began = time.monotonic()
        for fault in OUTAGES:
            pages[fault].wait_for_timeout(max(0.0, LASTS_MS[fault] - 1000 * (time.monotonic() - began)))
            outages[fault].heal()
        for fault in OUTAGES:
            sees_video(pages[fault], f"{prompt} {fault.value}")
            assert endpoint.posts[f"{prompt} {fault.value}"] == 1


def test_a_long_outage_is_not_followed_by_a_long_silence(
    page: Page, proxy: FaultProxy, endpoint: PaidEndpoint, prompt: str
) -> None:
    asked = statuses_of(page, "/gradio_api/hunyuan/jobs")
    page.clock.install()
    generate(visit(page, proxy.url), prompt)
    proxy.fail(Fault.BAD_GATEWAY)
    for _ in range(10):
        failed = asked.count(502)
        page.clock.run_for(MOST_SILENCE_MS)
        until(page, lambda: asked.count(502) > failed)  # noqa: B023 - used at once
    proxy.heal()
    page.clock.run_for(MOST_SILENCE_MS)
    sees_video(page, prompt)
    assert endpoint.posts[prompt] == 1


def test_a_page_that_cannot_reach_its_server_says_that_the_video_goes_on(
    page: Page, proxy: FaultProxy, endpoint: PaidEndpoint, prompt: str
) -> None:
    generate(visit(page, proxy.url), prompt)
    proxy.fail(Fault.BAD_GATEWAY)
    expect(page.locator(".under-way")).to_contain_text("Your video goes on")
    proxy.heal()
    sees_video(page, prompt)


def test_a_video_that_a_front_server_kept_back_is_loaded_again(page: Page, proxy: FaultProxy, prompt: str) -> None:
    generate(visit(page, proxy.url), prompt)
    proxy.fail_at(Fault.BAD_GATEWAY, ASKED_FOR_THE_FILE)
    until(page, proxy.has_struck.is_set)
    page.wait_for_function("() => document.querySelector('#player video').error")
    proxy.heal()
    sees_video(page, prompt)


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.ENDED])
def test_a_click_whose_answer_is_lost_is_paid_once_and_its_video_appears(
    page: Page, proxy: FaultProxy, endpoint: PaidEndpoint, prompt: str, fault: Fault
) -> None:
    write(visit(page, proxy.url), prompt)
    proxy.fail_at(fault, CLICKED, prompt.encode())
    page.locator("#generate").click()
    until(page, proxy.has_struck.is_set)
    proxy.heal()
    sees_under_way(page, prompt)
    expect(page.locator("#generate")).to_be_enabled()
    expect(page.locator("#part-notice .notice")).to_be_hidden()
    sees_video(page, prompt)
    assert endpoint.posts[prompt] == 1


def test_a_click_that_never_arrived_is_asked_for_again_and_paid_once(
    page: Page, proxy: FaultProxy, endpoint: PaidEndpoint, prompt: str
) -> None:
    write(visit(page, proxy.url), prompt)
    proxy.fail(Fault.BAD_GATEWAY)
    page.locator("#generate").click()
    expect(page.locator("#part-notice")).to_contain_text("Press Generate again")
    assert endpoint.posts[prompt] == 0
    proxy.heal()
    page.locator("#generate").click()
    sees_video(page, prompt)
    expect(page.locator("#part-notice .notice")).to_be_hidden()
    assert endpoint.posts[prompt] == 1


def test_a_second_press_after_a_lost_answer_names_the_same_job(
    page: Page, proxy: FaultProxy, endpoint: PaidEndpoint, prompt: str
) -> None:
    sent = clicks_of(page, prompt)
    write(visit(page, proxy.url), prompt)
    for _ in range(2):
        proxy.fail_at(Fault.ENDED, CLICKED, prompt.encode())
        page.locator("#generate").click()
        until(page, proxy.has_struck.is_set)
    until(page, lambda: len(sent) == 2)
    proxy.heal()
    sees_video(page, prompt)
    assert endpoint.posts[prompt] == 1


@pytest.mark.parametrize("is_other_seen", [False, True], ids=["nothing else is under way", "another job is seen"])
def test_a_second_press_while_the_first_is_stuck_on_its_way_names_the_same_job(
    page: Page, tmp_path: Path, prompt: str, is_other_seen: bool
) -> None:
    sent, asked, watched = clicks_of(page, prompt), statuses_of(page, "/jobs/"), statuses_of(page, "/jobs")
    settled: list[Request] = []
    page.on("requestfinished", lambda one: settled.append(one))
    with (
        paid_endpoint(seconds=SLOW_JOB_S) as endpoint,
        running_app(tmp_path, **endpoint.settings) as app,
        FaultProxy(app.port) as proxy,
    ):
        visit(page, proxy.url)
        if is_other_seen:
            generate(page, "another job")
            expect(page.locator("#generate")).to_be_enabled()
        write(page, prompt)
        proxy.fail_at(Fault.HELD, CLICKED, prompt.encode())
        page.locator("#generate").click()
        until(page, proxy.has_struck.is_set)
        # The page asks for its click's id, which the server does not know yet, and goes on watching the others.
        until(page, lambda: 404 in asked)
        if is_other_seen:
            sees_under_way(page, "another job")
            so_far = len(watched)
            until(page, lambda: len(watched) > so_far + 3)
        page.locator("#generate").click()
        until(page, lambda: endpoint.posts[prompt] == 1)
        proxy.heal()
        until(page, lambda: len(sent) == 2 and set(sent) <= set(settled))
        sees_video(page, prompt)
        assert endpoint.posts[prompt] == 1


@pytest.mark.parametrize("is_made", [False, True], ids=["rendering", "made there meanwhile"])
def test_an_app_killed_and_started_again_brings_the_video(
    page: Page, tmp_path: Path, endpoint: PaidEndpoint, prompt: str, is_made: bool
) -> None:
    port = free_port()
    with ExitStack() as apps:
        first = apps.enter_context(running_app(tmp_path, port=port, **endpoint.settings))
        generate(visit(page, first.url), prompt)
        sees_rendering(page)
        first.process.send_signal(signal.SIGKILL)
        first.process.wait(10)
        if is_made:
            page.wait_for_timeout(JOB_S * 1000)
        apps.enter_context(running_app(tmp_path, port=port, **endpoint.settings))
        sees_video(page, prompt)
        page.reload()
        sees_video(page, prompt)
    assert endpoint.posts[prompt] == 1


def test_who_stops_watching_may_watch_again(page: Page, app: RunningApp, endpoint: PaidEndpoint, prompt: str) -> None:
    with endpoint.rendering():
        generate(visit(page, app.url), prompt)
        sees_rendering(page)
        expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
        page.get_by_role("button", name="Stop watching").click()
        expect(page.locator(".stopped")).to_contain_text("goes on without you")
        page.get_by_role("button", name="Watch again").click()  # once it has ended this makes way for "Show it"
        sees_rendering(page)
    sees_video(page, prompt)
    assert endpoint.posts[prompt] == 1


def test_the_title_tells_how_it_goes(page: Page, app: RunningApp, prompt: str) -> None:
    generate(visit(page, app.url), prompt)
    expect(page).to_have_title(re.compile(r"^0:0\d Rendering · Hunyuan Video$"))
    sees_video(page, prompt)
    expect(page).to_have_title("Hunyuan Video")


# waiting


def test_places_in_line_are_shown_and_a_cancel_before_sending_is_real_and_taken_back(
    page: Page, tmp_path: Path, prompt: str
) -> None:
    with (
        paid_endpoint(seconds=SLOW_JOB_S) as endpoint,
        running_app(tmp_path, HUNYUAN_UI_CONCURRENCY="1", **endpoint.settings) as app,
    ):
        visit(page, app.url)
        for take in ("one", "two", "three"):
            expect(page.locator("#generate")).to_be_enabled()
            generate(page, f"{prompt} {take}")
        note, others = page.locator(".under-way .note"), page.locator(".others li")
        expect(note).to_contain_text("Starts in about")
        expect(others).to_have_count(2)
        expect(others.nth(1)).to_contain_text(IN_LINE)
        others.nth(1).get_by_role("button", name="Cancel").click()
        expect(page.locator(".ended")).to_contain_text("It was not sent, and nothing was charged.")
        expect(note).to_contain_text(IN_LINE)
        page.locator(".under-way").get_by_role("button", name="Cancel").click()
        expect(page.locator(".ended .prompt")).to_have_text(f"{prompt} three")
        page.locator(".ended").get_by_role("button", name="Put it back · about $").click()
        expect(page.locator(".ended")).to_be_hidden()
        expect(page.locator(".under-way .prompt")).to_have_text(f"{prompt} three")
        expect(note).to_contain_text(IN_LINE)
        until(page, lambda: endpoint.posts[f"{prompt} three"] == 1)
        assert endpoint.posts == {f"{prompt} one": 1, f"{prompt} three": 1}


def test_a_rate_limit_is_counted_down_and_the_waiting_job_can_be_cancelled(
    page: Page, tmp_path: Path, prompt: str
) -> None:
    with (
        paid_endpoint(seconds=JOB_S, requests_per_minute=1) as endpoint,
        running_app(tmp_path, **endpoint.settings) as app,
    ):
        generate(visit(page, app.url), f"{prompt} one")
        expect(page.locator("#generate")).to_be_enabled()
        generate(page, f"{prompt} two")
        note = page.locator(".under-way .note")
        expect(note).to_contain_text(COUNTDOWN)
        first = seconds_in(note.inner_text())
        until(page, lambda: seconds_in(note.inner_text()) < first - 1)
        page.locator(".under-way").get_by_role("button", name="Cancel").click()
        sees_video(page, f"{prompt} one")
        assert endpoint.posts == {f"{prompt} one": 1, f"{prompt} two": 1}


def test_a_queue_without_credits_says_so_and_sends_nothing_more(page: Page, tmp_path: Path, prompt: str) -> None:
    with paid_endpoint(seconds=JOB_S, credits=0.0) as endpoint, running_app(tmp_path, **endpoint.settings) as app:
        visit(page, app.url)
        write(page, f"{prompt} one")
        page.locator("#generate").click()
        expect(page.locator(".ended")).to_contain_text("credits")
        expect(page.locator("#generate")).to_be_enabled()
        generate(page, f"{prompt} two")
        expect(page.locator("[data-part=phase]")).to_have_text("Paused")
        expect(page.locator(".under-way .note")).to_contain_text("credits")
        assert endpoint.posts == {f"{prompt} one": 1}


def seconds_in(note: str) -> int:
    found = COUNTDOWN.search(note)
    return int(found.group(1)) if found else 0
