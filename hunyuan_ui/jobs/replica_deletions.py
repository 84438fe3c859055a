"""ReplicaDeletions: completes deletions that another process began, and removes local copies of deleted videos."""

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

EVERY_S: Final = 60.0  # so that deleted files are removed within this time once their store can be reached


class ReplicaDeletions:
    """The files of deleted jobs, whichever process accepted the deletion.

    Only the ledger's rows decide: no store is listed, and nothing is removed that is not marked as deleted there.
    """

    def __init__(self, ledger: SharedLedger, services: Services) -> None:
        self._ledger = ledger
        self._services = services
        self._looked_at = -math.inf  # time.monotonic()
        self._forgot_at = time.monotonic()  # the start has already handled earlier deletions
        self._task: asyncio.Task[None] | None = None

    def tick(self) -> None:
        """Check once a minute; files are removed in the background."""
        is_under_way = self._task is not None and not self._task.done()
        if not is_under_way and time.monotonic() - self._looked_at >= EVERY_S:
            self._looked_at = time.monotonic()
            self._task = asyncio.create_task(self._finish(), name="replicas deletions")

    def soon(self) -> None:
        """Check at the next tick, because a process has died."""
        self._looked_at = -math.inf

    async def stop(self) -> None:
        """Stop; other processes complete what is left."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _finish(self) -> None:
        services = self._services
        with suppress(StorageError):  # store or ledger is away, which is reported elsewhere; retried at the next check
            if time.monotonic() - self._forgot_at >= EVERY_S:
                self._forgot_at = time.monotonic()
                await self._forget_copies()
            for job_id in await services.reads(self._ledger.to_delete):
                await services.library.delete_elsewhere(job_id)
                await asyncio.to_thread(services.library.delete, job_id)
                await services.writes(self._ledger.deleted, job_id)
                log.event("job.files_deleted", job=job_id)

    async def _forget_copies(self) -> None:
        """Remove this process's cached copies and exports of videos that another process has deleted."""
        deleted = await self._services.reads(self._ledger.ids, "deleted")
        await asyncio.to_thread(self._services.library.forget_copies, deleted)
        await asyncio.to_thread(self._services.exports.forget, deleted)
