from __future__ import annotations

import errno
import json
import os
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.error import OSError as FFmpegOSError
from hypothesis import HealthCheck, settings

from hunyuan_ui.errors import MediaError
from hunyuan_ui.media import check_mp4, check_video, settings_tag
from hunyuan_ui.request import VideoRequest
from tests.mp4_parts import box, outer_boxes, pictures, with_moov, with_udta, without_udta
from tests.tags import settings_of
from tests.videos import mp4_bytes

REQUEST = VideoRequest.parse(
    {
        "prompt": 'A heron 白鹭 at dawn; "quoted" \\ back\nand a second line 👩‍🚀',
        "negative_prompt": "<script>alert(1)</script> ${1+1}",
        "infer_steps": 33,
        "flow_shift": 6.5,
        "seed": 7,
    }
)
LONGEST = VideoRequest.parse({"prompt": "\U0001f98a" * 2000, "negative_prompt": '"' * 1000, "seed": 2**32 - 1})
QUIET = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_bytes(mp4_bytes(width=64, height=48, frames=29))
    return path


def comment(path: Path) -> str | None:
    with av.open(path, format="mp4") as container:
        return container.metadata.get("comment")


ARRANGEMENTS: dict[str, Callable[[bytes], bytes]] = {
    "as FFmpeg writes it": lambda data: data,
    "index last": lambda data: with_moov(data, lambda moov: moov, is_last=True),
    "no user data": lambda data: with_moov(data, without_udta),
    "empty user data": lambda data: with_moov(data, with_udta(b"")),
    "QuickTime's terminator": lambda data: with_moov(data, with_udta(box(b"name", b"x") + bytes(4))),
    "unreadable user data": lambda data: with_moov(data, with_udta(b"\xff" * 33)),
    "another kind of tags": lambda data: with_moov(
        data, with_udta(box(b"meta", bytes(4) + box(b"hdlr", bytes(8) + b"mdta" + bytes(13)) + box(b"ilst", b"")))
    ),
    "a last box without a size": lambda data: b"".join(
        (b"\0\0\0\0" if kind == b"mdat" else data[start : start + 4]) + data[start + 4 : end]
        for kind, start, end in outer_boxes(data)
    ),
}


@pytest.mark.parametrize("arrange", ARRANGEMENTS.values(), ids=ARRANGEMENTS)
@pytest.mark.parametrize("request_", [REQUEST, LONGEST], ids=["usual", "longest"])
def test_settings_come_back_and_every_frame_decodes_bit_for_bit_as_before(
    clip: Path, tmp_path: Path, arrange: Callable[[bytes], bytes], request_: VideoRequest
) -> None:
    before = pictures(clip)
    assert len(before) == 29
    clip.write_bytes(arrange(clip.read_bytes()))
    assert pictures(clip) == before
    target = tmp_path / "tagged.mp4"
    settings_tag.write(clip, target, request_)
    check_mp4(target)
    assert pictures(target) == before
    assert settings_of(target) == request_
    assert json.loads(comment(target) or "") == {
        "hunyuan_ui": 1,
        "model": "HunyuanVideo 13B",
        "settings": request_.model_dump(),
    }


def test_sixty_four_bit_offsets_are_moved_too(clip: Path, tmp_path: Path) -> None:
    def widen(moov: bytes) -> bytes:
        """Return the index with a co64 in place of its stco, all enclosing boxes four bytes longer per entry."""
        at = moov.index(b"stco") - 4
        size, _, _, count = struct.unpack_from(">I4sII", moov, at)
        offsets = struct.unpack_from(f">{count}I", moov, at + 16)
        table = box(b"co64", struct.pack(f">II{count}Q", 0, count, *offsets))
        wide = bytearray(moov[:at] + table + moov[at + size :])
        for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
            place = wide.index(kind) - 4
            struct.pack_into(">I", wide, place, struct.unpack_from(">I", wide, place)[0] + len(table) - size)
        return bytes(wide)

    before, data = pictures(clip), clip.read_bytes()
    parts = {kind: data[start:end] for kind, start, end in outer_boxes(data)}
    moov = bytearray(widen(parts[b"moov"]))
    at = moov.index(b"co64") + 12
    count = struct.unpack_from(">I", moov, at - 4)[0]
    moved = [offset + len(moov) - len(parts[b"moov"]) for offset in struct.unpack_from(f">{count}Q", moov, at)]
    struct.pack_into(f">{count}Q", moov, at, *moved)
    clip.write_bytes(
        b"".join(bytes(moov) if kind == b"moov" else data[start:end] for kind, start, end in outer_boxes(data))
    )
    assert pictures(clip) == before
    settings_tag.write(clip, tmp_path / "tagged.mp4", REQUEST)
    assert pictures(tmp_path / "tagged.mp4") == before
    assert comment(tmp_path / "tagged.mp4")


@pytest.mark.parametrize("arrangement", ["as FFmpeg writes it", "index last"])
def test_all_that_a_player_looks_at_comes_before_the_pictures(clip: Path, arrangement: str) -> None:
    clip.write_bytes(ARRANGEMENTS[arrangement](clip.read_bytes()) + box(b"uuid", b"another program." + b"data"))
    for change in (lambda: settings_tag.write(clip, clip, REQUEST), lambda: settings_tag.strip(clip, clip)):
        before = pictures(clip)
        change()
        kinds = [kind for kind, _, _ in outer_boxes(clip.read_bytes())]
        assert (kinds[:3], kinds[-1]) == ([b"ftyp", b"moov", b"uuid"], b"mdat")
        assert pictures(clip) == before
        check_mp4(clip)


def test_pictures_of_more_than_is_moved_at_once_stay_the_same(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = pictures(clip)
    for size in (1, 7, clip.stat().st_size):
        monkeypatch.setattr(settings_tag, "_MOVED_BYTES", size)
        settings_tag.write(clip, clip, REQUEST)
        assert pictures(clip) == before


def test_writing_again_replaces_the_settings(clip: Path) -> None:
    settings_tag.write(clip, clip, LONGEST)
    once = clip.stat().st_size
    settings_tag.write(clip, clip, REQUEST)
    settings_tag.write(clip, clip, LONGEST)
    assert (settings_of(clip), clip.stat().st_size) == (LONGEST, once)


def test_ffprobe_shows_the_settings(clip: Path) -> None:
    program = shutil.which("ffprobe")
    if program is None:
        pytest.skip("ffprobe is not installed")
    settings_tag.write(clip, clip, REQUEST)
    command = [program, "-v", "error", "-show_entries", "format_tags=comment", "-of", "json", str(clip)]
    shown = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert json.loads(shown["format"]["tags"]["comment"])["settings"]["prompt"] == REQUEST.prompt


def test_other_tags_and_other_boxes_stay(clip: Path, tmp_path: Path) -> None:
    clip.write_bytes(clip.read_bytes() + box(b"uuid", b"another program." + b"data"))
    with av.open(clip, format="mp4") as container:
        others = dict(container.metadata)
    assert "encoder" in others
    settings_tag.write(clip, tmp_path / "tagged.mp4", REQUEST)
    with av.open(tmp_path / "tagged.mp4", format="mp4") as container:
        assert {key: value for key, value in container.metadata.items() if key != "comment"} == others
    assert b"another program.data" in (tmp_path / "tagged.mp4").read_bytes()
    settings_tag.strip(tmp_path / "tagged.mp4", clip)
    assert b"another program.data" in clip.read_bytes()


@pytest.mark.parametrize(
    "tail",
    [b"x", b"\r\n--boundary--\r\n", b"garbage " * 1000, bytes(4096), b"\0\0\0\3abcd", b"<html>gone</html>"],
    ids=["byte", "multipart", "text", "zeros", "tiny box", "page"],
)
def test_what_follows_a_whole_film_is_ignored(clip: Path, tmp_path: Path, tail: bytes) -> None:
    whole, followed = pictures(clip), tmp_path / "followed.mp4"
    followed.write_bytes(clip.read_bytes() + tail)
    check_video(followed)
    settings_tag.write(followed, followed, REQUEST)
    check_mp4(followed)
    assert settings_of(followed) == REQUEST
    assert pictures(followed) == whole


@pytest.mark.parametrize("kind", [b"mdat", b"moof", b"moov", b"ftyp"])
def test_a_part_of_a_film_that_is_cut_off_is_not_ignored(clip: Path, tmp_path: Path, kind: bytes) -> None:
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(clip.read_bytes() + struct.pack(">I4s", 5000, kind) + bytes(100))
    with pytest.raises(MediaError, match="video_cut_short"):
        check_video(cut)


def test_either_place_alone_is_enough(clip: Path, tmp_path: Path) -> None:
    settings_tag.write(clip, clip, REQUEST)
    data = clip.read_bytes()
    own = settings_tag.OWN_BOX
    (tmp_path / "no box.mp4").write_bytes(data.replace(b"uuid" + own, b"free" + own))
    assert settings_of(tmp_path / "no box.mp4") == REQUEST
    (tmp_path / "no comment.mp4").write_bytes(data.replace(b"\xa9cmt", b"\xa9xyz"))
    assert settings_of(tmp_path / "no comment.mp4") == REQUEST


def test_settings_survive_a_remux_by_another_program(clip: Path, tmp_path: Path) -> None:
    settings_tag.write(clip, clip, REQUEST)
    with av.open(clip, format="mp4") as source, av.open(tmp_path / "remux.mp4", "w", format="mp4") as target:
        target.metadata.update(source.metadata)
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    assert settings_of(tmp_path / "remux.mp4") == REQUEST


def remuxed(source: Path, target: Path, **options: str) -> None:
    """Remux as another program does."""
    with av.open(source, format="mp4") as old, av.open(target, "w", format="mp4", options=options) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)


CODECS = {"HEVC": "libx265", "AV1": "libsvtav1", "VP9": "libvpx-vp9"}  # that self-hosted engines may deliver


def encoded_by(path: Path, codec: str) -> None:
    with av.open(path, "w", format="mp4") as container:
        video = container.add_stream(codec, rate=24)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        for index in range(9):
            frame = av.VideoFrame.from_ndarray(np.full((96, 64), 16 + 7 * index, np.uint8), format="yuv420p")
            frame.pts = index
            container.mux(video.encode(frame))
        container.mux(video.encode(None))


def with_sound(path: Path) -> None:
    """Write frames that are not stored in display order, and sound."""
    with av.open(path, "w", format="mp4", options={"movflags": "faststart"}) as container:
        container.metadata.update({"title": "A heron", "artist": "somebody", "comment": "of another program"})
        video = container.add_stream("libx264", rate=24, options={"bf": "3", "g": "12"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("aac", rate=44_100)
        for index in range(29):
            frame = av.VideoFrame.from_ndarray(np.full((72, 64), 16 + 7 * index, np.uint8), format="yuv420p")
            frame.pts = index
            container.mux(video.encode(frame))
        for index in range(40):
            tone = np.sin(np.arange(2048, dtype=np.float32) / 9).reshape(2, 1024)
            heard = av.AudioFrame.from_ndarray(tone, format="fltp", layout="stereo")
            heard.sample_rate, heard.pts = 44_100, 1024 * index
            container.mux(sound.encode(heard))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))


def packets(path: Path) -> list[tuple[Any, ...]]:
    with av.open(path, format="mp4") as container:
        found = [packet for packet in container.demux() if packet.dts is not None]
        times = [(packet.stream_index, packet.dts, packet.pts, packet.duration, packet.time_base) for packet in found]
        return sorted((*time, bytes(packet)) for time, packet in zip(times, found, strict=True))


@pytest.mark.parametrize("kind", ["as it comes", "with sound", "index last", "one picture", *CODECS])
def test_every_packet_is_the_same_before_and_after(clip: Path, tmp_path: Path, kind: str) -> None:
    if kind == "with sound":
        with_sound(clip)
    elif kind == "index last":
        clip.write_bytes(ARRANGEMENTS[kind](clip.read_bytes()))
    elif kind == "one picture":
        clip.write_bytes(mp4_bytes(frames=1))
    elif kind in CODECS:
        encoded_by(clip, CODECS[kind])
    before = packets(clip)
    settings_tag.write(clip, tmp_path / "tagged.mp4", REQUEST)
    assert packets(tmp_path / "tagged.mp4") == before
    settings_tag.strip(tmp_path / "tagged.mp4", clip)
    assert packets(clip) == before
    assert [one[0] for one in before][-1] == (1 if kind == "with sound" else 0)


def test_other_programs_tags_stay_and_their_comment_goes(clip: Path) -> None:
    with_sound(clip)
    settings_tag.write(clip, clip, REQUEST)
    with av.open(clip, format="mp4") as container:
        assert (container.metadata["title"], container.metadata["artist"]) == ("A heron", "somebody")
    settings_tag.strip(clip, clip)
    assert comment(clip) is None
    assert b"of another program" not in clip.read_bytes()


class Losing:
    """An output file that loses one of its packets."""

    def __init__(self, file: Any) -> None:
        self._file, self._left = file, 3

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> Losing:
        self._file.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._file.__exit__(*error)

    def mux_one(self, packet: Any) -> None:
        self._left -= 1
        if self._left:
            self._file.mux_one(packet)


def test_a_copy_that_lost_a_picture_never_takes_the_place_of_the_video(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, opened = clip.read_bytes(), av.open

    def losing(path: Any, *mode: Any, **options: Any) -> Any:
        return Losing(opened(path, *mode, **options)) if mode == ("w",) else opened(path, *mode, **options)

    monkeypatch.setattr(av, "open", losing)
    for change in (lambda: settings_tag.write(clip, clip, REQUEST), lambda: settings_tag.strip(clip, clip)):
        with pytest.raises(MediaError) as caught:
            change()
        assert caught.value.facts["problem"]["key"] == "reason.copy_differs"
        assert clip.read_bytes() == data


def test_files_of_the_first_version_are_read_and_changed(clip: Path, tmp_path: Path) -> None:
    """It wrote its own boxes; the file was made by it from a clip of 32 x 16 px and 5 frames."""
    old = Path(__file__).parent / "tagged_by_version_1.mp4"
    assert settings_of(old) == REQUEST
    before = packets(old)
    settings_tag.write(old, clip, LONGEST)
    assert (settings_of(clip), packets(clip)) == (LONGEST, before)
    settings_tag.strip(old, tmp_path / "plain.mp4")
    assert b"heron" not in (tmp_path / "plain.mp4").read_bytes()
    assert packets(tmp_path / "plain.mp4") == before


def test_a_fragmented_mp4_becomes_a_plain_one_with_the_same_pictures(clip: Path, tmp_path: Path) -> None:
    path, before = tmp_path / "fragmented.mp4", pictures(clip)
    remuxed(clip, path, movflags="frag_keyframe+empty_moov")
    assert b"moof" in path.read_bytes()
    settings_tag.write(path, path, REQUEST)
    assert (settings_of(path), pictures(path)) == (REQUEST, before)
    assert json.loads(comment(path) or "")["settings"]["seed"] == REQUEST.seed
    settings_tag.strip(path, path)
    assert (comment(path), pictures(path)) == (None, before)


def test_a_full_disk_is_an_os_error_and_leaves_the_file(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise FFmpegOSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(settings_tag, "_remux", full)
    data = clip.read_bytes()
    with pytest.raises(OSError, match="space"):
        settings_tag.write(clip, clip, REQUEST)
    assert (clip.read_bytes(), [path.name for path in tmp_path.iterdir()]) == (data, ["clip.mp4"])


def test_what_ffmpeg_cannot_copy_is_refused_without_naming_a_folder(clip: Path, tmp_path: Path) -> None:
    remuxed(clip, tmp_path / "fragmented.mp4", movflags="frag_keyframe+empty_moov")
    parts = sorted(outer_boxes((tmp_path / "fragmented.mp4").read_bytes()), key=lambda one: one[0] == b"moov")
    data = b"".join((tmp_path / "fragmented.mp4").read_bytes()[start:end] for _, start, end in parts)
    clip.write_bytes(data)  # its fragments come before the index that they need
    with pytest.raises(MediaError) as caught:
        settings_tag.write(clip, clip, REQUEST)
    assert (caught.value.code, clip.read_bytes()) == ("export_failed", data)
    assert str(tmp_path) not in repr(caught.value.facts)


@pytest.mark.parametrize("arrange", ARRANGEMENTS.values(), ids=ARRANGEMENTS)
def test_a_stripped_copy_holds_no_word_of_the_settings(
    clip: Path, tmp_path: Path, arrange: Callable[[bytes], bytes]
) -> None:
    before = pictures(clip)
    clip.write_bytes(arrange(clip.read_bytes()))
    settings_tag.write(clip, clip, REQUEST)
    settings_tag.strip(clip, tmp_path / "plain.mp4")
    data = (tmp_path / "plain.mp4").read_bytes()
    for word in ("heron", "白鹭", "hunyuan", "script", "seed"):
        assert word.encode() not in data
    assert (comment(tmp_path / "plain.mp4"), pictures(tmp_path / "plain.mp4")) == (None, before)
    with pytest.raises(MediaError) as caught:
        settings_of(tmp_path / "plain.mp4")
    assert caught.value.code == "no_settings_in_video"


def test_only_the_settings_are_written(clip: Path) -> None:
    settings_tag.write(clip, clip, REQUEST)
    facts = json.loads(comment(clip) or "")
    assert set(facts) == {"hunyuan_ui", "model", "settings"}
    assert set(facts["settings"]) == set(VideoRequest.model_fields)


def test_a_failed_write_leaves_the_file_and_no_other(clip: Path, tmp_path: Path) -> None:
    data = clip.read_bytes()
    for broken in (data[:-20], data[:40], b"", b"<html>", data.replace(b"moov", b"skip")):
        clip.write_bytes(broken)
        for change in (lambda: settings_tag.write(clip, clip, REQUEST), lambda: settings_tag.strip(clip, clip)):
            with pytest.raises(MediaError):
                change()
        assert clip.read_bytes() == broken
        assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


@pytest.mark.parametrize("left", [0, 40, -1], ids=["nothing", "a beginning", "all but the last byte"])
def test_what_was_written_is_looked_at_before_it_takes_the_place_of_the_video(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    """A disk that corrupts data, or another program writing the same file: the content is not what was written."""
    lost: list[int] = []

    def lose(file: int) -> None:
        lost.append(os.fstat(file).st_size)
        os.ftruncate(file, left % lost[-1])

    monkeypatch.setattr(os, "fsync", lose)
    data = clip.read_bytes()
    for change in (lambda: settings_tag.write(clip, clip, REQUEST), lambda: settings_tag.strip(clip, clip)):
        with pytest.raises(MediaError):
            change()
        assert clip.read_bytes() == data
        assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]
    assert min(lost) > len(data) / 2


def with_timecodes(path: Path, form: str = "mp4", codec: str = "libx264", **metadata: str) -> Path:
    """Write a video with a track of timecodes, or in a codec that no MP4 has; FFmpeg copies neither."""
    with av.open(path, "w", format=form) as container:
        container.metadata.update(metadata)
        stream: Any = container.add_stream(codec, rate=24)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuv422p10le" if codec == "prores_ks" else "yuv420p"
        stream.metadata["timecode"] = "" if codec == "prores_ks" else "01:00:00:00"
        for index in range(5):
            frame = av.VideoFrame.from_ndarray(np.full((72, 64), 60 + 20 * index, np.uint8), format="yuv420p")
            frame.pts = index
            container.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("form", "codec"), [("mp4", "libx264"), ("mov", "libx264"), ("mov", "prores_ks")])
def test_a_video_that_takes_no_settings_is_its_own_copy_without_them(tmp_path: Path, form: str, codec: str) -> None:
    path = with_timecodes(tmp_path / "clip", form, codec)
    before = path.read_bytes()
    with pytest.raises(MediaError):
        settings_tag.write(path, path, REQUEST)
    settings_tag.strip(path, tmp_path / "plain.mp4")
    assert (path.read_bytes(), (tmp_path / "plain.mp4").read_bytes()) == (before, before)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("where", ["comment", "own box"])
def test_a_video_that_cannot_be_copied_and_tells_something_is_no_copy_without_it(tmp_path: Path, where: str) -> None:
    told = {"comment": "a prompt"} if where == "comment" else {}
    path = with_timecodes(tmp_path / "clip", **told)
    if where == "own box":
        path.write_bytes(path.read_bytes() + box(b"uuid", settings_tag.OWN_BOX + b"a prompt"))
    with pytest.raises(MediaError) as caught:
        settings_tag.strip(path, tmp_path / "plain.mp4")
    assert caught.value.code == "export_failed"
    assert not (tmp_path / "plain.mp4").exists()
