"""SentIds: detects that a database was restored to an older state, by the jobs last sent from this data folder.

Source: docs/facts/faults-and-security.md row 53. Times cannot detect it, as the processes that share a database have
different clocks.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from hunyuan_ui.job import is_id
from hunyuan_ui.ledger.database import Connection

KEPT: Final = 20  # the newest alone would do, unless it is withdrawn
_LONGEST: Final = 65_536  # maximum size in bytes of a file that is read
KNOWN_AS_SENT: Final = "SELECT count(*) FROM jobs WHERE sent_at IS NOT NULL AND id = ANY(:sent)"


class SentIds(Collection[str]):
    """The ids of the paid jobs sent last, in a file that every process of the folder appends to.

    An id is recorded after the claim is committed and before the POST is sent, and withdrawn before the job is
    requeued. So a database that does not have it as sent is older than the record. An unreadable or unwritable record
    is ignored: it is a second check, and blocks no sending.

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
        return not ids or connection.execute(KNOWN_AS_SENT, {"sent": ids}).fetchone()[0] == len(ids)

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
        # Not synced, which would add a disk wait to each POST; a power cut may lose the newest lines.
        with suppress(OSError):
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            try:
                os.write(handle, f"{line}\n".encode("ascii"))
            finally:
                os.close(handle)

    def _take(self, line: str) -> None:
        match line.split(" "):
            case ["+", job_id, at] if is_id(job_id):
                with suppress(ValueError):
                    self._ids[job_id] = float(at) if math.isfinite(float(at)) else 0.0
            case ["-", job_id]:
                self._ids.pop(job_id, None)
            case _:
                pass
        while len(self._ids) > KEPT:
            del self._ids[next(iter(self._ids))]
