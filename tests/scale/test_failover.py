"""A failover to a server that lacks the last commits, while videos are made: none is lost, and none is paid twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from hunyuan_ui import checkpoint
from hunyuan_ui.job import JobStatus
from hunyuan_ui.jobs import JobRunner
from tests.faults.conftest import impatient as impatient
from tests.faults.conftest import service as service
from tests.faults.rig import KEY, OWNER, Dialect, Rig, click, ended, next_job_works, until, without_looks
from tests.faults.service import PaidService
from tests.postgres_server import Rows, load_rows, rows_of
from tests.scale.separate_folders import rig as rig
from tests.scale.separate_folders import url as url

pytestmark = [pytest.mark.anyio, pytest.mark.faults]


@pytest.fixture(autouse=True)
def held(service: PaidService) -> None:
    service.is_held = True


async def rendering(runner: JobRunner) -> str:
    """Press Generate; return the id of the job when the service has it, and keeps it running."""
    job_id = await click(runner)
    await until(lambda: runner._dispatcher.live[job_id].job.status is JobStatus.RUNNING)
    return job_id


def rows_before(name: str, url: str) -> list[Rows]:
    """Return a list that receives the rows when a transaction first begins."""
    found = list[Rows]()

    def at(passed: str) -> None:
        if passed == f"ledger.{name}.begin" and not found:
            found.append(rows_of(url))

    checkpoint.hook = at
    return found


@pytest.mark.parametrize("lost", ["add", "claim", "running"])
@pytest.mark.parametrize("is_noticed_first", [True, False])
async def test_a_video_under_way_ends_in_the_library_although_the_database_forgot_it(
    lost: str, is_noticed_first: bool, rig: Callable[[str], Rig], service: PaidService, url: str
) -> None:
    async with rig("one").running() as runner:
        before = rows_before(lost, url)
        job_id = await rendering(runner)
        if is_noticed_first:
            load_rows(url, before[0])
            await until(lambda: [row["status"] for (row,) in rows_of(url)] in (["running"], ["submitting"]))
        else:
            without_looks(runner)
            load_rows(url, before[0])
        service.is_held = False
        assert (await ended(runner, job_id)).status is JobStatus.DONE
        assert (await runner.spending()).spent_total_usd == pytest.approx(service.cost_usd)
    assert len(service.bill) == 1


@pytest.mark.parametrize("lost", ["add", "claim"])
async def test_the_answer_to_a_post_is_stored_although_the_database_forgot_that_it_was_sent(
    lost: str, rig: Callable[[str], Rig], service: PaidService, url: str
) -> None:
    service.is_held = False
    async with rig("one").running() as runner:
        before = rows_before(lost, url)
        at_first = checkpoint.hook

        def at(passed: str) -> None:
            if at_first is not None:
                at_first(passed)
            if passed == "journey.accepted":
                load_rows(url, before[0])

        checkpoint.hook = at
        job = await ended(runner, await click(runner))
        assert (job.status, job.request_id is None) == (JobStatus.DONE, False)
    assert len(service.bill) == 1


async def test_a_job_that_was_sent_while_a_look_was_under_way_is_stored_again_and_not_doubted(
    rig: Callable[[str], Rig], service: PaidService, url: str
) -> None:
    async with rig("one").running() as runner:
        before = rows_before("claim", url)
        seen = without_looks(runner)
        job_id = await rendering(runner)
        load_rows(url, before[0])
        await seen._restore_rows({job_id}, {})  # as if the check had begun before the click
        assert [row["status"] for (row,) in rows_of(url)] == ["running"]
        service.is_held = False
        assert (await ended(runner, job_id)).status is JobStatus.DONE
    assert len(service.bill) == 1


async def test_an_answer_is_stored_although_the_job_was_stored_again_between_two_tries(
    rig: Callable[[str], Rig], service: PaidService, url: str
) -> None:
    service.is_held = False
    async with rig("one").running() as runner:
        before, passed_by = rows_before("claim", url), list[str]()
        at_first = checkpoint.hook
        ledger = runner._services.ledger
        without_looks(runner)

        def at(passed: str) -> None:
            if at_first is not None:
                at_first(passed)
            if passed == "journey.accepted":
                load_rows(url, before[0])
            if passed == "ledger.restore_rows.begin" and not passed_by:
                passed_by.append(passed)
                live = [one.job for one in runner._dispatcher.live.values()]
                ledger.restore_rows(live)  # as a check for lost jobs does

        checkpoint.hook = at
        job = await ended(runner, await click(runner))
        assert (job.status, job.request_id is None, len(passed_by)) == (JobStatus.DONE, False, 1)
    assert len(service.bill) == 1


async def test_a_job_is_kept_when_what_is_noted_of_it_finds_no_row(rig: Callable[[str], Rig], url: str) -> None:
    async with rig("one").running() as runner:
        before = rows_before("add", url)
        job_id = await rendering(runner)
        without_looks(runner)
        load_rows(url, before[0])
        assert await runner._dispatcher._reload_own(runner._dispatcher.live[job_id])
        assert (await runner.view(job_id, OWNER)).job.status is JobStatus.RUNNING


async def test_what_was_sent_is_not_sent_again_by_a_process_that_takes_the_jobs_of_its_sender(
    rig: Callable[[str], Rig], service: PaidService, url: str
) -> None:
    sender, other = rig("sender").open(), rig("other")
    await sender.start()
    async with other.running() as runner:
        before = rows_before("claim", url)
        job_id = await rendering(sender)
        load_rows(url, before[0])
        await asyncio.sleep(0.3)
        await sender.stop()
        service.is_held = False
        assert (await ended(runner, job_id)).status is JobStatus.DONE
    assert len(service.bill) == 1


@pytest.mark.parametrize("dialect", ["v2", "openai"])
async def test_what_was_sent_and_had_ended_is_unknown_rather_than_sent_again(
    rig: Callable[[str], Rig], service: PaidService, url: str, dialect: Dialect
) -> None:
    service.is_held = False
    service.engine.key = KEY
    async with replace(rig("one"), dialect=dialect).running() as runner:
        before = rows_before("claim", url)
        job_id = await click(runner)
        assert (await ended(runner, job_id)).status is JobStatus.DONE
        load_rows(url, before[0])
        await asyncio.sleep(0.5)
        assert (await ended(runner, job_id)).status is JobStatus.UNKNOWN
    assert sum(service.posts().values()) == 1


@pytest.mark.parametrize("dialect", ["v2", "openai"])
async def test_nothing_is_sent_from_a_database_that_forgot_what_was_sent(
    rig: Callable[[str], Rig], service: PaidService, url: str, dialect: Dialect
) -> None:
    service.is_held = False
    service.engine.key = KEY
    one = replace(rig("one"), dialect=dialect)
    async with one.running() as runner:
        before = rows_before("claim", url)
        job_id = await click(runner)
        assert (await ended(runner, job_id)).status is JobStatus.DONE
    load_rows(url, before[0])
    async with one.running() as runner:
        await asyncio.sleep(0.5)
        assert (await runner.view(job_id, OWNER)).job.status is not JobStatus.QUEUED
    assert sum(service.posts().values()) == 1


async def test_a_video_whose_end_was_forgotten_is_done_again_without_a_restart(
    rig: Callable[[str], Rig], service: PaidService, url: str
) -> None:
    async with rig("one").running() as runner:
        job_id = await rendering(runner)
        before = rows_of(url)
        service.is_held = False
        assert (await ended(runner, job_id)).status is JobStatus.DONE
        load_rows(url, before)
        await until(lambda: job_id in runner._dispatcher.live)
        assert (await ended(runner, job_id)).status is JobStatus.DONE
        assert (await runner.video_path(job_id, OWNER)).exists()
    assert len(service.bill) == 1


@pytest.mark.parametrize("canceller", ["sender", "other"])
async def test_what_was_cancelled_is_never_sent_although_the_database_forgot_that(
    canceller: str, rig: Callable[[str], Rig], service: PaidService, url: str
) -> None:
    """Neither by its own process, nor by the one that takes it over."""
    sender, other = rig("sender"), rig("other")
    sender.settings["concurrency"] = other.settings["concurrency"] = 1
    sending = sender.open()
    await sending.start()
    async with other.running() as runner:
        made = await rendering(sending)
        waiting = await click(sending)
        before = rows_of(url)
        await (sending if canceller == "sender" else runner).cancel(waiting, OWNER)
        await until(lambda: waiting not in sending._dispatcher.live)
        load_rows(url, before)
        await until(lambda: "cancelled" in [row["status"] for (row,) in rows_of(url)])
        await sending.stop()
        service.is_held = False
        assert (await ended(runner, made)).status is JobStatus.DONE
        assert (await ended(runner, waiting)).status is JobStatus.CANCELLED
        await next_job_works(runner)
    assert len(service.bill) == 2
