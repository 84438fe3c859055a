"""What a process knows better than a database that was set back, as by a failover that lost the last commits.

Source: docs/facts/scale.md 3.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from hunyuan_ui.job import Job, JobProblem, JobStatus
from hunyuan_ui.ledger.database import Connection
from hunyuan_ui.ledger.schema import COLUMNS, problem_text, to_row

_PUT_BACK: Final = " ON CONFLICT (id) DO UPDATE SET " + ", ".join(
    f"{name} = excluded.{name}" for name in (*COLUMNS[1:], "worker", "shown", "takes_place")
)
_UNKNOWN: Final = (
    "UPDATE jobs SET status = 'unknown', problem = :problem, ended_at = updated_at"
    " WHERE status = 'queued' AND id = ANY(:ids)"
)


def put_back(
    connection: Connection, jobs: Iterable[Job], noted: Collection[str], own: Mapping[str, Any]
) -> dict[str, Job]:
    """Store jobs under way again whose rows were lost, or say that they were not sent; return them by id.

    Args:
        connection: In a transaction.
        jobs: As this process has them.
        noted: Ids of the jobs that this process has sent and not queued again.
        own: Columns by which a job is this process's.
    """
    found = dict[str, Job]()
    for job in jobs:
        row = connection.execute("SELECT status FROM jobs WHERE id = ?", (job.id,)).fetchone()
        # One that is being sent may have been queued again a moment ago; what was sent never is.
        was_sent = job.status in (JobStatus.RUNNING, JobStatus.DOWNLOADING) or job.id in noted
        if was_sent and (row is None or row[0] == JobStatus.QUEUED.value):
            columns = {**to_row(job), **own}
            places = ", ".join(f":{name}" for name in columns)
            connection.execute(f"INSERT INTO jobs ({', '.join(columns)}) VALUES ({places}){_PUT_BACK}", columns)
            found[job.id] = job
    return found


def doubt(connection: Connection, job_ids: Collection[str]) -> None:
    """Let none of some jobs be sent again that were sent, but are queued."""
    problem = problem_text(JobProblem.from_code("ledger_put_back"))
    connection.execute(_UNKNOWN, {"problem": problem, "ids": list(job_ids)})
