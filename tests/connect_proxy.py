"""A real proxy on a loopback port: CONNECT by HTTP, and SOCKS5. It resolves its own names and can misbehave."""

from __future__ import annotations

import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

Act = Callable[[socket.socket], None]


class ConnectProxy:
    """Tunnels to ports of this machine by name; stops at the end of the `with`.

    Args:
        ports: Port of this machine by the requested name.
        login: Required user and password; None for none.
        is_socks: Speak SOCKS5.
        is_slow: Send each byte of a SOCKS5 reply by itself.
        instead: Run in place of a response to CONNECT.
        ssl_context: Accept TLS with this certificate.
    """

    def __init__(
        self,
        ports: Mapping[str, int],
        *,
        login: tuple[str, str] | None = None,
        is_socks: bool = False,
        is_slow: bool = False,
        instead: Act | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._ports = ports
        self._login = login
        self._is_socks = is_socks
        self._is_slow = is_slow
        self._instead = instead
        self._ssl_context = ssl_context
        self._open: list[socket.socket] = []
        self.asked: list[str] = []
        self.heads: list[bytes] = []

    def __enter__(self) -> ConnectProxy:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._listener, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError, struct.error, IndexError):
            if self._ssl_context is not None:
                client = self._ssl_context.wrap_socket(client, server_side=True)
                self._open.append(client)
            (self._socks if self._is_socks else self._http)(client)
        client.close()

    def _http(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            if not (part := client.recv(4096)):
                return None
            head += part
        self.heads.append(head)
        place = head.split()[1].decode()
        self.asked.append(place)
        if self._instead is not None:
            return self._instead(client)
        if self._login is not None and b"Proxy-Authorization: Basic" not in head:
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return None
        port = self._ports.get(place.rpartition(":")[0])
        if port is None:
            client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
            return None
        client.sendall(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n")
        return self._pass_on(client, port)

    def _socks(self, client: socket.socket) -> None:
        methods = client.recv(4096)[2:]
        wanted = 2 if self._login else 0
        self._reply(client, bytes([5, wanted if wanted in methods else 255]))
        if self._login:
            said = client.recv(4096)
            user = said[2 : 2 + said[1]].decode()
            password = said[3 + said[1] :].decode()
            self._reply(client, bytes([1, 0 if (user, password) == self._login else 1]))
        asked = client.recv(4096)
        name = asked[5 : 5 + asked[4]].decode() if asked[3] == 3 else socket.inet_ntoa(asked[4:8])
        self.asked.append(f"{name}:{struct.unpack('>H', asked[-2:])[0]}")
        port = self._ports.get(name)
        self._reply(client, bytes([5, 0 if port else 4, 0, 1, 0, 0, 0, 0, 0, 0]))
        if port:
            self._pass_on(client, port)

    def _reply(self, client: socket.socket, reply: bytes) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in [reply[at : at + 1] for at in range(len(reply))] if self._is_slow else [reply]:
            client.sendall(piece)
            time.sleep(0.005 if self._is_slow else 0)

    def _pass_on(self, client: socket.socket, port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as target:
            self._open.append(target)
            _copy_both_ways(client, target)


def _copy_both_ways(one: socket.socket, other: socket.socket) -> None:
    """Copy in one thread, as a TLS connection requires, until either side closes."""
    others = {one: other, other: one}
    with suppress(OSError, ValueError):  # a finished test closes both: no file descriptor is left to select
        while True:
            held = [side for side in others if isinstance(side, ssl.SSLSocket) and side.pending()]
            for side in held or select.select(list(others), [], [])[0]:
                if not (part := side.recv(65536)):
                    return
                others[side].sendall(part)
