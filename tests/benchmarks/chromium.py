"""Chromium for the rows that measure what a person sees."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.conftest import FLAGS, find_browser

# No other host is contacted: an unavailable font must not affect a row.
_ONLY_HERE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
QUIET_MS = 1500


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the installed Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=[*FLAGS, _ONLY_HERE])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def cold_page(browser: Browser) -> Iterator[Page]:
    """Open a page with an empty cache."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    try:
        yield context.new_page()
    finally:
        context.close()


class Traffic:
    """Bytes that a page loads, as transferred."""

    def __init__(self, page: Page) -> None:
        self.count = 0
        self.size = 0
        self._page = page
        session = page.context.new_cdp_session(page)
        session.on("Network.loadingFinished", self._finished)
        session.send("Network.enable")

    def wait_until_quiet(self) -> None:
        """Return when nothing has been loaded for a while."""
        seen = -1
        while seen != self.count:
            seen = self.count
            self._page.wait_for_timeout(QUIET_MS)

    def _finished(self, event: dict[str, float]) -> None:
        self.count += 1
        self.size += int(event["encodedDataLength"])
