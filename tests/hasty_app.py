"""Starts the app with a short pause between two clicks of a visitor, for tests that need several videos of one."""

from __future__ import annotations

import runpy

from hunyuan_ui import limits

if __name__ == "__main__":
    limits.SECONDS_BETWEEN_SUBMITS = 0.1  # pyright: ignore[reportAttributeAccessIssue, reportConstantRedefinition]
    runpy.run_path("app.py", run_name="__main__")
