"""Draws the examples' loops and posters: python -m hunyuan_ui.local_endpoint.example_drawing FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from hunyuan_ui.local_endpoint.scene.render import frames
from hunyuan_ui.media import encode_mp4, write_poster
from hunyuan_ui.prompt_help.examples import EXAMPLES
from hunyuan_ui.request import FPS, VideoRequest

SIDE: Final = 320  # px of the longer side; a tile is about 200 CSS px wide
FRAMES: Final = 49
CRF: Final = 30
_STEP: Final = 16  # px; the service rounds up to a multiple of it


def draw_loops(folder: Path) -> None:
    """Write `<key>.mp4` and `<key>.webp` of each example, the same bytes each time.

    Args:
        folder: The target, created if missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for example in EXAMPLES:
        small = _small(example.request)
        loop, size = folder / f"{example.key}.mp4", small.real_size
        encode_mp4(loop, *size, FPS, frames(small, is_brief=True), crf=CRF)
        write_poster(loop, loop.with_suffix(".webp"))


def _small(request: VideoRequest) -> VideoRequest:
    """Return the request in a small size of about the same shape."""
    width, height = request.real_size
    scale = SIDE / max(width, height)
    sides = (max(_STEP, round(side * scale / _STEP) * _STEP) for side in (width, height))
    return request.model_copy(update={**dict(zip(("width", "height"), sides, strict=True)), "video_length": FRAMES})


if __name__ == "__main__":
    draw_loops(Path(sys.argv[1]))
