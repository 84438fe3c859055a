"""A service that charges two cents a video, and the environment of a command that uses it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.service import PaidService

SMALL = ["--width", "64", "--height", "48", "--frames", "5"]


@pytest.fixture
def service() -> Iterator[PaidService]:
    """The service that the command pays."""
    with PaidService() as running:
        running.cost_usd = 0.02
        yield running


@pytest.fixture
def environ(service: PaidService, tmp_path: Path) -> dict[str, str]:
    """The command's settings."""
    return {
        "HUNYUAN_UI_DATA_DIR": str(tmp_path / "data"),
        "HUNYUAN_UI_POLL_SECONDS": "0.05",
        "SEGMIND_API_KEY": "SG_00112233aabbccdd",
        "SEGMIND_BASE_URL": service.origin,
    }
