"""Requests to one process about a job or a list of another one: they are carried out all the same."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hunyuan_ui.endpoint.contract import CREDITS, SUBMIT_V2, Accepted
from hunyuan_ui.endpoint.openai_videos import EngineClient
from hunyuan_ui.errors import AccessError, SpendLimitError, StorageError
from hunyuan_ui.job import JobStatus, Phase, Visitor
from hunyuan_ui.jobs import Order, wait_times
from hunyuan_ui.prompt_list import read_list
from tests.faults import oracle
from tests.faults.conftest import impatient as impatient
from tests.faults.conftest import service as service
from tests.faults.rig import KEY, OWNER, STRANGER, Rig, click, ended, kill
from tests.faults.service import PaidService
from tests.postgres_server import PostgresServer
from tests.raw_service import answer
from tests.scale.test_two_runners import OWN_KEY, two, until

pytestmark = [pytest.mark.anyio, pytest.mark.faults, pytest.mark.slow]


@pytest.fixture
def rig(tmp_path: Path, service: PaidService, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Opens runners on one folder and one database."""
    monkeypatch.setattr("tests.stored_jobs.server", postgres_server)
    return Rig(tmp_path / "data", service.origin, settings={"daily_limit_usd": 1000.0})


# a job


@pytest.fixture
def engine(rig: Rig, service: PaidService) -> PaidService:
    """An engine that can stop a run, and is busy."""
    rig.dialect = "openai"
    service.engine.key, service.engine.kind, service.engine.is_busy = KEY, "vllm", True
    return service


async def test_a_run_is_stopped_by_whichever_process_has_it(rig: Rig, engine: PaidService) -> None:
    async with two(rig) as (one, other):
        job_id = await click(one)

        async def can_stop() -> bool:
            return (await other.view(job_id, OWNER)).can_stop

        await until(can_stop)
        await other.cancel(job_id, OWNER)
        stopped = await ended(other, job_id)
        assert (stopped.status, stopped.problem.code if stopped.problem else "") == (JobStatus.LOST, "engine_stopped")
    assert len(engine.engine.deleted) == 1


async def test_a_run_that_was_to_be_stopped_is_stopped_by_who_takes_it_over(
    rig: Rig, engine: PaidService, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying = rig.open()
    await dying.start()
    job_id = await click(dying)

    async def can_stop() -> bool:
        return (await dying.view(job_id, OWNER)).can_stop

    await until(can_stop)
    monkeypatch.setattr(dying._dispatcher, "stop_run", lambda _: None)  # it dies before it has done so
    await dying.cancel(job_id, OWNER)
    await kill(dying)
    async with rig.running() as other:
        stopped = await ended(other, job_id)
    assert stopped.status is JobStatus.LOST
    assert len(engine.engine.deleted) == 1


async def test_the_answer_to_a_post_is_taken_although_another_process_looked_for_the_job_at_its_engine(
    rig: Rig, engine: PaidService, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.engine.kind, engine.engine.is_busy = "sglang", False  # its list names no prompts
    is_told = asyncio.Event()
    submit = EngineClient.submit

    async def late(client: EngineClient, *asked: Any) -> Accepted:
        accepted = await submit(client, *asked)
        await is_told.wait()
        return accepted

    async with two(rig) as (one, other):
        silent = one._replicas
        assert silent is not None
        with monkeypatch.context() as patched:
            patched.setattr(EngineClient, "submit", late)
            patched.setattr(silent, "_renew_lease", lambda: asyncio.sleep(0))  # as if it cannot reach the database
            job_id = await click(one)

            async def is_in_doubt() -> bool:
                return (await other.view(job_id, OWNER)).job.status is JobStatus.UNKNOWN

            await until(is_in_doubt)
        is_told.set()
        assert (await ended(one, job_id)).status is JobStatus.DONE
        assert (await ended(other, job_id)).status is JobStatus.DONE
    oracle.check(rig.folder, engine)


@pytest.mark.parametrize("code", ["database_away", "ledger_busy"])
@pytest.mark.parametrize("timeout_s", [None, 60.0])
async def test_who_waits_for_a_job_of_another_process_waits_on_while_the_ledger_cannot_be_read(
    rig: Rig, service: PaidService, monkeypatch: pytest.MonkeyPatch, code: str, timeout_s: float | None
) -> None:
    async with two(rig) as (one, other):
        service.is_held = True
        job_id = await click(one)
        waiting = asyncio.ensure_future(other.wait(job_id, OWNER, timeout_s))
        briefly = asyncio.ensure_future(other.wait(job_id, OWNER, 0.3))
        refused, ledger = list[str](), other._services.ledger

        def get(_: str) -> None:
            refused.append(code)
            raise StorageError(code)

        with monkeypatch.context() as patched:
            await asyncio.sleep(0.1)  # both have seen it
            patched.setattr(ledger, "get", get)

            async def has_failed() -> bool:
                return len(refused) > 3

            await until(has_failed)
            assert (await briefly).is_active
            with pytest.raises(StorageError):
                await other.wait(job_id, OWNER, 0.3)
        assert not waiting.done()
        service.is_held = False
        assert (await asyncio.wait_for(waiting, 30)).status is JobStatus.DONE


async def test_a_wait_is_ended_by_whichever_process_has_the_job(
    rig: Rig, service: PaidService, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two(rig) as (one, other):
        service.is_held = True
        job_id = await click(one)

        async def is_running() -> bool:
            return (await other.view(job_id, OWNER)).job.status is JobStatus.RUNNING

        await until(is_running)
        live = one._dispatcher.live[job_id]
        nudged: list[bool] = []
        monkeypatch.setattr(type(live), "end_wait", lambda _: nudged.append(True))
        assert (await other.retry_lost(job_id, OWNER)).is_active

        async def is_asked() -> bool:
            return bool(nudged)

        await until(is_asked)
        count = len(nudged)
        await other.view(job_id, OWNER)
        await click(other)
        service.is_held = False
        await ended(other, job_id)
        assert len(nudged) == count == 1  # one request is carried out once


# a visitor's own key


async def test_jobs_that_wait_on_one_key_are_counted_at_all_processes(rig: Rig, service: PaidService) -> None:
    rig.settings = {"share": True, "daily_limit_usd": 100.0, "concurrency": 1}
    async with two(rig) as (one, other):
        service.is_held = True
        visitors = [Visitor.from_token(f"{number:032x}", address=f"10.0.0.{number}") for number in range(8)]
        first = await click(one, visitor=visitors[0], payer="visitor", own_key=OWN_KEY)

        async def is_sent() -> bool:
            return len(service.posts()) == 1

        await until(is_sent)
        made = [first]
        for number in range(1, 5):  # one is sent, four wait
            runner = (one, other)[number % 2]
            made.append(await click(runner, visitor=visitors[number], payer="visitor", own_key=OWN_KEY))
        for runner in (one, other):
            with pytest.raises(SpendLimitError, match="visitor_places"):
                await click(runner, visitor=visitors[6], payer="visitor", own_key=OWN_KEY)
            await click(runner, visitor=visitors[7], payer="visitor", own_key=f"{OWN_KEY}-another")
        with closing(psycopg.connect(other.settings.database_url.reveal())) as connection:  # type: ignore[union-attr]
            rows = str(connection.execute("SELECT * FROM jobs").fetchall())
            marks = {mark for (mark,) in connection.execute("SELECT key_mark FROM jobs")}
        assert OWN_KEY not in rows
        assert len(marks) == 2
        service.is_held = False
        for visitor, job_id in zip(visitors, made, strict=False):
            assert (await ended(one, job_id, visitor)).status is JobStatus.DONE
        ledger = one._services.ledger
        with ledger.database.reading() as read:
            assert {mark for (mark,) in read.execute("SELECT key_mark FROM jobs WHERE status = 'done'")} == {None}


async def test_jobs_that_wait_for_a_key_are_counted_and_ended_at_either(rig: Rig, service: PaidService) -> None:
    rig.settings = {"share": True, "daily_limit_usd": 100.0, "concurrency": 1}
    service.is_held = True
    dying = rig.open()
    await dying.start()
    ids = [
        await click(dying, visitor=Visitor.from_token(f"{number:032x}"), payer="visitor", own_key=f"{OWN_KEY}-{number}")
        for number in range(3)
    ]

    async def is_sent() -> bool:
        return len(service.posts()) == 1 and (await dying.view(ids[0], OWNER)).job.status is JobStatus.RUNNING

    await until(is_sent)
    await kill(dying)
    async with two(rig) as (one, other):

        async def are_counted() -> bool:
            return [await runner.waiting_for_visitor() for runner in (one, other)] == [3, 3]

        await until(are_counted)
        idle = other if ids[1] in one._dispatcher.live else one
        assert {job.id for job in await idle.owner.waiting_for_visitor(OWNER)} == set(ids)
        assert await idle.owner.end_waiting(OWNER) == 2
        for job_id in ids[1:]:
            assert (await ended(one, job_id)).status is JobStatus.CANCELLED

        async def is_left() -> bool:
            return [await runner.waiting_for_visitor() for runner in (one, other)] == [1, 1]

        await until(is_left)


# the account


async def test_both_wait_where_the_service_asks_one_of_them_to(rig: Rig, service: PaidService) -> None:
    later = answer(429, {"error": "later"}, headers={"Retry-After": "3600"})
    service.on("POST", SUBMIT_V2, [later])
    async with two(rig) as (one, other):
        await click(one)

        async def waits() -> bool:
            return min(runner._services.pause.wait_s for runner in (one, other)) > 3500

        await until(waits)
        job_id = await click(other)

        async def is_told() -> bool:
            view = await one.view(job_id, OWNER)
            return (view.job.status, view.phase) == (JobStatus.QUEUED, Phase.PAUSED)

        await until(is_told)
        await asyncio.sleep(0.2)
        for runner in (one, other):
            assert await runner._replicas.parked_elsewhere() == []  # type: ignore[union-attr] - none waits for a key
        assert len(service.posts()) == 1
        async with rig.running() as third:  # comes later

            async def waits_too() -> bool:
                return third._services.pause.wait_s > 3500

            await until(waits_too)
    async with rig.running() as later_on:  # no process that knows it is left
        assert later_on._services.pause.wait_s == 0


async def test_credits_that_are_gone_stop_both_and_both_go_on(
    rig: Rig, service: PaidService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait_times, "PAUSE_CHECK_S", 0.5)
    service.on("POST", SUBMIT_V2, [answer(402, {"error": "Insufficient credits"})])
    service.on("GET", CREDITS, answer(200, {"credits": 0.0}))
    async with two(rig) as (one, other):
        refused = await ended(one, await click(one))
        assert refused.status is JobStatus.FAILED

        async def is_stopped() -> bool:
            problems = [runner.problem for runner in (one, other)]
            return all(problem is not None and problem.code == "out_of_credits" for problem in problems)

        await until(is_stopped)
        job_id = await click(other)
        await asyncio.sleep(1.2)
        assert (await other.view(job_id, OWNER)).job.status is JobStatus.QUEUED
        service.on("GET", CREDITS, answer(200, {"credits": 9.0}))
        assert (await ended(one, job_id)).status is JobStatus.DONE

        async def goes_on() -> bool:
            return one.problem is None and other.problem is None

        await until(goes_on)


# a list


TEXT = "\n".join(f"a heron, take {number}" for number in range(12))
CAMPAIGN = read_list(TEXT, "campaign")


async def test_a_list_is_told_of_and_stopped_at_another_process(rig: Rig, service: PaidService) -> None:
    rig.settings |= {"concurrency": 2}
    async with two(rig) as (one, other):
        service.is_held = True
        sent = await one.batches.start(CAMPAIGN, Order(OWNER, 30.0))

        async def is_under_way() -> bool:
            return (await other.batches.view(sent.list_id, OWNER)).count(JobStatus.RUNNING) == 2

        await until(is_under_way)
        view = await other.batches.view(sent.list_id, OWNER)
        assert (view.name, view.rows, view.budget_usd) == ("campaign", 12, 30.0)
        assert (view.is_running, view.is_feeding, view.can_stop) == (True, True, True)
        with pytest.raises(AccessError):
            await other.batches.view(sent.list_id, STRANGER)
        stopped = await other.batches.stop(sent.list_id, OWNER)
        assert (stopped.is_feeding, stopped.can_stop) == (False, False)
        posts = len(service.posts())
        service.is_held = False

        async def has_ended() -> bool:
            return not (await other.batches.view(sent.list_id, OWNER, wait_s=1)).is_running

        await until(has_ended)
        assert len(service.posts()) == posts == 2
        assert (await one.batches.view(sent.list_id, OWNER)).done == 2


async def test_a_list_that_is_sent_again_at_another_process_goes_on_there_only(rig: Rig, service: PaidService) -> None:
    rig.settings |= {"concurrency": 2}
    told: list[str] = []
    async with two(rig) as (one, other):
        for name, runner in (("one", one), ("other", other)):
            note = partial(lambda name, *_: told.append(name), name)
            runner._services.notifications.list_ended = note  # pyright: ignore[reportAttributeAccessIssue]
        service.is_held = True
        sent = await one.batches.start(CAMPAIGN, Order(OWNER, 30.0))
        again = await other.batches.start(CAMPAIGN, Order(OWNER, 31.0))
        assert again.list_id == sent.list_id

        async def is_left() -> bool:
            batch = one.batches._batches.get(sent.list_id)
            return batch is None or not batch.is_running

        await until(is_left)
        service.is_held = False
        assert (await other.batches.view(sent.list_id, OWNER, wait_s=60)).done == 12

        async def is_seen() -> bool:
            view = await one.batches.view(sent.list_id, OWNER)
            return (view.budget_usd, view.is_running) == (31.0, False)

        await until(is_seen)
        assert (await one.batches.view(sent.list_id, OWNER)).done == 12
    assert told == ["other"]
    assert len(service.posts()) == len(service.bill) == 12


@pytest.mark.parametrize("end", ["stopped", "over budget"])
@pytest.mark.parametrize("goes", [False, True])
async def test_a_list_that_went_on_at_a_process_that_is_gone_is_told_of_with_all_its_rows(
    rig: Rig, end: str, goes: bool
) -> None:
    rig.settings |= {"concurrency": 2}
    async with rig.running() as one:
        async with rig.running() as other:
            sent = await one.batches.start(CAMPAIGN, Order(OWNER, 30.0 if end == "stopped" else 1.0))
            if end == "stopped":
                await one.batches.stop(sent.list_id, OWNER)
            await one.batches.view(sent.list_id, OWNER, wait_s=60)
            await other.batches.start(CAMPAIGN, Order(OWNER, 31.0))
            assert (await other.batches.view(sent.list_id, OWNER, wait_s=60)).done == 12
            if not goes:
                assert (await one.batches.view(sent.list_id, OWNER)).done == 12
        await asyncio.sleep(0.2)
        view = await one.batches.view(sent.list_id, OWNER)
        assert (view.done, view.problem, view.is_running) == (12, None, False)
        assert len([entry for entry in await one.batches.stored(sent.list_id) if entry.job is not None]) == 12


async def test_a_lower_budget_at_another_process_holds_for_each_row_that_is_stored_from_then_on(rig: Rig) -> None:
    rig.settings |= {"concurrency": 2}
    async with two(rig) as (one, other):
        sent = await one.batches.start(CAMPAIGN, Order(OWNER, 30.0))
        join, before = other._services.ledger.join_list, set[str]()

        def joined(*values: Any) -> None:
            join(*values)
            before.update(job.id for job in other._services.ledger.of_list(sent.list_id))
            time.sleep(0.5)

        other._services.ledger.join_list = joined  # pyright: ignore[reportAttributeAccessIssue]
        await other.batches.start(CAMPAIGN, Order(OWNER, 3.0))
        view = await other.batches.view(sent.list_id, OWNER, wait_s=60)
        later = [job for job in other._services.ledger.of_list(sent.list_id) if job.id not in before]
        assert {job.list_budget_usd for job in later} <= {3.0}
        assert len(before) < 12
        assert not view.is_running


async def test_a_visitor_has_one_list_under_way_at_all_processes_together(rig: Rig, service: PaidService) -> None:
    rig.settings = {"share": True, "daily_limit_usd": 100.0, "visitor_daily_videos": 100}
    async with two(rig) as (one, other):
        service.is_held = True
        sent = await one.batches.start(CAMPAIGN, Order(STRANGER, 30.0))
        with pytest.raises(SpendLimitError, match="lists_running"):
            await other.batches.start(read_list("a crow", "more"), Order(STRANGER, 30.0))
        await other.batches.stop(sent.list_id, STRANGER)
        service.is_held = False

        async def has_ended() -> bool:
            return not (await other.batches.view(sent.list_id, STRANGER)).is_running

        await until(has_ended)


async def test_the_list_of_a_process_that_died_is_not_under_way(rig: Rig, service: PaidService) -> None:
    dying = rig.open()
    await dying.start()
    service.is_held = True
    sent = await dying.batches.start(CAMPAIGN, Order(OWNER, 30.0))

    async def is_sent() -> bool:
        return len(service.posts()) > 0

    await until(is_sent)
    await dying.batches._end_feeding(sent.list_id)
    await kill(dying)
    async with rig.running() as other:

        async def is_over() -> bool:
            return not (await other.batches.view(sent.list_id, OWNER)).is_running

        await until(is_over)
        service.is_held = False
        assert (await other.batches.stop(sent.list_id, OWNER)).is_feeding is False
        again = await other.batches.start(CAMPAIGN, Order(OWNER, 30.0))
        view = await other.batches.view(again.list_id, OWNER, wait_s=60)
        assert view.count(JobStatus.DONE, JobStatus.UNKNOWN) == 12  # the kill may have come while one was being sent
        assert not view.is_running
    assert max(service.posts().values()) == 1
