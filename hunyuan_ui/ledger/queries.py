"""LedgerQueries: the ledger's queries, on any database, none of which waits for a writer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, Literal

from hunyuan_ui.endpoint.contract import bare_id
from hunyuan_ui.estimate import Outcome
from hunyuan_ui.job import MICRO, Job, JobStatus
from hunyuan_ui.ledger.connection import Connection
from hunyuan_ui.ledger.cost import NAMED
from hunyuan_ui.ledger.schema import SELECTED, UNSETTLED, to_job
from hunyuan_ui.ledger.search_text import FOLDED, folded
from hunyuan_ui.ledger.totals import days, list_spent, totals
from hunyuan_ui.ledger.transactions import LedgerTransactions
from hunyuan_ui.limits import Day, Totals
from hunyuan_ui.request import clean_text

_IN_DOUBT: Final = f"json_extract(notes, '$.{NAMED}')"
# `:request` is a `bare_id`; deleted jobs count.
OF_ANOTHER: Final = (
    "SELECT 1 FROM jobs WHERE request_id IS NOT NULL AND lower(replace(request_id, '-', '')) = :request AND id <> :id"
)
_IDS_AT_ONCE: Final = 500  # the oldest SQLite accepts 999 values per statement
_OUTCOMES: Final = 20  # finished jobs that calibrate estimates
_SEARCH_AT_MOST: Final = 200  # characters
_ESCAPED: Final = re.compile("[!%_]")


class LedgerQueries(LedgerTransactions):
    """The query half of `Ledger`; arguments are those of `LedgerTransactions`."""

    def get(self, job_id: str) -> Job | None:
        """Return a job unless it was deleted."""
        return next(iter(self._jobs("WHERE id = ? AND deleted_at IS NULL", (job_id,))), None)

    def own(self, job_id: str) -> Job | None:
        """Return a job of this process unless it was deleted.

        Raises:
            TakenOverError: It belongs to another process.
        """
        return self.get(job_id)

    def take_over(self) -> list[Job]:
        """Take over the jobs that no live process works on, and return them, oldest first."""
        return self.active()

    def active(self) -> list[Job]:
        """Return every job that has not ended, oldest first."""
        return self._jobs(f"WHERE {UNSETTLED} AND status <> 'unknown' ORDER BY created_at, rowid", ())

    def unknown(self) -> list[Job]:
        """Return the owner's unknown jobs, oldest first; the owner must decide whether they were charged."""
        return self._jobs(f"WHERE {UNSETTLED} AND status = 'unknown' AND payer = 'owner' ORDER BY created_at", ())

    def doubtful(self) -> list[Job]:
        """Return the owner's jobs with an implausible, unconfirmed cost, oldest first; includes deleted ones."""
        return self._jobs(f"WHERE payer = 'owner' AND {_IN_DOUBT} IS NOT NULL ORDER BY created_at", ())

    def jobs(
        self,
        visitor: str | None,
        *,
        statuses: frozenset[JobStatus] | None = None,
        search: str = "",
        before: tuple[float, str] | None = None,
        limit: int = 50,
    ) -> list[Job]:
        """Return jobs newest first.

        Args:
            visitor: The owner of the jobs; None for all visitors.
            search: Words that must all occur in the prompt, however they are accented or in which case.
            before: `created_at` and id of the last job already shown.
        """
        where, values = _listed(visitor, statuses, search)
        if before is not None:
            where += " AND (created_at, id) < (?, ?)"
            values.extend(before)
        return self._jobs(f"{where} ORDER BY created_at DESC, id DESC LIMIT ?", (*values, limit))

    def known(self, job_ids: Sequence[str]) -> tuple[dict[str, Job], set[str]]:
        """Return jobs by id, deleted ones included, and the ids of the deleted ones."""
        found: dict[str, Job] = {}
        deleted: set[str] = set()
        with self._reading() as read:
            for begin in range(0, len(job_ids), _IDS_AT_ONCE):
                some = job_ids[begin : begin + _IDS_AT_ONCE]
                places = ", ".join("?" * len(some))
                for *row, deleted_at in read.execute(
                    f"SELECT {SELECTED}, deleted_at FROM jobs WHERE id IN ({places})", tuple(some)
                ):
                    found[row[0]] = to_job(row)
                    if deleted_at is not None:
                        deleted.add(row[0])
        return found, deleted

    def of_list(self, list_id: str) -> list[Job]:
        """Return a prompt list's jobs that were not deleted, oldest first."""
        return self._jobs("WHERE list_id = ? AND deleted_at IS NULL ORDER BY created_at, id", (list_id,))

    def list_spent(self, list_id: str, *, only_sent: bool = False) -> int:
        """Return what a prompt list has spent or reserved, in micro-dollars; optionally without jobs not sent yet."""
        with self._reading() as read:
            return list_spent(read, list_id, only_sent=only_sent)

    def ids(self, only: Literal["done", "deleted"] | None = None) -> set[str]:
        """Return every id, deleted ones included; or only those of finished or of deleted jobs."""
        where = {None: "true", "done": "status = 'done'", "deleted": "deleted_at IS NOT NULL"}[only]
        with self._reading() as read:
            return {row[0] for row in read.execute(f"SELECT id FROM jobs WHERE {where}")}

    def outcomes(self, payer: str, *, of_engine: bool = False) -> list[Outcome]:
        """Return the seconds and costs of the latest finished jobs, of the self-hosted engine or of the others."""
        with self._reading() as read:
            rows = read.execute(
                "SELECT predicted_s, inference_s, cost_microusd FROM jobs WHERE status = 'done' AND inference_s > 0"
                f" AND (payer = 'nobody') = (? = 'nobody') AND (dialect = 'openai') = ? AND {_IN_DOUBT} IS NULL"
                f" ORDER BY ended_at DESC LIMIT {_OUTCOMES}",
                (payer, of_engine),
            ).fetchall()
        return [Outcome(row[0], row[1], None if row[2] is None else row[2] / MICRO) for row in rows]

    def engine_seconds(self) -> float:
        """Return the total seconds of jobs on a self-hosted engine, with or without a video, deleted ones included."""
        with self._reading() as read:
            found = read.execute("SELECT coalesce(sum(inference_s), 0.0) FROM jobs WHERE dialect = 'openai'").fetchone()
        return float(found[0])

    def unclaimed(self, job: Job, request_ids: list[str]) -> list[str]:
        """Return the request ids that can only be this job's: no job has them, and no other job lacks its id."""
        begun = frozenset({JobStatus.SUBMITTING, JobStatus.UNKNOWN})
        rivals = [one for one in self.jobs(None, statuses=begun, limit=200) if one.id != job.id]
        if any(one.dialect == job.dialect and one.request.prompt == job.request.prompt for one in rivals):
            return []
        with self._reading() as read:
            return [request_id for request_id in request_ids if not is_of_another(read, job.id, request_id)]

    def totals(self, visitor: str) -> Totals:
        """Return the current totals for checking this visitor's limits."""
        with self._reading() as read:
            return totals(read, visitor, self.now())

    def days(self, since: float) -> list[Day]:
        """Return the owner's cost of each UTC day since then, oldest first; days without a sent job are left out."""
        with self._reading() as read:
            return days(read, since, self.now())

    def _jobs(self, where: str, values: tuple[Any, ...]) -> list[Job]:
        with self._reading() as read:
            rows = read.execute(f"SELECT {SELECTED} FROM jobs {where}", values).fetchall()
        return [to_job(row) for row in rows]


def _listed(visitor: str | None, statuses: frozenset[JobStatus] | None, search: str) -> tuple[str, list[Any]]:
    """Return the WHERE clause and its values; arguments are those of `Ledger.jobs`."""
    where, values = ["deleted_at IS NULL"], list[Any]()
    if visitor is not None:
        where.append("visitor = ?")
        values.append(visitor)
    if statuses is not None:
        where.append(f"status IN ({', '.join('?' * len(statuses))})" if statuses else "false")
        values.extend(status.value for status in statuses)
    for word in folded(clean_text(search)[:_SEARCH_AT_MOST]).split():
        where.append(f"{FOLDED}(prompt) LIKE ? ESCAPE '!'")  # a database may treat a backslash as its own escape
        values.append("%" + _ESCAPED.sub(r"!\g<0>", word) + "%")
    return f"WHERE {' AND '.join(where)}", values


def is_of_another(connection: Connection, job_id: str, request_id: str, url: str | None = None) -> bool:
    """Whether a request id is another job's; with `url`, also whether that one's video has this address."""
    statement = OF_ANOTHER if url is None else f"{OF_ANOTHER} AND result_url = :url"
    return (
        connection.execute(statement, {"request": bare_id(request_id), "id": job_id, "url": url}).fetchone() is not None
    )
