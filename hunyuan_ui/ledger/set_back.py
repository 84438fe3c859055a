"""A ledger that was set back: an older copy in its place, or a failover that lost the last commits.

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

KEPT: Final = 200  # as many as may wait in private, so that ending all that waits is remembered whole

_TO_UNKNOWN: Final = "UPDATE jobs SET status = 'unknown', ended_at = updated_at, problem = ?"
_PUT_BACK: Final = " ON CONFLICT (id) DO UPDATE SET " + ", ".join(
    f"{name} = excluded.{name}" for name in (*COLUMNS[1:], "worker", "shown", "takes_place")
)
# What `why_unfit` is told; `:sent` are the ids that this process has sent.
STATE: Final = (
    "(SELECT max(version) FROM migrations)",
    f"cardinality(CAST(:sent AS text[])) - ({KNOWN_AS_SENT})",
)
_UNDONE: Final = (
    "SELECT id FROM jobs WHERE (status = 'queued' AND id = ANY(:cancelled))"
    f" OR (deleted_at IS NULL AND status NOT IN ({OPEN}) AND id = ANY(:hidden))"
)


class Decisions:
    """What people have lately taken back or deleted at this process, which a failover must not bring to life again.

    `cancelled` and `hidden` are ids, the newest last.
    """

    def __init__(self) -> None:
        self.cancelled = dict[str, None]()
        self.hidden = dict[str, None]()

    def undone(self, connection: Connection) -> set[str]:
        """Return the ids of the jobs of which a database does not know the decision any more."""
        if not self.cancelled and not self.hidden:
            return set()
        values = {"cancelled": list(self.cancelled), "hidden": list(self.hidden)}
        return {job_id for (job_id,) in connection.execute(_UNDONE, values)}


def remember(known: dict[str, None], job_id: str) -> None:
    """Add an id to those that are known of the newest decisions of a kind."""
    known[job_id] = None
    if len(known) > KEPT:
        del known[next(iter(known))]


def why_unfit(connection: Connection, sent: SentIds, version: int, missing: int) -> StorageError | None:
    """Return why nothing may be sent on the strength of a server's database, if it is not as this process left it.

    Args:
        connection: To it.
        sent: What this process has sent.
        version: Of its tables, as `STATE` asks.
        missing: How many of `sent` it does not know as sent, likewise.
    """
    if version > len(MIGRATIONS):
        return StorageError("ledger_newer")  # whose rules of sending this process does not know
    if missing:
        sent.read()  # another process of the folder may have queued one again meanwhile
        if not sent.are_known(connection):
            return StorageError("database_set_back")
    return None


def distrust(connection: Connection, *, until: float = math.inf) -> None:
    """Make unknown what waits in an older ledger, and may have been sent since.

    Args:
        connection: In a transaction, also one of a server.
        until: Only what was stored until then, UTC seconds.
    """
    # A preview costs nothing, and may be made twice.
    where = "status IN ('queued', 'submitting') AND payer <> 'nobody' AND created_at <= ?"
    connection.execute(f"{_TO_UNKNOWN} WHERE {where}", (_problem(), until))


def doubt(connection: Connection, job_ids: Collection[str], process: str) -> None:
    """Make unknown which of some jobs are queued, although this process has sent them and may still get an answer."""
    where = "status = 'queued' AND id = ANY(?)"
    connection.execute(f"{_TO_UNKNOWN}, worker = ? WHERE {where}", (_problem(), process, list(job_ids)))


def put_back(connection: Connection, jobs: Iterable[Job], noted: Collection[str], own: Mapping[str, Any]) -> set[str]:
    """Store jobs again that were sent, and whose rows were lost or say that they were not; return their ids.

    Args:
        connection: In a transaction.
        jobs: As this process has them.
        noted: Ids of the jobs that this process has sent and not queued again.
        own: Columns by which a job is this process's.
    """
    found = set[str]()
    for job in jobs:
        row = connection.execute("SELECT status FROM jobs WHERE id = ?", (job.id,)).fetchone()
        # One that is being sent may have been queued again a moment ago; what the service has taken never is.
        was_sent = job.status in AT_SERVICE or (job.is_sent and job.id in noted)
        if was_sent and (row is None or row[0] == JobStatus.QUEUED.value):
            columns = {**to_row(job), **own}
            places = ", ".join(f":{name}" for name in columns)
            connection.execute(f"INSERT INTO jobs ({', '.join(columns)}) VALUES ({places}){_PUT_BACK}", columns)
            found.add(job.id)
    return found


def _problem() -> str | None:
    return problem_text(JobProblem.from_code("ledger_put_back"))
