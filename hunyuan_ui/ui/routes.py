"""JSON routes of the page: the state of jobs, and the health check.

They are under /gradio_api because a server-side renderer in front of Gradio handles all other paths
(docs/facts/gradio6.md 0, row 5).
"""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from hunyuan_ui import __version__
from hunyuan_ui.errors import AccessError
from hunyuan_ui.job import JobProblem, is_id
from hunyuan_ui.jobs import JobRunner
from hunyuan_ui.ui.batch import build_list_routes
from hunyuan_ui.ui.example_loops import build_loop_route
from hunyuan_ui.ui.gallery import build_video_routes
from hunyuan_ui.ui.page_json import json_answer
from hunyuan_ui.ui.payment import allowances, held_by
from hunyuan_ui.ui.prices import build_price_route, job_json
from hunyuan_ui.ui.prompt_panel import build_prompt_route
from hunyuan_ui.ui.served_head import build_picture_routes
from hunyuan_ui.ui.variations import LOOKED_BACK, click_of
from hunyuan_ui.ui.views import as_json, next_poll_s
from hunyuan_ui.ui.visitor import VISITOR_HEADER
from hunyuan_ui.words import words_for

JOBS: Final = "/gradio_api/hunyuan/jobs"
ALLOWANCE: Final = "/gradio_api/hunyuan/allowance"
PAGES: Final = "/gradio_api/hunyuan/pages"
HEALTH: Final = "/gradio_api/healthz"
EXPECTED_HEADER: Final = "x-hunyuan-expected"
MOST_WAIT_S: Final = 2  # a reverse proxy or a phone may drop a silent connection


def build_routes(runner: JobRunner) -> list[Route]:
    """Return the routes to mount besides Gradio's own."""

    async def active_jobs(request: Request) -> JSONResponse:
        token = request.headers.get(VISITOR_HEADER, "")
        if not is_id(token):
            return _not_yours(request)
        visitor = runner.visitor(token)
        views = await runner.active(visitor)
        are_together = any(view.job.in_click for view in views)
        known = await runner.jobs(visitor, limit=LOOKED_BACK) if are_together else []
        say = words_for(request.cookies, request.headers)
        jobs_json = [{**as_json(view, say), "click": click_of(view.job.id, known)} for view in views]
        return json_answer({"jobs": jobs_json, "next_poll_s": next_poll_s(views)})

    async def one_job(request: Request) -> JSONResponse:
        token = request.headers.get(VISITOR_HEADER, "")
        if not is_id(token):
            return _not_yours(request)
        job_id, visitor = request.path_params["id"], runner.visitor(token)
        say = words_for(request.cookies, request.headers)
        try:
            if within_s := _seconds(request.query_params.get("within_s", "")):
                await runner.wait(job_id, visitor, within_s)
            view = await runner.view(job_id, visitor)
            known = await runner.jobs(visitor, limit=LOOKED_BACK)
        except AccessError:
            # A page polls its own click before that has arrived; an error would show in the browser's console.
            return json_answer({}) if request.headers.get(EXPECTED_HEADER) else _not_yours(request)
        return json_answer({**job_json(view, runner, say), "click": click_of(job_id, known)})

    async def allowance(request: Request) -> JSONResponse:
        token = request.headers.get(VISITOR_HEADER, "")
        if not is_id(token):
            return _not_yours(request)
        say = words_for(request.cookies, request.headers)
        visitor = runner.visitor(token)
        await runner.recall(visitor)
        return json_answer({"allowance": await allowances(runner, visitor, say), **held_by(runner, visitor)})

    async def health(_request: Request) -> JSONResponse:
        problem = runner.problem
        is_well = problem is None and runner.is_healthy
        # Problems that only the owner can fix must not restart a container.
        notice = problem or runner.notice
        state = {
            "status": "ok" if is_well else "trouble",
            "problem": notice.code if notice else None,
            "waiting_for_visitor": await runner.waiting_for_visitor(),
        }
        return json_answer({**state, "app_version": __version__}, 200 if is_well else 503)

    jobs = [Route(JOBS, active_jobs), Route(f"{JOBS}/{{id}}", one_job), Route(ALLOWANCE, allowance)]
    forms = [build_price_route(runner), build_prompt_route(), build_loop_route()]
    videos = [*build_video_routes(runner), *build_list_routes(runner)]
    return [*jobs, _build_pages_route(runner), *build_picture_routes(), *forms, *videos, Route(HEALTH, health)]


def _build_pages_route(runner: JobRunner) -> Route:
    """Return the route by which the page of a visitor with their own key reports that it is open or closing."""

    async def page(request: Request) -> JSONResponse:
        token, page_id = request.headers.get(VISITOR_HEADER, ""), request.path_params["id"]
        if not is_id(token) or not is_id(page_id):
            return _not_yours(request)
        change = runner.keys.page_closed if request.method == "DELETE" else runner.keys.page_opened
        change(page_id, runner.visitor(token))
        return json_answer({})

    return Route(f"{PAGES}/{{id}}", page, methods=["POST", "DELETE"])


def _seconds(text: str) -> float:
    """Return how long a response may wait for the job's end; 0 for an invalid value."""
    return min(int(text), MOST_WAIT_S) if text.isdecimal() and len(text) <= 2 else 0


def _not_yours(request: Request) -> JSONResponse:
    sentence = words_for(request.cookies, request.headers).sentence(JobProblem.from_code("not_yours"))
    return json_answer({"problem": sentence}, 404)
