"""Named points in a job's run at which tests can make the disk fail or kill the process."""

from __future__ import annotations

from collections.abc import Callable

hook: Callable[[str], None] | None = None  # set by tests only


def checkpoint(name: str) -> None:
    """Pass a named point; does nothing unless a test has set `hook`."""
    if hook is not None:
        hook(name)
