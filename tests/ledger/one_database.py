"""Ledgers of several processes on one database."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hunyuan_ui.job import JobStatus, new_id
from hunyuan_ui.ledger import ReplicaInfo, open_shared
from hunyuan_ui.ledger.shared_ledger import SharedLedger
from tests.postgres_server import PostgresServer

LEASE_S = 0.5
Opened = Callable[..., SharedLedger]


@pytest.fixture
def opened(tmp_path: Path, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    """Open ledgers of processes that share a database; each has acquired its lease."""
    monkeypatch.setattr("hunyuan_ui.ledger.LEASE_S", LEASE_S)
    url, made = postgres_server.url(tmp_path), list[SharedLedger]()

    def open_one(
        name: str = "a", *, places: int = 4, one_each: bool = False, now: Callable[[], float] | None = None
    ) -> SharedLedger:
        made.append(open_shared(url, ReplicaInfo(new_id(), name, places, one_each), now=now))
        made[-1].renew_lease()
        return made[-1]

    yield open_one
    for ledger in made:
        ledger.close()


def lapse(*living: SharedLedger) -> None:
    """Let all leases expire except those of the living."""
    give_up_at = time.monotonic() + 3 * LEASE_S
    while time.monotonic() < give_up_at:
        for ledger in living:
            ledger.renew_lease()
        time.sleep(LEASE_S / 4)


def statuses(ledger: SharedLedger) -> list[JobStatus]:
    return [found.status for found in ledger.jobs(None)]
