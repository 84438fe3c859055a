"""A light service in a separate process: responds immediately, keeps `running-...` requests running, serves files.

python -m tests.benchmarks.service CLIP [BIG]
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from hunyuan_ui.endpoint import contract

FILE = "/clip.mp4"
BIG = "/big.mp4"
POLLS = "/polls"  # times of the polls of each running job since the last such request; UTC seconds
_METRICS = {"cost": 1.46, "inference_time": 211.0, "queue_time": 1.0}


class Service(asyncio.Protocol):
    """One connection."""

    clip = b""
    big: Path | None = None
    origin = ""
    polls: list[float] = []  # noqa: RUF012 - of all connections together

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start reading."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        """Respond to every complete request."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].decode("latin-1")
            length = next(
                (int(line[15:]) for line in head.split("\r\n") if line.lower().startswith("content-length:")), 0
            )
            if len(self._received) < end + 4 + length:
                return
            self._received = self._received[end + 4 + length :]
            method, path, _ = head.split(" ", 2)
            self._answer(method, path)

    def _answer(self, method: str, path: str) -> None:
        if path == contract.GENERATE_V1:
            headers = f"{contract.COST_HEADER}: 1.46\r\n{contract.REQUEST_ID_HEADER}: {uuid.uuid4()}\r\n"
            self._send(self.clip, "video/mp4", headers)
        elif path == FILE:
            self._send(self.clip, "video/mp4")
        elif path == BIG and self.big is not None:
            self._sending = asyncio.get_running_loop().create_task(self._send_file(self.big))
        else:
            self._send(json.dumps(self._fields(method, path)).encode(), "application/json")

    def _fields(self, method: str, path: str) -> Any:
        if method == "POST":
            return {"request_id": str(uuid.uuid4()), "status": "QUEUED"}
        if path == POLLS:
            asked, Service.polls = Service.polls, []
            return asked
        if path == contract.CREDITS:
            return {"credits": 1000.0, "free-credits": 0.0}
        if path.startswith("/v2/requests/running-"):
            Service.polls.append(time.time())
            return {"status": "PROCESSING", "metrics": {}}
        return {"status": "COMPLETED", "output": self.origin + FILE, "metrics": _METRICS}

    def _send(self, body: bytes, kind: str, headers: str = "") -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        self._transport.writelines([head.encode(), body])

    async def _send_file(self, path: Path) -> None:
        with path.open("rb") as file:
            length = os.fstat(file.fileno()).st_size
            head = f"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: {length}\r\n\r\n"
            self._transport.write(head.encode())
            await asyncio.get_running_loop().sendfile(self._transport, file)


async def serve(clip: bytes, big: Path | None) -> None:
    """Serve until SIGTERM."""
    Service.clip, Service.big = clip, big
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Service, "127.0.0.1", 0, backlog=4096)
    Service.origin = "http://{}:{}".format(*server.sockets[0].getsockname())
    print(Service.origin, flush=True)
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]) if len(sys.argv) > 2 else None))
