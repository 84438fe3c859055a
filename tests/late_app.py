"""Starts the app on a machine that is slow: its server needs longer to start, and to answer, than Gradio waits.

With FAILS=yes in the environment the start fails in a way that nobody has foreseen.
"""

from __future__ import annotations

import asyncio
import os
import runpy

from gradio import networking

from hunyuan_ui import log
from hunyuan_ui.jobs import JobRunner

LATE_S = 6.0  # Gradio waits 5 s (docs/facts/gradio6.md 0, row 11)

if __name__ == "__main__":
    begin = JobRunner.start

    async def start(self: JobRunner) -> None:
        """Start late, or not at all."""
        log.event("start.late")
        if os.environ.get("FAILS"):
            raise RuntimeError("unforeseen")
        await asyncio.sleep(LATE_S)
        await begin(self)

    JobRunner.start = start
    networking.url_ok = lambda url: False  # noqa: ARG005 - called by name
    runpy.run_path("app.py", run_name="__main__")
