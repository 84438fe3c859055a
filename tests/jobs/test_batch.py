"""Prompt lists: each row is paid once, the budget holds, and a resubmitted list is resumed."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from hunyuan_ui.data_folder import DataFolder
from hunyuan_ui.errors import AccessError, AuthenticationError, HunyuanUIError, InvalidRequestError, SpendLimitError
from hunyuan_ui.job import MICRO, Job, JobStatus, Visitor
from hunyuan_ui.jobs import BatchView, Entry, JobRunner, Order, batch, build_runner, endings, job_run, wait_times
from hunyuan_ui.list_texts import list_line
from hunyuan_ui.prompt_list import Reading, job_id, read_list
from hunyuan_ui.settings import Secret, Settings
from hunyuan_ui.words import words
from tests.fake_service import PRICE_USD, FakeService, answer
from tests.stored_jobs import job

pytestmark = pytest.mark.anyio

ALICE = Visitor.from_token("a" * 32, is_owner=True)
SHARED = {"share": True, "daily_limit_usd": 500.0, "visitor_daily_videos": 100}
KEY = "SG_00112233aabbccdd"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (job_run, wait_times):
        monkeypatch.setattr(module, "backoff_s", lambda *_, **__: 0.001)
    monkeypatch.setattr(endings, "PROOFS", {ending: endings.Proof(3, 0.0) for ending in endings.Ending})
    monkeypatch.setattr(batch, "_LOOK_AGAIN_S", 0.05)


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@asynccontextmanager
async def running(folder: Path, service: FakeService, **settings: Any) -> AsyncIterator[JobRunner]:
    of = {"api_key": Secret(KEY), "poll_interval_s": 0.002, "daily_limit_usd": 500.0, **settings}
    runner = build_runner(
        Settings(data_dir=folder, **of),
        client=service.client(),
        download=service.download,
        folder=DataFolder(folder, min_free_bytes=0),
    )
    await runner.start()
    try:
        yield runner
    finally:
        await runner.stop()


async def sent(runner: JobRunner, text: str, visitor: Visitor = ALICE, name: str = "campaign", **order: Any) -> str:
    defaults = order.pop("defaults", {})
    order = {"budget_usd": 100.0, **order}
    prompts = read_list(text, name, Reading(defaults=defaults))
    return (await runner.batches.start(prompts, Order(visitor, **order))).list_id


async def ended(runner: JobRunner, list_id: str, visitor: Visitor = ALICE) -> BatchView:
    view = await runner.batches.view(list_id, visitor, wait_s=30)
    assert not view.is_running
    return view


def lines(count: int, begin: int = 1) -> str:
    return "\n".join(f"a heron, take {number}" for number in range(begin, begin + count))


def billed(service: FakeService) -> Counter[str]:
    return Counter(str(body["prompt"]) for body in service.bill)


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - the service has no event
        await asyncio.sleep(0.002)


def lose_the_ledger(folder: Path) -> None:
    for file in folder.glob("ledger.*"):
        file.unlink()


async def refusal(begun: Any) -> HunyuanUIError:
    with pytest.raises(HunyuanUIError) as caught:
        await begun
    assert all(words(language).sentence(caught.value) for language in ("en", "zh"))
    return caught.value


async def test_a_list_is_made_row_by_row_and_never_more_at_once_than_may_be(
    tmp_path: Path, service: FakeService
) -> None:
    async with running(tmp_path, service, concurrency=2) as runner:
        list_id = await sent(runner, lines(12))
        most = 0
        while (view := await runner.batches.view(list_id, ALICE)).is_running:
            most = max(most, len(await runner.active(ALICE)))
            await asyncio.sleep(0.002)
    assert most == 3
    assert (view.done, view.rows, view.problem) == (12, 12, None)
    assert billed(service) == Counter(lines(12).split("\n"))
    assert view.spent_usd == pytest.approx(12 * PRICE_USD)
    assert view.left_s == 0


async def test_the_same_list_again_pays_for_nothing_whatever_its_order(tmp_path: Path, service: FakeService) -> None:
    random_seeds: dict[str, Any] = {"defaults": {"seed": -1}}
    async with running(tmp_path, service) as runner:
        first = await ended(runner, await sent(runner, lines(4) + "\n" + lines(2), **random_seeds))
        seeds = {entry.job_id: entry.request.seed for entry in first.entries}
        assert len({*seeds.values()}) == 6
        for text in (lines(2) + "\n" + lines(4), lines(4)):
            view = await ended(runner, await sent(runner, text, **random_seeds))
            assert view.done == view.rows
            assert view.spent_usd == pytest.approx(6 * PRICE_USD)
    async with running(tmp_path, service) as runner:
        again = await sent(runner, "\n".join(reversed((lines(4) + "\n" + lines(2)).split("\n"))), **random_seeds)
        view = await ended(runner, again)
        assert {entry.job_id: entry.request.seed for entry in view.entries} == seeds
        assert len(service.bill) == 6
        await ended(runner, await sent(runner, lines(1), defaults={"seed": 7}))
        assert len(service.bill) == 7


async def test_private_pages_and_the_command_line_share_their_lists(tmp_path: Path, service: FakeService) -> None:
    async with running(tmp_path, service) as runner:
        await ended(runner, await sent(runner, lines(3)))
        other = Visitor.from_token("command line", is_owner=True)
        view = await ended(runner, await sent(runner, lines(4), other), other)
    assert view.done == 4
    assert len(service.bill) == 4


async def test_a_deleted_row_is_not_made_again(tmp_path: Path, service: FakeService) -> None:
    async with running(tmp_path, service) as runner:
        view = await ended(runner, await sent(runner, lines(2)))
        await runner.delete(view.entries[0].job_id, ALICE)
        shown = await runner.batches.view(view.list_id, ALICE)
        assert [entry.state for entry in shown.entries] == ["deleted", "done"]
        view = await ended(runner, await sent(runner, lines(2)))
        assert [entry.is_deleted for entry in view.entries] == [True, False]
        assert view.spent_usd == pytest.approx(2 * PRICE_USD)
    assert len(service.bill) == 2


async def test_the_budget_holds_and_counts_what_was_spent_before(tmp_path: Path, service: FakeService) -> None:
    async with running(tmp_path, service) as runner:
        price = runner.estimate(read_list("x", "x").rows[0].request)
        view = await ended(runner, await sent(runner, lines(20), budget_usd=4 * PRICE_USD + price.high_usd))
        assert view.problem is not None
        assert view.problem.code == "over_list_budget"
        assert view.done == len(service.bill) >= 4
        assert view.spent_usd <= 4 * PRICE_USD + price.high_usd
        made = view.done
        view = await ended(runner, await sent(runner, lines(20), budget_usd=view.spent_usd + 0.01))
        assert len(service.bill) == made
        view = await ended(runner, await sent(runner, lines(20), budget_usd=100))
        assert (view.done, view.problem, len(service.bill)) == (20, None, 20)


async def test_rows_that_a_budget_holds_back_are_looked_at_as_soon_as_it_is_raised(
    tmp_path: Path, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, service) as runner:
        await ended(runner, await sent(runner, lines(1)))
        monkeypatch.setattr(runner, "recheck_limits", recheck := Mock())
        await ended(runner, await sent(runner, lines(1), budget_usd=200.0))
        recheck.assert_called_once_with()


async def test_a_daily_limit_ends_a_list_once_nothing_of_it_can_settle(tmp_path: Path, service: FakeService) -> None:
    async with running(tmp_path, service, daily_limit_usd=6.0) as runner:
        view = await ended(runner, await sent(runner, lines(20)))
        assert view.problem is not None
        assert view.problem.code == "over_daily_limit"
        assert (await runner.spending()).spent_today_usd <= 6.0
        assert view.done == 4  # settled prices free budget that reservations occupied


async def test_stop_takes_back_what_was_not_sent_and_the_list_goes_on_from_there(
    tmp_path: Path, service: FakeService
) -> None:
    service = FakeService(polls_needed=30)
    async with running(tmp_path, service, concurrency=2) as runner:
        list_id = await sent(runner, lines(9))
        await until(lambda: len(service.bill) >= 2)
        view = await runner.batches.stop(list_id, ALICE)
        assert view.count(JobStatus.QUEUED) == 0
        view = await ended(runner, list_id)
        stopped_at = len(service.bill)
        assert view.done == stopped_at < 9
        assert view.spent_usd == pytest.approx(stopped_at * PRICE_USD)
        view = await ended(runner, await sent(runner, lines(9)))
        assert view.done == 9
    assert set(billed(service).values()) == {1}


async def test_a_failed_row_is_made_again_by_wish_only(tmp_path: Path, service: FakeService) -> None:
    service.script("submit", answer(422, {"error": "no"}))
    async with running(tmp_path, service, concurrency=1) as runner:
        view = await ended(runner, await sent(runner, lines(2)))
        assert view.count(JobStatus.FAILED) == 1
        assert list_line(view, words()).startswith("1 of 2 · 1 failed · $")
        posts = service.posts
        view = await ended(runner, await sent(runner, lines(2)))
        assert (view.count(JobStatus.FAILED), service.posts) == (1, posts)
        view = await ended(runner, await sent(runner, lines(2), retry_failed=True))
        assert (view.done, service.posts) == (2, posts + 1)
        view = await ended(runner, await sent(runner, lines(2)))
        assert (view.done, service.posts) == (2, posts + 1)


async def test_a_row_whose_outcome_is_unknown_is_never_sent_again(tmp_path: Path, service: FakeService) -> None:
    service.script("submit", answer(502))
    async with running(tmp_path, service, concurrency=1) as runner:
        view = await ended(runner, await sent(runner, lines(2)))
        assert view.count(JobStatus.UNKNOWN) == 1
        for retry_failed in (False, True):
            view = await ended(runner, await sent(runner, lines(2), retry_failed=retry_failed))
        assert (view.count(JobStatus.UNKNOWN), service.posts) == (1, 2)


async def test_a_list_that_brings_no_videos_ends(tmp_path: Path, service: FakeService) -> None:
    service.script("submit", *[answer(422, {"error": "no"})] * 50)
    async with running(tmp_path, service, concurrency=1) as runner:
        view = await ended(runner, await sent(runner, lines(50)))
    assert view.problem is not None
    assert view.problem.code == "list_without_videos"
    assert "422" in words().sentence(view.problem) or "no" in words("zh").sentence(view.problem)
    assert service.posts <= 5


async def test_a_list_goes_on_if_videos_come_between_rows_without(tmp_path: Path, service: FakeService) -> None:
    fails, works = answer(422, {"error": "no"}), answer(200, {"request_id": "request-of-the-third"})
    service.script("submit", fails, fails, works, fails)
    async with running(tmp_path, service, concurrency=1) as runner:
        view = await ended(runner, await sent(runner, lines(6)))
    assert (view.problem, view.done, view.count(JobStatus.FAILED)) == (None, 3, 3)


async def test_rows_that_were_cancelled_end_no_list(tmp_path: Path) -> None:
    service = FakeService(polls_needed=10**6)
    async with running(tmp_path, service, concurrency=1) as runner:
        list_id = await sent(runner, lines(9))
        await until(lambda: service.bill)

        async def next_queued() -> str:
            while True:
                for entry in (await runner.batches.view(list_id, ALICE)).entries:
                    if entry.job is not None and entry.job.status is JobStatus.QUEUED:
                        return entry.job_id
                await asyncio.sleep(0.002)

        for _ in range(4):
            await runner.cancel(await asyncio.wait_for(next_queued(), 10), ALICE)
        assert (await runner.batches.view(list_id, ALICE)).problem is None


async def test_a_stop_waits_for_the_row_that_is_being_stored(
    tmp_path: Path, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, service) as runner:
        may_store, submit = asyncio.Event(), runner.submit

        async def held(*values: Any, **options: Any) -> Job:
            await may_store.wait()
            return await submit(*values, **options)

        monkeypatch.setattr(runner, "submit", held)
        list_id = await sent(runner, lines(5))
        stopping = asyncio.create_task(runner.batches.stop(list_id, ALICE))
        await asyncio.wait({stopping}, timeout=0.1)
        assert not stopping.done()
        may_store.set()
        view = await stopping
        assert (view.is_feeding, view.count(JobStatus.QUEUED)) == (False, 0)


async def test_a_list_that_is_sent_anew_stores_no_row_that_it_has_lost(tmp_path: Path) -> None:
    service = FakeService(polls_needed=30)
    async with running(tmp_path, service, concurrency=1) as runner:
        await sent(runner, lines(9))
        await until(lambda: service.bill)
        await ended(runner, await sent(runner, lines(1)))
        await until(lambda: not runner._dispatcher.live)
        assert len(service.bill) <= 2  # one was stored, and waited


async def test_only_a_row_that_failed_without_a_charge_is_made_again(tmp_path: Path, service: FakeService) -> None:
    async with running(tmp_path, service) as runner:
        prompts = read_list(lines(2), "campaign")
        list_id = runner.batches.id_of("campaign", ALICE)
        for row, cost in zip(prompts.rows, (None, 1), strict=True):
            failed = job(id=job_id(list_id, row), status=JobStatus.FAILED, visitor=ALICE.id, cost_microusd=cost)
            runner._services.ledger.adopt(failed)
        plan = await runner.batches.plan(prompts, Order(ALICE, retry_failed=True))
        assert list(plan.prices) == [1]


async def test_two_who_send_the_same_list_at_once_pay_once(tmp_path: Path, service: FakeService) -> None:
    async with running(tmp_path, service) as runner:
        ids = await asyncio.gather(*(sent(runner, lines(9)) for _ in range(4)))
        assert len({*ids}) == 1
        view = await ended(runner, ids[0])
        assert view.done == 9
    assert billed(service) == Counter(lines(9).split("\n"))


async def test_a_list_with_a_fault_sends_nothing(tmp_path: Path, service: FakeService) -> None:
    async with running(tmp_path, service) as runner:
        error = await refusal(sent(runner, "prompt,width\na fox,640\na crow,wide\n,5"))
        assert isinstance(error, InvalidRequestError)
        assert (error.facts["count"], error.facts["line"]) == (2, 3)
        assert (await refusal(sent(runner, "a fox", budget_usd=-1))).code == "out_of_range"
        assert (await refusal(sent(runner, "a fox", budget_usd=float("nan")))).code == "out_of_range"
        assert await runner.jobs(ALICE) == []
    assert service.asked == []


async def test_a_list_without_room_for_its_videos_is_not_begun(tmp_path: Path, service: FakeService) -> None:
    async with running(tmp_path, service) as runner:
        runner._services.folder.min_free_bytes = 2**62
        assert (await refusal(sent(runner, "a fox"))).code == "disk_full"
        assert await runner.batches._here(runner.batches.id_of("campaign", ALICE)) is None


@pytest.mark.parametrize("status", [JobStatus.QUEUED, JobStatus.RUNNING])
def test_a_list_can_be_stopped_while_a_row_of_it_waits_to_be_sent(status: JobStatus) -> None:
    row = read_list("a fox", "campaign").rows[0]
    entry = Entry(row, "0" * 32, row.request, job(status=status))
    view = BatchView("0" * 32, "campaign", 1, [entry], 0.0, 1.0, 0.0, is_running=True, is_feeding=False)
    assert view.can_stop == (status is JobStatus.QUEUED)


async def test_the_plan_is_the_price_and_a_higher_one_is_asked_about(tmp_path: Path, service: FakeService) -> None:
    async with running(tmp_path, service) as runner:
        prompts = read_list(lines(10), "campaign")
        plan = await runner.batches.plan(prompts, Order(ALICE))
        each = runner.estimate(prompts.rows[0].request)
        assert plan.most_usd == pytest.approx(10 * each.high_usd)
        assert plan.about_usd == pytest.approx(10 * each.cost_usd)
        assert plan.seconds == pytest.approx(10 * each.seconds / 4)
        error = await refusal(sent(runner, lines(10), shown_usd=plan.most_usd - 0.02))
        assert error.code == "list_price_changed"
        assert (await refusal(sent(runner, lines(10), shown_usd=0.0))).code == "list_price_changed"
        assert service.posts == 0
        await ended(runner, await sent(runner, lines(4), shown_usd=plan.most_usd))
        rest = await runner.batches.plan(prompts, Order(ALICE))
        assert len(rest.prices) == 6
        assert rest.spent_usd == pytest.approx(4 * PRICE_USD)


async def test_a_dear_video_needs_a_confirmation(tmp_path: Path, service: FakeService) -> None:
    dear: dict[str, Any] = {"defaults": {"infer_steps": 70, "video_length": 129, "width": 1280, "height": 720}}
    async with running(tmp_path, service) as runner:
        assert (await refusal(sent(runner, lines(2), **dear))).code == "confirm_price"
        view = await ended(runner, await sent(runner, lines(2), is_confirmed=True, **dear))
        assert view.done == 2


async def test_a_restart_sends_nothing_by_itself_and_still_tells_of_the_list(
    tmp_path: Path, service: FakeService
) -> None:
    async with running(tmp_path, service, concurrency=1) as runner:
        list_id = await sent(runner, lines(5))
        await until(lambda: service.bill)
    posts = service.posts
    async with running(tmp_path, service, concurrency=1) as runner:
        for job in await runner.active(ALICE):
            await runner.wait(job.job.id, ALICE, 10)
        view = await runner.batches.view(list_id, ALICE)
        assert not view.is_running
        assert view.rows == 5
        assert 1 <= view.done <= posts + 2 < 5
        assert billed(service).most_common(1)[0][1] == 1
        view = await ended(runner, await sent(runner, lines(5)))
        assert view.done == 5
    assert set(billed(service).values()) == {1}


async def test_a_stranger_finds_no_list_of_somebody_else(tmp_path: Path, service: FakeService) -> None:
    mine, theirs = Visitor.from_token("a" * 32), Visitor.from_token("b" * 32)
    async with running(tmp_path, service, **SHARED) as runner:
        list_id = await sent(runner, lines(1), mine)
        for ask in (runner.batches.view, runner.batches.stop):
            with pytest.raises(AccessError):
                await ask(list_id, theirs)
        await ended(runner, list_id, mine)
        other = await sent(runner, lines(1), theirs)
        assert other != list_id
        assert (await ended(runner, other, theirs)).done == 1
    async with running(tmp_path, service, **SHARED) as runner:
        for wrong in (list_id, "", "x", "0" * 32):
            with pytest.raises(AccessError):
                await runner.batches.view(wrong, theirs)
    assert len(service.bill) == 2


async def test_the_owner_sees_a_visitors_list(tmp_path: Path, service: FakeService) -> None:
    visitor, owner = Visitor.from_token("b" * 32), Visitor.from_token("c" * 32, is_owner=True)
    async with running(tmp_path, service, **SHARED) as runner:
        list_id = await sent(runner, lines(1), visitor)
        assert (await ended(runner, list_id, owner)).done == 1
        with pytest.raises(AccessError):
            await runner.batches.view(list_id, Visitor.from_token("d" * 32))


async def test_lists_that_ended_are_kept_in_little_memory_and_without_their_senders_key(
    tmp_path: Path, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "_KEPT_BYTES", 4 * 2_000 * 4)  # two lists of a row of 2,000 letters with four bytes each
    async with running(tmp_path, service, share=True) as runner:
        for number in range(5):
            stranger = Visitor.from_token(f"{number}" * 32)
            own_id = await sent(runner, "\N{SLOTH}" * 1_900, stranger, own_key=f"SG_{number:016x}", budget_usd=0.0)
            assert (await ended(runner, own_id, stranger)).problem is not None
        kept = list(runner.batches._batches.values())
    assert 0 < len(kept) < 4
    assert [one.order.own_key for one in kept] == [None] * len(kept)
    assert service.bill == []


async def test_a_wrong_key_starts_no_list(tmp_path: Path, service: FakeService) -> None:
    """Each would stay behind here, and in the log."""
    service.script("credits", *[answer(401, {"error": "Unauthorized."})] * 9)
    stranger = Visitor.from_token("b" * 32)
    async with running(tmp_path, service, share=True) as runner:
        for _ in range(3):
            with pytest.raises(AuthenticationError):
                await sent(runner, lines(2), stranger, own_key="SG_0000000000000001")
        assert runner.batches._batches == {}
    assert service.bill == []


async def test_in_private_several_lists_run_at_once(tmp_path: Path, service: FakeService) -> None:
    async with running(tmp_path, service, concurrency=1) as runner:
        first, second = await sent(runner, lines(3)), await sent(runner, lines(3, 4), name="another")
        assert [(await ended(runner, list_id)).done for list_id in (first, second)] == [3, 3]


async def test_in_public_the_visitors_own_limits_hold(
    tmp_path: Path, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hunyuan_ui.limits.SECONDS_BETWEEN_SUBMITS", 0.1)
    visitor = Visitor.from_token("a" * 32)
    async with running(tmp_path, service, **{**SHARED, "visitor_daily_videos": 3}) as runner:
        list_id = await sent(runner, lines(6), visitor)
        with pytest.raises(SpendLimitError) as refused:
            await sent(runner, lines(2), visitor, name="another")
        assert refused.value.code == "lists_running"
        assert await sent(runner, lines(6), visitor) == list_id  # it goes on
        view = await ended(runner, list_id, visitor)
    assert view.done == 3
    assert view.problem is not None
    assert view.problem.code == "visitor_daily_videos"
    assert len(service.bill) == 3


async def test_lost_ledger_rows_count_again_once_the_list_is_sent(tmp_path: Path, service: FakeService) -> None:
    async with running(tmp_path, service) as runner:
        before = await ended(runner, await sent(runner, lines(3)))
    lose_the_ledger(tmp_path)
    async with running(tmp_path, service) as runner:
        view = await ended(runner, await sent(runner, lines(3), budget_usd=0))
        assert view.done == 3
        assert view.problem is None
        kept = sum(job.counted_microusd for job in await runner.jobs(ALICE)) / MICRO
        assert view.spent_usd == pytest.approx(kept)
    assert before.done == len(service.bill) == 3


async def test_a_stop_ends_the_lists_before_it_refuses_their_rows(tmp_path: Path, service: FakeService) -> None:
    service.script("status", *[answer(200, {"status": "PROCESSING"})] * 10_000)
    async with running(tmp_path, service, concurrency=1) as runner:
        list_id = await sent(runner, lines(4))
        await until(lambda: service.bill)
    assert runner.batches._batches[list_id].problem is None
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("list ")]


async def test_callers_who_left_still_count(tmp_path: Path, service: FakeService, monkeypatch: Any) -> None:
    begun, may_end = list[str](), threading.Event()
    monkeypatch.setattr(batch, "read_list", lambda text, *_: (begun.append(text), may_end.wait(20)))
    async with running(tmp_path, service) as runner:
        for text in "abcd":
            await asyncio.wait({task := asyncio.create_task(runner.batches.read(text, "x", Reading()))}, timeout=0.05)
            task.cancel()
    may_end.set()
    assert sorted(begun) == ["a", "b"]
