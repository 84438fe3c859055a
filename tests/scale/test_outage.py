"""The database goes away while videos are being made, and comes back: nothing is sent without a commit or twice."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import time
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from hunyuan_ui.errors import StorageError
from hunyuan_ui.job import JobStatus, new_id
from hunyuan_ui.jobs import Order, replicas
from hunyuan_ui.ledger import postgres
from hunyuan_ui.prompt_list import Reading, read_list
from tests.faults import oracle
from tests.faults.conftest import impatient as impatient
from tests.faults.conftest import service as service
from tests.faults.rig import OWNER, Rig, click, ended, next_job_works, until
from tests.faults.service import PaidService
from tests.postgres_server import PASSWORD, PostgresServer, load_rows, rows_of
from tests.scale.one_outage import rig as rig
from tests.scale.one_outage import server as server
from tests.stored_jobs import url_in

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


def _posts(service: PaidService) -> int:
    return sum(service.billed().values())


@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGINT])
@pytest.mark.parametrize("posts", [1, 9])
async def test_twenty_jobs_survive_a_database_that_is_stopped_and_started(
    rig: Rig, service: PaidService, server: PostgresServer, lines: io.StringIO, posts: int, how: signal.Signals
) -> None:
    async with rig.running() as runner:
        jobs = [await click(runner) for _ in range(20)]
        await until(lambda: _posts(service) >= posts)
        server.stop(how)
        await until(lambda: "ledger.away" in lines.getvalue())
        await until(lambda: runner.problem is not None)  # if a connection breaks in use, the next attempt detects it
        assert runner.problem is not None
        assert runner.problem.code == "database_away"
        assert not runner.is_healthy
        with pytest.raises(StorageError, match="database_away"):
            await click(runner)
        server.start()
        await until(lambda: runner.is_healthy)
        made = [await ended(runner, job_id) for job_id in jobs]
        await until(lambda: runner.problem is None)
        assert runner.is_healthy
        await next_job_works(runner)
    statuses = {job.status for job in made}
    assert statuses <= {JobStatus.DONE, JobStatus.UNKNOWN}
    oracle.check(rig.folder, service, lines.getvalue())
    events = [json.loads(line)["event"] for line in lines.getvalue().splitlines()]
    assert events.count("ledger.away") == events.count("ledger.back") == 1
    assert events.count("replicas.not_seen") <= 2  # cut in use, then away
    assert "other.message" not in events
    assert PASSWORD not in lines.getvalue()


async def test_a_try_that_began_before_the_server_went_away_does_not_say_that_it_is_back(
    tmp_path: Path, postgres_server: PostgresServer
) -> None:
    database = postgres.open_postgres(postgres_server.url(tmp_path))
    with closing(database):
        with database._tried(), pytest.raises(psycopg.OperationalError), database._tried():
            raise psycopg.OperationalError
        assert database.problem is not None
        await until(
            lambda: database._failed_at is not None and time.monotonic() - database._failed_at > postgres.REST_S
        )
        with database._tried():
            pass
        assert database.problem is None


async def test_an_idle_page_notices_by_itself_that_the_database_goes_and_comes_back(
    rig: Rig, server: PostgresServer
) -> None:
    async with rig.running() as runner:
        assert runner.is_healthy
        server.stop()
        await until(lambda: not runner.is_healthy)
        assert runner.problem is not None
        assert runner.problem.code == "database_away"
        server.start()
        await until(lambda: runner.is_healthy)
        await next_job_works(runner)


@pytest.mark.parametrize("table", ["jobs", "workers"])
async def test_a_table_that_another_program_locks_is_told_in_health_which_never_waits_for_it(
    rig: Rig, service: PaidService, table: str
) -> None:
    async with rig.running() as runner:
        await next_job_works(runner)
        url = url_in(rig.folder)
        assert url is not None
        with psycopg.connect(url.reveal()) as connection:
            connection.execute(f"LOCK TABLE {table}".encode())
            longest_s, deadline = 0.0, time.monotonic() + 30
            while runner.problem is None and time.monotonic() < deadline:
                began = time.monotonic()
                await runner.waiting_for_visitor()
                longest_s = max(longest_s, time.monotonic() - began)
                await asyncio.sleep(0.05)
            assert runner.problem is not None
            assert runner.problem.code == "ledger_busy"
            assert longest_s < 2.0
            connection.rollback()
        await until(lambda: runner.problem is None)
        await next_job_works(runner)
    assert set(service.billed().values()) == {1}


async def test_an_idle_page_notices_by_itself_that_the_database_is_read_but_takes_no_change(
    rig: Rig, service: PaidService, server: PostgresServer
) -> None:
    async with rig.running() as runner:
        await next_job_works(runner)
        server.execute("ALTER DATABASE hunyuan SET default_transaction_read_only = on")  # as a standby, or a full disk
        try:
            server.cut()
            await until(lambda: runner.problem is not None and runner.problem.code == "database_refuses")
            with pytest.raises(StorageError, match="database_refuses"):
                await click(runner)
        finally:
            server.execute("ALTER DATABASE hunyuan RESET default_transaction_read_only")
            server.cut()
        await until(lambda: runner.problem is None)
        await next_job_works(runner)
    assert _posts(service) == 2


async def test_nothing_is_sent_while_the_database_is_away(
    rig: Rig, service: PaidService, server: PostgresServer
) -> None:
    async with rig.running() as runner:
        await next_job_works(runner)
        server.stop()
        for _ in range(3):
            with pytest.raises(StorageError, match="database_away"):
                await click(runner)
        assert _posts(service) == 1
        server.start()
        await until(lambda: runner.problem is None)
        await next_job_works(runner)
        assert _posts(service) == 2


@pytest.mark.parametrize("how", ["away", "read-only"])
async def test_a_list_goes_on_by_itself_when_the_database_is_back(
    rig: Rig, service: PaidService, server: PostgresServer, how: str
) -> None:
    prompts = read_list("\n".join(f"a heron, take {number}" for number in range(12)), "herons", Reading())
    async with rig.running() as runner:
        list_id = (await runner.batches.start(prompts, Order(OWNER, budget_usd=100.0))).list_id
        await until(lambda: _posts(service))
        if how == "away":
            server.stop()
        else:
            server.execute("ALTER DATABASE hunyuan SET default_transaction_read_only = on")
            server.cut()
        await until(lambda: runner.problem)
        await asyncio.sleep(1)
        if how == "away":
            server.start()
        else:
            server.execute("ALTER DATABASE hunyuan RESET default_transaction_read_only")
            server.cut()
        await until(lambda: runner.problem is None)
        view = await runner.batches.view(list_id, OWNER, wait_s=30)
    assert (view.is_running, view.problem) == (False, None)
    assert (
        view.done + sum(entry.job is not None and entry.job.status is JobStatus.UNKNOWN for entry in view.entries) == 12
    )
    assert set(service.billed().values()) == {1}
    oracle.check(rig.folder, service)


@pytest.mark.parametrize("at", ["idle", "ledger.add.begin", "ledger.add.commit"])
async def test_a_server_that_stands_still_is_told_in_time_and_the_click_is_one_job(
    rig: Rig, service: PaidService, server: PostgresServer, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    monkeypatch.setattr(postgres, "MOST_SILENT_S", 1.0)
    monkeypatch.setitem(postgres._DEFAULTS, "connect_timeout", 2)

    armed: list[str] = []

    def freeze(name: str) -> None:
        if name in armed:
            armed.clear()
            server.freeze()

    rig.checkpoint = freeze
    async with rig.running() as runner:
        await next_job_works(runner)
        armed.append(at)
        freeze("idle")
        job_id = new_id()
        try:
            with pytest.raises(StorageError, match="database_away"):
                await asyncio.wait_for(click(runner, job_id), 30.0)
            await until(lambda: not runner.is_healthy)
        finally:
            server.thaw()
        await until(lambda: runner.problem is None)
        await click(runner, job_id)
        assert (await ended(runner, job_id)).status is JobStatus.DONE
    assert _posts(service) == 2
    oracle.check(rig.folder, service)


async def test_a_click_whose_commit_got_no_answer_is_one_job(
    rig: Rig, service: PaidService, server: PostgresServer
) -> None:
    def stop(name: str) -> None:
        if name == "ledger.add.committed":
            rig_stop()

    def rig_stop() -> None:
        server.stop()
        server.start()

    rig.checkpoint = stop
    async with rig.running() as runner:
        job_id = new_id()
        await click(runner, job_id)
        await click(runner, job_id)
        assert (await ended(runner, job_id)).status is JobStatus.DONE
    assert _posts(service) == 1
    oracle.check(rig.folder, service)


async def test_a_connection_that_is_cut_between_two_changes_is_made_anew(
    rig: Rig, service: PaidService, server: PostgresServer
) -> None:
    async with rig.running() as runner:
        await next_job_works(runner)
        server.cut()
        await next_job_works(runner)
        assert runner.problem is None
        assert [job.status for job in await runner.jobs(OWNER)] == [JobStatus.DONE] * 2


async def test_a_database_that_is_set_back_under_a_running_page_is_not_spent_from(
    rig: Rig, service: PaidService, server: PostgresServer
) -> None:
    url = server.url(rig.folder)
    async with rig.running() as runner:
        before = rows_of(url)
        await ended(runner, await click(runner))
        await until(lambda: not runner._dispatcher.live)
        await asyncio.sleep(5 * replicas.TICK_S)  # jobs that it had at its last check it would store again
        newer = rows_of(url)
        load_rows(url, before)
        await until(lambda: runner.problem is not None)
        assert runner.problem is not None
        assert runner.problem.code == "database_set_back"
        assert not runner.is_healthy
        with pytest.raises(StorageError, match="database_set_back"):
            await click(runner)
        load_rows(url, newer)
        await until(lambda: runner.problem is None)
        await next_job_works(runner)
        load_rows(url, before)
    posts = _posts(service)
    async with rig.running() as runner:
        assert runner.problem is not None
        assert runner.problem.code == "ledger_damaged"
        with pytest.raises(StorageError, match="ledger_damaged"):
            await click(runner)
        await runner.owner.resume(OWNER)
        await next_job_works(runner)
    assert _posts(service) == posts + 1
