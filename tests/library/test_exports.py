from __future__ import annotations

import asyncio
import errno
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hunyuan_ui.errors import MediaError, StorageError, reason
from hunyuan_ui.job import new_id
from hunyuan_ui.library.exports import KEPT_S, Export, ExportKind, Exports
from hunyuan_ui.media import AnimationKind, check_mp4, encode_mp4, settings_tag, write_animation, write_still
from hunyuan_ui.request import VideoRequest
from tests.videos import encoded_bytes, hold_animation

WIDTH, HEIGHT, FRAMES, FPS = 96, 64, 29, 24


def brightening() -> Iterator[NDArray[np.uint8]]:
    """Each frame is lighter than the one before, so that its brightness identifies it."""
    for index in range(FRAMES):
        packed = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
        packed[:HEIGHT] = 20 + 7 * index
        packed[HEIGHT - 16 : HEIGHT, 3 * index : 3 * index + 12] = 235  # otherwise a GIF may merge two frames
        yield packed


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "clip.mp4"
    encode_mp4(path, WIDTH, HEIGHT, FPS, brightening())
    return path


def level(image: Image.Image) -> float:
    """The frame's number, derived from its brightness."""
    grey = image.convert("L").getpixel((WIDTH // 4, HEIGHT // 4))
    assert isinstance(grey, int)
    return (grey * 219 / 255 + 16 - 20) / 7


@pytest.mark.parametrize(
    ("at_s", "frame"),
    [(0, 0), (10 / 24, 10), (10.9 / 24, 10), (11 / 24, 11), (28 / 24, 28), (99, 28), (1e18, 28), (-1, 0)],
)
def test_a_still_is_the_frame_seen_at_that_time_in_full_size(
    clip: Path, tmp_path: Path, at_s: float, frame: int
) -> None:
    write_still(clip, tmp_path / "still.png", at_s)
    with Image.open(tmp_path / "still.png") as still:
        assert (still.format, still.size) == ("PNG", (WIDTH, HEIGHT))
        assert level(still) == pytest.approx(frame, abs=0.45)
    assert [path.name for path in tmp_path.iterdir()] == ["still.png"]


@pytest.mark.parametrize("kind", ["gif", "webp"])
@pytest.mark.parametrize(("fps", "shown"), [(8, 10), (12, 15), (24, 29), (60, 29)])
def test_an_animation_has_the_wished_rate_and_plays_as_long_as_the_video(
    clip: Path, tmp_path: Path, kind: AnimationKind, fps: int, shown: int
) -> None:
    path = tmp_path / f"clip.{kind}"
    write_animation(clip, path, kind=kind, side=64, fps=fps)
    with Image.open(path) as animation:
        assert (animation.format, animation.size) == (kind.upper(), (64, 43))
        assert getattr(animation, "n_frames", 1) == shown
        assert animation.info["loop"] == 0
        levels, durations = [], []
        for index in range(shown):
            animation.seek(index)
            animation.load()  # WebP provides a frame's duration only then
            levels.append(level(animation))
            durations.append(animation.info["duration"])
    assert levels == pytest.approx([index * max(1, FPS // fps) for index in range(shown)], abs=1.2)
    assert sum(durations) == pytest.approx(1000 * shown / min(fps, FPS), abs=12)


@pytest.mark.parametrize("kind", ["gif", "webp"])
@pytest.mark.parametrize(("form", "began_s"), [("mpegts", 1.4), ("matroska", 2), ("mp4", 2), ("mp4", 0.1)])
def test_an_animation_begins_where_the_video_does(
    clip: Path, tmp_path: Path, kind: AnimationKind, form: str, began_s: float
) -> None:
    with av.open(clip) as source, av.open(tmp_path / "late", "w", format=form) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None and packet.pts is not None and packet.time_base is not None:
                packet.pts += (ticks := round(began_s / packet.time_base))
                packet.dts += ticks
                packet.stream = stream
                target.mux(packet)
    write_animation(tmp_path / "late", tmp_path / "made", kind=kind, side=64, fps=12)
    with Image.open(tmp_path / "made") as animation:
        assert getattr(animation, "n_frames", 1) == 15
        for index in (0, 1, 7, 14):
            animation.seek(index)
            assert level(animation) == pytest.approx(2 * index, abs=1.2)


@pytest.mark.parametrize("kind", ["gif", "webp"])
@pytest.mark.parametrize("later", [(160, 96), (480, 272)])
def test_an_animation_keeps_its_size_where_the_video_changes_its_own(
    tmp_path: Path, kind: AnimationKind, later: tuple[int, int]
) -> None:
    sizes = ((320, 176), later)
    clips = [encoded_bytes("mpegts", "mpeg2video", width=width, height=height) for width, height in sizes]
    (tmp_path / "clip").write_bytes(b"".join(clips))
    write_animation(tmp_path / "clip", tmp_path / "made", kind=kind, side=640, fps=12)
    with Image.open(tmp_path / "made") as made:
        assert made.size == (320, 176)
        assert getattr(made, "n_frames", 1) > 1


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_a_video_of_one_frame_becomes_a_picture_that_stands_still(tmp_path: Path, kind: AnimationKind) -> None:
    encode_mp4(tmp_path / "one.mp4", 32, 32, 24, (np.full((48, 32), 128, np.uint8) for _ in range(1)))
    write_animation(tmp_path / "one.mp4", tmp_path / "one", kind=kind, side=480, fps=12)
    with Image.open(tmp_path / "one") as animation:
        assert (getattr(animation, "n_frames", 1), animation.size) == (1, (32, 32))


def test_a_video_that_is_far_too_long_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    encode_mp4(tmp_path / "long.mp4", 16, 16, 24, (np.full((24, 16), 128, np.uint8) for _ in range(320)))
    with pytest.raises(MediaError) as caught:
        write_animation(tmp_path / "long.mp4", tmp_path / "long.gif", kind="gif", side=16, fps=24)
    assert caught.value.facts["problem"] == reason("too_long_for_animation")
    assert [path.name for path in tmp_path.iterdir()] == ["long.mp4"]


@pytest.mark.parametrize("kind", ["gif", "webp"])
@pytest.mark.parametrize("delta_s", [700, 100_000, 2**31])
def test_a_video_whose_pictures_stand_for_longer_than_a_format_can_say_is_refused(
    tmp_path: Path, kind: AnimationKind, delta_s: int
) -> None:
    encode_mp4(tmp_path / "slow.mp4", 32, 32, 24, (np.full((48, 32), 20 * one, np.uint8) for one in range(5)))
    data = bytearray((tmp_path / "slow.mp4").read_bytes())
    scale, step = data.index(b"mdhd") + 16, data.index(b"stts") + 16
    data[scale : scale + 4], data[step : step + 4] = (1).to_bytes(4, "big"), delta_s.to_bytes(4, "big")
    (tmp_path / "slow.mp4").write_bytes(data)
    with pytest.raises(MediaError) as caught:
        write_animation(tmp_path / "slow.mp4", tmp_path / "slow", kind=kind, side=480, fps=12)
    assert caught.value.facts["problem"] == reason("too_long_for_animation")
    assert not (tmp_path / "slow").exists()


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_pictures_that_cannot_be_decoded_leave_no_file(clip: Path, tmp_path: Path, kind: AnimationKind) -> None:
    data = bytearray(clip.read_bytes())
    start = data.index(b"mdat") + 4
    data[start:] = bytes(len(data) - start)
    (tmp_path / "broken.mp4").write_bytes(data)
    with pytest.raises(MediaError):
        write_animation(tmp_path / "broken.mp4", tmp_path / "broken.gif", kind=kind, side=64, fps=8)
    with pytest.raises(MediaError):
        write_still(tmp_path / "broken.mp4", tmp_path / "broken.png", 0.5)
    assert [path.name for path in tmp_path.iterdir()] == ["broken.mp4"]


def test_a_picture_renamed_to_mp4_is_not_decoded(tmp_path: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    path = (tmp_path / "bomb.png").rename(tmp_path / "bomb.mp4")
    for write in (lambda: write_still(path, tmp_path / "x", 0), lambda: _gif(path, tmp_path / "x")):
        with pytest.raises(MediaError):
            write()


def _gif(video: Path, target: Path) -> None:
    write_animation(video, target, kind="gif", side=64, fps=8)


def test_the_test_clip_is_what_the_tests_believe(clip: Path) -> None:
    with av.open(clip, format="mp4") as container:
        frames = [frame.to_image() for frame in container.decode(video=0)]
    assert [level(frame) for frame in frames] == pytest.approx(range(FRAMES), abs=0.45)


# the folder of exports

GIF = Export("gif", side=320, fps=8)
JOB, NEIGHBOUR_JOB = new_id(), new_id()


@pytest.fixture
def exports(tmp_path: Path) -> Exports:
    return Exports(tmp_path / "exports", min_free_bytes=0)


async def made(exports: Exports, video: Path, export: Export = GIF, *, job: str = JOB, visitor: str = "a") -> Path:
    return await exports.make(video, job, export, visitor_id=visitor)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["gif", "webp", "png", "mp4"])
async def test_each_kind_of_export_is_made_once_and_kept(exports: Exports, clip: Path, kind: ExportKind) -> None:
    path = await made(exports, clip, Export(kind))
    assert path.suffix == f".{kind}"
    first = path.stat().st_ino
    assert (await made(exports, clip, Export(kind))).stat().st_ino == first
    assert [other.name for other in exports.folder.iterdir()] == [path.name]


@pytest.mark.anyio
async def test_a_copy_without_settings_holds_none(exports: Exports, clip: Path, tmp_path: Path) -> None:
    settings_tag.write(clip, tmp_path / "tagged.mp4", VideoRequest.parse({"prompt": "a heron at dawn"}))
    plain = await made(exports, tmp_path / "tagged.mp4", Export("mp4"))
    assert b"heron" not in plain.read_bytes()
    check_mp4(plain)


@pytest.mark.anyio
async def test_a_visitor_has_one_export_under_way_and_neighbours_do_not_wait_for_it(
    exports: Exports, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, may_end = hold_animation(monkeypatch)
    first = asyncio.create_task(made(exports, clip))
    await began.wait()
    with pytest.raises(MediaError) as caught:
        await made(exports, clip, Export("png"))
    assert caught.value.code == "export_busy"
    await made(exports, clip, Export("png"), job=NEIGHBOUR_JOB, visitor="b")
    may_end.set()
    assert (await first).is_file()
    assert (await made(exports, clip, Export("png"))).is_file()


@pytest.mark.anyio
async def test_an_export_that_nobody_waits_for_any_more_keeps_its_place_until_it_is_made(
    exports: Exports, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, may_end = hold_animation(monkeypatch)
    left = [asyncio.create_task(made(exports, clip, job=new_id(), visitor=visitor)) for visitor in "ab"]
    await began.wait()
    third = asyncio.create_task(made(exports, clip, Export("png"), job=NEIGHBOUR_JOB, visitor="c"))
    fourth = asyncio.create_task(made(exports, clip, Export("png"), job=new_id(), visitor="d"))
    await asyncio.sleep(0)
    for task in (*left, fourth):
        task.cancel()
    await asyncio.wait({third}, timeout=0.1)
    assert not third.done()
    for visitor in ("a", "c"):
        with pytest.raises(MediaError) as caught:
            await made(exports, clip, visitor=visitor)
        assert caught.value.code == "export_busy"
    may_end.set()
    assert (await third).is_file()
    assert (await made(exports, clip, visitor="d")).is_file()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("error", "why"),
    [(errno.ENOSPC, "disk_full"), (errno.EDQUOT, "disk_full"), (errno.EACCES, "file_not_written")],
)
async def test_a_full_disk_gives_a_sentence_and_leaves_nothing(
    exports: Exports, clip: Path, monkeypatch: pytest.MonkeyPatch, error: int, why: str
) -> None:
    def fail(self: Image.Image, part: Path, **_: object) -> None:
        part.write_bytes(b"GIF89a and a little more")
        raise OSError(error, "no")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(MediaError) as caught:
        await made(exports, clip)
    assert caught.value.facts["problem"] == reason(why)
    assert list(exports.folder.iterdir()) == []
    monkeypatch.undo()
    assert (await made(exports, clip)).is_file()


@pytest.mark.anyio
async def test_nothing_is_made_in_the_room_that_paid_videos_need(clip: Path, tmp_path: Path) -> None:
    exports = Exports(tmp_path / "exports", min_free_bytes=2**62)
    with pytest.raises(MediaError) as caught:
        await made(exports, clip)
    assert caught.value.facts["problem"] == reason("disk_nearly_full")


@pytest.mark.anyio
async def test_a_missing_video_gives_a_sentence(exports: Exports, tmp_path: Path) -> None:
    for kind in ("gif", "png", "mp4"):
        with pytest.raises(MediaError):
            await made(exports, tmp_path / "gone.mp4", Export(kind))


@pytest.mark.anyio
async def test_an_export_whose_video_was_deleted_meanwhile_is_removed(exports: Exports, clip: Path) -> None:
    with pytest.raises(MediaError, match="video_missing"):
        await exports.make(clip, JOB, GIF, visitor_id="a", is_wanted=lambda: False)
    assert list(exports.folder.iterdir()) == []

    def fails() -> bool:
        raise StorageError("database_away")

    with pytest.raises(StorageError):
        await exports.make(clip, JOB, GIF, visitor_id="a", is_wanted=fails)
    assert list(exports.folder.iterdir()) == []


@pytest.mark.anyio
async def test_exports_of_a_deleted_video_go_with_it(exports: Exports, clip: Path) -> None:
    await made(exports, clip)
    await made(exports, clip, Export("png", frame=3))
    kept = await made(exports, clip, job=NEIGHBOUR_JOB)
    exports.forget({JOB})
    assert list(exports.folder.iterdir()) == [kept]


@pytest.mark.anyio
async def test_old_half_made_and_too_many_exports_are_swept(
    exports: Exports, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, kept, newest = [await made(exports, clip, Export("png", frame=frame)) for frame in range(3)]
    now = time.time()
    for path, age in ((old, KEPT_S + 60), (kept, 60), (newest, 10)):
        os.utime(path, (now - age, now - age))
    (exports.folder / ".half.gif.0a1b2c3d.part").write_bytes(b"x")
    exports.sweep({JOB})
    assert set(exports.folder.iterdir()) == {kept, newest}
    monkeypatch.setattr("hunyuan_ui.library.exports.KEPT_BYTES", newest.stat().st_size)
    exports.sweep({JOB})
    assert list(exports.folder.iterdir()) == [newest]


@pytest.mark.anyio
async def test_with_too_many_exports_the_one_that_was_last_asked_for_the_longest_ago_makes_way(
    exports: Exports, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again, once = [await made(exports, clip, Export("png", frame=frame)) for frame in range(2)]
    now = time.time()
    for path, age in ((again, 120), (once, 60)):
        os.utime(path, (now - age, now - age))
    assert await made(exports, clip, Export("png", frame=0)) == again
    monkeypatch.setattr("hunyuan_ui.library.exports.KEPT_BYTES", once.stat().st_size)
    newest = await made(exports, clip, Export("png", frame=2))
    assert set(exports.folder.iterdir()) == {again, newest}


@pytest.mark.anyio
async def test_what_was_made_of_a_video_that_is_gone_is_swept(exports: Exports, clip: Path) -> None:
    await made(exports, clip)
    kept = await made(exports, clip, job=NEIGHBOUR_JOB)
    exports.sweep({NEIGHBOUR_JOB})
    assert list(exports.folder.iterdir()) == [kept]


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (("gif", "480", "12", ""), Export("gif", 480, 12)),
        (("gif", "99999", "-3", "5"), Export("gif", 640, 8)),
        (("webp", "nan", "inf", "x"), Export("webp", 480, 12)),
        (("webp", "", "<script>", "../../etc"), Export("webp", 480, 12)),
        (("png", "320", "8", "1.25"), Export("png", frame=30)),
        (("png", "", "", "-4"), Export("png", frame=0)),
        (("png", "", "", "1e300"), Export("png", frame=0)),
        (("mp4", "320", "8", "3"), Export("mp4")),
    ],
)
def test_an_address_can_only_ask_for_exports_there_are(asked: tuple[ExportKind, str, str, str], given: Export) -> None:
    assert Export.parse(*asked) == given
    assert re.fullmatch(r"\d+-\d+-\d+\.\w+", given.file_name)
