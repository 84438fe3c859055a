"""What the page does when something is clicked; no event waits for a paid call."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

import gradio as gr

from hunyuan_ui import presets
from hunyuan_ui.errors import HunyuanUIError, InvalidRequestError, MediaError
from hunyuan_ui.job import Job, JobProblem, JobStatus, Payer, Visitor
from hunyuan_ui.prompts import EXAMPLES, Example
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.runner import JobRunner
from hunyuan_ui.ui.form import FIELDS, advice, filled, in_range, presets_of, request_from
from hunyuan_ui.ui.gallery import video_json
from hunyuan_ui.ui.jobs import head_of
from hunyuan_ui.ui.own_key import PayEvents, chosen_payer
from hunyuan_ui.ui.text import Words, money, seconds_text
from hunyuan_ui.ui.variations import count_in, variations
from hunyuan_ui.ui.visitor import login_of, page_event, say_for, token_in, token_of, visitor_of

LOOKED_BACK: Final = 50  # jobs searched for the last finished video
KEEP: Final[Any] = cast("Any", gr).skip()  # leaves a component as it is; Gradio's own annotation is incomplete
RECENT_S: Final = 3600.0  # a failure older than this is not brought up again when the page opens


class PageEvents:
    """The events of one page.

    Args:
        runner: The door to everything.
    """

    def __init__(self, runner: JobRunner) -> None:
        self._runner = runner
        self.pay = PayEvents(runner)

    # sending

    def submit(self, *, is_confirmed: bool) -> Callable[..., Any]:
        """Return the event of the Generate button, or of its confirmation of a high price."""

        async def submit(
            request: gr.Request, job_id: str, who: object, pay: object, *values: Any
        ) -> tuple[dict[str, Any], dict[str, Any], Any]:
            is_random, count, *fields = values
            wishes = variations(job_id, request_from(fields, is_random=is_random), count_in(count))
            token = token_of(request, who, self._runner.settings)
            send = partial(
                self._runner.submit,
                visitor=self._visitor(token),
                payer=chosen_payer(pay, self._runner),
                is_confirmed=is_confirmed,
                is_logged_in=login_of(request, self._runner.settings) != "",
            )
            job = await send(*wishes[0])
            notice = {"answer": job_id, "text": await _send_more(send, wishes[1:], say_for(request))}
            watched = {"token": token, "job": job.id, "is_new": True}
            return watched, notice, job.request.seed

        async def answer(request: gr.Request, job_id: str, *values: Any) -> Any:
            def refused(problem: JobProblem, field: str | None, say: Words) -> tuple[Any, ...]:
                text = say.sentence(problem)
                notice = {"answer": job_id, "text": text, "field": field}
                return KEEP, {**notice, "is_confirmable": problem.code == "confirm_price"}, KEEP

            return await page_event(submit, refused)(request, job_id, *values)

        return answer

    async def cancel(self, _request: gr.Request, event: gr.EventData, who: object) -> None:
        """Remove a job that was not sent; the waiting card sees the rest by itself."""
        await self._runner.cancel(_job_id(event), self._visitor(token_in(who)))

    # showing

    async def attach(self, request: gr.Request, who: object) -> list[Any]:
        """Return all that a page shows when it opens: who it is, its newest job, its last video."""
        say = say_for(request)
        token = token_of(request, who, self._runner.settings)
        visitor = self._visitor(token)
        pay = self.pay.opened(request, visitor, say)
        jobs = self._runner.jobs(visitor, limit=LOOKED_BACK)
        newest = jobs[0] if jobs else None
        watched = {"token": token, "job": newest.id if newest is not None and _is_news(newest) else None}
        finished = next((job for job in jobs if job.status is JobStatus.DONE), None)
        wish = newest.request if newest else None
        return [
            token,
            watched,
            pay,
            *self._priced_parts(pay, say),
            *[self._played(finished, say)] * 2,
            *(filled(wish, is_random=True) if wish else [KEEP] * (len(FIELDS) + 4)),
        ]

    # filling the form

    async def pick(self, _request: gr.Request, event: gr.EventData) -> list[Any]:
        """Fill the form with an example; nothing is sent."""
        return filled(EXAMPLES[int(getattr(event, "index", 0))].request, is_random=False)

    async def reuse(self, _request: gr.Request, event: gr.EventData, who: object) -> list[Any]:
        """Fill the form with a job's settings, seed included."""
        return filled(self._runner.view(_job_id(event), self._visitor(token_in(who))).job.request, is_random=False)

    async def new_seed(self, _request: gr.Request, event: gr.EventData, who: object) -> list[Any]:
        """Fill the form with a job's settings and leave its seed to chance."""
        return filled(self._runner.view(_job_id(event), self._visitor(token_in(who))).job.request, is_random=True)

    async def reuse_seed(self, _request: gr.Request, who: object) -> tuple[Any, Any]:
        """Put the seed of the newest job into the box and keep it."""
        newest = self._runner.newest(self._visitor(token_in(who)))
        return (newest.request.seed, False) if newest else (KEEP, False)

    async def choose_size(self, shape: presets.Shape | None, size: presets.Size | None) -> tuple[Any, ...]:
        """Return width and height for the chosen shape and size; an unset one takes the default's."""
        shape, size = shape or presets.SHAPES[0], size or presets.SIZES[0]
        return *presets.pixels(shape, size), shape, size

    async def choose_quality(self, quality: presets.Quality) -> int:
        """Return the steps of a quality."""
        return presets.STEPS[quality]

    async def follow_payer(self, request: gr.Request, pay: object) -> tuple[Any, ...]:
        """Return what follows who pays and each video's end: the page's head and the examples' prices."""
        return self._priced_parts(pay, say_for(request))

    async def follow_numbers(self, request: gr.Request, pay: object, count: object, *values: Any) -> tuple[Any, ...]:
        """Return what follows the numbers: presets, the real size and length, and the button's time and price."""
        say = say_for(request)
        try:
            wish = request_from(in_range(("-", *values[1:])))  # the prompt costs nothing
        except InvalidRequestError as error:
            return (*[KEEP] * 4, say.sentence(JobProblem.of(error)), say["generate.label"])
        frames = gr.update(label=say("form.frames", seconds=seconds_text(wish)))
        payer = chosen_payer(pay, self._runner)
        expected = self._runner.estimate(wish, payer)
        button = say.generate_label(expected, is_preview=payer == "nobody", count=count_in(count))
        return (*presets_of(wish), frames, advice(wish, expected, say), button)

    # inside

    def _visitor(self, token: str) -> Visitor:
        return visitor_of(token, self._runner.settings)

    def _priced_parts(self, pay: object, say: Words) -> tuple[dict[str, Any], dict[str, Any]]:
        payer = chosen_payer(pay, self._runner)
        cards = [self._card(example, payer, say) for example in EXAMPLES]
        return head_of(self._runner.limits(), payer, say), {"cards": cards}

    def _card(self, example: Example, payer: Payer, say: Words) -> dict[str, Any]:
        wish = example.request
        width, height = wish.real_size
        expected = self._runner.estimate(wish, payer)
        if payer == "nobody":
            price = say["example.free"]
        else:
            price = say("example.price", time=say.duration(expected.seconds), price=money(expected.cost_usd))
        shape, _ = presets.shape_and_size(wish.width, wish.height)
        return {
            "key": example.key,
            "title": say[f"example.{example.key}"],
            "prompt": wish.prompt,
            "ratio": round(width / height, 3),
            "shape": say("example.shape", shape=shape, seconds=seconds_text(wish)),
            "price": price,
        }

    def _played(self, job: Job | None, say: Words) -> dict[str, Any]:
        if job is None:
            return {}
        try:
            self._runner.videos.video(job)
        except MediaError:
            return {}
        return video_json(job, self._runner.videos.code(job), say)


async def _send_more(send: Callable[..., Any], wishes: list[tuple[str, VideoRequest]], say: Words) -> str:
    """Send the other videos of a click; return what to say when a limit let only some of them begin."""
    for index, wish in enumerate(wishes):
        try:
            await send(*wish)
        except HunyuanUIError as error:
            problem = say.sentence(JobProblem.of(error))
            return say("generate.some_began", made=index + 1, wished=len(wishes) + 1, problem=problem)
    return ""


def _job_id(event: gr.EventData) -> str:
    return str(getattr(event, "job", ""))


def _is_news(job: Job) -> bool:
    """Whether an opening page should speak of its newest job: it goes on, or it went wrong a short while ago."""
    if job.status is JobStatus.DONE:
        return False
    return job.is_active or time.time() - job.updated_at < RECENT_S
