"""The service a run talks to: the hosted one, or without a key the local endpoint, started in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from hunyuan_ui.endpoint.contract import HISTORY
from hunyuan_ui.local_endpoint.app import create_app
from hunyuan_ui.local_endpoint.serving import serve
from hunyuan_ui.settings import Settings


@contextmanager
def service_for(settings: Settings) -> Iterator[Settings]:
    """Give settings whose `base_url` answers: unchanged with a key, else those of a free local endpoint.

    Args:
        settings: As the owner set them.
    """
    if not settings.is_preview:
        yield settings
        return
    server = serve(create_app(is_free=True), "127.0.0.1", 0)
    try:
        yield replace(settings, base_url=server.url, history_url=server.url + HISTORY)
    finally:
        server.close()
