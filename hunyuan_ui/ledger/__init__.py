"""The ledger: jobs and money in one table, and the files that keep it safe."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from hunyuan_ui.errors import SettingsError
from hunyuan_ui.ledger.found import FROM_HISTORY, SAID, UNTIMED, said_id
from hunyuan_ui.ledger.ledger import NAMED, Ledger
from hunyuan_ui.ledger.sqlite import (
    FILE_NAME,
    LOG_NAME,
    Opened,
    back_up,
    confirm_review,
    count_jobs,
    needs_review,
    open_ledger,
)

if TYPE_CHECKING:
    from hunyuan_ui.ledger.postgres import PostgresDatabase

DATABASE_URL: Final = "HUNYUAN_UI_DATABASE_URL"


def open_postgres(url: str) -> PostgresDatabase:
    """Return `postgres.open_postgres(url)`; that module and its packages are loaded only where a database is named.

    Raises:
        SettingsError: They are not installed, or what that raises.
    """
    with _packages():
        from hunyuan_ui.ledger import postgres
    return postgres.open_postgres(url)


def count_jobs_at(url: str) -> int | None:
    """Return `postgres.count_jobs(url)`; as `open_postgres`."""
    with _packages():
        from hunyuan_ui.ledger import postgres
    return postgres.count_jobs(url)


@contextmanager
def _packages() -> Generator[None]:
    try:
        yield
    except ImportError:
        raise SettingsError(DATABASE_URL, "database_package") from None


__all__ = [
    "DATABASE_URL",
    "FILE_NAME",
    "FROM_HISTORY",
    "LOG_NAME",
    "NAMED",
    "SAID",
    "UNTIMED",
    "Ledger",
    "Opened",
    "back_up",
    "confirm_review",
    "count_jobs",
    "count_jobs_at",
    "needs_review",
    "open_ledger",
    "open_postgres",
    "said_id",
]
