"""Checks that an MP4 is complete, and reads its properties."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from hunyuan_ui.errors import MediaError
from hunyuan_ui.file_type import MOV, MP4, VideoType
from hunyuan_ui.media.decoding import decoding, type_of
from hunyuan_ui.media.mp4_boxes import (
    Box,
    children,
    compact_sizes,
    cut_short,
    entries,
    number,
    only,
    opened,
    outer_boxes,
    payload_of,
)
from hunyuan_ui.request import FPS

_OF_BOXES: Final = (MP4, MOV)


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """Size in px as coded, frames per second, number of frames, and seconds of the first video track."""

    width: int
    height: int
    fps: float
    frames: int
    duration_s: float


def check_mp4(path: Path, *, is_cut: bool = False) -> None:
    """Check that a file is a complete MP4 with a video track, down to its last picture.

    Only the structure is read, not the frames: every box must lie within its parent, every sample within the file.

    Args:
        is_cut: The file may lack its end: one that does not name its last picture is then taken for truncated.

    Raises:
        MediaError: `not_a_video` for anything that is not an MP4 with a video track, `video_cut_short` for a truncated
            one, `video_missing` if there is no file.

    Source: docs/facts/faults-and-security.md, row 35; ISO/IEC 14496-12.
    """
    with opened(path) as (file, size):
        if _walk(file, size).is_fragmented and is_cut:
            cut_short("no_end")


def check_video(path: Path, *, is_cut: bool = False) -> VideoType:
    """Check that a file is a complete video whose first frame can be decoded, and return its format.

    An MP4 or QuickTime file is checked down to its last picture; any other format for its last frame.

    Args:
        is_cut: As for `check_mp4`.

    Raises:
        MediaError: `video_undecodable` for a complete file without a decodable frame, else as `check_mp4`.
    """
    kind = type_of(path)
    if kind is None:
        raise MediaError("not_a_video")
    if kind in _OF_BOXES:
        check_mp4(path, is_cut=is_cut)
    elif is_cut:
        cut_short("no_end")
    try:
        with decoding(path) as (container, stream):
            if next(container.decode(stream), None) is None:
                raise MediaError("video_undecodable")
        if kind not in _OF_BOXES:
            facts(path)
    except MediaError as error:
        raise MediaError("video_undecodable") from error
    return kind


def facts(path: Path) -> VideoFacts:
    """Return size, frame rate, frames and duration of a file's first video track.

    Raises:
        MediaError: As `check_mp4`.
    """
    if type_of(path) not in _OF_BOXES:
        return _facts_of_packets(path)
    with opened(path) as (file, size):
        track = _walk(file, size)
    if track.is_fragmented:
        return _facts_of_packets(path)
    # A single picture needs no duration: it counts as one of the model's frames.
    seconds = track.ticks / track.timescale or 1 / FPS
    return VideoFacts(track.width, track.height, track.frames / seconds, track.frames, seconds)


class _Track(NamedTuple):
    width: int
    height: int
    timescale: int
    ticks: int
    frames: int
    is_fragmented: bool


def _walk(file: BinaryIO, size: int) -> _Track:
    outer = outer_boxes(file, size)
    kinds = [box.kind for box in outer]
    if not outer:
        raise MediaError("not_a_video")
    if b"moov" not in kinds:
        cut_short("index_missing")
    if b"mdat" not in kinds:
        cut_short("pictures_missing")
    moov = children(file, outer[kinds.index(b"moov")])
    is_fragmented = b"mvex" in moov and b"moof" in kinds
    for box in moov.get(b"trak", []):
        media = children(file, only(children(file, box), b"mdia"))
        if payload_of(file, only(media, b"hdlr"))[8:12] == b"vide":
            return _video_track(file, media, size, is_fragmented=is_fragmented)
    raise MediaError("not_a_video")


def _video_track(file: BinaryIO, media: dict[bytes, list[Box]], size: int, *, is_fragmented: bool) -> _Track:
    header = payload_of(file, only(media, b"mdhd"))
    timescale = number(header, 20 if header[:1] == b"\1" else 12)
    table = children(file, only(children(file, only(media, b"minf")), b"stbl"))
    entry = payload_of(file, only(table, b"stsd"))
    width, height = number(entry, 40, 2), number(entry, 42, 2)
    if not (timescale and width and height):
        raise MediaError("not_a_video")
    runs = entries(payload_of(file, only(table, b"stts")), 2)
    ticks, frames = sum(count * delta for count, delta in runs), 0
    if not is_fragmented:
        frames = _check_samples(file, table, size)
        if not frames or (frames > 1 and not ticks):
            cut_short("no_duration")
    return _Track(width, height, timescale, ticks, frames, is_fragmented)


def _check_samples(file: BinaryIO, table: dict[bytes, list[Box]], size: int) -> int:
    """Reject an index that points past the end of the file, which a `size 0` box at the end would hide.

    Returns:
        The number of pictures. Players do not mind if there are more or fewer times than these.
    """
    count, end_of = _sizes(file, table)
    is_long = b"co64" in table
    offsets = entries(payload_of(file, only(table, b"co64" if is_long else b"stco")), 1, width=8 if is_long else 4)
    runs = entries(payload_of(file, only(table, b"stsc")), 3)
    first = run = 0
    for chunk, (offset,) in enumerate(offsets, start=1):
        while run + 1 < len(runs) and runs[run + 1][0] <= chunk:
            run += 1
        last = min(first + (runs[run][1] if runs else 0), count)
        length = end_of(last) - end_of(first)
        if offset + length > size:
            cut_short("picture_outside", picture=last, count=count, end=offset + length, size=size)
        first = last
    if first != count:
        cut_short("pictures_without_place", placed=first, count=count)
    return count


def _sizes(file: BinaryIO, table: dict[bytes, list[Box]]) -> tuple[int, Callable[[int], int]]:
    """Return the number of pictures, and a function to the bytes that so many of them take."""
    if b"stz2" in table and b"stsz" not in table:
        compact = payload_of(file, table[b"stz2"][0])
        count, ends = number(compact, 8), [0, *accumulate(compact_sizes(compact))]
    else:
        sizes = payload_of(file, only(table, b"stsz"))
        fixed, count = number(sizes, 4), number(sizes, 8)
        if fixed:
            return count, lambda pictures: pictures * fixed
        ends = [0, *accumulate(size for (size,) in entries(sizes[4:], 1))]
    return count, ends.__getitem__


def _facts_of_packets(path: Path) -> VideoFacts:
    with decoding(path) as (container, stream):
        times = [packet.pts for packet in container.demux(stream) if packet.size]
        frames = len(times)
        if not frames:
            cut_short("no_duration")
        # A file that was written as a stream may name no rate, and FFmpeg's guess is then the clock's.
        fps = float(stream.average_rate or 0) or _rate_of(times, float(stream.time_base or 0)) or float(FPS)
        return VideoFacts(stream.width, stream.height, fps, frames, frames / fps)


def _rate_of(times: list[int | None], tick_s: float) -> float:
    """Return the frames per second by the times of the pictures; 0 if these do not tell it."""
    known = [time for time in times if time is not None]
    span_s = (max(known) - min(known)) * tick_s if known else 0.0
    return (len(known) - 1) / span_s if span_s > 0 else 0.0
