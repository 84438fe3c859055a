"""The owner's desk on the page: dollars a day, jobs, what has to be settled, and all of it as CSV."""

from __future__ import annotations

import asyncio
import csv
import io
import time
import unicodedata
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import gradio as gr

from hunyuan_ui.job import MICRO, Job, JobProblem, JobStatus, Visitor
from hunyuan_ui.runner import JobRunner, Limits
from hunyuan_ui.ui.part import part
from hunyuan_ui.ui.text import Words, money
from hunyuan_ui.ui.visitor import Event, page_event, say_for, token_of, visitor_of

DAYS: Final = 30
JOBS_SHOWN: Final = 50
JOBS_EXPORTED: Final = 100_000
_DAY_S: Final = 86_400
_FORMULA: Final = ("=", "+", "-", "@", "\N{MINUS SIGN}")  # what a spreadsheet computes, however wide it is written

Action = Callable[[gr.EventData, Visitor], Awaitable[None]]


def build_owner(runner: JobRunner) -> Any:
    """Place the desk, closed and empty; it is filled when its owner opens it."""
    desk = part("owner")
    desk.value = _closed(runner)
    return desk


class OwnerEvents:
    """The events of the desk; the runner refuses each of them to anybody but the owner.

    Args:
        runner: The door to jobs and money.
    """

    def __init__(self, runner: JobRunner) -> None:
        self._runner = runner

    def prove(self) -> Event:
        """Return the event that shows a public run's owner to be the owner."""

        async def prove(event: gr.EventData, visitor: Visitor) -> None:
            await self._runner.owner.prove(visitor, str(getattr(event, "key", "")))

        return self._event(prove)

    def refresh(self) -> Event:
        """Return the event that reads everything again."""

        async def refresh(_event: gr.EventData, _visitor: Visitor) -> None:
            return

        return self._event(refresh)

    def settle(self) -> Event:
        """Return the event of the owner's word on a job without an answer."""

        async def settle(event: gr.EventData, visitor: Visitor) -> None:
            was_charged = getattr(event, "was_charged", True) is not False
            meant = self._meant(event, self._runner.owner.unknown(visitor))
            await self._runner.owner.settle(meant, visitor, was_charged=was_charged)

        return self._event(settle)

    def resume(self) -> Event:
        """Return the event that lets spending go on."""

        async def resume(_event: gr.EventData, visitor: Visitor) -> None:
            await self._runner.owner.resume(visitor)

        return self._event(resume)

    def export(self) -> Event:
        """Return the event that gives all jobs as CSV."""

        async def export(_event: gr.EventData, _visitor: Visitor) -> None:
            return

        return self._event(export, with_csv=True)

    def _event(self, action: Action, *, with_csv: bool = False) -> Event:
        async def answer(request: gr.Request, event: gr.EventData, who: object) -> dict[str, Any]:
            settings = self._runner.settings
            visitor = visitor_of(token_of(request, who, settings), settings, request)

            async def done(_request: gr.Request) -> dict[str, Any]:
                await action(event, self._runner.owner.seen_as(visitor))
                owner = self._runner.owner.seen_as(visitor)
                if not owner.is_owner:
                    return _closed(self._runner)
                csv_text = await asyncio.to_thread(self._csv, owner) if with_csv else ""
                return {**await self._desk(owner, say_for(request)), "csv": csv_text}

            def refused(problem: JobProblem, _field: str | None, say: Words) -> dict[str, Any]:
                return {**_closed(self._runner), "problem": say.sentence(problem)}

            return await page_event(done, refused)(request)

        return answer

    def _meant(self, event: gr.EventData, jobs: Iterable[Job]) -> str:
        """Return the id of the job that an event names as the page shows it; an empty one for none of these."""
        shown = str(getattr(event, "job", ""))
        return next((job.id for job in jobs if self._runner.videos.shown_id(job) == shown), "")

    async def _desk(self, owner: Visitor, say: Words) -> dict[str, Any]:
        desk, limits = self._runner.owner, self._runner.limits()
        unknown = desk.unknown(owner)
        credits_usd = await desk.credits(owner) if unknown else None
        spent = {int(day.begins_at): day for day in desk.days(owner, count=DAYS)}
        today = int(time.time()) // _DAY_S * _DAY_S
        first = min(today - (DAYS - 1) * _DAY_S, min(spent, default=today))
        days = [
            _day(begins_at, spent[begins_at].spent_microusd if begins_at in spent else 0, say)
            for begins_at in range(first, max(today, max(spent, default=today)) + 1, _DAY_S)
        ]
        total = sum(day["usd"] for day in days)
        return {
            **_closed(self._runner),
            "needs_proof": False,
            "is_paused": desk.is_paused(owner),
            "limits": limit_lines(limits, say),
            "daily_limit": limits.daily_limit_usd,
            "days": days,
            "sum": say("owner.sum", spent=money(total), count=sum(day.videos for day in spent.values())),
            "unknown": [
                {"id": self._runner.videos.shown_id(job), "text": _unsettled(job, credits_usd, say)} for job in unknown
            ],
            "jobs": [self._row(job, say) for job in desk.everything(owner, limit=JOBS_SHOWN)],
        }

    def _row(self, job: Job, say: Words) -> dict[str, str]:
        made = job.made
        size = say("owner.size", width=made.width, height=made.height, frames=made.frames)
        if job.differs:
            width, height = job.request.real_size
            size += " " + say("owner.asked", width=width, height=height, frames=job.request.video_length)
        return {
            "when": _utc(job.created_at),
            "status": say[f"owner.status.{job.status.value}"],
            "payer": say[f"owner.payer.{job.payer}"],
            "cost": _cost(job, say),
            "took": "" if job.inference_s is None else say.duration(job.inference_s),
            # On a public run a stranger's words are not the owner's to read here.
            "what": size if self._runner.settings.is_public else f"{size} · {job.request.prompt[:80]}",
        }

    def _csv(self, owner: Visitor) -> str:
        jobs = self._runner.owner.everything(owner, limit=JOBS_EXPORTED)
        shown_id = self._runner.videos.shown_id
        return csv_of(jobs, shown_id, with_prompts=not self._runner.settings.is_public)


def csv_of(jobs: Iterable[Job], shown_id: Callable[[Job], str], *, with_prompts: bool) -> str:
    """Return jobs as CSV that no spreadsheet computes anything from.

    Args:
        jobs: In the order of the rows.
        shown_id: What stands for a job there: a real id is of use to who finds the file.
        with_prompts: Add what each visitor wrote.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    names = ["job_id", "created_utc", "status", "payer", "cost_usd", "counted_usd", "inference_s", "request_id"]
    names += ["width", "height", "frames", "steps", "seed", *(["prompt"] if with_prompts else [])]
    writer.writerow(names)
    for job in jobs:
        cost = "" if job.cost_microusd is None else job.cost_microusd / MICRO
        width, height, frames, _ = job.made
        made = [width, height, frames, job.request.infer_steps, job.request.seed]
        cells = [shown_id(job), _utc(job.created_at), job.status.value, job.payer, cost, job.counted_microusd / MICRO]
        cells += [job.inference_s, job.request_id, *made, *([job.request.prompt] if with_prompts else [])]
        writer.writerow([_cell(cell) for cell in cells])
    return text.getvalue()


def limit_lines(limits: Limits, say: Words) -> list[str]:
    """Return what is left under each limit, in words."""
    lines: list[str] = []
    for name, limit, spent in (
        ("day", limits.daily_limit_usd, limits.spent_today_usd),
        ("total", limits.total_limit_usd, limits.spent_total_usd),
    ):
        if limit is None:
            lines.append(say(f"owner.no_limit.{name}", spent=money(spent)))
        else:
            left = money(max(0.0, limit - spent))
            lines.append(say(f"owner.left.{name}", left=left, limit=money(limit)))
    return [*lines, say("owner.video_limit", limit=money(limits.video_limit_usd))]


def _closed(runner: JobRunner) -> dict[str, Any]:
    is_private = not runner.settings.is_public
    return {"is_offered": is_private or runner.owner.can_be_proven, "needs_proof": not is_private, "problem": ""}


def _day(begins_at: int, spent_microusd: int, say: Words) -> dict[str, Any]:
    usd = spent_microusd / MICRO
    name = time.strftime("%Y-%m-%d", time.gmtime(begins_at))
    return {"name": name, "usd": usd, "text": say("owner.day", day=name, spent=money(usd))}


def _unsettled(job: Job, credits_usd: float | None, say: Words) -> str:
    facts = {"when": _utc(job.sent_at or job.created_at), "price": money(job.reserved_microusd / MICRO)}
    hint = "" if credits_usd is None else " " + say("owner.balance", credits=money(credits_usd))
    return say("owner.unsettled", **facts) + hint


def _cost(job: Job, say: Words) -> str:
    if job.payer == "nobody" or job.status in (JobStatus.FAILED, JobStatus.CANCELLED):
        return money(0.0)
    if job.cost_microusd is not None:
        return money(job.cost_microusd / MICRO)
    return say("owner.at_most", price=money(job.reserved_microusd / MICRO))


def _utc(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(at))


def _cell(value: object) -> object:
    """Return a cell in which nothing is computed, whichever separator or quotes a spreadsheet takes for such."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return value
    disarmed, before = list[str](), ""
    for sign in value:
        # Whatever is neither letter nor digit may separate two cells, or be dropped in front of one.
        if not before.isalnum() and unicodedata.normalize("NFKC", sign)[:1] in _FORMULA:
            disarmed.append("'")
        disarmed.append(sign)
        before = sign
    text = "".join(disarmed)
    return f"'{text}" if text[:1].isspace() else text
