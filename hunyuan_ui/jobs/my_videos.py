"""MyVideos: the finished videos that a visitor may see, and the files converted from them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final, Literal

from hunyuan_ui.errors import AccessError, MediaError, StorageError
from hunyuan_ui.job import OWNER, Job, JobStatus, Visitor
from hunyuan_ui.jobs.recovery import OTHERS_ARE_DONE_S
from hunyuan_ui.jobs.services import Services
from hunyuan_ui.library.exports import Export
from hunyuan_ui.media import settings_tag as settings_tag
from hunyuan_ui.request import VideoRequest

PAGE_SIZE: Final = 24  # divisible into rows of 2, 3, 4 and 6
_DONE: Final = frozenset({JobStatus.DONE})
_READ_AT_ONCE: Final = 200  # rows per read if the filter drops some of them
_FAVOURITE: Final = "is_favourite"  # key in a job's notes
_NEARLY: Final = 1.05  # side ratios below this count as square

Shape = Literal["wide", "tall", "square"]


@dataclass(frozen=True)
class VideoFilter:
    """Filter for the finished videos.

    Args:
        search: Words that must all occur in the prompt, in any order.
        shape: Of the rendered picture; None for any.
        is_everybody: All videos of this installation, for the owner of a private run only. On a public run the owner
            sees their own and those restored from the account's history.
    """

    search: str = ""
    shape: Shape | None = None
    is_favourite: bool = False
    is_everybody: bool = False

    def fits(self, job: Job) -> bool:
        """Whether a video matches, its prompt and owner aside."""
        return (not self.is_favourite or is_favourite(job)) and self.shape in (None, shape_of(job))

    @property
    def is_selective(self) -> bool:
        """Whether the filter may exclude any video."""
        return self.is_favourite or self.shape is not None


ANY: Final = VideoFilter()


def is_favourite(job: Job) -> bool:
    """Return whether its visitor marked this video as a favourite."""
    return job.notes.get(_FAVOURITE) is True


def shape_of(job: Job) -> Shape:
    """Return the shape of the rendered picture."""
    made = job.made
    if made.width > made.height * _NEARLY:
        return "wide"
    return "tall" if made.height > made.width * _NEARLY else "square"


class MyVideos:
    """Lists, opens and converts finished videos.

    A method that takes a visitor raises AccessError if they have no such video; one that returns a path raises
    StorageError if the file is in a bucket that cannot be reached.

    Args:
        is_public: Strangers make videos here, which the owner may not see.
    """

    def __init__(self, services: Services, *, is_public: bool) -> None:
        self._services = services
        self._is_public = is_public
        self._signed_links = services.links
        self.exports = services.exports

    async def find(
        self, visitor: Visitor, video_filter: VideoFilter = ANY, *, before: tuple[float, str] | None = None
    ) -> tuple[list[Job], bool]:
        """Return a page of finished videos, newest first, and whether there are more.

        Args:
            before: `created_at` and id of the last video already shown.
        """
        limit = _READ_AT_ONCE if video_filter.is_selective else PAGE_SIZE + 1
        found: list[Job] = []
        while len(found) <= PAGE_SIZE:
            batch = await self._newest(visitor, video_filter, before, limit)
            found += filter(video_filter.fits, batch)
            if len(batch) < limit:
                break
            before = (batch[-1].created_at, batch[-1].id)
        return found[:PAGE_SIZE], len(found) > PAGE_SIZE

    async def mark(self, job_id: str, visitor: Visitor, *, is_favourite: bool) -> Job:
        """Set or clear the favourite mark of a finished video."""
        job = await self.one(job_id, visitor)
        return await self._services.writes.soon(self._services.ledger.note, job.id, **{_FAVOURITE: is_favourite})

    async def one(self, job_id: str, visitor: Visitor) -> Job:
        """Return a finished video of this visitor, or one restored to the owner."""
        job = await self._done(job_id)
        is_strangers = self._is_public and job.visitor not in (visitor.id, OWNER.id)
        if is_strangers or not visitor.may_see(job):
            raise AccessError("not_yours")
        return job

    def signature(self, job: Job) -> str:
        """Return the signature of the links to this video's files; it grants access to anyone who has it."""
        return self._signed_links.signature(job.visitor, job.id)

    def list_signature(self, list_id: str) -> str:
        """Return the signature of the link to a list's ZIP; it grants access to anyone who has it."""
        return self._signed_links.signature("list", list_id)

    def opens_list(self, list_id: str, signature: str) -> bool:
        """Whether this is the signature of that list."""
        return self._signed_links.opens(signature, "list", list_id)

    def path_of(self, job: Job | None) -> Path | None:
        """Return the path of a job's video if it is finished and can be read; blocks, so call it in a thread."""
        if job is None or job.status is not JobStatus.DONE:
            return None
        self._services.library.bring_now(job)
        with suppress(MediaError, StorageError):
            return self._services.library.video(job.id)
        return None

    def token(self, job_id: str, request: VideoRequest | None = None) -> str:
        """Return the token of a caller who is identified only by a job id of their own choice.

        Args:
            request: Their request, unknown to somebody who learns only the id. None where everybody is the owner.
        """
        return self._signed_links.token(job_id, "" if request is None else request.model_dump_json())

    def public_id(self, job: Job) -> str:
        """Return an id that identifies a job in lists and grants no access."""
        return self._signed_links.public_id(job.id)

    async def opened(self, job_id: str, signature: str) -> Job:
        """Return the finished video that a signed link grants access to.

        Raises:
            AccessError: There is none, or the signature does not match.
        """
        job = await self._done(job_id)
        if not self._signed_links.opens(signature, job.visitor, job.id):
            raise AccessError("not_yours")
        return job

    def may_play(self, job: Job) -> bool:
        """Return whether a job's video can be expected to exist."""
        return self._services.library.may_have(job.id)

    async def video(self, job: Job) -> Path:
        """Return the path of the MP4.

        Raises:
            MediaError: It no longer exists.
        """
        await self._services.library.bring(job)
        return self._services.library.video(job.id)

    async def poster(self, job: Job) -> Path:
        """Return the path of the poster, rendered again if it is missing.

        Raises:
            MediaError: There is none and none can be rendered.
        """
        await self._services.library.bring(job, poster=True)
        path = await asyncio.to_thread(self._services.library.poster, job.id)
        if path is None:
            raise MediaError("video_missing")
        return path

    async def export(self, job: Job, export: Export) -> Path:
        """Return the file of an export of this video.

        Raises:
            MediaError: It cannot be made.
        """
        wanted = partial(self.is_there, job)
        video = await self.video(job)
        return await self.exports.make(video, job.id, export, visitor_id=job.visitor, is_wanted=wanted)

    def is_there(self, job: Job) -> bool:
        """Whether a job was not deleted; may be called in any thread."""
        return self._services.ledger.get(job.id) is not None

    def sweep(self) -> None:
        """Remove expired exports and those of deleted videos."""
        older_than_s = OTHERS_ARE_DONE_S if self._services.ledger.is_shared else 0.0
        self.exports.sweep(self._services.library.ids(), older_than_s)

    def settings_in(self, text: str) -> VideoRequest:
        """Return the settings in a text from inside an MP4; MediaError if it contains none that are usable."""
        return settings_tag.request_in(text)

    async def _newest(
        self, visitor: Visitor, video_filter: VideoFilter, before: tuple[float, str] | None, limit: int
    ) -> list[Job]:
        ask = partial(
            self._services.ledger.jobs, statuses=_DONE, search=video_filter.search, before=before, limit=limit
        )
        if not visitor.is_owner:
            return await self._services.reads(ask, visitor.id)
        if not self._is_public:
            return await self._services.reads(ask, None if video_filter.is_everybody else visitor.id)
        both = [await self._services.reads(ask, whose) for whose in sorted({visitor.id, OWNER.id})]
        return sorted(chain(*both), key=lambda job: (job.created_at, job.id), reverse=True)[:limit]

    async def _done(self, job_id: str) -> Job:
        job = await self._services.stored(job_id)
        if job.status is not JobStatus.DONE:
            raise AccessError("not_yours")
        return job
