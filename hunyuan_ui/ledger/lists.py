"""Lists of jobs: which rows they show."""

from __future__ import annotations

from typing import Any, Final

from hunyuan_ui.job import JobStatus
from hunyuan_ui.request import clean_text

_SEARCH_AT_MOST: Final = 200  # characters


def condition(visitor: str | None, statuses: frozenset[JobStatus] | None, search: str) -> tuple[str, list[Any]]:
    """Return what comes after the table's name, and its values.

    Args:
        visitor: Whose; None for everybody's.
        statuses: Which; None for all.
        search: Words that must all stand in the prompt.
    """
    where, values = ["deleted_at IS NULL"], list[Any]()
    if visitor is not None:
        where.append("visitor = ?")
        values.append(visitor)
    if statuses is not None:
        where.append(f"status IN ({', '.join('?' * len(statuses))})")
        values.extend(status.value for status in statuses)
    for word in clean_text(search)[:_SEARCH_AT_MOST].split():
        where.append(r"prompt LIKE ? ESCAPE '\'")
        escaped = word.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
        values.append(f"%{escaped}%")
    return f"WHERE {' AND '.join(where)}", values
