"""Untrusted addresses: which are opened, and where they connect: docs/facts/faults-and-security.md rows 38 and 39."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import httpcore
import httpx
import pytest
import trustme

from hunyuan_ui.endpoint.download import fetch
from hunyuan_ui.endpoint.http import BackedTransport, new_request
from hunyuan_ui.endpoint.safe_transport import SafeBackend, UrlPolicy, is_public
from hunyuan_ui.errors import DownloadError, reason
from tests.endpoint.calls import only_uncut
from tests.raw_service import RawService, answer

pytestmark = pytest.mark.anyio

OWN = "https://api.segmind.com"
PUBLIC = "8.8.8.8"

UNSAFE = [
    # not a web address of the agreed kind
    "",
    "images.segmind.com/1.mp4",
    "//images.segmind.com/1.mp4",
    "https://",
    "https:///1.mp4",
    "http://images.segmind.com/1.mp4",
    "http://api.segmind.com/1.mp4",
    "ftp://images.segmind.com/1.mp4",
    "file:///etc/passwd",
    "data:video/mp4;base64,AAAA",
    "javascript:alert(1)",
    "gopher://127.0.0.1:25/_x",
    "unix:///var/run/docker.sock",
    "https://images.segmind.com:8443/1.mp4",
    "https://images.segmind.com:22/1.mp4",
    "https://images.segmind.com:99999/1.mp4",
    "https://user@images.segmind.com/1.mp4",
    "https://user:password@images.segmind.com/1.mp4",
    "https://images.segmind.com@127.0.0.1/1.mp4",
    "https://images.segmind.com/" + "a" * 5000,
    "https://images.segmind.com\r\nx: y/1.mp4",
    # this machine, in every notation
    "https://localhost/1.mp4",
    "https://LOCALHOST/1.mp4",
    "https://127.0.0.1/1.mp4",
    "https://127.1/1.mp4",
    "https://2130706433/1.mp4",
    "https://0x7f000001/1.mp4",
    "https://0x7f.0.0.1/1.mp4",
    "https://0177.0.0.1/1.mp4",
    "https://１２７.0.0.1/1.mp4",
    "https://0.0.0.0/1.mp4",
    "https://0/1.mp4",
    "https://[::1]/1.mp4",
    "https://[::]/1.mp4",
    "https://[::ffff:127.0.0.1]/1.mp4",
    "https://[::ffff:7f00:1]/1.mp4",
    "https://[::127.0.0.1]/1.mp4",
    # local networks
    "https://10.0.0.1/1.mp4",
    "https://172.16.0.1/1.mp4",
    "https://192.168.1.1/1.mp4",
    "https://100.64.0.1/1.mp4",
    "https://169.254.169.254/latest/meta-data/",
    "https://[fe80::1]/1.mp4",
    "https://[fc00::1]/1.mp4",
    "https://[fec0::1]/1.mp4",
    "https://[fd00:ec2::254]/latest/",
    # embedded IPv4 addresses
    "https://[64:ff9b::7f00:1]/1.mp4",
    "https://[64:ff9b:1::7f00:1]/1.mp4",
    "https://[2002:7f00:1::]/1.mp4",
    "https://[2001:0:7f00:1::]/1.mp4",
    "https://[2001:db8::1]/1.mp4",
    "https://[3fff::1]/1.mp4",
    "https://[ff02::1]/1.mp4",
    "https://224.0.0.1/1.mp4",
    "https://255.255.255.255/1.mp4",
    "https://192.0.0.8/1.mp4",
    "https://198.18.0.1/1.mp4",
    "https://203.0.113.1/1.mp4",
    "https://240.0.0.1/1.mp4",
]


@pytest.mark.parametrize("url", UNSAFE)
async def test_row39_an_unsafe_address_is_refused_before_any_connection(url: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError) as caught:
        await fetch(url, tmp_path / "a.part", own_origin=OWN, check=only_uncut)
    assert (caught.value.code, caught.value.retryable, caught.value.expired) == ("link_refused", False, False)


@pytest.mark.parametrize(
    "url",
    [
        "https://images.segmind.com/generations/1.mp4",
        "https://images.segmind.com:443/1.mp4?X-Signature=a%2Fb&c=d",
        "https://segmind-inference-io.s3.amazonaws.com/1.mp4#t=1",
        "https://api.segmind.com/1.mp4",
    ],
)
def test_a_public_https_address_passes(url: str) -> None:
    assert UrlPolicy(OWN).check(url) == httpx.URL(url)


def test_the_own_host_and_port_are_not_reached_by_another_scheme() -> None:
    with pytest.raises(DownloadError, match="link_refused"):  # it would be connected to without a check
        UrlPolicy("http://127.0.0.1:443").check("https://127.0.0.1/x.mp4")


def test_only_the_exact_own_origin_may_be_plain_http_on_this_machine() -> None:
    policy = UrlPolicy("http://127.0.0.1:8010")
    assert policy.check("http://127.0.0.1:8010/files/1.mp4")
    for url in (
        "http://127.0.0.1/1.mp4",
        "http://127.0.0.1:8011/1.mp4",
        "http://localhost:8010/1.mp4",
        "https://127.0.0.1:8010/1.mp4",
        "http://user@127.0.0.1:8010/1.mp4",
    ):
        with pytest.raises(DownloadError):
            policy.check(url)


@pytest.mark.parametrize("address", [PUBLIC, "52.216.0.1", "2600:1f18::1", "2a00:1450::1", "64:ff9b::808:808"])
def test_a_public_address_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "localhost",
        "8.8.8.8.8",
        "fe80::1%eth0",
        "::ffff:8.8.8.8",
        "192.88.99.1",
        "64:ff9b::c0a8:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::e000:1",
        "64:ff9b::6440:1",
        "64:ff9b:1::808:808",
    ],
)
def test_what_is_not_surely_public_is_not(address: str) -> None:
    assert not is_public(address)


class Dialled(httpcore.AsyncNetworkBackend):
    """Records where a connection would go, and connects to a port of this machine instead."""

    def __init__(self, port: int = 0, dead: tuple[str, ...] = ()) -> None:
        self.hosts: list[str] = []
        self._port = port
        self._dead = dead

    async def connect_tcp(self, host: str, *_: object, **__: object) -> httpcore.AsyncNetworkStream:
        self.hosts.append(host)
        if host in self._dead:
            raise httpcore.ConnectError("no route")
        inner: httpcore.AsyncNetworkBackend = httpcore.AnyIOBackend()  # pyright: ignore[reportAssignmentType]
        return await inner.connect_tcp("127.0.0.1", self._port)


def backend_of(addresses: list[str], dialled: Dialled) -> SafeBackend:
    async def resolve(host: str, port: int) -> list[str]:
        return addresses

    return SafeBackend(UrlPolicy(OWN), resolve=resolve, inner=dialled)


@pytest.mark.parametrize("addresses", [["127.0.0.1"], [PUBLIC, "10.0.0.1"], ["2a00:1450::1", "::1"]])
async def test_one_private_address_of_a_name_is_enough_to_refuse_it(addresses: list[str]) -> None:
    dialled = Dialled()
    with pytest.raises(DownloadError) as caught:
        await backend_of(addresses, dialled).connect_tcp("files.example", 443)
    assert caught.value.facts["reason"] == reason("link_private")
    assert dialled.hosts == []


async def test_the_connection_goes_to_a_checked_address_and_tls_verifies_the_name() -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trust = ssl.create_default_context()
    authority = trustme.CA()
    authority.issue_cert("files.example").configure_cert(server)
    authority.configure_trust(trust)
    with RawService(ssl_context=server) as service:
        service.on("GET", "*", answer(200, b"whole"))
        dialled = Dialled(int(service.origin.rpartition(":")[2]), dead=("2a00:1450::1",))
        transport = BackedTransport(backend_of(["2a00:1450::1", PUBLIC], dialled), trust, kept=0)
        async with transport:
            response = await transport.handle_async_request(new_request("GET", "https://files.example/1.mp4", 5))
            assert await response.aread() == b"whole"
            with pytest.raises(httpx.ConnectError, match=r"(?i)hostname mismatch"):
                await transport.handle_async_request(new_request("GET", "https://other.example/1.mp4", 5))
    assert dialled.hosts[:2] == ["2a00:1450::1", PUBLIC]
    assert [received.headers["host"] for received in service.requests] == ["files.example"]


@pytest.mark.parametrize("silent", ["IPv6", "IPv4"])
@pytest.mark.parametrize("counts", [(8, 4), (4, 8), (1, 1), (8, 1)])
@pytest.mark.parametrize("is_first", [True, False])
async def test_a_network_that_drops_one_family_reaches_a_name_with_many_addresses_of_it(
    silent: str, counts: tuple[int, int], *, is_first: bool
) -> None:
    sixes = [f"2606:4700::{number:x}" for number in range(1, counts[0] + 1)]
    fours = [f"8.8.4.{number}" for number in range(1, counts[1] + 1)]
    dialled = list[str]()

    class Dropping(Dialled):
        async def connect_tcp(self, host: str, *_: object, **__: object) -> httpcore.AsyncNetworkStream:
            dialled.append(host)
            if (":" in host) == (silent == "IPv6"):
                raise httpcore.ConnectTimeout
            return httpcore.AsyncMockStream([])

    await backend_of(sixes + fours if is_first else fours + sixes, Dropping()).connect_tcp("files.example", 443)
    assert len(dialled) <= 2  # each may take as long as a third of the time for the answer


async def test_a_network_without_ipv4_reaches_a_name_by_its_translated_address() -> None:
    dialled = Dialled(dead=(PUBLIC, "64:ff9b::808:808"))
    with pytest.raises(httpcore.ConnectError):
        await backend_of([PUBLIC, "64:ff9b::808:808"], dialled).connect_tcp("files.segmind.com", 443)
    assert dialled.hosts == [PUBLIC, "64:ff9b::808:808"]


@pytest.mark.parametrize("failure", [socket.gaierror(socket.EAI_NONAME, "unknown"), UnicodeError("label too long")])
async def test_a_name_that_does_not_resolve_may_be_tried_again(failure: Exception) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise failure

    backend = SafeBackend(UrlPolicy(OWN), resolve=resolve, inner=Dialled())
    with pytest.raises(httpcore.ConnectError):
        await backend.connect_tcp("files.example", 443)
    with pytest.raises(httpcore.ConnectError):
        await backend_of([], Dialled()).connect_tcp("files.example", 443)
