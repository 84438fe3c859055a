"""A wiped disk with an unreadable history: the owner states what was spent, and who may see the restored jobs."""

from __future__ import annotations

import time
from typing import Any

import pytest

from hunyuan_ui.errors import AccessError, InvalidRequestError
from hunyuan_ui.job import OWNER as ACCOUNT
from hunyuan_ui.job import JobStatus, Visitor, new_id
from hunyuan_ui.jobs import JobRunner
from hunyuan_ui.jobs.my_videos import VideoFilter
from tests.faults.rig import KEY, STRANGER, Rig, click, until
from tests.faults.service import COST_USD, FILE, LIST, PaidService
from tests.faults.wiped import (
    DAY_S,
    PUBLIC,
    at_rest,
    done,
    refusal,
    service_again,
    visit,
    wipe,
)
from tests.faults.wiped import wiped as wiped
from tests.raw_service import answer, html

pytestmark = [pytest.mark.anyio, pytest.mark.faults]


# the owner's statement


async def test_the_owner_says_what_was_spent_and_spending_goes_on(rig: Rig, service: PaidService) -> None:
    service.on("GET", LIST, html(502))
    async with rig.running() as runner:
        await runner.owner.declare_spending(ACCOUNT, 2.0)
        assert (await runner.spending()).spent_today_usd == 2.0
        assert not runner.owner.history_state(ACCOUNT).is_key_paused
        await visit(runner)
        await at_rest(runner)
        assert await refusal(runner) == "over_daily_limit"
        assert (await runner.owner.days(ACCOUNT))[-1].spent_microusd == pytest.approx((2.0 + COST_USD) * 1e6)
    async with rig.running() as runner:  # it was not wiped, so the statement still holds
        assert await refusal(runner) == "over_daily_limit"
        assert not await runner.owner.is_paused(ACCOUNT)
    rig.settings = {**PUBLIC, "storage": "lax"}  # its last writes may be lost
    async with rig.running() as runner:
        assert await refusal(runner) == "history_unread"
    wipe(rig)
    async with rig.running() as runner:
        assert await refusal(runner) == "history_unread"


async def test_a_second_word_replaces_the_first_and_what_is_settled_here_is_part_of_it(
    rig: Rig, service: PaidService
) -> None:
    service.on("GET", LIST, html(502))
    async with rig.running() as runner:
        await runner.owner.declare_spending(ACCOUNT, 1.0)
        await runner.owner.declare_spending(ACCOUNT, 0.5)
        assert (await runner.spending()).spent_today_usd == 0.5
        await visit(runner)
        await at_rest(runner)
        await runner.owner.declare_spending(ACCOUNT, 3.0)
        assert (await runner.spending()).spent_today_usd == 3.0
        await runner.owner.declare_spending(ACCOUNT, 0)
        assert (await runner.spending()).spent_today_usd == COST_USD


@pytest.mark.parametrize("usd", [-0.01, 1_000_001, float("nan"), float("inf"), "3", True, None])
async def test_what_is_no_amount_is_refused_and_the_key_rests_on(rig: Rig, service: PaidService, usd: Any) -> None:
    service.on("GET", LIST, html(502))
    async with rig.running() as runner:
        with pytest.raises(InvalidRequestError):
            await runner.owner.declare_spending(ACCOUNT, usd)
        assert await refusal(runner) == "history_unread"
        assert (await runner.owner.all_jobs(ACCOUNT)) == []


async def test_what_the_history_names_after_all_is_not_counted_beside_the_owners_word(
    rig: Rig, service: PaidService
) -> None:
    async with rig.running() as runner:
        await visit(runner)
        await at_rest(runner)
    wipe(rig)
    noon = time.time() // DAY_S * DAY_S + DAY_S / 2
    rig.now = service.now = lambda: noon
    (request_id,) = service.past
    service.past[request_id]["created_at"] = noon - 7200
    service.on("GET", LIST, html(502))
    async with rig.running() as runner:
        await runner.owner.declare_spending(ACCOUNT, 2.0)
        service.on("GET", LIST, service_again(service))
        await until(lambda: runner.owner.history_state(ACCOUNT).is_read)
        await at_rest(runner)
        assert len(await done(runner)) == 1
        assert (await runner.spending()).spent_today_usd == pytest.approx(2.0)


# access


async def asked(runner: JobRunner, ask: str, visitor: Visitor) -> object:
    found = getattr(runner.owner, ask)(visitor, *([1.0] if ask == "declare_spending" else []))
    return await found if hasattr(found, "__await__") else found


@pytest.mark.parametrize("ask", ["find_videos", "history_state", "declare_spending"])
async def test_a_stranger_is_told_and_believed_nothing(rig: Rig, service: PaidService, ask: str) -> None:
    async with rig.running() as runner:
        for visitor in (STRANGER, runner.owner.seen_as(STRANGER)):
            with pytest.raises(AccessError):
                await asked(runner, ask, visitor)


async def test_who_proved_to_be_the_owner_sees_what_came_back_and_no_strangers_video(
    rig: Rig, service: PaidService
) -> None:
    async with rig.running() as runner:
        await visit(runner)
        await at_rest(runner)
    wipe(rig)
    async with rig.running() as runner:
        own = await visit(runner, payer="nobody")
        await at_rest(runner)
        owner = await runner.owner.prove(STRANGER, KEY)
        for is_everybody in (False, True):
            videos, has_more = await runner.videos.find(owner, VideoFilter(is_everybody=is_everybody))
            assert [video.request.prompt for video in videos] == list(service.posts())[:1]
            assert not has_more
        assert (await runner.videos.one(videos[0].id, owner)).visitor == ACCOUNT.id
        with pytest.raises(AccessError):
            await runner.videos.one(own, owner)
        stranger = Visitor.from_token(new_id())
        with pytest.raises(AccessError):
            await runner.videos.one(videos[0].id, stranger)
        assert await runner.videos.find(stranger) == ([], False)
        await runner.delete(videos[0].id, owner)
        assert await runner.videos.find(owner) == ([], False)


async def test_a_private_run_whose_folder_was_lost_finds_its_videos_when_asked(rig: Rig, service: PaidService) -> None:
    rig.settings = {}
    async with rig.running() as runner:
        for _ in range(2):
            await click(runner)
        await at_rest(runner)
    wipe(rig)
    async with rig.running() as runner:
        await click(runner, payer="owner")
        await at_rest(runner)
        assert len(await runner.owner.all_jobs(ACCOUNT)) == 1  # nothing is restored automatically
        assert service.count("GET", "&model_name=hunyuan-video") == 0
        assert not runner.owner.history_state(ACCOUNT).is_needed
        assert await runner.owner.find_videos(ACCOUNT) == 2
        await at_rest(runner)
        videos, _ = await runner.videos.find(
            Visitor.from_token(new_id(), is_owner=True), VideoFilter(is_everybody=True)
        )
        assert len(videos) == 3
        assert await runner.owner.find_videos(ACCOUNT) == 0


@pytest.mark.parametrize(
    ("settings", "is_needed", "is_read"),
    [
        (PUBLIC, True, True),
        ({**PUBLIC, "storage": "lax"}, True, True),
        ({**PUBLIC, "storage": "kept"}, False, True),
        ({**PUBLIC, "share": False}, False, False),
        ({**PUBLIC, "share": False, "server_name": "0.0.0.0"}, True, True),
        ({**PUBLIC, "share": False, "is_space": True}, True, True),
        ({**PUBLIC, "daily_limit_usd": None}, False, False),
        ({**PUBLIC, "api_key": None}, False, False),
    ],
)
async def test_the_history_is_asked_only_where_the_ledger_may_have_forgotten(
    rig: Rig, service: PaidService, settings: dict[str, Any], is_needed: bool, is_read: bool
) -> None:
    rig.settings = settings
    async with rig.running() as runner:
        assert runner.owner.history_state(ACCOUNT).is_needed == is_needed
    assert (service.count("GET", "&model_name=hunyuan-video") > 0) == is_read


async def test_a_file_that_is_gone_is_named_lost_and_stays_counted(rig: Rig, service: PaidService) -> None:
    async with rig.running() as runner:
        await visit(runner)
        await at_rest(runner)
    wipe(rig)
    service.on("GET", FILE, answer(404))
    async with rig.running() as runner:
        await at_rest(runner)
        assert [job.status for job in (await runner.owner.all_jobs(ACCOUNT))] == [JobStatus.LOST]
        assert (await runner.spending()).spent_today_usd == COST_USD
