"""Hundreds of open pages that poll running jobs, compared with the same jobs without pages."""

from __future__ import annotations

import time

from tests.benchmarks.clip import clip_in, workspace
from tests.benchmarks.processes import app_with, child, config_seconds, cpu_seconds, service_settings
from tests.benchmarks.stored import fill
from tests.benchmarks.table import Row, bound, percentile

SETTLED_S = 3.0


def measure(is_short: bool) -> list[Row]:
    """Let pages poll as watch.js does, from a separate process."""
    pages, watched_s = (100, 4.0) if is_short else (300, 20.0)
    with workspace() as folder, child("service", str(clip_in(folder))) as url:
        fill(folder / "data", clip_in(folder), running=pages, visitors=pages)
        with app_with(folder, **service_settings(url), HUNYUAN_UI_CONCURRENCY=str(pages)) as app:
            time.sleep(SETTLED_S)
            alone = _seen(app.url, app.process.pid, watched_s)
            with child("watchers", app.url, str(pages)):
                time.sleep(SETTLED_S)
                watched = _seen(app.url, app.process.pid, watched_s)
    return [
        bound(f"{pages} pages watching: /config p95", watched[0], "ms", at_most=50, reference=alone[0]),
        bound("processor", watched[1], "% of a core", at_most=50, reference=alone[1]),
    ]


def _seen(url: str, pid: int, watched_s: float) -> tuple[float, float]:
    began, used = time.monotonic(), cpu_seconds(pid)
    answers = config_seconds(url, int(watched_s / 0.1), 0.1)
    share = (cpu_seconds(pid) - used) / (time.monotonic() - began)
    return 1000 * percentile(answers, 0.95), 100 * share
