from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace

import httpx
import pytest

from hunyuan_ui import checkpoint
from hunyuan_ui.data_folder import DataFolder
from hunyuan_ui.errors import AccessError, DownloadError, InvalidRequestError, SpendLimitError, StorageError
from hunyuan_ui.job import MICRO, JobStatus, Phase, new_id
from hunyuan_ui.jobs.job_watch import JobView, QueueState
from hunyuan_ui.ledger.sqlite import want_review
from hunyuan_ui.library.library import file_sha256
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.settings import Settings
from tests.fake_service import PRICE_USD, FakeService, answer, failure
from tests.jobs.one_page import KEY, NEIGHBOUR, VISITOR, until
from tests.jobs.one_page import service as service
from tests.jobs.one_runner import impatient as impatient
from tests.jobs.one_runner import made, opened, running
from tests.jobs.one_runner import settings as settings
from tests.tags import settings_of

pytestmark = pytest.mark.anyio


async def test_a_job_ends_with_its_video_in_the_library_and_its_real_cost(
    settings: Settings, service: FakeService
) -> None:
    async with running(settings, service) as runner:
        job = await made(runner, seed=-1)
        assert job.status is JobStatus.DONE
        assert job.sha256 == file_sha256(await runner.video_path(job.id, VISITOR))
        assert settings_of(await runner.video_path(job.id, VISITOR)) == job.request
        assert job.request.seed >= 0
        assert service.bill == [job.request.model_dump()]
        assert (job.cost_microusd, job.inference_s, job.notes["width"]) == (PRICE_USD * MICRO, 190.0, 32)
        assert (await runner.spending()).spent_today_usd == PRICE_USD
        assert (await runner.view(job.id, VISITOR)).phase is Phase.ENDED


@pytest.mark.parametrize("status", ["done", "failed", "unknown", "lost"])
async def test_a_job_is_told_as_ended_as_soon_as_its_row_says_so(
    settings: Settings, service: FakeService, status: str
) -> None:
    seen: list[tuple[Phase, list[JobView]]] = []

    def look(name: str) -> None:
        if name == f"journey.{status}":
            view = runner._watch._view_of(runner._dispatcher.live[job_id].job, QueueState([], {}, {}))
            with pytest.raises(StopIteration) as ended:
                runner.active(VISITOR).send(None)  # it waits for nothing
            seen.append((view.phase, ended.value.value))

    if status == "failed":
        service.script("submit", answer(422, {"error": "no"}))
    elif status == "unknown":
        service.script("submit", failure(httpx.ReadError))
    elif status == "lost":
        service.downloads = [DownloadError("video_lost", retryable=False, expired=True, request_id="unknown")] * 3
    job_id = new_id()
    async with running(settings, service) as runner:
        checkpoint.hook = look
        assert (await made(runner, job_id)).status == status
    assert seen == [(Phase.ENDED, [])]


async def test_v1_ends_the_same_way(settings: Settings, service: FakeService) -> None:
    async with running(replace(settings, dialect="v1"), service) as runner:
        job = await made(runner)
        assert job.status is JobStatus.DONE
        assert (job.request_id, job.cost_microusd, service.fetched) == ("v1-000001", PRICE_USD * MICRO, [])


async def test_v1_with_an_address_in_json_is_fetched(settings: Settings, service: FakeService) -> None:
    service.script("generate", answer(200, {"output": "https://files.test/x.mp4"}))
    async with running(replace(settings, dialect="v1"), service) as runner:
        assert (await made(runner)).status is JobStatus.DONE
        assert service.fetched == ["https://files.test/x.mp4"]


async def test_the_same_id_twice_is_one_job_and_one_post(settings: Settings, service: FakeService) -> None:
    async with running(settings, service) as runner:
        job_id = new_id()
        submits = [runner.submit(job_id, VideoRequest(prompt="a heron"), VISITOR) for _ in range(20)]
        assert {job.id for job in await asyncio.gather(*submits)} == {job_id}
        await runner.wait(job_id, VISITOR, 10)
        assert service.posts == 1
        again = await runner.submit(job_id, VideoRequest(prompt="another"), VISITOR)
        assert (again.status, again.request.prompt, service.posts) == (JobStatus.DONE, "a heron", 1)


async def test_a_job_that_was_stored_just_now_is_waited_for_although_nothing_works_on_it_yet(
    settings: Settings, service: FakeService
) -> None:
    job_id = new_id()
    async with running(settings, service) as runner:
        begin, runner._dispatcher.take = runner._dispatcher.take, lambda _: None  # pyright: ignore[reportAttributeAccessIssue]
        stored = await runner.submit(job_id, VideoRequest(prompt="a heron"), VISITOR)
        assert (await runner.wait(job_id, VISITOR, 0.01)).status is JobStatus.QUEUED
        again = asyncio.create_task(runner.wait(job_id, VISITOR, 10))
        await asyncio.sleep(0.05)
        begin(stored)
        assert (await again).status is JobStatus.DONE


async def test_a_ledger_that_fails_hands_no_job_of_somebody_else_to_who_names_its_id(
    settings: Settings, service: FakeService
) -> None:
    is_failing = False

    def fail(name: str) -> None:
        if is_failing and name == "ledger.add.begin":
            raise sqlite3.OperationalError("database or disk is full")

    service.script("status", *[answer(200, {"status": "PROCESSING"})] * 1000)
    checkpoint.hook = fail
    async with running(settings, service) as runner:
        job_id = new_id()
        mine = await runner.submit(job_id, VideoRequest(prompt="a secret heron"), VISITOR)
        is_failing = True
        with pytest.raises(StorageError):
            await runner.submit(job_id, VideoRequest(prompt="a guess"), NEIGHBOUR)
        # The same visitor gets the job: the click was accepted, whatever the ledger says now.
        again = await runner.submit(job_id, VideoRequest(prompt="a secret heron"), VISITOR)
        assert (again.id, again.request) == (mine.id, mine.request)
        await until(lambda: service.posts == 1)
        assert [view.job.id for view in await runner.active(VISITOR)] == [job_id]
        assert await runner.active(NEIGHBOUR) == []


async def test_after_each_job_the_ledger_is_copied(settings: Settings, service: FakeService) -> None:
    def copied() -> set[str]:
        newest = max(settings.data_dir.glob("ledger.backup-*.sqlite3"), default=None)
        if newest is None:
            return set()
        with closing(sqlite3.connect(newest)) as copy:
            return {row[0] for row in copy.execute("SELECT id FROM jobs WHERE status = 'done'")}

    async with running(settings, service) as runner:
        first = await made(runner)
        await until(lambda: copied() == {first.id})
        second = await made(runner)
        await until(lambda: copied() == {first.id, second.id})
    garbage = settings.data_dir / "ledger.sqlite3"
    garbage.write_bytes(b"x" * 20_000)
    async with running(settings, service) as runner:
        assert {job.id for job in (await runner.jobs(VISITOR))} == {first.id, second.id}
        assert (await runner.spending()).spent_total_usd == 2 * PRICE_USD


async def test_a_price_that_has_risen_since_it_was_shown_is_refused_and_stores_nothing(
    settings: Settings, service: FakeService
) -> None:
    wish = VideoRequest(prompt="a heron", video_length=33)
    async with running(settings, service) as runner:
        shown_usd = runner.estimate(wish, "owner").high_usd
        assert shown_usd < (await made(runner, video_length=33)).counted_microusd / MICRO
        now_usd = runner.estimate(wish, "owner").high_usd
        assert now_usd > shown_usd + 0.01
        job_id = new_id()
        with pytest.raises(SpendLimitError) as caught:
            await runner.submit(job_id, wish, VISITOR, shown_usd=shown_usd)
        assert caught.value.code == "price_changed"
        assert (service.posts, len(await runner.jobs(VISITOR))) == (1, 1)
        await runner.submit(job_id, wish, VISITOR, shown_usd=now_usd)
        assert (await runner.wait(job_id, VISITOR, 10)).status is JobStatus.DONE


async def test_a_click_that_is_stored_already_is_the_same_job_whatever_its_price_is_by_then(
    settings: Settings, service: FakeService
) -> None:
    async with running(settings, service) as runner:
        job = await made(runner, video_length=5)
        again = await runner.submit(job.id, job.request, VISITOR, shown_usd=0.0)
        assert (again.id, again.status, service.posts) == (job.id, JobStatus.DONE, 1)


async def test_what_is_reserved_is_the_most_that_the_estimate_says(settings: Settings, service: FakeService) -> None:
    async with running(settings, service) as runner:
        for wish in (VideoRequest(prompt="x", video_length=5), VideoRequest(prompt="x", video_length=129)):
            await made(runner, video_length=5)
            expected = runner.estimate(wish, "owner")
            job = await runner.submit(new_id(), wish, VISITOR, shown_usd=expected.high_usd)
            assert job.reserved_microusd == round(expected.high_usd * MICRO)


async def test_money_is_reserved_until_it_is_spent(settings: Settings, service: FakeService) -> None:
    async with running(settings, service) as runner:
        job_id = new_id()
        job = await runner.submit(job_id, VideoRequest(prompt="a heron"), VISITOR)
        limits = await runner.spending()
        assert limits.reserved_today_usd == limits.spent_today_usd == job.reserved_microusd / MICRO > 0
        await runner.wait(job_id, VISITOR, 10)
        limits = await runner.spending()
        assert (limits.reserved_today_usd, limits.spent_today_usd) == (0, PRICE_USD)


async def test_another_visitor_learns_nothing_of_a_job(settings: Settings, service: FakeService) -> None:
    async with running(settings, service) as runner:
        job = await made(runner)
        for ask in (
            runner.view(job.id, NEIGHBOUR),
            runner.video_path(job.id, NEIGHBOUR),
            runner.owner.unknown(NEIGHBOUR),
        ):
            with pytest.raises(AccessError):
                await ask
        for act in (
            runner.cancel(job.id, NEIGHBOUR),
            runner.delete(job.id, NEIGHBOUR),
            runner.wait(job.id, NEIGHBOUR),
            runner.submit(job.id, VideoRequest(prompt="a heron"), NEIGHBOUR),
        ):
            with pytest.raises(AccessError):
                await act
        assert (await runner.jobs(NEIGHBOUR)) == []
        assert (await runner.newest(NEIGHBOUR)) is None


@pytest.mark.parametrize("job_id", ["", "x", "A" * 32, "../" * 8, "a" * 33])
async def test_a_malformed_job_id_is_refused(settings: Settings, service: FakeService, job_id: str) -> None:
    async with running(settings, service) as runner:
        with pytest.raises(InvalidRequestError):
            await runner.submit(job_id, VideoRequest(prompt="a"), VISITOR)
        assert service.posts == 0


async def test_a_visitors_token_is_no_id_of_a_job(settings: Settings, service: FakeService) -> None:
    """Ids are shown to others, who could else act as that visitor."""
    token = new_id()
    async with running(settings, service) as runner:
        with pytest.raises(InvalidRequestError) as caught:
            await runner.submit(token, VideoRequest(prompt="a fox"), runner.visitor(token))
        assert (caught.value.code, service.posts) == ("job_id_is_token", 0)


async def test_only_as_many_as_allowed_are_in_flight_and_places_are_shown(
    settings: Settings, service: FakeService
) -> None:
    service.script("status", *[answer(200, {"status": "PROCESSING"})] * 200)
    async with running(replace(settings, concurrency=2), service) as runner:
        ids = [new_id() for _ in range(5)]
        for job_id in ids:
            await runner.submit(job_id, VideoRequest(prompt="a"), VISITOR)
        await until(lambda: service.posts == 2)
        assert [(await runner.view(job_id, VISITOR)).place for job_id in ids] == [None, None, 1, 2, 3]
        views = await runner.active(VISITOR)
        assert [view.job.id for view in views] == ids
        assert await runner.active(runner.visitor("c" * 32)) == []  # the owner's other browser has its own
        usual_s = views[0].usual.seconds
        told = [view.starts_in_s for view in views]
        assert told == [None, None, *(pytest.approx(usual_s * turns, abs=5) for turns in (1, 1, 2))]
        assert (await runner.view(ids[4], VISITOR)).starts_in_s == pytest.approx(usual_s * 2, abs=5)
        assert all([(await runner.wait(job_id, VISITOR, 10)).status is JobStatus.DONE for job_id in ids])
        assert len(service.bill) == 5


async def test_cancel_is_real_before_sending_and_refused_after(settings: Settings, service: FakeService) -> None:
    service.script("status", *[answer(200, {"status": "PROCESSING"})] * 50)
    async with running(replace(settings, concurrency=1), service) as runner:
        sent, waiting = new_id(), new_id()
        await runner.submit(sent, VideoRequest(prompt="a"), VISITOR)
        await runner.submit(waiting, VideoRequest(prompt="b"), VISITOR)
        await until(lambda: service.posts == 1)
        assert (await runner.cancel(waiting, VISITOR)).status is JobStatus.CANCELLED
        with pytest.raises(AccessError, match="cannot_cancel"):
            await runner.cancel(sent, VISITOR)
        assert (await runner.wait(waiting, VISITOR, 10)).status is JobStatus.CANCELLED
        assert (await runner.cancel(waiting, VISITOR)).status is JobStatus.CANCELLED  # by a second page
        assert (await runner.wait(sent, VISITOR, 10)).status is JobStatus.DONE
        with pytest.raises(AccessError, match="has_ended"):
            await runner.cancel(sent, VISITOR)
        assert len(service.bill) == 1


async def test_a_limit_refuses_before_anything_is_stored_or_sent(settings: Settings, service: FakeService) -> None:
    async with running(replace(settings, daily_limit_usd=3.0), service) as runner:
        results = await asyncio.gather(
            *(runner.submit(new_id(), VideoRequest(prompt="a"), VISITOR) for _ in range(30)), return_exceptions=True
        )
        assert sum(isinstance(result, SpendLimitError) for result in results) == 29
        assert len(await runner.jobs(VISITOR)) == 1


async def test_delete_takes_the_files_and_keeps_the_money(settings: Settings, service: FakeService) -> None:
    async with running(settings, service) as runner:
        job = await made(runner)
        path = await runner.video_path(job.id, VISITOR)
        await runner.delete(job.id, VISITOR)
        assert not path.exists()
        assert (await runner.jobs(VISITOR)) == []
        assert (await runner.spending()).spent_total_usd == PRICE_USD
        with pytest.raises(AccessError):
            await runner.view(job.id, VISITOR)
    async with running(settings, service) as runner:
        assert (await runner.jobs(VISITOR)) == []


async def test_a_program_fault_before_the_answer_is_unknown_and_after_it_goes_on(
    settings: Settings, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: httpx.Request) -> httpx.Response:
        raise ZeroDivisionError

    monkeypatch.setattr("hunyuan_ui.jobs.dispatcher.backoff_s", lambda *_, **__: 0.001)
    service.script("submit", broken)
    async with running(settings, service) as runner:
        assert (await made(runner)).status is JobStatus.UNKNOWN
        service.script("status", broken)
        assert (await made(runner)).status is JobStatus.DONE


async def test_a_visitors_own_key_is_used_for_their_job_only_and_forgotten(
    settings: Settings, service: FakeService
) -> None:
    keys: list[str] = []

    def remember(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["x-api-key"])
        return answer(200, {"request_id": f"own-{len(keys):05d}"})(request)

    service.script("submit", remember, remember)
    async with running(settings, service) as runner:
        own = new_id()
        await runner.submit(own, VideoRequest(prompt="a"), VISITOR, own_key="SG_ffff0000ffff0000")
        job = await runner.wait(own, VISITOR, 10)
        await made(runner)
        assert keys == ["SG_ffff0000ffff0000", KEY]
        assert (job.payer, job.counted_microusd) == ("visitor", 0)
        assert runner._services.keys.for_job(job) is None
    assert all(b"SG_" not in path.read_bytes() for path in settings.data_dir.rglob("*") if path.is_file())


async def test_after_a_stop_every_job_goes_on_and_nothing_is_sent_twice(
    settings: Settings, service: FakeService
) -> None:
    service.script("status", *[answer(200, {"status": "PROCESSING"})] * 3)
    ids = [new_id() for _ in range(4)]
    async with running(replace(settings, concurrency=2), service) as runner:
        for job_id in ids:
            await runner.submit(job_id, VideoRequest(prompt="a"), VISITOR)
        await until(lambda: service.posts == 2)
    async with running(settings, service) as runner:
        for job_id in ids:
            assert (await runner.wait(job_id, VISITOR, 10)).status is JobStatus.DONE
    assert len(service.bill) == 4


async def test_a_stopping_runner_takes_nothing_in(settings: Settings, service: FakeService) -> None:
    async with running(settings, service) as runner:
        pass
    with pytest.raises(StorageError):
        await runner.submit(new_id(), VideoRequest(prompt="a"), VISITOR)


async def test_a_second_runner_on_the_folder_only_shows(settings: Settings, service: FakeService) -> None:
    async with running(settings, service) as runner:
        job = await made(runner)
        second = opened(settings, service)
        await second.start()
        assert (await second.view(job.id, VISITOR)).job.status is JobStatus.DONE
        assert not second.is_healthy
        problem = (await second.spending()).problem
        assert problem is not None
        assert problem.code == "ledger_taken"
        with pytest.raises(StorageError, match="ledger_taken"):
            await second.submit(new_id(), VideoRequest(prompt="a"), VISITOR)
        await second.stop()
        assert runner.is_healthy


async def test_a_lost_ledger_is_rebuilt_from_the_library(settings: Settings, service: FakeService) -> None:
    async with running(settings, service) as runner:
        job = await made(runner)
    for path in settings.data_dir.glob("ledger*"):
        path.unlink()
    async with running(settings, service) as runner:
        found = (await runner.view(job.id, VISITOR)).job
        assert (found.status, found.request, found.sha256) == (JobStatus.DONE, job.request, job.sha256)
        assert (await runner.spending()).spent_total_usd == PRICE_USD


async def test_a_nearly_full_disk_refuses_to_spend(settings: Settings, service: FakeService) -> None:
    folder = DataFolder(settings.data_dir, min_free_bytes=2**60)
    async with running(settings, service, folder=folder) as runner:
        with pytest.raises(StorageError, match="disk_full"):
            await runner.submit(new_id(), VideoRequest(prompt="a"), VISITOR)
        assert service.posts == 0


async def test_the_estimate_learns_from_finished_jobs(settings: Settings, service: FakeService) -> None:
    async with running(settings, service) as runner:
        before = runner.estimate(VideoRequest(prompt="a"))
        for _ in range(3):
            await made(runner)
        after = runner.estimate(VideoRequest(prompt="a"))
    assert (before.is_calibrated, round(before.seconds)) == (False, 211)
    assert (after.is_calibrated, round(after.seconds), round(after.cost_usd, 2)) == (True, 190, PRICE_USD)


@pytest.mark.parametrize(("has_key", "code"), [(True, "ledger_damaged"), (False, None)])
async def test_a_review_of_past_spending_is_asked_for_only_where_there_is_any(
    settings: Settings, service: FakeService, has_key: bool, code: str | None
) -> None:
    async with running(settings if has_key else replace(settings, api_key=None), service) as runner:
        want_review(settings.data_dir, "damaged")
        assert (runner.problem and runner.problem.code) == code


@pytest.mark.parametrize(
    ("told", "end"),
    [([], JobStatus.UNKNOWN), (["QUEUED"], JobStatus.LOST), (["PROCESSING", "QUEUED"], JobStatus.LOST)],
)
async def test_an_id_that_only_an_error_named_is_in_doubt_until_the_service_knows_it(
    settings: Settings, service: FakeService, told: list[str], end: JobStatus
) -> None:
    service.script("submit", answer(502, {"request_id": "request-0001"}))
    service.script("status", *[answer(200, {"status": word}) for word in told])
    service.script("status", *[answer(404, {"error": "not found"})] * 1000)
    async with running(settings, service) as runner:
        job = await made(runner)
        assert (job.status, runner.can_look_again(job)) == (end, end is JobStatus.LOST)
        assert job.counted_microusd == job.reserved_microusd > 0
