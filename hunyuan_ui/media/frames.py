"""Frames of a video: its poster, stills, and small animations for places that play no MP4."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from hunyuan_ui.data_folder import atomic_write
from hunyuan_ui.errors import MediaError, reason
from hunyuan_ui.media.decoding import decoding
from hunyuan_ui.media.mp4_check import facts

if TYPE_CHECKING:
    from av import VideoStream
    from PIL import Image

AnimationKind = Literal["gif", "webp"]

POSTER_SIDE: Final = 480  # px; a card in My videos is about 240 CSS px wide, and screens have two pixels in each
POSTER_QUALITY: Final = 78
_LARGEST_POSTER: Final = 4 * POSTER_SIDE  # px; a larger picture would take much memory to decode
POSTER_AT: Final = 1 / 10  # of the duration: past the very first frame, but each further frame must be decoded too
ANIMATION_QUALITY: Final = 75  # WebP; below it, skies show blocks
MAX_ANIMATION_FRAMES: Final = 300  # more than twice the longest video the model makes
_PALETTE_SIDE: Final = 120  # px; the palette of a GIF is computed from all frames, but in this size
_EARLY_S: Final = 1e-4  # rounding tolerance between a frame's time and a requested time


def write_poster(video: Path, poster: Path) -> None:
    """Write a small WebP of a frame near the beginning, atomically.

    Raises:
        MediaError: The video cannot be decoded.
    """
    image = _frame_at(video, None, side=POSTER_SIDE)
    with atomic_write(poster) as part:
        image.save(part, format="WEBP", quality=POSTER_QUALITY, method=2)


def is_poster(path: Path) -> bool:
    """Whether a file is a complete picture such as `write_poster` makes."""
    from PIL import Image

    try:
        with Image.open(path, formats=("WEBP",)) as image:
            if max(image.size) > _LARGEST_POSTER:
                return False
            image.load()
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError):
        return False
    return True


def write_still(video: Path, still: Path, at_s: float) -> None:
    """Write the frame at a given time as a PNG of the video's own size.

    Args:
        video: The MP4 to read.
        still: The file to write.
        at_s: Seconds from the start; past the end it is the last frame.

    Raises:
        MediaError: The video cannot be decoded.
    """
    image = _frame_at(video, at_s)
    with atomic_write(still) as part:
        image.save(part, format="PNG", compress_level=6)


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


def _frame_at(video: Path, at_s: float | None, *, side: int | None = None) -> Image.Image:
    """Return the last frame that begins no later than a time, else the first; None means the poster's time."""
    # A file without an index may be left at its end by a seek.
    image = _image_at(video, at_s, side, seeks=True) or _image_at(video, at_s, side, seeks=False)
    if image is None:
        raise MediaError("not_a_video")
    return image


def _image_at(video: Path, at_s: float | None, side: int | None, *, seeks: bool) -> Image.Image | None:
    with decoding(video) as (container, stream):
        tick_s = float(stream.time_base or 1)
        if at_s is None:
            at_s = (stream.duration or 0) * tick_s * POSTER_AT
        else:
            stream.thread_type = "AUTO"  # a poster's few frames are decoded before threads have started
        if seeks:
            container.seek(int(at_s / tick_s), stream=stream)
        seen = None
        for frame in container.decode(stream):
            if seen is not None and frame.pts is not None and frame.time > at_s + _EARLY_S:
                break
            seen = frame
        if seen is None:
            return None
        image: Image.Image = cast("Any", seen).to_image(**_scaling(stream, side))
        return image


def _frames(video: Path, side: int, fps: float) -> Iterator[Image.Image]:
    """Yield the frame at every 1/fps second, scaled down so that its longer side fits."""
    with decoding(video) as (container, stream):
        stream.thread_type = "AUTO"
        scaling = _scaling(stream, side)
        wanted_s = 0.0
        for frame in container.decode(stream):
            if frame.pts is None or frame.time + _EARLY_S < wanted_s:
                continue
            wanted_s += 1 / fps
            yield cast("Any", frame).to_image(**scaling)


def _scaling(stream: VideoStream, side: int | None) -> dict[str, Any]:
    """Return options that scale a frame during colour conversion, which is cheaper than doing so afterwards."""
    longer = max(stream.width, stream.height)
    if side is None or side >= longer:
        return {}
    width, height = (max(1, round(length * side / longer)) for length in (stream.width, stream.height))
    return {"width": width, "height": height, "interpolation": "AREA"}


def _durations(fps: float, unit_ms: int) -> list[int]:
    """Return each frame's duration in ms, in whole units of the format, without accumulating rounding errors."""
    ends = [round(index * 1000 / fps / unit_ms) * unit_ms for index in range(MAX_ANIMATION_FRAMES + 1)]
    return [end - start for start, end in pairwise(ends)]


def _slowed(video: Path, fps: float) -> float:
    """Return the requested rate or the video's own, whichever is lower; reject videos that are far too long."""
    of_video = facts(video)
    fps = min(fps, of_video.fps)
    if of_video.duration_s * fps > MAX_ANIMATION_FRAMES:
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
