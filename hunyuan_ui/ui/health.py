"""The health check, for a container's probe and a load balancer."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hunyuan_ui import __version__
from hunyuan_ui.jobs import JobRunner
from hunyuan_ui.ui.page_json import json_answer

HEALTH: Final = "/gradio_api/healthz"


def build_health_route(runner: JobRunner) -> Route:
    """Return the route that answers 200, or 503 while a restart or the platform could help."""

    async def health(_request: Request) -> Response:
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

    return Route(HEALTH, health)
