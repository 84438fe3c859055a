"""SQL condition for the jobs in a list view."""

from __future__ import annotations

import re
from typing import Any, Final

from hunyuan_ui.job import JobStatus
from hunyuan_ui.request import clean_text

_SEARCH_AT_MOST: Final = 200  # characters
_ESCAPED: Final = re.compile("[!%_]")


def condition(visitor: str | None, statuses: frozenset[JobStatus] | None, search: str) -> tuple[str, list[Any]]:
    """Return the WHERE clause and its values; arguments are those of `Ledger.jobs`."""
    where, values = ["deleted_at IS NULL"], list[Any]()
    if visitor is not None:
        where.append("visitor = ?")
        values.append(visitor)
    if statuses is not None:
        where.append(f"status IN ({', '.join('?' * len(statuses))})" if statuses else "false")
        values.extend(status.value for status in statuses)
    for word in clean_text(search)[:_SEARCH_AT_MOST].split():
        where.append("prompt LIKE ? ESCAPE '!'")  # a database may treat a backslash as its own escape
        values.append("%" + _ESCAPED.sub(r"!\g<0>", word) + "%")
    return f"WHERE {' AND '.join(where)}", values
