"""SharedLedger: a ledger with several writing processes, each of which owns its jobs while its lease lasts.

Source: docs/architecture.md 4 and docs/facts/scale.md 3. Imported only if a database is set.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from secrets import token_bytes
from threading import Lock
from typing import Any, Final

from hunyuan_ui.errors import StorageError
from hunyuan_ui.job import ACTIVE, AT_SERVICE, Job, JobProblem, JobStatus
from hunyuan_ui.ledger import ReplicaInfo
from hunyuan_ui.ledger.connection import Connection
from hunyuan_ui.ledger.ledger import Columns, ComputedColumns, ExtraSelect, Ledger, as_reserved
from hunyuan_ui.ledger.postgres import NOW, PostgresDatabase
from hunyuan_ui.ledger.replica_updates import Pause, PublishedState, ReplicaRequest, ReplicaUpdates, SharedJob
from hunyuan_ui.ledger.restored_ledger import (
    STATE,
    RecentDecisions,
    SentIds,
    mark_sent_unknown,
    mark_waiting_unknown,
    remember,
    restore_rows,
    unfit_reason,
)
from hunyuan_ui.ledger.schema import COLUMNS, NEWEST, SELECTED, UNSETTLED, problem_text, to_job
from hunyuan_ui.ledger.server_time import SHARE_CLOCK, SHARED_CLOCK, ServerTime
from hunyuan_ui.ledger.shared_stores import AccessStore, CallStore, ListStore, ReviewStore
from hunyuan_ui.ledger.sqlite import want_review
from hunyuan_ui.ledger.transactions import Replica, TakenOverError
from hunyuan_ui.limits import Totals

_ACTIVE: Final = f"{UNSETTLED} AND status <> 'unknown'"
_RENEW_LEASE: Final = (
    "INSERT INTO workers (id, name, started_at, since, seen_at, hosted, engine)"
    f" VALUES (:id, :name, {NOW}, {NOW}, {NOW}, :hosted, :engine)"
    " ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at,"
    " since = CASE WHEN abs(excluded.seen_at - workers.seen_at) > :lease_s THEN excluded.since ELSE workers.since END"
    " RETURNING seen_at"
)
# A process that just started or reconnected after an outage must not declare others dead before they renew.
_OVER: Final = (
    f"id <> :id AND abs({NOW} - seen_at) > :lease_s"  # absolute, because the server's clock may have been set back
    f" AND EXISTS (SELECT 1 FROM workers AS own WHERE own.id = :id AND own.since + :lease_s < {NOW})"
)
_UNOWNED: Final = f"{_ACTIVE} AND (worker IS NULL OR NOT EXISTS (SELECT 1 FROM workers WHERE workers.id = jobs.worker))"
_TODO: Final = (
    f"SELECT EXISTS (SELECT 1 FROM workers WHERE {_OVER}) OR EXISTS (SELECT 1 FROM jobs WHERE {_UNOWNED}),"
    f" EXISTS (SELECT 1 FROM jobs WHERE {_ACTIVE} AND NOT takes_place AND worker <> :id),"
    " (SELECT coalesce(max(ended_at), 0) FROM jobs WHERE ended_at IS NOT NULL AND status = 'done')"
)
_COUNTED: Final = f"SELECT count(*) FROM jobs WHERE jobs.worker = workers.id AND {_ACTIVE} AND status"
_UNLIKE: Final = (
    f"SELECT name FROM workers WHERE id <> :id AND seen_at + :lease_s >= {NOW}"
    " AND (hosted <> :hosted OR engine <> :engine) ORDER BY started_at"
)
_UNSENT: Final = "SELECT id FROM jobs WHERE status = 'queued' AND id = ANY(?)"
_REPLICAS: Final = (
    f"SELECT id, name, started_at, {NOW} - seen_at, ({_COUNTED} = 'queued'), ({_COUNTED} <> 'queued')"
    " FROM workers ORDER BY started_at, id"
)
_SHOW: Final = (
    "UPDATE jobs SET shown = told.shown, takes_place = told.takes"
    " FROM json_to_recordset(:told) AS told(id text, shown text, takes boolean) WHERE jobs.id = told.id"
)

_WAITING_ON: Final = (
    f"SELECT count(*) FROM jobs WHERE {UNSETTLED} AND status = 'queued' AND takes_place AND key_mark = ?"
)
_ENDED: Final = frozenset(status.value for status in JobStatus if status not in ACTIVE)
_PAUSE: Final = (
    f"INSERT INTO pauses VALUES ('owner', {NOW} + :wait_s, :problem, {NOW}) ON CONFLICT (payer) DO UPDATE SET"
    " until = CASE WHEN :ends THEN excluded.until ELSE greatest(pauses.until, excluded.until) END,"
    " problem = CASE WHEN :ends THEN NULL ELSE coalesce(excluded.problem, pauses.problem) END, at = excluded.at"
)
_PAUSED: Final = f"SELECT at, greatest(until - {NOW}, 0), problem FROM pauses WHERE payer = 'owner'"
_AHEAD_S: Final = 3600.0  # more than clocks that run differ by, so that only a wrong one is asked about
_DELETE: Final = "delete"  # of a deleted job: any process may remove its files
_DELETED_AT_ONCE: Final = 100


class SharedLedger(Ledger):
    """The ledger of one of several processes; thread-safe.

    Args:
        lease_s: Seconds without a heartbeat after which others take over this process's jobs.
        now: UTC seconds; the server's clock by default, so that a wrong one of a machine starts no day for all.
    """

    is_shared = True

    def __init__(
        self,
        database: PostgresDatabase,
        replica: ReplicaInfo,
        *,
        lease_s: float,
        now: Callable[[], float] | None = None,
    ) -> None:
        self._time = ServerTime(database.run(f"SELECT {NOW}")[0][0])
        clock = database.run(SHARED_CLOCK)
        self.clock_set_at = clock[0][0] if clock else 0.0  # by the server's clock, of the last one adopted
        super().__init__(database, now=now or self._time)
        self._server = database
        self._name = replica.name
        self._serves = {"hosted": replica.hosted, "engine": replica.engine}
        self.process = replica.process
        self._lease = {"id": self.process, "lease_s": lease_s}
        self._leasing = Lock()
        self._has_left = False
        self.calls = CallStore(database, replica.process)
        self.access = AccessStore(database)
        self.lists = ListStore(database, replica.process, lease_s)
        self.review = ReviewStore(database)
        self._sent = SentIds()
        self._recent_decisions = RecentDecisions()
        self._unfit: StorageError | None = None
        self._unshown = {"shown": None}
        self._unasked = {"wish": None}
        self._own = {"worker": self.process, **self._unshown, "takes_place": True}
        self._is_own = f"AND worker = '{self.process}'"
        self._posts = dict[str, float]()  # by job id: when its POST began, until it is known what came of it
        # A job that is being sent takes a place, also when it waited for a key at the time of what was published last.
        flying = (
            f"SELECT 1 FROM jobs AS other WHERE other.{UNSETTLED} AND other.status NOT IN ('queued', 'unknown')"
            " AND (other.takes_place OR other.status = 'submitting')"
        )
        self._room = f"{self._is_own} AND (SELECT count(*) FROM ({flying}) AS flying) < {replica.slots}"
        if replica.one_each:
            self._room += f" AND NOT EXISTS ({flying} AND other.visitor = jobs.visitor)"

    @property
    def problem(self) -> StorageError | None:
        """Why the database is unavailable at the moment, or must not be used for spending."""
        return super().problem or self._unfit

    def try_again(self) -> None:
        """Check whether the database is reachable, still has what this process sent, and has this version."""
        with self._reading() as read:
            self._check_fit(read)

    def mark_unknown_if_older(self, folder: Path) -> bool:
        """Prevent resending from a database that was restored to an older state; return whether it was.

        Waiting jobs that may have been sent since become unknown, and the owner must confirm the budget.

        Raises:
            StorageError: The database cannot be reached, or the folder cannot be written.
        """
        name = sha256(self.secret("ledger", token_bytes(16))).hexdigest()[:16]
        self._sent = SentIds(folder / f"ledger.sent-{name}")
        with self._reading() as read:
            if self._sent.are_known(read):
                return False
        want_review(folder, "older")
        with self._transaction("older"):
            mark_waiting_unknown(self._connection, self.now(), until=self._sent.last_at)
        self._sent.clear()  # last: after a crash before this line, all is repeated
        return True

    def claim(self, job_id: str, check: Callable[[Job, Totals], int] = as_reserved, **notes: Any) -> Job | None:
        """Commit `submitting`; see `Ledger.claim`."""
        job = super().claim(job_id, check, **notes)
        if job is None:  # an earlier claim may have been committed without a response, and nothing was sent
            known, is_own = self.whose([job_id]).get(job_id, (None, False))
            job = known if known is not None and is_own and known.status is JobStatus.SUBMITTING else None
        if job is not None and job.status is JobStatus.SUBMITTING:
            self._posts[job_id] = job.sent_at or self.now()
            if not job.is_preview:
                self._sent.add(job_id, job.sent_at or self.now())
        return job

    def requeue(
        self, job_id: str, not_before: float | None, problem: JobProblem | None, notes: dict[str, Any] | None = None
    ) -> Job:
        """Return a job to the queue; see `Ledger.requeue`."""
        self._sent.mark_requeued(job_id)
        return super().requeue(job_id, not_before, problem, notes)

    def cancel(self, job_id: str) -> Job | None:
        """Cancel a queued job; see `Ledger.cancel`."""
        if (job := super().cancel(job_id)) is not None:
            remember(self._recent_decisions.cancelled, job_id)
        return job

    def hide(self, job_id: str) -> bool:
        """Hide an ended job; see `Ledger.hide`."""
        if is_hidden := super().hide(job_id):
            remember(self._recent_decisions.hidden, job_id)
        return is_hidden

    def repeat_decisions(self, job_ids: Iterable[str]) -> None:
        """Repeat cancellations and deletions that a restored database has lost; see `ReplicaUpdates.lost_decisions`."""
        for job_id in job_ids:
            if job_id in self._recent_decisions.cancelled:
                self.cancel(job_id)
            if job_id in self._recent_decisions.hidden:
                self.hide(job_id)

    def refuse(self, error: StorageError) -> None:
        """Refuse all writes from now on, for this reason."""
        self._server.refuse(error)

    # processes

    def renew_lease(self) -> None:
        """Renew this process's lease, or acquire a new one unless it was released; waits for no writer.

        Raises:
            StorageError: The server cannot be reached.
        """
        with self._leasing:
            if not self._has_left:
                values = {**self._lease, "name": self._name, **self._serves}
                self._time.set(self._server.run(_RENEW_LEASE, values)[0][0])

    def check_alike(self) -> None:
        """Refuse to run beside a process that uses another service: each would poll the other's jobs in vain.

        Raises:
            StorageError: There is one, or the server cannot be reached.
        """
        if unlike := self._server.run(_UNLIKE, {**self._lease, **self._serves}):
            raise StorageError("replica_differs", name=unlike[0][0])

    def updates(self, under_way: Iterable[str] = ()) -> ReplicaUpdates:
        """Return what has changed; see `ReplicaUpdates`.

        Args:
            under_way: Ids of this process's jobs that the service has accepted.
        """
        sent = {*under_way, *self._sent}
        with self._reading() as read:
            unsent = {job_id for (job_id,) in read.execute(_UNSENT, (list(sent),))} if sent else set[str]()
            own = f"SELECT id, wish, shown, takes_place FROM jobs WHERE {_ACTIVE} {self._is_own}"
            rows = read.execute(own).fetchall()
            has_unowned, has_parked, done_at = read.execute(_TODO, self._lease).fetchone()
            pause = read.execute(_PAUSED).fetchone()
            lost_decisions = self._recent_decisions.lost(read)
            self._adopt_clock(read)
        requests = {job_id: request for job_id, request, *_ in rows if request}
        published = {job_id: PublishedState(*state) for job_id, _, *state in rows}
        shared = None if pause is None else Pause.of(*pause)
        return ReplicaUpdates(
            set(published), unsent, lost_decisions, has_unowned, has_parked, done_at, requests, shared, published
        )

    def restore_rows(self, jobs: Sequence[Job]) -> set[str]:
        """Store unfinished jobs again that the database has lost or has as queued; return their ids."""
        with self._transaction("restore_rows"):
            return restore_rows(self._connection, jobs, self._sent, {**self._own, "updated_at": self._stamp()})

    def mark_sent_unknown(self, job_ids: Iterable[str]) -> None:
        """Mark as unknown the queued jobs that this process has already sent and no longer tracks."""
        self._sent.read()  # another process of the folder may have requeued one meanwhile
        if sent := [job_id for job_id in job_ids if job_id in self._sent]:
            with self._transaction("mark_sent_unknown"):
                mark_sent_unknown(self._connection, sent, self.process, self.now())

    def remove_refused(self, job_id: str, visitor: str) -> None:
        """Remove a visitor's queued job of this process, as if it had never been stored."""
        where = f"id = ? AND visitor = ? AND status = 'queued' {self._is_own}"
        with self._transaction("remove_refused"):
            self._connection.execute(f"DELETE FROM jobs WHERE {where}", (job_id, visitor))

    def take_over(self) -> list[Job]:
        """Take over the jobs without a process or with an expired lease; return them, oldest first.

        A job whose POST was in flight becomes unknown and is not returned: its process may still record a response.
        """
        with self._transaction("take_over"):
            self._see(self._connection.execute(NEWEST).fetchone()[0])  # waits continue by the clock that set them
            self._connection.execute(f"DELETE FROM workers WHERE {_OVER}", self._lease)
            statement = f"SELECT {SELECTED} FROM jobs WHERE {_UNOWNED} ORDER BY created_at, rowid"
            found = [to_job(row) for row in self._connection.execute(statement)]
            # An engine's job list may contain what was sent to it, so it is checked first.
            lost = [job for job in found if job.status is JobStatus.SUBMITTING and not job.is_at_engine]
            for job in lost:
                stamp = self._stamp()
                ended = {"updated_at": stamp, "ended_at": stamp, "problem": problem_text(job.if_interrupted)}
                self._set(job.id, {"status": JobStatus.UNKNOWN.value, **ended})
            taken = [job for job in found if job not in lost]
            self._take([job.id for job in taken])
        return taken

    def take_parked(self, job_ids: Sequence[str]) -> list[Job]:
        """Take over jobs of other processes that wait for a key available here; return them, oldest first."""
        statement = (
            f"SELECT {SELECTED} FROM jobs WHERE {_ACTIVE} AND status <> 'submitting'"
            " AND NOT takes_place AND id = ANY(?) ORDER BY created_at, rowid"
        )
        with self._transaction("take_parked"):
            taken = [to_job(row) for row in self._connection.execute(statement, (list(job_ids),))]
            self._take([job.id for job in taken])
        return taken

    def leave(self) -> None:
        """Release this process's jobs and, for good, its lease, so that others need not wait for it to expire."""
        with self._leasing:  # a renewal under way, whose waiter was cancelled, would acquire it again
            self._has_left = True
        with self._transaction("leave"):
            self._connection.execute(f"UPDATE jobs SET worker = NULL WHERE {_ACTIVE} {self._is_own}")
            self._connection.execute("DELETE FROM workers WHERE id = ?", (self.process,))

    def replicas(self) -> list[Replica]:
        """Return the processes that share the ledger, oldest first, and their numbers of jobs."""
        with self._reading() as read:
            rows = read.execute(_REPLICAS).fetchall()
        return [Replica(*facts, is_this=worker == self.process) for worker, *facts in rows]

    # jobs

    def own(self, job_id: str) -> Job | None:
        """Return a job of this process unless it was deleted; see `Ledger.own`."""
        seen = self._shared_jobs("id = ? AND deleted_at IS NULL", job_id)
        if seen and seen[0].process != self.process:
            raise TakenOverError
        return seen[0].job if seen else None

    def whose(self, job_ids: Sequence[str]) -> dict[str, tuple[Job, bool]]:
        """Return jobs by id, and whether each is this process's; deleted ones are left out."""
        found = self._shared_jobs("id = ANY(?) AND deleted_at IS NULL", list(job_ids)) if job_ids else []
        return {seen.job.id: (seen.job, seen.process == self.process) for seen in found}

    def board(self) -> list[SharedJob]:
        """Return the unfinished jobs of all processes, oldest first."""
        return self._shared_jobs(f"{_ACTIVE} ORDER BY created_at, rowid")

    def elsewhere(self) -> set[str]:
        """Return the ids of the jobs that other processes work on."""
        return {seen.job.id for seen in self.board() if seen.process != self.process}

    def show(self, shown: Mapping[str, tuple[str | None, bool]]) -> None:
        """Publish the state of this process's jobs; waits for no writer.

        Args:
            shown: By id: the job's volatile state, and whether it occupies a slot.
        """
        states = [{"id": job_id, "shown": text, "takes": takes_place} for job_id, (text, takes_place) in shown.items()]
        self._server.run(f"{_SHOW} {self._is_own}", {"told": json.dumps(states)})

    def pause(self, wait_s: float, problem: JobProblem | None) -> None:
        """Make every process send nothing on the owner's key for some seconds, or until `problem` is fixed.

        Args:
            wait_s: Seconds; a longer pause is kept. 0 without a problem ends the pause.
            problem: The reason; None for a rate limit.
        """
        ends = wait_s == 0 and problem is None
        self._server.run(_PAUSE, {"wait_s": wait_s, "problem": problem_text(problem), "ends": ends})

    def forget_pause(self) -> None:
        """Delete a pause from when no other process was alive: its reason may long be fixed."""
        alive = f"SELECT 1 FROM workers WHERE id <> :id AND seen_at + :lease_s >= {NOW}"
        self._server.run(f"DELETE FROM pauses WHERE payer <> 'review' AND NOT EXISTS ({alive})", self._lease)

    def record_request(self, job_id: str, request: ReplicaRequest | None) -> None:
        """Record a request to whichever process has a job, or that it was done; waits for no writer."""
        self._server.run(f"UPDATE jobs SET wish = :wish WHERE id = :id AND {_ACTIVE}", {"wish": request, "id": job_id})

    def to_delete(self) -> list[str]:
        """Return the ids of deleted jobs that may still have files: no process has recorded that there are none."""
        with self._reading() as read:
            statement = "SELECT id FROM jobs WHERE deleted_at IS NOT NULL AND wish = ? ORDER BY deleted_at, id LIMIT ?"
            return [job_id for (job_id,) in read.execute(statement, (_DELETE, _DELETED_AT_ONCE)).fetchall()]

    def deleted(self, job_id: str) -> None:
        """Record that a deleted job has no files left; waits for no writer."""
        self._server.run("UPDATE jobs SET wish = NULL WHERE id = ? AND deleted_at IS NOT NULL", (job_id,))

    # shared secrets

    def secret(self, name: str, first: bytes) -> bytes:
        """Return the secret that all processes use under a name: the first one stored."""
        self._server.run("INSERT INTO secrets VALUES (?, ?) ON CONFLICT DO NOTHING", (name, first))
        with self._reading() as read:
            return bytes(read.execute("SELECT value FROM secrets WHERE name = ?", (name,)).fetchone()[0])

    def _share_clock(self, now: float) -> None:
        self._connection.execute(SHARE_CLOCK, {"until": now})

    def _see(self, newest: float) -> None:
        self._adopt_clock(self._connection)  # before this transaction stores a time
        super()._see(newest)

    def _adopt_clock(self, connection: Connection) -> None:
        """Follow another process at which the owner has set the clock right: this one's would take it ahead again."""
        if self.now() - self._clock.machine < _AHEAD_S:
            return
        clock = connection.execute(SHARED_CLOCK).fetchone()
        if clock is not None and clock[0] > self.clock_set_at:
            self.clock_set_at, until = clock
            self._clock.start_over(max(until, connection.execute(NEWEST).fetchone()[0]))

    def _check_fit(self, connection: Connection) -> None:
        """Raise if the state of this database forbids sending."""
        extra = self._extra_before_claim()
        row = connection.execute(f"SELECT {', '.join(extra.select)}", extra.values).fetchone()
        self._refuse_if_unfit(connection, *row)

    def _refuse_if_unfit(self, connection: Connection, version: int, missing: int) -> None:
        self._unfit = unfit_reason(connection, self._sent, version, missing)
        if self._unfit is not None:
            raise self._unfit

    def _existing_and_totals(self, job: Job) -> tuple[Job | None, Totals]:
        if self._unfit is not None:  # a click need not wait for this check: a claim always makes it
            self._check_fit(self._connection)
        return super()._existing_and_totals(job)

    def _check_list(self, list_id: str) -> None:
        self.lists.check_own(self._connection, list_id)

    def _extra_before_claim(self) -> ExtraSelect:
        return ExtraSelect(STATE, {"sent": list(self._sent)})

    def _before_claim(self, *extra: Any) -> None:
        self._refuse_if_unfit(self._connection, *extra)

    def _take(self, job_ids: Sequence[str]) -> None:
        for job_id in job_ids:
            self._set(job_id, self._own)

    def _waiting_on(self, key_mark: str) -> int:
        return self._connection.execute(_WAITING_ON, (key_mark,)).fetchone()[0] if key_mark else 0

    def _set(self, job_id: str, values: Mapping[str, Any], *, and_where: str = "") -> bool:
        # A key's digest is kept only while the job may wait on it.
        if values.get("status") in _ENDED:
            values = {**values, "key_mark": None}
        if "deleted_at" in values:
            values = {**values, "wish": _DELETE}
        return super()._set(job_id, values, and_where=and_where)

    def _shared_jobs(self, where: str, *values: Any) -> list[SharedJob]:
        with self._reading() as read:
            rows = read.execute(f"SELECT {SELECTED}, worker, takes_place, shown, wish FROM jobs WHERE {where}", values)
            return [SharedJob(to_job(row[: len(COLUMNS)]), *row[len(COLUMNS) :]) for row in rows]

    def _owned(self, name: str, job_id: str, to: JobStatus, begun: tuple[JobStatus, ...], columns: Columns) -> Job:
        job = self._move(name, job_id, to, begun, columns, and_where=self._is_own)
        if job is None and JobStatus.SUBMITTING in begun:
            late = self._answered_late if to in AT_SERVICE else self._ended_late
            job = late(name, job_id, to, columns)
        if job is None:
            raise TakenOverError
        self._posts.pop(job_id, None)
        return job

    def _of_own_post(self, job_id: str) -> str:
        """Return the condition that this process's POST of a job is the last one, and that no id is known for it.

        A process that looks for the job in an engine's list has it meanwhile.
        """
        sender = f"sent_at = {self._posts[job_id]!r}::float8" if job_id in self._posts else "false"
        return f"AND (worker = '{self.process}' OR {sender}) AND request_id IS NULL"

    def _answered_late(self, name: str, job_id: str, to: JobStatus, columns: Columns) -> Job | None:
        """Record a late response to this process's POST, although another process took the job over.

        No process works on an unknown job, and whoever looks for one at its engine has no id yet, so it continues here,
        also if the owner has said meanwhile that it was not charged, or if it was cancelled in a database that had lost
        that it was sent. If the owner has said that it was charged, only the request id is kept, by which the video can
        be looked for.
        """
        if not isinstance(columns, ComputedColumns):
            return None

        def late(known: Job, *extra: Any) -> dict[str, Any]:
            sent_at = known.sent_at or self.now()
            return {"ended_at": None, "sent_at": sent_at, **self._own, **columns.columns(known, *extra)}

        begun = (JobStatus.SUBMITTING, JobStatus.UNKNOWN, JobStatus.FAILED, JobStatus.CANCELLED)
        where, changed = self._of_own_post(job_id), ComputedColumns(late, columns.extra)
        if job := self._move(name, job_id, to, begun, changed, and_where=f"{where} AND deleted_at IS NULL"):
            return job
        with self._transaction(name):
            found = self._changed(job_id, columns)
            request_id = None if found is None else found[1].get("request_id")
            if request_id is not None:
                self._set(job_id, {"request_id": request_id}, and_where=where)
        return None

    def _ended_late(self, name: str, job_id: str, to: JobStatus, columns: Columns) -> Job | None:
        """Record what this process learned of its POST, although another process took the job over.

        A job that may be sent again fails instead: its visitor was told meanwhile that it would not be.
        """
        if to is JobStatus.QUEUED:
            to, columns = JobStatus.FAILED, {"problem": problem_text(JobProblem.from_code("stood_still"))}
        begun = (JobStatus.SUBMITTING, JobStatus.UNKNOWN)
        where = f"{self._of_own_post(job_id)} AND deleted_at IS NULL"
        return self._move(name, job_id, to, begun, columns, and_where=where)
