"""HTTP helpers for API calls and downloads: transports, requests, bodies, time limits, names of transport failures."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Mapping, MutableMapping
from contextlib import aclosing, contextmanager
from functools import lru_cache
from typing import Any, Final, TypeAlias, TypeVar

import anyio
import httpcore
import httpx

from hunyuan_ui import __version__
from hunyuan_ui.endpoint.content_encoding import EncodingError, decoded, encodings
from hunyuan_ui.endpoint.proxy_tunnel import ProxyBackend, ProxyRefusedError
from hunyuan_ui.errors import EndpointUnreachableError, Reason, reason
from hunyuan_ui.file_type import START_BYTES
from hunyuan_ui.outbound_proxies import Proxies

_LATE: Final = reason("answer_without_end")
_E = TypeVar("_E", bound=BaseException)

# identity: 64 KiB of a compressed response can unpack to 200 MB (docs/facts/faults-and-security.md, row 27).
HEADERS: Final = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": f"hunyuan-ui/{__version__}"}

# Failures that prove that no byte of the request was sent.
NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)

# Builtin OSError: the loop's own TimeoutError, and a TLS record that breaks after the handshake.
TRANSPORT_ERRORS: Final = (httpx.TransportError, OSError)

# Idle time of a reusable connection, in s: shorter than any service's timeout, so that a call hardly ever gets a dead
# connection, and short because the pool scans all idle connections on every call.
_KEPT_S: Final = 1.0

TICK_S: Final = 1.0  # between two looks whether this process stood still
SLOW_S: Final = 2.0  # a busy event loop is late by less

# Through NATs and load balancers, when idle for minutes; not every system has all of these options.
_KEEPALIVE: Final = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)] + [
    (socket.IPPROTO_TCP, getattr(socket, name), value)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 6))
    if hasattr(socket, name)
]

REDIRECTS: Final = (301, 302, 303, 307, 308)


@lru_cache(maxsize=1)
def shared_ssl_context() -> ssl.SSLContext:
    """Return the shared certificate-verifying context; building it takes 35 ms."""
    return httpx.create_ssl_context()


def new_transport(*, kept: int, proxies: Proxies) -> httpx.AsyncHTTPTransport:
    """Return a transport for calls that carry the key.

    Bypasses httpx's client to avoid its redirects and cookies: a cookie would link one visitor's key to the next
    visitor's call.

    Nothing queues in its pool, whose cost grows with the square of the queue; the runner limits concurrency instead.

    Args:
        kept: Number of connections up to which one is reused.
    """
    return BackedTransport(ProxyBackend(proxies, shared_ssl_context()), shared_ssl_context(), kept=kept)


class BackedTransport(httpx.AsyncHTTPTransport):
    """A transport over connections that a custom backend opens.

    Args:
        kept: Number of connections up to which one is reused.
    """

    def __init__(self, backend: httpcore.AsyncNetworkBackend, ssl_context: ssl.SSLContext, *, kept: int) -> None:
        super().__init__(verify=ssl_context, trust_env=False)
        # httpx has no public way to set a backend; test_download.py proves that this one is used.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl_context,
            max_connections=None,
            max_keepalive_connections=kept,
            keepalive_expiry=_KEPT_S,
            socket_options=_KEEPALIVE,
            network_backend=backend,
        )


ASGIApp: TypeAlias = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[Any]], Callable[[MutableMapping[str, Any]], Awaitable[None]]],
    Awaitable[None],
]


class InProcessTransport(httpx.ASGITransport):
    """Calls an ASGI app in this process, without a port; its lifespan lasts from the first call to `aclose`.

    An exception in the app becomes a 500 response, as on a server.
    """

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app, raise_app_exceptions=False)
        self._lifespan: asyncio.Future[None] | None = None
        self._events: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self._is_started = asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Handle a request, once the app has started."""
        if self._lifespan is None:
            self._events.put_nowait({"type": "lifespan.startup"})
            scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
            self._lifespan = asyncio.ensure_future(self.app(scope, self._events.get, self._started))
        await self._is_started.wait()
        return await super().handle_async_request(request)

    async def aclose(self) -> None:
        """End the app's lifespan; may be called twice."""
        if self._lifespan is not None:
            self._events.put_nowait({"type": "lifespan.shutdown"})
            await self._lifespan

    async def _started(self, _: MutableMapping[str, Any]) -> None:
        self._is_started.set()


def new_request(
    method: str,
    url: httpx.URL | str,
    connect_s: float,
    *,
    headers: Mapping[str, str] | None = None,
    json: object = None,
    parts: Mapping[str, str] | None = None,
) -> httpx.Request:
    """Return a request for a transport.

    Args:
        connect_s: Connect timeout; the caller sets a deadline for everything else.
        headers: In addition to the standard ones.
        parts: The body as text fields of a multipart form, by name.
    """
    # Without a file name each is a text field and no upload.
    files = None if parts is None else [(name, (None, text)) for name, text in parts.items()]
    extensions = {"timeout": {"connect": connect_s}}
    headers = {**HEADERS, **(headers or {})}
    return httpx.Request(method, url, headers=headers, json=json, files=files, extensions=extensions)


@contextmanager
def not_counting_standstill(scope: anyio.CancelScope) -> Generator[None]:
    """Extend a deadline by each time inside the block in which this process stood still, such as suspended or paused.

    What arrived meanwhile has not been read yet.

    Args:
        scope: Entered; its deadline is on the event loop's clock, in s.
    """
    loop = asyncio.get_running_loop()

    def tick(due: float) -> None:
        # Runs before the scope's own timer, because it was due before.
        nonlocal ticker
        late_s = loop.time() - due
        if late_s > SLOW_S:
            scope.deadline += late_s
        ticker = next_tick()

    def next_tick() -> asyncio.TimerHandle:
        due = loop.time() + TICK_S
        return loop.call_at(due, tick, due)

    ticker = next_tick()
    try:
        yield
    finally:
        ticker.cancel()


async def read_start(chunks: AsyncIterator[bytes], deadline: float, count: int) -> tuple[bytes, Reason | None, float]:
    """Read at least `count` bytes of a body, and leave the rest.

    Args:
        deadline: On the event loop's clock, in s.
        count: Number of bytes that suffice.

    Returns:
        The bytes, fewer only at the body's end, the failure or None, and the deadline for the rest of the body.
    """
    body = b""
    with anyio.CancelScope(deadline=deadline) as scope, not_counting_standstill(scope):
        try:
            async for chunk in chunks:
                body += chunk
                if len(body) >= count:
                    break
        except TRANSPORT_ERRORS as error:
            return body, reason_of(error), scope.deadline
    return body, _LATE if scope.cancelled_caught else None, scope.deadline


async def read_body(
    chunks: AsyncGenerator[bytes, None], deadline: float, limit: int, start: bytes = b""
) -> tuple[bytes, Reason | None]:
    """Read a small body to its end.

    Args:
        deadline: On the event loop's clock, in s.
        limit: Maximum number of bytes.

    Returns:
        The bytes, only the first ones if there are too many, and why they are incomplete or None.
    """
    body = bytearray(start)
    with anyio.CancelScope(deadline=deadline) as scope, not_counting_standstill(scope):
        try:
            async with aclosing(chunks):
                async for chunk in chunks:
                    body += chunk
                    if len(body) > limit:
                        return bytes(body[:START_BYTES]), reason("answer_too_large")
        except TRANSPORT_ERRORS as error:
            return bytes(body), reason_of(error)
    return bytes(body), _LATE if scope.cancelled_caught else None


def body_of(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """Yield a decoded body as it arrives."""
    # No chunk size: httpx then passes on the socket's chunks without copying them.
    return decoded(response.aiter_raw(), response.headers)


def content_length(headers: httpx.Headers) -> int | None:
    """Return the announced length in bytes of an unencoded body, or None."""
    if encodings(headers):
        return None
    text = headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def unreachable(error: Exception) -> EndpointUnreachableError:
    """Return the error for a request that was never sent."""
    if trouble := _find(error, ssl.SSLError):
        return EndpointUnreachableError("tls_failed", reason=_tls_reason(trouble))
    return EndpointUnreachableError("unreachable", reason=reason_of(error))


def reason_of(error: BaseException) -> Reason:
    """Name a transport failure without the library's text, which may quote the peer."""
    if refused := _find(error, ProxyRefusedError):
        return reason("proxy_refused", status=refused.status) if refused.status else reason("no_tunnel")
    if _find(error, socket.gaierror):
        return reason("name_not_found")
    if _find(error, ConnectionRefusedError):
        return reason("connection_refused")
    if isinstance(error, EncodingError):
        return error.why
    match error:
        case httpx.ConnectTimeout() | httpx.PoolTimeout():
            return reason("no_connection_in_time")
        case httpx.ConnectError() | httpx.UnsupportedProtocol():
            return reason("no_connection")
        case httpx.TimeoutException() | TimeoutError():
            return reason("no_answer_in_time")
        case httpx.RemoteProtocolError():
            return reason("not_http")
        case _:
            return reason("connection_broke")


def _tls_reason(error: ssl.SSLError) -> str | Reason:
    # Only an error that OpenSSL itself raised has these attributes.
    if isinstance(error, ssl.SSLCertVerificationError):
        return reason("certificate", problem=getattr(error, "verify_message", "") or reason("not_trusted"))
    detail: str = getattr(error, "reason", "") or ""
    return detail.replace("_", " ").lower() or reason("handshake")


def _find(error: BaseException | None, kind: type[_E]) -> _E | None:
    while error is not None:
        for one in (error, *getattr(error, "exceptions", ())):
            if isinstance(one, kind):
                return one
        error = error.__cause__ or error.__context__
    return None
