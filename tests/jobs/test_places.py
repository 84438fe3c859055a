"""Slots in the queue, and who pays for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from unittest.mock import AsyncMock

import pytest

from hunyuan_ui.data_folder import DataFolder
from hunyuan_ui.endpoint.contract import Accepted
from hunyuan_ui.errors import SpendLimitError
from hunyuan_ui.estimate import estimate
from hunyuan_ui.job import Job, JobStatus, Payer, Phase, Visitor, new_id
from hunyuan_ui.jobs import JobRunner, build_runner, wait_times
from hunyuan_ui.limits import MOST_WAITING, MOST_WAITING_OF_ONE
from hunyuan_ui.local_endpoint.app import create_app
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.settings import Secret, Settings
from tests.fake_service import Answer, FakeService, answer
from tests.jobs.one_page import FOX, NEIGHBOUR, OWN_KEY, SMALL, VISITOR, made, refusal, running, until
from tests.jobs.one_page import impatient as impatient
from tests.jobs.one_page import private as private
from tests.jobs.one_page import public as public
from tests.jobs.one_page import service as service
from tests.seen import seen

pytestmark = pytest.mark.anyio


def held_up(service: FakeService) -> None:
    """Let the service accept no job for a while, so that jobs wait."""
    service.script("submit", *[answer(429, {"error": "later"}, headers={"retry-after": "600"})] * 999)


@asynccontextmanager
async def busy(settings: Settings, service: FakeService) -> AsyncIterator[JobRunner]:
    """A runner whose single slot is occupied permanently, so that later jobs wait."""
    service.script("status", *[answer(200, {"status": "PROCESSING"})] * 100_000)
    async with running(replace(settings, concurrency=1), service) as runner:
        first = Visitor.from_token("f" * 32)
        taken = await runner.submit(new_id(), FOX, first, own_key="SG_9999aaaa9999aaaa")
        await until(lambda: seen(runner, taken.id, first).job.status is JobStatus.RUNNING)
        yield runner


@pytest.mark.parametrize("way", ["lent", "sent with each", "of ever new visitors", "at once"])
async def test_one_key_cannot_fill_the_queue_and_a_neighbour_gets_in(
    public: Settings, service: FakeService, way: str
) -> None:
    async with busy(public, service) as runner:
        if way == "lent":
            await runner.keys.remember(OWN_KEY, VISITOR)

        async def click(number: int) -> str | None:
            who = Visitor.from_token(f"{number}") if way != "lent" else VISITOR
            key = None if way == "lent" else OWN_KEY
            return await refusal(runner.submit(new_id(), FOX, who, payer="visitor", own_key=key))

        if way == "at once":
            await runner.keys.check(OWN_KEY, VISITOR)
            ended = await asyncio.gather(*(click(number) for number in range(30)))
        elif way == "sent with each":
            clicks = [runner.submit(new_id(), FOX, VISITOR, own_key=OWN_KEY) for _ in range(30)]
            ended = [await refusal(clicked) for clicked in clicks]
        else:
            ended = [await click(number) for number in range(30)]
        assert ended.count(None) == MOST_WAITING_OF_ONE
        assert set(ended) == {None, "visitor_places"}
        assert await refusal(runner.submit(new_id(), FOX, NEIGHBOUR, own_key="SG_aaaa0000aaaa0000")) is None
        assert await refusal(runner.submit(new_id(), FOX, NEIGHBOUR, payer="owner")) is None
        # Refused jobs left no key behind.
        assert len(runner._services.keys._by_job) == MOST_WAITING_OF_ONE + 2


async def test_in_private_one_key_may_have_all_the_places(private: Settings, service: FakeService) -> None:
    async with busy(private, service) as runner:
        for _ in range(MOST_WAITING_OF_ONE * 3):
            await runner.submit(new_id(), FOX, VISITOR, own_key=OWN_KEY)


async def test_a_place_is_free_again_once_its_job_was_sent_or_taken_back(
    public: Settings, service: FakeService
) -> None:
    async with busy(public, service) as runner:
        jobs = [await runner.submit(new_id(), FOX, VISITOR, own_key=OWN_KEY) for _ in range(MOST_WAITING_OF_ONE)]
        assert await refusal(runner.submit(new_id(), FOX, VISITOR, own_key=OWN_KEY)) == "visitor_places"
        await runner.cancel(jobs[-1].id, VISITOR)
        assert await refusal(runner.submit(new_id(), FOX, VISITOR, own_key=OWN_KEY)) is None


async def test_a_stranger_who_names_anothers_job_changes_nothing_about_its_key(
    public: Settings, service: FakeService
) -> None:
    held_up(service)
    async with running(public, service) as runner:
        stored = await runner.submit(new_id(), FOX, VISITOR, own_key=OWN_KEY)
        stranger = runner.submit(stored.id, FOX, NEIGHBOUR, own_key="SG_aaaa0000aaaa0000")
        assert await refusal(stranger) == "not_yours"
        assert runner._services.keys.for_job(stored) == OWN_KEY


# the local preview beside the hosted service


@pytest.mark.parametrize(("payer", "status"), [("nobody", JobStatus.DONE), ("visitor", JobStatus.FAILED)])
async def test_a_preview_is_made_here_and_everything_else_at_the_service(
    public: Settings, payer: Payer, status: JobStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hunyuan_ui.local_endpoint.app.create_app", partial(create_app, seconds=0.05))
    nowhere = "http://127.0.0.1:1"
    settings = replace(public, daily_limit_usd=None, base_url=nowhere, history_url=nowhere)
    runner = build_runner(settings, folder=DataFolder(settings.data_dir, min_free_bytes=0))
    monkeypatch.setattr(runner.keys, "check", AsyncMock())  # the service cannot be reached
    await runner.start()
    try:
        job_id = new_id()
        own_key = OWN_KEY if payer == "visitor" else None
        await runner.submit(job_id, SMALL, VISITOR, payer=payer, own_key=own_key)
        made_as = await runner.wait(job_id, VISITOR, 30)
        assert (made_as.status, made_as.payer) == (status, payer)
    finally:
        await runner.stop()


async def test_a_start_without_a_preview_ends_the_previews_of_an_earlier_one(
    private: Settings, service: FakeService
) -> None:
    service.script("status", *[answer(200, {"status": "PROCESSING"})] * 10_000)
    job_id = new_id()
    async with running(replace(private, api_key=None), service) as runner:
        await runner.submit(job_id, FOX, VISITOR)
        await until(lambda: service.polls != {} or "status" in service.asked)
    asked = len(service.asked)
    async with running(private, service) as runner:
        ended = (await runner.view(job_id, VISITOR)).job
        assert (ended.status, ended.problem.code if ended.problem else None) == (JobStatus.FAILED, "preview_gone")
    assert len(service.asked) == asked


async def test_without_a_limit_a_stranger_is_refused_the_owners_key_and_no_post_leaves(
    public: Settings, service: FakeService
) -> None:
    async with running(replace(public, daily_limit_usd=None), service) as runner:
        assert runner.payers == ("nobody", "visitor")
        for payer in (None, "owner"):
            with pytest.raises(SpendLimitError) as caught:
                await runner.submit(new_id(), FOX, VISITOR, payer=payer)
            assert caught.value.code == "owner_key_not_shared"
    assert service.posts == 0


async def test_the_owners_key_waits_for_the_code(public: Settings, service: FakeService) -> None:
    async with running(replace(public, access_code=Secret("open sesame")), service) as runner:
        with pytest.raises(SpendLimitError) as caught:
            await runner.submit(new_id(), FOX, VISITOR)
        assert caught.value.code == "access_code_needed"
        assert service.posts == 0
        await runner.access.enter(VISITOR, "open sesame")
        await made(runner)
        with pytest.raises(SpendLimitError):
            await runner.submit(new_id(), FOX, NEIGHBOUR)
        assert service.posts == 1


async def test_an_owners_pause_for_credits_does_not_hold_up_others(public: Settings, service: FakeService) -> None:
    settings = replace(public, access_code=Secret("1234"))
    async with running(settings, service) as runner:
        await runner.access.enter(VISITOR, "1234")
        service.script("submit", answer(402, {"error": "out of credits"}))
        refused = new_id()
        await runner.submit(refused, FOX, VISITOR)
        assert (await runner.wait(refused, VISITOR, 10)).status is JobStatus.FAILED
        assert (await runner.spending()).problem is not None
        await made(runner, NEIGHBOUR, "nobody")


@pytest.mark.parametrize("payer", ["nobody", "visitor"])
@pytest.mark.parametrize("credits_usd", [12.5, 0.0])
async def test_a_balance_that_is_long_in_coming_holds_up_only_who_waits_for_it(
    public: Settings, service: FakeService, monkeypatch: pytest.MonkeyPatch, payer: Payer, credits_usd: float
) -> None:
    asked, is_answered = asyncio.Event(), asyncio.Event()

    async def slow(key: str) -> float:
        if key != OWN_KEY:
            asked.set()
            await is_answered.wait()
        return 9.0 if key == OWN_KEY else credits_usd

    monkeypatch.setattr(wait_times, "PAUSE_CHECK_S", 0.02)
    settings, third = replace(public, access_code=Secret("1234")), Visitor.from_token("c" * 32)
    async with running(settings, service) as runner:
        monkeypatch.setattr(runner._services.hosted.client, "credits", slow)
        for visitor in (VISITOR, third):
            await runner.access.enter(visitor, "1234")
        service.script("submit", answer(402, {"error": "out of credits"}))
        assert (await made_of(runner, VISITOR)).status is JobStatus.FAILED
        waiting = await runner.submit(new_id(), FOX, third)
        await asyncio.wait_for(asked.wait(), 10)
        own_key = OWN_KEY if payer == "visitor" else None
        other = await runner.submit(new_id(), FOX, NEIGHBOUR, payer=payer, own_key=own_key)
        assert (await runner.wait(other.id, NEIGHBOUR, 10)).status is JobStatus.DONE
        assert seen(runner, waiting.id, third).job.status is JobStatus.QUEUED
        is_answered.set()
        left = await runner.wait(waiting.id, third, 10 if credits_usd else 0.2)
        assert left.status is (JobStatus.DONE if credits_usd else JobStatus.QUEUED)


@pytest.mark.parametrize("refusal_", [402, 401])
async def test_an_answer_to_what_was_sent_before_a_pause_does_not_end_it(
    private: Settings, service: FakeService, monkeypatch: pytest.MonkeyPatch, refusal_: int
) -> None:
    is_answered = asyncio.Event()
    async with running(replace(private, concurrency=2), service) as runner:
        client, pause = runner._services.hosted.client, runner._services.pause
        submit = client.submit

        async def slow(request: VideoRequest, key: str) -> Accepted:
            if request == SMALL:
                await is_answered.wait()
            return await submit(request, key)

        monkeypatch.setattr(client, "submit", slow)
        early = await runner.submit(new_id(), SMALL, VISITOR)
        await until(lambda: seen(runner, early.id, VISITOR).job.status is JobStatus.SUBMITTING)
        service.script("submit", answer(refusal_, {"error": "no"}))
        assert (await made_of(runner, VISITOR)).status is JobStatus.FAILED
        is_answered.set()
        assert (await runner.wait(early.id, VISITOR, 10)).status is JobStatus.DONE
        assert pause.problem is not None
        pause.clear()
        assert (await made_of(runner, VISITOR)).status is JobStatus.DONE


async def made_of(runner: JobRunner, visitor: Visitor) -> Job:
    job = await runner.submit(new_id(), FOX, visitor)
    return await runner.wait(job.id, visitor, 10)


async def test_a_key_is_forgotten_soon_after_its_last_page_was_closed(
    public: Settings, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, other = new_id(), new_id(), new_id()
    async with running(public, service) as runner:
        await runner.keys.remember(OWN_KEY, VISITOR)
        runner.keys.page_opened(one, VISITOR)
        runner.keys.page_closed(one, VISITOR)
        assert runner.keys.has(VISITOR)  # it may be a reload
        monkeypatch.setattr("hunyuan_ui.jobs.visitor_keys.KEPT_AFTER_LEAVING_S", -1.0)
        runner.keys.renew(VISITOR)
        for page_id in (one, two):
            runner.keys.page_opened(page_id, VISITOR)
        runner.keys.page_closed(other, NEIGHBOUR)
        runner.keys.page_closed(two, NEIGHBOUR)  # which is not theirs
        runner.keys.page_closed(one, VISITOR)
        assert runner.keys.has(VISITOR)
        runner.keys.page_closed(two, VISITOR)
        assert not runner.keys.has(VISITOR)


async def test_the_farewell_of_a_page_that_was_never_counted_is_heard(
    public: Settings, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hunyuan_ui.jobs.visitor_keys.KEPT_AFTER_LEAVING_S", -1.0)
    async with running(public, service) as runner:
        runner.keys.page_opened(new_id(), VISITOR)  # before there was a key
        await runner.keys.remember(OWN_KEY, VISITOR)
        runner.keys.page_closed(new_id(), VISITOR)
        assert not runner.keys.has(VISITOR)


async def test_in_public_one_visitors_second_video_lets_others_go_first(public: Settings, service: FakeService) -> None:
    service.script("status", *[answer(200, {"status": "PROCESSING"})] * 1000)
    async with running(replace(public, concurrency=4), service) as runner:
        first, second, others = new_id(), new_id(), new_id()
        for job_id in (first, second):
            await runner.submit(job_id, FOX, NEIGHBOUR, own_key=OWN_KEY)
        await runner.submit(others, FOX, VISITOR)
        await until(lambda: seen(runner, others, VISITOR).phase is Phase.RENDERING)
        await until(lambda: seen(runner, first, NEIGHBOUR).phase is Phase.RENDERING)
        view = await runner.view(second, NEIGHBOUR)
        assert (view.job.status, view.place, service.posts) == (JobStatus.QUEUED, 1, 2)
        service.scripts["status"].clear()
        assert (await runner.wait(second, NEIGHBOUR, 10)).status is JobStatus.DONE


@pytest.mark.parametrize(
    "trouble",
    [
        answer(401, {"error": "Unauthorized. API key is invalid"}),
        answer(402, {"error": "Insufficient credits"}),
        answer(406, {"error": "Insufficient credits for this model"}),
        answer(429, {"error": "slow down"}, headers={"Retry-After": "600"}),
    ],
    ids=["401", "402", "406", "429"],
)
async def test_trouble_with_a_visitors_own_key_holds_up_nobody_else(
    public: Settings, service: FakeService, trouble: Answer
) -> None:
    service.script("submit", trouble)
    async with running(public, service) as runner:
        theirs = new_id()
        await runner.submit(theirs, FOX, NEIGHBOUR, own_key=OWN_KEY)
        await until(lambda: service.posts == 1 and seen(runner, theirs, NEIGHBOUR).note is not None)
        assert (await runner.spending()).problem is None
        await made(runner)
        # The single call was about the visitor's own key, when it was entered.
        assert (len(service.bill), service.asked.count("credits")) == (1, 1)


async def test_a_visitors_own_key_does_not_set_the_owners_stopped_queue_going(
    public: Settings, service: FakeService
) -> None:
    service.script("submit", answer(402, {"error": "Insufficient credits"}))
    async with running(public, service) as runner:
        refused = new_id()
        await runner.submit(refused, FOX, VISITOR)
        assert (await runner.wait(refused, VISITOR, 10)).status is JobStatus.FAILED
        own = new_id()
        await runner.submit(own, FOX, NEIGHBOUR, own_key=OWN_KEY)
        assert (await runner.wait(own, NEIGHBOUR, 10)).status is JobStatus.DONE
        problem = (await runner.spending()).problem
        assert problem is not None
        assert problem.code == "out_of_credits"
        waiting, other = new_id(), Visitor.from_token("c" * 32)
        await runner.submit(waiting, FOX, other)
        await until(lambda: seen(runner, waiting, other).phase is Phase.PAUSED)
        assert service.posts == 2


async def test_cheap_small_videos_do_not_lower_what_is_reserved_for_a_large_one(
    private: Settings, service: FakeService
) -> None:
    price = estimate(FOX).cost_usd
    cheap = {"metrics": {"cost": 0.2, "inference_time": 8.0}, "output": "https://files.test/x.mp4"}
    service.script("result", *[answer(200, {"status": "COMPLETED", **cheap})] * 5)
    async with running(private, service) as runner:
        for _ in range(5):
            await made(runner)
        assert runner.estimate(FOX).cost_usd < price / 2
        stored = await runner.submit(new_id(), FOX, VISITOR)
        assert stored.reserved_microusd == round(runner.estimate(FOX).high_usd * 1_000_000) >= price * 1_000_000 - 1


async def test_two_hundred_clicks_at_once_never_pass_the_daily_limit(public: Settings, service: FakeService) -> None:
    settings = replace(public, daily_limit_usd=5.0, visitor_daily_videos=10)
    async with running(settings, service) as runner:
        visitors = [Visitor.from_token(f"{number:032x}") for number in range(200)]
        answers = await asyncio.gather(
            *(runner.submit(new_id(), FOX, visitor) for visitor in visitors), return_exceptions=True
        )
        taken = [found for found in answers if not isinstance(found, BaseException)]
        refused = [found.code for found in answers if isinstance(found, SpendLimitError)]
        assert len(taken) + len(refused) == 200
        assert set(refused) <= {"over_daily_limit", "queue_full"}
        assert 0 < len(taken) <= MOST_WAITING
        assert sum(found.reserved_microusd for found in taken) <= 5_000_000
        for found, visitor in zip(answers, visitors, strict=True):
            if not isinstance(found, BaseException):
                await runner.wait(found.id, visitor, 10)
    assert len(service.bill) == len(taken)
    assert len(service.bill) * 1.25 <= 5.0


async def test_what_is_parked_takes_no_place_only_while_it_is_queued(public: Settings, service: FakeService) -> None:
    service.script("status", *[answer(200, {"status": "PROCESSING"})] * 10_000)
    job_id = new_id()
    async with running(public, service) as runner:
        await runner.keys.remember(OWN_KEY, VISITOR)
        job = await runner.submit(job_id, FOX, VISITOR, payer="visitor")
        await until(lambda: seen(runner, job_id, VISITOR).job.status is JobStatus.RUNNING)
    async with running(public, service) as runner:  # its key is forgotten, but it takes no place to begin with
        assert await runner.waiting_for_visitor() == 1
        assert (await runner._queue_facts(job, None)).parked == 0


@pytest.mark.parametrize(("is_public", "told"), [(False, ["owner", "nobody"]), (True, ["owner"])])
async def test_the_owner_is_told_of_what_they_pay_for(
    private: Settings, public: Settings, service: FakeService, is_public: bool, told: list[str]
) -> None:
    async with running(public if is_public else private, service) as runner:
        job = await runner.submit(new_id(), FOX, VISITOR)
        notices: list[str] = []
        runner._services.notifications.job_ended = lambda job: notices.append(job.payer)
        payers: tuple[Payer, ...] = ("owner", "nobody")
        for payer in payers:
            runner._dispatcher._give_notice(replace(job, payer=payer))
        assert notices == told


async def test_only_the_owners_videos_are_made_by_their_engine(public: Settings, service: FakeService) -> None:
    narrowed = replace(public, engine_url="http://gpu.local", access_code=Secret("sesame"))
    async with running(narrowed, service) as runner:
        at_engine = {payer: runner._new_job(new_id(), FOX, VISITOR, payer).is_at_engine for payer in runner.payers}
    assert at_engine == {"owner": True, "nobody": False}
