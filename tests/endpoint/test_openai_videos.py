"""The client of self-hosted engines, against one fake for each column of docs/facts/engines.md 1."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hunyuan_ui.endpoint import download, engines
from hunyuan_ui.endpoint.contract import RemoteState, RemoteStatus
from hunyuan_ui.endpoint.openai_videos import EngineClient
from hunyuan_ui.errors import (
    AuthenticationError,
    DownloadError,
    EndpointError,
    EndpointStatusError,
    HunyuanUIError,
    JobFailedError,
    OutcomeUnknownError,
    RateLimitError,
    RequestExpiredError,
    UnexpectedResponseError,
    reason,
)
from hunyuan_ui.job import JobProblem
from hunyuan_ui.media import check_video
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.words import words
from tests.engines import KINDS, TOOK_S, FakeEngine, parts_in
from tests.raw_service import RawService, Reply, answer, cut, html, redirect, reset
from tests.videos import mp4_bytes

pytestmark = pytest.mark.anyio

KEY = "engine-key-5b1e"
REQUEST = VideoRequest(prompt='a heron, 苍鹭 "in" fog', width=854, height=480, seed=7)
MP4 = mp4_bytes()


@pytest.fixture
def service() -> Iterator[RawService]:
    with RawService() as running:
        yield running


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, service: RawService) -> FakeEngine:
    fake = FakeEngine(request.param, lambda _: MP4, key=KEY)
    service._flow = fake.behave
    return fake


@pytest.fixture
async def client(service: RawService) -> AsyncIterator[EngineClient]:
    calls = EngineClient(service.origin + "/v1/")
    yield calls
    await calls.aclose()


async def completed(client: EngineClient, request_id: str) -> list[RemoteStatus]:
    seen: list[RemoteStatus] = []
    while not seen or seen[-1].state is not RemoteState.COMPLETED:
        seen.append(await client.status(request_id, KEY))
    return seen


async def failure(call: Any) -> HunyuanUIError:
    with pytest.raises(HunyuanUIError) as caught:
        await call
    return caught.value


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("Succeeded", RemoteState.COMPLETED),
        ("success", RemoteState.COMPLETED),
        ("done", RemoteState.COMPLETED),
        ("cancelled", RemoteState.FAILED),
        ("error", RemoteState.FAILED),
        ("in_progress", RemoteState.PROCESSING),
        ("postprocessing", RemoteState.PROCESSING),
    ],
)
def test_an_engine_may_have_its_own_words_for_an_end(word: str, state: RemoteState) -> None:
    assert engines.state_in({"id": "video_1", "status": word}) is state


@pytest.mark.parametrize("job_id", ["7", "video:abc.def", "task.2026-11~1"])
async def test_the_id_of_an_engine_is_taken_as_it_is(service: RawService, client: EngineClient, job_id: str) -> None:
    service.on("POST", engines.VIDEOS, answer(200, {"id": job_id, "status": "queued"}))
    service.on("GET", f"{engines.VIDEOS}/{job_id}", answer(200, {"id": job_id, "status": "completed"}))
    assert (await client.submit(REQUEST, KEY)).request_id == job_id
    assert (await client.status(job_id, KEY)).state is RemoteState.COMPLETED


@pytest.mark.parametrize("job_id", ["", "..", "a/b", "a?b", "a#b", "a%2fb", " a", "é", 7.5, True, None, {"id": "a"}])
async def test_what_could_lead_elsewhere_is_no_id(service: RawService, client: EngineClient, job_id: object) -> None:
    service.on("POST", engines.VIDEOS, answer(200, {"id": job_id, "status": "queued"}))
    assert isinstance(await failure(client.submit(REQUEST, KEY)), OutcomeUnknownError)


async def test_a_job_comes_to_its_video(engine: FakeEngine, client: EngineClient, tmp_path: Path) -> None:
    request_id = (await client.submit(REQUEST, KEY)).request_id
    seen = await completed(client, request_id)
    result = await client.result(request_id, KEY)
    assert result.metrics.inference_time == TOOK_S
    assert result.metrics.cost is None
    await client.fetch(result.url or "", tmp_path / "x.part", key=KEY, check=check_video)
    assert (tmp_path / "x.part").read_bytes() == MP4
    moved = [status.progress for status in seen if status.progress is not None]
    assert moved == ([60, 90] if engine.quirks.moves else [])
    assert engine.deleted == []


async def test_each_part_is_text_and_nothing_is_sent_that_an_engine_refuses(
    engine: FakeEngine, service: RawService, client: EngineClient
) -> None:
    await client.submit(REQUEST, KEY)
    posts = [one for one in service.requests if one.method == "POST"]
    assert len(posts) == 1
    assert parts_in(posts[0].body) == {
        "prompt": REQUEST.prompt,
        "size": "864x480",
        "num_frames": "77",
        "fps": "24",
        "seed": "7",
        "num_inference_steps": "40",
        "negative_prompt": REQUEST.negative_prompt,
    }
    assert set(engines.SET_AT_ENGINE) <= set(VideoRequest.model_fields)


async def test_a_model_is_named_only_where_the_owner_has_named_one(service: RawService) -> None:
    service._flow = FakeEngine("vllm", lambda _: MP4).behave
    client = EngineClient(service.origin, model="hunyuanvideo-community/HunyuanVideo")
    await client.submit(REQUEST.model_copy(update={"negative_prompt": ""}), "")
    sent = parts_in(service.requests[-1].body)
    assert (sent["model"], "negative_prompt" in sent) == ("hunyuanvideo-community/HunyuanVideo", False)
    assert "authorization" not in service.requests[-1].headers
    await client.aclose()


def test_each_engine_is_told_by_its_ids() -> None:
    tail = "0123456789abcdef" * 2
    ids = ["01234567-89ab-4def-8123-456789abcdef", f"video_gen_{tail}", tail, f"video_{tail}", "something-else"]
    found = [engine.name if (engine := engines.engine_of(one)) else None for one in ids]
    assert found == ["SGLang-Diffusion", "vLLM-Omni", "FastVideo", "TensorRT-LLM VisualGen", None]
    for quirks in KINDS.values():
        engine = engines.engine_of(quirks.new_id())
        assert engine is not None
        assert engine.stops == quirks.stops


async def test_only_a_delete_that_stops_the_run_is_sent(engine: FakeEngine, client: EngineClient) -> None:
    request_id = (await client.submit(REQUEST, KEY)).request_id
    assert await client.stop(request_id, KEY) == engine.quirks.stops
    assert engine.deleted == ([request_id] if engine.quirks.stops else [])


async def test_a_stop_that_is_under_way_already_is_none(service: RawService, client: EngineClient) -> None:
    service.on("DELETE", "/v1/videos/*", answer(409, {"detail": "cancelling"}))
    assert not await client.stop(f"video_gen_{'0' * 32}", KEY)


ERRORS: dict[str, tuple[object, str | None]] = {
    "text": ("out of memory", "out of memory"),
    "object": ({"message": "out of memory"}, "out of memory"),
    "object with a code": ({"code": "oom", "message": "out of memory"}, "out of memory"),
    "code alone": ({"code": "oom"}, "oom"),
    "list": ([{"loc": ["body"], "msg": "out of memory"}], "out of memory"),
    "nothing": ({}, None),
    "a number": (7, None),
}


@pytest.mark.parametrize("error", ERRORS)
async def test_a_failed_job_is_told_whatever_the_status_is(
    engine: FakeEngine, client: EngineClient, error: str
) -> None:
    engine.fails, said = ERRORS[error]
    request_id = (await client.submit(REQUEST, KEY)).request_id
    with pytest.raises(JobFailedError) as caught:
        await completed(client, request_id)
    assert caught.value.facts.get("detail") == said
    assert caught.value.code == ("engine_failed" if said else "engine_failed_unexplained")


async def test_what_an_engine_tells_of_its_own_paths_goes_nowhere(engine: FakeEngine, client: EngineClient) -> None:
    request_id = (await client.submit(REQUEST, KEY)).request_id
    engine.fails = f"cannot write /srv/secret/{request_id}.mp4 or [/srv/secret/{request_id}.mp4]"
    with pytest.raises(JobFailedError) as caught:
        await completed(client, request_id)
    # Jobs without a path do not reveal which texts are paths.
    assert ("/srv/secret" in caught.value.facts["detail"]) == (engine.quirks.leak is None)


async def test_a_restarted_engine_has_forgotten(engine: FakeEngine, client: EngineClient) -> None:
    request_id = (await client.submit(REQUEST, KEY)).request_id
    engine.restart()
    assert isinstance(await failure(client.status(request_id, KEY)), RequestExpiredError)
    assert isinstance(await failure(client.result(request_id, KEY)), RequestExpiredError)


async def test_a_gateway_that_does_not_know_the_path_has_forgotten_nothing(
    service: RawService, client: EngineClient
) -> None:
    service.on("GET", "*", html(404))
    assert isinstance(await failure(client.status("0" * 32, KEY)), UnexpectedResponseError)


async def test_what_an_engine_says_of_another_job_is_not_taken_for_this_one(
    service: RawService, client: EngineClient
) -> None:
    service.on("GET", "*", answer(200, {"id": "b" * 32, "status": "completed", "url": f"{service.origin}/b.mp4"}))
    for asked in (client.status("a" * 32, KEY), client.result("a" * 32, KEY)):
        error = await failure(asked)
        assert (type(error), error.facts["reason"]) == (UnexpectedResponseError, reason("another_request"))


@pytest.mark.parametrize(("status", "kind"), [(200, JobFailedError), (404, RequestExpiredError), (500, EndpointError)])
async def test_a_job_without_its_id_ends_by_a_success_only(
    service: RawService, client: EngineClient, status: int, kind: type[EndpointError]
) -> None:
    service.on("GET", "*", answer(status, {"status": "failed"}))
    error = await failure(client.status("a" * 32, KEY))
    assert isinstance(error, kind)
    assert isinstance(error, JobFailedError) == (status == 200)


async def test_content_before_the_end_is_not_asked_for(
    engine: FakeEngine, service: RawService, client: EngineClient
) -> None:
    request_id = (await client.submit(REQUEST, KEY)).request_id
    assert isinstance(await failure(client.result(request_id, KEY)), UnexpectedResponseError)
    assert not [one.path for one in service.requests if one.path.endswith("/content")]


async def test_the_jobs_of_a_request_are_found_where_prompts_are_listed(
    engine: FakeEngine, client: EngineClient
) -> None:
    started = time.time()
    request_id = (await client.submit(REQUEST, KEY)).request_id
    await client.submit(REQUEST.model_copy(update={"prompt": "another"}), KEY)
    assert await client.sent(REQUEST, KEY, started) == ([request_id] if engine.quirks.has_prompts else [])
    assert await client.sent(REQUEST, KEY, started + 3600) == []
    for other in ({"width": 640}, {"prompt": REQUEST.prompt + "."}):
        assert await client.sent(REQUEST.model_copy(update=other), KEY, started) == []


@pytest.mark.parametrize(
    "body", [[], {}, {"data": None}, {"data": ["x", 7, {"id": True, "prompt": REQUEST.prompt}]}, "x"]
)
async def test_a_list_of_nothing_finds_nothing(service: RawService, client: EngineClient, body: Any) -> None:
    service.on("GET", "/v1/videos", answer(200, body))
    assert await client.sent(REQUEST, KEY, 0.0) == []


@pytest.mark.parametrize(("status", "is_ready"), [(200, True), (404, True), (500, True), (503, False)])
async def test_only_503_says_that_the_model_is_being_loaded(
    service: RawService, client: EngineClient, status: int, is_ready: bool
) -> None:
    service.on("GET", "/health", answer(status))
    assert await client.is_ready(KEY) is is_ready


# --- the create


POSTS: dict[str, tuple[Reply, type[HunyuanUIError], str]] = {
    "reset": (reset(), OutcomeUnknownError, "no_answer"),
    "no id": (answer(200, {"status": "queued"}), OutcomeUnknownError, "engine_unreadable"),
    "an id that is none": (answer(200, {"id": "../x", "status": "queued"}), OutcomeUnknownError, "engine_unreadable"),
    "html": (html(200), OutcomeUnknownError, "engine_unreadable"),
    "422 in a list": (
        answer(422, {"detail": [{"loc": ["body", "size"], "msg": "bad size"}]}),
        EndpointStatusError,
        "engine_refused",
    ),
    "400 flat": (answer(400, {"message": "bad size", "type": "x"}), EndpointStatusError, "engine_refused"),
    "401": (answer(401, {"error": "Unauthorized"}), AuthenticationError, "engine_key_refused"),
    "405": (html(405), EndpointStatusError, "engine_refused"),
    "408": (answer(408, {"detail": "timeout"}), OutcomeUnknownError, "engine_unsure"),
    "499": (html(499), OutcomeUnknownError, "engine_unsure"),
    "429": (answer(429, headers={"retry-after": "3"}), RateLimitError, "rate_limited"),
    "500": (answer(500, {"detail": "CUDA"}), OutcomeUnknownError, "engine_unsure"),
    "503": (answer(503, {"detail": "starting"}), OutcomeUnknownError, "engine_unsure"),
    "302": (redirect("https://elsewhere.example/"), EndpointStatusError, "service_moved"),
}


@pytest.mark.parametrize("name", POSTS)
async def test_a_create_that_goes_wrong_is_sent_once(service: RawService, client: EngineClient, name: str) -> None:
    reply, kind, code = POSTS[name]
    service.on("POST", "/v1/videos", reply)
    error = await failure(client.submit(REQUEST, KEY))
    assert (type(error), error.code) == (kind, code)
    service.wait_for_request()
    assert len(service.requests) == 1
    if "size" in repr(error.facts):
        assert error.facts["detail"] == "bad size"
    for language in ("en", "zh"):
        assert "{" not in words(language).sentence(error)


@pytest.mark.parametrize("status", [200, 201, 202, 500])
async def test_an_accepted_job_is_taken_whatever_the_status_is(
    service: RawService, client: EngineClient, status: int
) -> None:
    service.on("POST", "/v1/videos", answer(status, {"id": "a" * 32, "status": "queued"}))
    assert (await client.submit(REQUEST, KEY)).request_id == "a" * 32


async def test_an_id_is_legible_before_a_cut(service: RawService, client: EngineClient) -> None:
    body = {"id": "b" * 32, "object": "video", "status": "queued"}
    service.on("POST", "/v1/videos", cut(body, 50))
    assert (await client.submit(REQUEST, KEY)).request_id == "b" * 32


async def test_a_key_that_the_engine_repeats_is_hidden(service: RawService, client: EngineClient) -> None:
    service.on("POST", "*", answer(400, {"detail": f"bad key {KEY}"}))
    assert (await failure(client.submit(REQUEST, KEY))).facts["detail"] == "bad key ***"


# --- the content


@pytest.mark.parametrize(
    "reply",
    [
        answer(200, MP4[: len(MP4) // 2], content_type="video/mp4"),
        cut(MP4, 900),
        answer(200, b"", content_type="video/mp4"),
        answer(200, {"b64_json": "AAAA"}),
    ],
    ids=["half a file with 200", "a wrong length", "nothing", "JSON"],
)
async def test_half_a_file_is_never_taken(
    service: RawService, client: EngineClient, tmp_path: Path, reply: Reply
) -> None:
    url = f"{service.origin}/v1/videos/{'a' * 32}/content"
    service.on("GET", "*", reply)
    error = await failure(client.fetch(url, tmp_path / "x.part", key=KEY, check=check_video))
    assert isinstance(error, DownloadError)
    assert error.retryable
    assert not (tmp_path / "x.part").exists()


async def test_a_video_in_a_bucket_is_fetched_from_there_without_the_key(
    service: RawService, client: EngineClient, tmp_path: Path
) -> None:
    request_id = "01234567-89ab-4def-8123-456789abcdef"
    job = {"id": request_id, "status": "completed", "url": "https://169.254.169.254/x.mp4"}
    service.on("GET", f"/v1/videos/{request_id}", answer(200, job))
    assert (await client.result(request_id, KEY)).url == job["url"]
    error = await failure(client.fetch(job["url"], tmp_path / "x.part", key=KEY, check=check_video))
    assert error.code == "link_refused"  # by the rules for every address except the engine's


@pytest.mark.parametrize("own", ["http://localhost:30000", "http://minio:9000", "https://gpu.example:8443"])
async def test_a_video_at_an_address_that_only_the_engine_can_open_is_asked_of_the_engine(
    service: RawService, client: EngineClient, tmp_path: Path, own: str
) -> None:
    path = f"/v1/videos/{'a' * 32}"
    service.on("GET", path, answer(200, {"id": "a" * 32, "status": "completed", "url": f"{own}{path}/content"}))
    service.on("GET", f"{path}/content", answer(200, MP4))
    found = await client.result("a" * 32, KEY)
    assert found.url is not None
    await client.fetch(found.url, tmp_path / "x.part", key=KEY, check=check_video)
    assert (tmp_path / "x.part").read_bytes() == MP4


@pytest.mark.parametrize("place", ["/bucket/x.mp4", "https://10.0.0.9/x.mp4"])
async def test_a_refusal_of_the_content_that_names_an_address_is_followed(
    service: RawService, client: EngineClient, tmp_path: Path, place: str
) -> None:
    link = service.origin + place if place.startswith("/") else place
    content = f"/v1/videos/{'a' * 32}/content"
    service.on("GET", content, answer(400, {"detail": f"Video is in a bucket. Use: {link}."}))
    service.on("GET", "/bucket/x.mp4", answer(200, MP4))
    fetched = client.fetch(service.origin + content, tmp_path / "x.part", key=KEY, check=check_video)
    if place.startswith("/"):
        await fetched
        assert (tmp_path / "x.part").read_bytes() == MP4
    else:
        assert (await failure(fetched)).code == "link_refused"


async def test_an_address_of_a_store_that_ran_out_is_not_asked_for_at_the_engine(
    service: RawService, client: EngineClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_safe_transport", lambda *_: httpx.MockTransport(lambda _: httpx.Response(403)))
    fetched = client.fetch("https://store.example/x.mp4", tmp_path / "x.part", key=KEY, check=check_video)
    error = await failure(fetched)
    assert isinstance(error, DownloadError)
    assert error.expired
    assert service.requests == []


async def test_the_key_leaves_for_nowhere_else(service: RawService, client: EngineClient, tmp_path: Path) -> None:
    with RawService() as elsewhere:
        service.on("GET", "*", redirect(f"{elsewhere.origin}/x.mp4"))
        url = f"{service.origin}/v1/videos/{'a' * 32}/content"
        assert (
            await failure(client.fetch(url, tmp_path / "x.part", key=KEY, check=check_video))
        ).code == "link_refused"
        assert elsewhere.connections == 0
    assert service.requests[-1].headers["authorization"] == f"Bearer {KEY}"


async def test_a_redirect_within_the_engine_takes_the_key_along_and_one_to_a_store_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, bool] = {}

    def served(request: httpx.Request) -> httpx.Response:
        asked[str(request.url)] = "authorization" in request.headers
        location = {"/content": "/moved", "/moved": "https://store.example/x.mp4"}.get(request.url.path)
        return (
            httpx.Response(302, headers={"location": location})
            if location
            else httpx.Response(200, stream=httpx.ByteStream(MP4))
        )

    monkeypatch.setattr(download, "_safe_transport", lambda *_: httpx.MockTransport(served))
    client = EngineClient("http://engine.test")
    await client.fetch("http://engine.test/content", tmp_path / "x.part", key=KEY, check=check_video)
    assert asked == {
        "http://engine.test/content": True,
        "http://engine.test/moved": True,
        "https://store.example/x.mp4": False,
    }


@pytest.mark.parametrize("status", [401, 403])
async def test_a_key_that_is_refused_on_the_way_is_the_engines_whatever_is_asked(
    service: RawService, client: EngineClient, status: int
) -> None:
    service.on("GET", "*", answer(status, {"error": {"message": "no such key"}}))
    for call in (
        client.status("video_1", KEY),
        client.result("video_1", KEY),
        client.sent(REQUEST, KEY, 0.0),
        client.check(KEY),
    ):
        error = await failure(call)
        assert error.code == "engine_key_refused"
        sentence = words().sentence(JobProblem.of(error, is_sent=True))
        assert "HUNYUAN_UI_ENGINE_KEY" in sentence
        assert "Nothing ran" not in sentence
