"""A job as the page shows it, for conditions that cannot await."""

from __future__ import annotations

from hunyuan_ui.errors import AccessError
from hunyuan_ui.job import Visitor
from hunyuan_ui.jobs import JobRunner, JobView
from hunyuan_ui.jobs.job_watch import QueueState


def seen(runner: JobRunner, job_id: str, visitor: Visitor) -> JobView:
    """Return the result of `JobRunner.view`, read in the caller's thread."""
    live = runner._dispatcher.live.get(job_id)
    job = live.job if live is not None else runner._services.ledger.get(job_id)
    if job is None or not visitor.may_see(job):
        raise AccessError("not_yours")
    queue = QueueState([entry.job.id for entry in runner._dispatcher.waiting()], {}, {})
    return runner._watch._view_of(job, queue)
