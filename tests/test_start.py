"""Startup as its owner sees it: the banner, the help, and errors before anything runs."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client

from hunyuan_ui.cli_output import end_signals
from hunyuan_ui.ledger import Ledger, open_ledger
from hunyuan_ui.local_endpoint.app import create_app
from hunyuan_ui.local_endpoint.serving import serve
from hunyuan_ui.settings import SETTINGS
from hunyuan_ui.startup import build_parser, read_settings
from tests.app_process import END_WITHIN_S, ROOT, free_port, running_app, start, wait_until_well
from tests.stored_jobs import DAY_S, finished

KEY = "SG_0123456789abcdef"

# Runs in the program before its own code: records every attempt to reach another machine.
WATCH = """
import ipaddress, os, sys

def note(event, arguments):
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None
    else:
        return
    try:
        is_here = host in (None, "localhost", "") or ipaddress.ip_address(str(host).partition("%")[0]).is_loopback
    except ValueError:
        is_here = False
    with open(os.environ["WATCH_FILE"], "a") as file:
        file.write(f"{'here' if is_here else 'outside'} {event} {host}\\n")

sys.addaudithook(note)
"""


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_a_taken_port_is_said_and_nothing_starts(tmp_path: Path, taken_port: int) -> None:
    ended = start(tmp_path, GRADIO_SERVER_PORT=str(taken_port))
    assert ended.returncode == 2
    assert f"GRADIO_SERVER_PORT: port {taken_port} is taken by another program" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("GRADIO_SERVER_NAME", "192.0.2.1", "'192.0.2.1' is not an address of this machine"),
        ("GRADIO_SERVER_NAME", "\uff11\uff12\uff17.0.0.1", "is not an address or a known name"),
        ("HUNYUAN_UI_DAILY_LIMIT_USD", "ten", "must be a number of US dollars"),
        ("HUNYUAN_UI_API", "v3", "must be v1 or v2"),
    ],
)
def test_a_wrong_setting_is_named_with_its_cure(
    capsys: pytest.CaptureFixture[str], name: str, value: str, words: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        read_settings([], ROOT, {name: value})
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{name}: ")
    assert words in said


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("HUNYUAN_UI_DAILY_LIMIT", "5", "the nearest one is HUNYUAN_UI_DAILY_LIMIT_USD"),
        ("GRADIO_SERVER_PORT", "7_860", "must be a whole number from 1 to 65535"),
        ("GRADIO_SERVER_PORT", '"7860', "has a quotation mark"),
    ],
)
def test_what_is_wrong_in_the_environment_is_said_before_anything_is_read_by_gradio(
    tmp_path: Path, name: str, value: str, words: str
) -> None:
    ended = start(tmp_path, **{name: value})
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"{name}: ")
    assert ended.stderr.count("\n") == 1
    assert words in ended.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.slow
def test_an_env_file_with_quotes_starts_the_app_all_the_same(tmp_path: Path) -> None:
    port = free_port()
    quoted = {"GRADIO_SERVER_PORT": f'"{port}"', "GRADIO_MCP_SERVER": "'false'", "GRADIO_ROOT_PATH": '""'}
    folder = {"HUNYUAN_UI_DATA_DIR": f'"{tmp_path / "data"}"', "GRADIO_TEMP_DIR": f"'{tmp_path / 'cache'}'"}
    with running_app(tmp_path, port=port, is_forked=False, SEGMIND_API_KEY=f'"{KEY}"', **quoted, **folder) as app:
        assert "of $20.00" in httpx.get(app.url).text
    assert f"Data folder: {tmp_path / 'data'}\n" in app.output
    assert "Most that this start may spend of your money: $20.00 today, then $20.00 a day (UTC).\n" in app.output
    assert KEY not in app.output


def test_a_working_folder_that_is_gone_is_named_before_anything_starts(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    ended = subprocess.run(
        ["sh", "-c", 'rmdir "$PWD" && exec "$@"', "sh", sys.executable, str(ROOT / "app.py")],
        cwd=gone,
        env={**os.environ, "HUNYUAN_UI_DATA_DIR": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "PWD: the folder that this was started in is gone; start it from another one.\n"
    assert not (tmp_path / "data").exists()


def test_a_key_in_an_options_or_addresses_place_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, environ in ((["SG_0123456789abcdef"], {}), ([], {"GRADIO_SERVER_NAME": "SG_0123456789abcdef"})):
        with pytest.raises(SystemExit) as ended:
            read_settings(arguments, ROOT, environ)
        assert ended.value.code == 2
        assert "0123" not in capsys.readouterr().err


def test_an_unknown_option_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read_settings(["--chare"], ROOT, {})
    assert ended.value.code == 2
    assert "--chare" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "is_private"), [("::1", True), ("[::1]", True), ("[::]", False), ("::ffff:127.0.0.1", True)]
)
def test_an_ipv6_address_is_listened_on_and_printed_as_it_is_opened(
    tmp_path: Path, name: str, is_private: bool
) -> None:
    port = free_port()
    host = "127.0.0.1" if "127" in name else "[::1]"
    with socket.socket() as other:
        if host == "[::1]":
            other.bind(("127.0.0.1", port))  # used only in the other address family, which is no conflict
            other.listen()
        with running_app(tmp_path, host=host, port=port, GRADIO_SERVER_NAME=name) as app:
            assert httpx.get(app.url).status_code == 200
            foreign = httpx.get(app.url, headers={"Host": f"attacker.example:{port}"})
            assert foreign.status_code == (421 if is_private else 200)
            cross = {"Origin": f"http://{host}:{port + 1}"}
            assert httpx.get(f"{app.url}config", headers=cross).status_code == 403
            assert httpx.get(f"{app.url}config", headers={"Origin": f"http://{host}:{port}"}).status_code == 200
    assert f"Open http://{host}:{port}/\n" in app.output
    assert ("This page is private" in app.output) == is_private


def test_a_taken_ipv6_port_is_said(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET6) as other:
        other.bind(("::1", 0))
        other.listen()
        port = other.getsockname()[1]
        ended = start(tmp_path, GRADIO_SERVER_NAME="[::1]", GRADIO_SERVER_PORT=str(port))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"GRADIO_SERVER_PORT: port {port} is taken")


# the data folder and what Gradio serves


@pytest.mark.slow
def test_a_public_page_that_was_built_wrongly_is_not_served(tmp_path: Path) -> None:
    built_wrongly = (
        "from hunyuan_ui.ui import page\n"
        "page.launch_faults = lambda *_, **__: ['the queue is open']\n"
        "import runpy\n"
        "runpy.run_path('app.py', run_name='__main__')\n"
    )
    environment = {"HUNYUAN_UI_DATA_DIR": str(tmp_path / "data"), "GRADIO_SERVER_NAME": "0.0.0.0"}
    ended = subprocess.run(
        [sys.executable, "-c", built_wrongly],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stdout.count("the queue is open") == 1
    assert "Open http" not in ended.stdout
    assert "Traceback" not in ended.stderr


def test_the_page_starts_where_python_leaves_out_the_scripts_folder(tmp_path: Path) -> None:
    ended = start(tmp_path, "--help", PYTHONSAFEPATH="1")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_help_tells_every_option_and_every_setting() -> None:
    told = " ".join(build_parser().format_help().split())
    assert "--share" in told
    for setting in SETTINGS:
        assert f"{setting.name} {setting.help} Default: {setting.default_text}." in told


@pytest.mark.parametrize("option", ["--check", "--list", "a fox"])
def test_whoever_starts_the_page_with_another_commands_option_is_told_which_command_has_it(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        build_parser().parse_args([option])
    said = capsys.readouterr().err
    assert "python -m hunyuan_ui --help" in said
    assert "--check" in said


def test_the_banner_says_mode_key_limits_data_folder_and_address(tmp_path: Path) -> None:
    with running_app(tmp_path, SEGMIND_API_KEY=KEY, HUNYUAN_UI_DAILY_LIMIT_USD="10") as app:
        pass
    said = app.output
    assert "This page is private" in said
    assert "Your key is used; a video above $5.00 asks first" in said
    assert "$10.00 today" in said
    assert f"Data folder: {app.data_dir}" in said
    assert f"Open {app.url}" in said
    assert KEY not in said
    assert app.events("runner.started")  # the log's JSON lines are interleaved


def test_the_banner_counts_what_was_spent_on_other_days_against_the_total_limit(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with closing(Ledger(open_ledger(tmp_path / "data").database, now=lambda: time.time() - 3 * DAY_S)) as ledger:
        finished(ledger)
    limits: dict[str, Any] = {"HUNYUAN_UI_DAILY_LIMIT_USD": "10", "HUNYUAN_UI_TOTAL_LIMIT_USD": "20"}
    with running_app(tmp_path, SEGMIND_API_KEY=KEY, **limits) as app:
        pass
    assert "$10.00 today, $18.54 in all" in app.output


@pytest.mark.slow
def test_nothing_outside_is_reached_at_the_start_and_a_dead_provider_does_not_matter(tmp_path: Path) -> None:
    hook = tmp_path / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(WATCH, encoding="utf-8")
    seen = tmp_path / "seen"
    with running_app(tmp_path, PYTHONPATH=str(hook), WATCH_FILE=str(seen), SEGMIND_API_KEY=KEY) as app:
        assert httpx.get(app.url).status_code == 200
        assert httpx.get(f"{app.url}gradio_api/healthz").json()["status"] == "ok"
    lines = seen.read_text("utf-8").splitlines()
    assert any(line.startswith("here socket.connect") for line in lines)
    assert [line for line in lines if line.startswith("outside")] == []


@pytest.mark.slow
def test_without_the_mcp_package_an_owner_who_wants_agents_is_told(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    (hidden / "mcp").mkdir(parents=True)
    (hidden / "mcp" / "__init__.py").write_text("raise ImportError('hidden')", encoding="utf-8")
    with running_app(tmp_path, PYTHONPATH=str(hidden), GRADIO_MCP_SERVER="true") as app:
        assert httpx.get(app.url).status_code == 200
    assert 'pip install "gradio[mcp]"' in app.output


# Without a console, on a full disk, and with a console in an encoding that has no such letter.
@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full is needed")
@pytest.mark.parametrize("console", [">&-", "<&- >&- 2>&-", ">/dev/full 2>/dev/full", "2>/dev/full"])
def test_the_page_runs_whatever_becomes_of_what_it_prints(tmp_path: Path, console: str) -> None:
    port = free_port()
    settings = {"GRADIO_SERVER_PORT": str(port), "HUNYUAN_UI_DATA_DIR": str(tmp_path / "däta")}
    settings |= {"GRADIO_TEMP_DIR": str(tmp_path / "cache"), "PYTHONIOENCODING": "ascii"}
    command = f"exec {shlex.quote(sys.executable)} app.py {console}"
    with closing(serve(create_app(seconds=0.1))) as service:  # a preview takes seconds
        settings |= {"SEGMIND_BASE_URL": service.url, "SEGMIND_API_KEY": KEY}
        _make_one(command, settings, port)


def _make_one(command: str, settings: dict[str, str], port: int) -> None:
    with subprocess.Popen(command, shell=True, cwd=ROOT, env={**os.environ, **settings}) as process:
        try:
            wait_until_well(f"http://127.0.0.1:{port}/", process)
            # A job that cannot be logged is made all the same.
            client = Client(f"http://127.0.0.1:{port}/", verbose=False)
            _, made = client.predict(prompt="a cat", width=64, height=64, video_length=1, api_name="/generate")
            assert made["job_id"]
        finally:
            process.terminate()
        assert process.wait(END_WITHIN_S) == 0


def test_a_letter_that_the_console_does_not_have_is_written_as_its_number(tmp_path: Path) -> None:
    ended = start(tmp_path, PYTHONIOENCODING="ascii", HUNYUAN_UI_DATA_DIR="~däta/x")
    assert ended.returncode == 2
    assert "'~d\\xe4ta/x'" in ended.stderr


# Each function that is called while a signal is handled receives another one.
ENDS = """
import signal, sys
from hunyuan_ui.startup import EndSignal

left = [50]

def again(frame, event, _):
    if event == "call" and left[0]:
        left[0] -= 1
        signal.raise_signal(signal.SIGTERM)

end_signal = EndSignal()
sys.setprofile(again)
signal.raise_signal(signal.SIGINT)
end_signal.wait()
sys.setprofile(None)
print("ended", left[0] < 50)
"""


def test_a_signal_that_interrupts_the_handling_of_another_ends_the_program_all_the_same() -> None:
    command = [sys.executable, "-c", ENDS]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60).stdout == "ended True\n"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system's terminals send no signal")
def test_gradios_own_command_runs_the_page_once(tmp_path: Path) -> None:
    watched: dict[str, Any] = {"DIRS": str(ROOT), "MODULE_NAME": "app", "DEMO_NAME": "demo", "DEMO_PATH": "app.py"}
    told = {f"GRADIO_WATCH_{name}": text for name, text in watched.items()}
    with running_app(tmp_path, is_forked=False, **told) as app:
        assert "Watching demo" not in app.output
        app.end()
        assert "Traceback" not in app.output


def test_ctrl_c_during_the_imports_ends_the_program_without_a_traceback(tmp_path: Path) -> None:
    environ = {**os.environ, "HUNYUAN_UI_DATA_DIR": str(tmp_path / "data"), "HUNYUAN_UI_ENV_FILE": os.devnull}
    command = [sys.executable, "-X", "importtime", "app.py"]
    with subprocess.Popen(command, cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "fastapi." not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == -signal.SIGINT
    assert "Traceback" not in said


@pytest.mark.slow
def test_a_closed_terminal_ends_the_program_in_order_unless_it_is_to_outlive_it(tmp_path: Path) -> None:
    with running_app(tmp_path, is_forked=False) as app:
        app.process.send_signal(signal.SIGHUP)
        assert app.process.wait(END_WITHIN_S) == 0
        assert app.events("runner.stopped")
    before = signal.getsignal(signal.SIGHUP)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup starts a program
    try:
        assert signal.SIGHUP not in end_signals()
    finally:
        signal.signal(signal.SIGHUP, before)
