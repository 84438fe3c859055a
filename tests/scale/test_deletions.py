"""A deletion that its own process cannot finish: another one does, and removes nothing else."""

from __future__ import annotations

import asyncio
import os
import re
import threading
import time
from pathlib import Path
from typing import Any, Literal

import pytest

from hunyuan_ui.job import Job, JobStatus
from hunyuan_ui.jobs import JobRunner, replicas
from hunyuan_ui.jobs.job_run import JobRun
from hunyuan_ui.ledger.shared_ledger import SharedLedger
from hunyuan_ui.library import bucket as door
from hunyuan_ui.library.bucket import BucketLimits
from hunyuan_ui.library.exports import Export
from hunyuan_ui.settings import Secret
from tests.bucket_server import BucketServer
from tests.faults.conftest import impatient as impatient
from tests.faults.conftest import service as service
from tests.faults.rig import OWNER, Rig, click, ended, until, without_looks
from tests.faults.service import PaidService
from tests.postgres_server import PostgresServer

pytestmark = [pytest.mark.anyio, pytest.mark.faults]


@pytest.fixture
def rigs(
    tmp_path: Path,
    service: PaidService,
    bucket: BucketServer,
    postgres_server: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
) -> list[Rig]:
    """Two machines with separate folders, one database and one bucket."""
    monkeypatch.setattr(door, "LIMITS", BucketLimits(connect_s=1.0, answer_s=2.0, rest_s=0.05))
    url = Secret(postgres_server.url(tmp_path))
    settings = {"videos_url": bucket.url, "daily_limit_usd": 1000.0}
    return [Rig(tmp_path / name, service.origin, url=url, settings=settings) for name in ("one", "two")]


async def made(runner: JobRunner) -> Job:
    job = await ended(runner, await click(runner))
    assert job.status is JobStatus.DONE, job.problem
    return job


async def die(runner: JobRunner) -> None:
    """Abandon one of two runners in this process: it does nothing more, and releases nothing."""
    replicas = runner._replicas
    assert replicas is not None
    tasks = {task for task in (replicas._task, replicas._deletions._task) if task is not None}
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    await runner._dispatcher.stop()
    services = runner._services
    services.library.close()
    await services.hosted.client.aclose()
    services.ledger.close()
    services.folder.close()


def videos(bucket: BucketServer) -> set[str]:
    return {name[:32] for name in bucket.names()}


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 7])
async def test_another_process_finishes_what_one_that_died_was_to_delete_when_the_bucket_is_back(
    rigs: list[Rig], bucket: BucketServer, count: int
) -> None:
    dying = rigs[0].open()
    await dying.start()
    async with rigs[1].running() as other:
        kept, *gone = [await made(dying) for _ in range(count + 1)]
        bucket.stop()
        for job in gone:
            await dying.delete(job.id, OWNER)
        await die(dying)
        bucket.start()
        await until(lambda: videos(bucket) == {kept.id})
        ledger = other._services.ledger
        assert isinstance(ledger, SharedLedger)
        await until(lambda: ledger.to_delete() == [])
        assert [job.id for job in await other.jobs(OWNER)] == [kept.id]
        assert (await other.videos.video(kept)).is_file()


async def test_one_that_the_bucket_does_not_let_go_keeps_no_other_in_it(
    rigs: list[Rig], bucket: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "DELETIONS_EVERY_S", 0.2)
    dying = rigs[0].open()
    await dying.start()
    async with rigs[1].running() as other:
        kept, *gone = [await made(dying) for _ in range(4)]

        delete = door.obstore.delete_async

        async def refused(store: Any, name: str) -> None:
            if kept.id in name:
                raise PermissionError("403")
            await delete(store, name)

        monkeypatch.setattr(door.obstore, "delete_async", refused)
        for job in (kept, *gone):
            dying._services.ledger.hide(job.id)
        await die(dying)
        ledger = other._services.ledger
        assert isinstance(ledger, SharedLedger)
        await until(lambda: ledger.to_delete() == [kept.id])
        assert videos(bucket) == {kept.id}
        monkeypatch.setattr(door.obstore, "delete_async", delete)
        await until(lambda: videos(bucket) == set())


@pytest.mark.parametrize("is_folder_shared", [False, True])
async def test_one_that_wakes_up_after_its_job_was_finished_elsewhere_and_deleted_stores_nothing_of_it(
    rigs: list[Rig], bucket: BucketServer, monkeypatch: pytest.MonkeyPatch, is_folder_shared: bool
) -> None:
    if is_folder_shared:
        rigs[1].folder = rigs[0].folder
        for rig in rigs:
            rig.settings = {"daily_limit_usd": 1000.0}
    monkeypatch.setattr(replicas, "DELETIONS_EVERY_S", 0.1)
    store, awake, asleep = JobRun._store, asyncio.Event(), asyncio.Event()
    async with rigs[0].running() as one, rigs[1].running() as other:

        async def stored(run: JobRun) -> bool:
            if run._services is one._services and not awake.is_set():
                without_looks(one)
                asleep.set()
                await awake.wait()
            return await store(run)

        monkeypatch.setattr(JobRun, "_store", stored)
        job_id = await click(one)
        await asyncio.wait_for(asleep.wait(), 20)
        ledger = other._services.ledger
        assert isinstance(ledger, SharedLedger)
        await until(lambda: (found := ledger.get(job_id)) is not None and found.status is JobStatus.DONE)
        await until(lambda: job_id not in other._dispatcher.live)
        await other.delete(job_id, OWNER)
        await until(lambda: ledger.to_delete() == [])
        awake.set()
        await until(lambda: job_id not in one._dispatcher.live)
        await asyncio.sleep(0.2)
        assert not [path for rig in rigs for path in rig.folder.rglob(f"*{job_id}*")]
        assert videos(bucket) == set()


@pytest.mark.parametrize("is_asleep", [False, True])
async def test_a_waiting_job_that_was_cancelled_and_deleted_elsewhere_waits_no_more(
    rigs: list[Rig], monkeypatch: pytest.MonkeyPatch, service: PaidService, is_asleep: bool
) -> None:
    for rig in rigs:
        rig.settings |= {"concurrency": 1}
    if is_asleep:
        monkeypatch.setattr(replicas, "TICK_S", 1.0)
    async with rigs[0].running() as one, rigs[1].running() as other:
        service.is_held = True
        first, job_id = await click(one), await click(one)
        await other.cancel(job_id, OWNER)
        await other.delete(job_id, OWNER)
        service.is_held = False
        await ended(one, first)
        await until(lambda: job_id not in one._dispatcher.live)


async def test_a_process_that_died_between_the_row_and_the_files_leaves_none(
    rigs: list[Rig], bucket: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with a shared folder and no bucket; the others look as soon as they take its jobs."""
    monkeypatch.setattr(replicas, "DELETIONS_EVERY_S", 600.0)
    rigs[1].folder = rigs[0].folder
    for rig in rigs:
        rig.settings = {"daily_limit_usd": 1000.0}
    dying = rigs[0].open()
    await dying.start()
    async with rigs[1].running():
        job, kept = await made(dying), await made(dying)
        dying._services.ledger.hide(job.id)
        await die(dying)
        folder = rigs[0].folder / "videos"
        await until(lambda: {path.name[:32] for path in folder.iterdir()} == {kept.id})


async def test_what_is_gone_is_said_to_be_and_no_bucket_is_listed_for_it(rigs: list[Rig], bucket: BucketServer) -> None:
    async with rigs[0].running() as one, rigs[1].running() as other:
        job, kept = await made(one), await made(one)
        bucket.asked.clear()
        await one.delete(job.id, OWNER)
        ledger = other._services.ledger
        assert isinstance(ledger, SharedLedger)
        await until(lambda: ledger.to_delete() == [])
        assert bucket.asked
        assert all(method != "GET" for method, _ in bucket.asked)
        assert videos(bucket) == {kept.id}


async def test_a_bucket_that_hangs_costs_who_deletes_no_lease(
    rigs: list[Rig], bucket: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rigs[0].running() as one, rigs[1].running() as other:
        job = await made(one)
        await other.videos.video(job)  # so that its cache has it
        bucket.slow_s = 1.0
        ledger = one._services.ledger
        assert isinstance(ledger, SharedLedger)
        await asyncio.to_thread(ledger.hide, job.id)
        ended_at = time.monotonic() + 1.5
        while time.monotonic() < ended_at:
            assert all(seen.seen_s_ago < 0.9 for seen in await asyncio.to_thread(ledger.replicas))
            looking = [task for task in asyncio.all_tasks() if task.get_name() == "replicas deletions"]
            assert len(looking) <= 2  # one of each process
            await asyncio.sleep(0.1)
        bucket.slow_s = 0.0
        await until(lambda: videos(bucket) == set())


async def test_copies_that_other_processes_have_go_within_a_minute(
    rigs: list[Rig], bucket: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rigs[0].running() as one, rigs[1].running() as other:
        ledger = one._services.ledger
        assert isinstance(ledger, SharedLedger)
        jobs = [await made(one) for _ in range(3)]
        other._services.exports._min_free_bytes = 0
        for job in jobs:
            await other.videos.video(job)
            await other.videos.export(job, Export("png"))
        kept, *gone = jobs
        assert {job.id for job in jobs} <= copied(rigs[1].folder)
        for job in gone:
            await one.delete(job.id, OWNER)
            ledger.deleted(job.id)  # so that the other one has nothing to finish
        monkeypatch.setattr(replicas, "DELETIONS_EVERY_S", 0.2)
        await until(lambda: copied(rigs[1].folder) == {kept.id})
        assert copied(rigs[0].folder) == {kept.id}
        assert videos(bucket) == {kept.id}
        assert (await other.videos.export(kept, Export("png"))).is_file()


@pytest.mark.parametrize("kind", ["gif", "webp", "png"])
async def test_an_export_that_one_makes_is_left_to_it_when_another_starts(
    rigs: list[Rig], monkeypatch: pytest.MonkeyPatch, kind: Literal["gif", "webp", "png"]
) -> None:
    rigs[1].folder = rigs[0].folder
    for rig in rigs:
        rig.settings = {"daily_limit_usd": 1000.0}
    replace, is_made, goes_on = os.replace, asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def held(part: Path, target: Path) -> None:
        if "exports" in str(target):
            loop.call_soon_threadsafe(is_made.set)
            goes_on.wait(20)
        replace(part, target)

    async with rigs[0].running() as one:
        job = await made(one)
        one._services.exports._min_free_bytes = 0
        left = one._services.exports.folder / f".{job.id}-480-12-0.gif.0a1b2c3d.part"
        left.parent.mkdir(exist_ok=True)
        left.touch()
        os.utime(left, (1.0, 1.0))
        monkeypatch.setattr(os, "replace", held)
        making = asyncio.ensure_future(one.videos.export(job, Export(kind)))
        await is_made.wait()
        async with rigs[1].running():
            assert not left.exists()
            goes_on.set()
            assert (await making).is_file()


def copied(folder: Path) -> set[str]:
    """Return the ids with files of any kind in a data folder, whatever prefix their names have."""
    found = {re.search(r"[0-9a-f]{32}", path.name) for path in folder.rglob("*") if path.is_file()}
    return {match[0] for match in found if match}
