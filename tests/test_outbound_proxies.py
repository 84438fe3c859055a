"""The proxy of each host, and the startup message about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hunyuan_ui.errors import SettingsError
from hunyuan_ui.outbound_proxies import Proxies
from hunyuan_ui.settings import Settings
from hunyuan_ui.startup import describe

PROXY = {"HTTPS_PROXY": "http://proxy.example:3128"}


@pytest.mark.parametrize(
    ("environ", "shown"),
    [
        ({}, None),
        ({"HTTPS_PROXY": ""}, None),
        (PROXY, "http://proxy.example:3128"),
        ({"https_proxy": "proxy.example"}, "http://proxy.example:80"),
        ({"https_proxy": "https://proxy.example"}, "https://proxy.example:443"),
        ({"ALL_PROXY": "socks5h://proxy.example"}, "socks5h://proxy.example:1080"),
        ({"ALL_PROXY": "socks5://other.example", **PROXY}, "http://proxy.example:3128"),
        ({"https_proxy": "http://small.example:1", **PROXY}, "http://small.example:1"),
        ({"HTTP_PROXY": "http://proxy.example:3128"}, None),  # for plain http, which only this machine uses
        ({"HTTPS_PROXY": "http://me:secret@[2001:db8::1]:8080/"}, "http://[2001:db8::1]:8080"),
    ],
)
def test_the_proxy_of_https_is_the_one_that_other_programs_take(environ: dict[str, str], shown: str | None) -> None:
    proxy = Proxies.of(environ).proxy_for("api.segmind.com")
    assert (None if proxy is None else str(proxy)) == shown
    assert "secret" not in repr(proxy) + str(proxy)


@pytest.mark.parametrize(
    ("exempt", "direct", "through"),
    [
        ("", ["localhost", "127.0.0.1", "::1", "127.8.8.8"], ["api.segmind.com", "10.0.0.1"]),
        ("*", ["api.segmind.com", "8.8.8.8"], []),
        ("segmind.com", ["segmind.com", "API.Segmind.com."], ["notsegmind.com", "segmind.com.evil.example"]),
        (".segmind.com, x", ["api.segmind.com", "segmind.com", "x"], ["example"]),
        ("*.segmind.com", ["api.segmind.com"], ["segmind.org"]),
        ("10.0.0.0/8,2001:db8::/32", ["10.9.8.7", "2001:db8::1"], ["11.0.0.1", "2001:db9::1"]),
        ("8.8.8.8,[::2]", ["8.8.8.8", "::2"], ["8.8.8.80", "88.8.8.8"]),
        (",,  ,/,//,1/99", [], ["api.segmind.com", "8.8.8.8"]),
    ],
)
def test_no_proxy_names_what_is_reached_directly(exempt: str, direct: list[str], through: list[str]) -> None:
    proxies = Proxies.of({**PROXY, "NO_PROXY": exempt})
    assert [host for host in direct if proxies.proxy_for(host) is not None] == []
    assert [host for host in through if proxies.proxy_for(host) is None] == []


@pytest.mark.parametrize("text", ["ftp://x", "http://", "http://x:99999", "http://x:y", "://", "socks4://x"])
def test_what_is_no_proxy_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match="setting"):
        Settings.from_environ({"HUNYUAN_UI_DATA_DIR": str(tmp_path), "HTTPS_PROXY": text})


@pytest.mark.parametrize(
    ("more", "is_told"),
    [
        ({}, True),
        ({"NO_PROXY": "segmind.com"}, False),
        ({"SEGMIND_BASE_URL": "http://127.0.0.1:8010"}, False),
        ({"SEGMIND_API_KEY": ""}, False),
    ],
)
def test_the_banner_tells_the_proxy_without_its_login(tmp_path: Path, more: dict[str, str], is_told: bool) -> None:
    environ = {
        "HUNYUAN_UI_DATA_DIR": str(tmp_path),
        "SEGMIND_API_KEY": "SG_00112233aabbccdd",
        "HTTPS_PROXY": "http://owner:hunter2@proxy.example:3128",
        **more,
    }
    settings = Settings.from_environ(environ)
    told = "\n".join(describe(settings))
    assert ("http://proxy.example:3128" in told) is is_told
    assert "hunter2" not in told + repr(settings)
    assert "owner:" not in told + repr(settings)
