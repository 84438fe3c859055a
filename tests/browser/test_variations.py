"""Several videos of one click, side by side, and another one from a finished one: each at the price on its button."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.app_process import RunningApp, free_port, running_app
from tests.browser.axe import broken_rules
from tests.browser.paid_endpoint import paid_endpoint
from tests.browser.steps import comes_to_rest_in_sight, generate_short, put_on, resize, short, two_frames, until, write

pytestmark = pytest.mark.slow

JOB_S = 0.5
CLICK = "a heron whose click is not answered"
# What a browser's translator has put in place of a text, and a screen reader has read out, stays while it is the same.
CHANGES = """() => {
  window.changed = {};
  new MutationObserver((all) => {
    for (const { target } of all) {
      const part = target.closest("[data-part], [class]");
      const name = part.dataset.part || part.className;
      if (name !== "clock") window.changed[name] = (window.changed[name] || 0) + 1;
    }
  }).observe(document.querySelector("#screen"), { childList: true, subtree: true });
}"""
PLAYING = "(of) => [...document.querySelectorAll('.variations video')].filter((video) => !video.paused).length === of"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """An app whose browser tests all look at four videos of one click."""
    with running_app(tmp_path_factory.mktemp("variations")) as app:
        yield app


@pytest.fixture
def four(page: Page, made: RunningApp) -> Page:
    page.goto(made.url)
    ask_for_four(page)
    page.locator("#generate").click()
    expect(title(page)).to_have_text("4 of 4 ready")
    return page


def title(page: Page) -> Locator:
    return page.locator("#variations-title")


def tiles(page: Page) -> Locator:
    return page.locator(".variations li")


def seed_of(tile: Locator) -> str:
    return (tile.locator(".seed").text_content() or "").removeprefix("Seed ")


def ask_for_four(page: Page, prompt: str = "a heron, four times") -> None:
    write(page, prompt)
    short(page)
    page.locator("#variations").get_by_label("4", exact=True).check()
    expect(page.locator("#generate")).to_contain_text("Generate 4")


def test_each_has_its_place_and_they_move_until_they_are_told_to_rest_and_fit_a_narrow_phone(four: Page) -> None:
    """Axe finds nothing in them either, and a seed is kept without a word sent."""
    expect(four.locator("#player")).to_be_hidden()
    expect(four.locator(".others")).to_be_hidden()
    assert len({seed_of(tile) for tile in tiles(four).all()}) == 4
    four.wait_for_function(PLAYING, arg=4)
    four.get_by_role("button", name="Pause").click()
    four.wait_for_function(PLAYING, arg=0)
    four.locator(".variations").get_by_role("button", name="Play").click()
    four.wait_for_function(PLAYING, arg=4)
    for scheme in ("light", "dark"):
        put_on(four, color_scheme=scheme, reduced_motion="reduce")
        assert broken_rules(four) == {}, scheme
    for width in (320, 390, 701, 1280):
        resize(four, width, 800)
        assert four.evaluate("document.documentElement.scrollWidth") <= width
    third = tiles(four).nth(2)
    third.get_by_role("button", name="Keep this seed").click()
    expect(four.get_by_label("Seed", exact=True)).to_have_value(seed_of(third))
    expect(four.locator("#is-random input")).not_to_be_checked()
    expect(four.locator(".variations [role=status]")).to_contain_text("Nothing was sent")
    expect(four.locator(".under-way")).to_be_hidden()


@pytest.mark.parametrize("is_slow", [False, True], ids=["quick answer", "slow answer"])
def test_a_phone_shows_their_top_when_they_begin(page: Page, made: RunningApp, is_slow: bool) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(made.url)
    ask_for_four(page)
    if is_slow:  # the stored job then becomes known before the click's own response
        page.route("**/run/**", lambda route: (page.wait_for_timeout(2000), route.continue_()))
    page.locator("#generate").click()
    expect(tiles(page)).to_have_count(4)
    expect(title(page)).to_have_text("4 of 4 ready")
    comes_to_rest_in_sight(page, "#variations-title")


def test_their_order_outlives_a_reload_and_what_was_closed_stays_closed(four: Page) -> None:
    seeds = [seed_of(tile) for tile in tiles(four).all()]
    four.reload()
    expect(title(four)).to_have_text("4 of 4 ready")
    assert [seed_of(tile) for tile in tiles(four).all()] == seeds
    four.get_by_role("button", name="Close these videos").click()
    expect(four.locator("#player video")).to_be_visible()
    four.reload()
    expect(four.locator("#player video")).to_be_visible()
    expect(four.locator(".variations")).to_be_hidden()


def test_a_neighbour_that_is_fetched_does_not_open_what_was_closed(four: Page) -> None:
    four.get_by_placeholder("Search in prompts").fill("what no prompt says")
    expect(four.locator(".posters li")).to_have_count(0)  # so that the gallery has to fetch each of them
    held: list[Callable[[], None]] = []
    four.get_by_role("button", name="Open video 2 of 4").click()
    expect(four.locator(".viewer[open]")).to_be_visible()
    four.route("**/hunyuan/videos/*", lambda route: held.append(route.continue_))
    four.keyboard.press("ArrowRight")
    until(four, lambda: held)
    four.keyboard.press("Escape")
    expect(four.locator(".viewer[open]")).to_have_count(0)
    for go_on in held:
        go_on()
    four.wait_for_timeout(500)
    expect(four.locator(".viewer[open]")).to_have_count(0)


def test_one_is_looked_at_with_its_neighbours_and_two_are_compared(four: Page) -> None:
    four.get_by_role("button", name="Open video 2 of 4").click()
    expect(four.locator(".viewer[open]")).to_contain_text(f"seed {seed_of(tiles(four).nth(1))}")
    four.keyboard.press("ArrowRight")
    expect(four.locator(".viewer[open]")).to_contain_text(f"seed {seed_of(tiles(four).nth(2))}")
    for key, index in (("ArrowRight", 3), ("ArrowRight", 3), ("ArrowLeft", 2), ("ArrowLeft", 1), ("ArrowLeft", 0)):
        four.keyboard.press(key)
        expect(four.locator(".viewer[open]")).to_contain_text(f"seed {seed_of(tiles(four).nth(index))}")
    four.keyboard.press("Escape")
    expect(four.get_by_role("button", name="Open video 2 of 4")).to_be_focused()
    for index in (3, 0):
        tiles(four).nth(index).get_by_role("button", name="Compare").click()
    shown = four.locator(".compare[open]")
    for side, index in (("left-text", 3), ("right-text", 0)):
        expect(shown.locator(f"[data-part={side}]")).to_contain_text(seed_of(tiles(four).nth(index)))


@pytest.mark.parametrize("is_asked_for", [True, False])
def test_they_stand_together_although_the_answer_to_their_click_is_lost(
    page: Page, tmp_path: Path, is_asked_for: bool
) -> None:
    """`is_asked_for`: the page's poll for the click by its id, before its response, is answered."""

    def lose(route: Route) -> None:
        if CLICK in (route.request.post_data or ""):
            route.fetch()  # it arrives, and its response is withheld
        else:
            route.continue_()

    with paid_endpoint(seconds=JOB_S) as endpoint, running_app(tmp_path, **endpoint.settings) as app:
        page.goto(app.url)
        page.route("**/gradio_api/run/**", lose)
        if not is_asked_for:
            page.route("**/hunyuan/jobs/*", lambda route: route.abort())
        with endpoint.rendering():
            ask_for_four(page, CLICK)
            page.locator("#generate").click()
            expect(title(page)).to_have_text("0 of 4 ready")
            expect(tiles(page)).to_have_count(4)
            expect(page.locator(".others")).to_be_hidden()
            page.unroute_all()
        expect(title(page)).to_have_text("4 of 4 ready")
        assert sum(endpoint.posts.values()) == 4
        page.get_by_role("button", name="Close these videos").click()
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # like a returning visitor
        expect(page.locator(".variations")).to_be_hidden()


@pytest.mark.parametrize("is_reloaded", [False, True])
def test_those_that_a_killed_server_has_not_stored_are_started_by_another_press(
    page: Page, tmp_path: Path, is_reloaded: bool
) -> None:
    port = free_port()
    with paid_endpoint(seconds=JOB_S) as endpoint, ExitStack() as apps:
        settings = {"port": port, **endpoint.settings}
        killed = apps.enter_context(running_app(tmp_path, script="tests/killed_app.py", is_forked=False, **settings))
        page.goto(killed.url)
        ask_for_four(page, CLICK)
        expect(page.locator("#generate")).to_contain_text("in all")
        page.locator("#generate").click()
        killed.process.wait(10)
        apps.enter_context(running_app(tmp_path, **settings))
        if is_reloaded:
            page.reload()
        # Gradio may never report that its server has gone: the page then gives up by itself after 10 s.
        told = "only some videos of your last click were started"
        expect(page.locator(".notice")).to_contain_text(told, timeout=30_000)
        expect(page.locator("#generate")).to_contain_text("in all")
        page.evaluate("window.wasPressed = true")
        page.locator("#generate").click()
        try:
            expect(title(page)).to_have_text("4 of 4 ready", timeout=30_000)
        except AssertionError:
            # Gradio reloads a page that finds its server again; a press at that very moment goes with the page.
            assert page.evaluate("window.wasPressed === undefined"), "the page has taken no notice of the press"
            expect(page.locator(".notice")).to_contain_text(told)
            page.locator("#generate").click()
        expect(title(page)).to_have_text("4 of 4 ready")
        expect(page.locator(".notice")).to_be_hidden()
        assert sum(endpoint.posts.values()) == 4


@pytest.mark.parametrize("gone", [(1,), (3,), (1, 1), (1, 1, 1)])
def test_the_others_stay_together_over_a_reload_when_some_are_deleted(
    page: Page, made: RunningApp, gone: tuple[int, ...]
) -> None:
    page.goto(made.url)
    ask_for_four(page)
    page.locator("#generate").click()
    expect(title(page)).to_have_text("4 of 4 ready")
    seeds = [seed_of(tile) for tile in tiles(page).all()]
    for place in gone:
        page.get_by_role("button", name=f"Open video {place} of").click()
        page.locator(".viewer").get_by_role("button", name="Delete").click()
        page.get_by_role("button", name="Delete now").click()
        del seeds[place - 1]
        expect(page.locator(".posters li")).to_have_count(len(seeds))
    page.reload()
    if len(seeds) == 1:
        expect(page.locator("#player video")).to_be_visible()
        expect(page.locator(".variations")).to_be_hidden()
    else:
        expect(title(page)).to_have_text(f"{len(seeds)} of {len(seeds)} ready")
        assert [seed_of(tile) for tile in tiles(page).all()] == seeds


def test_what_was_closed_stays_closed_although_the_first_is_deleted_and_another_one_comes(
    page: Page, tmp_path: Path
) -> None:
    with (
        paid_endpoint(seconds=JOB_S) as endpoint,
        running_app(tmp_path, HUNYUAN_UI_CONCURRENCY="1", **endpoint.settings) as app,
    ):
        page.goto(app.url)
        ask_for_four(page)
        expect(page.locator("#generate")).to_contain_text("in all")
        page.locator("#generate").click()
        expect(title(page)).to_have_text("1 of 4 ready")
        page.get_by_role("button", name="Close these videos").click()
        expect(page.locator(".posters li")).to_have_count(4)
        expect(page.locator("#player video")).to_be_visible()
        expect(page.locator(".variations")).to_be_hidden()
        page.locator(".posters li").last.hover()
        page.locator(".posters li").last.locator("[data-do=delete]").click()
        page.get_by_role("button", name="Delete now").click()
        expect(page.locator(".posters li")).to_have_count(3)
        page.reload()
        expect(page.locator("#player video")).to_be_visible()
        expect(page.locator(".variations")).to_be_hidden()


def test_a_deleted_one_leaves_and_a_single_video_takes_their_place(four: Page) -> None:
    four.get_by_role("button", name="Open video 1 of 4").click()
    four.locator(".viewer").get_by_role("button", name="Delete").click()
    four.get_by_role("button", name="Delete now").click()
    expect(title(four)).to_have_text("3 of 3 ready")
    four.locator("#variations").get_by_label("1", exact=True).check()
    generate_short(four, "a single heron")
    expect(four.locator("#part-result")).to_contain_text("a single heron")
    expect(four.locator("#player video")).to_be_visible()
    expect(four.locator(".variations")).to_be_hidden()


def test_all_that_wait_are_cancelled_at_once_and_one_of_them_is_put_back(page: Page, tmp_path: Path) -> None:
    with (
        paid_endpoint(seconds=JOB_S) as endpoint,
        running_app(tmp_path, HUNYUAN_UI_CONCURRENCY="1", **endpoint.settings) as app,
    ):
        page.goto(app.url)
        with endpoint.rendering():
            ask_for_four(page)
            expect(page.locator("#generate")).to_contain_text("in all")
            page.locator("#generate").click()
            expect(title(page)).to_have_text("0 of 4 ready")
            expect(page.locator(".variations .phase").first).to_have_text("Rendering")
            page.get_by_role("button", name="Cancel all that wait").press("Enter")
            for index in (1, 2, 3):
                expect(tiles(page).nth(index)).to_contain_text("It was not sent, and nothing was charged.")
            expect(page.get_by_role("button", name="Cancel all that wait")).to_be_hidden()
            expect(page.locator(".ended")).to_be_hidden()
            expect(title(page)).to_be_focused()  # a second press closes nothing, and buys nothing
            tiles(page).nth(2).get_by_role("button", name="Put it back · about $").click()
            expect(tiles(page).nth(2).locator("[data-do=again]")).to_be_hidden()
        expect(title(page)).to_have_text("2 of 4 ready")
        page.reload()
        expect(title(page)).to_have_text("2 of 4 ready")
        expect(tiles(page).nth(2).get_by_role("button", name="Keep this seed")).to_be_visible()
        assert sum(endpoint.posts.values()) == 2


def test_one_more_with_a_new_seed_is_sent_at_the_price_on_its_button_and_leaves_the_form_alone(
    page: Page, tmp_path: Path
) -> None:
    with paid_endpoint(seconds=JOB_S) as endpoint, running_app(tmp_path, **endpoint.settings) as app:
        page.goto(app.url)
        generate_short(page, "a heron at dawn")
        again = page.locator("#part-result").get_by_role("button", name="Again with a new seed · about $")
        expect(again).to_be_visible()
        write(page, "something else is being written")
        again.dblclick()
        expect(page.locator(".posters li")).to_have_count(2)
        expect(page.locator("#field-prompt textarea")).to_have_value("something else is being written")
        first, second = endpoint.bodies
        assert first["seed"] != second["seed"]
        assert {**first, "seed": 0} == {**second, "seed": 0}


def test_what_stays_the_same_while_they_are_made_is_not_written_anew(page: Page, tmp_path: Path) -> None:
    with (
        paid_endpoint() as paid,
        paid.rendering(),
        running_app(tmp_path, **paid.settings, HUNYUAN_UI_CONCURRENCY="2") as app,
    ):
        page.goto(app.url)
        ask_for_four(page)
        page.locator("#generate").click()
        expect(page.locator("[data-part=phase]")).to_have_text("Rendering")
        expect(tiles(page).locator(".phase")).to_have_text(["Rendering", "Rendering", "Waiting", "Waiting"])
        page.evaluate(CHANGES)
        for _ in range(4):
            with page.expect_response(lambda answer: "/hunyuan/jobs" in answer.url):
                pass
            two_frames(page)
        assert page.evaluate("window.changed") == {}
