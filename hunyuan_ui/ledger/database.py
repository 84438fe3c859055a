"""What the ledger asks of a database: a connection that runs its SQL, inside a transaction or for reading only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from hunyuan_ui.errors import StorageError
from hunyuan_ui.ledger.last_sent import LastSent

Values: TypeAlias = Sequence[Any] | Mapping[str, Any]


class Cursor(Protocol):
    """The result of one statement."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""
        ...

    def fetchone(self) -> Any:
        """Return the next row, or None."""
        ...

    def fetchall(self) -> list[Any]:
        """Return all rows."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """Runs the ledger's statements, which are written once, for SQLite, with `?` and `:name` for values."""

    def execute(self, statement: str, values: Values = ..., /) -> Cursor:
        """Run a statement; what the one before has returned is to be fetched by then."""
        ...


class Database(Protocol):
    """A database with the table `jobs` in its newest form; thread-safe.

    Each of its errors is raised as a StorageError, so that nobody above it knows which database it is.
    """

    @property
    def can_be_away(self) -> bool:
        """Whether it is somewhere else, so that it may be out of reach."""
        ...

    @property
    def problem(self) -> StorageError | None:
        """Why the database cannot be asked just now; None if the last try went well."""
        ...

    @property
    def last_sent(self) -> LastSent | None:
        """What tells that an older copy was put in its place; None where its server keeps it."""
        ...

    def transaction(self, name: str, /) -> AbstractContextManager[Connection]:
        """Run a block alone among all writers, and commit it; roll it back if it raises.

        Args:
            name: Of its checkpoints `ledger.<name>.begin`, `.commit` and `.committed`.

        Raises:
            StorageError: Nothing was committed, or it is not known whether it was.
        """
        ...

    def reading(self) -> AbstractContextManager[Connection]:
        """Give a connection that sees what is committed and waits for no writer.

        Raises:
            StorageError: The database cannot be read.
        """
        ...

    def erase(self) -> None:
        """Let nothing remain of what this transaction overwrites, as far as the database can."""
        ...

    def back_up(self, folder: Path, /) -> Path | None:
        """Copy the open database into a folder; return the copy, or None where its server keeps its own.

        Raises:
            StorageError: The copy could not be written, or the ledger is damaged.
        """
        ...

    def empty_log(self) -> None:
        """Write into the database's file what is only in its log, now and after each commit from now on.

        Raises:
            StorageError: The ledger cannot be written.
        """
        ...

    def close(self) -> None:
        """Close every connection."""
        ...
