"""Starts the app on a machine that is slow: its server needs longer to start, and to answer, than Gradio waits.

START in the environment is what becomes of the start: "late" (by LATE_S seconds), "blocked" for longer by a call that
nothing interrupts, "failed" in a way that nobody has foreseen, or "taken": another program listens on the port first.
"""

from __future__ import annotations

import asyncio
import os
import runpy
import socket
import time

from gradio import http_server, networking

from hunyuan_ui import log
from hunyuan_ui.jobs import JobRunner

BLOCKED_S = 30.0

if __name__ == "__main__":
    begin = JobRunner.start
    what = os.environ["START"]

    async def start(self: JobRunner) -> None:
        """Start late, or not at all."""
        log.event("start.late")
        if what == "failed":
            raise RuntimeError("unforeseen")
        if what == "blocked":
            await asyncio.to_thread(time.sleep, BLOCKED_S)
        if what == "taken":
            other.bind(("127.0.0.1", http_server.INITIAL_PORT_VALUE))
            other.listen()
        await asyncio.sleep(float(os.environ.get("LATE_S", "0")))
        await begin(self)

    JobRunner.start = start
    http_server.INITIAL_PORT_VALUE = int(os.environ.get("FIRST_PORT", http_server.INITIAL_PORT_VALUE))
    networking.url_ok = lambda url: False  # noqa: ARG005 - called by name
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        runpy.run_path("app.py", run_name="__main__")
