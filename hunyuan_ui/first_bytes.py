"""Reads the beginning of a file that may be a pipe, of which nobody knows whether its end ever comes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

_ASKED_EVERY_S: Final = 0.2


def first_bytes(file: Path, most_bytes: int, goes_on: Callable[[], bool]) -> bytes | None:
    """Return a file's first bytes; None if nobody waits for them any more.

    Args:
        goes_on: Whether to wait on, asked several times a second. What is given up is left behind in a thread: without
            a writer a pipe blocks even the call that opens it, and no signal ends a read.

    Raises:
        OSError: It cannot be read.
    """
    content: SimpleQueue[bytes | OSError] = SimpleQueue()

    def read() -> None:
        try:
            with file.open("rb") as opened:
                content.put(opened.read(most_bytes))
        except OSError as error:
            content.put(error)

    threading.Thread(target=read, daemon=True).start()
    while goes_on():
        with suppress(Empty):
            found = content.get(timeout=_ASKED_EVERY_S)
            if isinstance(found, OSError):
                raise found
            return found
    return None
