"""Changes that processes sharing a ledger read about each other's jobs and decisions.

Source: docs/architecture.md 4. Imported only if a database is set.
"""

from __future__ import annotations

import json
from typing import Final, Literal, NamedTuple, TypeAlias

from hunyuan_ui.job import Job, JobProblem

ReplicaRequest: TypeAlias = Literal["stop", "ask"]  # stop a run at its engine; end a wait


class SharedJob(NamedTuple):
    """An unfinished job, as every process sees it.

    `shown` is the state that its own process publishes, `takes_place` whether it counts as waiting or in flight, and
    `wish` what that process was asked to do.
    """

    job: Job
    process: str | None
    takes_place: bool
    shown: str | None
    wish: ReplicaRequest | None = None


class PublishedState(NamedTuple):
    """What a job's process publishes of it; see `SharedJob`."""

    shown: str | None
    takes_place: bool


UNPUBLISHED: Final = PublishedState(None, takes_place=True)  # of a job that was just stored or taken


class Pause(NamedTuple):
    """A pause of all sending on the owner's key, at every process; `at` identifies the decision."""

    at: float
    wait_s: float
    problem: JobProblem | None

    @classmethod
    def of(cls, at: float, wait_s: float, problem: str | None) -> Pause:
        """Return a pause from its stored values."""
        return cls(at, wait_s, JobProblem(**json.loads(problem)) if problem else None)


class ReplicaUpdates(NamedTuple):
    """The changes that a process polls every second.

    `own` are the ids of its unfinished jobs; `unsent` those that it has sent but that are queued in the database, as
    after a failover that lost the last commits; `lost_decisions` those whose cancellation or deletion here was lost;
    `has_unowned` means that `take_over` would find jobs or an expired lease, and `has_parked` that jobs of other
    processes occupy no slot, such as those that wait for a key; `done_at` is when the newest video was finished, UTC
    seconds; `requests` are the requests to it by job id; `pause` is the latest one begun or ended by any process;
    `published` is what the database has of its jobs.
    """

    own: set[str]
    unsent: set[str]
    lost_decisions: set[str]
    has_unowned: bool
    has_parked: bool
    done_at: float
    requests: dict[str, ReplicaRequest]
    pause: Pause | None
    published: dict[str, PublishedState]
