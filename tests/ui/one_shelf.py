"""A started runner with some finished videos and the routes of My videos."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from hunyuan_ui.data_folder import DataFolder
from hunyuan_ui.jobs import JobRunner, build_runner
from hunyuan_ui.settings import Settings
from hunyuan_ui.ui.gallery import build_video_routes
from tests.shelves import put_video

ALICE, BOB = "a1" * 16, "b2" * 16
BASE = "/gradio_api/hunyuan"


class Shelf:
    """A started runner with the routes of My videos in front of it."""

    def __init__(self, runner: JobRunner, http: httpx.AsyncClient, app: Starlette) -> None:
        self.runner = runner
        self.http = http
        self.app = app

    async def ask(self, path: str, token: str = ALICE, method: str = "GET", **options: Any) -> httpx.Response:
        return await self.http.request(method, f"{BASE}/{path}", headers={"x-hunyuan-visitor": token}, **options)

    async def listed(self, token: str = ALICE, **query: Any) -> list[dict[str, Any]]:
        answer = await self.ask("videos", token, params=query)
        assert answer.status_code == 200
        return answer.json()["videos"]

    async def file(self, video: dict[str, Any], end: str = ".mp4", **options: Any) -> httpx.Response:
        headers = options.pop("headers", {})
        params = {"k": video["code"], **options}
        return await self.http.get(f"{BASE}/videos/{video['id']}{end}", params=params, headers=headers)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Shelf]:
    """Start a runner and its routes."""
    runner = build_runner(settings, folder=DataFolder(settings.data_dir, min_free_bytes=0))
    runner.videos.exports._min_free_bytes = 0  # pyright: ignore[reportPrivateUsage]
    await runner.start()
    app = Starlette(routes=build_video_routes(runner))
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
            yield Shelf(runner, http, app)
    finally:
        await runner.stop()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a public run: in private mode everybody is the owner."""
    return Settings(data_dir=tmp_path / "data", server_name="0.0.0.0")


@pytest.fixture
async def shelf(settings: Settings) -> AsyncIterator[Shelf]:
    """Three videos of Alice and one of Bob."""
    for age_s, prompt in ((300, "an old fox"), (200, "a heron at dawn"), (100, "a new fox in the snow")):
        put_video(settings.data_dir, ALICE, age_s=age_s, prompt=prompt)
    put_video(settings.data_dir, BOB, prompt="a secret of Bob's")
    async with opened(settings) as opened_shelf:
        yield opened_shelf
