"""HTTP routes of the local endpoint: the hosted service's paths, statuses, headers and bodies.

Source: docs/facts/segmind-api.md 1 to 3, row by row.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final, Literal

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException

from hunyuan_ui.endpoint import contract
from hunyuan_ui.endpoint.contract import RemoteState
from hunyuan_ui.local_endpoint.auth import Auth, Refusal
from hunyuan_ui.local_endpoint.engine_api import EngineApi
from hunyuan_ui.local_endpoint.history import Envelope, in_data, page_of, status_of
from hunyuan_ui.local_endpoint.jobs import InsufficientCreditsError, Jobs, RemoteJob, Terms

FILES: Final = "/generations"
_VIDEO: Final = "video/mp4"


def create_app(
    *,
    seconds: float = 6,
    credits: float = 100.0,
    is_free: bool = False,
    keys: Collection[str] | None = None,
    record_life_s: float = contract.RECORD_LIFE_S,
    requests_per_minute: int | None = None,
    v1_answer: Literal["bytes", "url"] = "bytes",
    history_envelope: Envelope = in_data,
    work_dir: Path | None = None,
) -> FastAPI:
    """Return a stand-in for the hosted service and for a self-hosted engine.

    Args:
        seconds: Wall time of a job, rendering included.
        credits: Balance of the account in US dollars.
        is_free: Jobs cost 0 and are never refused for lack of credits.
        keys: The only accepted keys; any well-formed one if None.
        record_life_s: Seconds after submission until polling answers 404.
        requests_per_minute: Maximum paid requests per key and minute; no limit if None.
        v1_answer: Whether v1 responds with the video itself or with JSON that contains its address.
        history_envelope: Wraps the rows of a page and its position into the list's response.
        work_dir: Parent of the folder of videos, which is removed at the end.
    """
    terms = Terms(seconds=seconds, is_free=is_free, record_life_s=record_life_s)
    jobs = Jobs(terms, credits, work_dir)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        yield
        await jobs.aclose()

    app = FastAPI(lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    endpoint = LocalEndpoint(jobs, Auth(keys, requests_per_minute), v1_answer, history_envelope)
    app.add_api_route(contract.GENERATE_V1, endpoint.generate, methods=["POST"])
    app.add_api_route(contract.SUBMIT_V2, endpoint.submit, methods=["POST"])
    app.add_api_route("/v2/requests/{request_id}/status", endpoint.status)
    app.add_api_route("/v2/requests/{request_id}", endpoint.result)
    app.add_api_route("/v1/requests/{request_id}", endpoint.result)
    app.add_api_route(contract.CREDITS, endpoint.credits)
    app.add_api_route(contract.HISTORY + contract.HISTORY_LIST, endpoint.history)
    app.add_api_route(contract.HISTORY + contract.history_path("{request_id}"), endpoint.history_row)
    app.add_api_route(FILES + "/{name}", endpoint.file, methods=["GET", "HEAD"])
    EngineApi(jobs, keys, seconds).add_to(app)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(HTTPException, _not_routed)
    return app


class LocalEndpoint:
    """One method per path."""

    def __init__(self, jobs: Jobs, auth: Auth, v1_answer: Literal["bytes", "url"], envelope: Envelope) -> None:
        self._jobs = jobs
        self._auth = auth
        self._v1_answer = v1_answer
        self._envelope = envelope

    async def generate(self, request: Request) -> Response:
        """Block until the video is finished and return it (docs/facts/segmind-api.md 1.1 and 1.2)."""
        job = await self._jobs.finished(await self._accepted(request, short_of_credits=406))
        if job.file is None:
            return JSONResponse({"error": job.error}, 500, headers={contract.REQUEST_ID_HEADER: job.id})
        assert job.request is not None
        headers = {
            contract.REQUEST_ID_HEADER: job.id,
            contract.COST_HEADER: str(job.cost),
            contract.REMAINING_HEADER: str(job.remaining_credits),
            contract.GENERATION_TIME_HEADER: str(job.metrics["inference_time"]),
            contract.SEED_HEADER: str(job.request.seed),
            contract.METADATA_HEADER: job.output_metadata,
        }
        if self._v1_answer == "url":
            return JSONResponse(_result(job, request), headers=headers)
        return FileResponse(job.file, media_type=_VIDEO, headers=headers)

    async def submit(self, request: Request) -> dict[str, str]:
        """Queue a job and respond immediately (docs/facts/segmind-api.md 2.1)."""
        job = await self._accepted(request, short_of_credits=402)
        base = _base(request)
        return {
            "request_id": job.id,
            "status": RemoteState.QUEUED.value,
            "poll_url": f"{base}/v1/requests/{job.id}",
            "status_url": base + contract.status_path(job.id),
            "response_url": base + contract.result_path(job.id),
        }

    async def status(self, request: Request, request_id: str) -> Response:
        """Return the state of a job (docs/facts/segmind-api.md 2.2 and 2.3)."""
        job = self._polled(request, request_id)
        if job.state is RemoteState.FAILED:
            return _failure(job)
        return JSONResponse(_state(job, request))

    async def result(self, request: Request, request_id: str) -> Response:
        """Return a finished job's output (docs/facts/segmind-api.md 2.4), or the state of another."""
        job = self._polled(request, request_id)
        if job.state is RemoteState.FAILED:
            return _failure(job)
        is_done = job.state is RemoteState.COMPLETED
        return JSONResponse(_result(job, request) if is_done else _state(job, request))

    async def credits(self, request: Request) -> dict[str, float]:
        """Return the balance (docs/facts/segmind-api.md 3.2)."""
        self._auth.key_of(request)
        return {"credits": self._jobs.credits, "free-credits": 0.0}

    async def history(self, request: Request) -> Response:
        """List the caller's requests (docs/facts/segmind-api.md 3.3)."""
        key = self._auth.key_of(request)
        shown, about = page_of(self._jobs.of(key), request.query_params)
        return JSONResponse(self._envelope([_history_row(job, request) for job in shown], about))

    async def history_row(self, request: Request, request_id: str) -> dict[str, Any]:
        """Return one of the caller's requests, of any age."""
        job = self._jobs.find(request_id, self._auth.key_of(request), expired=True)
        if job is None:
            raise Refusal(404, f"Request {request_id} not found")
        return _history_row(job, request)

    async def file(self, name: str) -> Response:
        """Serve a video at its unguessable address; no key is required (docs/facts/segmind-api.md 2.5)."""
        path = self._jobs.file(name)
        if path is None or not path.is_file():
            raise Refusal(404, "File not found")
        return FileResponse(path, media_type=_VIDEO)

    async def _accepted(self, request: Request, *, short_of_credits: int) -> RemoteJob:
        key = self._auth.key_of(request)
        values = await self._auth.values_of(request)
        self._auth.count_paid(key)
        try:
            return self._jobs.submit(values, key)
        except InsufficientCreditsError:
            raise Refusal(short_of_credits, f"Insufficient credits. You have {self._jobs.credits} credits.") from None

    def _polled(self, request: Request, request_id: str) -> RemoteJob:
        job = self._jobs.find(request_id, self._auth.key_of(request))
        if job is None:
            raise Refusal(404, f"Request {request_id} not found")
        return job


def _state(job: RemoteJob, request: Request) -> dict[str, Any]:
    base = _base(request)
    return {
        "status": job.state.value,
        "request_id": job.id,
        "status_url": base + contract.status_path(job.id),
        "response_url": base + contract.result_path(job.id),
        "metrics": job.metrics,
    }


def _failure(job: RemoteJob) -> JSONResponse:
    body = {"status": job.state.value, "request_id": job.id, "error": job.error, "metrics": job.metrics}
    return JSONResponse(body, 422)


def _result(job: RemoteJob, request: Request) -> dict[str, Any]:
    assert job.file is not None
    assert job.request is not None
    url = _url(job, request)
    return {
        "status": job.state.value,
        "request_id": job.id,
        "error": None,
        "output": url,
        "video": {
            "url": url,
            "content_type": _VIDEO,
            "file_name": job.file.name,
            "file_size": str(job.file.stat().st_size),
        },
        "seed": str(job.request.seed),
        "prompt": job.request.prompt,
        "metrics": job.metrics,
    }


def _history_row(job: RemoteJob, request: Request) -> dict[str, Any]:
    took = job.metrics.get("total_time")
    return {
        "request_id": job.id,
        "model_name": contract.MODEL,
        "model_status": status_of(job),
        "credits_deduction": job.cost or 0.0,
        "request_body": job.values,
        "generation_url": _url(job, request),
        "latency_ms": None if took is None else round(took * 1000),
        "created_at": datetime.fromtimestamp(job.submitted_at, timezone.utc).isoformat(),
        "error": job.error,
    }


def _url(job: RemoteJob, request: Request) -> str | None:
    is_done = job.state is RemoteState.COMPLETED and job.file is not None
    return f"{_base(request)}{FILES}/{job.file.name}" if is_done and job.file else None


def _base(request: Request) -> str:
    return str(request.base_url).rstrip("/")


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return error.response()


async def _not_routed(request: Request, error: Exception) -> Response:
    """Return an HTML page for a wrong method, the envelope for everything else (docs/facts/segmind-api.md 1.4)."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        page = "<!doctype html>\n<title>405 Method Not Allowed</title>\n<h1>Method Not Allowed</h1>\n"
        return HTMLResponse(page, 405, headers=error.headers)
    slug = request.url.path.rpartition("/")[2]
    text = f"Model {slug} not found" if error.status_code == 404 else str(error.detail)
    return JSONResponse({"error": text}, error.status_code, headers=error.headers)
