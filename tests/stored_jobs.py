"""Jobs and clocks for tests of the ledger."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from hunyuan_ui.job import Job, JobStatus, new_id
from hunyuan_ui.ledger import FILE_NAME, Ledger, backups, open_ledger
from hunyuan_ui.ledger.database import Database
from hunyuan_ui.ledger.postgres import open_postgres
from hunyuan_ui.ledger.sqlite import SqliteDatabase
from hunyuan_ui.limits import Totals
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.settings import Secret
from tests.postgres_server import PostgresServer

DAY_S = 86_400
NOON = 20_000 * DAY_S + DAY_S / 2
PRICE = 1_500_000
ALICE = "a" * 32
BOB = "b" * 32
server: PostgresServer | None = None  # set by the fixture `database`


class Clock:
    """A clock that advances only when told to."""

    def __init__(self, at: float = NOON) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def back_up(folder: Path) -> Path:
    """Back up a folder's ledger, which may be open."""
    with closing(backups.read_only(folder / FILE_NAME)) as source:
        return backups.back_up(folder, source)


def job(prompt: str = "a fox", **changes: Any) -> Job:
    """Return a queued job of Alice's on the owner's key."""
    queued = Job(
        id=new_id(),
        visitor=ALICE,
        status=JobStatus.QUEUED,
        request=VideoRequest.parse({"prompt": prompt}),
        dialect="v2",
        payer="owner",
        created_at=0,
        updated_at=0,
        reserved_microusd=PRICE,
        predicted_s=200,
    )
    return replace(queued, **changes)


def anything_goes(job: Job, totals: Totals) -> None:
    """Accept every job."""


def opened_ledger(folder: Path, clock: Callable[[], float] | None = None, **options: Any) -> Ledger:
    """Open the ledger of a folder, created if missing, with a clock that stands at noon."""
    folder.mkdir(exist_ok=True)
    return Ledger(database_in(folder), now=clock or Clock(), **options)


def database_in(folder: Path, *, can_write: bool = True) -> Database:
    """Return the database of a folder: its file or, if a test runs on PostgreSQL, the schema of its name."""
    if server is None:
        return open_ledger(folder, can_write=can_write).database
    return open_postgres(server.url(folder))


def url_in(folder: Path) -> Secret | None:
    """Return the database setting of a folder."""
    return None if server is None else Secret(server.url(folder))


def file_of(ledger: Ledger) -> SqliteDatabase:
    """Return the SQLite database of a ledger."""
    database = ledger.database
    assert isinstance(database, SqliteDatabase)
    return database


def added(ledger: Ledger, prompt: str = "a fox", **changes: Any) -> Job:
    """Store a queued job."""
    return ledger.add(job(prompt, **changes), anything_goes)[0]


def in_status(ledger: Ledger, status: JobStatus, **changes: Any) -> Job:
    """Store a job and bring it to a status."""
    stored = job(status=status, **changes)
    assert ledger.adopt(stored)
    return stored


def finished(ledger: Ledger, **facts: Any) -> Job:
    """Take a job through all transitions to its video."""
    begun = added(ledger, **facts)
    ledger.claim(begun.id)
    ledger.mark_running(begun.id, "request-1")
    ledger.mark_downloading(begun.id, request_id="request-1", result_url=None, cost_usd=1.46, inference_s=211.0)
    return ledger.mark_done(begun.id, sha256="0" * 64, notes={"width": 864})
