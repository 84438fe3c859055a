"""Draw the README's pictures and every state of the page, on the local endpoint: `make screenshots`."""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from hunyuan_ui.prompt_help.examples import EXAMPLES
from tests.app_process import RunningApp, running_app
from tests.browser.conftest import FLAGS, LONG_MS, find_browser
from tests.browser.states import draw_states

ASSETS = Path(__file__).parents[2] / ".github" / "assets"
SHOWN = "storm"  # the example shown in the pictures
DESK = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
CARD = {"width": 1200, "height": 630}  # for the Space and link previews
LARGEST = {".png": 300_000, ".gif": 2_000_000}  # bytes
GIF_SIDE = 800  # px
GIF_EVERY_S = 0.4
GIF_COLOURS = 128


def draw(folder: Path) -> None:
    """Make every picture, and fail if one is too large."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as data, running_app(Path(data)) as app, chromium() as browser:
        # The first video fills the page, so that all pictures show the same.
        with opened(browser, app, DESK) as page:
            write_gif(film(page), folder / "run.gif")
        for name, size, scheme in (
            ("light", DESK, "light"),
            ("dark", DESK, "dark"),
            ("phone", PHONE, "light"),
            ("thumbnail", CARD, "light"),
        ):
            with opened(browser, app, size, color_scheme=scheme) as page:
                generate(page)
                page.evaluate("scrollTo(0, 0)")
                write_png(page.screenshot(), folder / f"{name}.png")
    heavy = [path.name for path in folder.iterdir() if path.stat().st_size > LARGEST[path.suffix]]
    if heavy:
        raise SystemExit(f"Too heavy: {', '.join(heavy)}")


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, app: RunningApp, size: Any, **looks: Any) -> Iterator[Page]:
    """Open the page as a new visitor with the example filled in."""
    expect.set_options(timeout=LONG_MS)
    with browser.new_context(viewport=size, locale="en-GB", **looks) as context:
        page = context.new_page()
        page.goto(app.url)
        index = next(index for index, example in enumerate(EXAMPLES) if example.key == SHOWN)
        page.locator(".examples button").nth(index).click()
        expect(page.locator("#field-prompt textarea")).to_have_value(EXAMPLES[index].request.prompt)
        expect(page.locator(".prompt-panel .pieces .present")).to_have_count(3)
        page.evaluate("scrollTo(0, 0)")
        yield page


def generate(page: Page) -> None:
    """Press Generate and wait until the video has played for as long as the browser initially shows its controls."""
    page.locator("#generate").click()
    expect(page.locator("#player video")).to_be_visible()
    page.wait_for_function("document.querySelector('#player video').currentTime > 4")
    expect(page.locator(".under-way")).to_be_hidden()


def film(page: Page) -> list[Image.Image]:
    """Return pictures of a run: before and during it, and while its video plays."""
    frames = [shot(page)]
    page.locator("#generate").click()
    give_up_at = time.monotonic() + LONG_MS / 1000
    while not page.evaluate("(document.querySelector('#player video') || {}).currentTime > 0.5"):
        if time.monotonic() > give_up_at:
            raise SystemExit("The video never played.")
        frames.append(shot(page))
    return frames + [shot(page) for _ in range(8)]


def shot(page: Page) -> Image.Image:
    page.wait_for_timeout(GIF_EVERY_S * 1000)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    return picture.resize((GIF_SIDE, picture.height * GIF_SIDE // picture.width), Image.Resampling.LANCZOS)


def write_gif(frames: list[Image.Image], path: Path) -> None:
    """Write an endless GIF that shows its first and last picture longer."""
    palette = frames[-1].quantize(GIF_COLOURS)
    drawn = [frame.quantize(GIF_COLOURS, palette=palette, dither=Image.Dither.NONE) for frame in frames]
    times_ms = [1200, *[int(GIF_EVERY_S * 1000)] * (len(drawn) - 2), 2500]
    drawn[0].save(path, save_all=True, append_images=drawn[1:], duration=times_ms, loop=0, optimize=True)


def write_png(screenshot: bytes, path: Path) -> None:
    """Write a screenshot with at most 256 colours, which suffice for a page of flat areas."""
    picture = Image.open(io.BytesIO(screenshot)).convert("RGB")
    drawn = picture.quantize(256, palette=picture.quantize(256), dither=Image.Dither.FLOYDSTEINBERG)
    drawn.save(path, optimize=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ASSETS)
    parser.add_argument("--only", choices=("readme", "states"))
    given = parser.parse_args()
    if given.only != "states":
        draw(given.folder)
    if given.only != "readme":
        with chromium() as browser_of_states:
            draw_states(browser_of_states)
