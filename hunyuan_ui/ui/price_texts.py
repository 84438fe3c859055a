"""Texts with times and prices: the button, the line above it, the page's header, and the examples.

A form is priced by a separate route rather than a Gradio event: its response sets no field, it can be aborted for a
newer request, and only `VideoRequest` parses the numbers in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from hunyuan_ui.errors import InvalidRequestError
from hunyuan_ui.estimate import Estimate
from hunyuan_ui.job import Job, JobStatus, Payer, Visitor, is_id
from hunyuan_ui.jobs import JobRunner, JobView
from hunyuan_ui.prompt_help import presets
from hunyuan_ui.prompt_help.examples import EXAMPLES, Example
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.ui.form import PRICED
from hunyuan_ui.ui.page_json import json_body
from hunyuan_ui.ui.payment import chosen_payer
from hunyuan_ui.ui.variations import COUNTS, count_in
from hunyuan_ui.ui.views import as_json, ending_of, head_of, video_json
from hunyuan_ui.ui.visitor import VISITOR_HEADER, say_for
from hunyuan_ui.words import Words

PRICE: Final = "/gradio_api/hunyuan/price"
_LOOKED_BACK: Final = 200  # recent jobs searched for videos of the examples


def build_price_route(runner: JobRunner) -> Route:
    """Return the route that prices a form; it stores nothing and is free."""

    async def price(request: Request) -> JSONResponse:
        body = await json_body(request)
        say = say_for(request)
        payer = chosen_payer({"chosen": body.get("payer")}, runner)
        found = priced(body, runner, payer, say)
        if body.get("is_whole") is True:
            token = request.headers.get(VISITOR_HEADER, "")
            visitor = runner.visitor(token) if is_id(token) else None
            found |= await priced_parts(runner, payer, say, visitor)
            newest = await runner.newest(visitor) if visitor else None
            found["last_seed"] = newest.request.seed if newest else None
        return JSONResponse(found, headers={"Cache-Control": "no-store"})

    return Route(PRICE, price, methods=["POST"])


def priced(values: Mapping[str, Any], runner: JobRunner, payer: Payer, say: Words) -> dict[str, Any]:
    """Return the price texts of a form: the button's label with time and price, and what will actually be rendered.

    Args:
        values: The values that a price depends on, by wire name, and `count`; for an invalid one the result is its
            sentence, without a price.
        runner: Knows the calibration by finished jobs.
        payer: Determines the service that would make the video.
        say: The visitor's words.

    Returns:
        `most_usd` is the maximum for all videos of one click in US dollars, None if there is no price.
    """
    try:
        # The prompt does not affect the price.
        request = VideoRequest.parse({"prompt": "-", **{name: values.get(name) for name in PRICED}})
    except InvalidRequestError as error:
        line = say.sentence(error)
        label = {"button": say["generate.label"], "again": say["again.label"]}
        return {**label, "line": line, "frames": None, "most_usd": None, "is_free": False}
    expected, count, is_free = runner.estimate(request, payer), count_in(values.get("count")), payer == "nobody"
    return {
        "button": say.generate_label(expected, is_preview=is_free, count=count),
        "again": say["again.preview"] if is_free else say("again.priced", price=say.price(expected, count)),
        "line": advice(request, expected, say),
        "frames": say("form.frames", length=say.length(request.video_length, request.duration_s)),
        "most_usd": 0.0 if is_free else expected.high_usd * count,
        "is_free": is_free,
    }


def opening_form(newest: Job | None, runner: JobRunner, payer: Payer, say: Words) -> dict[str, Any]:
    """Return the form's initial state: the settings of the visitor's newest job, and their current price.

    Args:
        newest: The visitor's newest job.
        runner: As for `priced`.
        payer: As for `priced`.
        say: As for `priced`.
    """
    held = newest.request if newest else VideoRequest.model_construct()
    numbers = {name: getattr(held, name) for name in PRICED}
    return {
        "payer": payer,
        "settings": newest.request.model_dump() if newest else None,
        "last_seed": newest.request.seed if newest else None,
        "price": {**priced(numbers, runner, payer, say), "of": {**numbers, "variations": COUNTS[0]}},
    }


def job_json(view: JobView, runner: JobRunner, say: Words) -> dict[str, Any]:
    """Return the page's data on one job, unfinished or ended: its video, possible actions, and their prices.

    Args:
        view: Of the job.
        runner: As for `priced`.
        say: As for `priced`.
    """
    job, video = view.job, None
    if job.status is JobStatus.DONE:
        again = again_of(job, runner, chosen_payer({"chosen": job.payer}, runner), say)
        video = {**video_json(job, runner.videos.signature(job), say), "again": again}
    return {**as_json(view, say), **ending_of(view, runner.settings, say), "video": video}


def again_of(job: Job, runner: JobRunner, payer: Payer, say: Words) -> dict[str, Any]:
    """Return the label of the button that makes another video with the same settings, and the price in it.

    Args:
        job: Provides the settings.
        runner: As for `priced`.
        payer: As for `priced`.
        say: As for `priced`.
    """
    found = priced({name: getattr(job.request, name) for name in PRICED}, runner, payer, say)
    return {"payer": payer, "text": found["again"], "most_usd": found["most_usd"]}


async def priced_parts(runner: JobRunner, payer: Payer, say: Words, visitor: Visitor | None = None) -> dict[str, Any]:
    """Return the page's header with today's money, and the examples with their prices.

    Args:
        runner: As for `priced`.
        payer: As for `priced`.
        say: As for `priced`.
        visitor: On a private page, whose own videos of the examples replace the drawn ones.
    """
    own = await _own_videos(runner, visitor)
    cards = [{**_card(example, runner, payer, say), "own": own.get(example.request.prompt)} for example in EXAMPLES]
    return {"head": head_of(await runner.spending(), runner.settings, payer, say), "examples": {"cards": cards}}


async def _own_videos(runner: JobRunner, visitor: Visitor | None) -> dict[str, dict[str, Any]]:
    """Return access to the files of the newest video that a private page's owner has made of each example prompt."""
    if visitor is None or runner.settings.is_public:
        return {}
    prompts = {example.request.prompt for example in EXAMPLES}
    jobs = await runner.jobs(visitor, limit=_LOOKED_BACK)
    done = [job for job in jobs if job.status is JobStatus.DONE and job.request.prompt in prompts]
    return {
        job.request.prompt: {
            "id": job.id,
            "code": runner.videos.signature(job),
            "width": job.made.width,
            "height": job.made.height,
        }
        for job in reversed(done)
    }


def advice(request: VideoRequest, estimate: Estimate, say: Words) -> str:
    """Return the line above the button: what will actually be rendered, and warnings before paying for it."""
    is_preset = presets.shape_and_size(request.width, request.height) != (None, None)
    lines = [say.size_line(request, is_typed=not is_preset)]
    if presets.quality(request.infer_steps) == "draft":
        lines.append(say["form.draft_line"])
    if estimate.may_outlive_record:
        lines.append(say["form.too_long_line"])
    return "\n".join(lines)


def _card(example: Example, runner: JobRunner, payer: Payer, say: Words) -> dict[str, Any]:
    request = example.request
    width, height = request.real_size
    expected = runner.estimate(request, payer)
    is_free = payer == "nobody"
    time, price = say.duration(expected.seconds), say.price(expected)
    shape, _ = presets.shape_and_size(request.width, request.height)
    return {
        "key": example.key,
        "title": say[f"example.{example.key}"],
        "settings": request.model_dump(),
        "ratio": round(width / height, 3),
        "shape": say("example.shape", shape=shape, length=say.length(request.video_length, request.duration_s)),
        "price": say["example.free"] if is_free else say("example.price", time=time, price=price),
        "most_usd": 0.0 if is_free else expected.high_usd,
    }
