"""A database owner's defaults weaken no guarantee: isolation, synchronous commits, encodings."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psycopg
import pytest

from hunyuan_ui.errors import SettingsError, StorageError
from hunyuan_ui.job import Job, JobStatus, new_id
from hunyuan_ui.ledger import ReplicaInfo, open_shared
from hunyuan_ui.ledger.postgres import LET_GO_S, LOCK_TIMEOUT_S, MOST_READERS, open_postgres
from hunyuan_ui.ledger.shared_ledger import SharedLedger
from hunyuan_ui.limits import Totals
from tests.postgres_server import PostgresServer, installed, rows_of
from tests.stored_jobs import PRICE, added, job

Opened = Callable[[str], SharedLedger]
LEVELS = ["read committed", "repeatable read", "serializable"]


@pytest.fixture
def opened() -> Iterator[Callable[[str], SharedLedger]]:
    """Open ledgers of processes by their database's URL."""
    made = list[SharedLedger]()

    def open_one(url: str) -> SharedLedger:
        made.append(ledger := open_shared(url, ReplicaInfo(new_id(), "a", slots=99, one_each=False)))
        ledger.renew_lease()
        return ledger

    yield open_one
    for ledger in made:
        ledger.close()


def with_default(url: str, name: str, value: str) -> str:
    return f"{url}%20-c{name}%3D{value.replace(' ', '%5C%20')}"


@pytest.mark.parametrize("level", LEVELS)
def test_two_processes_never_pass_a_limit_whatever_isolation_is_usual(
    level: str, opened: Opened, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    url = with_default(postgres_server.url(tmp_path), "default_transaction_isolation", level)
    ledgers = opened(url), opened(url)
    is_counted = threading.Event()

    def check(_: Job, totals: Totals) -> None:
        if totals.today_microusd:
            raise StorageError("disk_full", free=0)
        is_counted.set()
        time.sleep(0.3)  # the other waits for the lock meanwhile

    def add_another() -> None:
        is_counted.wait()
        with suppress(StorageError):
            ledgers[1].add(job(), check)

    other = threading.Thread(target=add_another)
    other.start()
    ledgers[0].add(job(), check)
    other.join()
    assert ledgers[0].totals("").today_microusd == PRICE


@pytest.mark.parametrize("level", LEVELS)
def test_two_first_starts_at_once_both_work_whatever_isolation_is_usual(
    level: str, opened: Opened, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    url = with_default(postgres_server.url(tmp_path), "default_transaction_isolation", level)
    made = list[SharedLedger]()
    starts = [threading.Thread(target=lambda: made.append(opened(url))) for _ in range(4)]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    assert len(made) == len(starts)


@pytest.fixture
def hesitant() -> Iterator[PostgresServer]:
    """A server that delays asynchronous writes by many seconds."""
    server = PostgresServer(installed(), is_durable=True)
    server.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
    server.stop()
    server.start()
    yield server
    server.close()


@pytest.mark.slow
def test_what_is_sent_is_still_known_after_a_crash_of_a_server_that_does_not_wait_for_its_disk(
    hesitant: PostgresServer, opened: Opened, tmp_path: Path
) -> None:
    url = hesitant.url(tmp_path)
    ledger = opened(with_default(url, "synchronous_commit", "off"))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
    sent = added(ledger)
    assert ledger.claim(sent.id)
    hesitant.stop()
    hesitant.start()
    ((row,),) = rows_of(url)
    assert (row["id"], row["status"]) == (sent.id, JobStatus.SUBMITTING.value)


def database(server: PostgresServer, encoding: str) -> str:
    """Return the URL of an empty database with an encoding."""
    name = f"in_{encoding}".lower()
    server.execute(f"DROP DATABASE IF EXISTS {name}")
    server.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    return server.url("encodings").partition("?")[0].replace("/hunyuan", f"/{name}")


def test_texts_are_the_same_whatever_a_client_is_said_to_speak(
    opened: Opened, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    ledger = opened(f"{postgres_server.url(tmp_path)}&client_encoding=LATIN1")
    stored = added(ledger, "一只猫 ü")
    assert ledger.claim(stored.id)
    assert [one.request.prompt for one in ledger.jobs(None, search="猫")] == ["一只猫 ü"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("standard_conforming_strings", "off"), ("backslash_quote", "off")],
)
def test_a_search_finds_the_same_however_a_database_reads_its_statements(
    name: str, value: str, opened: Opened, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    ledger = opened(with_default(postgres_server.url(tmp_path), name, value))
    prompts = ("a red fox!", "100% fox", "back\\slash", "snake_case", 'what\'s "this"')
    for prompt in prompts:
        added(ledger, prompt)
    for mark, hit in zip("!%\\_'", prompts, strict=True):
        assert [one.request.prompt for one in ledger.jobs(None, search=mark)] == [hit]


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1", "EUC_JP"])
def test_a_database_that_cannot_hold_every_text_is_refused_at_the_start(
    encoding: str, postgres_server: PostgresServer
) -> None:
    url = database(postgres_server, encoding)
    with pytest.raises(SettingsError) as refused:
        open_postgres(url)
    assert refused.value.facts["problem"]["key"] == "setting.database_encoding"


def test_a_wait_for_the_lock_that_the_server_ends_does_not_say_that_it_is_away(
    opened: Opened, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    url = postgres_server.url(tmp_path)
    patient, hasty = opened(url), opened(with_default(url, "statement_timeout", "200"))

    def check(*_: object) -> None:
        with pytest.raises(StorageError, match="ledger_busy"):
            added(hasty)

    patient.add(job(), check)
    assert hasty.problem is None
    assert added(hasty)


def test_a_table_that_somebody_locks_keeps_nobody_waiting_for_longer_than_a_writer_does(
    opened: Opened, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    url = postgres_server.url(tmp_path)
    ledger = opened(url)
    with psycopg.connect(url) as connection:
        connection.execute("LOCK TABLE jobs")  # as VACUUM FULL does
        began = time.monotonic()
        with pytest.raises(StorageError, match="ledger_busy"):
            ledger.jobs(None)
        assert time.monotonic() - began < 2 * LOCK_TIMEOUT_S
    assert ledger.jobs(None) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "call"),
    [
        ("workers", lambda ledger: ledger.renew_lease()),
        ("jobs", lambda ledger: ledger.show({"a" * 32: (None, True)})),
        ("lists", lambda ledger: ledger.lists.stop("b" * 32)),
        ("grants", lambda ledger: ledger.access.grant("code", "c" * 32)),
    ],
    ids=["workers", "jobs", "lists", "grants"],
)
def test_a_single_statement_waits_for_a_locked_table_no_longer_either(
    opened: Opened, tmp_path: Path, postgres_server: PostgresServer, table: str, call: Callable[[SharedLedger], object]
) -> None:
    url = postgres_server.url(tmp_path)
    ledger = opened(url)
    with psycopg.connect(url) as connection:
        connection.execute(f"LOCK TABLE {table}".encode())
        release = threading.Timer(2 * LOCK_TIMEOUT_S, connection.close)  # whoever waits longer gets through
        release.start()
        with pytest.raises(StorageError, match="ledger_busy"):
            call(ledger)
        release.cancel()
    assert ledger.problem is None
    call(ledger)


def _transaction(ledger: SharedLedger, statement: str) -> str:
    with ledger.database.transaction("test") as connection:
        return connection.execute(statement).fetchone()[0]


def _reading(ledger: SharedLedger, statement: str) -> str:
    with ledger.database.reading() as connection:
        return connection.execute(statement).fetchone()[0]


def _statement(ledger: SharedLedger, statement: str) -> str:
    return ledger._server.run(statement)[0][0]


@pytest.mark.parametrize("ask", [_transaction, _reading, _statement])
def test_a_process_that_stands_still_in_any_transaction_is_let_go_of(
    opened: Opened, tmp_path: Path, postgres_server: PostgresServer, ask: Callable[[SharedLedger, str], str]
) -> None:
    ledger = opened(postgres_server.url(tmp_path))
    assert ask(ledger, "SHOW idle_in_transaction_session_timeout") == f"{LET_GO_S:g}s"


def test_connections_that_all_broke_while_nobody_used_them_are_no_outage(
    opened: Opened, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    ledger = opened(postgres_server.url(tmp_path))
    with ExitStack() as readers:
        for _ in range(MOST_READERS):
            readers.enter_context(ledger._reading())
    postgres_server.cut()
    assert ledger.board() == []
    assert ledger.problem is None
