"""What a link to this page shows elsewhere, and its pictures: in place of Gradio's own in the page that is served."""

from __future__ import annotations

import re
from typing import Any, Final, cast

from gradio import routes as gradio_routes
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route

from hunyuan_ui.ui.html_part import WEB
from hunyuan_ui.words import words

LOOKS: Final = "/gradio_api/hunyuan/looks"
PICTURES: Final = ("preview", "touch-icon")
_PAGES: Final = ("frontend/index.html", "frontend/share.html")
_GRADIOS: Final = re.compile(r'<meta\s+(?:property="og:|name="twitter:)[^>]*/>\s*')
_PLACE: Final = re.compile(r'(?=<meta\s+name="viewport")')


def describe_links(*, is_space: bool) -> None:
    """Let the served page say what it is, where Gradio's says what Gradio is.

    Args:
        is_space: The page has one address for good, the Space's; any other may be a passing one.
    """
    say = words()
    # Jinja fills in the address that was asked for.
    tags = (WEB / "link_preview.html").read_text(encoding="utf-8")
    facts = {"title": say["app.title"], "text": say["app.description"], "looks": LOOKS}
    for name, text in facts.items():
        tags = tags.replace(f"{{{name}}}", text)
    tags = tags.replace("is_at_home", str(is_space).lower())
    # Gradio's own way for a style comes with its scripts, which draw before it.
    tags += (WEB / "opening.html").read_text(encoding="utf-8")
    env = cast("Any", gradio_routes).templates.env
    loader = env.loader
    gradios = cast("Any", type(loader))

    def source_of(environment: Any, name: str) -> tuple[Any, ...]:
        found: list[Any] = list(gradios.get_source(loader, environment, name))
        return (_described(found[0], tags) if name in _PAGES else found[0], *found[1:])

    loader.get_source = source_of
    env.cache.clear()


def build_picture_routes() -> list[Route]:
    """Return the routes of the pictures."""

    async def picture(request: Request) -> FileResponse:
        return FileResponse(WEB / f"{request.url.path.rpartition('/')[2]}", headers={"Cache-Control": "max-age=86400"})

    return [Route(f"{LOOKS}/{name}.png", picture) for name in PICTURES]


def _described(page: str, tags: str) -> str:
    return _PLACE.sub(lambda _: tags, _GRADIOS.sub("", page), count=1)
