"""Breaks off connections on which a PostgreSQL server that has stopped, with its own timeouts, answers nothing.

Source: docs/facts/scale.md 1.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, Final

import psycopg

MOST_BUSY_S: Final = 30.0
LOOK_EVERY_S: Final = 1.0


class StallWatch:
    """Ends the wait for a server whose machine or disk has stopped, and whose connections are still open.

    To the waiting thread its connection looks closed by the server.
    """

    def __init__(self) -> None:
        self._busy: dict[psycopg.Connection[Any], float] = {}  # since when, time.monotonic()
        self._closed = threading.Event()
        threading.Thread(target=self._look, name="stalls", daemon=True).start()

    @contextmanager
    def watching(self, connection: psycopg.Connection[Any]) -> Generator[None]:
        """Give a block MOST_BUSY_S seconds to be done with a connection."""
        self._busy[connection] = time.monotonic()
        try:
            yield
        finally:
            del self._busy[connection]

    def close(self) -> None:
        """Stop looking."""
        self._closed.set()

    def _look(self) -> None:
        while not self._closed.wait(LOOK_EVERY_S):
            for connection, since in tuple(self._busy.items()):
                if time.monotonic() - since > MOST_BUSY_S:
                    _shut(connection)


def _shut(connection: psycopg.Connection[Any]) -> None:
    # `close` would free what the waiting thread uses.
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as shared:
        shared.shutdown(socket.SHUT_RDWR)
