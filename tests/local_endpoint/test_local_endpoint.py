"""The local endpoint over a real socket: every row of its contract, both API versions, and its videos."""

from __future__ import annotations

import email.utils
import json
import re
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest

from hunyuan_ui.estimate import estimate
from hunyuan_ui.media import check_mp4
from hunyuan_ui.request import VideoRequest
from tests.local_endpoint.clients import KEY, SMALL, Start, made, until_ended

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
        ({"to_date": "0001-01-03"}, 0),
        ({"from_date": "0001-01-01", "to_date": "0001-01-01"}, 0),
        ({"from_date": "9999-12-31", "to_date": "9999-12-31"}, 0),
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
