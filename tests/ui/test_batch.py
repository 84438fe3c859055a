"""Lists of prompts over the API: checked first, sent once, followed, stopped, and fetched as a ZIP by its link only."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from hunyuan_ui.job import new_id
from hunyuan_ui.local_endpoint.app import create_app
from hunyuan_ui.local_endpoint.serving import serve
from hunyuan_ui.prompt_list import MOST_BYTES
from tests.app_process import RunningApp, running_app

SMALL = '"video_length": 5, "width": 64, "height": 64'
ME, SOMEBODY = "a" * 32, "b" * 32
OWN_KEY = "SG_fedcba9876543210"
WAIT_S = 60.0


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """A public app whose owner has no key, before a service that takes any."""
    service = serve(create_app(seconds=0.2), "127.0.0.1", 0)
    with running_app(
        tmp_path_factory.mktemp("lists"),
        SEGMIND_BASE_URL=service.url,
        GRADIO_SERVER_NAME="0.0.0.0",
        HUNYUAN_UI_POLL_SECONDS="0.1",
    ) as started:
        yield started
    service.close()


def call(app: RunningApp, function: str, visitor: str | None = ME, **values: Any) -> Any:
    """Call a function as other programs do; return its answer, or the sentence that refuses."""
    headers = {"x-api-key": OWN_KEY, "x-hunyuan-visitor": visitor} if visitor else {}
    api = f"{app.url}gradio_api/call"
    begun = httpx.post(f"{api}/v2/{function}", json=values, headers=headers, timeout=WAIT_S)
    if begun.status_code != 200:
        return begun.json()["error"]
    told = httpx.get(f"{api}/{function}/{begun.json()['event_id']}", headers=headers, timeout=WAIT_S).text
    if found := re.search(r"event: complete\ndata: (.*)", told):
        return json.loads(found[1])[0]
    found = re.search(r"event: error\ndata: (.*)", told)
    assert found is not None, told
    return json.loads(found[1])["error"]


def lines(*prompts: str) -> str:
    return "\n".join(f'{{"prompt": "{prompt}", {SMALL}}}' for prompt in prompts)


def test_a_list_with_faults_is_told_as_a_table_and_not_sent(app: RunningApp) -> None:
    text = lines("a fox", "a crow").replace('"width": 64', '"width": "wide"', 1)
    told = call(app, "submit_many", prompts=text, name=new_id(), budget_usd=5)
    assert told["is_sent"] is False
    assert [(fault["line"], fault["field"]) for fault in told["faults"]] == [(1, "width")]
    assert "is not a number" in told["faults"][0]["problem"]
    assert [(row["line"], row["status"]) for row in told["table"]] == [(2, "not_sent")]
    assert call(app, "status_many", list_id=told["list_id"]).startswith("There is no such list")


def test_a_list_is_priced_sent_once_and_fetched_by_its_link(app: RunningApp) -> None:
    wish = {"prompts": lines("a {red|blue} fox", "a crow"), "name": new_id(), "budget_usd": 5}
    priced = call(app, "submit_many", **wish, only_check=True)
    assert (priced["rows"], priced["to_make"], priced["is_sent"]) == (3, 3, False)
    assert 0 < priced["about_usd"] < priced["most_usd"] < 5
    sent = call(app, "submit_many", **wish)
    assert sent["is_sent"] is True
    told = call(app, "status_many", list_id=sent["list_id"], wait_s=25)
    while told["is_running"]:
        told = call(app, "status_many", list_id=sent["list_id"], wait_s=25)
    assert (told["done"], told["problem"]) == (3, None)
    assert [job["status"] for job in told["jobs"]] == ["done"] * 3
    assert 0 < told["spent_usd"] <= priced["most_usd"]
    again = call(app, "submit_many", **wish)
    assert (again["to_make"], again["status"]["done"]) == (0, 3)
    assert again["status"]["spent_usd"] == told["spent_usd"]

    with httpx.Client(base_url=app.url) as anybody:
        found = anybody.get(told["zip"])
        other = told["zip"].replace(sent["list_id"], "0" * 32)
        for wrong in (told["zip"][:-1] + "x", told["zip"].split("?")[0], other):
            assert anybody.get(wrong).status_code == 404
    assert found.headers["cache-control"] == "private, no-cache"
    assert found.headers["content-disposition"].startswith("attachment")
    with zipfile.ZipFile(io.BytesIO(found.content)) as archive:
        assert archive.testzip() is None
        assert [name.partition("-")[0] for name in archive.namelist()] == ["0001", "0002", "0003", "list.csv"]
        assert archive.read("list.csv").count(b"done") == 3


def test_only_who_sent_a_list_finds_it(app: RunningApp) -> None:
    wish = {"prompts": lines("a heron"), "name": new_id(), "budget_usd": 5}
    list_id = call(app, "submit_many", **wish)["list_id"]
    for stop in (False, True):
        told = call(app, "status_many", SOMEBODY, list_id=list_id, stop=stop)
        assert told.startswith("There is no such list")
    assert call(app, "submit_many", SOMEBODY, **wish, only_check=True)["list_id"] != list_id
    assert call(app, "submit_many", None, **wish).startswith("A list needs to know you again")
    assert call(app, "status_many", list_id=list_id, stop=True)["list_id"] == list_id


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"budget_usd": -1}, "budget_usd"),
        ({"kind": "xml"}, "auto or text or csv or jsonl"),
        ({"picks": 1.5}, "picks"),
        ({"name": ""}, "no name"),
        ({"prompts": 5}, "prompts"),
    ],
)
def test_a_value_that_cannot_be_is_named(app: RunningApp, values: dict[str, Any], said: str) -> None:
    told = call(app, "submit_many", **{"prompts": lines("a fox"), "name": "x", "budget_usd": 5, **values})
    assert said in (told if isinstance(told, str) else told["faults"][0]["problem"])


def test_a_list_may_be_as_long_as_it_may_be_and_no_longer(app: RunningApp) -> None:
    prompt = "猫" * 300
    wish = {"name": "long", "budget_usd": 5, "only_check": True}
    told = call(app, "submit_many", prompts="\n".join([prompt] * 1000), **wish)
    assert (told["rows"], told["faults"]) == (1000, [])
    told = call(app, "submit_many", prompts="x" * (MOST_BYTES + 1), **wish)
    assert isinstance(told, str)
    body = {"prompt": "x" * 70_000}
    for function in ("submit", "estimate", "status_many"):
        assert httpx.post(f"{app.url}gradio_api/call/v2/{function}", json=body).status_code == 413
    whole = {**wish, "prompts": "x" * (3 * MOST_BYTES)}
    assert httpx.post(f"{app.url}gradio_api/call/v2/submit_many", json=whole).status_code == 413
