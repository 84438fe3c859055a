"""Exports all jobs as CSV for the owner."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from hunyuan_ui.csv_text import csv_text
from hunyuan_ui.job import MICRO, Job


def csv_of(jobs: Iterable[Job], public_id: Callable[[Job], str], *, with_prompts: bool) -> str:
    """Return jobs as CSV.

    Args:
        jobs: In the order of the rows.
        public_id: Returns the salted hash of a job's id: the id itself could be misused by a finder of the file.
        with_prompts: Include the visitors' prompts.
    """
    names = ["job_hash", "created_utc", "status", "payer", "cost_usd", "counted_usd", "inference_s", "request_id"]
    names += ["width", "height", "frames", "steps", "seed", "note", *(["prompt"] if with_prompts else [])]
    rows: list[list[object]] = [[*names]]
    for job in jobs:
        width, height, frames, _ = job.made
        made = [width, height, frames, job.request.infer_steps, job.request.seed]
        note = "; ".join(entry["note"] for entry in corrections_of(job) if entry["note"])
        facts = [public_id(job), utc(job.created_at), job.status.value, job.payer, job.cost_usd]
        counted = job.counted_microusd / MICRO
        texts = [note, *([job.request.prompt] if with_prompts else [])]
        rows.append([*facts, counted, job.inference_s, job.request_id, *made, *texts])
    return csv_text(rows)


def corrections_of(job: Job) -> list[dict[str, Any]]:
    """Return the owner's corrections of a job's cost, oldest first."""
    return job.notes.get("corrections", [])


def utc(at: float) -> str:
    """Format a time (UTC seconds) for the owner."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(at))
