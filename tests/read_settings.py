"""Settings as a process reads them."""

from __future__ import annotations

from pathlib import PurePosixPath

from hunyuan_ui.settings import Settings

KEY = "SG_0123456789abcdef"
CODE = "open sesame"
DATABASE = "postgresql://owner:hunter2@localhost:5432/hunyuan"
HOME = [(PurePosixPath("/"), "ext4")]


def read(share: bool = False, /, **environ: str) -> Settings:
    """Return the settings of a process with these variables, on a single ordinary disk."""
    return Settings.from_environ(environ, share=share, mounts=HOME)


def short(value: object) -> str:
    """Return the name of a case."""
    return repr(value)[:40]
