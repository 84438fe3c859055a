"""A service on a loopback port and its client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from hunyuan_ui.endpoint.segmind import EndpointClient
from tests.endpoint.calls import client_of
from tests.raw_service import RawService


@pytest.fixture
def service() -> Iterator[RawService]:
    with RawService() as running:
        yield running


@pytest.fixture
async def client(service: RawService) -> AsyncIterator[EndpointClient]:
    made = client_of(service.origin)
    yield made
    await made.aclose()
