"""Single frames of a video: its poster, and stills."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from hunyuan_ui.errors import MediaError
from hunyuan_ui.file_writes import atomic_write
from hunyuan_ui.media.decoding import decoding

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream
    from PIL import Image

POSTER_SIDE: Final = 480  # px; a card in My videos is about 240 CSS px wide, and screens have two pixels in each
POSTER_QUALITY: Final = 78
_LARGEST_POSTER: Final = 4 * POSTER_SIDE  # px; a larger picture would take much memory to decode
POSTER_AT: Final = 1 / 10  # of the duration: past the very first frame, but each further frame must be decoded too
_FILE_TICKS: Final = 1_000_000  # in a second; FFmpeg's unit of times that belong to no track
_LAST_TICK: Final = 2**63 - 1
EARLY_S: Final = 1e-4  # rounding tolerance between a frame's time and a requested time


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


def _frame_at(video: Path, at_s: float | None, *, side: int | None = None) -> Image.Image:
    """Return the last frame that begins no later than a time, else the first; None means the poster's time."""
    # A file without an index may be left at its end by a seek.
    image = _image_at(video, at_s, side, seeks=True) or _image_at(video, at_s, side, seeks=False)
    if image is None:
        raise MediaError("not_a_video")
    return image


def _image_at(video: Path, at_s: float | None, side: int | None, *, seeks: bool) -> Image.Image | None:
    with decoding(video, probes=False) as (container, stream):
        if at_s is None:
            # Some formats, such as WebM, state the duration of the file only.
            ticks, tick_s = stream.duration, float(stream.time_base or 1)
            at_s = POSTER_AT * ((container.duration or 0) / _FILE_TICKS if ticks is None else ticks * tick_s)
        else:
            stream.thread_type = "AUTO"  # a poster's few frames are decoded before threads have started
        if seeks:
            container.seek(min(int(at_s * _FILE_TICKS), _LAST_TICK))  # a file may state any duration
        seen = None
        for frame in container.decode(stream):
            if seen is not None and frame.pts is not None and frame.time > at_s + EARLY_S:
                break
            seen = frame
        if seen is None:
            return None
        image: Image.Image = cast("Any", seen).to_image(**scaling_to(seen, side))
        return image


def scaling_to(picture: VideoStream | VideoFrame, side: int | None) -> dict[str, Any]:
    """Return options that scale a frame during colour conversion, which is cheaper than doing so afterwards."""
    longer = max(picture.width, picture.height)
    if side is None or side >= longer:
        return {}
    width, height = (max(1, round(length * side / longer)) for length in (picture.width, picture.height))
    return {"width": width, "height": height, "interpolation": "AREA"}
