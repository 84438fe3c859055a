"""Finds a video that a response contains in place of its address: its bytes, or base64 in JSON or in text; no I/O."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import Final

from hunyuan_ui.file_type import START_BYTES, video_type

MOST_BYTES: Final = 32 * 1024 * 1024  # of a body that may contain one; the largest clip of the model is a few MB

_DATA_URL: Final = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)
_START_CHARACTERS: Final = 4 * START_BYTES
_OTHER_ALPHABET: Final = str.maketrans("-_", "+/", " \t\r\n")


def embedded_video(body: bytes, texts: Iterable[str]) -> bytes | None:
    """Return the video in a complete body, or None.

    Args:
        body: The whole response.
        texts: Those of its JSON value, or the body itself as text; read only if the body is no video.
    """
    if video_type(body[:START_BYTES]) is not None:
        return body
    return next((video for text in texts if (video := _video_in(text)) is not None), None)


def _video_in(text: str) -> bytes | None:
    head = _DATA_URL.match(text.lstrip()[:300])
    text = text.lstrip()[head.end() if head else 0 :]
    start = _decoded(text[:_START_CHARACTERS])
    return _decoded(text) if start is not None and video_type(start[:START_BYTES]) is not None else None


def _decoded(text: str) -> bytes | None:
    """Decode base64 of either alphabet, with or without line breaks and padding."""
    letters = text.translate(_OTHER_ALPHABET).rstrip("=")
    letters = letters[: len(letters) - (len(letters) % 4 == 1)]
    try:
        return base64.b64decode(letters + "=" * (-len(letters) % 4), validate=True)
    except ValueError:
        return None
