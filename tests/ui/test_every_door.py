"""Every entry point of the running app, by name, by number and by path, and its possible cost."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from hunyuan_ui.job import new_id
from hunyuan_ui.ui.request_filter import MOST_BYTES
from tests.app_process import ROOT, RunningApp, running_app
from tests.browser.paid_endpoint import PaidEndpoint, paid_endpoint
from tests.shut_paths import SHUT

pytestmark = pytest.mark.anyio

KEY = "SG_c0ffee00c0ffee00"
OWN_KEY = "SG_ca0a41e5ca0a41e5"
CODE = "marzipan-hedgehog"
PROMPT = "A canary on a branch."
SMALL = {"prompt": PROMPT, "width": 64, "height": 64, "video_length": 5, "infer_steps": 2}


@pytest.fixture(scope="module")
def paid() -> Iterator[PaidEndpoint]:
    with paid_endpoint(seconds=0.3) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def unlimited(paid: PaidEndpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """A public app without a daily limit, so that nothing may be paid for."""
    with running_app(tmp_path_factory.mktemp("open"), **paid.settings, GRADIO_SERVER_NAME="0.0.0.0") as app:
        yield app


@asynccontextmanager
async def caller(app: RunningApp, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    # The server silently closes a connection on which Gradio has failed.
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=app.url, headers=headers, timeout=60, limits=limits) as client:
        yield client


async def ended(client: httpx.AsyncClient, path: str) -> str:
    """Read an event's stream until it has completed or failed, and return its text."""
    text, is_last = "", False
    async with client.stream("GET", path) as stream:
        async for line in stream.aiter_lines():
            text += line + "\n"
            if is_last or '"process_completed"' in line:
                break
            is_last = line.startswith(("event: complete", "event: error"))
    return text


async def called(client: httpx.AsyncClient, name: str, headers: dict[str, str] | None = None, **values: Any) -> str:
    """Call a public endpoint with named values and return its outcome."""
    begun = await client.post(f"gradio_api/call/v2/{name}", json=values, headers=headers)
    assert begun.status_code == 200, begun.text
    return await ended(client, f"gradio_api/call/{name}/{begun.json()['event_id']}")


def everything_at_once(job_id: str) -> dict[str, Any]:
    """Event data that fits every event, with a stranger's choices."""
    return {"payer": "owner", "key": "", "code": "x", "job": job_id, "index": 0, "was_charged": False, "settings": {}}


async def test_no_event_reached_directly_spends_anything(unlimited: RunningApp, paid: PaidEndpoint) -> None:
    async with caller(unlimited) as client:
        config = (await client.get("config")).json()
        values = {component["id"]: component["props"].get("value") for component in config["components"]}
        prompt = next(c["id"] for c in config["components"] if c["props"].get("elem_id") == "field-prompt")
        hidden = next(c["id"] for c in config["components"] if c["type"] == "textbox" and c["id"] != prompt)
        assert len(config["dependencies"]) > 30
        for event in config["dependencies"]:
            mine = {**values, prompt: PROMPT, hidden: new_id()}
            data = [mine.get(component) for component in event["inputs"]]
            session = new_id()
            body = {"fn_index": event["id"], "data": data, "event_data": everything_at_once(new_id())}
            for path in ("run/predict", "api/predict", f"run/{event['api_name']}", f"api/{event['api_name']}"):
                await client.post(f"gradio_api/{path}", json=body)
            joined = await client.post("gradio_api/queue/join", json={**body, "session_hash": session})
            if joined.status_code == 200 and event["backend_fn"]:
                await ended(client, f"gradio_api/queue/data?session_hash={session}")
    assert paid.posts == {}


async def test_no_endpoint_called_by_name_spends_anything(unlimited: RunningApp, paid: PaidEndpoint) -> None:
    async with caller(unlimited) as client:
        named = (await client.get("gradio_api/info")).json()["named_endpoints"]
        assert set(named) == {"/generate", "/submit", "/status", "/result", "/estimate", "/submit_many", "/status_many"}
        for name, facts in named.items():
            values = {p["parameter_name"]: p.get("parameter_default") for p in facts["parameters"]}
            texts = {"prompt": PROMPT, "prompts": PROMPT, "budget_usd": 5}
            values = {**values, **{key: texts[key] for key in texts if key in values}, "job_id": new_id()}
            data = [values[p["parameter_name"]] for p in facts["parameters"]]
            for path, body in (
                (f"run{name}", {"data": data}),
                (f"api{name}", {"data": data}),
                (f"call/v2{name}", {key: values[key] for key in values if key in str(facts)}),
            ):
                await client.post(f"gradio_api/{path}", json=body)
            begun = await client.post(f"gradio_api/call{name}", json={"data": data})
            said = await ended(client, f"gradio_api/call{name}/{begun.json()['event_id']}")
            assert ("error" in said) == (name != "/estimate"), said
    assert paid.posts == {}


@pytest.mark.parametrize("number", [-1, 9999, 10**12, None, [0], "zero"])
async def test_an_event_that_does_not_exist_does_nothing(
    unlimited: RunningApp, paid: PaidEndpoint, number: object
) -> None:
    async with caller(unlimited) as client:
        body = {"fn_index": number, "data": [], "session_hash": new_id()}
        for path in ("queue/join", "run/predict", "api/predict"):
            answer = await client.post(f"gradio_api/{path}", json=body)
            assert answer.status_code >= 400
        assert (await client.post("gradio_api/call/nothing", json={"data": []})).status_code >= 400
        assert (await client.get("gradio_api/healthz")).status_code == 200
    assert paid.posts == {}


async def test_an_event_without_its_values_does_nothing(unlimited: RunningApp, paid: PaidEndpoint) -> None:
    async with caller(unlimited) as client:
        events = (await client.get("config")).json()["dependencies"]
        with_values = [event["id"] for event in events if event["backend_fn"] and event["inputs"]]
        assert len(with_values) > 15
        for number in (*with_values, str(with_values[0])):
            body = {"fn_index": number, "data": [], "session_hash": new_id()}
            for path in ("run/predict", "api/predict"):
                assert (await client.post(f"gradio_api/{path}", json=body)).status_code >= 400
            refused = await client.post("gradio_api/queue/join", json=body)
            assert refused.status_code == (404 if isinstance(number, str) else 400)
            assert "Nothing was sent" in refused.json()["error"]
    assert paid.posts == {}


async def test_no_header_makes_a_stranger_the_owner(unlimited: RunningApp, paid: PaidEndpoint) -> None:
    claims = {
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-host": "localhost",
        "x-real-ip": "127.0.0.1",
        "forwarded": "for=127.0.0.1;host=localhost",
        "x-ip-token": "owner",
        "x-gradio-user": "mcp",
        "origin": "http://localhost",
        "host": "127.0.0.1",
        "cookie": "access-token=x; session=x",
    }
    async with caller(unlimited) as client:
        for name, value in claims.items():
            client.headers = httpx.Headers({name: value})
            assert "daily limit" in await called(client, "submit", prompt=PROMPT)
        videos = await client.get("gradio_api/hunyuan/videos?everybody=1", headers={"x-hunyuan-visitor": new_id()})
        assert videos.json()["videos"] == []
    assert paid.posts == {}


@pytest.mark.parametrize(
    ("name", "value"), [("host", "[::1"), ("x-forwarded-host", "[::1"), ("x-gradio-server", "http://[::1")]
)
async def test_a_name_of_the_page_that_is_none_ends_no_answer(unlimited: RunningApp, name: str, value: str) -> None:
    async with caller(unlimited, **{name: value}) as client:
        for path in ("", "config", "gradio_api/info"):
            assert (await client.get(path)).status_code == 200
        told = await asyncio.wait_for(called(client, "estimate", prompt=PROMPT), 20)
        assert "cost_usd" in told


async def test_gradios_other_doors_are_shut_or_say_nothing(unlimited: RunningApp) -> None:
    async with caller(unlimited) as client:
        for path in SHUT:
            assert (await client.get(path.lstrip("/") if path[1] != "?" else path)).status_code == 404, path
        files = {"files": ("x.html", b"<script>alert(1)</script>")}
        assert (await client.post("gradio_api/upload", files=files)).status_code == 404
        assert (await client.get("gradio_api/mcp/schema")).status_code == 404
        for path in ("docs", "redoc", "openapi.json"):
            assert "swagger" not in (await client.get(path)).text.lower()


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningApp, PaidEndpoint]]:
    """A public app with five dollars a day and an access code, and its own service."""
    own = {"HUNYUAN_UI_DAILY_LIMIT_USD": "5", "HUNYUAN_UI_ACCESS_CODE": CODE, "GRADIO_SERVER_NAME": "0.0.0.0"}
    with paid_endpoint(seconds=0.3) as endpoint:
        settings = {**endpoint.settings, "SEGMIND_API_KEY": KEY, **own}
        with running_app(tmp_path_factory.mktemp("limited"), **settings) as app:
            yield app, endpoint


async def test_no_key_code_or_path_comes_out_anywhere(limited: tuple[RunningApp, PaidEndpoint]) -> None:
    app, endpoint = limited
    seen: list[str] = []
    async with caller(app) as client:
        assert "access code" in await called(client, "submit", prompt=PROMPT)
        seen.append(await called(client, "generate", {"x-access-code": f"{CODE}!"}, **SMALL))
        assert "not the access code" in seen[-1]
        for headers in ({"x-access-code": CODE}, {"x-api-key": OWN_KEY}, {"x-api-key": f"{OWN_KEY} x"}):
            seen.append(await called(client, "generate", headers, **SMALL))
        token = {"x-hunyuan-visitor": new_id()}
        for path in ("", "config", "theme.css", "gradio_api/info", "gradio_api/openapi.json", "gradio_api/healthz"):
            seen.append((await client.get(path)).text)
        for path in ("jobs", "videos", "videos?everybody=1", f"jobs/{new_id()}"):
            seen.append((await client.get(f"gradio_api/hunyuan/{path}", headers=token)).text)
        for folder in (app.data_dir, app.data_dir / "videos"):
            for file in folder.iterdir():
                answer = await client.get(f"gradio_api/file={file}")
                assert answer.status_code in (403, 404), file
        assert (await client.get(f"gradio_api/file={ROOT / 'app.py'}")).status_code in (403, 404)
    assert sum(endpoint.posts.values()) == 2
    texts = [text.encode() for text in seen]
    texts += [file.read_bytes() for file in app.data_dir.parent.rglob("*") if file.is_file()]
    assert any(b"ftyp" in text[:12] for text in texts)
    for secret in (KEY, OWN_KEY, CODE):
        forms = [secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode().rstrip("=")]
        for form in {*forms, secret[3:]}:
            assert [text[:80] for text in texts if form.encode() in text] == []
    for text in seen:
        assert str(app.data_dir) not in text
    assert app.events("runner.started")
    assert app.events("job.queued")
    for secret in (PROMPT, KEY, OWN_KEY, CODE):
        assert secret not in app.output


@pytest.mark.slow
async def test_two_hundred_calls_at_once_never_pass_five_dollars(limited: tuple[RunningApp, PaidEndpoint]) -> None:
    app, endpoint = limited
    async with caller(app, **{"x-access-code": CODE}) as client:
        begun = await asyncio.gather(
            *(client.post("gradio_api/call/v2/submit", json={"prompt": f"canary {number}"}) for number in range(200)),
        )
        assert {answer.status_code for answer in begun} == {200}
        ids = [answer.json()["event_id"] for answer in begun]
        said = await asyncio.gather(*(ended(client, f"gradio_api/call/submit/{event_id}") for event_id in ids))
        taken = [text for text in said if "event: complete" in text]
        assert 0 < len(taken) <= 5
        while len(app.events("job.done")) < sum(endpoint.posts.values()):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.2)
    owned = {line["job"] for line in app.events("job.queued") if line["payer"] == "owner"}
    costs = [line["cost_microusd"] for line in app.events("job.done") if line["job"] in owned]
    assert sum(endpoint.posts[f"canary {number}"] for number in range(200)) == len(taken)
    assert sum(costs) <= 5_000_000


@pytest.mark.slow
async def test_floods_leave_the_page_answering(unlimited: RunningApp, paid: PaidEndpoint) -> None:
    async with caller(unlimited) as client:
        junk = b"x" * (MOST_BYTES - 1024)
        files = {"files": ("x.bin", junk)}

        async def bother(number: int) -> int:
            paths = ("gradio_api/queue/join", "gradio_api/call/submit", "gradio_api/hunyuan/settings")
            if number % 4 == 3:
                return (await client.post("gradio_api/upload", files=files)).status_code
            return (await client.post(paths[number % 4], content=junk)).status_code

        codes = await asyncio.gather(*(bother(number) for number in range(400)))
        assert all(400 <= code < 500 for code in codes), set(codes)
        began = asyncio.get_running_loop().time()
        assert (await client.get("")).status_code == 200
        assert (await client.get("gradio_api/healthz")).json()["status"] == "ok"
        assert asyncio.get_running_loop().time() - began < 5
    assert [file for file in unlimited.data_dir.rglob("*") if file.suffix == ".part"] == []
    assert paid.posts == {}
