"""Wait times between polls and before retries."""

from __future__ import annotations

import random
from typing import Final

FIRST_POLL_S: Final = 0.1  # after sending, when refusals and quick jobs end
POLL_JITTER: Final = 0.5  # spreads jobs that were started together
STEADY_JITTER: Final = 0.1  # keeps it spread; a wider one would let the second round overlap the first
ALL_TAKEN_S: Final = 1.0  # before the next attempt to get a slot while other processes use all
LATE_LOOK_S: Final = 600.0  # between two queries of the history for a job that should have ended
SLOWEST_RETRY_S: Final = 60.0
SLOWEST_FETCH_S: Final = 600.0  # a file may be unreachable for days


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
