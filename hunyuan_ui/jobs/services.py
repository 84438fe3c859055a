"""Services: the dependencies of the jobs of one data folder, built once from the settings."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from hunyuan_ui import log
from hunyuan_ui.data_folder import DataFolder
from hunyuan_ui.endpoint.contract import FILE_LIFE_S, HISTORY
from hunyuan_ui.endpoint.download import fetch
from hunyuan_ui.endpoint.http import ASGIApp, InProcessTransport
from hunyuan_ui.endpoint.segmind import EndpointClient
from hunyuan_ui.errors import AccessError, AuthenticationError, StorageError
from hunyuan_ui.job import DAY_S, Job, JobProblem, is_id, new_id
from hunyuan_ui.jobs.calibrated_estimates import CalibratedEstimates
from hunyuan_ui.jobs.ledger_thread import LedgerThread
from hunyuan_ui.jobs.visitor_keys import KeyRing
from hunyuan_ui.jobs.wait_times import AwayServices, QueuePause
from hunyuan_ui.ledger import (
    DATABASE_URL,
    FILE_NAME,
    LINKS,
    LOG_NAME,
    Ledger,
    Opened,
    ReplicaInfo,
    confirm_review,
    needs_review,
    open_ledger,
    open_shared,
    was_moved,
)
from hunyuan_ui.library import open_library
from hunyuan_ui.library.exports import Exports
from hunyuan_ui.library.library import VideoLibrary
from hunyuan_ui.limits import SpendLimits, Totals
from hunyuan_ui.notifications import Notifications
from hunyuan_ui.settings import Secret, Settings
from hunyuan_ui.signed_links import SignedLinks

if TYPE_CHECKING:  # imported only if an engine is set
    from hunyuan_ui.endpoint.openai_videos import EngineClient

PREVIEW_URL: Final = "http://local-preview.invalid"  # the local endpoint in this process; no network resolves it
PREVIEW_POLL_S: Final = 0.5  # a preview takes seconds, and polling this machine costs nothing
KEY: Final = "key"  # in a sent job's notes: the mark of the key that it was sent with
_MARK_DIGITS: Final = 16
_VIEWABLE: Final = ("disk_read_only", "disk_full", "ledger_busy", "ledger_newer")  # the jobs can still be shown


_Client = TypeVar("_Client", EndpointClient, "EngineClient")


@dataclass(frozen=True, slots=True)
class Service(Generic[_Client]):
    """A video service: its client, the download of its files, and the longest wait between polls.

    `usd_per_hour` is the price of a self-hosted engine; None where the service names a price.
    """

    client: _Client
    fetch: Callable[[str, Path], Awaitable[object]]
    poll_interval_s: float
    usd_per_hour: float | None = None


@dataclass(frozen=True, slots=True)
class Services:
    """All dependencies of a job. The ledger is called through `writes` and `reads`, never on the event loop."""

    hosted: Service[EndpointClient]
    preview: Service[EndpointClient] | None
    engine: Service[EngineClient] | None
    ledger: Ledger
    library: VideoLibrary
    exports: Exports
    folder: DataFolder
    keys: KeyRing
    estimates: CalibratedEstimates
    reads: LedgerThread
    links: SignedLinks
    limits: SpendLimits
    writes: LedgerThread = field(default_factory=LedgerThread)
    pause: QueuePause = field(default_factory=QueuePause)
    away: AwayServices = field(default_factory=AwayServices)
    notifications: Notifications = field(default_factory=Notifications)

    def check_sending(self, job: Job, totals: Totals) -> int:
        """Return the reservation of a queued job at sending; errors as `SpendLimits.check_sending`."""
        most_usd = self.estimates.estimate(job.request, job.payer).high_usd
        return self.limits.check_sending(job, totals, most_usd)

    def service_for(self, job: Job) -> Service[EndpointClient] | Service[EngineClient]:
        """Return the service for a job: the preview if nobody pays, the engine it was sent to, else the hosted one."""
        if job.is_at_engine:
            return self.needed_engine
        if not job.is_preview:
            return self.hosted
        if self.preview is None:
            raise RuntimeError(f"job {job.id} is a preview, and none is offered")
        return self.preview

    @property
    def needed_engine(self) -> Service[EngineClient]:
        """The owner's engine, for a job that belongs to it.

        Raises:
            NeedsKeyError: None is set.
        """
        if self.engine is None:
            raise NeedsKeyError
        return self.engine

    def key_mark(self, key: str) -> str:
        """Return a truncated digest by which keys are compared; it does not reveal the key."""
        return self.links.hidden(f"key/{key}")[:_MARK_DIGITS]

    def key_note(self, job: Job) -> dict[str, str]:
        """Return the note of the key in use, under which the service knows a job, unless the job has one."""
        key = self.keys.for_job(job)
        return {} if key is None or KEY in job.notes else {KEY: self.key_mark(key)}

    def change_refused_key(self, job: Job, error: Exception) -> None:
        """Have a job use the key that its visitor entered last if an error is the refusal of the one in use."""
        if isinstance(error, AuthenticationError):
            self.keys.use_latest(job)

    def may_need_its_key(self, job: Job) -> bool:
        """Whether a job is not known to have been sent with the key in use, and its file may still exist."""
        key = self.keys.for_job(job)
        is_its_key = job.is_at_engine or job.is_preview or key is None or self.key_mark(key) == job.notes.get(KEY)
        return not is_its_key and self.ledger.now() - job.began_at <= FILE_LIFE_S

    def require_its_key(self, job: Job) -> None:
        """Have a job wait for the key that it was sent with, because the service does not know it under another one.

        Raises:
            NeedsKeyError: It may need that key.
        """
        if not self.may_need_its_key(job):
            return
        self.keys.forget_job(job.id)  # so that a key that the visitor enters now is tried next
        raise NeedsKeyError(JobProblem.from_code("key_other" if job.payer == "visitor" else "owner_key_other"))

    async def stored(self, job_id: str) -> Job:
        """Return a job as the ledger has it.

        Raises:
            AccessError: There is none, or it was deleted.
        """
        job = await self.reads(self.ledger.get, job_id) if is_id(job_id) else None
        if job is None:
            raise AccessError("not_yours")
        return job

    async def restore_rows(self, *jobs: Job) -> set[str]:
        """Store sent jobs of this process again that the database has lost; return their ids."""
        found = await self.writes(self.ledger.restore_rows, jobs)
        for job_id in found:
            log.trouble("job.put_back", job=job_id)
        return found

    async def read_again(self, job: Job) -> Job | None:
        """Return a job of this process as stored, restored first if the database has lost it; None if there is no row.

        Raises:
            StorageError: The ledger cannot be read or written.
            TakenOverError: Another process has taken it over.
        """
        await self.restore_rows(job)  # a search for lost jobs may already have done this
        return await self.writes(self.ledger.own, job.id)

    def finish(self, job: Job) -> Job | None:
        """Store a job's download as `VideoLibrary.finish` does; blocks, and a stop may not wait for it to the end."""
        with self.folder.in_use():
            return self.library.finish(job)

    def delete_files(self, job_id: str) -> bool:
        """Remove a deleted job's files; blocks. Return False if that failed: every start tries again."""
        try:
            self.library.delete(job_id)
        except OSError as error:
            log.trouble("library.not_deleted", job=job_id, kind=type(error).__name__)
            return False
        return True

    @property
    def needs_review(self) -> bool:
        """Whether past spending is uncertain here or at another process, so that the owner must confirm the budget."""
        shared = self.ledger.review
        # What keeps this process itself from the database is told in its own words.
        is_asked = shared is not None and shared.is_wanted and self.ledger.problem is None
        return is_asked or needs_review(self.folder.path)

    async def confirm_review(self) -> None:
        """Record for all processes that the owner lets spending continue."""
        if (shared := self.ledger.review) is not None:
            await self.reads(shared.confirm)
        confirm_review(self.folder.path)

    @property
    def notice(self) -> JobProblem | None:
        """What the owner should fix although jobs continue."""
        if ahead_s := self.ledger.ahead_s:
            return JobProblem.from_code("clock_ahead", days=round(ahead_s / DAY_S))
        refusal = self.library.problem
        return None if refusal is None else JobProblem.of(refusal)

    async def close(self) -> None:
        """Finish the submitted ledger calls, then close clients, ledger and folder."""
        for service in (self.hosted, self.preview, self.engine):
            if service is not None:
                await service.client.aclose()
        await asyncio.to_thread(self._release)
        await asyncio.to_thread(self.notifications.close)

    def _release(self) -> None:
        self.writes.close()
        self.reads.close()
        self.ledger.close()
        self.library.close()
        self.folder.close()


class NeedsKeyError(Exception):
    """The job needs a key or an engine that is not here; raised and caught inside the runner only.

    Args:
        problem: Why the key that is here is not the one; None if there is none.
    """

    def __init__(self, problem: JobProblem | None = None) -> None:
        super().__init__()
        self.problem = problem


def build_services(
    settings: Settings,
    *,
    client: EndpointClient | None = None,
    engine: EngineClient | None = None,
    download: Callable[[str, Path], Awaitable[object]] | None = None,
    folder: DataFolder | None = None,
    now: Callable[[], float] | None = None,
) -> Services:
    """Open the data folder and its ledger; blocks, so call it in a thread if an event loop is running.

    A folder that another process holds or that cannot be written is opened read-only; its `problem` says why.

    Args:
        client: Replaces the clients of both services, as the other arguments replace what they name, for tests.
        now: UTC seconds; by default the machine's clock, and the server's for a ledger in a database.

    Raises:
        SettingsError: The database or the bucket cannot be used, or a notification address is invalid.
        StorageError: The ledger exists and cannot be opened, not even for reading.
    """
    notifications = Notifications(settings.notify.reveal() if settings.notify else "")
    folder = folder or DataFolder(settings.data_dir, is_shared=settings.database_url is not None)
    library, ledger = _open(settings, folder, now)
    reads = LedgerThread("ledger reads")

    def service(
        base_url: str, history_url: str, poll_interval_s: float, app: ASGIApp | None = None
    ) -> Service[EndpointClient]:
        transport = None if app is None else InProcessTransport(app)
        proxies = settings.proxies
        default = partial(fetch, own_origin=base_url, check=library.check, transport=transport, proxies=proxies)
        calls = client or EndpointClient(base_url, history_url, transport=transport, proxies=proxies)
        return Service(calls, download or default, poll_interval_s)

    hosted = service(settings.base_url, settings.history_url, settings.poll_interval_s)
    preview = hosted if client is not None and settings.offers_preview else None
    if settings.offers_preview and preview is None:
        interval_s = min(settings.poll_interval_s, PREVIEW_POLL_S)
        preview = service(PREVIEW_URL, PREVIEW_URL + HISTORY, interval_s, _local_endpoint())
    usd_per_hour = None if settings.engine_url is None else settings.engine_usd_per_hour or 0.0
    return Services(
        hosted=hosted,
        preview=preview,
        engine=_engine(settings, engine, library),
        ledger=ledger,
        library=library,
        exports=Exports(folder.path / "exports"),
        folder=folder,
        keys=KeyRing(settings.api_key, engine=_engine_key(settings)),
        estimates=CalibratedEstimates(ledger, reads, usd_per_hour),
        reads=reads,
        limits=SpendLimits(settings),
        links=SignedLinks(folder.path, partial(ledger.secret, LINKS) if ledger.is_shared else None),
        notifications=notifications,
    )


def _local_endpoint() -> ASGIApp:
    """Return the local endpoint, imported at its first request: a command that pays needs neither it nor FastAPI."""

    @cache
    def created() -> ASGIApp:
        from hunyuan_ui.local_endpoint.app import create_app

        return create_app(is_free=True)

    async def call(scope: Any, receive: Any, send: Any) -> None:
        await created()(scope, receive, send)

    return call


def _engine(settings: Settings, client: EngineClient | None, library: VideoLibrary) -> Service[EngineClient] | None:
    if settings.engine_url is None:
        return None
    from hunyuan_ui.endpoint.openai_videos import EngineClient

    client = client or EngineClient(settings.engine_url, model=settings.engine_model, proxies=settings.proxies)
    key = _engine_key(settings)
    fetch_video = partial(client.fetch, key=key.reveal() if key else "", check=library.check)
    return Service(client, fetch_video, settings.poll_interval_s, settings.engine_usd_per_hour or 0.0)


def _engine_key(settings: Settings) -> Secret | None:
    """Return the engine's key, empty if it needs none; None without an engine."""
    return None if settings.engine_url is None else settings.engine_key or Secret("")


def _open(settings: Settings, folder: DataFolder, now: Callable[[], float] | None) -> tuple[VideoLibrary, Ledger]:
    """Open library and ledger, and prepare the library for videos that the ledger does not know."""
    with ExitStack() as opened:
        opened.callback(folder.close)
        url = settings.database_url
        process = "" if url is None else new_id()
        library = open_library(folder.path, settings.videos_url, process)
        opened.callback(library.close)
        ledger = _open_file(folder, now or time.time) if url is None else _open_server(process, settings, folder, now)
        opened.callback(ledger.close)
        library.prepare(ledger.ids)
        folder.require_videos_folder(library.folder)
        opened.pop_all()  # success: keep everything open
    return library, ledger


def _open_server(process: str, settings: Settings, folder: DataFolder, now: Callable[[], float] | None) -> Ledger:
    url = settings.database_url.reveal() if settings.database_url else ""
    sends_to_hosted = settings.engine_url is None and (settings.api_key is not None or settings.is_public)
    replica = ReplicaInfo(
        process,
        name=f"{socket.gethostname()}:{settings.server_port or ''}".rstrip(":"),
        slots=settings.concurrency,
        one_each=settings.is_public,
        hosted=_digest(settings.base_url if sends_to_hosted else None),
        engine=_digest(settings.engine_url),
    )
    ledger = open_shared(url, replica, now=now)
    if (refusal := folder.problem) is not None:
        ledger.refuse(refusal)
    elif ledger.mark_unknown_if_older(folder.path):
        log.trouble("ledger.older")
    if (folder.path / FILE_NAME).exists() and not was_moved(folder.path):
        log.trouble("ledger.file_not_used", file=FILE_NAME, because=DATABASE_URL)
    return ledger


def _digest(address: str | None) -> str | None:
    return None if address is None else sha256(address.encode()).hexdigest()


def _open_file(folder: DataFolder, now: Callable[[], float]) -> Ledger:
    if folder.can_write and was_moved(folder.path):
        folder.refuse(StorageError("ledger_moved"))
    try:
        opened = open_ledger(folder.path, can_write=folder.can_write)
    except StorageError as error:
        if error.code not in _VIEWABLE:
            raise
        opened = _open_once_more(folder, error)
    if opened.set_aside is not None:
        log.trouble("ledger.set_aside", file=opened.set_aside.name)
    if opened.is_older:
        log.trouble("ledger.older")
    folder.watch(FILE_NAME, never_shrinks=True)
    folder.watch(LOG_NAME)
    return Ledger(opened.database, now=now)


def _open_once_more(folder: DataFolder, error: StorageError) -> Opened:
    folder.drop_ballast()
    try:
        return open_ledger(folder.path)
    except StorageError:
        folder.refuse(error)
        return open_ledger(folder.path, can_write=False)
