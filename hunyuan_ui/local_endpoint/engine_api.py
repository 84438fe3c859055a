"""The local endpoint's `/v1/videos` API, as self-hosted engines provide it.

It behaves as the first column of docs/facts/engines.md 1: real progress, no prompt in the list, and a DELETE that only
drops the record.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Collection, Mapping
from typing import Any, Final, cast

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import ValidationError
from starlette.datastructures import FormData

from hunyuan_ui.endpoint.contract import MODEL, RemoteState
from hunyuan_ui.local_endpoint.auth import Refusal
from hunyuan_ui.local_endpoint.jobs import Jobs, RemoteJob
from hunyuan_ui.request import FPS, VideoRequest

VIDEOS: Final = "/v1/videos"
_NO_KEY: Final = "no key"
_DEFAULT_S: Final = 4  # default length of a video in seconds
_MOST_FRAMES: Final = 129
_MOST_BYTES: Final = 1024 * 1024
_WORDS: Final = {
    RemoteState.QUEUED: "queued",
    RemoteState.PROCESSING: "in_progress",
    RemoteState.COMPLETED: "completed",
    RemoteState.FAILED: "failed",
}
# Wire names here, and the fields that they set.
_SAME: Final = {"prompt": "prompt", "negative_prompt": "negative_prompt", "seed": "seed"}
_NUMBERS: Final = {"num_inference_steps": "infer_steps", "num_frames": "video_length", "seed": "seed"}


class RefusedError(Refusal):
    """A rejected request."""

    def response(self) -> JSONResponse:
        """Return the response in this API's envelope."""
        return JSONResponse({"detail": self.error}, self.status)


class EngineApi:
    """One method per path.

    Args:
        jobs: Of this endpoint; jobs made here are free.
        keys: The only accepted bearer tokens; any or none if None.
        seconds: Wall time of a job, for its progress.
    """

    def __init__(self, jobs: Jobs, keys: Collection[str] | None, seconds: float) -> None:
        self._jobs = jobs
        self._keys = keys
        self._seconds = seconds

    def add_to(self, app: FastAPI) -> None:
        """Add all routes of this API."""
        app.add_api_route("/health", self.health)
        app.add_api_route("/v1/models", self.models)
        app.add_api_route(VIDEOS, self.create, methods=["POST"])
        app.add_api_route(VIDEOS, self.list)
        app.add_api_route(VIDEOS + "/{video_id}", self.get)
        app.add_api_route(VIDEOS + "/{video_id}", self.delete, methods=["DELETE"])
        app.add_api_route(VIDEOS + "/{video_id}/content", self.content)

    async def health(self) -> dict[str, str]:
        """Report readiness."""
        return {"status": "ok"}

    async def models(self) -> dict[str, Any]:
        """List the one model."""
        return {"object": "list", "data": [{"id": MODEL, "object": "model"}]}

    async def create(self, request: Request) -> dict[str, Any]:
        """Queue a job, from a form or from JSON, and respond immediately."""
        key = self._key_of(request)
        values = _values_of(await _body_of(request))
        return self._shown(self._jobs.submit(values, key, is_free=True))

    async def list(self, request: Request, limit: int = 20, after: str = "", order: str = "desc") -> dict[str, Any]:
        """List the caller's jobs, newest first unless `order` is asc."""
        jobs = self._jobs.of(self._key_of(request))
        jobs = jobs if order == "desc" else jobs[::-1]
        ids = [job.id for job in jobs]
        start = ids.index(after) + 1 if after in ids else 0
        data = [self._shown(job) for job in jobs[start : start + max(1, min(limit, 100))]]
        ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
        return {"object": "list", "data": data, **ends, "has_more": start + len(data) < len(jobs)}

    async def get(self, request: Request, video_id: str) -> dict[str, Any]:
        """Return the state of a job."""
        return self._shown(self._found(request, video_id))

    async def delete(self, request: Request, video_id: str) -> dict[str, Any]:
        """Delete a job's record; a running job continues."""
        self._jobs.drop(self._found(request, video_id))
        return {"id": video_id, "object": "video.deleted", "deleted": True}

    async def content(self, request: Request, video_id: str) -> Response:
        """Serve a finished video."""
        job = self._found(request, video_id)
        if job.state is not RemoteState.COMPLETED or job.file is None:
            raise RefusedError(404, "Video is not ready")
        return FileResponse(job.file, media_type="video/mp4")

    def _key_of(self, request: Request) -> str:
        key = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if self._keys is not None and not any(secrets.compare_digest(key.encode(), k.encode()) for k in self._keys):
            raise RefusedError(401, "Unauthorized")
        return key or _NO_KEY

    def _found(self, request: Request, video_id: str) -> RemoteJob:
        job = self._jobs.find(video_id, self._key_of(request), expired=True)
        if job is None:
            raise RefusedError(404, f"Video {video_id} not found")
        return job

    def _shown(self, job: RemoteJob) -> dict[str, Any]:
        ended = {} if job.ended_at is None else {"completed_at": int(job.submitted_at + job.ended_at - job.queued_at)}
        error = {} if job.error is None else {"error": {"code": "generation_failed", "message": job.error}}
        frames = int(job.values["video_length"])
        return {
            "id": job.id,
            "object": "video",
            "model": MODEL,
            "status": _WORDS[job.state],
            "progress": self._progress(job),
            "created_at": int(job.submitted_at),
            "size": f"{job.values['width']}x{job.values['height']}",
            "seconds": str(round(frames / FPS)),
            **ended,
            **error,
        }

    def _progress(self, job: RemoteJob) -> int:
        if job.state is RemoteState.COMPLETED:
            return 100
        if job.started_at is None:
            return 0
        return min(99, round(100 * (time.monotonic() - job.started_at) / max(self._seconds, 0.01)))


async def _body_of(request: Request) -> Mapping[str, Any]:
    if int(request.headers.get("content-length", "0") or 0) > _MOST_BYTES:
        raise RefusedError(400, "The request body is too large")
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        form: FormData = await request.form(max_files=1, max_part_size=_MOST_BYTES)
        return {name: value for name, value in form.items() if isinstance(value, str)}
    try:
        values: object = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise RefusedError(400, "The request body is not valid JSON") from None
    if not isinstance(values, dict):
        raise RefusedError(422, "The request body must be an object")
    return cast("dict[str, Any]", values)


def _values_of(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request's fields by their own names, validated.

    Raises:
        RefusedError: 422, naming the error.
    """
    default = VideoRequest.model_construct()
    values: dict[str, Any] = {name: asked[wire] for wire, name in _SAME.items() if asked.get(wire) is not None}
    try:
        width, _, height = str(asked.get("size") or f"{default.width}x{default.height}").partition("x")
        values |= {"width": int(width), "height": int(height)}
        values |= {name: int(asked[wire]) for wire, name in _NUMBERS.items() if asked.get(wire) is not None}
        if "video_length" not in values:
            frames = int(asked.get("seconds") or _DEFAULT_S) * int(asked.get("fps") or FPS)
            values["video_length"] = min(_MOST_FRAMES, frames // 4 * 4 + 1)
        return VideoRequest.model_validate(values).model_dump()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise RefusedError(422, f"{first['loc'][0]}: {first['msg']}") from None
    except (ValueError, TypeError, OverflowError):
        raise RefusedError(422, "size must be WIDTHxHEIGHT, and numbers whole") from None
