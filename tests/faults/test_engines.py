"""Jobs on a self-hosted engine: restarts, lost responses, and the cost of its time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hunyuan_ui.errors import AccessError
from hunyuan_ui.job import MICRO, JobStatus, Phase, Visitor, new_id
from hunyuan_ui.jobs import JobRunner, engine_jobs
from hunyuan_ui.jobs.live_job import LiveJob
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.words import words
from tests import stored_jobs
from tests.engines import KINDS, TOOK_S, VIDEOS
from tests.faults import oracle
from tests.faults.one_engine import engine as engine
from tests.faults.one_engine import running, talks
from tests.faults.rig import OWNER, SHORT_GETS, USD_PER_HOUR, Rig, click, ended, kill, next_job_works, until
from tests.faults.service import PaidService, video_of
from tests.raw_service import Received, Reply, Wire, answer, html, huge, redirect, slow_body
from tests.seen import seen

pytestmark = [pytest.mark.anyio, pytest.mark.faults]


def unanswered(service: PaidService, count: int = 1) -> None:
    """Accept the next jobs and lose the responses."""

    def act(wire: Wire, received: Received) -> None:
        service.engine.behave(received)
        wire.reset()

    service.on("POST", VIDEOS, [Reply(act)] * count)


async def killed_while(rig: Rig, status: JobStatus) -> str:
    """Click, kill the page as soon as its job has this status, and return the job's id."""
    runner = rig.open()
    await runner.start()
    job_id = await click(runner)
    await until(lambda: seen(runner, job_id, OWNER).job.status is status)
    await kill(runner)
    return job_id


@pytest.mark.parametrize("kind", KINDS)
async def test_a_lost_answer_is_made_good_where_the_list_carries_prompts(
    rig: Rig, engine: PaidService, kind: str
) -> None:
    engine.engine.kind = kind
    unanswered(engine)
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
        assert job.status is (JobStatus.DONE if KINDS[kind].has_prompts else JobStatus.UNKNOWN)
        assert engine.posts()[job.request.prompt] == 1
    assert engine.engine.deleted == []
    oracle.check(rig.folder, engine)


async def test_a_list_that_cannot_be_read_at_first_is_read_again(rig: Rig, engine: PaidService) -> None:
    engine.engine.kind = "vllm"
    unanswered(engine)
    engine.on("GET", VIDEOS, [answer(500), answer(500)])
    async with rig.running() as runner:
        assert (await ended(runner, await click(runner))).status is JobStatus.DONE


async def test_a_lost_answer_stays_in_doubt_where_somebody_else_sent_the_same(rig: Rig, engine: PaidService) -> None:
    engine.engine.kind = "vllm"

    def act(wire: Wire, received: Received) -> None:
        for _ in range(2):
            engine.engine.behave(received)
        wire.reset()

    engine.on("POST", VIDEOS, [Reply(act)])
    async with rig.running() as runner:
        assert (await ended(runner, await click(runner))).status is JobStatus.UNKNOWN


@pytest.mark.parametrize(
    "listed",
    [
        huge(),
        slow_body(),
        html(200),
        answer(404, {"detail": "x"}),
        answer(200, {"data": "x"}),
        redirect("http://x.test/"),
    ],
    ids=["huge", "slow", "html", "missing", "no list", "redirect"],
)
async def test_a_list_that_cannot_be_read_leaves_a_lost_answer_in_doubt(
    rig: Rig, engine: PaidService, listed: Reply
) -> None:
    rig.timeouts = SHORT_GETS
    engine.engine.kind = "vllm"
    unanswered(engine)
    engine.on("GET", VIDEOS, listed)
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
        assert (job.status, job.problem.code if job.problem else "") == (JobStatus.UNKNOWN, "no_answer")
        assert engine.posts()[job.request.prompt] == 1
        assert job.counted_microusd == job.reserved_microusd
    oracle.check(rig.folder, engine)


async def test_two_lost_answers_to_the_same_prompt_stay_unknown(rig: Rig, engine: PaidService) -> None:
    engine.engine.kind = "vllm"
    unanswered(engine, 2)
    rig.settings = {"concurrency": 2}
    engine.on("GET", VIDEOS, [answer(500), answer(500), answer(500)])
    async with rig.running() as runner:
        ids = [new_id(), new_id()]
        for seed, job_id in enumerate(ids):
            request = VideoRequest.parse({"prompt": "the same", "seed": seed})
            await runner.submit(job_id, request, OWNER)
        found = [(await ended(runner, job_id)).status for job_id in ids]
    assert JobStatus.DONE not in found or found.count(JobStatus.DONE) + found.count(JobStatus.UNKNOWN) == 2
    assert found.count(JobStatus.UNKNOWN) >= 1


async def test_a_running_job_is_asked_about_after_a_restart_of_the_page(rig: Rig, engine: PaidService) -> None:
    engine.on("GET", f"{VIDEOS}/*", [answer(503)] * 3)
    job_id = await killed_while(rig, JobStatus.RUNNING)
    async with rig.running() as runner:
        job = await ended(runner, job_id)
        assert (job.status, job.dialect) == (JobStatus.DONE, "openai")
    assert engine.posts()[job.request.prompt] == 1
    oracle.check(rig.folder, engine)


async def test_a_restarted_engine_loses_a_job_only_after_several_answers(rig: Rig, engine: PaidService) -> None:
    engine.on("GET", f"{VIDEOS}/*", [answer(503)] * 3)
    async with rig.running() as runner:
        job_id = await click(runner)
        await until(lambda: seen(runner, job_id, OWNER).job.status is JobStatus.RUNNING)
        engine.engine.restart()
        asked = len(engine.requests)
        job = await ended(runner, job_id)
        assert (job.status, job.problem.code if job.problem else "") == (JobStatus.LOST, "engine_forgot")
        assert len(engine.requests) - asked >= 4
        assert job.counted_microusd > 0  # its time was spent
        await next_job_works(runner)
    oracle.check(rig.folder, engine)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (answer(404, {"detail": "no such file"}), "video_lost"),
        (answer(200, b"not a video", content_type="video/mp4"), None),
        (redirect("http://10.1.2.3/video.mp4"), "link_refused"),
    ],
)
async def test_a_video_that_the_engine_does_not_give_is_no_forgotten_job(
    rig: Rig, engine: PaidService, content: Reply, code: str | None
) -> None:
    engine.on("GET", f"{VIDEOS}/*/content", content)
    async with rig.running() as runner:
        job_id = await click(runner)
        if code is None:
            await until(lambda: engine.count("GET", "/content") > 6)
            assert seen(runner, job_id, OWNER).job.status is JobStatus.DOWNLOADING
            return
        job = await ended(runner, job_id)
        assert job.problem is not None
        assert (job.status, job.problem.code) == (JobStatus.LOST, code)
        assert words().about(job).sentence(job.problem).count("engine") == 1


async def test_an_engine_that_forgot_a_finished_job_says_so(rig: Rig, engine: PaidService) -> None:
    engine.on("GET", f"{VIDEOS}/*/content", answer(404, {"detail": "no such file"}))
    async with rig.running() as runner:
        job_id = await click(runner)
        await until(lambda: engine.count("GET", "/content") > 0)
        engine.engine.restart()
        job = await ended(runner, job_id)
        assert (job.status, job.problem.code if job.problem else "") == (JobStatus.LOST, "engine_forgot")


@pytest.mark.parametrize("how", ["failed", "forgotten", "stopped", "never seen"])
async def test_hours_count_where_the_engine_worked_whatever_came_of_it(rig: Rig, engine: PaidService, how: str) -> None:
    clock = [1_700_000_000.0]
    rig.now = lambda: clock[0]
    engine.engine.kind = "vllm" if how == "stopped" else "fastvideo"
    engine.engine.is_busy = how != "never seen"
    engine.engine.fails = {"message": "CUDA out of memory"} if how in ("failed", "never seen") else None
    if how == "never seen":
        engine.on("GET", f"{VIDEOS}/*", [answer(404, {"detail": "gone"})] * 20)
    async with rig.running() as runner:
        job_id = await click(runner)
        await until(lambda: engine.asked_of_jobs() > 1)
        clock[0] += 600.0
        asked = engine.asked_of_jobs()
        await until(lambda: engine.asked_of_jobs() > asked + 1 or not seen(runner, job_id, OWNER).job.is_active)
        if how == "stopped":
            await runner.cancel(job_id, OWNER)
        elif how == "forgotten":
            engine.engine.restart()
        engine.engine.is_busy = how == "stopped"
        job = await ended(runner, job_id)
        assert job.status is (JobStatus.FAILED if how == "failed" else JobStatus.LOST)
        assert job.inference_s == (None if how == "never seen" else pytest.approx(600.0, abs=5.0))
        state = await runner.owner.engine(OWNER)
        assert state is not None
        assert state.hours == pytest.approx(0.0 if how == "never seen" else 600 / 3600, abs=0.01)
        by_time = round(600 / 3600 * USD_PER_HOUR * MICRO)
        counted = {"failed": 0, "never seen": job.reserved_microusd}.get(how, pytest.approx(by_time, rel=0.02))
        assert job.counted_microusd == counted


async def test_a_failed_job_that_tells_its_times_is_believed(rig: Rig, engine: PaidService) -> None:
    engine.engine.fails = {"message": "out of memory"}
    engine.engine.tells_failed_times = True
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
        assert (job.status, job.inference_s, job.counted_microusd) == (JobStatus.FAILED, TOOK_S, 0)


async def test_a_job_waits_for_its_engine_and_is_never_asked_about_elsewhere(rig: Rig, engine: PaidService) -> None:
    engine.on("GET", f"{VIDEOS}/*", [answer(503)] * 3)
    job_id = await killed_while(rig, JobStatus.RUNNING)
    asked = len(engine.requests)
    async with replace(rig, dialect="v2").running() as runner:
        await until(lambda: seen(runner, job_id, OWNER).note is not None)
        view = seen(runner, job_id, OWNER)
        assert (view.job.status, view.note.code if view.note else "") == (JobStatus.RUNNING, "engine_not_set")
    assert not [one.path for one in engine.requests[asked:] if job_id in one.path or "/requests/" in one.path]
    async with rig.running() as runner:
        assert (await ended(runner, job_id)).status is JobStatus.DONE


async def test_a_file_that_only_its_engine_has_waits_for_the_engine(rig: Rig, engine: PaidService) -> None:
    engine.on("GET", f"{VIDEOS}/*/content", [answer(503)] * 1000)
    job_id = await killed_while(rig, JobStatus.DOWNLOADING)
    async with replace(rig, dialect="v2").running() as runner:
        await until(lambda: seen(runner, job_id, OWNER).note is not None)
        view = seen(runner, job_id, OWNER)
        assert (view.job.status, view.note.code if view.note else "") == (JobStatus.DOWNLOADING, "engine_not_set")


@pytest.mark.parametrize(("usd_per_hour", "cost"), [(None, 0), (3.60, TOOK_S * 1000)])
async def test_a_video_costs_its_seconds_and_nothing_on_a_machine_of_ones_own(
    rig: Rig, engine: PaidService, usd_per_hour: float | None, cost: int
) -> None:
    rig.settings = {"engine_usd_per_hour": usd_per_hour}
    async with rig.running() as runner:
        first = _price(runner)
        job = await ended(runner, await click(runner))
        assert (job.status, job.cost_microusd, job.inference_s) == (JobStatus.DONE, cost, TOOK_S)
        assert "named_usd" not in job.notes
        assert (await runner.spending()).spent_today_usd == pytest.approx(cost / MICRO)
        engine.engine.took_s = 20
        for _ in range(3):
            await next_job_works(runner)
        assert (_price(runner) < first) == bool(usd_per_hour)  # calibrated
        assert _price(runner) == 0 or usd_per_hour


def _price(runner: JobRunner) -> float:
    return runner.estimate(VideoRequest(prompt="x"), "owner").cost_usd


async def test_only_real_progress_is_shown(rig: Rig, engine: PaidService, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float | None] = []
    show = LiveJob.show

    def note(live: LiveJob, phase: Phase, **more: Any) -> None:
        show(live, phase, **more)
        told.append(live.progress)

    monkeypatch.setattr(LiveJob, "show", note)
    async with rig.running() as runner:
        await next_job_works(runner)
    assert {60.0, 90.0} <= set(told) <= {None, 60.0, 90.0}


@pytest.mark.parametrize("usd_per_hour", [None, 3.60])
@pytest.mark.parametrize("refusals", [0, 2])
async def test_a_run_can_be_stopped_where_the_engine_does_that_and_its_time_counts(
    rig: Rig, engine: PaidService, usd_per_hour: float | None, refusals: int
) -> None:
    rig.settings = {"engine_usd_per_hour": usd_per_hour}
    engine.engine.kind, engine.engine.is_busy = "vllm", True
    engine.on("DELETE", f"{VIDEOS}/*", [answer(409, {"detail": "being stopped"})] * refusals)
    async with rig.running() as runner:
        job_id = await running(runner)
        await until(lambda: seen(runner, job_id, OWNER).can_stop)
        await runner.cancel(job_id, OWNER)
        job = await ended(runner, job_id)
        assert (job.status, job.problem.code if job.problem else "") == (JobStatus.LOST, "engine_stopped")
        assert len(engine.engine.deleted) == 1
        assert job.cost_microusd is not None
        assert (job.cost_microusd > 0) == bool(usd_per_hour)
        assert job.cost_microusd < job.reserved_microusd or not usd_per_hour
        view = seen(runner, job_id, OWNER)
        assert (view.can_stop, view.can_look_again) == (False, False)
        engine.engine.is_busy = False
        await next_job_works(runner)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not KINDS[kind].stops])
async def test_a_run_goes_on_where_a_delete_would_only_lose_it(rig: Rig, engine: PaidService, kind: str) -> None:
    engine.engine.kind, engine.engine.is_busy = kind, True
    async with rig.running() as runner:
        job_id = await running(runner)
        assert not seen(runner, job_id, OWNER).can_stop
        with pytest.raises(AccessError):
            await runner.cancel(job_id, OWNER)
        engine.engine.is_busy = False
        assert (await ended(runner, job_id)).status is JobStatus.DONE
    assert engine.engine.deleted == []


async def test_a_video_that_is_finished_when_its_run_should_stop_is_kept(rig: Rig, engine: PaidService) -> None:
    engine.engine.kind, engine.engine.is_busy = "vllm", True
    engine.on("DELETE", f"{VIDEOS}/*", [answer(500, {"detail": "x"})])
    async with rig.running() as runner:
        job_id = await running(runner)
        await runner.cancel(job_id, OWNER)
        await until(lambda: engine.count("DELETE", "") > 0)
        engine.engine.is_busy = False
        assert (await ended(runner, job_id)).status in (JobStatus.DONE, JobStatus.LOST)
    assert (len(engine.engine.deleted) == 1) != (len(list((rig.folder / "videos").glob("*.mp4"))) == 1)


async def test_only_who_made_a_job_may_stop_its_run(rig: Rig, engine: PaidService) -> None:
    engine.engine.kind, engine.engine.is_busy = "vllm", True
    async with rig.running() as runner:
        job_id = await running(runner)
        with pytest.raises(AccessError):
            await runner.cancel(job_id, Visitor("b" * 32))
        engine.engine.is_busy = False
        assert (await ended(runner, job_id)).status is JobStatus.DONE
    assert engine.engine.deleted == []


@pytest.mark.parametrize(
    "taken",
    [
        {"data": {"id": "vid-12345", "status": "queued"}},
        {"video": {"id": "vid-12345", "state": "queued"}},
        {"task_id": "vid-12345", "task_status": "pending"},
        [{"job_id": "vid-12345", "status": "queued"}],
    ],
)
@pytest.mark.parametrize("names_id", [True, False])
async def test_a_job_is_read_in_other_envelopes_and_under_other_names(
    rig: Rig, engine: PaidService, taken: Any, *, names_id: bool
) -> None:
    talks(engine, taken, {"status": "completed"}, ("content", answer(200, video_of("any"))))
    if names_id:
        told = {"data": {"video_id": "vid-12345", "status": "completed"}}
        engine.on("GET", f"{VIDEOS}/vid-12345", answer(200, told))
    async with rig.running() as runner:
        assert (await ended(runner, await click(runner))).status is JobStatus.DONE


@pytest.mark.parametrize("where", ["output.url", "relative", "video_url", "content"])
async def test_a_video_that_is_not_at_its_content_is_fetched_where_the_engine_says(
    rig: Rig, engine: PaidService, where: str
) -> None:
    link = f"{engine.origin}/made/1.mp4"
    named = {
        "output.url": {"output": {"url": link}},
        "relative": {"url": "/made/1.mp4"},
        "video_url": {"video_url": link},
    }
    job = {"id": "vid-12345", "status": "completed", **named.get(where, {})}
    talks(engine, {"id": "vid-12345", "status": "queued"}, job, ("/made/1.mp4", answer(200, video_of("any"))))
    if where == "content":
        engine.on("GET", f"{VIDEOS}/vid-12345/content", answer(200, {"url": link}))
    async with rig.running() as runner:
        assert (await ended(runner, await click(runner))).status is JobStatus.DONE


async def test_an_expired_job_ends(rig: Rig, engine: PaidService) -> None:
    talks(engine, {"id": "vid-12345", "status": "queued"}, {"id": "vid-12345", "status": "expired"})
    async with rig.running() as runner:
        assert (await ended(runner, await click(runner))).status is JobStatus.LOST


def test_a_run_can_be_stopped_only_until_its_video_is_made() -> None:
    running = stored_jobs.job(status=JobStatus.RUNNING, dialect="openai", request_id="video_gen_" + "0f" * 16)
    assert engine_jobs.can_be_stopped(running)
    assert not engine_jobs.can_be_stopped(replace(running, status=JobStatus.DOWNLOADING))
