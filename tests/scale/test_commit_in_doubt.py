"""A connection that breaks after a commit and before its response, while the database is down for a moment."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from contextlib import suppress

import psycopg
import pytest

from hunyuan_ui.errors import AccessError, StorageError
from hunyuan_ui.job import JobStatus, new_id
from hunyuan_ui.jobs import JobRunner, replicas
from tests.faults import oracle
from tests.faults.conftest import impatient as impatient
from tests.faults.conftest import service as service
from tests.faults.rig import OWNER, STRANGER, Rig, click, ended, next_job_works, until
from tests.faults.service import PaidService
from tests.postgres_server import PostgresServer
from tests.scale.one_outage import rig as rig
from tests.scale.one_outage import server as server

pytestmark = [pytest.mark.anyio, pytest.mark.faults, pytest.mark.slow]


def breaks_once(server: PostgresServer, name: str) -> Callable[[str], None]:
    """Return a function that stops the server right after the first commit of a name, and breaks the connection."""
    left = [f"ledger.{name}.committed"]

    def at(passed: str) -> None:
        if passed in left:
            left.clear()
            server.stop()
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    return at


@pytest.mark.parametrize("name", ["claim", "running", "downloading", "done"])
async def test_a_step_whose_commit_is_not_known_is_paid_once_and_ends_with_its_video(
    name: str, rig: Rig, server: PostgresServer, service: PaidService, lines: io.StringIO
) -> None:
    rig.checkpoint = breaks_once(server, name)
    async with rig.running() as runner:
        job_id = await click(runner)
        await until(lambda: "ledger.away" in lines.getvalue())
        server.start()
        assert (await ended(runner, job_id)).status is JobStatus.DONE
    assert len(service.bill) == 1
    oracle.check(rig.folder, service, lines.getvalue())


async def refused(runner: JobRunner, server: PostgresServer, lines: io.StringIO) -> str:
    """Press Generate with an unknown outcome of the commit; return the job's id when the server is back."""
    job_id = new_id()
    with pytest.raises(StorageError, match="database_away"):
        await click(runner, job_id)
    await until(lambda: "ledger.away" in lines.getvalue())
    server.start()
    return job_id


async def test_a_click_that_was_refused_is_neither_kept_nor_sent_although_it_was_stored(
    rig: Rig, server: PostgresServer, service: PaidService, lines: io.StringIO
) -> None:
    rig.checkpoint = breaks_once(server, "add")
    async with rig.running() as runner:
        job_id = await refused(runner, server, lines)
        await until(lambda: runner.is_healthy)
        await until(lambda: not runner._replicas.refused)  # type: ignore[union-attr]
        with pytest.raises(AccessError):
            await runner.view(job_id, OWNER)
        assert (await runner.spending()).reserved_today_usd == 0
    async with rig.running() as runner:
        await next_job_works(runner)
    assert len(service.bill) == 1


async def test_a_refused_click_is_taken_back_before_its_process_ends(
    rig: Rig, server: PostgresServer, service: PaidService, lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.checkpoint = breaks_once(server, "add")
    async with rig.running() as runner:
        await until(lambda: runner._replicas._renewed_at > 0)  # type: ignore[union-attr]
        monkeypatch.setattr(replicas, "TICK_S", 600.0)
        await asyncio.sleep(0.2)  # the next check is far away by then
        await refused(runner, server, lines)
        await until(lambda: runner.is_healthy)
    async with rig.running() as runner:
        assert (await runner.spending()).reserved_today_usd == 0
        assert runner._dispatcher.live == {}
    assert len(service.bill) == 0


async def test_a_refused_click_that_cannot_be_taken_back_holds_no_other_job_when_its_process_ends(
    rig: Rig, service: PaidService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hunyuan_ui.ledger.LEASE_S", 600.0)  # nobody takes a job from a process that does not leave

    def busy(*_: str) -> None:
        raise StorageError("ledger_busy")

    service.is_held = True
    rig.settings |= {"concurrency": 1}
    async with rig.running() as other:
        leaving = rig.open()
        await leaving.start()
        ids = [await click(leaving) for _ in range(2)]
        monkeypatch.setattr(leaving._services.ledger, "remove_refused", busy)
        leaving._replicas.refused.add((new_id(), OWNER.id))  # type: ignore[union-attr]
        await leaving.stop()
        service.is_held = False
        for job_id in ids:
            assert (await ended(other, job_id)).status is JobStatus.DONE
    assert len(service.bill) == 2


async def test_a_refused_click_that_is_made_again_is_one_video(
    rig: Rig, server: PostgresServer, service: PaidService, lines: io.StringIO
) -> None:
    rig.checkpoint = breaks_once(server, "add")
    async with rig.running() as runner:
        job_id = await refused(runner, server, lines)
        for _ in range(500):
            with suppress(StorageError):
                await click(runner, job_id)
                break
            await asyncio.sleep(0.02)
        assert (await ended(runner, job_id)).status is JobStatus.DONE
    assert len(service.bill) == 1


async def test_a_refused_click_under_anothers_id_or_that_of_a_job_that_waits_removes_nothing(
    rig: Rig, server: PostgresServer, service: PaidService
) -> None:
    rig.settings |= {"concurrency": 1}
    service.is_held = True
    async with rig.running() as one, rig.running() as other:
        await click(one)
        theirs = await click(one)
        for runner in (one, other):
            runner._replicas.refused |= {(theirs, STRANGER.id), (theirs, OWNER.id)}  # type: ignore[union-attr]
        await until(lambda: not (one._replicas.refused or other._replicas.refused))  # type: ignore[union-attr]
        assert (await other.view(theirs, OWNER)).job.status is JobStatus.QUEUED
        service.is_held = False
        assert (await ended(one, theirs)).status is JobStatus.DONE
