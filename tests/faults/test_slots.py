"""Slots: a job that the service never ends, or whose file cannot be fetched, holds up nobody."""

from __future__ import annotations

from dataclasses import replace
from threading import Event

import pytest

from hunyuan_ui.endpoint.contract import SUBMIT_V2
from hunyuan_ui.job import JobStatus, Phase, Visitor
from tests.engines import VIDEOS
from tests.faults.rig import OWNER, Dialect, Rig, click, ended, until
from tests.faults.service import FILE, HISTORY, NOT_FOUND, PaidService
from tests.raw_service import Received, Reply, Wire, answer, html
from tests.seen import seen

pytestmark = [pytest.mark.faults, pytest.mark.anyio]
ON_BOTH = pytest.mark.usefixtures("database")
PUBLIC = {"server_name": "0.0.0.0", "daily_limit_usd": 200.0, "visitor_daily_videos": 100, "concurrency": 1}
ENDLESS: dict[str, Reply] = {
    "rendering": answer(200, {"id": "a" * 32, "status": "PROCESSING"}),
    "an unknown word": answer(200, {"id": "a" * 32, "status": "DREAMING"}),
    "the key revoked": answer(401, {"error": "Unauthorized"}),
    "no answer of use": html(502),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ENDLESS)
@pytest.mark.parametrize("dialect", ["v2", "openai"])
@ON_BOTH
async def test_a_job_that_never_ends_gives_its_place_back(
    rig: Rig, service: PaidService, dialect: Dialect, name: str
) -> None:
    clock = [1_000_000.0]
    rig = replace(rig, now=lambda: clock[0], dialect=dialect, settings=PUBLIC)
    post, status = (SUBMIT_V2, "/v2/requests/*") if dialect == "v2" else (VIDEOS, f"{VIDEOS}/*")
    service.on("POST", post, [answer(200, {"id": "a" * 32, "request_id": "a" * 32, "status": "QUEUED"})])
    service.on("GET", status.replace("*", "a" * 32) + "*", ENDLESS[name])
    service.on("GET", HISTORY.replace("*", "request-history/" + "a" * 32), NOT_FOUND)
    async with rig.running() as runner:
        stuck = await click(runner, visitor=Visitor.from_token("1" * 32))
        await until(lambda: seen(runner, stuck, OWNER).job.status is JobStatus.RUNNING)
        waiting = await click(runner, visitor=Visitor.from_token("2" * 32))
        await until(lambda: sum("a" * 32 in one.path for one in list(service.requests)) > 4)
        assert seen(runner, waiting, OWNER).job.status is JobStatus.QUEUED, "the service still works on the first"
        clock[0] += 4 * 3600
        assert (await ended(runner, waiting)).status is JobStatus.DONE
        assert seen(runner, stuck, OWNER).job.status is JobStatus.RUNNING
    async with rig.running() as runner:
        assert (await ended(runner, await click(runner))).status is JobStatus.DONE, "after a restart, too"


async def test_a_slow_download_gives_its_place_back(
    rig: Rig, service: PaidService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hunyuan_ui.jobs.live_job.SLOW_DOWNLOAD_S", 0.05)
    rig = replace(rig, settings=PUBLIC)
    goes_on = Event()

    def act(wire: Wire, received: Received) -> None:
        goes_on.wait(30.0)
        service.behave(received).act(wire, received)

    service.on("GET", FILE, [Reply(act)])
    async with rig.running() as runner:
        slow = await click(runner, visitor=Visitor.from_token("1" * 32))
        await until(lambda: seen(runner, slow, OWNER).job.status is JobStatus.DOWNLOADING)
        other = await click(runner, visitor=Visitor.from_token("2" * 32))
        assert (await ended(runner, other)).status is JobStatus.DONE
        assert seen(runner, slow, OWNER).job.status is JobStatus.DOWNLOADING
        goes_on.set()
        assert (await ended(runner, slow)).status is JobStatus.DONE


@ON_BOTH
async def test_a_visitors_failing_download_does_not_hold_up_their_next_video(
    rig: Rig, service: PaidService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hunyuan_ui.jobs.job_run.backoff_s", lambda *_, **__: 30.0)
    clock = [1_000_000.0]
    rig = replace(rig, now=lambda: clock[0], settings=PUBLIC)
    service.on("GET", FILE, [html(502)])
    async with rig.running() as runner:
        visitor = Visitor.from_token("1" * 32)
        stuck = await click(runner, visitor=visitor)
        await until(lambda: seen(runner, stuck, OWNER).retry_in_s is not None)
        clock[0] += 60
        assert (await ended(runner, await click(runner, visitor=visitor))).status is JobStatus.DONE
        assert seen(runner, stuck, OWNER).phase is Phase.DOWNLOADING
