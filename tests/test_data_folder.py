from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hunyuan_ui.data_folder import BALLAST_BYTES, DataFolder
from hunyuan_ui.errors import StorageError
from hunyuan_ui.words import words

ROOT = Path(__file__).parent.parent
HOLD = """
import sys
from pathlib import Path
from hunyuan_ui.data_folder import DataFolder
folder = DataFolder(Path(sys.argv[1]))
print(folder.problem.code if folder.problem else "held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[DataFolder]:
    made = DataFolder(tmp_path / "data", min_free_bytes=0)
    yield made
    made.close()


def code_of(folder: DataFolder) -> str | None:
    try:
        folder.check_room()
    except StorageError as error:
        return error.code
    return None


def other_process(path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(path)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_missing_folder_is_made_and_held(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "deep" / "data", min_free_bytes=0)
    assert folder.can_write
    assert code_of(folder) is None
    assert folder.path.is_dir()
    folder.close()


@pytest.mark.skipif(sys.platform == "win32", reason="no such permissions")
def test_a_folder_that_is_made_is_its_users_alone_and_one_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new" / "data"
    old.mkdir(mode=0o750)
    umask = os.umask(0o022)
    try:
        for path, mode in ((old, 0o750), (new, 0o700)):
            DataFolder(path).close()
            assert stat.S_IMODE(path.stat().st_mode) == mode
    finally:
        os.umask(umask)


def test_processes_on_one_database_share_the_folder_and_one_without_a_database_is_refused(tmp_path: Path) -> None:
    first, second = (DataFolder(tmp_path, min_free_bytes=0, is_shared=True) for _ in range(2))
    assert first.can_write
    assert second.can_write
    alone = DataFolder(tmp_path, min_free_bytes=0)
    assert code_of(alone) == "ledger_taken"
    for folder in (first, second, alone):
        folder.close()


# one process


def test_a_second_process_is_refused_while_the_first_lives(folder: DataFolder) -> None:
    with other_process(folder.path) as second:
        assert first_line(second) == "ledger_taken"
        second.communicate("\n")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_process_leaves_the_folder_free(tmp_path: Path) -> None:
    with other_process(tmp_path) as first:
        assert first_line(first) == "held"
        refused = DataFolder(tmp_path, min_free_bytes=0)
        assert not refused.can_write
        assert code_of(refused) == "ledger_taken"
        refused.close()
        first.send_signal(signal.SIGKILL)
        first.communicate()
    free = DataFolder(tmp_path, min_free_bytes=0)
    assert free.can_write
    free.close()


def test_a_second_holder_in_the_same_process_is_refused_until_the_first_lets_go(folder: DataFolder) -> None:
    second = DataFolder(folder.path)
    assert code_of(second) == "ledger_taken"
    folder.close()
    third = DataFolder(folder.path)
    assert third.can_write
    third.close()


# something else in the place of a file


def to_nothing(path: Path) -> None:
    path.symlink_to(path.parent / "unplugged" / path.name)


def to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def to_itself(path: Path) -> None:
    path.symlink_to(path)


def socket_at(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(f"/proc/self/fd/{os.open(path.parent, os.O_RDONLY)}/{path.name}")


OWN_FILES = (
    *("ballast", "ledger.lock", "links.secret", "ledger.sqlite3", "ledger.sqlite3-wal", "ledger.sent"),
    *("ledger.review", "ledger.moved", "ledger.other", "ledger.confirmed"),
)


@pytest.mark.skipif(sys.platform == "win32", reason="it has no pipes in folders")
@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, to_nothing, to_a_device, to_itself, socket_at])
@pytest.mark.parametrize("name", OWN_FILES)
def test_what_is_no_file_in_the_place_of_one_is_named_at_once(
    tmp_path: Path, name: str, make: Callable[[Path], object]
) -> None:
    make(tmp_path / name)
    folder = DataFolder(tmp_path, min_free_bytes=0)
    assert code_of(folder) == "not_a_file"
    assert folder.problem is not None
    assert name in words().sentence(folder.problem)
    folder.close()


def test_a_folder_of_a_similar_name_and_a_link_to_a_file_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(bytes(BALLAST_BYTES))
    (tmp_path / "data" / "ledger.old").mkdir(parents=True)
    (tmp_path / "data" / "ballast").symlink_to(tmp_path / "elsewhere")
    folder = DataFolder(tmp_path / "data", min_free_bytes=0)
    assert code_of(folder) is None
    folder.close()


@pytest.mark.skipif(sys.platform == "win32", reason="it has no pipes in folders")
def test_a_pipe_that_takes_a_files_place_later_holds_nobody(folder: DataFolder) -> None:
    (folder.path / "ballast").unlink()
    os.mkfifo(folder.path / "ballast")
    assert code_of(folder) == "not_a_file"
    (folder.path / "ballast").unlink()
    assert code_of(folder) is None


# what lies there


@pytest.fixture
def used(folder: DataFolder) -> Iterator[DataFolder]:
    """A folder with a file that this program keeps open, as it does the ledger."""
    with (folder.path / "ledger").open("w"):
        folder.watch("ledger")
        folder.watch("not there")
        yield folder


def deleted(path: Path) -> None:
    shutil.rmtree(path)


def made_again(path: Path) -> None:
    shutil.rmtree(path)
    DataFolder(path, min_free_bytes=0).close()
    (path / "ledger").touch()


def renamed(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


def copied(path: Path) -> None:
    shutil.copytree(path, path.with_name("copy"))
    shutil.rmtree(path)
    path.with_name("copy").rename(path)


def a_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("not a folder")


def without_the_lock(path: Path) -> None:
    (path / "ledger.lock").unlink()


def with_another_lock(path: Path) -> None:
    (path / "ledger.lock").unlink()
    DataFolder(path, min_free_bytes=0).close()


def without_the_file(path: Path) -> None:
    (path / "ledger").unlink()


def with_another_file(path: Path) -> None:
    (path / "new").touch()
    (path / "new").replace(path / "ledger")


GONE = [deleted, made_again, renamed, copied, a_file, without_the_lock, with_another_lock]
REPLACED = [*GONE, without_the_file, with_another_file]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets nobody take away what is open")
@pytest.mark.parametrize("replace", REPLACED, ids=lambda replace: replace.__name__)
def test_files_that_are_no_longer_the_folders_are_noticed(used: DataFolder, replace: Callable[[Path], None]) -> None:
    assert code_of(used) is None
    replace(used.path)
    assert code_of(used) == "folder_replaced"
    assert not used.can_write
    assert ("ledger.lock" in used.missing_files) == (replace in GONE)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets nobody take away what is open")
def test_files_that_are_put_back_are_used_again(used: DataFolder) -> None:
    away = used.path.with_name("away")
    for _ in range(2):
        used.path.rename(away)
        other = DataFolder(used.path, min_free_bytes=0)
        assert other.can_write
        assert code_of(used) == "folder_replaced"
        other.close()
        shutil.rmtree(used.path)
        away.rename(used.path)
        assert code_of(used) is None
        assert used.can_write


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_that_leads_to_another_folder_is_noticed_and_one_that_leads_back_is_too(tmp_path: Path) -> None:
    link = tmp_path / "data"
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    link.symlink_to(tmp_path / "one")
    folder = DataFolder(link, min_free_bytes=0)
    for name, code in (("two", "folder_replaced"), ("one", None)):
        link.unlink()
        link.symlink_to(tmp_path / name)
        assert code_of(folder) == code
    folder.close()


def test_a_copy_in_the_place_of_a_file_never_gets_its_number(used: DataFolder) -> None:
    for number in range(50):
        (used.path / "ledger").unlink()
        (used.path / "ledger").write_text(str(number))
        assert used.missing_files == {"ledger"}


def test_a_file_system_without_file_numbers_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fstat

    def without_number(handle: int) -> os.stat_result:
        facts = list(real(handle))
        facts[1] = 0
        return os.stat_result(facts)

    monkeypatch.setattr(os, "fstat", without_number)
    folder = DataFolder(tmp_path / "data", min_free_bytes=0)
    assert code_of(folder) is None
    assert folder.missing_files == frozenset()
    folder.close()


def test_why_a_folder_was_refused_at_the_start_stays_the_reason(used: DataFolder) -> None:
    used.refuse(StorageError("ledger_busy"))
    without_the_file(used.path)
    assert code_of(used) == "ledger_busy"


@pytest.mark.parametrize("never_shrinks", [True, False])
def test_a_file_that_was_cut_counts_as_gone_if_it_never_shrinks(folder: DataFolder, never_shrinks: bool) -> None:
    file = folder.path / "ledger.sqlite3"
    file.write_bytes(bytes(100))
    folder.watch(file.name, never_shrinks=never_shrinks)
    with file.open("ab") as grown:
        grown.write(bytes(100))
    assert folder.missing_files == frozenset()
    os.truncate(file, 99)
    assert folder.missing_files == ({file.name} if never_shrinks else frozenset())
