"""A video service on bare sockets that can misbehave at every step and keeps its own bill.

    with RawService() as service:
        service.serve_v2(video)                                       # a well-behaved service ...
        service.on("POST", SUBMIT_V2, [reset(), html(502)])           # ... whose first two POSTs go wrong
        service.on("GET", "/v2/requests/*/status", slow_headers())    # ... and whose status never answers
        ...
        assert len(service.bill) == 1

A list of replies is used in order; afterwards the well-behaved service responds, or the last reply is repeated if there
is none. A single reply is permanent. `bill` has the path and body of every accepted POST: everything that may have been
charged counts, so a lost response is on the bill and a 4xx is not.
"""

from __future__ import annotations

import fnmatch
import gzip
import json
import socket
import ssl
import struct
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

from hunyuan_ui.endpoint import contract


@dataclass(frozen=True)
class Received:
    """One received request; header names in lower case, `connection` counts from 1."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int


@dataclass
class Wire:
    """One connection, as a reply sees it."""

    socket: socket.socket
    stopped: threading.Event
    is_open: bool = True

    def send(self, data: bytes) -> None:
        """Send bytes; a disconnected peer ends the connection quietly."""
        try:
            self.socket.sendall(data)
        except OSError:
            self.close()

    def pause(self, seconds: float) -> bool:
        """Wait, and return whether the service and the connection are still open."""
        return not self.stopped.wait(seconds) and self.is_open

    def close(self) -> None:
        """Close in the regular way."""
        self.is_open = False
        with suppress(OSError):
            self.socket.close()

    def reset(self) -> None:
        """Close with a TCP reset."""
        with suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


@dataclass(frozen=True)
class Reply:
    """A reaction to a request.

    Args:
        act: Performs it.
        bills: Whether a POST with this reply may have been charged.
        stalls: Whether it never ends by itself.
    """

    act: Callable[[Wire, Received], None]
    bills: bool = True
    stalls: bool = False


# --- well-formed answers


def answer(
    status: int,
    body: bytes | str | Mapping[str, Any] | list[Any] = b"",
    *,
    content_type: str | None = None,
    headers: Mapping[str, str] | None = None,
    bills: bool | None = None,
    date: float | None = None,
) -> Reply:
    """Respond with a status and a body; anything but bytes and text is sent as JSON."""
    data, kind = _encoded(body)
    lines = {"Content-Type": content_type or kind, "Content-Length": str(len(data)), **(headers or {})}
    may_bill = _may_bill(status) if bills is None else bills
    return Reply(lambda wire, _: wire.send(_head(status, lines, date) + data), may_bill)


def html(status: int, *, headers: Mapping[str, str] | None = None) -> Reply:
    """Respond as a gateway does, with an HTML page."""
    page = f"<!DOCTYPE html><html><body><script>alert(1)</script><h1>{status}</h1></body></html>"
    return answer(status, page, content_type="text/html", headers=headers)


def redirect(location: str, status: int = 302) -> Reply:
    """Redirect."""
    return answer(status, headers={"Location": location}, bills=False)


def rate_limited(form: str, seconds: int = 2, *, clock_off_s: float = 0.0) -> Reply:
    """Respond with 429 and the wait as `reset` (a time by this service's clock), `retry-after`, or `neither`."""
    now = time.time() + clock_off_s
    said = {
        "reset": {
            contract.RATE_LIMIT_RESET_HEADER: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(now) + seconds))
        },
        "retry-after": {"Retry-After": str(seconds)},
        "neither": {},
    }[form]
    return answer(429, {"error": "rate_limit_exceeded"}, headers=said, date=now)


# --- misbehaviour


def reset() -> Reply:
    """Read the request, then reset the connection."""
    return Reply(lambda wire, _: wire.reset())


def close() -> Reply:
    """Read the request, then close the connection without a response."""
    return Reply(lambda wire, _: wire.close())


def garbage() -> Reply:
    """Respond with something that is not HTTP, quoting the request's headers as a hostile peer might."""

    def act(wire: Wire, received: Received) -> None:
        wire.send(b"\x00\xffSSH-2.0 " + json.dumps(received.headers).encode() + b"\r\n\r\n")
        wire.close()

    return Reply(act)


def silence() -> Reply:
    """Read the request and never respond."""

    def act(wire: Wire, _: Received) -> None:
        while wire.pause(0.05):
            pass

    return Reply(act, stalls=True)


def slow_headers(every_s: float = 0.02) -> Reply:
    """Send headers for ever, one byte at a time."""

    def act(wire: Wire, _: Received) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\n")
        while wire.pause(every_s):
            wire.send(b"x")

    return Reply(act, stalls=True)


def slow_body(
    status: int = 200, body: bytes = b"{", *, every_s: float = 0.02, content_type: str | None = None
) -> Reply:
    """Announce a long body, send this much at once, and then one byte at a time."""

    def act(wire: Wire, _: Received) -> None:
        lines = {"Content-Type": content_type, "Content-Length": str(len(body) + 1_000_000)}
        wire.send(_head(status, lines) + body)
        while wire.pause(every_s):
            wire.send(b" ")

    return Reply(act, _may_bill(status), stalls=True)


def cut(
    body: bytes | Mapping[str, Any],
    at: int,
    *,
    framing: str = "length",
    status: int = 200,
    content_type: str | None = None,
) -> Reply:
    """Send the first bytes of a body and close; framing is `length`, `chunked` or `none` (the end is the close)."""
    data, kind = _encoded(body)

    def act(wire: Wire, _: Received) -> None:
        how = {
            "length": {"Content-Length": str(len(data))},
            "chunked": {"Transfer-Encoding": "chunked"},
            "none": {"Connection": "close"},
        }[framing]
        part = data[:at]
        part = b"%x\r\n%s\r\n" % (len(part), part) if framing == "chunked" else part
        wire.send(_head(status, {"Content-Type": content_type or kind, **how}) + part)
        wire.close()

    return Reply(act, _may_bill(status))


def chunked(body: bytes, size: int = 1000, *, content_type: str = "video/mp4") -> Reply:
    """Send a complete body in chunks."""
    blocks = [body[at : at + size] for at in range(0, len(body), size)]
    data = b"".join(b"%x\r\n%s\r\n" % (len(block), block) for block in [*blocks, b""])
    head = _head(200, {"Content-Type": content_type, "Transfer-Encoding": "chunked"})
    return Reply(lambda wire, _: wire.send(head + data))


def gzip_bomb(status: int = 200, size: int = 32 * 1024 * 1024) -> Reply:
    """Respond with a small body that unpacks to a large one."""
    packed = gzip.compress(bytes(size))
    return answer(status, packed, content_type="application/json", headers={"Content-Encoding": "gzip"})


def huge(status: int = 200, size: int = 8 * 1024 * 1024, *, start: bytes = b"", announced: bool = True) -> Reply:
    """Respond with more bytes than any limit."""

    def act(wire: Wire, _: Received) -> None:
        length = {"Content-Length": str(size + len(start))} if announced else {"Connection": "close"}
        wire.send(_head(status, {"Content-Type": "application/json", **length}) + start)
        block = b" " * 65536
        for _block in range(size // len(block)):
            if not wire.is_open:
                return
            wire.send(block)
        if not announced:
            wire.close()

    return Reply(act, _may_bill(status))


# --- the service


@dataclass
class _Script:
    method: str
    pattern: str
    replies: list[Reply]
    is_forever: bool


@dataclass
class RawService:
    """A service on a loopback port, with one thread per connection; stops at the end of the `with`.

    Args:
        ssl_context: Use TLS with it.
    """

    ssl_context: ssl.SSLContext | None = None
    requests: list[Received] = field(default_factory=list[Received])
    bill: list[tuple[str, bytes]] = field(default_factory=list[tuple[str, bytes]])
    connections: int = 0

    def __post_init__(self) -> None:
        self._scripts: list[_Script] = []
        self._flow: Callable[[Received], Reply] | None = None
        self._jobs: dict[str, list[str]] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._wires: list[Wire] = []
        self._port = 0
        self._drops: list[Callable[[Wire], None]] = []

    def __enter__(self) -> RawService:
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self.refuse()
        for wire in self._wires:
            wire.close()

    @property
    def origin(self) -> str:
        """The base URL."""
        return f"{'https' if self.ssl_context else 'http'}://127.0.0.1:{self._port}"

    def listen(self) -> None:
        """Accept connections, on the same port as before."""
        self._listener = socket.create_server(("127.0.0.1", self._port), reuse_port=False)
        self._port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def refuse(self) -> None:
        """Refuse connections until `listen`."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def hang_up(self) -> None:
        """Close all open connections."""
        for wire in self._wires:
            wire.reset()

    def drop_connections(self, count: int = 1) -> None:
        """Reset the next connections when the first byte of a request has arrived."""

        def drop(wire: Wire) -> None:
            wire.socket.recv(1)
            wire.reset()

        self._drops += [drop] * count

    def greet_connections(self, greeting: bytes) -> None:
        """Send this on every further connection and close it, without reading, as an unrelated server would."""

        def greet(wire: Wire) -> None:
            wire.socket.recv(65536)
            wire.send(greeting)
            wire.close()

        self._drops += [greet] * 100

    def on(self, method: str, path: str, replies: Reply | Sequence[Reply]) -> None:
        """Script the requests to a path, in which `*` matches anything; a later script takes precedence."""
        is_forever = isinstance(replies, Reply)
        script = _Script(method, path, [replies] if isinstance(replies, Reply) else list(replies), is_forever)
        with self._lock:
            self._scripts.insert(0, script)

    def wait_for_bill(self, count: int = 1) -> None:
        """Wait until a number of POSTs were accepted."""
        self._wait(lambda: len(self.bill) >= count)

    def wait_for_request(self) -> None:
        """Wait until one was read: its sender may have given up before."""
        self._wait(lambda: bool(self.requests))

    def wait_until_closed(self) -> None:
        """Wait until every connection is closed."""
        self._wait(lambda: not any(wire.is_open for wire in self._wires))

    def _wait(self, condition: Callable[[], bool], seconds: float = 5.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it did not come about"
            time.sleep(0.005)

    def serve_v2(self, video: bytes, *, states: Sequence[str] = ("QUEUED", "PROCESSING"), cost: float = 1.46) -> None:
        """Behave well: each POST creates a job, which passes through the states and ends with this video."""

        def flow(received: Received) -> Reply:
            path = received.path
            if path == contract.SUBMIT_V2 and received.method == "POST":
                request_id = str(uuid.uuid4())
                self._jobs[request_id] = list(states)
                return answer(200, {"request_id": request_id, "status": "QUEUED"})
            request_id = path.removesuffix("/status").rpartition("/")[2].removesuffix(".mp4")
            waiting = self._jobs.get(request_id)
            if waiting is None:
                return answer(404, {"error": f"Request {request_id} not found"})
            link = f"{self.origin}/files/{request_id}.mp4"
            if path.startswith("/files/"):
                return answer(200, video, content_type="video/mp4")
            if "/request-history/" in path:
                return answer(200, {"request_id": request_id, "generation_url": link, "credits_deduction": cost})
            metrics = {"cost": cost, "inference_time": 0.5, "queue_time": 0.1}
            if path.endswith("/status"):
                state = waiting.pop(0) if waiting else "COMPLETED"
                told = metrics if state == "COMPLETED" else {}
                return answer(200, {"status": state, "request_id": request_id, "metrics": told})
            return answer(200, {"status": "COMPLETED", "output": link, "video": {"url": link}, "metrics": metrics})

        self._flow = flow

    def serve_v1(self, video: bytes, *, as_json: bool = False, cost: float = 1.46) -> None:
        """Behave well: each POST returns this video, or JSON that contains its address."""

        def flow(received: Received) -> Reply:
            if received.path.startswith("/files/"):
                return answer(200, video, content_type="video/mp4")
            headers = {contract.REQUEST_ID_HEADER: uuid.uuid4().hex, contract.COST_HEADER: str(cost)}
            if as_json:
                return answer(200, {"output": f"{self.origin}/files/1.mp4", "status": "success"}, headers=headers)
            return answer(200, video, content_type="video/mp4", headers=headers)

        self._flow = flow

    def _accept(self, listener: socket.socket) -> None:
        while not self._stopped.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            wire = Wire(connection, self._stopped)
            self._wires.append(wire)
            threading.Thread(target=self._talk, args=(wire, self.connections), daemon=True).start()

    def _talk(self, wire: Wire, number: int) -> None:
        if self._drops:
            self._drops.pop(0)(wire)
        with suppress(OSError):
            if self.ssl_context and wire.is_open:
                wire.socket = self.ssl_context.wrap_socket(wire.socket, server_side=True)
            while wire.is_open and (received := _read(wire.socket, number)):
                self._reply_to(received).act(wire, received)
        wire.close()

    def _reply_to(self, received: Received) -> Reply:
        with self._lock:
            self.requests.append(received)
            reply = self._choose(received)
            if received.method == "POST" and reply.bills:
                self.bill.append((received.path, received.body))
        return reply

    def _choose(self, received: Received) -> Reply:
        path = received.path.partition("?")[0]
        fitting = [s for s in self._scripts if s.method == received.method and fnmatch.fnmatchcase(path, s.pattern)]
        for script in fitting:
            if script.is_forever:
                return script.replies[0]
            if len(script.replies) > 1 or (script.replies and self._flow):
                return script.replies.pop(0)
            if script.replies:
                return script.replies[0]
        return self._flow(received) if self._flow else answer(404, {"error": "not scripted"})


def _read(connection: socket.socket, number: int) -> Received | None:
    data = b""
    while b"\r\n\r\n" not in data:
        block = connection.recv(65536)
        if not block:
            return None
        data += block
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        block = connection.recv(65536)
        if not block:
            return None
        body += block
    return Received(method, path, headers, body, number)


def _may_bill(status: int) -> bool:
    return not 300 <= status <= 500


def _encoded(body: bytes | str | Mapping[str, Any] | list[Any]) -> tuple[bytes, str]:
    if isinstance(body, bytes):
        return body, "application/octet-stream"
    if isinstance(body, str):
        return body.encode(), "text/plain"
    return json.dumps(body).encode(), "application/json"


def _head(status: int, headers: Mapping[str, str], date: float | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", f"Date: {formatdate(date, usegmt=True)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
