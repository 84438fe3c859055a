"""Visitor identity: tabs of one browser are one visitor, browsers are strangers to each other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from tests.app_process import RunningApp, running_app
from tests.browser.one_gallery import cards, make_one, open_first, plays
from tests.browser.one_page import app as app
from tests.browser.one_page import open_page, video_plays
from tests.browser.one_page import opened as opened
from tests.browser.steps import short, until, write

pytestmark = pytest.mark.slow

TOKEN_SENT = "/gradio_api/hunyuan/videos?"


def token_of(page: Page, url: str) -> str:
    with page.expect_request(lambda request: TOKEN_SENT in request.url) as sent:
        page.goto(url)
    return sent.value.headers["x-hunyuan-visitor"]


# Its processes see each other's storage with a delay, here an infinite one.
LATE_STORE = """const own = new Map();
Object.defineProperty(window, "localStorage", { value: {
  getItem: (name) => own.get(name) ?? null,
  setItem: (name, text) => own.set(name, text),
  removeItem: (name) => own.delete(name),
} });"""


@pytest.mark.parametrize("script", ["", LATE_STORE], ids=["plain", "late"])
def test_tabs_that_a_new_browser_opens_at_once_are_one_visitor(browser: Browser, app: RunningApp, script: str) -> None:
    with browser.new_context() as context:
        context.add_init_script(script)
        tokens: list[str] = []
        context.on("request", lambda sent: tokens.append(sent.headers.get("x-hunyuan-visitor", "")))
        tabs = [context.new_page() for _ in range(4)]
        for tab in tabs:
            tab.evaluate("url => void setTimeout(() => location.assign(url))", app.url)
        for tab in tabs:
            expect(tab.get_by_text("Nothing here yet")).to_be_visible()
        tokens = [token for token in tokens if token]
        assert len(tokens) >= len(tabs)
        assert len(set(tokens)) == 1


def test_nine_tabs_of_one_browser_work_and_leave_nothing_unanswered(browser: Browser, app: RunningApp) -> None:
    """A browser has six connections per host, so that a seventh tab would wait for ever if six hold one each."""
    with browser.new_context() as context:
        asked = set[Request]()
        context.on("request", lambda sent: asked.add(sent))
        context.on("requestfinished", lambda sent: asked.discard(sent))
        context.on("requestfailed", lambda sent: asked.discard(sent))
        tabs = [open_page(context.new_page(), app) for _ in range(9)]
        until(tabs[0], lambda: not asked)
        for tab in (tabs[0], tabs[8]):
            tab.bring_to_front()
            write(tab)
            short(tab)
            tab.locator("#generate").click()
            video_plays(tab)


def test_a_browser_that_keeps_nothing_can_still_use_the_page(page: Page, app: RunningApp) -> None:
    page.add_init_script("Object.defineProperty(window, 'localStorage', { get() { throw new Error('denied'); } })")
    assert re.fullmatch("[0-9a-f]{32}", token_of(page, app.url))
    write(page)
    short(page)
    page.locator("#generate").click()
    video_plays(page)
    expect(page.locator(".posters li")).to_have_count(1)


def test_another_browser_sees_nothing_of_this_one(opened: Page, app: RunningApp, browser: Browser) -> None:
    write(opened)
    short(opened)
    opened.locator("#generate").click()
    expect(opened.locator(".under-way")).to_be_visible()
    with browser.new_context() as stranger:
        other = open_page(stranger.new_page(), app)
        expect(other.locator(".blank")).to_be_visible()
        expect(other.locator(".under-way")).to_be_hidden()
    video_plays(opened)


@pytest.fixture(scope="module")
def public_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    with running_app(tmp_path_factory.mktemp("public"), script="tests/public_app.py") as started:
        yield started


def test_two_visitors_cannot_see_fetch_or_delete_each_others_videos(browser: Browser, public_app: RunningApp) -> None:
    alice, bob = (browser.new_context().new_page() for _ in range(2))
    for page in (alice, bob):
        page.goto(public_app.url)
        expect(page.get_by_text("Nothing here yet")).to_be_visible()
        expect(page.get_by_text("All videos on this computer", exact=True)).to_be_hidden()
    alices, bobs = make_one(alice, "a secret of Alice's"), make_one(bob, "a secret of Bob's")
    assert alices["id"] != bobs["id"]
    bob.reload()
    expect(cards(bob)).to_have_count(1)
    expect(cards(bob).first).to_contain_text("Bob's")
    guesses = """async ([mine, theirs]) => {
        const base = `gradio_api/hunyuan/videos/${theirs.id}`;
        const files = [".mp4", ".webp", "/export.gif", "/export.png"];
        const urls = files.flatMap((end) => [`${base}${end}`, `${base}${end}?k=${mine.code}`, `${base}${end}?k=`]);
        const fetched = await Promise.all(urls.map(async (url) => (await fetch(url)).status));
        const seen = await hunyuan.videos.ask(`videos/${theirs.id}`);
        const all = await hunyuan.videos.ask("videos?everybody=1");
        const gone = await hunyuan.videos.ask(`videos/${theirs.id}`, { method: "DELETE" });
        return [fetched, seen.isOk, gone.isOk, all.videos.map((video) => video.id)];
    }"""
    fetched, saw, deleted, ids = bob.evaluate(guesses, [bobs, alices])
    assert set(fetched) == {404}
    assert (saw, deleted, ids) == (False, False, [bobs["id"]])
    bob.goto(f"{public_app.url}?job={alices['id']}")
    expect(bob.get_by_text("There is no such video for you")).to_be_visible()
    open_first(alice)
    plays(alice, ".viewer video")
    page_text = bob.content()
    assert "Alice" not in page_text
    assert alices["code"] not in json.dumps(bob.evaluate("Object.values(localStorage)"))
    for page in (alice, bob):
        page.context.close()
