"""A visitor at two pages behind an nginx that balances round robin, without noticing."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, Response, expect

from tests.browser.one_list import checked, dialog_of, generate, rows, written
from tests.browser.one_wait import PLAYS
from tests.browser.paid_endpoint import PaidEndpoint, paid_endpoint
from tests.browser.steps import generate_short
from tests.nginx import needs_nginx
from tests.scale.fleet import Fleet
from tests.scale.fleet import pages as pages

pytestmark = [needs_nginx, pytest.mark.slow]

DONE_WITHIN_MS = 60_000
Refusals = list[tuple[int, str]]


@pytest.fixture(scope="module")
def service() -> Iterator[PaidEndpoint]:
    with paid_endpoint(seconds=1.0, credits=1000.0) as running:
        yield running


@pytest.fixture
def refused() -> Refusals:
    return []


@pytest.fixture
def visitor(context: BrowserContext, refused: Refusals) -> BrowserContext:
    def look(answer: Response) -> None:
        # A click is polled before it has arrived.
        if answer.status >= 400 and not answer.url.endswith("?within_s=1"):
            refused.append((answer.status, answer.url))

    context.on("response", look)
    return context


def visit(visitor: BrowserContext, pages: Fleet) -> Page:
    page = visitor.new_page()
    page.goto(pages.url)
    expect(page.locator("#generate")).to_be_enabled()
    return page


def is_made(page: Page, prompt: str) -> None:
    expect(page.locator(".result .prompt")).to_have_text(prompt, timeout=DONE_WITHIN_MS)
    page.wait_for_function(PLAYS)


def until(condition: Callable[[], object]) -> None:
    give_up_at = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


def cards(page: Page) -> int:
    return page.locator(".posters li:visible .tile-button").count()


def test_a_video_is_made_watched_played_and_kept_whichever_page_answers(
    visitor: BrowserContext, pages: Fleet, service: PaidEndpoint, refused: Refusals
) -> None:
    prompt = "A paper boat that no page calls its own."
    first = visit(visitor, pages)
    with service.rendering():
        generate_short(first, prompt)
        expect(first.locator(".under-way")).to_be_visible()
        until(lambda: service.posts[prompt])
        second = visit(visitor, pages)
        expect(second.locator(".under-way")).to_be_visible()
        first.reload()
        expect(first.locator(".under-way")).to_be_visible()
    for page in (first, second):
        is_made(page, prompt)
    until(lambda: cards(first) == 1)
    first.reload()
    is_made(first, prompt)
    assert service.posts[prompt] == 1
    assert refused == []
    assert len({page for page, request in pages.answered if "/gradio_api/hunyuan/" in request}) == 2


def test_a_list_is_followed_stopped_and_fetched_whichever_page_answers(
    visitor: BrowserContext, pages: Fleet, service: PaidEndpoint, refused: Refusals
) -> None:
    page, name = visit(visitor, pages), "herons on every page"
    dialog = dialog_of(page)
    written(dialog, rows(name, 4), name, "5")
    expect(checked(dialog).locator("tbody tr")).to_have_count(4)
    with service.rendering():
        generate(dialog).click()
        for _ in range(30):
            if len({who for who, request in pages.answered if "GET /gradio_api/hunyuan/lists/" in request}) == 2:
                break
            page.evaluate("() => fetch('/gradio_api/healthz').then(() => {})")  # the turns may have been in step
            page.wait_for_timeout(1_000)
        else:
            pytest.fail("one page alone was asked about the list")
        # Both report the same state.
        expect(dialog.locator("[data-part=line]")).to_contain_text(
            re.compile(r"^0 of 4 · \$0\.\d\d of \$5\.00 · about ")
        )
        page.reload()
        dialog = page.locator("dialog.batch")  # it opens again by itself
        dialog.get_by_role("button", name="Stop what was not sent").click()
        expect(dialog.get_by_role("button", name="Stop what was not sent")).to_be_hidden()
    sent = sum(count for prompt, count in service.posts.items() if prompt.startswith(name))
    assert 0 < sent < 4
    expect(dialog.locator("[data-part=line]")).to_contain_text(f"{sent} of 4", timeout=DONE_WITHIN_MS)
    with page.expect_download() as saving:
        dialog.get_by_role("link", name="Download as ZIP").click()
    assert saving.value.path().stat().st_size > 1000
    assert refused == []


def test_who_watches_does_not_notice_that_the_page_with_the_video_is_killed(
    visitor: BrowserContext, pages: Fleet, service: PaidEndpoint
) -> None:
    prompt = "A paper boat whose page is unplugged."
    page = visit(visitor, pages)
    before = [len(app.events("job.running")) for app in pages.apps]
    with service.rendering():
        generate_short(page, prompt)
        expect(page.locator(".under-way")).to_be_visible()

        def having() -> list[int]:
            return [n for n, app in enumerate(pages.apps) if len(app.events("job.running")) > before[n]]

        until(having)
        pages.apps[having()[0]].process.send_signal(signal.SIGKILL)
        page.wait_for_timeout(3_000)
        expect(page.locator(".under-way")).to_be_visible()
    is_made(page, prompt)
    assert service.posts[prompt] == 1
