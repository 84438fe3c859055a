"""The real app in a separate process, as `python app.py` starts it."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError

from tests.forks import Fork, can_fork, fork

ROOT = Path(__file__).parents[1]
START_WITHIN_S = 120.0
END_WITHIN_S = 10.0


class RunningApp:
    """A started app.

    Args:
        process: Its process.
        url: Its address, with a trailing slash.
        data_dir: Its data folder.
        log: File with its standard output and error.
    """

    def __init__(self, process: subprocess.Popen[bytes] | Fork, url: str, data_dir: Path, log: Path) -> None:
        self.process = process
        self.url = url
        self.data_dir = data_dir
        self._log = log

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.url.rstrip("/").rpartition(":")[2])

    @property
    def output(self) -> str:
        """All its output so far."""
        return self._log.read_text("utf-8")

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the log lines of one event."""
        lines = [json.loads(line) for line in self.output.splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]

    def end(self) -> float:
        """Send SIGTERM and return the seconds until exit."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(END_WITHIN_S)
        return time.monotonic() - began


@contextmanager
def running_app(
    folder: Path,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    script: str = "app.py",
    is_forked: bool = True,
    **environment: str,
) -> Iterator[RunningApp]:
    """Start the app with its data below a folder, wait until it is healthy at a host of this machine, and stop it.

    Args:
        folder: For its data and its log.
        host: Host for the health check.
        port: The port to listen on; a free one by default.
        script: Run in place of `app.py`.
        is_forked: Whether to fork from a process that has already imported the modules.
        environment: Additional variables.
    """
    port = port or free_port()
    data_dir, log = folder / "data", folder / "app.log"
    settings = {"HUNYUAN_UI_DATA_DIR": str(data_dir), "HUNYUAN_UI_POLL_SECONDS": "0.1"}
    settings |= {"GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(folder / "cache"), "PYTHONUNBUFFERED": "1"}
    settings |= {"PYTHONPATH": str(ROOT), "HUNYUAN_UI_ENV_FILE": os.devnull}
    process = _start(script, {**os.environ, **settings, **environment}, log, is_forked=is_forked)
    app = RunningApp(process, f"http://{host}:{port}/", data_dir, log)
    try:
        wait_until_well(app.url, process, log)
        yield app
    finally:
        process.terminate()
        try:
            process.wait(END_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _start(script: str, environment: dict[str, str], log: Path, *, is_forked: bool) -> subprocess.Popen[bytes] | Fork:
    if is_forked and can_fork(environment):
        return fork(script, environment, log)
    with log.open("wb") as output:
        command = [sys.executable, script]
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)


def start(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `app.py` with its data in a folder until it ends by itself, as after a refusal."""
    return subprocess.run(
        [sys.executable, "app.py", *arguments],
        cwd=ROOT,
        env={**os.environ, "HUNYUAN_UI_DATA_DIR": str(folder / "data"), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def modules_of_an_import(folder: Path, **environment: str) -> set[str]:
    """Return the modules that `app.py` imports before it starts anything, in a separate process."""
    settings = {"HUNYUAN_UI_DATA_DIR": str(folder / "data"), "GRADIO_TEMP_DIR": str(folder / "cache")}
    ended = subprocess.run(
        [sys.executable, "-c", "import sys, app; print(*sys.modules)"],
        cwd=ROOT,
        env={**os.environ, **settings, **environment},
        capture_output=True,
        text=True,
        timeout=START_WITHIN_S,
        check=True,
    )
    return set(ended.stdout.splitlines()[-1].split())


def free_port() -> int:
    """Return a port that nobody uses, and that no other test gets before the caller listens on it.

    Each worker has its own range, below the system's ephemeral ports.
    """
    while True:
        port = next(_ports)
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port


def _ports_of_this_worker() -> Iterator[int]:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 16
    own = range(16_000 + 1_000 * worker, 17_000 + 1_000 * worker)
    begin = os.getpid() % len(own)
    return itertools.cycle([*own[begin:], *own[:begin]])


_ports = _ports_of_this_worker()


def wait_until_well(url: str, process: subprocess.Popen[bytes] | Fork, log: Path | None = None) -> None:
    """Wait until an app is healthy.

    Args:
        url: Its address, with a trailing slash.
        process: Its process, which must not end before.
        log: File with its output, shown if it never is.
    """
    give_up_at = time.monotonic() + START_WITHIN_S
    while time.monotonic() < give_up_at:
        assert process.poll() is None, log and log.read_text("utf-8")
        try:
            with urllib.request.urlopen(f"{url}gradio_api/healthz", timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.05)
    raise AssertionError(log and log.read_text("utf-8"))
