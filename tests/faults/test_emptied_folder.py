"""A public page on a disk that is kept, whose data folder somebody has emptied, does not spend its limit anew."""

from __future__ import annotations

import shutil
import time

import pytest

from hunyuan_ui.job import OWNER as ACCOUNT
from hunyuan_ui.job import JobStatus
from hunyuan_ui.jobs import history_import
from hunyuan_ui.ledger import CLOCKS_S
from tests.faults.rig import KEY, SHORT_GETS, Rig, until
from tests.faults.service import COST_USD, LIST, PaidService
from tests.faults.wiped import LIMIT_USD, PUBLIC, at_rest, done, killed, refusal, service_again, spent_usd, visit, wipe
from tests.raw_service import Reply, answer, silence

pytestmark = [pytest.mark.anyio, pytest.mark.faults]

UNREADABLE: dict[str, Reply] = {
    "no such list": answer(404, {"error": "not found"}),
    "down": answer(500, {"error": "down"}),
    "silent": silence(),
}


@pytest.fixture(autouse=True)
def kept(rig: Rig, service: PaidService) -> None:
    rig.settings = {**PUBLIC, "storage": "kept"}
    service.history_key = KEY


def readings(service: PaidService) -> int:
    """Return how often the history was asked for."""
    return sum(one.path.startswith(f"{LIST}?") for one in list(service.requests))


async def spend(rig: Rig, clicks: int) -> None:
    """Make some videos, and wait for them."""
    async with rig.running() as runner:
        for _ in range(clicks):
            await visit(runner)
        await at_rest(runner)


async def spends_no_more(rig: Rig, service: PaidService) -> None:
    """Start the page again: it knows all videos, and refuses another."""
    async with rig.running() as runner:
        await until(lambda: runner._services.pause.history_problem is None)
        assert await refusal(runner) == "over_daily_limit"
        await at_rest(runner)
        assert set(await done(runner)) == set(service.posts())
    assert spent_usd(service) == 2 * COST_USD < LIMIT_USD


async def test_three_lives_of_an_emptied_folder_stay_under_the_limit(rig: Rig, service: PaidService) -> None:
    await spend(rig, 2)
    for _ in range(2):
        wipe(rig)
        await spends_no_more(rig, service)


async def test_an_older_copy_of_the_whole_folder_stays_under_the_limit(rig: Rig, service: PaidService) -> None:
    """Its own records are as old as its ledger, so that only the service can tell."""
    await spend(rig, 1)
    copy = rig.folder.with_name("copy")
    shutil.copytree(rig.folder, copy)
    await spend(rig, 1)
    for _ in range(2):
        wipe(rig)
        shutil.copytree(copy, rig.folder)
        await spends_no_more(rig, service)


async def test_a_click_that_waits_in_an_older_copy_and_was_sent_since_is_not_sent_again(
    rig: Rig, service: PaidService
) -> None:
    rig.settings |= {"concurrency": 1}
    copy = rig.folder.with_name("copy")
    service.is_held = True
    async with killed(rig) as runner:
        await visit(runner)
        waits = await visit(runner)
        await until(lambda: len(service.posts()) == 1)
    shutil.copytree(rig.folder, copy)
    service.is_held = False
    async with rig.running() as runner:
        await at_rest(runner)
    assert spent_usd(service) == 2 * COST_USD
    wipe(rig)
    shutil.copytree(copy, rig.folder)
    async with rig.running() as runner:
        await until(lambda: runner._services.pause.history_problem is None)
        await at_rest(runner)
        assert set(await done(runner)) == set(service.posts())
        assert waits in [job.id for job in await runner.owner.all_jobs(ACCOUNT) if job.status is JobStatus.DONE]
        assert (await runner.spending()).spent_today_usd == pytest.approx(2 * COST_USD)
    assert spent_usd(service) == 2 * COST_USD


async def test_a_folder_that_is_there_counts_nothing_twice(rig: Rig, service: PaidService) -> None:
    await spend(rig, 1)
    before = readings(service)
    async with rig.running() as runner:
        await visit(runner)
        await at_rest(runner)
        assert (await runner.spending()).spent_total_usd == pytest.approx(2 * COST_USD)
        assert len(await runner.owner.all_jobs(ACCOUNT)) == 2
    assert readings(service) > before >= 1
    assert spent_usd(service) == 2 * COST_USD


async def test_what_another_program_does_with_the_key_is_left_to_it(rig: Rig, service: PaidService) -> None:
    """Before the newest job here, and after the start, nothing can have been lost here."""
    clocks_s = CLOCKS_S + 30
    await spend(rig, 1)
    (ours,) = service.past
    for name, at in (("before", time.time() - clocks_s), ("after", time.time() + clocks_s)):
        service.past[name] = {**service.past[ours], "created_at": at}
        service._keys[name], service._polls[name] = service._keys[ours], service._polls[ours]
    async with rig.running() as runner:
        await until(lambda: runner.owner.history_state(ACCOUNT).is_read)
        assert len(await runner.owner.all_jobs(ACCOUNT)) == 1
        assert (await runner.spending()).spent_today_usd == pytest.approx(COST_USD)
        assert await runner.owner.find_videos(ACCOUNT) == 2
        assert (await runner.spending()).spent_today_usd == pytest.approx(3 * COST_USD)


@pytest.mark.parametrize("reply", UNREADABLE)
async def test_a_new_page_makes_videos_also_where_the_history_cannot_be_read(
    rig: Rig, service: PaidService, reply: str
) -> None:
    rig.timeouts = SHORT_GETS
    service.on("GET", LIST, UNREADABLE[reply])
    await spend(rig, 1)
    assert spent_usd(service) == COST_USD


async def test_a_history_that_can_be_read_later_counts_from_then_on(
    rig: Rig, service: PaidService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_import, "_TRIES_IF_KEPT", 10_000)
    await spend(rig, 2)
    wipe(rig)
    service.on("GET", LIST, answer(500, {"error": "down"}))
    async with rig.running() as runner:
        await until(lambda: runner.owner.history_state(ACCOUNT).problem)
        assert not runner.owner.history_state(ACCOUNT).is_key_paused
        service.on("GET", LIST, service_again(service))
        await until(lambda: runner.owner.history_state(ACCOUNT).is_read)
        assert await refusal(runner) == "over_daily_limit"


async def test_a_new_page_gives_up_on_a_history_that_is_not_there(
    rig: Rig, service: PaidService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_import, "_TRIES_IF_KEPT", 3)
    service.on("GET", LIST, answer(404, {"error": "not found"}))
    async with rig.running() as runner:
        task = runner._history._task
        assert task is not None
        await until(task.done)
        await visit(runner)
        await at_rest(runner)
    assert readings(service) == 3
    assert spent_usd(service) == COST_USD
