"""What was completed or lost counts as charged, whatever failure the service tells of it afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from hunyuan_ui.job import JobStatus
from tests.faults.rig import OWNER, Rig, click, ended, kill, until
from tests.faults.service import COMPLETED, FAILED, HISTORY, NOT_FOUND, RESULT, STATUS, PaidService
from tests.raw_service import Reply, answer

pytestmark = [pytest.mark.faults, pytest.mark.anyio, pytest.mark.usefixtures("database")]


@pytest.mark.parametrize(
    "lost",
    [{RESULT: FAILED, STATUS: COMPLETED}, {STATUS: NOT_FOUND}],
    ids=["completed, then taken back", "expired"],
)
async def test_a_lost_video_that_is_looked_for_again_stays_charged(
    rig: Rig, service: PaidService, lost: dict[str, Reply]
) -> None:
    for path, reply in {HISTORY: NOT_FOUND, **lost}.items():
        service.on("GET", path, reply)
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
        assert job.status is JobStatus.LOST
        service.on("GET", STATUS, FAILED)
        await runner.retry_lost(job.id, OWNER)
        again = await ended(runner, job.id)
    assert (again.status, again.counted_microusd) == (JobStatus.LOST, job.counted_microusd)


async def test_a_restart_forgets_not_that_a_request_was_completed(rig: Rig, service: PaidService) -> None:
    for path, reply in {HISTORY: NOT_FOUND, RESULT: answer(503, {"error": "busy"}), STATUS: COMPLETED}.items():
        service.on("GET", path, reply)
    runner = rig.open()
    await runner.start()
    job_id = await click(runner)
    await until(lambda: service.count("GET", "/status") > 2)
    await kill(runner)
    service.on("GET", STATUS, FAILED)
    async with rig.running() as runner:
        job = await ended(runner, job_id)
    assert (job.status, job.counted_microusd) == (JobStatus.LOST, job.reserved_microusd)


@pytest.mark.parametrize("cost", [None, 0])
async def test_what_the_history_calls_completed_is_charged_whatever_the_status_says(
    rig: Rig, service: PaidService, cost: float | None
) -> None:
    def act(wire: Any, received: Any) -> None:
        row = {"request_id": received.path.rpartition("/")[2], "model_status": "COMPLETED", "credits_deduction": cost}
        answer(200, row).act(wire, received)

    service.on("GET", HISTORY, Reply(act))
    service.on("GET", STATUS, FAILED)
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
    assert (job.status, job.counted_microusd) == (JobStatus.LOST, job.reserved_microusd)
