"""The owner's page in Chromium: amounts corrected, a cost confirmed, a lost video found, waiting jobs cancelled."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, Route, expect

from hunyuan_ui.job import Job, JobStatus
from tests.app_process import RunningApp, running_app
from tests.browser.axe import broken_rules
from tests.browser.steps import put_on, resize
from tests.faults.service import PaidService
from tests.stored_jobs import job, opened_ledger

pytestmark = pytest.mark.slow

KEY = "SG_0011223344556677"
DOUBTED, LOST, FAILED = "doubted-0001", "lost-00000001", "failed-000001"
# Scripts and the examples' pictures may load late.
ASKED = """performance.getEntriesByType("resource").map(({ name }) => new URL(name).pathname)
    .filter((path) => path.includes("/gradio_api/") && !/[.](webp|mp4)$/.test(path)).length"""
NOTE = "the account's generations; =1+1"


def left_behind() -> list[Job]:
    """Return an earlier run's jobs: a cost in doubt, a lost video, and two whose visitors' keys are missing."""
    now = time.time()
    sent_at = now - min(600, now % 86_400)  # today, even just after midnight
    paid = {"created_at": sent_at, "sent_at": sent_at, "ended_at": now}
    doubt = {"estimate_usd": 1.4, "named_usd": 0.02}
    return [
        job("a lost fox", status=JobStatus.LOST, request_id=LOST, cost_microusd=1_460_000, **paid),
        job("a doubted fox", status=JobStatus.LOST, request_id=DOUBTED, cost_microusd=1_400_000, notes=doubt, **paid),
        job("a failed fox", status=JobStatus.FAILED, request_id=FAILED, **paid),
        job("a waiting fox", payer="visitor", created_at=now - 7200),
        job("a second waiting fox", payer="visitor", created_at=now - 3600),
    ]


@pytest.fixture
def service() -> Iterator[PaidService]:
    with PaidService() as running:
        running._prompts[LOST] = "a lost fox"
        yield running


@contextmanager
def desk(folder: Path, service: PaidService, **more: Any) -> Iterator[RunningApp]:
    """Start the page on the ledger of the earlier run."""
    (folder / "data").mkdir()
    ledger = opened_ledger(folder / "data", time.time)
    for entry in left_behind():
        ledger.adopt(entry)
    ledger.close()
    settings = {"SEGMIND_API_KEY": KEY, "SEGMIND_BASE_URL": service.origin}
    settings["SEGMIND_HISTORY_URL"] = f"{service.origin}/inference-request"
    with running_app(folder, **settings, **more) as started:
        yield started


@pytest.fixture
def app(request: pytest.FixtureRequest, service: PaidService, tmp_path: Path) -> Iterator[RunningApp]:
    """The page of a test that changes amounts; private unless the test says otherwise."""
    with desk(tmp_path, service, **getattr(request, "param", {})) as started:
        yield started


@pytest.fixture(scope="module")
def private_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """A page of tests that change nothing in the ledger."""
    with PaidService() as service, desk(tmp_path_factory.mktemp("private"), service) as started:
        yield started


@pytest.fixture(scope="module")
def public_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """A public one."""
    with PaidService() as service, desk(tmp_path_factory.mktemp("public"), service, **PUBLIC) as started:
        yield started


CUT = """() => [...document.querySelectorAll(".owner .wide, .owner td:not([data-column=what])")]
    .filter((box) => box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).display !== "none")
    .map((box) => `${box.tagName} ${box.className} ${box.dataset.column}`)"""
PUBLIC = {"GRADIO_SERVER_NAME": "0.0.0.0", "HUNYUAN_UI_DAILY_LIMIT_USD": "10"}
public = pytest.mark.parametrize("app", [PUBLIC], indirect=True, ids=["public"])


def opened(page: Page, app: RunningApp) -> Locator:
    """Open the owner's page, in public with the key."""
    page.goto(app.url)
    owner = page.locator(".owner")
    owner.locator("summary").click()
    box = owner.locator("input[type=password]")
    expect(owner.locator("table:visible, input[type=password]:visible")).to_have_count(1)
    if box.is_visible():
        box.fill(KEY)
        box.press("Enter")
    expect(owner.locator("tbody tr").first).to_be_visible()
    return owner


def row_of(owner: Locator, request_id: str) -> Locator:
    return owner.locator("tbody tr:not(.more)").filter(has_text=request_id)


@public
def test_the_owner_puts_everything_right_in_public(page: Page, app: RunningApp, service: PaidService) -> None:
    owner = opened(page, app)
    said = owner.locator("[data-part=said]")

    doubt = owner.locator("[data-part=doubts] .case")
    expect(doubt).to_contain_text("named $0.02; $1.40 is counted. Your account holds $100.00 now.")
    expect(doubt.locator("code")).to_have_text(DOUBTED)
    doubt.get_by_role("button", name="That is what it cost").click()
    expect(said).to_have_text("Put right: $0.02 counts.")
    expect(said).to_be_focused()
    expect(owner.locator("[data-part=doubtful]")).to_be_hidden()

    failed = row_of(owner, FAILED)
    right = failed.get_by_role("button", name="Put the amount right")
    right.press("Enter")
    expect(owner.locator(".more form input").first).to_be_focused()
    page.keyboard.type("1.46")
    page.keyboard.press("Tab")
    page.keyboard.type(NOTE)
    page.keyboard.press("Enter")
    expect(said).to_have_text("Put right: $1.46 counts.")
    expect(right).to_be_focused()
    expect(failed).to_contain_text("lost")
    expect(owner.locator(".more").filter(has_text=NOTE)).to_contain_text("$1.46 instead of $0.00.")

    expect(owner.locator("[data-part=waiting-text]")).to_contain_text("Jobs: 2")
    owner.get_by_role("button", name="End them").click()
    expect(said).to_contain_text("Ended: 2.")
    expect(owner.locator("[data-part=waiting]")).to_be_hidden()

    lost = row_of(owner, LOST)
    lost.get_by_role("button", name="Look again").click()
    expect(said).to_contain_text("is being looked for")
    expect(lost.get_by_text("done", exact=True)).to_be_visible(timeout=30_000)
    expect(said).to_contain_text("is being looked for")
    expect(lost.get_by_role("button", name="Open the video")).to_have_count(0)
    assert sum(service.posts().values()) == 0

    with page.expect_download() as download:
        owner.get_by_role("button", name="Export as CSV").click()
    lines = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text("utf-8-sig"))))
    assert {line["request_id"]: line["note"] for line in lines}[FAILED] == NOTE.replace("=", "'=")
    expect(owner).not_to_contain_text("fox")


def test_a_found_video_opens_from_its_row_in_private(page: Page, app: RunningApp) -> None:
    owner = opened(page, app)
    lost = row_of(owner, LOST)
    lost.get_by_role("button", name="Look again").click()
    expect(owner.locator("[data-part=said]")).to_be_visible()
    expect(lost.get_by_text("done", exact=True)).to_be_visible(timeout=30_000)
    lost.get_by_role("button", name="Open the video").click()
    expect(page.locator("dialog[open]")).to_contain_text("a lost fox")


def test_the_desk_follows_what_is_looked_for_to_its_end_and_is_quiet_before_and_after(
    page: Page, app: RunningApp, service: PaidService
) -> None:
    owner = opened(page, app)
    lost = row_of(owner, LOST)
    asked = page.evaluate(ASKED)
    page.wait_for_timeout(5000)
    assert page.evaluate(ASKED) == asked
    row_of(owner, FAILED).get_by_role("button", name="Put the amount right").click()
    reason = owner.locator(".more form").get_by_label("Because")
    lost.get_by_role("button", name="Look again").click()
    reason.fill("half typed")
    expect(lost.get_by_text("done", exact=True)).to_be_visible(timeout=30_000)
    expect(reason).to_have_value("half typed")
    expect(reason).to_be_focused()
    asked = page.evaluate(ASKED)
    page.wait_for_timeout(5000)
    assert page.evaluate(ASKED) == asked


def test_a_video_that_is_made_meanwhile_comes_and_goes_on_in_the_desk_by_itself(page: Page, app: RunningApp) -> None:
    owner = opened(page, app)
    page.locator("#field-prompt textarea").fill("a new fox")
    page.locator("#generate").click()
    made = owner.locator("tbody tr").filter(has_text="a new fox")
    expect(made).to_have_count(1)
    expect(made).to_contain_text("done")


def test_a_desk_that_was_open_all_night_asks_for_the_new_day(page: Page, private_desk: RunningApp) -> None:
    page.clock.install()
    opened(page, private_desk)
    with page.expect_request(lambda sent: '"event_data":{"count":' in (sent.post_data or "")):
        page.clock.fast_forward("24:00:00")


@pytest.mark.parametrize(("half", "rest"), [("12.", "5"), ("1", "2.5"), ("12.5e", "0")])
def test_an_answer_meanwhile_takes_nothing_from_a_half_typed_amount_and_keeps_the_place_in_a_reason(
    page: Page, app: RunningApp, half: str, rest: str
) -> None:
    owner = opened(page, app)
    row_of(owner, FAILED).get_by_role("button", name="Put the amount right").click()
    form = owner.locator(".more form")

    def answered() -> None:
        asked = page.evaluate("() => document.querySelector('.owner tbody tr').dataset.seen = 'yes'")
        assert asked == "yes"
        page.evaluate("window.dispatchEvent(new Event('online'))")  # as when the computer wakes up
        expect(owner.locator("tbody tr[data-seen]")).to_have_count(0)

    page.keyboard.type(half)
    answered()
    page.keyboard.type(rest)
    reason = form.get_by_label("Because")
    reason.fill("a bill")
    page.keyboard.press("Home")
    page.keyboard.type("as o")
    answered()
    page.keyboard.type("n ")
    expect(reason).to_have_value("as on a bill")
    page.keyboard.press("Enter")
    expect(owner.locator("[data-part=said]")).to_have_text("Put right: $12.50 counts.")


def test_what_was_typed_outlives_a_refusal_and_a_refresh(page: Page, app: RunningApp) -> None:
    owner = opened(page, app)
    row_of(owner, FAILED).get_by_role("button", name="Put the amount right").click()
    form = owner.locator(".more form")
    form.get_by_label("Because").fill("half typed")
    owner.get_by_role("button", name="Refresh").click()
    form.get_by_label("It cost").fill("1000001")
    form.get_by_role("button", name="Save").click()
    assert form.get_by_label("It cost").evaluate("input => input.validity.rangeOverflow")
    expect(form.get_by_label("Because")).to_have_value("half typed")
    form.evaluate("form => (form.noValidate = true)")
    form.get_by_role("button", name="Save").click()
    expect(owner.locator("[data-part=problem]")).to_contain_text("Nothing was changed")
    expect(form.get_by_label("Because")).to_have_value("half typed")
    expect(owner.locator("table")).to_be_visible()


def refuse(route: Route) -> None:
    route.fulfill(status=502, body="bad gateway")


def swallow(_route: Route) -> None:
    """Leave a request unanswered for as long as the page is open."""


@pytest.mark.parametrize("lose", [refuse, swallow])
def test_it_is_asked_for_again_where_a_proxy_lost_the_first_question(
    page: Page, private_desk: RunningApp, lose: Any
) -> None:
    page.route("**/run/predict", refuse, times=1)  # the page's own first question, without which nobody is anybody
    with page.expect_response("**/run/predict"):
        page.goto(private_desk.url)
    with page.expect_response("**/run/predict"):
        expect(page.locator("#desk .error")).not_to_have_count(0)  # Gradio's, of a word
    expect(page.locator("#desk .error:visible")).to_have_count(0)
    page.route("**/run/predict", lose, times=1)
    with page.expect_request("**/run/predict"):
        page.locator(".owner summary").click()
    expect(page.locator(".owner tbody tr").first).to_be_visible()


def test_what_the_owner_presses_again_is_sent_again_where_no_answer_comes(page: Page, app: RunningApp) -> None:
    owner = opened(page, app)
    page.route("**/run/predict", swallow, times=1)
    settle = owner.get_by_role("button", name="That is what it cost")
    settle.click()
    page.wait_for_timeout(16_000)  # the buttons' timeout
    settle.click()
    expect(owner.locator("[data-part=said]")).not_to_be_empty()


def test_the_plot_is_read_by_keys_and_says_its_numbers(page: Page, public_desk: RunningApp) -> None:
    owner = opened(page, public_desk)
    plot, day = owner.get_by_role("slider", name="Dollars a day"), owner.locator("[data-part=day]")
    today = time.strftime("%Y-%m-%d", time.gmtime())
    expect(owner.locator(".axis")).to_have_text("$10.00$5.00$0")
    expect(owner.locator(".limit-text")).to_have_text("daily limit $10.00")
    expect(day).to_have_text(f"{today}: $2.86")
    plot.focus()
    page.keyboard.press("ArrowLeft")
    expect(day).to_contain_text("$0.00")
    expect(plot).to_have_attribute("aria-valuetext", str(day.text_content()))
    page.keyboard.press("End")
    expect(day).to_contain_text("$2.86")
    page.keyboard.press("Home")
    expect(plot).to_have_attribute("aria-valuenow", "1")
    box: Any = plot.bounding_box()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 20)
    expect(day).to_contain_text("$2.86")


def test_the_owners_page_fits_a_phone_and_axe_finds_nothing(page: Page, public_desk: RunningApp) -> None:
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    page.set_viewport_size({"width": 360, "height": 740})
    owner = opened(page, public_desk)
    for request_id in (LOST, DOUBTED):
        row_of(owner, request_id).get_by_role("button", name="Put the amount right").click()
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 360
    box: Any = owner.locator(".more form input").first.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360
    for scheme in ("light", "dark"):
        put_on(page, color_scheme=scheme)
        assert broken_rules(page) == {}, scheme


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_the_table_is_read_at_every_width_without_a_sideways_step(
    new_visitor: Callable[..., BrowserContext], private_desk: RunningApp, locale: str
) -> None:
    owner = opened(page := new_visitor(locale=locale).new_page(), private_desk)
    owner.locator("[data-column=do] button").first.click()
    for width in (320, 390, 768, 1200, 1201, 1280, 1920):
        resize(page, width, 800)
        assert page.evaluate(CUT) == [], width
        assert broken_rules(page) == {}, width
        row = owner.get_by_role("row").filter(has_text="a failed fox")
        expect(row.get_by_role("cell")).to_have_count(8 if width > 1200 else 7)  # an empty one takes no line
        expect(owner.get_by_role("columnheader")).to_have_count(8)
        expect(row.get_by_text("a failed fox")).to_be_visible()


def test_it_stays_open_over_a_reload_and_shut_once_it_was_shut(page: Page, private_desk: RunningApp) -> None:
    owner = opened(page, private_desk)
    page.reload()
    expect(owner.locator("tbody tr").first).to_be_visible()
    owner.locator("summary").click()
    page.reload()
    expect(page.locator("#generate")).to_contain_text("at most $")
    expect(owner.locator("summary")).to_be_visible()
    expect(owner.locator("tbody tr").first).to_be_hidden()


def test_who_has_proven_to_be_the_owner_is_not_asked_again(
    page: Page, public_desk: RunningApp, new_visitor: Callable[..., BrowserContext]
) -> None:
    owner = opened(page, public_desk)
    page.reload()
    expect(owner.locator("tbody tr").first).to_be_visible(timeout=15_000)
    page.locator(".masthead .language").click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(owner.locator("tbody tr").first).to_be_visible(timeout=15_000)
    expect(owner.locator("input[type=password]")).to_be_hidden()
    stranger = new_visitor().new_page()
    stranger.goto(public_desk.url)
    stranger.locator(".owner summary").click()
    expect(stranger.locator(".owner input[type=password]")).to_be_visible()
