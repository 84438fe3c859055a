"""Ledgers of other versions: an older one is backed up and migrated with every row, a newer one is only shown."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hunyuan_ui.data_folder import DataFolder
from hunyuan_ui.errors import StorageError
from hunyuan_ui.job import Visitor, new_id
from hunyuan_ui.jobs import build_runner
from hunyuan_ui.ledger import Ledger, needs_review, open_ledger, schema
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.settings import Secret, Settings
from hunyuan_ui.words import words
from tests.fake_service import FakeService
from tests.stored_jobs import Clock, added, opened_ledger

VERSION_1 = Path(__file__).with_name("version_1.sqlite3")  # created by the last program without migrations
Rows = list[tuple[Any, ...]]


NEWER = [(2, "jobs_by_request"), (3, "jobs_by_list"), (4, "workers"), (5, "wishes"), (6, "calls"), (7, "services")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a ledger of version 1 that holds jobs in every status."""
    folder = tmp_path / "data"
    folder.mkdir()
    shutil.copyfile(VERSION_1, folder / "ledger.sqlite3")
    return folder


def rows(path: Path, statement: str = f"SELECT {schema.SELECTED}, deleted_at, prompt FROM jobs ORDER BY rowid") -> Rows:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def applied(path: Path) -> Rows:
    return rows(path, "SELECT version, name, applied_at IS NULL FROM migrations ORDER BY version")


def names(path: Path) -> set[str]:
    return {name for (name,) in rows(path, "SELECT name FROM sqlite_master")}


def backups(folder: Path) -> list[Path]:
    return sorted(folder.glob("ledger.backup-*"))


def without_the_newest_index(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP INDEX jobs_by_request")


def as_it_is(path: Path) -> None:
    pass


def with_a_log(path: Path) -> None:
    """Leave the newest commit in the write-ahead log, as a kill does."""
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("UPDATE jobs SET notes = '{\"late\": 1}' WHERE status = 'lost'")
        kept = [(name, name.read_bytes()) for name in (path, path.with_name(f"{path.name}-wal"))]
    for name, data in kept:
        name.write_bytes(data)


@pytest.mark.parametrize("older", [as_it_is, without_the_newest_index, with_a_log])
def test_an_older_ledger_is_backed_up_and_keeps_every_row(folder: Path, older: Callable[[Path], None]) -> None:
    path = folder / "ledger.sqlite3"
    older(path)
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        before = connection.execute(f"SELECT {schema.SELECTED}, deleted_at, prompt FROM jobs ORDER BY rowid").fetchall()
    assert len({row[2] for row in before}) == 9  # every status
    with closing(opened_ledger(folder)) as ledger:
        added(ledger, "a heron")
    assert rows(path)[:-1] == before
    assert applied(path) == [(1, "jobs", 1), *((number, name, 0) for number, name in NEWER)]
    (copy,) = backups(folder)
    assert rows(copy) == before
    assert rows(copy, "PRAGMA user_version") == [(1,)]
    assert not needs_review(folder)


def test_a_migrated_ledger_has_the_schema_of_a_new_one(folder: Path, tmp_path: Path) -> None:
    for place in (folder, tmp_path / "new"):
        opened_ledger(place).close()
    statement = "SELECT name, sql FROM sqlite_master ORDER BY name"
    assert rows(folder / "ledger.sqlite3", statement) == rows(tmp_path / "new" / "ledger.sqlite3", statement)
    new = [(1, "jobs", 0), *((number, name, 0) for number, name in NEWER)]
    assert applied(tmp_path / "new" / "ledger.sqlite3") == new
    assert backups(tmp_path / "new") == []


def test_a_ledger_that_is_up_to_date_is_neither_changed_nor_copied(folder: Path) -> None:
    opened_ledger(folder).close()
    before, copies = (folder / "ledger.sqlite3").read_bytes(), backups(folder)
    opened_ledger(folder).close()
    assert (folder / "ledger.sqlite3").read_bytes() == before
    assert backups(folder) == copies


def broken(patch: pytest.MonkeyPatch) -> None:
    step = schema.Migration("broken", ("ALTER TABLE jobs ADD COLUMN worker TEXT", "CREATE INDEX nothing ON jobs (no)"))
    patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, step))


def stopped(patch: pytest.MonkeyPatch) -> None:
    def stop() -> float:
        raise KeyboardInterrupt

    patch.setattr(schema.time, "time", stop)


@pytest.mark.parametrize("fault", [broken, stopped])
def test_a_migration_that_fails_changes_nothing(folder: Path, fault: Callable[[pytest.MonkeyPatch], None]) -> None:
    path = folder / "ledger.sqlite3"
    before, had = rows(path), names(path)
    with pytest.MonkeyPatch.context() as patch:
        fault(patch)
        with pytest.raises((StorageError, KeyboardInterrupt)):
            open_ledger(folder)
    assert (rows(path), names(path)) == (before, had)
    assert rows(path, "PRAGMA user_version") == [(1,)]
    assert not needs_review(folder)
    assert list(folder.glob("ledger.corrupt-*")) == []
    with closing(opened_ledger(folder)) as ledger:
        assert len(ledger.active()) == 7


def test_an_older_ledger_is_shown_without_being_migrated(folder: Path) -> None:
    before = (folder / "ledger.sqlite3").read_bytes()
    with closing(Ledger(open_ledger(folder, can_write=False).database, now=Clock())) as reader:
        assert len(reader.jobs(None, limit=100)) == 19
    assert (folder / "ledger.sqlite3").read_bytes() == before
    assert backups(folder) == []


# newer versions


def one_more_column(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE jobs ADD COLUMN worker TEXT NOT NULL DEFAULT 'a'")


def another_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE jobs RENAME TO clicks")
        connection.execute("CREATE TABLE jobs (id TEXT)")


@pytest.mark.anyio
@pytest.mark.parametrize(("newer", "shown"), [(as_it_is, 14), (one_more_column, 14), (another_table, 0)])
async def test_a_newer_ledger_is_shown_as_far_as_it_can_be_read_and_never_changed(
    folder: Path, newer: Callable[[Path], None], shown: int
) -> None:
    path = folder / "ledger.sqlite3"
    newer(path)
    rows(path, f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    before = path.read_bytes()
    service = FakeService()
    settings = Settings(data_dir=folder, api_key=Secret("SG_00112233aabbccdd"))
    held = DataFolder(folder, min_free_bytes=0)
    runner = build_runner(settings, client=service.client(), download=service.download, folder=held)
    await runner.start()
    visitor = Visitor("a" * 32, is_owner=True)
    try:
        problem = (await runner.spending()).problem
        assert problem is not None
        assert problem.code == "ledger_newer"
        assert "update this program" in words().sentence(problem)
        with pytest.raises(StorageError) as caught:
            await runner.submit(new_id(), VideoRequest(prompt="a heron"), visitor)
        assert caught.value.code == "ledger_newer"
        assert len(await runner.jobs(visitor)) == shown
    finally:
        await runner.stop()
    assert path.read_bytes() == before
    assert service.asked == []
    assert backups(folder) == []
    assert not needs_review(folder)
