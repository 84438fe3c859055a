"""Form helpers shared by browser tests."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import LONG_MS

PROMPT = "A paper boat drifts down a rain-filled gutter."

# Tops of elements, in px of the window; null for hidden ones.
TOPS = """names => names.map((name) => {
  const { top, height } = document.querySelector(name).getBoundingClientRect();
  return height ? top : null;
})"""

# The lines of an element's text as displayed.
LINES = """(area) => {
  const texts = document.createTreeWalker(area, NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  const lines = [];
  while (texts.nextNode()) {
    const text = texts.currentNode;
    for (let at = 0; at < text.length; at += 1) {
      range.setStart(text, at);
      range.setEnd(text, at + 1);
      const box = range.getBoundingClientRect();
      if (!box.width) continue;
      const last = lines.at(-1);
      if (last && Math.abs(last.top - box.top) < 6) last.text += text.data[at];
      else lines.push({ top: box.top, text: text.data[at] });
    }
  }
  return lines.map(({ text }) => text.trim());
}"""


def write(page: Page, prompt: str = PROMPT) -> None:
    """Type a prompt."""
    page.locator("#field-prompt textarea").fill(prompt)


def short(page: Page) -> None:
    """Request few frames, so that a test is fast."""
    number = page.locator("#field-video-length input[type=number]")
    number.fill("9")
    number.blur()
    expect(page.locator("#made-as")).to_contain_text("0.4 s")


def generate_short(page: Page, prompt: str = PROMPT) -> None:
    """Press Generate for a quick video."""
    write(page, prompt)
    short(page)
    page.locator("#generate").click()


def press_escape(page: Page, dialog: Locator) -> None:
    """Close a dialog by keyboard, and wait until its history entry is removed: a pending navigation would replace a
    reload."""
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.wait_for_function("!history.state?.hunyuan_dialog")


def put_on(page: Page, **look: Any) -> None:
    """Change the look of an open page, and wait until its colours follow: Gradio's script sets them a frame later.

    Args:
        page: With Gradio's page open.
        look: Playwright's media features, such as `color_scheme="dark"`.
    """
    page.emulate_media(**look)
    page.wait_for_function(
        "document.body.classList.contains('dark') === matchMedia('(prefers-color-scheme: dark)').matches"
    )
    comes_to_rest(page)


def resize(page: Page, width: int, height: int) -> None:
    """Change the size of an open page's window, and wait for what its scripts and transitions do after that."""
    page.set_viewport_size({"width": width, "height": height})
    comes_to_rest(page)


def comes_to_rest(page: Page) -> None:
    """Wait until what has just been changed is drawn: a colour or a height may pass through others."""
    two_frames(page)
    page.evaluate(
        """() => Promise.allSettled(
          document.getAnimations().filter((one) => one instanceof CSSTransition).map((one) => one.finished))"""
    )


def two_frames(page: Page) -> None:
    """Let the page render changes by its scripts; no response of a slow connection arrives meanwhile."""
    page.evaluate("() => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))")


def until(page: Page, condition: Callable[[], object]) -> None:
    """Wait for a condition outside the page, while the page keeps running."""
    give_up_at = time.monotonic() + LONG_MS / 1000
    while not condition():
        assert time.monotonic() < give_up_at, "waited in vain"
        page.wait_for_timeout(50)


def comes_to_rest_in_sight(page: Page, name: str) -> None:
    """Wait until an element no longer moves, and check that it is near the window's top."""
    page.wait_for_function(
        """(name) => {
          const { top } = document.querySelector(name).getBoundingClientRect();
          const [last, since] = window.rested || [];
          if (top !== last) window.rested = [top, performance.now()];
          return top === last && performance.now() - since > 600;
        }""",
        arg=name,
    )
    assert 0 <= page.evaluate("(name) => document.querySelector(name).getBoundingClientRect().top", name) < 200
