"""SIGTERM in each phase of a job: the program exits in time and its next start restores everything."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from pathlib import Path

import pytest

from hunyuan_ui.data_folder import DataFolder
from hunyuan_ui.job import JobStatus
from hunyuan_ui.jobs import dispatcher
from tests.faults import oracle
from tests.faults.kill import Program, fork_server
from tests.faults.rig import OWNER, Dialect, Rig, click, ended, until
from tests.faults.service import PaidService
from tests.raw_service import Received, silence

pytestmark = pytest.mark.faults

PHASES: list[tuple[Dialect, str]] = [
    ("v2", "hunyuan-video"),
    ("v2", "/status"),
    ("v2", ".mp4"),
    ("v1", "hunyuan-video"),
]


@pytest.mark.parametrize(("dialect", "ending"), PHASES)
def test_row56_sigterm_ends_in_time_and_loses_nothing(tmp_path: Path, dialect: Dialect, ending: str) -> None:
    with PaidService() as service, fork_server() as forks:
        program = Program(forks, service, tmp_path / "data", dialect)

        def terminate(received: Received) -> None:
            if received.path.endswith(ending):
                service.on_request = lambda _: None
                program.signal(signal.SIGTERM)

        service.on_request = terminate
        began = time.monotonic()
        assert program.run() == 0, program.log
        assert time.monotonic() - began < 20
        oracle.check(program.folder, service, program.log, at_rest=False)
        assert program.run() == 0, program.log
        jobs = oracle.check(program.folder, service, program.log)
    # Only v1 cannot wait for its response, which takes minutes; the next start marks it as unknown.
    allowed = {JobStatus.DONE} if dialect == "v2" else {JobStatus.DONE, JobStatus.UNKNOWN}
    assert {job.status for job in jobs} <= allowed


@pytest.mark.anyio
@pytest.mark.parametrize("dialect", ["v2", "v1"])
async def test_row56_a_service_that_does_not_answer_cannot_hold_a_stop(
    rig: Rig, service: PaidService, dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dispatcher.STOP_WITHIN_S + 1.0 < 10
    monkeypatch.setattr(dispatcher, "STOP_WITHIN_S", 0.1)
    service.on("POST", "/*", silence())
    rig.dialect = dialect
    async with rig.running() as runner:
        job_id = await click(runner)
        waiting = asyncio.ensure_future(runner.wait(job_id, OWNER))
        await until(lambda: service.posts())
        began = time.monotonic()
    assert time.monotonic() - began < 6  # the service would hold it for longer
    assert (await waiting).status is JobStatus.SUBMITTING
    async with rig.running() as runner:
        assert (await ended(runner, job_id)).status is JobStatus.UNKNOWN
    oracle.check(rig.folder, service)


@pytest.mark.anyio
@pytest.mark.parametrize("dialect", ["v2", "v1"])
@pytest.mark.parametrize("step", ["library.poster", "library.sidecar", "library.renamed"])
async def test_row56_a_stop_waits_until_a_video_that_is_being_stored_is_stored(
    rig: Rig, service: PaidService, dialect: Dialect, step: str
) -> None:
    stop: list[asyncio.Task[None]] = []
    goes_on = threading.Event()

    def stop_now(name: str) -> None:
        # In the library's thread, which cannot be cancelled.
        if name == step and not stop:
            asyncio.run_coroutine_threadsafe(begin_to_stop(), loop).result(5)
            goes_on.wait(5)

    async def begin_to_stop() -> None:
        stop.append(asyncio.ensure_future(runner.stop()))

    loop = asyncio.get_running_loop()
    rig.dialect, rig.checkpoint = dialect, stop_now
    runner = rig.open()
    await runner.start()
    job_id = await click(runner)
    await until(lambda: stop)
    await asyncio.wait(stop, timeout=0.2)  # a stop that waits for nothing ends meanwhile
    goes_on.set()
    await stop[0]
    # Stored by the stopping run: the next one does not begin while a thread of this one uses the file.
    assert {job.id: job.status for job in oracle.stored_jobs(rig.folder)} == {job_id: JobStatus.DONE}
    oracle.check(rig.folder, service)


@pytest.mark.anyio
@pytest.mark.parametrize("dialect", ["v2", "v1"])
@pytest.mark.parametrize("step", ["library.poster", "library.sidecar", "library.renamed"])
async def test_row56_no_other_start_gets_the_folder_of_a_thread_that_a_stop_could_not_wait_for(
    rig: Rig, service: PaidService, monkeypatch: pytest.MonkeyPatch, dialect: Dialect, step: str
) -> None:
    monkeypatch.setattr(dispatcher, "STOP_WITHIN_S", 0.1)
    is_there, goes_on = threading.Event(), threading.Event()

    def hold(name: str) -> None:
        if name == step and not is_there.is_set():
            is_there.set()
            goes_on.wait(10)

    rig.dialect, rig.checkpoint = dialect, hold
    runner = rig.open()
    await runner.start()
    job_id = await click(runner)
    await until(is_there.is_set)
    await runner.stop()
    early = DataFolder(rig.folder, min_free_bytes=0)
    goes_on.set()
    assert early.problem is not None
    assert early.problem.code == "ledger_taken"

    def is_free() -> bool:
        folder = DataFolder(rig.folder, min_free_bytes=0)
        folder.close()
        return folder.problem is None

    await until(is_free)
    async with rig.running() as runner:
        assert (await ended(runner, job_id)).status is JobStatus.DONE
    oracle.check(rig.folder, service)


@pytest.mark.anyio
@pytest.mark.parametrize("step", ["journey.accepted", "journey.downloading", "part_opened", "part_written"])
@pytest.mark.usefixtures("database")
async def test_row56_a_stop_waits_for_bytes_that_come_only_once(rig: Rig, service: PaidService, step: str) -> None:
    stop: list[asyncio.Task[None]] = []

    def stop_now(name: str) -> None:
        if name == step and not stop:
            stop.append(asyncio.ensure_future(runner.stop()))

    rig.dialect, rig.checkpoint = "v1", stop_now
    runner = rig.open()
    await runner.start()
    job_id = await click(runner)
    await until(lambda: stop)
    await stop[0]
    assert {job.id: job.status for job in oracle.stored_jobs(rig.folder)} == {job_id: JobStatus.DONE}
    oracle.check(rig.folder, service)


@pytest.mark.anyio
@pytest.mark.parametrize("dialect", ["v2", "v1"])
@pytest.mark.usefixtures("database")
async def test_row56_a_stop_waits_for_the_claim_and_then_sends_nothing(
    rig: Rig, service: PaidService, dialect: Dialect
) -> None:
    stop: list[asyncio.Task[None]] = []

    def stop_now(name: str) -> None:
        # In the ledger's thread: the claim is committed while the stop is already running.
        if name == "ledger.claim.begin":
            asyncio.run_coroutine_threadsafe(begin_to_stop(), loop).result(5)

    async def begin_to_stop() -> None:
        stop.append(asyncio.ensure_future(runner.stop()))
        await asyncio.sleep(0)

    loop = asyncio.get_running_loop()
    rig.dialect, rig.checkpoint = dialect, stop_now
    runner = rig.open()
    await runner.start()
    job_id = await click(runner)
    await until(lambda: stop)
    await stop[0]
    assert service.requests == []
    rig.checkpoint = None
    async with rig.running() as runner:
        assert (await ended(runner, job_id)).status is JobStatus.DONE
    oracle.check(rig.folder, service)
