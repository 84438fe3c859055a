"""A ledger with random bytes in it: every video is restored, and nothing is spent until its owner has confirmed it."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from hunyuan_ui.errors import StorageError
from hunyuan_ui.job import JobStatus
from hunyuan_ui.jobs import JobRunner
from hunyuan_ui.library.library import file_sha256
from tests.faults import oracle
from tests.faults.rig import OWNER, Rig, click, ended, kill, next_job_works, until
from tests.faults.service import FILE, STATUS, PaidService
from tests.raw_service import Reply, answer
from tests.seen import seen
from tests.stored_jobs import back_up

pytestmark = [pytest.mark.anyio, pytest.mark.faults]


async def some_videos(rig: Rig, count: int) -> list[str]:
    async with rig.running() as runner:
        ids = [await click(runner) for _ in range(count)]
        for job_id in ids:
            assert (await ended(runner, job_id)).status is JobStatus.DONE
    return ids


async def all_there(runner: JobRunner, ids: list[str]) -> None:
    for job_id in ids:
        job = (await runner.view(job_id, OWNER)).job
        assert job.status is JobStatus.DONE
        assert file_sha256(await runner.video_path(job_id, OWNER)) == job.sha256


async def test_row53_a_damaged_ledger_keeps_the_videos_and_refuses_to_spend(
    rig: Rig, service: PaidService, tmp_path: Path
) -> None:
    ids = await some_videos(rig, 4)
    whole = (rig.folder / "ledger.sqlite3").read_bytes()
    dice = random.Random(53)
    places = [0, 18, 100, *(dice.randrange(len(whole) - 600) for _ in range(12))]
    found_damaged = 0
    for number, place in enumerate(places):
        folder = tmp_path / f"copy-{number}"
        shutil.copytree(rig.folder, folder)
        damaged = whole[:place] + dice.randbytes(600) + whole[place + 600 :]
        (folder / "ledger.sqlite3").write_bytes(damaged)
        async with Rig(folder, rig.origin).running() as runner:
            await all_there(runner, ids)
            problem = (await runner.spending()).problem
            if problem is None:
                continue  # it hit an unused page
            found_damaged += 1
            assert problem.code == "ledger_damaged"
            posts = len(service.bill)
            with pytest.raises(StorageError) as caught:
                await click(runner)
            assert caught.value.code == "ledger_damaged"
            assert len(service.bill) == posts
            await runner.owner.resume(OWNER)
            await next_job_works(runner)
        oracle.check_secrets(folder, [], [])
    assert found_damaged > 3


async def one_running_and_one_waiting(rig: Rig, service: PaidService) -> tuple[JobRunner, str, str]:
    """Start a runner with one slot and two clicks, of which the service has accepted the first."""
    service.on("GET", STATUS, answer(200, {"status": "PROCESSING"}))
    rig.settings = {"concurrency": 1}
    runner = rig.open()
    await runner.start()
    running, waiting = await click(runner), await click(runner)
    await until(lambda: seen(runner, running, OWNER).job.request_id)
    return runner, running, waiting


async def test_row53_a_ledger_restored_from_a_copy_sends_nothing_again(rig: Rig, service: PaidService) -> None:
    runner, running, waiting = await one_running_and_one_waiting(rig, service)
    assert (await runner.view(waiting, OWNER)).place == 1
    back_up(rig.folder)
    await kill(runner)
    (rig.folder / "ledger.sqlite3").write_bytes(b"not a database any more" * 500)
    service.on("GET", STATUS, answer(200, {"status": "COMPLETED"}))
    posts = len(service.bill)
    async with rig.running() as runner:
        assert (await ended(runner, running)).status is JobStatus.DONE
        assert (await ended(runner, waiting)).status is JobStatus.UNKNOWN
        assert len(service.bill) == posts
    oracle.check(rig.folder, service)


async def test_row53_a_ledger_that_is_gone_is_rebuilt_from_the_library(rig: Rig, service: PaidService) -> None:
    ids = await some_videos(rig, 3)
    for path in rig.folder.glob("ledger*"):
        path.unlink()
    async with rig.running() as runner:
        await all_there(runner, ids)
        await next_job_works(runner)
    oracle.check(rig.folder, service)


async def test_row53_an_older_copy_learns_from_the_library_what_was_finished_since(
    rig: Rig, service: PaidService
) -> None:
    service.on("GET", STATUS, answer(200, {"status": "PROCESSING"}))
    async with rig.running() as runner:
        job_id = await click(runner)
        await until(lambda: seen(runner, job_id, OWNER).job.request_id)
        before = {path.name: path.read_bytes() for path in rig.folder.glob("ledger.sqlite3*")}
        service.on("GET", STATUS, answer(200, {"status": "COMPLETED"}))
        assert (await ended(runner, job_id)).status is JobStatus.DONE
    for path in rig.folder.glob("ledger*"):
        path.unlink()
    for name, content in before.items():
        (rig.folder / name).write_bytes(content)
    service.on("GET", "/v2/*", answer(404, {"error": "expired"}))
    async with rig.running() as runner:
        assert (await ended(runner, job_id)).status is JobStatus.DONE
    oracle.check(rig.folder, service)


@pytest.mark.slow
async def test_row53_an_older_copy_in_the_ledgers_place_sends_nothing_again(rig: Rig, service: PaidService) -> None:
    runner, running, waiting = await one_running_and_one_waiting(rig, service)
    await kill(runner)
    before = {path.name: path.read_bytes() for path in rig.folder.glob("ledger.sqlite3*")}
    service.on("GET", STATUS, answer(200, {"status": "COMPLETED"}))
    service.on("GET", FILE, answer(503, "not yet"))
    runner = rig.open()
    await runner.start()
    await until(lambda: seen(runner, waiting, OWNER).job.request_id)
    await kill(runner)
    for path in rig.folder.glob("ledger.sqlite3*"):
        path.unlink()
    for name, content in before.items():
        (rig.folder / name).write_bytes(content)
    service.on("GET", FILE, Reply(lambda wire, received: service.behave(received).act(wire, received)))
    async with rig.running() as runner:
        assert (await ended(runner, waiting)).status is JobStatus.UNKNOWN
        assert (await ended(runner, running)).status is JobStatus.DONE
        with pytest.raises(StorageError, match="ledger_damaged"):
            await click(runner)
        await runner.owner.resume(OWNER)
        await next_job_works(runner)
    assert len(service.bill) == 3
    oracle.check(rig.folder, service)
