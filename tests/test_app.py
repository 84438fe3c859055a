"""The whole app without a key, driven as an external client would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from hunyuan_ui.job import new_id
from hunyuan_ui.request import parameters
from tests.app_process import ROOT, RunningApp, running_app

FIELDS = [field.name for field in parameters()]
SHORT: dict[str, Any] = {"prompt": "A paper boat in a gutter", "video_length": 5, "seed": 7}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    with running_app(tmp_path_factory.mktemp("app")) as started:
        yield started


@pytest.fixture(scope="module")
def client(app: RunningApp) -> Iterator[Client]:
    connected = Client(app.url, verbose=False)
    yield connected
    connected.close()


@pytest.fixture(scope="module")
def made(client: Client) -> tuple[str, dict[str, Any]]:
    return client.predict(**SHORT, api_name="/generate")


def test_the_api_is_the_seven_endpoints_of_the_design(client: Client) -> None:
    found = client.view_api(return_format="dict", print_info=False)
    assert isinstance(found, dict)
    assert sorted(found["named_endpoints"]) == [
        "/estimate",
        "/generate",
        "/result",
        "/status",
        "/status_many",
        "/submit",
        "/submit_many",
    ]


@pytest.mark.parametrize("name", ["/generate", "/submit", "/estimate"])
def test_api_parameters_are_the_request_fields(client: Client, name: str) -> None:
    found = client.view_api(return_format="dict", print_info=False)
    assert isinstance(found, dict)
    described = found["named_endpoints"][name]["parameters"]
    assert [one["parameter_name"] for one in described][: len(FIELDS)] == FIELDS
    for field, one in zip(parameters(), described, strict=False):
        assert one["parameter_has_default"] == (field.default is not None)
        assert one["parameter_default"] == field.default


def test_generate_returns_a_real_video_and_what_was_made(made: tuple[str, dict[str, Any]]) -> None:
    path, facts = made
    with av.open(path) as container:
        stream = container.streams.video[0]
        frames = sum(1 for _ in container.decode(stream))
        assert (stream.width, stream.height, frames) == (864, 480, 5)
    assert (facts["width"], facts["height"], facts["seed"]) == (864, 480, 7)
    assert facts["duration_s"] == pytest.approx(5 / 24)
    assert facts["prompt"] == SHORT["prompt"]


def test_submit_status_and_result_tell_of_one_job(client: Client, app: RunningApp) -> None:
    sent = client.predict(**SHORT, api_name="/submit")
    assert sent["estimate"]["is_free"] is True
    ended = client.predict(job_id=sent["job_id"], wait_s=25, api_name="/status")
    assert (ended["status"], ended["made"]["seed"]) == ("done", 7)
    path, facts = client.predict(job_id=sent["job_id"], api_name="/result")
    assert Path(path).stat().st_size > 1000
    assert facts == ended["made"]


def test_the_same_job_id_again_is_the_same_job(client: Client, app: RunningApp) -> None:
    job_id = new_id()
    first, again = (client.predict(**SHORT, job_id=job_id, api_name="/submit") for _ in range(2))
    assert first["job_id"] == again["job_id"] == job_id
    assert len([line for line in app.events("job.queued") if line["job"] == job_id]) == 1


def test_estimate_tells_the_real_size_and_sends_nothing(client: Client, app: RunningApp) -> None:
    before = len(app.events("job.queued"))
    told = client.predict(prompt="x", width=853, api_name="/estimate")
    assert (told["width"], told["height"]) == (864, 480)
    assert told["seconds"] > 0
    assert len(app.events("job.queued")) == before


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"prompt": ""}, "Prompt: nothing is written there"),
        ({"video_length": 78}, "Use 77 or 81"),
        ({"width": "wide"}, "Width: wide is not a number"),
        ({"infer_steps": 71}, "Steps: 71 is outside the range"),
        ({"job_id": "../../etc"}, "32 hexadecimal digits"),
    ],
)
def test_a_bad_value_is_answered_with_its_sentence(client: Client, wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(AppError, match=sentence):
        client.predict(**{**SHORT, **wrong}, api_name="/submit")


def test_an_unknown_job_is_not_there(client: Client) -> None:
    with pytest.raises(AppError, match="no such video"):
        client.predict(job_id=new_id(), api_name="/status")


def test_the_pages_own_json_needs_a_token_and_is_never_cached(app: RunningApp) -> None:
    for path in ("jobs", f"jobs/{new_id()}"):
        refused = httpx.get(f"{app.url}gradio_api/hunyuan/{path}")
        assert (refused.status_code, refused.headers["content-type"]) == (404, "application/json")
    answered = httpx.get(f"{app.url}gradio_api/hunyuan/jobs", headers={"x-hunyuan-visitor": new_id()})
    assert answered.json()["jobs"] == []
    assert answered.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    ["gradio_api/runs", "monitoring", "monitoring/summary", "gradio_api/monitoring/summary", "gradio_api/mcp/schema"],
)
def test_doors_that_gradio_would_open_are_closed(app: RunningApp, path: str) -> None:
    assert httpx.get(app.url + path).status_code in (403, 404)


def test_no_endpoint_can_be_run_past_the_queue(app: RunningApp) -> None:
    for name in ("generate", "submit"):
        answered = httpx.post(f"{app.url}gradio_api/run/{name}", json={"data": ["a fox"]})
        assert answered.status_code in (401, 403, 404)


def test_the_data_folder_is_not_served(app: RunningApp, made: tuple[str, dict[str, Any]]) -> None:
    files = [path for path in app.data_dir.rglob("*") if path.is_file()]
    assert any(path.suffix == ".mp4" for path in files)
    assert any(path.name == "ledger.sqlite3" for path in files)
    for path in files:
        assert httpx.get(f"{app.url}gradio_api/file={path}").status_code in (403, 404), path


def test_the_prompt_is_in_no_log_line(app: RunningApp, made: tuple[str, dict[str, Any]]) -> None:
    assert app.events("job.done")
    assert "paper boat" not in app.output


def test_the_program_is_well(app: RunningApp) -> None:
    answered = httpx.get(f"{app.url}gradio_api/healthz")
    assert (answered.status_code, answered.json()["status"]) == (200, "ok")


def test_sigterm_ends_the_program_cleanly_while_a_job_runs_and_a_call_waits_for_it(tmp_path: Path) -> None:
    with running_app(tmp_path) as own:
        client = Client(own.url, verbose=False)
        waiting = client.submit(**SHORT, api_name="/generate")
        while not own.events("job.accepted"):
            time.sleep(0.05)
        assert own.end() < 10
        assert own.process.returncode == 0
        assert own.events("runner.stopped"), own.output
        with pytest.raises(AppError, match="ended before it answered"):
            waiting.result(5)
        client.close()


def test_a_call_that_takes_its_time_to_be_told_of_the_end_delays_it_by_a_second_only(tmp_path: Path) -> None:
    slow = tmp_path / "slow_app.py"
    slow.write_text(
        "from hunyuan_ui.ui import gradio_patches\n"
        "gradio_patches._TOLD_WITHIN_S = 60\n"
        "import runpy\n"
        f"runpy.run_path({str(ROOT / 'app.py')!r}, run_name='__main__')\n",
        encoding="utf-8",
    )
    with running_app(tmp_path, script=str(slow)) as own:
        assert own.end() < 10
        assert own.process.returncode == 0
        assert own.events("runner.stopped"), own.output
        assert "Traceback" not in own.output


def test_a_wrong_setting_is_named_and_nothing_starts(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env={**os.environ, "HUNYUAN_UI_CONCURRENCY": "many", "HUNYUAN_UI_DATA_DIR": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert "HUNYUAN_UI_CONCURRENCY" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "data").exists()


def test_the_pages_config_names_no_secret_and_no_folder(app: RunningApp) -> None:
    config = httpx.get(f"{app.url}config").text
    assert json.loads(config)["title"] == "Hunyuan Video"
    assert str(app.data_dir) not in config
