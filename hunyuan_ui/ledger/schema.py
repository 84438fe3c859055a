"""The table `jobs`: its schema, and the one conversion between a row and a Job."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import fields
from functools import lru_cache
from typing import Any, Final

from hunyuan_ui.errors import StorageError
from hunyuan_ui.job import ACTIVE, Job, JobProblem, JobStatus
from hunyuan_ui.request import VideoRequest

SCHEMA_VERSION: Final = 1
OPEN: Final = ", ".join(sorted(f"'{status.value}'" for status in ACTIVE))
# SQLite takes a partial index only for a query that repeats its condition word for word.
UNSETTLED: Final = f"status IN ({OPEN}, 'unknown')"
_STATUSES: Final = ", ".join(f"'{status.value}'" for status in JobStatus)

# Made at each open, for ledgers that are older than it: each submit asks whether its request id is another job's.
BY_REQUEST: Final = (
    "CREATE INDEX IF NOT EXISTS jobs_by_request ON jobs (lower(replace(request_id, '-', '')))"
    " WHERE request_id IS NOT NULL;"
)
# The lists' indexes hold the prompt, so that a search reads them and not ten thousand rows.
SCHEMA: Final = f"""
CREATE TABLE jobs (
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
) STRICT;
CREATE INDEX jobs_by_visitor ON jobs (visitor, created_at, id, prompt);
CREATE INDEX jobs_by_time ON jobs (created_at, id, prompt);
CREATE INDEX jobs_active ON jobs (status) WHERE {UNSETTLED};
CREATE INDEX jobs_paid ON jobs (sent_at, status, cost_microusd, reserved_microusd, payer) WHERE payer = 'owner';
CREATE INDEX jobs_ended ON jobs (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX jobs_latest ON jobs (updated_at);
{BY_REQUEST}
PRAGMA user_version = {SCHEMA_VERSION};
"""

COLUMNS: Final = tuple(field.name for field in fields(Job))
# Each by its name: * would also draw the prompt out of every request.
SELECTED: Final = ", ".join(COLUMNS)


def to_row(job: Job) -> dict[str, Any]:
    """Return the job's values by column."""
    row: dict[str, Any] = {name: getattr(job, name) for name in COLUMNS}
    row["status"] = job.status.value
    row["request"] = job.request.model_dump_json()
    row["problem"] = problem_text(job.problem)
    row["notes"] = json.dumps(job.notes)
    return row


def to_job(row: Iterable[Any]) -> Job:
    """Return the job a row of `SELECTED` holds."""
    job_id, visitor, status, request, *facts, problem, notes = row
    return Job(
        job_id,
        visitor,
        JobStatus(status),
        _request(request),
        *facts,
        problem=JobProblem(**json.loads(problem)) if problem else None,
        notes=json.loads(notes),
    )


@lru_cache(maxsize=1024)
def _request(text: str) -> VideoRequest:
    # A job is read at every step of its way, and what it asks for never changes.
    return VideoRequest.model_validate_json(text)


def problem_text(problem: JobProblem | None) -> str | None:
    """Return a problem as the column `problem` holds it."""
    if problem is None:
        return None
    # Older versions wrote an English sentence as well, and cannot read a row without one.
    return json.dumps({"code": problem.code, "sentence": problem.sentence, "facts": problem.facts})


def as_storage_error(error: sqlite3.Error) -> StorageError:
    """Return what a database error means for people: nothing was stored, so nothing may be sent."""
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
