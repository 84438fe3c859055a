"""The ledger's SQLite file: a write connection, a read connection, and repair."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Collection, Generator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from hunyuan_ui.checkpoint import checkpoint
from hunyuan_ui.errors import StorageError
from hunyuan_ui.ledger.backups import back_up, backups_in, check, read_only, restore
from hunyuan_ui.ledger.restored_ledger import LastSent, mark_waiting_unknown
from hunyuan_ui.ledger.schema import MIGRATIONS, NEWEST, SELECTED, as_storage_error, migrate, to_job, version_of
from hunyuan_ui.ledger.search_text import FOLDED, folded

FILE_NAME: Final = "ledger.sqlite3"
LOG_NAME: Final = f"{FILE_NAME}-wal"  # the write-ahead log
MOVED_NAME: Final = "ledger.moved"  # exists once the jobs continue in a database, or may do so
BUSY_TIMEOUT_S: Final = 5.0
HELD_S: Final = 10.0  # after which another program's lock is no passing one
_PATIENCE_MS: Final = 100  # for a reader, before the log is truncated at a later commit instead
_OLDEST_SQLITE: Final = (3, 37)  # the first with STRICT tables
_REVIEW: Final = "ledger.review"  # exists until the owner has confirmed the budget after damage
_PAID: Final = (
    "SELECT id FROM jobs WHERE payer = 'owner' AND sent_at IS NOT NULL AND status NOT IN ('failed', 'cancelled')"
    " ORDER BY sent_at, rowid"
)
_OTHER: Final = "ledger.other"  # ids of jobs in another ledger; exists until the owner has confirmed the budget
_CONFIRMED: Final = "ledger.confirmed"  # ids of jobs without which the owner has confirmed the budget


class SqliteDatabase:
    """The ledger's file: a write connection and a read connection.

    Args:
        connection: Checked, with its pragmas set.
        reader: Separate, so that no read waits for a write; None reads through `connection`.
        last_sent: Of the folder, if this process may write there.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        reader: sqlite3.Connection | None = None,
        last_sent: LastSent | None = None,
    ) -> None:
        self.connection = connection
        self.last_sent = last_sent
        self.reader = reader or connection
        self.reader.create_function(FOLDED, 1, folded, deterministic=True)
        self._must_truncate = False  # deleted prompts are still in the write-ahead log
        self._lock = threading.RLock()
        self._read_lock = threading.RLock() if reader else self._lock
        self._damage: StorageError | None = None  # only a restart repairs it
        self._busy_since: float | None = None  # time.monotonic()

    can_be_away = False

    @property
    def problem(self) -> StorageError | None:
        """Why nothing can be stored: damage, or a lock that another program has kept for long; see `Database`."""
        is_held = self._busy_since is not None and time.monotonic() - self._busy_since >= HELD_S
        return self._damage or (StorageError("ledger_held") if is_held else None)

    def try_lock(self) -> None:
        """Note whether another program has locked the file, without waiting for it; see `Database`."""
        with suppress(StorageError), self._lock, _timeout(self.connection, 0), self.transaction("lock"):
            pass

    @contextmanager
    def transaction(self, name: str, /) -> Generator[sqlite3.Connection]:
        """Run a block in an immediate transaction; see `Database`."""
        with self._lock:
            try:
                checkpoint(f"ledger.{name}.begin")
                self.connection.execute("BEGIN IMMEDIATE")
                self._busy_since = None
                yield self.connection
                checkpoint(f"ledger.{name}.commit")
                self.connection.execute("COMMIT")
                checkpoint(f"ledger.{name}.committed")
                self._must_truncate = self._must_truncate and not truncate_log(self.connection)
            except sqlite3.Error as error:
                self._roll_back()
                raise self._noticed(error) from error
            except BaseException:
                self._roll_back()
                raise

    @contextmanager
    def reading(self) -> Generator[sqlite3.Connection]:
        """Provide the read connection; see `Database`."""
        with self._read_lock:
            try:
                yield self.reader
            except sqlite3.Error as error:
                raise self._noticed(error) from error

    def erase(self) -> None:
        """Truncate the write-ahead log after this transaction, because it still contains the overwritten data."""
        self._must_truncate = True

    def back_up(self, folder: Path, /) -> Path:
        """Copy the open ledger into a folder, even if its file was moved or deleted; see `Database`."""
        with self._lock:
            return back_up(folder, self.connection)

    def empty_log(self) -> None:
        """Checkpoint the write-ahead log into the file, now and after each commit from now on; see `Database`."""
        with self._lock:
            try:
                self.connection.execute("PRAGMA wal_autocheckpoint = 1")
                was_busy = self.connection.execute("PRAGMA wal_checkpoint(FULL)").fetchone()[0]
            except sqlite3.Error as error:
                raise as_storage_error(error) from error
        if was_busy:
            raise StorageError("ledger_busy")

    def close(self) -> None:
        """Close both connections."""
        with self._lock, self._read_lock:
            # The last connection to close checkpoints the log, so it must be the writable one.
            self.reader.close()
            self.connection.close()

    def mark_unknown_if_older(self, folder: Path) -> bool:
        """Prevent resending from a copy that was put in the ledger's place; return whether it is one.

        Waiting jobs in it become unknown, and the owner must confirm the budget, as after damage.
        """
        newest = float(self.connection.execute(NEWEST).fetchone()[0])
        if self.last_sent is None or not self.last_sent.compare(newest):
            return False
        want_review(folder, "older")
        with self.transaction("older"):
            mark_waiting_unknown(self.connection, time.time())
        self.last_sent.set_back(newest)  # last: after a crash before this line, all is repeated
        return True

    def _noticed(self, error: sqlite3.Error) -> StorageError:
        """Return the StorageError for an error of the open ledger, and remember damage and locks."""
        found = as_storage_error(error)
        if found.code == "ledger_busy":
            self._busy_since = self._busy_since or time.monotonic()
            return self.problem or found
        if found.code != "ledger_damaged":
            return found
        self._damage = StorageError("ledger_unreadable")
        return StorageError("ledger_unreadable")

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")


class Opened(NamedTuple):
    """An open database, where a damaged predecessor was moved, and whether it is older than the one last used."""

    database: SqliteDatabase
    set_aside: Path | None
    is_older: bool = False


def open_ledger(folder: Path, *, can_write: bool = True) -> Opened:
    """Open the ledger of a data folder; create it if missing, or replace a damaged one by its newest good backup.

    Args:
        folder: The data folder, which must exist.
        can_write: False opens the existing file read-only, as beside another process; it may be a newer version's
            ledger, and an empty one is used if nothing can be read.

    Raises:
        StorageError: The file is locked or unreadable, or is to be written and was created by a newer version.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        needed = ".".join(map(str, _OLDEST_SQLITE))
        raise StorageError("sqlite_too_old", version=sqlite3.sqlite_version, needed=needed)
    path = folder / FILE_NAME
    if not can_write:
        return Opened(SqliteDatabase(_open_read_only(path)), None)
    try:
        # A file that lost its table would look like a new ledger with nothing spent, unless there are backups.
        return _opened(path, may_be_new=not backups_in(folder))
    except sqlite3.DatabaseError as error:
        trouble = as_storage_error(error)
        if trouble.code != "ledger_damaged":
            raise trouble from error
    set_aside = _set_aside(path)
    restore(folder, path)
    try:
        return _opened(path, may_be_new=True)._replace(set_aside=set_aside)
    except sqlite3.DatabaseError as error:
        raise as_storage_error(error) from error


def needs_review(folder: Path) -> bool:
    """Whether past spending is uncertain (damage, another ledger), so that the owner must confirm the budget."""
    return was_damaged(folder) or (folder / _OTHER).exists()


def was_damaged(folder: Path) -> bool:
    """Whether the ledger lost spending by damage, and its owner has not confirmed the budget since."""
    return (folder / _REVIEW).exists()


def confirm_damage(folder: Path) -> None:
    """Record that the owner lets spending continue after damage."""
    (folder / _REVIEW).unlink(missing_ok=True)


def want_review(folder: Path, why: str) -> None:
    """Block the owner's key until its owner has confirmed the budget.

    Raises:
        StorageError: The folder cannot be written.
    """
    try:
        (folder / _REVIEW).write_text(f"{why}\n", encoding="utf-8")
    except OSError as error:
        raise StorageError("disk_read_only") from error


def want_review_without(folder: Path, job_ids: Collection[str]) -> bool:
    """Block the owner's key while the ledger lacks jobs without which its owner has not confirmed the budget.

    Returns:
        Whether it lacks any.

    Raises:
        StorageError: The folder cannot be written.
    """
    other, confirmed = folder / _OTHER, folder / _CONFIRMED
    try:
        is_known = job_ids and confirmed.exists()
        known = confirmed.read_text(encoding="utf-8", errors="replace").split() if is_known else ()
        if lacking := sorted(set(job_ids).difference(known)):
            other.write_text("".join(f"{job_id}\n" for job_id in lacking), encoding="utf-8")
        else:
            other.unlink(missing_ok=True)  # for example the ledger was copied meanwhile
    except OSError as error:
        raise StorageError("disk_read_only") from error
    return bool(lacking)


def confirm_review(folder: Path) -> None:
    """Record that the owner lets spending continue after damage, or without what is in another ledger.

    Raises:
        StorageError: The folder cannot be written.
    """
    other = folder / _OTHER
    try:
        if other.exists():
            with (folder / _CONFIRMED).open("a", encoding="utf-8") as confirmed:
                confirmed.write(other.read_text(encoding="utf-8", errors="replace"))
            other.unlink()
        confirm_damage(folder)
    except OSError as error:
        raise StorageError("disk_read_only") from error


def was_moved(folder: Path) -> bool:
    """Whether the ledger of a data folder was copied to a database, so that nothing may be sent from here as well."""
    return (folder / MOVED_NAME).exists()


def count_jobs(folder: Path) -> int | None:
    """Return the number of jobs in a data folder's ledger, after reading all of it; None if there is no ledger.

    Changes nothing, and may be called beside the writing process.

    Raises:
        StorageError: It is damaged, unreadable, no file, or was created by a newer version.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return None
    if not path.is_file():
        raise StorageError("not_a_file", file=path.name)
    try:
        with closing(read_only(path)) as connection:
            if _is_newer(connection):
                raise StorageError("ledger_newer")
            check(connection)
            return int(connection.execute("SELECT count(*) FROM jobs").fetchone()[0])
    except sqlite3.Error as error:
        raise as_storage_error(error) from error


def paid_by_file(folder: Path) -> list[str]:
    """Return the ids of the jobs that the owner's key paid for by a readable file, the newest last."""
    path = folder / FILE_NAME
    if path.is_file():
        with suppress(sqlite3.Error), closing(read_only(path)) as connection:
            return [row[0] for row in connection.execute(_PAID)]
    return []


def truncate_log(connection: sqlite3.Connection) -> bool:
    """Truncate the write-ahead log, which still holds deleted prompts; return False if a reader prevented it."""
    with suppress(sqlite3.Error), _timeout(connection, _PATIENCE_MS):
        is_busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return is_busy == 0
    return False


@contextmanager
def _timeout(connection: sqlite3.Connection, milliseconds: int) -> Generator[None]:
    """Wait for another program's lock for another time than usual."""
    connection.execute(f"PRAGMA busy_timeout = {milliseconds}")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA busy_timeout = {round(BUSY_TIMEOUT_S * 1000)}")


def _opened(path: Path, *, may_be_new: bool) -> Opened:
    with ExitStack() as undo:
        connection = _open_checked(path, may_be_new=may_be_new)
        undo.callback(connection.close)
        reader = read_only(path)
        undo.callback(reader.close)
        version_of(reader)  # opens the log as well
        database = SqliteDatabase(connection, reader, LastSent(path.parent))
        opened = Opened(database, None, database.mark_unknown_if_older(path.parent))
        undo.pop_all()
    return opened


def _open_checked(path: Path, *, may_be_new: bool) -> sqlite3.Connection:
    with ExitStack() as undo:
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        undo.callback(connection.close)
        connection.row_factory = sqlite3.Row
        # Must be first: what a newer version wrote may look like damage to this one.
        if _is_newer(connection):
            raise StorageError("ledger_newer")
        # FULL costs one fsync per commit and makes "submitting" survive a power cut.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        # Overwrites deleted content instead of only marking it as free.
        connection.execute("PRAGMA secure_delete = ON")
        check(connection)
        if version_of(connection) == 0 and not may_be_new:
            raise sqlite3.DatabaseError("the table is gone")
        _bring_up_to_date(connection, path.parent)
        _check_rows(connection)
        truncate_log(connection)  # an earlier run may have been killed before it
        undo.pop_all()
    return connection


def _bring_up_to_date(connection: sqlite3.Connection, folder: Path) -> None:
    """Apply missing migrations, after copying a ledger that holds jobs; a failure of either is no damage."""
    if (version := version_of(connection)) == len(MIGRATIONS):
        return
    if version > 0:
        back_up(folder, connection)
    try:
        migrate(connection)
    except sqlite3.Error as error:
        raise as_storage_error(error) from error


def _is_newer(connection: sqlite3.Connection) -> bool:
    return version_of(connection) > len(MIGRATIONS)


def _check_rows(connection: sqlite3.Connection) -> None:
    # quick_check does not detect damage inside a text.
    try:
        for row in connection.execute(f"SELECT {SELECTED} FROM jobs"):
            to_job(row)
    except (ValueError, KeyError, TypeError) as error:
        raise sqlite3.DatabaseError("a row cannot be read") from error


def _open_read_only(path: Path) -> sqlite3.Connection:
    # On a read-only disk a WAL database opens only as immutable.
    for option in ("", "&immutable=1") if path.is_file() else ():
        with suppress(sqlite3.DatabaseError), ExitStack() as undo:
            connection = read_only(path, option)
            undo.callback(connection.close)
            if _is_newer(connection):
                _check_rows(connection)  # a newer version's rows are shown if all of them can be read
            if version_of(connection) > 0:
                undo.pop_all()
                return connection
    # Nothing is readable, as on the first start on a read-only disk: show an empty library.
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    migrate(connection)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _set_aside(path: Path) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    target = path.with_name(f"ledger.corrupt-{stamp}-{time.time_ns() % 1000:03d}.sqlite3")
    # The marker first: a crash right after the move must not leave an empty ledger that may spend.
    want_review(path.parent, target.name)
    try:
        path.replace(target)
        for suffix in ("-wal", "-shm"):
            leftover = path.with_name(path.name + suffix)
            if leftover.exists():
                leftover.replace(target.with_name(target.name + suffix))
    except OSError as error:
        raise StorageError("disk_read_only") from error
    return target
