"""A ledger and its clock, which advances only when a test says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hunyuan_ui.ledger import Ledger
from tests.stored_jobs import Clock, open_book


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    with closing(open_book(tmp_path, clock)) as book:
        yield book
