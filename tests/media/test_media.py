from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.error import ExternalError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from hunyuan_ui.errors import MediaError
from hunyuan_ui.media import VideoFacts, check_mp4, check_video, encode_mp4, facts, is_poster, write_poster
from hunyuan_ui.words import words
from tests.mp4_parts import outer_boxes, with_moov
from tests.videos import encoded_bytes


def planes(width: int, height: int, frames: int) -> Iterator[NDArray[np.uint8]]:
    """A white bar that moves over a grey gradient."""
    for index in range(frames):
        packed = np.full((height * 3 // 2, width), 128, np.uint8)
        packed[:height] = np.linspace(30, 180, width).astype(np.uint8)
        packed[:height, index : index + 4] = 235
        yield packed


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("media") / "clip.mp4"
    encode_mp4(path, 64, 48, 24, planes(64, 48, 29))
    return path


def split(data: bytes) -> list[tuple[bytes, bytes]]:
    return [(kind, data[start:end]) for kind, start, end in outer_boxes(data)]


def refusal(path: Path, data: bytes) -> MediaError | None:
    path.write_bytes(data)
    try:
        check_mp4(path)
    except MediaError as refused:
        error = refused
    else:
        return None
    assert words().sentence(error)
    return error


def test_a_whole_mp4_is_accepted(clip: Path) -> None:
    check_mp4(clip)


def test_an_index_at_the_end_is_accepted(clip: Path, tmp_path: Path) -> None:
    data = with_moov(clip.read_bytes(), bytes, is_last=True)
    assert [kind for kind, _, _ in outer_boxes(data)] == [b"ftyp", b"mdat", b"moov"]
    assert refusal(tmp_path / "late.mp4", data) is None
    with av.open(tmp_path / "late.mp4", format="mp4") as container:
        assert sum(1 for _ in container.decode(video=0)) == 29


@pytest.mark.parametrize(
    "arrange", [bytes, lambda data: with_moov(data, bytes, is_last=True)], ids=["index first", "index last"]
)
def test_a_cut_short_mp4_is_refused_wherever_it_ends(
    clip: Path, tmp_path: Path, arrange: Callable[[bytes], bytes]
) -> None:
    data = arrange(clip.read_bytes())
    path = tmp_path / "cut.mp4"
    for length in [0, 1, 7, *range(8, len(data), 13), *(end for _, _, end in outer_boxes(data)[:-1]), len(data) - 1]:
        error = refusal(path, data[:length])
        assert error is not None, f"cut to {length} of {len(data)} bytes"
        assert error.code == ("video_cut_short" if length >= 8 else "not_a_video")


@pytest.mark.parametrize("missing", [1, 100, 400])
def test_a_last_box_without_a_size_does_not_hide_missing_bytes(clip: Path, tmp_path: Path, missing: int) -> None:
    data = bytearray(clip.read_bytes())
    kind, start, _ = outer_boxes(bytes(data))[-1]
    assert kind == b"mdat"
    data[start : start + 4] = bytes(4)
    assert refusal(tmp_path / "open.mp4", bytes(data)) is None
    error = refusal(tmp_path / "open.mp4", bytes(data[:-missing]))
    assert error is not None
    assert "picture" in words().sentence(error)


@pytest.mark.parametrize("table", [b"stsc", b"stco"])
def test_an_index_with_fewer_places_than_pictures_is_refused(clip: Path, tmp_path: Path, table: bytes) -> None:
    data = bytearray(clip.read_bytes())
    at = data.index(table) + 4
    (rows,) = struct.unpack_from(">I", data, at + 4)
    assert rows == 1
    # In `stsc` the frames per chunk, in `stco` the number of chunks.
    place = at + (12 if table == b"stsc" else 4)
    struct.pack_into(">I", data, place, struct.unpack_from(">I", data, place)[0] - 1)
    error = refusal(tmp_path / "clip.mp4", bytes(data))
    assert error is not None
    assert "have a place in the file" in words().sentence(error)


FRAGMENTS_TO_COME = struct.pack(">I4s", 8, b"mvex")
A_FRAGMENT = struct.pack(">I4s", 8, b"moof")


@pytest.mark.parametrize(
    ("inside", "after"),
    [(b"", b""), (FRAGMENTS_TO_COME, b""), (b"", A_FRAGMENT)],
    ids=["neither", "says so", "has some"],
)
def test_a_file_is_taken_for_fragments_only_if_it_says_so_and_has_some(
    clip: Path, tmp_path: Path, inside: bytes, after: bytes
) -> None:
    parts = dict(split(with_moov(clip.read_bytes(), bytes, is_last=True)))
    moov = parts[b"moov"] + inside
    moov = struct.pack(">I", len(moov)) + moov[4:]
    assert refusal(tmp_path / "whole.mp4", parts[b"ftyp"] + parts[b"mdat"] + moov + after) is None
    # The media data ends early, in a box that is consistent: only the index reveals it.
    for missing in (len(moov) + len(after) + 1, len(parts[b"mdat"]) - 8):
        kept = parts[b"mdat"][8:-missing]
        mdat = struct.pack(">I4s", len(kept) + 8, b"mdat") + kept
        error = refusal(tmp_path / "cut.mp4", parts[b"ftyp"] + mdat + moov + after)
        assert error is not None
        assert error.code == "video_cut_short"


def test_sixty_four_bit_sizes_are_followed(clip: Path, tmp_path: Path) -> None:
    data = with_moov(clip.read_bytes(), bytes, is_last=True)
    _, start, end = outer_boxes(data)[1]
    # The eight extra bytes replace a brand in ftyp's list, so that no chunk moves.
    ftyp = struct.pack(">I", start - 8) + data[4 : start - 8]
    large = b"\0\0\0\1mdat" + struct.pack(">Q", end - start + 8) + data[start + 8 :]
    assert refusal(tmp_path / "large.mp4", ftyp + large) is None
    error = refusal(tmp_path / "large.mp4", (ftyp + large)[: end - 1])
    assert error is not None
    assert error.code == "video_cut_short"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<!DOCTYPE html><title>502 Bad Gateway</title>",
        b'{"status":"COMPLETED","output":"https://files.example/clip.mp4"}',
        b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(500),
        b"ffconcat version 1.0\nfile other.mp4\n",
        bytes(4096),
    ],
    ids=["empty", "html", "json", "jpeg", "playlist", "zeros"],
)
def test_what_is_not_an_mp4_is_refused(tmp_path: Path, data: bytes) -> None:
    error = refusal(tmp_path / "clip.mp4", data)
    assert error is not None
    assert error.code == "not_a_video"
    for read in (facts, lambda path: write_poster(path, tmp_path / "poster.webp")):
        with pytest.raises(MediaError):
            read(tmp_path / "clip.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


@pytest.mark.parametrize("kind", [b"moov", b"mdat", b"trak", b"mdia", b"stbl", b"stsz", b"stco"])
def test_an_mp4_without_a_needed_box_is_refused(clip: Path, tmp_path: Path, kind: bytes) -> None:
    assert refusal(tmp_path / "clip.mp4", clip.read_bytes().replace(kind, b"skip")) is not None


def test_sound_without_a_picture_is_not_a_video(clip: Path, tmp_path: Path) -> None:
    error = refusal(tmp_path / "clip.mp4", clip.read_bytes().replace(b"vide", b"soun"))
    assert error is not None
    assert error.code == "not_a_video"


def test_a_duration_of_zero_is_refused(clip: Path, tmp_path: Path) -> None:
    data = bytearray(clip.read_bytes())
    at = data.index(b"stts") + 4
    assert struct.unpack_from(">I", data, at + 4)[0] == 1
    struct.pack_into(">I", data, at + 12, 0)
    error = refusal(tmp_path / "clip.mp4", bytes(data))
    assert error is not None
    assert "duration" in words().sentence(error)


def fragmented(clip: Path, path: Path, how: str) -> None:
    options = {"movflags": f"{how}+empty_moov"}
    with av.open(clip, format="mp4") as source, av.open(path, "w", format="mp4", options=options) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)


def test_a_fragmented_mp4_is_accepted_and_read(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "fragmented.mp4"
    fragmented(clip, path, "frag_keyframe")
    check_mp4(path)
    assert (facts(path).width, facts(path).frames) == (64, 29)
    assert facts(path).duration_s == pytest.approx(29 / 24, abs=0.05)


@pytest.mark.parametrize("kind", ["mp4", "mov", "fragments", "webm", "matroska"])
def test_only_a_file_that_names_its_last_picture_may_have_come_over_a_line_that_broke(
    clip: Path, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "clip"
    if kind == "fragments":
        fragmented(clip, path, "frag_keyframe")
    else:
        path.write_bytes(encoded_bytes(kind, *(["mpeg4"] if kind in ("mp4", "mov") else [])))
    check_video(path)
    if kind in ("mp4", "mov"):
        check_video(path, is_cut=True)
        return
    with pytest.raises(MediaError) as refused:
        check_video(path, is_cut=True)
    assert "it may go on" in words().sentence(refused.value)


@pytest.mark.parametrize("left", [1, 4, 7, 8, 20])
def test_a_fragmented_mp4_that_ends_inside_the_next_fragment_is_refused(clip: Path, tmp_path: Path, left: int) -> None:
    path = tmp_path / "fragmented.mp4"
    fragmented(clip, path, "frag_every_frame")
    data = path.read_bytes()
    last = max(start for kind, start, _ in outer_boxes(data) if kind == b"moof")
    error = refusal(path, data[: last + left])
    assert error is not None
    assert error.code == "video_cut_short"


def test_a_file_is_opened_as_what_its_first_bytes_say_and_its_format_is_never_guessed(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    formats: list[object] = []
    open_file: Any = av.open

    def opened(*values: Any, **options: Any) -> Any:
        formats.append(options.get("format"))
        return open_file(*values, **options)

    monkeypatch.setattr(av, "open", opened)
    check_video(clip)
    write_poster(clip, tmp_path / "poster.webp")
    assert formats == ["mp4", "mp4"]


def test_a_picture_that_is_far_too_large_is_no_poster(clip: Path, tmp_path: Path) -> None:
    poster = tmp_path / "poster.webp"
    write_poster(clip, poster)
    assert is_poster(poster)
    Image.new("RGB", (64, 8000)).save(poster, format="WEBP", quality=1)
    assert not is_poster(poster)


def test_a_file_that_is_not_there_is_named_as_missing(tmp_path: Path) -> None:
    for read in (check_mp4, facts, lambda path: write_poster(path, tmp_path / "poster.webp")):
        with pytest.raises(MediaError) as caught:
            read(tmp_path / "nothing.mp4")
        assert caught.value.code == "video_missing"


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_to_boxes_is_refused_or_accepted_but_never_crashes(
    clip: Path, tmp_path: Path, data: st.DataObject
) -> None:
    damaged = bytearray(clip.read_bytes())
    index_end = outer_boxes(bytes(damaged))[1][2]
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, index_end + 16))
        damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    length = data.draw(st.integers(0, len(damaged)) | st.just(len(damaged)))
    path = tmp_path / "damaged.mp4"
    refused = refusal(path, bytes(damaged[:length]))
    try:
        facts(path)
    except MediaError:
        return
    assert refused is None


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tail=st.binary(max_size=200))
def test_any_bytes_after_a_file_type_box_are_refused(tmp_path: Path, tail: bytes) -> None:
    assert refusal(tmp_path / "clip.mp4", b"\0\0\0\x10ftypisom\0\0\0\0" + tail) is not None


def test_a_file_of_endless_empty_boxes_is_refused(tmp_path: Path) -> None:
    data = b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\0\0\x08free" * 150_000
    assert refusal(tmp_path / "clip.mp4", data) is not None


def test_facts_are_those_of_the_decoded_video(clip: Path) -> None:
    assert facts(clip) == VideoFacts(64, 48, 24.0, 29, 29 / 24)
    with av.open(clip, format="mp4") as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        assert (stream.width, stream.height, stream.average_rate, len(frames)) == (64, 48, 24, 29)


def test_an_encoded_video_plays_everywhere(clip: Path) -> None:
    assert [kind for kind, _, _ in outer_boxes(clip.read_bytes())][:2] == [b"ftyp", b"moov"]
    with av.open(clip, format="mp4") as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        context = stream.codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)
        first = next(container.decode(stream)).to_ndarray(format="yuv420p")
    assert first[24, 1] > 200  # the bar
    assert first[24, 60] == pytest.approx(30 + 150 * 60 / 63, abs=6)


@pytest.mark.parametrize("frames", [1, 2, 129])
def test_exactly_the_given_frames_are_encoded(tmp_path: Path, frames: int) -> None:
    path = tmp_path / "clip.mp4"
    encode_mp4(path, 16, 16, 24, planes(16, 16, frames))
    check_mp4(path)
    assert facts(path).frames == frames
    with av.open(path, format="mp4") as container:
        assert sum(1 for _ in container.decode(video=0)) == frames


def test_equal_frames_give_equal_bytes(tmp_path: Path, clip: Path) -> None:
    encode_mp4(tmp_path / "again.mp4", 64, 48, 24, planes(64, 48, 29))
    assert (tmp_path / "again.mp4").read_bytes() == clip.read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="only there can a thread be kept to one core")
def test_equal_frames_give_equal_bytes_on_any_number_of_cores(tmp_path: Path) -> None:
    def encode(name: str, cores: set[int]) -> bytes:
        os.sched_setaffinity(0, cores)  # of this thread
        encode_mp4(tmp_path / name, 864, 480, 24, planes(864, 480, 5))
        return (tmp_path / name).read_bytes()

    cores = os.sched_getaffinity(0)
    with ThreadPoolExecutor(1) as beside:
        one = beside.submit(encode, "one.mp4", {min(cores)}).result()
        assert beside.submit(encode, "all.mp4", cores).result() == one


class Held:
    """A container that accepts no frame before another was rendered."""

    def __init__(self, inner: Any, is_drawn: threading.Semaphore) -> None:
        self._inner, self._is_drawn = inner, is_drawn

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *error: object) -> None:
        self._inner.close()

    def mux(self, packets: Any) -> None:
        assert self._is_drawn.acquire(timeout=20)
        self._inner.mux(packets)


def test_a_frame_is_drawn_while_the_one_before_is_encoded(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_drawn, opened = threading.Semaphore(0), av.open
    monkeypatch.setattr(av, "open", lambda *values, **options: Held(opened(*values, **options), is_drawn))

    def drawn() -> Iterator[NDArray[np.uint8]]:
        for index, packed in enumerate(planes(64, 48, 29)):
            if index:
                is_drawn.release()
            yield packed
        is_drawn.release(2)  # for the last one, and for the encoder's buffered one

    encode_mp4(tmp_path / "again.mp4", 64, 48, 24, drawn())
    assert (tmp_path / "again.mp4").read_bytes() == clip.read_bytes()


class Broken(Held):
    """A container that refuses one of the frames."""

    def __init__(self, inner: Any, number: int) -> None:
        super().__init__(inner, threading.Semaphore(0))
        self._left = number

    def mux(self, packets: Any) -> None:
        self._left -= 1
        if self._left == 0:
            raise ExternalError(0, "the frame is refused")
        self._inner.mux(packets)


@pytest.mark.parametrize("number", [1, 3, 29])
def test_a_frame_that_is_refused_ends_the_encoding_at_once(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, drawn = av.open, 0
    monkeypatch.setattr(av, "open", lambda *values, **options: Broken(opened(*values, **options), number))

    def counted() -> Iterator[NDArray[np.uint8]]:
        nonlocal drawn
        for packed in planes(64, 48, 29):
            drawn += 1
            yield packed

    with pytest.raises(MediaError):
        encode_mp4(tmp_path / "clip.mp4", 64, 48, 24, counted())
    assert drawn <= number + 1
    assert list(tmp_path.iterdir()) == []


def test_a_failed_encoding_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"before")

    def broken() -> Iterator[NDArray[np.uint8]]:
        yield from planes(64, 48, 3)
        raise RuntimeError("the scene broke")

    with pytest.raises(RuntimeError, match="the scene broke"):
        encode_mp4(path, 64, 48, 24, broken())
    with pytest.raises(MediaError):
        encode_mp4(path, 63, 47, 24, planes(64, 48, 3))
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_poster_is_a_small_webp_of_a_frame_a_tenth_in(tmp_path: Path) -> None:
    def darkening() -> Iterator[NDArray[np.uint8]]:
        for index in range(31):
            packed = np.full((720 * 3 // 2, 960), 128, np.uint8)
            packed[:720] = 220 - 6 * index
            yield packed

    encode_mp4(tmp_path / "clip.mp4", 960, 720, 24, darkening())
    write_poster(tmp_path / "clip.mp4", tmp_path / "poster.webp")
    with Image.open(tmp_path / "poster.webp") as poster:
        assert (poster.format, poster.size) == ("WEBP", (480, 360))
        level = poster.convert("L").getpixel((240, 180))
    assert level == pytest.approx((220 - 6 * 3 - 16) * 255 / 219, abs=5)
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mp4", "poster.webp"}


def test_tags_that_are_not_text_do_not_hide_the_pictures(clip: Path, tmp_path: Path) -> None:
    data = clip.read_bytes()
    assert data.count(b"Lavf") == 1
    (tmp_path / "clip.mp4").write_bytes(data.replace(b"Lavf", b"\xff\xfe\x80\xc0"))
    write_poster(tmp_path / "clip.mp4", tmp_path / "poster.webp")
    assert (tmp_path / "poster.webp").exists()


def test_importing_the_module_does_not_load_the_codecs() -> None:
    code = "import sys, hunyuan_ui.media; sys.exit(bool({'av', 'PIL', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
