"""The client against a service on real sockets that misbehaves; row numbers are those of the fault table."""

from __future__ import annotations

import json
import re
import socket
import ssl
import sys
import time
import traceback
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
import trustme

import hunyuan_ui
from hunyuan_ui.endpoint.contract import GENERATE_V1, SUBMIT_V2, HistoryRow, Metrics, RemoteState
from hunyuan_ui.endpoint.download import SaveLimits
from hunyuan_ui.endpoint.segmind import EndpointClient, Timeouts
from hunyuan_ui.errors import (
    AuthenticationError,
    DownloadError,
    EndpointStatusError,
    EndpointUnreachableError,
    HunyuanUIError,
    JobFailedError,
    OutcomeUnknownError,
    OutOfCreditsError,
    RateLimitError,
    Reason,
    RequestExpiredError,
    UnexpectedResponseError,
    reason,
)
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.words import words
from tests import raw_service
from tests.raw_service import RawService, Received, Reply, answer, html
from tests.videos import mp4_bytes

pytestmark = pytest.mark.anyio

KEY = "SG_0123456789abcdef"
ID = "2c7f59ea13f1402c9353915a2b5a2124"
REQUEST = VideoRequest.parse({"prompt": "a lighthouse in a storm"})
CALM = Timeouts(connect_s=10, submit_s=10, get_s=10, generate_s=10)
SHORT = Timeouts(connect_s=10, submit_s=0.3, get_s=0.3, generate_s=0.3)


@pytest.fixture
def service() -> Iterator[RawService]:
    with RawService() as running:
        yield running


@pytest.fixture
async def client(service: RawService) -> AsyncIterator[EndpointClient]:
    made = client_of(service.origin)
    yield made
    await made.aclose()


def client_of(origin: str, timeouts: Timeouts = CALM) -> EndpointClient:
    return EndpointClient(origin, f"{origin}/inference-request", timeouts=timeouts)


def client_for(service: RawService, reply: Reply) -> EndpointClient:
    """A client that waits for what will come, and not long for what never will."""
    return client_of(service.origin, SHORT if reply.stalls else CALM)


async def submit(client: EndpointClient) -> str:
    return await client.submit(REQUEST, KEY)


async def generate(client: EndpointClient) -> str | None:
    async with client.generate(REQUEST, KEY) as found:
        return found.url


POSTS = [pytest.param(submit, SUBMIT_V2, id="v2"), pytest.param(generate, GENERATE_V1, id="v1")]


async def failure_of(call: Any, *arguments: object) -> HunyuanUIError:
    with pytest.raises(HunyuanUIError) as caught:
        await call(*arguments)
    assert_no_key_in(caught.value)
    return caught.value


def assert_no_key_in(error: BaseException) -> None:
    """The key is nowhere an error could take it: its texts, and the errors and requests it hangs on to."""
    texts = [*traceback.format_exception(error), repr(error)]
    seen: BaseException | None = error
    while seen is not None:
        texts += [str(seen), repr(seen.args), repr(vars(seen))]
        assert not hasattr(seen, "request"), "the request holds the key"
        seen = seen.__cause__ or seen.__context__
    # The test's own source line may name the constant, never its value.
    assert not [text for text in texts if KEY in text]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


# --- never sent


@pytest.mark.parametrize(("post", "path"), POSTS)
async def test_row01_a_refused_connection_sends_nothing(post: Any, path: str) -> None:
    client = client_of(f"http://127.0.0.1:{free_port()}")
    error = await failure_of(post, client)
    assert (type(error), error.code) == (EndpointUnreachableError, "unreachable")
    assert "refused" in words().sentence(error)
    await client.aclose()


@pytest.mark.parametrize(("post", "path"), POSTS)
async def test_row02_a_name_that_does_not_resolve_sends_nothing(
    post: Any, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    client = client_of("http://api.segmind.test")
    error = await failure_of(post, client)
    assert (type(error), error.code) == (EndpointUnreachableError, "unreachable")
    assert "its name was not found" in words().sentence(error)
    await client.aclose()


@pytest.mark.parametrize(("post", "path"), POSTS)
async def test_row03_a_certificate_nobody_vouches_for_stops_everything(post: Any, path: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with RawService(ssl_context=context) as service:
        client = client_of(service.origin)
        error = await failure_of(post, client)
        assert (type(error), error.code) == (EndpointUnreachableError, "tls_failed")
        assert "certificate" in words().sentence(error)
        assert service.requests == []
        await client.aclose()


@pytest.mark.parametrize(("post", "path"), POSTS)
async def test_row03_a_peer_without_tls_stops_everything(service: RawService, post: Any, path: str) -> None:
    service.greet_connections(b"HTTP/1.1 400 Bad Request\r\n\r\n")  # as a captive portal would
    client = client_of(service.origin.replace("http:", "https:"))
    error = await failure_of(post, client)
    assert (type(error), error.code) == (EndpointUnreachableError, "tls_failed")
    assert service.bill == []
    await client.aclose()


@pytest.mark.parametrize(("post", "path"), POSTS)
@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (ssl.SSLError("from elsewhere"), reason("handshake")),
        (ssl.SSLError(1, "from elsewhere"), reason("handshake")),
        (ssl.SSLZeroReturnError(6, "closed"), reason("handshake")),
        (ssl.SSLCertVerificationError("from elsewhere"), reason("certificate", problem=reason("not_trusted"))),
        (ssl.CertificateError(), reason("certificate", problem=reason("not_trusted"))),
    ],
    ids=repr,
)
async def test_row03_a_tls_failure_without_openssls_words_stops_everything_too(
    post: Any, path: str, trouble: ssl.SSLError, said: Reason
) -> None:
    async def never_connected(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("", request=request) from trouble

    client = EndpointClient("http://x.test", "http://x.test", transport=httpx.MockTransport(never_connected))
    error = await failure_of(post, client)
    assert (type(error), error.code) == (EndpointUnreachableError, "tls_failed")
    assert error.facts["reason"] == said
    await client.aclose()


@pytest.mark.parametrize(("post", "path"), POSTS)
async def test_row04_a_connection_that_is_not_made_in_time_sends_nothing(post: Any, path: str) -> None:
    # A full accept queue drops further handshakes, as an overloaded host does.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        timeouts = Timeouts(connect_s=0.2, submit_s=5, generate_s=5)
        client = client_of(f"http://127.0.0.1:{address[1]}", timeouts)
        error = await failure_of(post, client)
        assert (type(error), error.code) == (EndpointUnreachableError, "unreachable")
        assert "no connection in time" in words().sentence(error)
        await client.aclose()
        for filler in fillers:
            filler.close()


# --- sent, no usable answer


UNKNOWN = [
    pytest.param(raw_service.silence(), "no_answer", id="row06-silence"),
    pytest.param(raw_service.reset(), "no_answer", id="row07-reset"),
    pytest.param(raw_service.close(), "no_answer", id="row07-close"),
    pytest.param(raw_service.garbage(), "no_answer", id="row07-garbage"),
    pytest.param(answer(200, {"status": "QUEUED"}), "unreadable_answer", id="row10-no-id"),
    pytest.param(answer(200, {"error": "worker lost"}), "unreadable_answer", id="row12-json-error"),
    pytest.param(answer(200), "unreadable_answer", id="row13-empty"),
    pytest.param(answer(200, b"{" * 50), "unreadable_answer", id="row13-invalid-json"),
    pytest.param(answer(204), "unreadable_answer", id="row13-204"),
    pytest.param(
        raw_service.cut({"request": "x" * 50}, 20, framing="length"), "unreadable_answer", id="row13-cut-length"
    ),
    pytest.param(
        raw_service.cut({"request": "x" * 50}, 20, framing="chunked"), "unreadable_answer", id="row13-cut-chunked"
    ),
    pytest.param(
        raw_service.cut({"request": "x" * 50}, 20, framing="none"), "unreadable_answer", id="row13-cut-without-length"
    ),
    pytest.param(html(500), "gateway_failed", id="row22-500-html"),
    pytest.param(html(502), "gateway_failed", id="row22-502-html"),
    pytest.param(answer(503), "gateway_failed", id="row22-503-empty"),
    pytest.param(html(504), "gateway_failed", id="row22-504-html"),
    pytest.param(html(200), "unreadable_answer", id="row23-html-200"),
    pytest.param(raw_service.huge(), "unreadable_answer", id="row25-huge-announced"),
    pytest.param(raw_service.huge(start=b"{", announced=False), "unreadable_answer", id="row25-huge-unannounced"),
    pytest.param(raw_service.slow_headers(), "no_answer", id="row26-slow-headers"),
    pytest.param(raw_service.slow_body(), "unreadable_answer", id="row26-slow-body"),
    pytest.param(raw_service.gzip_bomb(), "unreadable_answer", id="row27-gzip-bomb"),
]


@pytest.mark.parametrize(("post", "path"), POSTS)
@pytest.mark.parametrize(("reply", "code"), UNKNOWN)
async def test_a_post_without_a_usable_answer_is_unknown_and_went_out_once(
    service: RawService, post: Any, path: str, reply: Reply, code: str
) -> None:
    client = client_for(service, reply)
    service.on("POST", path, reply)
    began = time.monotonic()
    error = await failure_of(post, client)
    await client.aclose()
    assert (type(error), error.code) == (OutcomeUnknownError, code)
    assert "may have been charged" in words().sentence(error)
    assert "script" not in words().sentence(error)
    assert [received.path for received in service.requests] == [path]
    assert time.monotonic() - began < 60  # one after another they would take 1,200 s


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        pytest.param(answer(200, {"request_id": ID, "x": " " * 3_000_000}), "too large", id="row25-too-large"),
        pytest.param(
            answer(200, b"\x28\xb5\x2f\xfd", headers={"Content-Encoding": "zstd"}),
            "compressed as",
            id="row27-compressed",
        ),
    ],
)
async def test_what_is_over_a_limit_is_not_even_looked_at(
    service: RawService, client: EndpointClient, reply: Reply, told: str
) -> None:
    service.on("POST", SUBMIT_V2, reply)
    assert told in words().sentence(await failure_of(submit, client))


@pytest.mark.parametrize(("post", "path"), POSTS)
async def test_row05_a_connection_dropped_while_the_request_is_sent_is_unknown(
    service: RawService, client: EndpointClient, post: Any, path: str
) -> None:
    service.drop_connections()
    error = await failure_of(post, client)
    assert (type(error), error.code) == (OutcomeUnknownError, "no_answer")
    assert service.connections == 1


async def test_row08_every_post_has_a_connection_of_its_own(service: RawService, client: EndpointClient) -> None:
    service.serve_v2(b"")
    for _ in range(3):
        await submit(client)
    assert [received.connection for received in service.requests] == [1, 2, 3]


async def test_a_question_may_use_a_connection_again_and_a_post_never_does(
    service: RawService, client: EndpointClient
) -> None:
    service.serve_v2(b"")
    request_id = await client.submit(REQUEST, KEY)
    for _ in range(2):
        await client.status(request_id, KEY)
    await submit(client)
    assert [received.connection for received in service.requests] == [1, 2, 2, 3]


async def test_a_question_on_a_connection_that_died_can_be_asked_again(
    service: RawService, client: EndpointClient
) -> None:
    service.serve_v2(b"")
    request_id = await client.submit(REQUEST, KEY)
    service.on("GET", "*/status", [answer(200, {"status": "QUEUED"}), raw_service.reset()])
    await client.status(request_id, KEY)
    assert type(await failure_of(EndpointClient.status, client, request_id, KEY)) is UnexpectedResponseError
    assert (await client.status(request_id, KEY)).state is RemoteState.QUEUED
    assert [received.connection for received in service.requests] == [1, 2, 2, 3]


async def test_a_transport_error_of_the_event_loop_is_unknown_too() -> None:
    async def broken_tls(request: httpx.Request) -> httpx.Response:
        raise ssl.SSLError("bad record mac")

    client = EndpointClient("http://x.test", "http://x.test", transport=httpx.MockTransport(broken_tls))
    assert type(await failure_of(submit, client)) is OutcomeUnknownError
    await client.aclose()


# --- refused


REFUSED = [
    pytest.param(answer(400, {"error": "bad"}), EndpointStatusError, "bad_body", id="row14-400"),
    pytest.param(answer(404, {"error": "no"}), EndpointStatusError, "model_unknown", id="row14-404"),
    pytest.param(answer(410, {"error": "gone"}), EndpointStatusError, "model_retired", id="row14-410"),
    pytest.param(answer(422, {"error": "no"}), EndpointStatusError, "refused_before_run", id="row14-422"),
    pytest.param(answer(401, {"error": f"bad {KEY}"}), AuthenticationError, "key_refused", id="row15-401"),
    pytest.param(answer(403, {"error": "no"}), AuthenticationError, "not_allowed", id="row15-403"),
    pytest.param(html(405), EndpointStatusError, "wrong_method", id="row16-405-html"),
    pytest.param(
        answer(406, {"error": "Invalid content type"}), EndpointStatusError, "wrong_content_type", id="row17-406"
    ),
    pytest.param(answer(406, {"error": "Insufficient credits"}), OutOfCreditsError, "out_of_credits", id="row18-406"),
    pytest.param(answer(402, {"error": "Insufficient credits"}), OutOfCreditsError, "out_of_credits", id="row18-402"),
    pytest.param(answer(500, {"error": "oom"}), EndpointStatusError, "service_failed", id="row21-500-json"),
    pytest.param(raw_service.redirect("http://127.0.0.1:9/"), EndpointStatusError, "service_moved", id="row24-302"),
    pytest.param(raw_service.redirect("/elsewhere", 307), EndpointStatusError, "service_moved", id="row24-307"),
    pytest.param(raw_service.huge(401), AuthenticationError, "key_refused", id="row25-huge-401"),
    pytest.param(raw_service.slow_body(401), AuthenticationError, "key_refused", id="row26-slow-401"),
    pytest.param(raw_service.gzip_bomb(401), AuthenticationError, "key_refused", id="row27-gzip-401"),
]


@pytest.mark.parametrize(("post", "path"), POSTS)
@pytest.mark.parametrize(("reply", "kind", "code"), REFUSED)
async def test_a_refused_post_cost_nothing_and_went_out_once(
    service: RawService, post: Any, path: str, reply: Reply, kind: type[Exception], code: str
) -> None:
    client = client_for(service, reply)
    service.on("POST", path, reply)
    error = await failure_of(post, client)
    await client.aclose()
    assert (type(error), error.code) == (kind, code)
    assert "charged" in words().sentence(error)
    assert [received.path for received in service.requests] == [path]
    assert service.bill == []


@pytest.mark.parametrize(("post", "path"), POSTS)
@pytest.mark.parametrize(
    ("reply", "low", "high"),
    [
        pytest.param(raw_service.rate_limited("retry-after", 7), 7, 7, id="row19-retry-after"),
        pytest.param(raw_service.rate_limited("reset", 42), 42, 42, id="row20-reset"),
        pytest.param(raw_service.rate_limited("reset", 42, clock_off_s=9000), 42, 42, id="row20-its-own-clock"),
        pytest.param(raw_service.rate_limited("neither"), 15, 60, id="row20-neither"),
    ],
)
async def test_a_rate_limit_says_how_long_to_wait(
    service: RawService, client: EndpointClient, post: Any, path: str, reply: Reply, low: float, high: float
) -> None:
    service.on("POST", path, reply)
    error = await failure_of(post, client)
    assert isinstance(error, RateLimitError)
    assert low <= error.retry_after_s <= high
    assert len(service.requests) == 1


# --- what is sent


@pytest.mark.parametrize(("post", "path"), POSTS)
async def test_a_post_carries_the_documented_body_and_headers(
    service: RawService, client: EndpointClient, post: Any, path: str
) -> None:
    service.on("POST", path, answer(400))
    await failure_of(post, client)
    received = service.requests[0]
    assert received.headers["x-api-key"] == KEY
    assert received.headers["content-type"] == "application/json"
    assert received.headers["accept-encoding"] == "identity"
    assert "authorization" not in received.headers
    assert "cookie" not in received.headers
    assert json.loads(received.body) == REQUEST.model_dump()
    assert b'"flow_shift":7,' in received.body


@pytest.mark.parametrize("key", ["", "SG_abc\r\nx-evil: 1", "SG abc", "SG_ключ", "SG_\x00", "x" * 10_000])
async def test_a_key_that_cannot_be_one_is_refused_before_anything_is_sent(
    service: RawService, client: EndpointClient, key: str
) -> None:
    with pytest.raises(AuthenticationError) as caught:
        await client.submit(REQUEST, key)
    assert not key or key not in words().sentence(caught.value)
    assert service.connections == 0


async def test_cookies_of_one_call_are_not_sent_with_the_next(service: RawService, client: EndpointClient) -> None:
    service.on("GET", "*", answer(200, {"credits": 1}, headers={"Set-Cookie": "session=owner; Path=/"}))
    await client.credits(KEY)
    await client.credits("SG_visitor0000000")
    assert "cookie" not in service.requests[1].headers


def test_the_key_is_not_kept_in_the_client() -> None:
    client = EndpointClient("http://x.test", "http://x.test")
    assert KEY not in repr(vars(client))


@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="the system names its keepalive options otherwise")
async def test_a_silent_connection_is_kept_alive_by_tcp(service: RawService, monkeypatch: pytest.MonkeyPatch) -> None:
    service.serve_v2(b"")
    seen: dict[tuple[int, int], int] = {}
    set_option = socket.socket.setsockopt

    def record(self: socket.socket, *arguments: Any) -> None:
        seen[arguments[:2]] = arguments[2]
        set_option(self, *arguments)

    monkeypatch.setattr(socket.socket, "setsockopt", record)
    client = client_of(service.origin)
    await submit(client)
    assert seen[socket.SOL_SOCKET, socket.SO_KEEPALIVE] == 1
    assert seen[socket.IPPROTO_TCP, socket.TCP_KEEPIDLE] == 30
    await client.aclose()


async def test_two_hundred_calls_wait_side_by_side(service: RawService) -> None:
    service.on("POST", SUBMIT_V2, raw_service.silence())
    client = client_of(service.origin, Timeouts(submit_s=6))
    errors: list[HunyuanUIError] = []

    async def one() -> None:
        errors.append(await failure_of(submit, client))

    began = time.monotonic()
    async with anyio.create_task_group() as group:
        for _ in range(200):
            group.start_soon(one)
    assert len(service.bill) == len(errors) == 200
    assert time.monotonic() - began < 60  # one after another they would take 1,200 s
    await client.aclose()


# --- v2


async def test_a_v2_job_goes_from_submit_to_its_address(service: RawService, client: EndpointClient) -> None:
    service.serve_v2(b"video")
    request_id = await client.submit(REQUEST, KEY)
    states = [(await client.status(request_id, KEY)).state for _ in range(3)]
    assert states == [RemoteState.QUEUED, RemoteState.PROCESSING, RemoteState.COMPLETED]
    result = await client.result(request_id, KEY)
    assert result.url == f"{service.origin}/files/{request_id}.mp4"
    assert result.metrics == Metrics(cost=1.46, inference_time=0.5, queue_time=0.1)
    assert await client.history(request_id, KEY) == HistoryRow(result.url, 1.46, None)
    assert len(service.bill) == 1
    assert {received.headers["x-api-key"] for received in service.requests} == {KEY}


async def ask_status(client: EndpointClient) -> object:
    return await client.status(ID, KEY)


async def ask_result(client: EndpointClient) -> object:
    return await client.result(ID, KEY)


async def ask_credits(client: EndpointClient) -> object:
    return await client.credits(KEY)


async def ask_history(client: EndpointClient) -> object:
    return await client.history(ID, KEY)


async def ask_list(client: EndpointClient) -> object:
    return await client.past_requests(KEY, since=0.0, until=86_400.0)


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
    found = await client.past_requests(KEY, since=0.0, until=86_400.0)
    assert len(found) == 130
    assert {one.request.prompt for one in found if one.request} == {body["prompt"]}
    assert [one.path.partition("&per_page")[0][-7:] for one in service.requests] == ["?page=1", "?page=2", "?page=3"]
    assert {one.headers["x-api-key"] for one in service.requests} == {KEY}


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


# --- v1


def no_check(_: Path) -> None:
    pass


VIDEO = mp4_bytes()
BYTES_TYPES = ["video/mp4", "application/octet-stream", "text/html", "application/json", ""]


@pytest.mark.parametrize("content_type", BYTES_TYPES)
async def test_row11_raw_bytes_are_a_video_whatever_they_call_themselves(
    service: RawService, client: EndpointClient, tmp_path: Path, content_type: str
) -> None:
    headers = {"x-request-id": ID, "x-cost": "1.46", "x-generation-time": "205.1", "x-seed-value": "7"}
    service.on("POST", GENERATE_V1, answer(200, VIDEO, content_type=content_type, headers=headers))
    async with client.generate(REQUEST, KEY) as found:
        assert (found.url, found.request_id, found.seed) == (None, ID, 7)
        assert found.metrics == Metrics(cost=1.46, inference_time=205.1)
        await found.save(tmp_path / "a.part", check=no_check)
    assert (tmp_path / "a.part").read_bytes() == VIDEO
    assert len(service.bill) == 1


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "video/mp4"])
@pytest.mark.parametrize(
    "body",
    [
        {"output": "https://x.test/1.mp4"},
        {"output": ["https://x.test/1.mp4"]},
        {"output": {"url": "https://x.test/1.mp4"}},
        {"video": {"url": "https://x.test/1.mp4"}},
        {"video_url": "https://x.test/1.mp4"},
    ],
)
async def test_row11_json_names_the_video(
    service: RawService, client: EndpointClient, body: dict[str, Any], content_type: str
) -> None:
    service.on("POST", GENERATE_V1, answer(200, {**body, "seed": "7"}, content_type=content_type))
    async with client.generate(REQUEST, KEY) as found:
        assert found.url == "https://x.test/1.mp4"
        assert found.seed == 7
        with pytest.raises(ValueError, match="address"):
            await found.save(Path("never"), check=no_check)


async def test_the_cost_may_stand_in_the_json(service: RawService, client: EndpointClient) -> None:
    body = {"output": "https://x.test/1.mp4", "metrics": {"cost": 1.46}}
    service.on("POST", GENERATE_V1, [answer(200, body), answer(200, body, headers={"x-cost": "1.5"})])
    costs: list[float | None] = []
    for _ in range(2):
        async with client.generate(REQUEST, KEY) as found:
            costs.append(found.metrics.cost)
    assert costs == [1.46, 1.5]


async def test_row12_a_v1_error_with_200_keeps_its_words_id_and_cost(
    service: RawService, client: EndpointClient
) -> None:
    headers = {"x-request-id": ID, "x-cost": "0.5"}
    service.on("POST", GENERATE_V1, answer(200, {"error": "worker lost"}, headers=headers))
    error = await failure_of(generate, client)
    assert error.facts == {"reason": "worker lost", "request_id": ID, "cost": 0.5}


async def test_a_v1_answer_that_breaks_off_may_only_be_found_in_the_history(
    service: RawService, client: EndpointClient, tmp_path: Path
) -> None:
    service.on("POST", GENERATE_V1, raw_service.cut(VIDEO, 200, content_type="video/mp4"))
    async with client.generate(REQUEST, KEY) as found:
        with pytest.raises(DownloadError) as caught:
            await found.save(tmp_path / "a.part", check=no_check)
    assert (caught.value.retryable, caught.value.expired) == (False, True)
    assert not (tmp_path / "a.part").exists()


async def test_the_bytes_may_come_slower_than_the_first_ones(
    service: RawService, client: EndpointClient, tmp_path: Path
) -> None:
    service.on("POST", GENERATE_V1, raw_service.slow_body(200, VIDEO, content_type="video/mp4"))
    limits = SaveLimits(slow_after_s=0.3)
    async with client.generate(REQUEST, KEY) as found:
        with pytest.raises(DownloadError) as caught:
            await found.save(tmp_path / "a.part", check=no_check, limits=limits)
    assert caught.value.facts["reason"] == reason("too_slow")


async def test_leaving_a_v1_answer_unread_closes_its_connection(service: RawService, client: EndpointClient) -> None:
    service.on("POST", GENERATE_V1, raw_service.huge(start=VIDEO))
    async with client.generate(REQUEST, KEY) as found:
        assert found.url is None
    await anyio.to_thread.run_sync(service.wait_until_closed)


async def test_a_v1_video_is_saved_once(service: RawService, client: EndpointClient, tmp_path: Path) -> None:
    service.serve_v1(VIDEO)
    async with client.generate(REQUEST, KEY) as found:
        await found.save(tmp_path / "a.part", check=no_check)
        assert (tmp_path / "a.part").read_bytes() == VIDEO
        with pytest.raises(ValueError, match="already"):
            await found.save(tmp_path / "b.part", check=no_check)


# --- credits


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


# --- the shape of the way


class Stacked(httpx.AsyncBaseTransport):
    """Notes which functions of the program stand on the stack when a request is sent."""

    def __init__(self) -> None:
        self.own: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        root = str(Path(hunyuan_ui.__file__).parent)
        self.own = [frame.name for frame in traceback.extract_stack() if frame.filename.startswith(root)]
        return httpx.Response(401, stream=httpx.ByteStream(b'{"error": "x"}'), request=request)


@pytest.mark.parametrize(("post", "path"), POSTS)
async def test_between_a_job_and_the_wire_are_two_functions(post: Any, path: str) -> None:
    transport = Stacked()
    client = EndpointClient("http://service.invalid", "http://service.invalid", transport=transport)
    await failure_of(post, client)
    own = [name for name in transport.own if name not in ("submit", "generate")]
    assert own == ["post"], path


# --- keys


@pytest.mark.parametrize(("post", "path"), POSTS)
async def test_a_key_of_any_shape_that_the_service_repeats_is_hidden(
    service: RawService, client: EndpointClient, monkeypatch: pytest.MonkeyPatch, post: Any, path: str
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "KEY", "pass+word/1")
    service.on("POST", path, answer(400, {"error": "bad key pass+word/1, or pass%2Bword%2F1"}))
    error = await failure_of(post, client)
    assert error.facts["detail"] == "bad key ***, or ***"
    for ask in (ask_status, ask_result, ask_credits, ask_history, ask_list):
        service.on("GET", "*", answer(403, {"error": "bad key pass+word/1"}))
        assert "pass" not in repr((await failure_of(ask, client)).facts)
