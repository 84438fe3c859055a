"""A response that arrived while this process stood still is read when it goes on, and not given up as late."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from hunyuan_ui.endpoint import http
from hunyuan_ui.endpoint.contract import GENERATE_V1, SUBMIT_V2
from hunyuan_ui.endpoint.download import SaveLimits
from hunyuan_ui.endpoint.segmind import EndpointClient, Timeouts
from hunyuan_ui.errors import OutcomeUnknownError
from tests.endpoint.calls import ID, KEY, REQUEST, client_of, only_uncut
from tests.raw_service import RawService, Received, Reply, Wire, answer, silence
from tests.videos import mp4_bytes

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

STANDS_STILL_S = 2.5
LIMIT_S = 1.5


@pytest.fixture
async def client(service: RawService, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EndpointClient]:
    monkeypatch.setattr(http, "TICK_S", 0.02)
    monkeypatch.setattr(http, "SLOW_S", 0.3)
    made = client_of(service.origin, Timeouts(submit_s=LIMIT_S, generate_s=LIMIT_S))
    yield made
    await made.aclose()


def after(reply: Reply, seconds: float) -> Reply:
    def act(wire: Wire, received: Received) -> None:
        wire.pause(seconds)
        reply.act(wire, received)

    return Reply(act)


def in_two_parts(reply: Reply, seconds: float, begins_with: int = 0) -> Reply:
    class Halting(Wire):
        def send(self, data: bytes) -> None:
            head, end, body = data.partition(b"\r\n\r\n")
            super().send(head + end + body[:begins_with])
            self.pause(seconds)
            super().send(body[begins_with:])

    return Reply(lambda wire, received: reply.act(Halting(wire.socket, wire.stopped), received))


def stand_still_soon() -> None:
    """Stop the event loop in its wait for input, as SIGSTOP does: timers that are due then run before what arrived."""
    loop: Any = asyncio.get_running_loop()
    select = loop._selector.select

    def stopped(_: float | None = None) -> list[Any]:
        loop._selector.select = select
        time.sleep(STANDS_STILL_S)
        return []

    loop.call_later(0.1, setattr, loop._selector, "select", stopped)


@pytest.mark.parametrize("come", [after, in_two_parts])
async def test_a_request_id_that_arrived_meanwhile_is_taken(
    service: RawService, client: EndpointClient, come: Callable[[Reply, float], Reply]
) -> None:
    service.on("POST", SUBMIT_V2, come(answer(200, {"request_id": ID, "status": "QUEUED"}), 0.3))
    stand_still_soon()
    assert (await client.submit(REQUEST, KEY)).request_id == ID


async def test_a_video_that_arrived_meanwhile_is_taken(
    service: RawService, client: EndpointClient, tmp_path: Path
) -> None:
    video = mp4_bytes()
    service.on("POST", GENERATE_V1, after(answer(200, video, content_type="video/mp4"), 0.3))
    stand_still_soon()
    async with client.generate(REQUEST, KEY) as found:
        await found.save(tmp_path / "a.part", check=only_uncut)
    assert (tmp_path / "a.part").read_bytes() == video


@pytest.mark.parametrize("begins_with", [0, 5, 400], ids=["headers", "too few to tell its kind", "its beginning"])
async def test_the_rest_of_a_video_that_arrived_meanwhile_is_taken(
    service: RawService, client: EndpointClient, tmp_path: Path, begins_with: int
) -> None:
    video = mp4_bytes()
    come = in_two_parts(answer(200, video, content_type="video/mp4"), 0.3, begins_with)
    service.on("POST", GENERATE_V1, come)
    stand_still_soon()
    async with client.generate(REQUEST, KEY) as found:
        await found.save(tmp_path / "a.part", check=only_uncut, limits=SaveLimits(slow_after_s=LIMIT_S))
    assert (tmp_path / "a.part").read_bytes() == video


@pytest.mark.parametrize("more", ["", "x" * 300_000], ids=["", "with more than is read at once"])
async def test_the_rest_of_an_address_that_arrived_meanwhile_is_taken(
    service: RawService, client: EndpointClient, more: str
) -> None:
    url = "https://files.example.com/a.mp4"
    service.on("POST", GENERATE_V1, in_two_parts(answer(200, {"output": url, "more": more}), 0.3, begins_with=5))
    stand_still_soon()
    async with client.generate(REQUEST, KEY) as found:
        assert found.url == url


async def test_a_response_that_comes_after_it_is_waited_for_as_long_as_was_left(
    service: RawService, client: EndpointClient
) -> None:
    service.on("POST", SUBMIT_V2, after(answer(200, {"request_id": ID, "status": "QUEUED"}), STANDS_STILL_S + 0.3))
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
