"""The addresses that settings may name: of the service, of an engine, of a database and of a bucket."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from hunyuan_ui.errors import SettingsError
from hunyuan_ui.strict_numbers import UnfitError
from hunyuan_ui.this_machine import is_loopback

# What every store takes as it is, without a second way to write it.
_BUCKET: Final = re.compile(
    r"(s3|gs|az)://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9](/(?P<prefix>[\w.=+-]+(/[\w.=+-]+)*)?/?)?", re.ASCII
)


_VERSION: Final = re.compile(r"/v[12]$")  # as in the addresses of the documents; each call adds its own


def service_url(text: str) -> str:
    """Return the address of a service, with TLS unless it is on this machine.

    Raises:
        UnfitError: It is none.
    """
    url = _address(text)
    parts = urlsplit(url)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise UnfitError("https")
    return _VERSION.sub("", url)


def engine_url(text: str) -> str:
    """Return the address of an engine of one's own without its `/v1`.

    Raises:
        UnfitError: It is none.
    """
    # It stands in the owner's own network, where there are no certificates (docs/facts/engines.md 2, number 8).
    return _address(text).removesuffix("/v1")


def database_url(text: str) -> str:
    """Return the address of a PostgreSQL database.

    Raises:
        SettingsError: It is none; without the text, which holds a password.
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
    """Return the address of a bucket, or of a part of it, without a slash at its end.

    Raises:
        SettingsError: It is none; without the text, in which somebody may have put a key.
    """
    found = _BUCKET.fullmatch(text)
    # A name of dots would lead out of the part that was meant.
    if found is None or any(part in (".", "..") for part in (found["prefix"] or "").split("/")):
        raise SettingsError("HUNYUAN_UI_VIDEOS_URL", "bucket_url")
    return text.rstrip("/")


def _address(text: str) -> str:
    # urlsplit drops line breaks and empty queries without a word, so the text itself is looked at first.
    is_plain = text.isascii() and text.isprintable() and not set(text) & set(' "<>?#@\\')
    try:
        parts = urlsplit(text) if is_plain else urlsplit("")
        is_address = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        raise UnfitError("url") from None
    if not is_address:
        raise UnfitError("url")
    return text.rstrip("/")
