"""A PostgreSQL that stands still, with its connections open: no wait for it is without an end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hunyuan_ui.errors import StorageError
from hunyuan_ui.ledger import postgres
from hunyuan_ui.ledger.copy_to_postgres import LedgerCopy
from hunyuan_ui.ledger.postgres import PostgresDatabase, count_jobs, open_postgres
from hunyuan_ui.ledger.schema import insert, to_row
from hunyuan_ui.ledger.sqlite import open_ledger
from tests.postgres_server import PostgresServer
from tests.stored_jobs import job

pytestmark = pytest.mark.slow

SILENT_S = 0.5
WITHIN_S = 15.0  # with the tries to connect anew
PID = "SELECT pg_backend_pid()"


@pytest.fixture
def url(postgres_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(postgres, "MOST_SILENT_S", SILENT_S)
    monkeypatch.setitem(postgres._DEFAULTS, "connect_timeout", 2)
    yield postgres_server.url(tmp_path)
    postgres_server.thaw()


def _write(database: PostgresDatabase, freeze: Callable[[], None]) -> None:
    with database.transaction("x") as statements:
        freeze()
        statements.execute("SELECT 1")


def _commit(database: PostgresDatabase, freeze: Callable[[], None]) -> None:
    with database.transaction("x") as statements:
        statements.execute("SELECT 1")
        freeze()


def _roll_back(database: PostgresDatabase, freeze: Callable[[], None]) -> None:
    with database.transaction("x"):
        freeze()
        raise StorageError("database_away")


def _begin(database: PostgresDatabase, freeze: Callable[[], None]) -> None:
    freeze()
    with database.transaction("x"):
        pass


def _read(database: PostgresDatabase, freeze: Callable[[], None]) -> None:
    with database.reading() as statements:
        freeze()
        statements.execute("SELECT 1")


def _begin_reading(database: PostgresDatabase, freeze: Callable[[], None]) -> None:
    freeze()
    with database.reading():
        pass


def _run(database: PostgresDatabase, freeze: Callable[[], None]) -> None:
    freeze()
    database.run("SELECT 1")


@pytest.mark.parametrize("use", [_begin, _write, _commit, _roll_back, _begin_reading, _read, _run])
def test_a_server_that_stands_still_is_away_and_is_used_again_when_it_goes_on(
    postgres_server: PostgresServer, url: str, use: Callable[[PostgresDatabase, Callable[[], None]], None]
) -> None:
    with closing(open_postgres(url)) as database:
        with database.transaction("x"), database.reading():
            pass
        began = time.monotonic()
        with pytest.raises(StorageError, match="database_away"):
            use(database, postgres_server.freeze)
        assert time.monotonic() - began < WITHIN_S
        postgres_server.thaw()
        time.sleep(1.1 * postgres.REST_S)
        with database.transaction("x") as statements:
            assert statements.execute("SELECT 1").fetchone() == (1,)
        with database.reading() as statements:
            assert statements.execute("SELECT 1").fetchone() == (1,)
        assert database.problem is None


def test_a_server_that_stops_while_a_connection_is_set_up_is_away(
    postgres_server: PostgresServer, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, frozen = postgres._configure, list[bool]()

    def freeze_once(connection: psycopg.Connection[Any]) -> None:
        if not frozen:
            frozen.append(True)
            postgres_server.freeze()
        usual(connection)

    with closing(open_postgres(url)) as database:
        with database.reading():
            pass
        monkeypatch.setattr(postgres, "_configure", freeze_once)
        with pytest.raises(StorageError, match="database_away"), database.transaction("x"):
            pass
        assert frozen


def test_the_limit_is_for_each_statement_and_an_idle_connection_has_none(url: str) -> None:
    with closing(open_postgres(url)) as database:
        with database.transaction("x") as statements:
            first = statements.execute(PID).fetchone()
            for _ in range(8):
                statements.execute(f"SELECT pg_sleep({SILENT_S / 4})")
        time.sleep(2 * SILENT_S)
        with database.transaction("x") as statements:
            assert statements.execute(PID).fetchone() == first


def test_a_statement_may_take_as_long_as_it_needs_where_that_is_asked_for(url: str) -> None:
    with closing(open_postgres(url, is_patient=True)) as database, database.transaction("x") as statements:
        statements.execute(f"SELECT pg_sleep({2 * SILENT_S})")
    with (
        closing(open_postgres(url)) as database,
        pytest.raises(StorageError, match="database_away"),
        database.transaction("x") as statements,
    ):
        statements.execute(f"SELECT pg_sleep({2 * SILENT_S})")


def test_one_wait_is_enough_to_tell_although_other_connections_are_idle(
    postgres_server: PostgresServer, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, closed = postgres._ImpatientConnection, set[int]()
    close = kind.close

    def noting(connection: Any) -> None:
        closed.add(id(connection))
        close(connection)

    with closing(open_postgres(url)) as database:
        with ExitStack() as several:
            for _ in range(postgres.MOST_READERS):
                several.enter_context(database.reading())
        monkeypatch.setattr(kind, "close", noting)
        with pytest.raises(StorageError, match="database_away"):
            _run(database, postgres_server.freeze)
        assert len(closed) == 1


def test_a_copy_of_a_ledger_takes_as_long_as_it_needs(
    tmp_path: Path, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, url = tmp_path / "data", postgres_server.url(tmp_path)
    folder.mkdir()
    with closing(open_ledger(folder).database) as ledger, ledger.transaction("x") as statements:
        statements.execute(insert(), to_row(job()))
    monkeypatch.setattr(postgres, "MOST_SILENT_S", 0.0)  # no statement of any other use would end
    with closing(LedgerCopy(folder, url, lease_s=10)) as copy:
        copy.copy(b"x" * 32, lambda: None)
    assert count_jobs(url) == 1
