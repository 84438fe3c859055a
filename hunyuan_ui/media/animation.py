"""Small animations of a video, as GIF or animated WebP, for places that play no MP4."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from hunyuan_ui.errors import MediaError, reason
from hunyuan_ui.file_writes import atomic_write
from hunyuan_ui.media.decoding import decoding
from hunyuan_ui.media.frames import EARLY_S, scaling_to
from hunyuan_ui.media.mp4_check import facts

if TYPE_CHECKING:
    from PIL import Image

AnimationKind = Literal["gif", "webp"]

ANIMATION_QUALITY: Final = 75  # WebP; below it, skies show blocks
MAX_ANIMATION_FRAMES: Final = 300  # more than twice the longest video the model makes
_LONGEST_FRAME_S: Final = 600.0  # a GIF counts a frame's duration in hundredths of a second, in 16 bits
_PALETTE_SIDE: Final = 120  # px; the palette of a GIF is computed from all frames, but in this size


def write_animation(video: Path, target: Path, *, kind: AnimationKind, side: int, fps: float) -> None:
    """Write the video as an endless GIF or animated WebP.

    Args:
        video: The MP4 to read.
        target: The file to write.
        kind: The format.
        side: Longer side in px; a smaller video keeps its size.
        fps: Frames per second, at most the video's own.

    Raises:
        MediaError: The video cannot be decoded.
    """
    from PIL import Image

    fps = _slowed(video, fps)
    frames = _frames(video, side, fps)
    options: dict[str, Any] = {"quality": ANIMATION_QUALITY, "method": 2}
    if kind == "gif":
        # One palette for all frames: colours do not flicker, and the file is half as large as with one palette each.
        palette = _palette(video, fps)
        frames = (frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames)
        options = {"optimize": False, "disposal": 1}
    first = next(frames, None)
    if first is None:
        raise MediaError("not_a_video")
    with atomic_write(target) as part:
        first.save(
            part,
            format=kind.upper(),
            save_all=True,
            append_images=frames,
            duration=_durations(fps, 10 if kind == "gif" else 1),
            loop=0,
            **options,
        )


def _frames(video: Path, side: int, fps: float) -> Iterator[Image.Image]:
    """Yield the frame at every 1/fps second, scaled down so that its longer side fits."""
    with decoding(video) as (container, stream):
        stream.thread_type = "AUTO"
        scaling = scaling_to(stream, side)
        wanted_s: float | None = None
        for frame in container.decode(stream):
            if frame.pts is None:
                continue
            if wanted_s is None:
                wanted_s = frame.time  # a transport stream, for example, does not begin at zero
            if frame.time + EARLY_S < wanted_s:
                continue
            wanted_s += 1 / fps
            if not scaling:  # a stream may change its size midway, an animation may not
                scaling = {"width": frame.width, "height": frame.height}
            yield cast("Any", frame).to_image(**scaling)


def _durations(fps: float, unit_ms: int) -> list[int]:
    """Return each frame's duration in ms, in whole units of the format, without accumulating rounding errors."""
    ends = [round(index * 1000 / fps / unit_ms) * unit_ms for index in range(MAX_ANIMATION_FRAMES + 1)]
    return [end - start for start, end in pairwise(ends)]


def _slowed(video: Path, fps: float) -> float:
    """Return the requested rate or the video's own, whichever is lower; reject videos that are far too long."""
    of_video = facts(video)
    fps = min(fps, of_video.fps)
    if of_video.duration_s * fps > MAX_ANIMATION_FRAMES or 1 / fps > _LONGEST_FRAME_S:
        raise MediaError("export_failed", problem=reason("too_long_for_animation"))
    return fps


def _palette(video: Path, fps: float) -> Image.Image:
    from PIL import Image

    looked_at = list(_frames(video, _PALETTE_SIDE, fps))
    if not looked_at:
        raise MediaError("not_a_video")
    width, height = looked_at[0].size
    sheet = Image.new("RGB", (width, height * len(looked_at)))
    for index, frame in enumerate(looked_at):
        sheet.paste(frame, (0, height * index))
    return sheet.quantize(256)
