"""Settings that travel inside an MP4: written without re-encoding, read back from anybody's file, taken out again.

They are written twice. The `comment` tag in `moov/udta/meta/ilst` is what players and ffprobe show, and it survives
a remux; the `uuid` box at the end of the file survives programs that rewrite the tags they know.

Source: ISO/IEC 14496-12 for the boxes; the `ilst` item is the one QuickTime, FFmpeg and PyAV call "comment".
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, cast
from uuid import UUID

from hunyuan_ui.errors import InvalidRequestError, MediaError, reason
from hunyuan_ui.media import check_mp4, replacing
from hunyuan_ui.media.mp4_boxes import Box, boxes, cut_short, opened
from hunyuan_ui.request import VideoRequest

MODEL: Final = "HunyuanVideo 13B"
MAX_TAG_BYTES: Final = 64 * 1024  # five times the longest that a request's texts can fill
MARK: Final = "hunyuan_ui"  # the key that says a comment is ours; its value is the version
_VERSION: Final = 1
_OWN_BOX: Final = UUID("5a3f6d8e-2c41-4b7e-9d53-6f0b1c8e7a92").bytes
_COMMENT: Final = b"\xa9cmt"
_MAX_INDEX_BYTES: Final = 16 * 2**20
_COPY_BYTES: Final = 1024 * 1024
_HOLDS_OFFSETS: Final = (b"trak", b"mdia", b"minf", b"stbl")
_TAGS_OF_PLAYERS: Final = bytes(8) + b"mdirappl" + bytes(9)  # the handler of an `ilst` of known items

_TAG: Final = reason("tag")

Boxes = list[tuple[bytes, bytes]]  # kind and payload


class _Piece(NamedTuple):
    """An outer box with its header."""

    kind: bytes
    start: int
    payload: int
    end: int


def write(source: Path, target: Path, request: VideoRequest) -> None:
    """Write a copy of an MP4 that carries a request's settings; its pictures stay the same bytes.

    Args:
        source: A whole MP4.
        target: Written as one step; may be the source itself.
        request: What the video was made from. Nothing else is written: no key, no visitor, no job.

    Raises:
        MediaError: The file is not a whole MP4, or its index cannot be changed safely.
        OSError: The copy cannot be written.
    """
    facts = {MARK: _VERSION, "model": MODEL, "settings": request.model_dump()}
    _rewrite(source, target, json.dumps(facts, ensure_ascii=False).encode())


def strip(source: Path, target: Path) -> None:
    """Write a copy of an MP4 without a comment and without what `write` put in; its pictures stay the same bytes.

    Raises:
        MediaError: The file is not a whole MP4, or its index cannot be changed safely.
        OSError: The copy cannot be written.
    """
    _rewrite(source, target, None)


def read(path: Path) -> VideoRequest:
    """Return the request an MP4 says it was made from, checked like any other.

    Raises:
        MediaError: `not_a_video` and `video_cut_short` as `check_mp4`; `no_settings_in_video` for anybody else's
            file; `bad_settings_in_video` when the settings are damaged or not ones this program would take.
    """
    check_mp4(path)
    refused: MediaError | None = None
    with opened(path) as (file, size):
        for text in _texts(file, size):
            try:
                request = _request_in(text)
            except MediaError as error:
                refused = refused or error
                continue
            if request is not None:
                return request
    raise refused or MediaError("no_settings_in_video")


# reading


def _texts(file: BinaryIO, size: int) -> Iterator[bytes]:
    for box in boxes(file, 0, size):
        if box.kind == b"moov":
            # A foreign file may keep something else there; that is no reason to refuse it.
            with suppress(MediaError):
                yield from _comments(file, box)
        elif box.kind == b"uuid" and _bytes(file, box, 16) == _OWN_BOX:
            yield _bytes(file, box._replace(start=box.start + 16), MAX_TAG_BYTES)


def _comments(file: BinaryIO, moov: Box) -> Iterator[bytes]:
    found = [moov]
    for kind, skipped in ((b"udta", 0), (b"meta", 0), (b"ilst", 4), (_COMMENT, 0), (b"data", 0)):
        within = [(box.start + skipped, box.end) for box in found]
        found = [box for start, end in within for box in boxes(file, start, end, _TAG) if box.kind == kind]
    for box in found:
        yield _bytes(file, box._replace(start=box.start + 8), MAX_TAG_BYTES)


def _bytes(file: BinaryIO, box: Box, limit: int) -> bytes:
    file.seek(box.start)
    return file.read(min(limit, max(0, box.end - box.start)))


def _request_in(text: bytes) -> VideoRequest | None:
    """Return the request in a tag; None for a comment that is somebody else's."""
    try:
        facts: object = json.loads(text.decode())
    except (ValueError, RecursionError):
        facts = None
    if not isinstance(facts, dict) or MARK not in facts:
        if f'"{MARK}"'.encode() in text[:64]:
            raise MediaError("bad_settings_in_video", problem=reason("settings_damaged"))
        return None
    settings = cast("dict[str, object]", facts).get("settings")
    if not isinstance(settings, dict):
        raise MediaError("bad_settings_in_video", problem=reason("settings_damaged"))
    try:
        return VideoRequest.parse(cast("dict[str, Any]", settings))
    except InvalidRequestError as error:
        raise MediaError("bad_settings_in_video", problem=error.as_reason) from None


# writing


def _rewrite(source: Path, target: Path, text: bytes | None) -> None:
    check_mp4(source)
    with replacing(target) as part:
        with opened(source) as (file, size), part.open("wb") as out:
            pieces = _index_first([piece for piece in _pieces(file, size) if not _is_own(file, piece)])
            moov = _new_moov(file, pieces, text)
            for piece in pieces:
                out.write(moov) if piece.kind == b"moov" else _copy(file, piece, out)
            if text is not None:
                out.write(_box(b"uuid", _OWN_BOX + text))
            out.flush()
            os.fsync(out.fileno())
        check_mp4(part)


def _pieces(file: BinaryIO, size: int) -> Iterator[_Piece]:
    start = 0
    for box in boxes(file, 0, size):
        yield _Piece(box.kind, start, box.start, box.end)
        start = box.end


def _index_first(pieces: list[_Piece]) -> list[_Piece]:
    """Return the boxes with the index before the pictures, so that a player can begin before the last byte is there."""
    kinds = [piece.kind for piece in pieces]
    if b"moof" in kinds or not {b"moov", b"mdat"} <= set(kinds):
        return pieces
    pictures, index = kinds.index(b"mdat"), kinds.index(b"moov")
    if index < pictures:
        return pieces
    return [*pieces[:pictures], pieces[index], *pieces[pictures:index], *pieces[index + 1 :]]


def _is_own(file: BinaryIO, piece: _Piece) -> bool:
    return piece.kind == b"uuid" and _bytes(file, Box(piece.kind, piece.payload, piece.end), 16) == _OWN_BOX


def _new_moov(file: BinaryIO, pieces: list[_Piece], text: bytes | None) -> bytes:
    """Return the whole index with another comment, and with every picture's place as it will be."""
    found = [piece for piece in pieces if piece.kind == b"moov"]
    if len(found) != 1 or found[0].end - found[0].start > _MAX_INDEX_BYTES:
        raise MediaError("export_failed", problem=reason("index_unknown"))
    file.seek(found[0].start)
    old = file.read(found[0].end - found[0].start)
    inside = _parsed(old[found[0].payload - found[0].start :])
    if any(kind == b"mvex" for kind, _ in inside):
        return old  # fragments point into the file from many places; there the box at the end is enough
    new = _box(b"moov", _packed(_with_comment(inside, text)))
    moved: list[tuple[int, int, int]] = []
    place = 0
    for piece in pieces:
        moved.append((piece.start, piece.end, place - piece.start))
        place += len(new) if piece.kind == b"moov" else piece.end - piece.start
    return _box(b"moov", _shifted(new[8:], moved))


def _with_comment(moov: Boxes, text: bytes | None) -> Boxes:
    udta = _tolerant(_first(moov, b"udta"))
    meta = _first(udta, b"meta")
    tags = _tolerant(meta[4:])
    if _first(tags, b"hdlr")[8:12] != b"mdir":
        if text is None:
            return moov
        meta, tags = bytes(4), [(b"hdlr", _TAGS_OF_PLAYERS)]
    items = [item for item in _tolerant(_first(tags, b"ilst")) if item[0] != _COMMENT]
    if text is not None:
        items.append((_COMMENT, _box(b"data", struct.pack(">II", 1, 0) + text)))
    tags = _put(tags, b"ilst", _packed(items))
    return _put(moov, b"udta", _packed(_put(udta, b"meta", meta[:4] + _packed(tags))))


def _shifted(data: bytes, moved: list[tuple[int, int, int]]) -> bytes:
    """Return the boxes with each chunk's offset changed by as much as the outer box it points into has moved."""

    def shift(offset: int) -> int:
        return offset + next((by for start, end, by in moved if start <= offset < end), 0)

    changed: Boxes = []
    for kind, payload in _parsed(data):
        if kind in _HOLDS_OFFSETS:
            payload = _shifted(payload, moved)
        elif kind in (b"stco", b"co64"):
            payload = _shifted_table(payload, "I" if kind == b"stco" else "Q", shift)
        changed.append((kind, payload))
    return _packed(changed)


def _shifted_table(table: bytes, number: str, shift: Callable[[int], int]) -> bytes:
    count = int.from_bytes(table[4:8], "big")
    row = struct.Struct(f">{count}{number}") if count <= len(table) else None
    if row is None or len(table) < 8 + row.size:
        cut_short("table_too_small")
    try:
        return table[:8] + row.pack(*map(shift, row.unpack_from(table, 8))) + table[8 + row.size :]
    except struct.error:
        raise MediaError("export_failed", problem=reason("index_too_small")) from None


def _copy(file: BinaryIO, piece: _Piece, out: BinaryIO) -> None:
    length = piece.end - piece.start
    file.seek(piece.start)
    if (head := file.read(4)) == bytes(4):
        # "To the end of the file" would swallow the box that follows now.
        if length >= 2**32:
            raise MediaError("export_failed", problem=reason("index_too_small"))
        head = length.to_bytes(4, "big")
    out.write(head)
    left = length - 4
    while left > 0:
        data = file.read(min(left, _COPY_BYTES))
        if not data:
            cut_short("became_shorter")
        out.write(data)
        left -= len(data)


# boxes in memory


def _parsed(data: bytes) -> Boxes:
    found: Boxes = []
    start = 0
    while start < len(data):
        length, head = int.from_bytes(data[start : start + 4], "big"), 8
        if length == 1:
            length, head = int.from_bytes(data[start + 8 : start + 16], "big"), 16
        if length < head or start + length > len(data):
            cut_short("box_does_not_fit")
        found.append((data[start + 4 : start + 8], data[start + head : start + length]))
        start += length
    return found


def _tolerant(data: bytes) -> Boxes:
    """Return the boxes in user data; nothing where it is not made of boxes, as QuickTime's old texts are."""
    for boxes_only in (data, data[:-4]):  # QuickTime ends its user data with four zeros
        with suppress(MediaError):
            return _parsed(boxes_only)
    return []


def _first(found: Boxes, kind: bytes) -> bytes:
    return next((payload for name, payload in found if name == kind), b"")


def _put(found: Boxes, kind: bytes, payload: bytes) -> Boxes:
    """Return the boxes with this one in the place of the first of its kind, else at the end."""
    others = [(name, old) for name, old in found if name != kind]
    place = next((index for index, (name, _) in enumerate(found) if name == kind), len(others))
    return [*others[:place], (kind, payload), *others[place:]]


def _packed(found: Boxes) -> bytes:
    return b"".join(_box(kind, payload) for kind, payload in found)


def _box(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I4s", len(payload) + 8, kind) + payload
