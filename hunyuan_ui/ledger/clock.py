"""LedgerClock: a time that never goes back, so that a clock set back starts no new day for a limit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from hunyuan_ui.job import DAY_S

_PAST: Final = ", ".join(
    f"{name} = CASE WHEN {name} > :now THEN :now ELSE {name} END"
    for name in ("updated_at", "sent_at", "ended_at", "not_before", "deleted_at")
)
# Rows from the future keep their order: each is dated a microsecond after the one before.
TO_THE_PRESENT: Final = f"""
UPDATE jobs SET created_at = CASE WHEN created_at > begun THEN begun ELSE created_at END, {_PAST}
FROM (
    SELECT id AS found, :now + row_number() OVER (ORDER BY created_at, rowid) * 1e-6 AS begun FROM jobs
    WHERE created_at > :now OR updated_at > :now OR sent_at > :now OR ended_at > :now OR not_before > :now
        OR deleted_at > :now
) AS ahead WHERE jobs.id = ahead.found
"""


class LedgerClock:
    """UTC seconds that are never before the newest stored time; thread-safe.

    While the machine's clock is behind the newest stored time, because it was set back or was once far ahead, time
    advances from there by the smaller of the two clocks' differences. So a clock jump starts no new day for the daily
    limit, and a day still ends.

    Args:
        now: The machine's clock, UTC seconds.
        steady: A monotonic clock in seconds.
        newest: The newest stored time, UTC seconds.
    """

    def __init__(self, now: Callable[[], float], steady: Callable[[], float], newest: float) -> None:
        self._now = now
        self._steady = steady
        self._lock = threading.Lock()
        self._floor = newest
        self._seen = now(), steady()

    def now(self) -> float:
        """Return the time."""
        return self._read_clocks()[0]

    @property
    def machine(self) -> float:
        """The machine's UTC seconds, correct or not."""
        return self._now()

    @property
    def ahead_s(self) -> float:
        """Seconds that the ledger is ahead of the machine's clock if more than a day, else 0."""
        now, machine = self._read_clocks()
        return now - machine if now - machine > DAY_S else 0.0

    def hold(self, newest: float) -> None:
        """Never return a time before this stored one."""
        with self._lock:
            self._floor = max(self._floor, newest)

    def start_over(self, newest: float) -> None:
        """Reset the lower bound to this time."""
        with self._lock:
            self._floor = newest

    def _read_clocks(self) -> tuple[float, float]:
        with self._lock:
            now, steady = self._now(), self._steady()
            self._floor += max(0.0, min(now - self._seen[0], steady - self._seen[1]))
            self._seen = now, steady
            return max(now, self._floor), now
