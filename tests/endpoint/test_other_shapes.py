"""Other shapes and names of the service's answers: what they say counts as much."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from hunyuan_ui.endpoint import contract, responses
from hunyuan_ui.endpoint.contract import Accepted, HistoryRow, RemoteState
from hunyuan_ui.endpoint.responses import Answer
from hunyuan_ui.errors import (
    EndpointStatusError,
    HunyuanUIError,
    JobFailedError,
    OutcomeUnknownError,
    RateLimitError,
    RequestExpiredError,
    reason,
)
from tests.videos import mp4_bytes

ID = "2c7f59ea-13f1-402c-9353-915a2b5a2124"
URL = "https://images.segmind.com/generations/0001.mp4"


def answer(status: int, body: object = b"", **headers: str) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, data)


def caught(call: Any, *arguments: object) -> HunyuanUIError:
    with pytest.raises(HunyuanUIError) as found:
        call(*arguments)
    return found.value


TWICE = json.dumps(json.dumps({"request_id": ID, "status": "COMPLETED", "output": URL})).encode()


@pytest.mark.parametrize("status", [400, 409, 422, 425, 429])
@pytest.mark.parametrize(
    "body",
    [
        {"status": "QUEUED"},
        {"state": "queued", "request_id": ID},
        {"status": "PROCESSING", "id": ID},
        {"status": "ENQUEUED", "request_id": ID},
        {"job": {"status": "scheduled", "id": ID}},
        {"error": "slow down", "status_url": f"https://api.segmind.com/v2/requests/{ID}/status"},
        {"error": "slow down", "urls": {"get": f"/v2/requests/{ID}"}},
    ],
)
def test_no_answer_that_says_that_it_is_taken_is_a_refusal(status: int, body: dict[str, object]) -> None:
    error = responses.post_error(answer(status, body))
    assert type(error) is OutcomeUnknownError, "a rate limit would send it again"
    assert error.facts.get("request_id") == (ID if ID in json.dumps(body) else None)


@pytest.mark.parametrize(
    "body",
    [
        {"request_id": 4711},
        {"RequestID": "req.2026:abc~1"},
        json.dumps(json.dumps({"request_id": "abcdef"})).encode(),
        {"statusCode": 200, "body": json.dumps({"requestId": "abcdef"})},
    ],
)
def test_an_id_is_read_however_it_is_written(body: object) -> None:
    assert responses.accepted(answer(200, body)).request_id in ("4711", "req.2026:abc~1", "abcdef")


@pytest.mark.parametrize(
    "body",
    [
        {"id": ID, "status": "QUEUED"},
        {"job": {"id": ID}},
        {"status_url": f"https://api.segmind.com/v2/requests/{ID}/status"},
        {"urls": {"get": f"/v2/requests/{ID}"}, "id": "another-id"},
    ],
)
def test_an_id_in_the_body_of_a_success_goes_before_the_gateways_own_in_a_header(body: object) -> None:
    assert caught(responses.accepted, answer(200, body, x_request_id="gateway-1234")).facts["request_id"] == ID


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"status": "COMPLETED"}},
        {"state": "COMPLETED"},
        {"Status": "completed"},
        {"status": {"state": "done"}},
        {"status": 200, "state": "READY"},
        {"status": "success", "data": {"status": "COMPLETED"}},
        {"status": "success", "output": URL},
        {"request_id": "of-this-call", "data": {"request_id": ID, "status": "COMPLETED"}},
        TWICE,
    ],
)
def test_the_end_is_seen_wherever_it_is_said(body: object) -> None:
    assert responses.remote_status(answer(200, body), ID).state is RemoteState.COMPLETED


def test_the_file_itself_is_the_end_although_it_has_no_address() -> None:
    whole, cut = answer(200, mp4_bytes()), replace(answer(200, mp4_bytes()[:40]), problem=reason("answer_too_large"))
    for given in (whole, cut):
        assert responses.remote_status(given, ID).state is RemoteState.COMPLETED
    assert responses.remote_result(whole, ID).video == mp4_bytes()
    assert caught(responses.remote_result, cut, ID).code == "bad_answer"


def test_bytes_are_not_shown_as_a_sentence() -> None:
    error = caught(responses.remote_status, answer(200, b"\x00\x00\x00\x20PK\x03\x04moov" * 9), ID)
    assert error.facts["reason"] == reason("not_as_agreed")


@pytest.mark.parametrize(
    "body",
    [
        f"request_id: {ID}\nstatus: QUEUED\n",
        f"<r><request_id>{ID}</request_id></r>",
        f"status=QUEUED&requestId={ID}",
        f"{{'request_id': '{ID}'}}",
        ID,
        f'"{ID.replace("-", "")}"\n',
    ],
)
def test_an_id_is_read_in_a_taking_answer_that_is_no_json(body: str) -> None:
    accepted = responses.accepted(answer(200, body.encode()))
    assert accepted.request_id.replace("-", "") == ID.replace("-", "")
    cut_short = replace(answer(200, body.encode()[:-20]), problem=reason("connection_broke"))
    assert caught(responses.accepted, cut_short).code == "unreadable_answer", "half an id is none"


@pytest.mark.parametrize(
    "body",
    [
        {"task_id": ID, "status": "QUEUED"},
        {"jobId": ID},
        {"uuid": ID, "model_id": "hunyuan-video", "user_id": "u-100200"},
        {"data": {"id": ID, "trace_id": "call-000001"}},
        {"predictionID": ID, "id": "call-000001"},
    ],
)
def test_an_id_under_another_name_is_asked_about(body: object) -> None:
    error = caught(responses.accepted, answer(200, body, x_request_id="gateway-0001"))
    assert isinstance(error, OutcomeUnknownError)
    assert error.facts["request_id"] == ID


SAID = json.dumps({"error": "no", "request_id": ID, "metrics": {"cost": 1.46}, "prompt": "a fox"})
LINES = json.dumps({"error": "no"}) + "\n" + json.dumps({"request_id": ID, "cost_usd": "$1.46"}) + "\n"


@pytest.mark.parametrize("status", [400, 402, 409, 422, 429])
@pytest.mark.parametrize(
    "body",
    [
        SAID[:-5],
        SAID[: SAID.index("1.46") + 4],
        "\n  " + SAID.replace('{"', '{\n  "')[:-3],
        LINES,
        f"[{SAID}, {SAID[:30]}",
        f"event: error\ndata: {SAID}\n\n",
        ": ping\n\n" + "".join(f"data: {line}\n\n" for line in LINES.splitlines()),
    ],
)
def test_cost_and_id_are_read_in_json_that_is_cut_off_or_in_lines(body: str, status: int) -> None:
    for problem in (None, reason("connection_broke")):
        error = responses.post_error(replace(answer(status, body.encode()), problem=problem))
        assert (error.code, error.cost_usd) == ("refused_but_charged", 1.46)
        assert error.facts["request_id"] == ID


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"error": "no", "prompt": 'a "cost": 9, "request_id": "abcdef-100" fox'})[:-4],
        str({"error": "no", "prompt": 'a "cost": 9, "status": "QUEUED" fox'}),
        'bad prompt: a {"cost": 9, "status": "QUEUED"} fox',
        'data: bad prompt: a {"cost": 9} fox\n\n',
        '<html><script>{"cost": 9}</script></html>',
    ],
)
def test_what_a_prompt_says_in_an_answer_is_no_cost(text: str, status: int) -> None:
    error = responses.post_error(answer(status, text.encode()))
    assert (type(error), error.cost_usd) == (EndpointStatusError, None)


@pytest.mark.parametrize("word", ["EXPIRED", "deleted", "Not found"])
def test_a_word_that_says_that_a_request_was_dropped_is_no_word_of_its_running(word: str) -> None:
    assert type(caught(responses.remote_status, answer(200, {"status": word}), ID)) is RequestExpiredError
    assert not HistoryRow(status=word).goes_on
    made = answer(200, {"status": word, "output": URL})
    assert responses.remote_result(made, ID).url == URL, "an address says more"


@pytest.mark.parametrize("word", ["STOPPED", "declined", "Blocked"])
def test_more_words_mean_that_a_request_failed(word: str) -> None:
    assert type(caught(responses.remote_status, answer(200, {"status": word}), ID)) is JobFailedError


def test_an_id_and_the_finished_video_are_both_kept() -> None:
    body = {"request_id": ID, "status": "COMPLETED", "output": URL}
    assert responses.accepted(answer(200, body)) == Accepted(ID, None, URL)
    assert responses.accepted(answer(200, {**body, "status": "QUEUED"})) == Accepted(ID), "it may be an address to be"


def test_a_result_is_read_wherever_it_stands() -> None:
    for body in ({"state": "COMPLETED", "asset": URL}, {"status": "COMPLETED", "files": [{"href": URL}]}, TWICE):
        assert responses.remote_result(answer(200, body), ID).url == URL


def test_a_failure_in_an_envelope_is_one_with_its_reason() -> None:
    error = caught(
        responses.remote_status, answer(200, {"status": "success", "data": {"error": "no", "state": "FAILED"}}), ID
    )
    assert (type(error), error.facts["detail"]) == (JobFailedError, "no")


@pytest.mark.parametrize("word", ["QUEUED", "PROCESSING"])
def test_what_the_service_still_works_on_is_not_gone(word: str) -> None:
    assert caught(responses.remote_status, answer(404, {"status": word}), ID).code == "bad_answer"


@pytest.mark.parametrize("body", [json.dumps(URL).encode(), json.dumps([URL]).encode(), URL.encode() + b"\n"])
def test_an_address_alone_is_the_video(body: bytes) -> None:
    assert responses.accepted(answer(200, body, x_request_id=ID)) == Accepted(ID, None, URL)
    assert responses.remote_status(answer(200, body), ID).state is RemoteState.COMPLETED
    assert responses.remote_result(answer(200, body), ID).url == URL


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_a_file_is_the_end_and_one_to_elsewhere_is_none(status: int) -> None:
    moved = answer(status, location=URL)
    assert responses.remote_status(moved, ID).state is RemoteState.COMPLETED
    assert responses.remote_result(moved, ID).url == URL
    assert caught(responses.remote_result, answer(status, location="https://x.test/login"), ID).code == "bad_answer"


@pytest.mark.parametrize(
    "body", [b"see https://x.test/1.mp4 there", b'["https://x.test/1.mp4", "x"]', b"ftp://x.test/1.mp4"]
)
def test_what_is_more_than_an_address_is_none(body: bytes) -> None:
    assert caught(responses.remote_result, answer(200, body), ID).code == "bad_answer"


@pytest.mark.parametrize(
    "given",
    [
        answer(500, {"status": "COMPLETED", "output": URL}),
        answer(409, {"error": "made before", "video": {"url": URL}}),
        answer(504, {"state": "done", "asset": {"a": URL}}),
        answer(303, location=URL),
    ],
)
def test_the_finished_video_is_taken_from_an_answer_to_a_post_of_any_status(given: Answer) -> None:
    assert responses.accepted(given) == Accepted("", None, URL)


@pytest.mark.parametrize("data", [{"url": "https://docs.test/errors"}, {"help": URL}])
def test_an_address_in_a_refusal_is_no_video(data: dict[str, str]) -> None:
    assert caught(responses.accepted, answer(400, {"error": "no", "data": data})).code == "bad_body"


@pytest.mark.parametrize("place", ["help", "docs", "documentation_url", "path"])
def test_an_address_of_a_page_about_requests_leaves_a_refusal_one(place: str) -> None:
    for address in ("https://docs.test/requests/limits", "/v2/requests/rate-limits#daily"):
        assert type(responses.post_error(answer(429, {place: address}))) is RateLimitError
        assert responses.post_error(answer(401, {place: address})).code == "key_refused"


@pytest.mark.parametrize("status", [400, 409, 429])
@pytest.mark.parametrize(
    "sentence",
    [
        "Your request was accepted and is being processed",
        "A request with the same parameters is already in progress.",
        "This job has been queued",
        "the generation is still running",
    ],
)
def test_a_sentence_that_says_that_it_is_taken_is_no_refusal(status: int, sentence: str) -> None:
    assert type(responses.post_error(answer(status, {"message": sentence}))) is OutcomeUnknownError
    assert type(responses.post_error(answer(status, sentence.encode()))) is OutcomeUnknownError


@pytest.mark.parametrize(
    "sentence",
    [
        "You have 2 requests in progress. Too many requests.",
        "5 jobs are already running",
        "A generation is already in progress for this account",
        "Credits are needed before a request is accepted",
        "The request was not accepted",
        "Your request is invalid. Requests are queued by priority",
        "the request could not be processed",
    ],
)
def test_a_sentence_about_other_requests_leaves_a_refusal_one(sentence: str) -> None:
    assert type(responses.post_error(answer(429, {"error": sentence}))) is RateLimitError
    assert type(responses.post_error(answer(409, {"error": sentence}))) is EndpointStatusError


@pytest.mark.parametrize("status", [200, 402, 422, 429, 500])
def test_a_cost_in_one_of_several_objects_counts(status: int) -> None:
    body = [{"error": "no"}, {"metrics": {"cost": 1.46}}]
    error = caught(responses.accepted, answer(status, body))
    assert isinstance(error, OutcomeUnknownError)
    assert error.cost_usd == 1.46


@pytest.mark.parametrize("status", [400, 409, 422, 429, 500])
def test_one_of_several_objects_that_says_that_the_request_is_taken_is_no_refusal(status: int) -> None:
    body = [{"error": "slow down"}, {"request_id": ID, "status": "QUEUED"}]
    error = caught(responses.accepted, answer(status, body))
    assert isinstance(error, OutcomeUnknownError)
    assert error.facts["request_id"] == ID


@pytest.mark.parametrize(
    "piece", [b"request_id=", b"request_id: ", b"request_id>" + b"a" * 600, b"request-id" + b" " * 98]
)
@pytest.mark.parametrize("is_cut", [True, False])
def test_no_answer_takes_long_to_be_searched_for_an_id(piece: bytes, is_cut: bool) -> None:
    body = piece * (4_000_000 // len(piece))
    began = time.process_time()
    with suppress(HunyuanUIError):
        responses.accepted(Answer(200, {}, body, reason("connection_broke") if is_cut else None))
    assert time.process_time() - began < 3  # hours, when each piece was read to the end of all


@pytest.mark.parametrize("padding", [0, 65_530, 65_536 - len("request_id=12345678"), 4_000_000])
def test_an_id_at_either_end_of_a_cut_off_answer_is_read_and_half_of_one_is_not(padding: int) -> None:
    named = b"request_id=" + ID.encode() + b"&"
    for body in (named + b"x" * padding, b"x" * padding + named):
        assert responses.accepted(Answer(200, {}, body, reason("connection_broke"))).request_id == ID
    half = b"x" * 65_525 + b"request_id=" + ID.encode()[:8]
    assert caught(
        responses.accepted, Answer(200, {}, half + b"0" * 200_000, reason("connection_broke"))
    ).facts.keys() == {"reason"}


@pytest.mark.parametrize(
    ("start", "piece", "end"),
    [
        (b"[", b"1,", b"1]"),
        (b"[", b"{},", b"{}]"),
        (b"[", b'{"a":1},', b"{}]"),
        (b'{"status":"COMPLETED","output":[', b"[],", b"[]]}"),
        (b'{"status":"COMPLETED","output":[', b'"a",', b'"a"]}'),
        (b'{"status":"COMPLETED","output":[', b'"http://a.b/c",', b'""]}'),
        (b'{"cost":[', b"1,", b"1]}"),
        (b'{"output":"[', b"1,", b'1]"}'),
        (b"{", b'"a":1,', b""),
        (b"", b'data: {"a":"b"}\n', b""),
        (b"", b"<", b""),
        (b"", b"\xff", b""),
    ],
)
def test_no_answer_takes_long_to_be_read(start: bytes, piece: bytes, end: bytes) -> None:
    body = start + piece * (4_000_000 // len(piece)) + end
    began = time.process_time()
    for status in (200, 400, 500):
        with suppress(HunyuanUIError):
            responses.accepted(Answer(status, {}, body))
    for read in (responses.remote_status, responses.remote_result):
        with suppress(HunyuanUIError):
            read(Answer(200, {}, body), ID)
    assert time.process_time() - began < 3  # a minute, when each value was looked at several times


@pytest.mark.parametrize("middle", [b'"a":1,', b'"a":{"b":"c"},', b'"a":"' + b"x" * 2000 + b'",'])
@pytest.mark.parametrize("is_first", [True, False])
def test_what_a_very_long_answer_names_at_either_end_counts(middle: bytes, is_first: bool) -> None:
    named, filled = b'"request_id":"%s","metrics":{"cost":1.46},' % ID.encode(), middle * (4_000_000 // len(middle))
    body = b"{" + (named + filled if is_first else filled + named) + b'"z":1}'
    error = caught(responses.accepted, answer(500, body))
    assert isinstance(error, OutcomeUnknownError)
    assert (error.facts["request_id"], error.cost_usd) == (ID, 1.46)
    assert responses.accepted(answer(200, body)).request_id == ID


def test_a_history_of_three_thousand_requests_in_one_page_is_read() -> None:
    names = [f"field_{number}" for number in range(30)]
    rows = [{"request_id": ID, **dict.fromkeys(names, "a heron")} for _ in range(3000)]
    body = json.dumps({"data": rows}, separators=(",", ":"))
    assert contract.read_json(body) == {"data": rows}
    assert contract.read_json(json.dumps({"data": rows * 2})) is None


SPOILT = {
    "followed by a line": b"%s\n<!-- served by cache 7 -->",
    "followed by nulls": b"%s\0\0\0",
    "followed by its end once more": b"%s}",
    "with a number of 5000 digits": b"%s",
}


@pytest.mark.parametrize("spoilt", SPOILT)
def test_json_that_is_whole_is_read_whatever_follows_it(spoilt: str) -> None:
    size = "7" * 5000 if "digits" in spoilt else "1"
    body = SPOILT[spoilt] % f'{{"status": "COMPLETED", "output": "{URL}", "bytes": {size}, "n": 12}}'.encode()
    assert responses.remote_status(answer(200, body), ID).url == URL
    assert responses.remote_result(answer(200, body), ID).url == URL
    fields = answer(200, body).fields
    assert fields is not None
    assert fields["n"] == 12


@pytest.mark.parametrize(
    "output", [f'{{"state": "ok"}} {URL}', f'{{"state": "ok"}} "video": "{URL}"', f'{{"state": "ok"}}\n[{URL}]']
)
def test_an_address_that_follows_json_is_found(output: str) -> None:
    assert responses.remote_result(answer(200, {"status": "COMPLETED", "output": output}), ID).url == URL


@pytest.mark.parametrize("body", [b'{"a": 1}\n{"b": 2}', b'{"a": 1} [2]', b'{"a": {"b": 1}', b"7 apples", b'"a" b'])
def test_json_that_is_cut_off_or_more_than_one_is_not_read_as_one(body: bytes) -> None:
    assert contract.read_json(body) is None


@pytest.mark.parametrize("at", [0, -1])
def test_of_a_very_long_list_the_first_and_the_last_values_are_searched(at: int) -> None:
    texts = ["a heron"] * 10_000
    texts[at] = URL
    assert contract.video_url({"output": texts}) == contract.lone_video_url({"rest": texts}) == URL
    texts[5_000] = "in the middle"
    assert "in the middle" not in contract.texts_in({"rest": texts})
