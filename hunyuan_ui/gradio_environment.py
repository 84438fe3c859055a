"""Validates and normalises environment variables that Gradio and its libraries read, before they read them."""

from __future__ import annotations

import ipaddress
import pkgutil
import re
import ssl
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from hunyuan_ui.errors import SettingsError, reason
from hunyuan_ui.setting_values import UnfitError, number, whole, without_keys

_T = TypeVar("_T")

# Plain ones, and those that word processors, chats and keyboards of other languages write in their place.
_PAIRS: Final = frozenset(
    (
        *("''", '""', "``", "\u201c\u201d", "\u201d\u201d", "\u201e\u201c", "\u201e\u201d", "\u2018\u2019"),
        *("\u2019\u2019", "\u201a\u2018", "\u201a\u2019", "\xab\xbb", "\xbb\xab", "\uff02\uff02", "\uff07\uff07"),
    )
)
_QUOTES: Final = frozenset("".join(_PAIRS))
_COUNT: Final = whole(0, 999_999_999)

# A non-number in these crashes a start, or is ignored with a warning.
NUMBERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "GRADIO_NUM_PORTS": whole(1, 10_000),
    "GRADIO_NODE_NUM_PORTS": whole(1, 10_000),
    "GRADIO_ANALYTICS_MAX_EVENTS": _COUNT,
    "GRADIO_ANALYTICS_CACHE_FREQUENCY": whole(1, 999_999_999),
    "GRADIO_HEARTBEAT_INTERVAL": number(0.1, 3600, reason("seconds")),
    "HF_HUB_ETAG_TIMEOUT": _COUNT,
    "HF_HUB_DOWNLOAD_TIMEOUT": _COUNT,
    "WEB_CONCURRENCY": _COUNT,
}
# Removed for this program: one blocks the end of a start, one serves files past the filter in front of Gradio, the
# page itself sets how many of its events run concurrently, and one, from the command `gradio app.py`, runs app.py a
# second time within the process, where the data folder has an owner already.
DROPPED: Final = ("GRADIO_DEBUG", "GRADIO_NUM_WORKERS", "GRADIO_DEFAULT_CONCURRENCY_LIMIT", "GRADIO_WATCH_DIRS")
_PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy")
_PROXY: Final = re.compile(r"(?P<scheme>https?|socks5h?)://[!-~]+|[^:/\s]+(:[0-9]+)?/?", re.ASCII)
# Variables that Gradio needs for the login on a Space.
_LOGIN_VARIABLES: Final = ("SPACE_ID", "OAUTH_CLIENT_ID", "OAUTH_SCOPES", "OPENID_PROVIDER_URL")
_LOGIN_PACKAGES: Final = ("authlib", "itsdangerous")
_NOT_PROXIED: Final = ("localhost", "127.0.0.1", "::1")
_EXEMPT: Final = re.compile(r"[\w.*-]+(:[0-9]{1,5})?", re.ASCII)
_ROOT_PATH: Final = re.compile(r"(https?://([\w.-]+|\[[0-9a-f:]+\])(:[0-9]+)?)?(/[!$->@-~]*)?", re.ASCII)


def text_of(environ: Mapping[str, str], name: str) -> str:
    """Return a variable's text without surrounding spaces and without the quotes that an env file leaves there.

    Raises:
        SettingsError: There is a quotation mark on one side only.
    """
    text = environ.get(name, "").strip()
    if text[:1] + text[1:][-1:] in _PAIRS:
        text = text[1:-1].strip()
    if text[:1] in _QUOTES or text[-1:] in _QUOTES:
        raise SettingsError(name, "quotation_mark")
    return text


def tidy(environ: MutableMapping[str, str]) -> tuple[str, ...]:
    """Remove quotes and empty values, exempt this machine from proxies, and validate the rest.

    Args:
        environ: Modified.

    Returns:
        The entries removed from `NO_PROXY`, because the libraries below Gradio crash on them.

    Raises:
        SettingsError: A value is invalid and would crash the start; names the variable.
    """
    for name in [name for name in environ if name.startswith("GRADIO_") or name in NUMBERS]:
        text = "" if name in DROPPED else text_of(environ, name)
        if not text:
            del environ[name]
        elif text != environ[name]:
            environ[name] = text
    for name, read in NUMBERS.items():
        if name in environ:
            read_value(name, environ[name], read)
    _check_login(environ)
    _tidy_root_path(environ)
    _check_certificates(environ)
    unread = _tidy_no_proxy(environ)
    _tidy_proxies(environ)
    return unread


def read_value(name: str, text: str, read: Callable[[str], _T]) -> _T:
    """Parse a variable's text.

    Raises:
        SettingsError: The text is invalid; names the variable and shows the text, without a possible password.
    """
    try:
        return read(text)
    except UnfitError as error:
        # The part before an @ may be a password, a query may be a token, and all of it a key of another line.
        place, has_query, _ = text.rpartition("@")[2].partition("?")
        shown = without_keys(place)[:60] + ("?***" if has_query else "")
        raise SettingsError(name, "unfit", must=error.must, shown=shown) from None


def _check_login(environ: Mapping[str, str]) -> None:
    if environ.get("SYSTEM") != "spaces" or not environ.get("OAUTH_CLIENT_SECRET"):
        return
    if missing := [name for name in _LOGIN_VARIABLES if not environ.get(name)]:
        raise SettingsError(missing[0], "login_variable")
    if not all(map(is_installed, _LOGIN_PACKAGES)):
        raise SettingsError("OAUTH_CLIENT_SECRET", "login_package")


def _tidy_root_path(environ: MutableMapping[str, str]) -> None:
    root = environ.get("GRADIO_ROOT_PATH", "")
    if not _ROOT_PATH.fullmatch(root):
        raise SettingsError("GRADIO_ROOT_PATH", "root_path")
    # With a trailing slash it would match no path of a proxy that does not strip the prefix.
    if root.endswith("/"):
        environ["GRADIO_ROOT_PATH"] = root.rstrip("/")


def _check_certificates(environ: Mapping[str, str]) -> None:
    # Every new TLS context opens this file too.
    if path := environ.get("SSLKEYLOGFILE"):
        try:
            Path(path).open("ab").close()
        except (OSError, ValueError):
            raise SettingsError("SSLKEYLOGFILE", "key_log") from None
    if path := environ.get("SSL_CERT_FILE"):
        try:
            ssl.create_default_context(cafile=path)
        except (OSError, ValueError):
            raise SettingsError("SSL_CERT_FILE", "certificates") from None


def _tidy_no_proxy(environ: MutableMapping[str, str]) -> tuple[str, ...]:
    unread: list[str] = []
    for name in [name for name in environ if name.lower() == "no_proxy"]:
        entries = [entry.strip() for entry in environ[name].split(",") if entry.strip()]
        kept = {entry: _as_httpx_reads(entry) for entry in entries}
        unread += [entry for entry, text in kept.items() if text is None]
        if list(kept) != list(kept.values()):
            environ[name] = ",".join(filter(None, kept.values()))
    return tuple(unread)


def _as_httpx_reads(entry: str) -> str | None:
    """Return a `NO_PROXY` entry in the form that httpx turns into a correct pattern; None if there is none."""
    if _EXEMPT.fullmatch(entry):
        return entry
    bare = entry.removeprefix("[").removesuffix("]")
    with suppress(ValueError):
        if "%" not in bare:
            return str(ipaddress.IPv6Address(bare))
    with suppress(ValueError):
        return str(ipaddress.IPv4Network(entry, strict=False))
    return None


def _tidy_proxies(environ: MutableMapping[str, str]) -> None:
    wanted = {name: environ[name] for name in environ if name.lower() in _PROXIES and environ[name]}
    for name, text in wanted.items():
        found = _PROXY.fullmatch(text)
        if found is None:
            raise SettingsError(name, "proxy")
        if (found["scheme"] or "").startswith("socks") and not is_installed("socksio"):
            raise SettingsError(name, "proxy_socks")
    if wanted:
        # At startup Gradio sends itself a request, which must not go to a proxy.
        known = [environ.get("no_proxy") or environ.get("NO_PROXY", ""), *_NOT_PROXIED]
        environ["no_proxy"] = ",".join(filter(None, [*known, text_of(environ, "GRADIO_SERVER_NAME").strip("[]")]))


def is_installed(package: str) -> bool:
    """Whether an optional package can be imported, without importing it."""
    return any(module.name == package for module in pkgutil.iter_modules())
