"""Processes with different settings on one database: each job continues in one that can send, poll and download it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hunyuan_ui.errors import StorageError
from hunyuan_ui.job import JobStatus
from hunyuan_ui.jobs import JobRunner, data_folder_watch, dispatcher, replicas
from hunyuan_ui.ledger.schema import MIGRATIONS
from hunyuan_ui.settings import Secret
from tests.faults.conftest import impatient as impatient
from tests.faults.conftest import service as service
from tests.faults.rig import OWNER, Dialect, Rig, click, ended, kill, until, without_looks
from tests.faults.service import PaidService
from tests.postgres_server import PostgresServer, rows_of
from tests.stored_jobs import anything_goes, job

pytestmark = [pytest.mark.anyio, pytest.mark.faults, pytest.mark.slow]

KEYLESS: dict[str, Any] = {"api_key": None}


@pytest.fixture
def url(tmp_path: Path, postgres_server: PostgresServer) -> str:
    return postgres_server.url(tmp_path)


@pytest.fixture
def rig(tmp_path: Path, service: PaidService, url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Rig]:
    """Opens runners on one database and one folder, with separate settings."""
    monkeypatch.setattr(dispatcher, "LOOK_EVERY_S", 0.1)
    monkeypatch.setattr(data_folder_watch, "LOOK_EVERY_S", 0.1)

    def rig_of(dialect: Dialect = "v2", **settings: Any) -> Rig:
        settings = {"daily_limit_usd": 1000.0, "concurrency": 1, **settings}
        return Rig(tmp_path / "data", service.origin, dialect, settings=settings, url=Secret(url))

    return rig_of


def status_of(runner: JobRunner, job_id: str) -> JobStatus:
    job = runner._services.ledger.get(job_id)
    assert job is not None
    return job.status


@pytest.mark.parametrize(("dialect", "without"), [("v2", KEYLESS), ("openai", KEYLESS), ("openai", {})], ids=str)
@pytest.mark.parametrize("is_kept", [True, False])
async def test_jobs_of_a_dead_process_go_on_where_there_is_a_key_although_one_without_took_them_first(
    is_kept: bool, dialect: Dialect, without: dict[str, Any], rig: Callable[..., Rig], service: PaidService
) -> None:
    """The one without a key may stay alive, or hand over its jobs."""
    service.is_held = service.engine.is_busy = True
    dead = rig(dialect).open()
    await dead.start()
    sent, waiting = await click(dead), await click(dead)
    await until(lambda: status_of(dead, sent) is JobStatus.RUNNING)
    await kill(dead)
    keyless = rig(**without).open()
    await keyless.start()
    await until(lambda: {sent, waiting} <= set(keyless._dispatcher.live))
    service.is_held = service.engine.is_busy = False
    async with rig(dialect).running() as runner:
        if not is_kept:
            await keyless.stop()
        for job_id in (sent, waiting):
            assert (await ended(runner, job_id)).status is JobStatus.DONE
        if is_kept:
            await until(lambda: not keyless._dispatcher.live)
            await keyless.stop()
    assert len(service.bill) == 2


async def test_a_job_that_ended_elsewhere_between_two_looks_is_let_go_by_the_one_that_waited_for_a_key(
    rig: Callable[..., Rig], service: PaidService, url: str
) -> None:
    service.is_held = True
    dead = rig().open()
    await dead.start()
    sent = await click(dead)
    await until(lambda: status_of(dead, sent) is JobStatus.RUNNING)
    await kill(dead)
    async with rig(**KEYLESS).running() as keyless:
        await until(lambda: not rows_of(url)[0][0]["takes_place"])
        seen = without_looks(keyless)
        service.is_held = False
        async with rig().running() as runner:
            assert (await ended(runner, sent)).status is JobStatus.DONE
        await seen._tick()
        assert keyless._dispatcher.live == {}


async def test_a_preview_of_a_dead_process_ends_where_none_is_offered(
    rig: Callable[..., Rig], service: PaidService
) -> None:
    service.is_held = True
    dead = rig(**KEYLESS).open()
    await dead.start()
    drawn, waiting = await click(dead), await click(dead)
    await until(lambda: status_of(dead, drawn) is JobStatus.RUNNING)
    await kill(dead)
    async with rig().running() as runner:
        for job_id in (drawn, waiting):
            job = await ended(runner, job_id)
            assert (job.status, job.problem and job.problem.code) == (JobStatus.FAILED, "preview_gone")
        service.is_held = False
        assert (await ended(runner, await click(runner))).status is JobStatus.DONE


ELSEWHERE = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("dialect", "settings"),
    [
        ("v2", {"base_url": ELSEWHERE}),
        ("v2", {"base_url": ELSEWHERE, "api_key": None, "server_name": "0.0.0.0"}),
        ("openai", {"engine_url": ELSEWHERE}),
    ],
    ids=["service", "service, on visitors' keys", "engine"],
)
async def test_a_process_that_sends_elsewhere_is_refused_while_another_lives_and_takes_nothing(
    dialect: Dialect, settings: dict[str, Any], rig: Callable[..., Rig], service: PaidService
) -> None:
    service.is_held = service.engine.is_busy = True
    unlike = rig(dialect, **settings)
    async with rig(dialect).running() as runner:
        sent, waiting = await click(runner), await click(runner)
        await until(lambda: status_of(runner, sent) is JobStatus.RUNNING)
        async with unlike.running() as refused:
            assert refused.problem is not None
            assert refused.problem.code == "replica_differs"
            assert refused._dispatcher.live == {}
            assert len(await runner.owner.replicas(OWNER)) == 1
        service.is_held = service.engine.is_busy = False
        for job_id in (sent, waiting):
            assert (await ended(runner, job_id)).status is JobStatus.DONE
    async with unlike.running() as allowed:
        assert allowed.problem is None


async def test_a_process_that_sends_elsewhere_may_start_once_the_lease_of_one_that_died_is_over(
    rig: Callable[..., Rig], url: str
) -> None:
    dead = rig().open()
    await dead.start()
    await kill(dead)
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE workers SET seen_at = seen_at - 60")
    async with rig(base_url=ELSEWHERE).running() as allowed:
        assert allowed.problem is None


async def test_a_process_sends_nothing_more_once_a_newer_version_has_migrated_the_database(
    rig: Callable[..., Rig], service: PaidService, url: str
) -> None:
    """Jobs that it had sent before end with their videos."""
    service.is_held = True
    async with rig().running() as runner:
        sent, waiting = await click(runner), await click(runner)
        await until(lambda: status_of(runner, sent) is JobStatus.RUNNING)
        migrated(url)
        await until(lambda: runner.problem is not None)
        assert runner.problem is not None
        assert runner.problem.code == "ledger_newer"
        with pytest.raises(StorageError, match="ledger_newer"):
            await click(runner)
        service.is_held = False
        assert (await ended(runner, sent)).status is JobStatus.DONE
        assert status_of(runner, waiting) is JobStatus.QUEUED
    assert len(service.bill) == 1


@pytest.mark.parametrize("by", [1, 2, 1000])
async def test_a_newer_version_is_found_out_by_the_step_that_would_send(
    by: int, rig: Callable[..., Rig], service: PaidService, url: str
) -> None:
    async with rig().running() as runner:
        ledger = runner._services.ledger
        migrated(url, by=by)
        waiting, _ = ledger.add(job(), anything_goes)
        with pytest.raises(StorageError, match="ledger_newer"):
            ledger.claim(waiting.id)
        assert status_of(runner, waiting.id) is JobStatus.QUEUED
    assert len(service.bill) == 0


async def test_a_process_keeps_its_lease_and_sees_the_others_after_an_error_that_nobody_foresaw(
    rig: Callable[..., Rig], service: PaidService, lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "RESTART_S", 0.01)
    async with rig().running() as runner:
        seen = runner._replicas
        assert seen is not None
        monkeypatch.setattr(seen._deletions, "tick", fails_at_first(3, seen._deletions.tick))
        await until(lambda: lines.getvalue().count('"replicas.died"') == 3)
        renewed_at = seen._renewed_at
        await until(lambda: seen._renewed_at > renewed_at)
        assert (await ended(runner, await click(runner))).status is JobStatus.DONE
    assert len(service.bill) == 1


def migrated(url: str, *, by: int = 1) -> None:
    """Make the database report that a newer version has migrated it."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO migrations VALUES (%s, 'later', 0)", [len(MIGRATIONS) + by])


def fails_at_first(times: int, call: Callable[[], None]) -> Callable[[], None]:
    """Return a function that raises a number of times before it works."""
    left = [RuntimeError(str(number)) for number in range(times)]

    def tick() -> None:
        if left:
            raise left.pop()
        call()

    return tick
