"""The command line interrupted at each step: what was sent is paid once and said, and what was not is not sent."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hunyuan_ui import cli
from hunyuan_ui.cli import Exit, main
from hunyuan_ui.endpoint.contract import SUBMIT_V2
from hunyuan_ui.library.library import VideoLibrary
from hunyuan_ui.media import check_mp4
from tests.one_shell import ROOT, SMALL, started
from tests.raw_service import RawService, Reply, answer, silence
from tests.test_cli import environ as environ
from tests.test_cli import paid as paid
from tests.test_cli import service as service
from tests.test_cli import spends as spends

pytestmark = pytest.mark.slow


def slowly(reply: Reply, seconds: float) -> Reply:
    """Delay a reply."""
    return Reply(lambda wire, received: reply.act(wire, received) if wire.pause(seconds) else None, reply.bills)


ACCEPTED = answer(200, {"request_id": "11112222333344445555666677778888", "status": "QUEUED"})
RENDERS = answer(200, {"status": "PROCESSING"})
SLOW_DOWN = answer(429, {"error": "slow down"}, headers={"Retry-After": "60"})


def interrupted(
    spends: dict[str, str], number: signal.Signals, when: Callable[[subprocess.Popen[str]], None], *arguments: str
) -> tuple[int, str, str]:
    """Send a signal to the command in a phase; return exit code, stdout and stderr."""
    with started(["a cat", *SMALL, *arguments], spends) as process:
        when(process)
        process.send_signal(number)
        out, said = process.communicate(timeout=30)
    assert "Traceback" not in said
    return process.returncode, out, said


def until_asked(service: RawService, path: str) -> Callable[[object], None]:
    def wait(_: object) -> None:
        give_up_at = time.monotonic() + 30
        while not any(path in received.path for received in service.requests):
            assert time.monotonic() < give_up_at, "it was never asked"
            time.sleep(0.01)

    return wait


SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_interrupted_while_it_renders_it_goes_on(
    service: RawService, spends: dict[str, str], number: signal.Signals
) -> None:
    service.on("GET", "/v2/requests/*/status", RENDERS)
    code, out, said = interrupted(spends, number, until_asked(service, "/status"), "--json")
    assert code == Exit.GOES_ON
    facts = json.loads(out)
    assert facts["status"] == "running"
    assert f"--resume {facts['job_id']}" in said


def test_interrupted_while_it_is_sent_the_answer_is_waited_for(service: RawService, spends: dict[str, str]) -> None:
    service.on("POST", SUBMIT_V2, slowly(ACCEPTED, 2))
    code, _, said = interrupted(spends, signal.SIGTERM, until_asked(service, SUBMIT_V2))
    assert (code, len(service.bill)) == (Exit.GOES_ON, 1)
    assert "goes on at the service" in said


def test_interrupted_while_it_is_refused_it_does_not_go_on(service: RawService, spends: dict[str, str]) -> None:
    service.on("POST", SUBMIT_V2, slowly(answer(400, {"error": "no"}), 2))
    code, _, said = interrupted(spends, signal.SIGINT, until_asked(service, SUBMIT_V2))
    assert code == Exit.FAILED
    assert "Nothing was charged" in said


def test_interrupted_while_no_answer_comes_it_may_have_been_charged(
    service: RawService, spends: dict[str, str]
) -> None:
    service.on("POST", SUBMIT_V2, silence())
    code, _, said = interrupted(spends, signal.SIGINT, until_asked(service, SUBMIT_V2))
    assert code == Exit.UNKNOWN
    assert "may have been charged" in said


def test_interrupted_while_it_waits_it_is_sent_at_the_next_start(service: RawService, spends: dict[str, str]) -> None:
    service.on("POST", SUBMIT_V2, SLOW_DOWN)
    code, _, said = interrupted(spends, signal.SIGTERM, until_asked(service, SUBMIT_V2))
    assert (code, service.bill) == (Exit.GOES_ON, [])
    assert "not sent yet" in said


@pytest.mark.parametrize(("reply", "is_waiting"), [(RENDERS, False), (SLOW_DOWN, True)], ids=["sent", "waits"])
def test_nothing_is_called_unsent_that_was_sent_when_the_folder_is_lost(
    service: RawService, spends: dict[str, str], reply: Reply, is_waiting: bool
) -> None:
    way = ("POST", SUBMIT_V2) if is_waiting else ("GET", "/v2/requests/*/status")
    service.on(*way, reply)

    def lose(process: object) -> None:
        until_asked(service, SUBMIT_V2 if is_waiting else "/status")(process)
        Path(spends["HUNYUAN_UI_DATA_DIR"]).rename(f"{spends['HUNYUAN_UI_DATA_DIR']}.lost")
        time.sleep(0.5)

    code, _, said = interrupted(spends, signal.SIGINT, lose)
    assert (code, "Nothing was sent" in said or "nothing was sent" in said) == (Exit.GOES_ON, is_waiting), said


def test_interrupted_while_it_is_downloaded_it_goes_on(service: RawService, spends: dict[str, str]) -> None:
    service.on("GET", "/files/*", silence())
    code, _, said = interrupted(spends, signal.SIGTERM, until_asked(service, "/files/"))
    assert code == Exit.GOES_ON
    assert "--resume" in said


def interrupt_at(
    monkeypatch: pytest.MonkeyPatch, place: object, name: str, number: signal.Signals, pause_s: float = 0
) -> None:
    """Send this program a signal when it reaches one of its functions."""
    reached = getattr(place, name)

    def interrupt(*values: Any) -> Any:
        os.kill(os.getpid(), number)
        time.sleep(pause_s)
        return reached(*values)

    monkeypatch.setattr(place, name, interrupt)


@pytest.mark.parametrize("is_list", [False, True])
def test_interrupted_before_it_is_stored_nothing_is_sent(
    service: RawService,
    spends: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    is_list: bool,
) -> None:
    (tmp_path / "list.txt").write_text("a cat", "utf-8")
    listed = ["--batch", str(tmp_path / "list.txt"), "--budget", "5", "--out", str(tmp_path / "out")]
    interrupt_at(monkeypatch, cli, "build_runner", signal.SIGTERM)
    assert main([*(listed if is_list else ["a cat"]), *SMALL], spends) == Exit.FAILED
    assert "Nothing was sent" in capsys.readouterr().err
    assert service.bill == []


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("begun", [b"", b"a cat\n"], ids=["not opened", "half written"])
def test_interrupted_while_the_list_is_waited_for_nothing_is_sent(
    service: RawService, spends: dict[str, str], tmp_path: Path, number: signal.Signals, begun: bytes
) -> None:
    typed = tmp_path / "typed"
    os.mkfifo(typed)
    writer = os.open(typed, os.O_RDWR) if begun else None
    arguments = ["--batch", str(typed), "--budget", "5", "--out", str(tmp_path / "out")]
    with started([*SMALL, *arguments], spends) as process:
        if writer is not None:
            os.write(writer, begun)
        give_up_at = time.monotonic() + 30
        while not (tmp_path / "data" / "ledger.sqlite3").exists():  # opened just before the list
            assert time.monotonic() < give_up_at, "it did not begin"
            time.sleep(0.05)
        time.sleep(0.3)
        process.send_signal(number)
        try:
            _, said = process.communicate(timeout=10)
        finally:
            process.kill()
    if writer is not None:
        os.close(writer)
    assert (process.returncode, service.bill) == (Exit.FAILED, [])
    assert said == "Interrupted. Nothing was sent.\n"


def test_interrupted_while_the_video_is_stored_it_is_said_to_be_made(
    service: RawService,
    spends: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    interrupt_at(monkeypatch, VideoLibrary, "store", signal.SIGINT, pause_s=2)  # the signal is handled in a thread
    assert main(["a cat", *SMALL, "--json"], spends) == Exit.NOT_COPIED
    told = capsys.readouterr()
    assert "would pay again" in told.err
    target = tmp_path / "cat.mp4"
    assert main(["--resume", json.loads(told.out)["job_id"], "--out", str(target)], spends) == Exit.DONE
    check_mp4(target)
    assert len(service.bill) == 1


def test_interrupted_while_the_video_is_copied_it_is_done(
    spends: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_at(monkeypatch, shutil, "copyfile", signal.SIGINT)
    assert main(["a cat", *SMALL, "--out", str(tmp_path / "cat.mp4")], spends) == Exit.DONE
    check_mp4(tmp_path / "cat.mp4")


def test_an_interrupted_preview_does_not_go_on(environ: dict[str, str]) -> None:
    def until_it_goes(process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        assert any("queue" in line or "rendering" in line for line in iter(process.stderr.readline, ""))

    code, _, said = interrupted(environ, signal.SIGINT, until_it_goes)
    assert code == Exit.FAILED
    assert "Nothing was charged" in said


CRASHES = """
import sys
from hunyuan_ui.jobs import JobRunner
from hunyuan_ui.jobs.job_watch import JobWatch

async def crash(*_, **__):
    raise RuntimeError("nobody has thought of this")

step = sys.argv.pop(1)
setattr(JobWatch if step == "wait" else JobRunner, step, crash)
import runpy
runpy.run_module("hunyuan_ui", run_name="__main__")
"""


@pytest.mark.parametrize("step", ["submit", "wait", "video_path", "stop"])
def test_an_error_that_nobody_has_thought_of_is_never_called_free(
    paid: dict[str, str], tmp_path: Path, step: str
) -> None:
    command = [sys.executable, "-c", CRASHES, step, "a cat", *SMALL, "--out", str(tmp_path / "cat.mp4")]
    ended = subprocess.run(command, cwd=ROOT, env={**os.environ, **paid}, capture_output=True, text=True, timeout=60)
    assert ended.returncode == Exit.UNKNOWN
    assert "nobody has thought of this" in ended.stderr
    assert "may have been charged" in ended.stderr
    (job_id,) = re.findall("--resume ([0-9a-f]{32})", ended.stderr)
    if step != "submit":
        assert main(["--resume", job_id, "--out", str(tmp_path / "cat.mp4")], paid) == Exit.DONE


def test_an_error_that_nobody_has_thought_of_ends_a_list_in_doubt(paid: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a cat\na dog\n", encoding="utf-8")
    arguments = ["--batch", str(tmp_path / "list.txt"), "--budget", "10", "--out", str(tmp_path / "out"), *SMALL]
    command = [sys.executable, "-c", CRASHES, "stop", *arguments]
    ended = subprocess.run(command, cwd=ROOT, env={**os.environ, **paid}, capture_output=True, text=True, timeout=60)
    assert ended.returncode == Exit.UNKNOWN
    assert "run the same command again" in ended.stderr
    assert main(arguments, paid) == Exit.DONE


def test_a_crash_of_a_preview_or_before_anything_is_sent_is_free(
    environ: dict[str, str], paid: dict[str, str], tmp_path: Path
) -> None:
    for settings, step, more in ((environ, "stop", []), (paid, "start", []), (paid, "stop", ["--estimate"])):
        command = [sys.executable, "-c", CRASHES, step, "a cat", *SMALL, "--out", str(tmp_path / "cat.mp4"), *more]
        ended = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **settings}, capture_output=True, text=True, timeout=60
        )
        assert ended.returncode == Exit.FAILED
        assert "charged" not in ended.stderr
