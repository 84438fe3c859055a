from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hunyuan_ui.endpoint import responses
from hunyuan_ui.endpoint.contract import Accepted, Metrics, RemoteState
from hunyuan_ui.endpoint.responses import Answer
from hunyuan_ui.errors import (
    AuthenticationError,
    EndpointStatusError,
    HunyuanUIError,
    JobFailedError,
    OutcomeUnknownError,
    OutOfCreditsError,
    RateLimitError,
    RequestExpiredError,
    UnexpectedResponseError,
    reason,
)
from hunyuan_ui.words import words

KEY = "SG_0123456789abcdef"
ID = "2c7f59ea-13f1-402c-9353-915a2b5a2124"
HTML = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
URL = "https://images.segmind.com/generations/0001.mp4"


def response(name: str) -> bytes:
    return (Path(__file__).parents[1] / "responses" / f"{name}.json").read_bytes()


def answer(status: int, body: object = b"", elapsed_s: float = 0.1, **headers: str) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(
        status, {name.replace("_", "-"): value for name, value in headers.items()}, data, None, elapsed_s, KEY
    )


def said(text: str) -> dict[str, str]:
    return {"error": text}


def caught(call: Any, *arguments: object) -> HunyuanUIError:
    with pytest.raises(HunyuanUIError) as found:
        call(*arguments)
    return found.value


# --- the paid POST: each status of docs/facts/segmind-api.md 1.4


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        pytest.param(400, said("seed must be int"), EndpointStatusError, "bad_body", id="row14-400"),
        pytest.param(
            401,
            said("Missing Authorization or x-api-key in header"),
            AuthenticationError,
            "key_missing",
            id="row15-401-missing",
        ),
        pytest.param(
            401,
            said("Unauthorized. API key is invalid or may have expired"),
            AuthenticationError,
            "key_refused",
            id="row15-401",
        ),
        pytest.param(
            402,
            said("Insufficient credits. You have 0.0 credits."),
            OutOfCreditsError,
            "out_of_credits",
            id="row18-402",
        ),
        pytest.param(403, said("team not allowed"), AuthenticationError, "not_allowed", id="row15-403"),
        pytest.param(404, said("model not found"), EndpointStatusError, "model_unknown", id="row14-404"),
        pytest.param(405, HTML, EndpointStatusError, "wrong_method", id="row16-405-html"),
        pytest.param(
            406, said("Invalid content type"), EndpointStatusError, "wrong_content_type", id="row17-406-content-type"
        ),
        pytest.param(
            406,
            said("Insufficient credits: 0.2 of 1.46"),
            OutOfCreditsError,
            "out_of_credits",
            id="row18-406-credits",
        ),
        pytest.param(
            406, said("Team spend limit reached"), OutOfCreditsError, "team_spend_limit", id="row18-406-spend-limit"
        ),
        pytest.param(
            406, said("steps must be one of 20, 40"), EndpointStatusError, "value_refused", id="row18-406-value"
        ),
        pytest.param(410, said("model retired"), EndpointStatusError, "model_retired", id="row14-410"),
        pytest.param(422, said("bad value"), EndpointStatusError, "refused_before_run", id="row14-422"),
        pytest.param(413, HTML, EndpointStatusError, "refused", id="row14-413-html"),
        pytest.param(429, said("rate_limit_exceeded"), RateLimitError, "rate_limited", id="row20-429"),
        pytest.param(500, said("CUDA out of memory"), EndpointStatusError, "service_failed", id="row21-500-json"),
        pytest.param(500, HTML, OutcomeUnknownError, "gateway_failed", id="row22-500-html"),
        pytest.param(500, b"", OutcomeUnknownError, "gateway_failed", id="row22-500-empty"),
        pytest.param(502, HTML, OutcomeUnknownError, "gateway_failed", id="row22-502"),
        pytest.param(503, said("try later"), OutcomeUnknownError, "gateway_failed", id="row22-503-json"),
        pytest.param(504, b"", OutcomeUnknownError, "gateway_failed", id="row22-504"),
        pytest.param(524, HTML, OutcomeUnknownError, "gateway_failed", id="row22-524"),
        pytest.param(408, HTML, OutcomeUnknownError, "gateway_failed", id="row22-408"),
        pytest.param(499, HTML, OutcomeUnknownError, "gateway_failed", id="row22-499"),
        pytest.param(302, b"", EndpointStatusError, "service_moved", id="row24-302"),
        pytest.param(308, b"", EndpointStatusError, "service_moved", id="row24-308"),
        pytest.param(304, b"", OutcomeUnknownError, "unreadable_answer", id="row24-304"),
    ],
)
def test_a_refused_or_lost_post_has_its_own_error(
    status: int, body: object, kind: type[HunyuanUIError], code: str
) -> None:
    error = responses.post_error(answer(status, body))
    assert type(error) is kind
    assert error.code == code
    assert "{" not in words().sentence(error)
    assert "<" not in words().sentence(error)


@pytest.mark.parametrize("body", [{"error": "no"}, {"status": "FAILED"}, {"status": "error", "error": "no"}, {}])
def test_a_refusal_that_carries_an_id_stays_one(body: dict[str, str]) -> None:
    assert type(responses.post_error(answer(400, {**body, "request_id": ID}))) is EndpointStatusError


def test_row24_a_redirect_after_ten_seconds_may_follow_paid_work() -> None:
    error = responses.post_error(answer(302, elapsed_s=11))
    assert isinstance(error, OutcomeUnknownError)


def test_the_services_own_sentence_is_shown() -> None:
    error = responses.post_error(answer(402, response("out_of_credits")))
    assert "You have 0.0 credits." in words().sentence(error)


@pytest.mark.parametrize("stop", ["", ".", "..", "!", " ?", "\u3002"])
@pytest.mark.parametrize("status", [400, 401, 402, 406, 422, 500])
def test_a_services_sentence_ends_with_one_stop(status: int, stop: str) -> None:
    error = responses.post_error(answer(status, {"error": f"That went wrong{stop}"}))
    assert not re.search(r"wrong[^\w)]*[.!?\u3002]\s*[.!?\u3002]", words().sentence(error))


@pytest.mark.parametrize("status", [200, 422])
def test_a_reason_that_is_missing_is_said_to_be_missing(status: int) -> None:
    for body in ({"status": "FAILED"}, {"status": "FAILED", "error": ""}, {"status": "FAILED", "error": {"x": 1}}):
        with pytest.raises(JobFailedError) as caught:
            responses.remote_status(answer(status, body), "request-1")
        assert "gave no reason" in words().sentence(caught.value)


def test_a_lost_answer_keeps_the_request_id_and_the_cost_for_the_owner() -> None:
    error = responses.post_error(answer(504, HTML, x_request_id=ID, x_cost="1.46"))
    assert (error.facts["request_id"], error.facts["cost"]) == (ID, 1.46)
    assert "request_id" not in responses.post_error(answer(504, HTML, x_request_id="../x")).facts


@pytest.mark.parametrize("header", [f"{ID}, {ID}", f"{ID},{ID}", f"../x, {ID}", f"{ID}, gateway-0001", f", {ID}"])
@pytest.mark.parametrize(("status", "judge"), [(504, responses.post_error), (200, responses.accepted)])
def test_an_id_in_a_header_that_a_gateway_repeats_is_kept(header: str, status: int, judge: Any) -> None:
    given = answer(status, HTML, x_request_id=header)
    error = caught(judge, given) if status == 200 else judge(given)
    assert error.facts["request_id"] == ID
    made = answer(status, {"status": "COMPLETED", "output": URL}, x_request_id=header)
    assert responses.accepted(made) == Accepted(ID, None, URL)


# --- 2xx to a submit


def test_row09_a_submit_gives_the_request_id() -> None:
    assert responses.accepted(answer(200, response("v2_submitted"))) == Accepted(ID)
    assert responses.accepted(answer(202, {"request_id": ID})) == Accepted(ID)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"status": "QUEUED"}, id="row10-no-id"),
        pytest.param(said("queue is down"), id="row10-error"),
        pytest.param({"request_id": "../../v1/x?y="}, id="row10-id-that-changes-the-path"),
        pytest.param({"request_id": None}, id="row10-id-is-null"),
        pytest.param([ID], id="row10-a-list"),
        pytest.param(b"", id="row13-empty"),
        pytest.param(b"{", id="row13-invalid-json"),
        pytest.param(b'{"a":' * 100_000, id="row13-deep-json"),
        pytest.param(b"\xff\xfe\x00", id="row13-bytes"),
        pytest.param(HTML, id="row23-html"),
    ],
)
def test_a_success_without_a_usable_id_may_have_been_charged(body: object) -> None:
    error = caught(responses.accepted, answer(200, body))
    assert type(error) is OutcomeUnknownError
    assert error.code == "unreadable_answer"
    assert "<" not in words().sentence(error)


def test_an_id_in_an_answer_that_was_cut_off_after_it_is_not_lost() -> None:
    cut_off = Answer(200, {}, b'{"request_id": "%s", "status": "QUE' % ID.encode(), reason("connection_broke"))
    assert responses.accepted(cut_off) == Accepted(ID)


def test_half_an_id_is_no_id() -> None:
    cut_off = Answer(200, {}, b'{"request_id": "2c7f59ea-13f1', reason("connection_broke"))
    assert caught(responses.accepted, cut_off).facts["reason"] == reason("connection_broke")


# --- polling


@pytest.mark.parametrize(
    ("body", "state"),
    [
        (response("v2_status_queued"), RemoteState.QUEUED),
        ({"status": "PROCESSING"}, RemoteState.PROCESSING),
        ({"status": "PROCESSING", "output": URL}, RemoteState.PROCESSING),
        (response("v2_status_completed"), RemoteState.COMPLETED),
        ({"status": "completed"}, RemoteState.COMPLETED),
        ({"status": "completed", "data": {"status": "deleted"}}, RemoteState.COMPLETED),
        pytest.param({"status": "STARTING"}, RemoteState.PROCESSING, id="row31-unknown-word"),
    ],
)
def test_a_status_is_read(body: object, state: RemoteState) -> None:
    assert responses.remote_status(answer(200, body), ID).state is state


def test_metrics_come_with_a_status() -> None:
    found = responses.remote_status(answer(200, response("v2_status_completed")), ID)
    assert found.metrics == Metrics(inference_time=13.06)


@pytest.mark.parametrize("read", [responses.remote_status, responses.remote_result])
@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(422, response("v2_failed"), id="row29-422"),
        pytest.param(200, response("v2_failed"), id="row29-200"),
        pytest.param(422, said("Prompt is Mandatory and must be string"), id="row29-422-without-status"),
        pytest.param(422, {"status": "failed"}, id="row29-422-without-error"),
    ],
)
def test_a_failed_job_is_a_failed_job_whatever_the_status(read: Any, status: int, body: object) -> None:
    error = caught(read, answer(status, body), ID)
    assert type(error) is JobFailedError


def test_row29_the_providers_reason_is_shown() -> None:
    error = caught(responses.remote_status, answer(422, response("v2_failed")), ID)
    assert "Prompt is Mandatory and must be string" in words().sentence(error)


@pytest.mark.parametrize("read", [responses.remote_status, responses.remote_result])
@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        pytest.param(404, said("Request x not found"), RequestExpiredError, "request_expired", id="row30-404"),
        pytest.param(404, HTML, UnexpectedResponseError, "bad_answer", id="row28-404-html"),
        pytest.param(422, HTML, UnexpectedResponseError, "bad_answer", id="row28-422-html"),
        pytest.param(
            422, {"status": "PROCESSING", "error": "x"}, UnexpectedResponseError, "bad_answer", id="row28-422-under-way"
        ),
        pytest.param(401, said("Unauthorized"), AuthenticationError, "key_refused", id="row15-401"),
        pytest.param(403, said("no"), AuthenticationError, "not_allowed", id="row15-403"),
        pytest.param(408, b"", UnexpectedResponseError, "bad_answer", id="row28-408"),
        pytest.param(429, b"", RateLimitError, "rate_limited", id="row28-429"),
        pytest.param(500, said("x"), UnexpectedResponseError, "bad_answer", id="row28-500"),
        pytest.param(502, HTML, UnexpectedResponseError, "bad_answer", id="row28-502"),
        pytest.param(302, b"", UnexpectedResponseError, "bad_answer", id="row28-302"),
        pytest.param(200, HTML, UnexpectedResponseError, "bad_answer", id="row28-200-html"),
        pytest.param(200, b"", UnexpectedResponseError, "bad_answer", id="row28-200-empty"),
        pytest.param(200, b"[]", UnexpectedResponseError, "bad_answer", id="row28-200-list"),
        pytest.param(200, {"status": 7}, UnexpectedResponseError, "bad_answer", id="row28-200-no-status"),
        pytest.param(
            200,
            {"status": "COMPLETED", "request_id": "0" * 32, "output": URL},
            UnexpectedResponseError,
            "bad_answer",
            id="row28-another-request",
        ),
        pytest.param(
            422,
            {"status": "FAILED", "request_id": "0" * 32, "error": "x"},
            UnexpectedResponseError,
            "bad_answer",
            id="row28-another-requests-failure",
        ),
    ],
)
def test_every_other_answer_to_a_get_ends_nothing_by_mistake(
    read: Any, status: int, body: object, kind: type[HunyuanUIError], code: str
) -> None:
    error = caught(read, answer(status, body), ID)
    assert (type(error), error.code) == (kind, code)


def test_an_id_without_dashes_is_the_same_request() -> None:
    body = {"status": "COMPLETED", "request_id": ID.replace("-", "").upper()}
    assert responses.remote_status(answer(200, body), ID).state is RemoteState.COMPLETED


def test_a_result_names_the_video_and_its_cost() -> None:
    found = responses.remote_result(answer(200, response("v2_result")), ID)
    assert (found.url, found.metrics.cost) == (URL, 1.46)


@pytest.mark.parametrize("status", ["QUEUED", "PROCESSING", "STARTING"])
def test_a_result_that_is_not_finished_is_asked_again(status: str) -> None:
    assert caught(responses.remote_result, answer(200, {"status": status}), ID).code == "bad_answer"


@pytest.mark.parametrize("output", [None, "", "ok", [], {}, "ftp://x/y.mp4"])
def test_row32_finished_without_an_address_has_its_own_code(output: object) -> None:
    error = caught(responses.remote_result, answer(200, {"status": "COMPLETED", "output": output}), ID)
    assert (type(error), error.code) == (UnexpectedResponseError, "no_video_in_result")
    assert ID in words().sentence(error)


# --- credits


def test_credits_are_the_paid_and_the_free_ones() -> None:
    assert responses.balance(answer(200, response("credits"))) == pytest.approx(0.0184921035)
    assert responses.balance(answer(200, {"credits": 10, "free-credits": 0.5})) == 10.5
    assert responses.balance(answer(200, {"credits": -0.25})) == -0.25
    assert responses.balance(answer(404, said("No credits found for the user"))) == 0.0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"credits": NaN}',
        b'{"credits": Infinity}',
        b'{"credits": 1%s}' % (b"0" * 400),
        b'{"credits": "10"}',
        b'{"credits": true}',
        b'{"credits": 1, "free-credits": null}',
        HTML,
    ],
)
def test_credits_that_cannot_be_read_are_not_guessed(body: bytes) -> None:
    assert caught(responses.balance, answer(200, body)).code == "bad_answer"


# --- the service's words


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\nlines\r\nand\ttabs", "two lines and tabs"),
        ("a\x00b\x1b[31mc\u202ed\u200be", "ab[31mcde"),
        (f"bad key {KEY}!", "bad key ***"),
        ("bad key SG_ffffffffffffffff", "bad key ***"),
        ("bad key sg_FFFF0000", "bad key ***"),
        ("bad key SG_0123\x004567", "bad key ***"),
        ("x" * 297 + KEY, "x" * 297 + "***"),
        ("x" * 400, "x" * 299 + "…"),
        ("<html><body>hello</body></html>", reason("html_page")),
        ("value <script>alert(1)</script>", reason("html_page")),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
    ],
)
def test_foreign_words_are_plain_short_and_without_keys(text: str, shown: str) -> None:
    assert answer(400, said(text)).detail == shown


def test_a_key_of_another_shape_is_redacted_too() -> None:
    assert "pass" not in replace(answer(400, said("key is pass+word/1")), key="pass+word/1").detail
    assert "pass" not in replace(answer(400, said("key=pass%2Bword%2F1")), key="pass+word/1").detail


def test_an_answer_does_not_show_the_key_it_hides() -> None:
    assert KEY not in repr(answer(400, said("x")))


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"", "Bad Request"),
        ({}, "Bad Request"),
        (b"plain words", "plain words"),
        ({"message": "m"}, "m"),
        ({"error": {"message": "m"}}, "m"),
        ({"error": None, "detail": "d"}, "d"),
        (HTML, reason("html_page")),
    ],
)
def test_a_detail_is_found_or_named(body: object, shown: str) -> None:
    assert answer(400, body).detail == shown


def test_html_is_known_by_its_content_type_too() -> None:
    assert answer(400, b"sorry", content_type="text/html; charset=utf-8").detail == reason("html_page")


def test_a_status_without_a_name_has_a_detail() -> None:
    assert answer(499).detail == reason("http", status=499)


@pytest.mark.parametrize(
    ("call", "given"),
    [
        (responses.remote_status, answer(200, {"metrics": {"cost": 1.46}})),
        (responses.remote_status, answer(200, HTML, x_cost="1.46")),
        (responses.remote_status, answer(200, b"", x_cost="1.46")),
        (responses.remote_status, answer(429, said("later"), x_cost="1.46")),
        (responses.remote_result, answer(200, {"status": "PROCESSING", "metrics": {"cost": 1.46}})),
        (responses.remote_result, answer(200, b"[1]", x_cost="1.46")),
    ],
)
def test_a_cost_counts_in_an_answer_that_is_otherwise_of_no_use(call: Any, given: Answer) -> None:
    assert caught(call, given, ID).facts["cost"] == 1.46
