"""Names of this machine: the same result on every Python."""

from __future__ import annotations

import pytest

from hunyuan_ui.local_addresses import HostPort, is_loopback, listening_name, parse_host_port
from hunyuan_ui.settings import Settings

HERE = [
    "127.0.0.1",
    "127.0.0.2",
    "127.255.255.254",
    "::1",
    "[::1]",
    "0:0:0:0:0:0:0:1",
    "0000:0000:0000:0000:0000:0000:0000:0001",
    "::ffff:127.0.0.1",
    "[::FFFF:127.0.0.1]",
    "::ffff:7f00:1",
    "::ffff:7f12:3456",
    "0:0:0:0:0:ffff:127.0.0.1",
    "0:0:0:0:0:ffff:7f00:0001",
    "localhost",
    "LOCALHOST",
    "localhost.",
]
ELSEWHERE = [
    "",
    "0.0.0.0",
    "::",
    "::ffff:0.0.0.0",
    "::ffff:128.0.0.1",
    "::ffff:10.0.0.1",
    "::127.0.0.1",  # an old form that no system maps to this machine
    "64:ff9b::127.0.0.1",
    "2002:7f00:1::",
    "fe80::1",
    "128.0.0.1",
    "126.255.255.255",
    "127.1",
    "127.0.0.1.",
    "127.0.0.01",
    "0177.0.0.1",
    "0x7f.0.0.1",
    "0x7f000001",
    "2130706433",
    "127.0.0.1.example",
    "localhost..",
    "localhost.localdomain",
    "x.localhost",
    "xlocalhost",
    "local\u0127ost",
    "ⓛocalhost",
    "127。0。0。1",
    "１２７.0.0.1",
    "localhost ",
    "example.com",
]


@pytest.mark.parametrize("host", HERE)
def test_every_spelling_of_loopback_is_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ELSEWHERE)
def test_what_is_not_surely_this_machine_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("host", HERE)
def test_a_start_on_a_loopback_name_is_private(host: str) -> None:
    assert not Settings.from_environ({"GRADIO_SERVER_NAME": host}).is_public


@pytest.mark.parametrize("host", [name for name in ELSEWHERE if name])
def test_a_start_on_any_other_name_is_public(host: str) -> None:
    # A name that only might be this machine's is treated as public.
    assert Settings.from_environ({"GRADIO_SERVER_NAME": host.strip()}).is_public == (host.strip() != "localhost")


@pytest.mark.parametrize(
    ("text", "host_port"),
    [
        ("127.0.0.1:7860", HostPort("127.0.0.1", 7860)),
        ("LocalHost", HostPort("localhost", None)),
        ("localhost.:1", HostPort("localhost.", 1)),
        ("[::1]:7860", HostPort("::1", 7860)),
        ("[0:0:0:0:0:0:0:1]", HostPort("::1", None)),
        ("a-b.c_d.example:65535", HostPort("a-b.c_d.example", 65535)),
        ("xn--bcher-kva.example", HostPort("xn--bcher-kva.example", None)),
    ],
)
def test_a_host_and_port_are_read(text: str, host_port: HostPort) -> None:
    assert parse_host_port(text) == host_port


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":7860",
        "127.0.0.1:",
        "127.0.0.1:07860",
        "127.0.0.1:7860x",
        "127.0.0.1:-1",
        "127.0.0.1:123456",
        "127.0.0.1:７８６０",
        "user@127.0.0.1:7860",
        "user:7860@evil.example",
        "127.0.0.1:7860@evil.example",
        "127.0.0.1,evil.example",
        "127.0.0.1 evil.example",
        "127.0.0.1:7860/",
        "http://127.0.0.1:7860",
        "localhost..",
        ".localhost",
        "::1",
        "[::1",
        "::1]",
        "[::1]x",
        "[127.0.0.1]",
        "[:::]",
        "[::1%25lo]",
        "bücher.example",
        "127.0.0.1\n",
        "127.0.0.1\t",
    ],
)
def test_what_names_no_host_is_none(text: str) -> None:
    assert parse_host_port(text) is None


def test_every_address_may_be_written_as_a_star() -> None:
    assert listening_name("*") == "0.0.0.0"
    assert not is_loopback("*")
