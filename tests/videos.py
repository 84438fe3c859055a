"""Small real MP4 files for tests."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from hunyuan_ui.media import encode_mp4


@cache
def mp4_bytes(*, width: int = 32, height: int = 16, frames: int = 5, shade: int = 90) -> bytes:
    """Return a whole MP4 of moving grey, the same for the same arguments."""
    planes = (
        np.full((height * 3 // 2, width), (shade + 20 * index) % 220 + 16, dtype=np.uint8) for index in range(frames)
    )
    with TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        encode_mp4(path, width, height, 24, planes)
        return path.read_bytes()


def digest(data: bytes) -> str:
    """Return a SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


@cache
def webm_bytes(kind: str = "webm", *, width: int = 32, height: int = 16, frames: int = 5) -> bytes:
    """Return a whole WebM or Matroska file of moving grey."""
    import av

    with TemporaryDirectory() as folder:
        path = Path(folder) / "clip"
        with av.open(path, "w", format=kind) as container:
            stream = container.add_stream("libvpx-vp9", rate=24)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for index in range(frames):
                planes = np.full((height * 3 // 2, width), 60 + 20 * index, dtype=np.uint8)
                frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path.read_bytes()
