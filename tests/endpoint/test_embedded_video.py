"""A video in a response's body: its bytes, or base64 in any spelling."""

from __future__ import annotations

import base64

import pytest

from hunyuan_ui.endpoint.embedded_video import embedded_video
from tests.videos import mp4_bytes

MP4 = mp4_bytes()
B64 = base64.b64encode(MP4).decode()
LINES = "\n".join(B64[at : at + 76] for at in range(0, len(B64), 76))


@pytest.mark.parametrize(
    "text",
    [
        B64,
        B64.rstrip("="),
        f" {LINES}\r\n",
        base64.urlsafe_b64encode(MP4).decode(),
        f"data:video/mp4;base64,{B64}",
        f"DATA:video/mp4;codecs=avc1;base64,{LINES}",
    ],
    ids=lambda text: text[:30],
)
def test_a_video_is_decoded_however_it_is_spelled(text: str) -> None:
    assert embedded_video(b"{}", ["a cat", text]) == MP4


def test_bytes_are_the_video_as_they_are() -> None:
    assert embedded_video(MP4, []) == MP4


@pytest.mark.parametrize(
    "text",
    ["", "A" * 400, B64[:9] + "!" + B64[9:], base64.b64encode(b"\x89PNG\r\n" + bytes(400)).decode(), f"see {B64}"],
    ids=["nothing", "zeros", "damaged", "a picture", "within a sentence"],
)
def test_what_is_no_video_is_none(text: str) -> None:
    assert embedded_video(b"{}", [text]) is None
