"""The account's history about a single request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hunyuan_ui.endpoint.contract import HistoryRow
from hunyuan_ui.endpoint.history import (
    history_row,
)
from hunyuan_ui.endpoint.responses import Answer
from hunyuan_ui.errors import (
    AuthenticationError,
    HunyuanUIError,
    RateLimitError,
    UnexpectedResponseError,
)
from tests.endpoint.one_row import ID, ROW, URL

FOUND = HistoryRow(URL, 1.46, "COMPLETED")


def row_in(body: object, status: int = 200) -> HistoryRow | None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return history_row(Answer(status, {}, data), ID)


BARE = {key: value for key, value in ROW.items() if key != "request_id"}


@pytest.mark.parametrize(
    "body",
    [
        {"data": {**BARE, "requestId": "0" * 32}},
        {"data": [{**BARE, "request_id": 7}]},
        {"data": [BARE, {**BARE, "generation_url": "https://x.test/other.mp4"}]},
        {"data": [{**BARE, "id": "0" * 32}, {**BARE, "_id": "1" * 32}]},
        {"data": {**BARE, "model_name": "flux-1"}},
    ],
)
def test_a_row_of_another_request_is_none_of_this_one(body: Any) -> None:
    assert row_in(body) is None


@pytest.mark.parametrize("name", ["request_id", "requestId", "id", "_id"])
def test_of_several_rows_the_one_that_is_called_so_is_taken(name: str) -> None:
    other = {**BARE, "generation_url": "https://x.test/other.mp4"}
    assert row_in({"data": [{**other, name: "0" * 32}, {**BARE, name: ID}, other]}) == FOUND


@pytest.mark.parametrize(
    "body",
    [
        ROW,
        [ROW],
        {"data": ROW},
        {"result": ROW},
        {"request": ROW},
        {"row": ROW},
        {"rows": [ROW]},
        {"items": [ROW]},
        {"status": "success", "data": {"page": 1, "items": [ROW]}},
        {"data": [{**ROW, "request_id": "0" * 32, "generation_url": "https://x.test/other.mp4"}, ROW]},
        {"data": [{**ROW, "generation_url": None}, ROW]},
        {"data": {**ROW, "request_id": ID.replace("-", "")}},
        {key: value for key, value in ROW.items() if key != "request_id"},
    ],
)
def test_the_row_is_found_in_any_envelope(body: Any) -> None:
    assert row_in(body) == FOUND


@pytest.mark.parametrize(("depth", "is_found"), [(5, True), (6, False)])
def test_a_row_is_looked_for_so_deep_and_no_deeper(depth: int, is_found: bool) -> None:
    body: Any = ROW
    for _ in range(depth):
        body = {"data": body}
    assert (row_in(body) == FOUND) is is_found


def test_the_hand_made_page_is_read() -> None:
    assert row_in((Path(__file__).parents[1] / "responses" / "history_row_in_page.json").read_bytes()) == FOUND


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"request_id": ID, "model_status": "PENDING"}, HistoryRow(None, None, "PENDING")),
        ({"request_id": ID, "status": "FAILED", "credits_deduction": 0}, HistoryRow(None, 0.0, "FAILED")),
        ({"request_id": ID, "status": "FAILED", "total_cost": 1.46}, HistoryRow(None, 1.46, "FAILED")),
        ({"request_id": ID, "output": [URL]}, HistoryRow(URL, None, None)),
        ({"request_id": ID, "generation_url": [URL, "https://x.test/2"]}, HistoryRow(URL, None, None)),
        ({"request_id": ID, "generation_url": "x", "credits_deduction": "1.46"}, HistoryRow(None, 1.46, None)),
    ],
)
def test_what_a_row_lacks_is_none(row: Any, found: HistoryRow) -> None:
    assert row_in(row) == found


@pytest.mark.parametrize(
    "body", [[], {}, {"data": []}, {"data": None}, {"request_id": ID}, {**ROW, "request_id": "0" * 32}, "text", 7]
)
def test_no_row_is_none(body: object) -> None:
    assert row_in(body) is None


@pytest.mark.parametrize(
    "body",
    [
        {"error": "Request not found"},
        {"success": False, "message": "The request does not exist"},
        {"status": "error", "statusCode": 404, "message": "Not Found", "data": None},
        {"success": False, "data": None},
    ],
)
def test_an_error_that_says_that_there_is_no_row_is_none(body: object) -> None:
    assert row_in(body) is None


@pytest.mark.parametrize(
    "body",
    [
        {"success": False, "error": "database timeout"},
        {"status": "error", "message": "try again later", "data": []},
        {"statusCode": 503, "message": "Service Unavailable"},
        {"data": None, "errors": [{"code": 7}], "detail": "upstream failed"},
    ],
)
def test_an_error_in_a_success_is_an_error(body: object) -> None:
    with pytest.raises(UnexpectedResponseError):
        row_in(body)
    assert row_in({**ROW, "error": "the thumbnail failed"}) == FOUND


def test_404_is_none() -> None:
    assert row_in({"error": "not found"}, 404) is None


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, b"", UnexpectedResponseError),
        (200, b"<html>", UnexpectedResponseError),
        (404, b"<html>", UnexpectedResponseError),
        (500, {"error": "x"}, UnexpectedResponseError),
        (401, {"error": "x"}, AuthenticationError),
        (429, {"error": "x"}, RateLimitError),
    ],
)
def test_anything_else_is_an_error(status: int, body: object, kind: type[HunyuanUIError]) -> None:
    with pytest.raises(kind):
        row_in(body, status)


def test_a_deep_or_wide_answer_is_looked_through_in_bounds() -> None:
    deep: Any = ROW
    for _ in range(50):
        deep = {"data": deep}
    assert row_in(deep) is None
    assert row_in({"rows": [{"request_id": "0" * 32}] * 10_000 + [ROW]}) == FOUND
