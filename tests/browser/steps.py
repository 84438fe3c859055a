"""What several browser tests do with the form."""

from __future__ import annotations

from playwright.sync_api import Page, expect

PROMPT = "A paper boat drifts down a rain-filled gutter."


def write(page: Page, prompt: str = PROMPT) -> None:
    """Type a prompt."""
    page.locator("#field-prompt textarea").fill(prompt)


def short(page: Page) -> None:
    """Ask for few frames, so that a test is quick."""
    number = page.locator("#field-video-length input[type=number]")
    number.fill("9")
    number.blur()
    expect(page.locator("#made-as")).to_contain_text("0.4 s")


def generate_short(page: Page, prompt: str = PROMPT) -> None:
    """Press Generate for a quick video."""
    write(page, prompt)
    short(page)
    page.locator("#generate").click()
