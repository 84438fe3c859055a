"""My videos: the grid, the dialogs for one and for two videos, and their routes to read, mark and delete."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, cast, get_args

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hunyuan_ui.errors import HunyuanUIError, MediaError
from hunyuan_ui.job import Job, Visitor, is_id
from hunyuan_ui.jobs import JobRunner
from hunyuan_ui.jobs.my_videos import Shape, VideoFilter
from hunyuan_ui.library.exports import RATES, SIDES
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.ui.html_part import part
from hunyuan_ui.ui.page_json import guarded, json_answer, json_body, status_of
from hunyuan_ui.ui.video_files import SERVED, VideoFiles
from hunyuan_ui.ui.views import video_json
from hunyuan_ui.ui.visitor import say_for, token_sent

VIDEOS: Final = "/gradio_api/hunyuan/videos"
SETTINGS: Final = "/gradio_api/hunyuan/settings"
MOST_DELETED: Final = 500  # videos of one request
DELETED_AT_ONCE: Final = 8  # of these; more would wait for the ledger's thread until they are refused

_NOT_FOUND: Final = 404


@dataclass(frozen=True)
class Gallery:
    """The grid of posters, the dialog for one video, and the dialog for two."""

    grid: Any
    viewer: Any
    compare: Any


def build_gallery(runner: JobRunner) -> Gallery:
    """Place My videos and its two dialogs.

    Args:
        runner: Of this page; on a private run its owner may see the videos of all visitors. If a restart wipes the
            disk, nobody is told that they stay.
    """
    grid = part("gallery")
    grid.value = {"is_owner": not runner.settings.is_public, "is_wiped": runner.settings.forgets_videos}
    viewer = part("viewer")
    viewer.value = {"sides": SIDES, "rates": RATES, "fields": list(VideoRequest.model_fields)}
    compare = part("compare")
    compare.value = {"fields": list(VideoRequest.model_fields)}
    return Gallery(grid, viewer, compare)


def build_video_routes(runner: JobRunner) -> list[Route]:
    """Return the routes of My videos.

    Args:
        runner: Gives access to the videos; it may start later.
    """
    page = VideoPages(runner)
    files = VideoFiles(runner)
    return [
        Route(VIDEOS, guarded(page.many)),
        Route(f"{VIDEOS}/{{id}}.mp4", guarded(files.video)),
        Route(f"{VIDEOS}/{{id}}.webp", guarded(files.poster)),
        Route(f"{VIDEOS}/{{id}}/export.{{kind}}", guarded(files.export)),
        Route(f"{VIDEOS}/{{id}}/favourite", guarded(page.mark), methods=["POST"]),
        Route(f"{VIDEOS}/delete", guarded(page.remove_several), methods=["POST"]),
        Route(f"{VIDEOS}/{{id}}", guarded(page.one)),
        Route(f"{VIDEOS}/{{id}}", guarded(page.remove), methods=["DELETE"]),
        Route(SETTINGS, guarded(page.read_settings), methods=["POST"]),
        Route(SERVED, guarded(files.served)),
    ]


class VideoPages:
    """JSON routes for the page's scripts.

    Args:
        runner: Gives access to the videos.
    """

    def __init__(self, runner: JobRunner) -> None:
        self._runner = runner

    async def many(self, request: Request) -> Response:
        """Return a page of the visitor's videos, newest first."""
        asked = request.query_params
        shape = asked.get("shape", "")
        video_filter = VideoFilter(
            search=asked.get("search", ""),
            shape=cast("Shape", shape) if shape in get_args(Shape) else None,
            is_favourite=asked.get("favourites") == "1",
            is_everybody=asked.get("everybody") == "1",
        )
        before = _cursor(asked.get("before", ""))
        jobs, has_more = await self._runner.videos.find(self._visitor(request), video_filter, before=before)
        before = f"{jobs[-1].created_at!r},{jobs[-1].id}" if has_more else None
        return json_answer({"videos": [self._shown(job, request) for job in jobs], "before": before})

    async def one(self, request: Request) -> Response:
        """Return one of the visitor's videos."""
        job = await self._runner.videos.one(request.path_params["id"], self._visitor(request))
        return json_answer({"video": self._shown(job, request)})

    async def remove(self, request: Request) -> Response:
        """Delete one of the visitor's videos and all its files."""
        job_id = request.path_params["id"]
        await self._remove(job_id, self._visitor(request))
        return json_answer({"deleted": job_id})

    async def remove_several(self, request: Request) -> Response:
        """Delete several videos; name those that the visitor no longer has, and why the first other one stayed."""
        visitor, say = self._visitor(request), say_for(request)
        ids = _ids_in((await json_body(request)).get("ids"))
        turns, problems = asyncio.Semaphore(DELETED_AT_ONCE), dict[str, str]()

        async def remove(job_id: str) -> None:
            async with turns:
                try:
                    await self._remove(job_id, visitor)
                except HunyuanUIError as error:
                    if status_of(error) != _NOT_FOUND:
                        problems[job_id] = say.sentence(error)

        await asyncio.gather(*map(remove, ids))
        gone = [job_id for job_id in ids if job_id not in problems]
        return json_answer({"gone": gone, "problem": next(iter(problems.values()), None)})

    async def _remove(self, job_id: str, visitor: Visitor) -> None:
        job = await self._runner.videos.one(job_id, visitor)
        await self._runner.delete(job.id, visitor)

    async def mark(self, request: Request) -> Response:
        """Set or clear the favourite mark of one of the visitor's videos."""
        visitor = self._visitor(request)
        wanted = (await json_body(request)).get("is_favourite") is True
        job = await self._runner.videos.mark(request.path_params["id"], visitor, is_favourite=wanted)
        return json_answer({"video": self._shown(job, request)})

    async def read_settings(self, request: Request) -> Response:
        """Return the settings in a text that the page extracted from a file; the file itself stays in the browser."""
        self._visitor(request)
        try:
            text = (await json_body(request)).get("text")
        except HTTPException:
            text = None
        if not isinstance(text, str):
            raise MediaError("no_settings_in_video")
        return json_answer({"settings": self._runner.videos.settings_in(text).model_dump()})

    def _visitor(self, request: Request) -> Visitor:
        return self._runner.owner.seen_as(self._runner.visitor(token_sent(request)))

    def _shown(self, job: Job, request: Request) -> dict[str, Any]:
        return video_json(job, self._runner.videos.signature(job), say_for(request))


def _ids_in(value: object) -> list[str]:
    found = cast("list[object]", value) if isinstance(value, list) else []
    if not 0 < len(found) <= MOST_DELETED or not all(isinstance(one, str) and is_id(one) for one in found):
        raise HTTPException(400, "not a list of ids")
    return list(dict.fromkeys(cast("list[str]", found)))


def _cursor(text: str) -> tuple[float, str] | None:
    created, _, job_id = text.partition(",")
    with suppress(ValueError):
        if is_id(job_id):
            return float(created), job_id
    return None
