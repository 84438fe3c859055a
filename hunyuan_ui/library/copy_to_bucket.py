"""VideosCopy: copies a data folder's finished videos to a bucket, under the same names.

Source: docs/facts/scale.md 5. Imported only to move a data folder.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hunyuan_ui.checkpoint import checkpoint
from hunyuan_ui.errors import MediaError, StorageError
from hunyuan_ui.job import Job
from hunyuan_ui.library import FOLDER_NAME
from hunyuan_ui.library.bucket import Bucket, Digest
from hunyuan_ui.library.library import SIDECAR, VideoLibrary, file_sha256, video_ids

_AT_ONCE: Final = 4  # videos, each completely in memory


@dataclass
class Copied:
    """Result of a copy: videos and files in the bucket, all of them read back, and their size in bytes.

    `missing` are the ids of videos that are not in the folder, `changed` of those that differ from their stored
    checksum, and `left` the names of files that are not copied.
    """

    videos: int = 0
    files: int = 0
    size_bytes: int = 0
    missing: list[str] = field(default_factory=list[str])
    changed: list[str] = field(default_factory=list[str])
    left: list[str] = field(default_factory=list[str])


class VideosCopy:
    """The folder `videos` of a data folder, and the bucket that it is copied to.

    Raises:
        SettingsError: The bucket cannot be used.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self._library = VideoLibrary(folder / FOLDER_NAME)
        self._bucket = Bucket(url)

    def close(self) -> None:
        """Cancel running calls."""
        self._bucket.close()

    def check(self, known: set[str], code: str = "copy_bucket_foreign") -> None:
        """Check that the bucket can be used, and that all videos in it belong to this ledger.

        Raises:
            SettingsError: It cannot be used.
            StorageError: It holds another ledger's videos.
        """
        if foreign := video_ids(self._bucket.call(self._bucket.proven())) - known:
            raise StorageError(code, count=len(foreign))

    def copy(self, jobs: Sequence[Job], on_progress: Callable[[Copied], bool]) -> Copied:
        """Upload what is missing, and read back everything.

        Args:
            jobs: Finished ones that were not deleted.
            on_progress: Called after every few videos; returning False ends the copy.

        Raises:
            StorageError: The bucket is unreachable, or has different content under one of the names.
            OSError: A file cannot be read.
        """
        copied = Copied(left=self._library.unreadables())
        for begin in range(0, len(jobs), _AT_ONCE):
            self._bucket.call(self._some(jobs[begin : begin + _AT_ONCE], copied))
            if not on_progress(copied):
                break
        return copied

    async def _some(self, jobs: Iterable[Job], copied: Copied) -> None:
        await asyncio.gather(*(self._one(job, copied) for job in jobs))

    async def _one(self, job: Job, copied: Copied) -> None:
        try:
            video = self._library.video(job.id)
            sidecar = await asyncio.to_thread(self._library.sidecar, job)
        except MediaError:
            copied.missing.append(job.id)
            return
        if await asyncio.to_thread(file_sha256, video) != job.sha256:
            copied.changed.append(job.id)
        poster = await asyncio.to_thread(self._library.poster, job.id)
        if poster is not None:
            await self._file(poster.name, await asyncio.to_thread(poster.read_bytes), copied)
        await self._file(job.id + SIDECAR, sidecar, copied)
        # The video last: without it, nobody takes the other files for a finished video.
        await self._file(video.name, await asyncio.to_thread(video.read_bytes), copied)
        copied.videos += 1

    async def _file(self, name: str, content: bytes, copied: Copied) -> None:
        is_there = await self._bucket.digest(name) == Digest.of(content)
        if not is_there and not await self._bucket.put_checked(name, content):
            raise StorageError("copy_conflict", file=name)
        checkpoint("copy.file")
        copied.files += 1
        copied.size_bytes += len(content)
