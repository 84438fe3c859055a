"""What both HTTP clients share: how connections are made, how bodies are read, and names for what breaks."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final, TypeVar

import anyio
import httpx

from hunyuan_ui import __version__
from hunyuan_ui.errors import EndpointUnreachableError

_LATE: Final = "the answer did not end in time"
_E = TypeVar("_E", bound=BaseException)

# identity: a compressed answer of 64 KiB can unpack to 200 MB (faults-and-security.md, row 27).
HEADERS: Final = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": f"hunyuan-ui/{__version__}"}

# The failures that prove no byte of the request was sent.
NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)

# Builtin OSError: the loop's own TimeoutError, and a TLS record that breaks after the handshake.
TRANSPORT_ERRORS: Final = (httpx.TransportError, OSError)

# A kept connection may be dead without either side knowing: a paid POST never shares one. Nothing queues in
# the pool either, whose cost grows with the square of what waits there; the runner's own limit stands before it.
LIMITS: Final = httpx.Limits(max_connections=None, max_keepalive_connections=0)


@lru_cache(maxsize=1)
def shared_ssl_context() -> ssl.SSLContext:
    """Return the one context that verifies certificates; building it costs 35 ms."""
    return httpx.create_ssl_context()


def keepalive_options() -> list[tuple[int, int, int]]:
    """Return socket options that keep a silent connection of minutes alive through NATs and load balancers."""
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 6)):
        if hasattr(socket, name):
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return options


def new_transport() -> httpx.AsyncHTTPTransport:
    """Return the transport of the client that carries the key."""
    return httpx.AsyncHTTPTransport(
        verify=shared_ssl_context(), trust_env=False, limits=LIMITS, socket_options=keepalive_options()
    )


def new_client(transport: httpx.AsyncBaseTransport, connect_s: float) -> httpx.AsyncClient:
    """Return a client that adds nothing of its own: no proxies, no redirects, no cookies, no limit on reading.

    A cookie would tie one visitor's key to the next visitor's call.

    Args:
        transport: Makes the connections.
        connect_s: Longest time to connect; everything else has a deadline of the caller's.
    """
    return httpx.AsyncClient(
        transport=transport,
        timeout=httpx.Timeout(None, connect=connect_s),
        headers=HEADERS,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        follow_redirects=False,
        trust_env=False,
    )


async def send(client: httpx.AsyncClient, request: httpx.Request, deadline: float) -> httpx.Response:
    """Send a request and return when the answer's headers are here.

    Raises:
        TimeoutError: The deadline, on the event loop's clock in s, has passed.
        httpx.TransportError: The connection failed.
    """
    with anyio.CancelScope(deadline=deadline):
        return await client.send(request, stream=True)
    raise TimeoutError


async def read_start(chunks: AsyncIterator[bytes], deadline: float, count: int) -> tuple[bytes, str | None]:
    """Read at least so many bytes of a body, and leave the rest.

    Args:
        chunks: The raw body.
        deadline: When to give up, on the event loop's clock in s.
        count: How many bytes are enough.

    Returns:
        What came, which is less only at the body's end, and what went wrong or None.
    """
    body = b""
    with anyio.CancelScope(deadline=deadline) as scope:
        try:
            async for chunk in chunks:
                body += chunk
                if len(body) >= count:
                    break
        except TRANSPORT_ERRORS as error:
            return body, reason_of(error)
    return body, _LATE if scope.cancelled_caught else None


async def read_body(
    chunks: AsyncGenerator[bytes, None], deadline: float, limit: int, start: bytes = b""
) -> tuple[bytes, str | None]:
    """Read a small body to its end.

    Args:
        chunks: The raw body.
        deadline: When to give up, on the event loop's clock in s.
        limit: The most bytes to take.
        start: What was read of it before.

    Returns:
        What came, and why it is not all of it or None.
    """
    body = bytearray(start)
    with anyio.CancelScope(deadline=deadline) as scope:
        try:
            async with aclosing(chunks):
                async for chunk in chunks:
                    body += chunk
                    if len(body) > limit:
                        return b"", "the answer is too large"
        except TRANSPORT_ERRORS as error:
            return bytes(body), reason_of(error)
    return bytes(body), _LATE if scope.cancelled_caught else None


def content_length(headers: httpx.Headers) -> int | None:
    """Return the body's announced length in bytes, or None."""
    text = headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def is_compressed(headers: httpx.Headers) -> bool:
    """Whether a body came compressed although that was declined."""
    return headers.get("content-encoding", "identity").strip().lower() not in ("", "identity")


def unreachable(error: Exception) -> EndpointUnreachableError:
    """Return the error for a request that was never sent."""
    if trouble := _find(error, ssl.SSLError):
        return EndpointUnreachableError("tls_failed", reason=_tls_reason(trouble))
    return EndpointUnreachableError("unreachable", reason=reason_of(error))


def reason_of(error: BaseException) -> str:
    """Name a transport failure in a few words of our own: the libraries' texts may quote what the peer sent."""
    if _find(error, socket.gaierror):
        return "its name was not found"
    if _find(error, ConnectionRefusedError):
        return "the connection was refused"
    match error:
        case httpx.ConnectTimeout() | httpx.PoolTimeout():
            return "no connection in time"
        case httpx.ConnectError() | httpx.UnsupportedProtocol():
            return "no connection"
        case httpx.TimeoutException() | TimeoutError():
            return "no answer in time"
        case httpx.RemoteProtocolError():
            return "the connection closed, or what came is not HTTP"
        case _:
            return "the connection broke"


def _tls_reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate: {error.verify_message}"
    return (error.reason or "handshake").replace("_", " ").lower()


def _find(error: BaseException | None, kind: type[_E]) -> _E | None:
    while error is not None:
        for one in (error, *getattr(error, "exceptions", ())):
            if isinstance(one, kind):
                return one
        error = error.__cause__ or error.__context__
    return None
