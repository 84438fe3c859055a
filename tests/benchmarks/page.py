"""The cold page in Chromium: bytes, requests and time until Generate can be pressed.

The limit on the time is against the same nine controls, because they alone take 1.3x of a page with one button.
"""

from __future__ import annotations

from functools import partial

from playwright.sync_api import Browser

from tests.benchmarks.bare_app import FORM
from tests.benchmarks.chromium import Traffic, chromium, cold_page
from tests.benchmarks.clip import workspace
from tests.benchmarks.processes import app_with, child_app
from tests.benchmarks.table import Row, alternate, ratio, shown

_USABLE = """
(() => {
  const look = () => {
    const found = [...document.querySelectorAll("button")].some(
      (button) =>
        button.textContent.includes("Generate") &&
        !button.disabled &&
        button.checkVisibility({ visibilityProperty: true }),
    );
    if (found) window.usableAt = performance.now();
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})();
"""


def measure(is_short: bool) -> list[Row]:
    """Open the pages repeatedly, each time with an empty cache."""
    with (
        workspace() as folder,
        chromium() as browser,
        app_with(folder / "app") as app,
        child_app(folder) as bare_url,
        child_app(folder, FORM) as form_url,
    ):
        weights = {url: _weight(browser, url) for url in (app.url, bare_url)}
        pages = (partial(_usable_ms, browser, url) for url in (app.url, bare_url, form_url))
        ours, bare, form = alternate(2 if is_short else 11, *pages)
    (our_size, our_count), (bare_size, bare_count) = weights.values()
    usable = "page, cold: time to a usable Generate"
    return [
        ratio("page, cold: bytes", our_size / 1024, bare_size / 1024, "KiB", at_most=1.3),
        shown("page, cold: requests", our_count, bare_count, ""),
        shown(f"{usable}, against one button", ours, bare, "ms"),
        ratio(f"{usable}, against the nine controls", ours, form, "ms", at_most=1.3),
    ]


def _weight(browser: Browser, url: str) -> tuple[int, int]:
    with cold_page(browser) as page:
        traffic = Traffic(page)
        page.add_init_script(_USABLE)
        page.goto(url)
        page.wait_for_function("window.usableAt", timeout=60_000)
        traffic.wait_until_quiet()
        return traffic.size, traffic.count


def _usable_ms(browser: Browser, url: str) -> float:
    with cold_page(browser) as page:
        page.add_init_script(_USABLE)
        page.goto(url, wait_until="commit")
        return page.wait_for_function("window.usableAt", timeout=60_000).json_value()
