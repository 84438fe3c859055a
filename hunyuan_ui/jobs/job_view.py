"""Views of a job, the account's history, the engine and the money, as the page shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hunyuan_ui.estimate import Estimate
from hunyuan_ui.job import Job, JobProblem, Phase

MOST_USD: Final = 1_000_000  # that a person can enter as an amount


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as the page shows it. Times in seconds; `place` 1 is the next one to be sent.

    `starts_in_s` is the expected wait, `can_look_again` whether a lost video may still be recovered; `progress` is in
    percent, where the service reports it, and `can_stop` says whether a run can be stopped at its engine.
    """

    job: Job
    phase: Phase
    elapsed_s: float
    usual: Estimate
    place: int | None = None
    waiting: int = 0
    retry_in_s: float | None = None
    note: JobProblem | None = None
    can_look_again: bool = False
    starts_in_s: float | None = None
    progress: float | None = None
    can_stop: bool = False


@dataclass(frozen=True, slots=True)
class HistoryState:
    """State of the account's history, for the owner.

    Args:
        is_needed: The owner's key is used only once past spending is known, because a restart wipes this disk.
        is_read: The history was read since this start.
        is_key_paused: Nothing is spent until the history is read or the owner enters what was spent.
        tried_s_ago: Seconds since the last attempt; None if there was none.
        problem: Why that attempt failed.
    """

    is_needed: bool
    is_read: bool
    is_key_paused: bool
    tried_s_ago: float | None
    problem: JobProblem | None


@dataclass(frozen=True, slots=True)
class EngineState:
    """The owner's engine: its address, its kind if a job has reported it, whether it is ready, and its hours so far.

    `is_ready` is False while it warms up, and None if it cannot be reached.
    """

    url: str
    name: str
    is_ready: bool | None
    hours: float


@dataclass(frozen=True, slots=True)
class Spending:
    """Spending of this run against its limits, in US dollars, and what prevents more of it.

    `spent_today_usd` and `spent_total_usd` include `reserved_today_usd`: what today's unfinished jobs may
    still cost.
    """

    spent_today_usd: float
    spent_total_usd: float
    reserved_today_usd: float
    problem: JobProblem | None  # why nothing may be spent
    notice: JobProblem | None  # what the owner should fix although jobs continue
