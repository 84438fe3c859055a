"""Prompt lists over the API: checked first, sent once, followed, stopped, and downloaded as a ZIP only by its link."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hunyuan_ui.job import new_id
from hunyuan_ui.local_endpoint.app import create_app
from hunyuan_ui.local_endpoint.serving import serve
from hunyuan_ui.prompt_list import MOST_BYTES
from hunyuan_ui.request import VideoRequest
from tests.app_process import RunningApp, running_app

SMALL = '"video_length": 5, "width": 64, "height": 64'
ME, SOMEBODY = "a" * 32, "b" * 32
OWN_KEY = "SG_fedcba9876543210"
WAIT_S = 60.0


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """A public app without an owner's key, with a service that accepts any."""
    service = serve(create_app(seconds=0.2), "127.0.0.1", 0)
    with running_app(
        tmp_path_factory.mktemp("lists"),
        SEGMIND_BASE_URL=service.url,
        GRADIO_SERVER_NAME="0.0.0.0",
        HUNYUAN_UI_POLL_SECONDS="0.1",
    ) as started:
        yield started
    service.close()


@pytest.fixture(scope="module")
def owned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """A private app with its owner's key."""
    service = serve(create_app(seconds=0.2), "127.0.0.1", 0)
    with running_app(
        tmp_path_factory.mktemp("owned"),
        SEGMIND_API_KEY=OWN_KEY,
        SEGMIND_BASE_URL=service.url,
        HUNYUAN_UI_POLL_SECONDS="0.1",
    ) as started:
        yield started
    service.close()


def call(app: RunningApp, function: str, visitor: str | None = ME, **values: Any) -> Any:
    """Call an API function; return its result, or the sentence of its refusal."""
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


@pytest.mark.parametrize("flag", ["only_check", "retry_failed"])
@pytest.mark.parametrize("value", [None, 1, "true", [], {}], ids=repr)
def test_a_flag_that_is_none_sends_nothing(app: RunningApp, flag: str, value: object) -> None:
    wish: dict[str, Any] = {"prompts": lines("a fox"), "name": new_id(), "budget_usd": 5}
    with_flag: dict[str, Any] = {**wish, flag: value}
    assert call(app, "submit_many", **with_flag).startswith(f"{flag}: use true or false.")
    assert call(app, "submit_many", **wish, only_check=True)["to_make"] == 1


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
        ({"name": "x" * 101}, "Name of the list: 101 characters are too many; at most 100 fit."),
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


# the page's own routes

FORM = VideoRequest.model_construct(width=64, height=64, video_length=5, infer_steps=2, seed=-1).model_dump()


def ask(app: RunningApp, path: str, visitor: str | None = ME, method: str = "POST", **wish: Any) -> httpx.Response:
    """Send a request as the page's script does."""
    headers = {"x-hunyuan-visitor": visitor} if visitor else {}
    url = f"{app.url}gradio_api/hunyuan/lists/{path}"
    return httpx.request(method, url, headers=headers, json=wish if method == "POST" else None, timeout=WAIT_S)


def stands(app: RunningApp, list_id: str, visitor: str = ME) -> dict[str, Any]:
    """Return the state of a list once it has ended."""
    while (told := ask(app, list_id, visitor, "GET").json())["is_running"]:
        pass
    return told


def test_the_page_checks_confirms_and_follows_a_list_and_sends_it_once(owned: RunningApp) -> None:
    wish = {"prompts": "a {red|blue} fox\na crow", "name": new_id(), "form": FORM}
    priced = ask(owned, "check", **wish).json()
    assert (priced["rows"], priced["to_make"], priced["faults"]) == (3, 3, [])
    assert [row["prompt"] for row in priced["table"]] == ["a red fox", "a blue fox", "a crow"]
    assert ask(owned, priced["list_id"], method="GET").status_code == 404

    dearer = ask(owned, "send", **wish, budget_usd=5, shown_usd=priced["most_usd"] / 2)
    assert (dearer.status_code, dearer.json()["code"]) == (409, "list_price_changed")
    for _ in range(2):
        sent = ask(owned, "send", **wish, budget_usd=5, shown_usd=priced["most_usd"])
        assert sent.status_code == 200, sent.text
        told = stands(owned, priced["list_id"])
        assert (told["done"], told["problem"]) == (3, None)
        assert 0 < told["spent_usd"] <= priced["most_usd"]
        assert told["text"] == f"3 of 3 · ${told['spent_usd']:.2f} of $5.00"
    assert httpx.get(owned.url.rstrip("/") + told["zip"]).status_code == 200
    again = ask(owned, "check", **wish).json()
    assert (again["to_make"], {row["status"] for row in again["table"]}) == (0, {"done"})
    assert ask(owned, "check", **{**wish, "form": {**FORM, "infer_steps": 3}}).json()["to_make"] == 3


def test_what_a_row_lacks_is_the_forms_and_nothing_else_of_it_counts(owned: RunningApp) -> None:
    form = {**FORM, "prompt": "of the form", "is_random": True, "variations": "4", "shape": None}
    wish = {
        "prompts": "prompt,width\na fox,\na crow,128\n",
        "name": new_id(),
        "form": form,
        "budget_usd": 5,
        "shown_usd": 5,
    }
    sent = ask(owned, "send", **wish).json()
    stands(owned, sent["list_id"])
    videos = httpx.get(f"{owned.url}gradio_api/hunyuan/videos", headers={"x-hunyuan-visitor": ME}).json()["videos"]
    made = {one["settings"]["prompt"]: one["settings"] for one in videos[:2]}
    assert [made[prompt]["width"] for prompt in ("a fox", "a crow")] == [64, 128]
    assert {made[prompt]["infer_steps"] for prompt in made} == {2}
    assert len({made[prompt]["seed"] for prompt in made}) == 2
    for form in ({**FORM, "infer_steps": 999}, {**FORM, "infer_steps": None}, {}, "form"):
        faults = ask(owned, "check", **{**wish, "form": form}).json()["faults"]
        assert [fault["line"] for fault in faults] == [2, 3], form


def test_the_page_stops_what_was_not_sent_and_goes_on_with_it(owned: RunningApp) -> None:
    prompts = "\n".join(f"a heron {number}" for number in range(40))
    wish = {"prompts": prompts, "name": new_id(), "form": FORM, "budget_usd": 50, "shown_usd": 50}
    sent = ask(owned, "send", **wish).json()
    stopped = ask(owned, f"{sent['list_id']}/stop").json()
    assert stopped["not_sent"] + stopped["cancelled"] > 20
    ended = stands(owned, sent["list_id"])
    assert ended["done"] < 20
    assert ask(owned, "send", **{**wish, "budget_usd": 0}).status_code == 200
    assert "budget of $0.00" in stands(owned, sent["list_id"])["problem"]
    assert ask(owned, "check", **wish).json()["to_make"] == 40 - ended["done"]


def test_a_visitor_of_the_page_finds_their_own_lists_alone(app: RunningApp) -> None:
    wish = {"prompts": "a fox", "name": new_id(), "form": FORM, "payer": "nobody", "budget_usd": 0}
    needs = ask(app, "check", **{**wish, "payer": "visitor"})
    assert (needs.status_code, needs.json()["code"]) == (409, "no_key")
    sent = ask(app, "send", **wish)
    assert sent.status_code == 200, sent.text
    list_id = sent.json()["list_id"]
    for who in (SOMEBODY, None, "no token"):
        assert ask(app, list_id, who, "GET").status_code == 404
        assert ask(app, f"{list_id}/stop", who).status_code == 404
    assert ask(app, "check", SOMEBODY, **wish).json()["list_id"] != list_id
    told = stands(app, list_id)
    assert (told["done"], told["text"]) == (1, "1 of 1")


@pytest.mark.slow
def test_in_public_a_list_of_the_page_ends_at_the_visitors_own_limit(tmp_path: Path) -> None:
    service = serve(create_app(seconds=0.1, credits=100.0), "127.0.0.1", 0)
    settings: dict[str, Any] = {"GRADIO_SERVER_NAME": "0.0.0.0", "SEGMIND_API_KEY": OWN_KEY}
    settings |= {"script": "tests/hasty_app.py", "SEGMIND_BASE_URL": service.url, "HUNYUAN_UI_DAILY_LIMIT_USD": "50"}
    with running_app(tmp_path, **settings, HUNYUAN_UI_VISITOR_DAILY_VIDEOS="2") as public:
        wish = {"prompts": "a fox\na crow\na heron\na cat", "name": "mine", "form": FORM, "payer": "owner"}
        wish |= {"budget_usd": 5, "shown_usd": 5}
        told = stands(public, ask(public, "send", **wish).json()["list_id"])
        assert (told["done"], told["not_sent"]) == (2, 2)
        assert "2 videos" in told["problem"]
        other = stands(public, ask(public, "send", SOMEBODY, **wish).json()["list_id"], SOMEBODY)
        assert other["done"] == 2
    service.close()


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"prompts": 5}, "list_not_text"),
        ({"prompts": ["a fox"]}, "list_not_text"),
        ({"name": {}}, "list_not_text"),
        ({"kind": "xml"}, "list_kind"),
        ({"budget_usd": "5"}, "not_a_number"),
        ({"picks": 1.5}, "not_whole"),
        ({"picks_seed": 1e400}, "not_a_number"),
        ({"budget_usd": 10**400}, "not_a_number"),  # as JSON a whole number, and too large for a float
        ({"picks": -(10**400)}, "not_a_number"),
        ({"shown_usd": []}, "not_a_number"),
        ({"shown_usd": "\ud83d"}, "not_a_number"),
    ],
)
def test_what_no_page_sends_is_named_and_nothing_is_sent(owned: RunningApp, values: dict[str, Any], code: str) -> None:
    wish = {"prompts": "a fox", "name": "x", "form": FORM, "budget_usd": 5, **values}
    body = json.dumps(wish)
    for path in ("check", "send"):
        url = f"{owned.url}gradio_api/hunyuan/lists/{path}"
        told = httpx.post(url, content=body, headers={"x-hunyuan-visitor": ME, "content-type": "application/json"})
        assert (told.status_code, told.json()["code"]) == (422, code)


def test_the_page_sends_lists_as_long_as_they_may_be_and_long_texts_nowhere_else(owned: RunningApp) -> None:
    wish = {"name": "long", "form": FORM}
    told = ask(owned, "check", **wish, prompts="\n".join(["猫" * 300] * 1000)).json()
    assert (told["rows"], len(told["table"]), told["faults"]) == (1000, 1000, [])
    assert {len(row["prompt"]) for row in told["table"]} == {240}
    long = ask(owned, "check", **wish, prompts="x" * (MOST_BYTES + 1))
    assert [fault["line"] for fault in long.json()["faults"]] == [0]
    assert ask(owned, "check", **wish, prompts="x" * (3 * MOST_BYTES)).status_code == 413
    assert ask(owned, f"{'0' * 32}/stop", prompts="x" * 70_000).status_code == 413


def test_a_program_is_not_told_to_confirm_a_price_with_what_only_the_page_has(owned: RunningApp) -> None:
    large = {"prompt": "a fox", "width": 1280, "height": 1280, "video_length": 129, "infer_steps": 70}
    for function, values in (
        ("generate", large),
        ("submit", large),
        ("submit_many", {"prompts": json.dumps(large), "name": "large", "budget_usd": 100.0}),
    ):
        said = call(owned, function, None, **values)
        assert "above the limit of $5.00" in said, said
        assert "choose fewer frames" in said, said
        assert "confirm" not in said, said
