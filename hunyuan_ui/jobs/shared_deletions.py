"""Deletions over several processes: what one of them began and did not end, and the copies that others have."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import suppress
from typing import Final

from hunyuan_ui import log
from hunyuan_ui.errors import StorageError
from hunyuan_ui.jobs.services import Services
from hunyuan_ui.ledger.shared import SharedLedger

EVERY_S: Final = 60.0  # so that nothing that was deleted is kept for longer once its store can be reached


class SharedDeletions:
    """The files of jobs that were deleted, whichever process was asked to.

    The ledger's rows alone say what these are: no store is listed, and nothing is removed that was not deleted there.

    Args:
        ledger: Of this process.
        services: Of this run.
    """

    def __init__(self, ledger: SharedLedger, services: Services) -> None:
        self._ledger = ledger
        self._services = services
        self._looked_at = -math.inf  # time.monotonic()
        self._forgot_at = time.monotonic()  # what was deleted before, the start has removed
        self._task: asyncio.Task[None] | None = None

    def tick(self) -> None:
        """Look once a minute; what is found is removed without anybody waiting for it."""
        is_under_way = self._task is not None and not self._task.done()
        if not is_under_way and time.monotonic() - self._looked_at >= EVERY_S:
            self._looked_at = time.monotonic()
            self._task = asyncio.create_task(self._finish(), name="replicas deletions")

    def soon(self) -> None:
        """Look at the next tick, because a process has died."""
        self._looked_at = -math.inf

    async def stop(self) -> None:
        """Break off; what is left is found by the others."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _finish(self) -> None:
        services = self._services
        with suppress(StorageError):  # it or the ledger is away, of which others tell; until the next look
            if time.monotonic() - self._forgot_at >= EVERY_S:
                self._forgot_at = time.monotonic()
                await self._forget_copies()
            for job_id in await services.reads(self._ledger.to_delete):
                await services.library.delete_elsewhere(job_id)
                await asyncio.to_thread(services.library.delete, job_id)
                await services.writes(self._ledger.deleted, job_id)
                log.event("job.files_deleted", job=job_id)

    async def _forget_copies(self) -> None:
        """Remove what this process has brought or made of videos that another one has deleted."""
        deleted = await self._services.reads(self._ledger.ids, "deleted")
        await asyncio.to_thread(self._services.library.forget_copies, deleted)
        await asyncio.to_thread(self._services.exports.forget, deleted)
