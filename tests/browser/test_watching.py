"""A paid video reaches its page, whatever breaks in between, with one POST for one click."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import APIResponse, BrowserContext, Page, Route, expect

from hunyuan_ui.job import new_id
from tests.app_process import RunningApp, running_app
from tests.browser.one_wait import (
    JOB_S,
    SLOW_JOB_S,
    generate,
    made,
    sees_rendering,
    sees_under_way,
    sees_video,
    until_made,
    visit,
    wake,
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

IN_LINE = re.compile("Next in line|Starts in about")

COUNTDOWN = re.compile(r"Tried again in (\d+) s\.")


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


def test_who_stops_watching_may_watch_again(page: Page, app: RunningApp, endpoint: PaidEndpoint, prompt: str) -> None:
    with endpoint.rendering():
        generate(visit(page, app.url), prompt)
        sees_rendering(page)
        expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
        page.get_by_role("button", name="Stop watching").click()
        expect(page.locator(".stopped")).to_contain_text("goes on without you")
        page.get_by_role("button", name="Watch again").click()  # at its end this is replaced by "Show it"
        sees_rendering(page)
    sees_video(page, prompt)
    assert endpoint.posts[prompt] == 1


def test_the_title_tells_how_it_goes(page: Page, app: RunningApp, prompt: str) -> None:
    generate(visit(page, app.url), prompt)
    expect(page).to_have_title(re.compile(r"^0:0\d Rendering · Hunyuan Video$"))
    sees_video(page, prompt)
    expect(page).to_have_title("Hunyuan Video")


# waiting


def test_the_bar_of_a_long_wait_needs_no_frames_and_one_of_an_unknown_wait_shows_no_share(
    page: Page, endpoint: PaidEndpoint, prompt: str, tmp_path: Path
) -> None:
    # In a new app, as the usual time follows the videos that one has made.
    with endpoint.rendering(), running_app(tmp_path, **endpoint.settings) as app:
        generate(visit(page, app.url), prompt)
        sees_rendering(page)
        bar = page.locator(".under-way .bar")
        place = "(bar) => getComputedStyle(bar.firstElementChild).translate"
        before = bar.evaluate(place)
        until(page, lambda: bar.evaluate(place) != before)
        assert bar.evaluate("(bar) => bar.getAnimations({ subtree: true }).length") == 0
        page.emulate_media(reduced_motion="reduce")
        share = """(bar) => {
          bar.toggleAttribute("data-unsure", true);
          const [whole, done] = [bar, bar.firstElementChild].map((one) => one.getBoundingClientRect());
          return (done.right - whole.left) / whole.width;
        }"""
        assert bar.evaluate(share) == pytest.approx(1, abs=0.02)


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
        others.nth(1).get_by_role("button", name=f"Cancel: {prompt} two", exact=True).click()
        expect(page.locator(".ended")).to_contain_text("It was not sent, and nothing was charged.")
        expect(note).to_contain_text(IN_LINE)
        page.locator(".under-way").get_by_role("button", name="Cancel").click()
        expect(page.locator(".ended .prompt")).to_have_text(f"{prompt} three")
        back = page.locator(".ended").get_by_role("button", name="Put it back · about $")
        expect(back).to_be_enabled()
        back.press("Enter")
        expect(page.locator(".ended")).to_be_hidden()
        expect(page.locator("body")).not_to_be_focused()
        expect(page.locator(".under-way .prompt")).to_have_text(f"{prompt} three")
        expect(note).to_contain_text(IN_LINE)
        until(page, lambda: endpoint.posts[f"{prompt} three"] == 1)
        assert endpoint.posts == {f"{prompt} one": 1, f"{prompt} three": 1}
        sees_video(page, f"{prompt} three")
        page.reload()
        expect(page.locator(".result .facts li").first).to_be_visible()
        expect(page.locator(".ended")).to_be_hidden()  # the other cancelled one was told before


def test_an_answer_older_than_a_click_takes_no_video_of_that_click_away(
    page: Page, app: RunningApp, endpoint: PaidEndpoint, prompt: str
) -> None:
    held: list[tuple[Route, APIResponse]] = []
    with endpoint.rendering():
        generate(visit(page, app.url), f"{prompt} one")
        expect(page.locator("[data-part=phase]")).to_have_text("Rendering")
        page.route("**/hunyuan/jobs", lambda route: held.append((route, route.fetch())))
        until(page, lambda: bool(held))
        generate(page, f"{prompt} two")
        expect(page.locator(".under-way .prompt")).to_have_text(f"{prompt} two")
        held[0][0].fulfill(response=held[0][1])
        page.unroute("**/hunyuan/jobs")
        expect(page.locator(".others li")).to_contain_text(f"{prompt} one")
        expect(page.locator(".under-way .prompt")).to_have_text(f"{prompt} two")
    sees_video(page, f"{prompt} two")


def test_a_video_that_a_limit_holds_says_why_and_can_be_cancelled_beside_another(
    visitor: BrowserContext, tmp_path: Path, prompt: str
) -> None:
    stays = f"location.protocol === 'http:' && localStorage.setItem('hunyuan_visitor', '{new_id()}')"
    visitor.add_init_script(stays)  # another start has another address
    with paid_endpoint(seconds=SLOW_JOB_S) as endpoint, endpoint.rendering():
        with running_app(tmp_path, **endpoint.settings, HUNYUAN_UI_CONCURRENCY="1") as app:
            page = visit(visitor.new_page(), app.url)
            for take in ("one", "two"):
                expect(page.locator("#generate")).to_be_enabled()
                generate(page, f"{prompt} {take}")
            expect(page.locator(".others li")).to_have_count(1)
            page.close()
        limit = {"HUNYUAN_UI_DAILY_LIMIT_USD": "0.01", "HUNYUAN_UI_CONCURRENCY": "2"}
        with running_app(tmp_path, **{**endpoint.settings, **limit}) as app:
            page = visit(visitor.new_page(), app.url)
            page.set_viewport_size({"width": 360, "height": 740})
            row = page.locator(".others li")
            expect(row).to_contain_text("Today's limit of $0.01 leaves $0.00")
            for part in (row, *row.locator("span").all(), row.get_by_role("button", name="Cancel")):
                box = part.bounding_box()
                assert box is not None
                assert box["x"] >= 0
                assert box["x"] + box["width"] <= 360
            row.get_by_role("button", name="Cancel").click()
            expect(page.locator(".ended")).to_contain_text("nothing was charged")
        assert f"{prompt} two" not in endpoint.posts


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


def test_the_focus_in_the_card_of_a_first_video_is_not_lost_when_the_video_comes(
    page: Page, app: RunningApp, prompt: str
) -> None:
    generate(visit(page, app.url), prompt)
    stop = page.locator(".under-way").get_by_role("button", name="Stop watching")
    stop.focus()
    expect(stop).to_be_focused()
    sees_video(page, prompt)
    expect(page.locator("#generate")).to_be_focused()
