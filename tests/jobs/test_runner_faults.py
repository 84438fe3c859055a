"""Faults of a service during a job: each ends as its kind requires, and is counted once."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import httpx
import pytest

from hunyuan_ui.data_folder import LOCK_NAME, DataFolder
from hunyuan_ui.errors import AccessError, DownloadError, StorageError, code_when_queued, reason
from hunyuan_ui.job import DAY_S, MICRO, Job, JobProblem, JobStatus, Phase, new_id
from hunyuan_ui.jobs.job_run import JobRun
from hunyuan_ui.jobs.live_job import JobCommits, LiveJob
from hunyuan_ui.ledger import TakenOverError
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.settings import Settings
from hunyuan_ui.words import words
from tests.fake_service import PRICE_USD, FakeService, answer, failure, lost_connection
from tests.jobs.one_page import VISITOR, until
from tests.jobs.one_page import service as service
from tests.jobs.one_runner import impatient as impatient
from tests.jobs.one_runner import made, running
from tests.jobs.one_runner import settings as settings
from tests.seen import seen
from tests.videos import mp4_bytes

pytestmark = pytest.mark.anyio


async def test_v1_bytes_that_are_cut_short_are_looked_up_in_the_history(
    settings: Settings, service: FakeService
) -> None:
    headers = {"content-type": "video/mp4", "x-request-id": "v1-request"}
    service.script("generate", answer(200, content=mp4_bytes()[:-30], headers=headers))
    service.script("history", answer(200, {"request_id": "v1-request", "generation_url": "https://files.test/h.mp4"}))
    async with running(replace(settings, dialect="v1"), service) as runner:
        assert (await made(runner)).status is JobStatus.DONE
        assert service.fetched == ["https://files.test/h.mp4"]
        assert len(service.bill) == 1


async def test_v1_bytes_that_are_cut_short_without_an_id_are_named_lost(
    settings: Settings, service: FakeService
) -> None:
    service.script("generate", answer(200, content=mp4_bytes()[:-30], headers={"content-type": "video/mp4"}))
    async with running(replace(settings, dialect="v1"), service) as runner:
        job = await made(runner)
        assert job.status is JobStatus.LOST
        assert job.counted_microusd == job.reserved_microusd > 0


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ConnectTimeout])
async def test_a_connection_that_fails_is_tried_again_and_costs_nothing(
    settings: Settings, service: FakeService, error: type[httpx.TransportError]
) -> None:
    service.script("submit", failure(error), failure(error))
    async with running(settings, service) as runner:
        assert (await made(runner)).status is JobStatus.DONE
        assert len(service.bill) == 1


@pytest.mark.parametrize("where", ["status", "result"])
async def test_a_cost_is_counted_whichever_of_two_answers_names_it(
    settings: Settings, service: FakeService, where: str
) -> None:
    told: dict[str, Any] = {"metrics": {"cost": 0.77}}
    bare: dict[str, Any] = {"metrics": {}}
    service.script("status", answer(200, {"status": "COMPLETED", **(told if where == "status" else bare)}))
    result = {"status": "COMPLETED", "output": "https://files.test/x.mp4"}
    service.script("result", answer(200, {**result, **(told if where == "result" else bare)}))
    async with running(settings, service) as runner:
        job = await made(runner)
        assert (job.status, job.cost_microusd) == (JobStatus.DONE, 770_000)
        assert (await runner.spending()).spent_total_usd == 0.77


async def test_a_service_that_stays_away_fails_the_job_for_free(settings: Settings, service: FakeService) -> None:
    service.script("submit", *[failure(httpx.ConnectError)] * 3)
    async with running(settings, service) as runner:
        job = await made(runner)
        assert job.status is JobStatus.FAILED
        assert job.problem is not None
        assert "Nothing was charged" in words().sentence(job.problem)
        assert (await runner.spending()).spent_total_usd == 0
        assert service.bill == []


@pytest.mark.parametrize("error", [httpx.ReadTimeout, httpx.RemoteProtocolError, httpx.WriteError, httpx.ReadError])
async def test_a_post_without_an_answer_is_unknown_counted_and_never_repeated(
    settings: Settings, service: FakeService, error: type[httpx.TransportError]
) -> None:
    service.script("submit", failure(error))
    async with running(settings, service) as runner:
        job = await made(runner)
        assert job.status is JobStatus.UNKNOWN
        assert (await runner.spending()).spent_total_usd == job.reserved_microusd / MICRO > 0
        assert service.posts == 1


@pytest.mark.parametrize(("was_charged", "status"), [(True, JobStatus.LOST), (False, JobStatus.FAILED)])
async def test_the_owner_settles_an_unknown_job(
    settings: Settings, service: FakeService, was_charged: bool, status: JobStatus
) -> None:
    service.script("submit", failure(httpx.ReadTimeout))
    owner = replace(VISITOR, is_owner=True)
    async with running(settings, service) as runner:
        job = await made(runner)
        with pytest.raises(AccessError):
            await runner.owner.settle(job.id, VISITOR, was_charged=was_charged)
        assert [known.id for known in (await runner.owner.unknown(owner))] == [job.id]
        assert await runner.owner.credits(owner) == 12.5
        settled = await runner.owner.settle(job.id, owner, was_charged=was_charged)
        assert settled.status is status
        assert settled.problem is not None
        assert "The owner found" in words().sentence(settled.problem)
        assert ((await runner.spending()).spent_total_usd > 0) is was_charged
        with pytest.raises(AccessError):
            await runner.owner.settle(job.id, owner, was_charged=not was_charged)


async def test_a_job_that_fails_there_is_released_with_the_services_reason(
    settings: Settings, service: FakeService
) -> None:
    service.script("status", *[answer(422, {"status": "FAILED", "error": "Prompt is Mandatory."})] * 3)
    async with running(settings, service) as runner:
        job = await made(runner)
        assert job.status is JobStatus.FAILED
        assert job.problem is not None
        assert "Prompt is Mandatory. Nothing" in words().sentence(job.problem)
        assert (await runner.spending()).spent_total_usd == 0


async def test_polls_that_fail_are_repeated_until_the_video_is_there(settings: Settings, service: FakeService) -> None:
    service.script(
        "status",
        failure(httpx.ConnectError),
        failure(httpx.ReadTimeout),
        answer(502, content=b"<html>bad gateway</html>"),
        answer(200, content=b"{"),
        answer(200, {"status": "SOMETHING_NEW"}),
        answer(401, {"error": "Unauthorized"}),
        answer(404, {"error": "Request not found"}),
    )
    service.script("result", answer(200, {"status": "COMPLETED", "output": None}), answer(500, {"error": "x"}))
    async with running(settings, service) as runner:
        assert (await made(runner)).status is JobStatus.DONE
        assert service.posts == 1


async def test_an_expired_record_is_fetched_by_the_history(settings: Settings, service: FakeService) -> None:
    service.script("status", answer(404, {"error": "Request request-0001 not found"}))
    row = {"request_id": "request-0001", "generation_url": "https://files.test/h.mp4", "credits_deduction": 1.1}
    service.script("history", answer(200, {"data": row}))
    async with running(settings, service) as runner:
        job = await made(runner)
        assert (job.status, job.cost_microusd) == (JobStatus.DONE, 1_100_000)
        assert service.fetched == ["https://files.test/h.mp4"]


async def test_a_record_that_is_gone_everywhere_is_lost_by_name(settings: Settings, service: FakeService) -> None:
    service.script("status", *[answer(404, {"error": "Request not found"})] * 1000)
    async with running(settings, service) as runner:
        job = await made(runner)
    assert job.status is JobStatus.LOST
    assert job.problem is not None
    assert "request-0001" in words().sentence(job.problem)
    assert job.counted_microusd > 0


@pytest.mark.parametrize(
    ("status", "row", "end"),
    [(422, 200, JobStatus.FAILED), (404, 200, JobStatus.LOST), (404, 403, JobStatus.LOST), (404, 502, JobStatus.LOST)],
)
async def test_a_history_that_never_tells_the_end_holds_no_job_for_ever(
    settings: Settings, service: FakeService, status: int, row: int, end: JobStatus
) -> None:
    days = 0.0
    service.script("status", *[answer(status, {"status": "FAILED", "error": "no"})] * 10_000)
    service.script("history", *[answer(row, {"request_id": "request-0001", "model_status": "PENDING"})] * 10_000)
    async with running(settings, service, now=lambda: time.time() + days * DAY_S) as runner:
        await runner.submit(job_id := new_id(), VideoRequest(prompt="a"), VISITOR)
        await until(lambda: "history" in service.asked)
        days += 6.9
        await until(lambda: service.asked.count("history") > 20)
        assert seen(runner, job_id, VISITOR).job.status is JobStatus.RUNNING
        days += 0.2
        assert (await runner.wait(job_id, VISITOR, 10)).status is end


async def test_a_download_is_repeated_until_it_is_whole(settings: Settings, service: FakeService) -> None:
    service.downloads = [lost_connection(), StorageError("disk_full", free="0 MB"), OSError("no space"), b"not a video"]
    async with running(settings, service) as runner:
        assert (await made(runner)).status is JobStatus.DONE
        assert (service.posts, len(service.fetched)) == (1, 5)


async def test_an_expired_address_is_renewed_until_it_is_surely_gone(settings: Settings, service: FakeService) -> None:
    gone = DownloadError("download_failed", expired=True, reason="404")
    service.downloads = [gone]
    async with running(settings, service) as runner:
        assert (await made(runner)).status is JobStatus.DONE
        assert service.asked.count("result") == 2
        service.downloads = [gone] * 3
        job = await made(runner)
        assert job.status is JobStatus.LOST
        assert job.cost_microusd == PRICE_USD * MICRO


@pytest.mark.parametrize(
    "result",
    [answer(200, {"status": "COMPLETED"}), answer(500, {"error": "x"}), failure(httpx.ReadTimeout)],
    ids=["no address", "500", "no answer"],
)
async def test_an_expired_address_that_the_result_does_not_renew_is_renewed_by_the_history(
    settings: Settings, service: FakeService, result: Any
) -> None:
    service.downloads = [DownloadError("download_failed", expired=True, reason="404")] * 2
    service.script("result", service._result, *[result] * 10_000)
    row = {"request_id": "request-0001", "generation_url": "https://files.test/h.mp4"}
    service.script("history", answer(200, {"data": []}), answer(200, {"data": row}))
    async with running(settings, service) as runner:
        assert (await made(runner)).status is JobStatus.DONE
    assert service.fetched[-1] == "https://files.test/h.mp4"


async def test_an_address_that_is_refused_names_the_job_lost(settings: Settings, service: FakeService) -> None:
    refused = DownloadError("link_refused", retryable=False, reason="a private address", request_id="request-0001")
    service.downloads = [refused] * 3
    async with running(settings, service) as runner:
        job = await made(runner)
        assert job.status is JobStatus.LOST
        assert job.problem is not None
        assert job.problem.code == "link_refused"


async def test_a_rate_limit_is_waited_for_and_shown(settings: Settings, service: FakeService) -> None:
    service.script("submit", answer(429, {"error": "slow down"}, headers={"Retry-After": "1"}))
    async with running(settings, service) as runner:
        job_id = new_id()
        await runner.submit(job_id, VideoRequest(prompt="a"), VISITOR)
        await until(lambda: seen(runner, job_id, VISITOR).phase is Phase.PAUSED)
        view = await runner.view(job_id, VISITOR)
        assert view.retry_in_s is not None
        assert 0 < view.retry_in_s <= 1
        assert view.job.status is JobStatus.QUEUED
        assert (await runner.wait(job_id, VISITOR, 10)).status is JobStatus.DONE
        assert len(service.bill) == 1


async def test_what_waits_for_a_rate_limit_is_not_sent_sooner_because_a_limit_may_have_changed(
    settings: Settings, service: FakeService
) -> None:
    service.script("submit", answer(429, {"error": "slow down"}, headers={"Retry-After": "600"}))
    async with running(settings, service) as runner:
        job_id = new_id()
        await runner.submit(job_id, VideoRequest(prompt="a"), VISITOR)
        await until(lambda: seen(runner, job_id, VISITOR).phase is Phase.PAUSED)
        runner.recheck_limits()
        live = runner._dispatcher.live[job_id]
        assert live.retry_at is not None
        assert live.retry_at > time.monotonic() + 500


async def test_a_job_that_another_process_has_taken_over_leaves_no_part_of_its_file(
    settings: Settings, service: FakeService
) -> None:
    service.script("status", *[answer(200, {"status": "PROCESSING"})] * 10_000)
    async with running(settings, service) as runner:
        job_id = new_id()
        await runner.submit(job_id, VideoRequest(prompt="a"), VISITOR)
        await until(lambda: seen(runner, job_id, VISITOR).job.status is JobStatus.RUNNING)
        part = runner._services.library.part(job_id)
        part.write_bytes(b"x")
        runner._dispatcher.drop(job_id)
        await until(lambda: runner._dispatcher.is_idle(job_id))
        assert not part.exists()


@pytest.mark.parametrize("end", ["the program stops", "another process has it"])
async def test_a_run_whose_cancellation_is_lost_ends_at_its_next_wait(
    settings: Settings, service: FakeService, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    downloads: list[str] = []

    async def deaf(url: str, _: Path) -> None:
        downloads.append(url)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise DownloadError("download_failed", retryable=True, reason=reason("too_slow")) from None

    monkeypatch.setattr(service, "download", deaf)
    async with running(settings, service) as runner:
        job_id = new_id()
        await runner.submit(job_id, VideoRequest(prompt="a"), VISITOR)
        await until(lambda: bool(downloads))
        if end == "another process has it":
            runner._dispatcher.drop(job_id)
            await until(lambda: runner._dispatcher.is_idle(job_id))
    assert not [task for task in asyncio.all_tasks() if task.get_name() == f"job {job_id}"]
    assert len(downloads) == 1


@pytest.mark.parametrize(
    "refusal",
    [
        answer(402, {"error": "Insufficient credits. You have 0.0 credits."}),
        answer(406, {"error": "Insufficient credits for this model"}),
        answer(401, {"error": "Unauthorized. API key is invalid"}),
    ],
)
async def test_without_credits_or_key_the_queue_waits_and_asks_the_free_call(
    settings: Settings, service: FakeService, refusal: Any
) -> None:
    service.script("submit", refusal)
    service.script("credits", *[answer(200, {"credits": 0.0})] * 2)
    async with running(replace(settings, concurrency=1), service) as runner:
        first, second = new_id(), new_id()
        await runner.submit(first, VideoRequest(prompt="a"), VISITOR)
        await runner.submit(second, VideoRequest(prompt="b"), VISITOR)
        refused = await runner.wait(first, VISITOR, 10)
        assert refused.status is JobStatus.FAILED
        assert (await runner.wait(second, VISITOR, 10)).status is JobStatus.DONE
        assert service.asked.count("credits") == 3
        assert service.asked.index("credits") < len(service.asked) - 1 - service.asked[::-1].index("submit")


@pytest.mark.parametrize("status", [402, 406])
@pytest.mark.parametrize("left", [{"credits": 0.4}, {"credits": 0.0, "free-credits": 0.9}, {"credits": -1.5}])
async def test_what_is_left_of_the_credits_lets_no_job_fail_that_it_does_not_pay_for(
    settings: Settings, service: FakeService, status: int, left: dict[str, float]
) -> None:
    service.script("submit", answer(status, {"error": "Insufficient credits"}))
    service.script("credits", *[answer(200, {"free-credits": 0.0, **left})] * 3)
    async with running(replace(settings, concurrency=1), service) as runner:
        first, second = new_id(), new_id()
        await runner.submit(first, VideoRequest(prompt="a"), VISITOR)
        await runner.submit(second, VideoRequest(prompt="b"), VISITOR)
        assert (await runner.wait(second, VISITOR, 10)).status is JobStatus.DONE  # 12.5 are there again
        resent = len(service.asked) - 1 - service.asked[::-1].index("submit")
        assert service.asked[:resent].count("credits") == 4
        assert service.posts == 2


async def test_a_stopped_queue_with_nothing_in_it_asks_nothing(settings: Settings, service: FakeService) -> None:
    service.script("submit", answer(402, {"error": "Insufficient credits. You have 0.0 credits."}))
    async with running(settings, service) as runner:
        job_id = new_id()
        await runner.submit(job_id, VideoRequest(prompt="a"), VISITOR)
        await runner.wait(job_id, VISITOR, 10)
        pause = runner._services.pause
        await until(lambda: pause.problem is not None and pause.wait_s == 0)
        runner._dispatcher._end_pause_if_possible()
        await asyncio.sleep(0.05)
        assert "credits" not in service.asked


async def test_a_job_that_comes_back_before_it_was_let_go_of_goes_on(settings: Settings, service: FakeService) -> None:
    service.script("status", *[answer(200, {"status": "PROCESSING"})] * 3)
    async with running(settings, service) as runner:
        job_id = new_id()
        await runner.submit(job_id, VideoRequest(prompt="a"), VISITOR)
        await until(lambda: seen(runner, job_id, VISITOR).job.status is JobStatus.RUNNING)
        job = runner._dispatcher.live[job_id].job
        runner._dispatcher.drop(job_id)
        runner._dispatcher.take(job)
        assert (await runner.wait(job_id, VISITOR, 10)).status is JobStatus.DONE


async def test_a_limit_that_goes_on_holding_a_job_is_told_once(
    settings: Settings, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    async with running(settings, service) as runner:
        monkeypatch.setattr(runner._services.notifications, "refused", lambda error, _now: told.append(error.code))
        problem = JobProblem.from_code(code_when_queued("over_daily_limit"), limit=5.0, left=0.0, price=2.0)
        live = LiveJob(replace(runner._new_job(new_id(), VideoRequest(prompt="a"), VISITOR, "owner"), problem=problem))
        for _ in range(2):
            runner._dispatcher._hold_at_limit(live)
            assert (live.phase, live.note) == (Phase.PAUSED, problem)
            live.phase = Phase.WAITING  # checked again, and held by the same limit
    assert told == ["over_daily_limit"]


async def test_who_does_not_hold_the_folder_leaves_its_backups_alone(
    settings: Settings, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(settings, service) as runner:
        copies: list[object] = []
        monkeypatch.setattr(runner._services.ledger.database, "back_up", copies.append)
        for missing, count in ((frozenset({LOCK_NAME}), 0), (frozenset[str](), 1)):
            monkeypatch.setattr(DataFolder, "missing_files", missing)
            runner._dispatcher.back_up()
            assert runner._dispatcher._backup is not None
            await runner._dispatcher._backup
            assert len(copies) == count


async def test_what_a_refused_commit_said_is_taken_back_once_it_is_stored(
    settings: Settings, service: FakeService
) -> None:
    async with running(settings, service) as runner:
        live = LiveJob(runner._new_job(new_id(), VideoRequest(prompt="a"), VISITOR, "owner"))
        notes: list[str | None] = []

        def change(_job_id: str) -> Job:
            notes.append(live.note and live.note.code)
            if len(notes) == 1:
                raise StorageError("disk_full")
            return live.job

        await JobCommits(live, runner._services).step(change)
        assert notes == [None, "disk_full"]
        assert live.note is None


async def test_a_video_of_a_job_that_another_process_has_is_not_stored(
    settings: Settings, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(settings, service) as runner:
        live = LiveJob(runner._new_job(new_id(), VideoRequest(prompt="a"), VISITOR, "owner"))
        runner._services.library.part(live.job.id).write_bytes(mp4_bytes())
        monkeypatch.setattr(runner._services.ledger, "is_shared", True)
        monkeypatch.setattr(runner._services.ledger, "own", Mock(side_effect=TakenOverError))
        with pytest.raises(TakenOverError):
            await JobRun(live, runner._services)._store()
        assert runner._services.library.ids() == set()
        monkeypatch.undo()


async def test_no_stored_time_keeps_a_job_waiting_for_more_than_an_hour(
    settings: Settings, service: FakeService
) -> None:
    async with running(settings, service) as runner:
        job = runner._new_job(new_id(), VideoRequest(prompt="a"), VISITOR, "owner")
        runner._dispatcher.take(replace(job, not_before=runner._services.ledger.now() + 1e6))
        retry_at = runner._dispatcher.live[job.id].retry_at
        assert retry_at is not None
        assert 3500 < retry_at - time.monotonic() <= 3600


FILE = "https://files.test/made.mp4"


@pytest.mark.parametrize(
    "status",
    [
        answer(200, {"status": "FAILED", "output": FILE}),
        answer(422, {"status": "FAILED", "error": "late", "video": {"url": FILE}}),
        answer(200, {"error": "took longer than usual", "output": FILE}),
        answer(200, {"status": "COMPLETED", "output": FILE}),
    ],
    ids=["failed", "failed-422", "error", "completed"],
)
@pytest.mark.parametrize("result", ["same", "failed", "gone", "broken"])
async def test_a_video_whose_address_only_the_status_names_is_fetched(
    settings: Settings, service: FakeService, status: Any, result: str
) -> None:
    refusals = {
        "same": status,
        "failed": answer(422, {"status": "FAILED", "error": "late"}),
        "gone": answer(404, {"error": "Request not found"}),
        "broken": answer(500, {"error": "x"}),
    }
    service.script("status", *[status] * 50)
    service.script("result", *[refusals[result]] * 50)
    async with running(settings, service) as runner:
        assert (await made(runner)).status is JobStatus.DONE
        assert service.fetched == [FILE]


async def test_an_error_under_200_without_a_state_ends_nothing(settings: Settings, service: FakeService) -> None:
    service.script("status", *[answer(200, {"error": "temporarily unavailable"})] * 10)
    async with running(settings, service) as runner:
        assert (await made(runner)).status is JobStatus.DONE
        assert service.posts == 1


async def test_a_file_whose_cost_is_in_doubt_is_fetched_also_without_the_key(
    settings: Settings, service: FakeService
) -> None:
    metrics = {"cost": 1e8, "inference_time": 190.0}
    service.script("result", answer(200, {"status": "COMPLETED", "output": FILE, "metrics": metrics}))
    service.downloads.extend([lost_connection()] * 10_000)
    async with running(settings, service) as runner:
        job_id = new_id()
        await runner.submit(job_id, VideoRequest(prompt="a heron"), VISITOR)
        await until(lambda: len(service.fetched) > 0)
    service.downloads.clear()
    async with running(replace(settings, api_key=None), service) as runner:
        assert (await runner.wait(job_id, VISITOR, 5)).status is JobStatus.DONE
        assert [job.id for job in await runner.owner.doubtful(runner.visitor("a" * 32))] == [job_id]
