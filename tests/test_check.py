"""--check with an expected and an unexpected service, and of this machine; none of it is paid."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hunyuan_ui import check
from hunyuan_ui.check import State
from hunyuan_ui.cli import Exit, main
from hunyuan_ui.data_folder import MIN_FREE_BYTES, DataFolder
from hunyuan_ui.endpoint import contract
from hunyuan_ui.endpoint.segmind import Timeouts
from hunyuan_ui.ledger import FILE_NAME, MOVED_NAME, open_ledger
from hunyuan_ui.local_endpoint.app import create_app
from hunyuan_ui.local_endpoint.serving import serve
from hunyuan_ui.settings import Settings
from hunyuan_ui.words import words
from tests.raw_service import RawService, Reply, answer, html, redirect, silence

KEY = "SG_00112233aabbccdd"
ROWS = ["key", "balance", "unknown_request", "wrong_verb", "history", "files", "data_folder", "disk", "ledger"]
ROOT = Path(__file__).parents[1]
GOOD = {
    contract.CREDITS: answer(200, {"credits": 5.0, "free-credits": 7.5}),
    "/v2/requests/*/status": answer(404, {"error": "Request not found"}),
    contract.SUBMIT_V2: html(405),
    "/inference-request/request-history*": answer(200, {"data": [], "total": 0}),
    "/": answer(404, {"error": "nothing here"}),
}


@pytest.fixture
def service() -> Iterator[RawService]:
    with RawService() as running:
        for path, reply in GOOD.items():
            running.on("GET", path, reply)
        yield running


@pytest.fixture
def environ(service: RawService, tmp_path: Path) -> dict[str, str]:
    return {
        "HUNYUAN_UI_DATA_DIR": str(tmp_path / "data"),
        "SEGMIND_BASE_URL": service.origin,
        "SEGMIND_API_KEY": KEY,
    }


def changed(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)


def checked(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    """Return the exit code, and each row's state and detail by its name."""
    code = main(["--check", "--json"], environ)
    told = json.loads(capsys.readouterr().out)
    assert told["is_as_expected"] == (code == Exit.DONE)
    return code, {row["name"]: (row["state"], row["detail"]) for row in told["checks"]}


def test_a_service_as_expected_is_told_line_by_line(
    service: RawService, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, rows = checked(environ, capsys)
    assert list(rows) == ROWS
    assert {state for state, _ in rows.values()} == {"as_expected"}, rows
    assert code == Exit.DONE
    assert rows["balance"][1] == "$12.50 on this account"
    assert service.bill == []
    assert {received.method for received in service.requests} == {"GET"}


def test_the_local_endpoint_is_as_expected(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    server = serve(create_app(seconds=0.1), "127.0.0.1", 0)
    try:
        code, rows = checked({**environ, "SEGMIND_BASE_URL": server.url}, capsys)
        assert code == Exit.DONE, rows
        code, rows = checked({**environ, "SEGMIND_BASE_URL": server.url, "HUNYUAN_UI_API": "v1"}, capsys)
        assert code == Exit.DONE, rows
    finally:
        server.close()


@pytest.mark.parametrize(
    ("path", "reply", "row", "state", "says"),
    [
        (contract.CREDITS, answer(401, {"error": "Unauthorized"}), "key", "different", "refused the API key"),
        (contract.CREDITS, answer(200, {"credits": 0.4}), "balance", "different", "$0.40"),
        (contract.CREDITS, answer(200, {"credits": -3}), "balance", "different", "$-3.00"),
        (contract.CREDITS, html(502), "balance", "different", "502"),
        (contract.CREDITS, answer(200, {"balance": 9}), "balance", "different", "unexpected"),
        ("/v2/requests/*/status", answer(200, {"status": "COMPLETED"}), "unknown_request", "different", "COMPLETED"),
        ("/v2/requests/*/status", html(404), "unknown_request", "different", "404"),
        ("/v2/requests/*/status", redirect("http://127.0.0.1:1/"), "unknown_request", "different", "302"),
        (contract.SUBMIT_V2, answer(404, {"error": "Model not found"}), "wrong_verb", "different", "404"),
        (contract.SUBMIT_V2, answer(200, {"request_id": "x" * 32}), "wrong_verb", "different", "200"),
        ("/inference-request/request-history*", answer(200, {"hello": 1}), "history", "different", "unexpected"),
        ("/inference-request/request-history*", answer(403, {"error": "no"}), "history", "different", "charged"),
        ("/", redirect("https://127.0.0.1:9/x"), "files", "different", "another port"),
        ("/", redirect("http://127.0.0.1/x"), "files", "different", "not https"),
        ("/", redirect("/"), "files", "not_reachable", "too often"),
    ],
)
def test_what_differs_is_named_and_nothing_else_is(
    service: RawService,
    environ: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    path: str,
    reply: Reply,
    row: str,
    state: str,
    says: str,
) -> None:
    service.on("GET", path, reply)
    code, rows = checked(environ, capsys)
    assert code == Exit.FAILED
    assert rows[row][0] == state
    assert says in rows[row][1]
    others = {name: told for name, (told, _) in rows.items() if name not in (row, "key", "balance")}
    assert set(others.values()) == {"as_expected"}
    assert service.bill == []


@pytest.mark.anyio
async def test_a_service_that_is_silent_is_not_reachable(service: RawService, environ: dict[str, str]) -> None:
    service.on("GET", contract.SUBMIT_V2, silence())
    found = await check.check(Settings.from_environ(environ), timeouts=Timeouts(get_s=0.3))
    assert [row.name for row in found if row.state is State.NOT_REACHABLE] == ["wrong_verb"]


def test_a_service_that_is_away_is_not_reachable(
    service: RawService, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    service.refuse()
    code, rows = checked(environ, capsys)
    assert code == Exit.FAILED
    assert [name for name, (state, _) in rows.items() if state == "not_reachable"] == ROWS[:6]


def test_without_a_key_nothing_is_asked_with_one(
    service: RawService, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, rows = checked({**environ, "SEGMIND_API_KEY": ""}, capsys)
    assert code == Exit.FAILED
    assert "not set" in rows["key"][1]
    assert [received.path for received in service.requests] == ["/"]


def test_the_key_is_in_no_line(
    service: RawService, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    for path in GOOD:
        service.on("GET", path, answer(401, {"error": f"the key {KEY} is unknown"}))
    main(["--check"], environ)
    told = capsys.readouterr()
    assert KEY not in told.out + told.err
    assert "***" in told.out


# this machine


def test_a_folder_in_use_is_no_trouble_and_is_left_alone(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(environ["HUNYUAN_UI_DATA_DIR"])
    held = DataFolder(path)
    opened = open_ledger(path)
    before = {file: file.read_bytes() for file in path.iterdir()}
    code, rows = checked(environ, capsys)
    assert code == Exit.DONE, rows
    assert "in use" in rows["data_folder"][1]
    assert "0 jobs" in rows["ledger"][1]
    assert {file: file.read_bytes() for file in path.iterdir() if not file.name.endswith("-shm")} == {
        file: text for file, text in before.items() if not file.name.endswith("-shm")
    }
    opened.database.close()
    held.close()


def test_a_page_that_starts_while_the_ledger_is_read_gets_the_folder(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pages: list[DataFolder] = []

    def count(folder: Path) -> int:
        pages.append(DataFolder(folder))
        return 0

    monkeypatch.setattr(check, "count_jobs", count)
    code, rows = checked(environ, capsys)
    (page,) = pages
    assert (code, page.problem) == (Exit.DONE, None), rows
    page.close()


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.write_bytes(b"not a database at all" * 500),
        lambda path: path.write_bytes(path.read_bytes()[:4096]),
        lambda path: changed(path, "DROP TABLE jobs"),
        lambda path: changed(path, "PRAGMA user_version = 900"),
    ],
    ids=["garbage", "cut", "no table", "newer"],
)
def test_a_damaged_ledger_is_told_and_not_mended(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str], harm: Any
) -> None:
    path = Path(environ["HUNYUAN_UI_DATA_DIR"])
    path.mkdir()
    open_ledger(path).database.close()
    harm(path / FILE_NAME)
    before = (path / FILE_NAME).read_bytes()
    code, rows = checked(environ, capsys)
    assert code == Exit.FAILED
    assert rows["ledger"][0] == "different"
    assert (path / FILE_NAME).read_bytes() == before


def test_a_ledger_that_was_moved_to_a_database_is_told(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(environ["HUNYUAN_UI_DATA_DIR"])
    path.mkdir()
    open_ledger(path).database.close()
    (path / MOVED_NAME).touch()
    code, rows = checked(environ, capsys)
    assert code == Exit.FAILED
    assert rows["ledger"][0] == "different"
    assert "HUNYUAN_UI_DATABASE_URL" in rows["ledger"][1]


def test_a_folder_that_cannot_be_written_is_told(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    Path(environ["HUNYUAN_UI_DATA_DIR"]).write_text("a file")
    code, rows = checked(environ, capsys)
    assert code == Exit.FAILED
    assert rows["data_folder"][0] == "different"


def test_a_disk_without_room_for_a_video_is_told(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checked(environ, capsys)[1]["disk"][0] == "as_expected"
    monkeypatch.setattr(check.shutil, "disk_usage", lambda _: SimpleNamespace(free=MIN_FREE_BYTES - 1))
    code, rows = checked(environ, capsys)
    assert code == Exit.FAILED
    assert rows["disk"][0] == "different"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("storage", "server_name", "state"),
    [
        ("kept", "127.0.0.1", State.AS_EXPECTED),
        ("lax", "127.0.0.1", State.DIFFERENT),
        ("wiped", "127.0.0.1", State.DIFFERENT),
        ("wiped", "0.0.0.0", State.AS_EXPECTED),  # there the history has what was spent
    ],
)
async def test_a_disk_that_forgets_is_told_where_nothing_makes_up_for_it(
    environ: dict[str, str], storage: Any, server_name: str, state: State
) -> None:
    named = {**environ, "GRADIO_SERVER_NAME": server_name, "HUNYUAN_UI_DAILY_LIMIT_USD": "5"}
    kind = {"kept": "ext4", "lax": "nfs4", "wiped": "tmpfs"}[storage]
    settings = Settings.from_environ(named, mounts=[(Path(environ["HUNYUAN_UI_DATA_DIR"]).parent, kind)])
    found = await check.check(settings)
    assert next(row for row in found if row.name == "disk").state is state


# output


def test_a_line_each_on_any_console(environ: dict[str, str]) -> None:
    for encoding in ("ascii", "cp1252"):
        ended = subprocess.run(
            [sys.executable, "-m", "hunyuan_ui", "--check"],
            env={**environ, "PYTHONIOENCODING": encoding, "HUNYUAN_UI_DATA_DIR": environ["HUNYUAN_UI_DATA_DIR"] + "猫"},
            cwd=ROOT,
            capture_output=True,
            timeout=60,
        )
        assert ended.returncode == Exit.DONE, ended
        assert len(ended.stdout.splitlines()) == len(ROWS) + 1
        assert ended.stderr == b""


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_row_has_a_name_in_each_language(language: str) -> None:
    assert {f"check.name.{name}" for name in ROWS} <= set(words(language))
