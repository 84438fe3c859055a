"""A lost video that is looked for again in the moment in which its loss is told."""

from __future__ import annotations

import asyncio

import pytest

from hunyuan_ui.job import JobStatus
from hunyuan_ui.jobs.calibrated_estimates import CalibratedEstimates
from tests.faults import oracle
from tests.faults.rig import OWNER, Rig, click, prompt_of
from tests.faults.service import COMPLETED, FILE, HISTORY, STATUS, PaidService, video_of
from tests.raw_service import answer

pytestmark = [pytest.mark.faults, pytest.mark.anyio, pytest.mark.usefixtures("database")]

LOST_BY = {"its file": (FILE,), "its request": (STATUS, HISTORY)}
SOON_S = 10.0


@pytest.mark.parametrize("way", LOST_BY)
async def test_it_is_fetched_and_whoever_waited_is_answered(
    rig: Rig, service: PaidService, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    is_told, is_telling, reload = asyncio.Event(), asyncio.Event(), CalibratedEstimates.reload

    async def slow(estimates: CalibratedEstimates) -> None:  # as while the ledger's reads take long
        is_telling.set()
        await is_told.wait()
        await reload(estimates)

    for path in LOST_BY[way]:
        service.on("GET", path, [answer(404)] * 500)
    async with rig.running() as runner:
        monkeypatch.setattr(CalibratedEstimates, "reload", slow)
        job_id = await click(runner)
        waiting = asyncio.ensure_future(runner.wait(job_id, OWNER))
        await is_telling.wait()
        assert (await runner.view(job_id, OWNER)).can_look_again
        service.on("GET", STATUS, COMPLETED)
        service.on("GET", FILE, answer(200, video_of(prompt_of(job_id))))
        await runner.retry_lost(job_id, OWNER)
        is_told.set()
        assert (await runner.wait(job_id, OWNER, SOON_S)).status is JobStatus.DONE
        assert not (await asyncio.wait_for(waiting, SOON_S)).is_active
    oracle.check(rig.folder, service)
