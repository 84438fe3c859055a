"""The ledger: jobs and money in one table, and the files that protect it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from hunyuan_ui.errors import SettingsError
from hunyuan_ui.ledger.account_history import CLOCKS_S, DECLARED_USD, FROM_HISTORY, UNTIMED, declared_id
from hunyuan_ui.ledger.cost import CHARGED, NAMED, expected_usd
from hunyuan_ui.ledger.ledger import Ledger
from hunyuan_ui.ledger.other_ledger import is_spending_elsewhere
from hunyuan_ui.ledger.schema import UNCONFIRMED
from hunyuan_ui.ledger.sqlite import (
    FILE_NAME,
    LOG_NAME,
    MOVED_NAME,
    Opened,
    confirm_damage,
    confirm_review,
    count_jobs,
    needs_review,
    open_ledger,
    was_damaged,
    was_moved,
)
from hunyuan_ui.ledger.transactions import Replica, TakenOverError

if TYPE_CHECKING:
    from hunyuan_ui.ledger.copy_to_postgres import LedgerCopy
    from hunyuan_ui.ledger.shared_ledger import SharedLedger

DATABASE_URL: Final = "HUNYUAN_UI_DATABASE_URL"
LINKS: Final = "links"  # name of the secret that signs links
LEASE_S: Final = 15.0  # without a heartbeat, before other processes take over a process's jobs


class ReplicaInfo(NamedTuple):
    """One of the processes that share a ledger.

    Args:
        process: Its id, of 32 hexadecimal digits.
        slots: Maximum number of jobs in flight over all processes.
        one_each: Each visitor has at most one job in flight.
        hosted: Digest of the hosted service's address, if the process sends there.
        engine: The same for the owner's engine, if there is one.
    """

    process: str
    name: str
    slots: int
    one_each: bool
    hosted: str | None = None
    engine: str | None = None


def open_shared(url: str, replica: ReplicaInfo, *, now: Callable[[], float] | None = None) -> SharedLedger:
    """Open the ledger of one of several processes; its modules and packages are imported only if a database is set.

    Args:
        url: As for `postgres.open_postgres`.
        now: As for `SharedLedger`.

    Raises:
        SettingsError: The packages are not installed, or `postgres.open_postgres` raises it.
    """
    with _packages():
        from hunyuan_ui.ledger import postgres, shared_ledger
    return shared_ledger.SharedLedger(postgres.open_postgres(url), replica, lease_s=LEASE_S, now=now)


def count_jobs_at(url: str) -> int | None:
    """Return `postgres.count_jobs(url)`; errors as `open_shared`."""
    with _packages():
        from hunyuan_ui.ledger import postgres
    return postgres.count_jobs(url)


def open_copy(folder: Path, url: str) -> LedgerCopy:
    """Open the ledger of a data folder and the database to copy it into; as `LedgerCopy`."""
    with _packages():
        from hunyuan_ui.ledger import copy_to_postgres
    return copy_to_postgres.LedgerCopy(folder, url, lease_s=LEASE_S)


@contextmanager
def _packages() -> Generator[None]:
    try:
        yield
    except ImportError:
        raise SettingsError(DATABASE_URL, "database_package") from None


__all__ = [
    "CHARGED",
    "CLOCKS_S",
    "DATABASE_URL",
    "DECLARED_USD",
    "FILE_NAME",
    "FROM_HISTORY",
    "LEASE_S",
    "LINKS",
    "LOG_NAME",
    "MOVED_NAME",
    "NAMED",
    "UNCONFIRMED",
    "UNTIMED",
    "Ledger",
    "Opened",
    "Replica",
    "ReplicaInfo",
    "TakenOverError",
    "confirm_damage",
    "confirm_review",
    "count_jobs",
    "count_jobs_at",
    "declared_id",
    "expected_usd",
    "is_spending_elsewhere",
    "needs_review",
    "open_copy",
    "open_ledger",
    "open_shared",
    "was_damaged",
    "was_moved",
]
