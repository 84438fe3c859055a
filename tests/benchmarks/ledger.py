"""Commits of the ledger, compared with plain sqlite3 or psycopg doing the same commits with the same durability.

Both have the same table, indexes, values, pragmas and fsyncs. The baseline does only what the guarantees need
(docs/architecture.md 4): spending is summed once in the transaction that stores a job; each step compares the status
that it starts from; on a server all writers share one lock, which none may keep for ever, each step names the process
that works on the job, and a job is sent only if one of all processes' slots is free.

Both begin with a ledger of a thousand videos. A server plans by table statistics, which it collects by itself within a
minute; without them it would read the whole table at each step in both variants.
"""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from hunyuan_ui.job import Job, JobStatus, new_id
from hunyuan_ui.ledger import Ledger, ReplicaInfo, open_ledger, open_shared
from hunyuan_ui.ledger.schema import COLUMNS, MIGRATIONS, UNSETTLED, to_row
from hunyuan_ui.limits import Totals
from tests.benchmarks.clip import REQUEST, workspace
from tests.benchmarks.table import Row, alternate, rate
from tests.postgres_server import PostgresServer, programs

KEPT = 1000
JOBS = 50  # per round: short rounds distribute other disk activity evenly
COMMITS_A_JOB = 5
PLACES = 1000
_NOTES = {"width": 864, "height": 480, "fps": 24.0, "frames": 77, "duration_s": 3.2, "size_bytes": 1_000_000}


def measure(is_short: bool) -> list[Row]:
    """Take jobs from the click to the library's row."""
    turns = 7 if is_short else 55
    with workspace() as folder:
        (folder / "ours").mkdir()
        ledger = Ledger(open_ledger(folder / "ours").database)
        connection = _bare(folder / "bare.sqlite3")
        _with_ledger(ledger, KEPT)
        _with_sqlite(connection, KEPT)
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
    """Do the same on a server whose commits wait for the disk, the baseline under the same lock."""
    server = PostgresServer(found, is_durable=True)
    try:
        replica = ReplicaInfo(new_id(), "bench", slots=PLACES, one_each=False)
        ledger = open_shared(server.url("ours"), replica)
        open_shared(server.url("bare"), replica).close()
        with psycopg.connect(server.url("bare"), autocommit=True) as connection:
            connection.execute(_LIMITS_OF_A_LOCK)
            _with_ledger(ledger, KEPT)
            _with_psycopg(connection, KEPT)
            for name in ("ours", "bare"):
                _look_at(server.url(name))
            pair = partial(_with_ledger, ledger, JOBS), partial(_with_psycopg, connection, JOBS)
            seconds = alternate(turns, *pair)
        ledger.close()
        return seconds
    finally:
        server.close()


def _look_at(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE jobs")


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
    connection.executescript(f"{_PRAGMAS} {schema};")
    return connection


_PRAGMAS = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;"
_SPENT = (
    "SELECT sum(coalesce(cost_microusd, reserved_microusd)) FROM jobs"
    " WHERE payer = 'owner' AND status NOT IN ('failed', 'cancelled')"
)
_SETS = {
    "queued": "status = 'submitting', updated_at = :at, sent_at = :at",
    "submitting": "status = 'running', updated_at = :at, request_id = :id",
    "running": "status = 'downloading', updated_at = :at, result_url = 'u', cost_microusd = 1460000,"
    " inference_s = 211.0",
    "downloading": "status = 'done', updated_at = :at, ended_at = :at, sha256 = :sha, notes = :notes",
}
_STEPS = [f"UPDATE jobs SET {sets} WHERE id = :id AND status = '{begun}'" for begun, sets in _SETS.items()]
_LIMITS_OF_A_LOCK = "SET lock_timeout = '5s'; SET idle_in_transaction_session_timeout = '10s'"
_OWN = " AND worker = :worker"
_FLYING = f"SELECT count(*) FROM jobs WHERE {UNSETTLED} AND status NOT IN ('queued', 'unknown')"
_STEPS_ON_A_SERVER = [
    f"{_STEPS[0]}{_OWN} AND ({_FLYING}) < {PLACES}",
    *[f"{step}{_OWN}" for step in _STEPS[1:]],
]


def _insert(columns: Sequence[str]) -> str:
    return f"INSERT INTO jobs ({', '.join(columns)}) VALUES ({', '.join(':' + name for name in columns)})"


def _with_sqlite(connection: sqlite3.Connection, count: int) -> float:
    insert = _insert(COLUMNS)
    began = time.perf_counter()
    for _ in range(count):
        values = _new_values()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(_SPENT).fetchone()
        connection.execute(insert, values)
        connection.execute("COMMIT")
        for step in _STEPS:
            connection.execute(step, _step_values(values["id"]))
    return time.perf_counter() - began


def _with_psycopg(connection: psycopg.Connection[Any], count: int) -> float:
    begin, worker = "BEGIN; SELECT pg_advisory_xact_lock(1)", "b" * 32
    statements = (_insert((*COLUMNS, "worker")), *_STEPS_ON_A_SERVER)
    insert, *steps = [re.sub(r":(\w+)", r"%(\1)s", text).encode() for text in statements]
    began = time.perf_counter()
    for _ in range(count):
        values = _new_values()
        connection.execute(begin)
        connection.execute(_SPENT.encode()).fetchone()
        connection.execute(insert, {**values, "worker": worker})
        connection.commit()
        for step in steps:
            connection.execute(begin)
            connection.execute(step, {**_step_values(values["id"]), "worker": worker})
            connection.commit()
    return time.perf_counter() - began


def _new_values() -> dict[str, Any]:
    at = time.time()
    return {**to_row(_job()), "id": new_id(), "created_at": at, "updated_at": at}


def _step_values(job_id: str) -> dict[str, Any]:
    return {"id": job_id, "at": time.time(), "sha": "0" * 64, "notes": json.dumps(_NOTES)}
