"""What a job costs, once a service has named it, or its owner (docs/architecture.md 3)."""

from __future__ import annotations

import json
from typing import Any, Final

from hunyuan_ui.estimate import is_plausible, listed_usd
from hunyuan_ui.job import MICRO, Job

NAMED: Final = "named_usd"  # key in a job's notes: the implausible cost that the service named


def expected_usd(job: Job) -> float:
    """Return what costs named for a job of the hosted service are compared with, and count as if implausible.

    The estimate, and never less than the price list's: else low costs that were believed would each make a lower one
    believable.
    """
    return max(job.estimate_microusd / MICRO, listed_usd(job.predicted_s))


def priced(job: Job, cost_usd: float | None, *, is_confirmed: bool = False) -> tuple[int | None, dict[str, Any]]:
    """Return a job's cost in micro-dollars and its notes, once a cost was named for it.

    An implausible cost counts as what was expected, is kept in the notes for the owner, and never replaces a plausible
    one. Zero is implausible too: services report it when the price is not known yet. What an engine of one's own costs
    is reckoned here from its seconds, and no service names it.

    Args:
        job: As it is stored.
        cost_usd: US dollars; None where no cost was named.
        is_confirmed: By the account's history, so that it counts however implausible it is.
    """
    if cost_usd is None or job.is_preview or job.is_at_engine:
        return (job.cost_microusd if cost_usd is None else round(cost_usd * MICRO)), job.notes
    if is_confirmed or is_plausible(cost_usd, expected_usd(job)):
        notes = {name: value for name, value in job.notes.items() if name != NAMED}
        return round(cost_usd * MICRO), notes
    if job.cost_microusd is not None and NAMED not in job.notes:
        return job.cost_microusd, job.notes
    return round(expected_usd(job) * MICRO), {**job.notes, NAMED: cost_usd}


def money(cost_microusd: int | None, notes: dict[str, Any]) -> dict[str, Any]:
    """Return the ledger's columns that hold a cost and the notes."""
    return {"cost_microusd": cost_microusd, "notes": json.dumps(notes)}
