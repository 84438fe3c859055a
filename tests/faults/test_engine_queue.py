"""The queue of a self-hosted engine that warms up, refuses its key, or is away."""

from __future__ import annotations

import time

import pytest

from hunyuan_ui.job import JobStatus, Phase
from hunyuan_ui.jobs import engine_jobs, wait_times
from tests.engines import HEALTH, VIDEOS
from tests.faults import oracle
from tests.faults.one_engine import engine as engine
from tests.faults.rig import KEY, OWNER, Rig, click, ended, next_job_works, until
from tests.faults.service import PaidService
from tests.raw_service import Received, answer
from tests.seen import seen

pytestmark = [pytest.mark.anyio, pytest.mark.faults]


async def test_three_minutes_of_warming_up_send_nothing_and_lose_nothing(rig: Rig, engine: PaidService) -> None:
    clock = [0.0]

    def tick(received: Received) -> None:
        if received.path == HEALTH:
            clock[0] += at_engine_s
            engine.engine.is_warm = clock[0] >= 180.0

    at_engine_s = 5.0  # the polling interval outside of tests
    engine.engine.is_warm = False
    engine.on_request = tick
    async with rig.running() as runner:
        first = await click(runner)
        await until(lambda: engine.count("GET", HEALTH) > 2)
        await until(lambda: seen(runner, first, OWNER).phase is Phase.PAUSED)  # not while the engine is being checked
        await until(lambda: (note := seen(runner, first, OWNER).note) is not None and note.code == engine_jobs.WARMING)
        assert seen(runner, first, OWNER).job.status is JobStatus.QUEUED
        assert (await ended(runner, first)).status is JobStatus.DONE
        assert clock[0] >= 180.0
        assert runner.problem is None
    oracle.check(rig.folder, engine)


async def test_a_job_that_waits_for_a_warm_engine_can_be_cancelled(rig: Rig, engine: PaidService) -> None:
    engine.engine.is_warm = False
    async with rig.running() as runner:
        job_id = await click(runner)
        await until(lambda: engine.count("GET", HEALTH) > 1)
        assert (await runner.cancel(job_id, OWNER)).status is JobStatus.CANCELLED
    assert engine.posts() == {}


async def test_a_key_that_the_engine_refuses_stops_no_queue(rig: Rig, engine: PaidService) -> None:
    engine.on("POST", VIDEOS, [answer(401, {"error": "Unauthorized"})])
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
        assert (job.status, job.problem.code if job.problem else "") == (JobStatus.FAILED, "engine_key_refused")
        await next_job_works(runner)


async def test_a_wrong_key_of_the_engine_fails_one_job_and_the_others_wait_until_it_is_right(
    rig: Rig, engine: PaidService
) -> None:
    rig.settings = {"concurrency": 1}
    engine.engine.key = "another"
    async with rig.running() as runner:
        first, second, third = [await click(runner) for _ in range(3)]
        assert (await ended(runner, first)).status is JobStatus.FAILED
        await until(lambda: _listed(engine) >= 3)
        assert {seen(runner, job_id, OWNER).phase for job_id in (second, third)} == {Phase.PAUSED}
        assert [one.method for one in engine.requests].count("POST") == 1
        engine.engine.key = KEY
        for job_id in (second, third):
            assert (await ended(runner, job_id)).status is JobStatus.DONE


async def test_an_engine_that_comes_back_cold_is_waited_for_until_it_is_warm(
    rig: Rig, engine: PaidService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait_times, "AWAY_CHECK_S", 0.2)
    async with rig.running() as runner:
        engine.refuse()
        first, second = [await click(runner) for _ in range(2)]
        assert (await ended(runner, first)).status is JobStatus.FAILED
        engine.engine.is_warm = False
        engine.listen()
        await until(lambda: (note := seen(runner, second, OWNER).note) is not None and note.code == wait_times.WARMING)
        engine.engine.is_warm = True
        began = time.monotonic()
        assert (await ended(runner, second)).status is JobStatus.DONE
        assert time.monotonic() - began < wait_times.ATTEMPT_S / 2


@pytest.mark.parametrize("concurrency", [1, 2])
async def test_a_key_that_only_the_engines_post_refuses_fails_one_job_and_the_others_wait(
    rig: Rig, engine: PaidService, concurrency: int
) -> None:
    rig.settings = {"concurrency": concurrency}
    engine.on("POST", VIDEOS, [answer(401, {"error": "Unauthorized"})] * 6)
    async with rig.running() as runner:
        ids = [await click(runner) for _ in range(4)]
        all_ended = [await ended(runner, job_id) for job_id in ids]
        assert sorted(job.status.value for job in all_ended) == ["done", "done", "done", "failed"]
    assert [one.method for one in engine.requests].count("POST") == 9


async def test_what_an_engine_forbids_of_one_prompt_fails_each_job(rig: Rig, engine: PaidService) -> None:
    rig.settings = {"concurrency": 1}
    engine.on("POST", VIDEOS, [answer(403, {"error": "This content is not allowed"})] * 2)
    async with rig.running() as runner:
        all_ended = [await ended(runner, job_id) for job_id in [await click(runner) for _ in range(3)]]
        assert [job.status for job in all_ended] == [JobStatus.FAILED, JobStatus.FAILED, JobStatus.DONE]


def _listed(service: PaidService) -> int:
    return sum(one.path.startswith(f"{VIDEOS}?") for one in service.requests)


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_an_engine_that_is_away_fails_one_job_and_gets_the_others_once_it_is_back(
    rig: Rig, engine: PaidService, concurrency: int
) -> None:
    rig.settings = {"concurrency": concurrency}
    async with rig.running() as runner:
        engine.refuse()
        ids = [await click(runner) for _ in range(4)]
        await until(lambda: any(not seen(runner, job_id, OWNER).job.is_active for job_id in ids))
        (failed,) = [job_id for job_id in ids if not seen(runner, job_id, OWNER).job.is_active]
        others = [job_id for job_id in ids if job_id != failed]
        await until(lambda: all(seen(runner, job_id, OWNER).phase is Phase.PAUSED for job_id in others))
        assert {seen(runner, job_id, OWNER).job.status for job_id in others} <= {
            JobStatus.QUEUED,
            JobStatus.SUBMITTING,
        }
        engine.listen()
        for job_id in others:
            assert (await ended(runner, job_id)).status is JobStatus.DONE
