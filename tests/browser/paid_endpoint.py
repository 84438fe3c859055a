"""The local endpoint as a paid service with its own bill, independent of the app's records."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.responses import JSONResponse

from hunyuan_ui.endpoint.contract import SUBMIT_V2
from hunyuan_ui.local_endpoint.app import create_app
from hunyuan_ui.local_endpoint.serving import serve


class PaidEndpoint:
    """Counts every paid POST by its prompt, answered or not, and keeps its body.

    Args:
        app: The wrapped ASGI app.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self.posts: Counter[str] = Counter()
        self.is_rendering_on = False
        self.bodies: list[dict[str, Any]] = []
        self.settings: dict[str, Any] = {}  # of an app that uses this service

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle one request."""
        if scope["type"] == "http" and scope["path"].endswith("/status") and self.is_rendering_on:
            await JSONResponse({"status": "PROCESSING"})(scope, receive, send)
            return
        if scope["type"] != "http" or scope["path"] != SUBMIT_V2:
            await self._app(scope, receive, send)
            return
        body = bytearray()

        async def counted() -> Any:
            message = await receive()
            body.extend(message.get("body", b""))
            if message["type"] == "http.request" and not message.get("more_body"):
                self.bodies.append(json.loads(body))
                self.posts[self.bodies[-1]["prompt"]] += 1
            return message

        await self._app(scope, counted, send)

    @contextmanager
    def rendering(self) -> Iterator[None]:
        """Keep all jobs from ending, however slow the machine is."""
        self.is_rendering_on = True
        try:
            yield
        finally:
            self.is_rendering_on = False


@contextmanager
def paid_endpoint(**options: Any) -> Iterator[PaidEndpoint]:
    """Run one; options as in `create_app`."""
    paid = PaidEndpoint(create_app(**options))
    server: Any = serve(paid, "127.0.0.1", 0)  # pyright: ignore[reportArgumentType]
    paid.settings = {"SEGMIND_API_KEY": "SG_0011223344556677", "SEGMIND_BASE_URL": server.url}
    try:
        yield paid
    finally:
        server.close()
