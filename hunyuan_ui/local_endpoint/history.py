"""Filters and pages the caller's requests for the history list (docs/facts/segmind-api.md 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date, datetime, timedelta, timezone
from typing import Any, Final

from hunyuan_ui.endpoint import contract
from hunyuan_ui.local_endpoint.auth import Refusal
from hunyuan_ui.local_endpoint.jobs import RemoteJob

Rows = list[dict[str, Any]]
Envelope = Callable[[Rows, dict[str, int]], object]  # from a page's rows, and its page, per_page and total

MOST_A_PAGE: Final = 100
_USUAL_A_PAGE: Final = 20
_USUAL_SPAN: Final = timedelta(days=7)
_LONGEST_SPAN: Final = timedelta(days=31)
_SORTED_BY: Final[dict[str, Callable[[RemoteJob], Any]]] = {
    "model_created": lambda job: job.submitted_at,
    "model_name": lambda _: contract.MODEL,
    "credits_deduction": lambda job: job.cost or 0.0,
}


def in_data(rows: Rows, about: dict[str, int]) -> object:
    """Return the default envelope; the field names of the real one are undocumented."""
    return {"data": rows, **about}


def status_of(job: RemoteJob) -> str:
    """Return the history's status word for a job."""
    return job.state.value if job.ended_at is not None else "PENDING"


def page_of(jobs: list[RemoteJob], asked: Mapping[str, str]) -> tuple[list[RemoteJob], dict[str, int]]:
    """Return the jobs on a page of the list, its number, and the number of jobs on all pages.

    Args:
        jobs: All of the caller's, newest first.
        asked: The query's values; both days are inclusive, in UTC.

    Raises:
        Refusal: 400, naming the invalid value.
    """
    last = _day(asked, "to_date", datetime.now(timezone.utc).date())
    first = _day(asked, "from_date", max(last, date.min + _USUAL_SPAN) - _USUAL_SPAN)
    if not timedelta(0) <= last - first <= _LONGEST_SPAN:
        raise Refusal(400, "from_date and to_date must be in order and at most 31 days apart")
    page, per_page = _whole(asked, "page", 1, 1_000_000), _whole(asked, "per_page", _USUAL_A_PAGE, MOST_A_PAGE)
    status = _one_of(asked, "status", ("COMPLETED", "FAILED", "PENDING"))
    sort_by = _one_of(asked, "sort_by", tuple(_SORTED_BY)) or "model_created"
    is_ascending = _one_of(asked, "sort_order", ("asc", "desc")) == "asc"
    is_ours = asked.get("model_name", "").lower() in contract.MODEL

    def fits(job: RemoteJob) -> bool:
        day = datetime.fromtimestamp(job.submitted_at, timezone.utc).date()
        return is_ours and first <= day <= last and status in (None, status_of(job))

    found = sorted(filter(fits, jobs), key=_SORTED_BY[sort_by], reverse=not is_ascending)
    shown = found[(page - 1) * per_page : page * per_page]
    return shown, {"page": page, "per_page": per_page, "total": len(found)}


def _whole(asked: Mapping[str, str], name: str, usual: int, most: int) -> int:
    text = asked.get(name, str(min(usual, most)))
    if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= most):
        raise Refusal(400, f"{name} must be a whole number from 1 to {most}")
    return int(text)


def _day(asked: Mapping[str, str], name: str, usual: date) -> date:
    text = asked.get(name)
    if text is None:
        return usual
    with suppress(ValueError):
        if len(text) == len("YYYY-MM-DD"):
            return date.fromisoformat(text)
    raise Refusal(400, f"{name} must be a day as YYYY-MM-DD")


def _one_of(asked: Mapping[str, str], name: str, known: tuple[str, ...]) -> str | None:
    text = asked.get(name)
    if text is not None and text not in known:
        raise Refusal(400, f"{name} must be one of {', '.join(known)}")
    return text
