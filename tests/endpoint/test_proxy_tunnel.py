"""Through a proxy: it stays certain what was sent, and no untrusted address reaches the internal network."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from hunyuan_ui.cli import Exit, main
from hunyuan_ui.endpoint import http, safe_transport
from hunyuan_ui.endpoint.contract import CREDITS, SUBMIT_V2
from hunyuan_ui.endpoint.download import FetchLimits, fetch
from hunyuan_ui.endpoint.engines import VIDEOS
from hunyuan_ui.endpoint.openai_videos import EngineClient
from hunyuan_ui.endpoint.safe_transport import is_private_name
from hunyuan_ui.endpoint.segmind import EndpointClient, Timeouts
from hunyuan_ui.errors import DownloadError, EndpointUnreachableError, OutcomeUnknownError, reason
from hunyuan_ui.media import check_mp4
from hunyuan_ui.outbound_proxies import Proxies
from hunyuan_ui.request import VideoRequest
from tests.connect_proxy import ConnectProxy
from tests.raw_service import RawService, answer, redirect, reset
from tests.videos import mp4_bytes

API, FILES = "api.example", "files.example"
BASE = f"https://{API}"
KEY = "SG_00112233aabbccdd"
REQUEST = VideoRequest(prompt="a cat")


class NamedService(RawService):
    """A service under a name that only the proxy resolves."""

    @property
    def origin(self) -> str:
        return BASE

    @property
    def port(self) -> int:
        return int(super().origin.rpartition(":")[2])


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def certified(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    """Return the TLS context of a proxy with this name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, authority: trustme.CA) -> Iterator[NamedService]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(API, FILES).configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    http.shared_ssl_context.cache_clear()
    running = NamedService(ssl_context=context)
    with running:
        running.serve_v2(mp4_bytes())
        yield running
    http.shared_ssl_context.cache_clear()


def proxies(proxy: ConnectProxy, login: str = "", scheme: str = "http", exempt: str = "") -> Proxies:
    return Proxies.of({"HTTPS_PROXY": f"{scheme}://{login}127.0.0.1:{proxy.port}", "NO_PROXY": exempt})


def client(through: Proxies) -> EndpointClient:
    return EndpointClient(BASE, BASE, timeouts=Timeouts(connect_s=1.0, submit_s=3.0, get_s=3.0), proxies=through)


@pytest.mark.anyio
@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
@pytest.mark.parametrize("login", ["", "user:p%40ss@"])
async def test_a_request_goes_once_through_the_tunnel_and_the_proxy_sees_no_key(
    service: NamedService, scheme: str, login: str
) -> None:
    wanted = ("user", "p@ss") if login else None
    with ConnectProxy({API: service.port}, login=wanted, is_socks=scheme != "http") as proxy:
        calls = client(proxies(proxy, login, scheme))
        assert await calls.submit(REQUEST, KEY)
        service.on("GET", CREDITS, answer(200, {"credits": 3}))
        assert await calls.credits(KEY) == 3
        await calls.aclose()
    assert len(service.bill) == 1
    assert proxy.asked == [f"{API}:443"] * 2
    assert KEY.encode() not in b"".join(proxy.heads)


@pytest.mark.anyio
@pytest.mark.parametrize("login", ["", "user:p%40ss@"])
async def test_a_socks_proxy_may_reply_in_pieces(service: NamedService, login: str) -> None:
    wanted = ("user", "p@ss") if login else None
    with ConnectProxy({API: service.port}, login=wanted, is_socks=True, is_slow=True) as proxy:
        calls = client(proxies(proxy, login, "socks5"))
        assert await calls.submit(REQUEST, KEY)
        await calls.aclose()
    assert len(service.bill) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("login", ["", "user:p%40ss@"])
async def test_a_proxy_may_be_spoken_to_over_tls_and_hides_its_own_login(
    service: NamedService, authority: trustme.CA, login: str
) -> None:
    wanted = ("user", "p@ss") if login else None
    with ConnectProxy({API: service.port}, login=wanted, ssl_context=certified(authority)) as proxy:
        calls = client(proxies(proxy, login, "https"))
        assert await calls.submit(REQUEST, KEY)
        service.on("GET", CREDITS, answer(200, {"credits": 3}))
        assert await calls.credits(KEY) == 3
        await calls.aclose()
    assert len(service.bill) == 1
    assert set(proxy.asked) == {f"{API}:443"}
    assert KEY.encode() not in b"".join(proxy.heads)


@pytest.mark.anyio
@pytest.mark.parametrize("fault", ["another authority", "another name", "no TLS"])
async def test_a_proxy_that_cannot_show_who_it_is_is_told_nothing(
    service: NamedService, authority: trustme.CA, fault: str
) -> None:
    contexts = {
        "another authority": certified(trustme.CA()),
        "another name": certified(authority, "proxy.example"),
        "no TLS": None,
    }
    with ConnectProxy({API: service.port}, login=("user", "p@ss"), ssl_context=contexts[fault]) as proxy:
        calls = client(proxies(proxy, "user:p%40ss@", "https"))
        with pytest.raises(EndpointUnreachableError):
            await calls.submit(REQUEST, KEY)
        await calls.aclose()
    assert (service.bill, service.requests) == ([], [])
    assert b"Authorization" not in b"".join(proxy.heads)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", reason("proxy_refused", status=407)),
        (b"HTTP/1.1 503 x\r\nContent-Length: 3\r\n\r\nabc", reason("proxy_refused", status=503)),
        (b"HTTP/1.1 302 Found\r\nLocation: http://evil.example/\r\n\r\n", reason("proxy_refused", status=302)),
        (b"", reason("no_tunnel")),
        (b"SSH-2.0-OpenSSH\r\n\r\n", reason("no_tunnel")),
        (b"HTTP/1.1 200 OK\r\n\r\nmore", reason("proxy_refused", status=200)),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 20_000, reason("no_tunnel")),
        (None, reason("no_connection_in_time")),
    ],
    ids=["407", "503", "302", "closed", "garbage", "more than a head", "endless head", "silent"],
)
async def test_a_proxy_that_makes_no_tunnel_proves_that_nothing_was_sent(
    service: NamedService, said: bytes | None, why: Any
) -> None:
    def act(connection: Any) -> None:
        time.sleep(3) if said is None else connection.sendall(said)

    with ConnectProxy({}, instead=act) as proxy:
        calls = client(proxies(proxy))
        with pytest.raises(EndpointUnreachableError) as caught:
            await calls.submit(REQUEST, KEY)
        await calls.aclose()
    assert caught.value.facts["reason"] == why
    assert (service.bill, service.requests) == ([], [])


@pytest.mark.anyio
@pytest.mark.parametrize("is_socks", [False, True])
async def test_a_proxy_that_is_away_or_does_not_know_the_name_sent_nothing(
    service: NamedService, is_socks: bool
) -> None:
    scheme = "socks5" if is_socks else "http"
    with ConnectProxy({}, is_socks=is_socks) as proxy:
        through = proxies(proxy, scheme=scheme)
        calls = client(through)
        with pytest.raises(EndpointUnreachableError):
            await calls.submit(REQUEST, KEY)
    with pytest.raises(EndpointUnreachableError):
        await calls.submit(REQUEST, KEY)
    await calls.aclose()
    assert service.bill == []


@pytest.mark.anyio
async def test_an_answer_lost_in_the_tunnel_may_be_charged(service: NamedService) -> None:
    service.on("POST", SUBMIT_V2, reset())
    with ConnectProxy({API: service.port}) as proxy:
        calls = client(proxies(proxy))
        with pytest.raises(OutcomeUnknownError):
            await calls.submit(REQUEST, KEY)
        await calls.aclose()
    assert len(service.bill) == 1


@pytest.mark.anyio
async def test_a_certificate_of_another_name_is_refused_through_a_proxy_too(service: NamedService) -> None:
    with ConnectProxy({"other.example": service.port}) as proxy:
        calls = EndpointClient("https://other.example", BASE, proxies=proxies(proxy))
        with pytest.raises(EndpointUnreachableError) as caught:
            await calls.submit(REQUEST, KEY)
        await calls.aclose()
    assert caught.value.code == "tls_failed"
    assert service.requests == []


@pytest.mark.anyio
@pytest.mark.parametrize("exempt", ["", API])
async def test_only_an_engine_over_https_is_reached_through_the_proxy(service: NamedService, exempt: str) -> None:
    service.on("POST", VIDEOS, answer(200, {"id": "vid-12345", "status": "queued"}))
    with ConnectProxy({API: service.port}) as proxy:
        through = proxies(proxy, exempt=exempt)
        for origin in (BASE, f"http://{API}:{service.port}"):
            engine = EngineClient(origin, timeouts=Timeouts(connect_s=1.0), proxies=through)
            if origin == BASE and not exempt:
                assert (await engine.submit(REQUEST, KEY)).request_id == "vid-12345"
            else:  # the name is known to the proxy only
                with pytest.raises(EndpointUnreachableError):
                    await engine.submit(REQUEST, KEY)
            await engine.aclose()
    assert proxy.asked == ([] if exempt else [f"{API}:443"])


# files


async def fetched(url: str, part: Path, through: Proxies) -> None:
    await fetch(url, part, own_origin=BASE, check=check_mp4, proxies=through, limits=FetchLimits(connect_s=2))


@pytest.mark.anyio
async def test_a_file_comes_through_the_tunnel_by_its_name(service: NamedService, tmp_path: Path) -> None:
    service.on("GET", "/1.mp4", answer(200, mp4_bytes()))
    with ConnectProxy({API: service.port, FILES: service.port}) as proxy:
        for host in (FILES, API):
            await fetched(f"https://{host}/1.mp4", tmp_path / "a.part", proxies(proxy))
            check_mp4(tmp_path / "a.part")
    assert proxy.asked == [f"{FILES}:443", f"{API}:443"]
    assert all("x-api-key" not in received.headers for received in service.requests)


PRIVATE = [
    *("localhost", "127.0.0.1", "127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "10.0.0.1", "169.254.169.254"),
    *("[::1]", "[fe80::1]", "[fc00::1]", "[::ffff:10.0.0.1]", "[64:ff9b::7f00:1]", "100.64.0.1", "0.0.0.0"),
    *("router", "printer.local", "metadata.google.internal", "wiki.corp", "nas.lan", "LOCALHOST.", "a.home.arpa"),
]


@pytest.mark.anyio
@pytest.mark.parametrize("host", PRIVATE)
async def test_no_proxy_is_asked_for_what_lies_inside(service: NamedService, tmp_path: Path, host: str) -> None:
    with ConnectProxy({host.strip("[]"): service.port, API: service.port}) as proxy:
        with pytest.raises(DownloadError) as caught:
            await fetched(f"https://{host}/1.mp4", tmp_path / "a.part", proxies(proxy))
        # Names that some resolvers map to this machine are checked here, without a connection.
        assert caught.value.code == "link_refused" or host == "LOCALHOST."
        service.on("GET", "/1.mp4", redirect(f"https://{host}/2.mp4"))
        with pytest.raises(DownloadError):
            await fetched(f"{BASE}/1.mp4", tmp_path / "a.part", proxies(proxy))
    assert proxy.asked == [f"{API}:443"]


@pytest.mark.anyio
async def test_a_name_that_is_known_here_to_lead_inside_is_refused(
    service: NamedService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(*_: object) -> list[str]:
        return ["8.8.8.8", "10.1.2.3"]

    monkeypatch.setitem(safe_transport.SafeBackend.__init__.__kwdefaults__ or {}, "resolve", resolve)
    with ConnectProxy({FILES: service.port}) as proxy, pytest.raises(DownloadError) as caught:
        await fetched(f"https://{FILES}/1.mp4", tmp_path / "a.part", proxies(proxy))
    assert caught.value.facts["reason"] == reason("link_private")
    assert proxy.asked == []


@pytest.mark.parametrize("host", ["images.segmind.com", "8.8.8.8", "2600:1f18::1", "bucket.s3.amazonaws.com", "x.co."])
def test_a_public_name_may_be_told_to_the_proxy(host: str) -> None:
    assert not is_private_name(host)


# the whole program


@pytest.mark.slow
def test_a_video_is_made_through_a_proxy_and_its_login_is_told_nowhere(
    service: NamedService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "cat.mp4"
    with ConnectProxy({API: service.port}, login=("owner", "hunter2")) as proxy:
        environ = {
            "HUNYUAN_UI_DATA_DIR": str(tmp_path / "data"),
            "HUNYUAN_UI_POLL_SECONDS": "0.05",
            "SEGMIND_API_KEY": KEY,
            "SEGMIND_BASE_URL": BASE,
            "https_proxy": f"http://owner:hunter2@127.0.0.1:{proxy.port}",
        }
        assert main(["a cat", "--width=64", "--height=48", "--frames=5", f"--out={target}"], environ) == Exit.DONE
        check_mp4(target)
        assert len(service.bill) == 1
        assert set(proxy.asked) == {f"{API}:443"}
        service.on("GET", CREDITS, answer(200, {"credits": 90}))
        main(["--check", "--json"], environ)
        told = capsys.readouterr()
        states = {row["name"]: row["state"] for row in json.loads(told.out.splitlines()[-1])["checks"]}
        assert states["key"] == states["balance"] == "as_expected"
        assert "hunter2" not in told.out + told.err
    before = len(service.bill)
    assert (
        main(["a dog", "--yes", "--width=64", "--height=48", "--frames=5", f"--out={target}"], environ) == Exit.FAILED
    )  # the proxy is down
    assert len(service.bill) == before
    told = capsys.readouterr()
    assert "hunter2" not in told.out + told.err
