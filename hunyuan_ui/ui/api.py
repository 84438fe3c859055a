"""The public API: the request's fields by their wire names, under the page's rules (docs/architecture.md 7)."""

from __future__ import annotations

import inspect
from dataclasses import asdict
from typing import Any, Final, cast

import gradio as gr
from gradio.context import get_blocks_context
from gradio.data_classes import FileData

from hunyuan_ui.errors import AccessError, HunyuanUIError, InvalidRequestError, SpendLimitError
from hunyuan_ui.file_type import BY_SUFFIX
from hunyuan_ui.job import Job, JobStatus, Payer, Visitor, is_id, new_id
from hunyuan_ui.jobs import JobRunner
from hunyuan_ui.prompt_list import MOST_BYTES, MOST_ROWS
from hunyuan_ui.request import Parameter, VideoRequest, parameters
from hunyuan_ui.ui.batch import SUBMIT_MANY, BatchCalls, refusal_of_call
from hunyuan_ui.ui.error_boundary import Event, page_event
from hunyuan_ui.ui.form import request_from, signature_of
from hunyuan_ui.ui.mcp_results import NO_TOOL, readable_by_agents
from hunyuan_ui.ui.served_files import download_name, served_path
from hunyuan_ui.ui.views import as_json
from hunyuan_ui.ui.visitor import (
    KEY_HEADER,
    VISITOR_HEADER,
    address_of,
    code_in,
    headers_of,
    login_of,
    payer_in,
    say_for,
    token_of,
    token_of_key,
)
from hunyuan_ui.ui.waiting_calls import LONGEST_STATUS_WAIT_S, Call, WaitingCalls, status_wait_s
from hunyuan_ui.words import words

MOST_USD: Final = 1000  # for one video
SLOTS: Final = 38  # of the 40 in Gradio's queue

_STATUS_SHOWN: Final = ("status", "phase", "is_active", "elapsed_s", "usual_s", "place", "waiting", "retry_in_s")
# Parameters besides the request's fields, and the suffix of the key of each one's help text, after "api.".
_JOB_HELP: Final = {"job_id": "job_id", "most_usd": "most_usd"}
_STATUS_HELP: Final = {"job_id": "job_id_returned", "wait_s": "wait_s", "look_again": "look_again"}
_LIST_HELP: Final = {
    name: f"list_{name}"
    for name in ("prompts", "name", "budget_usd", "kind", "picks", "picks_seed", "only_check", "retry_failed")
}
_LIST_STATUS_HELP: Final = {"list_id": "list_id", "wait_s": "wait_s", "stop": "list_stop"}


class ApiCalls:
    """The functions behind the API; agents read the docstrings of its methods as tool descriptions.

    Args:
        runner: Handles all calls.
    """

    def __init__(self, runner: JobRunner) -> None:
        self._runner = runner
        self.slots = WaitingCalls(is_public=runner.settings.is_public)

    async def generate(self, *values: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Make a video and wait for it, which takes minutes; returns the MP4 and a JSON of what was made."""
        call, video_request = self._call_and_request(values)
        if not self.slots.has_room(call):
            raise await self._no_slot(call)
        with self.slots.taken(call):
            job = await self._submitted(call, video_request, values)
            ended = await self._runner.wait(job.id, call.visitor)
        return await self._video(ended, call.visitor), _made(ended, call)

    async def submit(self, *values: Any) -> dict[str, Any]:
        """Send a video to be made and return at once with its job id and estimate."""
        call, video_request = self._call_and_request(values)
        job = await self._submitted(call, video_request, values)
        answer = {"job_id": call.handle, "status": job.status.value, "request": job.request.model_dump()}
        return {**answer, "estimate": self._expected(job.request, job.payer)}

    async def estimate(self, *values: Any) -> dict[str, Any]:
        """Say how long a video takes and what it costs (about cost_usd, at most high_usd), its real size, duration."""
        *fields, caller = values
        usual = self._runner.default_payer(has_own_key=_own_key(caller) is not None)
        return self._expected(request_from(fields), payer_in(headers_of(caller)) or usual)

    async def status(
        self,
        caller: gr.Request,
        job_id: str,
        wait_s: float = 0.0,
        look_again: bool = False,
    ) -> dict[str, Any]:
        """Say where a job is, with elapsed and usual time in seconds, and its video when it is done."""
        call, wait_s = self._call(caller, job_id), status_wait_s(wait_s)
        if look_again and (await self._runner.view(call.job_id, call.visitor)).can_look_again:
            await self._runner.retry_lost(call.job_id, call.visitor, own_key=_own_key(caller))
        with self.slots.asking(call.visitor, wait_s) as wait_s:
            await self._runner.wait(call.job_id, call.visitor, wait_s)
        view = await self._runner.view(call.job_id, call.visitor)
        is_done = view.job.status is JobStatus.DONE
        shown = as_json(view, say_for(caller))
        return {
            "job_id": call.handle,
            **{name: shown[name] for name in _STATUS_SHOWN},
            "note": shown["note_text"],
            "made": _made(view.job, call) if is_done else None,
            "video": await self._video(view.job, call.visitor) if is_done else None,
        }

    async def result(self, caller: gr.Request, job_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the MP4 of a finished job and a JSON of what was made."""
        call = self._call(caller, job_id)
        job = (await self._runner.view(call.job_id, call.visitor)).job
        return await self._video(job, call.visitor), _made(job, call)

    def _expected(self, video_request: VideoRequest, payer: Payer) -> dict[str, Any]:
        width, height = video_request.real_size
        made = {"width": width, "height": height, "duration_s": video_request.duration_s}
        expected = asdict(self._runner.estimate(video_request, payer))
        expected["is_learnt"] = expected.pop("is_calibrated")  # the name in the public API
        return {**expected, **made, "is_free": payer == "nobody"}

    def _call_and_request(self, values: tuple[Any, ...]) -> tuple[Call, VideoRequest]:
        *fields, job_id, _most_usd, caller = values
        video_request = request_from(fields)
        return self._call(caller, job_id, video_request), video_request

    async def _submitted(self, call: Call, video_request: VideoRequest, values: tuple[Any, ...]) -> Job:
        *_, most_usd, caller = values
        most_usd = None if most_usd is None else _amount(most_usd)
        if code := code_in(headers_of(caller)):
            await self._runner.access.enter(call.visitor, code)
        try:
            return await self._runner.submit(
                call.job_id,
                video_request,
                call.visitor,
                payer=payer_in(headers_of(caller)),
                own_key=_own_key(caller),
                shown_usd=most_usd,
                is_logged_in=login_of(caller, self._runner.settings) != "",
            )
        except SpendLimitError as error:
            raise refusal_of_call(error) from None

    def _call(self, caller: gr.Request | None, handle: str | None, video_request: VideoRequest | None = None) -> Call:
        """Return the job and the caller: identified by a secret of theirs, never by the id, which others may see.

        The secret is the second half of a handle, else their page's token, else their own key. A caller with none gets
        a handle in the response. It is random, except for an id of their own choice: there it is derived from the whole
        call, so that repeating the call after a lost response leads to the same job, and the id alone does not. Who has
        logged in sends as that login, as on the page: any other token could be made up anew for each video.

        Raises:
            InvalidRequestError: The id or handle for a new job is malformed.
        """
        job_id, dot, secret = (handle or "").partition(".")
        if video_request is not None and dot and not (is_id(job_id) and is_id(secret)):
            raise InvalidRequestError("bad_job_id", field="job_id")
        is_chosen, job_id = job_id != "", job_id or new_id()
        token, own_key = headers_of(caller).get(VISITOR_HEADER, ""), _own_key(caller)
        settings = self._runner.settings
        is_login = login_of(caller, settings) != "" and (video_request is not None or not dot)
        is_known = is_login or is_id(token) or own_key is not None or not settings.is_public
        if is_login:
            token, dot = token_of(caller, token, settings), ""
        elif dot:
            token = secret
        elif not is_id(token):
            token = token_of_key(own_key) if own_key else self._token(job_id, video_request, is_chosen)
        handle = f"{job_id}.{token}" if dot or (not is_known and video_request is not None) else job_id
        return Call(job_id, self._runner.visitor(token, address_of(caller)), handle)

    def _token(self, job_id: str, video_request: VideoRequest | None, is_chosen: bool) -> str:
        if not self._runner.settings.is_public:
            return self._runner.videos.token(job_id)  # everybody is the owner
        return self._runner.videos.token(job_id, video_request) if is_chosen and video_request is not None else new_id()

    async def _no_slot(self, call: Call) -> HunyuanUIError:
        try:
            await self._runner.view(call.job_id, call.visitor)
        except AccessError:
            return HunyuanUIError("no_place_to_send")
        return HunyuanUIError("no_place_to_wait", job_id=call.handle)

    async def _video(self, job: Job, visitor: Visitor) -> dict[str, Any]:
        if job.status is not JobStatus.DONE:
            raise _why_not(job)
        kind = BY_SUFFIX[(await self._runner.video_path(job.id, visitor)).suffix]
        path = served_path(job, self._runner.videos.signature(job), kind.suffix)
        return FileData(path=path, orig_name=download_name(job, kind.suffix), mime_type=kind.mime).model_dump()


def declare_api(runner: JobRunner) -> None:
    """Declare the public endpoints inside the page's Blocks; all others are private."""
    calls = ApiCalls(runner)
    sent = {"job_id": str, "most_usd": float, "caller": gr.Request}
    both = tuple[dict[str, Any], dict[str, Any]]
    _declare(calls.generate, signature_of(sent, both), _JOB_HELP, concurrency_limit=SLOTS)
    _declare(calls.submit, signature_of(sent, dict[str, Any]), _JOB_HELP)
    # Free calls need no queue slot, and an agent's unqueued call has the agent's own request and headers.
    _declare(calls.status, _resolved(calls.status), _STATUS_HELP, queue=False)
    _declare(calls.result, _resolved(calls.result), _STATUS_HELP, queue=False)
    _declare(calls.estimate, signature_of({"caller": gr.Request}, dict[str, Any]), {}, queue=False)
    lists = BatchCalls(runner, calls.slots)
    _declare(lists.submit_many, SUBMIT_MANY, _LIST_HELP)
    _declare(lists.status_many, _resolved(lists.status_many), _LIST_STATUS_HELP, queue=False)


def _declare(call: Event, signature: inspect.Signature, helps: dict[str, str], **options: Any) -> None:
    """Declare one endpoint; Gradio reads names and types from the signature, and help from the docstring."""
    guarded: Any = readable_by_agents(page_event(call))
    if call.__name__ == "generate":
        guarded._mcp_type = NO_TOOL  # it waits for minutes, and agents abandon a tool call much earlier
    guarded.__signature__ = signature
    guarded.__annotations__ = {name: found.annotation for name, found in signature.parameters.items()}
    say, ranges = words(), {"most": MOST_USD, "longest_s": LONGEST_STATUS_WAIT_S, "rows": MOST_ROWS}
    own = {name: say(f"api.{key}", **ranges) for name, key in helps.items()}
    helps = {**{field.name: _help(field) for field in parameters()}, **own}
    lines = [f"    {name}: {helps[name]}" for name in signature.parameters if name in helps]
    guarded.__doc__ = "\n".join([call.__doc__ or "", "", "Args:", *lines])
    cast("Any", gr).api(guarded, api_name=call.__name__, **{"concurrency_limit": None, **options})
    # Gradio shows the docstring's help only to agents; in the schema it reaches /gradio_api/info and openapi.json too.
    *_, declared = cast("Any", get_blocks_context()).fns.values()
    for component, name in zip(declared.inputs, (name for name in signature.parameters if name in helps), strict=True):
        component.api_info()["description"] = helps[name]
        if name == "prompts":
            component.api_info()["maxLength"] = MOST_BYTES


def _help(field: Parameter) -> str:
    """Return a parameter's help with its range and unit, for callers who see no control."""
    low = 1 if field.default is None else field.low or 0
    key = "api.field" if field.unit else "api.field_without_unit"
    return words()(key, help=words()[f"field.{field.name}.help"], low=low, high=field.high, unit=field.unit)


def _resolved(call: Event) -> inspect.Signature:
    return inspect.signature(call, eval_str=True)


def _own_key(caller: gr.Request | None) -> str | None:
    return headers_of(caller).get(KEY_HEADER) or None


def _amount(value: object) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 <= cast("float", value) <= MOST_USD:
        code = "out_of_range" if is_number else "not_a_number"
        raise InvalidRequestError(code, field="most_usd", value=str(value)[:40], low=0, high=MOST_USD)
    return float(cast("float", value))


def _made(job: Job, call: Call) -> dict[str, Any]:
    return {
        "job_id": call.handle,
        **job.request.model_dump(include=set(VideoRequest.model_fields) - {"width", "height", "video_length"}),
        "width": job.made.width,
        "height": job.made.height,
        "video_length": job.made.frames,
        "duration_s": job.made.duration_s,
        "is_as_asked": not job.differs,
        "cost_usd": job.cost_usd,
        "inference_s": job.inference_s,
    }


def _why_not(job: Job) -> HunyuanUIError:
    if job.problem is not None:
        return HunyuanUIError(job.problem.code, **job.problem.facts)
    return HunyuanUIError("no_video_yet", status=job.status.value)
