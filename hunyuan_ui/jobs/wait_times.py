"""Waits between polls, before retries, and of the whole queue."""

from __future__ import annotations

import math
import random
import time
from typing import Final

from hunyuan_ui.errors import (
    AuthenticationError,
    DownloadError,
    EndpointStatusError,
    EndpointUnreachableError,
    HunyuanUIError,
    OutOfCreditsError,
    RateLimitError,
)
from hunyuan_ui.job import Dialect, Job, JobProblem

FIRST_POLL_S: Final = 0.1  # after sending, when refusals and quick jobs end
POLL_JITTER: Final = 0.5  # spreads jobs that were started together
STEADY_JITTER: Final = 0.1  # keeps it spread; a wider one would let the second round overlap the first
ALL_TAKEN_S: Final = 1.0  # before the next attempt to get a slot while other processes use all
LATE_LOOK_S: Final = 600.0  # between two queries of the history for a job that should have ended
SLOWEST_RETRY_S: Final = 60.0
SLOWEST_FETCH_S: Final = 600.0  # a file may be unreachable for days
WARMING: Final = "engine_warming"
PAUSE_CHECK_S: Final = 60.0  # interval of the free balance call in a paused queue
AWAY_CHECK_S: Final = 15.0  # between two attempts to connect to a service that was unreachable
SUBMIT_ATTEMPTS: Final = 3  # only after a failure to connect, which proves that nothing was sent
ATTEMPT_S: Final = 20.0  # within which a connection is open or has failed, an engine's check included
UNAUTHORIZED: Final = 401  # from an engine; its 403 may be of a prompt
# Refusals that are never of one job alone; another may be of its prompt.
_OF_ACCOUNT: Final = frozenset({"team_spend_limit", "out_of_credits", "key_refused", "key_missing"})


def poll_wait_s(interval_s: float, age_s: float, *, is_first: bool = False) -> float:
    """Return seconds until the next poll of a job: short at first, then the interval, with jitter.

    Args:
        interval_s: The longest wait, apart from the jitter.
        age_s: Seconds since the job was sent.
        is_first: The first poll of this run; the polls of all recovered jobs are spread over the interval.
    """
    growing_s = FIRST_POLL_S + max(0.0, age_s) / 4
    if growing_s < interval_s:
        return growing_s * random.uniform(1 - POLL_JITTER, 1 + POLL_JITTER)
    if is_first:
        return random.uniform(0, interval_s)
    return interval_s * random.uniform(1 - STEADY_JITTER, 1 + STEADY_JITTER)


def backoff_s(attempt: int, *, base: float = 2.0, cap: float = 15.0) -> float:
    """Return seconds to wait before retrying: exponential, with jitter over the upper half."""
    return min(cap, base * 2.0 ** min(attempt, 10)) * random.uniform(0.5, 1.0)


def asked_wait_s(error: HunyuanUIError) -> float:
    """Return the seconds that a server asks to wait before the next download, within the usual limit; 0 for none."""
    asked_s = error.retry_after_s if isinstance(error, (RateLimitError, DownloadError)) else None
    return min(asked_s or 0.0, SLOWEST_FETCH_S)


class QueuePause:
    """Until when jobs on the owner's key wait: for a rate limit, credits, a valid key, the history, or the owner."""

    def __init__(self) -> None:
        self._until = 0.0
        self._begun_at = -math.inf  # time.monotonic(), when `problem` was met
        self.changes = 0  # pauses begun or ended here for reasons of the account, which hold for every process
        self.problem: JobProblem | None = None
        self.refused = ""  # code of the account's last refusal, until a POST succeeds: no free call tells all limits
        self.history_problem: JobProblem | None = None  # spending before this start is unknown
        self.review_problem: JobProblem | None = None  # the owner must confirm the budget
        self.is_stopping = False  # the program is stopping

    @property
    def wait_s(self) -> float:
        """Seconds until the next POST may be sent, or the balance may be queried again."""
        wait_s = self.own_wait_s
        return wait_s if self.unknown_spending is None else max(wait_s, PAUSE_CHECK_S)

    @property
    def unknown_spending(self) -> JobProblem | None:
        """Why past spending is unknown; None if it is not."""
        return self.review_problem or self.history_problem

    @property
    def own_wait_s(self) -> float:
        """The same as `wait_s`, without the pause for unknown spending."""
        return max(0.0, self._until - time.monotonic())

    def for_seconds(self, seconds: float) -> None:
        """Send nothing for some seconds."""
        self._wait(seconds)
        self.changes += 1

    def until_fixed(self, problem: JobProblem, *, is_checked_now: bool = False) -> None:
        """Send nothing until a call succeeds; `problem` says why.

        Args:
            is_checked_now: The free call is made at once, since the refusal may have been of one job.
        """
        self.problem, self.refused = problem, problem.code
        self._begun_at = time.monotonic()
        self.for_seconds(0.0 if is_checked_now else PAUSE_CHECK_S)

    def until_warm(self, problem: JobProblem, check_s: float) -> None:
        """Send nothing until this process has found its engine ready; `check_s` is the time until the first check."""
        self.problem = problem
        self._wait(check_s)

    def adopt(self, wait_s: float, problem: JobProblem | None) -> None:
        """Adopt a pause that another process has begun or ended."""
        if problem is not None and self.problem is None:
            self._begun_at = time.monotonic()
            self.refused = problem.code
        self.problem = problem
        self._until = time.monotonic() + wait_s

    def end_by_post(self, sent_s_ago: float) -> None:
        """End the pause, since a POST succeeded, unless that was sent before the pause began."""
        if time.monotonic() - sent_s_ago >= self._begun_at:
            self.refused = ""
            self.clear()

    def clear(self) -> None:
        """End the pause, since a call succeeded."""
        if self.problem is not None:
            self.changes += self.problem.code != WARMING
            self.problem = None
            self._until = 0.0

    def _wait(self, seconds: float) -> None:
        self._until = max(self._until, time.monotonic() + seconds)


class AwayServices:
    """Services that a job could not be sent to for want of a connection: their jobs wait while one at a time tries.

    Not shared between processes: another machine may reach them.
    """

    def __init__(self) -> None:
        self._away: dict[Dialect, tuple[float, JobProblem]] = {}  # time.monotonic() of the next attempt; why they wait

    def is_away(self, job: Job) -> bool:
        """Whether the last attempts to connect to a job's service failed."""
        return _service_of(job) in self._away

    def add(self, job: Job, problem: JobProblem) -> None:
        """Send nothing to a job's service for a while; `problem` says why."""
        self._away[_service_of(job)] = (time.monotonic() + AWAY_CHECK_S, problem)

    def begin_attempt(self, job: Job) -> None:
        """Have the others wait while this job is sent to a service that was unreachable."""
        if (known := self._away.get(_service_of(job))) is not None:
            self._away[_service_of(job)] = (time.monotonic() + ATTEMPT_S, known[1])

    def remove(self, job: Job) -> bool:
        """Note that a job's service was reached; return whether it was away."""
        return self._away.pop(_service_of(job), None) is not None

    def wait(self, job: Job) -> tuple[float, JobProblem | None]:
        """Return the seconds until a job may be sent, and why it waits."""
        until, problem = (0.0, None) if job.is_preview else self._away.get(_service_of(job), (0.0, None))
        return max(0.0, until - time.monotonic()), problem


def _service_of(job: Job) -> Dialect:
    return "openai" if job.is_at_engine else "v2"


def hold_unsent(away: AwayServices, job: Job, error: EndpointUnreachableError) -> tuple[float | None, int]:
    """Return the seconds until a job is to be sent that was not, None if it fails, and its failed attempts so far.

    The first one whose service stays away fails, so that its visitor learns of it; the others wait.
    """
    attempts = int(job.notes.get("attempts", 0)) + 1
    is_known = away.is_away(job)
    if not is_known and attempts < SUBMIT_ATTEMPTS and error.code != "tls_failed":
        return backoff_s(attempts), attempts
    away.add(job, why_unsent(error))
    return (0.0, 0) if is_known else (None, attempts)


def why_unsent(error: EndpointUnreachableError) -> JobProblem:
    """Return why a job waits whose service cannot be reached."""
    return JobProblem.from_code(f"{error.code}_unsent", **error.facts)


def hold_queue(pause: QueuePause, job: Job, error: EndpointStatusError) -> bool:
    """Pause the queue if an error refuses every job that the owner pays for; return whether this one waits as well.

    The first one that is refused fails, so that its visitor learns of it. Whatever the free call says then, the same
    refusal of a later one is the account's: a team's limit, or a price above what is left.
    """
    if job.payer != "owner" or not isinstance(error, (OutOfCreditsError, AuthenticationError)):
        return False
    is_of_all = error.code in _OF_ACCOUNT or error.facts.get("status") == UNAUTHORIZED
    is_held = is_of_all and error.code == pause.refused
    # Not again at once: the free call knows nothing of this refusal.
    pause.until_fixed(JobProblem.of(error), is_checked_now=job.is_at_engine and not is_held)
    return is_held
