from __future__ import annotations

import os
import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from hunyuan_ui.errors import MediaError, StorageError
from hunyuan_ui.job import JobStatus, new_id
from hunyuan_ui.ui.served_files import KEPT_S, drop_copies, served_copy
from tests.stored_jobs import job

DONE = job(status=JobStatus.DONE, sha256=sha256(b"a video").hexdigest())


def wanted() -> bool:
    return True


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "video.mp4"
    path.write_bytes(b"a video")
    return path


def test_a_video_is_copied_once_under_a_name_that_tells_nothing(cache: Path, video: Path) -> None:
    copy = Path(served_copy(DONE, video, wanted))
    assert copy.read_bytes() == b"a video"
    assert copy.parent.parent == cache
    assert len(copy.parent.name) == 64
    assert DONE.id not in str(copy)
    assert served_copy(DONE, video, wanted) == str(copy)
    assert files(cache) == [copy]


@pytest.mark.parametrize("is_there", [True, False])
def test_a_deleted_video_lives_on_in_no_copy(cache: Path, video: Path, tmp_path: Path, is_there: bool) -> None:
    served_copy(DONE, video, wanted)
    other = tmp_path / "other.mp4"
    other.write_bytes(b"another's video of the same size and seed")
    kept = Path(served_copy(replace(DONE, id=new_id()), other, wanted))
    if not is_there:
        video.unlink()
    for _ in range(2):
        drop_copies(DONE)
        assert files(cache) == [kept]


def test_a_video_that_is_deleted_while_it_is_copied_leaves_no_copy(cache: Path, video: Path) -> None:
    def deleted_meanwhile() -> bool:
        assert len(files(cache)) == 1
        return False

    with pytest.raises(MediaError, match="video_missing"):
        served_copy(DONE, video, deleted_meanwhile)
    assert files(cache) == []


def test_a_ledger_that_cannot_say_whether_a_video_is_wanted_leaves_no_copy(cache: Path, video: Path) -> None:
    def unreadable() -> bool:
        raise StorageError("ledger_busy")

    with pytest.raises(StorageError):
        served_copy(DONE, video, unreadable)
    assert files(cache) == []


def test_a_copy_that_cannot_be_written_leaves_nothing(
    cache: Path, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_source: Path, part: Path) -> None:
        part.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hunyuan_ui.ui.served_files.shutil.copyfile", full)
    with pytest.raises(OSError, match="No space"):
        served_copy(DONE, video, wanted)
    assert files(cache) == []


def test_copies_that_nobody_was_shown_for_a_day_are_removed(cache: Path, video: Path, tmp_path: Path) -> None:
    old, used = Path(served_copy(DONE, video, wanted)), tmp_path / "used.mp4"
    used.write_bytes(b"another video")
    shown = Path(served_copy(DONE, used, wanted))
    foreign = cache / "theirs" / "other.mp4"
    foreign.parent.mkdir()
    foreign.write_bytes(b"of another program")
    for path in (old, shown, foreign):
        os.utime(path, (0, time.time() - KEPT_S - 60))
    served_copy(DONE, used, wanted)
    new = tmp_path / "new.mp4"
    new.write_bytes(b"a third video")
    served_copy(DONE, new, wanted)
    assert (old.exists(), shown.exists(), foreign.exists()) == (False, True, True)
