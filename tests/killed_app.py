"""Starts the app and kills it after it has stored the first of several videos of one click."""

from __future__ import annotations

import os
import runpy
import signal
from typing import Any

from hunyuan_ui.ui import events


async def _killed(*_: Any) -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return ""


if __name__ == "__main__":
    events._send_more = _killed  # pyright: ignore[reportPrivateUsage]
    runpy.run_path("app.py", run_name="__main__")
