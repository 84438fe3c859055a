"""What the page is told of a job and of the money."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hunyuan_ui.estimate import Estimate
from hunyuan_ui.job import Job, JobProblem, Phase
from hunyuan_ui.storage import Storage


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as the page shows it. Times in seconds; `place` 1 is the next one to be sent.

    `can_look_again` says whether a lost video may still be asked for.
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


@dataclass(frozen=True, slots=True)
class Limits:
    """What this run may spend, for the page's head. Money in US dollars; None means no limit."""

    spent_today_usd: float
    spent_total_usd: float
    daily_limit_usd: float | None
    total_limit_usd: float | None
    video_limit_usd: float
    is_preview: bool
    is_public: bool
    public_by: Literal["space", "share", "address"] | None
    storage: Storage | None
    may_spend_owner_key: bool
    problem: JobProblem | None
