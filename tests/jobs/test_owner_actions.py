from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from hunyuan_ui.credential_attempts import OF_A_VISITOR
from hunyuan_ui.data_folder import DataFolder
from hunyuan_ui.errors import AccessError, SpendLimitError, StorageError
from hunyuan_ui.job import DAY_S, JobStatus, Visitor, new_id
from hunyuan_ui.jobs import JobRunner, build_runner
from hunyuan_ui.jobs.owner_actions import OwnerActions
from hunyuan_ui.limits import BREAKER_AFTER
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.settings import Secret, Settings
from hunyuan_ui.words import words
from tests.fake_service import FakeService
from tests.stored_jobs import job

pytestmark = pytest.mark.anyio

KEY = "SG_00112233aabbccdd"
STRANGER = Visitor.from_token("a" * 32)
OWNER = Visitor.from_token("b" * 32, is_owner=True)


@pytest.fixture
def private(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", api_key=Secret(KEY), poll_interval_s=0.002)


def opened(settings: Settings) -> JobRunner:
    folder = DataFolder(settings.data_dir, min_free_bytes=0)
    return build_runner(settings, client=FakeService().client(), folder=folder)


@pytest.fixture
async def public(private: Settings) -> AsyncIterator[JobRunner]:
    runner = opened(replace(private, share=True, daily_limit_usd=100.0))
    await runner.start()
    yield runner
    await runner.stop()


FOR_ALL = {"can_be_proven", "prove", "seen_as"}
QUESTIONS = sorted(name for name in vars(OwnerActions) if not name.startswith("_") and name not in FOR_ALL)


@pytest.fixture(params=QUESTIONS)
def question(request: pytest.FixtureRequest) -> str:
    return request.param


async def asked(runner: JobRunner, question: str, visitor: Visitor) -> object:
    options: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
        "settle": ((new_id(), visitor), {"was_charged": True}),
        "correct": ((new_id(), visitor), {"cost_usd": 1.0}),
        "confirm": ((new_id(), visitor), {}),
        "declare_spending": ((visitor, 1.0), {}),
    }
    values, named = options.get(question, ((visitor,), {}))
    found = getattr(runner.owner, question)(*values, **named)
    return await found if hasattr(found, "__await__") else found


async def test_a_stranger_is_told_nothing(public: JobRunner, question: str) -> None:
    with pytest.raises(AccessError):
        await asked(public, question, STRANGER)
    with pytest.raises(AccessError):
        await asked(public, question, public.owner.seen_as(STRANGER))


async def test_who_knows_the_key_is_the_owner_of_a_public_run_from_then_on(public: JobRunner) -> None:
    for wrong in ("", KEY[:-1], KEY.lower()):
        with pytest.raises(SpendLimitError) as caught:
            await public.owner.prove(STRANGER, wrong)
        assert caught.value.code == "owner_key_wrong"
        assert KEY not in words().sentence(caught.value)
    assert (await public.owner.prove(STRANGER, f"{KEY}\n")).is_owner
    assert public.owner.seen_as(STRANGER).is_owner
    assert not public.owner.seen_as(Visitor.from_token("c" * 32)).is_owner


async def test_the_owners_key_cannot_be_guessed_fast(public: JobRunner) -> None:
    for _ in range(OF_A_VISITOR.burst):
        with pytest.raises(SpendLimitError):
            await public.owner.prove(STRANGER, "SG_0000")
    with pytest.raises(SpendLimitError) as caught:
        await public.owner.prove(STRANGER, KEY)
    assert caught.value.code == "access_code_attempts"


async def test_a_public_preview_has_no_owner(private: Settings) -> None:
    runner = opened(replace(private, share=True, api_key=None))
    await runner.start()
    try:
        with pytest.raises(AccessError):
            await runner.owner.prove(STRANGER, "")
        assert not runner.owner.seen_as(STRANGER).is_owner
    finally:
        await runner.stop()


async def test_the_owner_settles_and_resumes_what_strangers_had_to_stop_for(public: JobRunner) -> None:
    lost = [job(status=JobStatus.UNKNOWN, ended_at=float(number)) for number in range(BREAKER_AFTER)]
    for entry in lost:
        public._services.ledger.adopt(entry)
    with pytest.raises(SpendLimitError) as caught:
        await public.submit(new_id(), VideoRequest.parse({"prompt": "a"}), STRANGER)
    assert caught.value.code == "breaker_open"
    assert await public.owner.is_paused(OWNER)
    charged = await public.owner.settle(lost[0].id, OWNER, was_charged=True)
    released = await public.owner.settle(lost[1].id, OWNER, was_charged=False)
    assert (charged.status, released.status) == (JobStatus.LOST, JobStatus.FAILED)
    assert [entry.id for entry in await public.owner.unknown(OWNER)] == [lost[2].id]
    await public.owner.resume(OWNER)
    assert not await public.owner.is_paused(OWNER)
    await public.submit(new_id(), VideoRequest.parse({"prompt": "a"}), STRANGER)
    today = (await public.owner.days(OWNER))[-1]
    assert today.spent_microusd == public._services.ledger.totals("").today_microusd > 0


@pytest.mark.parametrize("status", [JobStatus.UNKNOWN, JobStatus.LOST])
async def test_spending_goes_on_whatever_became_of_the_videos_that_stopped_it(
    public: JobRunner, status: JobStatus
) -> None:
    for number in range(BREAKER_AFTER):
        public._services.ledger.adopt(job(status=status, sent_at=1.0, ended_at=float(number)))
    assert await public.owner.is_paused(OWNER)
    await public.owner.resume(OWNER)
    assert not await public.owner.is_paused(OWNER)


@pytest.mark.parametrize(("count", "others", "is_deleted"), [(3, 0, True), (60, 0, False), (3, 60, False)])
async def test_one_resume_is_enough_however_many_there_were_and_if_their_visitors_deleted_them(
    public: JobRunner, count: int, others: int, *, is_deleted: bool
) -> None:
    ledger = public._services.ledger
    lost = [job(status=JobStatus.LOST, sent_at=1.0, ended_at=float(number)) for number in range(count)]
    of_others = [job(status=JobStatus.LOST, payer="visitor", sent_at=1.0, ended_at=1e3) for _ in range(others)]
    for entry in (*lost, *of_others):
        ledger.adopt(entry)
    if is_deleted:
        for entry in lost:
            await public.delete(entry.id, Visitor(entry.visitor))
    assert await public.owner.is_paused(OWNER)
    counted = ledger.totals("").total_microusd
    await public.owner.resume(OWNER)
    assert not await public.owner.is_paused(OWNER)
    assert ledger.totals("").total_microusd == counted


@pytest.mark.parametrize("action", ["settle", "correct", "resume", "set_clock_right"])
async def test_what_a_limit_holds_back_is_looked_at_as_soon_as_the_owner_has_decided(
    public: JobRunner, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    status = JobStatus.UNKNOWN if action == "settle" else JobStatus.DONE
    decided = job(status=status, sent_at=1.0, ended_at=2.0)
    public._services.ledger.adopt(decided)
    monkeypatch.setattr(public.owner._dispatcher, "recheck_limits", recheck := Mock())
    of_job: dict[str, dict[str, Any]] = {"settle": {"was_charged": False}, "correct": {"cost_usd": 1.0}}
    about = (decided.id,) if action in of_job else ()
    await getattr(public.owner, action)(*about, OWNER, **of_job.get(action, {}))
    recheck.assert_called_once_with()


async def test_the_days_are_whole_ones_of_utc(public: JobRunner) -> None:
    now = public._services.ledger.now()
    midnight = now - now % DAY_S
    for at in (midnight - DAY_S - 1, midnight - 1, now):
        public._services.ledger.adopt(job(status=JobStatus.LOST, created_at=at, sent_at=at, ended_at=at))
    assert [day.begins_at for day in await public.owner.days(OWNER, count=1)] == [midnight]
    assert [day.begins_at for day in await public.owner.days(OWNER, count=2)] == [midnight - DAY_S, midnight]


CENTURY_S = 100 * 365.25 * 86_400


@pytest.mark.parametrize("jobs", [0, 1, 2])
async def test_the_owner_sets_right_what_a_clock_a_century_ahead_has_stored(private: Settings, jobs: int) -> None:
    ahead_s = CENTURY_S
    service = FakeService()
    public = replace(private, share=True, daily_limit_usd=100.0)
    folder = DataFolder(private.data_dir, min_free_bytes=0)
    runner = build_runner(
        public, client=service.client(), download=service.download, folder=folder, now=lambda: time.time() + ahead_s
    )
    await runner.start()
    try:
        visitors = [Visitor.from_token(f"{number}") for number in range(jobs)]
        for visitor in visitors:
            await runner.submit(job_id := new_id(), VideoRequest.parse({"prompt": "a"}), visitor)
            assert (await runner.wait(job_id, visitor, 20)).status is JobStatus.DONE
        spent_usd = (await runner.spending()).spent_today_usd
        ahead_s = 0.0
        notice = (await runner.spending()).notice
        assert (notice is not None) == (jobs > 0)
        assert notice is None or (notice.code, notice.facts) == ("clock_ahead", {"days": 36525})
        assert runner.is_healthy
        assert (await runner.spending()).problem is None
        assert runner.owner.clock_ahead_s(OWNER) == pytest.approx(CENTURY_S * (jobs > 0), abs=60)
        assert await runner.owner.set_clock_right(OWNER) == jobs
        assert (await runner.spending()).notice is None
        assert (await runner.spending()).spent_today_usd == spent_usd
        assert [job.created_at for job in (await runner.owner.all_jobs(OWNER))] == [
            pytest.approx(time.time(), abs=60) for _ in visitors
        ]
        await runner.submit(job_id := new_id(), VideoRequest.parse({"prompt": "a"}), STRANGER)
        assert (await runner.wait(job_id, STRANGER, 20)).status is JobStatus.DONE
    finally:
        await runner.stop()


async def test_a_job_under_way_is_asked_about_at_the_usual_pace_after_the_clock_was_set_right(
    private: Settings,
) -> None:
    ahead_s = CENTURY_S
    service = FakeService(polls_needed=10**9)
    settings = replace(private, poll_interval_s=3600.0)
    folder = DataFolder(private.data_dir, min_free_bytes=0)
    runner = build_runner(settings, client=service.client(), folder=folder, now=lambda: time.time() + ahead_s)
    await runner.start()
    try:
        await runner.submit(job_id := new_id(), VideoRequest.parse({"prompt": "a"}), OWNER)
        while not (await runner.view(job_id, OWNER)).job.request_id:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.002)
        ahead_s = 0.0
        assert await runner.owner.set_clock_right(OWNER) == 1
        view = await runner.view(job_id, OWNER)
        assert view.job.created_at == pytest.approx(time.time(), abs=60)
        assert 0 <= view.elapsed_s < 60
    finally:
        await runner.stop()


async def test_no_dates_are_set_right_in_a_folder_that_is_gone(private: Settings) -> None:
    ahead_s = CENTURY_S
    folder = DataFolder(private.data_dir, min_free_bytes=0)
    service = FakeService()
    runner = build_runner(private, client=service.client(), folder=folder, now=lambda: time.time() + ahead_s)
    await runner.start()
    try:
        runner._services.ledger.adopt(job(status=JobStatus.UNKNOWN))
        ahead_s = 0.0
        (private.data_dir / "ledger.lock").unlink()
        with pytest.raises(StorageError) as caught:
            await runner.owner.set_clock_right(OWNER)
        assert caught.value.code == "folder_replaced"
        assert runner.owner.clock_ahead_s(OWNER) > 0
    finally:
        await runner.stop()


async def test_an_amount_that_is_put_right_changes_the_estimate_at_once(
    public: JobRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = job(status=JobStatus.DONE, sent_at=1.0, ended_at=2.0, cost_microusd=1)
    public._services.ledger.adopt(made)
    reload = AsyncMock()
    monkeypatch.setattr(public._services.estimates, "reload", reload)
    await public.owner.correct(made.id, OWNER, cost_usd=1.46)
    reload.assert_awaited_once()


async def test_what_the_owner_notes_is_kept_up_to_its_length(public: JobRunner) -> None:
    made = job(status=JobStatus.DONE, sent_at=1.0, ended_at=2.0, cost_microusd=1)
    public._services.ledger.adopt(made)
    corrected = await public.owner.correct(made.id, OWNER, cost_usd=1.46, note="x" * 501)
    assert [was["note"] for was in corrected.notes["corrections"]] == ["x" * 500]


async def test_what_the_owner_says_was_spent_is_counted_and_no_failed_video(public: JobRunner) -> None:
    await public.owner.declare_spending(OWNER, 5.0)
    totals = public._services.ledger.totals("")
    assert (totals.today_microusd, totals.bad_streak) == (5_000_000, 0)
