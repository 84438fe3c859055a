"""Notifications outside the browser: their content, what they never contain, and no effect on jobs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hunyuan_ui import gradio_environment
from hunyuan_ui.cli import Exit, main
from hunyuan_ui.errors import SettingsError, SpendLimitError
from hunyuan_ui.job import JobStatus, Payer
from hunyuan_ui.local_endpoint.app import create_app
from hunyuan_ui.local_endpoint.serving import serve
from hunyuan_ui.notifications import Notifications
from hunyuan_ui.settings import Settings
from tests.stored_jobs import job

ROOT = Path(__file__).parents[1]
SMALL = ["--width=64", "--height=48", "--frames=5"]
SECRET = "hunter2"


class Listener:
    """Receives notifications as a chat would.

    Args:
        status: HTTP status of each response.
        delay_s: Delay of each response.
    """

    def __init__(self, status: int = 200, delay_s: float = 0.0) -> None:
        self.told: list[str] = []
        told = self.told

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                time.sleep(delay_s)
                told.append(json.loads(body)["message"])
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"json://me:{SECRET}@127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listening = Listener()
    yield listening
    listening.close()


@pytest.fixture
def environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    server = serve(create_app(seconds=0.1), "127.0.0.1", 0)
    yield {
        "HUNYUAN_UI_DATA_DIR": str(tmp_path / "data"),
        "HUNYUAN_UI_POLL_SECONDS": "0.05",
        "SEGMIND_API_KEY": "SG_00112233aabbccdd",
        "SEGMIND_BASE_URL": server.url,
    }
    server.close()


def made(environ: dict[str, str], tmp_path: Path, *more: str) -> int:
    return main(["a purple heron", *SMALL, f"--out={tmp_path / 'cat.mp4'}", *more], environ)


def test_a_finished_video_is_told_with_its_price_and_not_with_its_prompt(
    environ: dict[str, str], listener: Listener, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert made({**environ, "HUNYUAN_UI_NOTIFY": listener.address}, tmp_path, "--json") == Exit.DONE
    told = capsys.readouterr()
    job_id = json.loads(told.out)["job_id"]
    (notice,) = listener.told
    assert notice.startswith("Video done: ")
    assert "$" in notice
    assert "heron" not in notice
    assert job_id not in notice  # the complete id grants access to the job on a public page
    assert job_id[:8] in notice
    assert SECRET not in told.out + told.err


def test_a_limit_is_told_once_a_day(environ: dict[str, str], listener: Listener, tmp_path: Path) -> None:
    limited = {**environ, "HUNYUAN_UI_NOTIFY": listener.address, "HUNYUAN_UI_DAILY_LIMIT_USD": "0"}
    assert made(limited, tmp_path) == Exit.LIMIT
    (notice,) = listener.told
    assert notice.startswith("A video was not sent: the limit of $0.00 leaves $0.00, and it may cost $")
    telling = Notifications(listener.address)
    for code, day in (("over_daily_limit", 1), ("over_daily_limit", 1), ("queue_full", 1), ("over_daily_limit", 2)):
        telling.refused(SpendLimitError(code, limit=5.0, left=2.08, price=4.1), day * 86_400.0 + 7)
    telling.list_ended(38, 40, 57.2)
    telling.close()
    assert len(listener.told) == 4
    assert listener.told[1] == "A video was not sent: the limit of $5.00 leaves $2.08, and it may cost $4.10."
    assert listener.told[-1] == "A list of prompts has ended: 38 of 40 are there, $57.20."


def test_a_list_is_told_once_as_it_ends_and_not_row_by_row(
    environ: dict[str, str], listener: Listener, tmp_path: Path
) -> None:
    rows = tmp_path / "many.txt"
    rows.write_text("a purple heron\na green heron\n", "utf-8")
    listed = [f"--batch={rows}", "--budget=20", f"--out={tmp_path / 'made'}", *SMALL]
    assert main(listed, {**environ, "HUNYUAN_UI_NOTIFY": listener.address}) == Exit.DONE
    assert len(listener.told) == 1
    assert listener.told[0].startswith("A list of prompts has ended: 2 of 2 are there, $")


def test_a_row_of_a_list_that_ends_without_a_video_is_told(listener: Listener) -> None:
    row = job("a purple heron", reserved_microusd=1_460_000, notes={"list": "many"})
    telling = Notifications(listener.address)
    for status in (JobStatus.DONE, JobStatus.UNKNOWN):
        telling.job_ended(replace(row, status=status))
    telling.close()
    (notice,) = listener.told
    assert "$1.46" in notice


@pytest.mark.parametrize(
    ("status", "cost_microusd", "words"),
    [
        (JobStatus.DONE, 1_460_000, "Video done: $1.46."),
        (JobStatus.LOST, 1_460_000, "$1.46 was charged"),
        (JobStatus.LOST, None, "$2.20 was charged"),
        (JobStatus.UNKNOWN, None, "own key, up to $2.20"),
        (JobStatus.FAILED, None, "nothing was charged"),
    ],
)
def test_what_an_own_key_pays_on_a_private_page_is_not_told_as_free(
    listener: Listener, status: JobStatus, cost_microusd: int | None, words: str
) -> None:
    paid = job("a purple heron", payer="visitor", reserved_microusd=2_200_000)
    telling = Notifications(listener.address)
    telling.job_ended(replace(paid, status=status, cost_microusd=cost_microusd))
    telling.close()
    (notice,) = listener.told
    assert words in notice
    assert "counts as spent" not in notice


@pytest.mark.parametrize("payer", ["owner", "visitor"])
@pytest.mark.parametrize(
    ("status", "words"),
    [
        (JobStatus.DONE, "Video done: up to $2.20."),
        (JobStatus.LOST, "The video is lost: up to $2.20 was charged."),
        (JobStatus.FAILED, "nothing was charged"),
    ],
)
def test_a_cost_that_nobody_named_is_told_as_the_most_that_it_may_be(
    listener: Listener, payer: Payer, status: JobStatus, words: str
) -> None:
    telling = Notifications(listener.address)
    telling.job_ended(replace(job("a purple heron", payer=payer, reserved_microusd=2_200_000), status=status))
    telling.close()
    (notice,) = listener.told
    assert words in notice


@pytest.mark.slow
@pytest.mark.parametrize("address", ["refusing", "json://127.0.0.1:9/", "slow"])
def test_what_goes_wrong_changes_nothing_and_is_logged_once(
    environ: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    bad = Listener(500, 8.0 if address == "slow" else 0.0)
    named = address if "://" in address else bad.address
    began = time.monotonic()
    assert made({**environ, "HUNYUAN_UI_NOTIFY": f"{named} {named}"}, tmp_path) == Exit.DONE
    assert time.monotonic() - began < 20
    logged = capsys.readouterr().err
    assert SECRET not in logged
    assert logged.count("notices.not_sent") == (0 if address == "slow" else 1)
    bad.close()


@pytest.mark.slow
def test_a_thousand_notices_are_neither_waited_for_nor_piled_up() -> None:
    slow = Listener(delay_s=0.2)
    telling = Notifications(slow.address)
    began = time.monotonic()
    for _ in range(1000):
        telling.list_ended(1, 1, 0.0)
    assert time.monotonic() - began < 20  # 200 s if they were
    telling.close()
    assert 0 < len(slow.told) <= 1000
    slow.close()


def test_without_addresses_nothing_is_imported_or_started() -> None:
    program = (
        "import sys, threading; from hunyuan_ui.notifications import Notifications; "
        "n = Notifications(); n.list_ended(1, 1, 1.0); "
        "n.close(); print('apprise' in sys.modules, threading.active_count())"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.stdout.split() == ["False", "1"]


@pytest.mark.parametrize("text", ["nonsense", f"foo://me:{SECRET}@x", f"json://127.0.0.1 mailto:{SECRET}"])
def test_an_address_that_is_none_is_named_by_its_place_alone(
    environ: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    assert made({**environ, "HUNYUAN_UI_NOTIFY": text}, tmp_path) == Exit.USAGE
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("HUNYUAN_UI_NOTIFY: address ")
    assert SECRET not in told


def test_a_page_with_a_wrong_address_does_not_start(environ: dict[str, str]) -> None:
    ended = subprocess.run(
        [sys.executable, "app.py"],
        env={**os.environ, **environ, "HUNYUAN_UI_NOTIFY": f"foo://{SECRET}", "HUNYUAN_UI_ENV_FILE": "/dev/null"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 2
    assert "HUNYUAN_UI_NOTIFY" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert SECRET not in ended.stderr


def test_a_missing_package_is_one_sentence(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradio_environment.pkgutil, "iter_modules", lambda: iter([]))
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ({**environ, "HUNYUAN_UI_NOTIFY": "json://127.0.0.1"})
    assert caught.value.facts["problem"]["key"] == "setting.notify_package"
