"""An older copy in the ledger's place is detected and never sent from; no other ledger is mistaken for one."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from hunyuan_ui.errors import StorageError
from hunyuan_ui.job import DAY_S
from hunyuan_ui.ledger import Ledger, confirm_review, needs_review, open_ledger
from tests.ledger.one_folder import add, backups, count, ledger_of, stopped_at
from tests.ledger.one_folder import folder as folder
from tests.stored_jobs import NOON, Clock, anything_goes, job, opened_ledger


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("ledger.sqlite3*")}


def restore_files(folder: Path, files: dict[str, bytes]) -> None:
    for path in folder.glob("ledger.sqlite3*"):
        path.unlink()
    for name, data in files.items():
        (folder / name).write_bytes(data)


def one_sent(folder: Path) -> dict[str, bytes]:
    """Send the first of three jobs; return the ledger's files from before."""
    with closing(opened_ledger(folder, Clock(NOON + 1))) as book:
        before = content(folder)
        assert book.claim(book.active()[0].id)
    return before


def test_what_waited_in_an_older_copy_is_not_sent_again_and_the_owner_is_asked(folder: Path) -> None:
    restore_files(folder, one_sent(folder))
    opened = open_ledger(folder)
    opened.database.close()
    assert opened.is_older
    assert needs_review(folder)
    with closing(opened_ledger(folder)) as book:
        assert book.active() == []
        assert {one.problem.code for one in book.unknown() if one.problem} == {"ledger_put_back"}
        assert len(book.unknown()) == 3


def test_a_preview_that_waited_in_an_older_copy_goes_on_as_nobody_pays_for_it(folder: Path) -> None:
    with closing(opened_ledger(folder)) as book:
        book.add(free := job(payer="nobody", reserved_microusd=0), anything_goes)
    restore_files(folder, one_sent(folder))
    assert open_ledger_once(folder)
    with closing(opened_ledger(folder)) as book:
        assert [one.id for one in book.active()] == [free.id]


def test_an_older_copy_is_told_once_and_what_is_stored_after_it_is_sent(folder: Path) -> None:
    restore_files(folder, one_sent(folder))
    assert open_ledger_once(folder)
    confirm_review(folder)
    with closing(opened_ledger(folder)) as book:
        add(book, 1)
    assert not open_ledger_once(folder)
    assert not needs_review(folder)
    with closing(opened_ledger(folder)) as book:
        assert len(book.active()) == 1


def open_ledger_once(folder: Path) -> bool:
    opened = open_ledger(folder)
    opened.database.close()
    return opened.is_older


def test_a_copy_that_was_made_after_the_last_job_was_sent_is_as_good(folder: Path) -> None:
    one_sent(folder)
    copy = content(folder)
    with closing(opened_ledger(folder)) as book:
        add(book, 1)  # it was never sent, so nothing can be sent twice
    restore_files(folder, copy)
    assert not open_ledger_once(folder)


def test_a_ledger_that_is_gone_and_had_sent_something_asks_its_owner(folder: Path) -> None:
    one_sent(folder)
    for path in (*folder.glob("ledger.sqlite3*"), *backups(folder)):
        path.unlink()
    assert open_ledger_once(folder)
    assert needs_review(folder)
    assert count(folder) == 0


@pytest.mark.parametrize("step", ["begin", "commit", "committed"])
def test_a_stop_while_an_older_copy_is_opened_sends_nothing_again(folder: Path, step: str) -> None:
    restore_files(folder, one_sent(folder))
    with stopped_at(f"ledger.older.{step}"):
        open_ledger(folder)
    with closing(opened_ledger(folder)) as book:
        assert book.active() == []
        assert len(book.unknown()) == 3
    assert needs_review(folder)


@pytest.mark.parametrize("step", ["begin", "commit", "committed"])
def test_a_stop_while_a_job_is_claimed_makes_no_older_copy_of_the_ledger(folder: Path, step: str) -> None:
    with closing(opened_ledger(folder)) as book, stopped_at(f"ledger.claim.{step}"):
        book.claim(book.active()[0].id)
    assert not open_ledger_once(folder)


@pytest.mark.parametrize("note", [b"", b"not a time", b"\xff" * 40, b"nan", b"inf"])
def test_a_note_that_says_nothing_is_none(folder: Path, note: bytes) -> None:
    one_sent(folder)
    (folder / "ledger.sent").write_bytes(note)
    assert not open_ledger_once(folder)


def test_a_note_that_cannot_be_written_keeps_nothing_from_being_sent(folder: Path) -> None:
    (folder / "ledger.sent").mkdir()
    one_sent(folder)
    assert not open_ledger_once(folder)


def test_a_clock_that_is_set_right_makes_no_older_copy_of_the_ledger(tmp_path: Path) -> None:
    clock = Clock()
    with closing(Ledger(open_ledger(tmp_path).database, now=clock)) as book:
        clock.at += 40 * 86_400
        add(book, 2)
        assert book.claim(book.active()[0].id)
        clock.at -= 39 * 86_400
        assert book.set_clock_right()
    assert not open_ledger_once(tmp_path)


def test_an_older_content_that_is_written_over_the_open_ledger_is_not_spent_from(folder: Path) -> None:
    path = ledger_of(folder)
    with closing(opened_ledger(folder, clock := Clock())) as book:
        checkpoint_log(path)
        before = path.read_bytes()
        clock.at += 1
        sent, waiting, *_ = (one.id for one in book.active())
        assert book.claim(sent)
        since = book.add(job(), anything_goes)[0].id
        checkpoint_log(path)
        newer = path.read_bytes()
        write_over(path, before)
        for change in (lambda: add(book, 1), lambda: book.cancel(since), lambda: book.claim(waiting)):
            with pytest.raises(StorageError, match="folder_replaced"):
                change()
            assert book.problem is not None
        write_over(path, newer)
        checkpoint_log(path)
        add(book, 1)
        assert book.problem is None
    path.write_bytes(before)
    assert open_ledger_once(folder)


def checkpoint_log(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def write_over(path: Path, data: bytes) -> None:
    with path.open("r+b") as file:
        file.write(data)
        file.truncate(len(data))


def test_what_waited_in_an_older_copy_counts_on_one_day_and_its_cost_can_be_corrected(folder: Path) -> None:
    restore_files(folder, one_sent(folder))
    assert open_ledger_once(folder)
    with closing(opened_ledger(folder, Clock(time.time()))) as book:
        waited = book.unknown()
        assert book.totals("").today_microusd == sum(one.reserved_microusd for one in waited) > 0
        for one in waited:
            settled = book.settle_unknown(one.id, was_charged=True)
            assert settled
            assert settled.has_correctable_cost
    with closing(opened_ledger(folder, Clock(time.time() + 2 * DAY_S))) as book:
        assert book.totals("").today_microusd == 0


def test_what_waited_in_an_older_copy_is_not_dated_before_the_jobs_in_it(folder: Path) -> None:
    ahead = time.time() + 2 * DAY_S
    with closing(opened_ledger(folder, Clock(ahead))) as book:
        assert book.claim(book.active()[0].id)
        older = content(folder)
    with closing(opened_ledger(folder, Clock(ahead + 60))) as book:
        assert book.claim(next(one for one in book.active() if not one.is_sent).id)
    restore_files(folder, older)
    assert open_ledger_once(folder)
    with closing(opened_ledger(folder, Clock(ahead + 120))) as book:
        waited = [one for one in book.unknown() if one.problem and one.problem.code == "ledger_put_back"]
        assert len(waited) > 0
        assert all(one.sent_at is not None and one.sent_at >= ahead for one in waited)
