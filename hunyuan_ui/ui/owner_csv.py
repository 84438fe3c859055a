"""All jobs as CSV, for the owner."""

from __future__ import annotations

import csv
import io
import time
import unicodedata
from collections.abc import Callable, Iterable
from typing import Any, Final

from hunyuan_ui.job import MICRO, Job

_FORMULA: Final = ("=", "+", "-", "@", "\N{MINUS SIGN}")  # what a spreadsheet computes, however wide it is written


def csv_of(jobs: Iterable[Job], public_id: Callable[[Job], str], *, with_prompts: bool) -> str:
    """Return jobs as CSV that no spreadsheet computes anything from.

    Args:
        jobs: In the order of the rows.
        public_id: What stands for a job there, the salted hash of its id: a real one is of use to who finds the file.
        with_prompts: Add what each visitor wrote.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    names = ["job_hash", "created_utc", "status", "payer", "cost_usd", "counted_usd", "inference_s", "request_id"]
    names += ["width", "height", "frames", "steps", "seed", "note", *(["prompt"] if with_prompts else [])]
    writer.writerow(names)
    for job in jobs:
        cost = "" if job.cost_microusd is None else job.cost_microusd / MICRO
        width, height, frames, _ = job.made
        made = [width, height, frames, job.request.infer_steps, job.request.seed]
        note = "; ".join(entry["note"] for entry in corrections_of(job) if entry["note"])
        cells = [public_id(job), utc(job.created_at), job.status.value, job.payer, cost, job.counted_microusd / MICRO]
        cells += [job.inference_s, job.request_id, *made, note, *([job.request.prompt] if with_prompts else [])]
        writer.writerow([_cell(cell) for cell in cells])
    return text.getvalue()


def corrections_of(job: Job) -> list[dict[str, Any]]:
    """Return what the owner put right of a job's cost, oldest first."""
    return job.notes.get("corrections", [])


def utc(at: float) -> str:
    """Return a time (UTC seconds) as the owner reads it."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(at))


def _cell(value: object) -> object:
    """Return a cell in which nothing is computed, whichever separator or quotes a spreadsheet takes for such."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return value
    disarmed, before = list[str](), ""
    for sign in value:
        # Whatever is neither letter nor digit may separate two cells, or be dropped in front of one.
        if not before.isalnum() and unicodedata.normalize("NFKC", sign)[:1] in _FORMULA:
            disarmed.append("'")
        disarmed.append(sign)
        before = sign
    text = "".join(disarmed)
    return f"'{text}" if text[:1].isspace() else text
