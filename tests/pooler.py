"""A connection pooler in transaction mode, like pgbouncer: clients take turns on a single connection."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress

import psycopg

_STRANGE_PID = 999_999
_WELCOME = {"server_version": "15.0", "server_encoding": "UTF8", "client_encoding": "UTF8", "DateStyle": "ISO, MDY"}


class TransactionPooler:
    """Accepts every client, and assigns the connection to another client after each transaction.

    Args:
        url: Of the server, as for libpq.
    """

    def __init__(self, url: str) -> None:
        self._server = psycopg.connect(url, autocommit=True)
        os.set_blocking(self._server.fileno(), True)
        self._lock = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """Its address."""
        return (
            f"postgresql://anybody@127.0.0.1:{self._listening.getsockname()[1]}/any?sslmode=disable&gssencmode=disable"
        )

    def close(self) -> None:
        """Accept no more clients, and disconnect from the server."""
        self._listening.close()
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with client, suppress(OSError, EOFError, psycopg.Error):
            self._welcome(client)
            while True:
                first = _message(client.recv)
                with self._lock:
                    state = self._one_question(client, first)
                    while state != b"I":  # the transaction continues
                        state = self._one_question(client, _message(client.recv))

    def _welcome(self, client: socket.socket) -> None:
        _exactly(client.recv, struct.unpack("!I", _exactly(client.recv, 4))[0] - 4)
        facts = [_framed(b"S", f"{name}\0{value}\0".encode()) for name, value in _WELCOME.items()]
        key = _framed(b"K", struct.pack("!II", _STRANGE_PID, 1))
        client.sendall(b"".join([_framed(b"R", bytes(4)), *facts, key, _framed(b"Z", b"I")]))

    def _one_question(self, client: socket.socket, message: bytes) -> bytes:
        """Forward one request and its response; return the state of the transaction."""
        server = self._server.fileno()
        while message[:1] not in (b"Q", b"S"):  # a simple query, or the end of an extended one
            if message[:1] == b"X":
                raise EOFError
            os.write(server, message)
            message = _message(client.recv)
        os.write(server, message)
        while True:
            answer = _message(lambda size: os.read(server, size))
            client.sendall(answer)
            if answer[:1] == b"Z":
                return answer[5:]


def _framed(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("!I", len(content) + 4) + content


def _message(read: Callable[[int], bytes]) -> bytes:
    head = _exactly(read, 5)
    return head + _exactly(read, struct.unpack("!I", head[1:])[0] - 4)


def _exactly(read: Callable[[int], bytes], size: int) -> bytes:
    found = b""
    while len(found) < size:
        if not (chunk := read(size - len(found))):
            raise EOFError
        found += chunk
    return found
