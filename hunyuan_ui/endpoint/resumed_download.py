"""Continues an interrupted download from where it broke (RFC 9110, 14), as a line may never last for a whole file."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final, TypeAlias

import httpx

from hunyuan_ui.endpoint.content_encoding import encodings
from hunyuan_ui.endpoint.http import TRANSPORT_ERRORS, content_length
from hunyuan_ui.errors import DownloadError

Request: TypeAlias = Callable[[Mapping[str, str]], Awaitable[httpx.Response]]

_MOST_PARTS: Final = 200  # each has brought at least a byte; the download's time limits hold for all together
_PART: Final = re.compile(r"bytes ([0-9]{1,15})-[0-9]{1,15}/([0-9]{1,15}|\*)", re.IGNORECASE)
_ALL: Final = re.compile(r"bytes \*/([0-9]{1,15})", re.IGNORECASE)


async def whole_body(response: httpx.Response, request: Request) -> AsyncGenerator[bytes, None]:
    """Yield a body without decoding it, and what is missing after an interruption, if the server sends parts.

    Args:
        response: The first one, of the whole file.
        request: Repeats its request with some more headers; the caller closes its responses.

    Raises:
        httpx.TransportError: It broke, and nothing more can be had of the same file.
    """
    size, part = 0, response
    for _ in range(_MOST_PARTS):
        before = size
        try:
            async for chunk in part.aiter_raw():
                size += len(chunk)
                yield chunk
            return
        except TRANSPORT_ERRORS:
            rest = await _rest(response, request, size) if size > before else None
            if rest is None:
                raise
            part = rest
    raise httpx.ReadError("")


async def _rest(first: httpx.Response, request: Request, size: int) -> httpx.Response | None:
    """Request a file from some byte on; return an empty response if there is no more, None if it has no such part."""
    etag = first.headers.get("etag", "")
    version = etag if etag.startswith('"') else first.headers.get("last-modified", "")
    only_if = {"If-Range": version} if version else {}
    try:
        rest = await request({"Range": f"bytes={size}-", **only_if})
    except DownloadError:
        return None
    told = rest.headers.get("content-range", "").strip()
    whole = _ALL.fullmatch(told)
    if rest.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and whole and int(whole[1]) == size:
        # The announced length was wrong.
        return httpx.Response(HTTPStatus.PARTIAL_CONTENT, stream=httpx.ByteStream(b""))
    found = _PART.fullmatch(told)
    is_same = rest.headers.get("etag", "") == etag and encodings(rest.headers) == encodings(first.headers)
    length = content_length(first.headers)
    is_whole = found is not None and (length is None or found[2] in ("*", str(length)))
    is_rest = rest.status_code == HTTPStatus.PARTIAL_CONTENT and is_whole and is_same
    return rest if is_rest and found is not None and int(found[1]) == size else None
