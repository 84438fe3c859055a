"""A response that arrived while this process stood still is read when it goes on, and not given up as late."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hunyuan_ui.endpoint import standstill
from hunyuan_ui.endpoint.contract import GENERATE_V1, SUBMIT_V2
from hunyuan_ui.endpoint.segmind import EndpointClient, Timeouts
from hunyuan_ui.errors import OutcomeUnknownError
from tests.endpoint.calls import ID, KEY, REQUEST, client_of
from tests.raw_service import RawService, Received, Reply, Wire, answer, silence
from tests.videos import mp4_bytes

pytestmark = pytest.mark.anyio

STANDS_STILL_S = 2.5
LIMIT_S = 1.5


@pytest.fixture
async def client(service: RawService, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EndpointClient]:
    monkeypatch.setattr(standstill, "TICK_S", 0.02)
    monkeypatch.setattr(standstill, "SLOW_S", 0.3)
    made = client_of(service.origin, Timeouts(submit_s=LIMIT_S, generate_s=LIMIT_S))
    yield made
    await made.aclose()


def after(seconds: float, reply: Reply) -> Reply:
    def act(wire: Wire, received: Received) -> None:
        wire.pause(seconds)
        reply.act(wire, received)

    return Reply(act)


def stand_still_soon() -> None:
    """Stop the event loop while a POST waits for its response, as SIGSTOP and a frozen container do."""
    asyncio.get_running_loop().call_later(0.1, time.sleep, STANDS_STILL_S)


async def test_a_request_id_that_arrived_meanwhile_is_taken(service: RawService, client: EndpointClient) -> None:
    service.on("POST", SUBMIT_V2, after(0.3, answer(200, {"request_id": ID, "status": "QUEUED"})))
    stand_still_soon()
    assert (await client.submit(REQUEST, KEY)).request_id == ID


async def test_a_video_that_arrived_meanwhile_is_taken(
    service: RawService, client: EndpointClient, tmp_path: Path
) -> None:
    video = mp4_bytes()
    service.on("POST", GENERATE_V1, after(0.3, answer(200, video, content_type="video/mp4")))
    stand_still_soon()
    async with client.generate(REQUEST, KEY) as found:
        await found.save(tmp_path / "a.part", check=lambda _: None)
    assert (tmp_path / "a.part").read_bytes() == video


async def test_a_response_that_comes_after_it_is_waited_for_as_long_as_was_left(
    service: RawService, client: EndpointClient
) -> None:
    service.on("POST", SUBMIT_V2, after(STANDS_STILL_S + 0.3, answer(200, {"request_id": ID, "status": "QUEUED"})))
    stand_still_soon()
    assert (await client.submit(REQUEST, KEY)).request_id == ID


@pytest.mark.parametrize("stands_still", [False, True])
async def test_silence_still_ends(service: RawService, client: EndpointClient, stands_still: bool) -> None:
    service.on("POST", SUBMIT_V2, silence())
    if stands_still:
        stand_still_soon()
    began = time.monotonic()
    with pytest.raises(OutcomeUnknownError):
        await client.submit(REQUEST, KEY)
    assert time.monotonic() - began < LIMIT_S + STANDS_STILL_S + 3.0
