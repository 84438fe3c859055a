"""A public page in Chromium: the payer, strangers' prompts as text, neighbours, and the owner's page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from hunyuan_ui.limits import SECONDS_BETWEEN_SUBMITS
from hunyuan_ui.prompt_help.examples import EXAMPLES
from tests.app_process import RunningApp, running_app
from tests.browser.fault_proxy import FaultProxy
from tests.browser.paid_endpoint import PaidEndpoint, paid_endpoint
from tests.browser.steps import comes_to_rest_in_sight, generate_short, press_escape, until, write

pytestmark = pytest.mark.slow

CODE = "marzipan-hedgehog"
KEY = "SG_0011223344556677"
OWN_KEY = "SG_ca0a41e5ca0a41e5"
PAGES = "/gradio_api/hunyuan/pages/"
DONE_WITHIN_MS = 30_000
XSS = [
    "<img src=https://evil.example/x.png onerror=alert(1)>",
    "<script>document.title='owned'</script>",
    "${alert(1)} {{alert(1)}} `${Object.assign(window,{owned:1})}`",
    "\"><svg onload=alert(1)><style>@import 'https://evil.example/x.css'</style>",
    "![x](https://evil.example/x.png) [x](javascript:alert(1)) </textarea><iframe src=//evil.example>",
]


@pytest.fixture(scope="module")
def paid() -> Iterator[PaidEndpoint]:
    with paid_endpoint(seconds=0.5) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def app(paid: PaidEndpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """A public page with a limit and a code, so that all three payers are possible."""
    settings = {**paid.settings, "GRADIO_SERVER_NAME": "0.0.0.0", "HUNYUAN_UI_ACCESS_CODE": CODE}
    settings |= {"HUNYUAN_UI_DAILY_LIMIT_USD": "10", "HUNYUAN_UI_VISITOR_DAILY_VIDEOS": "50"}
    with running_app(tmp_path_factory.mktemp("public"), **settings) as started:
        yield started


def opened(context: BrowserContext, app: RunningApp) -> Page:
    page = context.new_page()
    page.set_default_timeout(15_000)
    page.goto(app.url)
    expect(page.locator(".examples button")).to_have_count(len(EXAMPLES))
    expect(page.locator(".payment")).to_be_visible()
    return page


@pytest.fixture
def page(context: BrowserContext, app: RunningApp) -> Page:
    return opened(context, app)


def is_done(page: Page, prompt: str) -> None:
    expect(page.locator(".result .prompt")).to_have_text(prompt, timeout=DONE_WITHIN_MS)
    expect(page.locator("#player video")).to_be_visible()


def test_the_head_says_who_can_come_and_what_is_left(page: Page) -> None:
    expect(page.locator(".masthead .reach")).to_have_text("Public: network")
    expect(page.locator(".masthead [data-part=spent]")).to_have_text("spent $0.00 · reserved $0.00 of $10.00")


@pytest.mark.parametrize("language", ["en-GB", "zh-CN"])
def test_a_phones_head_has_one_row_for_all_it_says(new_visitor: Any, app: RunningApp, language: str) -> None:
    page = opened(new_visitor(locale=language), app)
    rows = """() => new Set([...document.querySelectorAll(".masthead .chip")].filter((chip) => chip.checkVisibility())
      .map((chip) => chip.getBoundingClientRect().top)).size"""
    for width in (360, 390, 430):
        page.set_viewport_size({"width": width, "height": 800})
        expect(page.locator(".masthead .chip:visible")).to_have_count(3)
        expect(page.locator(".masthead .spent:visible")).to_have_text(re.compile(r"\$.*\$10\.00"))
        assert page.evaluate(rows) == 1, width


def test_the_choice_of_who_pays_sets_the_price_on_the_button(page: Page) -> None:
    expect(page.locator("#generate")).to_contain_text("$")
    page.get_by_label("Nobody: local preview").check()
    expect(page.locator("#generate")).to_contain_text("free preview")
    expect(page.locator(".masthead .mode")).to_have_text("Local preview")
    expect(page.locator(".examples .cost").first).to_contain_text("free preview")
    page.get_by_label("Your own key", exact=True).check()
    expect(page.locator("#generate")).to_contain_text("$")
    expect(page.locator(".masthead .mode")).to_have_text("Live")


def test_a_free_preview_needs_no_code_and_reaches_no_service(page: Page, paid: PaidEndpoint) -> None:
    before = sum(paid.posts.values())
    page.get_by_label("Nobody: local preview").check()
    expect(page.locator("#generate")).to_contain_text("free preview")
    generate_short(page, "a preview of a fox")
    is_done(page, "a preview of a fox")
    expect(page.locator(".result .facts")).to_contain_text("free preview")
    assert sum(paid.posts.values()) == before


def test_the_owners_key_opens_with_the_code_only_and_the_click_goes_on(page: Page, paid: PaidEndpoint) -> None:
    generate_short(page, "a paid fox")
    notice = page.locator(".notice")
    expect(notice).to_contain_text("enter the code first")
    expect(notice).to_have_class(re.compile(r"\bsaid\b"))  # a limit is no error
    code = notice.get_by_label("Access code from the owner")
    expect(code).to_be_focused()
    expect(page.locator(".payment [data-part=code-form]")).to_be_hidden()
    code.fill("guess")
    code.press("Enter")
    expect(notice).to_contain_text("That is not the access code")
    expect(page.locator(".payment [data-part=problem]")).to_be_hidden()  # announced once
    expect(code).to_have_value("")
    expect(code).to_be_focused()
    assert paid.posts["a paid fox"] == 0
    code.fill(CODE)
    expect(notice.locator(".wrong")).to_be_hidden()  # it was about the last one
    code.press("Enter")
    expect(notice).to_be_hidden()
    expect(page.locator(".payment [data-part=accepted]")).to_have_text(
        "Code accepted. The owner's key makes up to 50 videos a day for you."
    )
    is_done(page, "a paid fox")
    assert paid.posts["a paid fox"] == 1
    expect(page.locator(".payment .allowance")).to_have_text("49 of 50 videos left today.")
    page.reload()
    expect(page.locator(".payment")).to_be_visible()
    expect(page.locator(".payment [data-part=code-form]")).to_be_hidden()


def test_what_is_typed_on_while_a_click_is_refused_for_a_code_stays_where_it_is_typed(
    page: Page, paid: PaidEndpoint
) -> None:
    prompt = page.locator("#field-prompt textarea")
    code = page.locator(".notice").get_by_label("Access code from the owner")
    write(page, "a fox on a hill")
    held = list[Route]()
    page.route("**/run/**", lambda route: held.append(route))
    prompt.press("Control+Enter")
    until(page, lambda: held)
    page.keyboard.type(", and a second")
    for route in held:
        route.continue_()
    page.unroute("**/run/**")
    expect(code).to_be_visible()
    page.keyboard.type(" thought")
    expect(prompt).to_have_value("a fox on a hill, and a second thought")
    expect(code).to_have_value("")
    page.locator("#generate").click()
    expect(code).to_be_focused()
    assert not paid.posts["a fox on a hill"]


def test_a_phone_shows_the_waiting_card_from_its_top_once_the_code_was_given(
    new_visitor: Any, app: RunningApp, paid: PaidEndpoint
) -> None:
    phone = new_visitor(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    page = opened(phone, app)
    write(page, "a patient fox")
    page.locator("#generate").tap()
    code = page.locator(".notice").get_by_label("Access code from the owner")
    code.fill(CODE)
    with paid.rendering():
        code.press("Enter")
        expect(page.locator(".under-way [data-part=usual]")).not_to_be_empty()  # by then the card has grown
        expect(page.locator(".under-way [data-part=clock]")).not_to_be_empty()
        comes_to_rest_in_sight(page, ".under-way .phase")
    is_done(page, "a patient fox")


def test_a_code_that_is_asked_for_at_the_click_can_be_left_for_another_way_to_pay(page: Page) -> None:
    generate_short(page, "a fox that nobody pays for")
    expect(page.locator(".notice [data-part=secret]")).to_be_visible()
    page.get_by_label("Nobody: local preview").check()
    expect(page.locator(".notice")).to_be_hidden()
    page.get_by_label("This page's owner").check()
    code = page.locator(".payment [data-part=code-form] input")
    code.fill("guess")
    code.press("Enter")
    expect(page.locator(".payment [data-part=problem]")).to_contain_text("That is not the access code")
    code.fill(CODE)
    expect(page.locator(".payment [data-part=problem]")).to_be_hidden()  # it was about the last one
    code.press("Enter")
    expect(page.locator(".payment [data-part=accepted]")).to_be_visible()
    expect(page.locator(".under-way")).to_be_hidden()  # nothing was clicked since


def test_a_missing_key_is_asked_for_at_the_click_checked_and_used_at_once(page: Page, paid: PaidEndpoint) -> None:
    page.get_by_label("Your own key", exact=True).check()
    generate_short(page, "a fox on a key to come")
    key = page.locator(".notice").get_by_label("Your Segmind API key")
    expect(key).to_be_focused()
    key.fill("not a key")
    key.press("Enter")
    expect(page.locator(".notice .wrong")).to_contain_text("no key has")
    key.fill(OWN_KEY)
    key.press("Enter")
    expect(page.locator(".payment [data-part=accepted]")).to_have_text(
        re.compile(r"^Key accepted: \$\d+\.\d\d on this account\.$")
    )
    is_done(page, "a fox on a key to come")
    assert paid.posts["a fox on a key to come"] == 1


def test_the_next_one_waits_for_the_first_and_a_third_is_refused_by_a_note(page: Page, paid: PaidEndpoint) -> None:
    page.get_by_label("Your own key", exact=True).check()
    expect(page.locator(".payment .allowance")).to_be_hidden()
    page.get_by_label("This page's owner").check()
    enter_code(page)
    allowance = page.locator(".payment .allowance")
    expect(allowance).to_have_text("50 of 50 videos left today.")
    with paid.rendering():
        generate_short(page, "the first fox")
        expect(page.locator(".under-way")).to_be_visible()
        next_one = "One of yours is under way: the next one is sent after it."
        expect(allowance).to_have_text(f"49 of 50 videos left today. {next_one}")
        page.wait_for_timeout(SECONDS_BETWEEN_SUBMITS * 1000)
        generate_short(page, "the next fox")
        expect(page.locator(".under-way .note")).to_have_text(
            "Next in line."
        )  # the first is overdue: its end is unpredictable
        expect(allowance).to_contain_text("the next one waits for it")
        write(page, "a fox too many")
        page.locator("#generate").click()
        expect(page.locator(".notice")).to_contain_text("the next one waits for it already. Nothing was sent")
        expect(page.locator(".notice")).to_have_class(re.compile(r"\bsaid\b"))
    expect(page.locator(".notice")).to_be_hidden()
    expect(page.locator(".videos")).to_contain_text("the next fox")
    assert (paid.posts["the first fox"], paid.posts["the next fox"], paid.posts["a fox too many"]) == (1, 1, 0)


def enter_code(page: Page) -> None:
    code = page.locator(".payment [data-part=code-form] input")
    code.fill(CODE)
    code.press("Enter")
    expect(page.locator(".payment [data-part=accepted]")).to_be_visible()


def test_from_the_prompt_to_generate_are_at_most_fourteen_stops_of_the_tab_key(page: Page) -> None:
    page.locator("#field-prompt textarea").focus()
    for _ in range(14):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "generate":
            break
    assert page.evaluate("document.activeElement.id") == "generate"


def test_who_leaves_with_a_key_of_their_own_says_so_to_the_server(
    context: BrowserContext, paid: PaidEndpoint, tmp_path: Path
) -> None:
    """Otherwise it would stay in the server's memory for an hour."""
    elsewhere = {"SEGMIND_BASE_URL": paid.settings["SEGMIND_BASE_URL"]}
    with running_app(tmp_path, **elsewhere) as app, FaultProxy(app.port) as proxy:
        page = context.new_page()
        page.goto(proxy.url)
        page.get_by_label("Your own key", exact=True).check()
        box = page.locator(".payment [data-part=key-form] input")
        box.fill(OWN_KEY)
        with page.expect_request(lambda sent: sent.method == "POST" and PAGES in sent.url):
            box.press("Enter")
        proxy.notice(b"DELETE ", PAGES.encode())
        with page.expect_request(lambda sent: sent.method == "POST" and PAGES in sent.url):
            page.reload()
        until(page, proxy.has_struck.is_set)
        proxy.notice(b"DELETE ", PAGES.encode())
        page.goto("about:blank")
        until(page, proxy.has_struck.is_set)


def test_an_own_key_is_taken_once_used_kept_over_a_reload_and_forgotten(
    page: Page, app: RunningApp, paid: PaidEndpoint
) -> None:
    received: list[str] = []
    page.on("response", lambda answer: received.append(_text(answer)))
    page.get_by_label("Your own key", exact=True).check()
    box = page.locator(".payment [data-part=key-form] input")
    assert box.get_attribute("type") == "password"
    box.fill("not a key")
    box.press("Enter")
    expect(page.locator(".payment .problem")).to_contain_text("no key has")
    box.fill(OWN_KEY)
    box.press("Enter")
    expect(page.get_by_text("Your key is here")).to_be_visible()
    expect(box).to_have_value("")
    generate_short(page, "a fox on my own key")
    is_done(page, "a fox on my own key")
    page.reload()
    expect(page.get_by_text("Your key is here")).to_be_visible()
    page.get_by_role("button", name="Forget it").click()
    expect(box).to_be_visible()
    assert paid.posts["a fox on my own key"] == 1
    stored = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
    for text in (*received, page.content(), stored, app.output):
        assert OWN_KEY not in text


def test_a_key_that_is_no_longer_kept_is_asked_for_when_somebody_comes_back(
    page: Page, context: BrowserContext, app: RunningApp
) -> None:
    page.get_by_label("Your own key", exact=True).check()
    page.locator(".payment [data-part=key-form] input").fill(OWN_KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Your key is here")).to_be_visible()
    other = opened(context, app)
    other.get_by_role("button", name="Forget it").click()
    expect(other.locator(".payment [data-part=key-form]")).to_be_visible()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator(".payment [data-part=key-form]")).to_be_visible()
    expect(page.get_by_text("Your key is here")).to_be_hidden()


def test_a_key_that_a_click_finds_gone_is_no_longer_said_to_be_here(
    page: Page, context: BrowserContext, app: RunningApp, paid: PaidEndpoint
) -> None:
    page.get_by_label("Your own key", exact=True).check()
    page.locator(".payment [data-part=key-form] input").fill(OWN_KEY)
    page.keyboard.press("Enter")
    kept = page.get_by_text("Your key is here")
    expect(kept).to_be_visible()
    other = opened(context, app)
    other.get_by_role("button", name="Forget it").click()
    expect(other.locator(".payment [data-part=key-form]")).to_be_visible()
    other.close()
    generate_short(page, "a fox on a key that is gone")
    key = page.locator(".notice").get_by_label("Your Segmind API key")
    expect(key).to_be_visible()
    expect(kept).to_be_hidden()
    key.fill(OWN_KEY)
    key.press("Enter")
    expect(kept).to_be_visible()
    is_done(page, "a fox on a key that is gone")
    assert paid.posts["a fox on a key that is gone"] == 1


def _text(answer: Any) -> str:
    kind = answer.headers.get("content-type", "")
    try:
        return answer.text() if "json" in kind or "event-stream" in kind else ""
    except Exception:  # noqa: BLE001 - a stream that is still open, or a page that was left
        return ""


@pytest.mark.parametrize("prompt", XSS)
def test_a_prompt_is_text_wherever_it_is_shown(page: Page, app: RunningApp, prompt: str) -> None:
    elsewhere: list[str] = []
    page.on("request", lambda sent: elsewhere.append(sent.url) if _is_foreign(sent.url, app.url) else None)
    page.on("dialog", lambda dialog: elsewhere.append(dialog.message) or dialog.dismiss())
    page.get_by_label("Nobody: local preview").check()
    expect(page.locator("#generate")).to_contain_text("free preview")
    generate_short(page, prompt)
    is_done(page, prompt)
    card = page.locator(".videos .posters button, .videos [data-part=posters] button").first
    expect(card).to_contain_text(prompt)
    card.click()
    opened = page.locator("dialog[open]").first
    expect(opened).to_contain_text(prompt)
    press_escape(page, opened)
    page.reload()
    is_done(page, prompt)
    assert page.evaluate("[window.owned, document.title]")[0] is None
    assert page.title() != "owned"
    assert page.locator("iframe, svg[onload], img[onerror]").count() == 0
    assert elsewhere == []


def _is_foreign(url: str, own: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and parts.netloc != urlsplit(own).netloc


def test_two_visitors_see_nothing_of_each_other(new_visitor: Any, app: RunningApp) -> None:
    ann, bob = (opened(new_visitor(), app) for _ in range(2))
    ann.get_by_label("Nobody: local preview").check()
    expect(ann.locator("#generate")).to_contain_text("free preview")
    generate_short(ann, "ann's own fox")
    is_done(ann, "ann's own fox")
    bob.reload()
    expect(bob.locator(".payment")).to_be_visible()
    expect(bob.locator("body")).not_to_contain_text("ann's own fox")
    job = app.events("job.done")[-1]["job"]
    token = bob.evaluate("crypto.randomUUID().replaceAll('-', '')")
    for path in (f"jobs/{job}", f"videos/{job}", f"videos/{job}.mp4", f"videos/{job}.webp?k={token}"):
        status = bob.evaluate(
            "([path, token]) => fetch(path, {headers: {'x-hunyuan-visitor': token}}).then(got => got.status)",
            [f"gradio_api/hunyuan/{path}", token],
        )
        assert status == 404, path


def test_a_code_that_the_owner_has_changed_is_refused_and_said_in_a_tab_that_had_entered_it(
    context: BrowserContext, paid: PaidEndpoint, tmp_path: Path
) -> None:
    settings = {**paid.settings, "GRADIO_SERVER_NAME": "0.0.0.0", "HUNYUAN_UI_DAILY_LIMIT_USD": "10"}
    with running_app(tmp_path, **settings, HUNYUAN_UI_ACCESS_CODE=CODE) as before:
        page, port = opened(context, before), before.port
        page.locator(".payment [data-part=code-form] input").fill(CODE)
        page.keyboard.press("Enter")
        expect(page.locator(".payment")).to_contain_text("Code accepted")
    with running_app(tmp_path, port=port, **settings, HUNYUAN_UI_ACCESS_CODE=f"{CODE}-2"):
        write(page, "a fox with the new code")
        page.locator("#generate").click()
        box = page.locator(".notice").get_by_label("Access code from the owner")
        expect(box).to_be_visible()
        box.fill(CODE)
        page.keyboard.press("Enter")
        expect(page.locator(".notice")).to_contain_text("That is not the access code")
        box.fill(f"{CODE}-2")
        page.keyboard.press("Enter")
        is_done(page, "a fox with the new code")
        assert paid.posts["a fox with the new code"] == 1


def test_the_owner_opens_the_owners_page_with_the_servers_key(page: Page, app: RunningApp) -> None:
    owner = page.locator(".owner")
    owner.locator("summary").click()
    box = owner.locator("input[type=password]")
    box.fill(OWN_KEY)
    box.press("Enter")
    expect(owner.locator(".problem")).to_contain_text("not the API key")
    expect(owner.locator("table")).to_be_hidden()
    box.fill(KEY)
    expect(owner.locator(".problem")).to_be_hidden()  # it was about the last one
    box.press("Enter")
    expect(owner.locator("table")).to_be_visible()
    expect(owner.locator("summary")).to_be_focused()  # what held the focus is gone
    expect(owner.locator("svg rect")).to_have_count(30)
    with page.expect_download() as download:
        owner.get_by_role("button", name="Export as CSV").click()
    assert download.value.suggested_filename == "hunyuan-video-jobs.csv"
    assert "job_hash,created_utc" in Path(download.value.path()).read_text("utf-8-sig").splitlines()[0]


def test_a_private_page_shows_its_owners_page_and_no_choice_of_who_pays(
    context: BrowserContext, paid: PaidEndpoint, tmp_path: Path
) -> None:
    with running_app(tmp_path, **paid.settings) as private:
        page = context.new_page()
        page.goto(private.url)
        expect(page.locator(".masthead .reach")).to_have_text("Private")
        expect(page.locator(".payment")).to_be_hidden()
        page.locator(".owner summary").click()
        expect(page.locator(".owner .limits li").first).to_contain_text("$20.00 of $20.00 is left")
