"""Adds charges to the ledger that only the account's history or its owner knows, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256
from typing import Final, NamedTuple

from hunyuan_ui.endpoint.contract import bare_id
from hunyuan_ui.job import DAY_S, Job, JobStatus
from hunyuan_ui.ledger.connection import Connection
from hunyuan_ui.ledger.schema import SELECTED, erased, insert, replacing, to_job, to_row
from hunyuan_ui.request import VideoRequest

FROM_HISTORY: Final = "from_history"  # key in the notes: the job came from the account's history
UNTIMED: Final = "is_untimed"  # key in the notes: the history does not name its time
DECLARED_USD: Final = "said_usd"  # key in the notes: the amount that the owner declared

CLOCKS_S: Final = 60.0  # by which the service's clock, once converted, may still differ
_SAME_S: Final = 3600.0  # tolerance for two clocks and a slow POST
_ENDED_AFTER_S: Final = 3600.0  # an older request has been billed, if it ever is
_IDS: Final = "SELECT id, request_id FROM jobs"
# A sent job without a request id may be one of those in the history.
_NAMELESS: Final = (
    f"SELECT {SELECTED}, deleted_at IS NOT NULL FROM jobs"
    " WHERE status IN ('submitting', 'downloading', 'done', 'unknown', 'lost')"
    " AND payer = 'owner' AND request_id IS NULL AND sent_at IS NOT NULL"
)
# A queued job of a restored older ledger may have been sent since.
_WAITING: Final = f"SELECT {SELECTED}, deleted_at IS NOT NULL FROM jobs WHERE status = 'queued' AND payer = 'owner'"
# A failure that was confirmed while the history could not be read may have been charged after all, and an id that only
# an error named, and that was not known at first, may be the request's.
_IN_DOUBT: Final = (
    f"SELECT {SELECTED}, deleted_at IS NOT NULL FROM jobs WHERE status IN ('failed', 'unknown')"
    " AND payer = 'owner' AND request_id IS NOT NULL"
)
_NAMED: Final = ("status", "updated_at", "sent_at", "ended_at", "request_id", "cost_microusd", "result_url", "problem")
_TOLD: Final = (JobStatus.SUBMITTING, JobStatus.DOWNLOADING, JobStatus.DONE)
_CHARGED: Final = (JobStatus.DOWNLOADING, JobStatus.LOST)  # what the history has as charged
_NAME: Final = f"UPDATE jobs SET {', '.join(f'{name} = :{name}' for name in (*_NAMED, 'notes'))} WHERE id = :id"
_DECLARE: Final = insert() + replacing(("cost_microusd", "notes", "created_at", "updated_at", "sent_at"))
_SETTLED: Final = (
    "SELECT coalesce(sum(cost_microusd), 0) FROM jobs WHERE payer = 'owner' AND sent_at >= ? AND id <> ?"
    " AND status IN ('downloading', 'done', 'lost')"
)


def import_history(connection: Connection, found: Iterable[Job], now: float) -> list[Job]:
    """Store jobs that are not known yet or were charged after all, and return them.

    A sent job without a response gets its request id.
    """
    known = set[str]()
    for job_id, request_id in connection.execute(_IDS):
        known |= {job_id, *([bare_id(request_id)] if request_id else [])}
    nameless = [one for one in _stored(connection, _NAMELESS) if DECLARED_USD not in one.job.notes]
    waiting = _stored(connection, _WAITING)
    doubtful = {bare_id(one.job.request_id or ""): one for one in _stored(connection, _IN_DOUBT)}
    taken: list[Job] = []
    for job in found:
        names = {job.id, *([bare_id(job.request_id)] if job.request_id else [])}
        doubted = doubtful.get(bare_id(job.request_id or ""))
        if doubted is not None and not doubted.is_settled_by(job):
            doubted = None
        if doubted is None and known & names:
            continue
        known |= names
        stored = replace(job, updated_at=now)
        if same := doubted or _same(job, nameless) or _sent_since(job, waiting):
            if same is doubted:
                del doubtful[bare_id(job.request_id or "")]
            elif same in waiting:
                waiting.remove(same)
            else:
                nameless.remove(same)
                if same.job.status in _TOLD or same.is_deleted:
                    continue  # its own response is still to come or named no id, or its visitor has deleted it
            facts = {name: getattr(stored, name) for name in _NAMED}
            facts["sent_at"] = same.job.sent_at or stored.sent_at
            if stored.cost_microusd is None:  # not billed yet, whatever its response named
                facts["cost_microusd"] = same.job.cost_microusd
            if same.is_deleted:  # only its cost is of use
                facts |= {"status": JobStatus.LOST, "result_url": None, "problem": None, "ended_at": same.job.ended_at}
            stored = replace(same.job, **facts, notes={**same.job.notes, **stored.notes})
            row = to_row(stored)
            connection.execute(_NAME, {name: row[name] for name in (*_NAMED, "notes", "id")})
        else:
            connection.execute(insert(), to_row(stored))
        _take_off(connection, stored, now)
        taken.append(stored)
    return taken


def declare_spending(connection: Connection, declared: Job, now: float) -> Job:
    """Record what the owner says was charged today, minus what is settled here; replaces an earlier amount.

    Args:
        declared: A lost job whose cost is the total charge.
    """
    job_id = declared_id(now)
    (settled,) = connection.execute(_SETTLED, (_today(now), job_id)).fetchone()
    rest = max(0, (declared.cost_microusd or 0) - settled)
    times = {"created_at": now, "updated_at": now, "sent_at": now, "ended_at": now}
    stored = replace(declared, id=job_id, cost_microusd=rest, **times)
    connection.execute(_DECLARE, to_row(stored))
    return stored


def declared_id(now: float) -> str:
    """Return the id of the owner's declared amount of this UTC day."""
    return sha256(f"said on {_today(now):.0f}".encode()).hexdigest()[:32]


class _Stored(NamedTuple):
    job: Job
    is_deleted: bool  # its prompts were erased

    def is_settled_by(self, found: Job) -> bool:
        is_unknown = self.job.status is JobStatus.UNKNOWN and not self.is_deleted
        return is_unknown or found.status in _CHARGED

    def asks_for(self, request: VideoRequest) -> bool:
        return self.job.request == (erased(request) if self.is_deleted else request)

    def apart_s(self, job: Job) -> float:
        return abs((self.job.sent_at or 0.0) - (job.sent_at or 0.0))


def _stored(connection: Connection, statement: str) -> list[_Stored]:
    return [_Stored(to_job(row), bool(is_deleted)) for *row, is_deleted in connection.execute(statement)]


def _same(job: Job, nameless: list[_Stored]) -> _Stored | None:
    """Return the job that matches this one: the same request, sent at about the same time."""
    if job.request_id is None:
        return None  # it could not be matched the next time
    alike = [other for other in nameless if other.asks_for(job.request)]
    if UNTIMED not in job.notes:
        alike = [other for other in alike if other.apart_s(job) <= _SAME_S]
    # A known prompt makes the match certain; a deleted job may have had any prompt.
    return min(alike, key=lambda other: (other.is_deleted, other.apart_s(job)), default=None)


def _sent_since(job: Job, waiting: list[_Stored]) -> _Stored | None:
    """Return the oldest queued job that asks for the same and was there when this one was sent."""
    if job.request_id is None or UNTIMED in job.notes or job.sent_at is None:
        return None
    latest = job.sent_at + CLOCKS_S
    alike = [other for other in waiting if other.asks_for(job.request) and other.job.created_at <= latest]
    return min(alike, key=lambda other: other.job.created_at, default=None)


def _take_off(connection: Connection, found: Job, now: float) -> None:
    """Subtract a found charge from the amount declared for its day, if it was sent before the declaration."""
    sent_at = found.sent_at or now
    row = connection.execute(f"SELECT {SELECTED} FROM jobs WHERE id = ?", (declared_id(sent_at),)).fetchone()
    declared = None if row is None else to_job(row)
    if declared is None or found.cost_microusd is None or sent_at + _ENDED_AFTER_S > declared.created_at:
        return
    rest = max(0, (declared.cost_microusd or 0) - found.counted_microusd)
    connection.execute("UPDATE jobs SET cost_microusd = ?, updated_at = ? WHERE id = ?", (rest, now, declared.id))


def _today(now: float) -> float:
    return now - now % DAY_S
