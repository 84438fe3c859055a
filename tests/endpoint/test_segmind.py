"""The client against a misbehaving service on real sockets; row numbers are those of the fault table."""

from __future__ import annotations

import json
import socket
import ssl
import time
import traceback
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
import trustme

import hunyuan_ui
from hunyuan_ui.endpoint.contract import SUBMIT_V2, RemoteState
from hunyuan_ui.endpoint.segmind import EndpointClient, Timeouts
from hunyuan_ui.errors import (
    AuthenticationError,
    EndpointStatusError,
    EndpointUnreachableError,
    HunyuanUIError,
    OutcomeUnknownError,
    OutOfCreditsError,
    RateLimitError,
    Reason,
    UnexpectedResponseError,
    reason,
)
from hunyuan_ui.words import words
from tests import raw_service
from tests.app_process import free_port
from tests.endpoint import calls
from tests.endpoint.calls import (
    ID,
    KEY,
    POSTS,
    REQUEST,
    ask_credits,
    ask_history,
    ask_list,
    ask_result,
    ask_status,
    client_for,
    client_of,
    failure_of,
    submit,
)
from tests.raw_service import RawService, Reply, answer, html

pytestmark = pytest.mark.anyio


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
    assert time.monotonic() - began < 60  # sequentially they would take 1,200 s


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        pytest.param(answer(200, {"x": " " * 34_000_000, "request_id": ID}), "too large", id="row25-too-large"),
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


async def test_row25_an_id_at_the_start_of_too_large_an_answer_is_kept(
    service: RawService, client: EndpointClient
) -> None:
    service.on("POST", SUBMIT_V2, answer(200, {"request_id": ID, "x": " " * 3_000_000}))
    assert await submit(client) == ID


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
    request_id = (await client.submit(REQUEST, KEY)).request_id
    for _ in range(2):
        await client.status(request_id, KEY)
    await submit(client)
    assert [received.connection for received in service.requests] == [1, 2, 2, 3]


async def test_a_question_on_a_connection_that_died_can_be_asked_again(
    service: RawService, client: EndpointClient
) -> None:
    service.serve_v2(b"")
    request_id = (await client.submit(REQUEST, KEY)).request_id
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


@pytest.mark.slow
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
    assert time.monotonic() - began < 60  # sequentially they would take 1,200 s
    await client.aclose()


# --- the shape of the way


class Stacked(httpx.AsyncBaseTransport):
    """Records the program's functions on the stack when a request is sent."""

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
    monkeypatch.setattr(calls, "KEY", "pass+word/1")
    service.on("POST", path, answer(400, {"error": "bad key pass+word/1, or pass%2Bword%2F1"}))
    error = await failure_of(post, client)
    assert error.facts["detail"] == "bad key ***, or ***"
    for ask in (ask_status, ask_result, ask_credits, ask_history, ask_list):
        service.on("GET", "*", answer(403, {"error": "bad key pass+word/1"}))
        assert "pass" not in repr((await failure_of(ask, client)).facts)
