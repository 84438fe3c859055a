"""Jobs whose service cannot be reached: the first one fails, and the others wait until it can be."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ssl import SSLError

import httpx
import pytest

from hunyuan_ui.job import JobStatus, Phase, new_id
from hunyuan_ui.jobs import JobRunner, wait_times
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.settings import Settings
from hunyuan_ui.words import words
from tests.fake_service import FakeService
from tests.jobs.one_page import KEY, VISITOR, until
from tests.jobs.one_runner import clicks, running
from tests.jobs.one_runner import impatient as impatient
from tests.jobs.one_runner import settings as settings
from tests.seen import seen

pytestmark = pytest.mark.anyio


class Network(FakeService):
    """A service that cannot be reached while `is_away`."""

    is_away = True
    error: Exception = httpx.ConnectError("broken")
    attempts = 0

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.attempts += request.method == "POST"
        if self.is_away:
            raise self.error
        return super()._answer(request)


@pytest.fixture(autouse=True)
def soon(impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connect again soon."""
    monkeypatch.setattr(wait_times, "AWAY_CHECK_S", 0.05)


@pytest.fixture
def service() -> Network:
    """A service that is away."""
    return Network()


def told(runner: JobRunner, job_id: str) -> str:
    """Return the code that a job's card names."""
    note = seen(runner, job_id, VISITOR).note
    return "" if note is None else note.code


def broken_tls() -> Exception:
    error = httpx.ConnectError("broken")
    error.__cause__ = SSLError("broken")
    return error


@pytest.mark.slow
@pytest.mark.parametrize("dialect", ["v1", "v2"])
@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (httpx.ConnectError("refused"), "unreachable"),
        (httpx.ConnectTimeout("late"), "unreachable"),
        (broken_tls(), "tls_failed"),
    ],
)
async def test_one_job_fails_and_the_others_go_in_their_order_once_the_service_is_back(
    settings: Settings, service: Network, error: Exception, code: str, concurrency: int, dialect: str
) -> None:
    service.error = error
    async with running(replace(settings, concurrency=concurrency, dialect=dialect), service) as runner:
        ids = await clicks(runner, 5)
        await until(lambda: service.attempts >= 12)
        ended = [seen(runner, job_id, VISITOR).job for job_id in ids if not seen(runner, job_id, VISITOR).job.is_active]
        assert [(job.status, job.problem.code if job.problem else "") for job in ended] == [(JobStatus.FAILED, code)]
        others = [job_id for job_id in ids if job_id != ended[0].id]
        await until(lambda: {told(runner, job_id) for job_id in others} == {f"{code}_unsent"})
        await runner.cancel(cancelled := others.pop(), VISITOR)
        service.is_away = False
        for job_id in others:
            assert (await runner.wait(job_id, VISITOR, 10)).status is JobStatus.DONE
        assert (await runner.wait(cancelled, VISITOR, 10)).status is JobStatus.CANCELLED
    assert sorted(body["prompt"] for body in service.bill) == sorted(others)
    if concurrency == 1:
        assert [body["prompt"] for body in service.bill] == others


async def test_whoever_clicks_while_the_service_is_away_is_told_at_once(
    settings: Settings, service: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait_times, "AWAY_CHECK_S", 60.0)
    async with running(settings, service) as runner:
        (first,) = await clicks(runner, 1)
        assert (await runner.wait(first, VISITOR, 10)).status is JobStatus.FAILED
        before = service.attempts
        (later,) = await clicks(runner, 1)
        view = seen(runner, later, VISITOR)
        assert (view.phase, told(runner, later)) == (Phase.PAUSED, "unreachable_unsent")
        assert view.note is not None
        assert "Nothing was sent or charged" in words().sentence(view.note)
        await asyncio.sleep(0.05)
        assert service.attempts == before
        assert (await runner.cancel(later, VISITOR)).status is JobStatus.CANCELLED


async def test_one_at_a_time_tries_to_connect(settings: Settings, service: Network) -> None:
    async with running(replace(settings, concurrency=4), service) as runner:
        ids = await clicks(runner, 8)
        await until(lambda: any(not seen(runner, job_id, VISITOR).job.is_active for job_id in ids))
        await until(lambda: all(told(runner, i) for i in ids))
        at, before = asyncio.get_running_loop().time(), service.attempts
        await asyncio.sleep(0.4)
        rounds = (asyncio.get_running_loop().time() - at) / 0.05
        assert service.attempts - before <= rounds + 3


async def test_jobs_of_a_visitors_own_key_wait_as_well(settings: Settings, service: Network) -> None:
    settings = replace(settings, share=True, api_key=None)
    service.is_away = False
    async with running(settings, service) as runner:
        visitors = [runner.visitor(new_id()) for _ in range(3)]
        ids = [new_id() for _ in visitors]
        for visitor in visitors:
            await runner.keys.remember(KEY, visitor)
        service.is_away = True
        for job_id, visitor in zip(ids, visitors, strict=True):
            await runner.submit(job_id, VideoRequest(prompt=job_id), visitor)
        await until(lambda: service.attempts >= 12)
        service.is_away = False
        ended = [await runner.wait(job_id, visitor, 10) for job_id, visitor in zip(ids, visitors, strict=True)]
        assert sorted(job.status.value for job in ended) == ["done", "done", "failed"]


async def test_a_restart_does_not_cost_the_next_one_its_attempts(settings: Settings, service: Network) -> None:
    async with running(replace(settings, concurrency=1), service) as runner:
        first, second = await clicks(runner, 2)
        await until(lambda: bool(told(runner, second)) and service.attempts >= 6)
        assert not seen(runner, first, VISITOR).job.is_active
    service.is_away = False
    async with running(replace(settings, concurrency=1), service) as runner:
        assert (await runner.wait(second, VISITOR, 10)).status is JobStatus.DONE
