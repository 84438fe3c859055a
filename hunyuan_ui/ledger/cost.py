"""Cost of a job, once a service or its owner has named it (docs/architecture.md 3)."""

from __future__ import annotations

import json
from typing import Any, Final

from hunyuan_ui.estimate import is_plausible, listed_usd
from hunyuan_ui.job import MICRO, Job

CHARGED: Final = "is_charged"  # key in a job's notes: it was completed or lost, so that no failure gives money back
PARTIAL: Final = "is_partial"  # key in a job's notes: its cost is the one named while it was being made
NAMED: Final = "named_usd"  # key in a job's notes: the implausible cost that the service named


def expected_usd(job: Job) -> float:
    """Return the price that a named cost is compared with, and that replaces an implausible one.

    The estimate, but at least the list price: otherwise each accepted low cost would lower the estimate and make an
    even lower one plausible.
    """
    return max(job.estimate_microusd / MICRO, listed_usd(job.predicted_s))


def priced(job: Job, cost_usd: float | None, *, is_confirmed: bool = False) -> tuple[int | None, dict[str, Any]]:
    """Return a job's cost in micro-dollars and its notes, after a cost was named for it.

    An implausible cost counts as the expected one, is kept in the notes for the owner, and never replaces a plausible
    one; nor does a lower plausible one, because answers may be older than those before them. Zero is implausible too:
    services report it before the price is known. The cost on a self-hosted engine is computed here from its seconds; no
    service names it.

    Args:
        cost_usd: US dollars; None if no cost was named.
        is_confirmed: By the account's history; it then counts even if implausible.
    """
    if cost_usd is None or job.is_preview or job.is_at_engine:
        return (job.cost_microusd if cost_usd is None else round(cost_usd * MICRO)), job.notes
    known = job.cost_microusd if NAMED not in job.notes else None
    if is_confirmed or is_plausible(cost_usd, expected_usd(job)):
        notes = {name: value for name, value in job.notes.items() if name not in (NAMED, PARTIAL)}
        cost = round(cost_usd * MICRO)
        return cost if known is None or is_confirmed else max(cost, known), notes
    if known is not None and PARTIAL not in job.notes:
        return known, job.notes
    return round(expected_usd(job) * MICRO), {**job.notes, NAMED: cost_usd}


def priced_so_far(job: Job, cost_usd: float) -> tuple[int | None, dict[str, Any]]:
    """Return the same after a cost was named while the job was being made, which may be a part of its price."""
    cost, notes = priced(job, cost_usd)
    return cost, notes if NAMED in notes or job.is_preview or job.is_at_engine else {**notes, PARTIAL: True}


def priced_as_made(job: Job, cost_usd: float | None) -> tuple[int | None, dict[str, Any]]:
    """Return the same for a finished job: a cost below the expected one that was named before is not its price."""
    if cost_usd or PARTIAL not in job.notes:
        cost, notes = priced(job, cost_usd)
        return cost, {name: value for name, value in notes.items() if name != PARTIAL}
    so_far, expected = job.cost_microusd or 0, round(expected_usd(job) * MICRO)
    notes = {name: value for name, value in job.notes.items() if name != PARTIAL}
    return (so_far, notes) if so_far >= expected else (expected, {**notes, NAMED: so_far / MICRO})


def money(cost_microusd: int | None, notes: dict[str, Any]) -> dict[str, Any]:
    """Return the ledger's columns for a cost and the notes."""
    return {"cost_microusd": cost_microusd, "notes": json.dumps(notes)}
