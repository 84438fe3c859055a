"""The app as on a Hugging Face Space, and the Space's card."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from hunyuan_ui.local_endpoint.app import create_app
from hunyuan_ui.local_endpoint.serving import serve
from tests.app_process import ROOT, RunningApp, running_app

COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    with running_app(tmp_path_factory.mktemp("space"), SYSTEM="spaces", SPACE_ID="somebody/hunyuan-ui") as started:
        yield started


def card() -> dict[str, Any]:
    """Return the front matter of the README, which is the Space's card."""
    _, front, _ = (ROOT / "README.md").read_text("utf-8").split("---\n", 2)
    return yaml.safe_load(front)


def components(space: RunningApp) -> list[dict[str, Any]]:
    return httpx.get(f"{space.url}config").json()["components"]


def test_the_card_names_the_app_and_fits_the_hub() -> None:
    told = card()
    assert (told["sdk"], told["app_file"], told["license"]) == ("gradio", "app.py", "apache-2.0")
    assert (ROOT / told["app_file"]).is_file()
    assert 0 < len(told["short_description"]) <= 60
    assert {told["colorFrom"], told["colorTo"]} <= COLOURS
    assert told["models"] == ["tencent/HunyuanVideo"]
    assert "hardware" not in told  # silently ignored there


def test_the_card_pins_the_gradio_that_is_required() -> None:
    pinned = re.search(r"^gradio==(\S+)$", (ROOT / "requirements.txt").read_text("utf-8"), re.MULTILINE)
    assert pinned
    assert card()["sdk_version"] == pinned[1]


def test_a_space_is_public_and_the_owner_is_told(space: RunningApp) -> None:
    assert "This page is public: it runs on a Hugging Face Space" in space.output


def test_the_page_says_that_a_spaces_own_disk_is_wiped(space: RunningApp) -> None:
    (header,) = [one for one in components(space) if one["props"].get("elem_id") == "part-header"]
    assert "vanish when this Space restarts" in header["props"]["value"]["en"]["storage"]
    assert "wiped when it restarts" in space.output


def test_a_space_can_be_duplicated(space: RunningApp) -> None:
    assert [one for one in components(space) if one["props"].get("elem_id") == "duplicate"]


def test_a_space_has_the_same_seven_endpoints(space: RunningApp) -> None:
    named = httpx.get(f"{space.url}gradio_api/info").json()["named_endpoints"]
    assert sorted(named) == ["/estimate", "/generate", "/result", "/status", "/status_many", "/submit", "/submit_many"]


def made(space: RunningApp, sent: dict[str, Any]) -> str:
    """Return the result of `/generate`."""
    began = httpx.post(f"{space.url}gradio_api/call/v2/generate", json=sent).json()
    return httpx.get(f"{space.url}gradio_api/call/generate/{began['event_id']}", timeout=60).text


def test_a_duplicate_without_a_key_makes_a_preview(space: RunningApp) -> None:
    told = made(space, {"prompt": "a paper boat", "video_length": 5, "width": 64, "height": 64})
    assert told.startswith("event: complete"), told
    video = json.loads(told.partition("data: ")[2])[0]
    assert httpx.get(video["url"]).content[4:8] == b"ftyp"


def test_a_wiped_space_counts_and_brings_back_what_the_service_remembers(tmp_path: Path) -> None:
    for life in ("first", "second"):
        (tmp_path / life).mkdir()
    with closing(serve(create_app(seconds=0.1))) as service:
        environment: dict[str, Any] = {
            "SYSTEM": "spaces",
            "SEGMIND_BASE_URL": service.url,
            "SEGMIND_API_KEY": "SG_0123456789abcdef",
        }
        environment |= {"HUNYUAN_UI_DAILY_LIMIT_USD": "0.4", "HUNYUAN_UI_TOTAL_LIMIT_USD": "9"}
        with running_app(tmp_path / "first", **environment) as space:
            assert "your key rests until the service's history" in space.output
            assert "HUNYUAN_UI_TOTAL_LIMIT_USD needs a disk that stays" in space.output
            assert [told["found"] for told in space.events("history.read")] == [0]
            told = made(space, {"prompt": "a boat", "video_length": 5, "width": 64, "height": 64, "infer_steps": 1})
            assert told.startswith("event: complete"), told
            bill = space.events("job.done")[0]["cost_microusd"]
        with running_app(tmp_path / "second", **environment) as space:
            assert [told["found"] for told in space.events("history.read")] == [1]
            give_up_at = time.monotonic() + 60
            while not space.events("job.done"):
                assert time.monotonic() < give_up_at, space.output
                time.sleep(0.05)
            assert space.events("job.done")[0]["cost_microusd"] == bill > 0
            # It would fit into the day's 40 cents, but not into what the first start has left of them.
            refused = made(space, {"prompt": "a fox", "video_length": 21, "infer_steps": 30})
            assert refused.startswith("event: error")
            assert "Today's limit of $0.40 leaves $0.34" in refused


def test_elsewhere_there_is_no_duplicate_button_and_no_word_of_storage(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with running_app(tmp_path_factory.mktemp("home")) as home:
        found = components(home)
    assert not [one for one in found if one["props"].get("elem_id") == "duplicate"]
    (header,) = [one for one in found if one["props"].get("elem_id") == "part-header"]
    assert {value["storage"] for value in header["props"]["value"].values()} == {""}


def test_the_python_of_card_image_and_workflow_agree() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    base = re.search(r"^ARG PYTHON_IMAGE=python:([\d.]+)-slim", dockerfile, re.MULTILINE)
    assert base
    assert card()["python_version"] == base[1]
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text("utf-8"))
    everything = workflow["jobs"]["everything"]
    assert everything["container"]["image"].startswith(f"python:{base[1]}-")
    assert ".ci/run" in [step.get("run") for step in everything["steps"]]
    tested = workflow["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert tested == ["3.10", "3.13"]
    pyproject = (ROOT / "pyproject.toml").read_text("utf-8")
    assert f'pythonVersion = "{tested[0]}"' in pyproject
    assert "Python 3.10" in (ROOT / "README.md").read_text("utf-8")


def test_dependabot_watches_everything_that_is_pinned() -> None:
    watched = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text("utf-8"))["updates"]
    assert {one["package-ecosystem"] for one in watched} == {"pip", "github-actions", "docker"}


def test_each_action_is_pinned_to_a_version() -> None:
    workflows = list((ROOT / ".github/workflows").iterdir())
    used = [name for one in workflows for name in re.findall(r"uses:\s*(\S+)", one.read_text("utf-8"))]
    assert {name.partition("@")[0] for name in used} >= {"actions/checkout", "actions/setup-python"}
    assert [name for name in used if not re.search(r"@v\d+(\.\d+)*$|@[0-9a-f]{40}$", name)] == []


def test_the_icon_is_there(space: RunningApp) -> None:
    answer = httpx.get(f"{space.url}favicon.ico")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
