"""Runners on a separate database, which goes away and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hunyuan_ui.jobs import data_folder_watch, dispatcher
from hunyuan_ui.ledger import postgres
from tests.faults.rig import Rig
from tests.faults.service import PaidService
from tests.postgres_server import PostgresServer, installed


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server of this test only, because it is stopped; its commits wait for the disk."""
    own = PostgresServer(installed(), is_durable=True)
    yield own
    own.close()


@pytest.fixture
def rig(tmp_path: Path, service: PaidService, server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Opens runners on one database."""
    monkeypatch.setattr("tests.stored_jobs.server", server)
    monkeypatch.setattr(postgres, "REST_S", 0.05)
    monkeypatch.setattr(dispatcher, "LOOK_EVERY_S", 0.1)
    monkeypatch.setattr(data_folder_watch, "LOOK_EVERY_S", 0.1)
    return Rig(tmp_path / "data", service.origin, settings={"concurrency": 4, "daily_limit_usd": 1000.0})
