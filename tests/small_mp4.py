"""A real H.264 MP4 of a few kilobytes, made once a run."""

from __future__ import annotations

import io
from functools import lru_cache

import av
import numpy as np


@lru_cache
def small_mp4(frames: int = 5, width: int = 64, height: int = 48) -> bytes:
    """Return an MP4 with so many frames at 24 a second."""
    output = io.BytesIO()
    with av.open(output, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=24, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            picture = np.full((height, width, 3), number * 10, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return output.getvalue()
