"""A video that is named at several addresses is lost only if none of them has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hunyuan_ui.job import JobStatus, new_id
from hunyuan_ui.jobs import job_run
from tests.faults import oracle
from tests.faults.rig import Rig, click, ended
from tests.faults.service import COMPLETED, FILE, HISTORY, RESULT, STATUS, PaidService
from tests.raw_service import Received, Reply, Wire, answer, html

pytestmark = [pytest.mark.faults, pytest.mark.anyio]

BAD: dict[str, Callable[[str, str], str]] = {
    "dead": lambda at, name: f"{at}/gone/{name}.mp4",
    "unsafe": lambda _, name: f"http://10.0.0.1/{name}.mp4",
    "of another scheme": lambda _, name: f"http://files.example.com/{name}.mp4",
    "of a page": lambda at, name: f"{at}/pages/{name}.mp4",
    "of a host that is gone": lambda _, name: f"https://files.invalid/{name}.mp4",
    "signed anew each time": lambda at, name: f"{at}/gone/{name}.mp4?signature={new_id()}",
}


def _result(service: PaidService, bad: str, *, with_good: bool) -> Reply:
    """Name an address without the video first, and the real one after it or not at all."""

    def act(wire: Wire, received: Received) -> None:
        name = received.path.rpartition("/")[2]
        good = {"video": {"url": f"{service.origin}/files/{name}.mp4"}} if with_good else {}
        told = {"status": "COMPLETED", "output": BAD[bad](service.origin, name), **good}
        answer(200, told).act(wire, received)

    service.on("GET", STATUS, COMPLETED)
    service.on("GET", "/gone/*", answer(404))
    service.on("GET", "/pages/*", html(200))
    return Reply(act)


@pytest.mark.parametrize("bad", BAD)
async def test_the_next_address_in_the_same_response_is_tried(rig: Rig, service: PaidService, bad: str) -> None:
    service.on("GET", RESULT, _result(service, bad, with_good=True))
    service.on("GET", HISTORY, answer(404))
    async with rig.running() as runner:
        assert (await ended(runner, await click(runner))).status is JobStatus.DONE
    oracle.check(rig.folder, service)


@pytest.mark.parametrize("bad", ["dead", "unsafe"])
async def test_the_address_in_the_history_is_tried(rig: Rig, service: PaidService, bad: str) -> None:
    service.on("GET", RESULT, _result(service, bad, with_good=False))
    async with rig.running() as runner:
        assert (await ended(runner, await click(runner))).status is JobStatus.DONE
    oracle.check(rig.folder, service)


async def test_a_file_that_moved_to_another_host_is_followed(rig: Rig, service: PaidService) -> None:
    moved = _result(service, "of a host that is gone", with_good=False)
    service.on("GET", RESULT, [moved])
    async with rig.running() as runner:
        assert (await ended(runner, await click(runner))).status is JobStatus.DONE
    oracle.check(rig.folder, service)


async def test_a_file_that_comes_late_is_fetched_while_nobody_can_be_asked_for_its_address(
    rig: Rig, service: PaidService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def once(*_: Any, **__: Any) -> float:
        service.on("GET", RESULT, answer(500, {"error": "down"}))
        service.on("GET", HISTORY, answer(500, {"error": "down"}))
        return 0.004

    service.on("GET", FILE, [answer(404)])
    async with rig.running() as runner:
        monkeypatch.setattr(job_run, "backoff_s", once)
        assert (await ended(runner, await click(runner))).status is JobStatus.DONE
    oracle.check(rig.folder, service)


async def test_an_address_that_cannot_be_renewed_proves_no_loss(
    rig: Rig, service: PaidService, monkeypatch: pytest.MonkeyPatch
) -> None:
    misses = 0

    def back(*_: Any, **__: Any) -> float:
        nonlocal misses
        misses += 1
        reply = answer(500, {"error": "down"})
        if misses == 30:
            service.on("GET", FILE, Reply(lambda wire, received: service.behave(received).act(wire, received)))
        service.on("GET", RESULT, reply)
        service.on("GET", HISTORY, reply)
        return 0.004

    service.on("GET", FILE, answer(404))
    async with rig.running() as runner:
        monkeypatch.setattr(job_run, "backoff_s", back)
        assert (await ended(runner, await click(runner))).status is JobStatus.DONE
    oracle.check(rig.folder, service)
