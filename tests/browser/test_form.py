"""What is seen is what is sent, at the price that is seen: on lines as slow as those of a share link, too."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
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
from tests.browser.conftest import LONG_MS
from tests.browser.fault_proxy import FaultProxy
from tests.browser.paid_endpoint import PaidEndpoint, paid_endpoint
from tests.browser.steps import write

LATENCIES_S = (0.25, 1.0)
PRICE_ROUTE = "**/gradio_api/hunyuan/price"
PRICING = words()["page.pricing"]
DEFAULT = VideoRequest.model_construct()
takes = itertools.count(1)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[PaidEndpoint]:
    with paid_endpoint(seconds=600, credits=10_000.0) as running:
        yield running


@pytest.fixture(scope="module")
def app(endpoint: PaidEndpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """An app whose jobs never end, so that no price is learnt."""
    settings = {**endpoint.settings, "HUNYUAN_UI_CONCURRENCY": "1000", "HUNYUAN_UI_DAILY_LIMIT_USD": "5000"}
    with running_app(tmp_path_factory.mktemp("form"), **settings) as started:
        yield started


@pytest.fixture
def proxy(app: RunningApp) -> Iterator[FaultProxy]:
    with FaultProxy(app.port) as running:
        yield running


@pytest.fixture(autouse=True)
def no_event_breaks(page: Page) -> Iterator[None]:
    """Nothing that a page asks is ever answered by an error of the server, and no script of it fails."""
    troubles: list[str] = []
    page.on("response", lambda answer: troubles.append(answer.url) if answer.status >= 500 else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda told: troubles.append(told.text) if "Error executing" in told.text else None)
    yield
    assert troubles == []


@pytest.fixture(params=LATENCIES_S, ids=lambda latency_s: f"{latency_s * 1000:g} ms")
def slow(request: pytest.FixtureRequest, page: Page, proxy: FaultProxy) -> Page:
    """A page whose line is slow from now on."""
    opened(page, proxy.url)
    proxy.latency_s = request.param
    return page


@pytest.fixture
def prompt() -> str:
    return f"A heron lands on a frozen pond, take {next(takes)}."


def opened(page: Page, url: str) -> Page:
    page.set_default_timeout(LONG_MS)
    page.goto(url)
    expect(page.locator(".examples button")).to_have_count(len(EXAMPLES))
    expect(page.locator("#generate")).to_contain_text("at most $")
    return page


def pick(page: Page, group: str, text: str) -> None:
    page.locator(f"#{group} label").filter(has_text=text).click()


def number(page: Page, name: str) -> Any:
    return page.locator(f"#field-{name.replace('_', '-')} input[type=number]")


def chosen(page: Page, group: str) -> str:
    return page.locator(f"#{group} input:checked").input_value()


def sent(page: Page, endpoint: PaidEndpoint, before: int) -> dict[str, Any]:
    """Return what the service was paid for since then; one POST and no other."""
    expect(page.locator(".under-way")).to_be_visible()
    for _ in range(LONG_MS // 50):
        if len(endpoint.bodies) > before:
            break
        page.wait_for_timeout(50)
    assert len(endpoint.bodies) == before + 1
    return endpoint.bodies[-1]


def price_of(**values: Any) -> str:
    return words().price(estimate(DEFAULT.model_copy(update=values)))


# what a choice sets stays


def test_a_size_chosen_right_after_a_shape_keeps_both(slow: Page) -> None:
    for shape, size, line in (("9:16", "720", "720x1280"), ("1:1", "540", "720x720"), ("4:3", "720", "1104x832")):
        pick(slow, "shape", shape)
        pick(slow, "size", size)
        slow.wait_for_timeout(20)  # the page alone, long before any answer
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
    expect(box).to_have_value(EXAMPLES[3].request.prompt, timeout=200)
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
    page.wait_for_timeout(100)
    assert held, "no question was held back"
    held[0].continue_()
    expect(page.locator(".examples button")).to_have_count(len(EXAMPLES))
    expect(page.locator("#generate")).to_contain_text(price_of(width=960, height=544))
    assert (box.input_value(), chosen(page, "size")) == ("Something new.", "540")


# what is seen is what is sent


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
    slow.wait_for_timeout(100)  # nobody types sooner; what a click sends is read some milliseconds after it
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


# the price that is seen


def test_no_price_stands_beside_a_form_that_it_is_not_for(slow: Page) -> None:
    """Looked at in every frame, while all that has a price is changed."""
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
    number(slow, "video_length").fill("33")
    pick(slow, "quality", "Draft")
    width, height = pixels("1:1", "480")
    last = {"width": width, "height": height, "video_length": 33, "infer_steps": STEPS["draft"]}
    expect(slow.locator("#generate")).to_contain_text(words().price(estimate(DEFAULT.model_copy(update=last)), 2))
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
    page.wait_for_timeout(200)
    pick(page, "size", "540")
    page.wait_for_timeout(200)
    assert len(held) == 2
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
    """What was shown is made older than it is: half of what the server asks for by now."""
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
        most_usd = estimate(DEFAULT.model_copy(update={"width": 640, "height": 640})).high_usd
        notice = page.locator(".notice")
        expect(notice).to_contain_text(
            f"may cost ${most_usd:.2f} now, more than the ${most_usd / 2:.2f} that was shown"
        )
        assert endpoint.bodies == []
        notice.get_by_role("button", name="Make it anyway").click()
        expect(page.locator(".under-way")).to_be_visible()
        for _ in range(LONG_MS // 50):
            if len(endpoint.bodies) == int(count):
                break
            page.wait_for_timeout(50)
        assert endpoint.posts == {prompt: int(count)}


# numbers that cannot be

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
    expect(box).to_have_value(prompt, timeout=200)
    box.press("End")
    box.press_sequentially(" At dusk.")
    page.wait_for_timeout(1500)  # longer than any answer takes
    expect(box).to_have_value(f"{prompt} At dusk.")


# what is not sent yet


def filled_in(page: Page, prompt: str) -> dict[str, Any]:
    """Change something of every kind of control."""
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
    """Return what stands in the form, Advanced open."""
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


def test_another_tab_begins_without_the_draft(page: Page, app: RunningApp, prompt: str) -> None:
    filled_in(opened(page, app.url), prompt)
    other = opened(page.context.new_page(), app.url)
    expect(other.locator("#field-prompt textarea")).to_have_value("")
