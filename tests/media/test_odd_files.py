"""Files that players play although they are not as most programs write them: none of them is cut short."""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
import pytest
from PIL import Image

from hunyuan_ui.media import VideoFacts, check_video, encode_mp4, facts, is_poster, write_poster
from tests.media.test_media import clip as clip
from tests.media.test_media import fragmented, planes, refusal
from tests.mp4_parts import box, outer_boxes, with_moov
from tests.videos import encoded_bytes


@pytest.mark.parametrize(
    "rest", [b"\r\n", b"\n", b"0\r\n\r\n", bytes(5), b"<!-- served by a cache -->"], ids=lambda rest: f"{rest!r}"
)
def test_bytes_after_the_last_fragment_that_are_none_are_ignored(clip: Path, tmp_path: Path, rest: bytes) -> None:
    path = tmp_path / "fragmented.mp4"
    fragmented(clip, path, "frag_every_frame")
    data = path.read_bytes()
    end = next(start for kind, start, _ in outer_boxes(data) if kind == b"mfra")
    for whole in (data, data[:end]):
        path.write_bytes(whole + rest)
        check_video(path)
        assert facts(path).frames == 29


def grown(moov: bytes, at: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Return an index in which one box, itself included, has another payload."""
    within = (b"moov", b"trak", b"mdia", b"minf", b"stbl", at)
    kinds = within[: within.index(at) + 1]
    start = moov.index(at) - 4
    (size,) = struct.unpack_from(">I", moov, start)
    payload = change(moov[start + 8 : start + size])
    data = bytearray(moov[: start + 8] + payload + moov[start + size :])
    for kind in kinds:
        place = data.index(kind) - 4
        length = struct.unpack_from(">I", data, place)[0] + len(payload) + 8 - size
        struct.pack_into(">I", data, place, length)
    return bytes(data)


@pytest.mark.parametrize("end", [bytes(4), bytes(8), bytes(12), b"\0"])
@pytest.mark.parametrize("at", [b"moov", b"trak", b"mdia", b"stbl"])
def test_a_list_of_boxes_may_end_by_a_zero_as_quicktimes_do(clip: Path, tmp_path: Path, at: bytes, end: bytes) -> None:
    path = tmp_path / "clip.mov"
    path.write_bytes(with_moov(clip.read_bytes(), lambda moov: grown(moov, at, lambda inside: inside + end)))
    check_video(path)
    assert facts(path) == facts(clip)


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_a_compact_table_of_sizes_is_read(tmp_path: Path, bits: int) -> None:
    clip = tmp_path / "clip.mp4"
    encode_mp4(clip, 64, 48, 24, planes(64, 48, 5))
    data = clip.read_bytes()

    def compact(payload: bytes) -> bytes:
        sizes = struct.unpack(">5I", payload[12:])
        if bits == 4:
            packed = bytes((0x11, 0x11, 0x10))
        elif bits == 8:
            packed = bytes(min(size, 255) for size in sizes)
        else:
            packed = struct.pack(">5H", *sizes)
        return bytes(7) + bytes([bits]) + struct.pack(">I", 5) + packed

    data = with_moov(data, lambda moov: grown(moov, b"stsz", compact)).replace(b"stsz", b"stz2")
    assert refusal(clip, data) is None
    assert facts(clip).frames == 5
    if bits == 16:
        check_video(clip)
        assert refusal(clip, data[:-20]) is not None
    assert refusal(clip, data.replace(bytes(7) + bytes([bits]), bytes(7) + b"\x07")) is not None


@pytest.mark.parametrize("more", [-1, 1, 5])
def test_a_picture_more_or_less_than_times_is_no_missing_one(clip: Path, tmp_path: Path, more: int) -> None:
    data = bytearray(clip.read_bytes())
    at = data.index(b"stts") + 12
    struct.pack_into(">I", data, at, 29 + more)
    path = tmp_path / "clip.mp4"
    path.write_bytes(data)
    check_video(path)
    assert facts(path).frames == 29


def test_one_picture_without_a_duration_is_a_video(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    encode_mp4(path, 64, 48, 24, planes(64, 48, 1))
    data = bytearray(path.read_bytes())
    struct.pack_into(">I", data, data.index(b"stts") + 16, 0)
    path.write_bytes(data)
    check_video(path)
    assert facts(path) == VideoFacts(64, 48, 24.0, 1, 1 / 24)


class Stream(io.RawIOBase):
    """A file that is written from its beginning to its end, as a stream is."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self._file.write(data)


@pytest.mark.parametrize("frames", [1, 2, 9])
@pytest.mark.parametrize("kind", ["webm", "matroska", "mp4"])
def test_a_video_that_names_no_rate_is_as_long_as_its_pictures_say(tmp_path: Path, kind: str, frames: int) -> None:
    source, path = tmp_path / "source", tmp_path / "stream"
    source.write_bytes(encoded_bytes("webm", frames=frames))
    options = {"movflags": "frag_keyframe+empty_moov"} if kind == "mp4" else {"live": "1"}
    with av.open(source) as given, path.open("wb") as file:
        made: Any = av.open(Stream(file), "w", format=kind, options=options)
        with made:
            copy = made.add_stream_from_template(given.streams.video[0])
            copy.codec_context.framerate = Fraction(0, 1)
            for packet in given.demux(video=0):
                if packet.dts is not None:
                    packet.stream, packet.duration = copy, 0
                    made.mux(packet)
    check_video(path)
    found = facts(path)
    assert found.frames == frames
    assert found.fps == pytest.approx(24, rel=0.03)
    assert found.duration_s == pytest.approx(frames / 24, rel=0.03)


@pytest.mark.parametrize(("kind", "codec"), [("webm", "libvpx-vp9"), ("matroska", "libx264"), ("avi", "mpeg4")])
def test_the_poster_of_any_format_is_past_the_first_frame(tmp_path: Path, kind: str, codec: str) -> None:
    video, poster = tmp_path / "video", tmp_path / "poster.webp"
    video.write_bytes(encoded_bytes(kind, codec, width=64, height=48, frames=31, step=6))
    write_poster(video, poster)
    with Image.open(poster) as image:
        level = image.convert("L").getpixel((32, 24))
    assert level == pytest.approx((60 + 6 * 3 - 16) * 255 / 219, abs=5)


@pytest.mark.parametrize("duration", [-5.0, 0.0, 1e9, 9e21, 1e300, math.inf, math.nan])
@pytest.mark.parametrize("tick_ns", [0, 1, 1_000_000])
def test_a_webm_may_state_any_duration(tmp_path: Path, tick_ns: int, duration: float) -> None:
    video, poster = tmp_path / "video", tmp_path / "poster.webp"
    data = bytearray(encoded_bytes("webm"))
    scale, length = data.index(b"\x2a\xd7\xb1\x83") + 4, data.index(b"\x44\x89\x88") + 3
    data[scale : scale + 3] = tick_ns.to_bytes(3, "big")
    struct.pack_into(">d", data, length, duration)
    video.write_bytes(data)
    write_poster(video, poster)
    assert is_poster(poster)


@pytest.mark.parametrize("duration", [0, 1, 2**40, 2**62, 2**63 - 1, 2**64 - 1])
def test_an_mp4_may_state_any_duration(tmp_path: Path, clip: Path, duration: int) -> None:
    def stated(moov: bytes) -> bytes:
        start = moov.index(b"mdhd") - 4
        (size,) = struct.unpack_from(">I", moov, start)
        header = box(b"mdhd", struct.pack(">IQQIQI", 1 << 24, 0, 0, 1, duration, 0))
        grown = bytearray(moov[:start] + header + moov[start + size :])
        for around in (b"moov", b"trak", b"mdia"):
            at = grown.index(around) - 4
            struct.pack_into(">I", grown, at, struct.unpack_from(">I", grown, at)[0] + len(header) - size)
        return bytes(grown)

    video, poster = tmp_path / "video", tmp_path / "poster.webp"
    video.write_bytes(with_moov(clip.read_bytes(), stated))
    write_poster(video, poster)
    assert is_poster(poster)


@pytest.mark.parametrize("frames", [1, 2, 9])
@pytest.mark.parametrize("kind", ["mpegts", "flv", "matroska"])
def test_a_file_without_an_index_has_a_poster(tmp_path: Path, kind: str, frames: int) -> None:
    video, poster = tmp_path / "video", tmp_path / "poster.webp"
    video.write_bytes(encoded_bytes(kind, "libx264", frames=frames))
    check_video(video)
    write_poster(video, poster)
    assert is_poster(poster)
