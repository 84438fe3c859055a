"""LedgerCopy: copies a data folder's ledger to PostgreSQL, all rows or none, and compares both before the commit.

Source: docs/facts/scale.md 5. Imported only to move a data folder.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple

from hunyuan_ui.checkpoint import checkpoint
from hunyuan_ui.errors import StorageError
from hunyuan_ui.job import Job
from hunyuan_ui.ledger import LINKS
from hunyuan_ui.ledger.connection import Connection
from hunyuan_ui.ledger.database import Database
from hunyuan_ui.ledger.postgres import NOW, copied_into, open_postgres
from hunyuan_ui.ledger.schema import COLUMNS, to_job
from hunyuan_ui.ledger.sqlite import count_jobs, open_ledger, was_damaged
from hunyuan_ui.ledger.totals import COUNTED, totals

_AT_ONCE: Final = 500  # rows per statement
_COPIED: Final = (*COLUMNS, "deleted_at", "list_id")
_ROW: Final = ", ".join(_COPIED)
_NUMBERS: Final = {"reserved_microusd": "bigint", "cost_microusd": "bigint"} | dict.fromkeys(
    (
        *("created_at", "updated_at", "sent_at", "ended_at", "not_before", "deleted_at"),
        *("predicted_s", "inference_s", "queue_s"),
    ),
    "float8",
)
_TYPED: Final = ", ".join(f"{name} {_NUMBERS.get(name, 'text')}" for name in _COPIED)
# In `rowid` order, which breaks ties between rows with equal times.
_STORE: Final = (
    f"INSERT INTO jobs ({_ROW}) SELECT {_ROW} FROM json_to_recordset(:rows) AS found({_TYPED})"
    " ON CONFLICT (id) DO NOTHING"
)
_IN_ORDER: Final = f"SELECT rowid, {_ROW} FROM jobs WHERE rowid > ? ORDER BY rowid LIMIT {_AT_ONCE}"
_BY_ID: Final = f"SELECT {_ROW} FROM jobs WHERE id > ? ORDER BY id LIMIT {_AT_ONCE}"
_ALIVE: Final = f"SELECT count(*) FROM workers WHERE seen_at + :lease_s >= {NOW}"
_KEEP_SECRET: Final = (
    "INSERT INTO secrets VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
_COUNTS: Final = (
    "SELECT count(*), count(deleted_at), count(list_id), count(DISTINCT list_id),"
    " count(*) FILTER (WHERE notes <> '{}'), count(problem), count(request_id), count(sha256),"
    " coalesce(sum(reserved_microusd), 0), coalesce(sum(cost_microusd), 0) FROM jobs"
)
_BY_PAYER: Final = f"SELECT payer, sum({COUNTED}) FROM jobs GROUP BY payer ORDER BY payer"
_BY_STATUS: Final = "SELECT status, count(*) FROM jobs GROUP BY status ORDER BY status"

Row = tuple[Any, ...]


class Sums(NamedTuple):
    """Sums that must match in both ledgers; money in micro-dollars, `today` and `total` as limits count them."""

    jobs: int
    deleted: int
    in_lists: int
    lists: int
    noted: int
    problems: int
    requests: int
    files: int
    reserved: int
    costs: int
    by_status: dict[str, int]
    by_payer: dict[str, int]
    today: int
    total: int


class LedgerCopy:
    """The ledger of a data folder, and the one in PostgreSQL that it is copied to.

    Args:
        lease_s: Seconds without a heartbeat after which a process on the database counts as dead.

    Raises:
        StorageError: The folder's ledger cannot be read completely, its owner has not confirmed it after damage, or
            another copy into the database is running.
    """

    def __init__(self, folder: Path, url: str, *, lease_s: float) -> None:
        self._lease_s = lease_s
        count_jobs(folder)  # reads all of it, and sets nothing aside
        if was_damaged(folder):
            raise StorageError("ledger_damaged")
        opened = open_ledger(folder)
        self._source: Database = opened.database
        with ExitStack() as opening:
            opening.callback(self._source.close)
            if opened.set_aside is not None:
                raise StorageError("ledger_damaged")
            opening.enter_context(copied_into(url))
            self._target: Database = open_postgres(url, is_patient=True)
            opening.callback(self._target.close)
            self._open = opening.pop_all()

    def close(self) -> None:
        """Close both."""
        self._open.close()

    def check(self) -> None:
        """Check whether the target may be written.

        Raises:
            StorageError: A process uses it, or it holds rows that are not in this folder or differ from it.
        """
        with self._source.reading() as old, self._target.reading() as new:
            self._check(old, new)

    def jobs(self) -> Iterator[tuple[Job, bool]]:
        """Return every job of the folder by id, and whether it was deleted."""
        with self._source.reading() as old:
            for row in _rows(old, _BY_ID):
                yield to_job(row[: len(COLUMNS)]), row[_COPIED.index("deleted_at")] is not None

    def copy(self, links: bytes, before_commit: Callable[[], None]) -> Sums:
        """Store every missing row, compare all rows, and only then commit; return the sums of both ledgers.

        Args:
            links: The secret that signs the folder's links.
            before_commit: Called when all rows are stored and equal, but not yet visible to others.

        Raises:
            StorageError: As `check`; or the ledgers differ, or cannot be read or written.
        """
        with self._source.reading() as old, self._target.transaction("copy") as new:
            self._check(old, new)
            for rows in _pages(old):
                new.execute(_STORE, {"rows": json.dumps([dict(zip(_COPIED, row, strict=True)) for row in rows])})
                checkpoint("copy.rows")
            new.execute(_KEEP_SECRET, {"name": LINKS, "value": links})
            now = time.time()
            sums = _sums(old, now)
            if _differences(old, new) != (0, 0, 0) or _sums(new, now) != sums:
                raise StorageError("copy_differs")
            before_commit()
            checkpoint("copy.marked")
        return sums

    def _check(self, old: Connection, new: Connection) -> None:
        (alive,) = new.execute(_ALIVE, {"lease_s": self._lease_s}).fetchone()
        if alive:
            raise StorageError("copy_target_live", count=alive)
        foreign, changed, _ = _differences(old, new)
        if foreign:
            raise StorageError("copy_target_foreign", count=foreign)
        if changed:
            raise StorageError("copy_target_changed", count=changed)


def _differences(old: Connection, new: Connection) -> tuple[int, int, int]:
    """Return how many rows are only in the second ledger, in both but different, and only in the first."""
    foreign = changed = missing = 0
    end: Row = ()
    ours, theirs = chain(_rows(old, _BY_ID), [end]), chain(_rows(new, _BY_ID), [end])
    one, other = next(ours), next(theirs)
    while one or other:
        if one and other and one[0] == other[0]:
            changed += one != other
            one, other = next(ours), next(theirs)
        elif not one or (other and other[0] < one[0]):
            foreign += 1
            other = next(theirs)
        else:
            missing += 1
            one = next(ours)
    return foreign, changed, missing


def _rows(connection: Connection, statement: str) -> Iterator[Row]:
    last = ""
    while rows := connection.execute(statement, (last,)).fetchall():
        yield from map(tuple, rows)
        last = rows[-1][0]


def _pages(connection: Connection) -> Iterator[list[Row]]:
    last = -1
    while rows := connection.execute(_IN_ORDER, (last,)).fetchall():
        yield [tuple(row)[1:] for row in rows]
        last = rows[-1][0]


def _sums(connection: Connection, now: float) -> Sums:
    counts: list[int] = list(connection.execute(_COUNTS).fetchone())
    by_status = dict(connection.execute(_BY_STATUS).fetchall())
    by_payer = {payer: int(counted) for payer, counted in connection.execute(_BY_PAYER)}
    spent = totals(connection, "", now)
    return Sums._make([*counts, by_status, by_payer, spent.today_microusd, spent.total_microusd])
