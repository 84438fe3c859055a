"""What the processes that share a ledger learn of one another's jobs and decisions.

Source: docs/architecture.md 4. Loaded only where a database is named.
"""

from __future__ import annotations

import json
from typing import Literal, NamedTuple, TypeAlias

from hunyuan_ui.job import Job, JobProblem

Wish: TypeAlias = Literal["stop", "ask"]  # a run at an engine is to be stopped; a wait is to be ended


class Seen(NamedTuple):
    """A job that has not ended, as every process can see it.

    `shown` is what its own process tells of it, `takes_place` whether it counts as waiting or in flight, and `wish`
    what that process was asked to do.
    """

    job: Job
    worker: str | None
    takes_place: bool
    shown: str | None
    wish: Wish | None = None


class Pause(NamedTuple):
    """How long nothing is sent on the owner's key, at whichever process; `at` tells one such decision from another."""

    at: float
    wait_s: float
    problem: JobProblem | None

    @classmethod
    def of(cls, at: float, wait_s: float, problem: str | None) -> Pause:
        """Return one as it is stored."""
        return cls(at, wait_s, JobProblem(**json.loads(problem)) if problem else None)


class Tidings(NamedTuple):
    """What a process asks about every second.

    `own` are the ids of its jobs that have not ended; `unsent` of those that it has sent and that are queued all the
    same, as after a failover that lost the last commits; `undone` of those whose cancellation or deletion here it lost;
    `has_nobodys` says that `take_over` would find some, or find a lease at its end, and `has_parked` that jobs of other
    processes take no place, as those that wait for a key; `done_at` is when the newest video was made, UTC seconds;
    `wishes` by id what is asked of it; `pause` is the last one that any process has begun or ended.
    """

    own: set[str]
    unsent: set[str]
    undone: set[str]
    has_nobodys: bool
    has_parked: bool
    done_at: float
    wishes: dict[str, Wish]
    pause: Pause | None
