"""Fixtures of the fault tests: a service with a bill, a runner with short waits, an unredacted log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.rig import Rig, be_impatient
from tests.faults.service import PaidService


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the waits that protect a real service."""
    be_impatient(monkeypatch.setattr)


@pytest.fixture
def service() -> Iterator[PaidService]:
    """A service on a loopback port."""
    with PaidService() as running:
        yield running


@pytest.fixture
def rig(tmp_path: Path, service: PaidService) -> Rig:
    """Opens runners on one data folder."""
    return Rig(tmp_path / "data", service.origin)
