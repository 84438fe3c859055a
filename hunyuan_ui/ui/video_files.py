"""Routes of a video's files: the video with ranges, its poster, exports and downloads."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, cast

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from hunyuan_ui.errors import AccessError, MediaError
from hunyuan_ui.file_type import BY_SUFFIX, MP4
from hunyuan_ui.job import Job
from hunyuan_ui.jobs import JobRunner
from hunyuan_ui.library.exports import Export, ExportKind
from hunyuan_ui.ui.served_files import download_name, named_by

SERVED: Final = "/gradio_api/file={path:served}.{kind}"  # in place of Gradio's own route, which is closed

# A deleted video must not remain in a browser's cache, so each use revalidates it.
_SHARED_HEADERS: Final = {"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}
FILE_HEADERS: Final = {**_SHARED_HEADERS, "Cross-Origin-Resource-Policy": "same-origin"}
_TYPES: Final = {**{name: kind.mime for name, kind in BY_SUFFIX.items()}, ".webp": "image/webp", ".png": "image/png"}


class VideoFiles:
    """Routes for images, players and downloads.

    Args:
        runner: Gives access to the videos.
    """

    def __init__(self, runner: JobRunner) -> None:
        self._runner = runner

    async def video(self, request: Request) -> Response:
        """Return the video, or with `plain=1` a copy of an MP4 without settings."""
        job = await self._opened(request)
        videos = self._runner.videos
        # Only MP4s contain settings.
        if request.query_params.get("plain") == "1" and (await videos.video(job)).suffix == MP4.suffix:
            return _file(request, job, await videos.export(job, Export("mp4")), ".mp4")
        path = await videos.video(job)
        return _file(request, job, path, path.suffix)

    async def served(self, request: Request) -> Response:
        """Return the video at an address that the API has returned."""
        job = await self._runner.videos.opened(*named_by("{path}.{kind}".format(**request.path_params)))
        path = await self._runner.videos.video(job)
        return _file(request, job, path, path.suffix, headers=_SHARED_HEADERS)

    async def poster(self, request: Request) -> Response:
        """Return the poster."""
        job = await self._opened(request)
        return _file(request, job, await self._runner.videos.poster(job), "-poster.webp")

    async def export(self, request: Request) -> Response:
        """Return a GIF, an animated WebP or a still, created now if it does not exist."""
        job = await self._opened(request)
        kind, asked = request.path_params["kind"], request.query_params
        if kind not in ("gif", "webp", "png"):
            raise AccessError("not_yours")
        export = Export.parse(
            cast("ExportKind", kind), asked.get("side", ""), asked.get("fps", ""), asked.get("at", "")
        )
        return _file(request, job, await self._runner.videos.export(job, export), f".{kind}")

    async def _opened(self, request: Request) -> Job:
        return await self._runner.videos.opened(request.path_params["id"], request.query_params.get("k", ""))


def _file(
    request: Request, job: Job, path: Path, suffix: str, *, headers: Mapping[str, str] = FILE_HEADERS
) -> Response:
    try:
        stat = os.stat(path)  # noqa: PTH116 - its result is what the response wants
    except OSError:
        raise MediaError("video_missing") from None
    is_download = request.query_params.get("download") == "1"
    response = FileResponse(
        path,
        headers=headers,
        media_type=_TYPES[Path(suffix).suffix or suffix],
        filename=download_name(job, suffix),
        stat_result=stat,
        content_disposition_type="attachment" if is_download else "inline",
    )
    if request.headers.get("if-none-match") == response.headers["etag"]:
        return Response(status_code=304, headers={**headers, "ETag": response.headers["etag"]})
    return response
