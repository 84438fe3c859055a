"""The local endpoint over a real socket: every row of its contract, both dialects, and the videos it makes."""

from __future__ import annotations

import asyncio
import email.utils
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest

from hunyuan_ui.estimate import estimate
from hunyuan_ui.local_endpoint import scene
from hunyuan_ui.local_endpoint.__main__ import main
from hunyuan_ui.local_endpoint.app import create_app
from hunyuan_ui.local_endpoint.jobs import Jobs, Terms
from hunyuan_ui.local_endpoint.serving import RunningServer, serve
from hunyuan_ui.media import VideoFacts, check_mp4, facts
from hunyuan_ui.request import VideoRequest

KEY = "SG_0123456789abcdef"
SMALL = {"prompt": "A lighthouse in the snow", "width": 64, "height": 48, "video_length": 5}
Start = Callable[..., httpx.Client]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start local endpoints and give a client of each; stop them all at the end."""
    open_ones: list[RunningServer | httpx.Client] = []

    def start_one(**options: Any) -> httpx.Client:
        server = serve(create_app(**{"seconds": 0.05, "work_dir": tmp_path, **options}))
        client = httpx.Client(base_url=server.url, headers={"x-api-key": KEY}, timeout=60, trust_env=False)
        open_ones.extend([client, server])
        return client

    yield start_one
    for one in open_ones:
        one.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One local endpoint for tests that leave nothing behind."""
    server = serve(create_app(seconds=0.02, work_dir=tmp_path_factory.mktemp("shared")))
    with httpx.Client(base_url=server.url, headers={"x-api-key": KEY}, timeout=60, trust_env=False) as client:
        yield client
    server.close()


def until_ended(client: httpx.Client, request_id: str, **options: Any) -> httpx.Response:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        answer = client.get(f"/v2/requests/{request_id}/status", **options)
        if answer.json().get("status") not in ("QUEUED", "PROCESSING"):
            return answer
    raise AssertionError("the job did not end")


def made(client: httpx.Client, **values: Any) -> dict[str, Any]:
    """Submit, wait, and return the result's body."""
    request_id = client.post("/v2/hunyuan-video", json={**SMALL, **values}).json()["request_id"]
    assert until_ended(client, request_id).json()["status"] == "COMPLETED"
    return client.get(f"/v2/requests/{request_id}").json()


# v2


def test_v2_submits_polls_and_answers_with_the_address_of_the_video(start: Start) -> None:
    client = start(seconds=1.0)
    answer = client.post("/v2/hunyuan-video", json=SMALL)
    submitted = answer.json()
    request_id = submitted["request_id"]
    assert answer.status_code == 200
    assert submitted == {
        "request_id": request_id,
        "status": "QUEUED",
        "poll_url": f"{client.base_url}/v1/requests/{request_id}".replace("//v1", "/v1"),
        "status_url": str(client.base_url).rstrip("/") + f"/v2/requests/{request_id}/status",
        "response_url": str(client.base_url).rstrip("/") + f"/v2/requests/{request_id}",
    }
    seen: list[str] = []
    while not seen or seen[-1] != "COMPLETED":
        status = client.get(submitted["status_url"])
        assert status.status_code == 200
        assert status.json()["request_id"] == request_id
        if status.json()["status"] not in seen:
            seen.append(status.json()["status"])
            if seen[-1] != "COMPLETED":
                assert status.json()["metrics"] == {}
                assert client.get(submitted["response_url"]).json()["status"] in ("QUEUED", "PROCESSING", "COMPLETED")
    assert seen == ["QUEUED", "PROCESSING", "COMPLETED"]
    result = client.get(submitted["response_url"]).json()
    assert result == client.get(submitted["poll_url"]).json()
    assert (result["status"], result["error"], result["prompt"]) == ("COMPLETED", None, SMALL["prompt"])
    assert result["seed"] == "96501778"
    assert result["video"]["url"] == result["output"]
    assert result["video"]["content_type"] == "video/mp4"
    video = httpx.get(result["output"], trust_env=False).content
    assert int(result["video"]["file_size"]) == len(video)


def test_metrics_are_what_really_passed_and_was_charged(start: Start) -> None:
    client = start(seconds=0.6, credits=10.0)
    began = time.monotonic()
    metrics = made(client)["metrics"]
    passed = time.monotonic() - began
    assert metrics["total_time"] == pytest.approx(0.6, abs=0.25)
    assert metrics["inference_time"] + metrics["queue_time"] == pytest.approx(metrics["total_time"], abs=0.001)
    assert passed + 0.01 >= 0.6
    assert metrics["cost"] == pytest.approx(estimate(VideoRequest.parse(SMALL)).cost_usd, abs=1e-6)
    assert metrics["remaining_credits"] == pytest.approx(10 - metrics["cost"])
    assert client.get("/v1/get-user-credits").json() == {"credits": metrics["remaining_credits"], "free-credits": 0.0}


def test_a_free_endpoint_charges_nothing_and_refuses_nobody(start: Start) -> None:
    client = start(is_free=True, credits=0.0)
    metrics = made(client)["metrics"]
    assert (metrics["cost"], metrics["remaining_credits"]) == (0.0, 0.0)
    assert client.post("/v1/hunyuan-video", json=SMALL).headers["x-cost"] == "0.0"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"video_length": 78}, "multiple of 4, got 78"),
        ({"video_length": 133}, "video_length"),
        ({"width": 0}, "width"),
        ({"height": 1281}, "height"),
        ({"infer_steps": 71}, "infer_steps"),
        ({"flow_shift": "high"}, "flow_shift"),
        ({"embedded_guidance_scale": 6.5}, "embedded_guidance_scale"),
        ({"seed": -2}, "seed"),
        ({"prompt": ""}, "Prompt is required"),
        ({"prompt": 7}, "must be string"),
        ({"prompt": None}, "must be string"),
    ],
)
def test_bad_values_fail_after_submission_and_cost_nothing(
    shared: httpx.Client, values: dict[str, Any], said: str
) -> None:
    client, credits = shared, shared.get("/v1/get-user-credits").json()
    submitted = client.post("/v2/hunyuan-video", json={**SMALL, **values})
    assert submitted.status_code == 200
    request_id = submitted.json()["request_id"]
    status = until_ended(client, request_id)
    result = client.get(f"/v2/requests/{request_id}")
    for answer in (status, result):
        assert answer.status_code == 422
        assert answer.json()["status"] == "FAILED"
        assert said in answer.json()["error"]
        assert answer.json()["metrics"].keys() == {"inference_time", "queue_time", "total_time"}
    blocking = client.post("/v1/hunyuan-video", json={**SMALL, **values})
    assert blocking.status_code == 500
    assert said in blocking.json()["error"]
    assert client.get("/v1/get-user-credits").json() == credits


def test_fields_the_model_does_not_have_are_ignored(start: Start) -> None:
    assert made(start(), colour="blue")["status"] == "COMPLETED"


def test_a_random_seed_is_drawn_and_named(start: Start) -> None:
    client = start()
    seeds = {made(client, seed=-1)["seed"] for _ in range(3)}
    assert len(seeds) == 3
    assert all(int(seed) >= 0 for seed in seeds)


def test_records_expire_but_the_history_keeps_them(start: Start) -> None:
    client = start(record_life_s=1.2)
    result = made(client)
    request_id = result["request_id"]
    paths = [f"/v2/requests/{request_id}", f"/v2/requests/{request_id}/status", f"/v1/requests/{request_id}"]
    deadline = time.monotonic() + 20
    while client.get(paths[0]).status_code == 200:
        assert time.monotonic() < deadline
    for path in paths:
        answer = client.get(path)
        assert (answer.status_code, answer.json()) == (404, {"error": f"Request {request_id} not found"})
    row = client.get(f"/inference-request/request-history/{request_id}").json()
    assert row["generation_url"] == result["output"]
    assert httpx.get(row["generation_url"], trust_env=False).status_code == 200


def test_another_keys_request_is_not_found(start: Start) -> None:
    client = start()
    request_id = made(client)["request_id"]
    for path in (
        f"/v2/requests/{request_id}",
        f"/v2/requests/{request_id}/status",
        f"/v1/requests/{request_id}",
        f"/inference-request/request-history/{request_id}",
    ):
        assert client.get(path).status_code == 200
        assert client.get(path, headers={"x-api-key": "SG_other"}).status_code == 404
    for key, total in ((KEY, 1), ("SG_other", 0)):
        listed = client.get("/inference-request/request-history", headers={"x-api-key": key}).json()
        assert (listed["total"], len(listed["data"])) == (total, total)


def test_the_history_tells_finished_failed_and_running_requests(start: Start) -> None:
    client = start()
    done = made(client)
    failed = client.post("/v2/hunyuan-video", json={**SMALL, "video_length": 6}).json()["request_id"]
    until_ended(client, failed)
    listed = client.get("/inference-request/request-history", params={"per_page": 1, "page": 2}).json()
    assert (listed["total"], len(listed["data"])) == (2, 1)
    row = listed["data"][0]
    assert row == client.get(f"/inference-request/request-history/{done['request_id']}").json()
    assert (row["model_name"], row["model_status"]) == ("hunyuan-video", "COMPLETED")
    assert row["credits_deduction"] == done["metrics"]["cost"]
    assert row["request_body"] == SMALL
    assert row["latency_ms"] == pytest.approx(done["metrics"]["total_time"] * 1000, abs=1)
    row = client.get(f"/inference-request/request-history/{failed}").json()
    assert (row["model_status"], row["generation_url"], row["credits_deduction"]) == ("FAILED", None, 0.0)
    slow = start(seconds=30)
    running = slow.post("/v2/hunyuan-video", json=SMALL).json()["request_id"]
    assert slow.get(f"/inference-request/request-history/{running}").json()["model_status"] == "PENDING"


def test_the_history_is_filtered_by_day_model_and_status(start: Start) -> None:
    client = start()
    made(client)
    today = datetime.now(timezone.utc).date()
    days = {"from_date": str(today), "to_date": str(today + timedelta(days=1))}
    gone = {"from_date": str(today - timedelta(days=3)), "to_date": str(today - timedelta(days=1))}
    for asked, count in (
        ({}, 1),
        (days, 1),
        (gone, 0),
        ({"model_name": "hunyuan"}, 1),
        ({"model_name": "hunyuan-video"}, 1),
        ({"model_name": "hunyuan-video-i2v"}, 0),
        ({"status": "COMPLETED"}, 1),
        ({"status": "FAILED"}, 0),
        ({"status": "PENDING"}, 0),
        ({"per_page": 100, "page": 2}, 0),
        ({"sort_by": "credits_deduction", "sort_order": "asc"}, 1),
    ):
        listed = client.get("/inference-request/request-history", params=asked).json()
        assert len(listed["data"]) == count, asked


@pytest.mark.parametrize(
    "asked",
    [
        {"per_page": 0},
        {"per_page": 101},
        {"per_page": "many"},
        {"page": 0},
        {"from_date": "25.11.2026"},
        {"to_date": "2026-13-01"},
        {"from_date": "2026-11-25", "to_date": "2026-11-24"},
        {"from_date": "2026-10-01", "to_date": "2026-11-25"},
        {"status": "RUNNING"},
        {"sort_by": "prompt"},
        {"sort_order": "up"},
    ],
)
def test_what_the_history_cannot_be_asked_is_named(shared: httpx.Client, asked: dict[str, Any]) -> None:
    refused = shared.get("/inference-request/request-history", params=asked)
    assert refused.status_code == 400
    assert next(iter(asked)) in refused.json()["error"]


def test_the_historys_envelope_can_be_another(start: Start) -> None:
    client = start(history_envelope=lambda rows, about: {"request_history": rows, "pagination": about})
    request_id = made(client)["request_id"]
    listed = client.get("/inference-request/request-history").json()
    assert [row["request_id"] for row in listed["request_history"]] == [request_id]
    assert listed["pagination"] == {"page": 1, "per_page": 20, "total": 1}


# v1


def test_v1_blocks_and_answers_with_the_video(start: Start, tmp_path: Path) -> None:
    client = start(seconds=0.5, credits=20.0)
    began = time.monotonic()
    answer = client.post("/v1/hunyuan-video", json={**SMALL, "seed": 5})
    assert time.monotonic() - began >= 0.5
    assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
    (tmp_path / "answer.mp4").write_bytes(answer.content)
    check_mp4(tmp_path / "answer.mp4")
    cost = float(answer.headers["x-cost"])
    assert cost > 0
    assert float(answer.headers["x-remaining-credits"]) == pytest.approx(20 - cost)
    assert 0.2 < float(answer.headers["x-generation-time"]) < 5
    assert answer.headers["x-seed-value"] == "5"
    assert json.loads(answer.headers["x-output-metadata"]) == {"width": 64, "height": 48, "frames": 5, "fps": 24}
    row = client.get(f"/inference-request/request-history/{answer.headers['x-request-id']}").json()
    assert httpx.get(row["generation_url"], trust_env=False).content == answer.content


def test_v1_can_answer_with_an_address(start: Start) -> None:
    answer = start(v1_answer="url").post("/v1/hunyuan-video", json=SMALL)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    assert httpx.get(answer.json()["output"], trust_env=False).headers["content-type"] == "video/mp4"


# refusals

PATHS = [
    ("POST", "/v1/hunyuan-video"),
    ("POST", "/v2/hunyuan-video"),
    ("GET", "/v2/requests/0123456789abcdef/status"),
    ("GET", "/v2/requests/0123456789abcdef"),
    ("GET", "/v1/requests/0123456789abcdef"),
    ("GET", "/v1/get-user-credits"),
    ("GET", "/inference-request/request-history"),
    ("GET", "/inference-request/request-history/0123456789abcdef"),
]


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_every_path_asks_for_a_key(start: Start, method: str, path: str) -> None:
    address = str(start(keys=[KEY]).base_url).rstrip("/") + path

    def asked(headers: dict[str, str]) -> tuple[int, str]:
        answer = httpx.request(method, address, headers=headers, trust_env=False)
        return answer.status_code, answer.json()["error"]

    assert asked({}) == (401, "Missing Authorization or x-api-key in header")
    for headers in ({"x-api-key": "SG_wrong"}, {"authorization": f"Bearer {KEY}"}):
        status, error = asked(headers)
        assert status == 401
        assert error.startswith("Unauthorized. API key is invalid or may have expired")
    assert httpx.request(method, address, headers={"x-api-key": KEY}, trust_env=False).status_code != 401


@pytest.mark.parametrize("key", ["two words", "x" * 600])
def test_without_a_list_any_well_formed_key_is_accepted(start: Start, key: str) -> None:
    client = start()
    assert client.get("/v1/get-user-credits").status_code == 200
    assert client.get("/v1/get-user-credits", headers={"x-api-key": key}).status_code == 401


@pytest.mark.parametrize("path", ["/v1/hunyuan-video", "/v2/hunyuan-video"])
@pytest.mark.parametrize(
    ("content_type", "body", "status", "said"),
    [
        (None, b'{"prompt":"a"}', 406, "Invalid content type"),
        ("text/plain", b'{"prompt":"a"}', 406, "Invalid content type"),
        ("application/json", b'{"prompt":', 400, "not valid JSON"),
        ("application/json", b"", 400, "not valid JSON"),
        ("application/json", b"\xff\xfe", 400, "not valid JSON"),
        ("application/json", b"[" * 100_000, 400, "not valid JSON"),
        ("application/json", b'["prompt"]', 400, "JSON object"),
        ("application/json", b'{"seed":1}', 400, "Prompt is Mandatory"),
        ("application/json", b'{"prompt":"' + b"a" * 2_000_000 + b'"}', 400, "too large"),
    ],
)
def test_a_malformed_request_is_refused_at_once(
    shared: httpx.Client, path: str, content_type: str | None, body: bytes, status: int, said: str
) -> None:
    headers = {"content-type": content_type} if content_type else {}
    answer = shared.post(path, content=body, headers=headers)
    assert answer.status_code == status
    assert said in answer.json()["error"]


@pytest.mark.parametrize(("path", "status"), [("/v1/hunyuan-video", 406), ("/v2/hunyuan-video", 402)])
def test_too_few_credits_are_refused_before_the_run(start: Start, path: str, status: int) -> None:
    client = start(credits=0.01)
    answer = client.post(path, json={"prompt": "A default video"})
    assert (answer.status_code, answer.json()) == (status, {"error": "Insufficient credits. You have 0.01 credits."})
    assert client.get("/inference-request/request-history").json()["total"] == 0


def test_credits_are_reserved_while_a_job_runs(start: Start) -> None:
    price = estimate(VideoRequest.parse(SMALL)).cost_usd
    client = start(seconds=20, credits=price * 1.5)
    assert client.post("/v2/hunyuan-video", json=SMALL).status_code == 200
    assert client.post("/v2/hunyuan-video", json=SMALL).status_code == 402


@pytest.mark.parametrize("path", ["/v1/no-such-model", "/v2/no-such-model", "/nothing"])
def test_an_unknown_model_is_not_found(shared: httpx.Client, path: str) -> None:
    answer = shared.post(path, json=SMALL)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")
    assert "not found" in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/hunyuan-video"), ("GET", "/v2/hunyuan-video"), ("DELETE", "/v2/requests/0123456789abcdef")],
)
def test_a_wrong_verb_is_answered_with_a_page(shared: httpx.Client, method: str, path: str) -> None:
    answer = shared.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["content-type"].startswith("text/html")
    assert "<h1>" in answer.text


def test_too_many_requests_are_told_when_to_come_back(start: Start) -> None:
    client = start(requests_per_minute=2)
    for _ in range(2):
        assert client.post("/v2/hunyuan-video", json=SMALL).status_code == 200
    answer = client.post("/v2/hunyuan-video", json=SMALL)
    assert answer.status_code == 429
    assert "error" in answer.json()
    reset = datetime.fromisoformat(answer.headers["x-rate-limit-reset-at-utc"].replace("Z", "+00:00"))
    sent = email.utils.parsedate_to_datetime(answer.headers["date"])
    assert 55 < (reset - sent).total_seconds() <= 62
    assert client.post("/v2/hunyuan-video", json=SMALL, headers={"x-api-key": "SG_other"}).status_code == 200
    assert client.get("/v1/get-user-credits").status_code == 200


# files


def test_files_are_served_in_ranges_without_a_key_at_unguessable_addresses(start: Start) -> None:
    client = start()
    url = made(client)["output"]
    assert url.startswith(str(client.base_url))
    assert re.fullmatch(r"[0-9a-f]{48}\.mp4", url.rpartition("/")[2])
    whole = httpx.get(url, trust_env=False)
    assert whole.headers["accept-ranges"] == "bytes"
    part = httpx.get(url, headers={"range": "bytes=4-7"}, trust_env=False)
    assert (part.status_code, part.content) == (206, b"ftyp")
    assert part.headers["content-range"] == f"bytes 4-7/{len(whole.content)}"
    assert httpx.head(url, trust_env=False).headers["content-length"] == str(len(whole.content))
    for name in ("nothing.mp4", "..%2f..%2fetc%2fpasswd", ""):
        assert httpx.get(url.rpartition("/")[0] + "/" + name, trust_env=False).status_code == 404


def test_every_file_is_removed_at_the_end(tmp_path: Path) -> None:
    server = serve(create_app(seconds=0.05, work_dir=tmp_path))
    with httpx.Client(base_url=server.url, headers={"x-api-key": KEY}, trust_env=False) as client:
        made(client)
        client.post("/v2/hunyuan-video", json={**SMALL, "video_length": 129})
        assert list(tmp_path.rglob("*.mp4"))
    server.close()
    server.close()
    assert list(tmp_path.iterdir()) == []


# videos


def video(client: httpx.Client, path: Path, **values: Any) -> bytes:
    answer = client.post("/v1/hunyuan-video", json={**SMALL, **values})
    assert answer.status_code == 200
    path.write_bytes(answer.content)
    return answer.content


@pytest.mark.parametrize(
    ("width", "height", "frames"),
    [(1, 1, 1), (1, 1, 129), (853, 479, 5), (854, 480, 77), (480, 854, 9), (1280, 1280, 5), (1280, 720, 1)],
)
def test_a_video_has_exactly_what_was_asked(start: Start, tmp_path: Path, width: int, height: int, frames: int) -> None:
    path = tmp_path / "video.mp4"
    data = video(start(), path, width=width, height=height, video_length=frames)
    check_mp4(path)
    size = -(-width // 16) * 16, -(-height // 16) * 16
    assert facts(path) == VideoFacts(*size, 24.0, frames, frames / 24)
    with av.open(path, format="mp4") as container:
        stream = container.streams.video[0]
        decoded = [frame.to_ndarray() for frame in container.decode(stream)]
        assert len(decoded) == frames
        assert stream.average_rate == 24
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.codec_context.width, stream.codec_context.height) == size
    assert data.index(b"moov") < data.index(b"mdat")
    if frames > 4:
        assert not np.array_equal(decoded[0], decoded[4])


def test_equal_requests_give_equal_bytes_and_others_do_not(start: Start, tmp_path: Path) -> None:
    clients = start(), start()
    path = tmp_path / "video.mp4"
    first = video(clients[0], path, width=320, height=192)
    assert video(clients[1], path, width=320, height=192) == first
    for other in ({"seed": 1}, {"prompt": "A lighthouse in the rain"}, {"infer_steps": 12}):
        assert video(clients[0], path, width=320, height=192, **other) != first


def test_the_video_is_the_scene_of_the_request(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    video(start(), path, width=320, height=192)
    request = VideoRequest.parse({**SMALL, "width": 320, "height": 192})
    drawn = [planes[:192].astype(int) for planes in scene.frames(request)]
    with av.open(path, format="mp4") as container:
        decoded = [frame.to_ndarray()[:192].astype(int) for frame in container.decode(video=0)]
    assert max(np.abs(a - b).mean() for a, b in zip(drawn, decoded, strict=True)) < 2.5


# running


def test_other_requests_are_answered_while_clips_are_drawn(start: Start) -> None:
    client = start()
    big = {"prompt": "A city in the snow", "width": 864, "height": 480, "video_length": 129}
    all_began = time.monotonic()
    ids = [client.post("/v2/hunyuan-video", json={**big, "seed": seed}).json()["request_id"] for seed in range(3)]
    delays: list[float] = []
    running = set(ids)
    while running:
        for request_id in sorted(running):
            began = time.monotonic()
            state = client.get(f"/v2/requests/{request_id}/status").json()["status"]
            delays.append(time.monotonic() - began)
            assert state != "FAILED"
            running -= {request_id} if state == "COMPLETED" else set()
    # Were a clip drawn on the event loop, some answer would wait for about a third of the whole time.
    assert max(delays) < (time.monotonic() - all_began) / 5
    assert len(delays) > 30


def test_many_jobs_at_once_all_finish(start: Start) -> None:
    client = start(is_free=True)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda seed: client.post("/v1/hunyuan-video", json={**SMALL, "seed": seed}), range(24)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 24
    assert len({answer.headers["x-request-id"] for answer in answers}) == 24


def test_a_stopped_server_ends_running_jobs_quickly(tmp_path: Path) -> None:
    server = serve(create_app(seconds=600, work_dir=tmp_path))
    errors: list[str] = []

    def ask() -> None:
        try:
            answer = httpx.post(
                f"{server.url}/v1/hunyuan-video", json=SMALL, headers={"x-api-key": KEY}, timeout=60, trust_env=False
            )
            errors.append(str(answer.status_code))
        except httpx.TransportError as error:
            errors.append(type(error).__name__)

    thread = threading.Thread(target=ask)
    thread.start()
    with httpx.Client(base_url=server.url, headers={"x-api-key": KEY}, trust_env=False) as client:
        while not client.get("/inference-request/request-history").json()["total"]:
            pass
    began = time.monotonic()
    server.close()
    thread.join(10)
    assert time.monotonic() - began < 10
    assert len(errors) == 1
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/v1/get-user-credits", trust_env=False)


def test_a_taken_port_is_an_os_error() -> None:
    server = serve(create_app())
    with pytest.raises(OSError, match="in use"):
        serve(create_app(), port=int(server.url.rpartition(":")[2]))
    server.close()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_the_command_says_its_address_and_ends_cleanly(ending: signal.Signals) -> None:
    command = [sys.executable, "-m", "hunyuan_ui.local_endpoint", "--port", "0", "--seconds", "0.1", "--key", KEY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        first, second = process.stdout.readline(), process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", first)
        assert found
        assert f"SEGMIND_BASE_URL={found[0]}" in second
        assert "SEGMIND_API_KEY=" in second
        answer = httpx.post(
            f"{found[0]}/v1/hunyuan-video", json=SMALL, headers={"x-api-key": KEY}, timeout=60, trust_env=False
        )
        assert answer.status_code == 200
        process.send_signal(ending)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""


@pytest.mark.parametrize("text", ["1_000", "nan", "inf", " 5 ", "1e3", "٣", "-1", "+5", "x", "", "0x10", "9" * 5000])
@pytest.mark.parametrize("option", ["--port", "--seconds", "--credits", "--requests-per-minute"])
def test_a_wrong_number_is_one_sentence_and_nothing_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: str, text: str
) -> None:
    monkeypatch.setattr("sys.argv", ["local_endpoint", f"{option}={text}"])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert said.err.startswith(f"{option}: must be a ")
    assert said.err.count("\n") == 1
    assert len(said.err) < 200


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_the_command_listens_on_the_other_loopback_address(host: str) -> None:
    server = serve(create_app(), host)
    try:
        assert server.url.startswith("http://[::1]:")
        assert httpx.get(f"{server.url}/v1/get-user-credits", trust_env=False).status_code == 401
    finally:
        server.close()


def test_only_so_many_finished_jobs_and_files_are_kept(tmp_path: Path) -> None:
    def files() -> int:
        return sum(1 for path in tmp_path.rglob("*") if path.is_file())

    async def run() -> None:
        jobs = Jobs(Terms(seconds=0.0, is_free=True, most_jobs=3), 0.0, tmp_path)
        ids = [(await jobs.finished(jobs.submit({**SMALL, "seed": seed}, KEY))).id for seed in range(6)]
        assert [job.id for job in jobs.of(KEY)] == ids[:2:-1]
        assert files() == 3
        await jobs.aclose()

    asyncio.run(run())
    assert files() == 0


def test_an_end_breaks_off_what_is_being_drawn_and_never_stops_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing, may_go_on = threading.Event(), threading.Event()

    def endless(_: VideoRequest) -> Iterator[Any]:
        while True:
            yield np.full((72, 64), 90, np.uint8)
            drawing.set()
            assert may_go_on.wait(10)

    async def run() -> None:
        jobs = Jobs(Terms(seconds=0.0, is_free=True), 0.0, tmp_path)
        jobs.submit(SMALL, KEY)
        await asyncio.to_thread(drawing.wait, 10)
        ending = asyncio.ensure_future(jobs.aclose())
        await asyncio.sleep(0.01)  # goes by although the drawing stands still
        assert not ending.done()
        may_go_on.set()
        await asyncio.wait_for(ending, 10)

    monkeypatch.setattr(scene, "frames", endless)
    asyncio.run(run())
    assert list(tmp_path.rglob("*.mp4*")) == []
