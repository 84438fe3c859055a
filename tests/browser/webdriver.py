"""Firefox and WebKitGTK by W3C WebDriver commands: Firefox by its own port, WebKit's driver over HTTP.

Playwright has its own builds of both; Debian's packages are tested here.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from tests.app_process import free_port

ELEMENT: Final = "element-6066-11e4-a52e-4f735466cecf"  # WebDriver's key of an element in JSON
START_WITHIN_S: Final = 60.0
SEEN_WITHIN_S: Final = 90.0
PAUSE_S: Final = 0.1
MARIONETTE: Final = {
    "url": "WebDriver:Navigate",
    "script": "WebDriver:ExecuteScript",
    "find": "WebDriver:FindElement",
    "click": "WebDriver:ElementClick",
    "type": "WebDriver:ElementSendKeys",
    "back": "WebDriver:Back",
    "resize": "WebDriver:SetWindowRect",
    "screenshot": "WebDriver:TakeScreenshot",
}
OVER_HTTP: Final = {
    "url": "url",
    "script": "execute/sync",
    "find": "element",
    "click": "element/{id}/click",
    "type": "element/{id}/value",
    "back": "back",
    "resize": "window/rect",
    "screenshot": "screenshot",
}
SCROLL: Final = "document.querySelector(arguments[0])?.scrollIntoView({ block: 'center', behavior: 'instant' })"
MINIBROWSER: Final = "/usr/lib/*/webkit2gtk-4.*/MiniBrowser"

# Their own toolbar buttons would keep their windows wider than a phone.
FIREFOX_AS_NARROW_AS_A_PHONE: Final = ":root, #navigator-toolbox, #navigator-toolbox * { min-width: 0 !important; }"
WEBKIT_AS_NARROW_AS_A_PHONE: Final = "* { min-width: 0; margin: 0; padding: 0; font-size: 6px; }"

Command = Callable[[str, Mapping[str, Any]], Any]


class WebDriverError(Exception):
    """A command was refused."""


class Browser:
    """One window of a browser.

    Args:
        command: Sends a command by its name here, and returns its value.
    """

    def __init__(self, command: Command) -> None:
        self.command = command

    def open(self, url: str) -> None:
        """Navigate to an address."""
        self.command("url", {"url": url})

    def run(self, script: str, *values: Any) -> Any:
        """Run a function body in the page and return its result."""
        return self.command("script", {"script": script, "args": list(values)})

    def resize(self, width: int, height: int) -> None:
        """Resize the window as far as its driver and its system allow."""
        self.command("resize", {"width": width, "height": height})

    def back(self) -> None:
        """Press the browser's Back."""
        self.command("back", {})

    def click(self, selector: str) -> None:
        """Click in the middle of an element; wait until nothing covers it and it has been rendered."""
        self.wait("!document.querySelector(arguments[0])?.closest('[aria-disabled=true]')", selector)
        self._until(lambda: self._pressed(selector), f"{selector} cannot be clicked")

    def type(self, selector: str, text: str) -> None:
        """Type into an element."""
        found = self.command("find", {"using": "css selector", "value": selector})[ELEMENT]
        self.command("type", {"id": found, "text": text})

    def wait(self, condition: str, *values: Any) -> None:
        """Wait until an expression is true in the page."""
        self._until(lambda: bool(self.run(f"return Boolean({condition})", *values)), f"never: {condition}")

    def sees(self, selector: str, text: str = "") -> None:
        """Wait until an element is visible and contains a text."""
        find = "((one) => one && one.checkVisibility() && one.textContent.includes(arguments[1]))"
        self.wait(f"{find}(document.querySelector(arguments[0]))", selector, text)

    def _pressed(self, selector: str) -> bool:
        # WebKit's driver does not scroll to content that the page renders only when near (content-visibility).
        self.run(SCROLL, selector)
        try:
            found = self.command("find", {"using": "css selector", "value": selector})[ELEMENT]
            self.command("click", {"id": found})
        except WebDriverError:
            return False
        return True

    def _until(self, condition: Callable[[], bool], otherwise: str) -> None:
        give_up_at = time.monotonic() + SEEN_WITHIN_S
        while not condition():
            if time.monotonic() > give_up_at:
                raise AssertionError(otherwise)
            time.sleep(PAUSE_S)


def find_firefox() -> str | None:
    """Return the path of an installed Firefox, if there is one."""
    return shutil.which("firefox-esr") or shutil.which("firefox")


def find_webkit() -> str | None:
    """Return the path of WebKitGTK's driver, if it, its browser and an X server are installed."""
    has_browser = any(Path("/").glob(MINIBROWSER[1:]))
    return shutil.which("WebKitWebDriver") if has_browser and shutil.which("Xvfb") else None


@contextmanager
def firefox() -> Iterator[Browser]:
    """Run Firefox headless."""
    port = free_port()
    with ExitStack() as stack:
        profile = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        wishes = {
            "marionette.port": port,
            "media.autoplay.default": 0,
            "datareporting.policy.dataSubmissionEnabled": False,
            "app.update.enabled": False,
            "browser.shell.checkDefaultBrowser": False,
            "toolkit.legacyUserProfileCustomizations.stylesheets": True,
        }
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in wishes.items()]
        (profile / "user.js").write_text("\n".join(lines), "utf-8")
        _written(profile / "chrome" / "userChrome.css", FIREFOX_AS_NARROW_AS_A_PHONE)
        command = [str(find_firefox()), "--headless", "--no-remote", "--marionette", "--profile", str(profile)]
        stack.enter_context(_process(command, {"HOME": str(profile), "MOZ_CRASHREPORTER_DISABLE": "1"}))
        yield Browser(stack.enter_context(_marionette(port)))


@contextmanager
def webkit() -> Iterator[Browser]:
    """Run WebKitGTK's minimal browser on a virtual screen."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        screen = stack.enter_context(_screen())
        _written(Path(home) / ".config" / "gtk-3.0" / "gtk.css", WEBKIT_AS_NARROW_AS_A_PHONE)
        # As root, and in a container, it cannot sandbox its own processes.
        surroundings = {"DISPLAY": screen, "HOME": home, "XDG_DATA_HOME": home, "XDG_CACHE_HOME": home}
        surroundings |= {"WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1", "WEBKIT_DISABLE_COMPOSITING_MODE": "1"}
        stack.enter_context(_process([str(find_webkit()), f"--port={port}"], surroundings))
        _until_open(port)
        browser = {"binary": str(next(Path("/").glob(MINIBROWSER[1:]))), "args": ["--automation"]}
        wish = {"capabilities": {"alwaysMatch": {"webkitgtk:browserOptions": browser}}}
        session = f"{base}/session/{_asked(f'{base}/session', wish)['sessionId']}"
        stack.callback(lambda: _asked(session, None, "DELETE"))

        def command(name: str, values: Mapping[str, Any]) -> Any:
            path = OVER_HTTP[name].format(**values)
            if name == "screenshot":
                return _asked(f"{session}/{path}", None, "GET")
            return _asked(f"{session}/{path}", {key: value for key, value in values.items() if key != "id"})

        yield Browser(command)


def _asked(url: str, body: Mapping[str, Any] | None, method: str = "POST") -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=SEEN_WITHIN_S) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        raise WebDriverError(error.read().decode(errors="replace")) from None


@contextmanager
def _marionette(port: int) -> Iterator[Command]:
    """Connect to Firefox: each message is its length, a colon, and a JSON list."""
    _until_open(port)
    with socket.create_connection(("127.0.0.1", port), SEEN_WITHIN_S) as connection:
        stream = connection.makefile("rwb")

        def received() -> Any:
            size = b""
            while (digit := stream.read(1)) != b":":
                size += digit
            return json.loads(stream.read(int(size)))

        def asked(name: str, values: Mapping[str, Any]) -> Any:
            message = json.dumps([0, 1, name, dict(values)]).encode()
            stream.write(b"%d:%s" % (len(message), message))
            stream.flush()
            _, _, error, value = received()
            if error:
                raise WebDriverError(error["message"])
            is_value = isinstance(value, dict) and set(value) == {"value"}
            return value["value"] if is_value else value

        received()  # its greeting
        asked("WebDriver:NewSession", {"capabilities": {"alwaysMatch": {"acceptInsecureCerts": False}}})
        yield lambda name, values: asked(MARIONETTE[name], values)
        with suppress(OSError, ValueError):
            asked("Marionette:Quit", {"flags": ["eForceQuit"]})


def _written(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(text, "utf-8")


@contextmanager
def _screen() -> Iterator[str]:
    """Run an X server that draws into memory."""
    reader, writer = os.pipe()
    with _process(["Xvfb", "-displayfd", str(writer), "-screen", "0", "1400x1000x24"], {}, keeps=writer):
        os.close(writer)
        with os.fdopen(reader) as told:
            yield f":{told.readline().strip()}"


@contextmanager
def _process(command: list[str], environment: Mapping[str, str], keeps: int | None = None) -> Iterator[None]:
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            pass_fds=() if keeps is None else (keeps,),
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(START_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _until_open(port: int) -> None:
    give_up_at = time.monotonic() + START_WITHIN_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(PAUSE_S)
        else:
            return
