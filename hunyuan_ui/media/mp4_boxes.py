"""Parses the box structure of MP4 files incrementally and within bounds.

Source: ISO/IEC 14496-12.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, NoReturn

from hunyuan_ui.errors import MediaError, Reason, reason
from hunyuan_ui.file_type import FILM_STARTS

# Bytes; enough for twelve hours, while the tables of the model's longest clip are about 2 kB.
_MAX_TABLE: Final = 4 * 2**20
_MAX_BOXES: Final = 100_000  # boxes per container; a file of nothing but empty boxes must not stall the parser

_OF_FILMS: Final = (b"ftyp", b"moov", b"mdat", b"moof")  # boxes that a film cannot lack
_OF_FRAGMENTS: Final = (*_OF_FILMS, b"styp", b"sidx", b"emsg", b"prft", b"uuid", b"free", b"skip", b"mfra")

WHOLE_FILE: Final = reason("file")


class Box(NamedTuple):
    """A box by its four-letter type and the position of its payload in the file."""

    kind: bytes
    start: int
    end: int


def boxes(file: BinaryIO, start: int, end: int, parent: Reason = WHOLE_FILE) -> Iterator[Box]:
    """Yield the boxes between two offsets, which they must fill exactly; errors name the parent.

    Inside of another box, a few more bytes are accepted, as players do: QuickTime ends a list of boxes by a zero.
    """
    for index in range(_MAX_BOXES):
        if start >= end:
            return
        file.seek(start)
        head = file.read(min(16, end - start))
        kind = head[4:8]
        if parent == WHOLE_FILE and index == 0 and kind not in FILM_STARTS:
            raise MediaError("not_a_video")
        if len(head) < 8 and parent != WHOLE_FILE:
            return
        if len(head) < 8:
            cut_short("ends_inside_box", parent=parent)
        length, payload = int.from_bytes(head[:4], "big"), 8
        if length == 1:
            length, payload = int.from_bytes(head[8:16], "big"), 16
        elif length == 0:
            length = end - start
        if length < payload or length > end - start:
            cut_short("box_too_long", kind=shown(kind), length=length, parent=parent, left=end - start)
        yield Box(kind, start + payload, start + length)
        start += length
    raise MediaError("not_a_video")


def outer_boxes(file: BinaryIO, size: int) -> list[Box]:
    """Return the boxes of a file; what follows the last complete one is ignored unless it is a part of the film.

    Bytes that are no box follow many films, and players ignore them; the film's own index tells whether it is whole.
    """
    found: list[Box] = []
    try:
        found.extend(boxes(file, 0, size))
    except MediaError:
        kinds = {box.kind for box in found}
        if not {b"moov", b"mdat"} <= kinds:
            raise
        file.seek(found[-1].end)
        rest = file.read(8)
        if rest[4:] in _OF_FILMS or (b"moof" in kinds and _may_begin_a_fragment(rest)):
            raise
    return found


def _may_begin_a_fragment(head: bytes) -> bool:
    """Whether these up to 8 bytes may be the beginning of a truncated fragment: no index tells how many there are."""
    kind = head[4:]
    return any(one.startswith(kind) for one in _OF_FRAGMENTS) if kind else not head.isspace()


def children(file: BinaryIO, box: Box) -> dict[bytes, list[Box]]:
    """Return the boxes inside a box, by type."""
    found: dict[bytes, list[Box]] = {}
    for child in boxes(file, box.start, box.end, reason("box", kind=shown(box.kind))):
        found.setdefault(child.kind, []).append(child)
    return found


def only(found: dict[bytes, list[Box]], kind: bytes) -> Box:
    """Return the first box of a type that an index must have."""
    if kind not in found:
        cut_short("box_missing", kind=shown(kind))
    return found[kind][0]


def payload_of(file: BinaryIO, box: Box) -> bytes:
    """Return a box's payload, unless it exceeds the maximum table size."""
    if box.end - box.start > _MAX_TABLE:
        raise MediaError("not_a_video")
    file.seek(box.start)
    return file.read(box.end - box.start)


def number(data: bytes, offset: int, width: int = 4) -> int:
    """Return the big-endian number at an offset."""
    if len(data) < offset + width:
        cut_short("box_too_small")
    return int.from_bytes(data[offset : offset + width], "big")


def entries(table: bytes, columns: int, *, width: int = 4) -> list[tuple[int, ...]]:
    """Return the rows of a table box: version and flags, row count, rows of big-endian numbers."""
    row = struct.Struct(">" + ("I" if width == 4 else "Q") * columns)
    count = number(table, 4)
    if len(table) < 8 + count * row.size:
        cut_short("table_too_small")
    return list(row.iter_unpack(table[8 : 8 + count * row.size]))


def compact_sizes(table: bytes) -> list[int]:
    """Return the numbers of a compact size table (`stz2`): of 4, 8 or 16 bits each."""
    bits, count = number(table, 7, 1), number(table, 8)
    if bits not in (4, 8, 16) or len(table) < 12 + (count * bits + 7) // 8:
        cut_short("table_too_small")
    rows = table[12 : 12 + (count * bits + 7) // 8]
    if bits == 4:
        return [half for pair in rows for half in (pair >> 4, pair & 15)][:count]
    return [size for (size,) in struct.iter_unpack(">B" if bits == 8 else ">H", rows)]


class ChunkPlaces(NamedTuple):
    """Chunk offset table of a track: its position in the file, and its offsets of 4 or 8 bytes."""

    start: int
    offsets: list[int]
    width: int

    def moved(self, by: int) -> bytes:
        """Return the table with all offsets increased by `by` bytes."""
        return b"".join((offset + by).to_bytes(self.width, "big") for offset in self.offsets)


def chunk_places(file: BinaryIO, index: Box) -> Iterator[ChunkPlaces]:
    """Yield the chunk offset tables of an index (`moov`)."""
    for track in children(file, index).get(b"trak", []):
        inside = track
        for kind in (b"mdia", b"minf", b"stbl"):
            inside = only(children(file, inside), kind)
        table = children(file, inside)
        for kind, width in ((b"stco", 4), (b"co64", 8)):
            for box in table.get(kind, []):
                rows = entries(payload_of(file, box), 1, width=width)
                yield ChunkPlaces(box.start + 8, [offset for (offset,) in rows], width)


def shown(kind: bytes) -> str:
    """Return a box type as text that is safe to show."""
    return kind.decode("latin-1").encode("unicode_escape").decode()


def cut_short(code: str, **facts: object) -> NoReturn:
    """Reject a file that is shorter than it claims, with the reason of this code."""
    raise MediaError("video_cut_short", problem=reason(code, **facts))


@contextmanager
def opened(path: Path) -> Generator[tuple[BinaryIO, int]]:
    """Open a file and yield it with its size in bytes."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise MediaError("video_missing") from None
    with file:
        yield file, os.fstat(file.fileno()).st_size
