"""Startup errors about an unusable database, and that its modules are imported only if one is set."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from hunyuan_ui import ledger
from hunyuan_ui.data_folder import DataFolder
from hunyuan_ui.errors import SettingsError, StorageError
from hunyuan_ui.jobs import build_runner
from hunyuan_ui.jobs.services import build_services
from hunyuan_ui.ledger.postgres import open_postgres
from hunyuan_ui.ledger.schema import MIGRATIONS
from hunyuan_ui.settings import Secret, Settings
from hunyuan_ui.words import words
from tests.app_process import ROOT, modules_of_an_import
from tests.postgres_server import PASSWORD, PostgresServer
from tests.stored_jobs import added

SECRET = "tr0mb0ne"
WRONG_ADDRESSES = [
    f"mysql://u:{SECRET}@localhost/x",
    f"http://u:{SECRET}@localhost/x",
    f"postgresql:/u:{SECRET}@localhost/x",
    f"postgresql://u:{SECRET}%zz@localhost/x",
    f"postgresql://u:p@localhost/x?password={SECRET}&nonsense=1",
    f"postgresql://u:{SECRET} @localhost/x",
    f"postgresql://[u:{SECRET}@localhost/x",
    f"host=localhost password={SECRET}",
]


def started(url: str, folder: Path) -> SettingsError:
    """Return the error of a start."""
    try:
        settings = Settings.from_environ({"HUNYUAN_UI_DATABASE_URL": url, "HUNYUAN_UI_DATA_DIR": str(folder)})
        build_runner(settings)
    except SettingsError as error:
        return error
    raise AssertionError("it was not refused")


@pytest.mark.parametrize("url", WRONG_ADDRESSES)
def test_a_wrong_address_is_refused_and_its_password_not_told(url: str, tmp_path: Path) -> None:
    error = started(url, tmp_path)
    assert error.facts["problem"]["key"] == "setting.database_url"
    assert SECRET not in words().sentence(error)


ELSEWHERE: list[tuple[str, Callable[[str, int], str]]] = [
    ("database_unreachable", lambda *_: f"postgresql://owner:{SECRET}@127.0.0.1:1/hunyuan"),
    ("database_refused", lambda _, port: f"postgresql://owner:{SECRET}@127.0.0.1:{port}/hunyuan"),
    ("database_refused", lambda _, port: f"postgresql://nobody:{SECRET}@127.0.0.1:{port}/hunyuan"),
    ("database_missing", lambda url, _: url.replace("/hunyuan?", "/nowhere?")),
    ("database_tls", lambda url, _: url + "&sslmode=require"),
    ("database_tls", lambda url, _: url + "&sslmode=verify-full&sslrootcert=system"),
]


@pytest.mark.parametrize(("code", "address"), ELSEWHERE)
def test_a_server_that_cannot_be_used_is_named_with_the_reason(
    code: str, address: Callable[[str, int], str], tmp_path: Path, postgres_server: PostgresServer
) -> None:
    error = started(address(postgres_server.url(tmp_path), postgres_server.port), tmp_path)
    assert error.facts["problem"]["key"] == f"setting.{code}"
    sentence = words().sentence(error)
    assert "HUNYUAN_UI_DATABASE_URL" in sentence
    assert not [secret for secret in (SECRET, PASSWORD, quote(PASSWORD, safe="")) if secret in sentence]


def test_a_user_without_the_right_to_make_tables_is_told_so(tmp_path: Path, postgres_server: PostgresServer) -> None:
    url = postgres_server.url(tmp_path)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS guest")
        connection.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'")
    guest = f"postgresql://guest:guest@{url.rpartition('@')[2]}"
    assert started(guest, tmp_path).facts["problem"]["key"] == "setting.database_refuses"


def test_tables_of_a_newer_version_are_left_alone(tmp_path: Path, postgres_server: PostgresServer) -> None:
    url = postgres_server.url(tmp_path)
    open_postgres(url).close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO migrations VALUES (%s, 'later', 0)", [len(MIGRATIONS) + 1])
    assert started(url, tmp_path).facts["problem"]["key"] == "setting.database_newer"


@pytest.mark.anyio
async def test_a_start_in_a_folder_that_takes_no_write_stores_nothing_in_the_database(
    tmp_path: Path, postgres_server: PostgresServer
) -> None:
    folder = DataFolder(tmp_path / "data", min_free_bytes=0, is_shared=True)
    folder.refuse(StorageError("disk_read_only"))
    settings = Settings(data_dir=folder.path, database_url=Secret(postgres_server.url(tmp_path)))
    services = build_services(settings, folder=folder)
    try:
        with pytest.raises(StorageError, match="disk_read_only"):
            added(services.ledger)
        assert services.ledger.jobs(None) == []
    finally:
        await services.close()


def test_without_the_package_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "hunyuan_ui.ledger.postgres")
    monkeypatch.delattr(ledger, "postgres")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    error = started("postgresql://u:p@127.0.0.1:1/x", tmp_path)
    assert error.facts["problem"]["key"] == "setting.database_package"


@pytest.mark.slow
def test_the_app_ends_with_status_2_and_no_password_anywhere(tmp_path: Path) -> None:
    url = f"postgresql://owner:{SECRET}@127.0.0.1:1/hunyuan"
    place = {"HUNYUAN_UI_DATA_DIR": str(tmp_path / "data"), "GRADIO_TEMP_DIR": str(tmp_path / "cache")}
    for command in (["app.py"], ["-m", "hunyuan_ui", "a fox"]):
        ended = subprocess.run(
            [sys.executable, *command],
            cwd=ROOT,
            env={**os.environ, **place, "HUNYUAN_UI_DATABASE_URL": url},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ended.returncode == 2, ended.stderr
        assert "HUNYUAN_UI_DATABASE_URL: leads to no server" in ended.stderr
        assert "Traceback" not in ended.stderr
        assert SECRET not in ended.stdout + ended.stderr
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes()


@pytest.mark.slow
def test_nothing_of_it_is_loaded_where_no_database_is_named(tmp_path: Path) -> None:
    loaded = modules_of_an_import(tmp_path)
    assert "hunyuan_ui.ledger.sqlite" in loaded
    assert not [name for name in loaded if name.startswith(("psycopg", "obstore"))]
    shared = (
        "ledger.postgres",
        "ledger.shared",
        "ledger.shared_stores",
        "jobs.replicas",
        "jobs.replica_stores",
    )
    assert not loaded & {f"hunyuan_ui.{name}" for name in shared}


def test_the_logs_hide_the_password_however_it_is_written() -> None:
    settings = Settings(data_dir=Path(), database_url=Secret("postgresql://u:a%2Fb%40cd@host/x"))
    assert {"a%2Fb%40cd", "a/b@cd"} < {secret.reveal() for secret in settings.secrets}
