"""The page's own JSON and files for My videos.

What a script asks for carries the visitor's token in a header; what an image or a player loads carries a code in its
address, because it cannot send headers. Anything else is answered as if it did not exist.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from hunyuan_ui.errors import AccessError, HunyuanUIError, MediaError
from hunyuan_ui.export import Export, ExportKind
from hunyuan_ui.filetype import BY_SUFFIX, MP4
from hunyuan_ui.job import Job, JobProblem, Visitor, is_id
from hunyuan_ui.runner import JobRunner
from hunyuan_ui.ui.copies import download_name, drop_copies
from hunyuan_ui.ui.gallery import video_json
from hunyuan_ui.ui.jobs import PAGE_VERSION
from hunyuan_ui.ui.text import words_for
from hunyuan_ui.ui.visitor import VISITOR_HEADER, visitor_of

VIDEOS: Final = "/gradio_api/hunyuan/videos"
SETTINGS: Final = "/gradio_api/hunyuan/settings"
MAX_FILE_BYTES: Final = 64 * 1024 * 1024  # a video made here has a tenth of it
READ_AT_ONCE: Final = 4
READ_WITHIN_S: Final = 120.0
_SEARCH_AT_MOST: Final = 200

# A deleted video must not live on in a browser's cache, so each use asks whether it is still there.
_FILE_HEADERS: Final = {
    "Cache-Control": "private, no-cache",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_TYPES: Final = {**{name: kind.mime for name, kind in BY_SUFFIX.items()}, ".webp": "image/webp", ".png": "image/png"}

Answer = Callable[[Request], Awaitable[Response]]


class _File(NamedTuple):
    path: Path
    suffix: str


def build_video_routes(runner: JobRunner) -> list[Route]:
    """Return the routes of My videos, to be mounted beside the others.

    Args:
        runner: The door to videos; it may start later.
    """
    page = VideoPages(runner)
    files = VideoFiles(runner)
    return [
        Route(VIDEOS, _guarded(page.many)),
        Route(f"{VIDEOS}/{{id}}.mp4", _guarded(files.video)),
        Route(f"{VIDEOS}/{{id}}.webp", _guarded(files.poster)),
        Route(f"{VIDEOS}/{{id}}/export.{{kind}}", _guarded(files.export)),
        Route(f"{VIDEOS}/{{id}}", _guarded(page.one)),
        Route(f"{VIDEOS}/{{id}}", _guarded(page.remove), methods=["DELETE"]),
        Route(SETTINGS, _guarded(page.read_settings), methods=["POST"]),
    ]


class VideoPages:
    """What scripts ask for, in JSON.

    Args:
        runner: The door to videos.
    """

    def __init__(self, runner: JobRunner) -> None:
        self._runner = runner
        self._being_read = 0

    async def many(self, request: Request) -> Response:
        """Return a page of the visitor's videos, newest first."""
        asked = request.query_params
        jobs, has_more = await self._runner.videos.page(
            self._visitor(request),
            is_everybody=asked.get("everybody") == "1",
            search=asked.get("search", "")[:_SEARCH_AT_MOST],
            before=_cursor(asked.get("before", "")),
        )
        before = f"{jobs[-1].created_at!r},{jobs[-1].id}" if has_more else None
        return _json({"videos": [self._shown(job, request) for job in jobs], "before": before})

    async def one(self, request: Request) -> Response:
        """Return one of the visitor's videos."""
        job = self._runner.videos.one(request.path_params["id"], self._visitor(request))
        return _json({"video": self._shown(job, request)})

    async def remove(self, request: Request) -> Response:
        """Delete one of the visitor's videos and all its files."""
        visitor = self._visitor(request)
        job = self._runner.videos.one(request.path_params["id"], visitor)
        # Before as well, so that a stop in between leaves none that are served for a day.
        await asyncio.to_thread(drop_copies, job)
        await self._runner.delete(job.id, visitor)
        await asyncio.to_thread(drop_copies, job)
        return _json({"deleted": job.id})

    async def read_settings(self, request: Request) -> Response:
        """Return the settings inside an MP4 that is sent as the body; the file is not kept."""
        self._visitor(request)
        if self._being_read >= READ_AT_ONCE:
            raise MediaError("export_busy")
        self._being_read += 1
        path = self._runner.videos.exports.folder / f".{secrets.token_hex(8)}.mp4.part"
        try:
            await asyncio.wait_for(_receive(request, path), READ_WITHIN_S)
            found = await self._runner.videos.settings_in(path)
        except (OSError, ClientDisconnect, asyncio.TimeoutError):
            raise MediaError("not_a_video") from None
        finally:
            self._being_read -= 1
            with suppress(OSError):
                path.unlink(missing_ok=True)
        return _json({"settings": found.model_dump()})

    def _visitor(self, request: Request) -> Visitor:
        token = request.headers.get(VISITOR_HEADER, "")
        if not is_id(token):
            raise AccessError("not_yours")
        return self._runner.owner.seen_as(visitor_of(token, self._runner.settings))

    def _shown(self, job: Job, request: Request) -> dict[str, Any]:
        return video_json(job, self._runner.videos.code(job), words_for(request.cookies, request.headers))


class VideoFiles:
    """What images, players and downloads load.

    Args:
        runner: The door to videos.
    """

    def __init__(self, runner: JobRunner) -> None:
        self._runner = runner

    async def video(self, request: Request) -> Response:
        """Return the video, or with `plain=1` a copy of an MP4 without settings."""
        job = self._opened(request)
        videos = self._runner.videos
        # Settings are written into MP4s only.
        if request.query_params.get("plain") == "1" and videos.video(job).suffix == MP4.suffix:
            return _file(request, job, _File(await videos.export(job, Export("mp4")), ".mp4"))
        path = videos.video(job)
        return _file(request, job, _File(path, path.suffix))

    async def poster(self, request: Request) -> Response:
        """Return the poster."""
        job = self._opened(request)
        return _file(request, job, _File(await self._runner.videos.poster(job), "-poster.webp"))

    async def export(self, request: Request) -> Response:
        """Return a GIF, an animated WebP or a still, made now if it is not there."""
        job = self._opened(request)
        kind, asked = request.path_params["kind"], request.query_params
        if kind not in ("gif", "webp", "png"):
            raise AccessError("not_yours")
        export = Export.parse(
            cast("ExportKind", kind), asked.get("side", ""), asked.get("fps", ""), asked.get("at", "")
        )
        return _file(request, job, _File(await self._runner.videos.export(job, export), f".{kind}"))

    def _opened(self, request: Request) -> Job:
        return self._runner.videos.opened(request.path_params["id"], request.query_params.get("k", ""))


def _file(request: Request, job: Job, file: _File) -> Response:
    try:
        stat = os.stat(file.path)  # noqa: PTH116 - its result is what the response wants
    except OSError:
        raise MediaError("video_missing") from None
    is_download = request.query_params.get("download") == "1"
    response = FileResponse(
        file.path,
        headers=_FILE_HEADERS,
        media_type=_TYPES[Path(file.suffix).suffix or file.suffix],
        filename=download_name(job, file.suffix),
        stat_result=stat,
        content_disposition_type="attachment" if is_download else "inline",
    )
    if request.headers.get("if-none-match") == response.headers["etag"]:
        return Response(status_code=304, headers={**_FILE_HEADERS, "ETag": response.headers["etag"]})
    return response


async def _receive(request: Request, path: Path) -> None:
    """Write the body to a file, as long as it is not larger than any video made here."""
    limit = MediaError("file_too_large", limit=f"{MAX_FILE_BYTES // 2**20} MB")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > MAX_FILE_BYTES:
        raise limit
    await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
    size = 0
    with path.open("wb") as file:
        async for chunk in request.stream():
            size += len(chunk)
            if size > MAX_FILE_BYTES:
                raise limit
            file.write(chunk)


def _guarded(answer: Answer) -> Answer:
    """Return the answer with every refusal as a sentence in the visitor's language."""

    async def guarded(request: Request) -> Response:
        try:
            return await answer(request)
        except HunyuanUIError as error:
            sentence = words_for(request.cookies, request.headers).sentence(JobProblem.of(error))
            return _json({"problem": sentence, "code": error.code}, _status(error))

    return guarded


def _status(error: HunyuanUIError) -> int:
    if isinstance(error, AccessError):
        return 409 if error.code == "still_under_way" else 404
    statuses = {"video_missing": 404, "file_too_large": 413, "export_busy": 429, "export_failed": 507}
    return statuses.get(error.code, 422 if isinstance(error, MediaError) else 503)


def _cursor(text: str) -> tuple[float, str] | None:
    created, _, job_id = text.partition(",")
    with suppress(ValueError):
        if is_id(job_id):
            return float(created), job_id
    return None


def _json(body: Mapping[str, Any], status: int = 200) -> JSONResponse:
    return JSONResponse({"version": PAGE_VERSION, **body}, status, {"Cache-Control": "no-store"})
