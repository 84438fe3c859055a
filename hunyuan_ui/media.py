"""MP4 files: whether one is whole, what is in it, its poster, and encoding one from planes.

PyAV, Pillow and numpy are imported where they are used, so that starting the app does not wait for them.
"""

from __future__ import annotations

import os
import secrets
import struct
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple, NoReturn, cast

from hunyuan_ui.errors import MediaError

if TYPE_CHECKING:
    import numpy as np
    from av import VideoStream
    from av.container import InputContainer
    from numpy.typing import NDArray
    from PIL import Image

POSTER_SIDE: Final = 480  # px; a card in My videos is about 240 CSS px wide, and screens have two pixels in each
POSTER_QUALITY: Final = 78
X264_PRESET: Final = (
    "superfast"  # keeps smooth skies clean at half the speed of ultrafast, whose file is twice as large
)
X264_CRF: Final = 21

_MAX_TABLE: Final = (
    4 * 2**20
)  # bytes; twelve hours of pictures, where the tables of the longest clip the model makes are about 2 kB
_MAX_BOXES: Final = 100_000  # boxes in one folder; a file of nothing but empty boxes must not hold us up


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """Size in px as coded, frames a second, number of frames, and seconds of the first video track."""

    width: int
    height: int
    fps: float
    frames: int
    duration_s: float


def check_mp4(path: Path) -> None:
    """Make sure a file is a whole MP4 with a video in it, down to its last byte.

    Only the structure is read, not the pictures: every box must lie within its parent, every picture within the file.

    Raises:
        MediaError: `not_a_video` for anything that is not an MP4 with a video track, `video_cut_short` for one
            that ends too early, `video_missing` when there is no file.

    Source: faults-and-security.md, row 35; ISO/IEC 14496-12.
    """
    with _opened(path) as (file, size):
        _walk(file, size)


def facts(path: Path) -> VideoFacts:
    """Return size, frame rate, frames and duration of an MP4's first video track.

    Raises:
        MediaError: As `check_mp4`.
    """
    with _opened(path) as (file, size):
        track = _walk(file, size)
    if track.is_fragmented:
        return _facts_of_fragments(path)
    seconds = track.ticks / track.timescale
    return VideoFacts(track.width, track.height, track.frames / seconds, track.frames, seconds)


def write_poster(video: Path, poster: Path) -> None:
    """Write a small WebP of the frame a third into the video, as one step: whole or not at all.

    Raises:
        MediaError: The video cannot be decoded.
    """
    image = _frame_at(video, 1 / 3)
    image.thumbnail((POSTER_SIDE, POSTER_SIDE))
    with _replacing(poster) as part:
        image.save(part, format="WEBP", quality=POSTER_QUALITY, method=4)


def encode_mp4(path: Path, width: int, height: int, fps: int, frames: Iterable[NDArray[np.uint8]]) -> None:
    """Write an H.264 MP4 (yuv420p, BT.709, index first) as one step: whole or not at all.

    The same frames give the same bytes, on any number of cores.

    Args:
        path: The file to write.
        width: Pixels, even.
        height: Pixels, even.
        fps: Frames a second.
        frames: Packed yuv420p planes, each an array of height * 3 / 2 rows and width columns.

    Raises:
        MediaError: A frame has another size, or libx264 refuses it.
    """
    import av
    from av.error import FFmpegError

    with _replacing(path) as part:
        try:
            container: Any = av.open(part, "w", format="mp4", options={"movflags": "faststart"})
            with container:
                _encode(container, width, height, fps, frames)
        except FFmpegError as error:
            raise MediaError("export_failed", problem=str(error)) from error


class _Box(NamedTuple):
    kind: bytes
    start: int  # of the payload
    end: int


class _Track(NamedTuple):
    width: int
    height: int
    timescale: int
    ticks: int
    frames: int
    is_fragmented: bool


def _walk(file: BinaryIO, size: int) -> _Track:
    boxes = list(_boxes(file, 0, size, "the file"))
    kinds = [box.kind for box in boxes]
    if not boxes:
        raise MediaError("not_a_video")
    if b"moov" not in kinds:
        _cut_short("its index is missing")
    if b"mdat" not in kinds:
        _cut_short("its pictures are missing")
    moov = _children(file, boxes[kinds.index(b"moov")])
    is_fragmented = b"mvex" in moov and b"moof" in kinds
    for box in moov.get(b"trak", []):
        media = _children(file, _only(_children(file, box), b"mdia"))
        if _read(file, _only(media, b"hdlr"))[8:12] == b"vide":
            return _video_track(file, media, size, is_fragmented=is_fragmented)
    raise MediaError("not_a_video")


def _boxes(file: BinaryIO, start: int, end: int, parent: str) -> Iterator[_Box]:
    """Yield the boxes between two offsets, which they must fill exactly."""
    for number in range(_MAX_BOXES):
        if start == end:
            return
        file.seek(start)
        head = file.read(min(16, end - start))
        kind = head[4:8]
        if parent == "the file" and number == 0 and kind != b"ftyp":
            raise MediaError("not_a_video")
        if len(head) < 8:
            _cut_short(f"{parent} ends inside a box")
        length, payload = int.from_bytes(head[:4], "big"), 8
        if length == 1:
            length, payload = int.from_bytes(head[8:16], "big"), 16
        elif length == 0 and parent == "the file":
            length = end - start
        if length < payload or length > end - start:
            _cut_short(f"box {_shown(kind)} says {length} bytes where {parent} has {end - start} left")
        yield _Box(kind, start + payload, start + length)
        start += length
    raise MediaError("not_a_video")


def _children(file: BinaryIO, box: _Box) -> dict[bytes, list[_Box]]:
    found: dict[bytes, list[_Box]] = {}
    for child in _boxes(file, box.start, box.end, f"box {_shown(box.kind)}"):
        found.setdefault(child.kind, []).append(child)
    return found


def _only(boxes: dict[bytes, list[_Box]], kind: bytes) -> _Box:
    if kind not in boxes:
        _cut_short(f"its index has no box {_shown(kind)}")
    return boxes[kind][0]


def _video_track(file: BinaryIO, media: dict[bytes, list[_Box]], size: int, *, is_fragmented: bool) -> _Track:
    header = _read(file, _only(media, b"mdhd"))
    timescale = _number(header, 20 if header[:1] == b"\1" else 12)
    table = _children(file, _only(_children(file, _only(media, b"minf")), b"stbl"))
    entry = _read(file, _only(table, b"stsd"))
    width, height = _number(entry, 40, 2), _number(entry, 42, 2)
    if not (timescale and width and height):
        raise MediaError("not_a_video")
    runs = _entries(_read(file, _only(table, b"stts")), 2)
    frames, ticks = sum(count for count, _ in runs), sum(count * delta for count, delta in runs)
    if not is_fragmented:
        if not ticks:
            _cut_short("its duration is 0")
        _check_samples(file, table, frames, size)
    return _Track(width, height, timescale, ticks, frames, is_fragmented)


def _check_samples(file: BinaryIO, table: dict[bytes, list[_Box]], frames: int, size: int) -> None:
    """Refuse an index that points past the end of the file, which a `size 0` box at the end would hide."""
    sizes = _read(file, _only(table, b"stsz"))
    fixed, count = _number(sizes, 4), _number(sizes, 8)
    if count != frames:
        _cut_short(f"its index has {count} pictures and {frames} times")
    ends = [0, *accumulate(size for (size,) in _entries(sizes[4:], 1))] if not fixed else None
    is_long = b"co64" in table
    offsets = _entries(_read(file, _only(table, b"co64" if is_long else b"stco")), 1, width=8 if is_long else 4)
    runs = _entries(_read(file, _only(table, b"stsc")), 3)
    first = run = 0
    for chunk, (offset,) in enumerate(offsets, start=1):
        while run + 1 < len(runs) and runs[run + 1][0] <= chunk:
            run += 1
        last = min(first + (runs[run][1] if runs else 0), count)
        length = (last - first) * fixed if ends is None else ends[last] - ends[first]
        if offset + length > size:
            _cut_short(f"picture {last} of {count} would end at byte {offset + length} of {size}")
        first = last
    if first != count:
        _cut_short(f"only {first} of {count} pictures have a place in the file")


def _read(file: BinaryIO, box: _Box) -> bytes:
    if box.end - box.start > _MAX_TABLE:
        raise MediaError("not_a_video")
    file.seek(box.start)
    return file.read(box.end - box.start)


def _number(data: bytes, offset: int, width: int = 4) -> int:
    if len(data) < offset + width:
        _cut_short("a box of its index is too small")
    return int.from_bytes(data[offset : offset + width], "big")


def _entries(table: bytes, columns: int, *, width: int = 4) -> list[tuple[int, ...]]:
    """Return the rows of a table box: version and flags, row count, rows of big-endian numbers."""
    row = struct.Struct(">" + ("I" if width == 4 else "Q") * columns)
    count = _number(table, 4)
    if len(table) < 8 + count * row.size:
        _cut_short("a table of its index is too small")
    return list(row.iter_unpack(table[8 : 8 + count * row.size]))


def _shown(kind: bytes) -> str:
    return kind.decode("latin-1").encode("unicode_escape").decode()


def _cut_short(problem: str) -> NoReturn:
    raise MediaError("video_cut_short", problem=problem)


@contextmanager
def _opened(path: Path) -> Generator[tuple[BinaryIO, int]]:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise MediaError("video_missing") from None
    with file:
        yield file, os.fstat(file.fileno()).st_size


@contextmanager
def _replacing(path: Path) -> Generator[Path]:
    """Give a file beside `path` to write to, which takes its place when all went well and is removed otherwise."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield part
        os.replace(part, path)  # noqa: PTH105 - the file may be read by others at this moment; replace says it is atomic
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _decoding(path: Path) -> Generator[tuple[InputContainer, VideoStream]]:
    import av
    from av.error import FFmpegError

    try:
        # Without a format, FFmpeg would follow a text file of its own kind to other files of this machine.
        container = av.open(path, format="mp4")
        with container:
            if not container.streams.video:
                raise MediaError("not_a_video")
            yield container, container.streams.video[0]
    except FileNotFoundError:
        raise MediaError("video_missing") from None
    except FFmpegError as error:
        raise MediaError("not_a_video") from error


def _facts_of_fragments(path: Path) -> VideoFacts:
    with _decoding(path) as (container, stream):
        frames = sum(1 for packet in container.demux(stream) if packet.size)
        fps = float(stream.average_rate or 0)
        if not frames or not fps:
            _cut_short("its duration is 0")
        return VideoFacts(stream.width, stream.height, fps, frames, frames / fps)


def _frame_at(path: Path, share: float) -> Image.Image:
    with _decoding(path) as (container, stream):
        stream.thread_type = "AUTO"
        target = int((stream.duration or 0) * share)
        container.seek(target, stream=stream)
        frame = None
        for frame in container.decode(stream):
            if frame.pts is None or frame.pts >= target:
                break
        if frame is None:
            raise MediaError("not_a_video")
        image: Image.Image = cast("Any", frame).to_image()
        return image


def _encode(container: Any, width: int, height: int, fps: int, frames: Iterable[NDArray[np.uint8]]) -> None:
    import av

    # One thread: how x264 splits its work over cores shows in the bytes.
    options = {"preset": X264_PRESET, "crf": str(X264_CRF), "threads": "1"}
    stream = container.add_stream("libx264", rate=fps, options=options)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    context = stream.codec_context
    context.color_range = 1  # limited ("MPEG"), with BT.709 below: FFmpeg's numbers
    context.colorspace = context.color_primaries = context.color_trc = 1
    for index, planes in enumerate(frames):
        if planes.shape != (height * 3 // 2, width):
            raise MediaError("export_failed", problem=f"frame {index} is not {width} x {height}")
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = index
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
