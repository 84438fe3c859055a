"""Ledger: all jobs and their money in one table. Each transition is one UPDATE conditioned on its start statuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

from hunyuan_ui.endpoint.contract import bare_id
from hunyuan_ui.errors import AccessError, SpendLimitError, code_when_queued
from hunyuan_ui.job import AT_SERVICE, MICRO, Job, JobProblem, JobStatus, with_budget
from hunyuan_ui.ledger import account_history
from hunyuan_ui.ledger.cost import CHARGED, NAMED, PARTIAL, money, priced, priced_as_made, priced_so_far
from hunyuan_ui.ledger.queries import OF_ANOTHER, LedgerQueries, is_of_another
from hunyuan_ui.ledger.schema import (
    COLUMNS,
    NEWEST,
    OPEN,
    SELECTED,
    erased,
    insert,
    notes_without_texts,
    problem_text,
    to_job,
    to_row,
)
from hunyuan_ui.ledger.totals import UNREVIEWED, before_adding, before_sending, list_spent
from hunyuan_ui.limits import Totals

_FOUND: Final = ("status", "updated_at", "ended_at", "sent_at", "request_id", "cost_microusd", "sha256", "notes")
_ADOPT: Final = (
    f"{insert()} ON CONFLICT (id) DO UPDATE SET problem = NULL,"
    f" {', '.join(f'{name} = coalesce(excluded.{name}, jobs.{name})' for name in _FOUND)}"
    " WHERE jobs.status <> 'done' AND jobs.deleted_at IS NULL"
)

# An engine that counts its ids begins anew at each of its starts, so that there an ended job's id is free again.
_REUSED: Final = f"{OF_ANOTHER} AND (status IN ({OPEN}) OR (SELECT dialect FROM jobs WHERE id = :id) <> 'openai')"
_STILL_ITS: Final = (
    "AND (dialect <> 'openai' OR NOT EXISTS (SELECT 1 FROM jobs AS later WHERE later.request_id = jobs.request_id"
    " AND later.id <> jobs.id AND later.sent_at >= jobs.sent_at))"
)
_OF_THE_FILE: Final = ("width", "height", "frames", "fps", "duration_s", "size_bytes", "suffix")


class ExtraSelect(NamedTuple):
    """Extra expressions for the statement that reads a job's row, which saves a round trip; each yields one value.

    `select` are expressions with `:name` placeholders; `:id` is the job's id.
    """

    select: Sequence[str] = ()
    values: Mapping[str, Any] = MappingProxyType({})


NO_EXTRA: Final = ExtraSelect()


class ComputedColumns(NamedTuple):
    """Columns of a change that depend on the row: a function of the job and of the question's values."""

    columns: Callable[..., dict[str, Any]]
    extra: ExtraSelect = NO_EXTRA


Columns: TypeAlias = dict[str, Any] | ComputedColumns


def as_reserved(job: Job, totals: Totals) -> int:  # noqa: ARG001 - called as every check
    """Keep a job's reservation unchanged."""
    return job.reserved_microusd


class Ledger(LedgerQueries):
    """The only writer of the table `jobs`; thread-safe. Arguments are those of `LedgerTransactions`."""

    # adding jobs

    def add(
        self, job: Job, check: Callable[[Job, Totals], None], list_id: str | None = None, key_mark: str = ""
    ) -> tuple[Job, bool]:
        """Store a job and its reservation, unless one with its id exists; return it, and whether it is new.

        Args:
            job: A queued job; its times are set here.
            check: Raises if the job would exceed a limit; called inside the transaction.
            key_mark: Digest of the visitor's own key that pays; needed if several processes share the ledger.

        Raises:
            AccessError: The id belongs to another visitor's job.
            TakenOverError: Another process sends the list now, perhaps under another budget.
        """
        with self._transaction("add"):
            known, counted = self._existing_and_totals(job)
            if known is not None:
                if known.visitor != job.visitor:
                    raise AccessError("not_yours")
                return known, False
            if list_id is not None:
                self._check_list(list_id)
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
            self._connection.execute(insert(row), row)
        return stored, True

    def join_list(self, list_id: str, job_ids: Iterable[str], budget_usd: float) -> None:
        """Assign stored jobs without a list to it, such as those restored from files alone.

        Args:
            budget_usd: The most that it may spend, in US dollars; applies to its jobs that wait to be sent, also to one
                that is just being sent and may be requeued.
        """
        with self._transaction("join_list"):
            for job_id in job_ids:
                self._set(job_id, {"list_id": list_id}, and_where="AND list_id IS NULL")
            unsent = "SELECT id, notes FROM jobs WHERE list_id = ? AND status IN ('queued', 'submitting')"
            for job_id, notes in self._connection.execute(unsent, (list_id,)).fetchall():
                self._set(job_id, {"notes": json.dumps(with_budget(json.loads(notes), budget_usd))})

    def adopt(self, job: Job) -> bool:
        """Store a finished job that was found in the library; return False if it is done or deleted here."""
        with self._transaction("adopt"):
            # A file's time may be in the future, and the ledger's clock would never go below it.
            names = ("created_at", "sent_at", "ended_at")
            past = {name: min(at, self.now()) for name in names if (at := getattr(job, name)) is not None}
            row = to_row(replace(job, **past, updated_at=self._stamp()))
            return self._connection.execute(_ADOPT, row).rowcount == 1

    def import_history(self, found: Iterable[Job]) -> list[Job]:
        """Store jobs of the account's history that this ledger lacks, all or none; return the stored ones.

        A job whose request id is known is left unchanged, deleted or not, unless it failed here and was charged there,
        or is unknown here. A sent job without a request id gets the one of an equal request that was sent at about the
        same time.
        """
        with self._transaction("import_history"):
            taken = account_history.import_history(self._connection, found, self._stamp())
            self._take([job.id for job in taken if job.is_active])
        return taken

    def declare_spending(self, declared: Job) -> Job:
        """Record what the owner says was charged today, minus what is already settled here.

        Args:
            declared: A lost job with that cost; a later one on the same day replaces it.
        """
        with self._transaction("declare_spending"):
            return account_history.declare_spending(self._connection, declared, self._stamp())

    def restore_rows(self, jobs: Sequence[Job]) -> set[str]:  # noqa: ARG002 - needed where a server may lose commits
        """Store unfinished jobs again that the database has lost; return their ids."""
        return set()

    # transitions

    def claim(self, job_id: str, check: Callable[[Job, Totals], int] = as_reserved, **notes: Any) -> Job | None:
        """Commit `submitting` before the POST is sent; return None if the job was cancelled meanwhile.

        Args:
            check: Returns the job's new reservation in micro-dollars, or raises SpendLimitError if it would now exceed
                a limit; called inside the transaction. The job then stays queued, and records why.
            notes: Merged into the job's notes if it is sent.
        """

        def columns(known: Job, *extra: Any) -> dict[str, Any]:
            self._before_claim(*extra)
            now = self.now()
            merged = {"notes": json.dumps({**known.notes, **notes})} if notes else {}
            sent = {"sent_at": now, "not_before": None, "problem": None, **merged}
            if check is as_reserved or known.status is not JobStatus.QUEUED or known.is_preview:
                return sent
            try:
                return {**sent, "reserved_microusd": check(known, before_sending(self._connection, known, now))}
            except SpendLimitError as error:
                problem = JobProblem.from_code(code_when_queued(error.code), **error.facts)
                return {"status": JobStatus.QUEUED.value, "not_before": None, "problem": problem_text(problem)}

        computed = ComputedColumns(columns, self._extra_before_claim())
        return self._move("claim", job_id, JobStatus.SUBMITTING, (JobStatus.QUEUED,), computed, and_where=self._room)

    def requeue(
        self, job_id: str, not_before: float | None, problem: JobProblem | None, notes: dict[str, Any] | None = None
    ) -> Job:
        """Requeue a job that was certainly not sent, or was rate limited.

        Args:
            not_before: UTC seconds.
            notes: Merged into the job's notes.
        """

        def columns(known: Job) -> dict[str, Any]:
            merged = {"notes": json.dumps({**known.notes, **notes})} if notes else {}
            return {"sent_at": None, "not_before": not_before, "problem": problem_text(problem), **merged}

        return self._owned("requeue", job_id, JobStatus.QUEUED, (JobStatus.SUBMITTING,), ComputedColumns(columns))

    def mark_running(self, job_id: str, request_id: str, *, cost_usd: float | None = None, **notes: Any) -> Job:
        """Record the service's request id; if another job already has it, the job becomes unknown instead.

        Args:
            cost_usd: A cost that the response already named.
            notes: Merged into the job's notes.
        """

        def columns(known: Job, is_reused: bool) -> dict[str, Any]:
            cost, noted = priced(known, cost_usd)
            if is_reused:
                return {**self._of_reused(request_id), **(money(cost, noted) if cost_usd else {})}
            return {"request_id": request_id, "problem": None, **money(cost, {**noted, **notes})}

        computed = ComputedColumns(columns, ExtraSelect((f"EXISTS ({_REUSED})",), {"request": bare_id(request_id)}))
        return self._owned("running", job_id, JobStatus.RUNNING, (JobStatus.SUBMITTING,), computed)

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
        """Record that the service has finished the video, and settle its named cost (US dollars).

        If the video is another job's by its request id and address, the job becomes unknown instead.
        """
        begun = (JobStatus.SUBMITTING, *AT_SERVICE)

        def columns(known: Job) -> dict[str, Any]:
            named = None if request_id == known.request_id else request_id
            if named is not None and is_of_another(self._connection, job_id, named):
                # A gateway may repeat its ids, so that the id alone does not prove it here.
                if result_url is not None and is_of_another(self._connection, job_id, named, result_url):
                    return {**self._of_reused(named), **money(*priced_as_made(known, cost_usd))}
                named = None
            facts = {"request_id": named, "result_url": result_url, "inference_s": inference_s, "queue_s": queue_s}
            # A later response with fewer fields erases nothing.
            reported = {column: value for column, value in facts.items() if value is not None}
            return {**reported, **money(*priced_as_made(known, cost_usd)), "problem": None}

        return self._owned("downloading", job_id, JobStatus.DOWNLOADING, begun, ComputedColumns(columns))

    def mark_done(self, job_id: str, *, sha256: str, notes: dict[str, Any]) -> Job:
        """Record that video, poster and sidecar are stored; `notes` hold the file's properties."""

        def columns(known: Job) -> dict[str, Any]:
            of_the_file = {name: notes[name] for name in _OF_THE_FILE if name in notes}
            merged = json.dumps({**notes, **known.notes, **of_the_file})
            return {"ended_at": self.now(), "sha256": sha256, "notes": merged, "problem": None}

        return self._owned("done", job_id, JobStatus.DONE, (JobStatus.DOWNLOADING,), ComputedColumns(columns))

    def mark_failed(self, job_id: str, problem: JobProblem, *, inference_s: float | None = None) -> Job:
        """Release the reservation of a job that was refused, or that failed without a cost, possibly later."""
        begun = (JobStatus.QUEUED, JobStatus.SUBMITTING, JobStatus.RUNNING)
        return self._end("failed", job_id, JobStatus.FAILED, begun, problem, inference_s=inference_s)

    def mark_unknown(self, job_id: str, problem: JobProblem, *, cost_usd: float | None = None) -> Job:
        """Count a job without a response as spent, at its named cost or else its reservation."""
        begun = (JobStatus.SUBMITTING, JobStatus.RUNNING)
        return self._end("unknown", job_id, JobStatus.UNKNOWN, begun, problem, cost_usd=cost_usd)

    def mark_lost(
        self, job_id: str, problem: JobProblem, *, cost_usd: float | None = None, inference_s: float | None = None
    ) -> Job:
        """Mark a charged job whose file cannot be fetched; its request id and address are kept for a retry."""
        return self._end(
            "lost", job_id, JobStatus.LOST, AT_SERVICE, problem, cost_usd=cost_usd, inference_s=inference_s
        )

    def retry_lost(self, job_id: str) -> Job | None:
        """Resume a lost job, which stays charged; return None unless it is lost and has an address or request id.

        Nor is one whose engine has given its id to a later job: it would get that one's video.
        """

        def columns(known: Job) -> dict[str, Any]:
            notes = json.dumps({**known.notes, CHARGED: True})
            return {"ended_at": None, "problem": None, "notes": notes, **self._own, **self._unasked}

        for to, where in (
            (JobStatus.DOWNLOADING, f"AND result_url IS NOT NULL {_STILL_ITS}"),
            (JobStatus.RUNNING, f"AND request_id IS NOT NULL {_STILL_ITS}"),
        ):
            if job := self._move(
                "retry_lost", job_id, to, (JobStatus.LOST,), ComputedColumns(columns), and_where=where
            ):
                return job
        return None

    def name_cost(self, job_id: str, cost_usd: float, *, is_confirmed: bool = False, is_so_far: bool = False) -> Job:
        """Record a cost (US dollars) named outside a transition.

        Args:
            is_confirmed: By the account's history.
            is_so_far: Named while the video was being made.
        """
        with self._transaction("name_cost"):
            known = self._known(job_id)
            if is_so_far:
                cost, notes = priced_so_far(known, cost_usd)
            else:
                cost, notes = priced(known, cost_usd, is_confirmed=is_confirmed)
            self._set(job_id, money(cost, notes))
        return replace(known, cost_microusd=cost, notes=notes)

    def correct_cost(self, job_id: str, cost_usd: float, note: str) -> Job | None:
        """Correct the cost of an ended job and keep the owner's note; return None unless it was sent and has ended.

        A failed job with a cost becomes lost; an unknown job becomes lost or, at zero, failed.
        """
        with self._transaction("correct_cost"):
            known = self._known(job_id)
            if not known.has_correctable_cost:
                return None
            status = known.status
            if status in (JobStatus.FAILED, JobStatus.UNKNOWN):
                status = JobStatus.LOST if cost_usd > 0 else JobStatus.FAILED
            was = {"at": self.now(), "note": note, "from_microusd": known.cost_microusd, "status": known.status.value}
            notes = {name: value for name, value in known.notes.items() if name not in (NAMED, PARTIAL)}
            notes["corrections"] = [*notes.get("corrections", []), {**was, "to_microusd": round(cost_usd * MICRO)}]
            cost = round(cost_usd * MICRO)
            self._set(job_id, {"status": status.value, **money(cost, notes)})
        return replace(known, status=status, cost_microusd=cost, notes=notes)

    def cancel(self, job_id: str) -> Job | None:
        """Cancel a queued job; return None if it was sent or has ended."""
        columns = {"ended_at": self.now(), "problem": None}
        return self._move("cancel", job_id, JobStatus.CANCELLED, (JobStatus.QUEUED,), columns)

    def settle_unknown(self, job_id: str, *, was_charged: bool) -> Job | None:
        """Apply the owner's decision on an unknown job: charged makes it lost, not charged makes it failed."""
        status, code = (JobStatus.LOST, "said_charged") if was_charged else (JobStatus.FAILED, "said_not_charged")
        problem = problem_text(JobProblem.from_code(code))
        return self._move("settle_unknown", job_id, status, (JobStatus.UNKNOWN,), {"problem": problem})

    def note(self, job_id: str, **notes: Any) -> Job:
        """Merge values into a job's notes."""
        with self._transaction("note"):
            known = self._known(job_id)
            merged = {**known.notes, **notes}
            self._set(job_id, {"notes": json.dumps(merged)})
        return replace(known, notes=merged)

    def mark_reviewed(self) -> None:
        """Record that the owner knows of all jobs that ended without a video, so that they stop nothing any more."""
        with self._transaction("mark_reviewed"):
            for job_id, notes in self._connection.execute(UNREVIEWED).fetchall():
                self._set(job_id, {"notes": json.dumps({**json.loads(notes), "reviewed": True})})

    def hide(self, job_id: str) -> bool:
        """Hide an ended job and erase its prompts and address; its cost stays counted. Return whether it had ended."""
        with self._transaction("hide"):
            known = self._find(job_id)
            if known is None or known.is_active:
                return False
            left = {"problem": None, "result_url": None, "request": erased(known.request).model_dump_json()}
            left["notes"] = notes_without_texts(known.notes)
            self._set(job_id, {"deleted_at": self.now(), **left, **self._unshown})
            self.database.erase()
        return True

    def _of_reused(self, request_id: str) -> dict[str, Any]:
        """Return the columns of a job whose response names another job's request."""
        problem = JobProblem.from_code("request_id_reused", request_id=request_id)
        # The id is kept only in the problem, so that no job polls another job's request.
        return {"status": JobStatus.UNKNOWN.value, "ended_at": self.now(), "problem": problem_text(problem)}

    def _check_list(self, list_id: str) -> None:
        """Raise, inside a transaction, if another process sends a list."""

    def _extra_before_claim(self) -> ExtraSelect:
        """Return the question whose values `_before_claim` receives."""
        return NO_EXTRA

    def _before_claim(self, *extra: Any) -> None:
        """Raise, inside a claim's transaction, if nothing may be sent from this ledger."""

    def _existing_and_totals(self, job: Job) -> tuple[Job | None, Totals]:
        """Return the job stored under a new job's id, and the totals to check the new one against."""
        now = self.now()
        known, newest, counted = before_adding(self._connection, job.id, job.visitor, now)
        self._see(newest)
        # Another process's clock is ahead of this one's, whose day may have changed already, or has been set right.
        if newest > now or self.now() < now:
            known, _, counted = before_adding(self._connection, job.id, job.visitor, self.now())
        return known, counted

    def _row(self, job_id: str, extra: ExtraSelect = NO_EXTRA) -> Sequence[Any] | None:
        """Return a job's values of `SELECTED` followed by the question's values, inside a transaction."""
        run = self._connection.execute
        statement = f"SELECT {', '.join((SELECTED, *extra.select))}, ({NEWEST}) FROM jobs WHERE id = :id"
        *row, newest = run(statement, {**extra.values, "id": job_id}).fetchone() or run(NEWEST).fetchone()
        self._see(newest)
        return row or None

    def _find(self, job_id: str) -> Job | None:
        return None if (row := self._row(job_id)) is None else to_job(row)

    def _changed(self, job_id: str, columns: Columns) -> tuple[Sequence[Any], dict[str, Any]] | None:
        """Return a job's row, and the column values of a change."""
        if not isinstance(columns, ComputedColumns):
            return None if (row := self._row(job_id)) is None else (row, columns)
        if (found := self._row(job_id, columns.extra)) is None:
            return None
        row, extra = found[: len(COLUMNS)], found[len(COLUMNS) :]
        return row, columns.columns(to_job(row), *extra)

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
            is_made = to is JobStatus.LOST and CHARGED in known.notes
            named = priced_as_made if is_made else priced
            cost = money(*named(known, cost_usd)) if is_made or cost_usd is not None else {}
            took = {} if inference_s is None else {"inference_s": inference_s}
            return {"ended_at": self.now(), "problem": problem_text(problem), **cost, **took}

        return self._owned(name, job_id, to, begun, ComputedColumns(columns))

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
            if (found := self._changed(job_id, columns)) is None:
                return None
            row, changed = found
            values = {"status": to.value, "updated_at": self._stamp(), **changed}
            is_changed = self._set(job_id, values, and_where=f"AND status IN ('{places}') {and_where}")
            self._changed_at = self._stored_at if is_changed else 0.0
        return to_job([values.get(name, old) for name, old in zip(COLUMNS, row, strict=True)]) if is_changed else None

    def _set(self, job_id: str, values: Mapping[str, Any], *, and_where: str = "") -> bool:
        """Update a row; return False if the condition does not hold."""
        statement = _update(tuple(values), and_where)
        return self._connection.execute(statement, {**values, "job_id": job_id}).rowcount == 1


@lru_cache(maxsize=128)
def _update(columns: tuple[str, ...], and_where: str) -> str:
    sets = ", ".join([f"{column} = :{column}" for column in columns])
    return f"UPDATE jobs SET {sets} WHERE id = :job_id {and_where}"
