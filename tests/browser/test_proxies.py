"""The page in a real Chromium behind a real nginx: below a prefix, with TLS, and where nginx refuses."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.app_process import RunningApp, running_app
from tests.browser.conftest import LONG_MS
from tests.browser.steps import generate_short
from tests.nginx import needs_nginx, needs_openssl, nginx

pytestmark = [needs_nginx, needs_openssl, pytest.mark.slow]

HOST = "proxy_http_version 1.1; proxy_set_header Host $http_host;"
TOLD = f"{HOST} proxy_set_header X-Forwarded-Proto $scheme;"
PLAYS = "() => { const video = document.querySelector('#player video'); return video && video.readyState > 0; }"
ROW = '{"prompt": "a boat", "width": 64, "height": 64, "video_length": 5}'


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    settings: dict[str, Any] = {"GRADIO_SERVER_NAME": "0.0.0.0"}
    with running_app(tmp_path_factory.mktemp("root"), **settings) as app:
        yield app


@pytest.fixture(scope="module")
def below(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    settings: dict[str, Any] = {"GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_ROOT_PATH": "/app/"}
    with running_app(tmp_path_factory.mktemp("below"), **settings) as app:
        yield app


@pytest.fixture
def page(new_context: Callable[..., BrowserContext]) -> Page:
    context = new_context(ignore_https_errors=True)
    context.set_default_timeout(LONG_MS)
    return context.new_page()


def list_of_one(page: Page) -> Any:
    page.locator("#part-several button").click()
    dialog = page.locator("dialog.batch")
    dialog.locator("textarea").fill(ROW)
    dialog.locator("[data-part=check]").click()
    return dialog


def makes_videos(page: Page) -> None:
    """Make one by a click and one by a list, and download both."""
    generate_short(page)
    page.wait_for_function(PLAYS)
    dialog = list_of_one(page)
    dialog.locator("[data-part=send]").click()
    expect(dialog.locator("[data-part=line]")).to_have_text("1 of 1")
    with page.expect_download() as saving:
        dialog.locator("[data-part=zip]").click()
    assert Path(saving.value.path()).read_bytes().startswith(b"PK")


@pytest.mark.parametrize("headers", [HOST, TOLD], ids=["scheme untold", "scheme told"])
def test_a_page_behind_a_certificate_makes_videos(page: Page, root: RunningApp, tmp_path: Path, headers: str) -> None:
    location = f"location / {{ {headers} proxy_pass http://127.0.0.1:{root.port}; }}"
    with nginx(tmp_path / "nginx", location, has_tls=True) as address:
        page.goto(address)
        makes_videos(page)


@pytest.mark.parametrize("end", ["/", ""], ids=["strips", "keeps"])
def test_a_page_below_a_prefix_makes_videos_from_its_address_without_a_slash(
    page: Page, below: RunningApp, tmp_path: Path, end: str
) -> None:
    location = f"location /app/ {{ {TOLD} proxy_pass http://127.0.0.1:{below.port}{end}; }}"
    with nginx(tmp_path / "nginx", location, has_tls=end == "") as address:
        page.goto(f"{address}/app")
        assert page.url == f"{address}/app/"
        makes_videos(page)


def test_what_the_proxy_refuses_is_told_by_its_status(page: Page, root: RunningApp, tmp_path: Path) -> None:
    limits = "client_max_body_size 200; location /gradio_api/hunyuan/lists/ "
    location = f"{{ {HOST} proxy_read_timeout 1s; proxy_pass http://127.0.0.1:{root.port}; }}"
    with nginx(tmp_path / "nginx", f"{limits} {location} location / {location.replace('1s', '60s')}") as address:
        page.goto(address)
        expect(page.locator(".prompt-panel .groups button")).to_have_count(4)
        dialog = list_of_one(page)
        expect(dialog.get_by_role("alert")).to_contain_text("answered with status 413")


def test_a_server_that_is_silent_for_too_long_is_told_and_goes_on(page: Page, root: RunningApp, tmp_path: Path) -> None:
    location = f"location / {{ {HOST} proxy_read_timeout 2s; proxy_pass http://127.0.0.1:{root.port}; }}"
    with nginx(tmp_path / "nginx", location) as address:
        page.goto(address)
        expect(page.locator(".prompt-panel .groups button")).to_have_count(4)
        page.locator("#part-several button").click()
        expect(page.locator("dialog.batch")).to_contain_text("864x480")
        os.kill(root.process.pid, signal.SIGSTOP)
        try:
            page.locator("dialog.batch textarea").fill(ROW)
            page.locator("dialog.batch [data-part=check]").click()
            expect(page.locator("dialog.batch").get_by_role("alert")).to_contain_text("answered with status 504")
        finally:
            os.kill(root.process.pid, signal.SIGCONT)
        page.locator("dialog.batch [data-part=check]").click()
        expect(page.locator("dialog.batch [data-part=send]")).to_be_visible()
