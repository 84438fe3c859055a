"""Writing a file as one step: whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Give a file beside `path` to write to, which takes its place when all went well and is removed otherwise."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield part
        os.replace(part, path)  # noqa: PTH105 - the file may be read by others at this moment; replace says it is atomic
    finally:
        part.unlink(missing_ok=True)
