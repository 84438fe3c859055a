"""Sums that limits are checked against: money spent or reserved, and a visitor's jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from hunyuan_ui.job import DAY_S, Job
from hunyuan_ui.ledger.connection import Connection
from hunyuan_ui.ledger.schema import NEWEST, SELECTED, UNSETTLED, to_job
from hunyuan_ui.limits import Day, Totals

_STREAK_SEEN: Final = 10

# A row's amount against the owner's limits; the same rule as Job.counted_microusd. It uses only columns of the index
# `jobs_paid`, so that a click need not read every row. Most rows are done, so that status is tested first.
COUNTED: Final = """CASE
    WHEN status = 'done' OR status IN ('downloading', 'unknown', 'lost') THEN coalesce(cost_microusd, reserved_microusd)
    WHEN status IN ('failed', 'cancelled') THEN 0
    WHEN cost_microusd > reserved_microusd THEN cost_microusd
    ELSE reserved_microusd END"""


# In integer microseconds, because a cast to integer rounds in one database and truncates in the other.
_DAY: Final = f"CAST(coalesce(sent_at, :now) * 1000000 AS BIGINT) / {DAY_S * 1_000_000}"


def _spent(when: str) -> str:
    return f"SELECT coalesce(sum({COUNTED}), 0) FROM jobs WHERE payer = 'owner' AND sent_at {when}"


# Jobs that ended without a video since the newest one; `rowid` breaks ties between equal times.
_JUDGED: Final = (
    "FROM jobs WHERE payer = 'owner' AND ended_at IS NOT NULL AND json_extract(notes, '$.reviewed') IS NULL"
)
# Those that may be in the streak, also if they were deleted meanwhile.
UNREVIEWED: Final = f"SELECT id, notes {_JUDGED} AND status IN ('unknown', 'lost')"
_MADE: Final = f"{_JUDGED} AND status = 'done' ORDER BY ended_at DESC, rowid DESC LIMIT 1"
_SINCE: Final = f"coalesce((SELECT ended_at {_MADE}), 0.0)"
_STREAK: Final = f"""SELECT count(*) FROM (SELECT 1 {_JUDGED} AND status IN ('unknown', 'lost') AND ended_at >= {_SINCE}
    AND NOT (ended_at = {_SINCE} AND rowid < coalesce((SELECT rowid {_MADE}), 0)) LIMIT {_STREAK_SEEN}) AS latest"""
# All unfinished jobs are counted in one pass, whose condition selects the index of those few rows only: a condition on
# `payer` could scan every paid job.
_OPEN: Final = f"""SELECT
    count(*) FILTER (WHERE visitor = :visitor AND payer <> 'visitor' AND status <> 'unknown') AS active,
    count(*) FILTER (WHERE status = 'queued') AS waiting,
    count(*) FILTER (WHERE status = 'queued' AND visitor = :visitor) AS own_waiting,
    count(*) FILTER (WHERE status = 'queued' AND visitor = :visitor AND payer = 'owner' AND created_at >= :today)
        AS own_queued,
    coalesce(sum({COUNTED}) FILTER (WHERE payer = 'owner' AND status IN ('queued', 'submitting', 'running')
        AND coalesce(sent_at, :today) >= :today), 0) AS reserved,
    coalesce(sum({COUNTED}) FILTER (WHERE payer = 'owner' AND status = 'queued'), 0) AS queued
    FROM jobs WHERE {UNSETTLED}"""
# One statement, because a click waits for it. Each row is summed once: `jobs_paid` is ordered by `sent_at`.
_TOTALS: Final = f"""SELECT
    ({_spent("< :today")}),
    ({_spent(">= :today")}),
    ({_spent("IS NULL")}),
    (SELECT count(*) FROM jobs WHERE visitor = :visitor AND created_at >= :today AND payer = 'owner'
        AND status NOT IN ('failed', 'cancelled')),
    active,
    (SELECT created_at FROM jobs WHERE visitor = :visitor AND payer <> 'visitor' ORDER BY created_at DESC LIMIT 1),
    waiting,
    own_waiting,
    own_queued,
    reserved,
    queued,
    ({_STREAK})"""
_COUNTS: Final = 12
_FROM: Final = f"FROM ({_OPEN}) AS open"
_BEFORE_ADDING: Final = f"{_TOTALS}, ({NEWEST}), {SELECTED} {_FROM} LEFT JOIN jobs ON id = :id"
_TOTALS_ALONE: Final = f"{_TOTALS} {_FROM}"


def totals(connection: Connection, visitor: str, now: float) -> Totals:
    """Return the totals for this visitor; a day is a UTC day.

    Args:
        connection: Inside a transaction if a job is about to be stored.
        visitor: Whose fairness limits are counted.
        now: UTC seconds, never decreasing.
    """
    return _counted(connection.execute(_TOTALS_ALONE, _values(visitor, now)).fetchone(), now)


def before_adding(connection: Connection, job_id: str, visitor: str, now: float) -> tuple[Job | None, float, Totals]:
    """Return the job stored under an id, the newest stored time, and the result of `totals`."""
    row = connection.execute(_BEFORE_ADDING, {**_values(visitor, now), "id": job_id}).fetchone()
    newest, *known = row[_COUNTS:]
    return (None if known[0] is None else to_job(known)), newest, _counted(row[:_COUNTS], now)


def before_sending(connection: Connection, job: Job, now: float) -> Totals:
    """Return the totals to check a queued job against when it is about to be sent."""
    counted = totals(connection, job.visitor, now) if job.payer == "owner" else Totals()
    if job.list_budget_usd is None:
        return counted
    (list_id,) = connection.execute("SELECT list_id FROM jobs WHERE id = ?", (job.id,)).fetchone()
    return replace(counted, list_microusd=list_spent(connection, list_id, only_sent=True))


def _values(visitor: str, now: float) -> dict[str, Any]:
    return {"today": now - now % DAY_S, "visitor": visitor}


def _counted(row: Sequence[Any], now: float) -> Totals:
    earlier, sent_today, not_sent, videos, active, latest, waiting, own_waiting, *more = row
    own_queued, reserved, queued, streak = more
    spent_today = sent_today + not_sent  # unsent jobs count for today
    since = None if latest is None else now - latest
    total = earlier + spent_today
    spent = Totals(spent_today, total, reserved_microusd=reserved, queued_microusd=queued, bad_streak=streak)
    of_visitor = {"visitor_today": videos, "visitor_active": active, "visitor_queued": own_queued}
    return replace(spent, **of_visitor, seconds_since_visitor=since, waiting=waiting, visitor_waiting=own_waiting)


def list_spent(connection: Connection, list_id: str, *, only_sent: bool = False) -> int:
    """Return what a prompt list has spent or reserved, whoever pays, in micro-dollars."""
    counted = f"SELECT coalesce(sum({COUNTED}), 0) FROM jobs WHERE list_id = ? AND payer <> 'nobody'"
    if only_sent:
        counted += " AND status <> 'queued'"
    return int(connection.execute(counted, (list_id,)).fetchone()[0])


def days(connection: Connection, since: float, now: float) -> list[Day]:
    """Return each UTC day since then on which the owner's key was used, oldest first.

    Args:
        now: UTC seconds; unsent jobs count for today.
    """
    rows = connection.execute(
        f"SELECT {_DAY} AS day, sum({COUNTED}), count(*) FILTER (WHERE status = 'done')"
        " FROM jobs WHERE payer = 'owner' AND coalesce(sent_at, :now) >= :since"
        f" GROUP BY {_DAY} HAVING count(*) FILTER (WHERE status NOT IN ('failed', 'cancelled')) > 0 ORDER BY day",
        {"since": since, "now": now},
    ).fetchall()
    return [Day(float(row[0] * DAY_S), row[1], row[2]) for row in rows]
