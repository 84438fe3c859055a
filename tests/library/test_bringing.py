"""Videos in a bucket are downloaded to this machine on demand, within the limit of the cache."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import os
import shutil
import threading
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from hunyuan_ui import media
from hunyuan_ui.errors import MediaError, StorageError
from hunyuan_ui.job import Job, new_id
from hunyuan_ui.jobs import JobRunner
from hunyuan_ui.library import bucket as door
from hunyuan_ui.library import bucket_library
from hunyuan_ui.library.exports import Export
from hunyuan_ui.library.library import file_sha256
from tests.bucket_server import BucketServer
from tests.faults.conftest import impatient as impatient
from tests.faults.conftest import service as service
from tests.faults.rig import OWNER, Rig, until
from tests.library.one_bucket import cached, made
from tests.library.one_bucket import quick as quick
from tests.library.one_bucket import rig as rig

pytestmark = pytest.mark.anyio

LOCKED = door.exceptions.GenericError(
    "Generic S3 error: DeleteObjects request failed for key of/all-kinds/abc: Access Denied because object protected"
    " by object lock. (code: AccessDenied)"
)


async def test_what_is_not_here_is_brought_once_for_many(rig: Rig, bucket: BucketServer) -> None:
    async with rig.running() as runner:
        job = await made(runner)
        shutil.rmtree(rig.folder / "cache")
        bucket.asked.clear()
        bucket.slow_s = 0.2
        paths = await asyncio.gather(*(runner.videos.video(job) for _ in range(10)))
        assert {file_sha256(path) for path in paths} == {job.sha256}
        assert len([1 for method, path in bucket.asked if method == "GET" and path.endswith(".mp4")]) == 1
        poster = await runner.videos.poster(job)
        assert poster.read_bytes() == bucket.files()[f"{job.id}.webp"]
        runner.videos.exports._min_free_bytes = 0
        assert (await runner.videos.export(job, Export("png"))).stat().st_size > 0
        assert cached(rig) == {f"{job.id}.mp4", f"{job.id}.webp"}


@pytest.mark.parametrize("change", ["same size", "longer", "empty"])
@pytest.mark.parametrize("asked", ["video", "path", "export"])
async def test_a_video_that_was_overwritten_in_the_bucket_is_told_when_it_is_brought(
    change: str, asked: str, rig: Rig, bucket: BucketServer, lines: io.StringIO
) -> None:
    async with rig.running() as runner:
        job = await made(runner)
        shutil.rmtree(rig.folder / "cache")
        await runner.videos.video(job)
        assert "library.changed" not in lines.getvalue()
        shutil.rmtree(rig.folder / "cache")
        whole = bucket.files()[f"{job.id}.mp4"]
        bucket.put(f"{job.id}.mp4", {"same size": whole[:-1] + b"?", "longer": whole + b"?", "empty": b""}[change])
        runner.videos.exports._min_free_bytes = 0
        with suppress(MediaError):
            if asked == "path":
                await asyncio.to_thread(runner.videos.path_of, job)
            else:
                await (runner.videos.video(job) if asked == "video" else runner.videos.export(job, Export("png")))
        told = [json.loads(line) for line in lines.getvalue().splitlines() if "library.changed" in line]
        assert [(one["job"], one["file"]) for one in told] == [(job.id, f"{job.id}.mp4")]


@pytest.mark.parametrize("wrong", [b"<html>Sign in</html>", b"", b"?" * 5000])
@pytest.mark.parametrize("restarts", [False, True])
async def test_what_a_store_once_gave_in_a_videos_place_is_not_kept_for_it(
    rig: Rig, bucket: BucketServer, monkeypatch: pytest.MonkeyPatch, wrong: bytes, restarts: bool
) -> None:
    async with rig.running() as runner:
        job = await made(runner)
        shutil.rmtree(rig.folder / "cache")
        bucket.behave = lambda method, path: ("200 OK", wrong) if (method, path[-4:]) == ("GET", ".mp4") else None
        with suppress(StorageError, MediaError):
            await runner.videos.video(job)
        bucket.behave = lambda *_: None
        if not restarts:
            await until(lambda: runner.notice is None)
            monkeypatch.setattr(bucket_library, "CHANGED_S", 0.0)
            assert file_sha256(await runner.videos.video(job)) == job.sha256
    if restarts:
        async with rig.running() as runner:
            assert file_sha256(await runner.videos.video(job)) == job.sha256


async def test_a_changed_video_is_not_brought_for_each_of_its_parts(rig: Rig, bucket: BucketServer) -> None:
    async with rig.running() as runner:
        job = await made(runner)
        shutil.rmtree(rig.folder / "cache")
        bucket.put(f"{job.id}.mp4", b"changed")
        bucket.asked.clear()
        paths = [await runner.videos.video(job) for _ in range(3)]
        assert [path.read_bytes() for path in paths] == [b"changed"] * 3
        assert len([1 for method, path in bucket.asked if method == "GET" and path.endswith(".mp4")]) == 1


async def test_a_video_and_its_poster_are_the_same_files_at_each_use(rig: Rig) -> None:
    async with rig.running() as runner:
        job = await made(runner)
        for ask in (runner.videos.video, runner.videos.poster):
            written_at = (await ask(job)).stat().st_mtime_ns
            await asyncio.sleep(0.02)
            assert (await ask(job)).stat().st_mtime_ns == written_at


@pytest.mark.parametrize("place", ["cache", "videos"])
async def test_a_video_that_is_here_is_not_brought_for_a_poster_that_cannot_be_drawn(
    rig: Rig, bucket: BucketServer, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    async with rig.running() as runner:
        job = await made(runner)
        if place == "videos":
            (await runner.videos.video(job)).replace(rig.folder / "videos" / f"{job.id}.mp4")
        for name in ("cache", "videos"):
            (rig.folder / name / f"{job.id}.webp").unlink(missing_ok=True)
        bucket.remove(f"{job.id}.webp")

        def refused(*_: object) -> None:
            raise MediaError("not_a_video")

        monkeypatch.setattr(media, "write_poster", refused)
        bucket.asked.clear()
        for _ in range(3):
            with pytest.raises(MediaError, match="video_missing"):
                await runner.videos.poster(job)
        assert not [path for _, path in bucket.asked if path.endswith(".mp4")]


@pytest.mark.parametrize("kind", ["video", "poster", "export"])
async def test_a_video_that_is_deleted_while_it_is_brought_leaves_no_copy(
    rig: Rig, bucket: BucketServer, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    async with rig.running() as runner:
        runner.videos.exports._min_free_bytes = 0
        job = await made(runner)
        shutil.rmtree(rig.folder / "cache")
        save, is_read, goes_on = door.Bucket.save, asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        async def slow(self: door.Bucket, name: str, path: Path) -> door.Digest | None:
            found = await save(self, name, path)
            loop.call_soon_threadsafe(is_read.set)
            await asyncio.to_thread(goes_on.wait, 20)
            return found

        monkeypatch.setattr(door.Bucket, "save", slow)
        ask = {
            "video": lambda: runner.videos.video(job),
            "poster": lambda: runner.videos.poster(job),
            "export": lambda: runner.videos.export(job, Export("png")),
        }[kind]
        asked = asyncio.ensure_future(ask())
        await is_read.wait()
        await runner.delete(job.id, OWNER)
        goes_on.set()
        with pytest.raises(MediaError, match="video_missing"):
            await asked
        assert not list(rig.folder.rglob(f"*{job.id}*"))


async def test_a_bucket_that_is_gone_does_not_make_its_videos_missing_ones(rig: Rig, bucket: BucketServer) -> None:
    async with rig.running() as runner:
        job = await made(runner)
        shutil.rmtree(rig.folder / "cache")
        gone = b"<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>"
        bucket.behave = lambda method, _: ("404 Not Found", b"" if method == "HEAD" else gone)
        with pytest.raises(StorageError, match="bucket_refuses"):
            await runner.videos.video(job)
        assert runner.notice is not None
        assert runner.notice.code == "bucket_refuses"
        bucket.behave = lambda *_: None
        assert file_sha256(await runner.videos.video(job)) == job.sha256


async def test_a_poster_that_is_nowhere_is_drawn_from_the_video(rig: Rig, bucket: BucketServer) -> None:
    async with rig.running() as runner:
        job = await made(runner)
        shutil.rmtree(rig.folder / "cache")
        bucket.remove(f"{job.id}.webp")
        assert (await runner.videos.poster(job)).stat().st_size > 0


@pytest.mark.parametrize(
    "wrong",
    [b"<html>Sign in</html>", b"", b"RIFF\x00\x00\x00\x00WEBP", "cut", "huge"],
    ids=lambda wrong: str(wrong)[:8],
)
async def test_what_is_no_picture_in_a_posters_place_is_drawn_anew(
    rig: Rig, bucket: BucketServer, lines: io.StringIO, wrong: bytes | str
) -> None:
    async with rig.running() as runner:
        job = await made(runner)
        shutil.rmtree(rig.folder / "cache")
        whole = bucket.files()[f"{job.id}.webp"]
        content = whole[: len(whole) // 2] if wrong == "cut" else wrong
        if wrong == "huge":
            picture = io.BytesIO()
            Image.new("RGB", (9000, 9000)).save(picture, "WEBP")
            content = picture.getvalue()
        assert isinstance(content, bytes)
        bucket.put(f"{job.id}.webp", content)
        poster = await runner.videos.poster(job)
        assert poster.read_bytes() == whole
        assert "library.changed" in lines.getvalue()


async def test_what_is_away_or_gone_is_said_and_not_half_there(rig: Rig, bucket: BucketServer) -> None:
    async with rig.running() as runner:
        job = await made(runner)
        shutil.rmtree(rig.folder / "cache")
        bucket.stop()
        with pytest.raises(StorageError, match="bucket_away"):
            await runner.videos.video(job)
        with pytest.raises(StorageError, match="bucket_away"):
            runner.videos.path_of(job)
        bucket.start()
        await until(lambda: runner.notice is None)
        bucket.remove(f"{job.id}.mp4")
        with pytest.raises(MediaError, match="video_missing"):
            await runner.videos.video(job)
        assert cached(rig) == set()


async def test_the_cache_stays_within_its_bound_and_the_least_recently_used_goes(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig.running() as runner:
        library: Any = runner._services.library
        jobs = [await made(runner)]
        size = sum(path.stat().st_size for path in (rig.folder / "cache").iterdir())
        library._cache_bytes = 3 * size + size // 2
        for age in range(9):
            jobs.append(await made(runner))
            assert f"{jobs[0].id}.mp4" in cached(rig)
            for path in (rig.folder / "cache").iterdir():
                os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 10 - age))
            await runner.videos.video(jobs[0])  # the first one is used repeatedly
        assert sum(path.stat().st_size for path in (rig.folder / "cache").iterdir()) <= library._cache_bytes
        assert f"{jobs[0].id}.mp4" in cached(rig)
        assert f"{jobs[-1].id}.mp4" in cached(rig)
        assert f"{jobs[1].id}.mp4" not in cached(rig)
        assert file_sha256(await runner.videos.video(jobs[1])) == jobs[1].sha256
        library._cache_bytes = 0
        path = await runner.videos.video(jobs[2])
        assert file_sha256(path) == jobs[2].sha256  # the requested one exists, however small the limit
        assert cached(rig) == {f"{jobs[2].id}.mp4"}


async def test_more_videos_than_the_cache_holds_are_brought_one_after_the_other(rig: Rig, bucket: BucketServer) -> None:
    async with rig.running() as runner:
        jobs = [await made(runner) for _ in range(4)]
        shutil.rmtree(rig.folder / "cache")
        library: Any = runner._services.library
        library._cache_bytes = 0
        digests = [await asyncio.to_thread(_digest_at, runner, job) for job in jobs]  # as a list's ZIP does
        assert digests == [job.sha256 for job in jobs]
        assert cached(rig) == {f"{jobs[-1].id}.mp4"}


def _digest_at(runner: JobRunner, job: Job) -> str:
    path = runner.videos.path_of(job)
    assert path is not None
    return file_sha256(path)


@pytest.mark.slow
@pytest.mark.parametrize("refusal", [LOCKED, PermissionError("403")])
@pytest.mark.parametrize("is_away", [False, True])
async def test_a_video_that_the_bucket_does_not_let_go_keeps_no_other_in_it(
    rig: Rig,
    bucket: BucketServer,
    lines: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
    refusal: Exception,
    is_away: bool,
) -> None:
    delete = door.obstore.delete_async
    async with rig.running() as runner:
        kept, *gone = sorted([await made(runner) for _ in range(3)], key=lambda job: job.id)

        async def refused(store: Any, name: str) -> None:
            if kept.id in name:
                raise refusal
            await delete(store, name)

        monkeypatch.setattr(door.obstore, "delete_async", refused)
        if is_away:
            bucket.stop()
        for job in (kept, *gone):
            await runner.delete(job.id, OWNER)
        if is_away:
            bucket.start()
        await until(lambda: {name[:32] for name in bucket.names()} == {kept.id})
        await until(lambda: runner.notice is None)
        asked = lines.getvalue().count("bucket.refuses")
        await asyncio.sleep(0.5)
        assert lines.getvalue().count("bucket.refuses") <= asked + 1
        assert runner.notice is None
        await made(runner)
    monkeypatch.setattr(door.obstore, "delete_async", delete)
    async with rig.running():
        assert kept.id not in {name[:32] for name in bucket.names()}


def test_a_copy_that_cannot_be_removed_keeps_no_other_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket: Any = SimpleNamespace()
    library = bucket_library.BucketLibrary(tmp_path / "videos", tmp_path / "cache", bucket)
    copies = [tmp_path / "cache" / f"{new_id()}.mp4" for _ in range(9)]
    for copy in copies:
        copy.touch()
    real = Path.unlink

    def refused(path: Path, **options: Any) -> None:
        if path == copies[1]:
            raise PermissionError(errno.EACCES, "Permission denied")
        real(path, **options)

    deleted = {copy.stem for copy in copies}
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refused)
        library.forget_copies(deleted)
    assert [copy for copy in copies if copy.exists()] == copies[1:2]
    library.forget_copies(deleted)
    assert not copies[1].exists()
