from __future__ import annotations

import json
import time
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
        {"output": f'"{URL}"'},
        {"output": f"<{URL}>"},
        {"output": {"file": {"url": URL}}},
        {"output": {"uri": URL}},
        {"output": {"videos": [{"url": URL}]}},
        {"video_urls": [URL]},
        {"data": {"output": URL}},
        {"output": ["https://images.segmind.com/generations/0001.jpg?x=1", f"{URL}"]},
        {"output": [{"type": "image", "url": "https://x.test/a.webp"}, {"type": "video", "url": URL}]},
        {"output": {"url": "https://x.test/preview.gif", "video_url": URL}},
        {"output": "/generations/0001.mp4"},
        {"output": "//images.segmind.com/generations/0001.mp4"},
        {"output": f"[the video]({URL})"},
        {"output": f'<video src="{URL}"></video>'},
        {"output": f"Your video is ready: {URL} (7 days)"},
    ],
)
def test_the_video_is_found_in_every_shape_that_was_seen(body: dict[str, Any]) -> None:
    assert contract.video_url(body, "https://images.segmind.com") == URL


@pytest.mark.parametrize("odd", ["\0", "\ud800", "\n", "\x7f"])
def test_an_address_that_no_database_stores_is_none(odd: str) -> None:
    url = f"https://x.test/a{odd}b.mp4"
    assert contract.video_url({"output": [url, URL]}) == URL
    assert contract.video_url({"output": url}) is None
    assert contract.lone_video_url({"made": url}) is None


def test_a_place_without_a_host_is_no_address_by_itself() -> None:
    assert contract.video_url({"output": "/generations/0001.mp4"}) is None
    assert contract.video_url({"output": "/x/1.mp4"}, "https://x.test/app") == "https://x.test/x/1.mp4"
    assert contract.video_url({"output": "https://[", "video": "https://x.test/1"}) == "https://x.test/1"


def test_an_address_is_one_in_any_case() -> None:
    assert contract.video_url({"output": URL.replace("https", "HTTPS")}) == URL.replace("https", "HTTPS")


@pytest.mark.parametrize(
    "body",
    [
        {"files": [{"url": URL}]},
        {"outputs": [URL]},
        {"generation_url": URL},
        {"assets": {"mp4": f"{URL}?signature=x"}},
        {"response": {"media": [{"src": URL, "thumbnail": "https://x.test/a.jpg"}]}, "prompt": "https://x.test/b.mp4"},
    ],
)
def test_the_only_address_of_a_video_is_it_under_whatever_name(body: dict[str, Any]) -> None:
    assert (contract.lone_video_url(body) or "").startswith(URL)


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": URL, "negative_prompt": URL},
        {"request_body": {"video": URL}, "input_video": URL, "error": URL, "webhook_url": URL},
        {"a": URL, "b": "https://x.test/2.mp4"},
        {"a": "https://x.test/page"},
        {"caption": f"see {URL}"},
        [],
        None,
    ],
)
def test_what_was_asked_for_or_is_one_of_several_is_not_taken_for_the_video(body: object) -> None:
    assert contract.lone_video_url(body) is None


@pytest.mark.parametrize(
    ("fields", "is_another"),
    [
        ({}, False),
        ({"request_id": "ABC-123"}, False),
        ({"requestId": "abc124"}, True),
        ({"request_id": 7}, True),
        ({"data": {"request_id": "abc124"}}, True),
        ({"request_id": "abc123", "data": {"request_id": "abc124"}}, False),
        ({"id": "abc124"}, False),
        ({"request_id": None}, False),
        ({"request_id": True}, False),
    ],
)
def test_an_answer_may_name_another_request(fields: dict[str, Any], is_another: bool) -> None:
    assert contract.names_another(fields, "abc123") is is_another


@pytest.mark.parametrize("word", ["COMPLETED", " completed ", "Succeeded", "done", "FINISHED"])
def test_words_for_the_end_are_known(word: str) -> None:
    assert contract.state_of(word) is contract.RemoteState.COMPLETED


@pytest.mark.parametrize("word", ["Failure", "CANCELLED", "canceled", "timed out", "Timed-Out", " aborted "])
def test_words_for_an_end_without_a_video_are_known(word: str) -> None:
    assert contract.state_of(word) is contract.RemoteState.FAILED


def test_a_word_of_one_request_alone_may_be_one_of_envelopes() -> None:
    assert contract.state_of_row("success") is contract.RemoteState.COMPLETED
    assert contract.state_of_row("Error") is contract.RemoteState.FAILED
    assert contract.state_of_row("archived") is None


@pytest.mark.parametrize("word", ["success", "error", "ok", "", None, 7, "CONSTRUCTING"])
def test_a_word_of_an_envelope_says_nothing_of_the_request(word: object) -> None:
    assert contract.state_of(word) is None


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
    assert Metrics.of({}, response("v2_result")) == Metrics(1.46, 205.1, 3.2)


@pytest.mark.parametrize(
    "text", ["2c7f59ea-13f1-402c-9353-915a2b5a2124", "2c7f59ea13f1402c9353915a2b5a2124", "abc_12", "a" * 300]
)
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
        "a" * 513,
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


def test_metrics_drop_what_is_not_a_number() -> None:
    odd = {"cost": "1.46", "inference_time": -3, "queue_time": "soon", "extra": 1}
    assert Metrics.of({}, {"metrics": odd}) == Metrics(cost=1.46)
    assert Metrics.of({}, {"metrics": "none"}) == Metrics.of({}, []) == Metrics()


def test_accounting_headers_are_read() -> None:
    headers = {"x-cost": "1.46", "x-remaining-credits": "8.5", "x-generation-time": "205.1"}
    assert Metrics.of(headers, None) == Metrics(cost=1.46, inference_time=205.1)


def test_an_id_among_very_many_names_is_found_within_a_bound() -> None:
    many = {f"n{number}": 1 for number in range(300_000)}
    for fields in ({"request_id": "abc-1234567", **many}, {**many, "request_id": "abc-1234567"}):
        began = time.process_time()
        assert contract.ids_in(fields) == contract.ids_in({"data": fields}) == ["abc-1234567"]
        assert time.process_time() - began < 0.5
