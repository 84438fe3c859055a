"""A ledger and its clock, which advances only when a test says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hunyuan_ui.ledger import Ledger
from tests.stored_jobs import Clock, opened_ledger


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    with closing(opened_ledger(tmp_path, clock)) as book:
        yield book
