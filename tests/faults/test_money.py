"""Two hundred simultaneous clicks against a daily limit, checked by the service's bill."""

from __future__ import annotations

import asyncio

import pytest

from hunyuan_ui.errors import SpendLimitError
from hunyuan_ui.job import Job, JobStatus
from tests.faults import oracle
from tests.faults.rig import Rig, click, ended
from tests.faults.service import COST_USD, PaidService

pytestmark = [pytest.mark.anyio, pytest.mark.faults, pytest.mark.usefixtures("database")]

LIMIT_USD = 5.0


async def test_two_hundred_clicks_never_pass_the_daily_limit(rig: Rig, service: PaidService) -> None:
    rig.settings = {"daily_limit_usd": LIMIT_USD, "concurrency": 50}
    most = 0.0

    def bill(_: object) -> None:
        nonlocal most
        most = max(most, len(service.bill) * COST_USD)

    service.on_request = bill

    async def try_to_make() -> Job | SpendLimitError:
        try:
            return await ended(runner, await click(runner))
        except SpendLimitError as error:
            return error

    async with rig.running() as runner:
        for _ in range(2):
            await asyncio.gather(*(try_to_make() for _ in range(100)))
        assert (await runner.spending()).spent_today_usd <= LIMIT_USD
    jobs = oracle.check(rig.folder, service)
    assert most <= LIMIT_USD
    assert 1 <= len(service.bill) == sum(job.status is JobStatus.DONE for job in jobs) <= LIMIT_USD / COST_USD


async def test_what_may_have_been_charged_counts_against_the_limit(rig: Rig, service: PaidService) -> None:
    rig.settings = {"daily_limit_usd": LIMIT_USD}
    service.drop_connections(100)
    async with rig.running() as runner:
        for _ in range(2):
            assert (await ended(runner, await click(runner))).status is JobStatus.UNKNOWN
        with pytest.raises(SpendLimitError):
            await click(runner)
    assert len(oracle.check(rig.folder, service)) == 2
