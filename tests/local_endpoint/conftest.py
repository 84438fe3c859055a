"""Local endpoints for tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hunyuan_ui.local_endpoint.app import create_app
from hunyuan_ui.local_endpoint.serving import RunningServer, serve
from tests.local_endpoint.clients import KEY, Start


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start local endpoints and yield a client of each; stop them all at the end."""
    open_ones: list[RunningServer | httpx.Client] = []

    def start_one(**options: Any) -> httpx.Client:
        server = serve(create_app(**{"seconds": 0.05, "work_dir": tmp_path, **options}))
        client = httpx.Client(base_url=server.url, headers={"x-api-key": KEY}, timeout=60, trust_env=False)
        open_ones.extend([client, server])
        return client

    yield start_one
    for one in open_ones:
        one.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One local endpoint for tests that leave no state."""
    server = serve(create_app(seconds=0.02, work_dir=tmp_path_factory.mktemp("shared")))
    with httpx.Client(base_url=server.url, headers={"x-api-key": KEY}, timeout=60, trust_env=False) as client:
        yield client
    server.close()
