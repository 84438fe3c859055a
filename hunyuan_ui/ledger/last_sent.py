"""LastSent: detects an older copy in the ledger's place by the newest time that the ledger held."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from hunyuan_ui.errors import StorageError

FILE_NAME: Final = "ledger.sent"  # in the data folder
_BYTES: Final = 32  # constant length within one sector, so that a crash leaves the old or the new content


class LastSent:
    """The ledger's newest time (UTC seconds) when a job was last sent, recorded in a separate file.

    It is recorded after the claim is committed and before the POST is sent. So no ledger of this folder is ever older
    than its record, however the program ends, and one that is was restored from a copy
    (docs/facts/faults-and-security.md row 53). An unreadable or unwritable record is ignored: it is a second check, and
    blocks no sending.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
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
        # Not synced, which would add a disk wait to each POST; a power cut may lose only the newest record.
        with suppress(OSError):
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o666)
            try:
                os.write(handle, f"{newest!r:<{_BYTES - 1}}\n".encode("ascii"))
            finally:
                os.close(handle)
            self._noted = newest
