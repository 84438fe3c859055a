from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from hunyuan_ui.access import WRONG_CODES_A_MINUTE
from hunyuan_ui.errors import AccessError, SpendLimitError
from hunyuan_ui.folder import DataFolder
from hunyuan_ui.guard import BREAKER_AFTER
from hunyuan_ui.job import JobStatus, Visitor, new_id
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.runner import JobRunner, open_runner
from hunyuan_ui.settings import Secret, Settings
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
    return open_runner(settings, client=FakeService().client(), folder=folder)


@pytest.fixture
async def public(private: Settings) -> AsyncIterator[JobRunner]:
    runner = opened(replace(private, share=True, daily_limit_usd=100.0))
    await runner.start()
    yield runner
    await runner.stop()


@pytest.fixture(params=["unknown", "everything", "days", "is_paused", "credits", "resume", "settle"])
def question(request: pytest.FixtureRequest) -> str:
    return request.param


async def asked(runner: JobRunner, question: str, visitor: Visitor) -> object:
    options = {"settle": ((new_id(), visitor), {"was_charged": True})}
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
            public.owner.prove(STRANGER, wrong)
        assert caught.value.code == "owner_key_wrong"
        assert KEY not in str(caught.value)
    assert public.owner.prove(STRANGER, f"{KEY}\n").is_owner
    assert public.owner.seen_as(STRANGER).is_owner
    assert not public.owner.seen_as(Visitor.from_token("c" * 32)).is_owner


async def test_the_owners_key_cannot_be_guessed_fast(public: JobRunner) -> None:
    for number in range(WRONG_CODES_A_MINUTE):
        with pytest.raises(SpendLimitError):
            public.owner.prove(Visitor.from_token(f"{number}"), "SG_0000")
    with pytest.raises(SpendLimitError) as caught:
        public.owner.prove(STRANGER, KEY)
    assert caught.value.code == "access_code_attempts"


async def test_a_public_preview_has_no_owner(private: Settings) -> None:
    runner = opened(replace(private, share=True, api_key=None))
    await runner.start()
    try:
        with pytest.raises(AccessError):
            runner.owner.prove(STRANGER, "")
        assert not runner.owner.seen_as(STRANGER).is_owner
    finally:
        await runner.stop()


async def test_the_owner_settles_and_resumes_what_strangers_had_to_stop_for(public: JobRunner) -> None:
    lost = [job(status=JobStatus.UNKNOWN, ended_at=float(number)) for number in range(BREAKER_AFTER)]
    for entry in lost:
        public._means.ledger.adopt(entry)
    with pytest.raises(SpendLimitError) as caught:
        await public.submit(new_id(), VideoRequest.parse({"prompt": "a"}), STRANGER)
    assert caught.value.code == "breaker_open"
    assert public.owner.is_paused(OWNER)
    charged = await public.owner.settle(lost[0].id, OWNER, was_charged=True)
    released = await public.owner.settle(lost[1].id, OWNER, was_charged=False)
    assert (charged.status, released.status) == (JobStatus.LOST, JobStatus.FAILED)
    assert [entry.id for entry in public.owner.unknown(OWNER)] == [lost[2].id]
    await public.owner.resume(OWNER)
    assert not public.owner.is_paused(OWNER)
    await public.submit(new_id(), VideoRequest.parse({"prompt": "a"}), STRANGER)
    today = public.owner.days(OWNER)[-1]
    assert today.spent_microusd == public._means.ledger.totals("").today_microusd > 0
