"""The test video: the default request, rendered by the local endpoint."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from hunyuan_ui.local_endpoint.scene.render import frames
from hunyuan_ui.media import encode_mp4
from hunyuan_ui.request import FPS, VideoRequest

REQUEST = VideoRequest.parse({"prompt": "a lighthouse above a stormy sea at dusk, slow push-in, cinematic light"})


@contextmanager
def workspace() -> Iterator[Path]:
    """Provide a temporary folder with the clip in it."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        clip_in(Path(folder)).write_bytes(clip_bytes())
        yield Path(folder)


def clip_in(folder: Path) -> Path:
    """Return the clip's path in a workspace."""
    return folder / "clip.mp4"


@cache
def clip_bytes() -> bytes:
    """Return the clip."""
    width, height = REQUEST.real_size
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        encode_mp4(path, width, height, FPS, frames(REQUEST))
        return path.read_bytes()
