"""LastSent: tells an older copy in the ledger's place by the newest time that the ledger held."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from hunyuan_ui.errors import StorageError

FILE_NAME: Final = "ledger.sent"  # in the data folder
_BYTES: Final = 32  # always as long, and within one sector, so that a stop leaves the old or the new


class LastSent:
    """The newest time (UTC seconds) in the ledger when a job was last sent, noted in a file of its own.

    It is noted after the claim is committed and before the POST leaves. So no ledger of this folder is ever older than
    its note, whatever stops the program, and one that is was put back from a copy (docs/facts/faults-and-security.md
    row 53). A note that cannot be read or written is none: it is a second look, and keeps nobody from sending.

    Args:
        folder: The data folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._noted = 0.0
        self._newest = 0.0  # of the open ledger, UTC seconds
        self.problem: StorageError | None = None
        with suppress(OSError, ValueError):
            noted = float(self._path.read_bytes()[:_BYTES])
            self._noted = noted if math.isfinite(noted) else 0.0

    def is_ahead_of(self, newest: float) -> bool:
        """Whether a job was sent after the newest time of the ledger that was opened."""
        self._newest = newest
        return newest < self._noted

    def check(self, newest: float) -> None:
        """Compare the newest time of the ledger, inside a transaction, with what it was.

        Raises:
            StorageError: The content of an older file was written over the one in use.
        """
        if newest < self._newest:
            self.problem = StorageError("folder_replaced")
            raise self.problem
        self._newest, self.problem = newest, None

    def stored(self, newest: float, *, is_sent: bool) -> None:
        """Take notice of what was committed, in the file as well if a POST follows."""
        self._newest = newest
        if is_sent:
            self._note(newest)

    def set_back(self, newest: float) -> None:
        """Take over the newest time of a ledger that was set back with reason, before that is committed."""
        self._newest = newest
        if newest < self._noted:
            self._note(newest)

    def _note(self, newest: float) -> None:
        # Not synced: another wait for the disk before each POST, so that a power cut may cost the newest note only.
        with suppress(OSError):
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o666)
            try:
                os.write(handle, f"{newest!r:<{_BYTES - 1}}\n".encode("ascii"))
            finally:
                os.close(handle)
            self._noted = newest
