"""A real nginx in front of the page: told apart where it can be, and a public page works behind it below a prefix."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app_process import RunningApp, free_port, running_app

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
START_WITHIN_S = 20.0
NAME = "videos.example"

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")

CONFIG = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  proxy_buffering off;
  server {{ listen 127.0.0.1:{port}; {locations} }}
}}
"""


@contextmanager
def nginx(folder: Path, locations: str) -> Iterator[str]:
    """Run nginx with these locations, and give its address."""
    port = free_port()
    folder.mkdir()
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, port=port, locations=locations), "utf-8")
    command = [str(NGINX), "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url, give_up_at = f"http://127.0.0.1:{port}", time.monotonic() + START_WITHIN_S
    try:
        while True:
            assert process.poll() is None, (folder / "error.log").read_text("utf-8")
            assert time.monotonic() < give_up_at
            try:
                httpx.get(url)
                break
            except httpx.TransportError:
                time.sleep(0.02)
        yield url
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    with running_app(tmp_path_factory.mktemp("private")) as app:
        yield app


PLAIN = "location / {{ proxy_pass http://127.0.0.1:{port}; }}"
NEWER = "location / {{ proxy_http_version 1.1; proxy_set_header Connection ''; proxy_pass http://127.0.0.1:{port}; }}"
TOLD = (
    "location / {{ proxy_http_version 1.1; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; "
    "proxy_pass http://127.0.0.1:{port}; }}"
)
NAMED = "location / {{ proxy_http_version 1.1; proxy_set_header Host $host; proxy_pass http://127.0.0.1:{port}; }}"


def estimate(url: str, **headers: str) -> httpx.Response:
    return httpx.post(f"{url}/gradio_api/call/v2/estimate", json={"prompt": "x"}, headers={"host": NAME, **headers})


@pytest.mark.parametrize("location", [PLAIN, TOLD, NAMED], ids=["plain", "forwarded", "host"])
def test_a_private_page_answers_nobody_through_nginx(private: RunningApp, tmp_path: Path, location: str) -> None:
    with nginx(tmp_path / "nginx", location.format(port=private.port)) as url:
        for path in ("/", "/config", "/gradio_api/info", "/gradio_api/hunyuan/videos?everybody=1"):
            answer = httpx.get(url + path, headers={"host": NAME, "accept": "text/html"})
            assert answer.status_code in (403, 421), path
            assert "HUNYUAN_UI_DAILY_LIMIT_USD" in answer.text
            assert answer.headers["x-frame-options"] == "DENY"
        refused = estimate(url)
        assert refused.status_code in (403, 421)
        assert "nginx" in refused.json()["error"]
        assert "event_id" not in refused.text


def test_an_nginx_that_hides_itself_lets_no_browser_spend(private: RunningApp, tmp_path: Path) -> None:
    """HTTP/1.1, its own Host and no mark: only what a browser says of itself gives it away (SECURITY.md)."""
    with nginx(tmp_path / "nginx", NEWER.format(port=private.port)) as url:
        assert estimate(url).status_code == 200
        for headers in ({"origin": f"http://{NAME}"}, {"origin": f"https://{NAME}", "sec-fetch-site": "same-origin"}):
            assert estimate(url, **headers).status_code == 403


def test_the_private_page_itself_still_answers(private: RunningApp) -> None:
    assert estimate(private.url.rstrip("/"), host=f"127.0.0.1:{private.port}").status_code == 200


# public, below a prefix

HEADERS = "proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto http;"
STRIPS = f"location /app/ {{{{ {HEADERS} proxy_pass http://127.0.0.1:{{port}}/; }}}}"
KEEPS = f"location /app/ {{{{ {HEADERS} proxy_pass http://127.0.0.1:{{port}}; }}}}"


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    settings: dict[str, Any] = {"GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_ROOT_PATH": "/app"}
    with running_app(tmp_path_factory.mktemp("public"), **settings) as app:
        yield app


@pytest.mark.parametrize("location", [STRIPS, KEEPS], ids=["strips", "keeps"])
def test_a_public_page_works_behind_nginx_below_a_prefix(public: RunningApp, tmp_path: Path, location: str) -> None:
    with nginx(tmp_path / "nginx", location.format(port=public.port)) as address:
        url, own = f"{address}/app", {"origin": address, "sec-fetch-site": "same-origin"}
        page = httpx.get(f"{url}/")
        assert page.status_code == 200
        assert json.dumps(url) in page.text  # the root that its scripts ask
        begun = httpx.post(f"{url}/gradio_api/call/v2/estimate", json={"prompt": "x"}, headers=own)
        told = httpx.get(f"{url}/gradio_api/call/estimate/{begun.json()['event_id']}", headers=own, timeout=60)
        assert "event: complete" in told.text
        config = httpx.get(f"{url}/config").json()
        at = {one["api_name"]: one["id"] for one in config["dependencies"]}
        call = {"data": ["x"], "fn_index": at["attach"], "session_hash": "abc"}
        assert httpx.post(f"{url}/gradio_api/run/predict", json=call, headers=own).status_code == 200
        evil = {"origin": "http://evil.example", "sec-fetch-site": "cross-site"}
        assert httpx.post(f"{url}/gradio_api/run/predict", json=call, headers=evil).status_code == 403
        for path in (
            "gradio_api/upload",
            "monitoring/summary",
            "gradio_api/deep_link?session_hash=a",
            "gradio_api/file=https://example.com/x",
            "gradio_api/proxy=https://x.hf.space/x",
            "gradio_api/runs",
        ):
            for root in (url, f"{address}/app/app", f"{address}/app//", f"{address}/app/%2e/", f"{address}/app/x/.."):
                for method in ("GET", "POST"):
                    assert httpx.request(method, f"{root}/{path}").status_code == 404, (method, root, path)
