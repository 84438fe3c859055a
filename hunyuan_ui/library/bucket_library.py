"""BucketLibrary: finished videos in a bucket; new ones are prepared in the data folder and wait there."""

from __future__ import annotations

import asyncio
import math
import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from hunyuan_ui import log, media
from hunyuan_ui.cancellation import shielded
from hunyuan_ui.checkpoint import checkpoint
from hunyuan_ui.data_folder import MIN_FREE_BYTES
from hunyuan_ui.errors import MediaError, StorageError, reason
from hunyuan_ui.file_type import BY_SUFFIX
from hunyuan_ui.file_writes import is_disk_full
from hunyuan_ui.job import Job, is_id
from hunyuan_ui.library.bounded_folder import make_room, mark_used
from hunyuan_ui.library.bucket import Bucket
from hunyuan_ui.library.library import POSTER, SIDECAR, VideoLibrary, job_of, video_ids

CACHE_BYTES: Final = 1024 * 1024 * 1024  # the newest file apart
CHANGED_S: Final = 60.0  # before a video that differs from its checksum is downloaded again
_CHANGED_AT: Final = 0.0  # its modification time, which survives a restart
_READ_AT_ONCE: Final = 16  # sidecars, at startup


class BucketLibrary(VideoLibrary):
    """A library whose finished videos are in a bucket, under the same names as in a folder.

    A finished video is prepared in the folder, uploaded to the bucket, and moved to the cache. Files are downloaded to
    the cache on demand; when it is full, the least recently used are removed.

    Args:
        folder: Where videos are prepared; those from before there was a bucket stay there.
        cache: Local copies of the bucket's files, downloaded on demand.
    """

    def __init__(self, folder: Path, cache: Path, bucket: Bucket, *, process: str = "") -> None:
        super().__init__(folder, process)
        self._cache = VideoLibrary(cache)
        self._bucket = bucket
        self._cache_bytes = CACHE_BYTES
        self._ids: set[str] = set()  # of the videos in the bucket at startup
        self._files: set[str] = set()  # of all files in it then
        self._adoptable: dict[str, Job] = {}
        self._to_delete: set[str] = set()
        self._deleted: set[str] = set()  # of which nothing may be downloaded any more
        self._coming: dict[str, asyncio.Task[None]] = {}
        self._changed: dict[str, float] = {}  # time.monotonic() of the download, by job id
        bucket.when_back = partial(self._finish_deletions, is_proven=True)

    # startup

    def prepare(self, known: Callable[..., set[str]]) -> None:
        """Check that the bucket can be used, and list its content.

        Args:
            known: `Ledger.ids`; sidecars are read for other videos.

        Raises:
            SettingsError: The bucket cannot be used.
            StorageError: It became unreachable meanwhile.
        """
        in_ledger = known()
        unfinished = in_ledger - known("done")  # the run of such a job checks first that the bucket has its video whole
        self._bucket.call(self._prepare(in_ledger))
        for job_id in super().ids():
            with suppress(OSError):  # of a file that only another user may read or move
                if job_id in self._ids - unfinished:
                    self._shelve(job_id)  # it was copied to the bucket, or its ledger was lost
                elif job_id not in in_ledger and (job := super().finished(job_id)) is not None:
                    self._adoptable[job_id] = job
        self._make_room()

    def ids(self) -> set[str]:
        """Return the ids of all videos that existed at startup and may be missing from the ledger."""
        return self._ids | set(self._adoptable)

    def finished(self, job_id: str) -> Job | None:
        """Return the job in the sidecar of a video in the bucket, or of one left in the folder."""
        if job_id in self._adoptable:
            return self._adoptable[job_id]
        with suppress(StorageError):  # the job's own run continues when the bucket is back
            job = self._bucket.call(self._finished(job_id))
            if job is None or not self._is_here(job_id, (self.folder,)):
                return job
            # A crash came while it was uploaded: the bucket may have spoiled it.
            found = self._bucket.call(self._bucket.digest(job_id + job.notes["suffix"]))
            return job if found is not None and found.sha256 == job.sha256 else None
        return None

    def left_of(self, deleted: set[str]) -> set[str]:
        """Return those of these ids that have a file of any kind, here or in the bucket."""
        return super().left_of(deleted) | self._cache.left_of(deleted) | (deleted & self._files)

    def sweep(self, keep: set[str], older_than_s: float = 0.0) -> list[str]:
        """Remove half-written files of jobs that are not in `keep`; return their names."""
        return super().sweep(keep, older_than_s) + self._cache.sweep(set(), older_than_s)

    # storing

    async def holds(self, job_id: str) -> bool:
        """Whether a job's finished video needs no further download: it waits here, or is in the bucket."""
        if self._is_here(job_id, (self.folder,)):
            return True
        with suppress(StorageError):
            return await self._bucket.ask(self._finished(job_id)) is not None
        return False

    async def keep(self, job_id: str, made: Job | None) -> Job | None:
        """Upload the prepared files to the bucket, which may already have them; see `VideoLibrary.keep`."""
        return await self._bucket.ask(self._keep(job_id, made))

    def delete(self, job_id: str) -> None:
        """Remove all files of a video; those in the bucket as soon as it is reachable. Errors as `VideoLibrary`'s."""
        self._to_delete.add(job_id)
        self._deleted.add(job_id)  # before the cache is emptied of it
        try:
            self._bucket.call(self._finish_deletions())
        except StorageError as error:
            log.trouble("library.delete_waits", code=error.code)
        super().delete(job_id)
        self._cache.delete(job_id)

    def forget_copies(self, deleted: set[str]) -> None:
        """Remove cached files of videos that another process has deleted; one that cannot be is tried again."""
        for job_id in self._cache.left_of(deleted):
            with suppress(OSError):
                self._cache.delete(job_id)

    async def delete_elsewhere(self, job_id: str) -> None:
        """Remove the files of a video from the bucket, immediately or not at all."""
        await self._bucket.ask(self._delete_there(job_id))

    # reading

    def video(self, job_id: str) -> Path:
        """Return the video's local path; `bring` downloads it there."""
        with suppress(MediaError):
            return super().video(job_id)
        path = self._cache.video(job_id)
        mark_used(path)
        return path

    def poster(self, job_id: str) -> Path | None:
        """Return the poster's local path, rendering it if the bucket has none; None if that fails."""
        path = super().poster(job_id) or self._cache.poster(job_id)
        if path is not None:
            mark_used(path)
        return path

    def may_have(self, job_id: str) -> bool:
        """Whether there may be a video: for one in the bucket, only a request to it can tell."""
        return is_id(job_id)

    async def bring(self, job: Job, *, poster: bool = False) -> None:
        """Download a video, or its poster if there is one, to this machine unless it is already here."""
        if not self._is_here(job.id, poster=poster):
            await self._bucket.ask(self._bring(job, poster=poster))

    def bring_now(self, job: Job) -> None:
        """Do the same as `bring`; blocks, so call it in a thread."""
        if not self._is_here(job.id):
            self._bucket.call(self._bring(job, poster=False))

    @property
    def problem(self) -> StorageError | None:
        """Why the bucket is unusable at the moment; None if it is usable."""
        return self._bucket.problem

    def close(self) -> None:
        """Cancel running calls to the bucket."""
        self._bucket.close()

    # on the bucket's loop

    async def _prepare(self, known: set[str]) -> None:
        names = await self._bucket.proven()
        self._files = set(filter(is_id, (Path(name).stem for name in names)))
        self._ids = video_ids(names)
        slots = asyncio.Semaphore(_READ_AT_ONCE)

        async def read(job_id: str) -> None:
            async with slots:
                if (job := await self._finished(job_id)) is not None:
                    self._adoptable[job_id] = job

        await asyncio.gather(*(read(job_id) for job_id in sorted(self._ids - known)))

    async def _finished(self, job_id: str) -> Job | None:
        """Return the job of a video in the bucket: its sidecar identifies it and gives the video's size."""
        job = await self._described(job_id)
        if job is None:
            return None
        suffix = job.notes.get("suffix")
        size = await self._bucket.size(job_id + suffix) if suffix in BY_SUFFIX else None
        return job if size is not None and size == job.notes.get("size_bytes") else None

    async def _described(self, job_id: str) -> Job | None:
        """Return the job of a sidecar in the bucket, whether or not its video is there."""
        text = await self._bucket.content(job_id + SIDECAR)
        return None if text is None else job_of(text, job_id)

    async def _has_video(self, job_id: str) -> bool:
        return any(await asyncio.gather(*(self._bucket.size(job_id + suffix) for suffix in BY_SUFFIX)))

    async def _keep(self, job_id: str, made: Job | None) -> Job | None:
        if made is None:
            return await self._finished(job_id)
        suffix = str(made.notes["suffix"])
        for name in (job_id + POSTER, job_id + SIDECAR, job_id + suffix):
            path = self.folder / name
            if path.is_file() and not await self._bucket.put_checked(name, await asyncio.to_thread(path.read_bytes)):
                await self._write_anew(name, path, made)
            checkpoint(f"bucket{path.suffix}")
        await asyncio.to_thread(self._shelve, job_id)
        checkpoint("bucket.shelved")
        return made

    async def _write_anew(self, name: str, path: Path, made: Job) -> None:
        """Replace a file that exists with different content, if it is no part of a finished video.

        Raises:
            StorageError: `bucket_conflict`: it belongs to a video in the bucket, and is not changed.
        """
        described = await self._described(made.id)
        is_same = described is not None and described.sha256 == made.sha256
        is_video = path.suffix in BY_SUFFIX
        # Left by an attempt that ended before its video was uploaded or found whole, and never shown to anybody.
        if (is_same and is_video) or not await self._has_video(made.id):
            await self._bucket.delete(name)
            if await self._bucket.put_checked(name, await asyncio.to_thread(path.read_bytes)):
                return
        kept = None if is_video else await self._finished(made.id)
        if kept is None or kept.sha256 != made.sha256:
            raise StorageError("bucket_conflict", file=name)

    async def _bring(self, job: Job, *, poster: bool) -> None:
        key = job.id + (POSTER if poster else "")
        if (task := self._coming.get(key)) is None:
            task = self._coming[key] = asyncio.ensure_future(self._copy(job, poster=poster))
            task.add_done_callback(lambda _: self._coming.pop(key, None))
        await shielded(task)

    async def _copy(self, job: Job, *, poster: bool) -> None:
        for suffix in (POSTER,) if poster else BY_SUFFIX:
            part = self._cache.folder / f"{job.id}.{secrets.token_hex(4)}.part"
            try:
                self._cache.folder.mkdir(parents=True, exist_ok=True)
                if (found := await self._bucket.save(job.id + suffix, part)) is not None:
                    if poster and not await asyncio.to_thread(media.is_poster, part):
                        log.trouble("library.changed", job=job.id, file=job.id + suffix)
                        break
                    path = part.replace(self._cache.folder / (job.id + suffix))
                    if job.id in self._deleted:
                        path.unlink(missing_ok=True)
                        return
                    await asyncio.to_thread(self._make_room)
                    if not poster and job.sha256 not in (None, found.sha256):
                        # Shown all the same: it may be the only copy, as of a video changed before its upload.
                        log.trouble("library.changed", job=job.id, file=path.name)
                        self._mark_changed(path)
                    return
            except OSError as error:
                problem = reason("disk_full" if is_disk_full(error) else "file_not_written")
                raise MediaError("video_not_copied", problem=problem) from None
            finally:
                part.unlink(missing_ok=True)
        if poster and not self._is_here(job.id):
            await self._copy(job, poster=False)  # the poster is rendered from the video

    async def _finish_deletions(self, *, is_proven: bool = False) -> None:
        """Delete what is to be deleted.

        Args:
            is_proven: The bucket has just taken a change, so that a refusal is of one video, which a start tries again.
        """
        refusal: StorageError | None = None
        for job_id in sorted(self._to_delete):
            try:
                await self._delete_there(job_id)
            except StorageError as error:
                refusal = error  # it may be of this video alone, which the store holds; the others need not wait for it
                if is_proven and error.code == "bucket_refuses":
                    log.trouble("library.held", job=job_id)
                    self._to_delete.discard(job_id)
            else:
                self._to_delete.discard(job_id)
        if refusal is not None:
            raise refusal

    async def _delete_there(self, job_id: str) -> None:
        # The video goes first: what remains of a deletion that fails halfway is never shown as a video.
        await self._bucket.delete(*(job_id + suffix for suffix in BY_SUFFIX))
        await self._bucket.delete(job_id + POSTER, job_id + SIDECAR)

    # local files

    def _is_here(self, job_id: str, places: tuple[Path, ...] = (), *, poster: bool = False) -> bool:
        suffixes = (POSTER,) if poster else tuple(BY_SUFFIX)
        places = places or (self.folder, self._cache.folder)
        return any(self._is_usable(place / f"{job_id}{suffix}") for place in places for suffix in suffixes)

    def _is_usable(self, path: Path) -> bool:
        """Whether a local file exists and need not be downloaded again."""
        try:
            is_changed = path.stat().st_mtime == _CHANGED_AT
        except OSError:
            return False
        return not is_changed or time.monotonic() - self._changed.get(path.stem, -math.inf) < CHANGED_S

    def _mark_changed(self, path: Path) -> None:
        """Mark a downloaded file that differs from its checksum: a store may give anything in its place for a while."""
        self._changed[path.stem] = time.monotonic()
        with suppress(FileNotFoundError):
            os.utime(path, (_CHANGED_AT, _CHANGED_AT))

    def _shelve(self, job_id: str) -> None:
        """Move the uploaded files from the folder to the cache."""
        self._cache.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{job_id}{SIDECAR}").unlink(missing_ok=True)
        for suffix in (POSTER, *BY_SUFFIX):
            with suppress(FileNotFoundError):
                path = self.folder / f"{job_id}{suffix}"
                path.replace(self._cache.folder / path.name)
        self._make_room()

    def _make_room(self) -> None:
        make_room(self._cache.folder, self._cache_bytes, min_free_bytes=2 * MIN_FREE_BYTES)
