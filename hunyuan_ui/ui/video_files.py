"""Routes of a video's files: the video with ranges, its poster, exports and downloads."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, cast

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from hunyuan_ui.errors import AccessError, MediaError, StorageError, reason
from hunyuan_ui.file_type import BY_SUFFIX, MP4
from hunyuan_ui.job import Job
from hunyuan_ui.jobs import JobRunner
from hunyuan_ui.library.exports import Export, ExportKind
from hunyuan_ui.ui.served_files import download_name, named_by

SERVED: Final = "/gradio_api/file={path:served}.{kind}"  # in place of Gradio's own route, which is closed

# A deleted video must not remain in a browser's cache, so each use revalidates it.
SHARED_HEADERS: Final = {"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}
FILE_HEADERS: Final = {**SHARED_HEADERS, "Cross-Origin-Resource-Policy": "same-origin"}
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
            return await _file(request, job, await videos.export(job, Export("mp4")), ".mp4")
        path = await videos.video(job)
        return await _file(request, job, path, path.suffix)

    async def served(self, request: Request) -> Response:
        """Return the video at an address that the API has returned."""
        job = await self._runner.videos.opened(*named_by("{path}.{kind}".format(**request.path_params)))
        path = await self._runner.videos.video(job)
        return await _file(request, job, path, path.suffix, headers=SHARED_HEADERS)

    async def poster(self, request: Request) -> Response:
        """Return the poster."""
        job = await self._opened(request)
        return await _file(request, job, await self._runner.videos.poster(job), "-poster.webp")

    async def export(self, request: Request) -> Response:
        """Return a GIF, an animated WebP or a still, created now if it does not exist."""
        job = await self._opened(request)
        kind, asked = request.path_params["kind"], request.query_params
        if kind not in ("gif", "webp", "png"):
            raise AccessError("not_yours")
        export = Export.parse(
            cast("ExportKind", kind), asked.get("side", ""), asked.get("fps", ""), asked.get("at", "")
        )
        return await _file(request, job, await self._runner.videos.export(job, export), f".{kind}")

    async def _opened(self, request: Request) -> Job:
        return await self._runner.videos.opened(request.path_params["id"], request.query_params.get("k", ""))


async def _file(
    request: Request, job: Job, path: Path, suffix: str, *, headers: Mapping[str, str] = FILE_HEADERS
) -> Response:
    stat = await asyncio.to_thread(_read_stat, path)
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


def _read_stat(path: Path) -> os.stat_result:
    """Return the state of a file that can be read; an error in the middle of the response would be a broken line.

    Raises:
        MediaError: It does not exist.
        StorageError: It exists and cannot be read.
    """
    try:
        with path.open("rb") as file:
            file.read(1)
            return os.fstat(file.fileno())
    except FileNotFoundError:
        raise MediaError("video_missing") from None
    except OSError as error:
        raise StorageError("video_closed", reason=error.strerror or reason("input_output")) from None
