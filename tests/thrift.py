"""Spares the tests' processes work that Gradio and httpx repeat, and that no test looks at."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from httpx._transports import default

from hunyuan_ui.ui.gradio_import import without_stubs

_TRUST: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def be_thrifty() -> None:
    """Spare this process what follows; called before it imports Gradio."""
    without_stubs()
    _share_ssl_contexts()


def _share_ssl_contexts() -> None:
    """Read the authorities' certificates once: each client of httpx takes 17 ms for that, also for plain HTTP."""
    build: Callable[..., ssl.SSLContext] = default.create_ssl_context  # pyright: ignore[reportPrivateImportUsage]

    @cache
    def kept(_: tuple[str | None, ...], **options: Any) -> ssl.SSLContext:
        return build(**options)

    def shared(**options: Any) -> ssl.SSLContext:
        if options["verify"] is not True:
            return build(**options)
        return kept(tuple(map(os.environ.get, _TRUST)), **options)

    default.create_ssl_context = shared  # pyright: ignore[reportPrivateImportUsage]
