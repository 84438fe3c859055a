"""LedgerTransactions: the ledger's transactions, on any database."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from hunyuan_ui.errors import StorageError
from hunyuan_ui.ledger.clock import TO_THE_PRESENT, LedgerClock
from hunyuan_ui.ledger.connection import Connection
from hunyuan_ui.ledger.database import Database
from hunyuan_ui.ledger.schema import NEWEST


class TakenOverError(Exception):
    """Another process has taken over the job; raised only for a shared ledger, and caught inside the runner."""


class Replica(NamedTuple):
    """A process that shares the ledger: when it started (UTC seconds), when it was last seen, and its jobs."""

    name: str
    started_at: float
    seen_s_ago: float
    waiting: int
    in_flight: int
    is_this: bool


class SharedReview(Protocol):
    """See `shared_stores.ReviewStore`."""

    is_wanted: bool

    def confirm(self) -> None:
        """Record for all processes that the owner lets spending continue."""


class LedgerTransactions:
    """An open ledger; thread-safe. Each method raises StorageError if the database cannot be read or written.

    Args:
        database: From `open_ledger` or `open_postgres`; closed by `close`.
        now: The machine's clock, UTC seconds.
        steady: A monotonic clock in seconds.
    """

    def __init__(
        self,
        database: Database,
        *,
        now: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.database = database
        self._connection: Connection  # of the current transaction
        self._stored_at = 0.0  # time stored by the current transaction, UTC seconds
        self._changed_at = 0.0  # the same, once it has changed or added a row
        self._changes = 0
        self._lock = threading.RLock()
        with self._reading() as read:
            (newest,) = read.execute(NEWEST).fetchone()
        self._clock = LedgerClock(now, steady, newest)
        self.newest_when_opened = newest  # stored time, UTC seconds; 0 if it was empty

    is_shared = False  # by several processes, each with its own jobs
    review: SharedReview | None = None
    process = ""  # id of this one of those
    _room = ""  # condition: a slot for one more job is free
    _own: Mapping[str, Any] = MappingProxyType({})  # columns that assign a job to this process
    _unshown: Mapping[str, Any] = MappingProxyType({})  # columns that take back what was published of a job
    _unasked: Mapping[str, Any] = MappingProxyType({})  # columns that take back what a job's process was asked to do

    def secret(self, name: str, first: bytes) -> bytes:  # noqa: ARG002 - another ledger has names
        """Return the secret that all processes use under a name."""
        return first

    def replicas(self) -> list[Replica]:
        """Return the processes that share the ledger, oldest first; none with a single process."""
        return []

    def elsewhere(self) -> set[str]:
        """Return the ids of the jobs that other processes work on."""
        return set()

    def now(self) -> float:
        """Return UTC seconds that never decrease, so that a clock set back starts no new day."""
        return self._clock.now()

    @property
    def ahead_s(self) -> float:
        """Seconds that the newest stored time is ahead of the machine's clock if more than a day, else 0."""
        return self._clock.ahead_s

    @property
    def changes(self) -> int:
        """Number of committed transactions since the ledger was opened."""
        return self._changes

    @property
    def problem(self) -> StorageError | None:
        """Why the database is unavailable at the moment; None if the last attempt succeeded."""
        last_sent = self.database.last_sent
        return self.database.problem or (last_sent and last_sent.problem)

    def try_again(self) -> None:
        """Check whether the database is reachable.

        Raises:
            StorageError: It is not.
        """
        with self._reading() as read:
            read.execute(NEWEST).fetchone()

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self.database.close()

    def set_clock_right(self) -> int:
        """Set every stored time that is ahead of the machine's clock to the present; return the number of jobs.

        Costs counted for a later day then count for today. Nothing changes unless the newest time is more than a day
        ahead: otherwise a clock that was only set back would start a new day once it is corrected.

        Raises:
            StorageError: The ledger cannot be written.
        """
        with self._lock:
            if not self.ahead_s:
                return 0
            with self._transaction("clock"):
                now = self._clock.machine
                moved = self._connection.execute(TO_THE_PRESENT, {"now": now}).rowcount
                self._share_clock(now)
                if (last_sent := self.database.last_sent) is not None:
                    last_sent.set_back(self._connection.execute(NEWEST).fetchone()[0])
            self._clock.start_over(now)
        return moved

    @contextmanager
    def _transaction(self, name: str) -> Generator[None]:
        with self._lock:
            self._stored_at = self._changed_at = 0.0
            with self.database.transaction(name) as self._connection:
                yield
            self._changes += 1
            if self._changed_at and (last_sent := self.database.last_sent) is not None:
                last_sent.stored(self._changed_at, is_sent=name == "claim")
            self._clock.hold(self._stored_at)

    def _share_clock(self, now: float) -> None:
        """Tell the other processes, inside a transaction, that the clock was set right to this time."""

    def _stamp(self) -> float:
        """Return the time that the current transaction stores; `now` returns it only after the commit."""
        self._stored_at = self._clock.now()
        return self._stored_at

    def _see(self, newest: float) -> None:
        """Compare the newest stored time, inside a transaction, with what this process knows."""
        if (last_sent := self.database.last_sent) is not None:
            last_sent.check(newest)
        self._clock.hold(newest)

    def _reading(self) -> AbstractContextManager[Connection]:
        return self.database.reading()

    def _take(self, job_ids: Sequence[str]) -> None:
        """Assign jobs to this process, in the transaction that stores them."""

    def _waiting_on(self, key_mark: str) -> int:  # noqa: ARG002 - where there is one process, that knows it by itself
        """Return how many queued jobs of all processes wait on a key, inside a transaction."""
        return 0
