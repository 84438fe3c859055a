from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hunyuan_ui.errors import StorageError
from hunyuan_ui.ledger import Ledger, confirm_review, count_jobs, needs_review, open_ledger, sqlite
from hunyuan_ui.ledger.schema import MIGRATIONS
from hunyuan_ui.words import words
from tests.ledger.one_folder import add, backups, count, ledger_of
from tests.ledger.one_folder import folder as folder
from tests.stored_jobs import NOON, Clock, anything_goes, back_up, job, opened_ledger


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(20_000))


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut_within_a_page(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def deleted(path: Path) -> None:
    path.unlink()


def scribbled_over(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[4096:12_288] = b"\xff" * 8192
    path.write_bytes(whole)


def of_no_known_format(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[18:20] = b"\x09\x09"
    path.write_bytes(whole)


def without_the_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE jobs")


def with_a_row_that_says_nothing(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE jobs SET request = '{}'")


def with_a_damaged_index(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        of_index = "SELECT rootpage FROM sqlite_master WHERE name = 'jobs_by_request'"
        (page,), (size,) = connection.execute(of_index).fetchone(), connection.execute("PRAGMA page_size").fetchone()
    whole = bytearray(path.read_bytes())
    whole[(page - 1) * size : page * size] = b"\xff" * size
    path.write_bytes(whole)


DAMAGES = [
    garbage,
    cut_short,
    cut_within_a_page,
    emptied,
    deleted,
    scribbled_over,
    of_no_known_format,
    without_the_table,
    with_a_row_that_says_nothing,
]


def name_of(damage: object) -> str:
    return getattr(damage, "__name__", str(damage))


def test_a_new_folder_gets_an_empty_ledger_that_needs_no_review(tmp_path: Path) -> None:
    assert count(tmp_path) == 0
    assert not needs_review(tmp_path)


def test_an_empty_file_without_backups_is_a_first_start_that_was_stopped(tmp_path: Path) -> None:
    emptied(ledger_of(tmp_path))
    assert count(tmp_path) == 0
    assert not needs_review(tmp_path)


def test_a_commit_is_on_the_disk_before_it_returns(tmp_path: Path) -> None:
    with closing(open_ledger(tmp_path).database) as opened:
        assert opened.connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert opened.connection.execute("PRAGMA synchronous").fetchone()[0] == 2


def test_opening_again_changes_nothing(folder: Path) -> None:
    assert count(folder) == 3
    assert open_and_close(folder) is None
    assert not needs_review(folder)


def open_and_close(folder: Path) -> Path | None:
    opened = open_ledger(folder)
    opened.database.close()
    return opened.set_aside


# damage


@pytest.mark.parametrize("damage", DAMAGES, ids=name_of)
def test_a_damaged_ledger_is_set_aside_and_restored_and_asks_its_owner(
    folder: Path, damage: Callable[[Path], None]
) -> None:
    damage(ledger_of(folder))
    left = ledger_of(folder).read_bytes() if ledger_of(folder).exists() else None
    set_aside = open_and_close(folder)
    assert set_aside is not None
    if damage is garbage:
        assert set_aside.read_bytes() == left
    assert count(folder) == 2
    assert needs_review(folder)
    confirm_review(folder)
    assert not needs_review(folder)
    assert open_and_close(folder) is None


@pytest.mark.parametrize("damage", [garbage, scribbled_over, with_a_damaged_index, emptied], ids=name_of)
def test_the_newest_good_backup_is_taken(folder: Path, damage: Callable[[Path], None]) -> None:
    with closing(opened_ledger(folder)) as book:
        back_up(folder)
        add(book, 1)
        back_up(folder)
    damage(backups(folder)[-1])
    garbage(ledger_of(folder))
    assert count(folder) == 3


def test_a_job_that_waited_when_the_backup_was_made_is_not_sent_again(folder: Path) -> None:
    garbage(ledger_of(folder))
    with closing(opened_ledger(folder)) as book:
        assert book.active() == []
        assert len(book.unknown()) == 2


def test_a_stop_while_restoring_leaves_no_job_that_is_sent_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = Path.replace

    def stop(self: Path, target: Path) -> Path:
        if self.name == "ledger.part":
            raise KeyboardInterrupt
        return replace(self, target)

    garbage(ledger_of(folder))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            open_ledger(folder)
    with closing(opened_ledger(folder)) as book:
        assert book.active() == []
        assert len(book.unknown()) == 2
    assert needs_review(folder)


@pytest.mark.parametrize("damage", [garbage, with_a_damaged_index, emptied], ids=name_of)
def test_a_backup_that_a_full_disk_has_no_room_for_is_restored_at_a_later_start(
    folder: Path, damage: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(ledger_of(folder))

    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("hunyuan_ui.ledger.backups.mark_waiting_unknown", full)
        for _ in range(2):
            with pytest.raises(StorageError, match="disk_full"):
                open_ledger(folder)
    assert not (folder / "ledger.part").exists()
    assert count(folder) == 2
    assert needs_review(folder)


def test_without_a_good_backup_the_ledger_is_empty_and_asks_its_owner(folder: Path) -> None:
    for backup in backups(folder):
        garbage(backup)
    garbage(ledger_of(folder))
    assert count(folder) == 0
    assert needs_review(folder)
    assert open_and_close(folder) is None
    assert needs_review(folder)


def test_damage_without_any_backup_asks_the_owner(tmp_path: Path) -> None:
    garbage(ledger_of(tmp_path))
    assert count(tmp_path) == 0
    assert needs_review(tmp_path)


def test_a_log_of_a_damaged_ledger_is_not_played_into_the_restored_one(folder: Path) -> None:
    with closing(opened_ledger(folder)) as book:
        add(book, 1)
        log = (folder / "ledger.sqlite3-wal").read_bytes()
        assert log
    garbage(ledger_of(folder))
    (folder / "ledger.sqlite3-wal").write_bytes(log)
    assert count(folder) == 2


def test_a_stop_while_setting_aside_leaves_the_mark(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    garbage(ledger_of(folder))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            open_ledger(folder)
    assert needs_review(folder)
    assert count(folder) == 2


def test_a_ledger_of_a_newer_version_is_left_alone(folder: Path) -> None:
    with closing(sqlite3.connect(ledger_of(folder))) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = ledger_of(folder).read_bytes()
    with pytest.raises(StorageError) as caught:
        open_ledger(folder)
    assert caught.value.code == "ledger_newer"
    assert ledger_of(folder).read_bytes() == before
    assert not needs_review(folder)


def test_a_locked_ledger_is_busy_not_damaged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.02)
    with closing(sqlite3.connect(ledger_of(folder), isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageError) as caught:
            open_ledger(folder)
    assert caught.value.code == "ledger_busy"
    assert count(folder) == 3
    assert not needs_review(folder)


def test_a_folder_in_the_ledgers_place_is_refused(tmp_path: Path) -> None:
    ledger_of(tmp_path).mkdir()
    with pytest.raises(StorageError) as caught:
        open_ledger(tmp_path)
    assert caught.value.code == "disk_read_only"


def test_a_sqlite_without_strict_tables_is_refused_by_its_version(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(StorageError) as caught:
        open_ledger(folder)
    assert caught.value.code == "sqlite_too_old"
    assert "3.37" in words().sentence(caught.value)


# read-only


def test_a_reader_beside_a_live_writer_sees_what_is_committed(folder: Path) -> None:
    with closing(opened_ledger(folder)) as writer:
        with closing(Ledger(open_ledger(folder, can_write=False).database)) as reader:
            assert len(reader.jobs(None)) == 3
            add(writer, 1)
            assert len(reader.jobs(None)) == 4
            with pytest.raises(StorageError) as caught:
                reader.add(job(), anything_goes)
            assert caught.value.code == "disk_read_only"
        add(writer, 1)
        assert len(writer.jobs(None)) == 5


@pytest.mark.parametrize("damage", [None, *DAMAGES], ids=name_of)
def test_a_reader_changes_no_file_whatever_it_finds(folder: Path, damage: Callable[[Path], None] | None) -> None:
    if damage is not None:
        damage(ledger_of(folder))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with closing(Ledger(open_ledger(folder, can_write=False).database)) as reader, pytest.raises(StorageError):
        reader.add(job(), anything_goes)
    after = {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith(("-wal", "-shm"))}
    assert after == before
    assert not needs_review(folder)


def test_a_reader_without_a_ledger_shows_none_and_stores_none(tmp_path: Path) -> None:
    with closing(Ledger(open_ledger(tmp_path, can_write=False).database)) as reader:
        assert reader.jobs(None) == []
        with pytest.raises(StorageError):
            reader.add(job(), anything_goes)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_on_a_disk_that_holds_no_new_file_still_shows_the_jobs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect

    def connect_on_a_read_only_disk(name: str, **options: Any) -> sqlite3.Connection:
        # SQLite's error for a WAL database whose -shm file it cannot create.
        if "immutable" not in name and "memory" not in name:
            raise sqlite3.OperationalError("unable to open database file")
        return connect(name, **options)

    monkeypatch.setattr(sqlite3, "connect", connect_on_a_read_only_disk)
    assert count(folder, can_write=False) == 3


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="it has no pipes in folders")
def test_a_pipe_in_the_place_of_ledger_or_backup_holds_nobody(tmp_path: Path) -> None:
    os.mkfifo(ledger_of(tmp_path))
    with closing(Ledger(open_ledger(tmp_path, can_write=False).database)) as reader:
        assert reader.jobs(None) == []
    with pytest.raises(StorageError) as caught:
        count_jobs(tmp_path)
    assert caught.value.code == "not_a_file"
    garbage_folder = tmp_path / "damaged"
    garbage_folder.mkdir()
    os.mkfifo(garbage_folder / "ledger.backup-99999999999999999999.sqlite3")
    garbage(ledger_of(garbage_folder))
    with closing(opened_ledger(garbage_folder)):
        assert needs_review(garbage_folder)


# backups


def test_a_backup_of_a_ledger_in_use_holds_all_that_is_committed(folder: Path) -> None:
    with closing(opened_ledger(folder)) as book:
        add(book, 2)
        copy = back_up(folder)
        add(book, 1)
        assert len(book.jobs(None)) == 6
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT count(*) FROM jobs").fetchone()[0] == 5


def test_five_backups_are_kept_and_they_are_the_newest(folder: Path) -> None:
    made = [back_up(folder) for _ in range(7)]
    assert backups(folder) == made[2:]
    assert [path.name for path in folder.iterdir() if "part" in path.name] == []


@pytest.mark.parametrize("left", ["part", "part-wal", "part-shm", "part-journal"])
def test_what_a_kill_left_of_a_backup_goes_with_the_next_one(folder: Path, left: str) -> None:
    """It may hold prompts that were deleted since."""
    (folder / f"ledger.backup-01795883101017525989.{left}").write_bytes(ledger_of(folder).read_bytes())
    copy = back_up(folder)
    assert [path for path in folder.iterdir() if ".part" in path.name] == []
    assert copy in backups(folder)


def test_a_clock_set_back_does_not_throw_the_new_backup_away(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: round(NOON))
    made = [back_up(folder) for _ in range(6)]
    assert backups(folder) == made[1:]


def test_a_budget_that_cannot_be_confirmed_says_so(folder: Path) -> None:
    (folder / "ledger.review").mkdir()
    with pytest.raises(StorageError) as caught:
        confirm_review(folder)
    assert caught.value.code == "disk_read_only"


@pytest.mark.parametrize("damage", [scribbled_over, with_a_damaged_index], ids=name_of)
def test_a_damaged_ledger_does_not_push_good_backups_out(folder: Path, damage: Callable[[Path], None]) -> None:
    before = backups(folder)
    damage(ledger_of(folder))
    for _ in range(6):
        with pytest.raises(StorageError) as caught:
            back_up(folder)
        assert caught.value.code == "ledger_damaged"
    assert backups(folder) == before


def test_a_backup_that_cannot_be_written_says_so(folder: Path) -> None:
    with closing(opened_ledger(folder)) as book, pytest.raises(StorageError) as caught:
        book.database.back_up(folder / "missing")
    assert caught.value.code == "disk_read_only"


def test_the_clock_of_a_restored_ledger_goes_on_where_its_jobs_end(folder: Path) -> None:
    garbage(ledger_of(folder))
    with closing(opened_ledger(folder, Clock(NOON - 1e6))) as book:
        assert book.now() == NOON
