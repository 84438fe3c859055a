"""The API for other programs: its description, other people's keys, repeated calls, and waiting."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError, ValidationError

from hunyuan_ui.job import Visitor, new_id
from hunyuan_ui.jobs import JobRunner
from hunyuan_ui.local_endpoint.app import create_app
from hunyuan_ui.local_endpoint.serving import serve
from hunyuan_ui.request import parameters
from hunyuan_ui.settings import Settings
from hunyuan_ui.ui.api import ApiCalls
from hunyuan_ui.ui.waiting_calls import LONGEST_STATUS_WAIT_S, WAITING_FOR_ONE_JOB
from hunyuan_ui.words import words
from tests.app_process import RunningApp, running_app

OWN_KEY = "SG_fedcba9876543210"
SMALL: dict[str, Any] = {"prompt": "A paper boat in a gutter", "video_length": 5, "width": 64, "height": 64}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """A public app without an owner's key, with a service that accepts any."""
    service = serve(create_app(seconds=1), "127.0.0.1", 0)
    with running_app(
        tmp_path_factory.mktemp("api"), SEGMIND_BASE_URL=service.url, GRADIO_SERVER_NAME="0.0.0.0"
    ) as started:
        yield started
    service.close()


@pytest.fixture(scope="module")
def paying(app: RunningApp) -> Iterator[Client]:
    """A program that sends its own key."""
    client = Client(app.url, headers={"x-api-key": OWN_KEY}, verbose=False)
    yield client
    client.close()


def test_every_parameter_is_described_with_its_range(app: RunningApp) -> None:
    told = httpx.get(f"{app.url}gradio_api/info").json()["named_endpoints"]
    for name in ("/generate", "/submit", "/estimate"):
        described = {one["parameter_name"]: one["type"]["description"] for one in told[name]["parameters"]}
        for field in parameters():
            assert f"to {field.high} {field.unit}".strip() in described[field.name], (name, field.name)
    assert all(told[name]["description"] for name in told)


def test_a_program_reads_which_value_is_wrong(paying: Client) -> None:
    file = {"path": "http://203.0.113.1/x.mp4", "meta": {"_type": "gradio.FileData"}}
    for name, value, said in (
        ("prompt", file, "not text"),
        ("width", file, "not a number"),
        ("seed", True, "a number"),
    ):
        with pytest.raises(ValidationError, match=f"{name}: .*{said}"):
            paying.predict(**{**SMALL, name: value}, api_name="/estimate")


@pytest.mark.slow
@pytest.mark.parametrize("last", [(), (0,), (0, False), (0, True), (0, None)], ids=str)
def test_status_takes_as_many_values_as_it_ever_did(app: RunningApp, paying: Client, last: tuple[Any, ...]) -> None:
    job_id = paying.predict(**SMALL, api_name="/submit")["job_id"]
    assert paying.predict(job_id=job_id, wait_s=25, look_again=True, api_name="/status")["status"] == "done"
    assert paying.predict(job_id, *last, api_name="/status")["status"] == "done"
    names: list[str] = ["job_id", "wait_s", "look_again"]
    assert called(app, "call", "status", {"data": [job_id, *last]})["status"] == "done"
    assert called(app, "call/v2", "status", dict(zip(names, (job_id, *last), strict=False)))["status"] == "done"
    if None not in last:
        for path in ("run", "api"):
            headers = {"x-api-key": OWN_KEY}
            answered = httpx.post(f"{app.url}gradio_api/{path}/status", json={"data": [job_id, *last]}, headers=headers)
            assert answered.json()["data"][0]["status"] == "done"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"data": []}, "This function takes 1-3 values."),
        ({"data": ["x", 0, True, None]}, "This function takes 1-3 values."),
        ({"data": ["x", 0, "true"]}, "look_again: use true or false."),
    ],
    ids=str,
)
def test_a_call_with_a_wrong_value_or_count_is_refused_in_one_sentence(
    app: RunningApp, body: dict[str, Any], said: str
) -> None:
    for path in ("call", "run", "api"):
        answered = httpx.post(f"{app.url}gradio_api/{path}/status", json=body)
        assert answered.status_code in (400, 422)
        assert said in answered.text


def test_a_submit_takes_its_first_values_alone(app: RunningApp) -> None:
    sent = called(app, "call", "submit", {"data": [SMALL["prompt"], "", 64, 64, 5]})
    assert (sent["request"]["video_length"], sent["request"]["infer_steps"]) == (5, 40)


def called(app: RunningApp, path: str, name: str, body: dict[str, Any]) -> Any:
    """Call a function as curl does and return its first value."""
    headers = {"x-api-key": OWN_KEY}
    event = httpx.post(f"{app.url}gradio_api/{path}/{name}", json=body, headers=headers).json()["event_id"]
    told = httpx.get(f"{app.url}gradio_api/call/{name}/{event}", headers=headers, timeout=30).text
    return json.loads(told.partition("event: complete\ndata: ")[2])[0]


ODD: list[Any] = [None, "", "\ud83d", 10**30, {"\udfff": [None]}]


def test_no_value_at_any_place_of_any_function_is_unforeseen(app: RunningApp) -> None:
    headers = {"x-api-key": OWN_KEY, "content-type": "application/json"}
    with httpx.Client(base_url=f"{app.url}gradio_api", headers=headers, timeout=30) as client:
        for name, described in client.get("/info").json()["named_endpoints"].items():
            usual = [one.get("parameter_default") for one in described["parameters"]]
            for at, odd in ((at, odd) for at in range(len(usual)) for odd in ODD):
                body = json.dumps({"data": [odd if number == at else value for number, value in enumerate(usual)]})
                begun = client.post(f"/call{name}", content=body)
                assert begun.status_code in (200, 422), (name, at, odd, begun.text)
                if begun.status_code == 200:
                    told = client.get(f"/call{name}/{begun.json()['event_id']}").text
                    assert "event: error" in told or "event: complete" in told, (name, at, odd)
    assert app.events("page.internal_error") == []


def test_a_word_for_a_number_gets_the_sentence_of_what_would_be_right(paying: Client) -> None:
    with pytest.raises(AppError, match=r"Width: wide is not a number. Use one from 1 to 1280"):
        paying.predict(**{**SMALL, "width": "wide"}, api_name="/estimate")
    with pytest.raises(AppError, match=r"wait_s: 'long' is not a number. Use one from 0 to 25"):
        paying.predict(job_id=new_id(), wait_s="long", api_name="/status")
    with pytest.raises(AppError, match=r"wait_s: 'long' is not a number. Use one from 0 to 25"):
        paying.predict(list_id=new_id(), wait_s="long", api_name="/status_many")


def test_the_openapi_document_tells_the_same(app: RunningApp) -> None:
    told = httpx.get(f"{app.url}gradio_api/openapi.json").text
    for field in parameters():
        assert json.dumps(words()[f"field.{field.name}.help"])[1:-1] in told


def test_an_own_key_in_the_header_pays_for_its_own_video(app: RunningApp, paying: Client) -> None:
    _, made = paying.predict(**SMALL, api_name="/generate")
    assert made["cost_usd"] > 0
    (queued,) = [line for line in app.events("job.queued") if line["job"] == made["job_id"]]
    assert queued["payer"] == "visitor"
    assert OWN_KEY not in app.output


@pytest.mark.parametrize("name", ["/submit", "/generate"])
def test_a_video_that_may_cost_more_than_it_is_allowed_is_refused(app: RunningApp, paying: Client, name: str) -> None:
    most_usd = paying.predict(**SMALL, api_name="/estimate")["high_usd"]
    before = len(app.events("job.queued"))
    with pytest.raises(AppError, match=r"may cost \$\d\.\d\d, more than the \$0\.01 that were allowed"):
        paying.predict(**SMALL, most_usd=0.01, api_name=name)
    assert len(app.events("job.queued")) == before
    assert paying.predict(**SMALL, most_usd=most_usd, api_name=name)
    assert len(app.events("job.queued")) == before + 1


@pytest.mark.parametrize("most_usd", ["much", -1, 1001, True, [1], {}])
def test_an_amount_that_is_none_is_named(app: RunningApp, paying: Client, most_usd: object) -> None:
    before = len(app.events("job.queued"))
    with pytest.raises((AppError, ValidationError), match=r"most_usd: .*(from 0 to 1000|not a number)"):
        paying.predict(**SMALL, most_usd=most_usd, api_name="/submit")
    assert len(app.events("job.queued")) == before


def test_the_same_job_id_sent_again_is_one_job(app: RunningApp, paying: Client) -> None:
    job_id = new_id()
    sent = [paying.predict(**SMALL, job_id=job_id, api_name="/submit") for _ in range(3)]
    assert {answer["job_id"] for answer in sent} == {job_id}
    assert len([line for line in app.events("job.queued") if line["job"] == job_id]) == 1


def test_a_job_of_one_key_is_not_there_for_another(app: RunningApp, paying: Client) -> None:
    job_id = paying.predict(**SMALL, api_name="/submit")["job_id"]
    other = Client(app.url, headers={"x-api-key": OWN_KEY[::-1].replace("_GS", "")}, verbose=False)
    for name in ("/status", "/result"):
        with pytest.raises(AppError, match="no such video"):
            other.predict(job_id=job_id, api_name=name)
    other.close()
    assert paying.predict(job_id=job_id, wait_s=25, api_name="/status")["status"] == "done"


def test_an_id_opens_nothing_by_any_route(app: RunningApp) -> None:
    nobody = Client(app.url, verbose=False)
    handle = nobody.predict(**SMALL, api_name="/submit")["job_id"]
    assert nobody.predict(job_id=handle, wait_s=25, api_name="/status")["status"] == "done"
    job_id, _, secret = handle.partition(".")
    for token, is_theirs in ((job_id, False), (secret, True)):
        told = {"x-hunyuan-visitor": token}
        asked = [f"jobs/{job_id}", f"videos/{job_id}", "videos"]
        answers = [httpx.get(f"{app.url}gradio_api/hunyuan/{path}", headers=told) for path in asked]
        assert [answered.status_code == 200 for answered in answers] == [is_theirs, is_theirs, True]
        assert bool(answers[2].json()["videos"]) == is_theirs
        for name in ("/status", "/result"):
            other = Client(app.url, headers=told, verbose=False)
            if is_theirs:
                assert other.predict(job_id=job_id, api_name=name)
            else:
                with pytest.raises(AppError, match="no such video"):
                    other.predict(job_id=job_id, api_name=name)
            other.close()
    nobody.close()


@pytest.mark.slow
def test_thirty_three_calls_for_one_job_leave_the_next_caller_an_answer(tmp_path: Path) -> None:
    service = serve(create_app(seconds=120), "127.0.0.1", 0)
    with running_app(tmp_path, SEGMIND_BASE_URL=service.url, GRADIO_SERVER_NAME="0.0.0.0") as app:
        greedy = Client(app.url, headers={"x-api-key": OWN_KEY}, verbose=False)
        job_id = greedy.predict(**SMALL, api_name="/submit")["job_id"]
        calls = [greedy.submit(**SMALL, job_id=job_id, api_name="/generate") for _ in range(33)]
        honest = Client(app.url, verbose=False)
        _, made = honest.predict(**SMALL, api_name="/generate")
        assert made["cost_usd"] == 0
        # The others were answered while the job is still running.
        assert greedy.predict(job_id=job_id, api_name="/status")["is_active"]
        give_up_at = time.monotonic() + 60
        while sum(call.done() for call in calls) < 33 - WAITING_FOR_ONE_JOB and time.monotonic() < give_up_at:
            time.sleep(0.05)
        told = [str(call.exception()) for call in calls if call.done()]
        assert len(told) == 33 - WAITING_FOR_ONE_JOB
        assert all(job_id in sentence and "/status" in sentence for sentence in told)
        honest.close()
        greedy.close()
    service.close()


@pytest.mark.anyio
@pytest.mark.parametrize(("asked", "waited"), [(0, 0), (10, 10), (25, 25), (3600, LONGEST_STATUS_WAIT_S), (-5, 0)])
async def test_status_waits_as_long_as_asked_but_never_longer_than_agents_do(
    tmp_path: Path, asked: float, waited: float
) -> None:
    class StoppedError(Exception):
        pass

    async def wait(_job_id: str, _visitor: object, timeout_s: float) -> None:
        seen.append(timeout_s)
        raise StoppedError

    seen: list[float] = []
    settings = Settings(data_dir=tmp_path, share=True)
    runner = SimpleNamespace(wait=wait, visitor=lambda token, _address: Visitor.from_token(token), settings=settings)
    calls = ApiCalls(cast("JobRunner", runner))
    with pytest.raises(StoppedError):
        await calls.status(cast("Any", SimpleNamespace(headers={})), new_id(), asked)
    assert seen == [waited]
