"""A refusal that names a request is believed only if the service does not know that request."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Any

import pytest

from hunyuan_ui.endpoint.contract import COST_HEADER, GENERATE_V1, REQUEST_ID_HEADER, SUBMIT_V2
from hunyuan_ui.job import JobStatus
from tests.faults import oracle
from tests.faults.rig import OWNER, Rig, click, ended, prompt_of, until
from tests.faults.service import FAILED, STATUS, PaidService
from tests.raw_service import Reply, answer, close

pytestmark = [pytest.mark.faults, pytest.mark.anyio]

REFUSALS: dict[str, Callable[[str], Reply]] = {
    "a limit": lambda name: answer(429, {"error": "slow", "request_id": name}),
    "a limit, in its header": lambda name: answer(429, {"error": "slow"}, headers={REQUEST_ID_HEADER: name}),
    "a body": lambda name: answer(400, {"error": "no", "requestId": name}),
    "credits": lambda name: answer(402, {"error": "no credits", "id": name}),
    "an access": lambda name: answer(403, {"error": "no"}, headers={REQUEST_ID_HEADER: name}),
    "an envelope": lambda name: answer(500, {"error": "no"}, headers={REQUEST_ID_HEADER: name}),
}


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_refused_request_that_is_known_all_the_same_is_followed(
    rig: Rig, service: PaidService, refusal: str
) -> None:
    def act(wire: Any, received: Any) -> None:
        service.behave(received)
        REFUSALS[refusal](list(service.past)[-1]).act(wire, received)

    service.on("POST", SUBMIT_V2, Reply(act))
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
    assert (job.status, service.posts()[prompt_of(job.id)]) == (JobStatus.DONE, 1)
    oracle.check(rig.folder, service)


UNTOLD: dict[str, list[Reply]] = {
    "asked too often": [answer(429)] * 3,
    "down": [answer(503)] * 3,
    "silent": [close()] * 3,
    "not known yet": [answer(404, {"error": "not found"})],
    "silent for as long as it is asked": [answer(503)] * 25,
    "of another mind": [FAILED] * 2,
    "charging for what it does not know": [answer(404, {"error": "not found"}, headers={COST_HEADER: "1.46"})] * 2,
}


@pytest.mark.parametrize("untold", UNTOLD)
async def test_a_service_that_does_not_tell_at_once_is_asked_again(rig: Rig, service: PaidService, untold: str) -> None:
    def act(wire: Any, received: Any) -> None:
        service.behave(received)
        answer(429, {"error": "slow", "request_id": list(service.past)[-1]}).act(wire, received)

    service.on("POST", SUBMIT_V2, Reply(act))
    service.on("GET", STATUS, UNTOLD[untold])
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
    assert (job.status, service.posts()[prompt_of(job.id)]) == (JobStatus.DONE, 1)
    oracle.check(rig.folder, service)


@pytest.mark.parametrize("status", [401, 404, 405])
async def test_a_limit_with_its_gateways_own_id_is_waited_for(rig: Rig, service: PaidService, status: int) -> None:
    slow = answer(429, {"error": "slow"}, headers={REQUEST_ID_HEADER: "kong-7f3a", "Retry-After": "0"}, bills=False)
    service.on("POST", SUBMIT_V2, [slow])
    service.on("GET", STATUS, [answer(status, {"error": "no"})] * 2)
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
    assert (job.status, service.count("POST", SUBMIT_V2)) == (JobStatus.DONE, 2)
    oracle.check(rig.folder, service)


async def test_a_blocking_call_that_is_refused_and_known_all_the_same_is_followed(
    rig: Rig, service: PaidService
) -> None:
    rig.dialect = "v1"

    def act(wire: Any, received: Any) -> None:
        service.behave(received)
        REFUSALS["a limit, in its header"](list(service.past)[-1]).act(wire, received)

    service.on("POST", GENERATE_V1, Reply(act))
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
    assert (job.status, service.posts()[prompt_of(job.id)]) == (JobStatus.DONE, 1)
    oracle.check(rig.folder, service)


async def test_a_limit_that_names_a_blocking_call_under_way_is_waited_for(rig: Rig, service: PaidService) -> None:
    rig.dialect = "v1"
    others = Event()

    def held(wire: Any, received: Any) -> None:
        reply = service.behave(received)
        others.wait(30.0)
        reply.act(wire, received)

    def limit(wire: Any, received: Any) -> None:
        answer(429, {"error": "one is running", "request_id": next(iter(service.past))}).act(wire, received)
        others.set()

    service.on("POST", GENERATE_V1, [Reply(held), Reply(limit)])
    async with rig.running() as runner:
        first = await click(runner)
        await until(lambda: service.past)
        second = await click(runner)
        ends = [(await ended(runner, one)).status for one in (first, second)]
    assert ends == [JobStatus.DONE] * 2
    assert service.count("POST", GENERATE_V1) == 3


async def test_a_limit_that_names_the_request_under_way_is_waited_for(rig: Rig, service: PaidService) -> None:
    service.is_held = True
    async with rig.running() as runner:
        first = await click(runner)
        while not service.count("GET", "/status"):
            await runner.wait(first, OWNER, 0.01)
        other = {"error": "one is running", "request_id": next(iter(service.past))}
        service.on("POST", SUBMIT_V2, [answer(429, other, headers={"Retry-After": "0"}, bills=False)])
        second = await click(runner)
        while service.count("POST", SUBMIT_V2) < 3:
            await runner.wait(second, OWNER, 0.01)
        service.is_held = False
        ends = [(await ended(runner, one)).status for one in (first, second)]
    assert ends == [JobStatus.DONE] * 2
    oracle.check(rig.folder, service)
