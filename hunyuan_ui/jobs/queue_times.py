"""Expected starts of queued jobs (pure)."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """A job in flight or waiting.

    Args:
        seconds: Expected remaining time, or total time once sent; None if unknown.
    """

    id: str
    visitor: str
    seconds: float | None


def starts_in_s(
    in_flight: Iterable[QueueEntry], waiting: Iterable[QueueEntry], places: int, *, one_each: bool
) -> dict[str, float]:
    """Return the expected seconds until each waiting job is sent; unpredictable jobs are left out.

    Args:
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
