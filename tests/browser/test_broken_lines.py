"""A broken connection between page and server: nothing is paid twice, and the video appears."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Request, Response, expect

from hunyuan_ui.words import words
from tests.app_process import RunningApp, free_port, running_app
from tests.browser.fault_proxy import Fault, FaultProxy
from tests.browser.one_wait import (
    CLICKED,
    JOB_S,
    SLOW_JOB_S,
    clicks_of,
    generate,
    sees_rendering,
    sees_under_way,
    sees_video,
    statuses_of,
    visit,
)
from tests.browser.one_wait import app as app
from tests.browser.one_wait import endpoint as endpoint
from tests.browser.one_wait import new_visitor as new_visitor
from tests.browser.one_wait import page as page
from tests.browser.one_wait import prompt as prompt
from tests.browser.one_wait import proxy as proxy
from tests.browser.one_wait import visitor as visitor
from tests.browser.paid_endpoint import PaidEndpoint, paid_endpoint
from tests.browser.steps import until, write

pytestmark = pytest.mark.slow

LASTS_MS = {Fault.RESET: 0, Fault.ENDED: 1_000, Fault.REFUSED: 8_000, Fault.BAD_GATEWAY: 8_000, Fault.SILENT: 20_000}
MOST_SILENCE_MS = 10_000
REACTION_MS = 500
OUTAGES = (Fault.REFUSED, Fault.BAD_GATEWAY, Fault.SILENT)
ASKED_HOW_IT_GOES = b"GET /gradio_api/hunyuan/jobs HTTP/1.1"
ASKED_FOR_A_QUICK_END = b"?within_s=1 HTTP/1.1"
ASKED_FOR_THE_END = b"?within_s=0 HTTP/1.1"
ASKED_FOR_THE_FILE = b".mp4?k="


def press_into(fault: Fault, page: Page, proxy: FaultProxy, prompt: str) -> None:
    """Press Generate; the fault strikes at the request that sends the click."""
    write(page, prompt)
    proxy.fail_at(fault, CLICKED, prompt.encode())
    page.locator("#generate").click()
    until(page, proxy.has_struck.is_set)


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
    # On a slow machine the page polls before the click is answered, so that the click fails as well, and says so.
    refused = page.locator(".notice").get_by_text("Press the same button again")
    expect(page.locator(".result .prompt").get_by_text(prompt).or_(refused)).to_be_visible()
    # Without a moment between the two, in which the answer might come.
    page.evaluate(
        "([notice, said]) => notice.textContent.includes(said) && document.getElementById('generate').click()",
        [page.locator(".notice").element_handle(), "Press the same button again"],
    )
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
    for _ in range(7):
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
    expect(page.locator(".job-card [aria-live]")).to_have_text(words()["page.reconnecting"])
    proxy.heal()
    sees_video(page, prompt)


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.BAD_GATEWAY])
def test_a_click_while_the_server_is_away_is_said_at_once_and_paid_once(
    page: Page, proxy: FaultProxy, endpoint: PaidEndpoint, prompt: str, fault: Fault
) -> None:
    write(visit(page, proxy.url), prompt)
    expect(page.locator("#made-as:not([data-old])")).to_contain_text("3.2 s")
    page.clock.install()
    page.clock.pause_at(time.time() + 1)
    proxy.fail(fault)
    page.locator("#generate").click()
    told = page.locator(".notice").get_by_text("nothing is known to be paid")
    waited_ms = 0
    while not told.is_visible():
        waited_ms += 100
        assert waited_ms < MOST_SILENCE_MS
        page.clock.run_for(100)
        page.wait_for_load_state("networkidle")
    proxy.heal()
    page.clock.resume()
    visit(page, proxy.url)  # as Gradio does by itself after some faults
    expect(page.locator(".notice")).to_contain_text("did not get your last click")
    page.locator("#generate").click()
    sees_video(page, prompt)
    expect(page.locator(".notice")).to_be_hidden()
    assert endpoint.posts[prompt] == 1


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
    press_into(fault, visit(page, proxy.url), proxy, prompt)
    proxy.heal()
    sees_under_way(page, prompt)
    expect(page.locator("#generate")).to_be_enabled()
    expect(page.locator("#part-notice .notice")).to_be_hidden()
    sees_video(page, prompt)
    assert endpoint.posts[prompt] == 1


def test_a_click_in_a_copy_of_the_tab_is_told_in_the_other_whose_own_prompt_was_not_sent(
    page: Page, proxy: FaultProxy, endpoint: PaidEndpoint, prompt: str
) -> None:
    press_into(Fault.HELD, visit(page, proxy.url), proxy, prompt)
    copy = page.context.new_page()
    copied = page.evaluate("JSON.stringify(sessionStorage)")
    copy.add_init_script(f"for (const one of Object.entries({copied})) sessionStorage.setItem(...one);")
    generate(visit(copy, proxy.url), f"{prompt} changed")
    proxy.heal()
    expect(page.locator("#part-notice .notice")).to_contain_text("Nothing new was sent; press the same button again")
    sees_video(page, f"{prompt} changed")
    page.locator("#generate").click()
    sees_video(page, prompt)
    assert (endpoint.posts[prompt], endpoint.posts[f"{prompt} changed"]) == (1, 1)


def test_a_press_that_was_asked_for_buys_nothing_right_after_the_late_answer(
    page: Page, proxy: FaultProxy, endpoint: PaidEndpoint, prompt: str
) -> None:
    press_into(Fault.HELD, visit(page, proxy.url), proxy, prompt)
    notice = page.locator("#part-notice .notice")
    expect(notice).to_contain_text("Press the same button again")
    page.evaluate(
        """([notice, wait_ms]) => new MutationObserver(() => {
          if (notice.hidden) setTimeout(() => {
            document.getElementById("generate").click();
            window.hasPressed = true;
          }, wait_ms);
        }).observe(notice, { attributes: true, attributeFilter: ["hidden"] })""",
        [notice.element_handle(), REACTION_MS],
    )
    proxy.heal()
    page.wait_for_function("window.hasPressed")
    sees_video(page, prompt)
    expect(page.locator("#generate")).to_be_enabled()
    assert endpoint.posts[prompt] == 1


def test_a_click_that_never_arrived_is_asked_for_again_and_paid_once(
    page: Page, proxy: FaultProxy, endpoint: PaidEndpoint, prompt: str
) -> None:
    write(visit(page, proxy.url), prompt)
    proxy.fail(Fault.BAD_GATEWAY)
    page.locator("#generate").click()
    expect(page.locator("#part-notice")).to_contain_text("Press the same button again")
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
    sent, watched = clicks_of(page, prompt), statuses_of(page, "/jobs")
    settled: list[Request] = []
    asked: list[Response] = []
    page.on("response", lambda one: asked.append(one) if "/jobs/" in one.url else None)
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
        press_into(Fault.HELD, page, proxy, prompt)
        # The page polls its click's id, which the server does not know yet, and continues watching the others.
        until(page, lambda: any("status" not in one.json() for one in asked))
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
