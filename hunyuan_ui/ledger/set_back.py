"""Handles a ledger restored to an older state: a copy in its place, or a failover that lost the last commits.

`last_sent.py` detects it for a file, `sent_ids.py` for a database.
Source: docs/facts/scale.md 3.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from hunyuan_ui.errors import StorageError
from hunyuan_ui.job import AT_SERVICE, Job, JobProblem, JobStatus
from hunyuan_ui.ledger.database import Connection
from hunyuan_ui.ledger.schema import COLUMNS, MIGRATIONS, OPEN, problem_text, to_row
from hunyuan_ui.ledger.sent_ids import KNOWN_AS_SENT, SentIds

KEPT: Final = 200  # the most that may wait in private, so that cancelling all of them is remembered completely

_TO_UNKNOWN: Final = "UPDATE jobs SET status = 'unknown', ended_at = updated_at, problem = ?"
_RESTORE: Final = " ON CONFLICT (id) DO UPDATE SET " + ", ".join(
    f"{name} = excluded.{name}" for name in (*COLUMNS[1:], "worker", "shown", "takes_place")
)
# Values for `unfit_reason`; `:sent` are the ids that this process has sent.
STATE: Final = (
    "(SELECT max(version) FROM migrations)",
    f"cardinality(CAST(:sent AS text[])) - ({KNOWN_AS_SENT})",
)
_UNDONE: Final = (
    "SELECT id FROM jobs WHERE (status = 'queued' AND id = ANY(:cancelled))"
    f" OR (deleted_at IS NULL AND status NOT IN ({OPEN}) AND id = ANY(:hidden))"
)


class RecentDecisions:
    """Recent cancellations and deletions at this process, which a failover must not undo.

    `cancelled` and `hidden` are ids, the newest last.
    """

    def __init__(self) -> None:
        self.cancelled = dict[str, None]()
        self.hidden = dict[str, None]()

    def lost(self, connection: Connection) -> set[str]:
        """Return the ids of the jobs whose cancellation or deletion a database has lost."""
        if not self.cancelled and not self.hidden:
            return set()
        values = {"cancelled": list(self.cancelled), "hidden": list(self.hidden)}
        return {job_id for (job_id,) in connection.execute(_UNDONE, values)}


def remember(known: dict[str, None], job_id: str) -> None:
    """Add an id to the newest decisions of a kind."""
    known[job_id] = None
    if len(known) > KEPT:
        del known[next(iter(known))]


def unfit_reason(connection: Connection, sent: SentIds, version: int, missing: int) -> StorageError | None:
    """Return why nothing may be sent because of a server's database, if its state is older than this process knows.

    Args:
        connection: To the database.
        sent: The ids that this process has sent.
        version: Of its tables, from `STATE`.
        missing: How many of `sent` it does not have as sent, from `STATE`.
    """
    if version > len(MIGRATIONS):
        return StorageError("ledger_newer")  # this process does not know that version's rules for sending
    if missing:
        sent.read()  # another process of the folder may have requeued one meanwhile
        if not sent.are_known(connection):
            return StorageError("database_set_back")
    return None


def mark_waiting_unknown(connection: Connection, *, until: float = math.inf) -> None:
    """Mark as unknown the waiting jobs of an older ledger, which may have been sent since.

    Args:
        connection: In a transaction, also one of a server.
        until: Only jobs stored up to this time, UTC seconds.
    """
    # A preview is free, and may be rendered twice.
    where = "status IN ('queued', 'submitting') AND payer <> 'nobody' AND created_at <= ?"
    connection.execute(f"{_TO_UNKNOWN} WHERE {where}", (_problem(), until))


def mark_sent_unknown(connection: Connection, job_ids: Collection[str], process: str) -> None:
    """Mark as unknown the queued jobs that this process has sent, and that may still get a response."""
    where = "status = 'queued' AND id = ANY(?)"
    connection.execute(f"{_TO_UNKNOWN}, worker = ? WHERE {where}", (_problem(), process, list(job_ids)))


def restore_rows(
    connection: Connection, jobs: Iterable[Job], noted: Collection[str], own: Mapping[str, Any]
) -> set[str]:
    """Store sent jobs again whose rows were lost or say that they were not sent; return their ids.

    Args:
        connection: In a transaction.
        jobs: As this process has them.
        noted: Ids of the jobs that this process has sent and not requeued.
        own: Columns that assign a job to this process.
    """
    found = set[str]()
    for job in jobs:
        row = connection.execute("SELECT status FROM jobs WHERE id = ?", (job.id,)).fetchone()
        # A job that is being sent may just have been requeued; one that the service has accepted never is.
        was_sent = job.status in AT_SERVICE or (job.is_sent and job.id in noted)
        if was_sent and (row is None or row[0] == JobStatus.QUEUED.value):
            columns = {**to_row(job), **own}
            places = ", ".join(f":{name}" for name in columns)
            connection.execute(f"INSERT INTO jobs ({', '.join(columns)}) VALUES ({places}){_RESTORE}", columns)
            found.add(job.id)
    return found


def _problem() -> str | None:
    return problem_text(JobProblem.from_code("ledger_put_back"))
