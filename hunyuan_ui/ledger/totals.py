"""What the ledger counts for the guard: money spent or at risk, and how busy a visitor is."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from hunyuan_ui.guard import Day, Totals
from hunyuan_ui.job import JobStatus
from hunyuan_ui.ledger.rows import UNSETTLED

DAY_S: Final = 86_400
_STREAK_SEEN: Final = 10

# What a row that the owner pays counts against their limits; the same rule as Job.counted_microusd. Only columns of
# the index `jobs_paid` stand here, so that a click reads that and not every row there ever was; nearly all of those
# are done, which is asked first.
COUNTED: Final = """CASE
    WHEN status = 'done' OR status IN ('downloading', 'unknown', 'lost') THEN coalesce(cost_microusd, reserved_microusd)
    WHEN status IN ('failed', 'cancelled') THEN 0
    ELSE reserved_microusd END"""


def _counted(when: str) -> str:
    return f"(SELECT coalesce(sum({COUNTED}), 0) FROM jobs WHERE payer = 'owner' AND sent_at {when})"


# Each row is added up once: the index is in the order of `sent_at`.
_SPENT: Final = f"SELECT {_counted('< :today')}, {_counted('>= :today')}, {_counted('IS NULL')}"


def totals(connection: sqlite3.Connection, visitor: str, now: float) -> Totals:
    """Return what the guard is shown for this visitor; a day is a UTC day.

    Args:
        connection: Inside a transaction when a job is about to be stored.
        visitor: Whose fairness limits are counted.
        now: UTC seconds that never run backwards.
    """
    today = now - now % DAY_S
    # A job counts for the day it was sent; one that was not sent yet counts for today.
    earlier, sent_today, not_sent = _one(connection, _SPENT, {"today": today})
    (videos,) = _one(
        connection,
        "SELECT count(*) FROM jobs WHERE visitor = ? AND created_at >= ? AND payer = 'owner'"
        " AND status NOT IN ('failed', 'cancelled')",
        (visitor, today),
    )
    # The plus keeps SQLite from walking through all that the visitor ever made.
    active, waiting = _one(
        connection,
        "SELECT count(*) FILTER (WHERE +visitor = ? AND payer <> 'visitor'), count(*) FILTER (WHERE status = 'queued')"
        f" FROM jobs WHERE {UNSETTLED} AND status <> 'unknown'",
        (visitor,),
    )
    # A row of NULL where there is none; nearly always the newest one is it.
    newest = "SELECT created_at FROM jobs WHERE visitor = ? AND payer <> 'visitor' ORDER BY created_at DESC LIMIT 1"
    (latest,) = _one(connection, f"SELECT ({newest})", (visitor,))
    since = None if latest is None else now - latest
    spent_today = sent_today + not_sent
    return Totals(spent_today, spent_today + earlier, videos, active, since, waiting, _bad_streak(connection))


def days(connection: sqlite3.Connection, since: float, now: float) -> list[Day]:
    """Return each UTC day since then on which the owner's key was used, oldest first.

    Args:
        connection: To the ledger.
        since: UTC seconds.
        now: UTC seconds; what was not sent yet counts for today.
    """
    rows = connection.execute(
        f"SELECT CAST(coalesce(sent_at, :now) / {DAY_S} AS INTEGER) AS day, sum({COUNTED}), sum(status = 'done')"
        " FROM jobs WHERE payer = 'owner' AND coalesce(sent_at, :now) >= :since"
        " GROUP BY day HAVING sum(status NOT IN ('failed', 'cancelled')) ORDER BY day",
        {"since": since, "now": now},
    ).fetchall()
    return [Day(float(row[0] * DAY_S), row[1], row[2]) for row in rows]


def _bad_streak(connection: sqlite3.Connection) -> int:
    rows = connection.execute(
        "SELECT status FROM jobs WHERE payer = 'owner' AND ended_at IS NOT NULL"
        " AND status IN ('done', 'unknown', 'lost') AND json_extract(notes, '$.reviewed') IS NULL"
        " ORDER BY ended_at DESC, rowid DESC LIMIT ?",
        (_STREAK_SEEN,),
    ).fetchall()
    bad = [row[0] != JobStatus.DONE.value for row in rows]
    return bad.index(False) if False in bad else len(bad)


def _one(connection: sqlite3.Connection, query: str, values: tuple[Any, ...] | dict[str, Any] = ()) -> tuple[Any, ...]:
    return tuple(connection.execute(query, values).fetchone())
