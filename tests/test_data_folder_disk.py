"""What the data folder says of a disk that cannot be written, has no room, or takes no finished video."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hunyuan_ui.data_folder import BALLAST_BYTES, DataFolder
from hunyuan_ui.errors import StorageError
from hunyuan_ui.words import words
from tests.test_data_folder import code_of
from tests.test_data_folder import folder as folder


def fail_with(code: int) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(code, os.strerror(code))

    return fail


# a disk that cannot be written


def test_a_path_under_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    folder = DataFolder(tmp_path / "file" / "data")
    assert not folder.can_write
    assert code_of(folder) == "disk_read_only"


@pytest.mark.parametrize("call", ["mkdir", "open", "write_bytes"])
def test_a_read_only_disk_shows_what_is_there_and_spends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    monkeypatch.setattr(Path, call, fail_with(errno.EROFS))
    folder = DataFolder(tmp_path, min_free_bytes=0)
    assert not folder.can_write
    assert code_of(folder) == "disk_read_only"
    folder.close()


def test_a_disk_that_becomes_read_only_is_noticed_before_money_is_spent(
    folder: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert code_of(folder) is None
    monkeypatch.setattr(os, "utime", fail_with(errno.EROFS))
    assert code_of(folder) == "disk_read_only"


# the folder of finished videos


def leads_away(videos: Path) -> None:
    videos.symlink_to(videos.parent / "a disk that is not there")


def leads_round(videos: Path) -> None:
    videos.symlink_to(videos)


def is_a_file(videos: Path) -> None:
    videos.write_text("x")


def leads_where_nobody_may_write(videos: Path) -> None:
    videos.symlink_to("/proc" if sys.platform == "linux" else "/dev/fd")


UNUSABLE = [leads_away, leads_round, is_a_file, leads_where_nobody_may_write]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
@pytest.mark.parametrize("spoil", UNUSABLE)
def test_nothing_is_spent_while_the_other_folder_takes_no_file(
    folder: DataFolder, spoil: Callable[[Path], None]
) -> None:
    videos = folder.path / "videos"
    spoil(videos)
    folder.require_videos_folder(videos)
    assert folder.videos_problem is not None
    assert code_of(folder) == "videos_not_writable"
    assert folder.can_write  # the ledger can continue sent jobs
    videos.unlink()
    assert folder.recheck_videos_folder() is None
    assert code_of(folder) is None
    assert list(videos.iterdir()) == []


def test_another_folder_that_is_gone_is_made_again_and_one_that_was_spoiled_is_seen(folder: DataFolder) -> None:
    videos = folder.path / "videos"
    folder.require_videos_folder(videos)
    assert code_of(folder) is None
    videos.rmdir()
    assert folder.recheck_videos_folder() is None
    assert videos.is_dir()
    videos.rmdir()
    is_a_file(videos)
    refusal = folder.recheck_videos_folder()
    assert refusal is not None
    assert refusal.code == "videos_not_writable"


@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENOSPC, "disk_full"), (errno.EDQUOT, "disk_full"), (errno.EIO, "videos_not_writable")]
)
def test_a_write_into_the_other_folder_that_fails_says_why(
    folder: DataFolder, monkeypatch: pytest.MonkeyPatch, number: int, code: str
) -> None:
    folder.require_videos_folder(folder.path / "videos")
    monkeypatch.setattr(tempfile, "TemporaryFile", fail_with(number))
    assert code_of(folder) == code
    monkeypatch.undo()
    assert code_of(folder) is None


def test_the_other_folder_may_be_on_a_disk_of_its_own_that_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = DataFolder(tmp_path / "data", min_free_bytes=1024)
    real = shutil.disk_usage
    folder.require_videos_folder(folder.path / "videos")
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: real(path)._replace(free=100) if Path(path).name == "videos" else real(path)
    )
    assert code_of(folder) == "disk_full"
    folder.close()


# room


def test_too_little_room_refuses_and_says_how_much_there_is(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path, min_free_bytes=2**62)
    assert folder.can_write
    with pytest.raises(StorageError) as caught:
        folder.check_room()
    assert caught.value.code == "disk_full"
    assert " MB free" in words().sentence(caught.value)
    folder.close()


@pytest.mark.parametrize("full", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_or_quota_is_called_full(folder: DataFolder, monkeypatch: pytest.MonkeyPatch, full: int) -> None:
    folder.drop_ballast()
    monkeypatch.setattr(Path, "write_bytes", fail_with(full))
    assert code_of(folder) == "disk_full"


def test_a_disk_that_is_full_at_the_start_may_be_used_when_there_is_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", fail_with(errno.ENOSPC))
        folder = DataFolder(tmp_path, min_free_bytes=0)
        assert folder.can_write
        assert code_of(folder) == "disk_full"
    assert code_of(folder) is None
    folder.close()


def test_the_ballast_is_given_up_once_and_taken_again(folder: DataFolder) -> None:
    ballast = folder.path / "ballast"
    assert ballast.stat().st_size == BALLAST_BYTES
    folder.drop_ballast()
    assert not ballast.exists()
    folder.drop_ballast()
    assert code_of(folder) is None
    assert ballast.stat().st_size == BALLAST_BYTES


def test_a_ballast_that_a_full_disk_cut_short_is_made_whole(folder: DataFolder) -> None:
    ballast = folder.path / "ballast"
    ballast.write_bytes(b"half")
    assert code_of(folder) is None
    assert ballast.stat().st_size == BALLAST_BYTES


def test_a_lasting_problem_collects_no_tracebacks(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    folder = DataFolder(tmp_path / "file")
    for _ in range(5):
        assert code_of(folder) == "disk_read_only"
    assert folder.problem is not None
    depth, traceback = 0, folder.problem.__traceback__
    while traceback is not None:
        depth, traceback = depth + 1, traceback.tb_next
    assert depth <= 2


def test_a_ballast_that_does_not_fit_takes_none_of_the_last_bytes(
    folder: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(path: Path, data: bytes) -> None:
        with path.open("wb") as file:
            file.write(data[:100])
        raise OSError(errno.ENOSPC, "full")

    folder.drop_ballast()
    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(StorageError, match="disk_full"):
        folder.check_room()
    assert not (folder.path / "ballast").exists()
