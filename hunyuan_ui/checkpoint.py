"""Named points on the way of a job, where a test can make the disk fail or the program die."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Checkpoint: TypeAlias = Callable[[str], None]


def no_checkpoint(name: str) -> None:
    """Pass a point where nothing is to happen."""
