"""The free local preview: the local endpoint, started in this process where somebody may need it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

from hunyuan_ui.local_endpoint.app import create_app
from hunyuan_ui.local_endpoint.serving import serve
from hunyuan_ui.settings import Settings


@contextmanager
def service_for(settings: Settings) -> Generator[Settings, None, None]:
    """Give settings whose `preview_url` answers where a preview is offered.

    Args:
        settings: As the owner set them.
    """
    if not settings.offers_preview:
        yield settings
        return
    server = serve(create_app(is_free=True), "127.0.0.1", 0)
    try:
        yield replace(settings, preview_url=server.url)
    finally:
        server.close()
