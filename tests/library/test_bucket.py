"""Finished videos in a bucket (moto's S3 on loopback, a stand-in): written once, read back, found again."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hunyuan_ui.errors import StorageError
from hunyuan_ui.job import JobStatus, new_id
from hunyuan_ui.jobs import job_run
from hunyuan_ui.library.bucket import Bucket, Digest
from hunyuan_ui.library.bucket_library import BucketLibrary
from hunyuan_ui.library.library import file_sha256
from tests.bucket_server import SECRET, BucketServer
from tests.faults.conftest import impatient as impatient
from tests.faults.conftest import service as service
from tests.faults.rig import OWNER, Dialect, Rig, click, ended, next_job_works, until
from tests.faults.service import PaidService, pictures, video_of
from tests.library.one_bucket import cached, here, made, waits
from tests.library.one_bucket import quick as quick
from tests.library.one_bucket import rig as rig
from tests.seen import seen

pytestmark = pytest.mark.anyio


# writing


async def test_a_finished_video_lies_in_the_bucket_under_the_folders_names(rig: Rig, bucket: BucketServer) -> None:
    async with rig.running() as runner:
        job = await made(runner)
        files = bucket.files()
        assert set(files) == {f"{job.id}{suffix}" for suffix in (".mp4", ".webp", ".json")}
        assert Digest.of(files[f"{job.id}.mp4"]).sha256 == job.sha256
        assert json.loads(files[f"{job.id}.json"])["sha256"] == job.sha256
        assert pictures(files[f"{job.id}.mp4"]) == pictures(video_of(job.request.prompt))
        assert here(rig) == set()
        assert cached(rig) == {f"{job.id}.mp4", f"{job.id}.webp"}
        path = await runner.videos.video(job)
        assert job.request.prompt.encode() in path.read_bytes()  # its settings are in the file
        # The video is written last and read back before anything else happens to it.
        writes = [path.rpartition(".")[2] for method, path in bucket.asked if method == "PUT" and job.id in path]
        assert writes == ["webp", "json", "mp4"]
        assert bucket.asked.count(("GET", f"/{bucket.bucket}/of/all-kinds/{job.id}.mp4")) == 1


async def test_what_another_program_has_put_there_is_never_overwritten(
    rig: Rig, bucket: BucketServer, service: PaidService
) -> None:
    job_id = new_id()
    for suffix in (".mp4", ".webp", ".json"):
        bucket.put(f"{job_id}{suffix}", b"of somebody else")
    before = bucket.files()
    async with rig.running() as runner:
        await click(runner, job_id)
        await waits(runner, job_id, "bucket_conflict")
        assert bucket.files() == before
        for name in before:
            bucket.remove(name)
        job = await ended(runner, job_id)
        assert job.status is JobStatus.DONE
    assert Digest.of(bucket.files()[f"{job_id}.mp4"]).sha256 == job.sha256
    assert sum(service.billed().values()) == 1


async def test_the_rest_of_a_try_without_a_video_makes_room(rig: Rig, bucket: BucketServer) -> None:
    job_id = new_id()
    for suffix in (".webp", ".json"):
        bucket.put(f"{job_id}{suffix}", b"half")
    async with rig.running() as runner:
        await click(runner, job_id)
        job = await ended(runner, job_id)
        assert job.status is JobStatus.DONE
    assert json.loads(bucket.files()[f"{job_id}.json"])["sha256"] == job.sha256


@pytest.mark.parametrize("suffix", [".webp", ".json", ".mp4"])
async def test_what_comes_back_other_than_it_was_written_is_not_done(
    rig: Rig, bucket: BucketServer, service: PaidService, suffix: str
) -> None:
    async with rig.running() as runner:
        bucket.garble = lambda method, path: method == "GET" and path.endswith(suffix)
        job_id = await click(runner)
        await waits(runner, job_id, "bucket_garbled")
        assert f"{job_id}.mp4" in here(rig)
        bucket.garble = lambda *_: False
        job = await ended(runner, job_id)
        assert job.status is JobStatus.DONE
        assert Digest.of(bucket.files()[f"{job_id}.mp4"]).sha256 == job.sha256
    assert sum(service.billed().values()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("change", ["same size", "cut", "empty"])
@pytest.mark.parametrize("restarts", [False, True])
async def test_what_was_spoiled_and_could_not_be_removed_is_not_taken_for_the_video(
    rig: Rig, bucket: BucketServer, service: PaidService, change: str, restarts: bool
) -> None:
    async with rig.running() as runner:
        bucket.garble = lambda method, path: method == "GET" and path.endswith(".mp4")
        bucket.behave = lambda method, _: ("403 Forbidden", b"") if method in ("DELETE", "POST") else None
        job_id = await click(runner)
        await waits(runner, job_id, "bucket_refuses_sent")
        whole = bucket.files()[f"{job_id}.mp4"]
        spoiled = {"same size": whole[:-1] + bytes([whole[-1] ^ 1]), "cut": whole[:-1], "empty": b""}[change]
        bucket.put(f"{job_id}.mp4", spoiled)
        bucket.garble, bucket.behave = lambda *_: False, lambda *_: None
        job = None if restarts else await ended(runner, job_id)
    if job is None:
        async with rig.running() as runner:
            job = await ended(runner, job_id)
    assert job.status is JobStatus.DONE
    assert Digest.of(bucket.files()[f"{job_id}.mp4"]).sha256 == job.sha256
    assert sum(service.billed().values()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("dialect", ["v2", "v1"])
async def test_the_bucket_goes_away_and_comes_back(
    rig: Rig, bucket: BucketServer, service: PaidService, lines: io.StringIO, dialect: Dialect
) -> None:
    rig.dialect = dialect
    async with rig.running() as runner:
        first = await made(runner)
        bucket.stop()
        jobs = [await click(runner) for _ in range(5)]
        for job_id in jobs:
            await waits(runner, job_id, "bucket_away_sent")
        assert runner.notice is not None
        assert runner.notice.code == "bucket_away"
        assert runner.problem is None
        assert (await runner.videos.video(first)).is_file()  # local files can be shown
        files = sum(one.path.startswith("/files/") for one in service.requests)
        await until(lambda: lines.getvalue().count("job.fetch_failed") > 30)
        assert sum(one.path.startswith("/files/") for one in service.requests) == files  # nothing is downloaded twice
        bucket.start()
        for job_id in jobs:
            assert (await ended(runner, job_id)).status is JobStatus.DONE
        await until(lambda: runner.notice is None)
        await next_job_works(runner)
    assert len([name for name in bucket.files() if name.endswith(".mp4")]) == 7
    assert sum(service.billed().values()) == 7
    events = [json.loads(line)["event"] for line in lines.getvalue().splitlines()]
    assert events.count("bucket.away") == events.count("bucket.back") == 1
    assert SECRET not in lines.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("refused", [("PUT",), ("PUT", "DELETE", "POST"), ("DELETE", "POST")], ids="+".join)
@pytest.mark.parametrize("status", ["503 Slow Down", "403 Forbidden"])
async def test_a_bucket_that_takes_no_change_is_told_until_it_takes_one(
    rig: Rig, bucket: BucketServer, lines: io.StringIO, refused: tuple[str, ...], status: str
) -> None:
    async with rig.running() as runner:
        first, second = await made(runner), await made(runner)
        bucket.behave = lambda method, _: (status, b"") if method in refused else None
        if "PUT" in refused:
            job_id = await click(runner)
        else:
            await runner.delete(second.id, OWNER)
        code = "bucket_refuses" if status.startswith("403") else "bucket_away"
        await until(lambda: runner.notice is not None)
        told: set[str | None] = set()
        for _ in range(150):
            told.add(runner.notice.code if runner.notice else None)
            await asyncio.sleep(0.01)
        assert told == {code}
        for _ in range(20):  # it can be read all the time
            shutil.rmtree(rig.folder / "cache", ignore_errors=True)
            assert file_sha256(await runner.videos.video(first)) == first.sha256
            assert runner.notice is not None
            await asyncio.sleep(0.02)
        bucket.behave = lambda *_: None
        if "PUT" in refused:
            assert (await ended(runner, job_id)).status is JobStatus.DONE
        await until(lambda: runner.notice is None)
        await until(lambda: second.id not in str(bucket.names()) or "PUT" in refused)
        await until(lambda: not bucket.probes())
    events = [json.loads(line)["event"] for line in lines.getvalue().splitlines()]
    assert events.count("bucket.back") == 1


async def test_a_bucket_that_is_away_for_a_week_loses_nothing(
    rig: Rig, bucket: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_run, "FILE_LIFE_S", -1.0)
    monkeypatch.setattr(job_run, "HOPELESS_AFTER", 2)
    async with rig.running() as runner:
        bucket.stop()
        job_id = await click(runner)
        await waits(runner, job_id, "bucket_away_sent")
        asked = len(bucket.asked)
        await asyncio.sleep(1.0)
        assert seen(runner, job_id, OWNER).job.status is JobStatus.DOWNLOADING
        assert len(bucket.asked) == asked
        bucket.start()
        assert (await ended(runner, job_id)).status is JobStatus.DONE


async def test_a_video_that_waits_for_the_bucket_goes_there_after_a_restart(
    rig: Rig, bucket: BucketServer, service: PaidService
) -> None:
    async with rig.running() as runner:
        bucket.stop()
        job_id = await click(runner)
        await waits(runner, job_id, "bucket_away_sent")
    bucket.start()
    async with rig.running() as runner:
        job = await ended(runner, job_id)
        assert job.status is JobStatus.DONE
    assert Digest.of(bucket.files()[f"{job_id}.mp4"]).sha256 == job.sha256
    assert here(rig) == set()
    assert sum(service.billed().values()) == 1


REFUSALS = {
    "keys": ("403 Forbidden", b"<Error><Code>SignatureDoesNotMatch</Code></Error>"),
    "gone": ("404 Not Found", b"<Error><Code>NoSuchBucket</Code></Error>"),
    "region": ("400 Bad Request", b"<Error><Code>AuthorizationHeaderMalformed</Code></Error>"),
}


@pytest.mark.parametrize("why", REFUSALS)
async def test_a_bucket_that_refuses_is_told_to_the_owner_and_tried_again(
    rig: Rig, bucket: BucketServer, why: str
) -> None:
    async with rig.running() as runner:
        bucket.behave = lambda method, _: REFUSALS[why] if method == "PUT" else None
        job_id = await click(runner)
        await waits(runner, job_id, "bucket_refuses_sent")
        assert runner.notice is not None
        assert runner.notice.code == "bucket_refuses"
        bucket.behave = lambda *_: None
        assert (await ended(runner, job_id)).status is JobStatus.DONE
        assert runner.notice is None


async def test_two_processes_that_finish_one_video_agree(rig: Rig, bucket: BucketServer, tmp_path: Path) -> None:
    async with rig.running() as runner:
        job = await made(runner)
        whole = await runner.videos.video(job)
        names = bucket.files()
        for name in names:
            bucket.remove(name)
        libraries: list[BucketLibrary] = []
        for number in range(4):
            library = BucketLibrary(tmp_path / f"{number}", tmp_path / f"{number}-cache", Bucket(bucket.url))
            libraries.append(library)
            part = library.part(job.id)
            shutil.copyfile(whole, part)
            # What one of them has learnt meanwhile is in its sidecar.
            changed = replace(job, status=JobStatus.DOWNLOADING, inference_s=float(number))
            assert library.finish(changed) is not None
        ended = await asyncio.gather(
            *(library.keep(job.id, replace(job, inference_s=float(n))) for n, library in enumerate(libraries)),
            return_exceptions=True,
        )
        files = bucket.files()
        assert Digest.of(files[f"{job.id}.mp4"]).sha256 == json.loads(files[f"{job.id}.json"])["sha256"] == job.sha256
        assert set(files) == set(names)
        # The slower one tries again, and finds what the other one wrote.
        for library, end in zip(libraries, ended, strict=True):
            if isinstance(end, BaseException):
                assert isinstance(end, StorageError)
                assert await library.keep(job.id, job) is not None
            library.close()


# starts


async def test_a_lost_ledger_is_rebuilt_from_the_bucket(rig: Rig, bucket: BucketServer) -> None:
    async with rig.running() as runner:
        jobs = [await made(runner) for _ in range(3)]
    for name in ("not-an-id.mp4", f"{new_id()}.mp4", f"{new_id()}.json", "folder/x.mp4"):
        bucket.put(name, b"of somebody else")
    hostile = new_id()
    sidecar = json.loads(bucket.files()[f"{jobs[0].id}.json"])
    bucket.put(f"{hostile}.mp4", b"x")
    bucket.put(f"{hostile}.json", json.dumps({**sidecar, "id": hostile, "notes": {"suffix": "/../x"}}).encode())
    for worse in ({"cost_microusd": 2**70}, {"cost_microusd": "x"}, {"visitor": None}, {"created_at": float("nan")}):
        hostile, notes = new_id(), {**sidecar["notes"], "size_bytes": 1}
        bucket.put(f"{hostile}.mp4", b"x")
        bucket.put(f"{hostile}.json", json.dumps({**sidecar, "id": hostile, "notes": notes, **worse}).encode())
    bucket.put(f"{new_id()}.json", b"[" * 100_000)
    half = new_id()
    bucket.put(f"{half}.json", json.dumps({**sidecar, "id": half}).encode())
    bucket.put(f"{half}.mp4", bucket.files()[f"{jobs[0].id}.mp4"][:-1])  # as a copy that was broken off leaves it
    shutil.rmtree(rig.folder)
    async with rig.running() as runner:
        found = {job.id: job for job in await runner.jobs(OWNER)}
        assert set(found) == {job.id for job in jobs}
        for job in jobs:
            known = found[job.id]
            assert (known.status, known.sha256, known.request) == (JobStatus.DONE, job.sha256, job.request)
            assert known.cost_microusd == job.cost_microusd
            assert file_sha256(await runner.videos.video(known)) == job.sha256
        assert (await runner.spending()).spent_total_usd == pytest.approx(3 * 1.46)
        await next_job_works(runner)


async def test_what_a_crash_left_between_bucket_and_cache_is_moved_at_the_next_start(
    rig: Rig, bucket: BucketServer
) -> None:
    async with rig.running() as runner:
        job = await made(runner)
    for name in cached(rig):
        (rig.folder / "cache" / name).rename(rig.folder / "videos" / name)
    async with rig.running() as runner:
        assert here(rig) == set()
        assert cached(rig) == {f"{job.id}.mp4", f"{job.id}.webp"}
        assert file_sha256(await runner.videos.video(job)) == job.sha256


async def test_a_video_in_the_bucket_is_not_taken_for_another_of_the_same_id(rig: Rig, bucket: BucketServer) -> None:
    async with rig.running() as runner:
        job = await made(runner)
        path = await runner.videos.video(job)
        for suffix, content in ((".mp4", path.read_bytes()), (".webp", b"x"), (".json", b"{}")):
            (rig.folder / "videos" / f"{job.id}{suffix}").write_bytes(content)
        before = bucket.files()
        with pytest.raises(StorageError, match="bucket_conflict"):
            await runner._services.library.keep(job.id, replace(job, sha256="0" * 64))
        assert bucket.files() == before


async def test_videos_from_before_there_was_a_bucket_stay_where_they_are(
    rig: Rig, bucket: BucketServer, tmp_path: Path
) -> None:
    rig.settings = {**rig.settings, "videos_url": None}
    async with rig.running() as runner:
        job = await made(runner)
    rig.settings = {**rig.settings, "videos_url": bucket.url}
    (rig.folder / "videos").rename(tmp_path / "videos")
    shutil.rmtree(rig.folder)
    rig.folder.mkdir()
    (tmp_path / "videos").rename(rig.folder / "videos")
    async with rig.running() as runner:
        (known,) = await runner.jobs(OWNER)
        assert file_sha256(await runner.videos.video(known)) == job.sha256
        assert (await runner.videos.poster(known)).is_file()
        await next_job_works(runner)
        await runner.delete(job.id, OWNER)
        assert here(rig) == set()


async def test_a_bucket_that_hangs_holds_up_neither_the_page_nor_a_stop(rig: Rig, bucket: BucketServer) -> None:
    runner = rig.open()
    await runner.start()
    gate = threading.Event()

    def hang(method: str, _: str) -> None:
        if method == "PUT":
            gate.wait(30)

    bucket.behave = hang
    job_id = await click(runner)
    await until(lambda: ("PUT", f"/{bucket.bucket}/of/all-kinds/{job_id}.webp") in bucket.asked)
    began = time.monotonic()
    assert (await runner.spending()).problem is None
    await runner.stop()
    assert time.monotonic() - began < 5.0
    gate.set()
    async with rig.running() as runner:
        assert (await ended(runner, job_id)).status is JobStatus.DONE


def test_nothing_is_asked_after_the_end(bucket: BucketServer) -> None:
    one = Bucket(bucket.url)
    one.close()
    with pytest.raises(StorageError, match="stopping"):
        one.call(one.size("x"))


def test_what_was_half_written_in_folder_or_cache_is_swept(tmp_path: Path) -> None:
    no_bucket: Any = SimpleNamespace()
    library = BucketLibrary(tmp_path / "videos", tmp_path / "cache", no_bucket)
    kept, brought = f"{new_id()}.part", f"{new_id()}.0a1b2c3d.part"
    for folder, names in (("videos", (kept, f"{new_id()}.part")), ("cache", (brought,))):
        (tmp_path / folder).mkdir(exist_ok=True)
        for name in names:
            (tmp_path / folder / name).touch()
    library.sweep({kept[:32]})
    assert [path.name for path in tmp_path.glob("*/*.part")] == [kept]
