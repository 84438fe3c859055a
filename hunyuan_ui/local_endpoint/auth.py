"""Checks of the local endpoint before a request is processed: key, content type, body, rate."""

from __future__ import annotations

import json
import secrets
import time
from collections import deque
from collections.abc import Collection
from datetime import datetime, timezone
from typing import Any, Final, cast

from fastapi import Request
from fastapi.responses import JSONResponse

from hunyuan_ui.endpoint.contract import KEY_HEADER, RATE_LIMIT_RESET_HEADER, is_key

_MOST_BYTES: Final = 1024 * 1024
_WINDOW_S: Final = 60.0


class Refusal(Exception):  # noqa: N818 - an answer, not a fault
    """A rejected request, with its response."""

    def __init__(self, status: int, error: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.headers = headers

    def response(self) -> JSONResponse:
        """Return the response in the service's envelope (docs/facts/segmind-api.md 1.4)."""
        return JSONResponse({"error": self.error}, self.status, headers=self.headers)


class Auth:
    """Checks the key, the body and the rate of each request.

    Args:
        keys: The only accepted keys; any well-formed one if None.
        requests_per_minute: Maximum paid requests per key and minute; no limit if None.
    """

    def __init__(self, keys: Collection[str] | None, requests_per_minute: int | None) -> None:
        self._keys = keys
        self._limit = requests_per_minute
        self._recent: dict[str, deque[float]] = {}

    def key_of(self, request: Request) -> str:
        """Return the caller's key.

        Raises:
            Refusal: 401, with a different text for each of the two reasons.
        """
        key = request.headers.get(KEY_HEADER, "")
        if not key and "authorization" not in request.headers:
            raise Refusal(401, "Missing Authorization or x-api-key in header")
        if not self._is_known(key):
            raise Refusal(401, "Unauthorized. API key is invalid or may have expired. Please check your API key.")
        return key

    async def values_of(self, request: Request) -> dict[str, Any]:
        """Return the JSON object of a generation request.

        Raises:
            Refusal: 406 for another content type, 400 for anything but an object with a prompt.
        """
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refusal(406, "Invalid content type")
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MOST_BYTES:
                raise Refusal(400, "The request body is too large")
        try:
            values: object = json.loads(body)
        except (ValueError, RecursionError):
            raise Refusal(400, "The request body is not valid JSON") from None
        if not isinstance(values, dict):
            raise Refusal(400, "The request body must be a JSON object")
        if "prompt" not in values:
            raise Refusal(400, "Prompt is Mandatory and must be string")
        return cast("dict[str, Any]", values)

    def count_paid(self, key: str) -> None:
        """Count one paid request.

        Raises:
            Refusal: 429, with the time at which the next one is accepted.
        """
        if self._limit is None:
            return
        now = time.time()
        recent = self._recent.setdefault(key, deque())
        while recent and recent[0] <= now - _WINDOW_S:
            recent.popleft()
        if len(recent) >= self._limit:
            # Rounded up to whole seconds: a client that waits until then is not refused again.
            reset = datetime.fromtimestamp(int(recent[0] + _WINDOW_S) + 1, timezone.utc)
            headers = {RATE_LIMIT_RESET_HEADER: reset.strftime("%Y-%m-%dT%H:%M:%SZ")}
            raise Refusal(429, "Rate limit exceeded. Please try again later.", headers)
        recent.append(now)

    def _is_known(self, key: str) -> bool:
        if not is_key(key):
            return False
        return self._keys is None or any(secrets.compare_digest(key.encode(), known.encode()) for known in self._keys)
