"""The head of the served page: link previews, and the page's own words, scripts and styles."""

from __future__ import annotations

import re
from typing import Any, Final, cast

from gradio import routes as gradio_routes
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse
from starlette.routing import Route

from hunyuan_ui.prompt_help.examples import SHOWCASE
from hunyuan_ui.ui.example_loops import LOOPS
from hunyuan_ui.ui.html_part import WEB, head
from hunyuan_ui.ui.style_sheet import style_sheet
from hunyuan_ui.words import words

LOOKS: Final = "/gradio_api/hunyuan/looks"
PICTURES: Final = ("preview", "touch-icon", "icon-192", "icon-512")
MANIFEST: Final = f"{LOOKS}/manifest.json"
PAGES: Final = ("frontend/index.html", "frontend/share.html")
_GRADIOS: Final = re.compile(r'<meta\s+(?:property="og:|name="twitter:)[^>]*/>\s*')
_VIEWPORT: Final = re.compile(r'<meta\s+name="viewport"[^>]*>')
# A phone's on-screen keyboard would otherwise cover the foot of the page, where the button is.
_OWN_VIEWPORT: Final = (
    '<meta name="viewport" content="width=device-width, initial-scale=1, interactive-widget=resizes-content" />'
)


def serve_own_head(files: list[str], *, is_space: bool) -> None:
    """Replace Gradio's metadata in the served page by this page's, and add its own scripts and styles.

    Gradio's own means, `launch(head=..., css=...)`, put them into the page's config, from which its scripts insert them
    before they render anything (docs/facts/gradio6.md 6).

    Args:
        files: Page-relative addresses of files that Gradio's scripts will request, to be preloaded.
        is_space: The page has one permanent address, the Space's; any other may be temporary.
    """
    tags = _described_page(is_space=is_space)
    own = f"{{% raw %}}{head()}{{% endraw %}}"
    style = f"{{% raw %}}<style>{style_sheet(WEB)}</style>{{% endraw %}}"
    env = cast("Any", gradio_routes).templates.env
    loader = env.loader
    gradios = cast("Any", type(loader))

    def source_of(environment: Any, name: str) -> tuple[Any, ...]:
        found: list[Any] = list(gradios.get_source(loader, environment, name))
        if name in PAGES:
            # A page for a share link gets Gradio's scripts from another address.
            early = _fetched_early(files) if name == PAGES[0] else ""
            found[0] = _VIEWPORT.sub(lambda _: tags + own + _OWN_VIEWPORT, _GRADIOS.sub("", found[0]), count=1)
            found[0] = found[0].replace("</head>", f"{early}{style}</head>", 1)
        return tuple(found)

    loader.get_source = source_of
    env.cache.clear()


def _described_page(*, is_space: bool) -> str:
    say = words()
    # Jinja inserts the requested address.
    tags = "".join((WEB / f"{name}.html").read_text(encoding="utf-8") for name in ("link_preview", "opening"))
    facts = {"title": say["app.title"], "text": say["app.description"], "looks": LOOKS}
    for name, text in facts.items():
        tags = tags.replace(f"{{{name}}}", text)
    return tags.replace("is_at_home", str(is_space).lower())


def _fetched_early(files: list[str]) -> str:
    """Return preload links with the same addresses and modes as Gradio's requests, so that nothing is fetched twice."""
    links = ['rel="preload" as="style" href="./theme.css?v={{ config[\'theme_hash\'] }}"']
    for name in files:
        kind = 'rel="modulepreload"' if name.endswith(".js") else 'rel="preload" as="style"'
        links.append(f'{kind} crossorigin href="./{name}"')
    # Pictures in the first view are preloaded without waiting for scripts; a browser would defer them.
    links += [f'rel="preload" as="image" fetchpriority="high" href=".{LOOPS}/{one.key}.webp"' for one in SHOWCASE]
    return "".join(f"<link {link} />" for link in links)


def build_picture_routes() -> list[Route]:
    """Return the routes of the icons, and of the web app manifest."""

    async def picture(request: Request) -> FileResponse:
        return FileResponse(WEB / f"{request.url.path.rpartition('/')[2]}", headers={"Cache-Control": "max-age=86400"})

    async def manifest(_request: Request) -> JSONResponse:
        return JSONResponse(_manifest(), headers={"Cache-Control": "max-age=86400"})

    return [*(Route(f"{LOOKS}/{name}.png", picture) for name in PICTURES), Route(MANIFEST, manifest)]


def _manifest() -> dict[str, Any]:
    """Return the web app manifest; its addresses are relative to its own."""
    say = words()
    sizes = [name.partition("-")[2] for name in PICTURES if name.startswith("icon-")]
    icons = [{"src": f"icon-{px}.png", "sizes": f"{px}x{px}", "type": "image/png"} for px in sizes]
    start = "../" * LOOKS.count("/")
    about = {"name": say["app.title"], "description": say["app.description"]}
    look = {"display": "standalone", "background_color": "#faf8f4", "theme_color": "#faf8f4"}
    return {**about, **look, "start_url": start, "scope": start, "icons": icons}
