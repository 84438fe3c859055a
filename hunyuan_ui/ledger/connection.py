"""A connection that runs the ledger's SQL, whichever the database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

Values: TypeAlias = Sequence[Any] | Mapping[str, Any]


class Cursor(Protocol):
    """The result of one statement."""

    @property
    def rowcount(self) -> int:
        """Number of changed rows."""
        ...

    def fetchone(self) -> Any:
        """Return the next row, or None."""
        ...

    def fetchall(self) -> list[Any]:
        """Return all rows."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """Runs the ledger's statements, which are written for SQLite, with `?` and `:name` as placeholders."""

    def execute(self, statement: str, values: Values = ..., /) -> Cursor:
        """Run a statement; the rows of the previous one must be fetched before."""
        ...
