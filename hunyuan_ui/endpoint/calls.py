"""Calls: one HTTP call to a video service, with a deadline, and errors that say whether money may have been spent."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
import httpx

from hunyuan_ui.endpoint.http import (
    NEVER_SENT,
    TRANSPORT_ERRORS,
    body_of,
    new_request,
    new_transport,
    not_counting_standstill,
    read_body,
    reason_of,
    unreachable,
)
from hunyuan_ui.endpoint.responses import Answer
from hunyuan_ui.errors import OutcomeUnknownError, UnexpectedResponseError
from hunyuan_ui.outbound_proxies import DIRECT, Proxies

JSON_LIMIT: Final = 2 * 1024 * 1024  # bytes of a JSON response (docs/facts/faults-and-security.md, row 25)
_MOST_KEPT: Final = 100  # connections beyond this are not reused


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Wall-clock limits in seconds; each counts from sending to the last byte of the response.

    Source: docs/facts/faults-and-security.md, rows 4 and 26; v1 blocks about 211 s and has no published limit.
    """

    connect_s: float = 10.0
    submit_s: float = 30.0
    get_s: float = 30.0
    generate_s: float = 900.0


class Calls:
    """The connection pools of one client.

    Args:
        transport: Replaces real connections, for a service in this process; closed with the client.
    """

    def __init__(
        self, transport: httpx.AsyncBaseTransport | None, timeouts: Timeouts, proxies: Proxies = DIRECT
    ) -> None:
        self._timeouts = timeouts
        # A kept connection may be dead without either side knowing: a paid POST never reuses one.
        self._posts = transport or new_transport(kept=0, proxies=proxies)
        self._gets = transport or new_transport(kept=_MOST_KEPT, proxies=proxies)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._posts.aclose()
        await self._gets.aclose()

    async def post(self, url: str, headers: Mapping[str, str], key: str, deadline: float, **body: Any) -> Reply:
        """Send a POST, once.

        Args:
            headers: In addition to the standard ones.
            key: Redacted from all texts of the response.
            body: `json` or `parts`, as for `new_request`.

        Raises:
            EndpointUnreachableError: It was never sent.
            OutcomeUnknownError: It was sent and no response came.
        """
        outgoing = new_request("POST", url, self._timeouts.connect_s, headers=headers, **body)
        started = anyio.current_time()
        try:
            # No other POST can be sent for this one's response, so a standstill must not end the wait for it.
            with anyio.fail_after(deadline - started) as scope, not_counting_standstill(scope):
                response = await self._posts.handle_async_request(outgoing)
            return Reply(response, key, scope.deadline, anyio.current_time() - started)
        except NEVER_SENT as error:
            failure = unreachable(error)
        except TRANSPORT_ERRORS as error:
            failure = OutcomeUnknownError("no_answer", reason=reason_of(error))
        # Raised here, without a context: the original exception may hold the request, and that the key.
        raise failure

    async def get(
        self, url: str, headers: Mapping[str, str], key: str, *, limit: int = JSON_LIMIT, method: str = "GET"
    ) -> Answer:
        """Send a free call, and read its whole response of at most `limit` bytes.

        Raises:
            EndpointUnreachableError: It was never sent.
            UnexpectedResponseError: No response came.
        """
        deadline = anyio.current_time() + self._timeouts.get_s
        outgoing = new_request(method, url, self._timeouts.connect_s, headers=headers)
        try:
            with anyio.fail_after(self._timeouts.get_s):
                response = await self._gets.handle_async_request(outgoing)
            return await Reply(response, key, deadline).read_all(limit)
        except NEVER_SENT as error:
            failure = unreachable(error)
        except TRANSPORT_ERRORS as error:
            failure = UnexpectedResponseError("bad_answer", reason=reason_of(error))
        raise failure


@dataclass(frozen=True, slots=True)
class Reply:
    """A response with its headers received and its body unread; `deadline` is on the event loop's clock in s."""

    response: httpx.Response
    key: str = field(repr=False)
    deadline: float
    elapsed_s: float = 0.0

    async def read_all(self, limit: int) -> Answer:
        """Read the body, of at most `limit` bytes, and release the connection."""
        try:
            return await self.read(body_of(self.response), limit=limit)
        finally:
            await self.response.aclose()

    async def read(self, chunks: AsyncGenerator[bytes, None], start: bytes = b"", *, limit: int) -> Answer:
        """Read the rest of the body after `start`, of at most `limit` bytes."""
        body, problem = await read_body(chunks, self.deadline, limit, start)
        response = self.response
        return Answer(response.status_code, response.headers, body, problem, elapsed_s=self.elapsed_s, key=self.key)
