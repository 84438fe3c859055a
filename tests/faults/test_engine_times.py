"""What the time of an engine costs: told, untold, impossible, and while nobody asked."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from hunyuan_ui.endpoint.contract import Metrics
from hunyuan_ui.job import MICRO, JobStatus
from hunyuan_ui.jobs import engine_jobs
from tests import stored_jobs
from tests.engines import VIDEOS
from tests.faults.one_engine import engine as engine
from tests.faults.one_engine import running, talks
from tests.faults.rig import USD_PER_HOUR, Rig, click, ended, until
from tests.faults.service import PaidService, video_of
from tests.raw_service import Received, Reply, Wire, answer

pytestmark = [pytest.mark.anyio, pytest.mark.faults]


@pytest.mark.parametrize("began", [0, 1, 1_600_000_000])
@pytest.mark.parametrize("word", ["completed", "failed"])
async def test_times_that_cannot_be_meant_cost_nothing_more(
    rig: Rig, engine: PaidService, began: int, word: str
) -> None:
    job = {"id": "vid-12345", "status": word, "created_at": began, "completed_at": 1_764_300_000}
    talks(engine, {"id": "vid-12345", "status": "queued"}, job, ("content", answer(200, video_of("any"))))
    async with rig.running() as runner:
        ending = await ended(runner, await click(runner))
    assert ending.counted_microusd < 5 * MICRO
    assert (ending.inference_s or 0.0) < 3600


@pytest.mark.parametrize(("worked_s", "away_s", "seconds"), [(5, 36_000, 211.3), (600, 36_000, 600), (5, 30, 35)])
async def test_hours_in_which_the_engine_was_not_asked_cost_nothing_where_it_tells_no_times(
    rig: Rig, engine: PaidService, worked_s: float, away_s: float, seconds: float
) -> None:
    clock = [1_700_000_000.0]
    rig.now = lambda: clock[0]
    talks(engine, {"id": "vid-12345", "status": "queued"}, {"id": "vid-12345", "status": "in_progress"})
    engine.on("GET", f"{VIDEOS}/vid-12345/content", answer(200, video_of("any")))
    async with rig.running() as runner:
        job_id = await running(runner)
        clock[0] += worked_s
        asked = engine.asked_of_jobs()
        await until(lambda: engine.asked_of_jobs() > asked + 1)
        completed = answer(200, {"id": "vid-12345", "status": "completed"})

        def wakes(wire: Wire, received: Received) -> None:
            if not has_slept.is_set():  # what was asked before is noted by now
                clock[0] += away_s  # as of a machine that slept
                has_slept.set()
            completed.act(wire, received)

        has_slept = threading.Event()
        engine.on("GET", f"{VIDEOS}/vid-12345", Reply(wakes))
        job = await ended(runner, job_id)
    assert job.status is JobStatus.DONE
    assert job.inference_s == pytest.approx(seconds, abs=1.0)
    assert job.cost_microusd == pytest.approx(seconds / 3600 * USD_PER_HOUR * MICRO, rel=0.02)


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(
    ("passed_s", "predicted_s", "believed_s"), [(7200.0, 200.0, 7000.0), (0.0, 701.0, 7000.0), (0.0, 200.0, 60.0)]
)
async def test_seconds_that_an_engine_tells_count_if_they_are_expected_or_have_passed(
    rig: Rig, passed_s: float, predicted_s: float, believed_s: float
) -> None:
    async with rig.running() as runner:
        services = runner._services
        sent_at = services.ledger.now() - passed_s
        sent = stored_jobs.job(status=JobStatus.RUNNING, dialect="openai", sent_at=sent_at, predicted_s=predicted_s)
        priced = engine_jobs.priced_by_time(services, sent, Metrics(inference_time=7000.0), 60.0)
        assert (priced.inference_time, priced.cost) == (believed_s, pytest.approx(believed_s * USD_PER_HOUR / 3600))
        untold = engine_jobs.priced_by_time(services, sent, Metrics(), None)
        assert (untold.inference_time, untold.cost) == (None, sent.estimate_microusd / MICRO)


@pytest.mark.usefixtures("engine")
async def test_a_video_that_was_priced_is_not_priced_by_the_time_until_it_was_looked_for_again(rig: Rig) -> None:
    async with rig.running() as runner:
        services = runner._services
        again = stored_jobs.job(status=JobStatus.RUNNING, dialect="openai", cost_microusd=20_000, inference_s=50.0)
        assert engine_jobs.priced_by_time(services, again, Metrics(), 7000.0).cost is None
        assert engine_jobs.engine_usage(services, replace(again, status=JobStatus.DOWNLOADING), 7000.0) == {}
