"""Small real MP4 files for tests."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from hunyuan_ui import media
from hunyuan_ui.media import encode_mp4


@cache
def mp4_bytes(*, width: int = 32, height: int = 16, frames: int = 5, shade: int = 90) -> bytes:
    """Return a complete MP4 of moving grey, the same for the same arguments."""
    planes = (
        np.full((height * 3 // 2, width), (shade + 20 * index) % 220 + 16, dtype=np.uint8) for index in range(frames)
    )
    with TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        encode_mp4(path, width, height, 24, planes)
        return path.read_bytes()


def hold_animation(monkeypatch: pytest.MonkeyPatch) -> tuple[asyncio.Event, threading.Event]:
    """Block each animation export; return an event set when one begins, and one that releases it."""
    began, may_end, loop = asyncio.Event(), threading.Event(), asyncio.get_running_loop()
    real = media.write_animation

    def held(video: Path, target: Path, **options: Any) -> None:
        loop.call_soon_threadsafe(began.set)
        assert may_end.wait(20)
        real(video, target, **options)

    monkeypatch.setattr(media, "write_animation", held)
    return began, may_end


def digest(data: bytes) -> str:
    """Return a SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


@cache
def encoded_bytes(
    kind: str = "webm", codec: str = "libvpx-vp9", *, width: int = 32, height: int = 16, frames: int = 5, step: int = 20
) -> bytes:
    """Return a complete file of moving grey, brighter by a step each frame, in another format or by another encoder."""
    import av

    with TemporaryDirectory() as folder:
        path = Path(folder) / "clip"
        with av.open(path, "w", format=kind) as container:
            stream = container.add_stream(codec, rate=24)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for index in range(frames):
                planes = np.full((height * 3 // 2, width), 128, dtype=np.uint8)
                planes[:height] = 60 + step * index
                frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path.read_bytes()
