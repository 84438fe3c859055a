"""File types, detected by their first bytes (pure)."""

from __future__ import annotations

import json
from typing import Final, NamedTuple


class VideoType(NamedTuple):
    """A container format: its file suffix, its media type, and FFmpeg's name of its demuxer."""

    suffix: str
    mime: str
    demuxer: str


MP4: Final = VideoType(".mp4", "video/mp4", "mp4")
MOV: Final = VideoType(".mov", "video/quicktime", "mov")
WEBM: Final = VideoType(".webm", "video/webm", "matroska")
TYPES: Final = (
    MP4,
    MOV,
    WEBM,
    VideoType(".mkv", "video/x-matroska", "matroska"),
    VideoType(".avi", "video/x-msvideo", "avi"),
    VideoType(".gif", "image/gif", "gif"),
    VideoType(".ogv", "video/ogg", "ogg"),
    VideoType(".flv", "video/x-flv", "flv"),
    VideoType(".wmv", "video/x-ms-wmv", "asf"),
    VideoType(".mpg", "video/mpeg", "mpeg"),
    VideoType(".ts", "video/mp2t", "mpegts"),
)
BY_SUFFIX: Final = {kind.suffix: kind for kind in TYPES}
START_BYTES: Final = 512  # enough for `video_type`

# First boxes of an MP4 or, without `ftyp`, a QuickTime file (docs/facts/faults-and-security.md row 35).
FILM_STARTS: Final = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_EBML: Final = b"\x1a\x45\xdf\xa3"
_STARTS: Final = {
    b"GIF8": ".gif",
    b"OggS": ".ogv",
    b"FLV\x01": ".flv",
    b"\x30\x26\xb2\x75": ".wmv",
    b"\x00\x00\x01\xba": ".mpg",
}
_TS_PACKET: Final = 188  # bytes, each packet beginning with 0x47 (ISO/IEC 13818-1)


def video_type(start: bytes) -> VideoType | None:
    """Return the format of a file that begins with these bytes; None for an unknown one."""
    if start[4:8] in FILM_STARTS:
        return MP4 if start[4:8] == b"ftyp" else MOV
    if start.startswith(_EBML):
        # The document type is in its header, which is much shorter than this.
        return WEBM if b"webm" in start[:64] else BY_SUFFIX[".mkv"]
    if start.startswith(b"RIFF") and start[8:12] == b"AVI ":
        return BY_SUFFIX[".avi"]
    if len(start) > _TS_PACKET and start[0] == start[_TS_PACKET] == 0x47:
        return BY_SUFFIX[".ts"]
    suffix = _STARTS.get(start[:4])
    return None if suffix is None else BY_SUFFIX[suffix]


def is_text(start: bytes) -> bool:
    """Whether a file begins as text in one of JSON's encodings, as JSON and HTML do, or is empty."""
    if not start.strip(b"\0"):
        return True
    # An incomplete last character is accepted: only the first bytes are given.
    text = start.decode(json.detect_encoding(start), errors="replace").rstrip("\ufffd")
    is_whole = "\ufffd" not in text and len(text) * 4 + 4 > len(start)
    return is_whole and all(one.isprintable() or one.isspace() or one == "\ufeff" for one in text)
