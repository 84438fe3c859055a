"""The real app with a bucket: files by its own routes and rules, and a wiped disk without loss."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app_process import RunningApp, running_app
from tests.bucket_server import SECRET, BucketServer
from tests.postgres_server import PostgresServer

ALICE, BOB = {"x-hunyuan-visitor": "a" * 32}, {"x-hunyuan-visitor": "b" * 32}
SMALL = {"video_length": 5, "width": 64, "height": 64}


def make(app: RunningApp, prompt: str, visitor: dict[str, str] = ALICE) -> None:
    """Make a preview."""
    sent = {"prompt": prompt, **SMALL}
    began = httpx.post(f"{app.url}gradio_api/call/v2/generate", json=sent, headers=visitor).json()
    told = httpx.get(f"{app.url}gradio_api/call/generate/{began['event_id']}", headers=visitor, timeout=60).text
    assert told.startswith("event: complete"), told


def videos(app: RunningApp, visitor: dict[str, str] = ALICE) -> list[dict[str, Any]]:
    return httpx.get(f"{app.url}gradio_api/hunyuan/videos", headers=visitor).json()["videos"]


def file_of(app: RunningApp, video: dict[str, Any], end: str = ".mp4", **headers: str) -> httpx.Response:
    return httpx.get(f"{app.url}gradio_api/hunyuan/videos/{video['id']}{end}?k={video['code']}", headers=headers)


def until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


@pytest.mark.slow
def test_files_are_served_by_the_pages_own_routes_and_rules(tmp_path: Path, bucket: BucketServer) -> None:
    with running_app(tmp_path, HUNYUAN_UI_VIDEOS_URL=bucket.url) as app:
        assert f"Finished videos are kept in {bucket.url}" in app.output
        make(app, "a paper boat")
        (video,) = videos(app)
        whole = bucket.files()[f"{video['id']}.mp4"]
        cache = app.data_dir / "cache"
        shutil.rmtree(cache)
        part = file_of(app, video, Range="bytes=100-199")
        assert (part.status_code, part.content) == (206, whole[100:200])
        assert part.headers["content-range"] == f"bytes 100-199/{len(whole)}"
        assert {path.suffix for path in cache.iterdir()} == {".mp4"}
        assert file_of(app, video).content == whole
        assert file_of(app, video, ".webp").content == bucket.files()[f"{video['id']}.webp"]
        assert file_of(app, video, Range=f"bytes={len(whole)}-").status_code == 416
        # The same access rules as for any other video.
        assert videos(app, BOB) == []
        assert file_of(app, {**video, "code": "x"}).status_code == 404
        _away_and_back(app, bucket, video, whole)
        assert httpx.delete(f"{app.url}gradio_api/hunyuan/videos/{video['id']}", headers=ALICE).status_code == 200
        assert bucket.names() == set()
        assert file_of(app, video).status_code == 404
        assert SECRET not in app.output
        assert app.end() < 8


def _away_and_back(app: RunningApp, bucket: BucketServer, video: dict[str, Any], whole: bytes) -> None:
    bucket.stop()
    assert file_of(app, video).content == whole  # it is here
    shutil.rmtree(app.data_dir / "cache")
    refused = file_of(app, video)
    assert refused.status_code == 503
    assert "cannot be reached" in refused.json()["problem"]
    health = httpx.get(f"{app.url}gradio_api/healthz")
    assert (health.status_code, health.json()["status"], health.json()["problem"]) == (200, "ok", "bucket_away")
    bucket.start()
    until(lambda: file_of(app, video).status_code == 200)
    until(lambda: httpx.get(f"{app.url}gradio_api/healthz").json()["problem"] is None)


@pytest.mark.slow
@pytest.mark.parametrize("has_database", [True, False])
def test_a_space_whose_disk_is_wiped_keeps_what_the_addresses_keep(
    tmp_path: Path, bucket: BucketServer, request: pytest.FixtureRequest, has_database: bool
) -> None:
    environment: dict[str, Any] = {"SYSTEM": "spaces", "HUNYUAN_UI_VIDEOS_URL": bucket.url}
    environment["script"] = "tests/hasty_app.py"
    if has_database:
        server: PostgresServer = request.getfixturevalue("postgres_server")
        environment["HUNYUAN_UI_DATABASE_URL"] = server.url(tmp_path)
    prompts = ["a heron", "a paper boat"]
    with running_app(tmp_path, **environment) as space:
        assert ("What was spent is recorded in PostgreSQL" in space.output) == has_database
        assert "videos vanish" not in space.output
        header = next(one for one in httpx.get(f"{space.url}config").json()["components"] if _is_header(one))
        assert header["props"]["value"]["en"]["storage"] == "Finished videos here stay when this page restarts."
        for prompt in prompts:
            make(space, prompt)
        make(space, "somebody else's", BOB)
        bobs = f"{space.url}gradio_api/hunyuan/videos/{videos(space, BOB)[0]['id']}"
        assert httpx.delete(bobs, headers=ALICE).status_code == 404
        assert httpx.delete(bobs, headers=BOB).status_code == 200
        before = videos(space)
        space.process.kill()
        space.process.wait()
    shutil.rmtree(tmp_path / "data")
    shutil.rmtree(tmp_path / "cache")
    with running_app(tmp_path, **environment) as space:
        after = videos(space)
        told = ("id", "settings", "facts", "created_at")
        assert [[video[name] for name in told] for video in after] == [
            [video[name] for name in told] for video in before
        ]
        assert {video["settings"]["prompt"] for video in after} == set(prompts)
        for video in after:
            assert file_of(space, video).content == bucket.files()[f"{video['id']}.mp4"]
        assert videos(space, BOB) == []
        assert [json.loads(line)["event"] for line in space.output.splitlines() if "trouble" in line] == []
        make(space, "one more")
        assert len(videos(space)) == 3


def _is_header(component: dict[str, Any]) -> bool:
    return component["props"].get("elem_id") == "part-header"
