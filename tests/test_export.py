from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hunyuan_ui.errors import MediaError
from hunyuan_ui.media import AnimationKind, encode_mp4, write_animation, write_still

WIDTH, HEIGHT, FRAMES, FPS = 96, 64, 29, 24


def brightening() -> Iterator[NDArray[np.uint8]]:
    """Each frame is lighter than the one before, so that a picture tells which frame it is."""
    for index in range(FRAMES):
        packed = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
        packed[:HEIGHT] = 20 + 7 * index
        packed[HEIGHT - 16 : HEIGHT, 3 * index : 3 * index + 12] = 235  # else a GIF may join two frames into one
        yield packed


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "clip.mp4"
    encode_mp4(path, WIDTH, HEIGHT, FPS, brightening())
    return path


def level(image: Image.Image) -> float:
    """The frame's number, read from its brightness."""
    grey = image.convert("L").getpixel((WIDTH // 4, HEIGHT // 4))
    assert isinstance(grey, int)
    return (grey * 219 / 255 + 16 - 20) / 7


@pytest.mark.parametrize(
    ("at_s", "frame"), [(0, 0), (10 / 24, 10), (10.9 / 24, 10), (11 / 24, 11), (28 / 24, 28), (99, 28), (-1, 0)]
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
            animation.load()  # WebP tells a frame's duration only then
            levels.append(level(animation))
            durations.append(animation.info["duration"])
    assert levels == pytest.approx([index * max(1, FPS // fps) for index in range(shown)], abs=1.2)
    assert sum(durations) == pytest.approx(1000 * shown / min(fps, FPS), abs=12)


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_a_video_of_one_frame_becomes_a_picture_that_stands_still(tmp_path: Path, kind: AnimationKind) -> None:
    encode_mp4(tmp_path / "one.mp4", 32, 32, 24, (np.full((48, 32), 128, np.uint8) for _ in range(1)))
    write_animation(tmp_path / "one.mp4", tmp_path / "one", kind=kind, side=480, fps=12)
    with Image.open(tmp_path / "one") as animation:
        assert (getattr(animation, "n_frames", 1), animation.size) == (1, (32, 32))


def test_a_video_that_is_far_too_long_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    encode_mp4(tmp_path / "long.mp4", 16, 16, 24, (np.full((24, 16), 128, np.uint8) for _ in range(320)))
    with pytest.raises(MediaError, match="too long"):
        write_animation(tmp_path / "long.mp4", tmp_path / "long.gif", kind="gif", side=16, fps=24)
    assert [path.name for path in tmp_path.iterdir()] == ["long.mp4"]


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
