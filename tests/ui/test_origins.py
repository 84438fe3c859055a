"""Own or foreign, direct or through a proxy: detected by headers alone."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.datastructures import Headers

from hunyuan_ui.ui import origins

PORT = 7860
OWN = f"127.0.0.1:{PORT}"


def asked(*pairs: tuple[str, str], **parts: Any) -> tuple[dict[str, Any], Headers]:
    """Return a request with only these headers, and its headers."""
    raw = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in pairs]
    scope = {"type": "http", "http_version": "1.1", "scheme": "http", "server": ("127.0.0.1", PORT), "headers": raw}
    scope = {**scope, **parts}
    return scope, Headers(scope=scope)


def is_foreign(*pairs: tuple[str, str], is_public: bool = False, **parts: Any) -> bool:
    return origins.is_foreign(*asked(*pairs, **parts), is_public=is_public)


@pytest.mark.parametrize(
    "host",
    [
        OWN,
        f"localhost:{PORT}",
        f"LOCALHOST:{PORT}",
        f"localhost.:{PORT}",
        f"127.0.0.2:{PORT}",
        f"[::1]:{PORT}",
        f"[::ffff:127.0.0.1]:{PORT}",
        f"[::ffff:7f00:1]:{PORT}",
        f"[0:0:0:0:0:ffff:7f00:1]:{PORT}",
    ],
)
def test_this_machine_is_named_in_every_way(host: str) -> None:
    assert origins.is_for_this_machine(*asked(("Host", host)))


@pytest.mark.parametrize(
    "host",
    [
        "",
        "127.0.0.1",
        "127.0.0.1:80",
        "127.0.0.1:7861",
        f"0.0.0.0:{PORT}",
        f"[::]:{PORT}",
        f"10.0.0.5:{PORT}",
        f"[::ffff:10.0.0.5]:{PORT}",
        f"2130706433:{PORT}",
        f"127.1:{PORT}",
        f"127.0.0.1.:{PORT}",
        f"localhost..:{PORT}",
        f"evil.example:{PORT}",
        f"127.0.0.1.evil.example:{PORT}",
        f"user@127.0.0.1:{PORT}",
        f"127.0.0.1:{PORT}@evil.example",
        f"127.0.0.1:{PORT},evil.example",
        f"ⓛocalhost:{PORT}",
        "[::1",
    ],
)
def test_another_name_or_port_is_not_this_machine(host: str) -> None:
    assert not origins.is_for_this_machine(*asked(("Host", host)))


def test_no_host_and_two_hosts_are_not_this_machine() -> None:
    assert not origins.is_for_this_machine(*asked())
    assert not origins.is_for_this_machine(*asked(("Host", OWN), ("Host", OWN)))
    assert not origins.is_for_this_machine(*asked(("Host", OWN), server=None))


def test_the_usual_port_need_not_be_written() -> None:
    assert origins.is_for_this_machine(*asked(("Host", "localhost"), server=("127.0.0.1", 80)))
    assert origins.is_for_this_machine(*asked(("Host", "localhost"), server=("::1", 443), scheme="https"))
    assert not origins.is_for_this_machine(*asked(("Host", "localhost"), server=("::1", 443)))


@pytest.mark.parametrize(
    "name",
    [
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Prefix",
        "X-Forwarded-Anything",
        "X_Forwarded_For",
        "X-Forward-For",
        "Proxy-Connection",
        "X-Real-IP",
        "X-Real-Port",
        "Client-IP",
        "WL-Proxy-Client-IP",
        "Via",
        "CF-Connecting-IP",
        "CF-Ray",
        "Cdn-Loop",
        "True-Client-IP",
        "X-Client-IP",
        "X-Cluster-Client-IP",
        "X-Original-URI",
        "X-Original-Host",
        "X-ProxyContextPath",
        "X-Envoy-External-Address",
        "X-Amzn-Trace-Id",
        "X-Azure-ClientIP",
        "Fly-Client-IP",
        "Fastly-Client-IP",
        "Tailscale-User-Login",
        "Front-End-Https",
        "CloudFront-Viewer-Address",
        "Incap-Client-IP",
        "X-Sucuri-ClientIP",
        "DO-Connecting-IP",
        "X-Nf-Client-Connection-Ip",
        "X-Auth-Request-Email",
        "X-Goog-Authenticated-User-Email",
        "X-Goog-IAP-JWT-Assertion",
        "Remote-User",
        "X-Pomerium-Jwt-Assertion",
        "X-Authentik-Username",
        "Teleport-Jwt-Assertion",
        "X-SSL-Client-Verify",
        "SSL-Client-Cert",
        "X-Host",
        "X-HTTPS",
        "Surrogate-Capability",
        "Max-Forwards",
        "Akamai-Origin-Hop",
        "X-Akamai-Edgescape",
        "X-Cache-Via",
        "X-Bluecoat-Via",
        "X-Tunnel-Id",
        "X-Replit-User-Id",
        "X-Railway-Edge",
        "X-Request-Via",
        "X-Zone-Connecting-IP",
        "X-ClientIP",
        "X-User-Ip",
        "X-Source-IP",
        "Ali-Cdn-Real-Ip",
        "CDN-Src-IP",
        "X-Inverting-Proxy-Vm-Id",
        "K-Proxy-Request",
        "Proxy",
        "X-Kong-Proxy-Latency",
        "X-Ingress-Path",
        "X-Gateway-Id",
        "X-Colab-Tunnel",
        "X-Request-Forwarded",
        "X-Script-Name",
        "X-Server-Name",
        "X-Server-Port",
        "X-WebAuth-User",
        "X-Vouch-User",
        "X-Consumer-Username",
        "X-RStudio-Request",
        "X-Origin-Host",
        "L5d-Client-Id",
    ],
)
def test_a_proxys_mark_is_seen(name: str) -> None:
    assert origins.is_proxied(*asked(("Host", OWN), (name, "")))
    assert origins.is_proxied(*asked(("Host", OWN), (name.upper(), "127.0.0.1")))


def test_http_1_0_is_a_proxys_and_a_plain_request_is_nobodys() -> None:
    assert origins.is_proxied(*asked(("Host", OWN), http_version="1.0"))
    plain = ("User-Agent", "Accept", "Accept-Language", "Cookie", "Referer", "x-gradio-user", "x-api-key", "Viaduct")
    of_browsers = ("Sec-CH-UA-Platform", "Upgrade-Insecure-Requests", "DNT", "Sec-GPC", "Priority", "Range", "If-Range")
    of_agents = ("Mcp-Session-Id", "Mcp-Protocol-Version", "X-Hunyuan-Visitor", "Traceparent", "X-Request-Id", "Remote")
    for name in (*plain, *of_browsers, *of_agents, "SSL", "X-Client-Name", "Client-Ip-Of", "Hostname"):
        assert not origins.is_proxied(*asked(("Host", OWN), (name, "x")))


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (OWN, f"http://{OWN}"),
        (f"LOCALHOST:{PORT}", f"http://localhost:{PORT}"),
        (f"[::1]:{PORT}", f"http://[::1]:{PORT}"),
        (f"[0:0:0:0:0:0:0:1]:{PORT}", f"http://[::1]:{PORT}"),
        ("localhost", "http://localhost:80"),
        ("localhost:80", "http://localhost"),
    ],
)
@pytest.mark.parametrize("is_public", [False, True])
def test_the_pages_own_origin_is_not_foreign(host: str, origin: str, is_public: bool) -> None:
    assert not is_foreign(("Host", host), ("Origin", origin), is_public=is_public)
    same = ("Sec-Fetch-Site", "same-origin")
    assert not is_foreign(("Host", host), ("Origin", origin), same, is_public=is_public)


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "http://127.0.0.1",
        "http://127.0.0.1:7861",
        f"https://{OWN}",
        f"http://localhost:{PORT}",
        f"http://127.0.0.2:{PORT}",
        f"http://evil.example:{PORT}",
        f"http://127.0.0.1.evil.example:{PORT}",
        f"http://{OWN}.evil.example",
        f"http://{OWN}@evil.example",
        f"http://evil.example@{OWN}",
        f"http://{OWN}/",
        f"http://{OWN} http://evil.example",
        f"http://{OWN},http://evil.example",
        f"//{OWN}",
        OWN,
        f"file://{OWN}",
        f"chrome-extension://{OWN}",
    ],
)
@pytest.mark.parametrize("is_public", [False, True])
def test_any_other_origin_is_foreign(origin: str, is_public: bool) -> None:
    assert is_foreign(("Host", OWN), ("Origin", origin), is_public=is_public)


def test_two_origins_are_foreign() -> None:
    assert is_foreign(("Host", OWN), ("Origin", f"http://{OWN}"), ("Origin", f"http://{OWN}"))


@pytest.mark.parametrize("is_public", [False, True])
def test_a_browser_says_from_where_it_asks(is_public: bool) -> None:
    for site in ("cross-site", "same-site", "", "Same-Origin", "same-origin, none", "other"):
        assert is_foreign(("Host", OWN), ("Sec-Fetch-Site", site), is_public=is_public), site
        own = ("Origin", f"http://{OWN}")
        assert is_foreign(("Host", OWN), own, ("Sec-Fetch-Site", site), is_public=is_public), site
    for site in ("same-origin", "none"):
        assert not is_foreign(("Host", OWN), ("Sec-Fetch-Site", site), is_public=is_public), site
        evil = ("Origin", "http://evil.example")
        assert is_foreign(("Host", OWN), evil, ("Sec-Fetch-Site", site), is_public=is_public), site
    twice = [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "same-origin")]
    assert is_foreign(("Host", OWN), *twice, is_public=is_public)


@pytest.mark.parametrize("is_public", [False, True])
def test_a_program_without_an_origin_is_not_foreign(is_public: bool) -> None:
    assert not is_foreign(("Host", OWN), ("Sec-Fetch-Mode", "cors"), is_public=is_public)


def test_in_public_a_proxy_that_ends_tls_may_stand_in_front() -> None:
    name, own = "space.example", ("Origin", "https://space.example")
    told = [("Host", name), own, ("X-Forwarded-Proto", "https")]
    assert not is_foreign(*told, is_public=True)
    assert not is_foreign(("Host", "127.0.0.1:7860"), *told[1:], ("X-Forwarded-Host", name), is_public=True)
    # Of several, only the first counts.
    assert is_foreign(("Host", "other"), *told[1:], *[("X-Forwarded-Host", one) for one in ("a", name)], is_public=True)
    untold = [("Host", name), own]
    assert is_foreign(*untold, is_public=True)
    assert not is_foreign(*untold, ("Sec-Fetch-Site", "same-origin"), is_public=True)
    for private in (told, [*untold, ("Sec-Fetch-Site", "same-origin")]):
        assert is_foreign(*private, is_public=False)


@pytest.mark.parametrize(
    ("mode", "dest", "frames", "opens"),
    [
        ("navigate", "document", False, True),
        ("navigate", "iframe", False, False),
        ("navigate", "iframe", True, True),
        ("navigate", "embed", False, False),
        ("no-cors", "document", True, False),
        ("cors", "empty", True, False),
        ("no-cors", "image", True, False),
    ],
)
def test_a_link_is_followed_by_a_navigation_of_a_whole_tab(mode: str, dest: str, frames: bool, opens: bool) -> None:
    _, headers = asked(("Sec-Fetch-Mode", mode), ("Sec-Fetch-Dest", dest))
    assert origins.opens_the_page(headers, frames=frames) == opens


@pytest.mark.parametrize("name", ["Host", "X-Forwarded-Host"])
@pytest.mark.parametrize(
    ("value", "is_none"),
    [
        *[
            (value, True)
            for value in ("", "[", "[::1", "[::1]:80:80", "x.example:a", "\x01", "a b", "☃.example", "//x")
        ],
        *[(value, False) for value in ("x.example", "X.example.:443, [", "[::1]:80", "a_b:1", "127.0.0.1:7860 , b")],
    ],
)
def test_what_should_name_the_page_and_names_no_host_is_told(name: str, value: str, is_none: bool) -> None:
    _, headers = asked((name, value))
    assert origins.nameless(headers) == ({name.lower().encode()} if is_none else set())
    _, headers = asked((name, "x.example"), (name, value))
    assert origins.nameless(headers) == ({name.lower().encode()} if is_none else set())
