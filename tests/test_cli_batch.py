"""Prompt lists on the command line, in separate processes, against a service with its own bill."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from hunyuan_ui import cli_batch
from hunyuan_ui.cli import Exit, main
from hunyuan_ui.endpoint.contract import SUBMIT_V2
from hunyuan_ui.errors import MediaError, StorageError
from hunyuan_ui.job import JobStatus, Payer, new_id
from hunyuan_ui.jobs import Entry
from hunyuan_ui.media import check_mp4
from hunyuan_ui.prompt_list import Row
from hunyuan_ui.request import VideoRequest
from tests.faults.service import COST_USD, STATUS, PaidService
from tests.one_shell import PROGRAM, ROOT, SMALL, started
from tests.one_shell import environ as environ
from tests.one_shell import service as service
from tests.raw_service import answer
from tests.stored_jobs import job
from tests.test_cli import C_LOCALE


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    file = tmp_path / "boats.csv"
    file.write_text('prompt,seed\n"a {red|blue} boat, at sea",7\n=cmd|calc,\na crow,\n', "utf-8")
    return file


def ran(
    capsys: pytest.CaptureFixture[str], environ: dict[str, str], prompts: Path, *arguments: str
) -> tuple[int, dict[str, Any], str]:
    out = str(prompts.parent / "out")
    code = main(["--batch", str(prompts), "--budget", "5", "--out", out, "--json", *SMALL, *arguments], environ)
    said = capsys.readouterr()
    return code, json.loads(said.out or "{}"), said.err


def test_a_list_becomes_a_folder_and_the_same_command_pays_for_nothing_again(
    service: PaidService, environ: dict[str, str], prompts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, facts, _ = ran(capsys, environ, prompts)
    assert (code, facts["done"], facts["not_sent"], facts["files"]) == (Exit.DONE, 4, 0, 4)
    assert facts["spent_usd"] == pytest.approx(0.08)
    folder = prompts.parent / "out"
    with (folder / "list.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["prompt"] for row in rows] == ["a red boat, at sea", "a blue boat, at sea", "'=cmd|calc", "a crow"]
    assert [row["seed"] for row in rows][:2] == ["7", "7"]
    assert [(row["state"], float(row["cost_usd"])) for row in rows] == [("done", 0.02)] * 4
    for row in rows:
        check_mp4(folder / row["file"])
    kept = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.mp4")}
    assert set(kept) == {row["file"] for row in rows}
    code, facts, _ = ran(capsys, environ, prompts)
    assert (code, facts["done"]) == (Exit.DONE, 4)
    assert {path.name: path.stat().st_mtime_ns for path in folder.glob("*.mp4")} == kept
    assert set(service.posts().values()) == {1}
    assert len(service.posts()) == 4


def test_a_video_that_was_spoiled_in_the_folder_is_put_there_again(
    service: PaidService, environ: dict[str, str], prompts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran(capsys, environ, prompts)
    whole = {path: path.read_bytes() for path in (prompts.parent / "out").glob("*.mp4")}
    zeros, flipped, cut, gone = whole
    zeros.write_bytes(bytes(len(whole[zeros])))  # as a power cut leaves a file whose name came before its content
    flipped.write_bytes(whole[flipped][:-1] + bytes([whole[flipped][-1] ^ 1]))
    cut.write_bytes(whole[cut][:-1])
    gone.unlink()
    code, facts, _ = ran(capsys, environ, prompts)
    assert (code, facts["files"], len(service.posts())) == (Exit.DONE, 4, 4)
    assert {path: path.read_bytes() for path in whole} == whole


def test_a_seed_that_a_row_lacks_is_random_and_stays(
    service: PaidService, environ: dict[str, str], prompts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts.write_text("prompt\na crow\na crow\n", "utf-8")
    ran(capsys, environ, prompts)
    bodies = [json.loads(body) for _, body in service.bill]
    assert len({body["seed"] for body in bodies}) == 2
    ran(capsys, environ, prompts)
    assert len(service.bill) == 2


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        ("prompt,width\na fox,wide\n,5", [], "line 2: Width: wide is not a number"),
        ("prompt,width\na fox,wide\n,5", [], "2 to put right. Nothing was sent"),
        ("", [], "the list: The list is empty"),
        ("a fox", ["--budget", "1e5"], "is not a number such as"),
        ("a fox", ["--budget", "-1"], "use a number"),
        ("a fox", ["--picks", "1.5"], "outside the range"),
        ("a fox", ["a crow"], "leave the single prompt"),
        ("a fox", ["--resume", "0" * 32], "leave the single prompt"),
        ("a fox", ["--out", "/proc/nowhere"], "is missing, closed or full"),
        ("a fox", ["--batch", "/nowhere.txt"], "cannot be read (No such file"),
        ("a fox", ["--frames", "78"], "Use 77 or 81"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_sent(
    service: PaidService,
    environ: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text: str,
    arguments: list[str],
    said: str,
) -> None:
    file = tmp_path / "list"
    file.write_text(text, "utf-8")
    base = ["--batch", str(file), "--budget", "5", "--out", str(tmp_path / "out")]
    try:
        code = main([*base, *arguments], environ)
    except SystemExit as ended:
        code = int(str(ended.code))
    assert code == Exit.USAGE
    assert said.lower() in capsys.readouterr().err.lower()
    assert service.requests == []


@pytest.mark.parametrize("left_out", ["--budget", "--out"])
def test_budget_and_folder_are_needed(
    environ: dict[str, str], prompts: Path, capsys: pytest.CaptureFixture[str], left_out: str
) -> None:
    options = {"--batch": str(prompts), "--budget": "5", "--out": str(prompts.parent / "out")}
    arguments = [part for name, value in options.items() if name != left_out for part in (name, value)]
    assert main(arguments, environ) == Exit.USAGE
    assert f"{left_out}:" in capsys.readouterr().err


def test_the_price_of_a_list_is_said_and_nothing_is_sent(
    service: PaidService, environ: dict[str, str], prompts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--batch", str(prompts), "--estimate"], environ) == Exit.DONE
    assert "4 of 4 videos still to make: about 3.5 min and $5.86, at most $8.79" in capsys.readouterr().out
    assert service.requests == []


def test_the_budget_ends_a_list_and_a_higher_one_goes_on(
    service: PaidService, environ: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service.cost_usd = COST_USD
    file = tmp_path / "many.txt"
    file.write_text("\n".join(f"a heron, take {number}" for number in range(9)), "utf-8")
    arguments = ["--batch", str(file), "--out", str(tmp_path / "out"), "--json"]
    assert main([*arguments, "--budget", "6"], environ) == Exit.LIMIT
    said = capsys.readouterr()
    facts = json.loads(said.out)
    assert facts["done"] == len(service.bill) == 3
    assert facts["not_sent"] == 6
    assert facts["spent_usd"] == pytest.approx(3 * COST_USD)
    assert "budget of $6.00 leaves $1.62" in said.err
    assert main([*arguments, "--budget", "18"], environ) == Exit.DONE
    assert set(service.posts().values()) == {1}
    assert len(service.bill) == 9


def test_a_list_whose_rows_became_too_dear_ends_as_limited(
    service: PaidService, environ: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service.cost_usd = 9.0
    limits = {"HUNYUAN_UI_DAILY_LIMIT_USD": "200", "HUNYUAN_UI_VIDEO_LIMIT_USD": "5", "HUNYUAN_UI_CONCURRENCY": "1"}
    file = tmp_path / "herons.txt"
    file.write_text("a heron\nan owl\na stork", "utf-8")
    arguments = ["--batch", str(file), "--budget", "100", "--out", str(tmp_path / "out"), "--json"]
    assert main(arguments, {**environ, **limits}) == Exit.LIMIT
    assert (json.loads(capsys.readouterr().out)["done"], len(service.bill)) == (1, 1)


def test_a_dear_video_needs_a_yes(
    service: PaidService, environ: dict[str, str], prompts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dear = ["--width", "1280", "--height", "720", "--frames", "129", "--budget", "50"]
    code, _, said = ran(capsys, environ, prompts, *dear)
    assert code == Exit.LIMIT
    assert "--yes" in said
    assert service.bill == []


def test_failed_rows_are_made_again_by_wish(
    service: PaidService, environ: dict[str, str], prompts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service.on("POST", SUBMIT_V2, [answer(422, {"error": "no"})])
    code, facts, _ = ran(capsys, environ, prompts)
    assert (code, facts["failed"], facts["done"]) == (Exit.FAILED, 1, 3)
    code, facts, _ = ran(capsys, environ, prompts)
    assert (code, facts["failed"]) == (Exit.FAILED, 1)
    code, facts, _ = ran(capsys, environ, prompts, "--retry-failed")
    assert (code, facts["done"]) == (Exit.DONE, 4)
    assert sum(service.posts().values()) == 5


def test_a_row_in_doubt_is_told_by_the_exit_code_and_not_sent_again(
    service: PaidService, environ: dict[str, str], prompts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service.on("POST", SUBMIT_V2, [answer(502)])
    for _ in range(2):
        code, facts, _ = ran(capsys, environ, prompts)
        assert (code, facts["unknown"], facts["done"]) == (Exit.UNKNOWN, 1, 3)
    assert sum(service.posts().values()) == 4


@pytest.mark.parametrize("code", ["database_away", "ledger_unreadable"])
def test_a_list_that_can_no_longer_be_followed_is_not_said_to_be_free_and_goes_on_with_the_same_command(
    service: PaidService,
    environ: dict[str, str],
    prompts: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    code: str,
) -> None:
    async def fail(*_: object) -> None:
        raise StorageError(code)

    with monkeypatch.context() as patch:
        patch.setattr(cli_batch, "_followed", fail)
        ended, _, said = ran(capsys, environ, prompts)
    assert ended == Exit.UNKNOWN
    assert "Nothing was sent" not in said
    assert "nothing is paid twice" in said
    ended, facts, _ = ran(capsys, environ, prompts)
    assert (ended, facts["done"]) == (Exit.DONE, 4)
    assert set(service.posts().values()) == {1}


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_list_goes_on_with_the_same_command(
    service: PaidService,
    environ: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    how: signal.Signals,
) -> None:
    file = tmp_path / "many.txt"
    file.write_text("\n".join(f"a heron, take {number}" for number in range(12)), "utf-8")
    arguments = ["--batch", str(file), "--budget", "50", "--out", str(tmp_path / "out"), "--json", *SMALL]
    service.on("GET", STATUS, answer(200, {"status": "PROCESSING"}))
    with started(arguments, {**environ, "HUNYUAN_UI_CONCURRENCY": "2"}) as process:
        while len(service.bill) < 2:
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        process.send_signal(how)
        said, told = process.communicate(timeout=60)
    service._scripts.clear()
    if how is not signal.SIGKILL:
        assert process.returncode == Exit.GOES_ON, told
        facts = json.loads(said)
        assert facts["running"] == len(service.bill) == 2
        assert "Run the same command again" in told
        assert "Traceback" not in told
    code = main(arguments, environ)
    facts = json.loads(capsys.readouterr().out)
    in_doubt = facts.get("unknown", 0)
    assert code == (Exit.UNKNOWN if in_doubt else Exit.DONE)
    assert facts["done"] == 12 - in_doubt
    assert in_doubt <= (2 if how is signal.SIGKILL else 0)
    assert Counter(service.posts().values()) == Counter({1: 12})


@pytest.mark.parametrize(("out", "words"), [(".", "is the list itself"), ("data/videos", "keeps its own files")])
def test_neither_the_list_nor_a_kept_video_is_written_over(
    service: PaidService,
    environ: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    out: str,
    words: str,
) -> None:
    file = tmp_path / "list.csv"
    file.write_text("prompt\na cat\n", "utf-8")
    arguments = ["--batch", str(file), "--budget", "5", *SMALL]
    assert main([*arguments, "--out", str(tmp_path / out)], environ) == Exit.USAGE
    assert words in capsys.readouterr().err
    assert (service.bill, file.read_text("utf-8")) == ([], "prompt\na cat\n")


def test_a_folder_without_room_is_refused_before_anything_is_paid(
    service: PaidService, environ: dict[str, str], prompts: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cli_batch, "has_room", lambda _: False)
    assert main(["--batch", str(prompts), "--budget", "5", "--out", str(tmp_path), *SMALL], environ) == Exit.USAGE
    assert service.bill == []


def test_a_video_that_cannot_be_put_there_is_said_to_be_kept(
    environ: dict[str, str], prompts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, _ = ran(capsys, environ, prompts)
    assert code == Exit.DONE
    out = prompts.parent / "out"
    (video, *_) = sorted(out.glob("*.mp4"))
    video.unlink()
    video.mkdir()
    (video / "in the way").touch()
    code, facts, said = ran(capsys, environ, prompts)
    assert (code, facts["files"], len(facts["not_copied"])) == (Exit.NOT_COPIED, 3, 1)
    assert "nothing is paid twice" in said


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("name", ["list.txt", "list.TXT", "list"])
def test_a_spreadsheets_text_file_is_its_table(
    environ: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], encoding: str, name: str
) -> None:
    file = tmp_path / name
    file.write_text("prompt\tseed\na red boat\t5\n", encoding)  # as a spreadsheet saves "Text (tab delimited)"
    assert main(["--batch", str(file), "--estimate", "--json"], environ) == Exit.DONE
    assert json.loads(capsys.readouterr().out)["rows"] == 1


@pytest.mark.slow
def test_another_encoding_of_the_console_is_the_same_list(
    service: PaidService, environ: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "кот · 猫.txt"
    file.write_text("ein Kätzchen 猫 🐈", "utf-8")
    for more in ({}, C_LOCALE, {"PYTHONIOENCODING": "ascii"}):
        arguments = ["--batch", str(file), "--budget", "5", "--out", str(tmp_path / "out"), "--json", *SMALL]
        ended = subprocess.run(
            [*PROGRAM, *arguments],
            env={**os.environ, **environ, **more},
            cwd=ROOT,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == Exit.DONE, ended.stderr
        assert ended.stdout.isascii()
    assert len(service.bill) == 1


@pytest.mark.parametrize(("payer", "code"), [("owner", Exit.UNKNOWN), ("nobody", Exit.FAILED)])
def test_only_what_may_have_been_charged_is_in_doubt(payer: Payer, code: Exit) -> None:
    lost = SimpleNamespace(job=job(status=JobStatus.LOST, payer=payer))
    view: Any = SimpleNamespace(entries=[lost], problem=None, done=0, rows=1)
    made: Any = SimpleNamespace(problems={})
    assert cli_batch._exit(view, made) is code


def test_a_video_that_was_deleted_is_neither_copied_nor_missed(tmp_path: Path) -> None:
    nobody: Any = None
    request = VideoRequest.parse({"prompt": "a cat"})
    deleted = Entry(Row(1, 0, request), new_id(), request, job(status=JobStatus.DONE), is_deleted=True)
    made = cli_batch._Made(nobody, nobody, tmp_path)
    asyncio.run(made.collect([deleted]))
    assert (made.files, made.problems, list(tmp_path.iterdir())) == ({}, {}, [])


def test_a_video_that_could_be_copied_at_last_is_no_problem(tmp_path: Path) -> None:
    kept = tmp_path / "kept.mp4"
    kept.write_bytes(b"video")
    runner: Any = SimpleNamespace(video_path=AsyncMock(side_effect=[MediaError("video_missing"), kept]))
    owner: Any = None
    request = VideoRequest.parse({"prompt": "a cat"})
    entry = Entry(Row(1, 0, request), new_id(), request, job(status=JobStatus.DONE))
    made = cli_batch._Made(runner, owner, tmp_path)
    for is_copied in (False, True):
        asyncio.run(made.collect([entry]))
        assert (entry.job_id in made.files, entry.job_id in made.problems) == (is_copied, not is_copied)


@pytest.mark.parametrize(
    ("rest", "problem", "code"),
    [
        (None, None, Exit.GOES_ON),
        (JobStatus.CANCELLED, None, Exit.GOES_ON),
        (JobStatus.RUNNING, None, Exit.GOES_ON),
        (None, "list_without_videos", Exit.FAILED),
        (None, "over_list_budget", Exit.LIMIT),
        (JobStatus.FAILED, None, Exit.FAILED),
        (JobStatus.DONE, None, Exit.DONE),
    ],
)
def test_the_exit_code_says_whether_the_same_command_would_go_on(
    rest: JobStatus | None, problem: str | None, code: Exit
) -> None:
    entries = [SimpleNamespace(job=status and job(status=status)) for status in (JobStatus.DONE, rest)]
    ended = problem and SimpleNamespace(code=problem)
    view: Any = SimpleNamespace(entries=entries, problem=ended, done=1 + (rest is JobStatus.DONE), rows=2)
    made: Any = SimpleNamespace(problems={})
    assert cli_batch._exit(view, made) is code
