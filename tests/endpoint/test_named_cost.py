"""Fields and formats in which a response may name a cost."""

from __future__ import annotations

import json
import time
from typing import Any, Final

import pytest

from hunyuan_ui.endpoint.named_cost import MOST_USD, cost_header, named_cost

PLACES: list[Any] = [
    {"metrics": {"cost": 1.46}},
    {"metrics": {"Cost": 1.46}},
    {"metrics": {"total_cost": 1.46}},
    {"metrics": [{"cost": 1.46}]},
    {"metrics": json.dumps({"cost": 1.46})},
    {"metrics": {"cost": 0}, "cost": 1.46},
    {"metrics": {"cost": 1.46}, "usage": {"total_cost": 99}},
    {"metrics": {"cost": -1}, "credits_deduction": 1.46},
    {"cost": 0, "creditsDeduction": 1.46},
    {"cost": None, "cost_usd": 1.46},
    {"data": {"metrics": {"cost": 1.46}}},
    {"usage": {"cost": 1.46}},
    {"cost": {"amount": 1.46, "currency": "USD"}},
    {"cost": {"total": {"value": "1.46"}}},
    {"cost": [0, 1.46]},
    [{"status": "FAILED"}, {"cost": 1.46}],
    {"metrics": {"credits_used": 1.46}},
    {"usage": {"creditsConsumed": "1.46"}},
    {"metrics": {"cost_in_usd": 1.46}},
    {"final_cost": 1.46},
    {"amount_charged": 1.46},
    {"billing": {"amount": 1.46}},
    {"metrics": {"billed_amount": 1.46, "charged": True}},
    {"request_cost": 1.46},
    {"usage": {"used_credits": 1.46}},
    {"metrics": {"credit_cost": 1.46}},
    {"amount_deducted": 1.46},
    {"metrics": {"total_charge": 1.46, "fee": 0}},
    {"cost_cents": 146},
    {"metrics": {"costMicros": 1_460_000}},
    {"cost": {"amount": 146, "unit": "cents"}},
    {"billing": {"amount": 1460, "currency": "milli-USD"}},
    {"cost": "146 ¢"},
]
HEADERS = [
    {"x-cost": "0", "x-credits-used": "1.46"},
    {"x-credits-used": "", "x-cost": "1.46"},
    {"X-Segmind-Cost": "1.46"},
    {"x-request-cost": "1.46"},
    {"x-cost-cents": "146"},
]
TEXTS = [
    "1.46",
    " 1.46 ",
    "$1.46",
    "1.46 USD",
    "USD 1.46",
    "US$ 1,46",
    "1,46",
    "1.46, 1.46",
    "1.46.",
    "cost: 1.460",
    "most recent: 1.46",
    "0, 1.46",
]


@pytest.mark.parametrize("body", PLACES, ids=json.dumps)
def test_a_cost_is_found_wherever_it_stands(body: Any) -> None:
    assert named_cost(body) == 1.46


@pytest.mark.parametrize(
    "body",
    [
        {"charges": 1.46},
        {"charges": [{"amount": 1.46}]},
        {"total_charges_usd": 1.46},
        {"cost_total": "1.46"},
        {"billable_amount": 1.46},
        {"spend_usd": 1.46},
        {"cost_nanos": 1_460_000_000},
        {"cost_details": {"total": 1.46}},
        {"cost": {"credits": 1.46, "remaining": 8.54}},
        {"cost": {"price": 1.46, "seconds": 211}},
        {"cost": {"sum": 1.46, "tax": 0.2}},
    ],
    ids=json.dumps,
)
def test_a_cost_is_found_under_the_other_names_of_one(body: Any) -> None:
    assert named_cost(body) == pytest.approx(1.46)
    assert named_cost({"status": "FAILED", "metrics": body}) == pytest.approx(1.46)


@pytest.mark.parametrize(
    "parts",
    [
        {"gpu": 1.2, "egress": 0.26},
        {"gpu": "1.20", "egress": "$0.26", "currency": "USD", "plan": "pro 2"},
        {"dollars": 1, "cents": 46},
        {"currency_code": "USD", "units": "1", "nanos": 460_000_000},
        {"gpu": {"amount": 1.2}, "egress": {"amount": 0.26}, "seconds": 211, "credits_left": 8, "job_id": 7},
        {"gpu": -1.2, "egress": -0.26},
    ],
    ids=json.dumps,
)
def test_a_cost_in_parts_is_their_sum(parts: Any) -> None:
    assert named_cost({"cost": parts}) == pytest.approx(1.46)


def test_an_amount_of_its_own_outweighs_parts_and_a_zero_does_not() -> None:
    body = {"billing": {"gpu": 1.2, "egress": 0.26}}
    assert named_cost({**body, "metrics": {"cost": 0}}) == pytest.approx(1.46)
    assert named_cost({**body, "credits_deduction": 1.2}) == 1.2
    assert named_cost(body, "1.2") == 1.2


@pytest.mark.parametrize("headers", HEADERS, ids=json.dumps)
def test_every_header_that_names_a_cost_counts(headers: dict[str, str]) -> None:
    assert named_cost(None, cost_header(headers)) == 1.46


@pytest.mark.parametrize("text", TEXTS)
def test_a_cost_is_read_however_it_is_written(text: str) -> None:
    assert named_cost({"metrics": {"cost": text}}) == 1.46
    assert named_cost(None, text) == 1.46
    assert named_cost({"metrics": {"cost": 0}}, text) == 1.46, "a zero hides no other"


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        ("1,234.50", 1234.5),
        ("$1,234", 1234.0),
        ("1.234.567,5", 1_234_567.5),
        ("1 460,00", 1460.0),
        ("1'460.00", 1460.0),
        ("0,0025", 0.0025),
    ],
)
def test_thousands_and_cents_are_told_apart(text: str, cost: float) -> None:
    assert named_cost({"cost": text}) == cost


@pytest.mark.parametrize("huge", [1e12, 10**400, "1e300", float("inf"), "Infinity", "9" * 90])
def test_what_is_too_much_is_named_all_the_same(huge: object) -> None:
    assert named_cost({"metrics": {"cost": huge}}) == MOST_USD


@pytest.mark.parametrize("nothing", [None, True, "", "free", "n/a", "nan", float("nan"), -1, "-1.0", [], {}])
def test_what_names_no_cost_is_none(nothing: object) -> None:
    assert named_cost({"metrics": {"cost": nothing}}) is None


@pytest.mark.parametrize("taken", [-1.46, "-1.46 USD", {"amount": -1.46}])
def test_what_was_taken_off_the_account_is_a_cost_where_nothing_else_names_one(taken: object) -> None:
    assert named_cost({"metrics": {"cost": taken}}) == 1.46
    assert named_cost({"metrics": {"cost": taken}, "cost": 2.0}) == 2.0
    assert named_cost({"metrics": {"cost": 0}, "refund": {"cost": taken}}) == 0


@pytest.mark.parametrize("name", ["x-cost", "X-Credits-Used", "x-credits-consumed", "x-total-cost"])
def test_a_header_may_go_by_another_name(name: str) -> None:
    assert cost_header({"x-remaining-credits": "8.5", "content-type": "x", name: "1.46"}) == "1.46"
    assert cost_header({"x-remaining-credits": "8.5", "cf-cost": "1"}) is None


@pytest.mark.parametrize("zero", [0, 0.0, "0", "$0.00"])
def test_zero_is_a_cost_only_where_nothing_names_more(zero: object) -> None:
    assert named_cost({"metrics": {"cost": zero}}) == 0
    assert named_cost({"metrics": {"cost": zero}}, "1.46") == 1.46


@pytest.mark.parametrize(
    "body",
    [
        {"request_body": {"prompt": '{"cost": 1.46}'}},
        {"error": '{"metrics": {"cost": 1.46}}'},
        {"metrics": {"estimated_cost_per_second": 1.46}},
        {"metrics": {"remaining_credits": 1.46}, "credits": 1.46, "balance": 1.46, "price": 1.46, "amount": 1.46},
        {"billing": {"plan": "pro 2", "began": "2026-11-29", "seconds": 211, "request_id": 4}},
        {"metrics": "{" * 10_000},
        {"a": {"b": {"c": {"d": {"e": {"f": {"cost": 1.46}}}}}}},
    ],
    ids=["a prompt", "a sentence", "another price", "what is left", "an account", "no JSON", "too deep"],
)
def test_no_cost_is_made_up(body: object) -> None:
    assert named_cost(body) is None


MANY: Final = 150_000


@pytest.mark.parametrize(
    "many",
    [
        [{"cost": {"amount": 1.0}}] * MANY,
        [{"cost": {"a": 0.1, "b": 0.2}}] * MANY,
        {"cost": [{"a": 0.1, "b": 0.2}] * MANY},
        {f"n{number}": 1 for number in range(2 * MANY)},
        [{"billing": {"cost": {"amount": {"usd": 1}}}}] * MANY,
        {"cost": "1, " * 1_000_000},
    ],
    ids=["objects", "parts", "one cost", "names", "deep", "a text"],
)
def test_a_body_of_very_many_values_is_searched_within_a_bound(many: object) -> None:
    began = time.process_time()
    named_cost({"items": many})
    assert time.process_time() - began < 1.5
    assert named_cost({"items": many, "metrics": {"cost": 1.46}}) == pytest.approx(1.46)


def test_the_cost_at_the_end_of_very_many_events_is_found() -> None:
    events: list[dict[str, object]] = [{"event": "progress", "at": at, "more": {"x": at}} for at in range(5_000)]
    for place in ([{"cost": 1.46}, *events], [*events, {"cost": 1.46}], [*events, {"metrics": {"total_cost": 1.46}}]):
        assert named_cost(place) == 1.46
    assert named_cost({"events": events, "usage": {"total_cost": 1.46}}) == 1.46
