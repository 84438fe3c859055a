"""The schema as numbered migrations, and conversion between rows of the table `jobs` and Job."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import fields
from functools import lru_cache
from typing import Any, Final, NamedTuple

from hunyuan_ui.errors import StorageError
from hunyuan_ui.job import ACTIVE, Job, JobProblem, JobStatus
from hunyuan_ui.request import VideoRequest

OPEN: Final = ", ".join(sorted(f"'{status.value}'" for status in ACTIVE))
# SQLite uses a partial index only for a query that repeats its condition verbatim.
UNSETTLED: Final = f"status IN ({OPEN}, 'unknown')"
_STATUSES: Final = ", ".join(f"'{status.value}'" for status in JobStatus)


class Migration(NamedTuple):
    """One numbered schema change; its number is its position in `MIGRATIONS`, from 1. Never edit a released one.

    `shared` is for PostgreSQL only, which several processes may share.
    """

    name: str
    statements: tuple[str, ...]
    shared: tuple[str, ...] = ()


# The indexes for lists include the prompt, so that a search need not read every row.
_JOBS: Final = f"""CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    visitor TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ({_STATUSES})),
    request TEXT NOT NULL,
    dialect TEXT NOT NULL,
    payer TEXT NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    reserved_microusd INTEGER NOT NULL CHECK (reserved_microusd >= 0),
    predicted_s REAL NOT NULL,
    sent_at REAL,
    ended_at REAL,
    not_before REAL,
    request_id TEXT,
    cost_microusd INTEGER CHECK (cost_microusd >= 0),
    inference_s REAL,
    queue_s REAL,
    result_url TEXT,
    sha256 TEXT,
    problem TEXT,
    notes TEXT NOT NULL DEFAULT '{{}}',
    deleted_at REAL,
    prompt TEXT GENERATED ALWAYS AS (json_extract(request, '$.prompt')) VIRTUAL
) STRICT"""
MIGRATIONS: Final = (
    Migration(
        "jobs",
        (
            _JOBS,
            "CREATE INDEX jobs_by_visitor ON jobs (visitor, created_at, id, prompt)",
            "CREATE INDEX jobs_by_time ON jobs (created_at, id, prompt)",
            f"CREATE INDEX jobs_active ON jobs (status) WHERE {UNSETTLED}",
            "CREATE INDEX jobs_paid ON jobs (sent_at, status, cost_microusd, reserved_microusd, payer)"
            " WHERE payer = 'owner'",
            "CREATE INDEX jobs_ended ON jobs (ended_at) WHERE ended_at IS NOT NULL",
            "CREATE INDEX jobs_latest ON jobs (updated_at)",
        ),
    ),
    # Each submit checks whether its request id is another job's. Some ledgers of version 1 have this index already.
    Migration(
        "jobs_by_request",
        (
            "CREATE INDEX IF NOT EXISTS jobs_by_request ON jobs (lower(replace(request_id, '-', '')))"
            " WHERE request_id IS NOT NULL",
        ),
    ),
    # Not among `COLUMNS`, so that a ledger without it can still be shown.
    Migration(
        "jobs_by_list",
        (
            "ALTER TABLE jobs ADD COLUMN list_id TEXT",
            "CREATE INDEX jobs_by_list ON jobs (list_id, status, cost_microusd, reserved_microusd, payer)"
            " WHERE list_id IS NOT NULL",
        ),
    ),
    # `shown`: volatile state of a job for the page; `takes_place`: whether it counts as waiting or in flight.
    Migration(
        "workers",
        (),
        (
            "CREATE TABLE workers (id TEXT PRIMARY KEY, name TEXT NOT NULL, started_at FLOAT8 NOT NULL,"
            " since FLOAT8 NOT NULL, seen_at FLOAT8 NOT NULL)",
            "ALTER TABLE jobs ADD COLUMN worker TEXT, ADD COLUMN shown TEXT,"
            " ADD COLUMN takes_place BOOLEAN NOT NULL DEFAULT true",
            "CREATE TABLE secrets (name TEXT PRIMARY KEY, value BYTEA NOT NULL)",
            "CREATE TABLE grants (gate TEXT NOT NULL, visitor TEXT NOT NULL, at FLOAT8 NOT NULL,"
            " PRIMARY KEY (gate, visitor))",
            "CREATE INDEX grants_by_time ON grants (at)",
            "CREATE TABLE tries (name TEXT PRIMARY KEY, used_until FLOAT8 NOT NULL, last FLOAT8 NOT NULL,"
            " before FLOAT8 NOT NULL)",
        ),
    ),
    # `wish`: request to a job's process, or to any process once the job was deleted; `key_mark`: groups jobs on one
    # visitor's own key; `told`: published state of a list, as JSON.
    Migration(
        "wishes",
        (),
        (
            "ALTER TABLE jobs ADD COLUMN wish TEXT, ADD COLUMN key_mark TEXT",
            "CREATE TABLE lists (id TEXT PRIMARY KEY, worker TEXT NOT NULL, told TEXT NOT NULL, at FLOAT8 NOT NULL,"
            " is_stopped BOOLEAN NOT NULL DEFAULT false)",
            "CREATE TABLE pauses (payer TEXT PRIMARY KEY, until FLOAT8 NOT NULL, problem TEXT, at FLOAT8 NOT NULL)",
        ),
    ),
    Migration(
        "calls",
        (),
        (
            "CREATE TABLE calls (id TEXT PRIMARY KEY, session TEXT NOT NULL, worker TEXT NOT NULL,"
            " kept_until FLOAT8 NOT NULL, answer TEXT)",
            "CREATE INDEX calls_by_session ON calls (session)",
            "CREATE INDEX calls_by_end ON calls (kept_until)",
        ),
    ),
    # Digests of the addresses that a process sends to; NULL if it does not use such a service.
    Migration("services", (), ("ALTER TABLE workers ADD COLUMN hosted TEXT, ADD COLUMN engine TEXT",)),
)
_RECORD: Final = (
    "CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at REAL) STRICT"
)

COLUMNS: Final = tuple(field.name for field in fields(Job))
# Listed explicitly: * would also compute the generated column `prompt` of every row.
SELECTED: Final = ", ".join(COLUMNS)
# Sets fields as a frozen class's __init__ does, but without the lookups: a list creates many jobs.
_FILL: Final = tuple(getattr(Job, name).__set__ for name in COLUMNS)
_STATUS: Final = {status.value: status for status in JobStatus}
NEWEST: Final = "SELECT coalesce(max(updated_at), 0.0) FROM jobs"  # stored time, UTC seconds


def insert(columns: Iterable[str] = COLUMNS) -> str:
    """Return the statement that stores a row with these columns; its values have their names."""
    return f"INSERT INTO jobs ({', '.join(columns)}) VALUES ({', '.join(f':{name}' for name in columns)})"


def replacing(columns: Iterable[str]) -> str:
    """Return the end of `insert` that replaces these columns of a row with the same id."""
    return f" ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in columns)}"


def version_of(connection: sqlite3.Connection) -> int:
    """Return the number of the last applied migration; 0 for a file without the table `jobs`."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'jobs'").fetchone() is None:
        return 0
    return max(1, connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection) -> None:
    """Apply the missing migrations in one transaction and record each in the table `migrations`.

    `applied_at` is in UTC seconds, or NULL for a migration that predates the table.

    Args:
        connection: In autocommit mode, outside a transaction; not newer than the newest known version.

    Raises:
        sqlite3.Error: Nothing was changed.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = version_of(connection)
        connection.execute(_RECORD)
        for number, migration in enumerate(MIGRATIONS, 1):
            is_missing = number > version
            for statement in migration.statements if is_missing else ():
                connection.execute(statement)
            record = (number, migration.name, time.time() if is_missing else None)
            connection.execute("INSERT OR IGNORE INTO migrations VALUES (?, ?, ?)", record)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def to_row(job: Job) -> dict[str, Any]:
    """Return the job's values by column."""
    row: dict[str, Any] = {name: getattr(job, name) for name in COLUMNS}
    row["status"] = job.status.value
    row["request"] = job.request.model_dump_json()
    row["problem"] = problem_text(job.problem)
    row["notes"] = json.dumps(job.notes)
    return row


def to_job(row: Iterable[Any]) -> Job:
    """Return the job in a row of `SELECTED`."""
    job_id, visitor, status, request, *facts, problem, notes = row
    why = JobProblem(**json.loads(problem)) if problem else None
    values = (job_id, visitor, _STATUS[status], _request(request), *facts, why, json.loads(notes))
    job = object.__new__(Job)
    for fill, value in zip(_FILL, values, strict=True):
        fill(job, value)
    return job


UNCONFIRMED: Final = "unconfirmed"  # key in the notes: the problem of the response that carried the request id


def notes_without_texts(notes: Mapping[str, Any]) -> str:
    """Return a deleted job's notes in the format of the column, without the service's words, which may quote it."""
    return json.dumps({name: value for name, value in notes.items() if name != UNCONFIRMED})


def erased(request: VideoRequest) -> VideoRequest:
    """Return a deleted job's request without any of its text."""
    return request.model_copy(update={"prompt": "-", "negative_prompt": ""})


@lru_cache(maxsize=1024)
def _request(text: str) -> VideoRequest:
    # A job is read at each transition, and its request never changes.
    return VideoRequest.model_validate_json(text)


def problem_text(problem: JobProblem | None) -> str | None:
    """Return a problem in the format of the column `problem`."""
    if problem is None:
        return None
    # Older versions also wrote an English sentence, and cannot read a row without one.
    return json.dumps({"code": problem.code, "sentence": problem.sentence, "facts": problem.facts})


def as_storage_error(error: sqlite3.Error) -> StorageError:
    """Return the StorageError for a database error: nothing was stored, so nothing may be sent."""
    text = str(error).lower()
    if "locked" in text or "busy" in text:
        return StorageError("ledger_busy")
    if "readonly" in text or "unable to open" in text or "i/o error" in text:
        return StorageError("disk_read_only")
    if "is full" in text:
        return StorageError("disk_full", free=0)
    if "closed database" in text:
        return StorageError("stopping")
    return StorageError("ledger_damaged")
