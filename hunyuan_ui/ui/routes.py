"""The page's own JSON: what the waiting card asks for, and whether the program is well.

They live under /gradio_api because a server-side renderer in front of Gradio answers everything else itself
(gradio6.md fact 5).
"""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from hunyuan_ui import __version__
from hunyuan_ui.errors import AccessError
from hunyuan_ui.job import JobProblem, is_id
from hunyuan_ui.runner import JobRunner
from hunyuan_ui.ui.coach import build_coach_route
from hunyuan_ui.ui.jobs import PAGE_VERSION, as_json, next_poll_s
from hunyuan_ui.ui.text import words_for
from hunyuan_ui.ui.videos import build_video_routes
from hunyuan_ui.ui.visitor import VISITOR_HEADER, visitor_of

JOBS: Final = "/gradio_api/hunyuan/jobs"
HEALTH: Final = "/gradio_api/healthz"


def build_routes(runner: JobRunner) -> list[Route]:
    """Return the routes to mount beside Gradio's own."""

    async def active_jobs(request: Request) -> JSONResponse:
        token = request.headers.get(VISITOR_HEADER, "")
        if not is_id(token):
            return _not_yours(request)
        views = runner.active(visitor_of(token, runner.settings))
        say = words_for(request.cookies, request.headers)
        return _json({"jobs": [as_json(view, say) for view in views], "next_poll_s": next_poll_s(views)})

    async def one_job(request: Request) -> JSONResponse:
        token = request.headers.get(VISITOR_HEADER, "")
        if not is_id(token):
            return _not_yours(request)
        try:
            view = runner.view(request.path_params["id"], visitor_of(token, runner.settings))
        except AccessError:
            return _not_yours(request)
        return _json(as_json(view, words_for(request.cookies, request.headers)))

    async def health(_request: Request) -> JSONResponse:
        problem = runner.limits().problem
        is_well = problem is None and runner.is_healthy
        state = {"status": "ok" if is_well else "trouble", "problem": problem.code if problem else None}
        return _json({**state, "app_version": __version__}, 200 if is_well else 503)

    jobs = [Route(JOBS, active_jobs), Route(f"{JOBS}/{{id}}", one_job)]
    return [*jobs, build_coach_route(), *build_video_routes(runner), Route(HEALTH, health)]


def _not_yours(request: Request) -> JSONResponse:
    sentence = words_for(request.cookies, request.headers).sentence(JobProblem.from_code("not_yours"))
    return _json({"problem": sentence}, 404)


def _json(body: dict[str, Any], status: int = 200) -> JSONResponse:
    return JSONResponse({"version": PAGE_VERSION, **body}, status, {"Cache-Control": "no-store"})
