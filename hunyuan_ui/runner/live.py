"""What the runner keeps in memory: jobs under way, whose key each uses, and how fast it may knock."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import Final

from hunyuan_ui.job import Job, JobProblem, Phase
from hunyuan_ui.settings import Secret

PAUSE_CHECK_S: Final = 60.0  # how often a paused queue asks the free balance call whether it may go on


@dataclass(slots=True, eq=False)
class LiveJob:
    """A job under way: its latest row, and what the page says of it between two rows."""

    job: Job
    phase: Phase = Phase.WAITING
    retry_at: float | None = None  # time.monotonic()
    note: JobProblem | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def say(self, phase: Phase, *, retry_in_s: float | None = None, note: JobProblem | None = None) -> None:
        """Set what the page shows."""
        self.phase = phase
        self.retry_at = None if retry_in_s is None else time.monotonic() + retry_in_s
        self.note = note


class KeyRing:
    """The keys in memory: the owner's for all, a visitor's for the jobs it was brought for."""

    def __init__(self, owner: Secret | None) -> None:
        self._owner = owner
        self._by_visitor: dict[str, Secret] = {}
        self._by_job: dict[str, Secret] = {}

    def bring(self, job: Job, key: Secret) -> None:
        """Use a visitor's own key for one job."""
        self._by_job[job.id] = key

    def lend(self, visitor_id: str, key: Secret) -> None:
        """Use a visitor's own key for all their jobs that lack one, as after a restart."""
        self._by_visitor[visitor_id] = key

    def forget_visitor(self, visitor_id: str) -> None:
        """Drop what a visitor lent."""
        self._by_visitor.pop(visitor_id, None)

    def forget_job(self, job_id: str) -> None:
        """Drop the key of a job that has ended."""
        self._by_job.pop(job_id, None)

    def for_job(self, job: Job) -> str | None:
        """Return the key a job is sent and polled with; None when its visitor must bring it again."""
        if job.payer == "visitor":
            key = self._by_job.get(job.id) or self._by_visitor.get(job.visitor)
            return None if key is None else key.reveal()
        return self.owner_key()

    def owner_key(self) -> str:
        """Return the owner's key, or in local preview one that the local endpoint takes."""
        return "local-preview" if self._owner is None else self._owner.reveal()


class Pace:
    """When the owner's queue may send again: after a rate limit, or while credits or the key are missing."""

    def __init__(self) -> None:
        self._until = 0.0
        self.pause: JobProblem | None = None

    @property
    def wait_s(self) -> float:
        """Seconds until the next submit, or the next question whether submits may go on, can leave."""
        return max(0.0, self._until - time.monotonic())

    def hold(self, seconds: float) -> None:
        """Send nothing for a while."""
        self._until = max(self._until, time.monotonic() + seconds)

    def stop(self, problem: JobProblem) -> None:
        """Send nothing until a call succeeds."""
        self.pause = problem
        self.stay()

    def stay(self) -> None:
        """Ask again later whether a stopped queue may go on."""
        self.hold(PAUSE_CHECK_S)

    def go(self) -> None:
        """Go on, since a call succeeded."""
        if self.pause is not None:
            self.pause = None
            self._until = 0.0


def backoff_s(attempt: int, *, base: float = 2.0, cap: float = 15.0) -> float:
    """Return seconds to wait before another harmless try: exponential with full jitter over the upper half."""
    return min(cap, base * 2.0 ** min(attempt, 10)) * random.uniform(0.5, 1.0)
