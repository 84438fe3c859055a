"""Runs the local endpoint inside another program, in a thread with its own event loop."""

from __future__ import annotations

import socket
import threading
import time
from typing import Final

import uvicorn
from fastapi import FastAPI

from hunyuan_ui.local_addresses import in_address, own_name

_START_WITHIN_S: Final = 20.0
_STOP_WITHIN_S: Final = 3.0  # time limit for running calls; their jobs end with the process in any case


class RunningServer:
    """A server that is already listening; `close` ends it."""

    def __init__(self, app: FastAPI, listening: socket.socket) -> None:
        config = uvicorn.Config(
            app,
            loop="asyncio",
            ws="none",
            lifespan="on",
            log_config=None,
            log_level="critical",  # client disconnects are no errors of the server
            access_log=False,
            timeout_graceful_shutdown=int(_STOP_WITHIN_S),
        )
        self._server = uvicorn.Server(config)
        self._socket = listening
        host, port = listening.getsockname()[:2]
        self.url = f"http://{in_address(own_name(host))}:{port}"
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listening]}, name="local-endpoint", daemon=True
        )
        self._thread.start()
        self._wait_until_started()

    def close(self) -> None:
        """Stop listening, end running calls, remove every file; may be called twice."""
        self._server.should_exit = True
        self._thread.join(2 * _STOP_WITHIN_S + 5)
        self._socket.close()

    def _wait_until_started(self) -> None:
        give_up_at = time.monotonic() + _START_WITHIN_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > give_up_at:
                self.close()
                raise RuntimeError("the local endpoint did not start")
            time.sleep(0.005)


def serve(app: FastAPI, host: str = "127.0.0.1", port: int = 0) -> RunningServer:
    """Serve an app; return when it responds.

    Args:
        app: From `create_app`.
        host: The address to listen on.
        port: 0 selects a free one.

    Raises:
        OSError: The address cannot be used, for instance because the port is taken.
    """
    host = host.removeprefix("[").removesuffix("]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio disables Nagle's algorithm only for sockets with an explicit protocol (docs/facts/dependencies.md 4).
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        return RunningServer(app, listening)
    except BaseException:
        listening.close()
        raise
