"""A size-limited cache folder: the least recently used files are removed first."""

from __future__ import annotations

import math
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path


def make_room(folder: Path, most_bytes: int, *, kept_s: float = math.inf, min_free_bytes: int = 0) -> None:
    """Remove the least recently used files of a folder until it is small enough; half-written ones are left alone.

    Args:
        folder: May be missing. A file was last used when `mark_used` says, or when it was written.
        most_bytes: Largest size of all files together; the newest one may be larger.
        kept_s: Maximum time that a file may be unused, in s.
        min_free_bytes: If its disk has less free space, the limit is lowered by the difference.
    """
    found: list[tuple[float, int, Path]] = []
    with suppress(OSError):
        for path in folder.iterdir():
            with suppress(FileNotFoundError):
                stat = path.stat()
                found.append((max(stat.st_atime, stat.st_mtime), stat.st_size, path))
        if min_free_bytes:
            whole = sum(size for _, size, _ in found)
            most_bytes = min(most_bytes, whole + shutil.disk_usage(folder).free - min_free_bytes)
    kept = 0
    for place, (used_at, size, path) in enumerate(sorted(found, reverse=True)):
        kept += size
        is_too_much = kept > most_bytes and place > 0
        if path.suffix != ".part" and (is_too_much or time.time() - used_at > kept_s):
            with suppress(OSError):
                path.unlink(missing_ok=True)


def mark_used(path: Path) -> None:
    """Record that a file is used now; its modification time, by which browsers know an unchanged file, is kept."""
    with suppress(OSError):
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))


def is_older(path: Path, seconds: float) -> bool:
    """Whether a file was last written at least so many seconds ago; not one that is gone."""
    with suppress(OSError):
        return time.time() - path.stat().st_mtime >= seconds
    return False
