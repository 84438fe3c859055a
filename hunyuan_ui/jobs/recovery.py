"""Recovery: restores a consistent state at startup after any kind of stop, `kill -9` included.

Source: docs/architecture.md 4 and the table of docs/facts/faults-and-security.md 4.
"""

from __future__ import annotations

from typing import Final

from hunyuan_ui import log
from hunyuan_ui.errors import StorageError
from hunyuan_ui.job import Job, JobProblem, JobStatus
from hunyuan_ui.jobs.services import Services
from hunyuan_ui.ledger import is_spending_elsewhere

OTHERS_ARE_DONE_S: Final = 3600.0  # age after which another process's temporary files beside a video are abandoned


def recover(services: Services) -> list[Job]:
    """Make ledger and library consistent and return the jobs to continue, oldest first; blocks.

    Queued jobs will be sent, running ones polled, downloading ones fetched. A job whose POST was under way becomes
    unknown and is never sent again; a complete file without its last commit is adopted; part files are removed.
    """
    _reconcile_library(services)
    if is_spending_elsewhere(services.folder.path, services.ledger):
        log.trouble("ledger.other")
    found = services.ledger.take_over()
    for job in found:
        if job.status is JobStatus.SUBMITTING and job.is_at_engine:
            continue  # the engine's job list may contain it, so the runner checks that first
        if job.status is JobStatus.SUBMITTING:
            services.ledger.mark_unknown(job.id, job.if_interrupted)
            log.trouble("job.unknown", job=job.id, problem=job.if_interrupted.code)
        else:
            end_preview(services, job)
    under_way = {job.id: job for job in services.ledger.active()}
    downloading = {job.id for job in under_way.values() if job.status is JobStatus.DOWNLOADING}
    removed = services.library.sweep(downloading, OTHERS_ARE_DONE_S if services.ledger.is_shared else 0.0)
    if removed:
        log.event("library.swept", files=len(removed))
    return [under_way[job.id] for job in found if job.id in under_way]


def end_preview(services: Services, job: Job) -> bool:
    """End a preview if this run has no local endpoint for it; return False for every other job."""
    if not job.is_preview or services.preview is not None:
        return False
    is_made = job.status is JobStatus.DOWNLOADING
    end = services.ledger.mark_lost if is_made else services.ledger.mark_failed
    end(job.id, JobProblem.from_code("preview_gone"))
    return True


def _reconcile_library(services: Services) -> None:
    """Adopt library videos that are not done in the ledger, and delete those that the ledger has as deleted.

    The MP4 is renamed just before the last commit, so a complete file with its sidecar means that only the commit is
    missing, or that the ledger was lost or restored from an older backup.
    """
    for job_id in services.library.left_of(services.ledger.ids("deleted")):
        services.delete_files(job_id)
    # The order matters: a job that another process finishes meanwhile is then among the done ones.
    found = services.library.ids() - services.ledger.elsewhere()
    for job_id in sorted(found - services.ledger.ids("done") - services.ledger.ids("deleted")):
        try:
            done = services.library.finished(job_id)
            is_adopted = done is not None and services.ledger.adopt(done)
        except (StorageError, OSError):  # a full disk, or a file that only another user may read
            is_adopted = False
        if is_adopted:
            log.event("job.adopted", job=job_id)
        else:
            log.trouble("library.not_adopted", job=job_id)
