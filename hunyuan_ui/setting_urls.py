"""Validation of URLs in settings: of the service, an engine, a database and a bucket."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from hunyuan_ui.errors import SettingsError
from hunyuan_ui.setting_numbers import UnfitError
from hunyuan_ui.this_machine import is_loopback

# Names valid in every store, without alternative spellings.
_BUCKET: Final = re.compile(
    r"(s3|gs|az)://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9](/(?P<prefix>[\w.=+-]+(/[\w.=+-]+)*)?/?)?", re.ASCII
)


_VERSION: Final = re.compile(r"/v[12]$")  # as in the documented addresses; each call adds its own


def service_url(text: str) -> str:
    """Validate the URL of a service, which needs TLS unless it is on this machine.

    Raises:
        UnfitError: It is invalid.
    """
    url = _address(text)
    parts = urlsplit(url)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise UnfitError("https")
    return _VERSION.sub("", url)


def engine_url(text: str) -> str:
    """Validate the URL of a self-hosted engine, and strip its `/v1`.

    Raises:
        UnfitError: It is invalid.
    """
    # It is in the owner's own network, where there are no certificates (docs/facts/engines.md 2, number 8).
    return _address(text).removesuffix("/v1")


def database_url(text: str) -> str:
    """Validate the URL of a PostgreSQL database.

    Raises:
        SettingsError: It is invalid; without its text, which contains a password.
    """
    is_plain = text.isprintable() and not set(text) & set(' "<>\\')
    try:
        is_address = urlsplit(text).scheme in ("postgresql", "postgres") and "://" in text
    except ValueError:
        is_address = False
    if not is_plain or not is_address:
        raise SettingsError("HUNYUAN_UI_DATABASE_URL", "database_url")
    return text


def bucket_url(text: str) -> str:
    """Validate the URL of a bucket with an optional prefix, and strip a trailing slash.

    Raises:
        SettingsError: It is invalid; without its text, which may contain a key.
    """
    found = _BUCKET.fullmatch(text)
    # Parts of dots would lead outside of the prefix.
    if found is None or any(part in (".", "..") for part in (found["prefix"] or "").split("/")):
        raise SettingsError("HUNYUAN_UI_VIDEOS_URL", "bucket_url")
    return text.rstrip("/")


def _address(text: str) -> str:
    # urlsplit silently drops line breaks and empty queries, so the text itself is checked first.
    is_plain = text.isascii() and text.isprintable() and not set(text) & set(' "<>?#@\\')
    try:
        parts = urlsplit(text) if is_plain else urlsplit("")
        is_address = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        raise UnfitError("url") from None
    if not is_address:
        raise UnfitError("url")
    return text.rstrip("/")
