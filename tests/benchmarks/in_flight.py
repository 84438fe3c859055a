"""A thousand videos in flight in one process, polled every 5 s, compared with none."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.clip import clip_in, workspace
from tests.benchmarks.processes import (
    Caller,
    app_with,
    child,
    config_seconds,
    cpu_seconds,
    resident_bytes,
    service_settings,
    thread_count,
)
from tests.benchmarks.stored import fill
from tests.benchmarks.table import Row, bound, percentile, shown

POLL_S = 5.0
SETTLED_S = 6.0  # one round of polls, after which memory and threads are stable


@dataclass(frozen=True)
class Seen:
    """Measured resource use of one process."""

    resident_bytes: int
    threads: int
    config_p95_ms: float
    cpu_share: float
    polls_a_second: list[int]


def measure(is_short: bool) -> list[Row]:
    """Start two apps, with no jobs and with all jobs at the service, and measure both in the same way."""
    jobs, watched_s = (300, 6.0) if is_short else (1000, 30.0)
    with workspace() as folder, child("service", str(clip_in(folder))) as url:
        none = _seen(folder / "none", url, 0, watched_s)
        many = _seen(folder / "many", url, jobs, watched_s)
    each_kib = (many.resident_bytes - none.resident_bytes) / 1024 / jobs
    # Polls per second at one poll every 5 s; chance alone raises the maximum of thirty seconds to about 1.2 of it.
    busiest = max(many.polls_a_second) / (sum(many.polls_a_second) / len(many.polls_a_second))
    return [
        bound(f"{jobs:,} videos in flight: memory for each", each_kib, "KiB", at_most=64),
        bound("threads", many.threads, "", at_most=none.threads, reference=none.threads),
        bound("/config p95", many.config_p95_ms, "ms", at_most=20, reference=none.config_p95_ms),
        bound("busiest second of polls, of the mean", busiest, "x", at_most=1.5),
        shown("processor", 100 * many.cpu_share, 100 * none.cpu_share, "% of a core"),
    ]


def _seen(folder: Path, url: str, jobs: int, watched_s: float) -> Seen:
    fill(folder / "data", Path(), running=jobs, visitors=100)
    with app_with(folder, **service_settings(url), HUNYUAN_UI_CONCURRENCY=str(max(1, jobs))) as app:
        config_seconds(app.url, int(SETTLED_S / 0.2), 0.2)
        service, pid = Caller(url), app.process.pid
        service.get("/polls")
        began, used = time.monotonic(), cpu_seconds(pid)
        answers = config_seconds(app.url, int(watched_s / 0.1), 0.1)
        took_s, used = time.monotonic() - began, cpu_seconds(pid) - used
        polls = json.loads(service.get("/polls"))
        return Seen(
            resident_bytes(pid),
            thread_count(pid),
            1000 * percentile(answers, 0.95),
            used / took_s,
            by_second(polls),
        )


def by_second(polls: list[float]) -> list[int]:
    """Return the number of polls in each second, given their times."""
    counts = Counter(int(at - polls[0]) for at in polls) if polls else Counter({0: 0})
    return [counts[second] for second in range(max(1, max(counts)))]  # the last second is incomplete
