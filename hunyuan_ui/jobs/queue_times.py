"""When waiting jobs are likely to be sent, from what is in flight and what stands before them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

from hunyuan_ui.job import Job
from hunyuan_ui.jobs.estimates import Estimates
from hunyuan_ui.settings import Settings


@dataclass(frozen=True, slots=True)
class Entry:
    """A job in flight or waiting.

    Args:
        id: Of the job.
        visitor: Whose it is.
        seconds: How long it still takes, or will take once it is sent; None where nobody can say.
    """

    id: str
    visitor: str
    seconds: float | None


def starts_in_s(
    in_flight: Iterable[Entry], waiting: Iterable[Entry], places: int, *, one_each: bool
) -> dict[str, float]:
    """Return in how many seconds each waiting job is likely to be sent; those that nobody can tell of are left out.

    Args:
        in_flight: Jobs that take a place now.
        waiting: The queue in its order.
        places: How many may be in flight at once.
        one_each: Of each visitor only one is in flight at a time, and others pass by those that wait for it.
    """
    # Each place by when it is free; what nobody can tell of never ends, so that no guess stands on it.
    endless = float("inf")
    lengths = [(entry, endless if entry.seconds is None else max(0.0, entry.seconds)) for entry in in_flight]
    free = [length for _, length in lengths] + [0.0] * max(0, places - len(lengths))
    heapq.heapify(free)
    while len(free) > places:  # more than there are places, as after a restart with fewer
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
    in_flight: Iterable[Job], waiting: Iterable[Job], estimates: Estimates, settings: Settings, now: float
) -> dict[str, float]:
    """Return in how many seconds each waiting job is likely to be sent.

    Args:
        in_flight: Jobs that take a place now.
        waiting: The queue in its order, without those that wait for their visitor's key.
        estimates: What they usually take.
        settings: Of this run.
        now: UTC seconds by the ledger's clock.
    """

    def entry(job: Job) -> Entry:
        return Entry(job.id, job.visitor, _left_s(job, estimates, now))

    return starts_in_s(map(entry, in_flight), map(entry, waiting), settings.concurrency, one_each=settings.is_public)


def _left_s(job: Job, estimates: Estimates, now: float) -> float | None:
    usual = estimates.estimate(job.request, job.payer)
    # A preview is drawn here and takes seconds; the formula is about the service.
    if job.is_preview and not usual.is_calibrated:
        return None
    elapsed_s = 0.0 if job.sent_at is None else now - job.sent_at
    left_s = usual.seconds - elapsed_s if elapsed_s < usual.seconds else usual.high_s - elapsed_s
    return left_s if left_s >= 0 else None
