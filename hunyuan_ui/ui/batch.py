"""Lists of prompts for other programs and agents: checked, priced, sent, followed, stopped and fetched."""

from __future__ import annotations

import asyncio
import inspect
import math
from hashlib import sha256
from typing import Any, Final

import gradio as gr
from starlette.concurrency import iterate_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from hunyuan_ui.errors import AccessError, InvalidRequestError
from hunyuan_ui.job import MICRO, JobStatus, Visitor, is_id
from hunyuan_ui.jobs import BatchView, Entry, JobRunner, Order, Plan
from hunyuan_ui.jobs.batch_files import csv_of, zip_of
from hunyuan_ui.prompt_list import KINDS, Kind, PromptList, Reading, read_list
from hunyuan_ui.ui.views import guarded
from hunyuan_ui.ui.visitor import (
    CODE_HEADER,
    KEY_HEADER,
    PAYER_HEADER,
    VISITOR_HEADER,
    address_of,
    headers_of,
    login_of,
    say_for,
)
from hunyuan_ui.words import Words, money, words_for

LISTS: Final = "/gradio_api/hunyuan/lists"
LONGEST_WAIT_S: Final = 25.0  # agents give up on a tool after about 30 s
# As for a video: one that was deleted must not live on in a cache.
_ZIP_HEADERS: Final = {
    "Cache-Control": "private, no-cache",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_VALUES: Final[tuple[tuple[str, Any, Any], ...]] = (
    ("caller", gr.Request, inspect.Parameter.empty),
    ("prompts", str, inspect.Parameter.empty),
    ("name", str, inspect.Parameter.empty),
    ("budget_usd", float, inspect.Parameter.empty),
    ("kind", str, "auto"),
    ("picks", int, 0),
    ("picks_seed", int, 0),
    ("only_check", bool, False),
    ("retry_failed", bool, False),
)
SUBMIT_MANY: Final = inspect.Signature(
    [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=kind, default=default)
        for name, kind, default in _VALUES
    ],
    return_annotation=dict[str, Any],
)


class BatchCalls:
    """The functions behind the API.

    Args:
        runner: The door to everything.
    """

    def __init__(self, runner: JobRunner) -> None:
        self._runner = runner

    async def submit_many(self, *values: Any) -> dict[str, Any]:
        """Check and price a list of prompts and, without faults, make it under one budget; again, it goes on."""
        caller, prompts, name, budget_usd, kind, picks, picks_seed, only_check, retry_failed = values
        headers = headers_of(caller)
        visitor, own_key = self._visitor(caller), headers.get(KEY_HEADER) or None
        if code := headers.get(CODE_HEADER):
            await self._runner.access.enter(visitor, code)
        wanted = headers.get(PAYER_HEADER)
        order = Order(
            visitor,
            _amount(budget_usd),
            payer=wanted if wanted in self._runner.payers else None,
            own_key=own_key,
            is_logged_in=login_of(caller, self._runner.settings) != "",
            retry_failed=retry_failed,
        )
        reading = Reading(_kind(kind), {}, _whole("picks", picks), _whole("picks_seed", picks_seed))
        found = await asyncio.to_thread(read_list, prompts, name, reading)
        told = await checked(self._runner, found, order, say_for(caller))
        if found.faults or only_check:
            return {**told, "is_sent": False}
        view = await self._runner.batches.start(found, order)
        return {**told, "is_sent": True, "status": self._told(view, say_for(caller))}

    async def status_many(
        self, caller: gr.Request, list_id: str, wait_s: float = 0.0, stop: bool = False
    ) -> dict[str, Any]:
        """Say how a list of prompts stands, with every row; with stop, send nothing more of it."""
        visitor, batches = self._visitor(caller), self._runner.batches
        if stop:
            await batches.stop(list_id, visitor)
        wait_s = min(max(_number("wait_s", wait_s), 0.0), LONGEST_WAIT_S)
        return self._told(await batches.view(list_id, visitor, wait_s), say_for(caller))

    def _told(self, view: BatchView, say: Words) -> dict[str, Any]:
        jobs = [_row(entry, say) for entry in view.entries]
        return {**summary_of(view, say, self._runner), "jobs": jobs}

    def _visitor(self, caller: gr.Request) -> Visitor:
        """Return who calls: by the token of a page or their own key, which the same list must come with again."""
        token, own_key = headers_of(caller).get(VISITOR_HEADER, ""), headers_of(caller).get(KEY_HEADER)
        if not is_id(token):
            if own_key:
                token = sha256(own_key.encode()).hexdigest()[:32]
            elif self._runner.settings.is_public:
                raise AccessError("list_needs_visitor")
            else:
                token = self._runner.videos.token(LISTS)  # everybody is the owner
        return self._runner.visitor(token, address_of(caller))


async def checked(runner: JobRunner, found: PromptList, order: Order, say: Words) -> dict[str, Any]:
    """Return a list as a table: what is wrong where, and what each row and the whole take and cost."""
    faults = [{"line": line, "field": error.field, "problem": say.sentence(error)} for line, error in found.faults]
    plan = await runner.batches.plan(found, order)
    is_free = plan.payer == "nobody"
    return {
        **plan.facts,
        "is_free": is_free,
        "faults": faults,
        "table": [_planned(entry, plan, is_free=is_free) for entry in plan.entries],
    }


def _planned(entry: Entry, plan: Plan, *, is_free: bool) -> dict[str, Any]:
    price = plan.prices.get(entry.row.number)
    return {
        "row": entry.row.number,
        "line": entry.row.line,
        "job_id": entry.job_id,
        "status": entry.state,
        "prompt": entry.request.prompt,
        "seconds": None if price is None else round(price.seconds, 1),
        "about_usd": None if price is None or is_free else round(price.cost_usd, 4),
        "most_usd": None if price is None or is_free else round(price.high_usd, 4),
    }


def summary_of(view: BatchView, say: Words, runner: JobRunner) -> dict[str, Any]:
    """Return how a list stands, in numbers and in a line."""
    counts = {status.value: view.count(status) for status in JobStatus}
    budget = "" if view.budget_usd is None else money(view.budget_usd)
    facts = {"done": view.done, "rows": view.rows, "spent": money(view.spent_usd), "budget": budget}
    key = "list.progress" if view.left_s > 0 and budget else "list.stands"
    return {
        "list_id": view.list_id,
        "name": view.name,
        "rows": view.rows,
        **counts,
        "not_sent": view.rows - sum(counts.values()),
        "spent_usd": round(view.spent_usd, 6),
        "budget_usd": view.budget_usd,
        "left_s": round(view.left_s, 1),
        "is_running": view.is_running,
        "problem": say.sentence(view.problem) if view.problem else None,
        "text": say(key, **facts, time=say.duration(view.left_s)),
        "zip": f"{LISTS}/{view.list_id}.zip?k={runner.videos.list_signature(view.list_id)}" if view.done else None,
    }


def _row(entry: Entry, say: Words) -> dict[str, Any]:
    job = entry.job
    return {
        "row": entry.row.number,
        "job_id": entry.job_id,
        "status": entry.state,
        "prompt": "" if entry.is_deleted else entry.request.prompt,
        "seed": entry.request.seed,
        "cost_usd": None if job is None or job.cost_microusd is None else job.cost_microusd / MICRO,
        "problem": say.sentence(job.problem) if job is not None and job.problem is not None else None,
    }


def _kind(kind: object) -> Kind:
    if kind not in KINDS:
        raise InvalidRequestError("list_kind", field="kind", choices=list(KINDS))
    return kind


def _number(field: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InvalidRequestError("not_a_number", field=field, value=str(value)[:40], low=0, high=1_000_000)
    return float(value)


def _amount(value: object) -> float:
    return _number("budget_usd", value)


def _whole(field: str, value: object) -> int:
    number = _number(field, value)
    if number != int(number):
        raise InvalidRequestError("not_whole", field=field, value=str(value)[:40], low=0, high=1_000_000)
    return int(number)


def build_list_route(runner: JobRunner) -> Route:
    """Return the route of a list's videos and CSV as a ZIP, which opens to whoever holds its signed link."""

    async def zipped(request: Request) -> Response:
        list_id, say = request.path_params["id"], words_for(request.cookies, request.headers)
        if not runner.videos.opens_list(list_id, request.query_params.get("k", "")):
            raise AccessError("no_such_list")
        entries = await runner.batches.stored(list_id)
        videos = [(entry, path) for entry in entries if (path := runner.videos.path_of(entry.job)) is not None]
        pieces = zip_of(videos, lambda names: csv_of(entries, names, say.sentence))
        name = f'attachment; filename="hunyuan-list-{list_id[:8]}.zip"'
        headers = {**_ZIP_HEADERS, "Content-Disposition": name}
        return StreamingResponse(iterate_in_threadpool(pieces), headers=headers, media_type="application/zip")

    return Route(f"{LISTS}/{{id}}.zip", guarded(zipped))
