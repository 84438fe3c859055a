"""A press acts on what was under the finger, even if something else appears at that moment."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.app_process import RunningApp, running_app
from tests.browser.one_wait import visit
from tests.browser.paid_endpoint import PaidEndpoint, paid_endpoint
from tests.browser.steps import generate_short, short, until, write

pytestmark = pytest.mark.slow

JOB_S = 0.5
MOVED = "What stands here has just changed, so nothing was done."
# Presses a button at the very moment at which a text appears somewhere.
PRESS_WHEN = """([where, text, button]) => {
  const look = () => {
    if (!document.querySelector(where).textContent.includes(text)) return;
    watching.disconnect();
    setTimeout(() => document.querySelector(button).click());
  };
  const watching = new MutationObserver(look);
  watching.observe(document.querySelector(where), { childList: true, characterData: true, subtree: true });
}"""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[PaidEndpoint]:
    with paid_endpoint(seconds=JOB_S) as started:
        yield started


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, endpoint: PaidEndpoint) -> Iterator[RunningApp]:
    folder, settings = tmp_path_factory.mktemp("pressing"), {**endpoint.settings, "HUNYUAN_UI_CONCURRENCY": "1"}
    with running_app(folder, HUNYUAN_UI_DAILY_LIMIT_USD="1000", **settings) as started:
        yield started


def ask_for(page: Page, prompt: str) -> None:
    write(page, prompt)
    short(page)
    page.locator("#generate").click()
    expect(page.locator("#part-watch")).to_contain_text(prompt)
    expect(page.locator("#generate")).not_to_have_attribute("aria-disabled", "true")


def make(page: Page, prompt: str) -> None:
    generate_short(page, prompt)
    expect(page.locator(".result .prompt")).to_have_text(prompt)
    expect(page.locator("#generate")).not_to_have_attribute("aria-disabled", "true")


def cancel(page: Page, prompt: str) -> None:
    """Cancel a waiting job, wherever it is in the card."""
    row = page.locator(".under-way, .others li").filter(has_text=prompt)
    row.get_by_role("button", name="Cancel").click()
    expect(page.locator(".ended .prompt")).to_have_text(prompt)


@pytest.fixture
def other(page: Page) -> Page:
    """Another tab of the same visitor."""
    return page.context.new_page()


@contextmanager
def finger_on(page: Page, button: Locator) -> Iterator[None]:
    """Put the finger on a button, and lift it at the same position."""
    button.click(trial=True)
    box = button.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    yield
    page.mouse.up()


def test_put_it_back_puts_back_what_stood_there(
    page: Page, other: Page, app: RunningApp, endpoint: PaidEndpoint
) -> None:
    visit(page, app.url)
    with endpoint.rendering():
        for prompt in ("a first heron", "a second heron", "a third heron"):
            ask_for(page, prompt)
        visit(other, app.url)
        cancel(page, "a second heron")
        page.bring_to_front()
        back = page.locator(".ended").get_by_role("button", name="Put it back")
        with finger_on(page, back):
            cancel(other, "a third heron")
            expect(page.locator(".ended .prompt")).to_have_text("a third heron")
        expect(page.get_by_text(MOVED)).to_be_visible()
        expect(page.locator(".ended")).to_be_visible()
        back.click()
        expect(page.locator(".ended")).to_be_hidden()
        expect(page.locator("#part-watch")).to_contain_text("a third heron")
    expect(page.locator(".posters li")).to_have_count(2)
    assert endpoint.posts["a second heron"] == 0
    assert endpoint.posts["a third heron"] == 1


@pytest.mark.parametrize("what", ["try-again", "reuse", "dismiss"])
def test_what_has_come_in_that_instant_is_not_pressed(
    page: Page, other: Page, app: RunningApp, endpoint: PaidEndpoint, what: str
) -> None:
    posts = endpoint.posts.total()
    visit(page, app.url)
    with endpoint.rendering():
        for prompt in (f"one {what}", f"two {what}", f"three {what}"):
            ask_for(page, prompt)
        visit(other, app.url)
        cancel(page, f"two {what}")
        write(page, "what is being written")
        page.wait_for_timeout(1000)
        page.evaluate(PRESS_WHEN, [".ended .prompt", f"three {what}", f".ended [data-part={what}]"])
        cancel(other, f"three {what}")
        expect(page.get_by_text(MOVED)).to_be_visible()
        expect(page.locator(".ended .prompt")).to_have_text(f"three {what}")
        expect(page.locator("#field-prompt textarea")).to_have_value("what is being written")
        expect(page.locator(".others")).to_be_hidden()
    expect(page.locator(".posters li").filter(has_text=f"one {what}")).to_have_count(1)
    assert endpoint.posts.total() == posts + 1


def test_a_cancel_that_began_on_another_card_takes_nothing_back(
    page: Page, other: Page, app: RunningApp, endpoint: PaidEndpoint
) -> None:
    visit(page, app.url)
    with endpoint.rendering():
        for prompt in ("first of three", "second of three", "third of three"):
            ask_for(page, prompt)
        visit(other, app.url)
        page.bring_to_front()
        expect(page.locator(".under-way .prompt")).to_have_text("third of three")
        with finger_on(page, page.locator(".under-way").get_by_role("button", name="Cancel")):
            cancel(other, "third of three")
            expect(page.locator(".ended .prompt")).to_have_text("third of three")
            expect(page.locator(".under-way .prompt")).not_to_have_text("third of three")
    expect(page.locator(".posters li").filter(has_text="of three")).to_have_count(2)
    assert endpoint.posts["second of three"] == 1


@pytest.mark.parametrize("what", ["again", "reuse", "download"])
def test_what_can_be_done_with_a_video_is_done_with_the_one_that_was_seen(
    page: Page, app: RunningApp, endpoint: PaidEndpoint, what: str
) -> None:
    visit(page, app.url)
    make(page, f"seen, {what}")
    downloads: list[object] = []
    page.on("download", lambda download: downloads.append(download))
    with endpoint.rendering():
        ask_for(page, f"new, {what}")
        write(page, "what is being written")
        page.evaluate(PRESS_WHEN, [".result .prompt", f"new, {what}", f".result [data-part={what}]"])
    expect(page.locator(".result .prompt")).to_have_text(f"new, {what}")
    expect(page.get_by_text(MOVED)).to_be_visible()
    page.wait_for_timeout(500)
    expect(page.locator("#field-prompt textarea")).to_have_value("what is being written")
    assert endpoint.posts[f"new, {what}"] == 1
    assert downloads == []


def test_a_problem_that_came_while_a_click_was_on_its_way_stays(
    page: Page, other: Page, app: RunningApp, endpoint: PaidEndpoint
) -> None:
    def hold(route: Route) -> None:
        if "the click on its way" in (route.request.post_data or ""):
            held.append(route)
        else:
            route.continue_()

    held: list[Route] = []
    visit(page, app.url)
    with endpoint.rendering():
        for prompt in ("one on its way", "two on its way"):
            ask_for(page, prompt)
        visit(other, app.url)
        page.route("**/gradio_api/run/**", hold)
        write(page, "the click on its way")
        page.locator("#generate").click()
        cancel(other, "two on its way")
        expect(page.locator(".ended .prompt")).to_have_text("two on its way")
        until(page, lambda: held)
        for route in held:
            route.continue_()
        expect(page.locator(".under-way .prompt")).to_have_text("the click on its way")
        expect(page.locator(".ended .prompt")).to_have_text("two on its way")
        expect(page.locator(".ended")).to_be_visible()
        cancel(other, "the click on its way")


# twice in a hurry


def presses(page: Page, button: Locator, apart_s: float, busy_s: float = 0.0) -> None:
    """Press twice, by the clock of the mouse; meanwhile the page is busy and handles the second one when it can."""
    box, mouse = button.bounding_box(), page.context.new_cdp_session(page)
    assert box is not None
    at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2, "button": "left", "clickCount": 1}
    begun_at = time.time()
    for pressed_at in (begun_at, begun_at + apart_s):
        for kind in ("mousePressed", "mouseReleased"):
            mouse.send("Input.dispatchMouseEvent", {**at, "type": kind, "timestamp": pressed_at})
        page.wait_for_timeout(1000 * busy_s)
    mouse.detach()


@pytest.mark.parametrize(("apart_s", "busy_s"), [(0, 0), (0.12, 0), (0.4, 0), (0.4, 1.5), (0.9, 3)])
def test_a_double_click_is_one_job(
    page: Page, app: RunningApp, endpoint: PaidEndpoint, apart_s: float, busy_s: float
) -> None:
    prompt = f"pressed twice, {apart_s} s apart, on a page that is busy for {busy_s} s"
    write(visit(page, app.url), prompt)
    short(page)
    presses(page, page.locator("#generate"), apart_s, busy_s)
    expect(page.locator(".result .prompt")).to_have_text(prompt)
    page.wait_for_timeout(500)
    assert endpoint.posts[prompt] == 1


def test_a_double_click_on_another_one_of_the_same_is_one_job(
    page: Page, app: RunningApp, endpoint: PaidEndpoint
) -> None:
    make(visit(page, app.url), "one more of these")
    again = page.get_by_role("button", name="Again with a new seed")
    again.click(trial=True)
    presses(page, again, 0.4, 1.5)
    expect(page.locator(".posters li").filter(has_text="one more of these")).to_have_count(2)
    page.wait_for_timeout(500)
    assert endpoint.posts["one more of these"] == 2


# My videos


@pytest.fixture
def three(page: Page, preview: RunningApp) -> Page:
    """The page of a visitor with three videos."""
    visit(page, preview.url)
    for index, prompt in enumerate(("an old fox", "a fox", "a new fox"), 1):
        make(page, prompt)
        expect(page.locator(".posters li")).to_have_count(index)
    return page


def test_a_double_click_on_delete_deletes_one(three: Page) -> None:
    card = three.locator(".posters li").first
    card.hover()
    card.locator("[data-do=delete]").dblclick()
    expect(three.locator(".posters li:not([hidden])")).to_have_count(2)
    expect(three.locator("[data-part=undo-text]")).to_have_text("Deleted.")
    three.get_by_role("button", name="Undo", exact=True).click()
    expect(three.locator(".posters li:not([hidden])")).to_have_count(3)


def test_the_neighbours_of_the_viewer_are_those_that_are_left(three: Page, preview: RunningApp) -> None:
    other = three.context.new_page()
    visit(other, preview.url)
    three.locator(".posters .tile-button").first.click()
    expect(three.locator(".viewer[open] [data-part=prompt]")).to_have_text("a new fox")
    middle = other.locator(".posters li").nth(1)
    middle.hover()
    middle.locator("[data-do=delete]").click()
    other.get_by_role("button", name="Delete now").click()
    expect(three.locator(".posters li")).to_have_count(2)
    three.keyboard.press("ArrowRight")
    expect(three.locator(".viewer[open] [data-part=prompt]")).to_have_text("an old fox")
    expect(three.locator(".viewer [data-part=next]")).to_be_disabled()


@pytest.mark.parametrize("key", ["Enter", "Control+Enter"])
def test_a_key_that_is_held_down_is_one_press(page: Page, app: RunningApp, endpoint: PaidEndpoint, key: str) -> None:
    visit(page, app.url)
    prompt = f"a fox under a heavy finger on {key}"
    write(page, prompt)
    short(page)
    page.locator("#generate" if key == "Enter" else "#field-prompt textarea").focus()
    *modifiers, last = key.split("+")
    for modifier in modifiers:
        page.keyboard.down(modifier)
    for _ in range(60):  # a keyboard repeats it some thirty times a second
        page.keyboard.down(last)
        page.wait_for_timeout(50)
    for held in (last, *modifiers):
        page.keyboard.up(held)
    expect(page.locator(".result .prompt")).to_have_text(prompt)
    expect(page.locator(".under-way")).to_be_hidden()
    assert endpoint.posts[prompt] == 1
    page.locator("#generate").press("Enter")
    until(page, lambda: endpoint.posts[prompt] == 2)  # lifted and pressed again, it is another press


def test_the_forms_keys_send_nothing_from_a_field_of_something_else(
    page: Page, app: RunningApp, endpoint: PaidEndpoint
) -> None:
    visit(page, app.url)
    sent = endpoint.posts.total()
    write(page, "a fox that stands in the form")
    short(page)
    page.locator("[data-part=search]").press("Control+Enter")
    page.locator(".owner summary").click()
    page.get_by_role("button", name="Put the amount right").first.click()
    page.locator(".owner .more form").get_by_label("Because").press("Control+Enter")
    page.locator("#field-seed input").press("Control+Enter")
    until(page, lambda: endpoint.posts["a fox that stands in the form"])
    assert endpoint.posts.total() == sent + 1
