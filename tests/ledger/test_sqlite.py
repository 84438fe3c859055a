from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hunyuan_ui import checkpoint
from hunyuan_ui.errors import StorageError
from hunyuan_ui.job import JobStatus
from hunyuan_ui.ledger import FILE_NAME, LOG_NAME, Ledger, open_ledger
from hunyuan_ui.ledger.sqlite import HELD_S
from tests.stored_jobs import ALICE, added, anything_goes, file_of, finished, in_status, job, opened_ledger

ROOT = Path(__file__).parents[2]
READS: dict[str, Callable[[Ledger], Any]] = {
    "get": lambda book: book.get("f" * 32),
    "active": lambda book: book.active(),
    "unknown": lambda book: book.unknown(),
    "doubtful": lambda book: book.doubtful(),
    "jobs": lambda book: book.jobs(ALICE, search="fox"),
    "ids": lambda book: book.ids(),
    "outcomes": lambda book: book.outcomes("owner"),
    "totals": lambda book: book.totals(ALICE),
    "days": lambda book: book.days(0.0),
    "now": lambda book: book.now(),
    "ahead_s": lambda book: book.ahead_s,
}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(opened_ledger(tmp_path / "data")) as book:
        yield book


def read_meanwhile(ledger: Ledger) -> dict[str, Any]:
    """Return the result of every read in another thread, while this one holds the write lock."""
    told: dict[str, Any] = {}

    def ask() -> None:
        for name, read in READS.items():
            told[name] = read(ledger)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(10)
    return told


# reads


@pytest.mark.parametrize("step", ["begin", "commit", "committed"])
def test_no_read_waits_for_a_write_of_this_program(tmp_path: Path, step: str) -> None:
    told: list[dict[str, Any]] = []

    def hold(name: str) -> None:
        if name == f"ledger.add.{step}":
            told.append(read_meanwhile(ledger))

    checkpoint.hook = hold
    with closing(opened_ledger(tmp_path / "data")) as ledger:
        added(ledger)
    assert [set(answers) for answers in told] == [set(READS)]
    assert len(told[0]["ids"]) == (step == "committed")


@pytest.mark.parametrize("kind", ["IMMEDIATE", "EXCLUSIVE"])
def test_no_read_waits_for_a_write_of_another_program(ledger: Ledger, tmp_path: Path, kind: str) -> None:
    added(ledger)
    with closing(sqlite3.connect(tmp_path / "data" / FILE_NAME, isolation_level=None)) as other:
        other.execute(f"BEGIN {kind}")
        other.execute("DELETE FROM jobs")
        told = read_meanwhile(ledger)
        assert set(told) == set(READS)
        assert len(told["ids"]) == 1
        other.execute("ROLLBACK")


def test_a_read_shows_every_commit_before_it(ledger: Ledger) -> None:
    for count in range(1, 20):
        made = added(ledger)
        assert ledger.get(made.id) == made
        assert len(ledger.ids()) == count


def test_a_read_that_fails_leaves_the_next_one_working(ledger: Ledger) -> None:
    added(ledger)
    with pytest.raises(StorageError):
        ledger._jobs("WHERE no_such_column = 1", ())
    assert len(ledger.ids()) == 1


def test_the_reading_connection_can_write_nothing(ledger: Ledger) -> None:
    with pytest.raises(sqlite3.OperationalError):
        file_of(ledger).reader.execute("DELETE FROM jobs")


# files that are deleted while they are open

WRITER = """
import sys
from pathlib import Path
from tests.stored_jobs import added, opened_ledger
book = opened_ledger(Path(sys.argv[1]))
added(book)
print(sorted(path.name for path in Path(sys.argv[1]).iterdir()), flush=True)
sys.stdin.readline()
print(sorted(path.name for path in Path(sys.argv[1]).iterdir()), len(book.ids()), flush=True)
book.close()
"""

only_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows lets nobody delete what is open")


def count(folder: Path) -> int:
    with closing(open_ledger(folder).database) as opened:
        return opened.connection.execute("SELECT count(*) FROM jobs").fetchone()[0]


def killed(folder: Path) -> Path:
    """Return a copy of a folder as a kill would leave it."""
    return Path(shutil.copytree(folder, folder.with_name("killed")))


def test_a_closed_ledger_leaves_one_file(tmp_path: Path) -> None:
    with closing(opened_ledger(tmp_path)) as book:
        added(book)
        assert (tmp_path / LOG_NAME).stat().st_size > 0
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]
    assert count(tmp_path) == 1


@only_posix
def test_closing_a_deleted_ledger_deletes_nothing_of_the_one_that_lies_there_now(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    ours = opened_ledger(folder)
    added(ours)
    shutil.rmtree(folder)
    command = [sys.executable, "-c", WRITER, str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as theirs:
        assert theirs.stdout is not None
        before = theirs.stdout.readline().strip()
        assert LOG_NAME in before
        added(ours)
        ours.close()
        after, _ = theirs.communicate("\n")
    assert after.strip() == f"{before} 1"


@only_posix
def test_a_deleted_ledger_goes_on_and_its_copy_holds_all(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with closing(opened_ledger(folder)) as book:
        first = finished(book)
        for path in folder.glob("ledger.sqlite3*"):
            path.unlink()
        second = in_status(book, JobStatus.RUNNING, request_id="request-2")
        copy = book.database.back_up(folder)
        assert copy is not None
        assert book.ids() == {first.id, second.id}
        after = killed(folder)
    with closing(sqlite3.connect(copy)) as connection:
        assert {row[0] for row in connection.execute("SELECT id FROM jobs")} == {first.id, second.id}
    assert count(after) == 2


@only_posix
def test_a_deleted_log_is_written_into_the_ledger_with_all_that_follows(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with closing(opened_ledger(folder)) as book:
        added(book)
        (folder / LOG_NAME).unlink()
        added(book)
        book.database.empty_log()
        added(book)
        assert count(killed(folder)) == 3


def test_a_log_that_cannot_be_emptied_now_says_so(tmp_path: Path) -> None:
    with closing(opened_ledger(tmp_path)) as book:
        added(book)
        file_of(book).connection.execute("PRAGMA busy_timeout = 20")
        with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageError) as caught:
                book.database.empty_log()
            assert caught.value.code == "ledger_busy"
            other.execute("ROLLBACK")
        book.database.empty_log()


def test_a_copy_of_a_closed_ledger_says_that_the_server_stops(tmp_path: Path) -> None:
    book = opened_ledger(tmp_path)
    book.close()
    for use in (
        lambda: book.database.back_up(tmp_path),
        book.database.empty_log,
        lambda: book.add(job(), anything_goes),
    ):
        with pytest.raises(StorageError) as caught:
            use()
        assert caught.value.code == "stopping"
    assert not list(tmp_path.glob("ledger.backup-*"))


def test_a_lock_that_another_program_keeps_is_told_however_often_it_was_met(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = [0.0]
    monkeypatch.setattr("hunyuan_ui.ledger.sqlite.time.monotonic", lambda: at[0])
    with closing(open_ledger(tmp_path).database) as opened, closing(sqlite3.connect(tmp_path / FILE_NAME)) as other:
        other.execute("BEGIN IMMEDIATE")
        for at[0] in (1.0, 1.0 + HELD_S / 2):
            opened.try_lock()
            assert opened.problem is None
        at[0] = 1.0 + HELD_S
        assert opened.problem is not None
        assert opened.problem.code == "ledger_held"
