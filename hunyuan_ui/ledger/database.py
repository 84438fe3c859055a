"""Database interface of the ledger: transactions, reads, backups."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from hunyuan_ui.errors import StorageError
from hunyuan_ui.ledger.connection import Connection
from hunyuan_ui.ledger.restored_ledger import LastSent


class Database(Protocol):
    """A database with the table `jobs` at the newest schema version; thread-safe.

    All its errors are raised as StorageError, so that no caller depends on the kind of database.
    """

    @property
    def can_be_away(self) -> bool:
        """Whether it is remote, and so may be unreachable."""
        ...

    @property
    def problem(self) -> StorageError | None:
        """Why the database is unavailable at the moment; None if the last attempt succeeded."""
        ...

    def try_lock(self) -> None:
        """Let `problem` tell whether another program keeps this one from writing; changes and waits for nothing."""
        ...

    @property
    def last_sent(self) -> LastSent | None:
        """Detects an older copy in its place; None if a server keeps the database."""
        ...

    def transaction(self, name: str, /) -> AbstractContextManager[Connection]:
        """Run a block as the only writer and commit it; roll back if it raises.

        Args:
            name: Of its checkpoints `ledger.<name>.begin`, `.commit` and `.committed`.

        Raises:
            StorageError: Nothing was committed, or the outcome of the commit is unknown.
        """
        ...

    def reading(self) -> AbstractContextManager[Connection]:
        """Provide a connection that sees committed data and waits for no writer.

        Raises:
            StorageError: The database cannot be read.
        """
        ...

    def erase(self) -> None:
        """Erase the data that this transaction overwrites, as far as the database can."""
        ...

    def back_up(self, folder: Path, /) -> Path | None:
        """Copy the open database into a folder; return the copy, or None if its server keeps its own.

        Raises:
            StorageError: The copy could not be written, or the ledger is damaged.
        """
        ...

    def empty_log(self) -> None:
        """Checkpoint the write-ahead log into the database file, now and after each commit from now on.

        Raises:
            StorageError: The ledger cannot be written.
        """
        ...

    def close(self) -> None:
        """Close all connections."""
        ...
