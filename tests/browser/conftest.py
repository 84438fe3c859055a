"""Chromium for the browser tests: the system's own, driven through Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, CDPSession, Error, Page, expect

from tests.app_process import RunningApp, running_app

LONG_MS = 60_000  # the test machine may be busy
USUAL_MS = 30_000  # Playwright's own
ANY_SPEED = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
MOST_KEPT = 4  # contexts of a worker, each with a process
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
# Of the shell only: no script here runs for so long that optimizing it pays off, nor leaves so much behind that several
# threads sweep it sooner, and all pages of a context share one process with what it has compiled.
SHELL_FLAGS = ["--js-flags=--no-opt,--no-maglev,--single-threaded-gc", "--renderer-process-limit=1"]


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


# Playwright's own switch of this name, which one of ours replaces.
MOUSE = "primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4"


@contextmanager
def set_browser(browser: Browser, setting: str) -> Iterator[Browser]:
    """Start another browser with one of its settings changed, such as `defaultFontSize=32`."""
    path, flags = find_browser((*SHELLS, *BROWSERS)), [*FLAGS, f"--blink-settings={MOUSE},{setting}"]
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


class _Kept:
    """A context for one visitor after another, with a page that stays open.

    Args:
        browser: Creates the context.
        options: As `Browser.new_context` takes them.
    """

    def __init__(self, browser: Browser, options: dict[str, Any]) -> None:
        context: Any = browser.new_context(**options)
        self.options = options
        self.context: BrowserContext = context
        self._blank = self.context.new_page()  # while it is open, the process with the compiled scripts lives
        self._origins: set[str] = set()
        self._is_spoilt = False
        self._listeners: list[tuple[str, Any]] = []
        self._lines: dict[Page, CDPSession] = {}  # of pages that are offline
        context.on("page", self._follow)
        context.on("close", self._spoil)
        on, add_init_script = context.on, context.add_init_script

        def listen(event: str, listener: Any) -> None:
            self._listeners.append((event, listener))
            on(event, listener)

        def prepare(*script: Any, **more: Any) -> None:
            self._spoil()  # no later visitor's pages must run it
            add_init_script(*script, **more)

        context.on, context.add_init_script, context.set_offline = listen, prepare, self._set_offline

    @property
    def pages(self) -> list[Page]:
        """The visitor's open pages."""
        return [page for page in self.context.pages if page is not self._blank]

    def leave(self) -> bool:
        """Close the visitor's pages, clear all their storage, and return whether another visitor may come."""
        context: Any = self.context
        for event, listener in self._listeners:
            context.remove_listener(event, listener)
        self._listeners.clear()
        self._set_offline(False)
        for page in self.pages:
            page.close()
        # A fake clock set by a test stays in all pages of its context.
        if self._is_spoilt or not self._blank.evaluate("String(setTimeout).includes('native code')"):
            self.context.close()
            return False
        self.context.unroute_all()
        self.context.clear_cookies()
        self.context.clear_permissions()
        self.context.set_default_timeout(USUAL_MS)
        session = self.context.new_cdp_session(self._blank)
        for origin in self._origins:
            session.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "all"})
        session.detach()
        self._origins.clear()
        return True

    def _set_offline(self, is_offline: bool) -> None:
        """Take the visitor's pages off the line, or put them on it again.

        With the open page on it too, theirs would hear that there is a line, from their common process, before they
        have one.
        """
        if is_offline:
            self._lines = {page: self.context.new_cdp_session(page) for page in self.pages}
        for page, line in self._lines.items():
            if not page.is_closed():
                line.send("Network.enable")
                line.send("Network.emulateNetworkConditions", {"offline": is_offline, **ANY_SPEED})

    def _follow(self, page: Page) -> None:
        page.on(
            "framenavigated", lambda frame: self._origins.add("{0.scheme}://{0.netloc}".format(urlsplit(frame.url)))
        )

    def _spoil(self, _: object = None) -> None:
        self._is_spoilt = True


class Visitors:
    """New visitors, one after another, in a browser that has already cached the page's scripts.

    Args:
        browser: Creates their contexts.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._free: list[_Kept] = []
        self._here: list[_Kept] = []

    def next(self, **options: Any) -> BrowserContext:
        """Return the context of a visitor without cookies and storage; options as `Browser.new_context` takes them."""
        self._here.append(self._taken(options))
        return self._here[-1].context

    def _taken(self, options: dict[str, Any]) -> _Kept:
        kept = next((one for one in self._free if one.options == options), None)
        if kept is None:
            return _Kept(self._browser, options)
        self._free.remove(kept)
        return kept

    @contextmanager
    def staying(self, **options: Any) -> Iterator[BrowserContext]:
        """Keep one for longer than a test, whose pages several tests look at."""
        kept = self._taken(options)
        yield kept.context
        if kept.leave():
            self._free.append(kept)

    def draw(self, folder: Path) -> None:
        """Draw what the visitors see, into files in a folder."""
        pages = [page for kept in self._here for page in kept.pages]
        for number, page in enumerate(pages, 1):
            with suppress(Error):
                page.screenshot(path=folder / f"{number}.png", timeout=5_000)

    def leave(self) -> None:
        """Let all visitors leave."""
        while self._here:
            if (kept := self._here.pop()).leave():
                self._free.append(kept)
        while len(self._free) > MOST_KEPT:
            oldest = next((one for one in self._free if one.options), self._free[0])
            self._free.remove(oldest)
            oldest.context.close()

    def close(self) -> None:
        """Close all contexts."""
        for kept in (*self._here, *self._free):
            kept.context.close()


@pytest.fixture(scope="session")
def visitors(browser: Browser) -> Iterator[Visitors]:
    """The visitors of one worker's tests."""
    every = Visitors(browser)
    yield every
    every.close()


@pytest.fixture
def new_visitor(
    visitors: Visitors, request: pytest.FixtureRequest, output_path: str
) -> Iterator[Callable[..., BrowserContext]]:
    """Creates visitors with options; a test that has to begin with nothing cached uses `new_context`."""
    yield visitors.next
    if (report := getattr(request.node, "rep_call", None)) and report.failed:  # set by pytest-playwright
        visitors.draw(Path(output_path))
    visitors.leave()


@pytest.fixture
def context(new_visitor: Callable[..., BrowserContext]) -> BrowserContext:
    """A new visitor."""
    return new_visitor()


@pytest.fixture
def visitor(new_visitor: Callable[..., BrowserContext]) -> Iterator[BrowserContext]:
    """A visitor whose pages must run without a script error."""
    context = new_visitor()
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
