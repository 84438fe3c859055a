"""MP4 files disassembled and assembled box by box, independently of the program."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import av

from tests.videos import mp4_bytes


def pictures(path: Path) -> list[bytes]:
    """Return the decoded frames of a file."""
    with av.open(path, format="mp4", metadata_errors="replace") as container:
        return [frame.to_ndarray().tobytes() for frame in container.decode(video=0)]


def outer_boxes(data: bytes) -> list[tuple[bytes, int, int]]:
    """Return type, start and end of the top-level boxes."""
    found, start = [], 0
    while start < len(data):
        (size,) = struct.unpack_from(">I", data, start)
        found.append((data[start + 4 : start + 8], start, start + size))
        start += size
    return found


def with_moov(data: bytes, change: Callable[[bytes], bytes], *, is_last: bool = False) -> bytes:
    """Return the clip with another index, at the end of the file or in front, with correct offsets."""
    parts = {kind: data[start:end] for kind, start, end in outer_boxes(data) if kind != b"free"}
    moov = bytearray(change(parts[b"moov"]))
    at = moov.index(b"stco") + 4
    before = len(parts[b"ftyp"]) + 8 + (0 if is_last else len(moov))
    offsets = struct.unpack_from(f">{struct.unpack_from('>I', moov, at + 4)[0]}I", moov, at + 8)
    struct.pack_into(f">{len(offsets)}I", moov, at + 8, *(offset - offsets[0] + before for offset in offsets))
    ordered = [parts[b"mdat"], bytes(moov)] if is_last else [bytes(moov), parts[b"mdat"]]
    return parts[b"ftyp"] + b"".join(ordered)


def without_udta(moov: bytes) -> bytes:
    """Return an index without its user data."""
    start = moov.index(b"udta") - 4
    (size,) = struct.unpack_from(">I", moov, start)
    return box(b"moov", moov[8:start] + moov[start + size :])


def box(kind: bytes, payload: bytes) -> bytes:
    """Return a box of a type."""
    return struct.pack(">I", len(payload) + 8) + kind + payload


def with_udta(udta: bytes) -> Callable[[bytes], bytes]:
    """Return a function that sets the user data of an index."""
    return lambda moov: box(b"moov", without_udta(moov)[8:] + box(b"udta", udta))


def with_comment(text: bytes) -> bytes:
    """Return the clip with a comment tag."""
    handler = box(b"hdlr", bytes(8) + b"mdirappl" + bytes(9))
    item = box(b"\xa9cmt", box(b"data", struct.pack(">II", 1, 0) + text))
    meta = box(b"meta", bytes(4) + handler + box(b"ilst", item))
    return with_moov(mp4_bytes(), with_udta(meta))


def with_uuid_box(text: bytes) -> bytes:
    """Return the clip followed by the program's own box."""
    own = bytes.fromhex("5a3f6d8e2c414b7e9d536f0b1c8e7a92")
    return mp4_bytes() + box(b"uuid", own + text)
