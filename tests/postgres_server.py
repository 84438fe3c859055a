"""A real PostgreSQL for tests, in a temporary folder, run by an unprivileged user, reachable over loopback only."""

from __future__ import annotations

import hmac
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from base64 import b64encode
from contextlib import suppress
from hashlib import pbkdf2_hmac, sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.app_process import free_port

_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")
PASSWORD = "geheim/@:%?ü"  # with all characters that a URL must escape
_FROZEN_S = 40.0
_MEMORY = "/dev/shm"
_PLENTY_BYTES = 4 * 1024**3  # a container has 64 MB, and each of several workers needs some hundred
_QUOTED = "geheim%2F%40%3A%25%3F%C3%BC"


def programs() -> Path | None:
    """Return the folder of PostgreSQL's newest programs, in any of the usual locations."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    found = sorted(path for place in _PLACES for path in Path("/").glob(place[1:]) if (path / "initdb").exists())
    return found[-1] if found else None


def installed() -> Path:
    """Return the same for a test, which is skipped if they are missing, or fails if they are required."""
    if (found := programs()) is None:
        (pytest.fail if os.environ.get("REQUIRE_POSTGRES") else pytest.skip)("PostgreSQL is not installed")
    return found


Rows = list[tuple[Any, ...]]


class PostgresServer:
    """A server with one database, `hunyuan`; each test uses a separate schema in it.

    Args:
        programs: Folder of its programs.
        is_durable: Whether commits wait for the disk, as they do by default.
    """

    def __init__(self, programs: Path, *, is_durable: bool = False) -> None:
        self._programs = programs
        self._folder = Path(tempfile.mkdtemp(prefix="hunyuan-ui-postgres-", dir=None if is_durable else _in_memory()))
        self._is_durable = is_durable
        self._process: subprocess.Popen[Any] | None = None
        self._frozen: list[int] = []
        self._schemas: set[str] = set()
        self._thawing: threading.Timer | None = None
        self.port = free_port()
        secret = self._folder / "password"
        secret.write_text(PASSWORD, encoding="utf-8")
        if os.getuid() == 0:
            shutil.chown(self._folder, "nobody")
            shutil.chown(secret, "nobody")
        options = ["-U", "owner", "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--locale=C", "--no-sync"]
        self._run("initdb", "-D", str(self._data), *options)
        self.start()
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE hunyuan")
            connection.execute(f"ALTER ROLE owner PASSWORD '{_quick_verifier()}'".encode())

    def url(self, name: object) -> str:
        """Return the URL of a schema, created if missing."""
        schema = "t" + sha256(str(name).encode()).hexdigest()[:20]
        if schema not in self._schemas:  # a connection costs the server a process, and nothing drops a schema
            with psycopg.connect(self._address("hunyuan"), autocommit=True) as connection:
                connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}".encode())
            self._schemas.add(schema)
        return f"{self._address('hunyuan')}?options=-csearch_path%3D{schema}"

    def start(self) -> None:
        """Start the server, and wait until it responds."""
        options = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", f"port={self.port}"]
        if not self._is_durable:
            options += ["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]
            options += ["-c", "max_wal_size=128MB", "-c", "min_wal_size=32MB"]  # it may be kept in memory
        command = [str(self._programs / "postgres"), "-D", str(self._data), *options]
        with (self._folder / "log").open("ab") as log:
            process = self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **_without_rights())
        deadline = time.monotonic() + 30
        while not self._answers():
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError((self._folder / "log").read_text("utf-8", "replace")[-2000:])
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Stop the server: SIGQUIT is its mode `immediate`, SIGINT is `fast`."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def freeze(self) -> None:
        """Let nothing of it run, as on a machine or a disk that stands still: its connections stay open.

        It goes on after a while also without `thaw`, so that a wait without an end fails a test and not the whole run.
        """
        self._frozen = self._all_processes()
        self._signal_frozen(signal.SIGSTOP)
        self._thawing = threading.Timer(_FROZEN_S, self._signal_frozen, [signal.SIGCONT])
        self._thawing.daemon = True
        self._thawing.start()

    def thaw(self) -> None:
        """Let it go on."""
        if self._thawing is not None:
            self._thawing.cancel()
        self._signal_frozen(signal.SIGCONT)

    def cut(self) -> None:
        """Close all connections to it."""
        self.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'hunyuan'")

    def execute(self, statement: str) -> None:
        """Run a statement as the server's owner, outside the tests' database."""
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def close(self) -> None:
        """Stop the server and remove its folder."""
        self.thaw()
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _address(self, database: str) -> str:
        return f"postgresql://owner:{_QUOTED}@127.0.0.1:{self.port}/{database}"

    def _all_processes(self) -> list[int]:
        assert self._process is not None
        own = self._process.pid
        listed = subprocess.run(["ps", "-eo", "pid=,ppid="], check=True, capture_output=True, text=True).stdout
        pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
        return [own, *(pid for pid, parent in pairs if parent == own)]

    def _signal_frozen(self, what: signal.Signals) -> None:
        for pid in self._frozen:
            with suppress(ProcessLookupError):
                os.kill(pid, what)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self._address("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd="/", **_without_rights())


def _in_memory() -> str | None:
    """Return a folder in memory, if there is plenty.

    A ledger's tables and indexes are forty files, and a disk's file system needs a millisecond for each: on a disk, a
    new schema takes six times as long.
    """
    with suppress(OSError):
        if shutil.disk_usage(_MEMORY).free >= _PLENTY_BYTES and os.access(_MEMORY, os.W_OK):
            return _MEMORY
    return None


def _quick_verifier() -> str:
    """Return what a server keeps of the password (RFC 5803), with one iteration.

    The usual 4096 are two milliseconds at every connection.
    """
    salted = pbkdf2_hmac("sha256", PASSWORD.encode(), b"salt", 1)
    stored = sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    keys = (b64encode(key).decode() for key in (b"salt", stored, hmac.digest(salted, b"Server Key", "sha256")))
    return "SCRAM-SHA-256$1:{}${}:{}".format(*keys)


def _without_rights() -> dict[str, Any]:
    # PostgreSQL does not run as root.
    if os.getuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def rows_of(url: str) -> Rows:
    """Return the ledger's rows, for `load_rows`."""
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT to_jsonb(jobs) FROM jobs ORDER BY rowid").fetchall()


def load_rows(url: str, rows: Rows) -> None:
    """Replace the current rows by older ones, like restoring a dump."""
    with psycopg.connect(url) as connection:
        connection.execute("DELETE FROM jobs")
        found = connection.execute(
            "SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute WHERE attrelid = 'jobs'::regclass"
            " AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attidentity = ''"
        ).fetchone()
        names = found[0] if found else ""
        statement = f"INSERT INTO jobs ({names}) SELECT {names} FROM jsonb_populate_record(NULL::jobs, %s)"
        for (row,) in rows:
            connection.execute(statement.encode(), (Jsonb(row),))
