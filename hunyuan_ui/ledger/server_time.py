"""ServerTime: the database server's clock, which all processes of a shared ledger have in common."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from hunyuan_ui.ledger.postgres import NOW

SHARE_CLOCK: Final = (
    f"INSERT INTO pauses VALUES ('clock', :until, NULL, {NOW}) ON CONFLICT (payer) DO UPDATE SET"
    " until = excluded.until, at = excluded.at"
)
SHARED_CLOCK: Final = "SELECT at, until FROM pauses WHERE payer = 'clock'"


class ServerTime:
    """The server's UTC seconds, continued by a monotonic clock since they were last read.

    Args:
        server: The server's time just read.
        steady: A monotonic clock in seconds.
    """

    def __init__(self, server: float, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self.set(server)

    def __call__(self) -> float:
        """Return the time."""
        server, read_at = self._read
        return server + self._steady() - read_at

    def set(self, server: float) -> None:
        """Continue from a time just read."""
        self._read = server, self._steady()
