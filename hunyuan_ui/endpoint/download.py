"""Fetch a finished video: over connections of its own that never see the key, from safe addresses only."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final, cast

import anyio
import httpcore
import httpx

from hunyuan_ui.checkpoint import Checkpoint, no_checkpoint
from hunyuan_ui.endpoint.encodings import decoded, encodings
from hunyuan_ui.endpoint.guarded import READ_BYTES, GuardedBackend, GuardedTransport, LinkGuard
from hunyuan_ui.endpoint.saving import Check, Saved, SaveLimits, save
from hunyuan_ui.endpoint.wire import (
    TRANSPORT_ERRORS,
    content_length,
    new_request,
    reason_of,
    send,
    shared_ssl_context,
)
from hunyuan_ui.errors import DownloadError

__all__ = ["FetchLimits", "SaveLimits", "Saved", "fetch"]

_REDIRECTS: Final = (301, 302, 303, 307, 308)
_GONE: Final = (400, 401, 403, 404, 410)  # stores answer 400 or 403 for a signed link that ran out


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """How a link may lead to the file; times in s.

    Source: faults-and-security.md, rows 38 to 41.
    """

    connect_s: float = 10.0
    answer_s: float = 30.0
    max_redirects: int = 3
    save: SaveLimits = SaveLimits()  # noqa: RUF009 - frozen


async def fetch(
    url: str,
    part: Path,
    *,
    own_origin: str,
    check: Check,
    limits: FetchLimits = FetchLimits(),
    checkpoint: Checkpoint = no_checkpoint,
    ssl_context: ssl.SSLContext | None = None,
) -> Saved:
    """Fetch a video into a `.part` file, whole and checked or not at all.

    Args:
        url: The address from the service's answer: https and public, or of `own_origin`.
        part: Where to; its folder exists, and an older file there is replaced.
        own_origin: The base URL, whose own origin may be http and on this machine.
        check: Raises MediaError unless the file is a whole video; runs in a thread.
        limits: How far, how much and how slowly.
        checkpoint: Called at `part_opened`, `part_written` and `part_synced`.
        ssl_context: In place of the one that trusts the usual authorities.

    Raises:
        DownloadError: `link_refused` for an unsafe address; `expired` when a fresh one must be asked for.
        StorageError: The disk is full or cannot be written.
    """
    guard = LinkGuard(own_origin)
    transport = GuardedTransport(GuardedBackend(guard), ssl_context or shared_ssl_context())
    async with transport:
        response = await _follow(transport, guard, url, limits)
        try:
            _require_success(response)
            length = content_length(response.headers)
            is_encoded = bool(encodings(response.headers))
            raw = _body(response, length)
            async with aclosing(decoded(raw, response.headers) if is_encoded else raw) as body:
                length = None if is_encoded else length
                return await save(body, part, check=check, length=length, limits=limits.save, checkpoint=checkpoint)
        finally:
            await response.aclose()


async def _follow(
    transport: httpx.AsyncBaseTransport, guard: LinkGuard, link: str, limits: FetchLimits
) -> httpx.Response:
    for _ in range(limits.max_redirects + 1):
        url = guard.check(link)
        try:
            request = new_request("GET", url, limits.connect_s)
            response = await send(transport, request, anyio.current_time() + limits.answer_s)
        except TRANSPORT_ERRORS as error:
            raise _failed(reason_of(error)) from None
        if response.status_code not in _REDIRECTS:
            return response
        await response.aclose()
        try:
            link = str(url.join(response.headers.get("location", "")))
        except (httpx.InvalidURL, ValueError):
            raise _failed("it redirects to nowhere") from None
    raise _failed("it redirects too often")


async def _body(response: httpx.Response, length: int | None) -> AsyncGenerator[bytes, None]:
    """Yield the raw body; what has not come with the headers straight from the connection.

    The parser would copy each byte four times, which halves the rate of a large file. Only a body in chunks needs it.
    """
    left = None if "transfer-encoding" in response.headers else length
    async with aclosing(cast("AsyncGenerator[bytes, None]", response.aiter_raw())) as parsed:
        async for chunk in parsed:
            yield chunk
            if left is not None:
                left -= len(chunk)
                break  # the parser gave all it had
        connection = cast("httpcore.AsyncNetworkStream", response.extensions["network_stream"])
        while left:
            chunk = (await connection.read(READ_BYTES))[:left]
            if not chunk:
                raise httpx.RemoteProtocolError("the body is cut short")
            left -= len(chunk)
            yield chunk


def _require_success(response: httpx.Response) -> None:
    status = response.status_code
    if status in _GONE:
        raise _failed(f"HTTP {status}", expired=True)
    if status != HTTPStatus.OK:
        raise _failed(f"HTTP {status}")


def _failed(reason: str, *, expired: bool = False) -> DownloadError:
    return DownloadError("download_failed", retryable=not expired, expired=expired, reason=reason)
