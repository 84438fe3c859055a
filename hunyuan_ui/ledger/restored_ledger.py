"""Detects a ledger restored to an older state, a copy in its place or a failover that lost commits, and handles it.

`LastSent` detects it for a file, `SentIds` for a database. Their record in the data folder is a second check: one that
cannot be read or written is ignored, and blocks no sending.
Source: docs/facts/scale.md 3; docs/facts/faults-and-security.md row 53.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from hunyuan_ui.errors import StorageError
from hunyuan_ui.job import AT_SERVICE, Job, JobProblem, JobStatus, is_id
from hunyuan_ui.ledger.connection import Connection
from hunyuan_ui.ledger.schema import COLUMNS, MIGRATIONS, NEWEST, OPEN, insert, problem_text, replacing, to_row

_FILE_NAME: Final = "ledger.sent"  # in the data folder
_BYTES: Final = 32  # constant length within one sector, so that a crash leaves the old or the new content
IDS_KEPT: Final = 20  # the newest alone would do, unless it is withdrawn
_LONGEST: Final = 65_536  # maximum size in bytes of a file of ids that is read
DECISIONS_KEPT: Final = 200  # the most that may wait in private, so that cancelling all of them is remembered

# Counted from now on: without a time it would count for every day, whatever its owner says.
_TO_UNKNOWN: Final = (
    "UPDATE jobs SET status = 'unknown', ended_at = updated_at, problem = ?, sent_at = coalesce(sent_at, ?)"
)
_RESTORE: Final = replacing((*COLUMNS[1:], "worker", "shown", "takes_place"))
_KNOWN_AS_SENT: Final = "SELECT count(*) FROM jobs WHERE sent_at IS NOT NULL AND id = ANY(:sent)"
# Values for `unfit_reason`; `:sent` are the ids that this process has sent.
STATE: Final = (
    "(SELECT max(version) FROM migrations)",
    f"cardinality(CAST(:sent AS text[])) - ({_KNOWN_AS_SENT})",
)
_UNDONE: Final = (
    "SELECT id FROM jobs WHERE (status = 'queued' AND id = ANY(:cancelled))"
    f" OR (deleted_at IS NULL AND status NOT IN ({OPEN}) AND id = ANY(:hidden))"
)


class LastSent:
    """The ledger's newest time (UTC seconds) when a job was last sent, recorded in a separate file.

    It is recorded after the claim is committed and before the POST is sent. So no ledger of this folder is ever older
    than its record, however the program ends, and one that is was restored from a copy
    (docs/facts/faults-and-security.md row 53).
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE_NAME
        self._noted = 0.0
        self._newest = 0.0  # of the open ledger, UTC seconds
        self.problem: StorageError | None = None
        with suppress(OSError, ValueError):
            noted = float(self._path.read_bytes()[:_BYTES])
            self._noted = noted if math.isfinite(noted) else 0.0

    def compare(self, newest: float) -> bool:
        """Take over the newest time in the opened ledger; return whether a job was sent after it."""
        self._newest = newest
        return newest < self._noted

    def check(self, newest: float) -> None:
        """Compare the ledger's newest time, inside a transaction, with the last known one.

        Raises:
            StorageError: An older file's content was written over the ledger in use.
        """
        if newest < self._newest:
            self.problem = StorageError("folder_replaced")
            raise self.problem
        self._newest, self.problem = newest, None

    def stored(self, newest: float, *, is_sent: bool) -> None:
        """Record a committed time, in the file as well if a POST follows."""
        self._newest = newest
        if is_sent:
            self._note(newest)

    def set_back(self, newest: float) -> None:
        """Adopt the newest time of a ledger that was deliberately restored, before that is committed."""
        self._newest = newest
        if newest < self._noted:
            self._note(newest)

    def _note(self, newest: float) -> None:
        with suppress(OSError):
            _write(self._path, f"{newest!r:<{_BYTES - 1}}\n")
            self._noted = newest


class SentIds(Collection[str]):
    """The ids of the paid jobs sent last, in a file that every process of the folder appends to.

    An id is recorded after the claim is committed and before the POST is sent, and withdrawn before the job is
    requeued. So a database that does not have it as sent is older than the record. Times cannot detect it, as the
    processes that share a database have different clocks.

    Args:
        path: Of the file; None keeps the ids in this process only.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._ids: dict[str, float] = {}
        self.read()

    @property
    def last_at(self) -> float:
        """When the latest of them was sent, in the ledger's UTC seconds."""
        return max(self._ids.values(), default=0.0)

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._ids

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._ids))

    def __len__(self) -> int:
        return len(self._ids)

    def are_known(self, connection: Connection) -> bool:
        """Whether the database has all of them as sent."""
        ids = list(self)
        return not ids or connection.execute(_KNOWN_AS_SENT, {"sent": ids}).fetchone()[0] == len(ids)

    def add(self, job_id: str, sent_at: float) -> None:
        """Record that a job is sent; `sent_at` is in the ledger's UTC seconds."""
        self._write(f"+ {job_id} {sent_at!r}")

    def read(self) -> None:
        """Load what other processes of the folder have recorded."""
        with suppress(OSError, UnicodeDecodeError):
            for line in self._path.read_bytes()[-_LONGEST:].decode("ascii").splitlines() if self._path else ():
                self._take(line)

    def mark_requeued(self, job_id: str) -> None:
        """Record that a job is queued again."""
        if job_id in self._ids:
            self._write(f"- {job_id}")

    def clear(self) -> None:
        """Delete all records."""
        self._ids.clear()
        with suppress(OSError):
            if self._path is not None:
                self._path.write_bytes(b"")

    def _write(self, line: str) -> None:
        self._take(line)
        if self._path is None:
            return
        with suppress(OSError):
            _write(self._path, f"{line}\n", os.O_APPEND)

    def _take(self, line: str) -> None:
        match line.split(" "):
            case ["+", job_id, at] if is_id(job_id):
                with suppress(ValueError):
                    self._ids[job_id] = float(at) if math.isfinite(float(at)) else 0.0
            case ["-", job_id]:
                self._ids.pop(job_id, None)
            case _:
                pass
        while len(self._ids) > IDS_KEPT:
            del self._ids[next(iter(self._ids))]


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
    if len(known) > DECISIONS_KEPT:
        del known[next(iter(known))]


def unfit_reason(connection: Connection, sent: SentIds, version: int, missing: int) -> StorageError | None:
    """Return why nothing may be sent because of a server's database, if its state is older than this process knows.

    Args:
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


def mark_waiting_unknown(connection: Connection, now: float, *, until: float = math.inf) -> None:
    """Mark as unknown the waiting jobs of an older ledger, which may have been sent since.

    Args:
        connection: In a transaction, also one of a server.
        now: UTC seconds.
        until: Only jobs stored up to this time, UTC seconds.
    """
    # A preview is free, and may be rendered twice.
    where = "status IN ('queued', 'submitting') AND payer <> 'nobody' AND created_at <= ?"
    connection.execute(f"{_TO_UNKNOWN} WHERE {where}", (_problem(), _not_before(connection, now), until))


def mark_sent_unknown(connection: Connection, job_ids: Collection[str], process: str, now: float) -> None:
    """Mark as unknown the queued jobs that this process has sent, and that may still get a response."""
    where = "status = 'queued' AND id = ANY(?)"
    values = (_problem(), _not_before(connection, now), process, list(job_ids))
    connection.execute(f"{_TO_UNKNOWN}, worker = ? WHERE {where}", values)


def restore_rows(
    connection: Connection, jobs: Iterable[Job], noted: Collection[str], own: Mapping[str, Any]
) -> set[str]:
    """Store sent jobs again whose rows were lost or say that they were not sent; return their ids.

    Args:
        noted: Ids of the jobs that this process has sent and not requeued.
    """
    found = set[str]()
    for job in jobs:
        row = connection.execute("SELECT status FROM jobs WHERE id = ?", (job.id,)).fetchone()
        # A job that is being sent may just have been requeued; one that the service has accepted never is.
        was_sent = job.status in AT_SERVICE or (job.is_sent and job.id in noted)
        if was_sent and (row is None or row[0] == JobStatus.QUEUED.value):
            columns = {**to_row(job), **own}
            connection.execute(insert(columns) + _RESTORE, columns)
            found.add(job.id)
    return found


def _problem() -> str | None:
    return problem_text(JobProblem.from_code("ledger_put_back"))


def _not_before(connection: Connection, now: float) -> float:
    """Return this time, or the newest stored one if that is later."""
    return max(now, connection.execute(NEWEST).fetchone()[0])


def _write(path: Path, text: str, flags: int = 0) -> None:
    # Not synced, which would add a disk wait to each POST; a power cut may lose only the newest record.
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o666)
    try:
        os.write(handle, text.encode("ascii"))
    finally:
        os.close(handle)
