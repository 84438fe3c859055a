"""Outbound proxies: the proxy of a host by the usual environment variables.

Reverse proxies in front of the page are handled by `ui/origins.py`. Source: docs/facts/faults-and-security.md 9.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from hunyuan_ui.local_addresses import in_address, is_loopback, plain_name

_PORTS: Final = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


@dataclass(frozen=True, slots=True)
class Proxy:
    """One proxy; its text and representation omit the credentials.

    Args:
        scheme: http, https, socks5 or socks5h.
        host: Its name, or its address without brackets.
        port: Its port.
        user: User name; empty for none.
        password: Password.
    """

    scheme: str
    host: str
    port: int
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.scheme}://{in_address(self.host)}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Proxy:
        """Parse the proxy in a URL, or in a bare host and port.

        Raises:
            ValueError: The host is missing, or the scheme or port is invalid.
        """
        parts = urlsplit(text if "://" in text else f"http://{text}")
        if not parts.hostname or parts.scheme not in _PORTS:
            raise ValueError("no proxy")
        port = parts.port if parts.port is not None else _PORTS[parts.scheme]
        return cls(parts.scheme, parts.hostname, port, unquote(parts.username or ""), unquote(parts.password or ""))


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxy configuration by host.

    Args:
        proxy: For https; None for none.
        exempt: Names, domain suffixes, addresses and networks that are reached directly; "*" for all.
    """

    proxy: Proxy | None = None
    exempt: tuple[str, ...] = ()

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Proxies:
        """Read `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, the lower-case names first.

        Raises:
            ValueError: A proxy's address is invalid.
        """
        text = _named(environ, "https_proxy") or _named(environ, "all_proxy")
        exempt = (part.strip().lower() for part in _named(environ, "no_proxy").split(","))
        return cls(Proxy.parse(text) if text else None, tuple(filter(None, exempt)))

    def proxy_for(self, host: str) -> Proxy | None:
        """Return the proxy of a host; None if it is reached directly, as this machine always is."""
        name = plain_name(host).rstrip(".")
        if self.proxy is None or is_loopback(name) or any(_is_meant(name, rule) for rule in self.exempt):
            return None
        return self.proxy

    def without(self, *hosts: str) -> Proxies:
        """Return a copy with more hosts or networks that are reached directly."""
        return Proxies(self.proxy, (*self.exempt, *map(plain_name, hosts)))


DIRECT: Final = Proxies()


def _named(environ: Mapping[str, str], name: str) -> str:
    return (environ.get(name) or environ.get(name.upper(), "")).strip()


def _is_meant(name: str, rule: str) -> bool:
    if rule == "*":
        return True
    try:
        return ipaddress.ip_address(name) in ipaddress.ip_network(rule.strip("[]"), strict=False)
    except ValueError:
        ending = rule.removeprefix("*").lstrip(".").rstrip(".")
        return bool(ending) and (name == ending or name.endswith(f".{ending}"))
