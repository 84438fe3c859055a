"""A page that makes previews, as a visitor opens it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from hunyuan_ui.local_endpoint.app import create_app
from hunyuan_ui.local_endpoint.serving import serve
from hunyuan_ui.prompt_help.examples import EXAMPLES
from tests.app_process import RunningApp, running_app

DONE_WITHIN_MS = 30_000
PLAYING = "video => video.currentTime > 0.3 && !video.paused"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    service = serve(create_app(seconds=4))
    key: dict[str, Any] = {
        "SEGMIND_API_KEY": "SG_0011223344556677",
        "SEGMIND_BASE_URL": service.url,
        "HUNYUAN_UI_CONCURRENCY": "1",
        "HUNYUAN_UI_DAILY_LIMIT_USD": "1000",
    }
    with running_app(tmp_path_factory.mktemp("page"), **key) as started:
        yield started
    service.close()


@pytest.fixture
def opened(page: Page, app: RunningApp) -> Page:
    page.set_default_timeout(15_000)
    return open_page(page, app)


def open_page(page: Page, app: RunningApp) -> Page:
    page.goto(app.url)
    expect(page.locator(".examples button")).to_have_count(len(EXAMPLES))
    return page


def video_plays(page: Page) -> Any:
    video = page.locator("#player video")
    expect(video).to_be_visible(timeout=DONE_WITHIN_MS)
    page.wait_for_function(f"(({PLAYING})(document.querySelector('#player video')))")
    return video
