"""Many and slow connections of strangers: they keep nothing from a page that pays for videos."""

from __future__ import annotations

import asyncio
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import uvicorn
from gradio import http_server
from uvicorn.protocols.websockets import auto

from hunyuan_ui.local_endpoint.app import create_app
from hunyuan_ui.local_endpoint.serving import serve
from hunyuan_ui.ui import connections
from hunyuan_ui.ui.connections import BACKLOG, MOST, BoundedConnection, bound_connections, most_connections
from tests.app_process import END_WITHIN_S, ROOT, free_port, running_app, wait_until_well

pytestmark = pytest.mark.anyio

HEAD = b"POST / HTTP/1.1\r\nHost: page\r\nContent-Length: 4\r\n\r\n"
WITHIN_S = 0.4
LARGE = b"GET /large HTTP/1.1\r\nHost: page\r\n\r\n"
PIECE_BYTES, LARGE_PIECES = 256 * 1024, 200  # more than the buffers of the system take


async def length_of_the_body(scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
    body, has_more = b"", True
    while has_more:
        message = await receive()
        body, has_more = body + message.get("body", b""), message.get("more_body", False)
    if scope["path"] == "/large":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for left in reversed(range(LARGE_PIECES)):
            await send({"type": "http.response.body", "body": bytes(PIECE_BYTES), "more_body": left > 0})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
    await send({"type": "http.response.body", "body": str(len(body)).encode()})


@asynccontextmanager
async def serving(monkeypatch: pytest.MonkeyPatch, most: int = 4) -> AsyncIterator[int]:
    """Serve an application with these bounds, as Gradio would; yield its port."""
    monkeypatch.setattr(BoundedConnection, "most", most)
    monkeypatch.setattr(connections, "CLIENT_WITHIN_S", WITHIN_S)
    monkeypatch.setattr(connections, "UNREAD_WITHIN_S", WITHIN_S)
    monkeypatch.setattr(http_server, "uvicorn", uvicorn)
    monkeypatch.setattr(connections, "most_connections", lambda: most)
    bound_connections()
    port = free_port()
    config = cast("Any", http_server).uvicorn.Config(length_of_the_body, port=port, log_level="error")
    server = uvicorn.Server(config)
    running = asyncio.ensure_future(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        yield port
    finally:
        server.should_exit = True
        await running


async def told(reader: asyncio.StreamReader, within_s: float = 5.0) -> bytes:
    """Return all that a server sends until it closes the connection."""
    try:
        return await asyncio.wait_for(reader.read(), within_s)
    except ConnectionError:
        return b""


@pytest.mark.parametrize("begun", [b"", b"GET", HEAD[:-2], HEAD, HEAD + b"abc"], ids=str)
async def test_a_client_that_keeps_the_server_waiting_is_let_go(monkeypatch: pytest.MonkeyPatch, begun: bytes) -> None:
    async with serving(monkeypatch) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(begun)
        began = time.monotonic()
        assert await told(reader) == b""
        assert WITHIN_S / 2 < time.monotonic() - began < WITHIN_S + 2
        writer.close()


async def test_a_head_has_one_time_for_all_its_pieces_and_a_body_time_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(monkeypatch) as port:
        slow, writer = await asyncio.open_connection("127.0.0.1", port)
        fine, other = await asyncio.open_connection("127.0.0.1", port)
        other.write(HEAD)
        for letter in range(4):
            await asyncio.sleep(WITHIN_S / 2)
            writer.write(HEAD[letter : letter + 1])
            other.write(b"a")
        assert await told(slow) == b""
        assert (await asyncio.wait_for(fine.read(15), 5)) == b"HTTP/1.1 200 OK"
        writer.close()
        other.close()


async def test_a_client_that_reads_nothing_is_let_go_and_one_that_reads_slowly_gets_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving(monkeypatch) as port:
        _, idle = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        idle.write(LARGE)
        slow, reading = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        reading.write(LARGE)
        got = 0
        while piece := await asyncio.wait_for(slow.read(4 * PIECE_BYTES), 5):
            got += len(piece)
            if piece.endswith(b"0\r\n\r\n"):
                break
            await asyncio.sleep(0.001)
        assert got > PIECE_BYTES * LARGE_PIECES
        reading.close()
        began = time.monotonic()
        while BoundedConnection._held and time.monotonic() - began < 5:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.02)
        assert not BoundedConnection._held
        idle.close()


async def test_above_so_many_a_connection_is_refused_until_one_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(monkeypatch, most=2) as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for _, writer in held:
            writer.write(HEAD + b"ab")
        await asyncio.sleep(0.1)
        refused, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD + b"abcd")
        assert await told(refused, WITHIN_S / 2) == b""
        held[0][1].write(b"cd")
        assert (await asyncio.wait_for(held[0][0].read(15), 5)) == b"HTTP/1.1 200 OK"
        for _, other in [*held, (refused, writer)]:
            other.close()


@pytest.mark.skipif(sys.platform != "linux", reason="another address of this machine is needed")
async def test_one_address_leaves_connections_to_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(monkeypatch, most=4) as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(4)]
        for _, writer in held:
            writer.write(HEAD + b"ab")
        assert await told(held[3][0], WITHIN_S / 2) == b""
        for _ in range(2):  # what has ended is not counted any more
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0))
            writer.write(HEAD + b"abcd")
            assert (await asyncio.wait_for(reader.read(15), 5)) == b"HTTP/1.1 200 OK"
            writer.close()
            await asyncio.sleep(0.05)
        for _, writer in held:
            writer.close()


class _Upgraded(asyncio.Protocol):
    """What a WebSocket package would put in a connection's place; it refuses, as this page's filter does."""

    def __init__(self, **_: Any) -> None:
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - named by asyncio
        self._transport.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        self._transport.close()


@pytest.mark.parametrize("value", [b"websocket", b"WebSocket", b"h2c"])
async def test_no_upgrade_takes_a_connection_for_good(monkeypatch: pytest.MonkeyPatch, value: bytes) -> None:
    monkeypatch.setattr(auto, "AutoWebSocketsProtocol", _Upgraded)  # as where such a package is installed
    upgrade = HEAD.replace(b"\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: " + value + b"\r\n", 1)
    async with serving(monkeypatch, most=4) as port:
        for _ in range(8):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(upgrade + b"abcd")
            assert (await asyncio.wait_for(reader.read(15), 5)) == b"HTTP/1.1 200 OK"
            writer.close()
            await asyncio.sleep(0.05)


@pytest.mark.slow
def test_most_files_are_left_to_the_program() -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    script = "from hunyuan_ui.ui.connections import most_connections; print(most_connections())"
    for limit in (256, 1024):
        command = f"ulimit -n {limit}; exec {shlex.quote(sys.executable)} -c {shlex.quote(script)}"
        ended = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
        assert BACKLOG + int(ended.stdout) <= limit * 3 / 4
    assert 0 < most_connections() <= MOST
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="this system has no such limit")
def test_so_many_connections_that_no_file_can_be_opened_neither_fill_the_log_nor_stay(tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "app.log"
    settings = {"GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "0.0.0.0"}
    settings |= {"HUNYUAN_UI_DATA_DIR": str(tmp_path / "data"), "GRADIO_TEMP_DIR": str(tmp_path / "cache")}
    command = f"ulimit -n 400; exec {shlex.quote(sys.executable)} app.py >{shlex.quote(str(log))} 2>&1"
    with subprocess.Popen(["sh", "-c", command], cwd=ROOT, env={**os.environ, **settings}) as process:
        try:
            wait_until_well(f"http://127.0.0.1:{port}/", process, log)
            while "\nOpen http" not in log.read_text("utf-8"):
                time.sleep(0.05)  # Gradio still sends itself a request
            idle: list[socket.socket] = []
            with suppress(OSError):  # a system may refuse what is above the backlog
                for _ in range(600):
                    idle.append(socket.create_connection(("127.0.0.1", port)))
            time.sleep(2)
            opened = len(list(Path(f"/proc/{process.pid}/fd").iterdir())) if Path("/proc").is_dir() else 0
            for one in idle:
                one.close()
            wait_until_well(f"http://127.0.0.1:{port}/", process, log)
        finally:
            process.terminate()
        assert process.wait(END_WITHIN_S) == 0
    assert opened < 350
    assert len(log.read_text("utf-8").splitlines()) < 20


@pytest.mark.parametrize("kind", ["an answer", "an event's stream", "a head"])
def test_no_connection_keeps_the_jobs_from_being_stopped_in_order(tmp_path: Path, kind: str) -> None:
    service = serve(create_app(seconds=60), "127.0.0.1", 0)
    key: dict[str, Any] = {"SEGMIND_API_KEY": "SG_0123456789abcdef", "SEGMIND_BASE_URL": service.url}
    with running_app(tmp_path, **key) as app, socket.create_connection(("127.0.0.1", app.port)) as held:
        small = {"prompt": "A paper boat", "video_length": 5, "width": 64, "height": 64}
        call = f"{app.url}gradio_api/call/v2/generate"
        event = httpx.post(call, json=small, timeout=30).json()["event_id"]
        head = f"Host: 127.0.0.1:{app.port}\r\n\r\n"
        paths = {"an answer": f"/gradio_api/call/generate/{event}", "an event's stream": "/gradio_api/heartbeat/abc"}
        held.sendall(f"GET {paths[kind]} HTTP/1.1\r\n{head}".encode() if kind in paths else b"GET / HTTP/1.1\r\nHost")
        if kind in paths:
            assert held.recv(12) == b"HTTP/1.1 200"
        assert app.end() < END_WITHIN_S
        assert len(app.events("runner.stopped")) == 1
        said = b"".join(iter(lambda: held.recv(65536), b"")) if kind == "an answer" else b""
    assert (b"never paid twice" in said) is (kind == "an answer")
    assert b"Cancelled" not in said
    service.close()
