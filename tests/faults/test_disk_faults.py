"""Every disk operation fails in turn, once and for a while; then the disk recovers and every job ends."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import sqlite3
from contextlib import suppress
from dataclasses import replace

import pytest

from hunyuan_ui.endpoint.contract import SUBMIT_V2
from hunyuan_ui.errors import StorageError
from hunyuan_ui.job import JobStatus, new_id
from hunyuan_ui.jobs import JobRunner
from tests.faults import oracle
from tests.faults.rig import Dialect, Rig, click, ended, kill, prompt_of, until
from tests.faults.service import PaidService
from tests.raw_service import answer, silence

pytestmark = [pytest.mark.anyio, pytest.mark.faults]

FOR_A_WHILE = 6  # consecutive operations
DISK = ("ledger.", "part_", "library.")


class FailingDisk:
    """Lets a number of operations fail, starting with the nth."""

    def __init__(self, first: int = -1, count: int = 1) -> None:
        self.names: list[str] = []
        self._failing = range(first, first + count)

    def __call__(self, name: str) -> None:
        if not name.startswith(DISK):
            return
        number = len(self.names)
        self.names.append(name)
        if number in self._failing:
            if name.startswith("ledger."):
                raise sqlite3.OperationalError("database or disk is full")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


async def insisting(runner: JobRunner, job_id: str) -> str:
    """Click again, as a person whose click was refused; the id is kept, as on the page."""
    for _ in range(FOR_A_WHILE + 1):
        with suppress(StorageError):
            return await click(runner, job_id)
    raise AssertionError("the disk is well and the click is refused")


async def two_jobs(rig: Rig) -> list[JobStatus]:
    """Make two videos and return how they ended."""
    async with rig.running() as runner:
        ids = [await insisting(runner, new_id()) for _ in range(2)]
        return [(await ended(runner, job_id)).status for job_id in ids]


async def operations(rig: Rig) -> list[str]:
    disk = FailingDisk()
    await two_jobs(Rig(rig.folder.with_name("clean"), rig.origin, rig.dialect, checkpoint=disk))
    return disk.names


@pytest.mark.slow
@pytest.mark.parametrize("dialect", ["v2", "v1"])
async def test_a_disk_that_fails_once_at_any_step_loses_nothing(
    rig: Rig, service: PaidService, lines: io.StringIO, dialect: Dialect
) -> None:
    await _fail_at_every_step(rig, service, lines, dialect, count=1)


@pytest.mark.slow
@pytest.mark.parametrize("dialect", ["v2", "v1"])
async def test_a_disk_that_stays_full_for_a_while_loses_nothing(
    rig: Rig, service: PaidService, lines: io.StringIO, dialect: Dialect
) -> None:
    await _fail_at_every_step(rig, service, lines, dialect, count=FOR_A_WHILE)


async def _fail_at_every_step(
    rig: Rig, service: PaidService, lines: io.StringIO, dialect: Dialect, *, count: int
) -> None:
    rig.dialect = dialect
    names = await operations(rig)
    assert len(names) > 30
    for step, name in enumerate(names):
        service.bill.clear()
        one = Rig(rig.folder.with_name(f"step-{step}"), rig.origin, dialect, checkpoint=FailingDisk(step, count))
        found = await two_jobs(one)
        assert found == [JobStatus.DONE] * 2, f"{name} ({step}): {found}"
        oracle.check(one.folder, service, lines.getvalue())
        assert "job.internal_error" not in lines.getvalue(), f"{name} ({step})"


@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "full"), asyncio.CancelledError()], ids=["full", "killed"])
@pytest.mark.parametrize("step", ["library.poster", "library.sidecar", "library.renamed"])
async def test_v1_bytes_that_came_whole_are_never_asked_for_again(
    rig: Rig, service: PaidService, step: str, fault: BaseException
) -> None:
    faults = [fault]

    def fail_once(name: str) -> None:
        if name == step and faults:
            raise faults.pop()

    service.on("GET", "/*", answer(404, {"error": "nothing is kept"}))
    rig.dialect = "v1"
    runner = replace(rig, checkpoint=fail_once).open()
    await runner.start()
    job_id = await click(runner)
    await until(lambda: not faults)
    if isinstance(fault, OSError):
        assert (await ended(runner, job_id)).status is JobStatus.DONE
    await kill(runner)
    async with rig.running() as runner:
        assert (await ended(runner, job_id)).status is JobStatus.DONE
    oracle.check(rig.folder, service)


async def test_a_disk_that_fails_while_starting_is_for_viewing_and_the_next_start_goes_on(
    rig: Rig, service: PaidService, lines: io.StringIO
) -> None:
    disk = FailingDisk()
    await _leave_work_behind(rig, service)
    async with replace(rig, checkpoint=disk).running():
        pass
    assert disk.names[:6] == [
        f"ledger.{change}.{step}" for change in ("adopt", "unknown") for step in ("begin", "commit", "committed")
    ]
    for step in range(6):
        one = replace(rig, folder=rig.folder.with_name(f"step-{step}"))
        service.bill.clear()
        await _leave_work_behind(one, service)
        async with replace(one, checkpoint=FailingDisk(step, 6)).running() as runner:
            await _end_what_can(runner, one)
        async with one.running() as runner:
            assert (await runner.spending()).problem is None
            await _end_what_can(runner, one)
        jobs = oracle.check(one.folder, service, lines.getvalue())
        assert sorted(job.status.value for job in jobs) == ["done", "unknown"]


async def _leave_work_behind(rig: Rig, service: PaidService) -> None:
    """Kill a runner with one complete but unrecorded file, and one POST without a response."""

    def stop_at(name: str) -> None:
        if name == "journey.stored":
            raise asyncio.CancelledError

    runner = replace(rig, checkpoint=stop_at).open()
    await runner.start()
    stored = await click(runner)
    await until((rig.folder / "videos" / f"{stored}.mp4").exists)
    service.on("POST", SUBMIT_V2, [silence()])
    sent = await click(runner)
    await until(lambda: service.posts()[prompt_of(sent)])
    await kill(runner)


async def _end_what_can(runner: JobRunner, rig: Rig) -> None:
    if runner.is_healthy:
        for job in oracle.stored_jobs(rig.folder):
            await ended(runner, job.id)
