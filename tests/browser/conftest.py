"""Chromium for the browser tests: the system's own, driven through Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.app_process import RunningApp, running_app

LONG_MS = 60_000  # the test machine may be busy
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SHELLS = ("chromium-headless-shell", "chrome-headless-shell")  # without what surrounds a page: a sixth less CPU time
# Of several flags that disable features Chromium uses the last, so Playwright's own are repeated here. The omnibox's
# two pages take half a second of CPU time for each page that a test opens, before anybody types an address.
FEATURES_OFF = (
    "WebUIOmniboxPopup",
    "WebUIOmniboxAimPopup",
    "AimEnabled",
    "AvoidCorsURLLoaderRestartOnRedirect",
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsFirstBalancedModeAutoEnable",
    "HttpsUpgrades",
    "LensOverlay",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "PaintHolding",
    "PreconnectToSearch",
    "ThirdPartyStoragePartitioning",
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-features=" + ",".join(FEATURES_OFF),
]
# Of the shell only: no script here runs for so long that optimizing it pays off, and all pages of a context share one
# process with what it has compiled.
SHELL_FLAGS = ["--js-flags=--no-opt,--no-maglev", "--renderer-process-limit=1"]


def find_browser(names: tuple[str, ...] = BROWSERS) -> str | None:
    """Return the path of an installed Chromium, if there is one."""
    return next((path for name in names if (path := shutil.which(name))), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests in this folder as browser tests; skip them without Chromium, unless it is required."""
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    missing = find_browser() is None
    if missing and here and os.environ.get("REQUIRE_BROWSER") == "1":
        raise pytest.UsageError("REQUIRE_BROWSER=1, but none of these is installed: " + ", ".join(BROWSERS))
    for item in here:
        item.add_marker(pytest.mark.browser)
        if missing:
            item.add_marker(pytest.mark.skip(reason="no Chromium is installed"))


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Launch the installed Chromium; nothing is downloaded."""
    shell = find_browser(SHELLS)
    args = [*FLAGS, *(SHELL_FLAGS if shell else ())]
    return {**browser_type_launch_args, "executable_path": shell or find_browser(), "args": args}


@pytest.fixture(scope="module")
def whole_browser(browser: Browser) -> Iterator[Browser]:
    """Chromium as people have it, for tests that walk through the whole page."""
    whole = browser.browser_type.launch(executable_path=find_browser(), args=FLAGS)
    yield whole
    whole.close()


@contextmanager
def set_browser(browser: Browser, setting: str) -> Iterator[Browser]:
    """Start another browser with one of its settings changed, such as `defaultFontSize=32`."""
    path, flags = find_browser((*SHELLS, *BROWSERS)), [*FLAGS, f"--blink-settings={setting}"]
    other = browser.browser_type.launch(executable_path=path, args=flags)
    try:
        yield other
    finally:
        other.close()


@pytest.fixture(scope="session", autouse=True)
def patience() -> Iterator[None]:
    """Use longer timeouts than an idle machine needs."""
    expect.set_options(timeout=LONG_MS)
    yield
    expect.set_options(timeout=None)


class Visitors:
    """New visitors, one after another, in a browser that has already cached the page's scripts.

    Args:
        browser: Creates their contexts.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._context: BrowserContext | None = None
        self._blank: Page | None = None
        self._origins: set[str] = set()

    def next(self) -> BrowserContext:
        """Return the context of a visitor without cookies and storage."""
        if self._context is None:
            self._context = self._browser.new_context()
            self._blank = self._context.new_page()  # while it is open, the process with the compiled scripts lives
            self._context.on("page", self._follow)
            self._context.on("close", self._forget)
        return self._context

    def leave(self) -> None:
        """Close the visitor's pages and clear all their storage."""
        if (context := self._context) is None or (blank := self._blank) is None:
            return
        for page in context.pages:
            if page is not blank:
                page.close()
        context.unroute_all()
        context.set_offline(False)
        context.clear_cookies()
        context.clear_permissions()
        if not blank.evaluate("String(setTimeout).includes('native code')"):
            context.close()  # a fake clock set by a test stays in all pages of its context
            return
        session = context.new_cdp_session(blank)
        for origin in self._origins:
            session.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "all"})
        session.detach()
        self._origins.clear()

    def close(self) -> None:
        """Close the context."""
        if self._context is not None:
            self._context.close()

    def _follow(self, page: Page) -> None:
        page.on(
            "framenavigated", lambda frame: self._origins.add("{0.scheme}://{0.netloc}".format(urlsplit(frame.url)))
        )

    def _forget(self, _: BrowserContext) -> None:
        self._context = self._blank = None
        self._origins.clear()


@pytest.fixture(scope="session")
def visitors(browser: Browser) -> Iterator[Visitors]:
    """The visitors of one worker's tests."""
    every = Visitors(browser)
    yield every
    every.close()


@pytest.fixture
def context(visitors: Visitors) -> Iterator[BrowserContext]:
    """A new visitor; tests that need other options or a second visitor use `new_context`."""
    yield visitors.next()
    visitors.leave()


@pytest.fixture
def visitor(new_context: Callable[..., BrowserContext]) -> Iterator[BrowserContext]:
    """A visitor in a separate context; fails on script errors of their pages."""
    context = new_context()
    context.set_default_timeout(LONG_MS)
    troubles: list[str] = []
    context.on("weberror", lambda error: troubles.append(str(error.error)))
    yield context
    assert troubles == []


@pytest.fixture(scope="module")
def preview(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """An app started without a key."""
    with running_app(tmp_path_factory.mktemp("preview")) as started:
        yield started
