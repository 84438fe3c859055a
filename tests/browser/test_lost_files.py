"""Scripts and styles of the page that do not arrive, once or for ever."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from hunyuan_ui.prompt_help.examples import EXAMPLES
from hunyuan_ui.words import words
from tests.app_process import RunningApp
from tests.browser.steps import generate_short

pytestmark = pytest.mark.slow

FILES = {
    "Gradio's beginning": r"/assets/index-[^/]+\.js$",
    "a style": r"/assets/src-[^/]+\.css$",
    "a part": r"/assets/HTML-[^/]+\.js$",
    "the colours": r"/theme\.css",
}


@pytest.mark.parametrize("name", list(FILES))
def test_a_file_that_is_lost_once_is_asked_for_again(page: Page, preview: RunningApp, name: str) -> None:
    page.route(re.compile(FILES[name]), lambda route: route.abort(), times=1)
    page.goto(preview.url)
    expect(page.locator(".examples button")).to_have_count(len(EXAMPLES))
    expect(page.locator(".lost-files")).to_have_count(0)
    generate_short(page)
    expect(page.locator("#player video")).to_be_visible()


def test_a_page_that_stays_without_a_file_says_so_and_can_be_loaded_again(page: Page, preview: RunningApp) -> None:
    page.add_init_script("if (location.host) sessionStorage.setItem('hunyuan_tries', '3')")
    blank = re.compile(FILES["Gradio's beginning"])
    page.route(blank, lambda route: route.abort())
    page.goto(preview.url)
    expect(page.get_by_role("alert")).to_contain_text(words()["page.not_loaded"])
    again = page.get_by_role("button", name="Load again")
    for width in (320, 1280):
        page.set_viewport_size({"width": width, "height": 600})
        expect(again).to_be_in_viewport(ratio=1)
    page.unroute(blank)
    again.click()
    expect(page.locator(".examples button")).to_have_count(len(EXAMPLES))
