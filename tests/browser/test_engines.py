"""The page in Firefox's and Safari's engines, at desktop and phone width: from opening it to Back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Final

import pytest

from hunyuan_ui.prompt_help.examples import EXAMPLES
from tests.app_process import RunningApp
from tests.browser.webdriver import Browser, find_firefox, find_webkit, firefox, webkit

ENGINES: Final[dict[str, tuple[Callable[[], str | None], Callable[[], AbstractContextManager[Browser]]]]] = {
    "firefox": (find_firefox, firefox),
    "webkit": (find_webkit, webkit),
}
SIZES: Final = {"desk": (1280, 800), "phone": (390, 844)}
FRAMES: Final = 9
SET_FRAMES: Final = """const number = document.querySelector("#field-video-length input[type=number]");
Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(number, arguments[0]);
for (const name of ["input", "change", "blur"]) number.dispatchEvent(new Event(name, { bubbles: true }));"""
PLAYS: Final = """((video) => video && video.videoWidth === 864 && video.currentTime > 0.1)(
  document.querySelector(`${arguments[0]} video`),
)"""
LISTEN: Final = """window.troubles = [];
window.addEventListener("error", (event) => event.message && troubles.push(event.message));
window.addEventListener("unhandledrejection", (event) => troubles.push(String(event.reason)));"""


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Browser]:
    find, run = ENGINES[request.param]
    if find() is None:
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail(f"REQUIRE_BROWSER=1, but {request.param} is not installed")
        pytest.skip(f"no {request.param} is installed")
    with run() as browser:
        yield browser


def opened(engine: Browser, app: RunningApp, size: tuple[int, int]) -> None:
    engine.resize(*size)
    engine.open(app.url)
    engine.run(LISTEN)
    engine.wait("document.querySelectorAll('.examples button').length === arguments[0]", len(EXAMPLES))
    engine.wait("document.documentElement.dataset.drawn === 'all'")
    assert engine.run("return innerWidth") <= size[0]


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_a_visit_from_the_first_look_to_back(engine: Browser, preview: RunningApp, size: tuple[int, int]) -> None:
    opened(engine, preview, size)
    assert engine.run("return document.documentElement.scrollWidth") <= size[0]
    shown = engine.run("return document.querySelectorAll('.posters li').length")

    engine.click(".examples li:nth-child(2) button")
    prompt = EXAMPLES[1].request.prompt
    engine.wait("document.querySelector('#field-prompt textarea').value === arguments[0]", prompt)
    engine.run(SET_FRAMES, str(FRAMES))
    engine.sees("#made-as", "0.4 s")
    engine.click("#generate")
    engine.sees("#part-result .prompt", prompt)
    engine.wait(PLAYS, "#player")
    engine.wait("document.querySelectorAll('.posters li').length === arguments[0]", shown + 1)

    engine.click(".posters li:first-child .tile-button")
    engine.sees("dialog.viewer[open]", prompt)
    engine.wait(PLAYS, ".viewer")
    assert "?job=" in engine.run("return location.href")
    engine.back()
    engine.wait("!document.querySelector('dialog.viewer').open")
    assert engine.run("return location.href").startswith(preview.url)

    assert engine.run("return troubles") == []
    engine.click(".masthead .language")
    engine.wait("document.documentElement.lang === 'zh-CN'")
    engine.sees("#generate", "生成")
    engine.wait("document.querySelector('#field-prompt textarea')?.value === arguments[0]", prompt)
    engine.wait("document.documentElement.dataset.drawn === 'all'")
    engine.click(".masthead .language")
    engine.wait("document.documentElement.lang === 'en'")
    engine.sees("#generate", "Generate")
