"""Starts with invalid values in variables of this program, Gradio and its libraries: a sentence, or it works."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import certifi
import gradio
import httpx
import huggingface_hub
import pytest
import uvicorn

from hunyuan_ui.errors import SettingsError
from hunyuan_ui.gradio_environment import DROPPED, NUMBERS, tidy
from hunyuan_ui.startup import Served, check_temporary_folder, check_writable, read_settings
from hunyuan_ui.ui.served_files import served_folders
from hunyuan_ui.words import words
from tests.app_process import ROOT

A_NUMBER = "must be a whole number from "
NO_FILE = str(ROOT / "nowhere.pem")

# Variables of a start, and how its sentence continues after the name of the first; None if it works.
STARTS: list[tuple[dict[str, str], str | None]] = [
    ({}, None),
    ({"GRADIO_SERVER_NAME": "::1"}, None),
    ({"GRADIO_SERVER_NAME": "[::1]"}, None),
    ({"GRADIO_SERVER_NAME": "'[::1]'"}, None),
    ({"GRADIO_SERVER_NAME": "::"}, None),
    ({"GRADIO_SERVER_NAME": "0:0:0:0:0:0:0:1"}, None),
    ({"GRADIO_SERVER_NAME": "::ffff:127.0.0.1"}, None),
    ({"GRADIO_SERVER_NAME": "LOCALHOST"}, None),
    ({"GRADIO_SERVER_NAME": ""}, None),
    ({"GRADIO_SERVER_NAME": "[::1"}, "'[::1' is not an address"),
    ({"GRADIO_SERVER_NAME": "::1:7860"}, "'::1:7860' is not an address of this machine"),
    ({"GRADIO_SERVER_NAME": "127.0.0.1:7860"}, "'127.0.0.1:7860' is not an address"),
    ({"GRADIO_SERVER_NAME": "http://127.0.0.1"}, "'http://127.0.0.1' is not an address"),
    ({"GRADIO_SERVER_NAME": "2001:db8::1"}, "'2001:db8::1' is not an address of this machine"),
    ({"GRADIO_SERVER_NAME": "a" * 300}, ""),
    ({"GRADIO_SERVER_PORT": ""}, None),
    ({"GRADIO_SERVER_PORT": "http"}, A_NUMBER),
    ({"GRADIO_SERVER_PORT": "1_0"}, A_NUMBER),
    ({"GRADIO_NUM_PORTS": ""}, None),
    ({"GRADIO_NUM_PORTS": " 5 "}, None),
    ({"GRADIO_NUM_PORTS": "0"}, A_NUMBER),
    ({"GRADIO_NUM_PORTS": "many"}, A_NUMBER),
    ({"GRADIO_NODE_NUM_PORTS": "x"}, A_NUMBER),
    ({"GRADIO_NUM_WORKERS": "x"}, None),
    ({"GRADIO_DEBUG": "1"}, None),
    ({"GRADIO_DEBUG": "true"}, None),
    ({"GRADIO_DEFAULT_CONCURRENCY_LIMIT": "x"}, None),
    ({"GRADIO_DEFAULT_CONCURRENCY_LIMIT": "None"}, None),
    ({"GRADIO_ANALYTICS_MAX_EVENTS": "1e3"}, A_NUMBER),
    ({"GRADIO_ANALYTICS_CACHE_FREQUENCY": "0"}, A_NUMBER),
    ({"GRADIO_HEARTBEAT_INTERVAL": "0"}, "must be a number of seconds"),
    ({"GRADIO_HEARTBEAT_INTERVAL": "nan"}, "must be a number of seconds"),
    ({"GRADIO_HEARTBEAT_INTERVAL": "2.5"}, None),
    ({"WEB_CONCURRENCY": "auto"}, A_NUMBER),
    ({"WEB_CONCURRENCY": '"4"'}, None),
    ({"HF_HUB_ETAG_TIMEOUT": "10s"}, A_NUMBER),
    ({"HF_HUB_DOWNLOAD_TIMEOUT": "-1"}, A_NUMBER),
    ({"GRADIO_SHARE": "maybe"}, "must be true or false"),
    ({"GRADIO_SHARE": "no"}, None),
    ({"GRADIO_MCP_SERVER": "on"}, "must be true or false"),
    ({"GRADIO_ROOT_PATH": "/videos/"}, None),
    ({"GRADIO_ROOT_PATH": "https://example.com/videos"}, None),
    ({"GRADIO_ROOT_PATH": "http://[::1]:8080"}, None),
    ({"GRADIO_ROOT_PATH": "::::"}, "must be a path that begins with /"),
    ({"GRADIO_ROOT_PATH": "videos"}, "must be a path that begins with /"),
    ({"GRADIO_ROOT_PATH": "/a b"}, "must be a path that begins with /"),
    ({"GRADIO_ROOT_PATH": "/a?b"}, "must be a path that begins with /"),
    ({"GRADIO_ROOT_PATH": "https://example.com/a#b"}, "must be a path that begins with /"),
    ({"GRADIO_ALLOWED_PATHS": "/nowhere,,"}, None),
    ({"SSL_CERT_FILE": NO_FILE}, "must be a file with certificates"),
    ({"SSL_CERT_FILE": str(ROOT)}, "must be a file with certificates"),
    ({"SSL_CERT_FILE": str(ROOT / "README.md")}, "must be a file with certificates"),
    ({"SSL_CERT_FILE": ""}, None),
    ({"HTTP_PROXY": "http://127.0.0.1:9"}, None),
    ({"https_proxy": "proxy.example:3128"}, None),
    ({"HTTPS_PROXY": "http://user:secret@proxy.example:3128/"}, None),
    ({"HTTP_PROXY": "foo://secret@x"}, "must be an http, https or socks5 address"),
    ({"all_proxy": "http://"}, "must be an http, https or socks5 address"),
    ({"HTTP_PROXY": "proxy.example:port"}, "must be an http, https or socks5 address"),
    ({"ALL_PROXY": "socks5://127.0.0.1:9"}, 'a socks proxy needs the package socksio: pip install "httpx[socks]"'),
    ({"NO_PROXY": "[::1]"}, None),
    ({"NO_PROXY": "fe80::/10"}, None),
    ({"no_proxy": "::/0"}, None),
    ({"NO_PROXY": "localhost,127.0.0.1,::1/128"}, None),
    ({"NO_PROXY": "[::1]:80, [fe80::1%25eth0], fe80::1%eth0, [fe80::]/10, [::1"}, None),
    ({"NO_PROXY": "host:port,é.example,x y,http://[,http://x:99999999,:,/,//,a@b:c"}, None),
    ({"no_proxy": "[::1]:x", "HTTPS_PROXY": "http://127.0.0.1:9"}, None),
    ({"NO_PROXY": "10.0.0.0/8,*,.x.example,*.y.example:80,::1,host:8080,http://in.example:81"}, None),
    ({"SSLKEYLOGFILE": str(ROOT / "nowhere" / "keys")}, "must be a file that this user can write"),
    ({"SSLKEYLOGFILE": str(ROOT), "SSL_CERT_FILE": certifi.where()}, "must be a file that this user can write"),
    ({"SSLKEYLOGFILE": ""}, None),
    ({"HUNYUAN_UI_CONCURRENCY": "nan"}, A_NUMBER),
    ({"SEGMIND_API_KEY": '"SG_0123456789abcdef'}, "has a quotation mark"),
]


@pytest.fixture(autouse=True)
def environment(own_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove this machine's proxies and certificates."""
    monkeypatch.setattr("hunyuan_ui.gradio_environment.is_installed", lambda _: False)
    for name in [name for name in os.environ if name.lower().endswith("_proxy") or name.startswith("SSL")]:
        del os.environ[name]


@pytest.mark.parametrize(("variables", "words"), STARTS, ids=lambda value: str(value)[:60])
def test_each_start_works_or_ends_with_one_sentence_that_names_the_variable(
    capsys: pytest.CaptureFixture[str], variables: dict[str, str], words: str | None
) -> None:
    os.environ.update(variables)
    if words is None:
        read_settings([], ROOT)
        for name, read in NUMBERS.items():
            assert name not in os.environ or read(os.environ[name]) >= 0
        assert not set(DROPPED) & set(os.environ)
        httpx.Client().close()  # reads proxies and certificates, as Gradio's request to itself does
        return
    with pytest.raises(SystemExit) as ended:
        read_settings([], ROOT)
    said = capsys.readouterr()
    assert (ended.value.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert said.err.startswith(f"{next(iter(variables))}: {words}")
    assert "secret" not in said.err


@pytest.mark.parametrize("name", ["", "192.0.2.7", "[fe80::1]"])
def test_no_proxy_is_asked_about_this_machine(name: str) -> None:
    environ = {"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "intern.example", "GRADIO_SERVER_NAME": name}
    tidy(environ)
    assert {"intern.example", "localhost", "127.0.0.1", "::1"} <= set(environ["no_proxy"].split(","))
    assert not name or name.strip("[]") in environ["no_proxy"].split(",")
    os.environ.update(environ)
    client = httpx.Client()
    for here in ("localhost", "127.0.0.1", "[::1]"):
        assert client._transport_for_url(httpx.URL(f"http://{here}:7860/")) is client._transport
    assert client._transport_for_url(httpx.URL("http://example.com/")) is not client._transport


def test_what_libraries_cannot_read_of_no_proxy_holds_for_the_service_all_the_same() -> None:
    os.environ.update({"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "[fd00::1],fe80::/10,10.0.0.0/8,in.example"})
    proxies = read_settings([], ROOT).proxies
    assert {"fd00::1", "10.0.0.0/8", "in.example", "::1"} <= set(os.environ["no_proxy"].split(","))
    assert "fe80::/10" not in os.environ["no_proxy"]
    for host in ("fd00::1", "fe80::7", "10.1.2.3", "a.in.example"):
        assert proxies.proxy_for(host) is None
    assert proxies.proxy_for("api.segmind.com") is not None


@pytest.mark.parametrize(
    ("given", "used"),
    [("/videos/", "/videos"), ("/videos//", "/videos"), ("/", ""), ("https://a.example/", "https://a.example")],
)
def test_a_root_path_ends_without_a_slash(given: str, used: str) -> None:
    environ = {"GRADIO_ROOT_PATH": given}
    tidy(environ)
    assert environ["GRADIO_ROOT_PATH"] == used


def test_without_a_proxy_nothing_is_added() -> None:
    environ = {"NO_PROXY": "x", "HTTP_PROXY": ""}
    tidy(environ)
    assert environ == {"NO_PROXY": "x", "HTTP_PROXY": ""}


def test_every_number_that_gradio_and_what_lies_below_it_read_is_known() -> None:
    read_as_number = re.compile(r"(?:int|float)\(\s*os\.(?:getenv\(|environ\.get\(|environ\[)\s*\"(\w+)\"")
    found: set[str] = set()
    for package in (gradio, uvicorn, huggingface_hub):
        for path in Path(str(package.__file__)).parent.rglob("*.py"):
            found |= set(read_as_number.findall(path.read_text("utf-8")))
    assert len(found) >= 7
    assert found <= {*NUMBERS, "GRADIO_SERVER_PORT", "GRADIO_DEBUG"}


# Non-numeric variables of Gradio: tried with an odd text each, and no start failed.
TEXTS = {
    "GRADIO_ALLOWED_PATHS",
    "GRADIO_ANALYTICS_ENABLED",
    "GRADIO_AUTO_LOGOUT",
    "GRADIO_BLOCKED_PATHS",
    "GRADIO_CACHE_EXAMPLES",
    "GRADIO_CACHE_MODE",
    "GRADIO_CHAT_FLAGGING_MODE",
    "GRADIO_EXAMPLES_CACHE",
    "GRADIO_FLAGGING_MODE",
    "GRADIO_HISTORY_BUCKET",
    "GRADIO_HOT_RELOAD",
    "GRADIO_IS_E2E_TEST",
    "GRADIO_LOCAL_DEV_MODE",
    "GRADIO_MCP_SERVER",
    "GRADIO_NODE_PATH",
    "GRADIO_NODE_SERVER_NAME",
    "GRADIO_NODE_SERVER_PORT",
    "GRADIO_PROFILING",
    "GRADIO_PYTHON_HOST",
    "GRADIO_PYTHON_PORT",
    "GRADIO_RESET_EXAMPLES_CACHE",
    "GRADIO_ROOT_PATH",
    "GRADIO_RUN_HISTORY",
    "GRADIO_SERVER_MODE_ENABLED",
    "GRADIO_SERVER_NAME",
    "GRADIO_SERVER_PORT",
    "GRADIO_SHARE",
    "GRADIO_SHARE_SERVER_ADDRESS",
    "GRADIO_SSR_MODE",
    "GRADIO_STATIC_WORKER_PORTS",
    "GRADIO_TEMP_DIR",
    "GRADIO_VIBE_MODE",
    "GRADIO_WATCH_DEMO_NAME",
    "GRADIO_WATCH_DEMO_PATH",
    "GRADIO_WATCH_ENCODING",
    "GRADIO_WATCH_MODULE_NAME",
    "GRADIO_WORKFLOW_INBROWSER",
}


def test_every_variable_that_gradio_reads_by_whatever_name_was_tried_or_is_kept_from_it() -> None:
    sources = [path.read_text("utf-8") for path in Path(gradio.__file__).parent.rglob("*.py")]
    reading = [text for text in sources if "os.environ" in text or "os.getenv" in text]
    named = {name for text in reading for name in re.findall(r"[\"'](GRADIO_[A-Z_]+)[\"']", text)}
    assert len(named) > 40
    assert named <= {*TEXTS, *NUMBERS, *DROPPED}


def test_a_folder_for_copies_that_cannot_be_filled_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    check_writable(Served("GRADIO_TEMP_DIR", tmp_path / "new/folder"))
    assert list((tmp_path / "new/folder").iterdir()) == []
    for path in (tmp_path / "file", tmp_path / "file/below", Path("/proc/nowhere")):
        with pytest.raises(SystemExit) as ended:
            check_writable(Served("GRADIO_TEMP_DIR", path))
        assert ended.value.code == 2
        assert capsys.readouterr().err == (
            f"GRADIO_TEMP_DIR: {path} is not a folder that this user can write to; name another one\n"
        )
    os.environ["GRADIO_TEMP_DIR"] = str(tmp_path / "file")
    assert served_folders(os.environ)[0] == Served("GRADIO_TEMP_DIR", tmp_path / "file")


SPACE = {
    "SYSTEM": "spaces",
    "SPACE_ID": "someone/hunyuan",
    "OAUTH_CLIENT_ID": "id",
    "OAUTH_CLIENT_SECRET": "s3cret",
    "OAUTH_SCOPES": "openid profile",
    "OPENID_PROVIDER_URL": "https://huggingface.co",
}


@pytest.mark.parametrize("name", ["SPACE_ID", "OAUTH_CLIENT_ID", "OAUTH_SCOPES", "OPENID_PROVIDER_URL"])
def test_what_a_login_lacks_is_named_before_gradio_looks_for_it(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr("hunyuan_ui.gradio_environment.is_installed", lambda _: True)
    tidy(dict(SPACE))
    with pytest.raises(SettingsError) as refused:
        tidy({**SPACE, name: ""})
    assert words().sentence(refused.value).startswith(f"{name}: is missing")


def test_a_login_without_its_packages_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hunyuan_ui.gradio_environment.is_installed", lambda package: package != "authlib")
    with pytest.raises(SettingsError) as refused:
        tidy(dict(SPACE))
    assert 'pip install "gradio[oauth]"' in words().sentence(refused.value)
    tidy({**SPACE, "SYSTEM": ""})


def test_a_machine_without_a_temporary_folder_is_told_so_unless_gradio_has_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none() -> str:
        raise FileNotFoundError

    check_temporary_folder({})
    monkeypatch.setattr(tempfile, "gettempdir", none)  # as on a read-only disk
    check_temporary_folder({"GRADIO_TEMP_DIR": "cache"})
    with pytest.raises(SystemExit) as ended:
        check_temporary_folder({"GRADIO_TEMP_DIR": ""})
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("TMPDIR: no temporary folder can be written")
