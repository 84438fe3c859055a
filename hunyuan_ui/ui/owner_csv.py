"""Exports all jobs as CSV for the owner."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterable
from typing import Any

from hunyuan_ui.csv_text import cell_of
from hunyuan_ui.job import MICRO, Job


def csv_of(jobs: Iterable[Job], public_id: Callable[[Job], str], *, with_prompts: bool) -> str:
    """Return jobs as CSV without cells that a spreadsheet would evaluate.

    Args:
        jobs: In the order of the rows.
        public_id: Returns the salted hash of a job's id: the id itself could be misused by a finder of the file.
        with_prompts: Include the visitors' prompts.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    names = ["job_hash", "created_utc", "status", "payer", "cost_usd", "counted_usd", "inference_s", "request_id"]
    names += ["width", "height", "frames", "steps", "seed", "note", *(["prompt"] if with_prompts else [])]
    writer.writerow(names)
    for job in jobs:
        cost = "" if job.cost_usd is None else job.cost_usd
        width, height, frames, _ = job.made
        made = [width, height, frames, job.request.infer_steps, job.request.seed]
        note = "; ".join(entry["note"] for entry in corrections_of(job) if entry["note"])
        cells = [public_id(job), utc(job.created_at), job.status.value, job.payer, cost, job.counted_microusd / MICRO]
        cells += [job.inference_s, job.request_id, *made, note, *([job.request.prompt] if with_prompts else [])]
        writer.writerow([cell_of(value) for value in cells])
    return text.getvalue()


def corrections_of(job: Job) -> list[dict[str, Any]]:
    """Return the owner's corrections of a job's cost, oldest first."""
    return job.notes.get("corrections", [])


def utc(at: float) -> str:
    """Format a time (UTC seconds) for the owner."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(at))
