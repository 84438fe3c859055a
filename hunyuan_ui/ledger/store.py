"""The open ledger: one connection that writes, one that reads, its clock, and its copies."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from hunyuan_ui.checkpoint import Checkpoint, no_checkpoint
from hunyuan_ui.errors import StorageError
from hunyuan_ui.ledger.clock import LedgerClock
from hunyuan_ui.ledger.files import back_up, truncate_log
from hunyuan_ui.ledger.rows import as_storage_error

_NEWEST: Final = "SELECT coalesce(max(updated_at), 0.0) FROM jobs"
# Those that lay ahead keep their order, each a millionth of a second after the one before.
_TO_THE_PRESENT: Final = """
UPDATE jobs SET
    created_at = min(created_at, begun), updated_at = min(updated_at, :now), sent_at = min(sent_at, :now),
    ended_at = min(ended_at, :now), not_before = min(not_before, :now), deleted_at = min(deleted_at, :now)
FROM (
    SELECT id, :now + row_number() OVER (ORDER BY created_at, rowid) * 1e-6 AS begun FROM jobs
    WHERE max(created_at, updated_at, coalesce(sent_at, 0), coalesce(ended_at, 0), coalesce(not_before, 0),
        coalesce(deleted_at, 0)) > :now
) AS ahead WHERE jobs.id = ahead.id
"""


class LedgerStore:
    """A ledger's file while it is open; safe to use from any thread.

    Args:
        connection: From `open_ledger`, which has checked the file and set its pragmas.
        reader: From `open_reader`, so that no read waits for a write; None reads by the same connection.
        now: The machine's clock, UTC seconds; tests bring their own.
        steady: A clock in seconds that never jumps; likewise.
        checkpoint: Called by name before and after each commit, so that tests can fail or kill there.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        reader: sqlite3.Connection | None = None,
        now: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
        checkpoint: Checkpoint = no_checkpoint,
    ) -> None:
        self._connection = connection
        self._reader = reader or connection
        self._checkpoint = checkpoint
        self._must_truncate = False  # words that were deleted still stand in the log
        self._lock = threading.RLock()
        self._read_lock = threading.RLock() if reader else self._lock
        with self._reading() as read:
            (newest,) = read.execute(_NEWEST).fetchone()
        self._clock = LedgerClock(now, steady, newest)

    def now(self) -> float:
        """Return UTC seconds that never run backwards, so that a clock set back opens no new day."""
        return self._clock.now()

    @property
    def ahead_s(self) -> float:
        """Seconds that the newest stored time lies ahead of the machine's clock if that is more than a day, else 0."""
        return self._clock.ahead_s

    @property
    def changes(self) -> int:
        """How many rows were changed since the ledger was opened."""
        return self._connection.total_changes

    def close(self) -> None:
        """Close the database."""
        with self._lock, self._read_lock:
            # The last one to close empties the log, for which it must be able to write.
            self._reader.close()
            self._connection.close()

    def set_clock_right(self) -> int:
        """Move every stored time that lies ahead of the machine's clock to the present, and return of how many jobs.

        What counted for a day ahead counts for today. Nothing moves unless the newest lies more than a day ahead: a
        clock that was only set back would else open a new day when it is put right.

        Raises:
            StorageError: The ledger cannot be written.
        """
        with self._lock:
            if not self.ahead_s:
                return 0
            with self._transaction("clock"):
                now = self._clock.machine
                moved = self._connection.execute(_TO_THE_PRESENT, {"now": now}).rowcount
            self._clock.start_over(now)
        return moved

    def back_up(self, folder: Path) -> Path:
        """Copy the ledger as it is here, wherever its file is by now, into a folder; return the copy.

        Raises:
            StorageError: The copy could not be written, or the ledger is damaged.
        """
        with self._lock:
            return back_up(folder, self._connection)

    def empty_log(self) -> None:
        """Write what is only in the write-ahead log into the ledger's file, now and at each commit from now on.

        Raises:
            StorageError: The ledger cannot be written.
        """
        with self._lock:
            try:
                self._connection.execute("PRAGMA wal_autocheckpoint = 1")
                was_busy = self._connection.execute("PRAGMA wal_checkpoint(FULL)").fetchone()[0]
            except sqlite3.Error as error:
                raise as_storage_error(error) from error
        if was_busy:
            raise StorageError("ledger_busy")

    # inside

    @contextmanager
    def _transaction(self, name: str) -> Generator[None]:
        with self._lock:
            try:
                self._checkpoint(f"ledger.{name}.begin")
                self._connection.execute("BEGIN IMMEDIATE")
                yield
                (newest,) = self._connection.execute(_NEWEST).fetchone()
                self._checkpoint(f"ledger.{name}.commit")
                self._connection.execute("COMMIT")
                self._clock.hold(newest)
                self._checkpoint(f"ledger.{name}.committed")
                self._must_truncate = self._must_truncate and not truncate_log(self._connection)
            except sqlite3.Error as error:
                self._roll_back()
                raise as_storage_error(error) from error
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    @contextmanager
    def _reading(self) -> Generator[sqlite3.Connection]:
        with self._read_lock:
            try:
                yield self._reader
            except sqlite3.Error as error:
                raise as_storage_error(error) from error
