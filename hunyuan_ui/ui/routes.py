"""JSON routes of the page for the state of jobs, and the list of all routes besides Gradio's own.

They are under /gradio_api because a server-side renderer in front of Gradio handles all other paths
(docs/facts/gradio6.md 0, row 5).
"""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hunyuan_ui.errors import AccessError
from hunyuan_ui.job import Job, Visitor, is_id
from hunyuan_ui.jobs import JobRunner
from hunyuan_ui.ui.batch import build_list_routes
from hunyuan_ui.ui.example_loops import build_loop_route
from hunyuan_ui.ui.gallery import build_video_routes
from hunyuan_ui.ui.health import build_health_route
from hunyuan_ui.ui.page_head import build_picture_routes
from hunyuan_ui.ui.page_json import guarded, json_answer
from hunyuan_ui.ui.payment import allowances, held_by
from hunyuan_ui.ui.price_texts import build_price_route, job_json
from hunyuan_ui.ui.prompt_panel import build_prompt_route
from hunyuan_ui.ui.variations import LOOKED_BACK, click_of, is_whole
from hunyuan_ui.ui.views import as_json, next_poll_s
from hunyuan_ui.ui.visitor import say_for, token_sent

JOBS: Final = "/gradio_api/hunyuan/jobs"
ALLOWANCE: Final = "/gradio_api/hunyuan/allowance"
PAGES: Final = "/gradio_api/hunyuan/pages"
EXPECTED_HEADER: Final = "x-hunyuan-expected"
MOST_WAIT_S: Final = 2  # a reverse proxy or a phone may drop a silent connection


def build_routes(runner: JobRunner) -> list[Route]:
    """Return the routes to mount besides Gradio's own."""
    page = JobPages(runner)
    return [
        Route(JOBS, guarded(page.active)),
        Route(f"{JOBS}/{{id}}", guarded(page.one)),
        Route(ALLOWANCE, guarded(page.allowance)),
        Route(f"{PAGES}/{{id}}", guarded(page.opened_or_closed), methods=["POST", "DELETE"]),
        *build_picture_routes(),
        build_price_route(runner),
        build_prompt_route(),
        build_loop_route(),
        *build_video_routes(runner),
        *build_list_routes(runner),
        build_health_route(runner),
    ]


class JobPages:
    """JSON routes for the page's scripts that follow jobs.

    Args:
        runner: Gives access to the jobs.
    """

    def __init__(self, runner: JobRunner) -> None:
        self._runner = runner

    async def active(self, request: Request) -> Response:
        """Return the visitor's jobs that have not ended."""
        visitor = self._visitor(request)
        views = await self._runner.active(visitor)
        are_together = any(view.job.in_click for view in views)
        known = await self._runner.jobs(visitor, limit=LOOKED_BACK) if are_together else []
        say = say_for(request)
        jobs = [{**as_json(view, say), **_click(view.job, known)} for view in views]
        return json_answer({"jobs": jobs, "next_poll_s": next_poll_s(views)})

    async def one(self, request: Request) -> Response:
        """Return one of the visitor's jobs, with `within_s` once it has ended or after that many seconds."""
        job_id, visitor = request.path_params["id"], self._visitor(request)
        try:
            if within_s := _seconds(request.query_params.get("within_s", "")):
                await self._runner.wait(job_id, visitor, within_s)
            view = await self._runner.view(job_id, visitor)
            known = await self._runner.jobs(visitor, limit=LOOKED_BACK)
        except AccessError:
            # A page polls its own click before that has arrived; an error would show in the browser's console.
            if request.headers.get(EXPECTED_HEADER):
                return json_answer({})
            raise
        say = say_for(request)
        return json_answer({**job_json(view, self._runner, say), **_click(view.job, known)})

    async def allowance(self, request: Request) -> Response:
        """Return what is left of the visitor's limits, and which credentials of theirs the server has."""
        visitor, say = self._visitor(request), say_for(request)
        await self._runner.recall(visitor)
        left = await allowances(self._runner, visitor, say)
        return json_answer({"allowance": left, **held_by(self._runner, visitor)})

    async def opened_or_closed(self, request: Request) -> Response:
        """Record that a page of a visitor with their own key is open, or closes."""
        visitor, page_id = self._visitor(request), request.path_params["id"]
        if not is_id(page_id):
            raise AccessError("not_yours")
        keys = self._runner.keys
        (keys.page_closed if request.method == "DELETE" else keys.page_opened)(page_id, visitor)
        return json_answer({})

    def _visitor(self, request: Request) -> Visitor:
        return self._runner.visitor(token_sent(request))


def _click(job: Job, known: list[Job]) -> dict[str, Any]:
    """Return what the page follows a job's click by; `is_whole` is whether the whole click has arrived."""
    return {"click": click_of(job.id, known), "is_whole": is_whole(job, known)}


def _seconds(text: str) -> float:
    """Return how long a response may wait for the job's end; 0 for an invalid value."""
    return min(int(text), MOST_WAIT_S) if text.isdecimal() and len(text) <= 2 else 0
