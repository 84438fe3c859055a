"""A TCP proxy between browser and app that breaks or delays traffic, as networks and reverse proxies do."""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Any, Final

_CHUNK: Final = 64 * 1024
_HOSTS: Final = itertools.cycle(range(2, 255))  # last octet of this machine's other addresses
_METHODS: Final = (b"GET ", b"POST ", b"DELETE ", b"HEAD ", b"PUT ")
_PAGE: Final = b"<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>"
_BAD_GATEWAY: Final = (
    b"HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s"
    % (len(_PAGE), _PAGE)
)


class Fault(str, Enum):
    """Possible faults; all but the first last until `heal`."""

    RESET = "reset"  # every connection ends with an RST, once
    REFUSED = "refused"  # the same, and new connections are refused
    ENDED = "ended"  # every open stream ends cleanly, and every response does so in the middle of its body
    SILENT = "silent"  # nothing passes; pending data arrives afterwards
    BAD_GATEWAY = "bad_gateway"  # a reverse proxy responds instead of the app, with an HTML page
    HELD = "held"  # one request is delayed and arrives afterwards; everything else passes


@dataclass(eq=False)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    app_reader: asyncio.StreamReader
    app_writer: asyncio.StreamWriter
    goes_on: asyncio.Event | None = None  # set when a held request is sent, over a new connection to the app

    def end(self) -> None:
        self.writer.close()
        self.app_writer.close()

    def reset(self) -> None:
        _reset(self.writer)
        self.app_writer.close()


class FaultProxy:
    """Forwards everything to a port of this machine until told to fail.

    Args:
        port: The app's port.
        latency_s: Round trip to the app; half of it each way. It may be changed at any time.
    """

    def __init__(self, port: int, latency_s: float = 0.0) -> None:
        self._app_port = port
        self.latency_s = latency_s
        # A private page accepts only its own port, under each of this machine's names.
        self._address = (f"127.0.0.{next(_HOSTS)}", port)
        self._socket = _bound(self._address)
        self._fault: Fault | None = None
        self._strike: tuple[tuple[bytes, ...], Fault | None] | None = None
        self.has_struck = threading.Event()
        self._open: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._passing = asyncio.Event()
        self._let_go = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)

    @property
    def url(self) -> str:
        """The address for the browser."""
        return "http://{}:{}/".format(*self._address)

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        self._call(self._passing.set)
        self._call(self._listen)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def fail(self, fault: Fault) -> None:
        """Fail now."""
        self._call(self._begin, fault)

    def fail_at(self, fault: Fault, *sent: bytes) -> None:
        """Fail at the browser's next request with all these bytes; the app still gets it. Sets `has_struck`."""
        self.has_struck.clear()
        self._strike = (sent, fault)

    def notice(self, *sent: bytes) -> None:
        """Set `has_struck` at the browser's next request with all these bytes, and change nothing."""
        self.has_struck.clear()
        self._strike = (sent, None)

    def heal(self) -> None:
        """Forward everything again."""
        self._call(self._heal)

    # in the loop's thread

    def _call(self, do: Callable[..., Any], *values: Any) -> None:
        done = threading.Event()
        self._loop.call_soon_threadsafe(lambda: (do(*values), done.set()))
        assert done.wait(5), "the proxy's loop hangs"

    def _listen(self) -> None:
        if self._socket.fileno() < 0:
            return
        self._socket.listen(64)
        self._start(self._accept(self._socket))

    def _begin(self, fault: Fault, sparing: _Connection | None = None) -> None:
        self._fault = None if fault is Fault.RESET else fault
        if fault is Fault.SILENT:
            self._passing.clear()
        if fault is Fault.REFUSED:
            # Bound but not listening: the port stays ours and refuses.
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = _bound(self._address)
        for connection in list(self._open):
            if fault in (Fault.RESET, Fault.REFUSED):
                connection.reset()
            elif fault is not Fault.SILENT and connection is not sparing:
                connection.end()

    def _heal(self) -> None:
        was_refusing = self._fault is Fault.REFUSED
        self._fault = None
        self._passing.set()
        self._let_go.set()
        if was_refusing:
            self._listen()

    def _start(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listening: socket.socket) -> None:
        while listening is self._socket:
            try:
                client, _ = await self._loop.sock_accept(listening)
            except OSError:
                return
            self._start(self._pass_on(client))

    async def _pass_on(self, client: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=client)
        try:
            app_reader, app_writer = await asyncio.open_connection("127.0.0.1", self._app_port)
        except OSError:
            _reset(writer)
            return
        connection = _Connection(reader, writer, app_reader, app_writer)
        self._open.add(connection)
        try:
            await asyncio.gather(self._up(connection), self._down(connection))
        except OSError:
            pass
        finally:
            self._open.discard(connection)
            connection.end()

    async def _up(self, connection: _Connection) -> None:
        request = b""  # as far as received; head and body may arrive separately
        while data := await connection.reader.read(_CHUNK):
            request = data if data.startswith(_METHODS) else request + data
            fault = self._due(request)
            if fault is Fault.HELD:
                await self._hold(connection)
                data = request
            elif fault is not None and fault not in (Fault.RESET, Fault.REFUSED):
                self._begin(fault, sparing=connection)
            if self._fault is Fault.BAD_GATEWAY:
                connection.writer.write(_BAD_GATEWAY)
                break
            await self._passing.wait()
            await self._later(connection.app_writer, data)
            if fault is Fault.RESET or fault is Fault.REFUSED:
                self._begin(fault)
        connection.end()

    async def _hold(self, connection: _Connection) -> None:
        # The app closes a connection with half a request; the head is resent with the rest.
        connection.goes_on = asyncio.Event()
        self._let_go.clear()
        await self._let_go.wait()
        connection.app_writer.close()
        connection.app_reader, connection.app_writer = await asyncio.open_connection("127.0.0.1", self._app_port)
        connection.goes_on.set()

    async def _down(self, connection: _Connection) -> None:
        await self._answer(connection)
        if connection.goes_on is not None:
            await connection.goes_on.wait()
            await self._answer(connection)
        connection.end()

    async def _answer(self, connection: _Connection) -> None:
        while data := await connection.app_reader.read(_CHUNK):
            await self._passing.wait()
            if self._fault is Fault.BAD_GATEWAY:
                break
            kept = _first_half(data) if self._fault is Fault.ENDED else data
            await self._later(connection.writer, kept)
            if len(kept) < len(data):
                break

    async def _later(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        await asyncio.sleep(self.latency_s / 2)
        writer.write(data)
        await writer.drain()

    def _due(self, request: bytes) -> Fault | None:
        if self._strike is None or not all(sent in request for sent in self._strike[0]):
            return None
        fault = self._strike[1]
        self._strike = None
        self.has_struck.set()
        return fault

    async def _close(self) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()
        for connection in list(self._open):
            connection.end()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _bound(address: tuple[str, int]) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(address)
    bound.setblocking(False)
    return bound


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _first_half(data: bytes) -> bytes:
    """Cut within the body: half a header would be another fault."""
    body_at = data.find(b"\r\n\r\n") + 4 if data.startswith(b"HTTP/") else 0
    body = len(data) - body_at
    return data if body == 0 else data[: body_at + body // 2]
