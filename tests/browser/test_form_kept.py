"""The form's values are restored: after a reload, in another language, and from a video's card."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from hunyuan_ui.prompt_help.examples import EXAMPLES
from tests.app_process import RunningApp, running_app
from tests.browser.fault_proxy import FaultProxy
from tests.browser.one_form import LATENCIES_S, chosen, number, opened, pick, sent
from tests.browser.one_form import app as app
from tests.browser.one_form import endpoint as endpoint
from tests.browser.one_form import no_event_breaks as no_event_breaks
from tests.browser.one_form import prompt as prompt
from tests.browser.one_form import proxy as proxy
from tests.browser.paid_endpoint import PaidEndpoint, paid_endpoint
from tests.browser.steps import two_frames, until, write

pytestmark = pytest.mark.slow


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[tuple[PaidEndpoint, FaultProxy]]:
    """An app whose jobs end soon, behind a proxy."""
    with (
        paid_endpoint(seconds=1, credits=1000.0) as endpoint,
        running_app(tmp_path, **endpoint.settings) as app,
        FaultProxy(app.port) as proxy,
    ):
        yield endpoint, proxy


def test_reuse_and_generate_at_once_send_the_old_settings(
    page: Page, quick: tuple[PaidEndpoint, FaultProxy], prompt: str
) -> None:
    endpoint, proxy = quick
    opened(page, proxy.url)
    example = EXAMPLES[9].request
    page.locator(".examples button").nth(9).click()
    page.locator("#generate").click()
    expect(page.locator(".result .prompt")).to_have_text(example.prompt)
    expect(page.locator("#generate")).to_be_enabled()
    proxy.latency_s = 0.6
    write(page, prompt)
    pick(page, "shape", "3:4")
    page.locator(".result [data-part=reuse]").click()
    page.locator("#generate").click()
    assert sent(page, endpoint, 1) == endpoint.bodies[0]
    assert endpoint.posts == {example.prompt: 2}


def test_text_typed_right_after_reuse_is_kept(page: Page, quick: tuple[PaidEndpoint, FaultProxy], prompt: str) -> None:
    _, proxy = quick
    opened(page, proxy.url)
    write(page, prompt)
    page.locator("#generate").click()
    expect(page.locator(".result .prompt")).to_have_text(prompt)
    proxy.latency_s = 0.6
    box = page.locator("#field-prompt textarea")
    box.fill("Something else.")
    page.locator(".result [data-part=reuse]").click()
    two_frames(page)
    assert box.input_value() == prompt
    box.press("End")
    box.press_sequentially(" At dusk.")
    page.wait_for_timeout(1500)  # longer than any answer takes
    expect(box).to_have_value(f"{prompt} At dusk.")


def filled_in(page: Page, prompt: str) -> dict[str, Any]:
    """Change a control of every kind."""
    write(page, prompt)
    pick(page, "shape", "9:16")
    pick(page, "size", "540")
    pick(page, "quality", "Fine")
    pick(page, "variations", "2")
    page.locator("#is-random label").click()
    number(page, "seed").fill("4711")
    page.locator("#advanced > button").click()
    page.locator("#field-negative-prompt textarea").fill("a blurry picture")
    number(page, "flow_shift").fill("9")
    number(page, "flow_shift").blur()
    expect(page.locator("#made-as:not([data-old])")).to_contain_text("544x960")
    page.wait_for_timeout(300)
    return standing(page)


def standing(page: Page) -> dict[str, Any]:
    """Return the form's values, with Advanced open."""
    is_closed = page.locator("#advanced > button").get_attribute("aria-expanded") == "false"
    if is_closed:
        page.locator("#advanced > button").click()
    expect(page.locator("#field-width input[type=number]")).to_be_visible()
    numbers = {name: number(page, name).input_value() for name in ("seed", "flow_shift", "width", "video_length")}
    choices = {name: chosen(page, name) for name in ("shape", "size", "quality", "variations")}
    texts = {name: page.locator(f"#field-{name} textarea").input_value() for name in ("prompt", "negative-prompt")}
    return {**numbers, **choices, **texts, "is_random": page.locator("#is-random input").is_checked()}


@pytest.mark.parametrize("leave", ["reload", "language", "elsewhere"])
def test_a_draft_outlives_a_reload_another_language_and_another_page(
    page: Page, app: RunningApp, prompt: str, leave: str
) -> None:
    opened(page, app.url)
    before = filled_in(page, prompt)
    assert (before["is_random"], before["size"], before["variations"], before["flow_shift"]) == (False, "540", "2", "9")
    if leave == "reload":
        page.locator("#field-prompt textarea").press_sequentially("!")
        before["prompt"] += "!"
        page.reload()
    elif leave == "language":
        page.locator(".language").click()
        expect(page.locator(".language")).to_have_text("English")
    else:
        page.goto("about:blank")
        page.goto(app.url)
    expect(page.locator("#made-as:not([data-old])")).to_contain_text("544x960")
    assert standing(page) == before


@pytest.mark.parametrize("latency_s", LATENCIES_S)
@pytest.mark.parametrize("leave", ["reload", "language"])
def test_a_press_before_the_draft_is_back_sends_nothing_and_destroys_nothing(
    page: Page, proxy: FaultProxy, endpoint: PaidEndpoint, prompt: str, leave: str, latency_s: float
) -> None:
    opened(page, proxy.url)
    before = filled_in(page, prompt)
    paid = endpoint.posts.total()
    proxy.latency_s = latency_s
    if leave == "reload":
        page.reload(wait_until="commit")
    else:
        page.locator(".language").click()
        expect(page.locator(".language")).to_have_text("English")
    page.locator("#generate").click()
    expect(page.locator("#made-as:not([data-old])")).to_contain_text("544x960")
    assert standing(page) == before
    assert endpoint.posts.total() in (paid, paid + 2)  # two, if the press came late enough for the displayed values
    proxy.latency_s = 0.0


@pytest.mark.parametrize("leave", ["reload", "language"])
def test_what_is_typed_before_the_server_has_answered_is_kept(
    page: Page, app: RunningApp, prompt: str, leave: str
) -> None:
    held: list[Route] = []
    page.route("**/gradio_api/run/**", lambda route: held.append(route))
    page.goto(app.url)
    write(page, prompt)
    until(page, lambda: bool(held))
    page.unroute("**/gradio_api/run/**")
    if leave == "reload":
        page.reload()
    else:
        page.locator(".language").click()
        expect(page.locator(".language")).to_have_text("English")
    expect(page.locator("#field-prompt textarea")).to_have_value(prompt)
    expect(page.locator("#made-as:not([data-old])")).to_contain_text("864x480")
    expect(page.locator("#field-prompt textarea")).to_have_value(prompt)


@pytest.mark.parametrize("is_left", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_choice_before_the_server_has_answered_leaves_the_rest_of_the_draft(
    page: Page, app: RunningApp, prompt: str, is_left: bool
) -> None:
    before = filled_in(opened(page, app.url), prompt)
    held: list[Route] = []
    page.route("**/gradio_api/run/**", lambda route: held.append(route))
    page.reload()
    pick(page, "shape", "1:1")
    pick(page, "quality", "Draft")
    until(page, lambda: bool(held))
    for route in [] if is_left else held:
        route.continue_()
    page.unroute("**/gradio_api/run/**")
    if is_left:
        page.reload()
    expect(page.locator("#field-prompt textarea")).to_have_value(prompt)
    made = {"shape": "1:1", "size": "480", "width": "640", "quality": "draft"}
    assert standing(page) == {**before, **made}


KEEPS_HISTORY_ALONE = "Storage.prototype.setItem = () => undefined;"


def test_the_last_letters_are_kept_when_the_server_has_another_version(
    page: Page, app: RunningApp, prompt: str
) -> None:
    page.add_init_script(KEEPS_HISTORY_ALONE)
    opened(page, app.url)
    held: list[Route] = []
    page.route("**/gradio_api/hunyuan/jobs", lambda route: held.append(route))
    page.evaluate("document.dispatchEvent(new Event('hunyuan:returned'))")
    until(page, lambda: bool(held))
    page.evaluate("window.isOld = true")
    write(page, prompt)
    held[0].fulfill(json={"version": "another", "jobs": [], "next_poll_s": 60})
    page.wait_for_function("!window.isOld")
    expect(page.locator("#field-prompt textarea")).to_have_value(prompt)


# What asks the server, whose language is another one by now; what stores the form; what opens a dialog.
GOES_ON = """
document.addEventListener("hunyuan:leaving", () => {
  const select = (selector) => document.querySelector(selector).click();
  setTimeout(() => document.dispatchEvent(new Event("hunyuan:returned")), 100);
  setTimeout(select, 200, "#shape label:nth-of-type(2) input");
  setTimeout(select, 500, "#part-several button");
});
"""


def test_nothing_that_goes_on_while_the_page_reloads_takes_the_prompt(page: Page, app: RunningApp, prompt: str) -> None:
    page.add_init_script(KEEPS_HISTORY_ALONE)
    write(opened(page, app.url), prompt)
    page.wait_for_function("prompt => hunyuan.form.now().prompt === prompt", arg=prompt)
    held: list[Route] = []
    page.route(re.compile(r":\d+/(\?|$)"), lambda route: held.append(route))
    page.evaluate(GOES_ON + "setTimeout(() => document.querySelector('.language').click())")
    until(page, lambda: bool(held))
    page.wait_for_timeout(1000)
    held[0].continue_()
    expect(page.locator(".language")).to_have_text("English")
    expect(page.locator("#field-prompt textarea")).to_have_value(prompt)


WHILE_GRADIO_FILLS_THE_FORM = """
({ prompt, isLooked }) => {
  const { filled, looked } = hunyuan.form;
  hunyuan.form.filled = (given) => {
    const box = document.querySelector("#field-prompt textarea");
    if (isLooked) looked(given);
    else {
      box.value = prompt;
      box.dispatchEvent(new Event("input", { bubbles: true }));
    }
    hunyuan.form.filled = filled;
    setTimeout(() => document.querySelector(".language").click());
    return isLooked ? new Promise(() => {}) : filled(given);
  };
}
"""


@pytest.mark.parametrize("kept", ["kept", "in the history alone"])
@pytest.mark.parametrize("is_stored", [True, False], ids=["a stored prompt", "a prompt typed just then"])
def test_a_prompt_is_kept_while_gradio_fills_the_form_with_the_first_answer(
    page: Page, app: RunningApp, prompt: str, kept: str, is_stored: bool
) -> None:
    if kept != "kept":
        page.add_init_script(KEEPS_HISTORY_ALONE)
    if is_stored:
        write(opened(page, app.url), prompt)
        page.wait_for_function("prompt => hunyuan.form.now().prompt === prompt", arg=prompt)
    held: list[Route] = []
    page.route("**/gradio_api/run/**", lambda route: held.append(route))
    page.reload() if is_stored else page.goto(app.url)
    until(page, lambda: bool(held))
    page.evaluate(WHILE_GRADIO_FILLS_THE_FORM, {"prompt": prompt, "isLooked": is_stored})
    for route in held:
        route.continue_()
    page.unroute("**/gradio_api/run/**")
    expect(page.locator(".language")).to_have_text("English")
    expect(page.locator("#made-as:not([data-old])")).to_contain_text("864x480")
    expect(page.locator("#field-prompt textarea")).to_have_value(prompt)


def test_another_tab_begins_without_the_draft(page: Page, app: RunningApp, prompt: str) -> None:
    filled_in(opened(page, app.url), prompt)
    other = opened(page.context.new_page(), app.url)
    expect(other.locator("#field-prompt textarea")).to_have_value("")
