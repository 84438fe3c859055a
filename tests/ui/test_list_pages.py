"""The routes of the page's lists, and the state that they and the API tell, with a service inside the test."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast
from unittest.mock import Mock

import gradio as gr
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request

from hunyuan_ui.data_folder import DataFolder
from hunyuan_ui.errors import StorageError
from hunyuan_ui.job import Visitor
from hunyuan_ui.jobs import JobRunner, Order, build_runner
from hunyuan_ui.jobs import batch as jobs_batch
from hunyuan_ui.prompt_list import PromptList, read_list
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.settings import Secret, Settings
from hunyuan_ui.ui.batch import CHECK, LISTS, SEND, BatchCalls, build_list_routes
from hunyuan_ui.ui.waiting_calls import WaitingCalls
from tests.fake_service import FakeService, answer

pytestmark = pytest.mark.anyio

TOKEN = "a1" * 16
HEADERS = {"x-hunyuan-visitor": TOKEN}
FORM = VideoRequest.model_construct(width=64, height=64, video_length=5, infer_steps=2, seed=7).model_dump()
WISH: dict[str, Any] = {"prompts": "a fox", "name": "foxes", "form": FORM, "budget_usd": 50, "shown_usd": 50}

Send = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
async def runner(tmp_path: Path, service: FakeService) -> AsyncIterator[JobRunner]:
    settings = Settings(data_dir=tmp_path / "data", api_key=Secret("SG_00112233aabbccdd"), poll_interval_s=0.002)
    folder = DataFolder(settings.data_dir, min_free_bytes=0)
    opened = build_runner(settings, client=service.client(), download=service.download, folder=folder)
    await opened.start()
    yield opened
    await opened.stop()


@pytest.fixture
async def send(runner: JobRunner) -> AsyncIterator[Send]:
    """Send a list as the page does, and return its state once it has ended."""
    transport = httpx.ASGITransport(Starlette(routes=build_list_routes(runner)))
    async with httpx.AsyncClient(transport=transport, base_url="http://app", headers=HEADERS) as http:

        async def sent(**more: Any) -> dict[str, Any]:
            told = (await http.post(SEND, json={**WISH, **more})).json()
            while told["is_running"]:
                told = (await http.get(f"{LISTS}/{told['list_id']}")).json()
            return told

        yield sent


@pytest.mark.parametrize("wish", [{}, {"retry_failed": None}, {"retry_failed": "true"}, {"retry_failed": 1}], ids=repr)
async def test_a_row_that_failed_is_sent_again_by_an_explicit_wish_alone(
    send: Send, service: FakeService, wish: dict[str, Any]
) -> None:
    service.script("submit", answer(400, {"error": "no"}))
    assert (await send())["failed"] == 1
    assert (await send(**wish))["failed"] == 1
    assert service.posts == 1
    assert (await send(retry_failed=True))["done"] == 1
    assert len(service.bill) == 1


async def test_the_state_of_a_list_keeps_no_prompt_of_a_deleted_video(runner: JobRunner, send: Send) -> None:
    told = await send(prompts="a fox\na crow")
    caller = gr.Request(request=Request({"type": "http", "headers": [(b"x-hunyuan-visitor", TOKEN.encode())]}))
    calls = BatchCalls(runner, WaitingCalls(is_public=False))
    rows = (await calls.status_many(caller, told["list_id"]))["jobs"]
    assert [row["prompt"] for row in rows] == ["a fox", "a crow"]
    await runner.delete(rows[0]["job_id"], Visitor.from_token(TOKEN, is_owner=True))
    rows = (await calls.status_many(caller, told["list_id"]))["jobs"]
    assert [(row["prompt"], row["status"]) for row in rows] == [("", "deleted"), ("a crow", "done")]


@pytest.mark.parametrize("method", ["HEAD", "GET"])
async def test_the_head_of_a_zip_reads_no_video(
    send: Send, runner: JobRunner, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    told, path_of, read = await send(), runner.videos.path_of, list[Any]()
    monkeypatch.setattr(runner.videos, "path_of", lambda job: read.append(job) or path_of(job))
    transport = httpx.ASGITransport(Starlette(routes=build_list_routes(runner)))
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as http:
        found = await http.request(method, told["zip"])
        wrong = await http.request(method, told["zip"][:-1])
    assert (found.status_code, found.headers["content-type"]) == (200, "application/zip")
    assert found.headers["content-disposition"].startswith("attachment")
    assert bool(read) is bool(found.content) is (method == "GET")
    assert wrong.status_code == 404


async def test_a_list_that_ends_while_the_ledger_cannot_be_read_has_ended_well(
    runner: JobRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, prompts = Order(Visitor.from_token(TOKEN, is_owner=True), 50.0), read_list("a fox\na crow", "two")
    list_id = (await runner.batches.start(prompts, order)).list_id
    with monkeypatch.context() as away:
        away.setattr(runner._services.ledger, "list_spent", Mock(side_effect=StorageError("database_away")))
        await asyncio.wait({cast("Any", runner.batches._batches[list_id].task)})
    view = await runner.batches.view(list_id, order.visitor)
    assert (view.done, view.is_running, view.problem) == (2, False, None)


async def test_few_lists_are_read_at_once_through_whichever_door(
    runner: JobRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    going, most, lock = 0, 0, threading.Lock()

    def slow(text: str, name: str, reading: Any) -> PromptList:
        nonlocal going, most
        with lock:
            going += 1
            most = max(most, going)
        time.sleep(0.02)
        with lock:
            going -= 1
        return read_list(text, name, reading)

    monkeypatch.setattr(jobs_batch, "read_list", slow)
    caller = gr.Request(request=Request({"type": "http", "headers": []}))
    calls = BatchCalls(runner, WaitingCalls(is_public=False))
    transport = httpx.ASGITransport(Starlette(routes=build_list_routes(runner)))
    async with httpx.AsyncClient(transport=transport, base_url="http://app", headers=HEADERS) as http:
        by_page = [http.post(CHECK, json=WISH) for _ in range(5)]
        wish = ("a fox", "foxes", 50.0, "auto", 0, 0, True, False)
        told = await asyncio.gather(*by_page, *(calls.submit_many(caller, *wish) for _ in range(5)))
    assert len(told) == 10
    assert most == 2
