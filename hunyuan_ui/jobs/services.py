"""Means: all that a job's journey works with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from hunyuan_ui.endpoint.segmind import EndpointClient
from hunyuan_ui.files import DataFolder
from hunyuan_ui.job import Job
from hunyuan_ui.jobs.estimates import Estimates
from hunyuan_ui.jobs.ledger_thread import LedgerThread
from hunyuan_ui.jobs.polling import Pace
from hunyuan_ui.jobs.visitor_keys import KeyRing
from hunyuan_ui.ledger import Ledger
from hunyuan_ui.library.library import VideoLibrary


@dataclass(frozen=True, slots=True)
class Service:
    """A place where videos are made, and the way their files come from there."""

    client: EndpointClient
    fetch: Callable[[str, Path], Awaitable[object]]
    poll_interval_s: float


@dataclass(frozen=True, slots=True)
class Means:
    """All that a journey works with."""

    hosted: Service
    preview: Service | None
    ledger: Ledger
    library: VideoLibrary
    folder: DataFolder
    keys: KeyRing
    estimates: Estimates
    pace: Pace
    writes: LedgerThread  # each change of the ledger, in order
    reads: LedgerThread  # each read of it; no call of the ledger is made on the event loop

    def service_for(self, job: Job) -> Service:
        """Return where a job is made: what nobody pays for never leaves this machine, all else goes to the host."""
        if job.payer != "nobody":
            return self.hosted
        if self.preview is None:
            raise RuntimeError(f"job {job.id} is a preview, and none is offered")
        return self.preview


class NeedsKeyError(Exception):
    """The job's visitor must bring their key again; raised and caught inside the runner only."""
