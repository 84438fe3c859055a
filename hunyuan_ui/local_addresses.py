"""Host names and addresses: the one rule by which settings, startup and filter recognise those of this machine."""

from __future__ import annotations

import ipaddress
import re
from typing import Final, NamedTuple

_LOCAL: Final = frozenset({"localhost", "localhost."})
_ALL: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_LOOPBACK: Final = ipaddress.IPv4Network("127.0.0.0/8")
_LOOPBACK_6: Final = ipaddress.IPv6Address("::1")

# Host and port as a browser writes them: no user, no other alphabet, no empty port.
_HOST_PORT: Final = re.compile(
    r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?\.?)(?::(?P<port>0|[1-9][0-9]{0,4}))?",
    re.ASCII | re.IGNORECASE,
)


class HostPort(NamedTuple):
    """A host by its normal name, and the port if given."""

    name: str
    port: int | None


def plain_name(host: str) -> str:
    """Return a host's name in lower case and without brackets, an IP address in its canonical short form."""
    name = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.lower()


def listening_name(host: str) -> str:
    """Return the normal name of a listening address: for an IPv4 address inside an IPv6 one, the IPv4 address."""
    name = plain_name(host)
    try:
        # The system accepts "*" for all addresses, Gradio does not.
        address = ipaddress.ip_address("0.0.0.0" if name == "*" else name)
    except ValueError:
        return name
    return str(getattr(address, "ipv4_mapped", None) or address)


def own_name(name: str) -> str:
    """Return the name by which a server that listens at a normal name is reached from this machine."""
    return _ALL.get(name, name)


def in_address(name: str) -> str:
    """Return a normal name in URL form: an IPv6 address in brackets."""
    return f"[{name}]" if ":" in name else name


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address of that name; no name is resolved."""
    name = plain_name(host)
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name in _LOCAL
    if isinstance(address, ipaddress.IPv6Address):
        # Not `is_loopback`: Python 3.13 changed its result for an IPv4 address inside an IPv6 one.
        return address == _LOOPBACK_6 or (address.ipv4_mapped or address) in _LOOPBACK
    return address in _LOOPBACK


def parse_host_port(text: str) -> HostPort | None:
    """Return the host and port of a Host header, or of an Origin after its scheme; None if invalid."""
    found = _HOST_PORT.fullmatch(text)
    if found is None:
        return None
    if found["name"].startswith("["):
        try:
            ipaddress.IPv6Address(found["name"][1:-1])
        except ValueError:
            return None
    return HostPort(plain_name(found["name"]), None if found["port"] is None else int(found["port"]))


def network_of(address: str) -> str:
    """Return an IPv4 address, or an IPv6 address's /64 network, in which one machine may use any address."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(known, ipaddress.IPv6Address):
        return str(known.ipv4_mapped or ipaddress.ip_network((int(known), 64), strict=False))
    return str(known)
