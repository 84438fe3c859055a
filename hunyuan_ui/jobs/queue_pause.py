"""QueuePause: until when, and why, nothing is sent on the owner's key."""

from __future__ import annotations

import time
from typing import Final

from hunyuan_ui.job import JobProblem

WARMING: Final = "engine_warming"
PAUSE_CHECK_S: Final = 60.0  # interval of the free balance call in a paused queue


class QueuePause:
    """Until when jobs on the owner's key wait: for a rate limit, credits, a valid key, or the history."""

    def __init__(self) -> None:
        self._until = 0.0
        self.changes = 0  # pauses begun or ended here for reasons of the account, which hold for every process
        self.problem: JobProblem | None = None
        self.history_problem: JobProblem | None = None  # spending before this start is unknown
        self.is_stopping = False  # the program is stopping

    @property
    def wait_s(self) -> float:
        """Seconds until the next POST may be sent, or the balance may be queried again."""
        wait_s = self.own_wait_s
        return wait_s if self.history_problem is None else max(wait_s, PAUSE_CHECK_S)

    @property
    def own_wait_s(self) -> float:
        """The same in seconds, without the pause for the history."""
        return max(0.0, self._until - time.monotonic())

    def for_seconds(self, seconds: float) -> None:
        """Send nothing for some seconds."""
        self._wait(seconds)
        self.changes += 1

    def until_fixed(self, problem: JobProblem) -> None:
        """Send nothing until a call succeeds; `problem` says why."""
        self.problem = problem
        self.for_seconds(PAUSE_CHECK_S)

    def until_warm(self, problem: JobProblem, check_s: float) -> None:
        """Send nothing until this process has found its engine ready; `check_s` is the time until the first check."""
        self.problem = problem
        self._wait(check_s)

    def adopt(self, wait_s: float, problem: JobProblem | None) -> None:
        """Adopt a pause that another process has begun or ended."""
        self.problem = problem
        self._until = time.monotonic() + wait_s

    def clear(self) -> None:
        """End the pause, since a call succeeded."""
        if self.problem is not None:
            self.changes += self.problem.code != WARMING
            self.problem = None
            self._until = 0.0

    def _wait(self, seconds: float) -> None:
        self._until = max(self._until, time.monotonic() + seconds)
