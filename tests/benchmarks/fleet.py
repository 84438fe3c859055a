"""A thousand videos in flight in two processes on one PostgreSQL, and the takeover after one is killed."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg

from hunyuan_ui.ledger import LEASE_S
from tests.app_process import RunningApp
from tests.benchmarks.clip import clip_in, workspace
from tests.benchmarks.in_flight import SETTLED_S, by_second
from tests.benchmarks.processes import Caller, app_with, child, config_seconds, service_settings
from tests.benchmarks.stored import insert, running_jobs
from tests.benchmarks.table import Row, bound, percentile
from tests.postgres_server import PostgresServer, programs

JOBS, WATCHED_S = 1000, 30.0
WITHIN_S = 60.0
_HELD = "SELECT count(*) FROM jobs GROUP BY worker HAVING worker IS NOT NULL ORDER BY 1"


def measure(is_short: bool) -> list[Row]:
    """Assign half of the jobs to each process, measure both, and kill one; nothing in the short form."""
    found = programs()
    if is_short or found is None:
        return []
    with ExitStack() as stack:
        folder = stack.enter_context(workspace())
        url = stack.enter_context(child("service", str(clip_in(folder))))
        server = PostgresServer(found, is_durable=True)
        stack.callback(server.close)
        connection = stack.enter_context(psycopg.connect(server.url("fleet"), autocommit=True))
        settings = {**service_settings(url), "HUNYUAN_UI_DATABASE_URL": server.url("fleet")}
        settings |= {"HUNYUAN_UI_CONCURRENCY": str(JOBS), "HUNYUAN_UI_VIDEOS_URL": ""}
        apps = [stack.enter_context(app_with(folder / name, **settings)) for name in ("one", "two")]
        _share_out(connection, apps)
        config_seconds(apps[0].url, int(SETTLED_S / 0.2), 0.2)
        service = Caller(url)
        service.get("/polls")
        with ThreadPoolExecutor() as pool:
            asked = list(pool.map(lambda app: config_seconds(app.url, int(WATCHED_S / 0.1), 0.1), apps))
        counts = by_second(json.loads(service.get("/polls")))
        busiest = max(counts) / (sum(counts) / len(counts))
        slowest = max(1000 * percentile(answers, 0.95) for answers in asked)
        late_s = _takeover_s(connection, apps[0])
    return [
        bound(f"{JOBS:,} videos in flight in two processes: /config p95 of the slower", slowest, "ms", at_most=20),
        bound("busiest second of polls of both, of the mean", busiest, "x", at_most=1.5),
        bound(f"takeover of {JOBS // 2} jobs after the lease's end", late_s, "s", at_most=5),
    ]


def _share_out(connection: psycopg.Connection[Any], apps: list[RunningApp]) -> None:
    """Let each process take half of the jobs without an owner, while the other one is stopped."""
    jobs = running_jobs(JOBS, visitors=100)
    for turn, other in enumerate(reversed(apps)):
        with _still(other):
            insert(connection, jobs[turn::2])
            _until(lambda turn=turn: _held(connection) == [JOBS // 2] * (turn + 1))


@contextmanager
def _still(app: RunningApp) -> Iterator[None]:
    os.kill(app.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(app.process.pid, signal.SIGCONT)


def _takeover_s(connection: psycopg.Connection[Any], app: RunningApp) -> float:
    """Kill a process, and return how long after its lease expires the other one has all of its jobs."""
    os.kill(app.process.pid, signal.SIGKILL)
    time.sleep(4.0)  # the other one has renewed its lease since
    row = connection.execute("SELECT min(seen_at) FROM workers").fetchone()
    _until(lambda: _held(connection) == [JOBS])
    now = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
    assert row is not None
    assert now is not None
    return max(0.0, now[0] - row[0] - LEASE_S)


def _held(connection: psycopg.Connection[Any]) -> list[int]:
    return [count for (count,) in connection.execute(_HELD)]


def _until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)
