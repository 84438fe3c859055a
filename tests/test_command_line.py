from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hunyuan_ui.command_line import Exit, build_parser, main
from hunyuan_ui.local_endpoint.app import create_app
from hunyuan_ui.local_endpoint.serving import serve
from hunyuan_ui.media import check_mp4
from hunyuan_ui.request import parameters

SMALL = ["--width", "64", "--height", "48", "--frames", "5"]


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


def test_without_a_key_it_is_a_free_preview(environ: dict[str, str], tmp_path: Path) -> None:
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
        (["--resume", "0" * 32], Exit.FAILED, "no such video"),
        (["a cat", "--width", "1280", "--height", "720", "--frames", "129"], Exit.LIMIT, "--yes"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_sent(
    paid: dict[str, str], capsys: pytest.CaptureFixture[str], arguments: list[str], code: Exit, words: str
) -> None:
    assert main(arguments, paid) == code
    assert words in capsys.readouterr().err


def test_a_daily_limit_holds_here_too(paid: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["a cat", "--yes"], {**paid, "HUNYUAN_UI_DAILY_LIMIT_USD": "1"}) == Exit.LIMIT
    assert "$1.00" in capsys.readouterr().err


def test_a_wrong_setting_is_named(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["a cat"], {**environ, "HUNYUAN_UI_API": "v3"}) == Exit.USAGE
    assert "HUNYUAN_UI_API" in capsys.readouterr().err


def test_an_interrupted_job_is_resumed_and_paid_once(paid: dict[str, str], tmp_path: Path) -> None:
    server = serve(create_app(seconds=4), "127.0.0.1", 0)
    environ = {**os.environ, **paid, "SEGMIND_BASE_URL": server.url}
    program = [sys.executable, "-m", "hunyuan_ui"]
    with subprocess.Popen(
        [*program, "a cat", *SMALL],
        env=environ,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
        # A shell's background job, as tests may be, ignores Ctrl+C and would hand that down.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        assert any("queue" in line or "rendering" in line for line in lines)
        process.send_signal(signal.SIGINT)
        said = "".join(lines)
        assert process.wait(15) == Exit.GOES_ON
    job_id = said.rsplit("--resume ", 1)[1].split()[0]
    target = tmp_path / "cat.mp4"
    assert main(["--resume", job_id, "--out", str(target)], {**paid, "SEGMIND_BASE_URL": server.url}) == Exit.DONE
    check_mp4(target)
    server.close()


def test_every_parameter_is_an_option_with_its_range_in_the_help() -> None:
    text = " ".join(build_parser().format_help().split())
    for parameter in parameters():
        if parameter.name != "prompt":
            assert f"--{parameter.name.replace('_', '-')}" in text
        if not parameter.is_text:
            assert f"({parameter.low} to {parameter.high})" in text
