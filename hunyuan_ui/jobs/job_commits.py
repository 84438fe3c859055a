"""Commits the steps of one job, for as long as it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hunyuan_ui import log
from hunyuan_ui.checkpoint import checkpoint
from hunyuan_ui.errors import StorageError
from hunyuan_ui.job import Job
from hunyuan_ui.jobs.live_job import LiveJob
from hunyuan_ui.jobs.services import Services
from hunyuan_ui.jobs.waits import backoff_s
from hunyuan_ui.ledger import TakenOverError


class JobCommits:
    """Stores changes of one job, and keeps the live job equal to its row."""

    def __init__(self, live: LiveJob, services: Services) -> None:
        self._live = live
        self._services = services

    @property
    def _job(self) -> Job:
        return self._live.job

    async def step(self, change: Callable[..., Job], *args: Any, **values: Any) -> None:
        """Commit a transition that must not be lost; retry for as long as the ledger cannot be written.

        Args:
            change: A method of the ledger; called with the job's id and the other arguments.
        """
        attempt = 0
        while True:
            try:
                # A commit that raised may have succeeded. Where other processes may also have changed the row, the
                # transition itself detects it.
                is_asked = attempt and not self._services.ledger.is_shared
                stored = await self._services.writes(self._services.ledger.get, self._job.id) if is_asked else None
                if stored is None or stored.status is self._job.status:
                    stored = await self._services.writes(change, self._job.id, *args, **values)
                break
            except TakenOverError:
                known = await self._services.read_again(self._job)
                if known is None or known.status is not self._job.status:
                    raise
            except StorageError as error:
                attempt += 1
                log.trouble("ledger.refused", job=self._job.id, code=error.code, attempt=attempt)
                self._services.folder.drop_ballast()
                self._live.note = self._live.problem_of(error)
                await asyncio.sleep(backoff_s(attempt, base=0.5, cap=30.0))
        if attempt:
            self._live.note = None
        self.moved(stored)

    async def facts(self, change: Callable[..., Job], *args: Any, **values: Any) -> None:
        """Commit a change that keeps the status; dropped on failure, as the next poll repeats it."""
        try:
            self._live.job = await self._services.writes(change, self._job.id, *args, **values)
        except StorageError as error:
            log.trouble("ledger.refused", job=self._job.id, code=error.code, attempt=1)

    def moved(self, job: Job) -> None:
        """Take over a stored row, and log a new status."""
        if job.status is not self._job.status:
            code = job.problem.code if job.problem else None
            facts = {"request_id": job.request_id, "cost_microusd": job.cost_microusd, "problem": code}
            log.event(f"job.{job.status.value}", job=job.id, **{k: v for k, v in facts.items() if v is not None})
        self._live.job = job
        checkpoint(f"journey.{job.status.value}")
