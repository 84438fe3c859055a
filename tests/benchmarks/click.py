"""From the click to the first frame in Chromium, with an instant service; compared with a bare handler."""

from __future__ import annotations

from functools import partial

from playwright.sync_api import Browser

from tests.benchmarks.chromium import Traffic, chromium, cold_page
from tests.benchmarks.clip import clip_in, workspace
from tests.benchmarks.processes import app_with, child, child_app, service_settings
from tests.benchmarks.table import Row, alternate, ratio, shown

# The click is timed when the page receives it, the frame when it is displayed.
_TIMED = """
(() => {
  const isGenerate = (event) => event.target.closest("button")?.textContent.includes("Generate");
  document.addEventListener("click", (event) => { if (isGenerate(event)) window.clickedAt = performance.now(); }, true);
  const look = () => {
    const video = window.clickedAt && document.querySelector("video[src], video source[src]")?.closest("video");
    if (video) video.requestVideoFrameCallback(() => { window.tookMs = performance.now() - window.clickedAt; });
    else setTimeout(look, 4);
  };
  look();
})();
"""


def measure(is_short: bool) -> list[Row]:
    """Make a video by the blocking API version, which the bare handler uses too, and by the default one."""
    rounds = 2 if is_short else 7
    with workspace() as folder, child("service", str(clip_in(folder))) as url, chromium() as browser:
        with (
            app_with(folder / "v1", **service_settings(url, dialect="v1")) as v1,
            child_app(folder, url) as bare_url,
        ):
            ours, bare = alternate(rounds, partial(_took_ms, browser, v1.url), partial(_took_ms, browser, bare_url))
        rows = [ratio("click to first picture, service answers at once", ours, bare, "ms", at_most=1.5)]
        if not is_short:
            with app_with(folder / "v2", **service_settings(url)) as v2:
                (polled,) = alternate(rounds, partial(_took_ms, browser, v2.url))
            rows.append(shown("the same with submit and poll", polled, bare, "ms"))
    return rows


def _took_ms(browser: Browser, url: str) -> float:
    with cold_page(browser) as page:
        page.add_init_script(_TIMED)
        traffic = Traffic(page)
        page.goto(url)
        page.get_by_role("textbox").first.fill("a lighthouse above a stormy sea")
        traffic.wait_until_quiet()
        page.get_by_role("button", name="Generate").first.click()
        return page.wait_for_function("window.tookMs", timeout=60_000).json_value()
