"""From process start to the first page: compared with one button on the same Gradio, and after years of use."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.app_process import ROOT, free_port
from tests.benchmarks.clip import clip_in, workspace
from tests.benchmarks.processes import child, service_settings
from tests.benchmarks.stored import fill
from tests.benchmarks.table import Row, alternate, ratio

START_WITHIN_S = 120.0
DONE, RUNNING = 10_000, 200


def measure(is_short: bool) -> list[Row]:
    """Compare the default start, including the local preview, with the minimal app."""
    with workspace() as folder:
        ours = partial(_seconds, ["app.py"], folder, "/")
        bare = partial(_seconds, ["-m", "tests.benchmarks.bare_app"], folder, "/")
        ours()  # the first one reads everything from the disk
        here, there = alternate(1 if is_short else 7, ours, bare)
    return [ratio("process start to first 200 on /", here, there, "s", at_most=1.15)]


def measure_restart(is_short: bool) -> list[Row]:
    """Compare the start on a full data folder with that on an empty one."""
    done, running = (2_000, 50) if is_short else (DONE, RUNNING)
    with workspace() as folder, child("service", str(clip_in(folder))) as url:
        fill(folder / "full", clip_in(folder), done=done, running=running)
        settings = service_settings(url)

        def start(data: str) -> float:
            data_dir = str(folder / data)
            return _seconds(["app.py"], folder, "/gradio_api/healthz", HUNYUAN_UI_DATA_DIR=data_dir, **settings)

        start("full")
        full, empty = alternate(1 if is_short else 5, partial(start, "full"), partial(start, "empty"))
    what = f"restart with {done:,} finished and {running} running jobs, to ready"
    return [ratio(what, full, empty, "s", at_most=1.5)]


def _seconds(command: list[str], folder: Path, path: str, **environment: str) -> float:
    port = free_port()
    defaults = {"GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(folder / "cache")}
    defaults["HUNYUAN_UI_DATA_DIR"] = str(folder / "data")
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, **defaults, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not _answers(f"http://127.0.0.1:{port}{path}"):
            assert process.poll() is None, "it did not start"
            assert time.perf_counter() - began < START_WITHIN_S, "it did not answer"
            time.sleep(0.01)
        return time.perf_counter() - began
    finally:
        process.terminate()
        process.wait(15)


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=30) as answer:
            return answer.status == 200
    except (URLError, OSError):
        return False
