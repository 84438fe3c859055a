"""Startup errors about an unusable bucket, and that its modules are imported only if one is set."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hunyuan_ui import library
from hunyuan_ui.check import State, check
from hunyuan_ui.errors import SettingsError
from hunyuan_ui.jobs import build_runner
from hunyuan_ui.library import bucket as door
from hunyuan_ui.library.bucket import BucketLimits
from hunyuan_ui.settings import Settings
from hunyuan_ui.words import words
from tests.app_process import ROOT, modules_of_an_import
from tests.bucket_server import SECRET, BucketServer


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten a bucket's timeouts."""
    monkeypatch.setattr(door, "LIMITS", BucketLimits(connect_s=1.0, answer_s=2.0, rest_s=0.05))


def started(folder: Path, url: str) -> str:
    """Return the error of a start."""
    with pytest.raises(SettingsError) as caught:
        build_runner(Settings.from_environ({"HUNYUAN_UI_VIDEOS_URL": url, "HUNYUAN_UI_DATA_DIR": str(folder)}))
    sentence = words().sentence(caught.value)
    assert sentence.startswith("HUNYUAN_UI_VIDEOS_URL")
    assert "{" not in sentence
    assert SECRET not in sentence
    return caught.value.facts["problem"]["key"]


def _answers(status: str, code: str) -> Callable[[str, str], tuple[str, bytes]]:
    return lambda *_: (status, f"<Error><Code>{code}</Code></Error>".encode())


FAULTS: dict[str, tuple[str, Callable[[str, str], tuple[str, bytes] | None]]] = {
    "wrong secret": ("bucket_refuses", _answers("403 Forbidden", "SignatureDoesNotMatch")),
    "no right": ("bucket_refuses", _answers("403 Forbidden", "AccessDenied")),
    "wrong region": ("bucket_refuses", _answers("400 Bad Request", "AuthorizationHeaderMalformed")),
    "moved": ("bucket_unreachable", _answers("500 Internal Server Error", "InternalError")),
    "no condition": (
        "bucket_overwrites",
        lambda method, _: (
            ("501 Not Implemented", b"<Error><Code>NotImplemented</Code></Error>") if method == "PUT" else None
        ),
    ),
    "read only": (
        "bucket_refuses",
        lambda method, _: ("403 Forbidden", b"<Error><Code>AccessDenied</Code></Error>") if method == "PUT" else None,
    ),
    "overwrites": ("bucket_overwrites", lambda method, _: ("200 OK", b"") if method == "PUT" else None),
    "no list": (
        "bucket_refuses",
        lambda method, path: (
            ("403 Forbidden", b"<Error><Code>AccessDenied</Code></Error>")
            if method == "GET" and "probe" not in path
            else None
        ),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bucket_that_cannot_be_used_is_named_with_the_reason(
    tmp_path: Path, bucket: BucketServer, fault: str
) -> None:
    code, bucket.behave = FAULTS[fault]
    assert started(tmp_path, bucket.url) == f"setting.{code}"
    bucket.behave = lambda *_: None
    assert bucket.names() | bucket.probes() == set()  # the test file was removed


def test_a_bucket_that_garbles_is_named(tmp_path: Path, bucket: BucketServer) -> None:
    bucket.garble = lambda method, path: method == "GET" and "probe" in path
    assert started(tmp_path, bucket.url) == "setting.bucket_garbles"


def test_a_bucket_that_is_not_there_is_named(tmp_path: Path, bucket: BucketServer) -> None:
    assert started(tmp_path, f"{bucket.url.partition('/of')[0]}-elsewhere/x") == "setting.bucket_missing"


def test_a_store_that_does_not_answer_is_named(tmp_path: Path, bucket: BucketServer) -> None:
    bucket.stop()
    assert started(tmp_path, bucket.url) == "setting.bucket_unreachable"
    bucket.start()
    bucket.slow_s = 5.0
    assert started(tmp_path, bucket.url) == "setting.bucket_unreachable"


@pytest.mark.parametrize("scheme", ["s3", "az"])
def test_without_keys_the_variables_are_named(
    tmp_path: Path, bucket: BucketServer, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert started(tmp_path, bucket.url.replace("s3://", f"{scheme}://")) == "setting.bucket_keys"


ELSEWHERE = {
    "none of Google's machines": (
        "gs",
        {"GCE_METADATA_HOST": "127.0.0.1:1", "GCE_METADATA_IP": "127.0.0.1:1"},
    ),
    "none of Microsoft's machines": (
        "az",
        {"AZURE_STORAGE_ACCOUNT_NAME": "a", "AZURE_MSI_ENDPOINT": "http://127.0.0.1:1/metadata/identity/oauth2/token"},
    ),
    "no account": ("az", {"AZURE_STORAGE_ACCOUNT_KEY": "c2VjcmV0"}),
}
UNREADABLE = {
    "no such file": ("gs", {"GOOGLE_SERVICE_ACCOUNT": "/nowhere.json"}),
    "no such file by the usual name": ("gs", {"GOOGLE_APPLICATION_CREDENTIALS": "/nowhere.json"}),
    "no JSON": ("gs", {"GOOGLE_SERVICE_ACCOUNT_KEY": SECRET}),
    "JSON without a key": ("gs", {"GOOGLE_SERVICE_ACCOUNT_KEY": f'{{"private_key": "{SECRET}"}}'}),
    "no base64": ("az", {"AZURE_STORAGE_ACCOUNT_NAME": "a", "AZURE_STORAGE_ACCOUNT_KEY": f"{SECRET} !"}),
    "half a key": ("s3", {"AWS_ACCESS_KEY_ID": "AKIDOFTHETESTS"}),
    "the other half": ("s3", {"AWS_SECRET_ACCESS_KEY": SECRET}),
}


@pytest.mark.parametrize("case", [*ELSEWHERE, *UNREADABLE])
def test_keys_that_are_missing_or_cannot_be_read_are_told_apart_at_every_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    scheme, variables = (ELSEWHERE | UNREADABLE)[case]
    for name in [name for name in os.environ if name.startswith(("AWS_", "GOOGLE_", "AZURE_"))]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    code = "bucket_keys" if case in ELSEWHERE else "bucket_variables"
    assert started(tmp_path, f"{scheme}://videos-bucket/a/b") == f"setting.{code}"


def test_without_the_package_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("bucket", "bucket_library"):
        monkeypatch.delitem(sys.modules, f"hunyuan_ui.library.{name}")
        monkeypatch.delattr(library, name)
    monkeypatch.setitem(sys.modules, "obstore", None)
    assert started(tmp_path, "s3://bucket") == "setting.bucket_package"


@pytest.mark.slow
def test_the_app_ends_with_status_2_and_no_secret_anywhere(tmp_path: Path, bucket: BucketServer) -> None:
    bucket.behave = _answers("403 Forbidden", "SignatureDoesNotMatch")
    place = {"HUNYUAN_UI_DATA_DIR": str(tmp_path / "data"), "GRADIO_TEMP_DIR": str(tmp_path / "cache")}
    for command in (["app.py"], ["-m", "hunyuan_ui", "a fox"]):
        ended = subprocess.run(
            [sys.executable, *command],
            cwd=ROOT,
            env={**os.environ, **place, "HUNYUAN_UI_VIDEOS_URL": bucket.url},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ended.returncode == 2, ended.stderr
        assert "HUNYUAN_UI_VIDEOS_URL: names a bucket that refuses" in ended.stderr
        assert "Traceback" not in ended.stderr
        assert not [secret for secret in (SECRET, "AKIDOFTHETESTS") if secret in ended.stdout + ended.stderr]
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes()


def test_a_thread_that_lets_go_of_an_answer_as_the_program_ends_has_time_to() -> None:
    """Otherwise one of the store's threads, interrupted at interpreter shutdown, aborts the process."""
    lines = (
        "import threading, time",
        "import hunyuan_ui.library.bucket",
        "threading.Thread(target=lambda: (time.sleep(0.05), print('let go')), daemon=True).start()",
    )
    ended = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert ended.stdout.split() == ["let", "go"], ended.stderr


@pytest.mark.slow
def test_nothing_of_it_is_loaded_where_no_bucket_is_named(tmp_path: Path) -> None:
    loaded = modules_of_an_import(tmp_path)
    assert "hunyuan_ui.library.library" in loaded
    assert not [name for name in loaded if name.startswith(("obstore", "hunyuan_ui.library.bucket"))]


@pytest.mark.anyio
async def test_the_check_has_a_line_for_the_bucket(tmp_path: Path, bucket: BucketServer) -> None:
    settings = Settings(data_dir=tmp_path / "data", base_url="http://127.0.0.1:1", videos_url=bucket.url)

    async def line() -> tuple[State, str]:
        (row,) = [row for row in await check(settings) if row.name == "bucket"]
        assert SECRET not in row.sentence
        return row.state, row.sentence

    bucket.put(f"{'a' * 32}.mp4", b"1")
    bucket.put("another.mp4", b"1")
    state, sentence = await line()
    assert state is State.AS_EXPECTED
    assert sentence == f"{bucket.url} can be written and read, overwrites nothing, and holds 1 video"
    bucket.behave = _answers("403 Forbidden", "AccessDenied")
    assert (await line())[0] is State.DIFFERENT
    bucket.stop()
    assert (await line())[0] is State.NOT_REACHABLE
    bucket.start()
    settings = Settings(data_dir=tmp_path / "data", base_url="http://127.0.0.1:1")
    assert not [row for row in await check(settings) if row.name == "bucket"]
