"""Invariants after every fault, checked against the service's own bill and the disk."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Container, Iterable
from contextlib import suppress
from functools import partial
from hashlib import sha256
from pathlib import Path

from hunyuan_ui.job import MICRO, Job, JobStatus
from hunyuan_ui.ledger import Ledger
from hunyuan_ui.words import words
from tests import stored_jobs as stored_jobs_of
from tests.faults.rig import KEY
from tests.faults.service import PaidService, pictures, video_of

CHARGED = {JobStatus.RUNNING, JobStatus.DOWNLOADING, JobStatus.DONE, JobStatus.UNKNOWN, JobStatus.LOST}
IN_DOUBT = {JobStatus.UNKNOWN, JobStatus.LOST}


def stored_jobs(folder: Path) -> list[Job]:
    """Return every row of a ledger, read concurrently with its owner."""
    ledger = Ledger(stored_jobs_of.database_in(folder, can_write=False))
    jobs = ledger.jobs(None, limit=100_000)
    ledger.close()
    return jobs


def check(
    folder: Path,
    service: PaidService,
    *logs: str,
    at_rest: bool = True,
    beside: Container[str] = (),
    kept: Callable[[Job], bytes] | None = None,
) -> list[Job]:
    """Assert every invariant and return the jobs.

    Args:
        folder: The data folder.
        service: The one with the bill.
        logs: All output of the program.
        at_rest: Everything has ended, so that nothing may be in flight any more.
        beside: Prompts that the ledger need not have.
        kept: Returns the content of a finished job's video if that is not in the data folder.
    """
    # The bill first: charges after it was read only add to the ledger.
    billed = service.billed()
    jobs = stored_jobs(folder)
    assert max(billed.values(), default=0) <= 1, "somebody pays twice"
    billed = Counter(prompt for prompt in billed if prompt not in beside)
    _check_bill(jobs, billed, round(service.cost_usd * MICRO), at_rest=at_rest)
    for job in jobs:
        _check_job(job, folder, kept)
    if at_rest:
        assert not [job.id for job in jobs if job.is_active]
        assert not [path.name for path in (folder / "videos").iterdir() if ".part" in path.name]
    check_secrets(folder, jobs, logs)
    return jobs


def _check_bill(jobs: list[Job], billed: Counter[str], price_microusd: int, *, at_rest: bool) -> None:
    by_prompt = {job.request.prompt: job for job in jobs}
    assert set(billed) <= set(by_prompt), "charged for a job that is not in the ledger"
    for prompt in billed:
        allowed = CHARGED if at_rest else CHARGED | {JobStatus.SUBMITTING}
        assert by_prompt[prompt].status in allowed, f"charged, but {by_prompt[prompt].status.value}"
    counted = sum(job.counted_microusd for job in jobs)
    assert sum(billed.values()) * price_microusd <= counted


def _in_folder(folder: Path, job: Job) -> bytes:
    return (folder / "videos" / f"{job.id}.mp4").read_bytes()


def _check_job(job: Job, folder: Path, kept: Callable[[Job], bytes] | None) -> None:
    if job.status in IN_DOUBT | {JobStatus.FAILED}:
        assert job.problem is not None
        assert not re.search(r"\{\w+\}", words().sentence(job.problem))
    if job.status is JobStatus.DONE:
        content = (kept or partial(_in_folder, folder))(job)
        assert sha256(content).hexdigest() == job.sha256
        assert pictures(content) == pictures(video_of(job.request.prompt))
        assert job.problem is None


def check_secrets(folder: Path, jobs: Iterable[Job], logs: Iterable[str]) -> None:
    """Assert that the key is in no file and no log line, and no prompt in a log line."""
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # a running program moves its files meanwhile
            assert not path.is_file() or KEY.encode() not in path.read_bytes(), path.name
    for text in logs:
        assert KEY not in text
        assert not [job.id for job in jobs if job.request.prompt in text]
