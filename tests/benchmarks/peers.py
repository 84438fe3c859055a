"""Ten everyday situations, and what is paid, shown and lost in each: this program compared with typical scripts.

python -m tests.benchmarks --peers
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, BrowserContext, Page
from playwright.sync_api import TimeoutError as NothingCame

from hunyuan_ui.endpoint.contract import GENERATE_V1, SUBMIT_V2
from tests.app_process import ROOT, free_port
from tests.benchmarks.chromium import chromium
from tests.benchmarks.clip import workspace
from tests.benchmarks.processes import Caller
from tests.faults.service import COST_USD, PaidService
from tests.raw_service import Received, Reply, answer, rate_limited, reset

OURS: Final = "this program"
KINDS: Final = {"handler": "handler", "sdk": "with the SDK", "interface": "one call", OURS: OURS}
LIMIT_USD: Final = 5.0
SHOWN_WITHIN_S: Final = 40.0
START_WITHIN_S: Final = 120.0
ANSWERED_MS: Final = 2000  # the service has accepted the job
SETTLED_MS: Final = 3000  # Gradio renders the button before it handles its clicks
_PLAYS = "() => [...document.querySelectorAll('video')].some((video) => video.currentTime > 0 && video.duration)"


class Service(PaidService):
    """The service of the fault tests, which can keep every job rendering until released."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.may_end = threading.Event()
        self.may_end.set()

    def behave(self, received: Received) -> Reply:
        """Respond with the addresses that the provider's client needs."""
        if not self.may_end.is_set() and received.path.endswith("/status"):
            return answer(200, {"status": "PROCESSING", "metrics": {}})
        reply = super().behave(received)
        if received.path == GENERATE_V1 and not self.may_end.is_set():
            return Reply(lambda wire, asked: (self.may_end.wait(60), reply.act(wire, asked))[1], reply.bills)
        if received.path == SUBMIT_V2:
            return answer(200, self._submitted())
        return reply

    def _submitted(self) -> dict[str, str]:
        request_id = next(reversed(self.past))
        job = f"{self.origin}/v2/requests/{request_id}"
        return {"request_id": request_id, "status": "QUEUED", "status_url": f"{job}/status", "response_url": job}


@dataclass
class Scene:
    """A program, the service it pays, and one visitor's browser.

    Attributes:
        kind: The program's name.
        folder: Of its files.
        service: Keeps the bill.
        context: The visitor's browser.
        pages: Their open pages.
    """

    kind: str
    folder: Path
    service: Service
    context: BrowserContext
    port: int = field(default_factory=free_port)
    pages: list[Page] = field(default_factory=list[Page])
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start or restart the program."""
        environment = {
            **os.environ,
            "GRADIO_SERVER_PORT": str(self.port),
            "GRADIO_TEMP_DIR": str(self.folder / "cache"),
        }
        command = [sys.executable, "-m", "tests.benchmarks.peer_app", self.kind, self.service.origin]
        if self.kind == OURS:
            command = [sys.executable, "app.py"]
            environment |= {
                "SEGMIND_API_KEY": "SG_0123456789abcdef",
                "SEGMIND_BASE_URL": self.service.origin,
                "HUNYUAN_UI_DATA_DIR": str(self.folder / "data"),
                "HUNYUAN_UI_DAILY_LIMIT_USD": str(LIMIT_USD),
                "HUNYUAN_UI_POLL_SECONDS": "0.5",
            }
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
        give_up_at = time.monotonic() + START_WITHIN_S
        while True:
            try:
                Caller(f"http://127.0.0.1:{self.port}/").get("/")
                return
            except OSError:
                assert self.process.poll() is None, (self.folder / "log").read_text("utf-8")
                assert time.monotonic() < give_up_at, "the program did not answer"
                time.sleep(0.1)

    def kill(self) -> None:
        """Kill the program as a crash does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def open(self) -> Page:
        """Open the page in another tab, until Generate can be pressed."""
        page = self.context.new_page()
        self.pages.append(page)
        page.goto(f"http://127.0.0.1:{self.port}/")
        page.get_by_role("button", name="Generate").first.wait_for()
        page.wait_for_timeout(SETTLED_MS)
        return page

    def ask(self, page: Page, clicks: int = 1) -> None:
        """Enter a prompt and press Generate."""
        prompt = page.get_by_role("textbox").first
        prompt.fill(f"a lighthouse above a stormy sea {len(self.service.bill)}")
        prompt.blur()
        page.wait_for_timeout(500)
        page.get_by_role("button", name="Generate").first.click(click_count=clicks, delay=30)

    def until_paid(self) -> None:
        """Wait for the POST of a video."""
        self.service.wait_for_bill()

    def shows(self) -> bool:
        """Whether a video plays on any open page in time."""
        for page in self.pages:
            try:
                page.wait_for_function(_PLAYS, timeout=SHOWN_WITHIN_S * 1000)
                return True
            except NothingCame:
                continue
        return False


def double_click(scene: Scene) -> None:
    """Press twice, as with a mouse."""
    scene.ask(scene.open(), clicks=2)


def reload(scene: Scene) -> None:
    """Reload the page while the video is rendered."""
    page = _while_rendering(scene)
    page.reload()
    scene.service.may_end.set()


def closed_tab(scene: Scene) -> None:
    """Close the tab while the video is rendered, and return when it is done."""
    scene.pages.remove(page := _while_rendering(scene))
    page.close()
    scene.service.may_end.set()
    time.sleep(3)
    scene.open()


def server_restart(scene: Scene) -> None:
    """Crash the program while the video is rendered, and restart it."""
    page = _while_rendering(scene)
    scene.kill()
    scene.start()
    scene.service.may_end.set()
    page.reload()


def busy(scene: Scene) -> None:
    """Let the service respond with 429 at first."""
    scene.service.on("POST", "/v*/hunyuan-video", [rate_limited("retry-after", 1)])
    scene.ask(scene.open())


def lost_answer(scene: Scene) -> None:
    """Break the connection after the service has accepted the job."""
    scene.service.on("POST", "/v*/hunyuan-video", [reset()])
    page = scene.open()
    scene.ask(page)
    scene.until_paid()
    page.wait_for_timeout(4000)


def late_file(scene: Scene) -> None:
    """Make the file available some seconds after the job is done."""
    scene.service.on("GET", "/files/*", [answer(404, b"") for _ in range(3)])
    scene.ask(scene.open())


def second_tab(scene: Scene) -> None:
    """Look from a second tab after closing the first."""
    page = _while_rendering(scene)
    second = scene.open()
    scene.pages.remove(page)
    page.close()
    second.wait_for_timeout(500)
    scene.service.may_end.set()


def asleep(scene: Scene) -> None:
    """Take the browser offline while the video is rendered, and online after it is done."""
    page = _while_rendering(scene)
    scene.context.set_offline(True)
    scene.service.may_end.set()
    page.wait_for_timeout(5000)
    scene.context.set_offline(False)


def limit(scene: Scene) -> None:
    """Press eight times in a row, where the owner intended to spend $5."""
    page = scene.open()
    for _ in range(8):
        scene.ask(page)
        page.wait_for_timeout(3000)


def _while_rendering(scene: Scene) -> Page:
    scene.service.may_end.clear()
    page = scene.open()
    scene.ask(page)
    scene.until_paid()
    page.wait_for_timeout(ANSWERED_MS)
    return page


SITUATIONS: Final[dict[str, Callable[[Scene], None]]] = {
    "double click": double_click,
    "page reloaded": reload,
    "tab closed, opened later": closed_tab,
    "program crashed": server_restart,
    "service says 429": busy,
    "answer lost": lost_answer,
    "file comes late": late_file,
    "second tab": second_tab,
    "phone asleep": asleep,
    "limit of $5, eight clicks": limit,
}


@dataclass(frozen=True)
class Outcome:
    """Result of a situation: videos paid for, and whether one plays in the end."""

    paid: int
    is_shown: bool

    def __str__(self) -> str:
        return f"${self.paid * COST_USD:.2f}, {'shown' if self.is_shown else 'lost' if self.paid else 'none'}"


def measure() -> dict[str, dict[str, Outcome]]:
    """Run every situation with every program."""
    with workspace() as folder, chromium() as browser:
        return {
            name: {
                kind: _outcome(browser, kind, play, folder / f"{number}-{index}") for index, kind in enumerate(KINDS)
            }
            for number, (name, play) in enumerate(SITUATIONS.items())
        }


def as_markdown(found: dict[str, dict[str, Outcome]]) -> str:
    """Return the table in Markdown."""
    lines = ["| what happens | " + " | ".join(KINDS.values()) + " |", "|---" * (len(KINDS) + 1) + "|"]
    lines += [f"| {name} | " + " | ".join(str(row[kind]) for kind in KINDS) + " |" for name, row in found.items()]
    return "\n".join(lines)


def _outcome(browser: Browser, kind: str, play: Callable[[Scene], None], folder: Path) -> Outcome:
    with _scene(browser, kind, folder) as scene:
        scene.start()
        play(scene)
        is_shown = scene.shows()
        outcome = Outcome(len(scene.service.bill), is_shown)
    print(json.dumps({"situation": play.__name__, "kind": kind, "paid": outcome.paid, "shown": outcome.is_shown}))
    return outcome


@contextmanager
def _scene(browser: Browser, kind: str, folder: Path) -> Iterator[Scene]:
    folder.mkdir()
    context: Any = browser.new_context(viewport={"width": 1280, "height": 800})
    service = Service()
    with service:
        scene = Scene(kind, folder, service, context)
        try:
            yield scene
        finally:
            service.may_end.set()
            context.close()
            scene.kill()
