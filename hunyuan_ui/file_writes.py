"""Writing files so that a crash or a full disk leaves no partial one."""

from __future__ import annotations

import errno
import os
import secrets
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def is_disk_full(error: OSError) -> bool:
    """Whether a write failed because of a full disk, a quota or the maximum file size."""
    return error.errno in _FULL


def sync_folder(path: Path) -> None:
    """Make a rename inside a folder survive a power cut, if the system supports that."""
    if sys.platform == "win32":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def atomic_write(path: Path) -> Generator[Path]:
    """Yield a temporary file beside `path`, which replaces it on success and is removed otherwise."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield part
        os.replace(part, path)  # noqa: PTH105 - the file may be read by others at this moment; replace says it is atomic
    finally:
        part.unlink(missing_ok=True)
