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
from hunyuan_ui.request import RANDOM_SEED, VideoRequest
from hunyuan_ui.runner import JobRunner
from hunyuan_ui.ui.form import FIELDS, advice, filled, in_range, presets_of, request_from
from hunyuan_ui.ui.gallery import settings_in, video_json
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
            watched = {**self._watched(token, job.id), "is_new": True}
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

    async def look_again(self, _request: gr.Request, event: gr.EventData, who: object) -> dict[str, Any]:
        """Ask at once for a video that is waited for, or once more for one that was lost."""
        token = token_in(who)
        job = await self._runner.look_again(_job_id(event), self._visitor(token))
        return {**self._watched(token, job.id), "looked_at": time.time()}

    # showing

    async def attach(self, request: gr.Request, who: object) -> list[Any]:
        """Return all that a page shows when it opens: who it is, its newest job, its last video."""
        say = say_for(request)
        token = token_of(request, who, self._runner.settings)
        visitor = self._visitor(token)
        pay = self.pay.opened(request, visitor, say)
        jobs = self._runner.jobs(visitor, limit=LOOKED_BACK)
        newest = jobs[0] if jobs else None
        finished = next((job for job in jobs if job.status is JobStatus.DONE), None)
        return [
            token,
            {**self._watched(token, self._news(jobs, visitor)), "shown": finished.id if finished else None},
            pay,
            *self._priced_parts(pay, say),
            *[self._played(finished, say)] * 2,
            *self._form(newest.request if newest else None, pay, 1, say, is_random=True),
        ]

    async def ended(self, request: gr.Request, pay: object, count: object, *values: Any) -> tuple[Any, ...]:
        """Return what a job's end changes: money spent, and prices and times, for every finished job teaches them."""
        numbers = await self.follow_numbers(request, pay, count, *values)
        return *self._priced_parts(pay, say_for(request)), *numbers

    # filling the form

    async def pick(self, request: gr.Request, event: gr.EventData, pay: object, count: object) -> list[Any]:
        """Fill the form with an example; nothing is sent."""
        wish = EXAMPLES[int(getattr(event, "index", 0))].request
        return self._form(wish, pay, count, say_for(request), is_random=False)

    async def restore(self, request: gr.Request, event: gr.EventData, pay: object, count: object) -> list[Any]:
        """Fill the form with settings that were read from a file; nothing is sent."""
        wish = settings_in(event)
        return self._form(wish, pay, count, say_for(request), is_random=wish.seed == RANDOM_SEED)

    def reuse(self, *, is_random: bool) -> Callable[..., Any]:
        """Return the event that fills the form with a job's settings, its seed included or left to chance."""

        async def reuse(request: gr.Request, event: gr.EventData, who: object, pay: object, count: object) -> list[Any]:
            wish = self._runner.view(_job_id(event), self._visitor(token_in(who))).job.request
            return self._form(wish, pay, count, say_for(request), is_random=is_random)

        return page_event(reuse)

    async def reuse_seed(self, _request: gr.Request, who: object) -> tuple[Any, Any]:
        """Put the seed of the newest job into the box and keep it."""
        newest = self._runner.newest(self._visitor(token_in(who)))
        return (newest.request.seed, False) if newest else (KEEP, False)

    async def choose_size(
        self,
        request: gr.Request,
        shape: presets.Shape | None,
        size: presets.Size | None,
        pay: object,
        count: object,
        *values: Any,
    ) -> tuple[Any, ...]:
        """Return width and height for the chosen shape and size, and what follows; an unset one takes the default's."""
        width, height = presets.pixels(shape or presets.SHAPES[0], size or presets.SIZES[0])
        fields = {**dict(zip(FIELDS, values, strict=True)), "width": width, "height": height}
        return width, height, *await self.follow_numbers(request, pay, count, *fields.values())

    async def choose_quality(
        self, request: gr.Request, quality: presets.Quality, pay: object, count: object, *values: Any
    ) -> tuple[Any, ...]:
        """Return the steps of a quality, and what follows."""
        steps = presets.STEPS[quality]
        fields = {**dict(zip(FIELDS, values, strict=True)), "infer_steps": steps}
        return steps, *await self.follow_numbers(request, pay, count, *fields.values())

    def pays(self, event: Callable[..., Any]) -> Callable[..., Any]:
        """Return an event of who pays with what follows it: the page's head, the prices and the form's numbers."""

        async def answer(
            request: gr.Request, data: gr.EventData, who: object, pay: object, count: object, *values: Any
        ) -> tuple[Any, ...]:
            chosen = await event(request, data, who, pay)
            return chosen, *await self.ended(request, chosen, count, *values)

        return page_event(answer)

    async def follow_numbers(self, request: gr.Request, pay: object, count: object, *values: Any) -> tuple[Any, ...]:
        """Return what follows the numbers: presets, the real size and length, and the button's time and price."""
        say = say_for(request)
        try:
            wish = request_from(in_range(("-", *values[1:])))  # the prompt costs nothing
        except InvalidRequestError as error:
            return (*[KEEP] * 4, say.sentence(JobProblem.of(error)), say["generate.label"])
        frames, line, button = self._said_of(wish, pay, count, say)
        return (*presets_of(wish), gr.update(label=frames), line, button)

    # inside

    def _visitor(self, token: str) -> Visitor:
        return visitor_of(token, self._runner.settings)

    def _watched(self, token: str, job_id: str | None) -> dict[str, Any]:
        return {"token": token, "job": job_id, "is_public": self._runner.settings.is_public}

    def _news(self, jobs: list[Job], visitor: Visitor) -> str | None:
        """Return the job that an opening page should speak of: the newest, else a lost one that can be looked for."""
        if jobs and _is_news(jobs[0]):
            return jobs[0].id
        lost = (job.id for job in jobs if job.status is JobStatus.LOST)
        return next((job_id for job_id in lost if self._runner.view(job_id, visitor).can_look_again), None)

    def _said_of(self, wish: VideoRequest, pay: object, count: object, say: Words) -> tuple[str, str, str]:
        """Return the label of the length, the line above the button, and the button's text."""
        payer = chosen_payer(pay, self._runner)
        expected = self._runner.estimate(wish, payer)
        button = say.generate_label(expected, is_preview=payer == "nobody", count=count_in(count))
        return say("form.frames", seconds=seconds_text(wish)), advice(wish, expected, say), button

    def _form(self, wish: VideoRequest | None, pay: object, count: object, say: Words, *, is_random: bool) -> list[Any]:
        """Return values for `RequestForm.all` that show a wish; without one, what it holds stays."""
        frames, line, button = self._said_of(wish or VideoRequest.model_construct(), pay, count, say)
        values: list[Any] = filled(wish, is_random=is_random) if wish else [KEEP] * (len(FIELDS) + 4)
        length: dict[str, Any] = {"value": wish.video_length} if wish else {}
        values[FIELDS.index("video_length")] = gr.update(label=frames, **length)
        return [*values, line, button]

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
