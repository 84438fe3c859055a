"""An engine that counts its jobs' ids, and begins anew at each of its starts."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from hunyuan_ui.errors import AccessError
from hunyuan_ui.job import JobStatus
from tests import engines
from tests.faults.conftest import impatient as impatient
from tests.faults.conftest import rig as rig
from tests.faults.conftest import service as service
from tests.faults.one_engine import engine as engine
from tests.faults.one_engine import running
from tests.faults.rig import OWNER, Rig, click, ended, next_job_works
from tests.faults.service import PaidService

pytestmark = [pytest.mark.anyio, pytest.mark.faults]


@pytest.fixture(params=sorted(engines.KINDS))
def counting(engine: PaidService, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> PaidService:
    """An engine of each kind, but for its ids."""
    numbers = itertools.count(1)
    quirks = replace(engines.KINDS[request.param], new_id=lambda: str(next(numbers)))
    monkeypatch.setitem(engines.KINDS, request.param, quirks)
    engine.engine.kind = request.param
    return engine


def start_anew(service: PaidService, monkeypatch: pytest.MonkeyPatch) -> None:
    """Restart it."""
    numbers = itertools.count(1)
    kind = service.engine.kind
    monkeypatch.setitem(engines.KINDS, kind, replace(engines.KINDS[kind], new_id=lambda: str(next(numbers))))
    service.engine.restart()
    service.engine.asked.clear()


async def test_videos_are_made_after_its_restart_under_the_ids_of_those_before(
    rig: Rig, counting: PaidService, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig.running() as runner:
        for _ in range(2):
            for _ in range(2):
                await next_job_works(runner)
            start_anew(counting, monkeypatch)
        job = await ended(runner, await click(runner))
        assert (job.status, job.request_id) == (JobStatus.DONE, "1")


async def test_the_id_of_a_job_that_is_still_asked_about_is_in_doubt(
    rig: Rig, counting: PaidService, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting.engine.is_busy = True
    async with rig.running() as runner:
        before = await running(runner)
        numbers = itertools.repeat("1")
        kind = counting.engine.kind
        monkeypatch.setitem(engines.KINDS, kind, replace(engines.KINDS[kind], new_id=lambda: next(numbers)))
        job = await ended(runner, await click(runner))
        assert (job.status, job.problem.code if job.problem else "") == (JobStatus.UNKNOWN, "request_id_reused")
        counting.engine.is_busy = False
        assert not (await ended(runner, before)).is_active


@pytest.mark.parametrize("is_taken", [True, False])
async def test_a_lost_video_is_not_looked_for_under_an_id_that_is_another_ones_by_now(
    rig: Rig, counting: PaidService, monkeypatch: pytest.MonkeyPatch, *, is_taken: bool
) -> None:
    counting.engine.is_busy = True
    async with rig.running() as runner:
        lost = await running(runner)
        start_anew(counting, monkeypatch)
        assert (await ended(runner, lost)).status is JobStatus.LOST
        counting.engine.is_busy = False
        if is_taken:
            await next_job_works(runner)
            with pytest.raises(AccessError, match="cannot_look_again"):
                await runner.retry_lost(lost, OWNER)
        else:
            await runner.retry_lost(lost, OWNER)
        assert (await ended(runner, lost)).status is JobStatus.LOST
