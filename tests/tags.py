"""Settings inside an MP4, parsed independently of the page's parser: by the boxes where this program writes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from hunyuan_ui.errors import MediaError, reason
from hunyuan_ui.media import check_mp4
from hunyuan_ui.media.mp4_boxes import Box, boxes, opened
from hunyuan_ui.media.settings_tag import OWN_BOX, request_in
from hunyuan_ui.request import VideoRequest

_MOST_BYTES = 64 * 1024


def settings_of(path: Path) -> VideoRequest:
    """Return the request stored in a complete MP4; errors as `check_mp4` and `request_in`."""
    check_mp4(path)
    refused: list[MediaError] = []
    with opened(path) as (file, size):
        for text in _texts(file, size):
            try:
                return request_in(text.decode("utf-8", "replace"))
            except MediaError as error:
                refused.append(error)
    ours = [error for error in refused if error.code != "no_settings_in_video"]
    raise (ours or refused or [MediaError("no_settings_in_video")])[0]


def _texts(file: BinaryIO, size: int) -> Iterator[bytes]:
    for box in boxes(file, 0, size):
        if box.kind == b"moov":
            with suppress(MediaError):  # other programs may store anything there
                yield from _comments(file, box)
        elif box.kind == b"uuid" and _bytes(file, box, 16) == OWN_BOX:
            yield _bytes(file, box._replace(start=box.start + 16), _MOST_BYTES)


def _comments(file: BinaryIO, moov: Box) -> Iterator[bytes]:
    found = [moov]
    for kind, skipped in ((b"udta", 0), (b"meta", 0), (b"ilst", 4), (b"\xa9cmt", 0), (b"data", 0)):
        within = [(box.start + skipped, box.end) for box in found]
        found = [box for start, end in within for box in boxes(file, start, end, reason("box")) if box.kind == kind]
    for box in found:
        yield _bytes(file, box._replace(start=box.start + 8), _MOST_BYTES)


def _bytes(file: BinaryIO, box: Box, limit: int) -> bytes:
    file.seek(box.start)
    return file.read(min(limit, max(0, box.end - box.start)))
