"""Caches Gradio's compressed scripts and styles: a page loads eighty, which Gradio recompressed each time."""

from __future__ import annotations

from typing import Any, Final, cast

import anyio
from gradio.brotli_middleware import BrotliMiddleware, BrotliResponder, Mode
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hunyuan_ui.ui.request_filter import route_path

ASSETS: Final = "/assets/"
MOST_KEPT_BYTES: Final = 16 * 1024 * 1024  # all of Gradio 6.31's compressed files are 5 MiB
_QUALITY: Final = 6  # a tenth smaller than Gradio's 4; from 9 on, a large file would block the event loop
_WINDOW: Final = 22  # of Brotli, as a binary logarithm
_SMALL_BYTES: Final = 500  # not worth compressing
_FOR_GOOD: Final = "public, max-age=31536000, immutable"  # their names change with their content


class AssetMemory:
    """ASGI middleware that compresses each of Gradio's scripts and styles once, and lets browsers cache it.

    Args:
        app: The wrapped application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._compressed = BrotliMiddleware(app, quality=_QUALITY)
        self._kept: dict[tuple[str, str], list[Message]] = {}
        self._room = MOST_KEPT_BYTES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http" or scope["method"] != "GET" or not (path := route_path(scope)).startswith(ASSETS):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if "range" in headers or "if-none-match" in headers:
            await self._app(scope, receive, send)
            return
        takes = headers.get("accept-encoding", "")
        # Gradio's compression checks only for these two words; the rest of the header does not change the response.
        asked = (path, next((word for word in ("br", "gzip") if word in takes), ""))
        for message in self._kept.get(asked) or await self._fetch(asked, scope):
            await send({name: list(value) if name == "headers" else value for name, value in message.items()})

    async def _fetch(self, asked: tuple[str, str], scope: Scope) -> list[Message]:
        messages: list[Message] = []
        requests: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Message:
            # Never report a disconnect, at which a file would be truncated: the response is cached for others.
            while not requests:
                await anyio.sleep_forever()
            return requests.pop()

        async def collect(message: Message) -> None:
            messages.append(message)

        await self._compressed(scope, receive, collect)
        size = sum(len(message.get("body", b"")) for message in messages)
        if messages[0]["status"] == 200:
            MutableHeaders(scope=messages[0])["Cache-Control"] = _FOR_GOOD
            # Strangers could fill it with uncompressed files, and with other spellings of the same path.
            is_wanted = asked[1] and "/" not in asked[0].removeprefix(ASSETS) and asked not in self._kept
            if is_wanted and size <= self._room:
                self._kept[asked] = messages
                self._room -= size
        return messages


PAGES: Final = ("", "/config")  # without an optional trailing slash
_LEVEL: Final = 4  # of gzip: a tenth larger than the best compression, in less than half the time


class PageCompression:
    """ASGI middleware in front of Gradio that compresses the page and its config, by Brotli where a client accepts it.

    Args:
        app: The wrapped application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._gzip = GZipMiddleware(app, minimum_size=_SMALL_BYTES, compresslevel=_LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http" or route_path(scope).rstrip("/") not in PAGES:
            await self._app(scope, receive, send)
        elif "br" in Headers(scope=scope).get("accept-encoding", ""):
            responder = BrotliResponder(self._app, _QUALITY, cast("Any", Mode).text, _WINDOW, 0, _SMALL_BYTES)
            await responder(scope, receive, send)
        else:
            await self._gzip(scope, receive, send)
