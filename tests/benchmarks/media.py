"""Processing of a finished MP4: poster, tags, facts and a GIF, compared with plain PyAV and Pillow."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import av
from PIL import Image

from hunyuan_ui import media
from hunyuan_ui.library.exports import Export
from hunyuan_ui.media import settings_tag
from tests.benchmarks.clip import REQUEST, clip_in, workspace
from tests.benchmarks.table import Row, alternate, ratio


def measure(is_short: bool) -> list[Row]:
    """Measure each on the default video."""
    rounds = 3 if is_short else 9
    with workspace() as folder:
        clip = clip_in(folder)
        described, first = alternate(
            5 * rounds, partial(_timed, _describe, folder), partial(_timed, _first_frame, clip)
        )
        export = Export("gif")
        pictures = _decoded(clip, export)
        ours, pillow = alternate(
            rounds, partial(_timed, _make_gif, folder, export), partial(_timed, _pillow_gif, pictures, folder, export)
        )
    return [
        ratio("poster, tags and facts of a finished MP4", 1000 * described, 1000 * first, "ms", at_most=3),
        ratio("GIF of the default video", 1000 * ours, 1000 * pillow, "ms", at_most=1.3),
    ]


def _timed(call: Callable[..., None], *values: object) -> float:
    began = time.perf_counter()
    call(*values)
    return time.perf_counter() - began


def _describe(folder: Path) -> None:
    clip = clip_in(folder)
    media.facts(clip)
    settings_tag.write(clip, folder / "tagged.mp4", REQUEST)
    media.write_poster(clip, folder / "poster.webp")


def _first_frame(clip: Path) -> None:
    with av.open(clip, format="mp4") as container:
        next(container.decode(video=0)).to_image()


def _make_gif(folder: Path, export: Export) -> None:
    media.write_animation(clip_in(folder), folder / "ours.gif", kind="gif", side=export.side, fps=export.fps)


def _decoded(clip: Path, export: Export) -> list[Image.Image]:
    with av.open(clip, format="mp4") as container:
        stream = container.streams.video[0]
        height = round(export.side * stream.height / stream.width)
        step = round(float(stream.average_rate or 24) / export.fps)
        return [
            frame.to_image(width=export.side, height=height, interpolation="AREA")
            for index, frame in enumerate(container.decode(stream))
            if index % step == 0
        ]


def _pillow_gif(pictures: list[Image.Image], folder: Path, export: Export) -> None:
    first, *others = pictures
    first.save(folder / "pillow.gif", save_all=True, append_images=others, duration=1000 // export.fps, loop=0)
