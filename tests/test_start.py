"""How the program starts, as its owner sees it: the banner, the help, and what stops it before anything runs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hunyuan_ui.settings import SETTINGS, Settings
from hunyuan_ui.startup import build_parser, check_address, read_settings
from tests.app_process import ROOT, free_port, running_app

KEY = "SG_0123456789abcdef"

# Runs in the program before its own code: writes down every address it tries to reach beyond this machine.
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


def start(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "app.py", *arguments],
        cwd=ROOT,
        env={**os.environ, "HUNYUAN_UI_DATA_DIR": str(tmp_path / "data"), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


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


def test_an_env_file_with_quotes_starts_the_app_all_the_same(tmp_path: Path) -> None:
    port = free_port()
    quoted = {"GRADIO_SERVER_PORT": f'"{port}"', "GRADIO_MCP_SERVER": "'false'", "GRADIO_ROOT_PATH": '""'}
    folder = {"HUNYUAN_UI_DATA_DIR": f'"{tmp_path / "data"}"', "GRADIO_TEMP_DIR": f"'{tmp_path / 'cache'}'"}
    with running_app(tmp_path, port=port, SEGMIND_API_KEY=f'"{KEY}"', **quoted, **folder) as app:
        assert httpx.get(app.url).status_code == 200
    assert f"Data folder: {tmp_path / 'data'}\n" in app.output
    assert KEY not in app.output


def test_an_unknown_option_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read_settings(["--chare"], ROOT, {})
    assert ended.value.code == 2
    assert "--chare" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "0.0.0.0", "::1", "[::1]"])
def test_an_address_of_this_machine_is_taken(name: str) -> None:
    check_address(Settings(data_dir=Path("data"), server_name=name))


def test_the_help_tells_every_option_and_every_setting() -> None:
    told = " ".join(build_parser().format_help().split())
    assert "--share" in told
    for setting in SETTINGS:
        assert f"{setting.name} {setting.help} Default: {setting.default_text}." in told


def test_the_banner_says_mode_key_limits_data_folder_and_address(tmp_path: Path) -> None:
    with running_app(tmp_path, SEGMIND_API_KEY=KEY, HUNYUAN_UI_DAILY_LIMIT_USD="10") as app:
        pass
    said = app.output
    assert "This page is private" in said
    assert "Your key is used; a video above $5.00 asks first." in said
    assert "$10.00 today" in said
    assert f"Data folder: {app.data_dir}" in said
    assert f"Open {app.url}" in said
    assert KEY not in said
    assert app.events("runner.started")  # the log's JSON lines stand beside it


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


def test_without_the_mcp_package_an_owner_who_wants_agents_is_told(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    (hidden / "mcp").mkdir(parents=True)
    (hidden / "mcp" / "__init__.py").write_text("raise ImportError('hidden')", encoding="utf-8")
    with running_app(tmp_path, PYTHONPATH=str(hidden), GRADIO_MCP_SERVER="true") as app:
        assert httpx.get(app.url).status_code == 200
    assert 'pip install "gradio[mcp]"' in app.output
