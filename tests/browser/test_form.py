"""The displayed values are sent, at the displayed price: also on connections as slow as a share link's."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Page, Route, expect

from hunyuan_ui.estimate import estimate
from hunyuan_ui.prompt_help.examples import EXAMPLES
from hunyuan_ui.request import VideoRequest
from tests.app_process import running_app
from tests.browser.fault_proxy import FaultProxy
from tests.browser.one_form import app as app
from tests.browser.one_form import chosen, number, opened, pick, price_of, sent
from tests.browser.one_form import endpoint as endpoint
from tests.browser.one_form import no_event_breaks as no_event_breaks
from tests.browser.one_form import prompt as prompt
from tests.browser.one_form import proxy as proxy
from tests.browser.one_form import slow as slow
from tests.browser.paid_endpoint import PaidEndpoint, paid_endpoint
from tests.browser.steps import two_frames, until, write

# the effect of a choice persists


def test_a_size_chosen_right_after_a_shape_keeps_both(slow: Page) -> None:
    for shape, size, line in (("9:16", "720", "720x1280"), ("1:1", "540", "720x720"), ("4:3", "720", "1104x832")):
        pick(slow, "shape", shape)
        pick(slow, "size", size)
        two_frames(slow)
        assert (chosen(slow, "shape"), chosen(slow, "size")) == (shape, size)
        expect(slow.locator("#made-as:not([data-old])")).to_contain_text(line)
        assert (chosen(slow, "shape"), chosen(slow, "size")) == (shape, size)


def test_three_choices_in_one_moment_all_count(slow: Page, endpoint: PaidEndpoint, prompt: str) -> None:
    before = len(endpoint.bodies)
    write(slow, prompt)
    slow.evaluate(
        """() => { for (const name of ["shape", "size", "quality"])
            document.querySelectorAll(`#${name} input`)[{ shape: 1, size: 1, quality: 0 }[name]].click(); }"""
    )
    expect(slow.locator("#made-as:not([data-old])")).to_contain_text("544x960")
    slow.locator("#generate").click()
    body = sent(slow, endpoint, before)
    assert (body["width"], body["height"], body["infer_steps"]) == (544, 960, 20)


def test_text_typed_right_after_settings_were_taken_over_is_kept(slow: Page) -> None:
    slow.locator(".examples button").nth(3).click()
    box = slow.locator("#field-prompt textarea")
    two_frames(slow)
    assert box.input_value() == EXAMPLES[3].request.prompt
    box.press_sequentially(" Slowly.")
    number(slow, "seed").fill("4711")
    expect(slow.locator("#made-as:not([data-old])")).to_contain_text("640x640")
    assert box.input_value().endswith(" Slowly.")
    assert number(slow, "seed").input_value() == "4711"


def test_what_is_typed_before_the_page_has_been_answered_is_kept(page: Page, proxy: FaultProxy, prompt: str) -> None:
    opened(page, proxy.url)
    write(page, prompt)
    page.locator("#generate").click()
    expect(page.locator(".under-way")).to_be_visible()
    held: list[Route] = []
    page.route("**/gradio_api/run/**", lambda route: held.append(route), times=1)
    page.reload(wait_until="commit")
    box = page.locator("#field-prompt textarea")
    box.fill("Something new.")
    pick(page, "size", "540")
    until(page, lambda: held)
    held[0].continue_()
    expect(page.locator(".examples button")).to_have_count(len(EXAMPLES))
    expect(page.locator("#generate")).to_contain_text(price_of(width=960, height=544))
    assert (box.input_value(), chosen(page, "size")) == ("Something new.", "540")


# the displayed values are sent


def test_an_example_and_generate_at_once_send_the_example(slow: Page, endpoint: PaidEndpoint, prompt: str) -> None:
    write(slow, prompt)
    before = len(endpoint.bodies)
    example = EXAMPLES[2]
    slow.locator(".examples button").nth(2).click()
    slow.locator("#generate").click()
    body = sent(slow, endpoint, before)
    assert {name: body[name] for name in VideoRequest.model_fields} == example.request.model_dump()


def test_a_dearer_example_and_generate_at_once_send_it_at_the_price_on_its_card(
    slow: Page, endpoint: PaidEndpoint
) -> None:
    before = len(endpoint.bodies)
    example = EXAMPLES[10]
    assert estimate(example.request).high_usd > estimate(EXAMPLES[1].request).high_usd * 0.5
    pick(slow, "quality", "Draft")
    expect(slow.locator("#generate")).to_contain_text(price_of(infer_steps=20))
    slow.locator(".examples button").nth(10).click()
    slow.locator("#generate").click()
    assert sent(slow, endpoint, before)["prompt"] == example.request.prompt


def test_a_shape_and_generate_at_once_send_the_new_size(slow: Page, endpoint: PaidEndpoint, prompt: str) -> None:
    write(slow, prompt)
    before = len(endpoint.bodies)
    pick(slow, "shape", "9:16")
    slow.locator("#generate").click()
    body = sent(slow, endpoint, before)
    assert (body["prompt"], body["width"], body["height"]) == (prompt, 480, 854)


def test_both_clicks_in_the_same_moment_send_what_the_first_has_filled_in(slow: Page, endpoint: PaidEndpoint) -> None:
    before = len(endpoint.bodies)
    slow.evaluate(
        """() => { document.querySelectorAll(".examples button")[7].click();
            document.getElementById("generate").click(); }"""
    )
    body = sent(slow, endpoint, before)
    assert {name: body[name] for name in VideoRequest.model_fields} == EXAMPLES[7].request.model_dump()


def test_a_seed_typed_while_a_click_is_on_its_way_is_kept(slow: Page, endpoint: PaidEndpoint, prompt: str) -> None:
    write(slow, prompt)
    before = len(endpoint.bodies)
    slow.locator("#generate").click()
    slow.wait_for_timeout(100)  # nobody types sooner; a click's values are read some milliseconds after it
    number(slow, "seed").fill("42")
    drawn = sent(slow, endpoint, before)["seed"]
    expect(slow.locator("#generate")).to_be_enabled()
    assert number(slow, "seed").input_value() == "42" != str(drawn)
    expect(slow.locator("#is-random input")).not_to_be_checked()
    slow.locator("#reuse-seed").click()
    expect(number(slow, "seed")).to_have_value(str(drawn))


def test_a_seed_that_was_drawn_is_shown(slow: Page, endpoint: PaidEndpoint, prompt: str) -> None:
    write(slow, prompt)
    before = len(endpoint.bodies)
    slow.locator("#generate").click()
    expect(number(slow, "seed")).to_have_value(str(sent(slow, endpoint, before)["seed"]))
    expect(slow.locator("#is-random input")).to_be_checked()


# money in the head


def test_the_head_follows_each_click_and_each_end(page: Page, tmp_path: Path, prompt: str) -> None:
    with (
        paid_endpoint(seconds=1.5, credits=1000.0) as endpoint,
        running_app(tmp_path, HUNYUAN_UI_DAILY_LIMIT_USD="10", **endpoint.settings) as app,
    ):
        opened(page, app.url)
        spent = page.locator("[data-part=spent]")
        expect(spent).to_have_text("spent $0.00 · reserved $0.00 of $10.00")
        write(page, prompt)
        page.locator("#generate").click()
        expect(spent).to_have_text(re.compile(r"^spent \$0\.00 · reserved \$2\.20"))
        expect(page.locator(".result .prompt")).to_have_text(prompt)
        expect(spent).to_have_text(re.compile(r"^spent \$1\.46 · reserved \$0\.00"))
