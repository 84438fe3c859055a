"""The console of the command line: its width, overwritten lines, and output that no console gets."""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
import struct
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from hunyuan_ui import cli
from hunyuan_ui.cli import Exit
from hunyuan_ui.cli_output import copy, target_fault
from hunyuan_ui.endpoint.contract import SUBMIT_V2
from hunyuan_ui.job import JobStatus, Payer
from tests.app_process import ROOT
from tests.faults.service import STATUS, PaidService
from tests.one_shell import SMALL
from tests.one_shell import environ as environ
from tests.one_shell import service as service
from tests.raw_service import answer
from tests.stored_jobs import job

pty = pytest.importorskip("pty")
fcntl = pytest.importorskip("fcntl")
termios = pytest.importorskip("termios")

COLOURS = [{}, {"NO_COLOR": "1"}, {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1"}, {"TERM": "dumb"}]


def at_terminal(arguments: list[str], environ: dict[str, str], columns: int) -> tuple[int, bytes, bytes]:
    """Run the command with a terminal of this width as its stderr; return its code, its stdout and its stderr."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    command = [sys.executable, "-m", "hunyuan_ui", *arguments]
    with subprocess.Popen(
        command, env={**os.environ, **environ}, cwd=ROOT, stdout=subprocess.PIPE, stderr=theirs
    ) as process:
        os.close(theirs)
        said = b""
        while piece := read(ours):
            said += piece
        told, _ = process.communicate(timeout=60)
    os.close(ours)
    return process.returncode, told, said


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other end is closed
        return b""


@pytest.mark.slow
@pytest.mark.parametrize("colours", COLOURS, ids=str)
@pytest.mark.parametrize("columns", [20, 80])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_progress_is_written_over_in_one_line_of_any_width(
    service: PaidService, environ: dict[str, str], tmp_path: Path, colours: dict[str, str], columns: int, encoding: str
) -> None:
    service.on("GET", STATUS, [answer(200, {"status": "PROCESSING"})] * 6)
    arguments = ["a cat", *SMALL, "--out", str(tmp_path / "cat.mp4"), "--json"]
    code, told, said = at_terminal(arguments, {**environ, **colours, "PYTHONIOENCODING": encoding}, columns)
    assert code == Exit.DONE, said
    assert json.loads(told)["status"] == "done"
    assert b"\x1b" not in said
    assert b"rendering" in said or b"sent" in said
    assert b"\n" not in said
    assert max(len(line.decode(encoding)) for line in said.split(b"\r")) < columns
    assert said.endswith(b"\r")
    assert said.split(b"\r")[-2].strip() == b""  # nothing of it is left


@pytest.mark.slow
@pytest.mark.parametrize("columns", [20, 60])
def test_a_lists_progress_is_written_over_too(environ: dict[str, str], tmp_path: Path, columns: int) -> None:
    (tmp_path / "list.txt").write_text("a cat\na crow\n", "utf-8")
    arguments = ["--batch", str(tmp_path / "list.txt"), "--budget", "5", "--out", str(tmp_path / "out"), *SMALL]
    code, told, said = at_terminal(arguments, {**environ, "NO_COLOR": "1"}, columns)
    assert code == Exit.DONE, said
    assert told.startswith(b"2 rows: 2 done")
    assert b"\x1b" not in said
    assert b"0 of 2" in said
    assert max(len(line.decode()) for line in said.split(b"\r")) < columns


def test_where_there_is_no_terminal_each_phase_is_a_line(environ: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hunyuan_ui", "a cat", *SMALL, "--out", str(tmp_path / "cat.mp4")]
    wide = {**os.environ, **environ, "COLUMNS": "20", "FORCE_COLOR": "1"}
    ended = subprocess.run(command, env=wide, cwd=ROOT, capture_output=True, timeout=60, check=True)
    for stream in (ended.stdout, ended.stderr):
        assert b"\r" not in stream
        assert b"\x1b" not in stream
    phases = ended.stderr.splitlines()
    assert phases
    assert len(set(phases)) == len(phases)


def test_a_command_starts_without_the_page_and_without_the_local_endpoint() -> None:
    code = "import sys, hunyuan_ui.cli, hunyuan_ui.jobs; print(*{'fastapi', 'gradio', 'PIL', 'av'} & {*sys.modules})"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == []


@pytest.mark.slow
@pytest.mark.parametrize("columns", ["1", "20", "0", "x"])
@pytest.mark.parametrize("program", [["-m", "hunyuan_ui"], ["app.py"]], ids=["command line", "page"])
def test_the_help_is_whole_at_any_width(environ: dict[str, str], columns: str, program: list[str]) -> None:
    narrow = {**os.environ, **environ, "COLUMNS": columns, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, *program, "--help"]
    ended = subprocess.run(command, env=narrow, cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"usage" in ended.stdout
    assert b"\x1b" not in ended.stdout


@pytest.mark.slow
@pytest.mark.parametrize("arguments", ["--help", "--no-such-option"])
@pytest.mark.parametrize("program", ["-m hunyuan_ui", "app.py"], ids=["command line", "page"])
def test_what_cannot_be_shown_changes_no_exit_code(environ: dict[str, str], program: str, arguments: str) -> None:
    command = f"{shlex.quote(sys.executable)} {program} {arguments} >/dev/full 2>/dev/full"
    ended = subprocess.run(command, shell=True, env={**os.environ, **environ}, cwd=ROOT, timeout=60, check=False)
    assert ended.returncode == (0 if arguments == "--help" else 2)


@pytest.mark.slow
@pytest.mark.parametrize("evil", ["\x1b[2J\x1b]0;owned\x07", "\r overwritten", "\x9b31m", "\b\b\b"])
def test_what_a_service_says_moves_no_cursor(
    service: PaidService, environ: dict[str, str], tmp_path: Path, evil: str
) -> None:
    service.on("POST", SUBMIT_V2, answer(400, {"error": f"no {evil} video"}))
    arguments = ["a cat", *SMALL, "--out", str(tmp_path / "cat.mp4")]
    code, _, said = at_terminal(arguments, environ, 200)
    assert code == Exit.FAILED
    assert b"video" in said
    last = said.decode().replace("\r\n", "\n").rpartition("\r")[2]
    assert all(letter.isprintable() or letter == "\n" for letter in last), last


@pytest.mark.parametrize(
    ("status", "cost_microusd", "payer", "code"),
    [
        (JobStatus.FAILED, None, "owner", Exit.FAILED),
        (JobStatus.FAILED, 1, "owner", Exit.UNKNOWN),
        (JobStatus.UNKNOWN, None, "owner", Exit.UNKNOWN),
        (JobStatus.LOST, 1, "visitor", Exit.UNKNOWN),
        (JobStatus.LOST, 0, "nobody", Exit.FAILED),
    ],
)
def test_what_may_have_been_charged_is_no_plain_failure(
    status: JobStatus, cost_microusd: int | None, payer: Payer, code: Exit
) -> None:
    ended = job(status=status, cost_microusd=cost_microusd, payer=payer)
    assert cli._without_video(ended, Namespace(json=False)) is code


# the target of a video


def test_whether_a_target_can_be_written_is_found_out_without_a_change(tmp_path: Path) -> None:
    kept, new = tmp_path / "kept.mp4", tmp_path / "new.mp4"
    kept.write_bytes(b"of another video")
    assert [target_fault(kept), target_fault(new)] == [None, None]
    assert kept.read_bytes() == b"of another video"
    assert not new.exists()


@pytest.mark.parametrize("name", ["cat.mp4", "link.mp4", "x" * 251 + ".mp4"], ids=["file", "link", "long name"])
@pytest.mark.parametrize("was_there", [False, True])
def test_a_copy_that_fails_leaves_no_new_file_and_changes_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, was_there: bool, name: str
) -> None:
    (tmp_path / "link.mp4").symlink_to(tmp_path / "led to.mp4")
    kept, target = tmp_path / "kept.mp4", tmp_path / name
    kept.write_bytes(b"the whole")
    if was_there:
        target.write_bytes(b"of another video")

    def fail(_: Path, to: Path) -> None:
        to.write_bytes(b"a part")
        raise OSError(errno.ENOSPC, "full")

    before = sorted(path.name for path in tmp_path.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr("shutil.copyfile", fail)
        with pytest.raises(OSError, match="full"):
            copy(kept, target)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert not was_there or target.read_bytes() == b"of another video"
    copy(kept, target)
    assert target.read_bytes() == b"the whole"
    assert (tmp_path / "link.mp4").is_symlink()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY], ids=errno.errorcode.get)
@pytest.mark.parametrize("step", ["copyfile", "replace"])
def test_a_file_that_may_be_written_is_written_in_a_folder_that_may_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, step: str
) -> None:
    kept, target, copied = tmp_path / "kept.mp4", tmp_path / "cat.mp4", shutil.copyfile
    kept.write_bytes(b"the whole")
    target.write_bytes(b"of another video")

    def copy_file(source: Path, to: Path) -> None:
        if to != target and step == "copyfile":
            raise OSError(number, "closed")
        copied(source, to)

    def replace(*_: object) -> None:
        raise OSError(number, "closed")

    monkeypatch.setattr("shutil.copyfile", copy_file)
    monkeypatch.setattr(Path, "replace", replace)
    copy(kept, target)
    assert target.read_bytes() == b"the whole"
    assert len(list(tmp_path.iterdir())) == 2
    target.unlink()
    with pytest.raises(OSError, match="closed"):
        copy(kept, target)
    assert not target.exists()


def test_a_copy_keeps_who_may_read_what_it_replaces(tmp_path: Path) -> None:
    kept, target = tmp_path / "kept.mp4", tmp_path / "cat.mp4"
    kept.write_bytes(b"the whole")
    target.touch(mode=0o600)
    copy(kept, target)
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (b"the whole", 0o600)
