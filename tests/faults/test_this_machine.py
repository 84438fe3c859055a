"""Faults of this machine: space, permissions, clock, tabs, processes, locks (docs/facts/faults-and-security.md 3d)."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from hunyuan_ui.endpoint.contract import SUBMIT_V2
from hunyuan_ui.errors import AccessError, StorageError
from hunyuan_ui.job import JobStatus, Phase, new_id
from hunyuan_ui.jobs import dispatcher
from hunyuan_ui.jobs.dispatcher import Dispatcher
from hunyuan_ui.ledger import sqlite
from hunyuan_ui.words import words
from tests.faults import oracle
from tests.faults.disks import Disk, InjectedDisk, RealDisk, may_mount
from tests.faults.kill import Program, fork_server
from tests.faults.rig import OWNER, STRANGER, Rig, click, ended, kill, next_job_works, until
from tests.faults.service import FILE, STATUS, PaidService
from tests.raw_service import answer, rate_limited
from tests.seen import seen

pytestmark = [pytest.mark.anyio, pytest.mark.faults]

DAY_S = 86_400


async def refused(rig: Rig, code: str) -> None:
    """Start a runner that must show its jobs, refuse to spend, and say why."""
    async with rig.running() as runner:
        assert (await runner.newest(OWNER)) is not None
        with pytest.raises(StorageError) as caught:
            await click(runner)
        assert caught.value.code == code


async def one_video(rig: Rig) -> str:
    async with rig.running() as runner:
        job_id = await click(runner)
        assert (await ended(runner, job_id)).status is JobStatus.DONE
    return job_id


async def test_row43_a_disk_without_room_refuses_to_spend(rig: Rig, service: PaidService) -> None:
    await one_video(rig)
    await refused(replace(rig, min_free_bytes=2**60), "disk_full")
    assert len(service.bill) == 1
    await one_video(rig)
    oracle.check(rig.folder, service)


@pytest.fixture(params=["injected", *(["real"] if may_mount() else [])])
def disk(request: pytest.FixtureRequest, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """The disk under the data folder: a separate small one if mounting is allowed, and injected errors otherwise."""
    if request.param == "injected":
        yield InjectedDisk(rig, monkeypatch)
        return
    rig.folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(rig.folder)], check=True)
    yield RealDisk(rig.folder)
    subprocess.run(["umount", "-l", str(rig.folder)], check=True)


async def test_row44_a_full_disk_keeps_the_paid_video_waiting(rig: Rig, service: PaidService, disk: Disk) -> None:
    async with rig.running() as runner:
        service.on("GET", STATUS, answer(200, {"status": "PROCESSING"}))
        job_id = await click(runner)
        await until(lambda: seen(runner, job_id, OWNER).phase is Phase.RENDERING)
        disk.fill()
        service.on("GET", STATUS, answer(200, {"status": "COMPLETED"}))
        await until(lambda: seen(runner, job_id, OWNER).note)
        with pytest.raises(StorageError, match="disk_full"):
            await click(runner)
        assert (await runner.view(job_id, OWNER)).job.is_active
        disk.heal()
        assert (await ended(runner, job_id)).status is JobStatus.DONE
        await next_job_works(runner)
    oracle.check(rig.folder, service)


def to_a_missing_disk(videos: Path) -> None:
    videos.symlink_to(videos.parent / "away" / "videos")


def to_a_file(videos: Path) -> None:
    videos.write_text("x")


@pytest.mark.parametrize("spoil", [to_a_missing_disk, to_a_file])
@pytest.mark.parametrize("when", ["before the start", "while it runs", "while one waits"])
async def test_row46_a_folder_of_videos_that_takes_none_refuses_to_spend_until_it_does(
    rig: Rig, service: PaidService, spoil: Callable[[Path], None], when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "LOOK_EVERY_S", 0.01)
    rig.settings = {"concurrency": 1}
    videos = rig.folder / "videos"
    rig.folder.mkdir()
    if when == "before the start":
        spoil(videos)
    async with rig.running() as runner:
        waiting: list[str] = []
        if when == "while one waits":
            service.on("GET", STATUS, answer(200, {"status": "PROCESSING"}))
            waiting = [await click(runner), await click(runner)]
            await until(lambda: seen(runner, waiting[0], OWNER).job.request_id)
        if when != "before the start":
            videos.rmdir()
            spoil(videos)
        posts = len(service.bill)
        with pytest.raises(StorageError, match="videos_not_writable"):
            await click(runner)
        assert not runner.is_healthy
        if waiting:
            service.on("GET", STATUS, answer(200, {"status": "COMPLETED"}))
            await until(lambda: (note := seen(runner, waiting[1], OWNER).note) and note.code == "videos_not_writable")
            assert seen(runner, waiting[0], OWNER).job.is_active
        assert len(service.bill) == posts
        videos.unlink()
        for job_id in waiting:
            assert (await ended(runner, job_id)).status is JobStatus.DONE
        await until(lambda: runner.is_healthy)
        await next_job_works(runner)
    oracle.check(rig.folder, service)


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.EFBIG, errno.EIO])
async def test_row46_a_disk_that_takes_all_but_videos_refuses_to_spend_until_one_is_stored(
    rig: Rig, service: PaidService, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "LOOK_EVERY_S", 0.01)
    refusing = [number]  # a quota, or the system's limit on a file, leaves room for every small test write

    def take_no_video(name: str) -> None:
        if name == "part_written" and refusing:
            raise OSError(number, os.strerror(number))

    async with replace(rig, settings={"concurrency": 1}, checkpoint=take_no_video).running() as runner:
        paid, waiting = await click(runner), await click(runner)
        await until(lambda: (note := seen(runner, waiting, OWNER).note) and note.code == "videos_not_writable")
        with pytest.raises(StorageError, match="videos_not_writable"):
            await click(runner)
        assert not runner.is_healthy
        assert len(service.bill) == 1
        refusing.clear()
        for job_id in (paid, waiting):
            assert (await ended(runner, job_id)).status is JobStatus.DONE
        await until(lambda: runner.is_healthy)
        await next_job_works(runner)
    oracle.check(rig.folder, service)


async def test_row45_a_start_on_a_full_disk_shows_what_is_there(rig: Rig, service: PaidService, disk: Disk) -> None:
    job_id = await one_video(rig)
    (rig.folder / "ballast").unlink()
    disk.fill()
    await refused(rig, "disk_full")
    disk.heal()
    async with rig.running() as runner:
        assert (await runner.video_path(job_id, OWNER)).is_file()
        await next_job_works(runner)
    oracle.check(rig.folder, service)


async def test_row46_a_read_only_folder_is_for_viewing(rig: Rig, service: PaidService, disk: Disk) -> None:
    job_id = await one_video(rig)
    disk.forbid_writing()
    await refused(rig, "disk_read_only")
    async with rig.running() as runner:
        assert (await runner.video_path(job_id, OWNER)).is_file()
        assert (await runner.view(job_id, OWNER)).phase is Phase.ENDED
    disk.heal()
    await one_video(rig)
    oracle.check(rig.folder, service)


async def test_row47_a_clock_that_jumps_opens_no_second_day_and_loses_no_video(rig: Rig, service: PaidService) -> None:
    clock = [20_000.0 * DAY_S + DAY_S / 2]
    rig.now = lambda: clock[0]
    async with rig.running() as runner:
        for jump in (0, -3 * DAY_S, 30 * DAY_S, -60 * DAY_S):
            service.on("GET", FILE, [answer(500)] * 2)
            job_id = await click(runner)
            await until(lambda: service.posts()[f"a heron, take {job_id}"])  # noqa: B023 - used at once
            before = (await runner.spending()).spent_today_usd
            clock[0] += jump
            after = (await runner.spending()).spent_today_usd
            assert after >= before if jump <= 0 else after <= before
            assert (await ended(runner, job_id)).status is JobStatus.DONE
    async with rig.running() as runner:
        assert (await runner.spending()).spent_today_usd > 0
        await next_job_works(runner)
    oracle.check(rig.folder, service)


@pytest.mark.parametrize("is_restarted", [False, True], ids=["while it waits", "before a restart"])
@pytest.mark.parametrize("jump", [-DAY_S, DAY_S], ids=["back", "ahead"])
async def test_row47_a_job_told_to_wait_is_not_kept_waiting_by_a_clock_that_jumps(
    rig: Rig, service: PaidService, is_restarted: bool, jump: float
) -> None:
    clock = [20_000.0 * DAY_S]
    rig.now = lambda: clock[0]
    service.on("POST", SUBMIT_V2, [rate_limited("retry-after", 1)])
    runner = rig.open()
    await runner.start()
    job_id = await click(runner)
    await until(lambda: seen(runner, job_id, OWNER).retry_in_s)
    if is_restarted:
        await kill(runner)
    clock[0] += jump
    if is_restarted:
        runner = rig.open()
        await runner.start()
    job = await ended(runner, job_id)
    assert (job.status, service.posts()[job.request.prompt]) == (JobStatus.DONE, 2)
    await next_job_works(runner)
    await runner.stop()
    oracle.check(rig.folder, service)


async def test_row47_a_clock_that_runs_backwards_puts_nothing_before_what_was_earlier(
    rig: Rig, service: PaidService
) -> None:
    clock = [20_000.0 * DAY_S]
    rig.now = lambda: clock[0]
    async with rig.running() as runner:
        ids: list[str] = []
        service.on("GET", STATUS, answer(200, {"status": "PROCESSING"}))
        for _ in range(3):
            ids.append(await click(runner))
            await until(lambda: seen(runner, ids[-1], OWNER).phase is Phase.RENDERING)
            clock[0] -= 3 * DAY_S
            assert (await runner.view(ids[-1], OWNER)).elapsed_s >= 0
        service.on("GET", STATUS, answer(200, {"status": "COMPLETED"}))
        for job_id in ids:
            job = await ended(runner, job_id)
            assert job.sent_at is not None
            assert job.ended_at is not None
            assert job.created_at <= job.sent_at <= job.ended_at
        made = [(await runner.view(job_id, OWNER)).job.created_at for job_id in ids]
        assert made == sorted(made)
        # The days before the first click stay empty.
        assert [day.begins_at for day in (await runner.owner.days(OWNER))] == [20_000.0 * DAY_S]
    oracle.check(rig.folder, service)


async def test_row48_a_tab_that_was_closed_finds_its_job_again(rig: Rig, service: PaidService) -> None:
    async with rig.running() as runner:
        asked = asyncio.ensure_future(click(runner))
        await until(lambda: runner._services.ledger.jobs(OWNER.id))
        asked.cancel()  # the tab closes as soon as its click is stored
        await until(lambda: runner._services.ledger.jobs(OWNER.id))
        job = await runner.newest(OWNER)
        assert job is not None
        assert (await ended(runner, job.id)).status is JobStatus.DONE
        with pytest.raises(AccessError):
            await runner.view(job.id, STRANGER)
    oracle.check(rig.folder, service)


async def test_row48_a_cancel_whose_tab_goes_away_is_still_a_cancel(rig: Rig, service: PaidService) -> None:
    service.on("GET", STATUS, answer(200, {"status": "PROCESSING"}))
    rig.settings = {"concurrency": 1}
    async with rig.running() as runner:
        sent, waiting = await click(runner), await click(runner)
        await until(lambda: seen(runner, sent, OWNER).phase is Phase.RENDERING)
        asked = asyncio.ensure_future(runner.cancel(waiting, OWNER))
        await asyncio.sleep(0)
        asked.cancel()
        assert (await ended(runner, waiting)).status is JobStatus.CANCELLED
        service.on("GET", STATUS, answer(200, {"status": "COMPLETED"}))
        assert (await ended(runner, sent)).status is JobStatus.DONE
    oracle.check(rig.folder, service)


async def test_row49_a_double_click_is_one_job(rig: Rig, service: PaidService) -> None:
    job_id = new_id()
    async with rig.running() as runner:
        await asyncio.gather(*(click(runner, job_id) for _ in range(50)))
        assert (await ended(runner, job_id)).status is JobStatus.DONE
        assert len(service.bill) == 1
        with pytest.raises(AccessError):
            await click(runner, job_id, STRANGER)
    oracle.check(rig.folder, service)


async def test_row51_a_second_process_only_shows(rig: Rig, service: PaidService, tmp_path: Path) -> None:
    async with rig.running() as runner:
        service.on("GET", STATUS, answer(200, {"status": "PROCESSING"}))
        job_id = await click(runner)
        await until(lambda: seen(runner, job_id, OWNER).phase is Phase.RENDERING)
        second = Rig(rig.folder, rig.origin)
        async with second.running() as other:
            assert (await other.view(job_id, OWNER)).phase is Phase.RENDERING
            assert not other.is_healthy
            assert other.problem is not None
            assert "start this one again" in words("en").sentence(other.problem)  # it takes over by itself in no case
        await refused(second, "ledger_taken")
        with fork_server() as forks:
            program = Program(forks, service, rig.folder, jobs=[new_id()])
            assert await asyncio.to_thread(program.run) != 0
        service.on("GET", STATUS, answer(200, {"status": "COMPLETED"}))
        assert (await ended(runner, job_id)).status is JobStatus.DONE
        assert len(service.bill) == 1
        await next_job_works(runner)
    oracle.check(rig.folder, service)


async def test_row52_a_locked_ledger_refuses_and_recovers(
    rig: Rig, service: PaidService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.2)
    async with rig.running() as runner:
        service.on("GET", STATUS, answer(200, {"status": "PROCESSING"}))
        job_id = await click(runner)
        await until(lambda: seen(runner, job_id, OWNER).phase is Phase.RENDERING)
        with closing(sqlite3.connect(rig.folder / "ledger.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageError, match="ledger_busy"):
                await click(runner)
            service.on("GET", STATUS, answer(200, {"status": "COMPLETED"}))
            await until(lambda: (note := seen(runner, job_id, OWNER).note) and note.code == "ledger_busy_sent")
            other.execute("ROLLBACK")
        assert (await ended(runner, job_id)).status is JobStatus.DONE
        await next_job_works(runner)
    oracle.check(rig.folder, service)


async def test_row52_a_ledger_locked_at_the_start_is_for_viewing(
    rig: Rig, service: PaidService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.02)
    service.on("GET", STATUS, answer(200, {"status": "PROCESSING"}))
    runner = rig.open()
    await runner.start()
    job_id = await click(runner)
    await until(lambda: seen(runner, job_id, OWNER).phase is Phase.RENDERING)
    await kill(runner)
    with closing(sqlite3.connect(rig.folder / "ledger.sqlite3", isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")  # excludes readers as well
        other.execute("BEGIN EXCLUSIVE")
        async with rig.running() as runner:
            problem = (await runner.spending()).problem
            assert problem is not None
            assert problem.code == "ledger_busy"
            assert not runner.is_healthy
            with pytest.raises(StorageError, match="ledger_busy"):
                await click(runner)
            assert [job.id for job in (await runner.jobs(OWNER))] == [job_id]
        other.execute("ROLLBACK")
    service.on("GET", STATUS, answer(200, {"status": "COMPLETED"}))
    async with rig.running() as runner:
        assert (await ended(runner, job_id)).status is JobStatus.DONE
    oracle.check(rig.folder, service)


async def test_row55_a_task_that_dies_is_started_again(
    rig: Rig, service: PaidService, lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hunyuan_ui.jobs.dispatcher._RESTART_S", 0.01)
    original, deaths = Dispatcher._send_due, iter(range(3))

    def die_at_first(self: Dispatcher) -> float | None:
        if next(deaths, None) is not None:
            raise ZeroDivisionError
        return original(self)

    monkeypatch.setattr(Dispatcher, "_send_due", die_at_first)
    async with rig.running() as runner:
        await next_job_works(runner)
        assert runner.is_healthy
    assert lines.getvalue().count("queue.died") == 3
    oracle.check(rig.folder, service, lines.getvalue())


async def test_row54_and_55_keys_that_never_come_back_take_nobodys_place(rig: Rig, service: PaidService) -> None:
    rig.settings = {"concurrency": 1}
    service.on("GET", STATUS, answer(200, {"status": "PROCESSING"}))
    runner = rig.open()
    await runner.start()
    own = await click(runner, own_key="canary-of-the-visitor-0001")
    await until(lambda: seen(runner, own, OWNER).phase is Phase.RENDERING)
    await kill(runner)
    service.on("GET", STATUS, answer(200, {"status": "COMPLETED"}))
    async with rig.running() as runner:
        assert (await ended(runner, await click(runner))).status is JobStatus.DONE
        assert (await runner.view(own, OWNER)).phase is Phase.PAUSED
