"""Restricts connections for untrusted addresses to https on the public internet.

A name is resolved once, all its addresses are checked, and the connection goes to a checked address, so that a second
resolution cannot redirect it. TLS still verifies the name.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from itertools import zip_longest
from typing import Any, Final, TypeAlias, cast

import anyio
import httpcore
import httpx

from hunyuan_ui.endpoint.proxy_tunnel import ProxyBackend
from hunyuan_ui.errors import DownloadError, reason

Resolve: TypeAlias = Callable[[str, int], Awaitable[list[str]]]

_HTTPS_PORT: Final = 443
_LONGEST_URL: Final = 4096

# Beyond what `is_global` excludes in every Python from 3.10 on: ways to reach an IPv4 address inside an IPv6 one, and
# blocks that newer registries mark as special. Source: IANA special-purpose address registries.
_CLOSED_V4: Final = tuple(map(ipaddress.IPv4Network, ("100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24")))
# By this prefix a network without IPv4 reaches IPv4 addresses (RFC 6052); its resolver adds it to every public name.
_TRANSLATED: Final = ipaddress.IPv6Network("64:ff9b::/96")
_OPEN_V6: Final = ipaddress.IPv6Network("2000::/3")  # the only block of global unicast addresses
_CLOSED_V6: Final = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))

# Suffixes of names outside the public DNS. Source: docs/facts/faults-and-security.md 9.
_PRIVATE_ENDINGS: Final = frozenset(
    ("localhost", "local", "localdomain", "internal", "intranet", "lan", "home", "corp", "private", "test", "invalid")
)


class UrlPolicy:
    """Decides which addresses may be opened.

    Args:
        own_origin: The base URL's origin, which the owner chose and which may be plain http on this machine.
        is_own_only: Whether only that origin may be opened, for a service in this process.
    """

    def __init__(self, own_origin: str, *, is_own_only: bool = False) -> None:
        self._own = _origin(httpx.URL(own_origin))
        self._is_own_only = is_own_only

    def is_own(self, host: str, port: int) -> bool:
        """Whether this is the base URL's own host and port."""
        return (host, port) == self._own[1:]

    def is_of_own(self, url: httpx.URL) -> bool:
        """Whether an address has the base URL's origin."""
        return _origin(url) == self._own

    def check(self, text: str) -> httpx.URL:
        """Parse an address and check its text; the resolved IP addresses are checked later.

        Raises:
            DownloadError: `link_refused`, with the reason.
        """
        try:
            url = httpx.URL(text)
            origin = _origin(url)
        except (httpx.InvalidURL, ValueError, TypeError):
            raise _refused("link_no_address") from None
        if len(text) > _LONGEST_URL:
            raise _refused("link_too_long")
        if not url.host:
            raise _refused("link_without_host")
        if url.userinfo:
            raise _refused("link_with_user")
        if origin == self._own:
            return url
        if self._is_own_only:
            raise _refused("link_leads_out")
        if url.scheme != "https":
            raise _refused("link_not_https")
        if self.is_own(*origin[1:]) or origin[2] != _HTTPS_PORT:
            raise _refused("link_other_port")
        return url


def is_public(address: str) -> bool:
    """Whether an IP address is a public unicast address."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if ip in _TRANSLATED:
        ip = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    if ip.is_multicast or not ip.is_global:
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return not any(ip in network for network in _CLOSED_V4)
    return ip in _OPEN_V6 and not any(ip in network for network in _CLOSED_V6)


def is_private_name(host: str) -> bool:
    """Whether a host is a non-public address, or a name that no public DNS server resolves."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        # A numeric last label is an address in a notation that some resolvers accept.
        last = host.rstrip(".").rpartition(".")[2].lower()
        is_number = last[:1].isdigit()
        return "." not in host.rstrip(".") or is_number or last in _PRIVATE_ENDINGS or host.endswith(".home.arpa")
    return not is_public(host)


async def resolve(host: str, port: int) -> list[str]:
    """Resolve a name to its IP addresses."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class SafeBackend(httpcore.AsyncNetworkBackend):
    """Connects to checked addresses only.

    Args:
        policy: Knows the one origin that is not checked.
        tunnel: Opens it for hosts behind a proxy, which receives the name.
    """

    def __init__(
        self,
        policy: UrlPolicy,
        *,
        resolve: Resolve = resolve,
        inner: httpcore.AsyncNetworkBackend | None = None,
        tunnel: ProxyBackend | None = None,
    ) -> None:
        self._policy = policy
        self._resolve = resolve
        self._inner = inner or cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())
        self._tunnel = tunnel

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve the name once, check every address, and connect to the first that responds."""
        is_own = self._policy.is_own(host, port)
        if self._tunnel is not None and self._tunnel.is_used_for(host):
            if not is_own:
                await self._check_name(host, port, timeout)
            return await self._tunnel.connect_tcp(host, port, timeout, local_address, socket_options)
        addresses = [host] if is_own else await self._checked(host, port, timeout)
        failure = httpcore.ConnectError("no address")
        for address in _alternating(addresses):
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def _check_name(self, host: str, port: int, timeout: float | None) -> None:
        """Reject a name of a private network, as far as this machine can resolve it before the proxy does."""
        if is_private_name(host):
            raise _refused("link_private")
        with suppress(httpcore.ConnectError, TimeoutError):  # often only the proxy can resolve external names
            await self._checked(host, port, timeout)

    async def _checked(self, host: str, port: int, timeout: float | None) -> list[str]:
        try:
            with anyio.fail_after(timeout):
                addresses = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError("the name was not found") from error
        if not all(is_public(address) for address in addresses):
            raise _refused("link_private")
        return addresses


def _alternating(addresses: list[str]) -> list[str]:
    """Return addresses with the families in turn: in a network that drops one of them, many of it may come first."""
    first = [address for address in addresses if (":" in address) == (":" in addresses[0])]
    others = [address for address in addresses if address not in first]
    return [address for pair in zip_longest(first, others) for address in pair if address is not None]


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    default = {"http": 80, "https": _HTTPS_PORT}.get(url.scheme, 0)
    return url.scheme, url.raw_host.decode("ascii"), url.port or default


def _refused(code: str) -> DownloadError:
    return DownloadError("link_refused", retryable=False, reason=reason(code))
