"""A runner against the raw service with short waits; also used by the program that kills itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from hunyuan_ui import checkpoint, ledger
from hunyuan_ui.data_folder import DataFolder
from hunyuan_ui.endpoint import retry_after, segmind
from hunyuan_ui.endpoint.download import FetchLimits, SaveLimits, fetch
from hunyuan_ui.endpoint.openai_videos import EngineClient
from hunyuan_ui.endpoint.segmind import EndpointClient, Timeouts
from hunyuan_ui.job import Job, JobStatus, Visitor, new_id
from hunyuan_ui.jobs import (
    JobRunner,
    batch,
    build_runner,
    dispatcher,
    endings,
    engine_jobs,
    history_import,
    job_run,
    job_watch,
    live_job,
    replica_stores,
    replicas,
    wait_times,
)
from hunyuan_ui.library.library import VideoLibrary
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.settings import Secret, Settings
from tests.engines import TOOK_S
from tests.stored_jobs import url_in

# Not in the format of the service's keys, which the log would redact by itself.
KEY = "canary-7f3a9c55e1d84b02"
OWNER = Visitor.from_token("a" * 32, is_owner=True)
STRANGER = Visitor.from_token("b" * 32)
CALM = Timeouts()
SHORT = Timeouts(submit_s=0.3, get_s=0.3, generate_s=0.3)  # only where no response comes: a busy machine is slow too
SHORT_GETS = Timeouts(get_s=0.3)
SMALL = FetchLimits(save=SaveLimits(max_bytes=1024 * 1024, slow_after_s=0.5))
END_S = 60.0
Dialect = Literal["v1", "v2", "openai"]
USD_PER_HOUR = 1.46 / TOOK_S * 3600  # so that a video costs as much as at the hosted service


def be_impatient(patch: Callable[[Any, str, Any], None] = setattr) -> None:
    """Shorten the waits that protect a real service."""
    for module in (job_run, dispatcher, engine_jobs, wait_times):
        patch(module, "backoff_s", lambda *_, **__: 0.004)
    patch(live_job, "backoff_s", lambda *_, **__: 0.02)  # a stopped server is asked anew each time
    patch(dispatcher, "_RESTART_S", 0.02)
    patch(segmind, "_ASKED_AGAIN_S", (0.0, *[0.004] * 20))
    patch(dispatcher, "_HELD_S", 0.05)
    patch(job_run, "ALL_TAKEN_S", 0.05)
    patch(endings, "PROOFS", {ending: endings.Proof(4, 0.05) for ending in endings.Ending})
    patch(wait_times, "PAUSE_CHECK_S", 0.01)
    patch(wait_times, "AWAY_CHECK_S", 0.01)
    patch(batch, "_LOOK_AGAIN_S", 0.02)
    patch(engine_jobs, "WARM_CHECK_S", 0.01)
    patch(history_import, "RETRY_S", 0.02)
    patch(ledger, "LEASE_S", 1.0)
    patch(replicas, "LEASE_RENEWAL_S", 0.1)
    patch(replicas, "TICK_S", 0.05)
    patch(replicas, "BOARD_FRESH_S", 0.02)
    patch(job_watch, "POLL_S", 0.02)
    patch(replica_stores, "POLL_S", 0.02)
    patch(replicas, "DELETIONS_EVERY_S", 0.1)
    patch(retry_after, "SHORTEST_S", 0.01)
    patch(retry_after, "GUESS_S", (0.02, 0.04))


@dataclass
class Rig:
    """Opens runners on one data folder, one after another, like starts of the program."""

    folder: Path
    origin: str
    dialect: Dialect = "v2"
    checkpoint: Callable[[str], None] | None = None
    now: Callable[[], float] | None = None
    min_free_bytes: int = 0
    timeouts: Timeouts = CALM
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    url: Secret | None = None  # of the database, if it is not the folder's own

    def open(self) -> JobRunner:
        """Return a runner that is not started."""
        settings = Settings(
            data_dir=self.folder,
            history_url=f"{self.origin}/inference-request",
            poll_interval_s=0.003,
            **{
                "base_url": self.origin,
                **self._whose(),
                "database_url": self.url or url_in(self.folder),
                **self.settings,
            },
        )
        client = EndpointClient(settings.base_url, settings.history_url, timeouts=self.timeouts)
        library = VideoLibrary(self.folder / "videos")
        download = partial(fetch, own_origin=self.origin, check=library.check, limits=SMALL)
        clock: dict[str, Any] = {} if self.now is None else {"now": self.now}
        if settings.engine_url is not None:
            clock["engine"] = EngineClient(settings.engine_url, timeouts=self.timeouts, fetch_limits=SMALL)
        folder = DataFolder(
            self.folder, min_free_bytes=self.min_free_bytes, is_shared=settings.database_url is not None
        )
        checkpoint.hook = self.checkpoint
        return build_runner(settings, client=client, download=download, folder=folder, **clock)

    def _whose(self) -> dict[str, Any]:
        if self.dialect != "openai":
            return {"api_key": Secret(KEY), "dialect": self.dialect}
        engine = {"engine_url": self.origin, "engine_key": Secret(KEY), "engine_usd_per_hour": USD_PER_HOUR}
        return {**engine, "daily_limit_usd": 200.0}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[JobRunner]:
        """Open, start and stop a runner."""
        runner = self.open()
        await runner.start()
        try:
            yield runner
        finally:
            await runner.stop()


def prompt_of(job_id: str) -> str:
    """Return the prompt that links the service's bill and the ledger's row."""
    return f"a heron, take {job_id}"


async def click(runner: JobRunner, job_id: str | None = None, visitor: Visitor = OWNER, **options: Any) -> str:
    """Press Generate; return the job's id."""
    job_id = job_id or new_id()
    await runner.submit(job_id, VideoRequest.parse({"prompt": prompt_of(job_id)}), visitor, **options)
    return job_id


async def ended(runner: JobRunner, job_id: str, visitor: Visitor = OWNER) -> Job:
    """Return a job that has ended."""
    job = await runner.wait(job_id, visitor, END_S)
    assert not job.is_active, f"still {job.status.value} after {END_S} s"
    return job


async def until(condition: Callable[[], object], timeout_s: float = END_S) -> None:
    """Wait for a condition without an event."""

    async def hold() -> None:
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.003)

    await asyncio.wait_for(hold(), timeout_s)


async def next_job_works(runner: JobRunner) -> None:
    """Make one more video."""
    job = await ended(runner, await click(runner))
    assert job.status is JobStatus.DONE, job.problem


def without_looks(runner: JobRunner) -> replicas.Replicas:
    """Stop a runner's own polling of the other processes, and the renewals of its lease; return its `Replicas`."""
    seen = runner._replicas
    assert seen is not None
    for task in (seen._task, seen._lease_task):
        assert task is not None
        task.cancel()
    return seen


async def kill(runner: JobRunner, is_its: Callable[[asyncio.Task[Any]], bool] = lambda _: True) -> None:
    """Abandon a runner as a kill would: none of its steps is finished or recorded any more.

    Args:
        is_its: Tells the runner's tasks from those of another one on the same loop.
    """
    runner._dispatcher._is_stopping = True
    left = {
        task
        for task in asyncio.all_tasks()
        if task.get_name().startswith(("job ", "dispatcher", "ledger backup", "history", "replicas")) and is_its(task)
    }
    while left:  # before Python 3.12 a task in a wait with a timeout may miss its cancellation
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=1.0)
    # Threads cannot be killed: work that they had begun counts as done before.
    if executor := getattr(asyncio.get_running_loop(), "_default_executor", None):
        executor.shutdown(wait=True)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())
    services = runner._services
    await services.hosted.client.aclose()
    if services.engine is not None:
        await services.engine.client.aclose()
    services.ledger.close()
    services.folder.close()
