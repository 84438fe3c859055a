"""The local endpoint's server: concurrency, shutdown, command line."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from hunyuan_ui.local_endpoint.__main__ import main
from hunyuan_ui.local_endpoint.app import create_app
from hunyuan_ui.local_endpoint.jobs import Jobs, Terms
from hunyuan_ui.local_endpoint.scene import render
from hunyuan_ui.local_endpoint.serving import serve
from hunyuan_ui.request import VideoRequest
from tests.local_endpoint.clients import KEY, SMALL, Start, made


def test_every_file_is_removed_at_the_end(tmp_path: Path) -> None:
    server = serve(create_app(seconds=0.05, work_dir=tmp_path))
    with httpx.Client(base_url=server.url, headers={"x-api-key": KEY}, trust_env=False) as client:
        made(client)
        client.post("/v2/hunyuan-video", json={**SMALL, "video_length": 129})
        assert list(tmp_path.rglob("*.mp4"))
    server.close()
    server.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
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
    # If a clip were rendered on the event loop, some response would wait for about a third of the whole time.
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
        await asyncio.sleep(0.01)  # returns although the rendering is blocked
        assert not ending.done()
        may_go_on.set()
        await asyncio.wait_for(ending, 10)

    monkeypatch.setattr(render, "frames", endless)
    asyncio.run(run())
    assert list(tmp_path.rglob("*.mp4*")) == []
