"""Benchmark processes: each side runs in a separate one, whose resource use is read from the system."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.app_process import ROOT, START_WITHIN_S, RunningApp, free_port, running_app

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
KEY = "benchmark-key"


def clean_environment() -> None:
    """Keep the owner's environment out of the measurements."""
    for name in list(os.environ):
        if name.startswith(("SEGMIND_", "HUNYUAN_UI_", "GRADIO_", "SPACE_")):
            del os.environ[name]
    os.environ.pop("SYSTEM", None)
    os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_OFFLINE="1", HUNYUAN_UI_ENV_FILE=os.devnull)


@contextmanager
def child(module: str, *arguments: str) -> Iterator[str]:
    """Run a module of this folder that prints its address first and serves until stopped."""
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http"), f"{module} did not start"
        yield address
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def app_with(folder: Path, **environment: str) -> Iterator[RunningApp]:
    """Run the app with its data below a folder, which is created."""
    folder.mkdir(exist_ok=True)
    with running_app(folder, port=None, is_forked=False, **environment) as app:
        yield app


@contextmanager
def child_app(folder: Path, wish: str | None = None) -> Iterator[str]:
    """Run the bare app, as a button, the form, or one that posts to a service; yield its address when it responds."""
    port = free_port()
    command = [sys.executable, "-m", "tests.benchmarks.bare_app", *([wish] if wish else [])]
    environment = {**os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(folder / "bare-cache")}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/"
    try:
        give_up_at = time.monotonic() + START_WITHIN_S
        while not _listens(port):
            assert process.poll() is None, "the bare app did not start"
            assert time.monotonic() < give_up_at, "the bare app did not answer"
            time.sleep(0.05)
        Caller(url).get("/")
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def answer_of(module: str, *arguments: str) -> dict[str, Any]:
    """Run a module of this folder to its end and return the JSON that it prints."""
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def service_settings(url: str, *, dialect: str = "v2") -> dict[str, str]:
    """Return the environment of an app that sends its jobs to a service at this address."""
    settings = {"SEGMIND_API_KEY": KEY, "SEGMIND_BASE_URL": url, "HUNYUAN_UI_DAILY_LIMIT_USD": "1000000"}
    return {**settings, "HUNYUAN_UI_API": dialect, "HUNYUAN_UI_POLL_SECONDS": "5"}


def resident_bytes(pid: int) -> int:
    """Return a process's resident memory."""
    return _status(pid, "VmRSS") * 1024


def peak_bytes(pid: int) -> int:
    """Return a process's peak resident memory since `forget_peak`."""
    return _status(pid, "VmHWM") * 1024


def forget_peak(pid: int) -> None:
    """Reset the peak to a process's current memory."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def thread_count(pid: int) -> int:
    """Return a process's number of threads."""
    return _status(pid, "Threads")


def cpu_seconds(pid: int) -> float:
    """Return a process's CPU time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def _status(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


class Caller:
    """One persistent connection to a server."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)

    def get(self, path: str, **headers: str) -> bytes:
        """Return the body of a successful response."""
        self._connection.request("GET", path, headers={name.replace("_", "-"): text for name, text in headers.items()})
        answer = self._connection.getresponse()
        body = answer.read()
        assert answer.status == 200, f"{path}: {answer.status}"
        return body

    def seconds(self, path: str, **headers: str) -> float:
        """Return the response time."""
        began = time.perf_counter()
        self.get(path, **headers)
        return time.perf_counter() - began


def config_seconds(url: str, count: int, every_s: float) -> list[float]:
    """Return the response times of the page's config, requested repeatedly."""
    caller = Caller(url)
    found: list[float] = []
    for _ in range(count):
        found.append(caller.seconds("/config"))
        time.sleep(every_s)
    return found
