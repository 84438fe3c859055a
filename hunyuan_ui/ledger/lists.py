"""Lists of jobs: which rows they show, and where rare words stand."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from typing import Any, Final

from hunyuan_ui.job import JobStatus
from hunyuan_ui.request import clean_text

_SEARCH_AT_MOST: Final = 200  # characters
_FEW: Final = 200  # rows; of a word in more of them, a page is soon found on the way through all


def words_of(search: str) -> list[str]:
    """Return what must stand in a prompt, in this order."""
    return clean_text(search)[:_SEARCH_AT_MOST].split()


def condition(
    visitor: str | None, statuses: frozenset[JobStatus] | None, words: list[str], rows: Collection[int] | None
) -> tuple[str, list[Any]]:
    """Return what comes after the table's name, and its values.

    Args:
        visitor: Whose; None for everybody's.
        statuses: Which; None for all.
        words: Of a search.
        rows: The only ones to look at, from `RareWords`; None for all.
    """
    where, values = ["deleted_at IS NULL"], list[Any]()
    if rows is not None:
        where.append(f"rowid IN ({', '.join(map(str, rows))})")
    if visitor is not None:
        where.append("visitor = ?")
        values.append(visitor)
    if statuses is not None:
        where.append(f"status IN ({', '.join('?' * len(statuses))})")
        values.extend(status.value for status in statuses)
    if words:
        where.append(r"prompt LIKE ? ESCAPE '\'")
        escaped = (word.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") for word in words)
        values.append(f"%{'%'.join(escaped)}%")
    # SQLite would rather walk through all that the visitor has than look up the rows it is given.
    return f"{'' if rows is None else 'NOT INDEXED '}WHERE {' AND '.join(where)}", values


class RareWords:
    """Where rare words stand, so that a search for one reads a few rows and not every prompt there is.

    Kept in memory and brought up to date at each search. Rows are only ever added, and a prompt changes only when its
    row leaves every list, so what was read once stays true of all that can be found.

    Args:
        connection: To the ledger; outside a transaction whenever this is asked.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._rows: dict[str, list[int]] = {}  # of a word in many rows, only the first few
        self._newest = 0

    def rows(self, words: Iterable[str]) -> Collection[int] | None:
        """Return a few rows that include each one whose prompt holds all these words; None if no word is rare."""
        folded = [_folded(word) for word in words]
        if folded:
            self._catch_up()
        return next((rows for word in folded if (rows := self._with(word)) is not None), None)

    def _with(self, word: str) -> set[int] | None:
        found = set[int]()
        for known in [known for known in self._rows if word in known]:
            found.update(self._rows[known])
            if len(found) > _FEW:
                return None
        return found

    def _catch_up(self) -> None:
        added = "SELECT rowid, prompt FROM jobs WHERE rowid > ? ORDER BY rowid"
        for row, prompt in self._connection.execute(added, (self._newest,)):
            for word in set(_folded(prompt).split()):
                rows = self._rows.setdefault(word, [])
                if len(rows) <= _FEW:
                    rows.append(row)
            self._newest = row


def _folded(text: str) -> str:
    # As LIKE does it: only the letters of ASCII are the same in either case, which is how bytes are lowered.
    return text.encode().lower().decode()
