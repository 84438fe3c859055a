"""Until when nothing is sent on the owner's key, and why."""

from __future__ import annotations

import time
from typing import Final

from hunyuan_ui.job import JobProblem

WARMING: Final = "engine_warming"
PAUSE_CHECK_S: Final = 60.0  # how often a paused queue asks the free balance call whether it may go on


class QueuePause:
    """Until when jobs on the owner's key wait: for a rate limit, credits, a valid key, or the history."""

    def __init__(self) -> None:
        self._until = 0.0
        self.changes = 0  # begun or ended here, for reasons that are the account's and hold for every process
        self.problem: JobProblem | None = None
        self.history_problem: JobProblem | None = None  # spending before this start is unknown
        self.is_stopping = False  # nothing is sent any more

    @property
    def own_wait_s(self) -> float:
        """The same, whatever is known of the history."""
        return max(0.0, self._until - time.monotonic())

    @property
    def wait_s(self) -> float:
        """Seconds until the next POST may be sent, or the balance may be asked for again."""
        wait_s = self.own_wait_s
        return wait_s if self.history_problem is None else max(wait_s, PAUSE_CHECK_S)

    def for_seconds(self, seconds: float) -> None:
        """Send nothing for some seconds."""
        self._wait(seconds)
        self.changes += 1

    def until_fixed(self, problem: JobProblem) -> None:
        """Send nothing until a call succeeds; `problem` says why."""
        self.problem = problem
        self.for_seconds(PAUSE_CHECK_S)

    def until_warm(self, problem: JobProblem, check_s: float) -> None:
        """Send nothing until this process has found its engine ready; `check_s` says when to ask first."""
        self.problem = problem
        self._wait(check_s)

    def adopt(self, wait_s: float, problem: JobProblem | None) -> None:
        """Wait as another process does, which has begun or ended the pause."""
        self.problem = problem
        self._until = time.monotonic() + wait_s

    def extend(self) -> None:
        """Wait once more before the balance is asked for."""
        self.for_seconds(PAUSE_CHECK_S)

    def clear(self) -> None:
        """End the pause, since a call succeeded."""
        if self.problem is not None:
            self.changes += self.problem.code != WARMING
            self.problem = None
            self._until = 0.0

    def _wait(self, seconds: float) -> None:
        self._until = max(self._until, time.monotonic() + seconds)
