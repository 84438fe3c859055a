from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hunyuan_ui.endpoint import contract
from hunyuan_ui.endpoint.contract import Metrics

URL = "https://images.segmind.com/generations/0001.mp4"


def response(name: str) -> Any:
    return json.loads((Path(__file__).parents[1] / "responses" / f"{name}.json").read_text())


@pytest.mark.parametrize(
    "body",
    [
        {"output": URL},
        {"output": [URL]},
        {"output": [{"url": URL}]},
        {"output": {"url": URL}},
        {"output": {"video": {"url": URL}}},
        {"output": json.dumps({"url": URL})},
        {"output": json.dumps([URL])},
        {"video": URL},
        {"video": {"url": URL}},
        {"video_url": URL},
        {"output": "ok", "video": {"url": URL}},
        {"output": None, "video_url": f" {URL} "},
    ],
)
def test_the_video_is_found_in_every_shape_that_was_seen(body: dict[str, Any]) -> None:
    assert contract.video_url(body) == URL


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "https://x",
        {},
        {"output": ""},
        {"output": "ok"},
        {"output": "file:///etc/passwd"},
        {"output": "{" * 10_000},
        {"output": "[" * 5_000},
        {"output": json.dumps(json.dumps(json.dumps("x")))},
        {"video": {"file_name": "a.mp4"}},
        {"output": 7},
        {"output": {"output": {"output": {"output": {"output": {"output": URL}}}}}},
    ],
)
def test_no_address_is_made_up(body: object) -> None:
    assert contract.video_url(body) is None


def test_the_hand_made_answers_fit_the_contract() -> None:
    assert contract.video_url(response("v2_result")) == URL
    assert contract.video_url(response("v1_json")) == "https://segmind-inference-io.s3.amazonaws.com/0001.mp4"
    assert contract.is_request_id(response("v2_submitted")["request_id"])
    assert Metrics.of({}, response("v2_result")) == Metrics(1.46, 8.5, 205.1, 3.2)


@pytest.mark.parametrize("text", ["2c7f59ea-13f1-402c-9353-915a2b5a2124", "2c7f59ea13f1402c9353915a2b5a2124", "abc_12"])
def test_an_id_of_plain_characters_is_taken(text: str) -> None:
    assert contract.is_request_id(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "../../v1/x",
        "a/b-12345",
        "abcdef?x=1",
        "abcdef#1",
        "abc def1",
        "-abcdef",
        "ａｂｃｄｅｆ",
        "abcdef\n",
        "a" * 129,
        None,
        7,
        ["abcdef"],
    ],
)
def test_an_id_that_could_change_the_path_is_refused(text: object) -> None:
    assert not contract.is_request_id(text)


@pytest.mark.parametrize(
    "value", [None, True, "", "x", "nan", float("nan"), float("inf"), -1, "-0.1", 1e12, 10**400, [], {}]
)
def test_an_amount_that_is_no_sum_of_money_or_time_is_dropped(value: object) -> None:
    assert contract.amount(value) is None


@pytest.mark.parametrize(
    ("value", "seed"),
    [(7, 7), ("7", 7), (" 96501778 ", 96501778), (None, None), (True, None), (-1, None), ("x", None), (7.0, None)],
)
def test_a_seed_is_read_from_numbers_and_text(value: object, seed: int | None) -> None:
    assert contract.seed_from(value) == seed


def test_metrics_drop_what_is_not_a_number() -> None:
    odd = {"cost": "1.46", "inference_time": -3, "queue_time": "soon", "extra": 1}
    assert Metrics.of({}, {"metrics": odd}) == Metrics(cost=1.46)
    assert Metrics.of({}, {"metrics": "none"}) == Metrics.of({}, []) == Metrics()


def test_accounting_headers_are_read() -> None:
    headers = {"x-cost": "1.46", "x-remaining-credits": "8.5", "x-generation-time": "205.1"}
    assert Metrics.of(headers, None) == Metrics(cost=1.46, remaining_credits=8.5, inference_time=205.1)
