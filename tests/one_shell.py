"""A service that charges two cents a video, the environment of a command that uses it, and its start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.faults.service import PaidService

ROOT = Path(__file__).parents[1]
PROGRAM = [sys.executable, "-m", "hunyuan_ui"]
SMALL = ["--width", "64", "--height", "48", "--frames", "5"]


@pytest.fixture
def service() -> Iterator[PaidService]:
    """The service that the command pays."""
    with PaidService() as running:
        running.cost_usd = 0.02
        yield running


@pytest.fixture
def environ(service: PaidService, tmp_path: Path) -> dict[str, str]:
    """The command's settings."""
    return {
        "HUNYUAN_UI_DATA_DIR": str(tmp_path / "data"),
        "HUNYUAN_UI_POLL_SECONDS": "0.05",
        "SEGMIND_API_KEY": "SG_00112233aabbccdd",
        "SEGMIND_BASE_URL": service.origin,
    }


def started(arguments: Sequence[str], environ: dict[str, str]) -> subprocess.Popen[str]:
    """Start the command so that it hears Ctrl+C."""
    return subprocess.Popen(
        [*PROGRAM, *arguments],
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        # A shell's background job, as tests may be, ignores Ctrl+C and would pass that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
