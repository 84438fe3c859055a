from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from hunyuan_ui.job import JobStatus
from hunyuan_ui.ui.copies import KEPT_S, drop_copy, served_copy
from tests.stored_jobs import job

DONE = job(status=JobStatus.DONE)


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
    copy = Path(served_copy(DONE, video))
    assert copy.read_bytes() == b"a video"
    assert copy.parent.parent == cache
    assert len(copy.parent.name) == 64
    assert DONE.id not in str(copy)
    assert served_copy(DONE, video) == str(copy)
    assert [path for path in cache.rglob("*") if path.is_file()] == [copy]


def test_a_deleted_video_lives_on_in_no_copy(cache: Path, video: Path) -> None:
    served_copy(DONE, video)
    drop_copy(DONE, video)
    drop_copy(DONE, video)
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_copies_that_nobody_was_shown_for_a_day_are_removed(cache: Path, video: Path, tmp_path: Path) -> None:
    old, used = Path(served_copy(DONE, video)), tmp_path / "used.mp4"
    used.write_bytes(b"another video")
    shown = Path(served_copy(DONE, used))
    foreign = cache / "theirs" / "other.mp4"
    foreign.parent.mkdir()
    foreign.write_bytes(b"of another program")
    for path in (old, shown, foreign):
        os.utime(path, (0, time.time() - KEPT_S - 60))
    served_copy(DONE, used)
    new = tmp_path / "new.mp4"
    new.write_bytes(b"a third video")
    served_copy(DONE, new)
    assert (old.exists(), shown.exists(), foreign.exists()) == (False, True, True)
