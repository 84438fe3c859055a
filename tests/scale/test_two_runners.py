"""Two runners on one database in this process: one budget, one queue, one library, whichever is called."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hunyuan_ui.errors import AccessError, SpendLimitError
from hunyuan_ui.job import Job, JobStatus, Phase, Visitor
from hunyuan_ui.jobs import JobRunner, dispatcher
from hunyuan_ui.jobs.replicas import Board
from hunyuan_ui.jobs.services import KEY as KEY_NOTE
from hunyuan_ui.ledger.replica_updates import SharedJob
from hunyuan_ui.ledger.shared_ledger import SharedLedger
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.settings import Secret
from hunyuan_ui.ui.owner import OwnerEvents
from hunyuan_ui.words import words
from tests.faults import oracle
from tests.faults.conftest import impatient as impatient
from tests.faults.conftest import service as service
from tests.faults.rig import KEY, OWNER, STRANGER, Rig, click, ended, kill
from tests.faults.service import COST_USD, PaidService
from tests.faults.test_other_key import with_accounts
from tests.postgres_server import PostgresServer
from tests.stored_jobs import job, url_in

pytestmark = [pytest.mark.anyio, pytest.mark.faults, pytest.mark.slow]

LIMIT_USD = 5.0
NEIGHBOUR = Visitor.from_token("c" * 32)
OWN_KEY = "canary-of-a-visitor-0f1e2d3c"
OTHER_KEY = "canary-of-another-4b5a6978"


@pytest.fixture
def rig(tmp_path: Path, service: PaidService, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Opens runners on one folder and one database."""
    monkeypatch.setattr("tests.stored_jobs.server", postgres_server)
    return Rig(tmp_path / "data", service.origin, settings={"daily_limit_usd": 1000.0})


@asynccontextmanager
async def two(rig: Rig) -> AsyncIterator[tuple[JobRunner, JobRunner]]:
    """Run two."""
    async with rig.running() as one, rig.running() as other:
        yield one, other


async def until(condition: Any) -> None:
    """Wait for a condition by polling."""

    async def hold() -> None:
        while not await condition():  # noqa: ASYNC110 - a database is asked
            await asyncio.sleep(0.02)

    await asyncio.wait_for(hold(), 60)


async def test_two_hundred_clicks_at_two_replicas_never_pass_the_daily_limit(rig: Rig, service: PaidService) -> None:
    rig.settings = {"daily_limit_usd": LIMIT_USD, "concurrency": 50}

    async def try_to_make(runner: JobRunner) -> Job | SpendLimitError:
        try:
            return await ended(runner, await click(runner))
        except SpendLimitError as error:
            return error

    async with two(rig) as runners:
        await asyncio.gather(*(try_to_make(runners[number % 2]) for number in range(200)))
        for runner in runners:
            assert (await runner.spending()).spent_today_usd <= LIMIT_USD
    jobs = oracle.check(rig.folder, service)
    assert 1 <= len(service.bill) == sum(job.status is JobStatus.DONE for job in jobs) <= LIMIT_USD / COST_USD


async def test_one_queue_is_seen_at_both_and_a_job_is_cancelled_at_either(rig: Rig, service: PaidService) -> None:
    rig.settings |= {"concurrency": 1}
    async with two(rig) as (one, other):
        service.is_held = True
        ids = [await click((one, other)[number % 2]) for number in range(5)]

        async def is_settled() -> bool:
            views = [await runner.view(job_id, OWNER) for runner in (one, other) for job_id in ids]
            waiting = [view for view in views if not view.job.is_sent]
            return len(waiting) == 8 and all(view.place for view in waiting)

        await until(is_settled)
        for runner in (one, other):
            views = [await runner.view(job_id, OWNER) for job_id in ids]
            waiting = [view for view in views if view.job.status is JobStatus.QUEUED]
            assert [view.place for view in waiting] == [1, 2, 3, 4]
            assert {view.waiting for view in waiting} == {4}
            assert [view.job.id for view in await runner.active(OWNER)] == ids
        last = waiting[-1].job.id
        elsewhere = other if last in one._dispatcher.live else one
        assert (await elsewhere.cancel(last, OWNER)).status is JobStatus.CANCELLED
        for runner in (one, other):
            assert (await ended(runner, last)).status is JobStatus.CANCELLED
        service.is_held = False
        for job_id in set(ids) - {last}:
            assert (await ended(other, job_id)).status is JobStatus.DONE
    oracle.check(rig.folder, service)


async def test_at_most_so_many_are_in_flight_at_both_together(rig: Rig, service: PaidService) -> None:
    rig.settings |= {"concurrency": 2}
    most = 0
    async with two(rig) as (one, other):

        async def look() -> None:
            nonlocal most
            while True:
                jobs = await asyncio.to_thread(one._services.ledger.active)
                most = max(most, sum(job.status is not JobStatus.QUEUED for job in jobs))
                await asyncio.sleep(0.002)

        looking = asyncio.create_task(look())
        ids = [await click((one, other)[number % 2]) for number in range(10)]
        for job_id in ids:
            assert (await ended(one, job_id)).status is JobStatus.DONE
        looking.cancel()
    assert most == 2
    oracle.check(rig.folder, service)


async def test_in_public_one_visitor_has_one_in_flight_at_both_together(
    rig: Rig, service: PaidService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hunyuan_ui.limits.SECONDS_BETWEEN_SUBMITS", 0.0)
    rig.settings = PUBLIC
    service.is_held = True
    async with two(rig) as (one, other):

        async def sent(visitor: Visitor, runner: JobRunner) -> str:
            job_id = await click(runner, visitor=visitor)

            async def is_sent() -> bool:
                return (await runner.view(job_id, visitor)).job.is_sent

            await until(is_sent)
            return job_id

        first = await sent(STRANGER, one)
        second = await click(other, visitor=STRANGER)
        await sent(NEIGHBOUR, other)  # overtakes it
        assert (await other.view(second, STRANGER)).job.status is JobStatus.QUEUED
        service.is_held = False
        for job_id in (first, second):
            assert (await ended(one, job_id, STRANGER)).status is JobStatus.DONE


async def test_a_visitor_sees_the_same_phase_and_then_the_same_video_at_both(rig: Rig, service: PaidService) -> None:
    async with two(rig) as (one, other):
        service.is_held = True
        job_id = await click(one)

        async def is_told() -> bool:
            return (await other.view(job_id, OWNER)).phase is Phase.IN_SERVICE_QUEUE

        await until(is_told)
        service.is_held = False
        made = await other.wait(job_id, OWNER, 60)
        assert made.status is JobStatus.DONE
        found, _ = await other.videos.find(OWNER)
        assert [job.id for job in found] == [job_id]
        assert one.videos.signature(made) == other.videos.signature(made)
        assert (await one.videos.opened(job_id, other.videos.signature(made))).id == job_id
        assert (await other.videos.video(made)).is_file()


async def test_what_another_process_said_of_a_job_is_shown_only_while_it_fits(rig: Rig) -> None:
    async with rig.running() as runner:
        replicas = runner._replicas
        assert replicas is not None

        def shown(status: JobStatus, **said: object) -> tuple[Phase, float | None]:
            state = replicas.published_state(SharedJob(job(status=status), "another's", True, json.dumps(said)))
            return state.phase, state.retry_in_s

        rendering, paused = Phase.RENDERING.value, Phase.PAUSED.value
        assert shown(JobStatus.RUNNING, phase=rendering, progress=0.5) == (Phase.RENDERING, None)
        assert shown(JobStatus.SUBMITTING, phase=rendering) == (Phase.RENDERING, None)  # v1 answers with the video
        assert shown(JobStatus.DOWNLOADING, phase=rendering, progress=0.5) == (Phase.DOWNLOADING, None)
        now = runner._services.ledger.now()
        assert shown(JobStatus.QUEUED, phase=paused, retry_at=now + 60) == (Phase.PAUSED, pytest.approx(60, abs=5))
        assert shown(JobStatus.QUEUED, phase=paused, retry_at=now - 60) == (Phase.PAUSED, 0.0)


async def test_a_job_that_has_just_been_stored_is_seen_at_once_by_who_asks_for_it(
    rig: Rig, service: PaidService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hunyuan_ui.jobs.replicas.BOARD_FRESH_S", 600.0)
    service.is_held = True
    async with two(rig) as (one, other):
        replicas = other._replicas
        assert replicas is not None
        known = await replicas.board()
        job_id = await click(one)
        assert await replicas.board() == known
        assert job_id in (await replicas.board(job_id)).seen
        service.is_held = False
        assert (await ended(one, job_id)).status is JobStatus.DONE


async def test_what_takes_no_slot_is_counted_neither_in_flight_nor_as_next() -> None:
    states = [(status, takes) for status in (JobStatus.QUEUED, JobStatus.DOWNLOADING) for takes in (True, False)]
    seen = [SharedJob(job(status=status), "another's", takes, None) for status, takes in states]
    board = Board({one.job.id: one for one in seen}, 0.0)
    next_one, parked, loading, _ = (one.job for one in seen)
    assert (board.ready(), board.parked(), board.in_flight()) == ([next_one], [parked], [loading])
    assert board.waiting() == [next_one, parked]


async def test_a_price_that_one_has_learned_is_told_at_both(rig: Rig) -> None:
    async with two(rig) as (one, other):
        request = VideoRequest(prompt="a heron")
        first = one.estimate(request, "owner")
        for _ in range(3):
            await ended(one, await click(one))
        assert one.estimate(request, "owner") != first

        async def is_the_same() -> bool:
            return other.estimate(request, "owner") == one.estimate(request, "owner")

        await until(is_the_same)


async def test_jobs_of_one_that_died_go_on_at_a_start_soon_after(rig: Rig, service: PaidService) -> None:
    service.is_held = True
    dying = rig.open()
    await dying.start()
    ids = [await click(dying) for _ in range(20)]
    await kill(dying)
    async with rig.running() as other:
        assert [view.job.id for view in await other.active(OWNER)] == ids  # before the lease expires
        service.is_held = False
        statuses = [(await ended(other, job_id)).status for job_id in ids]
    assert set(statuses) <= {JobStatus.DONE, JobStatus.UNKNOWN}
    oracle.check(rig.folder, service)


async def test_a_renewal_under_way_at_the_stop_does_not_bring_back_the_lease(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing may be taken over from a process with a lease, and none with another service may start beside it."""
    stopping = rig.open()
    await stopping.start()
    ledger = stopping._services.ledger
    assert isinstance(ledger, SharedLedger)
    database = ledger._server
    run, is_renewing, goes_on = database.run, threading.Event(), threading.Event()

    def late(statement: str, *args: Any) -> Any:
        if statement.startswith("INSERT INTO workers"):
            is_renewing.set()
            goes_on.wait(10)
        return run(statement, *args)

    monkeypatch.setattr(database, "run", late)
    assert await asyncio.to_thread(is_renewing.wait, 10)
    asyncio.get_running_loop().call_later(0.5, goes_on.set)
    await stopping.stop()
    async with rig.running() as other:
        assert [replica.is_this for replica in await other.owner.replicas(OWNER)] == [True]


PUBLIC = {"share": True, "daily_limit_usd": 100.0}


async def test_a_code_that_is_entered_at_one_opens_the_other_and_a_changed_one_does_not(rig: Rig) -> None:
    rig.settings = PUBLIC | {"access_code": Secret("sesame")}
    async with two(rig) as (one, other):
        with pytest.raises(SpendLimitError, match="access_code_needed"):
            await click(other, visitor=STRANGER)
        await one.access.enter(STRANGER, "sesame")
        assert (await ended(other, await click(other, visitor=STRANGER), STRANGER)).status is JobStatus.DONE
    async with rig.running() as later:
        await later.recall(STRANGER)
        assert later.access.knows(STRANGER.id)
    rig.settings = PUBLIC | {"access_code": Secret("another")}
    async with rig.running() as changed:
        await changed.recall(STRANGER)
        assert not changed.access.knows(STRANGER.id)


async def test_the_owner_is_the_owner_at_both(rig: Rig) -> None:
    rig.settings = PUBLIC
    async with two(rig) as (one, other):
        assert not other.owner.seen_as(STRANGER).is_owner
        await one.owner.prove(STRANGER, KEY)
        await other.recall(STRANGER)
        assert other.owner.seen_as(STRANGER).is_owner
        assert not other.owner.seen_as(NEIGHBOUR).is_owner


async def test_the_owner_sees_which_processes_there_are_and_what_each_has(rig: Rig, service: PaidService) -> None:
    rig.settings |= {"concurrency": 1}
    service.is_held = True
    async with two(rig) as (one, other):
        for _ in range(3):
            await click(one)

        async def is_sent() -> bool:
            return [replica.in_flight for replica in await other.owner.replicas(OWNER)] == [1, 0]

        await until(is_sent)
        seen = await one.owner.replicas(OWNER)
        assert [(replica.waiting, replica.is_this) for replica in seen] == [(2, True), (0, False)]
        assert all(replica.seen_s_ago < 5 for replica in seen)
        assert {replica.name for replica in seen} == {socket.gethostname()}  # without a port where none is set
        owner_page = await OwnerEvents(other)._owner_page(OWNER, words(), 20)
        assert [text.split(": ")[-1] for text in owner_page["replicas"]] == ["2 waiting, 1 sent.", "0 waiting, 0 sent."]
        assert ["this one" in text for text in owner_page["replicas"]] == [False, True]
        with pytest.raises(AccessError):
            await one.owner.replicas(STRANGER)
        service.is_held = False
        for view in await one.active(OWNER):
            await ended(one, view.job.id)


async def test_tries_at_a_code_are_counted_at_both_together(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hunyuan_ui.credential_attempts.LONGEST_WAIT_S", 0.0)
    rig.settings = PUBLIC | {"access_code": Secret("sesame")}
    async with two(rig) as runners:
        refused: list[str] = []
        for number in range(12):
            with pytest.raises(SpendLimitError) as caught:
                await runners[number % 2].access.enter(STRANGER, f"guess {number}")
            refused.append(caught.value.code)
    assert refused[:5] == ["access_code_wrong"] * 5
    assert set(refused[5:]) == {"access_code_attempts"}


async def test_links_and_ids_are_the_same_with_folders_of_their_own(rig: Rig, tmp_path: Path) -> None:
    folder = rig.folder
    async with rig.running() as one:
        job_id = await click(one)
        made = await ended(one, job_id)
        rig.url, rig.folder = url_in(folder), tmp_path / "another"
        async with rig.running() as other:
            assert one.videos.signature(made) == other.videos.signature(made)
            assert one.videos.public_id(made) == other.videos.public_id(made)
            assert one.videos.token(job_id) == other.videos.token(job_id)


async def test_an_own_key_is_asked_for_again_and_the_job_goes_where_it_is_brought(
    rig: Rig, service: PaidService
) -> None:
    rig.settings = PUBLIC
    service.is_held = True
    dying = rig.open()
    await dying.start()
    await dying.keys.remember(OWN_KEY, STRANGER)
    job_id = await click(dying, visitor=STRANGER, payer="visitor")

    async def is_running() -> bool:
        return (await dying.view(job_id, STRANGER)).job.status is JobStatus.RUNNING

    await until(is_running)
    await kill(dying)
    async with two(rig) as runners:

        async def waits_for_key() -> bool:
            notes = [(await runner.view(job_id, STRANGER)).note for runner in runners]
            return all(note is not None and note.code == "key_forgotten" for note in notes)

        await until(waits_for_key)
        there = next(runner for runner in runners if job_id not in runner._dispatcher.live)
        service.is_held = False
        await there.keys.remember(OWN_KEY, STRANGER)
        assert (await ended(there, job_id, STRANGER)).status is JobStatus.DONE
    assert list(service.posts().values()) == [1]


async def test_a_job_that_waits_for_the_key_it_was_sent_with_goes_where_the_visitor_enters_it(
    rig: Rig, service: PaidService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "_OTHER_KEY_S", 0.05)
    with_accounts(service)
    rig.settings = PUBLIC
    service.is_held = True
    async with two(rig) as (one, other):
        await one.keys.remember(OWN_KEY, STRANGER)
        job_id = await click(one, visitor=STRANGER, payer="visitor")
        await until(partial(is_at, one, job_id, STRANGER, JobStatus.RUNNING))
        await one.keys.remember(OTHER_KEY, STRANGER)
        one._services.keys.forget_job(job_id)  # as a restart does
        await until(partial(waits, other, job_id, STRANGER, "key_other"))
        service.is_held = False
        await other.keys.remember(OWN_KEY, STRANGER)
        assert (await ended(other, job_id, STRANGER)).status is JobStatus.DONE
    assert list(service.posts().values()) == [1]


@pytest.mark.parametrize("is_marked", [True, False], ids=["", "of an older program"])
async def test_a_job_of_the_owners_first_key_goes_to_the_process_that_has_it_if_that_is_known(
    rig: Rig, service: PaidService, monkeypatch: pytest.MonkeyPatch, is_marked: bool
) -> None:
    monkeypatch.setattr(dispatcher, "_OTHER_KEY_S", 0.05)
    with_accounts(service)
    service.is_held = True
    first = rig.open()
    await first.start()
    job_id = await click(first)
    await until(partial(is_at, first, job_id, OWNER, JobStatus.RUNNING))
    await until(partial(is_noted, first, job_id))
    await kill(first)
    service.is_held = False
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rig, "_whose", lambda: {"api_key": Secret(OTHER_KEY), "dialect": "v2"})
        newer = rig.open()
    await newer.start()
    await until(partial(waits, newer, job_id, OWNER, "owner_key_other"))
    if not is_marked:
        url = url_in(rig.folder)
        assert url is not None
        with psycopg.connect(url.reveal()) as connection:
            connection.execute("UPDATE jobs SET notes = '{}'")
    async with rig.running() as again:
        if is_marked:
            assert (await ended(again, job_id)).status is JobStatus.DONE
        else:
            await asyncio.sleep(0.5)  # neither knows whose it is, so they do not hand it to and fro
            assert job_id in newer._dispatcher.live
            await newer.stop()
            assert (await ended(again, job_id)).status is JobStatus.DONE
    if is_marked:
        await newer.stop()
    assert list(service.posts().values()) == [1]


async def is_at(runner: JobRunner, job_id: str, visitor: Visitor, status: JobStatus) -> bool:
    return (await runner.view(job_id, visitor)).job.status is status


async def is_noted(runner: JobRunner, job_id: str) -> bool:
    return KEY_NOTE in (await runner.view(job_id, OWNER)).job.notes


async def waits(runner: JobRunner, job_id: str, visitor: Visitor, code: str) -> bool:
    note = (await runner.view(job_id, visitor)).note
    return note is not None and note.code == code
