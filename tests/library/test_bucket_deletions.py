"""Deleting videos that lie in a bucket, which may be away, refuse, or be found again on a wiped disk."""

from __future__ import annotations

import asyncio
import shutil
import time

import pytest

from hunyuan_ui.errors import StorageError
from hunyuan_ui.settings import Secret
from tests.bucket_server import BucketServer
from tests.faults.conftest import impatient as impatient
from tests.faults.conftest import service as service
from tests.faults.rig import OWNER, Rig, until
from tests.library.one_bucket import cached, made
from tests.library.one_bucket import quick as quick
from tests.library.one_bucket import rig as rig
from tests.postgres_server import PostgresServer

pytestmark = pytest.mark.anyio


async def test_a_deleted_video_is_gone_from_bucket_and_cache(rig: Rig, bucket: BucketServer) -> None:
    async with rig.running() as runner:
        job, other = await made(runner), await made(runner)
        bucket.asked.clear()
        await runner.delete(job.id, OWNER)
        assert {name[:32] for name in bucket.files()} == {other.id}
        assert {name[:32] for name in cached(rig)} == {other.id}
        first, bucket.asked[:] = list(bucket.asked), []
        await runner.delete(other.id, OWNER)
        assert bucket.files() == {}
        assert len(bucket.asked) == len(first)  # what was deleted is not deleted again


async def test_a_deletion_while_the_bucket_is_away_is_done_when_it_is_back(rig: Rig, bucket: BucketServer) -> None:
    async with rig.running() as runner:
        job = await made(runner)
        bucket.stop()
        await runner.delete(job.id, OWNER)
        assert cached(rig) == set()
        assert await runner.jobs(OWNER) == []
        bucket.start()
        await until(lambda: bucket.names() == set())


async def test_a_deletion_that_was_broken_off_is_finished_at_the_next_start(rig: Rig, bucket: BucketServer) -> None:
    async with rig.running() as runner:
        job = await made(runner)
        bucket.stop()
        await runner.delete(job.id, OWNER)
    bucket.start()
    assert len(bucket.files()) == 3
    async with rig.running() as runner:
        assert bucket.files() == {}
        assert await runner.jobs(OWNER) == []


async def test_a_refused_deletion_removes_nothing_later(rig: Rig, bucket: BucketServer) -> None:
    rig.settings |= {"storage": "wiped"}
    done: list[str] = []

    def refuse_the_first(method: str, path: str) -> tuple[str, bytes] | None:
        if method == "GET":
            return None
        done.append(path)
        if len(done) == 1:
            return "403 Forbidden", b"<Error><Code>AccessDenied</Code></Error>"
        time.sleep(0.3)  # a slow store, or one that is asked again
        return None

    async with rig.running() as runner:
        job = await made(runner)
        bucket.behave = refuse_the_first
        with pytest.raises(StorageError, match="bucket_"):
            await runner.delete(job.id, OWNER)
        kept = bucket.names()
        await asyncio.sleep(1.0)
        assert kept <= bucket.names()
        assert {job.id + suffix for suffix in (".json", ".webp")} <= kept


async def test_a_deletion_that_waits_is_finished_although_the_disk_was_wiped(
    rig: Rig, bucket: BucketServer, postgres_server: PostgresServer
) -> None:
    rig.url = Secret(postgres_server.url(rig.folder))
    rig.settings |= {"storage": "wiped"}
    async with rig.running() as runner:
        job = await made(runner)
        bucket.stop()
        await runner.delete(job.id, OWNER)
    shutil.rmtree(rig.folder)
    bucket.start()
    async with rig.running() as runner:
        assert bucket.files() == {}
        assert await runner.jobs(OWNER) == []


@pytest.mark.slow
@pytest.mark.parametrize("away", ["stopped", "refuses"])
async def test_nothing_is_called_deleted_that_would_come_back_on_a_wiped_disk(
    rig: Rig, bucket: BucketServer, away: str
) -> None:
    rig.settings |= {"storage": "wiped"}  # the ledger is wiped too
    async with rig.running() as runner:
        job, other = await made(runner), await made(runner)
        if away == "stopped":
            bucket.stop()
        else:
            bucket.behave = lambda *_: ("403 Forbidden", b"<Error><Code>AccessDenied</Code></Error>")
        with pytest.raises(StorageError, match="bucket_"):
            await runner.delete(job.id, OWNER)
        assert {kept.id for kept in await runner.jobs(OWNER)} == {job.id, other.id}
        bucket.behave = lambda *_: None
        if away == "stopped":
            bucket.start()
        await until(lambda: runner._services.library.problem is None or away == "refuses")
        await runner.delete(job.id, OWNER)
        assert {name[:32] for name in bucket.names()} == {other.id}
    shutil.rmtree(rig.folder)
    async with rig.running() as runner:
        assert [kept.id for kept in await runner.jobs(OWNER)] == [other.id]
