"""Recovery: what a start makes of everything an earlier run left behind, `kill -9` included.

Source: DESIGN 4 and the table of faults-and-security.md 4.
"""

from __future__ import annotations

import asyncio

from hunyuan_ui import log
from hunyuan_ui.errors import StorageError
from hunyuan_ui.job import Job, JobProblem, JobStatus
from hunyuan_ui.runner.journey import Means


async def recover(means: Means) -> list[Job]:
    """Bring ledger and library to one truth and return the jobs to go on with, oldest first.

    Queued goes on to be sent, running to be polled, downloading to be fetched; a POST that was under way becomes
    unknown and is never sent again; a whole file without its last commit is adopted; half-written files are removed.

    Args:
        means: Whose folder this process holds.

    Raises:
        StorageError: The ledger cannot be written.
    """
    await asyncio.to_thread(_adopt_strangers, means)
    for job in means.ledger.active():
        if job.status is JobStatus.SUBMITTING:
            means.ledger.mark_unknown(job.id, JobProblem.from_code("interrupted"))
            log.trouble("job.unknown", job=job.id, problem="interrupted")
        elif job.status is JobStatus.DOWNLOADING:
            await asyncio.to_thread(_adopt_if_whole, means, job)
    going_on = means.ledger.active()
    removed = means.library.sweep({job.id for job in going_on if job.status is JobStatus.DOWNLOADING})
    if removed:
        log.event("library.swept", files=len(removed))
    return going_on


def _adopt_if_whole(means: Means, job: Job) -> None:
    # The rename was the last step before the commit, so a whole file means that only the commit is missing.
    done = means.library.finished(job.id)
    if done is not None and done.sha256 is not None:
        means.ledger.mark_done(job.id, sha256=done.sha256, notes=done.notes)
        log.event("job.adopted", job=job.id)


def _adopt_strangers(means: Means) -> None:
    """Store videos that stand in the library and not in the ledger, as after the ledger was lost."""
    for job_id in sorted(means.library.ids() - means.ledger.ids()):
        done = means.library.finished(job_id)
        if done is None:
            log.trouble("library.not_adopted", job=job_id)
            continue
        try:
            means.ledger.adopt(done)
            log.event("job.adopted", job=job_id)
        except StorageError as error:
            log.trouble("library.not_adopted", job=job_id, code=error.code)
