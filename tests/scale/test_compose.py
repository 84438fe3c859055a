"""`compose.yaml`: its settings are known here, its nginx runs, and two real pages behind it survive each other."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from hunyuan_ui.settings import SETTINGS
from tests.app_process import ROOT, RunningApp, running_app
from tests.browser.paid_endpoint import PaidEndpoint, paid_endpoint
from tests.bucket_server import BucketServer
from tests.nginx import needs_nginx, nginx
from tests.postgres_server import PostgresServer

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
PAGES = [COMPOSE["services"][name] for name in ("page1", "page2")]
CONFIG: str = COMPOSE["configs"]["nginx"]["content"].replace("$$", "$")
VISITOR = {"x-hunyuan-visitor": "a" * 32}
SMALL = {"prompt": "a heron", "video_length": 5, "width": 64, "height": 64}
WITHIN_S = 60.0


def test_every_variable_of_a_page_is_known() -> None:
    known = {setting.name for setting in SETTINGS}
    named = set(PAGES[0]["environment"])
    assert PAGES[0] == PAGES[1]
    assert {name for name in named if name.startswith(("HUNYUAN_UI_", "SEGMIND_"))} <= known
    assert named >= {"HUNYUAN_UI_DATABASE_URL", "HUNYUAN_UI_VIDEOS_URL", "SEGMIND_API_KEY"}


def test_every_setting_of_the_owner_reaches_a_page() -> None:
    own = {"HUNYUAN_UI_DATABASE_URL", "HUNYUAN_UI_VIDEOS_URL"}
    of_the_image = {"HUNYUAN_UI_DATA_DIR", "HUNYUAN_UI_ENV_FILE", "GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT"}
    passed_on = {name: "${" + name + ":-}" for name in {setting.name for setting in SETTINGS} - own - of_the_image}
    assert PAGES[0]["environment"].items() >= passed_on.items()
    assert not of_the_image & set(PAGES[0]["environment"])


def test_the_image_has_what_the_two_addresses_need() -> None:
    wanted = PAGES[0]["build"]["args"]["REQUIREMENTS"]
    assert (ROOT / wanted).is_file()
    assert f"!{wanted}" in (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert f"COPY requirements.txt {wanted} ./" in (ROOT / "Dockerfile").read_text("utf-8")


def test_only_nginx_can_be_reached_from_outside() -> None:
    assert [name for name, service in COMPOSE["services"].items() if "ports" in service] == ["nginx"]


@contextmanager
def behind_nginx(folder: Path, apps: list[RunningApp]) -> Iterator[str]:
    """Run the nginx of `compose.yaml` in front of two pages."""
    config = CONFIG
    for number, app in enumerate(apps, 1):
        config = config.replace(f"page{number}:7860", f"127.0.0.1:{app.port}")
    before, server = config.split("server {\n", 1)
    inside = server.rstrip().removesuffix("}").replace("listen 80;", "")
    with nginx(folder / "nginx", inside, before=before) as url:
        yield f"{url}/gradio_api"


def call(url: str, name: str, **values: Any) -> Any:
    """Call an API function, with a retry while a dead page is being detected."""
    give_up_at = time.monotonic() + WITHIN_S
    while True:
        try:
            begun = httpx.post(f"{url}/call/v2/{name}", json=values, headers=VISITOR, timeout=40).json()
            told = httpx.get(f"{url}/call/{name}/{begun['event_id']}", headers=VISITOR, timeout=40).text
            return json.loads(re.findall(r"event: complete\ndata: (.*)", told)[0])[0]
        except (httpx.HTTPError, ValueError, LookupError):
            assert time.monotonic() < give_up_at
            time.sleep(0.3)


@pytest.fixture
def service() -> Iterator[PaidEndpoint]:
    with paid_endpoint(seconds=2.0, credits=100.0) as running:
        yield running


@pytest.mark.slow
@needs_nginx
def test_a_page_that_is_killed_while_it_makes_a_video_is_not_missed(
    tmp_path: Path, postgres_server: PostgresServer, bucket: BucketServer, service: PaidEndpoint
) -> None:
    shared = {
        **service.settings,
        "HUNYUAN_UI_DATABASE_URL": postgres_server.url(tmp_path),
        "HUNYUAN_UI_VIDEOS_URL": bucket.url,
        "HUNYUAN_UI_DAILY_LIMIT_USD": "100",
        "GRADIO_SERVER_NAME": "0.0.0.0",
    }
    with ExitStack() as stack:
        folders = [tmp_path / name for name in ("one", "two")]
        for folder in folders:
            folder.mkdir()
        apps = [stack.enter_context(running_app(folder, **shared)) for folder in folders]
        url = stack.enter_context(behind_nginx(tmp_path, apps))
        with service.rendering():
            job = call(url, "submit", **SMALL)
            give_up_at = time.monotonic() + WITHIN_S
            while not service.posts["a heron"]:
                assert time.monotonic() < give_up_at
                time.sleep(0.05)
            time.sleep(1.0)  # the request id is stored
            (server,) = [app for app in apps if app.events("job.running")]
            server.process.send_signal(signal.SIGKILL)
            server.process.wait(10)
        told: dict[str, Any] = {"is_active": True}
        give_up_at = time.monotonic() + WITHIN_S
        while told["is_active"]:
            assert time.monotonic() < give_up_at
            told = call(url, "status", job_id=job["job_id"], wait_s=5)
        assert told["status"] == "done", told
        assert httpx.get(told["video"]["url"], headers=VISITOR).content[4:8] == b"ftyp"
        assert service.posts == {"a heron": 1}
