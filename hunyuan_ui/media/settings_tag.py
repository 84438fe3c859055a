"""Settings inside an MP4: written without re-encoding, parsed, and removed again.

They are written twice. The `comment` tag in `moov/udta/meta/ilst` is shown by players and ffprobe, and survives a
remux; FFmpeg writes it. The `uuid` box between index and media data, which FFmpeg cannot write, survives programs that
rewrite known tags. The page finds both in any file (ui/web/mp4_settings.js) and has them parsed here.

Source: ISO/IEC 14496-12 for the boxes; the `ilst` item is the one QuickTime, FFmpeg and PyAV call "comment".
"""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, cast
from uuid import UUID
from zlib import crc32

from hunyuan_ui.errors import InvalidRequestError, MediaError, reason
from hunyuan_ui.file_writes import atomic_write
from hunyuan_ui.media import check_mp4
from hunyuan_ui.media.decoding import UNPROBED
from hunyuan_ui.media.mp4_boxes import boxes, chunk_places, opened, outer_boxes, payload_of
from hunyuan_ui.request import VideoRequest

MODEL: Final = "HunyuanVideo 13B"
MARK: Final = "hunyuan_ui"  # key that identifies our comments; its value is the version
_VERSION: Final = 1
_MOVED_BYTES: Final = 1024 * 1024  # per read
OWN_BOX: Final = UUID("5a3f6d8e-2c41-4b7e-9d53-6f0b1c8e7a92").bytes


def write(source: Path, target: Path, request: VideoRequest) -> None:
    """Write a copy of an MP4 with a request's settings; its frames are copied unchanged.

    Args:
        source: A complete MP4.
        target: Written atomically; may be the source itself.
        request: The settings of the video. Nothing else is written: no key, no visitor, no job.

    Raises:
        MediaError: The file is not a complete MP4, or FFmpeg cannot copy every packet of it.
        OSError: The copy cannot be written.
    """
    facts = {MARK: _VERSION, "model": MODEL, "settings": request.model_dump()}
    _rewrite(source, target, json.dumps(facts, ensure_ascii=False))


def strip(source: Path, target: Path) -> None:
    """Write a copy of an MP4 without its comment and without the data of `write`; its frames are copied unchanged.

    A file that FFmpeg cannot copy, as one with a track of timecodes, never took any settings: it is copied as it is.

    Raises:
        MediaError: The file is not a complete MP4, or has a comment, and FFmpeg cannot copy every packet of it.
        OSError: The copy cannot be written.
    """
    try:
        _rewrite(source, target, None)
    except MediaError as error:
        if error.facts.get("problem") != reason("cannot_be_copied") or _may_have_settings(source):
            raise
        with atomic_write(target) as part:
            shutil.copyfile(source, part)


def request_in(text: str) -> VideoRequest:
    """Parse the request in a text from inside an MP4, validated like any other.

    Raises:
        MediaError: `no_settings_in_video` for another program's text; `bad_settings_in_video` for damaged or invalid
            settings.
    """
    try:
        facts: object = json.loads(text)
    except (ValueError, RecursionError):
        facts = None
    if not isinstance(facts, dict) or MARK not in facts:
        if f'"{MARK}"' in text[:64]:
            raise MediaError("bad_settings_in_video", problem=reason("settings_damaged"))
        raise MediaError("no_settings_in_video")
    settings = cast("dict[str, object]", facts).get("settings")
    if not isinstance(settings, dict):
        raise MediaError("bad_settings_in_video", problem=reason("settings_damaged"))
    try:
        return VideoRequest.parse(cast("dict[str, Any]", settings))
    except InvalidRequestError as error:
        raise MediaError("bad_settings_in_video", problem=error.as_reason) from None


# writing


def _rewrite(source: Path, target: Path, text: str | None) -> None:
    """Write a copy with this comment and own box, or with neither, atomically."""
    from av.error import FFmpegError

    check_mp4(source)
    with atomic_write(target) as part:
        try:
            copied = _remux(source, part, {} if text is None else {"comment": text})
            if not copied:  # FFmpeg then creates no file
                raise MediaError("export_failed", problem=reason("cannot_be_copied"))
            with opened(source) as (file, size), part.open("r+b") as out:
                own = [] if text is None else [OWN_BOX + text.encode()]
                payloads = (*_foreign_boxes(file, size), *own)
                _insert(out, b"".join(struct.pack(">I4s", len(one) + 8, b"uuid") + one for one in payloads))
                out.flush()
                os.fsync(out.fileno())
            check_mp4(part)
            if _packets(part) != copied:
                raise MediaError("export_failed", problem=reason("copy_differs"))
        except OSError:  # some of FFmpeg's errors are OSErrors, such as a full disk
            raise
        except (FFmpegError, ValueError) as error:
            raise MediaError("export_failed", problem=reason("cannot_be_copied")) from error


def _remux(source: Path, target: Path, tags: dict[str, str]) -> list[tuple[object, ...]]:
    """Copy every packet, with the index first, so that players can start during the download.

    Returns:
        The result of `_packets` for the source.
    """
    import av

    output: Any = av.open(target, "w", format="mp4", options={"movflags": "faststart"})
    copied = _Packets()
    with _demuxing(source) as container, output:
        kept = {name: value for name, value in container.metadata.items() if not name.startswith("comment")}
        output.metadata.update({**kept, **tags})
        streams: dict[int, Any] = {}
        for stream in container.streams:
            # Opaque: copied as is, even if no encoder has its decoder's name, as for AV1.
            streams[stream.index] = copy = output.add_stream_from_template(stream, opaque=True)
            copy.metadata.update(stream.metadata)
            copy.time_base = stream.time_base
        for packet in container.demux():
            if packet.dts is not None:
                copied.add(packet)
                packet.stream = streams[packet.stream_index]
                output.mux_one(packet)
    return copied.found()


def _packets(path: Path) -> list[tuple[object, ...]]:
    """Return each packet's stream, times relative to its stream's start, flags and checksum, in decoding order."""
    packets = _Packets()
    with _demuxing(path) as container:
        for packet in container.demux():
            if packet.dts is not None:
                packets.add(packet)
    return packets.found()


class _Packets:
    """Packet properties that are compared before and after copying.

    FFmpeg may move a whole stream by less than 1 ms, because an edit list counts in ms.
    """

    def __init__(self) -> None:
        self._first: dict[int, int] = {}
        self._found: list[tuple[object, ...]] = []

    def add(self, packet: Any) -> None:
        began = self._first.setdefault(packet.stream_index, packet.dts)
        times = (packet.dts - began, packet.pts - began)
        self._found.append((packet.stream_index, *times, packet.is_keyframe, packet.is_discard, crc32(packet)))

    def found(self) -> list[tuple[object, ...]]:
        return sorted(self._found)


def _demuxing(path: Path) -> Any:
    import av

    return av.open(path, format="mp4", metadata_errors="replace", options=UNPROBED)


def _may_have_settings(path: Path) -> bool:
    with opened(path) as (file, size):
        is_own = any(box.kind == b"uuid" and payload_of(file, box)[:16] == OWN_BOX for box in outer_boxes(file, size))
    with _demuxing(path) as container:
        return is_own or any(name.startswith("comment") for name in container.metadata)


def _foreign_boxes(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield other programs' boxes beside the index and the media data, which FFmpeg does not copy."""
    for box in outer_boxes(file, size):
        if box.kind == b"uuid":
            file.seek(box.start)
            if file.read(16) != OWN_BOX:
                yield payload_of(file, box)


def _insert(file: BinaryIO, data: bytes) -> None:
    """Insert boxes between the index and the media data of a file with that order.

    FFmpeg, which Chromium plays with, visits every top-level box before the first frame: for one after the media data
        it requests the end of the file first, and aborts the pending response.
    """
    size = file.seek(0, os.SEEK_END)
    index = next(box for box in boxes(file, 0, size) if box.kind == b"moov")
    for place in chunk_places(file, index):
        file.seek(place.start)
        file.write(place.moved(len(data)))
    end = size
    while end > index.end:
        start = max(index.end, end - _MOVED_BYTES)
        file.seek(start)
        moved = file.read(end - start)
        file.seek(start + len(data))
        file.write(moved)
        end = start
    file.seek(index.end)
    file.write(data)
