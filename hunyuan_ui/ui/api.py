"""The public API: the request's fields by their wire names, under the same rules as the page (DESIGN 7)."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import asdict
from hashlib import sha256
from typing import Any, Final, cast

import gradio as gr
from gradio.context import get_blocks_context
from gradio.data_classes import FileData

from hunyuan_ui.errors import HunyuanUIError
from hunyuan_ui.filetype import BY_SUFFIX
from hunyuan_ui.job import MICRO, Job, JobStatus, Visitor, is_id, new_id
from hunyuan_ui.request import Parameter, VideoRequest, parameters
from hunyuan_ui.runner import JobRunner
from hunyuan_ui.ui.agents import NO_TOOL, readable_by_agents
from hunyuan_ui.ui.copies import download_name, served_copy
from hunyuan_ui.ui.form import FIELDS, request_from, signature_of
from hunyuan_ui.ui.jobs import as_json
from hunyuan_ui.ui.visitor import VISITOR_HEADER, Event, headers_of, login_of, page_event, say_for, visitor_of

KEY_HEADER: Final = "x-api-key"
CODE_HEADER: Final = "x-access-code"
PAYER_HEADER: Final = "x-payer"  # owner, visitor or nobody (local preview), where there is a choice
LONGEST_STATUS_WAIT_S: Final = 25.0  # agents give up on a tool after about 30 s
WAITING_CALLS: Final = 32  # each holds one of Gradio's 40 queue slots while its video is made

_STATUS_SHOWN: Final = ("status", "phase", "is_active", "elapsed_s", "usual_s", "place", "waiting", "retry_in_s")
_JOB_HELP: Final = {
    "job_id": "32 hexadecimal digits of your own; sending them again names the same job and never pays twice.",
}
_STATUS_HELP: Final = {
    "job_id": "The id that submit returned.",
    "wait_s": f"Wait for the end so long, then answer anyway. Range: 0 to {LONGEST_STATUS_WAIT_S:g} seconds.",
}


class ApiCalls:
    """The functions behind the API.

    Args:
        runner: The door to everything.
    """

    def __init__(self, runner: JobRunner) -> None:
        self._runner = runner

    async def generate(self, *values: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Make a video and wait for it, which takes minutes; returns the MP4 and a JSON of what was made."""
        job, visitor = await self._submitted(values)
        ended = await self._runner.wait(job.id, visitor)
        return await self._video(ended, visitor), _made(ended)

    async def submit(self, *values: Any) -> dict[str, Any]:
        """Send a video to be made and return at once with its job id and estimate."""
        job, _ = await self._submitted(values)
        expected = self._expected(job.request)
        return {"job_id": job.id, "status": job.status.value, "request": job.request.model_dump(), "estimate": expected}

    async def estimate(self, *values: Any) -> dict[str, Any]:
        """Say how long a video will take and what it will cost, its real size and duration; sends nothing."""
        return self._expected(request_from(values[: len(FIELDS)]))

    async def status(self, caller: gr.Request, job_id: str, wait_s: float = 0.0) -> dict[str, Any]:
        """Say where a job is, with elapsed and usual time in seconds, and its video when it is done."""
        visitor = self._visitor(caller, job_id)
        await self._runner.wait(job_id, visitor, min(max(float(wait_s), 0.0), LONGEST_STATUS_WAIT_S))
        view = self._runner.view(job_id, visitor)
        is_done = view.job.status is JobStatus.DONE
        shown = as_json(view, say_for(caller))
        return {
            "job_id": view.job.id,
            **{name: shown[name] for name in _STATUS_SHOWN},
            "note": shown["note_text"],
            "made": _made(view.job) if is_done else None,
            "video": await self._video(view.job, visitor) if is_done else None,
        }

    async def result(self, caller: gr.Request, job_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the MP4 of a finished job and a JSON of what was made."""
        visitor = self._visitor(caller, job_id)
        job = self._runner.view(job_id, visitor).job
        return await self._video(job, visitor), _made(job)

    def _expected(self, wish: VideoRequest) -> dict[str, Any]:
        width, height = wish.real_size
        made = {"width": width, "height": height, "duration_s": wish.duration_s}
        return {**asdict(self._runner.estimate(wish)), **made, "is_free": self._runner.settings.is_preview}

    async def _submitted(self, values: tuple[Any, ...]) -> tuple[Job, Visitor]:
        *fields, job_id, caller = values
        job_id = job_id or new_id()
        wish, visitor = request_from(fields), self._visitor(caller, job_id)
        if code := headers_of(caller).get(CODE_HEADER):
            await self._runner.access.enter(visitor, code)
        wanted = headers_of(caller).get(PAYER_HEADER)
        job = await self._runner.submit(
            job_id,
            wish,
            visitor,
            payer=wanted if wanted in self._runner.payers else None,
            own_key=_own_key(caller),
            is_logged_in=login_of(caller, self._runner.settings) != "",
        )
        return job, visitor

    def _visitor(self, caller: gr.Request | None, job_id: str) -> Visitor:
        """Return who calls: by their page's token, else by their own key, else by the job's random id alone."""
        token = headers_of(caller).get(VISITOR_HEADER, "")
        own_key = _own_key(caller)
        if not is_id(token):
            token = sha256(own_key.encode()).hexdigest()[:32] if own_key else job_id
        return visitor_of(token, self._runner.settings, caller)

    async def _video(self, job: Job, visitor: Visitor) -> dict[str, Any]:
        if job.status is not JobStatus.DONE:
            raise _why_not(job)
        path = self._runner.video_path(job.id, visitor)
        cached = await asyncio.to_thread(served_copy, job, path)
        kind = BY_SUFFIX[path.suffix]
        return FileData(path=cached, orig_name=download_name(job, kind.suffix), mime_type=kind.mime).model_dump()


def declare_api(runner: JobRunner) -> None:
    """Declare the public endpoints inside the page's Blocks; everything else is private."""
    calls = ApiCalls(runner)
    sent = {"job_id": str, "caller": gr.Request}
    both = tuple[dict[str, Any], dict[str, Any]]
    _declare(calls.generate, signature_of(sent, both), _JOB_HELP, concurrency_limit=WAITING_CALLS)
    _declare(calls.submit, signature_of(sent, dict[str, Any]), _JOB_HELP)
    # What is free needs no place in the queue, and an agent's call without one comes with the agent's own request.
    _declare(calls.status, _resolved(calls.status), _STATUS_HELP, queue=False)
    _declare(calls.result, _resolved(calls.result), _STATUS_HELP, queue=False)
    _declare(calls.estimate, signature_of({"caller": gr.Request}, dict[str, Any]), {}, queue=False)


def _declare(call: Event, signature: inspect.Signature, helps: dict[str, str], **options: Any) -> None:
    """Declare one endpoint; Gradio reads names and types from the signature, and help from the docstring."""
    guarded: Any = readable_by_agents(page_event(call))
    if call.__name__ == "generate":
        guarded._mcp_type = NO_TOOL  # it waits for minutes, and agents give up on a tool long before
    guarded.__signature__ = signature
    guarded.__annotations__ = {name: found.annotation for name, found in signature.parameters.items()}
    helps = {**{field.name: _help(field) for field in parameters()}, **helps}
    lines = [f"    {name}: {helps[name]}" for name in signature.parameters if name in helps]
    guarded.__doc__ = "\n".join([call.__doc__ or "", "", "Args:", *lines])
    cast("Any", gr).api(guarded, api_name=call.__name__, **{"concurrency_limit": None, **options})
    # Gradio tells the docstring's help to agents only; in the schema it reaches /gradio_api/info and openapi.json too.
    *_, declared = cast("Any", get_blocks_context()).fns.values()
    for component, name in zip(declared.inputs, (name for name in signature.parameters if name in helps), strict=True):
        component.api_info()["description"] = helps[name]


def _help(field: Parameter) -> str:
    """Return a parameter's help with its range and unit, for those who see no control."""
    low = 1 if field.default is None else field.low or 0
    return f"{field.help} Range: {f'{low} to {field.high} {field.unit}'.strip()}."


def _resolved(call: Event) -> inspect.Signature:
    return inspect.signature(call, eval_str=True)


def _own_key(caller: gr.Request | None) -> str | None:
    return headers_of(caller).get(KEY_HEADER) or None


def _made(job: Job) -> dict[str, Any]:
    return {
        "job_id": job.id,
        **job.request.model_dump(include=set(VideoRequest.model_fields) - {"width", "height", "video_length"}),
        "width": job.made.width,
        "height": job.made.height,
        "video_length": job.made.frames,
        "duration_s": job.made.duration_s,
        "is_as_asked": not job.differs,
        "cost_usd": None if job.cost_microusd is None else job.cost_microusd / MICRO,
        "inference_s": job.inference_s,
    }


def _why_not(job: Job) -> HunyuanUIError:
    if job.problem is not None:
        return HunyuanUIError(job.problem.code, **job.problem.facts)
    return HunyuanUIError("no_video_yet", status=job.status.value)
