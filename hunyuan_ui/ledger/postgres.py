"""The ledger in PostgreSQL: the same table and statements as in SQLite, behind a pool of connections.

Source: docs/facts/scale.md 1 and 2.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import Connection
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool, PoolClosed

from hunyuan_ui.checkpoint import checkpoint
from hunyuan_ui.errors import SettingsError, StorageError
from hunyuan_ui.ledger import DATABASE_URL
from hunyuan_ui.ledger.connection import Cursor, Values
from hunyuan_ui.ledger.schema import MIGRATIONS
from hunyuan_ui.ledger.search_text import postgres_function

CONNECT_TIMEOUT_S: Final = 5
READER_WITHIN_S: Final = 2.0
LOCK_TIMEOUT_S: Final = 5.0
LET_GO_S: Final = 10.0  # limit for a process that stalls inside a transaction while others wait
MOST_SILENT_S: Final = 30.0  # limit for a server that stands still, and with it its own timeouts
REST_S: Final = 1.0  # after a failed connection attempt, before the next one
MOST_READERS: Final = 4
_RECONNECT_S: Final = 2.0
_LOCK: Final = 0x48756E79  # arbitrary, but unused by others; a second number distinguishes ledgers in one database
_LOCKED: Final = f"SELECT pg_advisory_xact_lock({_LOCK}, hashtext(current_schema()))"
# Each is sent as one message, so that a transaction costs no extra round trip. Session settings would not survive a
# pooler. A transaction must see what was committed while it waited for the lock, and a server crash must not undo a
# commit, whatever the database's defaults are.
_LET_GO: Final = f" SET LOCAL idle_in_transaction_session_timeout = '{LET_GO_S:g}s';"
_BEGIN: Final = (
    f"BEGIN ISOLATION LEVEL READ COMMITTED;{{}}{_LET_GO} SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S:g}s'; {_LOCKED}"
)
_ON_DISK: Final = " SET LOCAL synchronous_commit = 'local';"
# Held in a separate transaction, which lasts as long as needed: a pooler keeps a transaction on one connection.
_HOLD: Final = f"SELECT pg_try_advisory_xact_lock({_LOCK + 1}, hashtext(current_schema()))"
_BEGIN_READING: Final = (
    f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;{_LET_GO} SET LOCAL lock_timeout = '{READER_WITHIN_S:g}s'"
)
_BEGIN_STATEMENT: Final = (
    f"BEGIN ISOLATION LEVEL READ COMMITTED;{_LET_GO} SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S:g}s'"
)
# A machine that lost power closes no connection, and would hold its locks for the default two hours.
_NOTICE_A_DEAD_CLIENT: Final = (
    "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3"
)
_DEFAULTS: Final = {
    "application_name": "hunyuan-ui",
    "connect_timeout": CONNECT_TIMEOUT_S,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
NOW: Final = "extract(epoch FROM clock_timestamp())::float8"  # the server's clock only: machine clocks may differ
_ENCODING: Final = "UTF8"  # the only one that can store every text, and every text escaped in JSON

# SQL differences: placeholders.
_MARKS: Final = re.compile(r"'(?:[^']|'')*'|::|:(?P<name>[a-z_][a-z_0-9]*)|(?P<mark>\?)|%")
# Migration differences: type names, and PostgreSQL indexes cannot hold a long prompt.
_TYPES: Final = (
    (" REAL", " DOUBLE PRECISION"),
    (" INTEGER", " BIGINT"),
    (" STRICT", ""),
    (" VIRTUAL", " STORED"),
    ("created_at, id, prompt)", "created_at, id)"),
    ("id TEXT PRIMARY KEY", 'id TEXT COLLATE "C" PRIMARY KEY, rowid BIGINT GENERATED ALWAYS AS IDENTITY'),
)
_PREPARED: Final = (
    # Built into SQLite. The argument is text, because a row may hold values that PostgreSQL's JSON types reject.
    "CREATE OR REPLACE FUNCTION json_extract(document text, path text) RETURNS text LANGUAGE sql IMMUTABLE STRICT"
    " AS $$ SELECT document::json ->> substr(path, 3) $$",
    "CREATE TABLE IF NOT EXISTS migrations"
    " (version BIGINT PRIMARY KEY, name TEXT NOT NULL, applied_at DOUBLE PRECISION)",
)


class _ImpatientConnection(Connection[TupleRow]):
    """A connection that is closed if the server answers a statement with nothing for MOST_SILENT_S seconds."""

    def wait(self, *waiting: Any, **options: Any) -> Any:
        """Wait for the server; all statements, commits and rollbacks do."""
        options.setdefault("timeout", MOST_SILENT_S)
        try:
            return super().wait(*waiting, **options)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.close()
            raise


class PostgresDatabase:
    """The ledger's tables on a PostgreSQL server; see `Database` for the methods.

    A process writes through one connection, one transaction at a time, and the writes of all processes are serialized
    by one lock.

    Args:
        conninfo: libpq connection string, with the password.
        is_patient: A statement may take as long as it needs.
    """

    can_be_away = True
    last_sent = None

    def __init__(self, conninfo: str, *, is_patient: bool) -> None:
        self._conninfo = conninfo
        self._kind = Connection[TupleRow] if is_patient else _ImpatientConnection
        self._failed_at: float | None = None  # time.monotonic()
        self._is_closed = False
        self._refusal: StorageError | None = None
        self._writer: Connection[TupleRow] | None = None
        self._statements: _Statements  # of the write connection
        self._begin: bytes  # begins a transaction there, exclusive among all processes
        self._lock = threading.RLock()
        logging.getLogger("psycopg.pool").disabled = True  # two lines a second while the server is away
        self._readers = ConnectionPool(
            conninfo,
            connection_class=self._kind,
            kwargs={"autocommit": True},
            configure=_configure,
            min_size=1,
            max_size=MOST_READERS,
            timeout=READER_WITHIN_S,
            reconnect_timeout=_RECONNECT_S,
            open=True,
        )

    @property
    def problem(self) -> StorageError | None:
        """Why the server is unavailable at the moment; None if the last attempt succeeded."""
        return None if self._failed_at is None else StorageError("database_away")

    def try_lock(self) -> None:
        """Do nothing: the lease tells it; see `Database`."""

    def refuse(self, error: StorageError) -> None:
        """Refuse all writes from now on, for this reason."""
        self._refusal = error

    @contextmanager
    def transaction(self, name: str, /) -> Generator[_Statements]:
        """Run a block in a transaction that is serialized with all other writers."""
        with self._lock, _storage_errors():
            checkpoint(f"ledger.{name}.begin")
            with self._tried():
                connection = self._begin_writing()
            with _rolled_back(connection):
                yield self._statements
                checkpoint(f"ledger.{name}.commit")
                connection.commit()
            checkpoint(f"ledger.{name}.committed")

    @contextmanager
    def reading(self) -> Generator[_Statements]:
        """Provide a connection with one snapshot of all tables."""
        with self._pooled(_BEGIN_READING) as connection:
            yield _Statements(connection)

    def run(self, statement: str, values: Values = (), /) -> list[Any]:
        """Run a single statement, which waits for none of the ledger's transactions; return its rows.

        Raises:
            StorageError: The server cannot be reached, or rejects the statement.
        """
        with self._pooled(_BEGIN_STATEMENT) as connection:
            cursor = connection.execute(_translated(statement), values)
            return cursor.fetchall() if cursor.description else []

    def erase(self) -> None:
        """Do nothing: the server removes overwritten data when it vacuums."""

    def back_up(self, folder: Path, /) -> None:
        """Do nothing: backups are the server's task."""

    def empty_log(self) -> None:
        """Do nothing: the server's log is not in the data folder."""

    def close(self) -> None:
        """Close all connections, and let another process write."""
        with self._lock:
            self._is_closed = True
            self._readers.close()
            if self._writer is not None:
                self._writer.close()

    @contextmanager
    def _tried(self) -> Generator[None]:
        """Track whether the server is reachable; after a failure, all callers fail fast for a moment."""
        began, failed_at = time.monotonic(), self._failed_at
        if failed_at is not None and began - failed_at < REST_S:
            raise StorageError("database_away")
        try:
            yield
        except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled):
            raise
        except psycopg.OperationalError:
            self._failed_at = time.monotonic()
            raise
        failed_at = self._failed_at
        if failed_at is not None and failed_at < began:  # a later attempt is more current
            self._failed_at = None

    def _begin_writing(self) -> Connection[TupleRow]:
        connection = self._writing()
        try:
            self._statements.cursor.execute(self._begin)
        except psycopg.OperationalError:
            if not connection.broken:
                connection.rollback()
                raise
            connection = self._writing()  # it broke while idle
            self._statements.cursor.execute(self._begin)
        return connection

    def _writing(self) -> Connection[TupleRow]:
        """Return the write connection, a new one if it is broken."""
        if self._is_closed:
            raise StorageError("stopping")
        if self._refusal is not None:
            raise self._refusal.with_traceback(None)
        if self._writer is not None and not self._writer.closed:
            return self._writer
        connection = self._kind.connect(self._conninfo, autocommit=True)
        try:
            _configure(connection)
            connection.execute(_NOTICE_A_DEAD_CLIENT)
            default = connection.execute("SELECT current_setting('synchronous_commit')").fetchone()
            self._begin = _BEGIN.format(_ON_DISK if default == ("off",) else "").encode()
            self._statements = _Statements(connection)
        except BaseException:
            connection.close()
            raise
        self._writer = connection
        return connection

    @contextmanager
    def _pooled(self, first: str) -> Generator[Connection[TupleRow]]:
        """Provide a pooled connection in the transaction that a first statement begins."""
        with _storage_errors():
            with self._tried():
                connection = self._reader(first)
            try:
                with _rolled_back(connection):
                    yield connection
                    connection.commit()
            finally:
                self._readers.putconn(connection)

    def _reader(self, first: str) -> Connection[TupleRow]:
        """Return a pooled connection on which a first statement has succeeded."""
        for _ in range(MOST_READERS + 1):  # all pooled ones may be broken; then a new one is opened
            connection = self._readers.getconn()
            try:
                connection.execute(first.encode())
            except psycopg.OperationalError:
                has_broken = connection.broken  # while idle; the pool replaces it
                self._readers.putconn(connection)
                if not has_broken:
                    raise
            else:
                return connection
        raise psycopg.OperationalError


class _Statements:
    """Runs the ledger's statements one at a time on a psycopg connection, with a single cursor."""

    def __init__(self, connection: Connection[TupleRow]) -> None:
        self.cursor = connection.cursor()

    def execute(self, statement: str, values: Values = (), /) -> Cursor:
        """Run a statement that was written for SQLite."""
        return self.cursor.execute(_translated(statement), values)


class _Whole(Loader):
    """Loads a sum of integers as an integer."""

    def load(self, data: Buffer) -> int:
        return int(bytes(data))


def open_postgres(url: str, *, is_patient: bool = False) -> PostgresDatabase:
    """Open the ledger in a PostgreSQL database, and create or migrate its tables.

    Args:
        url: `postgresql://user:password@host:port/database?sslmode=verify-full`, as libpq reads it.
        is_patient: As for `PostgresDatabase`.

    Raises:
        SettingsError: The address is invalid, the server is unreachable or refuses, the database's encoding is not
            UTF8, or the tables cannot be created or are a newer version's. The password is in no message.
    """
    with _connected(url) as connection:
        if connection.info.parameter_status("server_encoding") != _ENCODING:
            raise SettingsError(DATABASE_URL, "database_encoding")
        migrate(connection)
    return PostgresDatabase(_conninfo(url), is_patient=is_patient)


def count_jobs(url: str) -> int | None:
    """Return how many jobs the database holds, without changing it; None if its tables do not exist yet.

    Raises:
        SettingsError: As `open_postgres`.
    """
    with _connected(url) as connection:
        if connection.execute("SELECT to_regclass('jobs')").fetchone() == (None,):
            return None
        row = connection.execute("SELECT count(*) FROM jobs").fetchone()
        return 0 if row is None else int(row[0])


@contextmanager
def copied_into(url: str) -> Generator[None]:
    """Exclude all other copies into the tables while a block runs, which may take hours.

    Raises:
        StorageError: Another copy into them is running.
        SettingsError: As `open_postgres`.
    """
    with _connected(url) as connection:
        connection.execute("BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0")
        if connection.execute(_HOLD.encode()).fetchone() != (True,):
            raise StorageError("copy_under_way")
        yield
        with suppress(psycopg.Error):  # it broke meanwhile, which released the lock
            connection.rollback()


@contextmanager
def _connected(url: str) -> Generator[Connection[TupleRow]]:
    """Provide a short-lived connection; failures are raised as a SettingsError about the address."""
    try:
        with psycopg.connect(_conninfo(url), autocommit=True) as connection:
            yield connection
    except psycopg.OperationalError as error:
        raise SettingsError(DATABASE_URL, _why_not(error)) from None
    except psycopg.Error:
        raise SettingsError(DATABASE_URL, "database_refuses") from None


def _conninfo(url: str) -> str:
    try:
        known = conninfo_to_dict(url)
    except psycopg.Error:
        raise SettingsError(DATABASE_URL, "database_url") from None  # the message would contain parts of the password
    defaults = {name: text for name, text in _DEFAULTS.items() if name not in known}
    return make_conninfo(url, **defaults, client_encoding=_ENCODING)


def migrate(connection: Connection[TupleRow]) -> None:
    """Apply the missing migrations in one transaction, one process at a time.

    Args:
        connection: In autocommit mode.

    Raises:
        SettingsError: The tables were made by a newer version.
        psycopg.Error: Nothing was changed.
    """
    connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    with connection.transaction():
        connection.execute(_LOCKED.encode())
        for prepared in _PREPARED:
            connection.execute(prepared)
        connection.execute(postgres_function().encode())
        row = connection.execute("SELECT coalesce(max(version), 0) FROM migrations").fetchone()
        version = 0 if row is None else int(row[0])
        if version > len(MIGRATIONS):
            raise SettingsError(DATABASE_URL, "database_newer")
        for number, migration in enumerate(MIGRATIONS[version:], version + 1):
            for statement in (*map(_typed, migration.statements), *migration.shared):
                connection.execute(statement.encode())
            connection.execute("INSERT INTO migrations VALUES (%s, %s, %s)", (number, migration.name, time.time()))


@contextmanager
def _rolled_back(connection: Connection[TupleRow]) -> Generator[None]:
    """Roll back the transaction that a block leaves open after an error of any kind."""
    try:
        yield
    except BaseException:
        with suppress(psycopg.Error):
            connection.rollback()
        raise


def _configure(connection: Connection[Any]) -> None:
    connection.adapters.register_loader("numeric", _Whole)
    # Behind a pooler, detected by a differing process id, a prepared statement may be another client's.
    if connection.execute("SELECT pg_backend_pid()").fetchone() != (connection.info.backend_pid,):
        connection.prepare_threshold = None


@lru_cache(maxsize=512)
def _translated(statement: str) -> bytes:
    def mark(found: re.Match[str]) -> str:
        if found["name"]:
            return f"%({found['name']})s"
        if found["mark"]:
            return "%s"
        return found[0].replace("%", "%%")

    return _MARKS.sub(mark, statement).encode()


def _typed(statement: str) -> str:
    for ours, theirs in _TYPES:
        statement = statement.replace(ours, theirs)
    return statement


@contextmanager
def _storage_errors() -> Generator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise as_storage_error(error) from error


def as_storage_error(error: psycopg.Error) -> StorageError:
    """Return the StorageError for a database error; the failed operation must not lead to sending."""
    match error:
        case PoolClosed():
            return StorageError("stopping")
        case psycopg.errors.LockNotAvailable() | psycopg.errors.QueryCanceled():
            return StorageError("ledger_busy")
        case psycopg.errors.DiskFull() | psycopg.errors.OutOfMemory():
            return StorageError("database_refuses")
        case psycopg.OperationalError() | psycopg.InterfaceError():
            return StorageError("database_away")
        case _:
            return StorageError("database_refuses")


_REFUSALS: Final = (
    (re.compile(r"password|authentication|pg_hba|role .* does not exist", re.IGNORECASE), "database_refused"),
    (re.compile(r"database .* does not exist", re.IGNORECASE), "database_missing"),
    (re.compile(r"certificate|SSL|TLS", re.IGNORECASE), "database_tls"),
)


def _why_not(error: psycopg.Error) -> str:
    """Return the kind of a connection failure; the server's text may be in any language and is only for display."""
    return next((code for words, code in _REFUSALS if words.search(str(error))), "database_unreachable")
