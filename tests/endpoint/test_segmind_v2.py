"""The client's submit, poll and download, and the balance."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import anyio
import anyio.to_thread
import pytest

from hunyuan_ui.endpoint.contract import SUBMIT_V2, HistoryRow, Metrics, RemoteState
from hunyuan_ui.endpoint.segmind import EndpointClient, Timeouts
from hunyuan_ui.errors import (
    EndpointUnreachableError,
    JobFailedError,
    RequestExpiredError,
    UnexpectedResponseError,
)
from hunyuan_ui.words import words
from tests import raw_service
from tests.endpoint.calls import (
    ID,
    KEY,
    REQUEST,
    ask_credits,
    ask_history,
    ask_list,
    ask_result,
    ask_status,
    client_for,
    client_of,
    failure_of,
)
from tests.raw_service import RawService, Received, Reply, Wire, answer, html

pytestmark = pytest.mark.anyio


async def test_a_v2_job_goes_from_submit_to_its_address(service: RawService, client: EndpointClient) -> None:
    service.serve_v2(b"video")
    request_id = (await client.submit(REQUEST, KEY)).request_id
    states = [(await client.status(request_id, KEY)).state for _ in range(3)]
    assert states == [RemoteState.QUEUED, RemoteState.PROCESSING, RemoteState.COMPLETED]
    result = await client.result(request_id, KEY)
    assert result.url == f"{service.origin}/files/{request_id}.mp4"
    assert result.metrics == Metrics(cost=1.46, inference_time=0.5, queue_time=0.1)
    assert await client.history(request_id, KEY) == HistoryRow(result.url, 1.46, None)
    assert len(service.bill) == 1
    assert {received.headers["x-api-key"] for received in service.requests} == {KEY}


@pytest.mark.parametrize("ask", [ask_status, ask_result, ask_credits, ask_history, ask_list])
@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(raw_service.silence(), id="row28-silence"),
        pytest.param(raw_service.reset(), id="row28-reset"),
        pytest.param(raw_service.close(), id="row28-close"),
        pytest.param(raw_service.garbage(), id="row28-garbage"),
        pytest.param(raw_service.slow_headers(), id="row28-slow-headers"),
        pytest.param(raw_service.slow_body(), id="row28-slow-body"),
        pytest.param(raw_service.huge(start=b"{"), id="row28-huge"),
        pytest.param(raw_service.gzip_bomb(), id="row28-gzip"),
        pytest.param(raw_service.cut({"status": "COMPLETED"}, 12), id="row28-cut"),
        pytest.param(html(200), id="row28-html-200"),
        pytest.param(html(502), id="row28-html-502"),
        pytest.param(html(404), id="row28-html-404"),
        pytest.param(answer(500, {"error": "x"}), id="row28-500"),
        pytest.param(answer(408), id="row28-408"),
        pytest.param(answer(200), id="row28-empty"),
        pytest.param(answer(200, b"{"), id="row28-bad-json"),
        pytest.param(raw_service.redirect("/elsewhere"), id="row28-redirect"),
    ],
)
async def test_a_get_that_goes_wrong_can_be_asked_again(service: RawService, ask: Any, reply: Reply) -> None:
    client = client_for(service, reply)
    service.on("GET", "*", reply)
    error = await failure_of(ask, client)
    await client.aclose()
    assert (type(error), error.code) == (UnexpectedResponseError, "bad_answer")
    service.wait_for_request()
    assert len(service.requests) == 1


@pytest.mark.parametrize("ask", [ask_status, ask_result, ask_credits, ask_history, ask_list])
async def test_row28_a_service_that_is_away_is_unreachable(
    service: RawService, client: EndpointClient, ask: Any
) -> None:
    service.refuse()
    assert type(await failure_of(ask, client)) is EndpointUnreachableError


async def test_a_list_of_a_hundred_long_prompts_is_read_page_by_page(
    service: RawService, client: EndpointClient
) -> None:
    body = {"prompt": "狐" * 2000, "negative_prompt": "雨" * 1000}
    rows = [{"request_id": f"{number:032x}", "request_body": json.dumps(body)} for number in range(130)]

    def give(received: Received) -> Reply:
        page = int(re.findall(r"[?&]page=(\d+)", received.path)[0])
        return answer(200, json.dumps({"data": rows[100 * page - 100 : 100 * page]}))

    service.on("GET", "/inference-request/request-history", Reply(lambda wire, got: give(got).act(wire, got)))
    found = await client.past_requests(KEY, since=time.time() - 86_400, now=time.time)
    assert len(found) == 130
    assert {one.request.prompt for one in found if one.request} == {body["prompt"]}
    assert [one.path.partition("&per_page")[0][-7:] for one in service.requests] == ["?page=1", "?page=2", "?page=3"]
    assert {one.headers["x-api-key"] for one in service.requests} == {KEY}


async def test_the_time_that_a_response_takes_dates_no_row_back(service: RawService, client: EndpointClient) -> None:
    sent_at = clock = float(int(time.time()))

    def give(wire: Wire, received: Received) -> None:
        nonlocal clock
        clock = sent_at + 40
        answer(200, [{"request_id": ID, "created_at": int(sent_at)}], date=clock).act(wire, received)

    service.on("GET", "/inference-request/request-history", Reply(give))
    (found,) = await client.past_requests(KEY, since=sent_at - 86_400, now=lambda: clock)
    assert found.at == sent_at


@pytest.mark.parametrize("ask", [ask_status, ask_result])
async def test_row29_a_failed_job_says_why(service: RawService, client: EndpointClient, ask: Any) -> None:
    service.on("GET", "*", answer(422, {"status": "FAILED", "error": "Prompt is Mandatory", "metrics": {}}))
    error = await failure_of(ask, client)
    assert isinstance(error, JobFailedError)
    assert "Prompt is Mandatory" in words().sentence(error)


@pytest.mark.parametrize("ask", [ask_status, ask_result])
async def test_row30_a_forgotten_request_is_expired(service: RawService, client: EndpointClient, ask: Any) -> None:
    service.on("GET", "*", answer(404, {"error": f"Request {ID} not found"}))
    error = await failure_of(ask, client)
    assert isinstance(error, RequestExpiredError)
    assert ID in words().sentence(error)


@pytest.mark.parametrize("request_id", ["", "../../v1/get-user-credits", "abc/def", "abcdef?x=1", "a b c d e f"])
async def test_a_string_that_is_no_request_id_never_gets_into_an_address(
    service: RawService, client: EndpointClient, request_id: str
) -> None:
    for ask in (client.status, client.result, client.history):
        with pytest.raises(ValueError, match="not a request id"):
            await ask(request_id, KEY)
    assert service.connections == 0


async def test_credits_are_dollars(service: RawService, client: EndpointClient) -> None:
    service.on("GET", "/v1/get-user-credits", answer(200, {"credits": 8.5, "free-credits": 0.25}))
    assert await client.credits(KEY) == 8.75


async def test_a_cancelled_call_leaves_no_connection_behind(service: RawService) -> None:
    service.on("POST", SUBMIT_V2, raw_service.silence())
    client = client_of(service.origin, Timeouts(submit_s=60))
    async with anyio.create_task_group() as group:
        group.start_soon(client.submit, REQUEST, KEY)
        await anyio.to_thread.run_sync(service.wait_for_bill)
        group.cancel_scope.cancel()
    await client.aclose()
    assert len(service.bill) == 1
