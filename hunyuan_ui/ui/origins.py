"""Classifies a request's origin by headers that no web page can forge. Pure functions.

A browser names the page behind a request in `Origin`, and since 2020 its relation to that page in `Sec-Fetch-Site`; no
script can change either (Fetch standard, forbidden request-headers). A proxy is detected by its own headers and by
HTTP/1.0.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from starlette.datastructures import Headers
from starlette.types import Scope

from hunyuan_ui.local_addresses import HostPort, is_loopback, parse_host_port

FRAMES: Final = frozenset({"iframe", "frame", "embed", "object", "fencedframe"})
_OWN_SITES: Final = ("same-origin", "none")
_PORTS: Final = {"http": 80, "https": 443}

# Headers that proxies, tunnels and their hosts add to a request: by a word that means one, or by a product's own name.
_MARKS: Final = re.compile(
    r"(.*-)?(forwarded|proxy|proxied|tunnel|ingress|gateway|cdn)(-.*)?|(.*-)?(via|ip|clientip)|max-forwards"
    r"|x-forward.*|x-real-.*|(x-)?remote-.*|x-original-.*|x-origin-host|x-rewrite-url|x-proxy.*|x-script-name|x-server-.*"
    r"|x-scheme|x-url-scheme|x-request-start|x-varnish|cf-.*|fastly-.*|fly-.*|x-nginx-.*|x-haproxy-.*|x-traefik-.*"
    r"|x-caddy-.*|x-coder-.*|x-jupyter.*|x-envoy-.*|x-amzn?-.*|x-amz-cf-.*|x-appengine-.*|x-cloud-trace-context"
    r"|x-azure-.*|x-arr-.*|x-vercel-.*|x-github-.*|x-ms-.*|x-replit-.*|x-railway-.*|x-nf-.*|cloudfront-.*"
    r"|(x-)?akamai-.*|x-sucuri-.*|surrogate-.*|front-end-https|x-https?|x-host|(x-)?ssl-.*|tailscale-.*|ngrok-.*"
    r"|teleport-.*|x-auth-request-.*|x-goog-.*|x-pomerium-.*|x-authentik-.*|x-webauth-.*|x-vouch-.*|x-consumer-.*"
    r"|x-rstudio-.*|l5d-.*"
)


class Origin(NamedTuple):
    """An origin in the sense of the Fetch standard."""

    scheme: str
    name: str
    port: int


def is_for_this_machine(scope: Scope, headers: Headers) -> bool:
    """Whether a request's Host header names this machine and the port it came in by, exactly once and in plain form."""
    hosts, server = headers.getlist("host"), scope.get("server")
    host_port = parse_host_port(hosts[0]) if len(hosts) == 1 else None
    if host_port is None or not server or not is_loopback(host_port.name):
        return False
    return _port(host_port, scope["scheme"]) == server[1]


def is_proxied(scope: Scope, headers: Headers) -> bool:
    """Whether a request came through a proxy."""
    return scope["http_version"] == "1.0" or any(_MARKS.fullmatch(name.lower().replace("_", "-")) for name in headers)


def is_foreign(scope: Scope, headers: Headers, *, is_public: bool) -> bool:
    """Whether a page of another origin made a request; without origin headers it was no page.

    Args:
        scope: Of the request.
        headers: Of the request.
        is_public: A proxy may forward the request, and name the requested host and scheme.
    """
    origins, sites = headers.getlist("origin"), headers.getlist("sec-fetch-site")
    if sites and (len(sites) > 1 or sites[0] not in _OWN_SITES):
        return True
    if not origins:
        return False
    origin = _origin_in(origins[0]) if len(origins) == 1 else None
    if origin is None:
        return True
    own = _addressed(scope, headers, is_public=is_public)
    if is_public and sites == ["same-origin"]:
        # The browser compared scheme and port as it sees them; a TLS-terminating proxy may not forward them.
        return origin.name not in {one.name for one in own}
    return origin not in own


def opens_the_page(headers: Headers, *, frames: bool) -> bool:
    """Whether a request navigates to the page, or loads it in a frame if that is allowed."""
    dests = {"document", *(FRAMES if frames else ())}
    return headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") in dests


def nameless(headers: Headers) -> set[bytes]:
    """Return which of the headers that should name this page name no host."""
    found = [
        (name, value.split(",")[0].strip()) for name in ("host", "x-forwarded-host") for value in headers.getlist(name)
    ]
    return {name.encode() for name, first in found if parse_host_port(first) is None}


def _addressed(scope: Scope, headers: Headers, *, is_public: bool) -> set[Origin]:
    """Return the possible origins of the page that a request addresses."""
    schemes, hosts = {str(scope["scheme"])}, headers.getlist("host")
    if is_public:
        # A page of another origin cannot add these two: they would need its preflight, which is refused.
        schemes.update(_first(headers, "x-forwarded-proto"))
        hosts += _first(headers, "x-forwarded-host")
    host_ports = [host_port for host in hosts if (host_port := parse_host_port(host)) is not None]
    return {Origin(scheme, host_port.name, _port(host_port, scheme)) for scheme in schemes for host_port in host_ports}


def _first(headers: Headers, name: str) -> list[str]:
    return [value.split(",")[0].strip().lower() for value in headers.getlist(name)[:1]]


def _origin_in(text: str) -> Origin | None:
    scheme, separator, rest = text.partition("://")
    host_port = parse_host_port(rest) if separator else None
    if host_port is None or scheme not in _PORTS:
        return None
    return Origin(scheme, host_port.name, _port(host_port, scheme))


def _port(host_port: HostPort, scheme: str) -> int:
    return _PORTS.get(scheme, 0) if host_port.port is None else host_port.port
