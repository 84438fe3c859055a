"""The owner's page: dollars per day, jobs, items that need a decision, and a CSV export."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, NamedTuple

import gradio as gr

from hunyuan_ui.errors import HunyuanUIError
from hunyuan_ui.job import MICRO, OWNER, SPENT, Job, JobProblem, JobStatus, Visitor
from hunyuan_ui.jobs import EngineState, JobRunner, Spending
from hunyuan_ui.jobs.job_view import MOST_USD, HistoryState
from hunyuan_ui.settings import Settings
from hunyuan_ui.ui.error_boundary import Event, page_event
from hunyuan_ui.ui.html_part import part
from hunyuan_ui.ui.owner_csv import corrections_of, csv_of, utc
from hunyuan_ui.ui.owner_days import DAYS, axis_of, days_of
from hunyuan_ui.ui.views import shortened
from hunyuan_ui.ui.visitor import say_for, visitor_of
from hunyuan_ui.words import Words

JOBS_SHOWN: Final = 20  # initially, and the number added each time
MOST_SHOWN: Final = 1_000
JOBS_EXPORTED: Final = 100_000
_BALANCE_WITHIN_S: Final = 3.0  # timeout for the account's balance
OWNER_EVENTS: Final = (
    *("prove", "refresh", "settle", "correct", "confirm", "look_again", "end_waiting"),
    *("open_video", "find_videos", "say_spent", "set_clock_right", "resume", "export"),
)

Action = Callable[[gr.EventData, Visitor, Words], Awaitable[str]]


def build_owner(runner: JobRunner) -> Any:
    """Place the owner's page, closed and empty; it is filled when its owner opens it."""
    owner_page = part("owner", *OWNER_EVENTS)
    owner_page.value = _closed(runner)
    return owner_page


class OwnerEvents:
    """The events of the owner's page; the runner refuses each of them to anybody else.

    Each returns the whole current page, and a sentence about what was done.

    Args:
        runner: Gives access to jobs and money.
    """

    def __init__(self, runner: JobRunner) -> None:
        self._runner = runner

    async def prove(self, event: gr.EventData, visitor: Visitor, _say: Words) -> str:
        """Prove the visitor to be the owner of a public run."""
        await self._runner.owner.prove(visitor, str(getattr(event, "key", "")))
        return ""

    async def refresh(self, _event: gr.EventData, _visitor: Visitor, _say: Words) -> str:
        """Reload everything."""
        return ""

    async def settle(self, event: gr.EventData, visitor: Visitor, say: Words) -> str:
        """Record the owner's decision on a job without a response."""
        was_charged = getattr(event, "was_charged", True) is not False
        meant = await self._meant(event, visitor)
        job = await self._runner.owner.settle(meant, visitor, was_charged=was_charged)
        return say("owner.said.settled", cost=_cost(job, say))

    async def correct(self, event: gr.EventData, visitor: Visitor, say: Words) -> str:
        """Correct a job's cost."""
        note, meant = _text_in(event, "note"), await self._meant(event, visitor)
        job = await self._runner.owner.correct(meant, visitor, cost_usd=_dollars_in(event, "cost_usd"), note=note)
        return say("owner.said.corrected", cost=_cost(job, say))

    async def confirm(self, event: gr.EventData, visitor: Visitor, say: Words) -> str:
        """Accept a cost in doubt as the real one."""
        job = await self._runner.owner.confirm(await self._meant(event, visitor), visitor)
        return say("owner.said.corrected", cost=_cost(job, say))

    async def look_again(self, event: gr.EventData, visitor: Visitor, say: Words) -> str:
        """Retry a lost video."""
        job = await self._runner.retry_lost(await self._meant(event, visitor), visitor)
        return say["owner.said.looking"] if job.is_active else ""  # its row shows that it was found

    async def end_waiting(self, _event: gr.EventData, visitor: Visitor, say: Words) -> str:
        """Cancel the jobs that wait for their visitor's key."""
        return say("owner.said.ended", count=await self._runner.owner.end_waiting(visitor))

    async def open_video(self, event: gr.EventData, visitor: Visitor, _say: Words) -> str:
        """Open the video of a job; only this response contains its signature."""
        job = await self._runner.videos.one(await self._meant(event, visitor), visitor)
        return job.id

    async def find_videos(self, _event: gr.EventData, visitor: Visitor, say: Words) -> str:
        """Search the account's history for requests made with this key."""
        count = await self._runner.owner.find_videos(visitor)
        return say("owner.said.found", count=count) if count else say["owner.said.found_none"]

    async def say_spent(self, event: gr.EventData, visitor: Visitor, say: Words) -> str:
        """Record the owner's statement of what was spent today."""
        usd = _dollars_in(event, "usd")
        await self._runner.owner.declare_spending(visitor, usd)
        return say("owner.said.spent", spent=say.money(usd))

    async def set_clock_right(self, _event: gr.EventData, visitor: Visitor, say: Words) -> str:
        """Set times ahead of the machine's clock to the present."""
        return say("owner.said.clock", count=await self._runner.owner.set_clock_right(visitor))

    async def resume(self, _event: gr.EventData, visitor: Visitor, say: Words) -> str:
        """Resume spending."""
        await self._runner.owner.resume(visitor)
        return say["owner.said.resumed"]

    async def export(self, _event: gr.EventData, _visitor: Visitor, _say: Words) -> str:
        """Return all jobs as CSV, in addition to the page."""
        return ""

    def event(self, name: str) -> Event:
        """Return the event of one of `OWNER_EVENTS`, which calls the method of that name."""
        action: Action = getattr(self, name)
        answers = "opened" if name == "open_video" else "said"

        async def answer(request: gr.Request, event: gr.EventData, who: object) -> dict[str, Any]:
            visitor = visitor_of(request, who, self._runner)
            await self._runner.recall(visitor)

            async def done(_request: gr.Request) -> dict[str, Any]:
                say = say_for(request)
                answered, problem = await self._tried(action, event, visitor, say)
                owner = self._runner.owner.seen_as(visitor)
                if not owner.is_owner:
                    return _closed(self._runner)
                csv_text = await self._csv(owner) if name == "export" else ""
                owner_page = await self._owner_page(owner, say, _count_in(event))
                said = {"problem": problem, "said": "", answers: answered, "csv": csv_text}
                return {**owner_page, **said, **_number_of(event)}

            def refused(problem: JobProblem, _field: str | None, say: Words) -> dict[str, Any]:
                return {**_closed(self._runner), "problem": say.sentence(problem)}

            return await page_event(done, refused)(request)

        return answer

    async def _tried(self, action: Action, event: gr.EventData, visitor: Visitor, say: Words) -> tuple[str, str]:
        """Run an action; return its sentence or the reason for its failure, which does not close the owner's page."""
        seen_as = self._runner.owner.seen_as
        try:
            return await action(event, seen_as(visitor), say), ""
        except HunyuanUIError as error:
            if not seen_as(visitor).is_owner:
                raise
            return "", say.sentence(error)

    async def _meant(self, event: gr.EventData, visitor: Visitor) -> str:
        """Return the id of the job that an event refers to by its public id; empty if there is none."""
        shown: object = getattr(event, "job", None)
        actions, public_id = self._runner.owner, self._runner.videos.public_id

        listed = [*await actions.unknown(visitor), *await actions.doubtful(visitor)]
        listed += await actions.all_jobs(visitor, limit=MOST_SHOWN)
        return next((job.id for job in listed if public_id(job) == shown), "")

    async def _owner_page(self, owner: Visitor, say: Words, count: int) -> dict[str, Any]:
        read = await self._read(owner, say, count)
        actions, settings = self._runner.owner, self._runner.settings
        waiting = await actions.waiting_for_visitor(owner)
        # The account's balance may reveal whether a job was charged.
        balance = await self._balance(owner, say) if read.unknown or read.doubtful else []
        return {
            **_closed(self._runner),
            "needs_proof": False,
            "is_paused": read.is_paused,
            "warnings": self._warnings(read.spending, say),
            "is_clock_wrong": actions.clock_ahead_s(owner) > 0,
            "history": None
            if settings.is_preview or settings.engine_url
            else history_lines(actions.history_state(owner), say),
            "limits": [*engine_lines(await self._engine(owner), say), *limit_lines(read.spending, settings, say)],
            "axis": axis_of([day["usd"] for day in read.days], settings, say),
            "days": read.days,
            "sum": read.sum,
            "unknown": [
                {**self._acts(job), "text": say.joined([_unsettled(job, say), *balance])} for job in read.unknown
            ],
            "doubtful": [self._doubt(job, balance, say) for job in read.doubtful],
            "waiting": _waiting(waiting, say) if waiting else None,
            "replicas": [_replica_line(replica, say) for replica in read.replicas],
            "jobs": [self._row(job, owner, say) for job in read.jobs[:count]],
            "more": count + JOBS_SHOWN if count < min(len(read.jobs), MOST_SHOWN) else 0,
        }

    async def _read(self, owner: Visitor, say: Words, count: int) -> _Read:
        actions = self._runner.owner
        days, summed = days_of(await actions.days(owner, count=DAYS), say)
        return _Read(
            jobs=await actions.all_jobs(owner, limit=count + 1),
            unknown=await actions.unknown(owner),
            doubtful=await actions.doubtful(owner),
            days=days,
            sum=summed,
            spending=await self._runner.spending(),
            is_paused=await actions.is_paused(owner),
            replicas=await actions.replicas(owner),
        )

    async def _engine(self, owner: Visitor) -> EngineState | None:
        with suppress(asyncio.TimeoutError):
            return await asyncio.wait_for(self._runner.owner.engine(owner), _BALANCE_WITHIN_S)
        return None

    async def _balance(self, owner: Visitor, say: Words) -> list[str]:
        with suppress(asyncio.TimeoutError):
            credits_usd = await asyncio.wait_for(self._runner.owner.credits(owner), _BALANCE_WITHIN_S)
            if credits_usd is not None:
                return [say("owner.balance", credits=say.money(credits_usd))]
        return []

    def _warnings(self, spending: Spending, say: Words) -> list[str]:
        # A damaged ledger is reported next to the button that resumes spending.
        problems = [
            problem for problem in (spending.problem, spending.notice) if problem and problem.code != "ledger_damaged"
        ]
        return [say.sentence(problem) for problem in problems]

    def _row(self, job: Job, owner: Visitor, say: Words) -> dict[str, Any]:
        return {
            **self._acts(job, look_again=self._runner.can_look_again(job), open=self._may_open(job, owner)),
            "when": utc(job.created_at),
            "status": say[f"owner.status.{job.status.value}"],
            "is_active": job.is_active,
            "payer": say[f"owner.payer.{job.payer}"],
            "cost": say["price.nothing"] if job.is_unpriced else _cost(job, say),
            "took": "" if job.inference_s is None else say.duration(job.inference_s),
            "what": self._what(job, say),
            "corrections": _corrections(job, say),
        }

    def _what(self, job: Job, say: Words) -> str:
        if _is_word(job):
            return say["owner.word"]
        made = job.made
        size = say("owner.size", width=made.width, height=made.height, frames=made.frames)
        if job.differs:
            width, height = job.request.real_size
            size = say.joined([size, say("owner.asked", width=width, height=height, frames=job.request.video_length)])
        # On a public run a visitor's prompt is not shown to the owner.
        return size if self._runner.settings.is_public else f"{size} · {shortened(job.request.prompt)}"

    def _acts(self, job: Job, **can: bool) -> dict[str, Any]:
        """Return the possible actions on a job, and its public id."""
        # The owner's own statement is corrected by a new one.
        can_correct = not job.is_preview and job.has_correctable_cost and not _is_word(job)
        return {
            "id": self._runner.videos.public_id(job),
            "request": job.request_id or "",
            "can": {"correct": can_correct, **can},
        }

    def _doubt(self, job: Job, balance: list[str], say: Words) -> dict[str, Any]:
        named = float(job.notes["named_usd"])
        is_amount = 0 <= named <= MOST_USD
        facts = {
            "when": utc(job.began_at),
            "named": say.money(named) if is_amount else say("owner.over", most=say.money(MOST_USD)),
            "counted": say.money(job.counted_microusd / MICRO),
        }
        still = [say["owner.doubt_active"]] if job.is_active else []
        text = say.joined([say("owner.doubt", **facts), *still, *balance])
        acts = self._acts(job)
        return {**acts, "text": text, "can": {**acts["can"], "confirm": acts["can"]["correct"] and is_amount}}

    def _may_open(self, job: Job, owner: Visitor) -> bool:
        # On a public run the owner may not see visitors' videos, as with their prompts.
        is_own = not self._runner.settings.is_public or job.visitor in (owner.id, OWNER.id)
        return job.status is JobStatus.DONE and is_own

    async def _csv(self, owner: Visitor) -> str:
        jobs = await self._runner.owner.all_jobs(owner, limit=JOBS_EXPORTED)
        public_id = self._runner.videos.public_id
        return await asyncio.to_thread(csv_of, jobs, public_id, with_prompts=not self._runner.settings.is_public)


class _Read(NamedTuple):
    """A snapshot of the ledger."""

    jobs: list[Job]
    unknown: list[Job]
    doubtful: list[Job]
    days: list[dict[str, Any]]
    sum: str
    spending: Spending
    is_paused: bool
    replicas: list[Any]


def limit_lines(spending: Spending, settings: Settings, say: Words) -> list[str]:
    """Return sentences on what was spent and reserved, and on what remains under each limit."""
    at_restart = [say[f"owner.restart.{settings.lost_at_restart}"]] if settings.storage == "wiped" else []
    return [*(_dollar_lines(spending, settings, say) if settings.has_prices else []), *at_restart]


def _dollar_lines(spending: Spending, settings: Settings, say: Words) -> list[str]:
    lines: list[str] = []
    reserved = spending.reserved_today_usd
    today = {"spent": say.money(spending.spent_today_usd - reserved), "reserved": say.money(reserved)}
    for name, limit, counted, facts in (
        ("day", settings.daily_limit_usd, spending.spent_today_usd, today),
        ("total", settings.total_limit_usd, spending.spent_total_usd, {"counted": say.money(spending.spent_total_usd)}),
    ):
        if limit is None:
            lines.append(say(f"owner.no_limit.{name}", **facts))
        else:
            left = say.money(max(0.0, limit - counted))
            lines.append(say(f"owner.left.{name}", left=left, limit=say.money(limit), **facts))
    return [*lines, say("owner.video_limit", limit=say.money(settings.video_limit_usd))]


def engine_lines(state: EngineState | None, say: Words) -> list[str]:
    """Return sentences on the owner's engine: its kind, state and total running time."""
    if state is None:
        return []
    health = {True: "ready", False: "warming", None: "away"}[state.is_ready]
    name = state.name or say["owner.engine.unnamed"]
    return [
        say("owner.engine", name=name, url=state.url, health=say[f"owner.engine.{health}"], hours=f"{state.hours:.2f}")
    ]


def history_lines(state: HistoryState, say: Words) -> dict[str, Any]:
    """Return sentences on the account's history, and whether the owner should state today's spending."""
    facts = {} if state.tried_s_ago is None else {"ago": say.duration(state.tried_s_ago)}
    lines: list[str] = []
    if state.is_read:
        lines.append(say("owner.history.read", **facts))
    elif state.problem is not None:
        lines.append(say("owner.history.unread", **facts))
        lines.append(say.sentence(state.problem))
    elif state.is_needed:
        lines.append(say["owner.history.first"])
    if state.is_key_paused:
        lines.append(say["owner.history.rests"])
    return {
        "text": say.joined(lines),
        "wants_word": state.is_needed and not state.is_read,
        "key_rests": state.is_key_paused,
    }


def _replica_line(replica: Any, say: Words) -> str:
    """Return the line of a process that shares the ledger."""
    facts = {"name": replica.name, "when": utc(replica.started_at)}
    facts |= {"waiting": replica.waiting, "in_flight": replica.in_flight}
    if replica.is_this:
        return say("owner.replica_this", **facts)
    return say("owner.replica", seconds=round(replica.seen_s_ago), **facts)


def _closed(runner: JobRunner) -> dict[str, Any]:
    is_private = not runner.settings.is_public
    return {"is_offered": is_private or runner.owner.can_be_proven, "needs_proof": not is_private, "problem": ""}


def _dollars_in(event: gr.EventData, name: str) -> float:
    """Return the amount in an event, or NaN if invalid."""
    amount: object = getattr(event, name, None)
    if isinstance(amount, (int, float)) and not isinstance(amount, bool) and 0 <= amount <= MOST_USD:
        return abs(float(amount))  # avoids negative zero
    return math.nan


def _text_in(event: gr.EventData, name: str) -> str:
    text: object = getattr(event, name, "")
    return text if isinstance(text, str) else ""


def _count_in(event: gr.EventData) -> int:
    """Return how many jobs the page shows."""
    count: object = getattr(event, "count", None)
    return min(max(count, JOBS_SHOWN), MOST_SHOWN) if isinstance(count, int) else JOBS_SHOWN


def _number_of(event: gr.EventData) -> dict[str, int]:
    """Return the page's number of this question, by which it tells an older answer."""
    asked: object = getattr(event, "asked", None)
    return {"asked": asked} if isinstance(asked, int) else {}


def _unsettled(job: Job, say: Words) -> str:
    when, price = utc(job.began_at), say.money(job.charged_microusd / MICRO)
    return say("owner.sent", when=when) if job.is_unpriced else say("owner.unsettled", when=when, price=price)


def _is_word(job: Job) -> bool:
    """Whether this row is no job, but the owner's statement of what was spent."""
    return job.problem is not None and job.problem.code == "said_spent"


def _waiting(jobs: list[Job], say: Words) -> dict[str, Any]:
    not_sent = sum(job.status is JobStatus.QUEUED for job in jobs)
    lines = [say("owner.waiting_text", count=len(jobs), when=utc(min(job.created_at for job in jobs)))]
    if not_sent < len(jobs):
        lines.append(say("owner.waiting_sent", count=len(jobs) - not_sent))
    return {"text": say.joined(lines), "can_end": not_sent > 0}


def _corrections(job: Job, say: Words) -> list[str]:
    """Return a sentence on each correction of a job's cost, and on a higher cost that was named after the last one."""
    entries = corrections_of(job)
    told = [_correction(job, entry, say) for entry in entries]
    if entries and job.cost_microusd is not None and job.cost_microusd != entries[-1]["to_microusd"]:
        told.append(say("owner.correction_overtaken", counted=_cost(job, say)))
    return told


def _correction(job: Job, entry: dict[str, Any], say: Words) -> str:
    """Return a sentence on an earlier correction."""
    was = replace(job, status=JobStatus(entry["status"]), cost_microusd=entry["from_microusd"])
    facts = {"when": utc(entry["at"]), "was": _cost(was, say), "now": say.money(entry["to_microusd"] / MICRO)}
    note = say["owner.confirmed"] if entry["note"] == "confirmed" else entry["note"]
    return say("owner.correction_why", note=note, **facts) if note else say("owner.correction", **facts)


def _cost(job: Job, say: Words) -> str:
    if job.is_preview or job.status in (JobStatus.FAILED, JobStatus.CANCELLED):
        return say.money(0.0)
    if job.status in SPENT and job.cost_microusd is not None:
        return say.money(job.cost_microusd / MICRO)
    # What was named while it is made may be a part of its price.
    return say("owner.at_most", price=say.money(job.charged_microusd / MICRO))
