from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime, timezone
from email.utils import formatdate
from typing import Any

import pytest

from hunyuan_ui.endpoint.contract import RemoteState
from hunyuan_ui.endpoint.history import (
    MOST_PAGES,
    UNKNOWN_PROMPT,
    PastRequest,
    PastRequests,
    list_query,
)
from hunyuan_ui.endpoint.named_cost import MOST_USD
from hunyuan_ui.endpoint.responses import Answer
from hunyuan_ui.errors import (
    EndpointError,
    UnexpectedResponseError,
    reason,
)
from hunyuan_ui.request import VideoRequest
from tests.endpoint.one_row import ID, ROW, URL


def page_of(body: object, status: int = 200, *, content_type: str = "application/json", date: str = "") -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {"content-type": content_type, "date": date}, data)


def read(*pages: Answer, now: float = 0.0) -> list[PastRequest]:
    """Return the requests parsed from these pages, and fail on a request for further ones."""
    found, waiting = PastRequests(lambda: now), list(pages)
    while found.take(waiting.pop(0)):
        pass
    assert not waiting
    return found.all()


END = page_of([])
FULL: dict[str, Any] = {
    **ROW,
    "model_name": "hunyuan-video",
    "request_body": {"prompt": "a fox", "width": 640, "seed": 7},
    "created_at": "2026-11-25T10:00:00Z",
    "latency_ms": 211_320,
    "error": None,
}
AT = 1_795_600_800.0


def listed(**changes: Any) -> PastRequest:
    (found,) = read(page_of([{**FULL, **changes}]), END)
    return found


def many(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [{**FULL, "request_id": f"request-{start + number}"} for number in range(count)]


def test_a_row_becomes_a_request() -> None:
    request = VideoRequest.parse({"prompt": "a fox", "width": 640, "seed": 7})
    assert listed() == PastRequest(ID.replace("-", ""), ID, RemoteState.COMPLETED, 1.46, URL, request, AT)


@pytest.mark.parametrize(
    "envelope",
    [
        lambda rows: rows,
        lambda rows: {"data": rows},
        lambda rows: {"results": {"items": rows}},
        lambda rows: {"request_history": rows, "pagination": {"page": 1, "total_pages": 9}},
        lambda rows: {"data": {"inference_requests": rows, "models": [{"name": "x"}], "errors": []}},
        lambda rows: {"status": "success", "request_id": "trace", "response": {"data": {"rows": rows}}},
        lambda rows: {"pending": rows[:1], "finished": rows[1:], "message": "ok", "error": None},
    ],
)
def test_the_list_is_found_in_any_envelope(envelope: Callable[[list[Any]], object]) -> None:
    found = read(page_of(envelope(many(3))), page_of({"data": [], "total": 3}))
    assert [one.request_id for one in found] == ["request-0", "request-1", "request-2"]


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"data": []},
        {"results": {"items": []}},
        {"request_history": [], "pagination": {"total": 0}},
        {"data": [], "models": [{"name": "hunyuan-video"}], "filters": []},
        {"code": 0, "data": [], "message": "Request history retrieved successfully."},
        {"statusCode": 200, "success": True, "items": [], "message": "No requests found"},
        {"status": "OK", "data": {"rows": [], "has_more": False, "next": None, "count": 0, "error": None}},
        {"data": [], "filters": {"status": "FAILED", "message": "x"}, "total_pages": 1, "errors": [], "warnings": []},
        {"status": 1, "ok": "true", "request_history": [], "next_cursor": "", "total": 0.0, "partial": False},
    ],
)
def test_an_empty_list_of_requests_says_that_there_are_none(body: object) -> None:
    assert read(page_of(body)) == []


@pytest.mark.parametrize(
    "answer",
    [
        page_of({}),
        page_of(None),
        page_of(7),
        page_of("[]"),
        page_of(b""),
        page_of(b"[{"),
        page_of(b"[" * 100_000),
        page_of({"data": None}),
        page_of({"data": {}}),
        page_of({"data": "none"}),
        page_of({"errors": [], "filters": []}),
        page_of({"data": {"data": {"data": {"data": {"data": []}}}}}),
        page_of({"error": "no", "data": []}),
        page_of({"errors": ["no"], "data": []}),
        page_of({"success": False, "data": []}),
        page_of({"status": "error", "data": []}),
        page_of({"code": 500, "data": [], "message": "Something went wrong"}),
        page_of({"statusCode": "401", "data": []}),
        page_of({"status": 500, "data": []}),
        page_of({"http_status": 503, "data": []}),
        page_of({"code": 1001, "data": []}),
        page_of({"status": "unavailable", "data": []}),
        page_of({"status": "pending", "data": []}),
        page_of({"status": False, "data": []}),
        page_of({"success": "false", "data": []}),
        page_of({"success": 0, "data": []}),
        page_of({"meta": {"isSuccess": False}, "data": []}),
        page_of({"ok": "no", "data": []}),
        page_of({"data": {"error": "db down", "rows": []}}),
        page_of({"data": [], "meta": {"error_code": 7}}),
        page_of({"data": [], "errorMessage": "no"}),
        page_of({"data": [], "message": "Rate limit exceeded"}),
        page_of({"data": [], "message": "The requests were not fetched successfully"}),
        page_of({"data": [], "detail": "Not authenticated"}),
        page_of({"data": [], "title": "Internal Server Error"}),
        page_of({"data": [], "warnings": ["shard 3 is missing"]}),
        page_of({"data": [], "warnings": [{"shard": 3}]}),
        page_of({"data": [], "timed_out": True}),
        page_of({"data": [], "isTruncated": "true"}),
        page_of({"data": [FULL], "partial": True}),
        page_of({"data": [FULL], "success": "false"}),
        page_of({"data": [FULL], "code": 429}),
        page_of({"data": [], "has_more": True}),
        page_of({"data": [], "next": "/p2"}),
        page_of({"data": [], "links": {"next": {"page": 2}}}),
        page_of({"data": [], "count": 3}),
        page_of({"data": [], "count": 0, "meta": {"count": 3}}),
        page_of({"data": [], "numFound": 3}),
        page_of({"data": [], "total": 3.0}),
        page_of({"data": [], "total": 1}),
        page_of({"data": [], "meta": {"total_count": "12"}}),
        page_of({"data": [{"id": 1}]}),
        page_of({"data": [{"id": 1}], "items": []}),
        page_of({"data": [FULL, None]}),
        page_of({"data": [FULL, "x"]}),
        page_of({"data": [FULL, [FULL]]}),
        page_of({"data": [FULL, {"name": "x"}]}),
        page_of({**FULL, "generation_url": []}),
        page_of({"ids": [ID]}),
        page_of(b"<html>no requests</html>", content_type="text/html"),
        page_of({"error": "x"}, 404),
        page_of({"data": []}, 404),
        page_of({"data": []}, 500),
        page_of({"data": []}, 206 + 97),
        Answer(200, {}, b"[]", problem=reason("answer_without_end")),
    ],
)
def test_what_is_not_a_whole_list_is_never_an_empty_one(answer: Answer) -> None:
    with pytest.raises(EndpointError):
        PastRequests(lambda: AT).take(answer)


def test_pages_are_asked_for_until_there_is_nothing_new() -> None:
    assert len(read(page_of(many(100)), page_of(many(100, 100)), page_of(many(3, 200)), END)) == 203
    assert len(read(page_of(many(100)), page_of(many(100)))) == 100  # a service without paging
    assert len(read(page_of(many(20)), page_of(many(20, 20)), END)) == 40  # one that returns fewer than requested
    assert len(read(page_of({"data": many(7), "total": 7}))) == 7
    assert len(read(page_of({"data": many(100), "total": 100}), END)) == 100
    assert len(read(page_of(many(100)), page_of([*many(2, 98), *many(4, 100)]), END)) == 104  # one was added meanwhile


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_page_past_a_short_one_may_be_refused(status: int) -> None:
    refused = page_of({"error": "no such page"}, status)
    assert len(read(page_of(many(7)), refused)) == 7
    with pytest.raises(EndpointError):
        read(page_of(many(100)), refused)
    with pytest.raises(EndpointError):
        read(page_of({"data": many(7), "total": 9}), refused)


@pytest.mark.parametrize("status", [401, 429, 500, 502])
def test_a_list_that_breaks_off_is_not_read(status: int) -> None:
    with pytest.raises(EndpointError):
        read(page_of(many(7)), page_of({"error": "x"}, status))


def test_a_list_without_an_end_is_not_read() -> None:
    pages = [page_of(many(100, 100 * number)) for number in range(MOST_PAGES)]
    with pytest.raises(UnexpectedResponseError) as caught:
        read(*pages)
    assert caught.value.facts["reason"] == reason("list_without_end")


def test_a_list_that_goes_on_is_not_whole_without_the_rest() -> None:
    refused = page_of({"error": "no such page"}, 404)
    for last in (END, refused, page_of({"data": many(1), "has_more": True})):
        with pytest.raises(UnexpectedResponseError) as caught:
            read(page_of({"data": many(1), "has_more": True}), last)
        assert caught.value.facts["reason"] == reason("list_cut_short")
    with pytest.raises(EndpointError):
        read(page_of({"data": many(2), "count": 5}), END)
    assert len(read(page_of({"data": many(1), "next": "/2"}), page_of({"data": many(1, 1), "next": None}), END)) == 2
    assert len(read(page_of({"data": many(100), "has_more": True}), page_of({"data": [], "has_more": False}))) == 100
    # A count may be of its page only, and then says nothing about the next one.
    assert len(read(page_of({"data": many(20), "count": 20}), page_of({"data": many(20, 20), "count": 20}), END)) == 40


@pytest.mark.parametrize("repeated", [1, 2, 49])
def test_a_row_that_comes_twice_does_not_make_up_for_one_that_is_missing(repeated: int) -> None:
    """As in a list that is sorted in no fixed order, or that changes while it is read."""
    again = many(50, 100 - repeated)
    with pytest.raises(UnexpectedResponseError) as caught:
        read(page_of({"data": many(100), "total": 150}), page_of({"data": again, "total": 150}), END)
    assert caught.value.facts["reason"] == reason("list_cut_short")
    whole = [*again, *many(repeated, 150 - repeated)]
    assert len(read(page_of({"data": many(100), "total": 150}), page_of({"data": whole, "total": 150}))) == 150


@pytest.mark.parametrize("last", [0, 100, None])
def test_a_later_page_takes_back_no_total(last: int | None) -> None:
    with pytest.raises(UnexpectedResponseError) as caught:
        read(page_of({"data": many(100), "total": 250}), page_of({"data": [], "total": last}))
    assert caught.value.facts["reason"] == reason("list_cut_short")


def test_what_is_added_while_a_list_is_read_is_not_waited_for() -> None:
    later = page_of({"data": many(50, 97), "total": 153})  # three were added before the first
    assert len(read(page_of({"data": many(100), "total": 147}), later)) == 147


@pytest.mark.parametrize("ahead_s", [0.0, 3600.0, -3600.0, 14 * 3600.0, -12 * 3600.0])
def test_times_are_converted_to_this_machines_clock(ahead_s: float) -> None:
    page = page_of([FULL], date=formatdate(AT + 60.0, usegmt=True))
    (found,) = read(page, page_of([], date=formatdate(AT + 1e6, usegmt=True)), now=AT + 60.0 + ahead_s)
    assert found.at == AT + ahead_s


@pytest.mark.parametrize("ahead_s", [0.0, -1.0, 1.5, -3600.0, 3600.0])
def test_a_date_alone_stays_on_its_day_whatever_the_clocks_are_apart(ahead_s: float) -> None:
    page = page_of([{**FULL, "created_at": "2026-11-25"}], date=formatdate(AT, usegmt=True))
    (found,) = read(page, page_of([], date=formatdate(AT + 1e6, usegmt=True)), now=AT + ahead_s)
    assert found.at is not None
    assert datetime.fromtimestamp(found.at, timezone.utc).date() == date(2026, 11, 25)


@pytest.mark.parametrize("ahead_days", [1.1, -1.1, 8.0, -400.0])
def test_a_list_of_the_wrong_days_is_not_read(ahead_days: float) -> None:
    with pytest.raises(UnexpectedResponseError) as caught:
        read(page_of({"data": []}, date=formatdate(AT, usegmt=True)), now=AT + ahead_days * 86_400)
    assert caught.value.facts["reason"] == reason("clocks_differ")


def test_one_row_an_output_is_one_request_at_its_whole_cost() -> None:
    second = {**FULL, "request_id": ID.replace("-", "").upper(), "generation_url": "https://x.test/2.mp4"}
    (found,) = read(page_of([{**FULL, "generation_url": None, "credits_deduction": None}, FULL, second]), END)
    assert (found.request_id, found.url, found.cost) == (ID, URL, 1.46)
    running = {**FULL, "model_status": "PENDING", "generation_url": None, "credits_deduction": 0}
    failed = {**running, "model_status": "FAILED", "credits_deduction": 2.0}
    (found,) = read(page_of([failed, running]), END)
    assert (found.state, found.cost) == (RemoteState.PROCESSING, 2.0)


@pytest.mark.parametrize(
    ("name", "is_ours"),
    [
        ("hunyuan-video", True),
        ("Hunyuan Video", True),
        ("HUNYUAN_VIDEO", True),
        ("segmind/hunyuan-video", True),
        ("hunyuan-video:latest", True),
        ("Hunyuan Video 13B", True),
        ("hunyuan-video-t2v", True),
        ("tencent/HunyuanVideo-v2", True),
        (None, True),
        ("", True),
        (7, True),
        ("hunyuan-video-i2v", False),
        ("fast-hunyuan-video", False),
    ],
)
def test_rows_of_other_models_are_left_out(name: object, is_ours: bool) -> None:
    assert len(read(page_of([{**FULL, "model_name": name}]), END)) == is_ours


WHOLE_BODY = VideoRequest.parse({"prompt": "a fox"}).model_dump()


def test_a_list_of_other_models_alone_is_not_one_without_ours() -> None:
    others = [{**row, "model_name": name} for row, name in zip(many(2), ("sdxl", "6650d1f2a7"), strict=True)]
    for rows in (others, others[:1], [*others, {**FULL, "model_name": "hunyuan-video-i2v"}]):
        with pytest.raises(UnexpectedResponseError) as caught:
            read(page_of(rows), END)
        assert caught.value.facts["reason"] == reason("list_of_others")
    assert [one.request_id for one in read(page_of([*others, FULL]), END)] == [ID]


@pytest.mark.parametrize("body", [WHOLE_BODY, json.dumps(WHOLE_BODY), {"input": WHOLE_BODY}])
def test_a_request_with_all_our_parameters_is_ours_by_any_name(body: object) -> None:
    row = {**FULL, "model_name": "6650d1f2a7", "request_body": body}
    assert [one.request_id for one in read(page_of([row]), END)] == [ID]
    assert read(page_of([{**row, "model_name": "hunyuan-video-i2v"}]), END) == []


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("COMPLETED", RemoteState.COMPLETED),
        ("completed", RemoteState.COMPLETED),
        ("SUCCESS", RemoteState.COMPLETED),
        ("FAILED", RemoteState.FAILED),
        ("PENDING", RemoteState.PROCESSING),
        ("QUEUED", RemoteState.PROCESSING),
        ("constructing", RemoteState.PROCESSING),
        (None, RemoteState.PROCESSING),
        ({}, RemoteState.PROCESSING),
    ],
)
def test_a_word_that_is_not_known_is_asked_about(word: object, state: RemoteState) -> None:
    assert listed(model_status=word, generation_url=None).state is state
    assert listed(model_status=None, status=word, generation_url=None).state is state
    assert listed(model_status=word).state is RemoteState.COMPLETED  # a video's address is stronger evidence


@pytest.mark.parametrize(
    ("cost", "found"),
    [(1.46, 1.46), ("1.46", 1.46), (0, 0.0), (None, None), (-1, None), ("x", None), (True, None), ([1.46], 1.46)],
)
def test_a_cost_is_read_or_none(cost: object, found: float | None) -> None:
    assert listed(credits_deduction=cost).cost == found


@pytest.mark.parametrize(
    ("number", "cost"), [(b"NaN", None), (b"Infinity", MOST_USD), (b"1e999", MOST_USD), (b"9" * 400, MOST_USD)]
)
def test_numbers_that_json_cannot_mean_are_too_much_or_none(number: bytes, cost: float | None) -> None:
    body = json.dumps([{**FULL, "credits_deduction": "#", "created_at": "#"}]).encode().replace(b'"#"', number)
    (found,) = read(page_of(body), END)
    assert (found.cost, found.at) == (cost, None)


@pytest.mark.parametrize(
    "url", [URL, [URL], [URL, "https://x.test/2"], json.dumps([URL]), json.dumps({"url": URL}), {"url": URL}]
)
def test_an_address_is_found_in_any_shape(url: object) -> None:
    assert listed(generation_url=url).url == URL


@pytest.mark.parametrize(
    "at",
    [
        "2026-11-25T10:00:00Z",
        "2026-11-25T10:00:00.123456Z",
        "2026-11-25T12:00:00+02:00",
        "2026-11-25 10:00:00.123456+00",  # as PostgreSQL writes it
        "2026-11-25 02:00:00-08",
        "2026-11-25T10:00Z",
        "2026-11-25 15:30+0530",
        "2026-11-25 10:00:00",
        "Wed, 25 Nov 2026 10:00:00 GMT",
        AT,
        AT * 1e3,
        AT * 1e6,
        AT * 1e9,
        str(AT),
        str(round(AT * 1e3)),
    ],
)
@pytest.mark.parametrize(
    "name", ["created_at", "model_created", "createdAt", "timestamp", "submitted_at", "updated_at"]
)
def test_a_time_is_read_as_text_or_number_under_any_name(name: str, at: object) -> None:
    assert listed(**{"created_at": None, name: at}).at == AT


@pytest.mark.parametrize("at", [None, "", "yesterday", "10:00", 0, -1, 12, True, [], {}, "9" * 300, 1e300])
def test_a_time_that_cannot_be_read_is_none(at: object) -> None:
    assert listed(created_at=at).at is None


def test_a_day_is_its_noon_unless_a_time_is_beside_it_and_the_end_counts_only_where_no_beginning_is_named() -> None:
    assert listed(created_at="2026-11-25").at == AT + 7_200
    assert listed(created_at="2026-11-25T10:00:00Z", request_date="2026-11-25").at == AT
    assert listed(created_at="2026-11-25", completed_at=AT + 300).at == AT + 7_200
    assert listed(completed_at=AT + 300).at == AT
    assert listed(created_at=None, completed_at=AT + 300).at == AT + 300


@pytest.mark.parametrize(
    ("body", "values"),
    [
        ({"prompt": "a fox", "width": 640}, {"prompt": "a fox", "width": 640}),
        ('{"prompt": "a fox", "width": 640}', {"prompt": "a fox", "width": 640}),
        (json.dumps('{"prompt": "a fox"}'), {"prompt": "a fox"}),
        ({"input": {"prompt": "a fox", "seed": 1}}, {"prompt": "a fox", "seed": 1}),
        (
            {"prompt": "a fox", "width": "640", "flow_shift": "7.5"},
            {"prompt": "a fox", "width": 640, "flow_shift": 7.5},
        ),
        ({"prompt": "a fox", "width": "wide", "video_length": 129}, {"prompt": "a fox", "video_length": 129}),
        ({"prompt": "a fox", "width": 10**400, "seed": -5}, {"prompt": "a fox"}),
        ({"prompt": "a fox", "flow_shift": 10**400, "negative_prompt": 7}, {"prompt": "a fox"}),
        ({"prompt": ["a fox"], "infer_steps": 70}, {"prompt": UNKNOWN_PROMPT, "infer_steps": 70}),
        ({"prompt": "x" * 3000}, {"prompt": UNKNOWN_PROMPT}),
        ({"prompt": '{"prompt": "x"}'}, {"prompt": '{"prompt": "x"}'}),
    ],
)
def test_what_was_asked_for_is_read_as_far_as_it_can_be(body: object, values: dict[str, Any]) -> None:
    assert listed(request_body=body).request == VideoRequest.parse(values)


@pytest.mark.parametrize("body", [None, "", "x", "[" * 100_000, [], {}, {"image": "x"}, 7])
def test_a_body_that_says_nothing_is_none(body: object) -> None:
    assert listed(request_body=body).request is None


def test_a_row_without_an_id_that_could_be_one_is_still_counted_and_told_apart() -> None:
    rows = [{**FULL, "request_id": bad} for bad in (None, "", "../../x", 12, {"a": 1})]
    found = read(page_of([*rows, {**FULL, "request_id": None, "created_at": "2026-11-25T10:00:01Z"}]), END)
    assert [one.request_id for one in found] == [None] * 6
    assert all(one.cost == 1.46 for one in found)


def test_equal_rows_without_an_id_are_as_many_requests() -> None:
    row = {**FULL, "request_id": None}
    other = {**row, "generation_url": "https://x.test/2.mp4"}
    assert len(read(page_of([row, row, other]), END)) == 3
    assert len(read(page_of([row, row]), page_of([row, row]))) == 2  # a service without paging
    first, again = (read(page_of(rows), END) for rows in ([row, other], [other, row, row]))
    assert {one.identity for one in first} < {one.identity for one in again}
    assert len(read(page_of([FULL, FULL]), END)) == 1


def test_the_query_names_every_day_that_counts() -> None:
    query = list_query(2, AT - 7 * 86_400, AT)
    assert query.startswith("/request-history?page=2&per_page=100&from_date=2026-11-17&to_date=2026-11-27&")
    assert query.endswith("model_name=hunyuan-video")
