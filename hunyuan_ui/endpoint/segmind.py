"""EndpointClient: HTTP client for both API versions of the hosted model.

The paid POST is sent once. It ends in one of three ways: a response, a proof that it was never sent
(`EndpointUnreachableError`) or refused (`EndpointStatusError`), or `OutcomeUnknownError`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import anyio
import httpx

from hunyuan_ui.endpoint import contract, responses
from hunyuan_ui.endpoint.calls import JSON_LIMIT, Calls, Reply, Timeouts
from hunyuan_ui.endpoint.content_encoding import SNIFFED
from hunyuan_ui.endpoint.contract import Accepted, HistoryRow, Metrics, RemoteResult, RemoteStatus
from hunyuan_ui.endpoint.download import Check, SaveLimits, save
from hunyuan_ui.endpoint.embedded_video import MOST_BYTES
from hunyuan_ui.endpoint.history import PastRequest, PastRequests, history_row, list_query
from hunyuan_ui.endpoint.http import body_of, content_length, read_start
from hunyuan_ui.endpoint.responses import Answer
from hunyuan_ui.errors import (
    AuthenticationError,
    DownloadError,
    EndpointError,
    EndpointStatusError,
    EndpointUnreachableError,
    JobFailedError,
    OutcomeUnknownError,
    UnexpectedResponseError,
    reason,
)
from hunyuan_ui.file_type import is_text, video_type
from hunyuan_ui.outbound_proxies import DIRECT, Proxies
from hunyuan_ui.request import VideoRequest

_ASKED_AGAIN_S: Final = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0)  # waits before each question about a refused request
_DENIALS: Final = 2  # a request may be unknown for a moment after its id was given
LIST_LIMIT: Final = 8 * 1024 * 1024  # bytes of a page of 100 requests, each with its prompts


@dataclass(slots=True)
class BlockingAnswer:
    """A successful v1 response: either `url` is the video's address, or `save` writes its bytes."""

    request_id: str | None
    metrics: Metrics
    url: str | None
    _start: bytes = field(repr=False)
    _chunks: AsyncIterator[bytes] | None = field(repr=False)
    _length: int | None

    async def save(self, part: Path, *, check: Check, limits: SaveLimits = SaveLimits()) -> None:
        """Write the video's bytes to a file; can be called once, inside the `async with`.

        Raises:
            MediaError: They are a complete video that cannot be played.
            DownloadError: The bytes are incomplete; `expired`, because only the history may have another copy.
            StorageError: The disk is full or cannot be written.
        """
        if self._chunks is None:
            raise ValueError("this answer has an address, or was saved already")
        chunks, self._chunks = self._chunks, None
        try:
            await save(chunks, part, start=self._start, length=self._length, check=check, limits=limits)
            return
        except DownloadError as error:
            lost = DownloadError(error.code, retryable=False, expired=True, **error.facts)
        raise lost


class EndpointClient:
    """Client of the hosted service; the key is passed with each call and never stored.

    A free call raises EndpointError if the service is unreachable, refuses or sends an unexpected response. One about a
    request raises JobFailedError if it failed there, and RequestExpiredError if the service no longer knows it.

    Args:
        base_url: Of the model's API, such as `https://api.segmind.com`.
        transport: Replaces real connections, for a service in this process; closed with the client.
    """

    def __init__(
        self,
        base_url: str,
        history_url: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        timeouts: Timeouts = Timeouts(),
        proxies: Proxies = DIRECT,
    ) -> None:
        self._base = base_url.rstrip("/")
        self._history = history_url.rstrip("/")
        self._timeouts = timeouts
        self._calls = Calls(transport, timeouts, proxies)
        self._taken: deque[str] = deque(maxlen=1000)  # ids of the requests accepted last
        self._blocking = 0  # v1 calls under way

    async def aclose(self) -> None:
        """Close all connections."""
        await self._calls.aclose()

    async def submit(self, request: VideoRequest, key: str) -> Accepted:
        """Send a v2 job, once, and return the accepted job."""
        deadline = anyio.current_time() + self._timeouts.submit_s
        url, body = self._base + contract.SUBMIT_V2, _wire_values(request)
        reply = await self._calls.post(url, _key_header(key), key, deadline, json=body)
        answer = await reply.read_all(MOST_BYTES)
        try:
            taken = responses.accepted(answer, self._base)
        except EndpointStatusError as error:
            failure = await self._believed(error, key)
            raise failure from None
        self._taken.append(contract.bare_id(taken.request_id))
        return taken

    async def _believed(self, refusal: EndpointStatusError, key: str) -> EndpointError:
        """Return a refusal, or an unknown outcome if the service may have the request that the refusal names."""
        doubt = refusal.in_doubt
        if doubt is None:
            return refusal
        is_failure = refusal.code == "service_failed"  # which the request's own failure only confirms
        may_have = await self._may_have(doubt.facts["request_id"], key, is_failure=is_failure)
        return doubt if may_have and not self._is_of_another(doubt) else refusal

    def _is_of_another(self, doubt: OutcomeUnknownError) -> bool:
        # A limit may name the request that uses it up. The id of a blocking call is not known before its end.
        return contract.bare_id(doubt.facts["request_id"]) in self._taken or self._blocking > 1

    async def _may_have(self, request_id: str, key: str, *, is_failure: bool) -> bool:
        """Whether the service has a request, or does not tell for a while.

        Args:
            is_failure: That it failed there, free of charge, counts as that the service does not have it.
        """
        denials = 0
        for wait_s in _ASKED_AGAIN_S:
            await anyio.sleep(wait_s)
            has_it = await self._has(request_id, key, is_failure=is_failure)
            denials += has_it is False
            if has_it or denials == _DENIALS:
                return has_it is True
        return True

    async def _has(self, request_id: str, key: str, *, is_failure: bool) -> bool | None:
        """Whether the service says that it has a request; None if it says nothing about it."""
        with suppress(EndpointUnreachableError, UnexpectedResponseError):
            answer = await self._get(self._base + contract.status_path(_checked(request_id)), key, MOST_BYTES)
            if answer.status == HTTPStatus.TOO_MANY_REQUESTS or answer.status >= 500:
                return None
            try:
                responses.remote_status(answer, request_id, self._base)
            except EndpointError as error:
                return error.cost_usd is not None or (isinstance(error, JobFailedError) and not is_failure)
            return True
        return None

    async def status(self, request_id: str, key: str) -> RemoteStatus:
        """Return the state of a v2 request."""
        answer = await self._get(self._base + contract.status_path(_checked(request_id)), key, MOST_BYTES)
        return responses.remote_status(answer, request_id, self._base)

    async def result(self, request_id: str, key: str) -> RemoteResult:
        """Return the video address of a completed v2 request, or its video.

        Raises:
            UnexpectedResponseError: With code `no_video_in_result` if it is done but names no video.
        """
        answer = await self._get(self._base + contract.result_path(_checked(request_id)), key, MOST_BYTES)
        return responses.remote_result(answer, request_id, self._base)

    @asynccontextmanager
    async def generate(
        self, request: VideoRequest, key: str, *, expected_s: float = 0.0
    ) -> AsyncGenerator[BlockingAnswer, None]:
        """Send a v1 job, once, and wait for its response, which may take minutes.

        Args:
            expected_s: Expected seconds; if above the usual, the time limit is extended in proportion.
        """
        times = max(1.0, expected_s / contract.USUAL_S)
        deadline = anyio.current_time() + self._timeouts.generate_s * times
        url, body = self._base + contract.GENERATE_V1, _wire_values(request)
        self._blocking += 1
        try:
            reply = await self._calls.post(url, _key_header(key), key, deadline, json=body)
            try:
                async with aclosing(body_of(reply.response)) as chunks:
                    yield await _blocking_answer(reply, chunks, self._base)
            except EndpointStatusError as error:
                failure = await self._believed(error, key)
                raise failure from None
            finally:
                await reply.response.aclose()
        finally:
            self._blocking -= 1

    async def credits(self, key: str) -> float:
        """Return the account's credits in US dollars, paid and free together; free of charge."""
        return responses.balance(await self._get(self._base + contract.CREDITS, key))

    async def history(self, request_id: str, key: str) -> HistoryRow | None:
        """Return the row of the account's history for a request, or None; free of charge."""
        answer = await self._get(self._history + contract.history_path(_checked(request_id)), key)
        return history_row(answer, request_id)

    async def past_requests(self, key: str, *, since: float, now: Callable[[], float]) -> list[PastRequest]:
        """Return every request of this model in the account's history of some days; free of charge.

        Args:
            since: UTC seconds on the first of the days.
            now: Returns UTC seconds by this machine's clock, at most 26 days later.

        Raises:
            EndpointError: The whole history could not be read; never that it is empty.
        """
        found, until = PastRequests(now), now()
        while True:
            url = self._history + list_query(found.next_page, since, until)
            if not found.take(await self._get(url, key, LIST_LIMIT)):
                return found.all()

    async def status_of_wrong_verb(self, dialect: str, key: str) -> int:
        """Return the HTTP status of a GET where the API expects a POST; free of charge.

        Args:
            dialect: v1 or v2.
        """
        path = contract.SUBMIT_V2 if dialect == "v2" else contract.GENERATE_V1
        return (await self._get(self._base + path, key)).status

    async def _get(self, url: str, key: str, limit: int = JSON_LIMIT) -> Answer:
        return await self._calls.get(url, _key_header(key), key, limit=limit)


async def _blocking_answer(reply: Reply, chunks: AsyncGenerator[bytes, None], base: str) -> BlockingAnswer:
    response = reply.response
    # The content type is ignored: empty and HTML bodies came as video/mp4 (docs/facts/segmind-api.md 1.1).
    start, problem, deadline = await read_start(chunks, reply.deadline, SNIFFED)
    # So is the status if the body begins as a video: no error response contains one.
    is_file = not is_text(start) if response.is_success else video_type(start) is not None
    if problem is None and is_file:
        # Sent only once, so it is saved before it is judged.
        return _described(response, start=start, chunks=chunks)
    answer = await replace(reply, deadline=deadline).read(chunks, start, limit=MOST_BYTES)
    url = responses.finished_url(answer, base)
    if url is not None:
        return _described(response, url, fields=answer.fields)
    if answer.video is not None:
        return _described(response, start=answer.video, chunks=chunks, fields=answer.fields)
    raise responses.unreadable(answer) if answer.is_success else responses.post_error(answer)


def _described(
    response: httpx.Response,
    url: str | None = None,
    *,
    fields: Mapping[str, Any] | None = None,
    start: bytes = b"",
    chunks: AsyncGenerator[bytes, None] | None = None,
) -> BlockingAnswer:
    headers, fields = response.headers, fields or {}
    named = (*contract.ids_in_header(headers), *contract.ids_in(fields))
    return BlockingAnswer(
        request_id=next(iter(named), None),
        metrics=Metrics.of(headers, fields),
        url=url,
        _start=start,
        _chunks=chunks,
        _length=content_length(headers),
    )


def _wire_values(request: VideoRequest) -> dict[str, Any]:
    # 7 rather than 7.0: the documented sample has integers, and a strict service may insist on them.
    values = request.model_dump()
    values.update({name: int(v) for name, v in values.items() if isinstance(v, float) and v.is_integer()})
    return values


def _key_header(key: str) -> dict[str, str]:
    if not key:
        raise AuthenticationError("key_missing")
    if not contract.is_key(key):
        raise AuthenticationError("key_refused", detail=reason("not_a_key"))
    return {contract.KEY_HEADER: key}


def _checked(request_id: str) -> str:
    if not contract.is_request_id(request_id):
        raise ValueError("not a request id")
    return request_id
