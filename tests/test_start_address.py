"""The address that the page is to listen on, as it is checked before anything is started."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from hunyuan_ui.settings import Settings
from hunyuan_ui.startup import check_address


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "0.0.0.0", "::1", "::"])
def test_an_address_of_this_machine_is_taken(name: str) -> None:
    check_address(Settings(data_dir=Path("data"), server_name=name))


def test_a_port_whose_last_connection_has_just_ended_is_taken_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            server.accept()[0].close()  # the server ends it first, and its system keeps the port for a minute
            assert client.recv(1) == b""
    check_address(Settings(data_dir=Path("data"), server_name="127.0.0.1", server_port=port))


def test_a_port_of_ipv4_that_another_program_has_is_free_in_ipv6() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        check_address(Settings(data_dir=Path("data"), server_name="::", server_port=port))
