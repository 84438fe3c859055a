"""A folder with a ledger of three jobs, for the tests of its files."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from hunyuan_ui import checkpoint
from hunyuan_ui.ledger import Ledger, open_ledger
from tests.stored_jobs import anything_goes, back_up, job, opened_ledger


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose ledger has three jobs; two of them are in its backup."""
    with closing(opened_ledger(tmp_path)) as book:
        add(book, 2)
        back_up(tmp_path)
        add(book, 1)
    return tmp_path


def add(book: Ledger, times: int) -> None:
    for _ in range(times):
        assert book.add(job("x" * 500), anything_goes)[1]


def count(folder: Path, *, can_write: bool = True) -> int:
    with closing(open_ledger(folder, can_write=can_write).database) as opened:
        return opened.connection.execute("SELECT count(*) FROM jobs").fetchone()[0]


def backups(folder: Path) -> list[Path]:
    return sorted(folder.glob("ledger.backup-*"))


def ledger_of(folder: Path) -> Path:
    return folder / "ledger.sqlite3"


@contextmanager
def stopped_at(name: str) -> Generator[None]:
    """Stop the program at a checkpoint inside the block, as Ctrl+C does."""

    def stop(passed: str) -> None:
        if passed == name:
            raise KeyboardInterrupt

    checkpoint.hook = stop
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        checkpoint.hook = None
