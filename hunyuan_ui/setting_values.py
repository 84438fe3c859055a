"""Parsing and validation of values in settings and options, and of keys and codes as visitors enter them.

Forms of numbers that only Python accepts (`1_000`, `nan`, ` 5 `) are refused.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from hunyuan_ui.errors import Reason, SettingsError
from hunyuan_ui.local_addresses import is_loopback

LONGEST_ENTERED: Final = 600  # characters of a key or code that the page takes
_KEY: Final = re.compile(r"SG_[0-9A-Z]{8,}", re.IGNORECASE)
_NUMBER: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_MOST_DIGITS: Final = 9
_SHORTEST_PASSWORD: Final = 4  # a shorter one would match parts of ordinary words
_LONGEST_MODEL: Final = 200  # characters
_LONGEST_CLEANED: Final = 1_000  # characters; normalising hostile text takes quadratic time
_VARIABLE: Final = re.compile(r"\$\{|\$\w|%\w+%")  # an unexpanded shell variable
# Names valid in every store, without alternative spellings.
_BUCKET: Final = re.compile(
    r"(s3|gs|az)://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9](/(?P<prefix>[\w.=+-]+(/[\w.=+-]+)*)?/?)?", re.ASCII
)
_VERSION: Final = re.compile(r"/v[12]$")  # as in the documented addresses; each call adds its own


class UnfitError(Exception):
    """A text is invalid for a setting or option.

    Args:
        code: Suffix of the key "setting." in the words, which says what is valid.
        facts: Values for its placeholders.
    """

    def __init__(self, code: str, /, **facts: Any) -> None:
        super().__init__(code)
        self.must = Reason(key=f"setting.{code}", facts=facts)


def without_keys(text: str) -> str:
    """Return a text with "***" in place of everything in the format of a service's key."""
    return _KEY.sub("***", text)


def passwords_in(address: str) -> set[str]:
    """Return the passwords in a URL, before its host and in its query, plain and URL-quoted."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return set()
    pairs = [pair.partition("=") for pair in parts.query.split("&")]
    quoted = [parts.password or "", *(text for name, _, text in pairs if "password" in name.lower())]
    return {text for one in quoted for text in (one, unquote(one)) if len(text) >= _SHORTEST_PASSWORD}


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return a parser for an integer within these bounds, which raises UnfitError."""

    def read(text: str) -> int:
        is_plain = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
        if not is_plain or not low <= int(text) <= high:
            raise UnfitError("whole", low=low, high=high)
        return int(text)

    return read


def number(low: float, high: float, unit: Reason) -> Callable[[str], float]:
    """Return a parser for a number of some unit within these bounds, which raises UnfitError."""

    def read(text: str) -> float:
        if not _NUMBER.fullmatch(text) or not low <= float(text) <= high:
            raise UnfitError("number", unit=unit, low=low, high=high)
        return float(text)

    return read


def model(text: str) -> str:
    """Return a model's name, or raise UnfitError."""
    if not text.isprintable() or len(text) > _LONGEST_MODEL:
        raise UnfitError("model")
    return text


def path(text: str) -> Path:
    """Return the path of a folder or file without its links, or raise UnfitError."""
    if _VARIABLE.search(text):
        raise UnfitError("folder_variable")
    try:
        return Path(text).expanduser().resolve()
    except (OSError, RuntimeError, ValueError):
        raise UnfitError("folder") from None


def may_look_into(folder: Path) -> bool:
    """Whether this user may look for a file in a folder, which need not exist, by trying."""
    try:
        (folder / "-").stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return True


def dialect(text: str) -> str:
    """Return the name of one of the service's dialects, or raise UnfitError."""
    if text not in ("v1", "v2"):
        raise UnfitError("dialect")
    return text


def yes_or_no(text: str) -> bool:
    """Return an answer to a yes-or-no setting, or raise UnfitError."""
    answers = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if text.lower() not in answers:
        raise UnfitError("yes_or_no")
    return answers[text.lower()]


def entered(text: str) -> str:
    """Return an entered key or code without what copying may add: invisible characters, full-width letters, space."""
    if len(text) > _LONGEST_CLEANED:
        return text.strip()
    kept = (one for one in unicodedata.normalize("NFKC", text) if unicodedata.category(one) != "Cf")
    return "".join(kept).strip()


def can_be_entered(code: str) -> bool:
    """Whether a visitor can type a code into the page's field, which takes one line."""
    typed = entered(code)
    return typed != "" and typed.isprintable() and max(len(code), len(typed)) <= LONGEST_ENTERED


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
