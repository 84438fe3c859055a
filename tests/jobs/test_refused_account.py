"""A queue whose account refuses what its free call knows nothing of."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from hunyuan_ui.endpoint.segmind import EndpointClient
from hunyuan_ui.job import JobStatus, Phase
from hunyuan_ui.settings import Settings
from tests.fake_service import FakeService, answer
from tests.jobs.one_page import VISITOR, until
from tests.jobs.one_runner import clicks, running
from tests.jobs.one_runner import impatient as impatient
from tests.jobs.one_runner import settings as settings
from tests.seen import seen

pytestmark = pytest.mark.anyio

LIMIT = {"error": "Team spend limit reached"}


@pytest.fixture
def service() -> FakeService:
    """A service whose credits are plenty."""
    return FakeService()


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (402, LIMIT),
        (406, LIMIT),
        (402, {"error": "Insufficient credits"}),  # for its price, which is above what is left
        (401, {"error": "Unauthorized"}),
    ],
)
async def test_the_account_of_a_full_balance_fails_one_job_and_the_others_wait(
    settings: Settings, service: FakeService, status: int, body: dict[str, str], concurrency: int
) -> None:
    service.script("submit", *[answer(status, body)] * 9)
    async with running(replace(settings, concurrency=concurrency), service) as runner:
        first, *others = await clicks(runner, 4)
        assert (await runner.wait(first, VISITOR, 10)).status is JobStatus.FAILED
        await until(lambda: service.posts >= 6)
        unsent = {JobStatus.QUEUED, JobStatus.SUBMITTING}
        assert {seen(runner, job_id, VISITOR).job.status for job_id in others} <= unsent
        await until(lambda: any(seen(runner, job_id, VISITOR).phase is Phase.PAUSED for job_id in others))
        for job_id in others:
            assert (await runner.wait(job_id, VISITOR, 10)).status is JobStatus.DONE
    assert len(service.bill) == 3


async def test_a_dear_job_lets_a_cheaper_one_go_and_then_tells_its_visitor(
    settings: Settings, service: FakeService
) -> None:
    refused = answer(402, {"error": "Insufficient credits"})
    service.script("submit", refused, refused, service._submit, refused)
    async with running(replace(settings, concurrency=1), service) as runner:
        first, dear, cheap = await clicks(runner, 3)
        assert (await runner.wait(first, VISITOR, 10)).status is JobStatus.FAILED
        assert (await runner.wait(cheap, VISITOR, 10)).status is JobStatus.DONE
        assert (await runner.wait(dear, VISITOR, 10)).status is JobStatus.FAILED


async def test_a_refusal_that_may_be_of_a_prompt_fails_each_job(settings: Settings, service: FakeService) -> None:
    service.script("submit", *[answer(403, {"error": "This content is not allowed"})] * 2)
    async with running(replace(settings, concurrency=1), service) as runner:
        ended = await asyncio.gather(*(runner.wait(job_id, VISITOR, 10) for job_id in await clicks(runner, 3)))
        assert [job.status for job in ended] == [JobStatus.FAILED, JobStatus.FAILED, JobStatus.DONE]


async def test_a_job_is_paused_with_its_reason_also_while_the_free_call_is_out(
    settings: Settings, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_asked, may_answer = asyncio.Event(), asyncio.Event()
    credits_of = EndpointClient.credits

    async def slow(client: EndpointClient, key: str) -> float:
        is_asked.set()
        await may_answer.wait()
        return await credits_of(client, key)

    monkeypatch.setattr(EndpointClient, "credits", slow)
    service.script("submit", answer(402, LIMIT))
    async with running(replace(settings, concurrency=1), service) as runner:
        first, waiting = await clicks(runner, 2)
        assert (await runner.wait(first, VISITOR, 10)).status is JobStatus.FAILED
        await asyncio.wait_for(is_asked.wait(), 10)
        view = seen(runner, waiting, VISITOR)
        assert (view.phase, view.note and view.note.code) == (Phase.PAUSED, "team_spend_limit")
        may_answer.set()
        assert (await runner.wait(waiting, VISITOR, 10)).status is JobStatus.DONE
