"""The doors: which of Gradio's own routes stay shut, how much may be sent in, and a look at all of it at the start.

Source: faults-and-security.md 6.1, measured on Gradio 6.31.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, cast
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.formparsers import MultiPartException
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hunyuan_ui.settings import Settings, is_loopback

MOST_BYTES: Final = 1024 * 1024  # a request's texts are a few kilobytes
MOST_FILE_BYTES: Final = 64 * 1024 * 1024  # said to Gradio as well, although its uploads are shut

# Routes this page has no use for: uploads that are kept, an open proxy, statistics for everybody, files written for
# every caller, a video converter, and an editor of the program itself.
_SHUT: Final = re.compile(
    r"/monitoring(/.*)?"
    r"|/gradio_api/file[=/]https?:.*"
    r"|/gradio_api/proxy=.*"
    r"|/gradio_api/(upload|upload_progress|deep_link|runs|run-history|process_recording|stream|profiling|dev)(/.*)?"
    r"|/gradio_api/(undo-)?vibe-.*",
    re.IGNORECASE | re.DOTALL,
)
_ELSEWHERE: Final = (
    "This page answers on this machine only, and was asked for by another name. "
    "To let others in, start it with --share or with GRADIO_SERVER_NAME, and set limits first."
)


class Doors:
    """ASGI filter in front of Gradio: shuts what the page does not use, and bounds what is sent in.

    Args:
        app: What lies behind.
        settings: Of this run. In private mode a request by another name than this machine's is refused, be it a
            stranger's page that has rebound its own name or a proxy that makes this page public unnoticed.
        unbounded: Paths that bound their own bodies.
    """

    def __init__(self, app: ASGIApp, settings: Settings, unbounded: frozenset[str]) -> None:
        self._app = app
        self._own_name = None if settings.is_public else settings.server_name.strip("[]").lower()
        self._unbounded = unbounded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, send)
        elif scope["path"] in self._unbounded:
            await self._app(scope, receive, send)
        else:
            await self._app(scope, _bounded(receive), send)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        if self._own_name is not None and not _is_for(headers.get("host", ""), self._own_name):
            return PlainTextResponse(_ELSEWHERE, 421)
        if _is_shut(scope):
            return PlainTextResponse("Not Found", 404)
        length = headers.get("content-length", "0")
        if scope["path"] not in self._unbounded and not (length.isdigit() and int(length[:20]) <= MOST_BYTES):
            return PlainTextResponse(f"At most {MOST_BYTES} bytes can be sent here.", 413)
        return None


def shut_doors(settings: Settings, *, unbounded: frozenset[str] = frozenset()) -> Middleware:
    """Return the filter for `app_kwargs`; arguments as for `Doors`."""
    return Middleware(Doors, settings=settings, unbounded=unbounded)


def _is_for(host: str, own_name: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return is_loopback(name) or name == own_name


def _is_shut(scope: Scope) -> bool:
    query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return _SHUT.fullmatch(scope["path"]) is not None or "deep_link" in query


def _bounded(receive: Receive) -> Receive:
    """Return a receive that breaks off when more bytes come than were announced."""
    seen = 0

    async def bounded() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MOST_BYTES:
            raise MultiPartException("The request exceeded the maximum allowed size.")
        return message

    return bounded


# What table 6.1 asks for, read back from the built app; a true answer is a fault.
_FAULTS: Final[tuple[tuple[str, Callable[[Any], object]], ...]] = (
    ("the API can be called past the queue (api_open)", lambda demo: demo.api_open),
    ("files that are sent in have no limit (max_file_size)", lambda demo: not demo.max_file_size),
    ("runs are recorded (run_history)", lambda demo: demo.run_history),
    ("errors show their texts (show_error)", lambda demo: demo.show_error),
    ("folders are served (allowed_paths)", lambda demo: demo.allowed_paths),
    ("a second server stands in front (ssr_mode)", lambda demo: demo.ssr_mode),
    ("the program can be edited from outside (GRADIO_VIBE_MODE)", lambda demo: demo.vibe_mode),
    ("the filter in front of Gradio is missing", lambda demo: not _has_doors(demo.app)),
)


def faults(demo: Any, *, has_analytics: bool, has_mcp: bool) -> list[str]:
    """Return what is wrong with an app that strangers are about to reach.

    Args:
        demo: The Blocks, while they are being launched.
        has_analytics: The owner lets Gradio tell its makers about this app.
        has_mcp: The owner has switched the tools for agents on.
    """
    found = [text for text, is_wrong in _FAULTS if is_wrong(demo)]
    if demo.analytics_enabled and not has_analytics:
        found.append("Gradio tells its makers about this app (analytics)")
    if demo.mcp_server and not has_mcp:
        found.append("agents are served without the owner's switch (GRADIO_MCP_SERVER)")
    return found


def _has_doors(app: Any) -> bool:
    middleware = cast("list[Any]", getattr(app, "user_middleware", []))
    return any(entry.cls is Doors for entry in middleware)
