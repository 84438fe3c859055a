"""Serves the short loops of the examples and their posters; `make examples` draws them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

LOOPS: Final = "/gradio_api/hunyuan/examples"
FOLDER: Final = Path(__file__).parent / "loops"
_TYPES: Final = {".mp4": "video/mp4", ".webp": "image/webp"}
_HEADERS: Final = {"Cache-Control": "public, max-age=86400", "X-Content-Type-Options": "nosniff"}


def build_loop_route() -> Route:
    """Return the route of the loops and posters; it serves only files that existed at startup."""
    files: dict[str, Path] = {path.name: path for path in FOLDER.iterdir() if path.suffix in _TYPES}

    async def loop(request: Request) -> Response:
        path = files.get(request.path_params["name"])
        if path is None:
            return PlainTextResponse("Not Found", 404)
        return FileResponse(path, headers=_HEADERS, media_type=_TYPES[path.suffix])

    return Route(f"{LOOPS}/{{name}}", loop)
