from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from hunyuan_ui.health_probe import main
from tests.app_process import ROOT, free_port, running_app

STATUS = {"well": 200, "in trouble": 503, "moved": 302}


class _Page(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/gradio_api/healthz" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class _Page6(HTTPServer):
    address_family = socket.AF_INET6


@pytest.fixture(params=["127.0.0.1", "::1"])
def page(request: pytest.FixtureRequest) -> Iterator[HTTPServer]:
    kind = _Page6 if request.param == "::1" else HTTPServer
    with kind((request.param, 0), type("Page", (_Page,), {})) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def environ(page: HTTPServer, **more: str) -> dict[str, str]:
    every = "::" if page.address_family == socket.AF_INET6 else "0.0.0.0"
    return {"GRADIO_SERVER_NAME": every, "GRADIO_SERVER_PORT": str(page.server_port), **more}


@pytest.mark.parametrize("state", STATUS)
def test_a_page_is_well_only_if_it_says_so(page: HTTPServer, state: str) -> None:
    page.RequestHandlerClass.status = STATUS[state]  # type: ignore[attr-defined]
    assert main(environ(page)) == (0 if state == "well" else 1)


@pytest.mark.parametrize("quote", ['"', "'"])
def test_quotes_that_an_env_file_passes_on_are_no_part_of_the_address(page: HTTPServer, quote: str) -> None:
    assert main({name: f"{quote}{text}{quote}" for name, text in environ(page).items()}) == 0


def test_nobody_there_and_a_wrong_setting_are_not_well(page: HTTPServer) -> None:
    assert main(environ(page, GRADIO_SERVER_PORT=str(free_port()))) == 1
    assert main(environ(page, GRADIO_SERVER_PORT="many")) == 1


def test_the_images_own_command_finds_a_page_whatever_proxies_there_are(tmp_path: Path) -> None:
    written = re.search(r"HEALTHCHECK.*\\\n\s+CMD (\[.*\])", (ROOT / "Dockerfile").read_text("utf-8"))
    assert written is not None
    command = [sys.executable, *json.loads(written[1])[1:]]
    with running_app(tmp_path) as app:
        for port, code in ((str(app.port), 0), (f'"{app.port}"', 0), (str(free_port()), 1)):
            proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy"), "http://127.0.0.1:9")
            environ = {"PATH": "", "GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_SERVER_PORT": port, **proxies}
            assert subprocess.run(command, cwd=ROOT, env=environ, timeout=20, check=False).returncode == code
