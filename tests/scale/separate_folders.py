"""Runners on one database, each with a data folder of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hunyuan_ui.jobs import data_folder_watch, dispatcher
from hunyuan_ui.settings import Secret
from tests.faults.rig import Rig
from tests.faults.service import PaidService
from tests.postgres_server import PostgresServer


@pytest.fixture
def url(tmp_path: Path, postgres_server: PostgresServer) -> str:
    """Their database."""
    return postgres_server.url(tmp_path)


@pytest.fixture
def rig(tmp_path: Path, service: PaidService, url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Rig]:
    """Opens a runner by the name of its folder."""
    monkeypatch.setattr(dispatcher, "LOOK_EVERY_S", 0.1)
    monkeypatch.setattr(data_folder_watch, "LOOK_EVERY_S", 0.1)

    def rig_of(name: str) -> Rig:
        return Rig(tmp_path / name, service.origin, settings={"daily_limit_usd": 1000.0}, url=Secret(url))

    return rig_of
