"""The printed page: light, whole, and without the controls that do nothing on paper."""

from __future__ import annotations

from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from tests.app_process import RunningApp
from tests.browser.one_page import open_page, video_plays
from tests.browser.steps import generate_short

pytestmark = pytest.mark.slow

LONG_PROMPT = "A paper boat drifts down a rain-filled gutter, past a red bicycle and a shop. " * 12
ROOM = "(one) => [one.clientHeight >= one.scrollHeight - 2, getComputedStyle(one).overflowY !== 'hidden']"

IS_PALE = """([name, isPale]) => {
  const channels = getComputedStyle(document.querySelector(name)).color.match(/\\d+/g).slice(0, 3).map(Number);
  return channels.every((one) => one > 110) === isPale;
}"""


@pytest.fixture
def made(page: Page, preview: RunningApp) -> Page:
    page.emulate_media(color_scheme="dark")
    open_page(page, preview)
    generate_short(page, LONG_PROMPT.strip())
    video_plays(page)
    expect(page.locator(".posters li").first).to_be_visible()
    return page


def test_a_dark_page_is_printed_with_dark_ink_and_dark_again_afterwards(made: Page) -> None:
    steps: tuple[tuple[Literal["screen", "print"], bool], ...] = (("screen", True), ("print", False), ("screen", True))
    inks = [".result .prompt", ".result .facts", "#field-prompt textarea", "h1"]
    for media, is_pale in steps:
        made.emulate_media(media=media)
        for ink in inks:
            made.wait_for_function(IS_PALE, arg=[ink, is_pale])


def test_what_is_printed_is_whole_and_has_no_buttons(made: Page) -> None:
    made.emulate_media(media="print")
    for whole in ("#field-prompt textarea", ".result .prompt", ".gradio-container"):
        assert all(made.locator(whole).evaluate(ROOM)), whole
    for name in ("#generate", "#part-panel", "#part-examples", ".result .button", ".posters .acts", "footer"):
        for one in made.locator(name).all():
            expect(one).to_be_hidden()
    for name in ("#player video", ".result .facts", ".result .prompt", "#field-prompt textarea", ".posters li"):
        expect(made.locator(name).first).to_be_visible()


def test_an_open_dialog_is_printed_alone_and_whole(made: Page) -> None:
    made.locator(".posters .tile-button").first.click()
    expect(made.locator("dialog.viewer")).to_be_visible()
    made.emulate_media(media="print")
    expect(made.locator("#desk")).to_be_hidden()
    expect(made.locator("#part-gallery")).to_be_hidden()
    for name in ("dialog.viewer video", "dialog.viewer .facts"):
        expect(made.locator(name)).to_be_visible()
    assert all(made.locator("dialog.viewer .prompt").evaluate(ROOM))
    expect(made.locator("dialog.viewer .export")).to_be_hidden()
