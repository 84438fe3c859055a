"""JSON requests and responses of the page's scripts: with the page's version, and refusals as sentences."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, cast

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hunyuan_ui import __version__
from hunyuan_ui.errors import AccessError, HunyuanUIError, InvalidRequestError, MediaError, SpendLimitError
from hunyuan_ui.ui.visitor import say_for

Answer = Callable[[Request], Awaitable[Response]]


class PageVersion:
    """The version of the page, at whose change an open page reloads: its own files, and what it is built from.

    Gradio's event numbers change with both: a start as a Space, or with a login, has more events than another. With
    another key or limit others may pay, which an open page would not offer.
    """

    def __init__(self) -> None:
        self._files = sha256(__version__.encode())
        for path in sorted(Path(__file__).parent.rglob("*")):
            if path.suffix in (".py", ".js", ".html", ".json"):
                self._files.update(path.read_bytes())
        self.text = ""
        self.note("")

    def note(self, layout: str) -> None:
        """Make the version that of a layout, which every process with the same settings must name alike."""
        digest = self._files.copy()
        digest.update(layout.encode())
        self.text = f"{__version__}-{digest.hexdigest()[:12]}"


PAGE_VERSION: Final = PageVersion()


def guarded(answer: Answer) -> Answer:
    """Wrap a route to return every refusal as a sentence in the visitor's language."""

    async def answered(request: Request) -> Response:
        try:
            return await answer(request)
        except HunyuanUIError as error:
            sentence = say_for(request).sentence(error)
            return json_answer({"problem": sentence, "code": error.code}, status_of(error))

    return answered


def status_of(error: HunyuanUIError) -> int:
    """Return the HTTP status of a refusal."""
    if isinstance(error, AccessError):
        return 409 if error.code == "still_under_way" else 404
    if isinstance(error, SpendLimitError):
        return 409
    statuses = {"video_missing": 404, "export_busy": 429, "export_failed": 507, "video_not_copied": 507}
    return statuses.get(error.code, 422 if isinstance(error, (MediaError, InvalidRequestError)) else 503)


def json_answer(body: Mapping[str, Any], status: int = 200) -> JSONResponse:
    """Return a body with the page's version, as an uncacheable response."""
    return JSONResponse({"version": PAGE_VERSION.text, **body}, status, {"Cache-Control": "no-store"})


async def json_body(request: Request) -> Mapping[str, Any]:
    """Return the JSON object sent by a script of the page, with "?" in place of each lone surrogate.

    Raises:
        HTTPException: 400; the body is no JSON object.
    """
    try:
        sent = json.loads(await request.body())
        # JSON can contain lone UTF-16 surrogates, as from a cut emoji; no response and no database could encode them.
        found = json.loads(json.dumps(sent, ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise HTTPException(400, "not a JSON object")
    return cast("dict[str, Any]", found)
