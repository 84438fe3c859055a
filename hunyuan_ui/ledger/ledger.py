"""Ledger: all jobs and their money in one table. A transition is one UPDATE that names the statuses it starts from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias

from hunyuan_ui.errors import AccessError
from hunyuan_ui.estimate import Outcome
from hunyuan_ui.job import MICRO, Job, JobProblem, JobStatus
from hunyuan_ui.ledger import found as history
from hunyuan_ui.ledger.cost import NAMED, money, priced
from hunyuan_ui.ledger.database import Connection
from hunyuan_ui.ledger.schema import COLUMNS, NEWEST, SELECTED, UNSETTLED, problem_text, to_job, to_row
from hunyuan_ui.ledger.search import condition
from hunyuan_ui.ledger.store import LedgerStore
from hunyuan_ui.ledger.totals import before_adding, days, list_spent, totals
from hunyuan_ui.limits import Day, Totals

_INSERT: Final = (
    f"INSERT INTO jobs ({SELECTED}) VALUES ({', '.join(':' + name for name in COLUMNS)}) ON CONFLICT (id) DO NOTHING"
)
_ROW: Final = f"SELECT {SELECTED}, ({NEWEST}) FROM jobs WHERE id = ?"
_FOUND: Final = ("status", "updated_at", "ended_at", "sent_at", "request_id", "cost_microusd", "sha256", "notes")
_ADOPT: Final = (
    _INSERT.removesuffix("NOTHING")
    + f"UPDATE SET problem = NULL, {', '.join(f'{name} = coalesce(excluded.{name}, jobs.{name})' for name in _FOUND)}"
    " WHERE jobs.status <> 'done' AND jobs.deleted_at IS NULL"
)

_IN_DOUBT: Final = f"json_extract(notes, '$.{NAMED}')"
_SAME_REQUEST: Final = "request_id IS NOT NULL AND lower(replace(request_id, '-', '')) = :request"
_CORRECTABLE: Final = (JobStatus.DONE, JobStatus.LOST, JobStatus.UNKNOWN, JobStatus.FAILED)
_IDS_AT_ONCE: Final = 500  # the oldest SQLite takes 999 values in a statement
_OF_THE_FILE: Final = ("width", "height", "frames", "fps", "duration_s", "size_bytes", "suffix")

Columns: TypeAlias = dict[str, Any] | Callable[[Job], dict[str, Any]]


class Ledger(LedgerStore):
    """The only writer of the table `jobs`; thread-safe. Arguments are those of `LedgerStore`."""

    # adding jobs

    def add(
        self, job: Job, check: Callable[[Job, Totals], None], list_id: str | None = None, key_mark: str = ""
    ) -> tuple[Job, bool]:
        """Store a job and its reservation, unless a job with its id exists.

        Args:
            job: A queued job; its times are set here.
            check: Raises if the job would exceed a limit; called inside the transaction.
            list_id: Of the list of prompts that the job is a row of.
            key_mark: Stands for the visitor's own key that pays; needed where several processes share the ledger.

        Returns:
            The stored job, and whether it is new.

        Raises:
            AccessError: The id belongs to another visitor's job.
            StorageError: The ledger cannot be written.
        """
        with self._transaction("add"):
            known, counted = self._reckoned(job)
            if known is not None:
                if known.visitor != job.visitor:
                    raise AccessError("not_yours")
                return known, False
            if list_id is not None:
                counted = replace(counted, list_microusd=list_spent(self._connection, list_id))
            if key_mark:
                counted = replace(counted, waiting_on_key=self._waiting_on(key_mark))
            check(job, counted)
            stamp = self._changed_at = self._stamp()
            stored = replace(job, created_at=stamp, updated_at=stamp)
            row = {**to_row(stored), **self._own}
            if list_id is not None:
                row["list_id"] = list_id
            if key_mark and self.is_shared:
                row["key_mark"] = key_mark
            places = ", ".join(f":{column}" for column in row)
            self._connection.execute(f"INSERT INTO jobs ({', '.join(row)}) VALUES ({places})", row)
        return stored, True

    def join_list(self, list_id: str, job_ids: Iterable[str]) -> None:
        """Count jobs as rows of a list that were stored without it, as those whose files alone were left."""
        with self._transaction("join_list"):
            for job_id in job_ids:
                self._set(job_id, {"list_id": list_id}, and_where="AND list_id IS NULL")

    def adopt(self, job: Job) -> bool:
        """Store a finished job that was found in the library; return False if it is done or deleted here."""
        with self._transaction("adopt"):
            # A time from a file may be in the future, and the ledger's clock would never go below it.
            names = ("created_at", "sent_at", "ended_at")
            past = {name: min(at, self.now()) for name in names if (at := getattr(job, name)) is not None}
            row = to_row(replace(job, **past, updated_at=self._stamp()))
            return self._connection.execute(_ADOPT, row).rowcount == 1

    def take_in(self, found: Iterable[Job]) -> list[Job]:
        """Store jobs of the account's history that this ledger lacks, all or none; return those that were stored.

        A job whose request id is known stays as it is, deleted or not. A job that was sent and has no request id gets
        the one of an equal request that was sent at about the same time.

        Args:
            found: The owner's jobs; each id is derived from its request.
        """
        with self._transaction("take_in"):
            taken = history.take_in(self._connection, found, self._stamp())
            self._take([job.id for job in taken if job.is_active])
        return taken

    def say_spent(self, said: Job) -> Job:
        """Count what the owner says the account was charged today, minus what is settled here already.

        Args:
            said: A lost job with that cost; a later one on the same day replaces it.
        """
        with self._transaction("say_spent"):
            return history.say_spent(self._connection, said, self._stamp())

    # transitions

    def claim(self, job_id: str) -> Job | None:
        """Commit `submitting` before the POST is sent; return None if the job was cancelled meanwhile."""
        stamp = self.now()
        columns = {"sent_at": stamp, "not_before": None, "problem": None}
        return self._move("claim", job_id, JobStatus.SUBMITTING, (JobStatus.QUEUED,), columns, and_where=self._room)

    def requeue(
        self, job_id: str, not_before: float | None, problem: JobProblem | None, notes: dict[str, Any] | None = None
    ) -> Job:
        """Return a job to the queue that was certainly not sent, or was rate limited; `not_before` is UTC seconds."""
        columns: dict[str, Any] = {"sent_at": None, "not_before": not_before, "problem": problem_text(problem)}
        if notes is not None:
            columns["notes"] = json.dumps(notes)
        return self._owned("requeue", job_id, JobStatus.QUEUED, (JobStatus.SUBMITTING,), columns)

    def mark_running(self, job_id: str, request_id: str, *, cost_usd: float | None = None, **notes: Any) -> Job:
        """Record the service's request id; if another job has it already, the job becomes unknown instead.

        Args:
            job_id: Of a job that is being sent.
            request_id: The service's.
            cost_usd: A cost that the response already named.
            notes: Merged into the job's notes.
        """

        def columns(known: Job) -> dict[str, Any]:
            if _is_of_another(self._connection, job_id, request_id):
                problem = JobProblem.from_code("request_id_reused", request_id=request_id)
                # The id is kept in the problem only, so that nothing polls another job's request.
                return {"status": JobStatus.UNKNOWN.value, "ended_at": self.now(), "problem": problem_text(problem)}
            cost, noted = priced(known, cost_usd)
            return {"request_id": request_id, "problem": None, **money(cost, {**noted, **notes})}

        return self._owned("running", job_id, JobStatus.RUNNING, (JobStatus.SUBMITTING,), columns)

    def mark_downloading(
        self,
        job_id: str,
        *,
        request_id: str | None,
        result_url: str | None,
        cost_usd: float | None,
        inference_s: float | None,
        queue_s: float | None = None,
    ) -> Job:
        """Record that the service has finished the video, and settle the cost (US dollars) that it named."""
        begun = (JobStatus.SUBMITTING, JobStatus.RUNNING, JobStatus.DOWNLOADING)

        def columns(known: Job) -> dict[str, Any]:
            named = None if request_id == known.request_id else request_id
            if named is not None and _is_of_another(self._connection, job_id, named):
                named = None
            facts = {
                "request_id": named,
                "result_url": result_url,
                "inference_s": inference_s,
                "queue_s": queue_s,
            }
            # A later response with fewer fields erases nothing.
            told = {column: value for column, value in facts.items() if value is not None}
            return {**told, **money(*priced(known, cost_usd)), "problem": None}

        return self._owned("downloading", job_id, JobStatus.DOWNLOADING, begun, columns)

    def mark_done(self, job_id: str, *, sha256: str, notes: dict[str, Any]) -> Job:
        """Record that video, poster and sidecar are stored; `notes` hold the properties of the file."""

        def columns(known: Job) -> dict[str, Any]:
            of_the_file = {name: notes[name] for name in _OF_THE_FILE if name in notes}
            merged = json.dumps({**notes, **known.notes, **of_the_file})
            return {"ended_at": self.now(), "sha256": sha256, "notes": merged, "problem": None}

        return self._owned("done", job_id, JobStatus.DONE, (JobStatus.DOWNLOADING,), columns)

    def mark_failed(self, job_id: str, problem: JobProblem, *, inference_s: float | None = None) -> Job:
        """Release the reservation of a job that was refused, or failed without a cost, though perhaps not at once."""
        begun = (JobStatus.QUEUED, JobStatus.SUBMITTING, JobStatus.RUNNING)
        return self._end("failed", job_id, JobStatus.FAILED, begun, problem, inference_s=inference_s)

    def mark_unknown(self, job_id: str, problem: JobProblem, *, cost_usd: float | None = None) -> Job:
        """Count a job without a response as spent, at its named cost or else its reservation."""
        begun = (JobStatus.SUBMITTING, JobStatus.RUNNING)
        return self._end("unknown", job_id, JobStatus.UNKNOWN, begun, problem, cost_usd=cost_usd)

    def mark_lost(
        self, job_id: str, problem: JobProblem, *, cost_usd: float | None = None, inference_s: float | None = None
    ) -> Job:
        """Mark a charged job whose file cannot be fetched; its request id and link are kept for another try."""
        begun = (JobStatus.RUNNING, JobStatus.DOWNLOADING)
        return self._end("lost", job_id, JobStatus.LOST, begun, problem, cost_usd=cost_usd, inference_s=inference_s)

    def look_again(self, job_id: str) -> Job | None:
        """Resume a lost job; return None if it is not lost, or has neither link nor request id."""
        columns = {"ended_at": None, "problem": None, **self._own}
        for to, where in (
            (JobStatus.DOWNLOADING, "AND result_url IS NOT NULL"),
            (JobStatus.RUNNING, "AND request_id IS NOT NULL"),
        ):
            if job := self._move("look_again", job_id, to, (JobStatus.LOST,), columns, and_where=where):
                return job
        return None

    def name_cost(self, job_id: str, cost_usd: float, *, is_confirmed: bool = False) -> Job:
        """Record a cost (US dollars) that was named outside a transition, or confirmed by the account's history."""
        with self._transaction("name_cost"):
            known = self._known(job_id)
            cost, notes = priced(known, cost_usd, is_confirmed=is_confirmed)
            self._set(job_id, money(cost, notes))
        return replace(known, cost_microusd=cost, notes=notes)

    def correct_cost(self, job_id: str, cost_usd: float, note: str) -> Job | None:
        """Correct the cost of an ended job and keep the owner's note; return None unless it was sent and has ended.

        A failed job with a cost becomes lost; an unknown job becomes lost or, at zero, failed.
        """
        with self._transaction("correct"):
            known = self._known(job_id)
            if known.status not in _CORRECTABLE or known.sent_at is None:
                return None
            status = known.status
            if status in (JobStatus.FAILED, JobStatus.UNKNOWN):
                status = JobStatus.LOST if cost_usd > 0 else JobStatus.FAILED
            was = {"at": self.now(), "note": note, "from_microusd": known.cost_microusd, "status": known.status.value}
            notes = {name: value for name, value in known.notes.items() if name != NAMED}
            notes["corrections"] = [*notes.get("corrections", []), {**was, "to_microusd": round(cost_usd * MICRO)}]
            cost = round(cost_usd * MICRO)
            self._set(job_id, {"status": status.value, **money(cost, notes)})
        return replace(known, status=status, cost_microusd=cost, notes=notes)

    def cancel(self, job_id: str) -> Job | None:
        """Cancel a queued job; return None if it was sent or has ended."""
        return self._move("cancel", job_id, JobStatus.CANCELLED, (JobStatus.QUEUED,), {"ended_at": self.now()})

    def settle_unknown(self, job_id: str, *, was_charged: bool) -> Job | None:
        """Apply the owner's decision on an unknown job: charged makes it lost, not charged makes it failed."""
        status, code = (JobStatus.LOST, "said_charged") if was_charged else (JobStatus.FAILED, "said_not_charged")
        problem = problem_text(JobProblem.from_code(code))
        return self._move("settle", job_id, status, (JobStatus.UNKNOWN,), {"problem": problem})

    def note(self, job_id: str, **notes: Any) -> Job:
        """Merge values into a job's notes."""
        with self._transaction("note"):
            known = self._known(job_id)
            merged = {**known.notes, **notes}
            self._set(job_id, {"notes": json.dumps(merged)})
        return replace(known, notes=merged)

    def hide(self, job_id: str) -> None:
        """Hide an ended job and erase its prompts and link; its cost stays counted."""
        with self._transaction("hide"):
            known = self._find(job_id)
            if known is None or known.is_active:
                return
            request = known.request.model_copy(update={"prompt": "-", "negative_prompt": ""})
            erased = {"problem": None, "result_url": None, "request": request.model_dump_json()}
            self._set(job_id, {"deleted_at": self.now(), **erased})
            self._database.erase()

    # reading

    def get(self, job_id: str) -> Job | None:
        """Return a job that was not deleted."""
        return next(iter(self._jobs("WHERE id = ? AND deleted_at IS NULL", (job_id,))), None)

    def own(self, job_id: str) -> Job | None:
        """Return a job of this process that was not deleted.

        Raises:
            TakenOverError: It is another process's.
        """
        return self.get(job_id)

    def take_over(self) -> list[Job]:
        """Return the jobs that nobody works on, oldest first, which become this process's."""
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
            visitor: Whose; None for everybody's.
            statuses: Which; None for all.
            search: Words that must all stand in the prompt.
            before: `created_at` and id of the last one already shown.
            limit: At most this many.
        """
        where, values = condition(visitor, statuses, search)
        if before is not None:
            where += " AND (created_at, id) < (?, ?)"
            values.extend(before)
        return self._jobs(f"{where} ORDER BY created_at DESC, id DESC LIMIT ?", (*values, limit))

    def known(self, job_ids: Sequence[str]) -> tuple[dict[str, Job], set[str]]:
        """Return jobs by id, deleted ones included, and the ids of those."""
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
        """Return the jobs of a list of prompts that were not deleted, oldest first."""
        return self._jobs("WHERE list_id = ? AND deleted_at IS NULL ORDER BY created_at, id", (list_id,))

    def list_spent(self, list_id: str) -> int:
        """Return what a list of prompts has spent or reserved, in micro-dollars."""
        with self._reading() as read:
            return list_spent(read, list_id)

    def ids(self, only: Literal["done", "deleted"] | None = None) -> set[str]:
        """Return every id, deleted ones included; or only those of finished or of deleted jobs."""
        where = {None: "true", "done": "status = 'done'", "deleted": "deleted_at IS NOT NULL"}[only]
        with self._reading() as read:
            return {row[0] for row in read.execute(f"SELECT id FROM jobs WHERE {where}")}

    def outcomes(self, payer: str, limit: int = 20, *, of_engine: bool = False) -> list[Outcome]:
        """Return the seconds and costs of the latest finished jobs, of an engine of one's own or of the others."""
        with self._reading() as read:
            rows = read.execute(
                "SELECT predicted_s, inference_s, cost_microusd FROM jobs WHERE status = 'done' AND inference_s > 0"
                f" AND (payer = 'nobody') = (? = 'nobody') AND (dialect = 'openai') = ? AND {_IN_DOUBT} IS NULL"
                " ORDER BY ended_at DESC LIMIT ?",
                (payer, of_engine, limit),
            ).fetchall()
        return [Outcome(row[0], row[1], None if row[2] is None else row[2] / MICRO) for row in rows]

    def engine_seconds(self) -> float:
        """Return the seconds that jobs took on an engine of one's own, with or without a video, also deleted ones."""
        with self._reading() as read:
            found = read.execute("SELECT coalesce(sum(inference_s), 0.0) FROM jobs WHERE dialect = 'openai'").fetchone()
        return float(found[0])

    def unclaimed(self, job: Job, request_ids: list[str]) -> list[str]:
        """Return which request ids can only be a job's: none is another's, and no other waits for its own id."""
        begun = frozenset({JobStatus.SUBMITTING, JobStatus.UNKNOWN})
        rivals = [one for one in self.jobs(None, statuses=begun, limit=200) if one.id != job.id]
        if any(one.dialect == job.dialect and one.request.prompt == job.request.prompt for one in rivals):
            return []
        with self._reading() as read:
            return [request_id for request_id in request_ids if not _is_of_another(read, job.id, request_id)]

    def totals(self, visitor: str) -> Totals:
        """Return the totals that the limits are checked against for this visitor now."""
        with self._reading() as read:
            return totals(read, visitor, self.now())

    def days(self, since: float) -> list[Day]:
        """Return the owner's cost of each UTC day since then, oldest first; days without a sent job are left out."""
        with self._reading() as read:
            return days(read, since, self.now())

    # inside

    def _reckoned(self, job: Job) -> tuple[Job | None, Totals]:
        """Return the job that is stored under a new one's id, and the totals that the new one is checked against."""
        now = self.now()
        known, newest, counted = before_adding(self._connection, job.id, job.visitor, now)
        self._see(newest)
        if newest > now:  # of a process whose clock is ahead of this one's: it may be another day already
            known, _, counted = before_adding(self._connection, job.id, job.visitor, self.now())
        return known, counted

    def _row(self, job_id: str) -> Sequence[Any] | None:
        """Return a job's values of `SELECTED`, inside a transaction."""
        run = self._connection.execute
        *row, newest = run(_ROW, (job_id,)).fetchone() or run(NEWEST).fetchone()
        self._see(newest)
        return row or None

    def _find(self, job_id: str) -> Job | None:
        return None if (row := self._row(job_id)) is None else to_job(row)

    def _jobs(self, where: str, values: tuple[Any, ...]) -> list[Job]:
        with self._reading() as read:
            rows = read.execute(f"SELECT {SELECTED} FROM jobs {where}", values).fetchall()
        return [to_job(row) for row in rows]

    def _known(self, job_id: str) -> Job:
        if (known := self._find(job_id)) is None:
            raise AccessError("not_yours")
        return known

    def _end(
        self,
        name: str,
        job_id: str,
        to: JobStatus,
        begun: tuple[JobStatus, ...],
        problem: JobProblem,
        *,
        cost_usd: float | None = None,
        inference_s: float | None = None,
    ) -> Job:
        def columns(known: Job) -> dict[str, Any]:
            cost = money(*priced(known, cost_usd)) if cost_usd is not None else {}
            took = {} if inference_s is None else {"inference_s": inference_s}
            return {"ended_at": self.now(), "problem": problem_text(problem), **cost, **took}

        return self._owned(name, job_id, to, begun, columns)

    def _owned(self, name: str, job_id: str, to: JobStatus, begun: tuple[JobStatus, ...], columns: Columns) -> Job:
        job = self._move(name, job_id, to, begun, columns)
        if job is None:
            raise RuntimeError(f"job {job_id} cannot become {to.value}")
        return job

    def _move(
        self,
        name: str,
        job_id: str,
        to: JobStatus,
        begun: tuple[JobStatus, ...],
        columns: Columns,
        *,
        and_where: str = "",
    ) -> Job | None:
        places = "', '".join(begun)
        with self._transaction(name):
            if (row := self._row(job_id)) is None:
                return None
            told = columns(to_job(row)) if callable(columns) else columns
            values = {"status": to.value, "updated_at": self._stamp(), **told}
            is_changed = self._set(job_id, values, and_where=f"AND status IN ('{places}') {and_where}")
            self._changed_at = self._stored_at if is_changed else 0.0
        return to_job([values.get(name, old) for name, old in zip(COLUMNS, row, strict=True)]) if is_changed else None

    def _set(self, job_id: str, values: Mapping[str, Any], *, and_where: str = "") -> bool:
        """Change a row; return False where the condition does not hold."""
        statement = _update(tuple(values), and_where)
        return self._connection.execute(statement, {**values, "job_id": job_id}).rowcount == 1


@lru_cache(maxsize=128)
def _update(columns: tuple[str, ...], and_where: str) -> str:
    sets = ", ".join([f"{column} = :{column}" for column in columns])
    return f"UPDATE jobs SET {sets} WHERE id = :job_id {and_where}"


def _is_of_another(connection: Connection, job_id: str, request_id: str) -> bool:
    """Whether a request id is another job's, with or without dashes; deleted jobs count."""
    statement = f"SELECT 1 FROM jobs WHERE {_SAME_REQUEST} AND id <> :id"
    same = {"request": request_id.replace("-", "").lower(), "id": job_id}
    return connection.execute(statement, same).fetchone() is not None
