"""Large and numerous requests of strangers: they fill neither the memory nor the log of a public page."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from hunyuan_ui.job import new_id
from hunyuan_ui.ui.call_values import MOST_TEXT
from hunyuan_ui.ui.request_filter import MOST_BYTES
from tests.app_process import RunningApp, running_app

pytestmark = pytest.mark.anyio

LARGE = "\N{SLOTH}" * (MOST_TEXT - 100)  # four bytes each, here and on the wire
KEPT_AT_MOST_MB = 24.0  # for 450 calls; if kept, they would need three times as much
SECRET = "hush-prompt-5f3a"
FORGED = f'{SECRET}\n{{"event": "forged"}}\r\n\u2028{SECRET}'


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    folder = tmp_path_factory.mktemp("public")
    with running_app(folder, GRADIO_SERVER_NAME="0.0.0.0", GRADIO_MCP_SERVER="true") as started:
        yield started


@asynccontextmanager
async def caller(app: RunningApp) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=app.url, timeout=120) as client:
        yield client


def raw(call: object) -> dict[str, Any]:
    """Return the arguments of a call with unescaped JSON, as a browser sends it."""
    content = json.dumps(call, ensure_ascii=False).encode()
    assert len(content) <= MOST_BYTES
    return {"content": content, "headers": {"content-type": "application/json"}}


async def numbers(client: httpx.AsyncClient) -> dict[str, int]:
    """Return the numbers of the page's functions by name."""
    return {one["api_name"]: one["id"] for one in (await client.get("config")).json()["dependencies"]}


def memory_mb(app: RunningApp) -> float:
    lines = Path(f"/proc/{app.process.pid}/status").read_text("ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the memory of a process is read from /proc")
@pytest.mark.parametrize("way", ["run", "join", "call"])
async def test_the_largest_calls_of_new_sessions_give_their_memory_back(app: RunningApp, way: str) -> None:
    async with caller(app) as client:
        at = await numbers(client)

        async def one() -> int:
            session = new_id()
            if way == "call":
                answer = await client.post("gradio_api/call/v2/submit", **raw({"prompt": LARGE}))
            else:
                call = {"data": [LARGE], "fn_index": at["attach"], "session_hash": session}
                path = "run/predict" if way == "run" else "queue/join"
                answer = await client.post(f"gradio_api/{path}", **raw(call))
            return answer.status_code

        async def many(count: int) -> float:
            for _ in range(count // 10):
                assert await asyncio.gather(*(one() for _ in range(10))) == [200] * 10
            while json.loads((await client.get("gradio_api/queue/status")).text)["queue_size"]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)  # another process
            return memory_mb(app)

        held = [await many(450), await many(450)]  # the first fills caches deliberately
        if held[1] - held[0] >= KEPT_AT_MOST_MB:
            held.append(await many(450))  # a leak grows each time, temporary use does not
    assert held[-1] - held[-2] < KEPT_AT_MOST_MB, held


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the memory of a process is read from /proc")
async def test_the_largest_answers_that_nobody_comes_for_are_given_up(app: RunningApp) -> None:
    prompt = "{a|b}" * 9 + "\N{SLOTH}" * 1900  # 512 rows, whose letters have four bytes each
    wish = {"prompts": prompt, "name": "n", "budget_usd": 1, "only_check": True}
    async with caller(app) as client:
        held: list[float] = []
        for _ in range(3):
            for _ in range(30):
                called = client.post(
                    "gradio_api/call/v2/submit_many", json=wish, headers={"x-hunyuan-visitor": new_id()}
                )
                assert (await called).status_code == 200
            while json.loads((await client.get("gradio_api/queue/status")).text)["queue_size"]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)  # another process
            held.append(memory_mb(app))
    assert held[-1] - held[-2] < 60, held  # kept, they would be four times as much


@pytest.fixture(scope="module")
def printing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """The same app with a Gradio that prints its input."""
    public: dict[str, Any] = {"GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_MCP_SERVER": "true"}
    with running_app(tmp_path_factory.mktemp("printing"), script="tests/printing_app.py", **public) as started:
        yield started


@pytest.mark.slow
async def test_nothing_that_a_caller_sent_is_in_the_log(printing: RunningApp) -> None:
    app = printing
    async with caller(app) as client:
        config = (await client.get("config")).json()
        kinds = {one["id"]: one["type"] for one in config["components"]}
        form = {"prompt": FORGED, "negative_prompt": FORGED}
        events = [{"job": FORGED}, {"settings": {"prompt": FORGED, "width": FORGED}}, {"index": FORGED}, FORGED]
        for event in [one for one in config["dependencies"] if one["backend_fn"]]:
            right = [FORGED if kinds[one] in ("textbox", "api") else {"chosen": FORGED} for one in event["inputs"]]
            for data in (right, right[:-1], [*right, FORGED], [{"path": FORGED}] * len(right)):
                session = new_id()
                call = {"data": data, "fn_index": event["id"], "session_hash": session, "event_data": events[0]}
                events.append(events.pop(0))
                for path in ("run/predict", f"api/{event['api_name']}", "queue/join"):
                    answer = await client.post(f"gradio_api/{path}", json=call)
                if answer.status_code == 200:
                    await client.get(f"gradio_api/queue/data?session_hash={session}")
        for name in ("submit", "estimate", "generate", "status", SECRET):
            for sent in ({**form, "width": FORGED}, {**form, SECRET: 1}, form, {"job_id": FORGED, "wait_s": SECRET}):
                begun = await client.post(f"gradio_api/call/v2/{name}", json=sent)
                if begun.status_code == 200:
                    await client.get(f"gradio_api/call/{name}/{begun.json()['event_id']}")
        for message in ("tools/call", FORGED):
            params = {"name": SECRET, "arguments": {"prompt": SECRET}}
            call = {"jsonrpc": "2.0", "id": SECRET, "method": message, "params": params}
            accept = {"accept": "application/json, text/event-stream"}
            await client.post("gradio_api/mcp/", json=call, headers=accept)
        for path in (f"{SECRET}?{SECRET}", f"?__theme={SECRET}", f"gradio_api/file=/{SECRET}", f"static/{SECRET}"):
            await client.get(path, headers={"x-api-key": SECRET, "cookie": f"hunyuan_language={SECRET}"})
        await client.get(f"gradio_api/hunyuan/videos?before={SECRET}", headers={"x-hunyuan-visitor": SECRET})
        with socket.create_connection(("127.0.0.1", app.port), 10) as line:
            line.sendall(f"{SECRET} {SECRET} {SECRET}\r\n\r\n".encode())
            line.recv(100)
        assert (await client.get("gradio_api/healthz")).status_code == 200
    assert SECRET not in app.output
    after_start = app.output.partition('{"time"')[2].splitlines()[1:]
    told = [json.loads(line) for line in after_start if line.startswith("{")]
    assert max(map(len, after_start)) < 2_000
    # Gradio printed its tracebacks, of which only the error type is left.
    seen = {line["event"] for line in told if not line["event"].startswith("job.")}
    assert {"other.print", "server.error"} <= seen
    assert len([line for line in told if line["event"] == "other.print"]) > 10
    assert {line["exception"] for line in told if "exception" in line} >= {"ComponentProcessingError"}
