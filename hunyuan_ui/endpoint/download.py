"""Fetch a finished video: over connections of its own that never see the key, from safe addresses only."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias, cast

import anyio
import anyio.to_thread
import httpcore
import httpx

from hunyuan_ui.checkpoint import Checkpoint, no_checkpoint
from hunyuan_ui.endpoint.encodings import decoded, encodings
from hunyuan_ui.endpoint.http import (
    TRANSPORT_ERRORS,
    content_length,
    new_request,
    reason_of,
    send,
    shared_ssl_context,
)
from hunyuan_ui.endpoint.safe_transport import READ_BYTES, GuardedBackend, GuardedTransport, LinkGuard
from hunyuan_ui.errors import DownloadError, MediaError, StorageError

__all__ = ["FetchLimits", "SaveLimits", "Saved", "fetch"]

Check: TypeAlias = Callable[[Path], object]

_REDIRECTS: Final = (301, 302, 303, 307, 308)
_GONE: Final = (400, 401, 403, 404, 410)  # stores answer 400 or 403 for a signed link that ran out
_BLOCK_BYTES: Final = 2 * 1024 * 1024  # two of them are in memory
_SPARE_BYTES: Final = 8 * 1024 * 1024  # stays free for the ledger and the sidecar
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, slots=True)
class SaveLimits:
    """How much and how slowly a video may come.

    Args:
        max_bytes: Largest file; the biggest clip the model makes is a few MB.
        wall_s: Longest time from the first byte asked for to the last, in s.
        min_bytes_per_s: Lowest average rate, once `slow_after_s` have passed.
        slow_after_s: Grace before the rate counts, in s.

    Source: docs/facts/faults-and-security.md, rows 40 and 41.
    """

    max_bytes: int = 256 * 1024 * 1024
    wall_s: float = 180.0
    min_bytes_per_s: int = 32 * 1024
    slow_after_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Saved:
    """A whole file: its size in bytes."""

    size: int


async def save(
    chunks: AsyncIterator[bytes],
    part: Path,
    *,
    check: Check,
    start: bytes = b"",
    length: int | None = None,
    limits: SaveLimits = SaveLimits(),
    checkpoint: Checkpoint = no_checkpoint,
) -> Saved:
    """Write a body to a file, which is complete, on the disk and checked afterwards, or gone.

    Args:
        chunks: The raw body.
        part: Where to; its folder exists, and an older file there is replaced.
        check: Raises MediaError unless the file is a whole video; runs in a thread.
        start: Bytes that were read before `chunks`.
        length: The announced size in bytes.
        limits: How much and how slowly it may come.
        checkpoint: Called at `part_opened`, `part_written` and `part_synced`.

    Raises:
        DownloadError: The bytes did not all come, or are no video.
        MediaError: `video_undecodable`: they are a whole video that cannot be played.
        StorageError: The disk is full or cannot be written.
    """
    is_whole = False
    try:
        _require_room(part, length or len(start), limits)
        with _new_file(part) as file:
            checkpoint("part_opened")
            saved = await _copy(chunks, file, start, limits)
            checkpoint("part_written")
            await anyio.to_thread.run_sync(os.fsync, file.fileno())
            checkpoint("part_synced")
        await anyio.to_thread.run_sync(check, part)
        is_whole = True
    except MediaError as error:
        if error.code == "video_undecodable":
            raise
        raise _failed(str(error.facts.get("problem", "what came is not an MP4 video"))) from None
    except OSError as error:
        raise _disk_error(error, part) from None
    finally:
        if not is_whole:
            _remove(part)
    return saved


async def _copy(chunks: AsyncIterator[bytes], file: BinaryIO, start: bytes, limits: SaveLimits) -> Saved:
    size = len(start)
    began = anyio.current_time()
    async with aclosing(_Writer(file)) as writer:
        await writer.add(start)
        with anyio.CancelScope(deadline=_deadline(began, size, limits)) as scope:
            async with aclosing(_received(chunks)) as received:
                async for chunk in received:
                    size += len(chunk)
                    if size > limits.max_bytes:
                        raise _failed("it is too large", retryable=False)
                    await writer.add(chunk)
                    scope.deadline = _deadline(began, size, limits)
        if scope.cancelled_caught:
            raise _failed("it came too slowly")
        await writer.flush()
    return Saved(size)


class _Writer:
    """Writes in a thread while more comes in, so that a slow disk holds up neither it nor anybody else.

    Two blocks of memory take turns: to copy into them is cheaper than to get new memory for every chunk that waits.

    Args:
        file: Nobody else's until `aclose` has returned.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._block = memoryview(bytearray(_BLOCK_BYTES))
        self._other = memoryview(bytearray(_BLOCK_BYTES))
        self._filled = 0
        self._under_way: asyncio.Future[int] | None = None

    async def add(self, chunk: bytes) -> None:
        """Take bytes to be written; wait when a block is full and the one before is not written yet."""
        rest = memoryview(chunk)
        while rest:
            fitting = rest[: _BLOCK_BYTES - self._filled]
            end = self._filled + len(fitting)
            self._block[self._filled : end] = fitting
            self._filled, rest = end, rest[len(fitting) :]
            if self._filled == _BLOCK_BYTES:
                await self._hand_over()

    async def flush(self) -> None:
        """Hand everything to the system."""
        await self._hand_over()
        await self._written()
        self._file.flush()

    async def aclose(self) -> None:
        """Wait, cancelled or not, until no thread uses the file."""
        if self._under_way is not None:
            with anyio.CancelScope(shield=True):
                await asyncio.wait([self._under_way])

    async def _hand_over(self) -> None:
        await self._written()
        full = self._block[: self._filled]
        self._block, self._other, self._filled = self._other, self._block, 0
        self._under_way = asyncio.get_running_loop().run_in_executor(None, self._file.write, full)

    async def _written(self) -> None:
        if self._under_way is not None:
            await asyncio.shield(self._under_way)


def _deadline(began: float, size: int, limits: SaveLimits) -> float:
    """Return when the average rate would fall too low if nothing more came, or the time is over."""
    return began + min(limits.wall_s, max(limits.slow_after_s, size / limits.min_bytes_per_s))


async def _received(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    # Its own generator, so that an OSError of the network is never taken for one of the disk.
    try:
        async for chunk in chunks:
            yield chunk
    except TRANSPORT_ERRORS as error:
        raise _failed(reason_of(error)) from None


def _new_file(part: Path) -> BinaryIO:
    return part.open("wb")


def _remove(part: Path) -> None:
    with suppress(OSError):
        part.unlink(missing_ok=True)


def _require_room(part: Path, length: int, limits: SaveLimits) -> None:
    if length > limits.max_bytes:
        raise _failed("it is too large", retryable=False)
    if shutil.disk_usage(part.parent).free < length + _SPARE_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _disk_error(error: OSError, part: Path) -> StorageError:
    if error.errno not in _FULL:
        return StorageError("video_not_written", reason=error.strerror or "input/output error")
    try:
        free = f"{shutil.disk_usage(part.parent).free / 1024**2:.0f} MiB"
    except OSError:
        free = "nothing"
    return StorageError("no_room_for_video", free=free)


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """How a link may lead to the file; times in s.

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


def _failed(reason: str, *, retryable: bool = True, expired: bool = False) -> DownloadError:
    return DownloadError("download_failed", retryable=retryable and not expired, expired=expired, reason=reason)
