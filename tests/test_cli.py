from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hunyuan_ui.cli import Exit, build_parser, main
from hunyuan_ui.data_folder import DataFolder
from hunyuan_ui.endpoint.contract import SUBMIT_V2
from hunyuan_ui.errors import StorageError
from hunyuan_ui.jobs import endings
from hunyuan_ui.jobs.endings import Ending, Proof
from hunyuan_ui.jobs.job_watch import JobWatch
from hunyuan_ui.ledger import Ledger
from hunyuan_ui.local_endpoint.app import create_app
from hunyuan_ui.local_endpoint.serving import serve
from hunyuan_ui.media import check_mp4
from hunyuan_ui.request import parameters
from tests.browser.paid_endpoint import paid_endpoint
from tests.one_shell import PROGRAM, ROOT, SMALL, started
from tests.raw_service import RawService, answer, html
from tests.videos import encoded_bytes, mp4_bytes

C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HUNYUAN_UI_DATA_DIR": str(tmp_path / "data"), "HUNYUAN_UI_POLL_SECONDS": "0.05"}


@pytest.fixture
def paid(environ: dict[str, str]) -> Iterator[dict[str, str]]:
    server = serve(create_app(seconds=0.1), "127.0.0.1", 0)
    yield {**environ, "SEGMIND_API_KEY": "SG_00112233aabbccdd", "SEGMIND_BASE_URL": server.url}
    server.close()


def test_a_prompt_becomes_an_mp4(paid: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "cat.mp4"
    assert main(["a cat", *SMALL, "--seed", "7", "--out", str(target), "--json"], paid) == Exit.DONE
    check_mp4(target)
    facts = json.loads(capsys.readouterr().out)
    assert facts["request"]["seed"] == 7
    assert (facts["width"], facts["height"], facts["frames"], facts["status"]) == (64, 48, 5, "done")
    assert facts["cost_usd"] > 0


def test_without_a_key_it_is_a_free_preview(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hunyuan_ui.local_endpoint.app.create_app", partial(create_app, seconds=0.05))
    target = tmp_path / "cat.mp4"
    assert main(["a cat", *SMALL, "--out", str(target)], environ) == Exit.DONE
    check_mp4(target)


def test_an_estimate_sends_nothing(paid: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["a cat", "--estimate", "--json"], paid) == Exit.DONE
    facts = json.loads(capsys.readouterr().out)
    assert (round(facts["seconds"]), facts["cost_usd"], facts["width"]) == (211, 1.4642, 864)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["a cat", "--frames", "78"], Exit.USAGE, "Use 77 or 81"),
        (["a cat", "--width", "2000"], Exit.USAGE, "1 to 1280"),
        ([" "], Exit.USAGE, "nothing is written"),
        ([], Exit.USAGE, "Prompt"),
        (["--resume", "nonsense"], Exit.USAGE, "32 hexadecimal"),
        (["--resume", ""], Exit.USAGE, "32 hexadecimal"),
        (["a cat", "--resume", ""], Exit.USAGE, "its own prompt"),
        (["--resume", "0" * 32, "--seed", "0"], Exit.USAGE, "its own prompt"),
        (["a cat", "--budget", "0"], Exit.USAGE, "--budget: this is for a list"),
        (["a cat", "--picks-seed", "0"], Exit.USAGE, "--picks-seed: this is for a list"),
        (["a cat", "--retry-failed"], Exit.USAGE, "--retry-failed: this is for a list"),
        (["--resume", "0" * 32], Exit.FAILED, "no such video"),
        (["a cat", "--width", "1280", "--height", "720", "--frames", "129"], Exit.LIMIT, "--yes"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_sent(
    paid: dict[str, str], capsys: pytest.CaptureFixture[str], arguments: list[str], code: Exit, words: str
) -> None:
    assert main(arguments, paid) == code
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(("limit", "words"), [("1", "$1.00 leaves $1.00"), ("", "$20.00 leaves $20.00")])
def test_a_daily_limit_holds_here_too_and_is_said_with_its_cure(
    paid: dict[str, str], capsys: pytest.CaptureFixture[str], limit: str, words: str
) -> None:
    largest = ["a cat", "--yes", "--width=1280", "--height=1280", "--frames=129", "--steps=70"]
    assert main(largest, {**paid, "HUNYUAN_UI_DAILY_LIMIT_USD": limit}) == Exit.LIMIT
    said = capsys.readouterr().err
    assert f"Today's limit of {words}" in said
    assert "Nothing was sent" in said
    assert "a higher HUNYUAN_UI_DAILY_LIMIT_USD" in said


def test_a_wrong_setting_is_named(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["a cat"], {**environ, "HUNYUAN_UI_API": "v3"}) == Exit.USAGE
    assert "HUNYUAN_UI_API" in capsys.readouterr().err


def test_an_unknown_setting_stops_here_too(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["a cat"], {**environ, "SEGMIND_KEY": "SG_00112233aabbccdd"}) == Exit.USAGE
    said = capsys.readouterr().err
    assert said == "SEGMIND_KEY: there is no such setting; the nearest one is SEGMIND_API_KEY\n"


@pytest.mark.parametrize("text", ["1_0", "１０", "1e1", "+5", "0x10", "nan", "inf", "5.", "--5", "٣"])
@pytest.mark.parametrize("option", ["--steps", "--flow-shift", "--seed"])
def test_a_number_is_written_as_people_write_it(option: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args(["a cat", f"{option}={text}"])
    assert ended.value.code == 2
    assert "is not a number such as" in capsys.readouterr().err


def test_an_interrupted_job_is_resumed_and_paid_once(environ: dict[str, str], tmp_path: Path) -> None:
    target = tmp_path / "cat.mp4"
    with paid_endpoint(seconds=0.1) as endpoint:
        with endpoint.rendering(), started(["a cat", *SMALL], {**environ, **endpoint.settings}) as process:
            assert process.stderr is not None
            lines = iter(process.stderr.readline, "")
            assert any("rendering" in line.lower() for line in lines)
            process.send_signal(signal.SIGINT)
            said = "".join(lines)
            assert process.wait(60) == Exit.GOES_ON
        job_id = said.rsplit("--resume ", 1)[1].split()[0]
        assert main(["--resume", job_id, "--out", str(target)], {**environ, **endpoint.settings}) == Exit.DONE
        assert endpoint.posts == {"a cat": 1}
    check_mp4(target)


# output to any console


@pytest.fixture
def service() -> Iterator[RawService]:
    """A service that keeps its own bill."""
    with RawService() as running:
        running.serve_v2(mp4_bytes())
        yield running


@pytest.fixture
def spends(service: RawService, environ: dict[str, str]) -> dict[str, str]:
    return {**environ, "SEGMIND_API_KEY": "SG_00112233aabbccdd", "SEGMIND_BASE_URL": service.origin}


def run(
    arguments: list[str], environ: dict[str, str], console: str = "", **options: Any
) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a shell with a redirected console, such as `>/dev/full`."""
    shell = ["bash", "-o", "pipefail", "-c", f"{shlex.join([*PROGRAM, *arguments])} {console}"]
    return subprocess.run(shell, env={**os.environ, **environ}, cwd=ROOT, capture_output=True, timeout=60, **options)


@pytest.mark.slow
@pytest.mark.parametrize(
    "encoding",
    [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "cp1252"}, {"PYTHONIOENCODING": "shift_jis:strict"}, C_LOCALE],
    ids=["ascii", "cp1252", "shift_jis", "LANG=C"],
)
@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_a_name_that_the_console_cannot_show_changes_nothing(
    service: RawService, spends: dict[str, str], tmp_path: Path, encoding: dict[str, str], form: list[str]
) -> None:
    target = tmp_path / "кот · 猫 🐈.mp4"
    ended = run(["ein Kätzchen 猫", *SMALL, "--out", str(target), *form], {**spends, **encoding})
    assert ended.returncode == Exit.DONE, ended.stderr
    check_mp4(target)
    assert len(service.bill) == 1
    assert json.loads(service.bill[0][1])["prompt"] == "ein Kätzchen 猫"
    assert b"Traceback" not in ended.stderr
    if form:
        assert ended.stdout.isascii()
        assert Path(json.loads(ended.stdout)["file"].encode("utf-8", "surrogateescape").decode()) == target
    else:
        assert b".mp4" in ended.stdout


@pytest.mark.skipif(os.name == "nt", reason="arguments are bytes on POSIX only")
@pytest.mark.parametrize("option", [[], ["--negative-prompt"]], ids=["prompt", "negative prompt"])
def test_a_prompt_in_another_encoding_is_not_guessed_at(
    service: RawService, spends: dict[str, str], option: list[str]
) -> None:
    given = [*option, os.fsdecode("红船在雨中".encode("gbk"))]
    ended = run(["a cat", *SMALL, *given] if option else [*given, *SMALL], spends)
    assert (ended.returncode, service.bill) == (Exit.USAGE, [])
    assert b"not text in UTF-8" in ended.stderr


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
@pytest.mark.parametrize("console", [">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full", "| head -c 0"])
def test_a_console_that_takes_nothing_changes_nothing(
    service: RawService, spends: dict[str, str], tmp_path: Path, console: str
) -> None:
    form = ["--json"] if ">&-" in console else []
    target = tmp_path / "cat.mp4"
    ended = run(["a cat", *SMALL, "--out", str(target), *form], spends, console)
    assert ended.returncode == Exit.DONE, ended.stderr
    check_mp4(target)
    assert len(service.bill) == 1
    assert b"Traceback" not in ended.stderr
    assert b"Exception ignored" not in ended.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["a cat", "--estimate", "--json"]], ids=["help", "estimate"])
def test_what_sends_nothing_does_not_fail_on_a_full_disk_either(arguments: list[str], spends: dict[str, str]) -> None:
    ended = run(arguments, spends, ">/dev/full")
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_a_refusal_is_a_refusal_whatever_can_be_shown(service: RawService, spends: dict[str, str]) -> None:
    service.on("POST", SUBMIT_V2, answer(400, {"error": "Größe 猫"}))
    codes = {run(["a cat", *SMALL], {**spends, "PYTHONIOENCODING": "ascii"}, way).returncode for way in ("", "2>&-")}
    assert codes == {Exit.FAILED}
    assert service.bill == []


def test_json_is_alone_on_stdout_and_progress_on_stderr(spends: dict[str, str], tmp_path: Path) -> None:
    ended = run(["a cat", *SMALL, "--out", str(tmp_path / "cat.mp4"), "--json"], spends)
    assert ended.stdout.count(b"\n") == 1
    assert json.loads(ended.stdout)["status"] == "done"
    assert b"sent" in ended.stderr


def test_a_job_that_may_have_been_charged_is_not_one_to_send_again(service: RawService, spends: dict[str, str]) -> None:
    service.on("POST", SUBMIT_V2, html(502))
    ended = run(["a cat", *SMALL, "--json"], spends)
    assert ended.returncode == Exit.UNKNOWN
    assert json.loads(ended.stdout)["status"] == "unknown"
    assert b"not sent again" in ended.stderr


@pytest.fixture
def lost_id(
    service: RawService, spends: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """The id of a job whose video was paid for and is not at the service."""
    monkeypatch.setattr(endings, "PROOFS", dict.fromkeys(Ending, Proof(1, 0.0)))
    service.on("GET", "/files/*", [answer(404, {"error": "not found"})] * 3)
    assert main(["a cat", *SMALL, "--json"], spends) == Exit.UNKNOWN
    facts = json.loads(capsys.readouterr().out)
    assert (facts["status"], facts["cost_usd"]) == ("lost", 1.46)
    return facts["job_id"]


def test_a_lost_video_is_looked_for_again_and_is_not_one_to_send_again(
    service: RawService, spends: dict[str, str], tmp_path: Path, lost_id: str
) -> None:
    service.on("GET", "/files/*", answer(200, mp4_bytes(), content_type="video/mp4"))
    target = tmp_path / "cat.mp4"
    assert main(["--resume", lost_id, "--out", str(target)], spends) == Exit.DONE
    check_mp4(target)
    assert len(service.bill) == 1


@pytest.mark.parametrize("fault", ["held", "busy", "unreadable"])
def test_a_lost_video_that_cannot_be_looked_for_now_is_not_one_to_send_again(
    spends: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    lost_id: str,
    fault: str,
) -> None:
    held = DataFolder(tmp_path / "data") if fault == "held" else None

    def fail(*_: object, **__: object) -> None:
        raise StorageError("ledger_busy" if fault == "busy" else "ledger_unreadable")

    if held is None:
        monkeypatch.setattr(Ledger, "retry_lost" if fault == "busy" else "get", fail)
    assert main(["--resume", lost_id], spends) == Exit.UNKNOWN
    said = capsys.readouterr().err
    assert "seven days" not in said
    assert {"held": "stop the other copy", "busy": "counts as charged", "unreadable": "damaged"}[fault] in said
    if held is not None:
        held.close()


def test_a_new_video_whose_ledger_cannot_be_read_any_more_is_not_one_to_send_again(
    service: RawService, spends: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise StorageError("ledger_unreadable")

    monkeypatch.setattr(JobWatch, "wait", fail)
    assert main(["a cat", *SMALL], spends) == Exit.UNKNOWN
    assert "Nothing was sent" not in capsys.readouterr().err


def test_a_failure_that_was_charged_is_not_one_to_send_again(
    service: RawService,
    spends: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(endings, "PROOFS", dict.fromkeys(Ending, Proof(1, 0.0)))
    failed = answer(422, {"status": "FAILED", "error": "out of memory", "metrics": {"cost": 1.46}})
    service.on("GET", "/v2/requests/*", failed)
    service.on("GET", "*/request-history/*", answer(404, {"error": "not found"}))
    assert main(["a cat", *SMALL, "--json"], spends) == Exit.UNKNOWN
    assert json.loads(capsys.readouterr().out)["cost_usd"] > 0


def test_a_video_that_is_no_mp4_keeps_its_kind(
    service: RawService, spends: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.on("GET", "/files/*", answer(200, encoded_bytes(), content_type="video/webm"))
    monkeypatch.chdir(tmp_path)
    assert main(["a cat", *SMALL], spends) == Exit.DONE
    assert len(list(tmp_path.glob("*.webm"))) == 1


# a copy that fails


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_a_video_that_cannot_be_copied_is_kept_and_said_to_be_made(
    service: RawService,
    spends: dict[str, str],
    tmp_path: Path,
    form: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", full)
        assert main(["a cat", *SMALL, "--out", str(tmp_path / "full.mp4"), *form], spends) == Exit.NOT_COPIED
    told = capsys.readouterr()
    said = told.err
    assert "made and kept" in said
    assert "would pay again" in said
    (kept,) = (tmp_path / "data" / "videos").glob("*.mp4")
    assert str(kept) in said
    if form:
        facts = json.loads(told.out)
        assert (facts["status"], facts["file"]) == ("done", str(kept))
    target = tmp_path / "cat.mp4"
    assert main(["--resume", kept.stem, "--out", str(target)], spends) == Exit.DONE
    check_mp4(target)
    assert len(service.bill) == 1


def test_a_folder_that_goes_away_leaves_no_half_video(
    service: RawService, spends: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(_: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", half)
    assert main(["a cat", *SMALL, "--out", str(tmp_path / "cat.mp4")], spends) == Exit.NOT_COPIED
    assert not (tmp_path / "cat.mp4").exists()
    assert len(service.bill) == 1


def test_a_video_that_was_deleted_is_not_one_to_send_again(
    spends: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["a cat", *SMALL, "--out", str(tmp_path / "cat.mp4"), "--json"], spends) == Exit.DONE
    job_id = json.loads(capsys.readouterr().out)["job_id"]
    (tmp_path / "data" / "videos" / f"{job_id}.mp4").unlink()
    assert main(["--resume", job_id, "--out", str(tmp_path / "again.mp4")], spends) == Exit.NOT_COPIED
    assert "would pay again" in capsys.readouterr().err


def test_a_video_on_a_disk_that_is_not_connected_is_not_one_to_send_again(
    spends: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["a cat", *SMALL, "--out", str(tmp_path / "cat.mp4"), "--json"], spends) == Exit.DONE
    job_id = json.loads(capsys.readouterr().out)["job_id"]
    videos = tmp_path / "data" / "videos"
    videos.rename(tmp_path / "disk")
    videos.symlink_to("x" * 300)  # every question about it fails
    assert main(["--resume", job_id, "--out", str(tmp_path / "again.mp4")], spends) == Exit.NOT_COPIED
    assert "would pay again" in capsys.readouterr().err
    videos.unlink()
    (tmp_path / "disk").rename(videos)
    assert main(["--resume", job_id, "--out", str(tmp_path / "again.mp4")], spends) == Exit.DONE


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "missing/cat.mp4",
        ".",
        "pipe",
        "/dev/full",
        "/dev/stdout",
        "-",
        "link",
        "circle",
        "x" * 300,
        f"{'x' * 300}/a.mp4",
    ],
    ids=[
        "no folder",
        "a folder",
        "pipe",
        "full",
        "stdout",
        "dash",
        "link to nowhere",
        "circle",
        "long name",
        "long folder",
    ],
)
def test_a_place_that_cannot_be_is_refused_before_anything_is_paid(
    service: RawService, spends: dict[str, str], tmp_path: Path, name: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "missing" / "cat.mp4")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    target = name if name == "-" else str(tmp_path / name)
    ended = run(["a cat", *SMALL, "--out", target], spends)
    assert ended.returncode == Exit.USAGE
    assert b"Nothing was sent" in ended.stderr
    assert service.bill == []


@pytest.mark.parametrize("name", ["ledger.sqlite3", "ledger.backup-1.sqlite3", "videos/a.mp4", "link"])
def test_no_file_of_the_data_folder_is_written_over(
    service: RawService, spends: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    kept = tmp_path / "data" / "videos" / "a.mp4"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"paid")
    (tmp_path / "data" / "link").symlink_to(kept)
    assert main(["a cat", *SMALL, "--out", str(tmp_path / "data" / name)], spends) == Exit.USAGE
    assert "keeps its own files" in capsys.readouterr().err
    assert (service.bill, kept.read_bytes()) == ([], b"paid")


def test_a_link_to_a_name_that_is_free_gets_the_video(spends: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "link.mp4").symlink_to(tmp_path / "cat.mp4")
    assert main(["a cat", *SMALL, "--out", str(tmp_path / "link.mp4")], spends) == Exit.DONE
    check_mp4(tmp_path / "cat.mp4")


def test_a_full_disk_is_refused_before_anything_is_paid(
    service: RawService, spends: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    target = tmp_path / "cat.mp4"
    target.write_bytes(b"an older one")
    assert main(["a cat", *SMALL, "--out", str(target)], spends) == Exit.USAGE
    assert (target.read_bytes(), service.bill) == (b"an older one", [])


@pytest.mark.parametrize("number", ["99999999999", "-" + "9" * 30, "9" * 300 + ".5", "7.000000000000"])
def test_a_number_of_any_size_is_one(number: str, spends: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    fits = number.startswith("7")
    assert main(["a cat", f"--guidance={number}", "--estimate"], spends) == (Exit.DONE if fits else Exit.USAGE)
    assert ("from 1 to 10" in capsys.readouterr().err) is not fits


def test_every_parameter_is_an_option_with_its_range_in_the_help() -> None:
    text = " ".join(build_parser().format_help().split())
    for parameter in parameters():
        if parameter.name != "prompt":
            assert f"--{parameter.name.replace('_', '-')}" in text
        if not parameter.is_text:
            assert f"({parameter.low} to {parameter.high})" in text
