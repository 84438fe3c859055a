"""Commits of the ledger, against sqlite3 or psycopg alone doing the same commits with the same durability.

The same table, indexes, values and fsyncs; and what was spent is added up once in the transaction that stores a job,
because a limit that is read anywhere else is none.
"""

from __future__ import annotations

import json
import re
import sqlite3
import time
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from hunyuan_ui.job import Job, JobStatus, new_id
from hunyuan_ui.ledger import Ledger, Place, open_ledger, open_shared
from hunyuan_ui.ledger.schema import COLUMNS, MIGRATIONS, to_row
from hunyuan_ui.limits import Totals
from tests.benchmarks.clip import REQUEST, workspace
from tests.benchmarks.table import Row, alternate, rate
from tests.postgres_server import PostgresServer, programs

JOBS = 50  # in one turn: short turns share what else the disk has to do
COMMITS_A_JOB = 5
_NOTES = {"width": 864, "height": 480, "fps": 24.0, "frames": 77, "duration_s": 3.2, "size_bytes": 1_000_000}


def measure(is_short: bool) -> list[Row]:
    """Take jobs from the click to the library's row."""
    turns = 7 if is_short else 55
    with workspace() as folder:
        (folder / "ours").mkdir()
        ledger = Ledger(open_ledger(folder / "ours").database)
        connection = _bare(folder / "bare.sqlite3")
        ours, bare = alternate(turns, partial(_with_ledger, ledger, JOBS), partial(_with_sqlite, connection, JOBS))
        ledger.close()
        connection.close()
    rows = [_row("ledger, durable commits", ours, bare)]
    if (found := programs()) is not None:
        ours, bare = _on_a_server(found, turns)
        rows.append(_row("ledger in PostgreSQL, durable commits", ours, bare))
    return rows


def _row(what: str, ours_s: float, bare_s: float) -> Row:
    commits = JOBS * COMMITS_A_JOB
    return rate(what, commits / ours_s, commits / bare_s, "/s", at_least=0.7)


def _on_a_server(found: Path, turns: int) -> tuple[float, ...]:
    """Do the same on a server whose commits wait for the disk, the bare way under the same lock."""
    server = PostgresServer(found, is_durable=True)
    try:
        place = Place(new_id(), "bench", places=1000, one_each=False)
        ledger = open_shared(server.url("ours"), place)
        open_shared(server.url("bare"), place).close()
        with psycopg.connect(server.url("bare"), autocommit=True) as connection:
            pair = partial(_with_ledger, ledger, JOBS), partial(_with_psycopg, connection, JOBS)
            seconds = alternate(turns, *pair)
        ledger.close()
        return seconds
    finally:
        server.close()


def _pass(job: Job, totals: Totals) -> None:
    pass


def _job() -> Job:
    return Job(
        id=new_id(),
        visitor=new_id(),
        status=JobStatus.QUEUED,
        request=REQUEST,
        dialect="v2",
        payer="owner",
        created_at=0,
        updated_at=0,
        reserved_microusd=1_460_000,
        predicted_s=211.3,
    )


def _with_ledger(ledger: Ledger, count: int) -> float:
    clicked = [_job() for _ in range(count)]
    began = time.perf_counter()
    for job in clicked:
        ledger.add(job, _pass)
        ledger.claim(job.id)
        ledger.mark_running(job.id, job.id)
        ledger.mark_downloading(job.id, request_id=job.id, result_url="u", cost_usd=1.46, inference_s=211.0)
        ledger.mark_done(job.id, sha256="0" * 64, notes=_NOTES)
    return time.perf_counter() - began


def _bare(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    schema = ";".join(statement for migration in MIGRATIONS for statement in migration.statements)
    connection.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; {schema};")
    return connection


_SPENT = (
    "SELECT sum(coalesce(cost_microusd, reserved_microusd)) FROM jobs"
    " WHERE payer = 'owner' AND status NOT IN ('failed', 'cancelled')"
)
_STEPS = (
    "status = 'submitting', updated_at = :at, sent_at = :at",
    "status = 'running', updated_at = :at, request_id = :id",
    "status = 'downloading', updated_at = :at, result_url = 'u', cost_microusd = 1460000, inference_s = 211.0",
    "status = 'done', updated_at = :at, ended_at = :at, sha256 = :sha, notes = :notes",
)
_INSERT = f"INSERT INTO jobs ({', '.join(COLUMNS)}) VALUES ({', '.join(':' + name for name in COLUMNS)})"


def _with_sqlite(connection: sqlite3.Connection, count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        values = _new_values()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(_SPENT).fetchone()
        connection.execute(_INSERT, values)
        connection.execute("COMMIT")
        for step in _STEPS:
            connection.execute(f"UPDATE jobs SET {step} WHERE id = :id", _step_values(values["id"]))
    return time.perf_counter() - began


def _with_psycopg(connection: psycopg.Connection[Any], count: int) -> float:
    begin = "BEGIN; SELECT pg_advisory_xact_lock(1)"
    insert, *steps = [
        re.sub(r":(\w+)", r"%(\1)s", text)
        for text in (_INSERT, *(f"UPDATE jobs SET {step} WHERE id = :id" for step in _STEPS))
    ]
    began = time.perf_counter()
    for _ in range(count):
        values = _new_values()
        connection.execute(begin)
        connection.execute(_SPENT.encode()).fetchone()
        connection.execute(insert.encode(), values)
        connection.execute("COMMIT")
        for step in steps:
            connection.execute(begin)
            connection.execute(step.encode(), _step_values(values["id"]))
            connection.execute("COMMIT")
    return time.perf_counter() - began


def _new_values() -> dict[str, Any]:
    at = time.time()
    return {**to_row(_job()), "id": new_id(), "created_at": at, "updated_at": at}


def _step_values(job_id: str) -> dict[str, Any]:
    return {"id": job_id, "at": time.time(), "sha": "0" * 64, "notes": json.dumps(_NOTES)}
