"""Starts the app in public mode, although it listens on this machine only."""

from __future__ import annotations

import runpy
from typing import Any, cast

from hunyuan_ui.settings import Settings

if __name__ == "__main__":
    cast("Any", Settings).public_by = property(lambda _: "address")
    runpy.run_path("app.py", run_name="__main__")
