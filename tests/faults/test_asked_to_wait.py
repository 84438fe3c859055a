"""A file's server, or the service, that asks to wait before a finished video is fetched."""

from __future__ import annotations

import asyncio
import email.utils
import time

import pytest

from hunyuan_ui.job import JobStatus
from hunyuan_ui.jobs import wait_times
from tests.faults.conftest import impatient as impatient
from tests.faults.conftest import rig as rig
from tests.faults.conftest import service as service
from tests.faults.rig import OWNER, Rig, click, ended, until
from tests.faults.service import FILE, HISTORY, RESULT, PaidService
from tests.raw_service import Received, answer
from tests.seen import seen

pytestmark = [pytest.mark.anyio, pytest.mark.faults]


def in_seconds(seconds: float) -> str:
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


@pytest.mark.parametrize(("status", "by_a_date"), [(429, False), (503, False), (503, True)])
async def test_a_files_server_is_left_alone_for_as_long_as_it_asks(
    rig: Rig, service: PaidService, status: int, *, by_a_date: bool
) -> None:
    busy = answer(status, headers={"Retry-After": in_seconds(300) if by_a_date else "300"})
    service.on("GET", FILE, [busy])
    async with rig.running() as runner:
        job_id = await click(runner)
        await until(lambda: (seen(runner, job_id, OWNER).retry_in_s or 0.0) > 200)
        asked = sum(one.path.startswith(FILE.rstrip("*")) for one in service.requests)
        await asyncio.sleep(0.1)
        assert sum(one.path.startswith(FILE.rstrip("*")) for one in service.requests) == asked == 1
        await runner.retry_lost(job_id, OWNER)  # whoever cannot wait
        assert (await ended(runner, job_id)).status is JobStatus.DONE


@pytest.mark.parametrize("by_a_date", [False, True])
async def test_no_server_puts_a_paid_file_off_for_longer_than_any_failure_does(
    rig: Rig, service: PaidService, *, by_a_date: bool
) -> None:
    headers = {"x-rate-limit-reset-at-utc": in_seconds(86_400)} if by_a_date else {"Retry-After": "3600"}
    service.on("GET", FILE, [answer(503, headers=headers)])
    async with rig.running() as runner:
        job_id = await click(runner)
        await until(lambda: (seen(runner, job_id, OWNER).retry_in_s or 0.0) > 200)
        assert (seen(runner, job_id, OWNER).retry_in_s or 0.0) <= wait_times.SLOWEST_FETCH_S
        await runner.retry_lost(job_id, OWNER)
        assert (await ended(runner, job_id)).status is JobStatus.DONE


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "soon"}, {"Retry-After": "-5"}])
async def test_a_busy_server_that_names_no_time_is_asked_again_as_after_any_failure(
    rig: Rig, service: PaidService, headers: dict[str, str]
) -> None:
    service.on("GET", FILE, [answer(503, headers=headers)])
    async with rig.running() as runner:
        assert (await ended(runner, await click(runner))).status is JobStatus.DONE


async def test_the_service_is_left_alone_for_as_long_as_it_asks_while_an_address_is_renewed(
    rig: Rig, service: PaidService
) -> None:
    service.on("GET", FILE, [answer(403)] * 2)
    service.on("GET", HISTORY, answer(404, {"error": "not found"}))

    def limit_next(received: Received) -> None:
        if received.path.startswith(FILE.rstrip("*")):
            service.on_request = lambda _: None
            service.on("GET", RESULT, [answer(429, {"error": "later"}, headers={"Retry-After": "300"})])

    service.on_request = limit_next
    async with rig.running() as runner:
        job_id = await click(runner)
        await until(lambda: (seen(runner, job_id, OWNER).retry_in_s or 0.0) > 200)
        await runner.retry_lost(job_id, OWNER)
        assert (await ended(runner, job_id)).status is JobStatus.DONE
