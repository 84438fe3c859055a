"""What the account's request history says of one request, whatever envelope it comes in.

Source: segmind-api.md 3.3, which leaves the envelope open: the row is looked for at every level.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from hunyuan_ui.endpoint import contract
from hunyuan_ui.endpoint.answers import Answer, detail_of, is_same, plain, raise_unless_success
from hunyuan_ui.endpoint.contract import HistoryRow
from hunyuan_ui.errors import UnexpectedResponseError


def history_row(answer: Answer, request_id: str, key: str) -> HistoryRow | None:
    """Return what the account's history knows of a request, or None.

    Raises:
        EndpointError: Refused, or not the contract.
    """
    if answer.status == 404 and not answer.is_html:
        return None
    raise_unless_success(answer, key)
    if answer.value is None:
        raise UnexpectedResponseError("bad_answer", reason=answer.problem or detail_of(answer, key))
    rows = [row for row in _rows_in(answer.value, request_id) if row.url or row.cost is not None or row.status]
    return max(rows, key=lambda row: (row.url is not None, row.cost is not None, row.status is not None), default=None)


def _rows_in(value: object, request_id: str, depth: int = 0) -> list[HistoryRow]:
    if depth > 5:
        return []
    if isinstance(value, list):
        return [row for item in cast("list[object]", value) for row in _rows_in(item, request_id, depth + 1)]
    if not isinstance(value, dict):
        return []
    fields = cast("dict[str, object]", value)
    named = fields.get("request_id")
    if isinstance(named, str) and not is_same(named, request_id):
        return []
    below = [row for item in fields.values() for row in _rows_in(item, request_id, depth + 1)]
    return [_row(fields), *below] if _is_row(fields) else below


def _is_row(fields: Mapping[str, object]) -> bool:
    return any(name in fields for name in ("request_id", "generation_url", "model_status", "credits_deduction"))


def _row(fields: Mapping[str, object]) -> HistoryRow:
    status = fields.get("model_status") or fields.get("status")
    url = contract.video_url({"output": fields.get("generation_url")}) or contract.video_url(fields)
    cost = contract.amount(fields.get("credits_deduction"))
    return HistoryRow(url, cost, plain(status)[:40] if isinstance(status, str) else None)
