"""Backups of the ledger's SQLite file: made, thinned out and restored."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from hunyuan_ui.errors import StorageError
from hunyuan_ui.ledger.restored_ledger import mark_waiting_unknown
from hunyuan_ui.ledger.schema import as_storage_error

BACKUPS_KEPT: Final = 5


def back_up(folder: Path, source: sqlite3.Connection) -> Path:
    """Copy a ledger in use, and return the copy; the newest five without deleted prompts are kept.

    Args:
        source: The open ledger, outside a transaction.

    Raises:
        StorageError: The copy could not be written, or the ledger is damaged; older copies are then kept.
    """
    copy = _next_backup(folder)
    part = copy.with_suffix(".part")
    try:
        for left in folder.glob("ledger.backup-*.part*"):  # by a kill; it may hold prompts that were deleted since
            left.unlink(missing_ok=True)
        with closing(sqlite3.connect(part)) as target:
            source.backup(target)
            check(target)
            forgotten = _forgotten(target)
        part.replace(copy)
        for number, old in enumerate(backups_in(folder)):
            if number >= BACKUPS_KEPT or (old != copy and not _is_as_forgetful(old, forgotten)):
                old.unlink(missing_ok=True)
    except sqlite3.Error as error:
        raise as_storage_error(error) from error
    except OSError as error:
        raise StorageError("disk_read_only") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return copy


def restore(folder: Path, path: Path) -> None:
    """Put a folder's newest good backup, if any, in its ledger's place; jobs that wait in it become unknown.

    Raises:
        StorageError: There is no room for it; nothing is put in the ledger's place, so that the next start tries again.
    """
    part = path.with_suffix(".part")
    for backup in backups_in(folder):
        part.unlink(missing_ok=True)
        try:
            with closing(read_only(backup)) as source:
                check(source)
                with closing(sqlite3.connect(part, isolation_level=None)) as target:
                    source.backup(target)
                    mark_waiting_unknown(target, time.time())
        except sqlite3.DatabaseError as error:
            trouble = as_storage_error(error)
            if trouble.code == "disk_full":
                part.unlink(missing_ok=True)
                raise trouble from error
            continue
        # Renamed last: a crash before the update would leave jobs that are sent a second time.
        part.replace(path)
        return


def backups_in(folder: Path) -> list[Path]:
    """Return the backups in a folder, the newest first."""
    return sorted(filter(Path.is_file, folder.glob("ledger.backup-*.sqlite3")), reverse=True)


def check(connection: sqlite3.Connection) -> None:
    """Raise `sqlite3.DatabaseError` if the file is damaged."""
    if connection.execute("PRAGMA quick_check").fetchone()[0] != "ok":
        raise sqlite3.DatabaseError("quick_check failed")


def read_only(path: Path, option: str = "") -> sqlite3.Connection:
    """Open a ledger's file for reading; `option` is added to its URI."""
    uri = f"{path.absolute().as_uri()}?mode=ro{option}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    return connection


def _forgotten(connection: sqlite3.Connection) -> int:
    """Return the number of deleted jobs."""
    return int(connection.execute("SELECT count(*) FROM jobs WHERE deleted_at IS NOT NULL").fetchone()[0])


def _is_as_forgetful(backup: Path, forgotten: int) -> bool:
    with suppress(sqlite3.Error), closing(read_only(backup, "&immutable=1")) as connection:
        return _forgotten(connection) >= forgotten
    return False


def _next_backup(folder: Path) -> Path:
    # Numbered after the newest, so that a clock set back does not make the new copy the oldest.
    numbers = [backup.stem.rpartition("-")[2] for backup in backups_in(folder)]
    newest = max((int(number) for number in numbers if number.isdigit()), default=0)
    return folder / f"ledger.backup-{max(time.time_ns(), newest + 1):020d}.sqlite3"
