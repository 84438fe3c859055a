"""Prompt lists for the page, other programs and agents: check, price, send, follow, stop and download."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, cast

import gradio as gr
from starlette.concurrency import iterate_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from hunyuan_ui.errors import PRICE_REFUSALS, AccessError, InvalidRequestError, SpendLimitError
from hunyuan_ui.job import JobStatus, Visitor, is_id
from hunyuan_ui.jobs import BatchView, Entry, JobRunner, Order, Plan
from hunyuan_ui.jobs.batch_files import csv_of, zip_of
from hunyuan_ui.jobs.batch_view import DELETED, NOT_SENT
from hunyuan_ui.list_texts import list_line, problem_of_list
from hunyuan_ui.prompt_list import KINDS, Kind, PromptList, Reading
from hunyuan_ui.ui.form import FIELDS
from hunyuan_ui.ui.page_json import guarded, json_answer, json_body
from hunyuan_ui.ui.payment import named_payer
from hunyuan_ui.ui.video_files import FILE_HEADERS
from hunyuan_ui.ui.views import shortened
from hunyuan_ui.ui.visitor import (
    KEY_HEADER,
    VISITOR_HEADER,
    address_of,
    code_in,
    headers_of,
    login_of,
    payer_in,
    say_for,
    token_of_key,
    token_sent,
    visitor_of,
)
from hunyuan_ui.ui.waiting_calls import WaitingCalls, status_wait_s
from hunyuan_ui.words import Words, shown_sum

LISTS: Final = "/gradio_api/hunyuan/lists"
CHECK: Final = f"{LISTS}/check"
SEND: Final = f"{LISTS}/send"
_MOST_NUMBER: Final = 1e15

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
    """The functions behind the API for lists; agents read the docstrings of its methods as tool descriptions.

    Args:
        runner: Handles all calls.
        slots: Limits on all calls that wait.
    """

    def __init__(self, runner: JobRunner, slots: WaitingCalls) -> None:
        self._runner = runner
        self._slots = slots

    async def submit_many(self, *values: Any) -> dict[str, Any]:
        """Check and price a list of prompts and, without faults, make it under one budget; again, it goes on."""
        caller, prompts, name, budget_usd, kind, picks, picks_seed, only_check, retry_failed = values
        headers = headers_of(caller)
        visitor, own_key = self._visitor(caller), headers.get(KEY_HEADER) or None
        if code := code_in(headers):
            await self._runner.access.enter(visitor, code)
        order = Order(
            visitor,
            _number("budget_usd", budget_usd),
            payer=payer_in(headers),
            own_key=own_key,
            is_logged_in=login_of(caller, self._runner.settings) != "",
            retry_failed=_flag("retry_failed", retry_failed),
        )
        only_check = _flag("only_check", only_check)
        reading = Reading(_kind(kind), {}, _whole("picks", picks), _whole("picks_seed", picks_seed))
        found = await self._runner.batches.read(_text("prompts", prompts), _text("name", name), reading)
        result = await checked(self._runner, found, order, say_for(caller))
        if found.faults or only_check:
            return {**result, "is_sent": False}
        try:
            view = await self._runner.batches.start(found, order)
        except SpendLimitError as error:
            raise refusal_of_call(error) from None
        return {**result, "is_sent": True, "status": self._status(view, say_for(caller))}

    async def status_many(
        self, caller: gr.Request, list_id: str, wait_s: float = 0.0, stop: bool = False
    ) -> dict[str, Any]:
        """Say how a list of prompts stands, with every row; with stop, send nothing more of it."""
        visitor, batches, wait_s = self._visitor(caller), self._runner.batches, status_wait_s(wait_s)
        if stop:
            await batches.stop(list_id, visitor)
        with self._slots.asking(visitor, wait_s) as wait_s:
            view = await batches.view(list_id, visitor, wait_s)
        return self._status(view, say_for(caller))

    def _status(self, view: BatchView, say: Words) -> dict[str, Any]:
        jobs = [_row(entry, say) for entry in view.entries]
        return {**summary_of(view, say, self._runner), "jobs": jobs}

    def _visitor(self, caller: gr.Request) -> Visitor:
        """Return the caller: by login, a page's token or their own key, which a repeated list must carry again."""
        if login_of(caller, self._runner.settings):
            return visitor_of(caller, None, self._runner)
        token, own_key = headers_of(caller).get(VISITOR_HEADER, ""), headers_of(caller).get(KEY_HEADER)
        if not is_id(token):
            if own_key:
                token = token_of_key(own_key)
            elif self._runner.settings.is_public:
                raise AccessError("list_needs_visitor")
            else:
                token = self._runner.videos.token(LISTS)  # everybody is the owner
        return self._runner.visitor(token, address_of(caller))


def refusal_of_call(error: SpendLimitError) -> SpendLimitError:
    """Return a refusal as a program can act on it: it was shown no price, and has nothing to confirm one with."""
    if error.code in PRICE_REFUSALS:
        return SpendLimitError("over_most_usd", price=error.facts["price"], limit=error.facts["shown"])
    return SpendLimitError("over_video_limit", **error.facts) if error.code == "confirm_price" else error


async def checked(runner: JobRunner, found: PromptList, order: Order, say: Words) -> dict[str, Any]:
    """Return a list as a table: faults with their positions, and time and cost of each row and in total."""
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
    """Return the state of a list, as numbers and as one line of text."""
    counts = {status.value: view.count(status) for status in JobStatus}
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
        "can_stop": view.can_stop,
        "problem": problem_of_list(view, say),
        "text": list_line(view, say),
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
        "cost_usd": None if job is None else job.cost_usd,
        "problem": None if job is None else say.problem_of(job),
    }


def _text(field: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidRequestError("list_not_text", field=field)
    return value


def _kind(kind: object) -> Kind:
    if kind not in KINDS:
        raise InvalidRequestError("list_kind", field="kind", choices=list(KINDS))
    return kind


def _flag(field: str, value: object) -> bool:
    # Not taken for false: a caller whose value got lost must not send what was only to be checked.
    if not isinstance(value, bool):
        raise InvalidRequestError("not_a_flag", field=field)
    return value


def _number(field: str, value: object) -> float:
    # Compared, not converted: a whole number of JSON may be too large for a float.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= _MOST_NUMBER:
        raise InvalidRequestError("not_a_number", field=field, value=str(value)[:40], low=0, high=1_000_000)
    return float(value)


def _whole(field: str, value: object) -> int:
    number = _number(field, value)
    if number != int(number):
        raise InvalidRequestError("not_whole", field=field, value=str(value)[:40], low=0, high=1_000_000)
    return int(number)


# the page's own routes


def build_list_routes(runner: JobRunner) -> list[Route]:
    """Return the routes of the page's lists, and of a list's ZIP, which its signed link grants access to."""
    pages = ListPages(runner)
    return [
        Route(CHECK, guarded(pages.check), methods=["POST"]),
        Route(SEND, guarded(pages.send), methods=["POST"]),
        Route(f"{LISTS}/{{id}}/stop", guarded(pages.stop), methods=["POST"]),
        Route(f"{LISTS}/{{id}}.zip", guarded(pages.zip)),
        Route(f"{LISTS}/{{id}}", guarded(pages.status)),
    ]


class ListPages:
    """Routes for the page's script, and the ZIP.

    Args:
        runner: Handles all calls.
    """

    def __init__(self, runner: JobRunner) -> None:
        self._runner = runner

    async def check(self, request: Request) -> Response:
        """Return the table of a list; sends nothing."""
        found, order = await self._asked(request)
        say = say_for(request)
        result = await checked(self._runner, found, order, say)
        return json_answer({**result, **_labels(result, say), "table": [_shown(row, say) for row in result["table"]]})

    async def send(self, request: Request) -> Response:
        """Send a list at the displayed price."""
        found, order = await self._asked(request)
        return self._standing(await self._runner.batches.start(found, order), request)

    async def status(self, request: Request) -> Response:
        """Return the state of a list."""
        view = await self._runner.batches.view(request.path_params["id"], self._visitor(request))
        return self._standing(view, request)

    async def stop(self, request: Request) -> Response:
        """Stop sending a list."""
        view = await self._runner.batches.stop(request.path_params["id"], self._visitor(request))
        return self._standing(view, request)

    async def zip(self, request: Request) -> Response:
        """Return a list's videos and its CSV as a ZIP."""
        list_id, say = request.path_params["id"], say_for(request)
        if not self._runner.videos.opens_list(list_id, request.query_params.get("k", "")):
            raise AccessError("no_such_list")
        entries = await self._runner.batches.stored(list_id)
        name = f'attachment; filename="hunyuan-list-{list_id[:8]}.zip"'
        headers = {**FILE_HEADERS, "Content-Disposition": name}
        if request.method == "HEAD":  # every video would be read, and none be sent
            return Response(headers=headers, media_type="application/zip")
        # One at a time, in a thread: a video in a bucket is downloaded when its turn comes.
        path_of = self._runner.videos.path_of
        videos = ((entry, path) for entry in entries if (path := path_of(entry.job)) is not None)
        now, left_out = map(self._as_it_is_now, entries), say["list.left_out"]
        pieces = zip_of(videos, lambda names: csv_of(now, names, say.problem_of, left_out))
        return StreamingResponse(iterate_in_threadpool(pieces), headers=headers, media_type="application/zip")

    def _as_it_is_now(self, entry: Entry) -> Entry:
        """Return a row without its words if its video was deleted while the ZIP was sent; blocks."""
        is_there = entry.job is None or self._runner.videos.is_there(entry.job)
        return entry if is_there else replace(entry, is_deleted=True)

    async def _asked(self, request: Request) -> tuple[PromptList, Order]:
        visitor, body = self._visitor(request), await json_body(request)
        reading = Reading(
            _kind(body.get("kind", "auto")),
            _lacking(body.get("form")),
            _whole("picks", body.get("picks", 0)),
            _whole("picks_seed", body.get("picks_seed", 0)),
        )
        order = Order(
            visitor,
            _number("budget_usd", body.get("budget_usd", 0)),
            payer=named_payer(body.get("payer"), self._runner),
            shown_usd=_number("shown_usd", body.get("shown_usd", 0)),
            is_confirmed=True,  # the table has shown the price of each row
            is_logged_in=login_of(gr.Request(request), self._runner.settings) != "",
            retry_failed=body.get("retry_failed") is True,
        )
        text, name = _text("prompts", body.get("prompts")), _text("name", body.get("name"))
        return await self._runner.batches.read(text, name, reading), order

    def _standing(self, view: BatchView, request: Request) -> Response:
        return json_answer(summary_of(view, say_for(request), self._runner))

    def _visitor(self, request: Request) -> Visitor:
        return visitor_of(gr.Request(request), token_sent(request), self._runner)


def _labels(result: Mapping[str, Any], say: Words) -> dict[str, str]:
    """Return the summary line of a checked list, and the label of its confirm button with time and price."""
    faults, rows, count, spent = len(result["faults"]), result["rows"], result["to_make"], result["spent_usd"]
    there = [say("list.there", count=rows - count)] if count < rows else []
    paid = [say("list.spent", spent=say.money(spent))] if spent else []
    line = [say("list.faults", count=faults)] if faults else [say("list.rows", count=rows), *there, *paid]
    if result["is_free"]:
        confirm = say("generate.preview_several", count=count)
    else:
        to_make = [(row["about_usd"], row["most_usd"]) for row in result["table"] if row["about_usd"] is not None]
        confirm = say.several_label(count, result["seconds"], *shown_sum(to_make))
    return {"sum": " · ".join(line), "confirm": confirm}


def _shown(row: Mapping[str, Any], say: Words) -> dict[str, Any]:
    status, seconds, about = row["status"], row["seconds"], row["about_usd"]
    key = f"list.{status}" if status in (NOT_SENT, DELETED) else f"owner.status.{status}"
    return {
        "row": row["row"],
        "status": status,
        "state": say[key],
        "prompt": shortened(row["prompt"]),
        "time": None if seconds is None else say.duration(seconds),
        "price": None if about is None else say.price_of(about, row["most_usd"]),
    }


def _lacking(form: object) -> dict[str, Any]:
    """Return the values for fields that a row leaves out: those of the form, all of which must be present."""
    held = cast("dict[str, Any]", form) if isinstance(form, dict) else dict[str, Any]()
    return {name: held.get(name) for name in FIELDS if name != "prompt"}
