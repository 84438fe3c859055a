"""Fixtures of the faults tests: a service with a bill, an impatient runner, and a log that hides nothing by itself."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from hunyuan_ui import log
from tests.faults.rig import Rig, be_impatient
from tests.faults.service import PaidService


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the waits that protect a real service pass at once."""
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


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """All that the program logs, with no secret named that it could redact."""
    stream = io.StringIO()
    logger, root = logging.getLogger("hunyuan_ui"), logging.getLogger()
    before, others = (logger.handlers[:], logger.level, logger.propagate), root.handlers[:]
    log.configure(stream=stream)
    yield stream
    logger.handlers[:], logger.level, logger.propagate = before
    root.handlers[:] = others
