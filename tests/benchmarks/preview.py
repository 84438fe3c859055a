"""Rendering of the local endpoint, compared with libx264 encoding the same frames with the same settings."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from hunyuan_ui.local_endpoint.scene.render import frames
from hunyuan_ui.media import encode_mp4
from hunyuan_ui.request import FPS
from tests.benchmarks.clip import REQUEST, workspace
from tests.benchmarks.table import Row, alternate, bound, rate

CLIP_WITHIN_S = 0.5


def measure(is_short: bool) -> list[Row]:
    """Render and encode the default request."""
    width, height = REQUEST.real_size
    drawn = [planes.copy() for planes in frames(REQUEST)]

    def encode(path: Path, is_drawing: bool) -> float:
        began = time.perf_counter()
        encode_mp4(path, width, height, FPS, frames(REQUEST) if is_drawing else drawn)
        return time.perf_counter() - began

    with workspace() as folder:
        path = folder / "out.mp4"
        encode(path, True)
        whole, encoding = alternate(3 if is_short else 9, partial(encode, path, True), partial(encode, path, False))
    what = f"local preview {width}x{height}, {len(drawn)} frames"
    return [
        rate(what, len(drawn) / whole, len(drawn) / encoding, "frames/s", at_least=0.5),
        bound("local preview, one clip", whole, "s", at_most=CLIP_WITHIN_S),
    ]
