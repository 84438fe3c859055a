"""Opening: builds a runner and all it works with from settings."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final

from hunyuan_ui import log
from hunyuan_ui.endpoint.contract import HISTORY
from hunyuan_ui.endpoint.download import fetch
from hunyuan_ui.endpoint.segmind import EndpointClient
from hunyuan_ui.errors import StorageError
from hunyuan_ui.files import DataFolder
from hunyuan_ui.jobs.estimates import Estimates
from hunyuan_ui.jobs.ledger_thread import LedgerThread
from hunyuan_ui.jobs.polling import Pace
from hunyuan_ui.jobs.runner import JobRunner
from hunyuan_ui.jobs.services import Means, Service
from hunyuan_ui.jobs.visitor_keys import KeyRing
from hunyuan_ui.ledger import FILE_NAME, LOG_NAME, Ledger, Opened, open_ledger, open_reader
from hunyuan_ui.library.library import VideoLibrary
from hunyuan_ui.settings import Settings

PREVIEW_POLL_S: Final = 0.5  # a preview takes seconds, and asking this machine costs nothing
_VIEWABLE: Final = ("disk_read_only", "disk_full", "ledger_busy", "ledger_newer")  # the jobs can still be shown


def open_runner(
    settings: Settings,
    *,
    client: EndpointClient | None = None,
    download: Callable[[str, Path], Awaitable[object]] | None = None,
    folder: DataFolder | None = None,
    now: Callable[[], float] = time.time,
) -> JobRunner:
    """Open the data folder and return a runner that is not started yet.

    A folder that another process holds or that cannot be written opens for viewing only; `limits().problem` says why.

    Args:
        settings: Of this run; with the `preview_url` of a local endpoint where a preview is offered.
        client: Another client in place of both services', for tests.
        download: Another way to fetch a result's address into a file, for tests.
        folder: Another folder, for tests.
        now: Another clock in UTC seconds, for tests.

    Raises:
        StorageError: The ledger is there and cannot be opened, even for viewing.
    """

    def service(base_url: str, history_url: str, poll_interval_s: float = settings.poll_interval_s) -> Service:
        bring = partial(fetch, own_origin=base_url, check=library.check)
        return Service(client or EndpointClient(base_url, history_url), download or bring, poll_interval_s)

    folder = folder or DataFolder(settings.data_dir)
    library = VideoLibrary(folder.path / "videos")
    ledger = _open_ledger(folder, now)
    hosted = service(settings.base_url, settings.history_url)
    preview = hosted if client is not None and settings.offers_preview else None
    if settings.preview_url and preview is None:
        often_s = min(settings.poll_interval_s, PREVIEW_POLL_S)
        preview = service(settings.preview_url, settings.preview_url + HISTORY, often_s)
    writes, reads = LedgerThread(), LedgerThread("ledger reads")
    means = Means(
        hosted=hosted,
        preview=preview,
        ledger=ledger,
        library=library,
        folder=folder,
        keys=KeyRing(settings.api_key),
        estimates=Estimates(ledger, reads),
        pace=Pace(),
        writes=writes,
        reads=reads,
    )

    async def close() -> None:
        await hosted.client.aclose()
        if preview is not None:
            await preview.client.aclose()
        await asyncio.to_thread(release)

    def release() -> None:
        writes.close()
        reads.close()
        ledger.close()
        folder.close()

    return JobRunner(settings, means, close)


def _open_ledger(folder: DataFolder, now: Callable[[], float]) -> Ledger:
    try:
        opened = open_ledger(folder.path, can_write=folder.can_write)
    except StorageError as error:
        if error.code not in _VIEWABLE:
            raise
        opened = _open_once_more(folder, error)
    if opened.set_aside is not None:
        log.trouble("ledger.set_aside", file=opened.set_aside.name)
    folder.watch(FILE_NAME, LOG_NAME)
    reader = open_reader(folder.path) if folder.can_write else None
    return Ledger(opened.connection, reader=reader, now=now)


def _open_once_more(folder: DataFolder, error: StorageError) -> Opened:
    folder.drop_ballast()
    try:
        return open_ledger(folder.path)
    except StorageError:
        folder.refuse(error)
        return open_ledger(folder.path, can_write=False)
