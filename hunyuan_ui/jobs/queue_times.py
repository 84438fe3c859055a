"""Expected start times of queued jobs, from the jobs in flight and those ahead of them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

from hunyuan_ui.job import Job
from hunyuan_ui.jobs.recent_outcomes import RecentOutcomes
from hunyuan_ui.settings import Settings


@dataclass(frozen=True, slots=True)
class Entry:
    """A job in flight or waiting.

    Args:
        id: Of the job.
        visitor: Its owner.
        seconds: Expected remaining time, or total time once sent; None if unknown.
    """

    id: str
    visitor: str
    seconds: float | None


def starts_in_s(
    in_flight: Iterable[Entry], waiting: Iterable[Entry], places: int, *, one_each: bool
) -> dict[str, float]:
    """Return the expected seconds until each waiting job is sent; unpredictable jobs are left out.

    Args:
        in_flight: Jobs that occupy a slot now.
        waiting: The queue in order.
        places: Number of slots.
        one_each: Each visitor has only one job in flight at a time, and others overtake those that wait for it.
    """
    # The times at which each slot becomes free; unpredictable jobs never end, so that no estimate builds on them.
    endless = float("inf")
    lengths = [(entry, endless if entry.seconds is None else max(0.0, entry.seconds)) for entry in in_flight]
    free = [length for _, length in lengths] + [0.0] * max(0, places - len(lengths))
    heapq.heapify(free)
    while len(free) > places:  # more jobs than slots, for example after a restart with fewer
        heapq.heappop(free)
    visitor_free = dict[str, float]()
    for entry, length in lengths:
        visitor_free[entry.visitor] = max(visitor_free.get(entry.visitor, 0.0), length)
    starts = dict[str, float]()
    queue = list(waiting)
    while queue and free:
        at = heapq.heappop(free)
        if at == endless:
            break
        ready = [max(at, visitor_free.get(entry.visitor, 0.0)) if one_each else at for entry in queue]
        index = min(range(len(queue)), key=lambda place: (ready[place], place))
        entry, begins = queue.pop(index), ready[index]
        if begins == endless:
            break
        starts[entry.id] = begins
        ends = endless if entry.seconds is None else begins + max(0.0, entry.seconds)
        visitor_free[entry.visitor] = ends
        heapq.heappush(free, ends)
    return starts


def likely_starts(
    in_flight: Iterable[Job], waiting: Iterable[Job], outcomes: RecentOutcomes, settings: Settings, now: float
) -> dict[str, float]:
    """Return the expected seconds until each waiting job is sent.

    Args:
        in_flight: Jobs that occupy a slot now.
        waiting: The queue in order, without jobs that wait for their visitor's key.
        outcomes: Of their running times.
        now: UTC seconds by the ledger's clock.
    """

    def entry(job: Job) -> Entry:
        return Entry(job.id, job.visitor, _left_s(job, outcomes, now))

    return starts_in_s(map(entry, in_flight), map(entry, waiting), settings.concurrency, one_each=settings.is_public)


def _left_s(job: Job, outcomes: RecentOutcomes, now: float) -> float | None:
    usual = outcomes.estimate(job.request, job.payer)
    # A preview is rendered locally in seconds; the formula describes the service.
    if job.is_preview and not usual.is_calibrated:
        return None
    elapsed_s = 0.0 if job.sent_at is None else now - job.sent_at
    left_s = usual.seconds - elapsed_s if elapsed_s < usual.seconds else usual.high_s - elapsed_s
    return left_s if left_s >= 0 else None
