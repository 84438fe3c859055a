"""Bounds on the connections to the page's server, so that it keeps files and sockets for the videos under way."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from functools import partial
from typing import Any, ClassVar, Final, cast

import h11
import uvicorn
from gradio import http_server
from uvicorn.protocols.http.h11_impl import H11Protocol

from hunyuan_ui.local_addresses import network_of

MOST: Final = 2_000  # connections at once; fewer if this process may not open four times as many files
BACKLOG: Final = 128  # connections that the system accepts in one go, before any of them can be refused
CLIENT_WITHIN_S: Final = 30.0  # for a request's head, and for each next piece of its body
UNREAD_WITHIN_S: Final = 600.0  # for a piece of an answer; whoever paused a video asks for the rest of it by a range
END_WITHIN_S: Final = 1  # for answers under way at a stop; the jobs are stopped, in order, only after them

if sys.platform == "win32":

    def most_connections() -> int:
        """Return how many connections may be open at once."""
        return MOST

else:
    import resource

    def most_connections() -> int:
        """Return how many connections may be open at once, after raising this process's limit of open files."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        enough = 4 * MOST
        if soft != resource.RLIM_INFINITY and soft < enough:
            soft = enough if hard == resource.RLIM_INFINITY else min(hard, enough)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            return min(MOST, soft // 4)
        return MOST


class BoundedConnection(H11Protocol):
    """A connection that is refused above a number of them, and closed if its client keeps the server waiting."""

    most = MOST
    _held: ClassVar[Counter[str]] = Counter()  # connections by the address of their client
    _deadline: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Refuse the connection if there are too many, or too many from the same address."""
        super().connection_made(transport)
        self._address = network_of(self.client[0] if self.client else "")
        self._held[self._address] += 1
        # A proxy has one address for all its visitors, so that one may have most of them.
        if len(self.connections) > self.most or self._held[self._address] > self.most - self.most // 4:
            transport.abort()
        else:
            self._await_client()

    def data_received(self, data: bytes) -> None:
        """Handle data, and give the client time for the next."""
        super().data_received(data)
        self._await_client()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        self._held[self._address] -= 1
        if not self._held[self._address]:
            del self._held[self._address]
        self._stop_waiting()
        self._on_read()

    def pause_writing(self) -> None:
        """Stop sending to a client that does not read, and close the connection if it goes on so."""
        super().pause_writing()
        self._unread = self.loop.call_later(UNREAD_WITHIN_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Send on to a client that has read."""
        super().resume_writing()
        self._on_read()

    def _on_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _await_client(self) -> None:
        # A head must be complete in time, however many pieces it comes in.
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY) and self._deadline is None:
            self._deadline = self.loop.call_later(CLIENT_WITHIN_S, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _Uvicorn:
    """Replaces the module `uvicorn` where Gradio configures its server, of which it sets none of these four."""

    Config = partial(
        uvicorn.Config,
        http=BoundedConnection,
        ws="none",  # where a WebSocket package is installed, its protocol would take connections out of these bounds
        backlog=BACKLOG,
        timeout_graceful_shutdown=END_WITHIN_S,
    )


def bound_connections() -> None:
    """Bound the connections to the server that Gradio is about to start."""
    BoundedConnection.most = most_connections()
    cast("Any", http_server).uvicorn = _Uvicorn
