"""DataFolderWatch: detects that ledger or lock were deleted or replaced while in use, and saves what it can."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from hunyuan_ui import cancellation, log
from hunyuan_ui.data_folder import LOCK_NAME
from hunyuan_ui.errors import StorageError
from hunyuan_ui.job import Job, JobProblem, JobStatus
from hunyuan_ui.jobs.services import Services
from hunyuan_ui.ledger import FILE_NAME

LOOK_EVERY_S: Final = 5.0  # interval between checks at most
WRITE_EVERY_S: Final = 60.0  # interval between test writes, so that an idle page keeps no disk awake
# Problems that hold back all queued jobs.
HOLDS: Final = ("folder_replaced", "database_away", "database_set_back", "ledger_newer", "videos_not_writable")


class DataFolderWatch:
    """Watches the ledger and the lock.

    Deleted files stay readable for this process until it exits. While it still holds the folder's lock, it copies a
    deleted ledger into the newest backup, and a deleted log into the ledger, so that no paid job is forgotten.
    """

    def __init__(self, services: Services, under_way: Callable[[], Iterable[Job]]) -> None:
        self._services = services
        self._under_way = under_way
        self._missing_files: frozenset[str] = frozenset()
        self._is_away = False
        self._asked_at = -math.inf  # time.monotonic()
        self._saved = -1
        self._copy: Path | None = None
        self._tested_at = self._written_at = -math.inf  # time.monotonic()
        self._test: asyncio.Task[None] | None = None

    async def look(self) -> JobProblem | None:
        """Return why nothing may be sent: folder, ledger or lock were replaced, or are unreachable."""
        missing_files = self._services.folder.missing_files
        if missing_files != self._missing_files:
            self._missing_files = missing_files
            self._saved = -1
            self._log_change()
        if missing_files and LOCK_NAME not in missing_files:
            await self._save()
        if missing_files:
            return JobProblem.from_code("folder_replaced")
        if (refusal := self._services.folder.recheck_videos_folder()) is not None:
            return JobProblem.of(refusal)
        return await self._database_problem()

    def begin_test(self) -> None:
        """Test from time to time whether ledger and folder take a write, so that health tells what a click would."""
        now = time.monotonic()
        if now - self._tested_at >= LOOK_EVERY_S and (self._test is None or self._test.done()):
            self._tested_at = now
            self._test = asyncio.create_task(self._test_writing(now), name="test of writing")

    async def end(self) -> None:
        """Test no more."""
        if self._test is not None:
            await cancellation.end([self._test])

    async def _test_writing(self, now: float) -> None:
        folder = self._services.folder
        with suppress(StorageError):
            await self._services.writes(self._services.ledger.database.try_lock)
        if folder.write_problem is not None or now - self._written_at >= WRITE_EVERY_S:
            self._written_at = now
            await asyncio.to_thread(folder.recheck_writing)

    async def _database_problem(self) -> JobProblem | None:
        """Check whether an external database is reachable; log when it goes away and comes back."""
        ledger, now = self._services.ledger, time.monotonic()
        is_fresh = now - self._asked_at < LOOK_EVERY_S / 2 and ledger.problem is None and not self._is_away
        if not ledger.database.can_be_away or is_fresh:
            return None
        self._asked_at = now
        try:
            await self._services.reads(ledger.try_again)
        except StorageError as error:
            if not self._is_away:
                log.trouble("ledger.away", code=error.code)
            self._is_away = True
            return JobProblem.of(error)
        if self._is_away:
            log.event("ledger.back")
        self._is_away = False
        return None

    def _log_change(self) -> None:
        if not self._missing_files:
            log.event("folder.put_back")
            return
        log.trouble("folder.replaced", files=sorted(self._missing_files))
        for job in self._under_way():
            if job.status is not JobStatus.QUEUED:
                # If no ledger survives, the owner can still find the request by this line.
                log.trouble("job.at_risk", job=job.id, status=job.status.value, request_id=job.request_id)

    async def _save(self) -> None:
        ledger, changes = self._services.ledger, self._services.ledger.changes
        if changes == self._saved:
            return
        try:
            if FILE_NAME in self._missing_files:
                copy = await self._services.writes(ledger.database.back_up, self._services.folder.path)
                if self._copy is not None:
                    # Copies of one incident must not displace all other backups.
                    with suppress(OSError):
                        self._copy.unlink(missing_ok=True)
                self._copy = copy
            else:
                await self._services.writes(ledger.database.empty_log)
        except StorageError as error:
            log.trouble("ledger.not_saved", code=error.code)
        else:
            self._saved = changes
            log.event("ledger.saved")
