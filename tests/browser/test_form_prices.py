"""The price on Generate is the price of the form, or there is none and nothing is paid."""

from __future__ import annotations

import math
import re
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Request, Route, expect

from hunyuan_ui.errors import InvalidRequestError
from hunyuan_ui.estimate import estimate
from hunyuan_ui.prompt_help.examples import EXAMPLES
from hunyuan_ui.prompt_help.presets import STEPS, pixels
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.words import words
from tests.app_process import RunningApp, running_app
from tests.browser.one_form import DEFAULT, number, opened, pick, price_of, sent
from tests.browser.one_form import app as app
from tests.browser.one_form import endpoint as endpoint
from tests.browser.one_form import no_event_breaks as no_event_breaks
from tests.browser.one_form import prompt as prompt
from tests.browser.one_form import proxy as proxy
from tests.browser.one_form import slow as slow
from tests.browser.paid_endpoint import PaidEndpoint, paid_endpoint
from tests.browser.steps import LINES, resize, two_frames, until, write

pytestmark = pytest.mark.slow

PRICE_ROUTE = "**/gradio_api/hunyuan/price"
PRICING = words()["page.pricing"]


@pytest.mark.parametrize("language", ["en-GB", "zh-CN"])
def test_the_price_of_an_example_is_broken_only_between_its_amounts(
    new_visitor: Any, app: RunningApp, language: str
) -> None:
    page = new_visitor(locale=language).new_page()
    page.goto(app.url)
    expect(page.locator(".examples .cost", has_text="$2.20").first).to_be_visible()
    pieces = page.locator(".examples .cost .unbroken").all_inner_texts()
    assert len(pieces) >= 4 * len(EXAMPLES)
    assert [piece for piece in pieces if not re.search(r"\d", piece)] == []


def test_no_price_stands_beside_a_form_that_it_is_not_for(slow: Page) -> None:
    """Checked in every frame, while everything that affects the price is changed."""
    slow.evaluate(
        """() => {
          const value = (name) => document.querySelector(`#${name} input:checked`)?.value;
          window.seen = new Set();
          const look = () => {
            const frames = document.querySelector("#field-video-length input[type=number]").value;
            const form = [value("shape"), value("size"), value("quality"), frames, value("variations")];
            window.seen.add(JSON.stringify([...form, document.getElementById("generate").textContent.trim()]));
            requestAnimationFrame(look);
          };
          look();
        }"""
    )
    for group, text in (("size", "540"), ("shape", "1:1"), ("quality", "Fine"), ("variations", "2"), ("size", "480")):
        pick(slow, group, text)
    expect(slow.locator("#generate")).to_contain_text("at most")
    two_frames(slow)
    number(slow, "video_length").fill("33")
    pick(slow, "quality", "Draft")
    width, height = pixels("1:1", "480")
    last = {"width": width, "height": height, "video_length": 33, "infer_steps": STEPS["draft"]}
    expect(slow.locator("#generate")).to_contain_text(words().price(estimate(DEFAULT.model_copy(update=last)), 2))
    two_frames(slow)
    seen = slow.evaluate("[...window.seen].map(JSON.parse)")
    priced = [entry for entry in seen if "$" in entry[-1]]
    assert len(priced) >= 3
    for shape, size, quality, frames, count, said in priced:
        width, height = pixels(shape, size)
        made = DEFAULT.model_copy(
            update={"width": width, "height": height, "video_length": int(frames), "infer_steps": STEPS[quality]}
        )
        assert words().price(estimate(made), int(count)) in said
    assert PRICING in {entry[-1] for entry in seen}


def test_a_click_before_a_higher_price_was_seen_is_refused_with_that_price(
    slow: Page, endpoint: PaidEndpoint, prompt: str
) -> None:
    write(slow, prompt)
    before = len(endpoint.bodies)
    pick(slow, "quality", "Draft")
    expect(slow.locator("#generate")).to_contain_text(price_of(infer_steps=20))
    slow.evaluate(
        """() => { const labels = [...document.querySelectorAll("#quality label")];
            labels.find((label) => label.textContent.includes("Fine")).click();
            document.getElementById("generate").click(); }"""
    )
    dear, cheap = (f"${estimate(DEFAULT.model_copy(update={'infer_steps': n})).high_usd:.2f}" for n in (50, 20))
    notice = slow.locator(".notice")
    expect(notice).to_contain_text(f"This video may cost {dear} now, more than the {cheap} that was shown. Nothing")
    assert len(endpoint.bodies) == before
    notice.get_by_role("button", name="Make it anyway").click()
    assert sent(slow, endpoint, before)["infer_steps"] == 50


def test_a_confirmation_is_for_the_form_that_was_refused(page: Page, app: RunningApp, endpoint: PaidEndpoint) -> None:
    opened(page, app.url)
    write(page)
    before = len(endpoint.bodies)
    pick(page, "size", "720")
    expect(page.locator("#generate")).to_contain_text("$")
    page.locator("#generate").click()
    confirm = page.locator(".notice").get_by_role("button", name="Make it anyway")
    expect(confirm).to_be_visible()
    number(page, "video_length").fill("129")
    expect(confirm).to_be_hidden()
    assert len(endpoint.bodies) == before


def test_a_page_without_prices_pays_nothing_unseen(
    page: Page, app: RunningApp, endpoint: PaidEndpoint, prompt: str
) -> None:
    opened(page, app.url)
    write(page, prompt)
    before = len(endpoint.bodies)
    page.route(PRICE_ROUTE, lambda route: route.abort())
    pick(page, "size", "540")
    expect(page.locator("#generate")).to_have_text(PRICING)
    page.locator("#generate").click()
    notice = page.locator(".notice")
    dear = f"${estimate(DEFAULT.model_copy(update={'width': 960, 'height': 544})).high_usd:.2f}"
    expect(notice).to_contain_text(f"it may cost {dear}. Nothing was sent")
    assert len(endpoint.bodies) == before
    notice.get_by_role("button", name="Make it anyway").click()
    assert sent(page, endpoint, before)["width"] == 960


def test_an_answer_to_an_older_form_is_dropped(page: Page, app: RunningApp) -> None:
    opened(page, app.url)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route(PRICE_ROUTE, hold)
    pick(page, "size", "720")
    until(page, lambda: held)
    pick(page, "size", "540")
    until(page, lambda: len(held) == 2)
    newer, older = held[1], held[0]
    newer.continue_()
    expect(page.locator("#generate")).to_contain_text(price_of(width=960, height=544))
    older.continue_()
    page.wait_for_timeout(300)
    expect(page.locator("#generate")).to_contain_text(price_of(width=960, height=544))
    expect(page.locator("#made-as")).to_contain_text("960x544")


@pytest.mark.parametrize("count", ["1", "3"])
def test_a_price_that_has_risen_meanwhile_is_refused_with_the_new_one(
    page: Page, tmp_path: Path, prompt: str, count: str
) -> None:
    """The displayed price is made outdated: half of what the server requires by now."""
    with paid_endpoint(seconds=600, credits=1000.0) as endpoint, running_app(tmp_path, **endpoint.settings) as app:

        def older(route: Route) -> None:
            answer = route.fetch().json()
            route.fulfill(json={**answer, "most_usd": answer["most_usd"] / 2})

        opened(page, app.url)
        write(page, prompt)
        page.route(PRICE_ROUTE, older)
        pick(page, "variations", count)
        pick(page, "shape", "1:1")
        expect(page.locator("#made-as:not([data-old])")).to_contain_text("640x640")
        page.unroute_all()
        page.locator("#generate").click()
        one_usd = estimate(DEFAULT.model_copy(update={"width": 640, "height": 640})).high_usd
        now, before = (math.ceil(usd * 100) * int(count) / 100 for usd in (one_usd, one_usd / 2))
        notice = page.locator(".notice")
        expect(notice).to_contain_text(f"may cost ${now:.2f} now, more than the ${before:.2f} that was shown")
        expect(page.locator("#generate")).to_contain_text(f"at most ${now:.2f}")
        assert endpoint.bodies == []
        notice.get_by_role("button", name="Make it anyway").click()
        expect(page.locator(".under-way")).to_be_visible()
        until(page, lambda: len(endpoint.bodies) == int(count))
        assert endpoint.posts == {prompt: int(count)}


STRANGE = ["999999", "0", "", "12.5", "1e", "-3", "1e9", "78", "1e400"]


@pytest.mark.parametrize("name", ["video_length", "infer_steps", "width", "height"])
def test_a_number_that_cannot_be_is_put_right_or_has_no_price(
    page: Page, app: RunningApp, endpoint: PaidEndpoint, name: str, prompt: str
) -> None:
    opened(page, app.url)
    page.get_by_role("button", name="Advanced").click()
    write(page, prompt)
    box = number(page, name)
    expect(box).to_be_visible()
    before = len(endpoint.bodies)
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request))
    for typed in STRANGE:
        box.fill("")
        box.press_sequentially(typed)
        box.blur()
        expect(page.locator("#generate")).not_to_have_text(PRICING)
        wish = {
            "prompt": "x",
            **{field: getattr(DEFAULT, field) for field in VideoRequest.model_fields if field != "prompt"},
        }
        value = float(box.input_value())
        wish[name] = int(value) if value.is_integer() else value
        said = str(page.locator("#generate").text_content())
        try:
            expected = words().price(estimate(VideoRequest.parse(wish)))
        except InvalidRequestError as refusal:
            assert "$" not in said, typed
            expect(page.locator("#made-as")).to_contain_text(words().sentence(refusal))
        else:
            assert expected in said, typed
    assert not any("/queue/join" in request.url or "/run/" in request.url for request in asked), "an event was sent"
    box.fill("12.5")
    box.press("Control+Enter")
    expect(page.locator(".notice")).to_contain_text("12.5 is not a whole number")
    assert len(endpoint.bodies) == before


def test_a_number_that_was_taken_out_comes_back(page: Page, app: RunningApp) -> None:
    opened(page, app.url)
    for name, value in (("video_length", "33"), ("seed", "17")):
        box = number(page, name)
        box.fill(value)
        box.blur()
        box.fill("")
        box.blur()
        expect(box).to_have_value(value)
    expect(page.locator("#generate")).to_contain_text(price_of(video_length=33))


@pytest.mark.parametrize("typed", ["2,5", "２，５", "2٫5", "2.5"])
@pytest.mark.parametrize("is_pasted", [False, True])
def test_a_comma_parts_a_number_as_a_point_does(page: Page, app: RunningApp, typed: str, is_pasted: bool) -> None:
    opened(page, app.url)
    page.locator("#advanced > button").click()
    boxes = [number(page, "flow_shift"), page.locator("dialog.batch [data-part=budget]")]
    for box in boxes:
        if box == boxes[1]:
            page.locator("#part-several button").click()
        box.press("Control+a")
        if is_pasted:
            page.keyboard.insert_text(typed)
        else:
            page.keyboard.type(typed)
        expect(box).to_have_value("2.5")
        box.blur()
        expect(box).to_have_value("2.5")


def test_the_price_stays_on_a_button_that_is_drawn_once_more(page: Page, app: RunningApp) -> None:
    """As Gradio does when it has loaded a language: with the button's initial text."""
    opened(page, app.url)
    expect(page.locator("#generate")).to_contain_text("at most")
    shown = page.locator("#generate").inner_text()
    page.evaluate(
        """(first) => {
          const texts = document.createTreeWalker(document.getElementById("generate"), NodeFilter.SHOW_TEXT);
          while (texts.nextNode()) if (texts.currentNode.data.trim()) texts.currentNode.data = first;
        }""",
        PRICING,
    )
    expect(page.locator("#generate")).to_have_text(shown)


@pytest.mark.parametrize("language", ["en-GB", "zh-CN"])
def test_no_line_ends_between_a_number_and_what_it_counts_or_with_a_dot_or_holds_one_short_word(
    new_visitor: Any, app: RunningApp, language: str
) -> None:
    page = new_visitor(locale=language).new_page()
    page.goto(app.url)
    expect(page.locator("#generate")).to_contain_text("$")
    expect(page.locator(".examples .cost")).to_have_count(12)
    broken: list[tuple[int, list[str]]] = []
    for count, width in product((1, 4), (320, 360, 390, 768, 1280, 1440)):
        resize(page, width, 800)
        page.locator("#variations label").nth(count - 1).dispatch_event("click")
        expect(page.locator("#generate")).to_contain_text(str(count) if count > 1 else "$")
        expect(page.locator("#generate")).to_contain_text("$")
        areas = page.locator("#generate, .examples .cost")
        for lines, text in areas.evaluate_all(f"(all) => all.map((one) => [({LINES})(one), one.textContent])"):
            whole = text.split(" · ")
            ends = [
                (end not in whole and re.search(r"[\d·]$", end)) or re.match(r"[$·]|[a-z]{1,3}$", begin)
                for end, begin in pairwise(lines)
            ]
            broken += [(width, lines)] if any(ends) else []
    assert broken == []


def test_the_button_says_first_what_it_does_and_below_it_what_that_takes(page: Page, app: RunningApp) -> None:
    opened(page, app.url)
    button = page.get_by_role(
        "button", name=re.compile(r"^Generate · about .* min · about \$[\d.]+, at most \$[\d.]+$")
    )
    for width in (360, 390, 768, 1280, 1440):
        resize(page, width, 800)
        first, *rest = button.evaluate(LINES)
        assert first == "Generate"
        assert 1 <= len(rest) <= 2


def test_a_press_counts_although_the_price_is_drawn_anew_under_the_finger(
    page: Page, app: RunningApp, endpoint: PaidEndpoint, prompt: str
) -> None:
    opened(page, app.url)
    write(page, prompt)
    button = page.locator("#generate")
    expect(button).to_contain_text("at most")
    shown = button.inner_text()
    before, box = len(endpoint.bodies), button.locator(".unbroken", has_text="Generate").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.evaluate("document.querySelector('#quality input[value=draft]').click()")
    expect(button).not_to_have_text(shown)
    expect(button).to_contain_text("at most")
    page.mouse.up()
    assert sent(page, endpoint, before)["infer_steps"] == STEPS["draft"]
