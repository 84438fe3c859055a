"""The MCP tools, driven by the official client as by an agent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from mcp import ClientSession, McpError
from mcp.client.streamable_http import streamable_http_client
from pydantic import AnyUrl

from hunyuan_ui.job import new_id
from hunyuan_ui.local_endpoint.app import create_app
from hunyuan_ui.local_endpoint.serving import serve
from hunyuan_ui.request import parameters
from hunyuan_ui.words import words
from tests.app_process import RunningApp, running_app

pytestmark = pytest.mark.anyio
SHORT: dict[str, Any] = {"prompt": "A paper boat in a gutter", "video_length": 5, "width": 64, "height": 64}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """The app with a key that may spend a dollar, and agents enabled."""
    service = serve(create_app(seconds=1), "127.0.0.1", 0)
    with running_app(
        tmp_path_factory.mktemp("mcp"),
        SEGMIND_API_KEY="SG_0123456789abcdef",
        SEGMIND_BASE_URL=service.url,
        HUNYUAN_UI_DAILY_LIMIT_USD="1",
        GRADIO_MCP_SERVER="true",
    ) as started:
        yield started
    service.close()


@asynccontextmanager
async def agent(app: RunningApp) -> AsyncIterator[ClientSession]:
    async with httpx.AsyncClient(timeout=60) as transport:
        address = f"{app.url}gradio_api/mcp/"
        stream = streamable_http_client(address, http_client=transport)
        async with stream as (read, write, _), ClientSession(read, write) as session:
            await session.initialize()
            yield session


async def call(session: ClientSession, tool: str, **arguments: Any) -> list[str]:
    """Return the texts of a tool's result, which must not be an error."""
    answer = await session.call_tool(tool, arguments)
    texts = [part.text for part in answer.content if part.type == "text"]
    assert not answer.isError, texts
    return texts


async def refused(session: ClientSession, tool: str, **arguments: Any) -> str:
    """Return the sentence of a tool's refusal."""
    answer = await session.call_tool(tool, arguments)
    assert answer.isError
    (part,) = answer.content
    assert part.type == "text"
    return part.text


async def test_the_tools_are_those_that_answer_soon(app: RunningApp) -> None:
    async with agent(app) as session:
        tools = (await session.list_tools()).tools
    assert sorted(tool.name for tool in tools) == [
        *("estimate", "result", "status", "status_many", "submit", "submit_many")
    ]
    assert all(tool.description for tool in tools)


async def test_each_parameter_has_its_help_with_range_and_unit(app: RunningApp) -> None:
    async with agent(app) as session:
        tools = {tool.name: tool for tool in (await session.list_tools()).tools}
    told = tools["submit"].inputSchema["properties"]
    for field in parameters():
        description = told[field.name]["description"]
        assert words()[f"field.{field.name}.help"] in description
        assert f"to {field.high} {field.unit}".strip() in description
    assert tools["submit"].inputSchema["required"] == ["prompt"]
    status = tools["status"].inputSchema
    assert "0 to 25 seconds" in status["properties"]["wait_s"]["description"]
    assert "lost" in status["properties"]["look_again"]["description"]
    assert (status["properties"]["look_again"]["type"], status["required"]) == ("boolean", ["job_id"])


async def test_an_agent_submits_polls_and_gets_the_video(app: RunningApp) -> None:
    async with agent(app) as session:
        (expected,) = await call(session, "estimate", **SHORT)
        assert 0 < json.loads(expected)["cost_usd"] < 0.5
        (sent,) = await call(session, "submit", **SHORT, job_id=new_id())
        job_id = json.loads(sent)["job_id"]
        seen: dict[str, Any] = {"is_active": True}
        while seen["is_active"]:
            (text,) = await call(session, "status", job_id=job_id, wait_s=25)
            seen = json.loads(text)
        address, made = await call(session, "result", job_id=job_id)
        (again,) = await call(session, "status", job_id=job_id, look_again=True)
    async with httpx.AsyncClient() as browser:
        fetched = await browser.get(address)
    assert (seen["status"], seen["video"]) == ("done", address)
    assert json.loads(again) == seen
    assert json.loads(made)["width"] == 64
    assert address.startswith(app.url)
    assert fetched.content[4:8] == b"ftyp"


async def test_a_wait_is_bounded_whatever_the_agent_asks(app: RunningApp) -> None:
    async with agent(app) as session:
        (sent,) = await call(session, "submit", **SHORT)
        (text,) = await call(session, "status", job_id=json.loads(sent)["job_id"], wait_s=-1)
        assert json.loads(text)["status"] in ("queued", "submitting", "running", "downloading", "done")


async def test_an_agent_reads_the_sentence_of_what_is_wrong(app: RunningApp) -> None:
    async with agent(app) as session:
        for tool in ("submit", "estimate"):
            said = await refused(session, tool, **{**SHORT, "video_length": 6})
            assert said == "Frames: 6 is not possible (it must be 4n + 1). Use 5 or 9."
        assert "no such video" in await refused(session, "status", job_id=new_id())


@pytest.mark.parametrize("tool", ["submit", "estimate", "status"])
async def test_an_agent_can_give_no_file(app: RunningApp, tool: str) -> None:
    file = {"path": "http://203.0.113.1/x", "meta": {"_type": "gradio.FileData"}}
    async with agent(app) as session:
        for name in ("prompt", "width", "job_id"):
            with pytest.raises(McpError, match="a file cannot be given"):
                await session.call_tool(tool, {**SHORT, name: file})
        assert len((await session.list_tools()).tools) == 6  # the connection stays open
    assert len(app.events("other.print")) == 0


async def test_an_agent_reaches_no_function_that_is_no_tool(app: RunningApp) -> None:
    async with agent(app) as session:
        with pytest.raises(McpError, match="no such function"):
            await session.call_tool("generate", SHORT)
        with pytest.raises(McpError, match="list the tools here"):
            await session.get_prompt("x", {"list_id": new_id()})
        with pytest.raises(McpError, match="list the tools here") as unknown:
            await session.read_resource(AnyUrl("file:///x"))
        assert unknown.value.error.code == -32601  # "Method not found"
        assert (await session.list_prompts()).prompts == []
        await session.send_ping()


def test_another_origins_page_reaches_no_tool(app: RunningApp) -> None:
    hello = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    accept = {"accept": "application/json, text/event-stream"}
    for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}):
        answer = httpx.post(f"{app.url}gradio_api/mcp/", json=hello, headers={**accept, **headers})
        assert answer.status_code == 403
    assert httpx.post(f"{app.url}gradio_api/mcp/", json=hello, headers=accept).status_code == 200


async def test_the_owners_limit_holds_for_agents(app: RunningApp) -> None:
    async with agent(app) as session:
        said = await refused(session, "submit", prompt="A fox in the snow")
    assert "$1.00" in said
    assert not [line for line in app.events("job.queued") if line["reserved_microusd"] > 1_000_000]


def test_agents_are_not_let_in_unless_the_owner_says_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running_app(tmp_path_factory.mktemp("closed")) as closed:
        for path in ("gradio_api/mcp/", "gradio_api/mcp", "gradio_api/mcp/schema", "gradio_api/mcp/http"):
            assert httpx.post(closed.url + path, json={}).status_code in (404, 405), path
            assert httpx.get(closed.url + path).status_code == 404, path
