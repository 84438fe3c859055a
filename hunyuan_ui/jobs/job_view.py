"""What the page is told of a job and of the money."""

from __future__ import annotations

from dataclasses import dataclass

from hunyuan_ui.estimate import Estimate
from hunyuan_ui.job import Job, JobProblem, Phase


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as the page shows it. Times in seconds; `place` 1 is the next one to be sent.

    `starts_in_s` says when that is likely, `can_look_again` whether a lost video may still be asked for; `progress` is
    in percent, where it is real, and `can_stop` says whether a run can be stopped where it is made.
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
    """How the account's history stands, for the owner.

    Args:
        is_needed: The owner's key is used only once past spending is known, because a restart wipes this disk.
        is_read: The history was read since this start.
        key_rests: Nothing is spent, until it is read or the owner says what was spent.
        tried_s_ago: Seconds since it was last asked; None for not yet.
        problem: Why it could not be read then.
    """

    is_needed: bool
    is_read: bool
    key_rests: bool
    tried_s_ago: float | None
    problem: JobProblem | None


@dataclass(frozen=True, slots=True)
class EngineState:
    """The owner's own engine: where it is, its kind if a job has told it, whether it is ready, and its hours so far.

    `is_ready` is False while it warms up, and None where it cannot be reached.
    """

    url: str
    name: str
    is_ready: bool | None
    hours: float


@dataclass(frozen=True, slots=True)
class Spending:
    """What counts against this run's limits, in US dollars, and what keeps it from spending.

    `spent_today_usd` and `spent_total_usd` include `reserved_today_usd`: what today's unfinished jobs may
    still cost.
    """

    spent_today_usd: float
    spent_total_usd: float
    reserved_today_usd: float
    problem: JobProblem | None  # why nothing may be spent
    notice: JobProblem | None  # what the owner should put right although jobs go on
