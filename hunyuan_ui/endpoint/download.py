"""Downloads finished videos: over separate connections that never carry the key, from safe addresses only."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import shutil
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Final, Protocol

import anyio
import httpx

from hunyuan_ui.cancellation import shielded
from hunyuan_ui.checkpoint import checkpoint
from hunyuan_ui.endpoint import contract
from hunyuan_ui.endpoint.content_encoding import decoded
from hunyuan_ui.endpoint.embedded_video import MOST_BYTES, embedded_video
from hunyuan_ui.endpoint.http import (
    REDIRECTS,
    TRANSPORT_ERRORS,
    BackedTransport,
    content_length,
    new_request,
    not_counting_standstill,
    reason_of,
    shared_ssl_context,
)
from hunyuan_ui.endpoint.proxy_tunnel import ProxyBackend
from hunyuan_ui.endpoint.resumed_download import whole_body
from hunyuan_ui.endpoint.retry_after import named_wait_s
from hunyuan_ui.endpoint.safe_transport import SafeBackend, UrlPolicy
from hunyuan_ui.errors import DownloadError, MediaError, Reason, StorageError, reason
from hunyuan_ui.file_type import START_BYTES, is_text
from hunyuan_ui.file_writes import is_disk_full
from hunyuan_ui.outbound_proxies import DIRECT, Proxies

_LINK_EXPIRED: Final = (400, 401, 403, 404, 410)  # stores answer 400 or 403 for an expired signed link
_BUSY: Final = (429, 503)
_RANGE: Final = re.compile(r"bytes[ =]0-([0-9]{1,15})/([0-9]{1,15})", re.IGNORECASE)
_WRITTEN_BYTES: Final = 1024 * 1024  # per write: each is a thread call, which takes longer than the write itself
_SPARE_BYTES: Final = 8 * 1024 * 1024  # left free for the ledger and the sidecar


class Check(Protocol):
    """Raises MediaError unless a file is a complete video; `is_cut` says that the file may lack its end."""

    def __call__(self, part: Path, /, *, is_cut: bool = False) -> object:
        """Check a file; runs in a thread."""
        ...


@dataclass(frozen=True, slots=True)
class SaveLimits:
    """Limits on the size and slowness of a download.

    Args:
        max_bytes: Largest file; the largest clip of the model is a few MB.
        wall_s: Longest time from the request for the first byte to the last byte, in s.
        min_bytes_per_s: Lowest average rate, once `slow_after_s` have passed.
        slow_after_s: Grace period before the rate counts, in s.

    Source: docs/facts/faults-and-security.md, rows 40 and 41.
    """

    max_bytes: int = 256 * 1024 * 1024
    wall_s: float = 1800.0
    min_bytes_per_s: int = 8 * 1024
    slow_after_s: float = 30.0


async def save(
    chunks: AsyncIterator[bytes],
    part: Path,
    *,
    check: Check,
    start: bytes = b"",
    length: int | None = None,
    limits: SaveLimits = SaveLimits(),
) -> None:
    """Write a body to a file, which is afterwards complete, synced and checked, or deleted.

    Args:
        part: The target; its folder exists, and an older file is replaced.
        check: Decides whether the file is a complete video; also where the line broke, as an announced length may be
            wrong.
        start: Bytes that were read before `chunks`.

    Raises:
        DownloadError: The bytes are incomplete, or are no video.
        MediaError: `video_undecodable`: they are a complete video that cannot be played.
        StorageError: The disk is full or cannot be written.
    """
    is_whole, broken = False, None
    try:
        _require_room(part, length or len(start), limits)
        with _new_file(part) as file:
            checkpoint("part_opened")
            broken = await _copy(chunks, file, start, limits)
            checkpoint("part_written")
            await _in_thread(os.fsync, file.fileno())
            checkpoint("part_synced")
        await _in_thread(_unwrap, part)
        await _in_thread(partial(check, part, is_cut=broken is not None))
        is_whole = True
    except MediaError as error:
        if broken is not None:
            raise broken from None
        if error.code == "video_undecodable":
            raise
        why = error.facts.get("problem", reason("not_an_mp4"))
        kept = error.facts.get("kept")
        raise _failed(reason("kept", problem=why, file=kept) if kept else why) from None
    except OSError as error:
        raise _disk_error(error, part) from None
    finally:
        if not is_whole:
            _remove(part)


async def save_bytes(video: bytes, part: Path, *, check: Check) -> None:
    """Write a video that a response contained; arguments and errors are those of `save`."""
    await save(_nothing(), part, check=check, start=video)


async def _nothing() -> AsyncGenerator[bytes, None]:
    for chunk in ():
        yield chunk


def _unwrap(part: Path) -> None:
    """Replace a file that is text with a video in it by that video."""
    with part.open("rb") as file:
        if not is_text(file.read(START_BYTES)) or part.stat().st_size > MOST_BYTES:
            return
    body = part.read_bytes()
    value = contract.read_json(body) or body.decode("ascii", "ignore")
    video = embedded_video(body, contract.texts_in(value))
    if video is not None:
        with _new_file(part) as file:
            file.write(video)
            file.flush()
            os.fsync(file.fileno())


async def _copy(chunks: AsyncIterator[bytes], file: BinaryIO, start: bytes, limits: SaveLimits) -> DownloadError | None:
    """Write a body to a file; return why it ended, unless by itself."""
    size, broken = len(start), None
    held = bytearray(start)
    # A standstill must not end it: the bytes of a v1 video are sent only once.
    deadline = anyio.current_time() + _longest_s(size, limits)
    with anyio.CancelScope(deadline=deadline) as scope, not_counting_standstill(scope):
        try:
            async with aclosing(_received(chunks)) as received:
                async for chunk in received:
                    scope.deadline += _longest_s(size + len(chunk), limits) - _longest_s(size, limits)
                    size += len(chunk)
                    if size > limits.max_bytes:
                        raise _failed(reason("too_large"), retryable=False)
                    held += chunk
                    if len(held) >= _WRITTEN_BYTES:
                        await _in_thread(file.write, held)
                        held = bytearray()
        except _BrokenError as error:
            broken = _failed(error.why)
    if scope.cancelled_caught:
        raise _failed(reason("too_slow"))
    await _in_thread(file.write, held)
    await _in_thread(file.flush)
    return broken


class _BrokenError(Exception):
    """The line broke in the middle of a body."""

    def __init__(self, why: Reason) -> None:
        super().__init__()
        self.why = why


async def _in_thread(call: Callable[..., object], *args: object) -> None:
    """Run a call in a thread and wait for its end even when cancelled, so that its file is not closed meanwhile."""
    under_way = asyncio.get_running_loop().run_in_executor(None, call, *args)
    try:
        await shielded(under_way)
    except asyncio.CancelledError:
        with anyio.CancelScope(shield=True):
            await asyncio.wait([under_way])
        raise


def _longest_s(size: int, limits: SaveLimits) -> float:
    """Return the seconds after which the average rate is too low if nothing more comes, or the limit if shorter."""
    return min(limits.wall_s, max(limits.slow_after_s, size / limits.min_bytes_per_s))


async def _received(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    # A separate generator, so that an OSError of the network is never mistaken for one of the disk.
    try:
        async for chunk in chunks:
            yield chunk
    except TRANSPORT_ERRORS as error:
        raise _BrokenError(reason_of(error)) from None


def _new_file(part: Path) -> BinaryIO:
    return part.open("wb")


def _remove(part: Path) -> None:
    with suppress(OSError):
        part.unlink(missing_ok=True)


def _require_room(part: Path, length: int, limits: SaveLimits) -> None:
    if length > limits.max_bytes:
        raise _failed(reason("too_large"), retryable=False)
    if shutil.disk_usage(part.parent).free < length + _SPARE_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _disk_error(error: OSError, part: Path) -> StorageError:
    if not is_disk_full(error):
        return StorageError("video_not_written", reason=error.strerror or reason("input_output"))
    try:
        free = shutil.disk_usage(part.parent).free
    except OSError:
        free = reason("nothing")
    return StorageError("no_room_for_video", free=free)


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Limits on redirects, size and rate of a download; times in s.

    Source: docs/facts/faults-and-security.md, rows 38 to 41.
    """

    connect_s: float = 10.0
    answer_s: float = 30.0
    max_redirects: int = 3
    save: SaveLimits = SaveLimits()


async def fetch(
    url: str,
    part: Path,
    *,
    own_origin: str,
    check: Check,
    limits: FetchLimits = FetchLimits(),
    proxies: Proxies = DIRECT,
    ssl_context: ssl.SSLContext | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    own_headers: Mapping[str, str] | None = None,
) -> None:
    """Download a video into a `.part` file, complete and checked or not at all.

    Args:
        url: The address from the service's response: https and public, or of `own_origin`.
        part: The target; its folder exists, and an older file is replaced.
        own_origin: The base URL, whose own origin may be http and on this machine.
        check: Raises MediaError unless the file is a complete video; runs in a thread.
        ssl_context: Replaces the one that trusts the usual authorities.
        transport: For a service in this process; then only `own_origin` is opened, and the transport stays open.
        own_headers: Sent to `own_origin` only.

    Raises:
        DownloadError: `link_refused` for an unsafe address; `expired` if a new one must be requested.
        StorageError: The disk is full or cannot be written.
    """
    policy = UrlPolicy(own_origin, is_own_only=transport is not None)
    async with AsyncExitStack() as stack:
        used = transport or await stack.enter_async_context(_safe_transport(policy, proxies, ssl_context))

        async def request(headers: Mapping[str, str]) -> httpx.Response:
            response = await _follow(used, policy, url, limits, own=own_headers or {}, headers=headers)
            stack.push_async_callback(response.aclose)
            return response

        response = await request({})
        _require_success(response)
        encoded = whole_body(response, request)
        body = await stack.enter_async_context(aclosing(decoded(encoded, response.headers)))
        length = content_length(response.headers)
        await save(body, part, check=check, length=length, limits=limits.save)


async def answer_at(url: str, *, own_origin: str, proxies: Proxies) -> int:
    """Return the HTTP status for an address without reading the file.

    Arguments and errors are those of `fetch`.
    """
    policy = UrlPolicy(own_origin)
    async with _safe_transport(policy, proxies, None) as transport:
        response = await _follow(transport, policy, url, FetchLimits())
        await response.aclose()
        return response.status_code


def _safe_transport(policy: UrlPolicy, proxies: Proxies, ssl_context: ssl.SSLContext | None) -> BackedTransport:
    tunnel = ProxyBackend(proxies, shared_ssl_context())
    return BackedTransport(SafeBackend(policy, tunnel=tunnel), ssl_context or shared_ssl_context(), kept=0)


async def _follow(
    transport: httpx.AsyncBaseTransport,
    policy: UrlPolicy,
    link: str,
    limits: FetchLimits,
    *,
    own: Mapping[str, str] = MappingProxyType({}),
    headers: Mapping[str, str] = MappingProxyType({}),
) -> httpx.Response:
    for _ in range(limits.max_redirects + 1):
        url = policy.check(link)
        try:
            sent = {**headers, **(own if policy.is_of_own(url) else {})}
            request = new_request("GET", url, limits.connect_s, headers=sent)
            with anyio.fail_after(limits.answer_s):
                response = await transport.handle_async_request(request)
        except TRANSPORT_ERRORS as error:
            raise _failed(reason_of(error)) from None
        if response.status_code not in REDIRECTS:
            return response
        await response.aclose()
        try:
            link = str(url.join(response.headers.get("location", "")))
        except (httpx.InvalidURL, ValueError):
            raise _failed(reason("redirects_nowhere")) from None
    raise _failed(reason("redirects_too_often"))


def _require_success(response: httpx.Response) -> None:
    status = response.status_code
    if status in _LINK_EXPIRED:
        raise _failed(reason("http", status=status), expired=True)
    if status in _BUSY:
        busy = reason("http", status=status)
        raise DownloadError("download_failed", retry_after_s=named_wait_s(response.headers), reason=busy)
    # Any other success may have the whole file: the check of its bytes decides.
    if not response.is_success or (status == HTTPStatus.PARTIAL_CONTENT and not _is_all(response.headers)):
        raise _failed(reason("http", status=status))


def _is_all(headers: httpx.Headers) -> bool:
    """Whether a partial response covers the whole file (RFC 9110, 14.4), as from a cache that holds it in parts."""
    found = _RANGE.fullmatch(headers.get("content-range", "").strip())
    return found is not None and int(found[1]) + 1 == int(found[2])


def _failed(why: Reason, *, retryable: bool = True, expired: bool = False) -> DownloadError:
    return DownloadError("download_failed", retryable=retryable and not expired, expired=expired, reason=why)
