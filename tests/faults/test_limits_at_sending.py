"""Limits apply when a job is sent, not only when it was stored: starts, bills and budgets may have changed since."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hunyuan_ui.endpoint.contract import SUBMIT_V2
from hunyuan_ui.errors import limit_of
from hunyuan_ui.job import DAY_S, MICRO, JobStatus, Phase, Visitor, new_id
from hunyuan_ui.jobs import JobRunner, Order, dispatcher
from hunyuan_ui.prompt_list import read_list
from hunyuan_ui.words import words
from tests.faults import oracle
from tests.faults.rig import OWNER, Rig, click, ended, kill, until
from tests.faults.service import COST_USD, HISTORY, RESULT, STATUS, PaidService
from tests.raw_service import answer, html
from tests.seen import seen

pytestmark = [pytest.mark.anyio, pytest.mark.faults, pytest.mark.usefixtures("database")]

PUBLIC: dict[str, Any] = {"share": True, "daily_limit_usd": 100.0, "concurrency": 1}
PRIVATE: dict[str, Any] = {"daily_limit_usd": 20.0, "concurrency": 1}
DEAR_USD = 5 * COST_USD  # plausible, and more than the reservation of clicks before it was known
BUDGET_USD = 1.9 * DEAR_USD  # enough for any one of these videos, not for two
CLICKS = 4


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the interval at which limits are rechecked."""
    monkeypatch.setattr(dispatcher, "LIMIT_ASKED_S", 0.2)


def held(runner: JobRunner, job_id: str) -> str | None:
    """Return the limit in a waiting card."""
    view = seen(runner, job_id, OWNER)
    if view.note is None or view.job.status is not JobStatus.QUEUED:
        return None
    assert view.phase in (Phase.PAUSED, Phase.WAITING)  # it is being rechecked
    assert view.job.problem == view.note
    assert all(words(language).sentence(view.note) for language in ("en", "zh"))
    return limit_of(view.note.code)


def status(runner: JobRunner, job_id: str) -> JobStatus:
    """Return a job's status."""
    return seen(runner, job_id, OWNER).job.status


async def left_in_the_queue(rig: Rig, service: PaidService, count: int = CLICKS) -> tuple[str, list[str]]:
    """Click some times and end as by a kill; return the sent job and the unsent ones."""
    service.is_held = True
    runner = rig.open()
    await runner.start()
    jobs = [await click(runner, None, Visitor.from_token(new_id())) for _ in range(count)]
    await until(lambda: len(service.bill) == 1 and seen(runner, jobs[0], OWNER).job.request_id)
    await kill(runner)
    service.is_held = False
    return jobs[0], jobs[1:]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after", "limit"),
    [
        (PUBLIC, {"daily_limit_usd": 2.0}, "over_daily_limit"),
        (PUBLIC, {"daily_limit_usd": None}, "owner_key_not_shared"),
        (PUBLIC, {"total_limit_usd": 2.0}, "over_total_limit"),
        (PUBLIC, {"video_limit_usd": 0.5}, "over_video_limit"),
        (PRIVATE, {"share": True, "daily_limit_usd": None}, "owner_key_not_shared"),
        (PRIVATE, {"daily_limit_usd": 3.0}, "over_daily_limit"),
    ],
)
async def test_a_start_under_narrower_limits_sends_nothing_beyond_them(
    rig: Rig, service: PaidService, before: dict[str, Any], after: dict[str, Any], limit: str
) -> None:
    rig.settings = before
    sent, waiting = await left_in_the_queue(rig, service)
    rig.settings = {**before, **after}
    async with rig.running() as runner:
        assert (await ended(runner, sent)).status is JobStatus.DONE
        await until(lambda: {held(runner, job_id) for job_id in waiting} == {limit})
        await asyncio.sleep(0.3)
        assert len(service.bill) == 1
        counted = (await runner.spending()).spent_today_usd
        kept = sum(seen(runner, job_id, OWNER).job.reserved_microusd for job_id in waiting)
        assert counted == pytest.approx(COST_USD + kept / MICRO)
        taken_back = await runner.cancel(waiting[0], OWNER)
        assert (taken_back.status, taken_back.problem, taken_back.cost_microusd) == (JobStatus.CANCELLED, None, None)
    rig.settings = before
    async with rig.running() as runner:
        for job_id in waiting[1:]:
            assert (await ended(runner, job_id)).status is JobStatus.DONE
    oracle.check(rig.folder, service)
    assert len(service.bill) == CLICKS - 1


async def test_a_start_under_fewer_videos_a_day_sends_no_more_of_a_visitor(rig: Rig, service: PaidService) -> None:
    now = [1_795_651_200.0]
    rig.now = lambda: now[0]
    rig.settings = PUBLIC
    service.is_held = True
    runner = rig.open()
    await runner.start()
    stranger, other = Visitor.from_token(new_id()), Visitor.from_token(new_id())
    sent = await click(runner, None, stranger)
    await until(lambda: bool(seen(runner, sent, OWNER).job.request_id))
    now[0] += 60
    waiting, of_other = await click(runner, None, stranger), await click(runner, None, other)
    await kill(runner)
    service.is_held = False
    rig.settings = {**PUBLIC, "visitor_daily_videos": 1}
    async with rig.running() as runner:
        for job_id in (sent, of_other):
            assert (await ended(runner, job_id)).status is JobStatus.DONE
        await until(lambda: held(runner, waiting) == "visitor_daily_videos")
        await asyncio.sleep(0.3)
        assert len(service.bill) == 2
        now[0] += DAY_S
        assert (await ended(runner, waiting)).status is JobStatus.DONE
    oracle.check(rig.folder, service)


@pytest.mark.parametrize("times", [5, 3, 9.5])
async def test_a_price_that_bills_have_taught_holds_what_was_stored_at_a_lower_one(
    rig: Rig, service: PaidService, times: float
) -> None:
    service.cost_usd = times * COST_USD
    limit_usd = 1.6 * service.cost_usd  # one a day at the new price; all of them at the price of the clicks
    now = [1_795_651_200.0]
    rig.now = lambda: now[0]
    rig.settings = {**PRIVATE, "daily_limit_usd": max(limit_usd, 9.0), "video_limit_usd": 50.0}
    async with rig.running() as runner:
        service.is_held = True
        jobs = [await click(runner) for _ in range(3)]
        service.is_held = False
        for day in range(3):
            await until(lambda day=day: len(service.bill) == day + 1)
            await until(lambda day=day: sum(held(runner, one) == "over_daily_limit" for one in jobs) == 2 - day)
            await until(lambda day=day: sum(status(runner, one) is JobStatus.DONE for one in jobs) == day + 1)
            await asyncio.sleep(0.2)
            assert len(service.bill) == day + 1
            now[0] += DAY_S
    oracle.check(rig.folder, service)


@pytest.mark.parametrize("is_confirmed", [False, True])
async def test_a_price_that_rose_above_the_limit_for_one_video_is_not_paid_unasked(
    rig: Rig, service: PaidService, is_confirmed: bool
) -> None:
    rig.settings = {**PRIVATE, "daily_limit_usd": 100.0, "video_limit_usd": 1.0 if is_confirmed else 5.0}
    service.cost_usd = DEAR_USD
    async with rig.running() as runner:
        service.is_held = True
        first, second = [await click(runner, is_confirmed=is_confirmed) for _ in range(2)]
        service.is_held = False
        assert (await ended(runner, first)).status is JobStatus.DONE
        await until(lambda: held(runner, second) == "over_video_limit")
        await asyncio.sleep(0.3)
        assert len(service.bill) == 1
        assert (await runner.cancel(second, OWNER)).status is JobStatus.CANCELLED
        await ended(runner, await click(runner, is_confirmed=True))
        assert len(service.bill) == 2
    oracle.check(rig.folder, service)


async def test_what_brings_no_videos_is_not_sent_on_from_the_queue_before_the_owners_word(
    rig: Rig, service: PaidService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "LIMIT_ASKED_S", 3600.0)
    rig.settings = PUBLIC
    service.on("GET", HISTORY, answer(404, {"error": "not found"}))
    service.on("GET", RESULT, answer(422, {"status": "FAILED", "error": "x", "metrics": {"cost": COST_USD}}))
    service.on("GET", STATUS, answer(422, {"status": "FAILED", "error": "x", "metrics": {"cost": COST_USD}}))
    async with rig.running() as runner:
        jobs = [await click(runner, None, Visitor.from_token(new_id())) for _ in range(6)]
        await until(lambda: all(held(runner, job_id) == "breaker_open" for job_id in jobs[3:]))
        await asyncio.sleep(0.3)
        assert len(service.bill) == 3
        await runner.owner.resume(OWNER)
        await until(lambda: len(service.bill) == 6)


async def test_an_amount_that_is_put_right_lets_what_it_held_go_at_once(
    rig: Rig, service: PaidService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "LIMIT_ASKED_S", 3600.0)
    service.cost_usd = DEAR_USD
    rig.settings = {**PUBLIC, "daily_limit_usd": DEAR_USD + 1.0, "video_limit_usd": 50.0}
    async with rig.running() as runner:
        service.is_held = True
        dear, waiting = [await click(runner, None, Visitor.from_token(new_id())) for _ in range(2)]
        service.is_held = False
        assert (await ended(runner, dear)).status is JobStatus.DONE
        await until(lambda: held(runner, waiting) == "over_daily_limit")
        service.cost_usd = COST_USD
        await runner.owner.correct(dear, OWNER, cost_usd=0.5)
        assert (await ended(runner, waiting)).status is JobStatus.DONE


async def test_a_job_that_fails_without_a_cost_lets_what_it_held_go_at_once(
    rig: Rig, service: PaidService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "LIMIT_ASKED_S", 3600.0)
    rig.settings = PUBLIC
    sent, (waiting,) = await left_in_the_queue(rig, service, 2)
    service.is_held = True
    service.on("GET", HISTORY, answer(404, {"error": "not found"}))
    rig.settings = {**PUBLIC, "concurrency": 2, "daily_limit_usd": 3.0}
    async with rig.running() as runner:
        await until(lambda: held(runner, waiting) == "over_daily_limit")
        for path in (STATUS, RESULT):
            service.on("GET", path, answer(422, {"status": "FAILED", "error": "x"}))
        assert (await ended(runner, sent)).status is JobStatus.FAILED
        await until(lambda: len(service.bill) == 2)


async def test_a_job_that_was_not_charged_lets_what_it_held_go_at_once(
    rig: Rig, service: PaidService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "LIMIT_ASKED_S", 3600.0)
    service.on("POST", SUBMIT_V2, [html(500)])
    service.is_held = True
    rig.settings = PUBLIC
    runner = rig.open()
    await runner.start()
    doubtful, sent, waiting = [await click(runner, None, Visitor.from_token(new_id())) for _ in range(3)]
    await until(lambda: status(runner, doubtful) is JobStatus.UNKNOWN and seen(runner, sent, OWNER).job.request_id)
    await kill(runner)
    service.is_held = False
    rig.settings = {**PUBLIC, "daily_limit_usd": 5.0}
    async with rig.running() as runner:
        await until(lambda: held(runner, waiting) == "over_daily_limit")
        await runner.owner.settle(doubtful, OWNER, was_charged=False)
        assert (await ended(runner, waiting)).status is JobStatus.DONE


# lists


async def standing(runner: JobRunner, budget_usd: float, *, wait_s: float = 20.0) -> Any:
    begun = await runner.batches.start(read_list("a\nb\nc\nd\n", "herons"), Order(OWNER, budget_usd))
    return await runner.batches.view(begun.list_id, OWNER, wait_s=wait_s)


async def test_a_lists_budget_holds_at_a_price_that_came_after_its_rows_were_stored(
    rig: Rig, service: PaidService
) -> None:
    service.cost_usd = DEAR_USD
    rig.settings = {"daily_limit_usd": 200.0, "video_limit_usd": 50.0, "concurrency": 1}
    async with rig.running() as runner:
        view = await standing(runner, BUDGET_USD)
        assert (len(service.bill), view.problem.code, view.spent_usd) == (1, "over_list_budget", DEAR_USD)
        assert view.count(JobStatus.QUEUED) == 0
        view = await standing(runner, 5 * DEAR_USD)
        assert (len(service.bill), view.done, view.problem) == (4, 4, None)
    assert set(service.billed().values()) == {1}


async def test_a_list_ends_whose_rows_became_too_dear_unasked(rig: Rig, service: PaidService) -> None:
    service.cost_usd = DEAR_USD
    rig.settings = {"daily_limit_usd": 200.0, "video_limit_usd": 5.0, "concurrency": 1}
    async with rig.running() as runner:
        view = await standing(runner, 100.0)
        assert (len(service.bill), view.problem.code, view.count(JobStatus.QUEUED)) == (1, "over_video_limit", 0)


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_a_list_that_is_sent_again_under_a_lower_budget_keeps_it(
    rig: Rig, service: PaidService, is_restarted: bool
) -> None:
    rig.settings = {"daily_limit_usd": 200.0, "concurrency": 1}
    service.is_held = True
    runner = rig.open()
    await runner.start()
    await standing(runner, 100.0, wait_s=0)
    await until(lambda: len(service.bill) == 1 and len(runner._dispatcher.live) == 2)  # pyright: ignore[reportPrivateUsage]
    if is_restarted:
        await runner.stop()
        runner = rig.open()
        await runner.start()
    await standing(runner, 1.0, wait_s=0)
    service.is_held = False
    view = await standing(runner, 1.0)
    assert (len(service.bill), view.done, view.problem.code) == (1, 1, "over_list_budget")
    view = await standing(runner, 100.0)
    assert (len(service.bill), view.done, view.problem) == (4, 4, None)
    await runner.stop()
    assert set(service.billed().values()) == {1}


async def test_a_row_without_its_list_waits_for_a_higher_budget(rig: Rig, service: PaidService) -> None:
    service.cost_usd = DEAR_USD
    rig.settings = {"daily_limit_usd": 200.0, "video_limit_usd": 50.0, "concurrency": 1}
    service.is_held = True
    runner = rig.open()
    await runner.start()
    await standing(runner, BUDGET_USD, wait_s=0)
    await until(lambda: len(service.bill) == 1 and len(runner._dispatcher.live) == 2)  # pyright: ignore[reportPrivateUsage]
    await runner.stop()
    service.is_held = False
    async with rig.running() as runner:
        stored = [view.job.id for view in await runner.active(OWNER)]
        await ended(runner, stored[0])
        await until(lambda: held(runner, stored[1]) == "over_list_budget")
        view = await standing(runner, 5 * DEAR_USD)
        assert (len(service.bill), view.done) == (4, 4)
    oracle.check(rig.folder, service)
