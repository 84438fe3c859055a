"""The page's event handlers; none of them waits for a paid call."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, cast

import gradio as gr

from hunyuan_ui.errors import OF_SEVERAL, PRICE_REFUSALS, AccessError, HunyuanUIError, SpendLimitError
from hunyuan_ui.job import Job, JobProblem, JobStatus, Payer, Visitor
from hunyuan_ui.jobs import JobRunner
from hunyuan_ui.ui.error_boundary import Event, page_event
from hunyuan_ui.ui.form import amount, sent_in
from hunyuan_ui.ui.payment import PayEvents, chosen_payer, named_payer
from hunyuan_ui.ui.price_texts import again_of, job_json, opening_form, priced_parts
from hunyuan_ui.ui.variations import COUNTS, LOOKED_BACK, Click, JobSpec, again_id, click_of, first_left, variations
from hunyuan_ui.ui.views import video_json
from hunyuan_ui.ui.visitor import login_of, say_for, token_of
from hunyuan_ui.words import Words, shown_sum

KEEP: Final[Any] = cast("Any", gr).skip()  # leaves a component unchanged; Gradio's own annotation is incomplete
CONFIRMABLE: Final = ("confirm_price", *PRICE_REFUSALS)
NEEDS: Final = {"access_code_needed": "code", "no_key": "key"}  # input that the page then asks for, next to the button
# Events that remove a refusal's cause: another job of the same visitor ends, or the next day begins. One that names a
# price is about the form's.
ENDS_WITH: Final = {
    "over_daily_limit": ["ended", "day"],
    "visitor_daily_videos": ["day"],
    "visitor_busy": ["ended"],
    "visitor_places": ["ended"],
}
RECENT_S: Final = 3600.0  # an older failure is not shown again when the page opens


class PageEvents:
    """The event handlers of one page.

    Args:
        runner: Handles all calls.
    """

    def __init__(self, runner: JobRunner) -> None:
        self._runner = runner
        self.pay = PayEvents(runner)

    # sending

    async def send(self, request: gr.Request, job_id: str, who: object, sent: str) -> tuple[Any, ...]:
        """Accept a click: the form as displayed, at the price displayed with it."""

        async def submit(request: gr.Request) -> tuple[Any, ...]:
            click, token = sent_in(sent), self._token(request, who)
            specs = variations(job_id, click.request, click.count)
            send = self._sender(
                request,
                token,
                payer=named_payer(click.payer, self._runner),
                shown_usd=click.shown_usd / click.count,
                is_confirmed=click.is_confirmed,
            )
            say = say_for(request)
            try:
                spec, job = specs[0], await _send_first(send, specs)
            except AccessError:
                known = await self._runner.jobs(self._runner.visitor(token), limit=LOOKED_BACK)
                if (left := first_left(specs, known)) is None:
                    raise
                spec, job = left  # the first was made at an earlier press, and deleted since
            if spec.is_of(job):
                problem = await _send_more(send, specs[1:], say)
            else:  # an earlier click, whose answer did not arrive; since then the form was changed
                problem = say("generate.another_click")
            begun = await self._begun(request, token, job.id)
            return begun, {"answer": job_id, "text": problem, "seed": job.request.seed}

        return await _taken_in(submit, request, {"answer": job_id})

    async def try_again(self, request: gr.Request, event: gr.EventData, who: object) -> tuple[Any, ...]:
        """Retry a job that ended without a video as a new job, at the price that its card displayed."""
        old_id, shown_usd = _job_id(event), amount(getattr(event, "most_usd", None))

        async def submit(request: gr.Request) -> tuple[Any, ...]:
            token = self._token(request, who)
            old = (await self._runner.view(old_id, self._runner.visitor(token))).job
            # The person confirmed this video's price before, and the card displays it again.
            send = self._sender(request, token, payer=old.payer, shown_usd=shown_usd, is_confirmed=True)
            job = await send(again_id(old.id), old.request, in_click=old.in_click)
            return {**await self._begun(request, token, job.id), "again_of": old.id}, {}

        return await _taken_in(submit, request, {"again": old_id, "most_usd": shown_usd})

    async def cancel(self, request: gr.Request, event: gr.EventData, who: object) -> None:
        """Cancel jobs that were not sent; of several, the sent ones continue. The page polls the result."""
        ids, visitor = _job_ids(event), self._runner.visitor(self._token(request, who))
        for job_id in ids:
            try:
                await self._runner.cancel(job_id, visitor)
            except AccessError:
                if len(ids) == 1:
                    raise

    async def look_again(self, request: gr.Request, event: gr.EventData, who: object) -> dict[str, Any]:
        """Check immediately for a pending video, or once more for a lost one."""
        token = self._token(request, who)
        job = await self._runner.retry_lost(_job_id(event), self._runner.visitor(token))
        return {**await self._watched(token, job.id), "looked_at": time.time()}

    # showing

    async def attach(self, request: gr.Request, who: object) -> list[Any]:
        """Return the page's initial state: the visitor's token, their newest job and their latest video."""
        say = say_for(request)
        token = self._token(request, who)
        visitor = self._runner.visitor(token)
        pay = await self.pay.opened(request, visitor, say)
        payer = chosen_payer(pay, self._runner)
        parts = await priced_parts(self._runner, payer, say, visitor)
        jobs = await self._runner.jobs(visitor, limit=LOOKED_BACK)
        newest = jobs[0] if jobs else None
        watched = await self._watched(token, newest.id if newest else None)
        finished = next((job for job in jobs if job.status is JobStatus.DONE), None)
        lost = [job.id for job in reversed(jobs) if self._runner.can_look_again(job)]
        return [
            token,
            {**watched, "job": _news(newest), "lost": lost, "shown": finished.id if finished else None},
            await self._together(watched["click"], visitor, say),
            pay,
            parts["head"],
            parts["examples"],
            *[self._played(finished, payer, say)] * 2,
            {"token": token, **opening_form(newest, self._runner, payer, say)},
        ]

    # internal

    def _token(self, request: gr.Request, who: object) -> str:
        """Return the visitor's token; asked for once per event, because a browser without one gets a new one."""
        return token_of(request, who, self._runner.settings)

    def _sender(self, request: gr.Request, token: str, **terms: Any) -> Callable[..., Awaitable[Job]]:
        is_logged_in = login_of(request, self._runner.settings) != ""
        return partial(self._runner.submit, visitor=self._runner.visitor(token), is_logged_in=is_logged_in, **terms)

    async def _begun(self, request: gr.Request, token: str, job_id: str) -> dict[str, Any]:
        """Return the waiting card's state for a click, without a request of its own."""
        say, visitor = say_for(request), self._runner.visitor(token)
        watched = await self._watched(token, job_id)
        jobs = watched["click"]["jobs"] if watched["click"] else [job_id]
        jobs_json = [await self._job_json(one, visitor, say) for one in jobs]
        return {**watched, "is_new": True, "told": jobs_json}

    async def _watched(self, token: str, job_id: str | None) -> dict[str, Any]:
        visitor = self._runner.visitor(token)
        known = await self._runner.jobs(visitor, limit=LOOKED_BACK)
        click = click_of(job_id or "", known)
        return {"token": token, "job": job_id, "click": click, "is_public": self._runner.settings.is_public}

    async def _together(self, click: Click | None, visitor: Visitor, say: Words) -> dict[str, Any]:
        if click is None:
            return {}
        return {"click": click, "jobs": [await self._job_json(job_id, visitor, say) for job_id in click["jobs"]]}

    async def _job_json(self, job_id: str, visitor: Visitor, say: Words) -> dict[str, Any]:
        return job_json(await self._runner.view(job_id, visitor), self._runner, say)

    def _played(self, job: Job | None, payer: Payer, say: Words) -> dict[str, Any]:
        if job is None or not self._runner.videos.may_play(job):
            return {}
        video = video_json(job, self._runner.videos.signature(job), say)
        return {**video, "again": again_of(job, self._runner, payer, say)}


async def _taken_in(submit: Event, request: gr.Request, about: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the waiting card and the notice after a click; `about` identifies the click in the notice."""

    def refused(problem: JobProblem, field: str | None, say: Words, *, is_limit: bool = False) -> tuple[Any, ...]:
        shown = {"text": say.sentence(problem), "field": field, "is_limit": is_limit, "needs": NEEDS.get(problem.code)}
        priced = {"most_usd": problem.facts["price"]} if problem.code in PRICE_REFUSALS else {}
        of_price = ["priced-anew"] if "price" in problem.facts else []
        ends = {"ends_with": [*ENDS_WITH.get(problem.code, []), *of_price], "ends_in_s": problem.facts.get("seconds")}
        return KEEP, {**about, **shown, **priced, **ends, "is_confirmable": problem.code in CONFIRMABLE}

    async def limited(request: gr.Request) -> tuple[Any, ...]:
        try:
            return await submit(request)
        except SpendLimitError as error:
            return refused(JobProblem.of(error), None, say_for(request), is_limit=True)

    return await page_event(limited, refused)(request)


async def _send(send: Callable[..., Awaitable[Job]], spec: JobSpec) -> Job:
    return await send(spec.id, spec.request, in_click=spec.in_click)


async def _send_first(send: Callable[..., Awaitable[Job]], specs: list[JobSpec]) -> Job:
    """Send the first video of a click; a price refusal names the total of all videos, as the button does."""
    try:
        return await _send(send, specs[0])
    except SpendLimitError as error:
        count = len(specs)
        if count == 1 or error.code not in OF_SEVERAL:
            raise
        _, price = shown_sum([(error.facts["price"],) * 2] * count)
        raise SpendLimitError(
            OF_SEVERAL[error.code], count=count, price=price, shown=count * error.facts["shown"]
        ) from None


async def _send_more(send: Callable[..., Any], specs: list[JobSpec], say: Words) -> str:
    """Send the other videos of a click; return the sentence to show if a limit allowed only some of them."""
    for index, spec in enumerate(specs):
        try:
            await _send(send, spec)
        except AccessError:
            continue  # it was made at the first press, and deleted since
        except HunyuanUIError as error:
            problem = say.sentence(error)
            return say("generate.some_began", made=index + 1, wished=len(specs) + 1, problem=problem)
    return ""


def _job_id(event: gr.EventData) -> str:
    return str(getattr(event, "job", ""))


def _job_ids(event: gr.EventData) -> list[str]:
    found: object = getattr(event, "jobs", None)
    several = cast("list[object]", found) if isinstance(found, list) else []
    return [str(one) for one in several[: len(COUNTS)]] or [_job_id(event)]


def _news(newest: Job | None) -> str | None:
    """Return the visitor's newest job if an opening page should show it: it is unfinished, or failed recently."""
    # A cancellation was already shown when it happened.
    if newest is None or newest.status in (JobStatus.DONE, JobStatus.CANCELLED):
        return None
    return newest.id if newest.is_active or time.time() - newest.updated_at < RECENT_S else None
