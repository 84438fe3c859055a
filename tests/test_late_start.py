"""A start that is slow, fails or is ended meanwhile: there is never a second one in the same program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.app_process import END_WITHIN_S, ROOT, free_port, running_app

LATE_APP = [sys.executable, "-m", "tests.late_app"]


def environ(folder: Path, **values: str) -> dict[str, str]:
    """Return the environment of a start on the next free port."""
    return {**os.environ, "HUNYUAN_UI_DATA_DIR": str(folder), "FIRST_PORT": str(free_port()), **values}


@pytest.mark.slow
def test_a_server_that_starts_late_is_waited_for_and_started_once(tmp_path: Path) -> None:
    with running_app(tmp_path, script="tests/late_app.py", START="late", LATE_S="6") as app:  # Gradio waits 5 s
        while app.url not in app.output:
            assert app.process.poll() is None
        app.end()
        assert [len(app.events(name)) for name in ("start.late", "runner.started", "runner.stopped")] == [1, 1, 1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "status", "told"),
    [("failed", 1, "server.error"), ("taken", 2, "was taken by another program while this one started")],
)
def test_a_start_that_fails_is_not_tried_again_on_another_port(
    tmp_path: Path, start: str, status: int, told: str
) -> None:
    began = environ(tmp_path, START=start)
    ended = subprocess.run(LATE_APP, cwd=ROOT, env=began, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr.count("start.late")) == (status, 1)
    assert told in ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("start", "stopped"), [("blocked", 0), ("late", 1)])
def test_a_signal_ends_a_start_at_once_or_in_order_if_it_is_nearly_done(
    tmp_path: Path, start: str, stopped: int
) -> None:
    began = environ(tmp_path, START=start, LATE_S="0.2")
    with subprocess.Popen(LATE_APP, cwd=ROOT, env=began, stderr=subprocess.PIPE, text=True) as program:
        assert program.stderr is not None
        try:
            assert any("start.late" in line for line in program.stderr)
            program.send_signal(signal.SIGTERM)
            assert program.wait(END_WITHIN_S) == 0
        finally:
            program.kill()
        assert program.stderr.read().count("runner.stopped") == stopped
