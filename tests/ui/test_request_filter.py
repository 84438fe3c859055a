"""Every door from outside: Gradio's own routes, every event by name and by number, and what they may cost."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import quote

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware

from hunyuan_ui.files import DataFolder
from hunyuan_ui.job import Visitor, new_id
from hunyuan_ui.jobs import build_runner
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.settings import Secret, Settings
from hunyuan_ui.ui.call_values import CallRules
from hunyuan_ui.ui.request_filter import MOST_BYTES, Doors, faults, hang_doors
from tests.app_process import ROOT, RunningApp, running_app
from tests.browser.paid_endpoint import PaidEndpoint, paid_endpoint
from tests.built_page import BuiltPage, built_page
from tests.fake_service import FakeService

pytestmark = pytest.mark.anyio

Behind = Callable[[Settings], httpx.AsyncClient]

KEY = "SG_c0ffee00c0ffee00"
OWN_KEY = "SG_ca0a41e5ca0a41e5"
CODE = "marzipan-hedgehog"
PRIVATE = Settings(data_dir=Path("data"), api_key=Secret(KEY))
PUBLIC = replace(PRIVATE, server_name="0.0.0.0")
PROMPT = "A canary on a branch."
SMALL = {"prompt": PROMPT, "width": 64, "height": 64, "video_length": 5, "infer_steps": 2}


# the filter


async def _echo(scope: Any, receive: Any, send: Any) -> None:
    size, is_more = 0, True
    while is_more:
        message = await receive()
        size, is_more = size + len(message.get("body", b"")), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


@pytest.fixture(scope="module")
def page_built(tmp_path_factory: pytest.TempPathFactory) -> BuiltPage:
    return built_page(Settings(data_dir=tmp_path_factory.mktemp("page") / "data"))


@pytest.fixture
def behind(page_built: BuiltPage) -> Callable[[Settings], httpx.AsyncClient]:
    """A client of what lies behind the filter of a start."""

    def client(settings: Settings) -> httpx.AsyncClient:
        doors = Doors(_echo, settings, CallRules(page_built.blocks), routes=page_built.routes)
        return httpx.AsyncClient(transport=httpx.ASGITransport(doors), base_url="http://127.0.0.1:7860")

    return client


SHUT = [
    "/monitoring",
    "/monitoring/summary",
    "/gradio_api/file=https://example.com/x.mp4",
    "/gradio_api/file=HTTP://example.com/x.mp4",
    "/gradio_api/file%3Dhttps://example.com/x.mp4",
    "/gradio_api/file/https://example.com/x.mp4",
    "/gradio_api/proxy=https://x.hf.space/x",
    "/gradio_api/deep_link?session_hash=a",
    "/gradio_api/runs/",
    "/gradio_api/run-history/records",
    "/gradio_api/upload",
    "/gradio_api/upload/",
    "/gradio_api/upload_progress",
    "/gradio_api/process_recording",
    "/gradio_api/vibe-edit",
    "/gradio_api/vibe-code/",
    "/gradio_api/undo-vibe-edit",
    "/gradio_api/dev/reload",
    "/gradio_api/profiling/traces",
    "/?deep_link=abc",
    "/config?deep_link=",
]


@pytest.mark.parametrize("path", SHUT)
async def test_what_the_page_does_not_use_is_shut(behind: Behind, path: str) -> None:
    async with behind(PUBLIC) as client:
        for method in ("GET", "POST"):
            assert (await client.request(method, path)).status_code == 404


@pytest.mark.parametrize("path", ["/", "/config", "/gradio_api/file=/tmp/x/y.mp4", "/gradio_api/hunyuan/videos"])
async def test_what_the_page_uses_is_open(behind: Behind, path: str) -> None:
    async with behind(PUBLIC) as client:
        assert (await client.get(path)).status_code == 200


async def test_a_body_is_bounded_whatever_its_header_says(behind: Behind) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(2 * MOST_BYTES // 4096):
            yield b"x" * 4096

    path = "/gradio_api/hunyuan/prompt"
    async with behind(PUBLIC) as client:
        assert (await client.post(path, content=b"x" * MOST_BYTES)).text == str(MOST_BYTES)
        assert (await client.post(path, content=b"x" * (MOST_BYTES + 1))).status_code == 413
        assert (await client.post(path, content=endless())).status_code == 413
        for length in ("-1", "1e3", "", "9" * 400):
            assert (await client.post(path, headers={"content-length": length})).status_code == 413


async def test_the_longest_request_fits(behind: Behind) -> None:
    """Every character of both prompts as six escaped ones, twice over as a browser writes what lies beyond them."""
    longest = {"prompt": "\N{SLOTH}" * 2000, "negative_prompt": "\N{SLOTH}" * 1000}
    body = json.dumps({**SMALL, **longest}).encode()
    assert len(body) > 36_000
    async with behind(PUBLIC) as client:
        json_type = {"content-type": "application/json"}
        answer = await client.post("/gradio_api/call/v2/submit", content=body, headers=json_type)
        assert answer.status_code == 200


async def test_a_call_is_json_by_name(behind: Behind) -> None:
    async with behind(PUBLIC) as client:
        for kind in ("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "json"):
            answer = await client.post(
                "/gradio_api/call/estimate", content=b'{"data": []}', headers={"content-type": kind}
            )
            assert (answer.status_code, answer.json()["error"][:9]) == (400, "This page"), kind


async def test_a_wrong_value_is_told_in_a_sentence_where_gradios_clients_look(behind: Behind) -> None:
    async with behind(PUBLIC) as client:
        answer = await client.post("/gradio_api/call/v2/submit", json={"prompt": "x", "height": {"path": "/etc/x"}})
        assert answer.status_code == 422
        sentence = "height: this is not a number. Use one. Nothing was sent on."
        assert answer.json()["error"] == sentence
        *fine, wrong = answer.json()["detail"]
        assert len(fine) == 3
        assert all(one["is_valid"] for one in fine)
        assert wrong == {"__type__": "validate", "is_valid": False, "message": sentence[8:], "parameter_name": "height"}
        chinese = await client.post(
            "/gradio_api/call/v2/submit", json={"prompt": 1}, headers={"accept-language": "zh-CN"}
        )
        assert chinese.json()["error"].startswith("prompt：这不是文字")


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:7860", "[::1]:7860", "[::ffff:127.0.0.1]:7860"])
async def test_a_private_page_answers_to_this_machines_names(behind: Behind, host: str) -> None:
    async with behind(PRIVATE) as client:
        assert (await client.get("/", headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "x.gradio.live", "10.0.0.5:7860", "", "[::1", "localhost:7861"]
)
async def test_a_private_page_does_not_answer_to_other_names(behind: Behind, host: str) -> None:
    async with behind(PRIVATE) as client:
        answer = await client.get("/", headers={"host": host})
        assert answer.status_code == 421
        for words in ("http://127.0.0.1:7860", "ssh -L 7860:127.0.0.1:7860", "--share", "GRADIO_SERVER_NAME"):
            assert words in answer.text
        assert "evil" not in answer.text
    async with behind(PUBLIC) as client:
        assert (await client.get("/", headers={"host": host})).status_code == 200


async def test_a_private_page_behind_a_proxy_says_how_to_open_it(behind: Behind) -> None:
    async with behind(PRIVATE) as client:
        for accept, kind in (("text/html,*/*", "text/html"), ("*/*", "application/json")):
            answer = await client.get("/", headers={"x-forwarded-for": "203.0.113.1", "accept": accept})
            assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (403, kind)
            for words in ("A proxy", "ssh -L 7860", "HUNYUAN_UI_DAILY_LIMIT_USD", "JupyterHub"):
                assert words in answer.text
            assert "203.0.113.1" not in answer.text
    async with behind(PUBLIC) as client:
        assert (await client.get("/", headers={"x-forwarded-for": "203.0.113.1"})).status_code == 200


async def test_every_page_says_who_may_frame_it(page_built: BuiltPage) -> None:
    async def html(_scope: Any, _receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/html; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"<p>"})

    for settings, frames, older in (
        (PRIVATE, "frame-ancestors 'none'", "DENY"),
        (PUBLIC, "frame-ancestors 'self'", "SAMEORIGIN"),
        (replace(PRIVATE, is_space=True), "frame-ancestors 'self' https://huggingface.co https://*.hf.space", None),
    ):
        transport = httpx.ASGITransport(Doors(html, settings, CallRules(page_built.blocks)))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7860") as client:
            refused = {"accept": "text/html", "origin": "null"}
            for answer in (await client.get("/"), await client.get("/", headers=refused)):
                assert answer.headers["content-security-policy"] == frames
                assert answer.headers.get("x-frame-options") == older


async def test_a_file_is_never_kept_by_what_lies_between(behind: Behind) -> None:
    async with behind(PUBLIC) as client:
        for path in ("/gradio_api/file=/tmp/x/y.mp4", f"/gradio_api/hunyuan/videos/{new_id()}.mp4?k=x"):
            answer = await client.get(path)
            assert answer.headers["cache-control"] == "private, no-cache"
            assert answer.headers["x-content-type-options"] == "nosniff"


# the self-check


def built(**changes: Any) -> SimpleNamespace:
    doors = Doors(_echo, PUBLIC, CallRules(cast("Any", SimpleNamespace(fns={}))))
    app = SimpleNamespace(middleware_stack=doors)
    right = {
        "api_open": False,
        "max_file_size": 1,
        "run_history": False,
        "show_error": False,
        "allowed_paths": [],
        "ssr_mode": False,
        "vibe_mode": False,
        "analytics_enabled": False,
        "mcp_server": False,
        "app": app,
    }
    return SimpleNamespace(**{**right, **changes})


def test_an_app_as_it_should_be_has_no_fault() -> None:
    assert faults(built(), has_analytics=False, has_mcp=False) == []
    chosen = built(analytics_enabled=True, mcp_server=True)
    assert faults(chosen, has_analytics=True, has_mcp=True) == []


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"api_open": True}, "api_open"),
        ({"max_file_size": None}, "max_file_size"),
        ({"run_history": True}, "run_history"),
        ({"show_error": True}, "show_error"),
        ({"allowed_paths": ["/"]}, "allowed_paths"),
        ({"ssr_mode": True}, "ssr_mode"),
        ({"vibe_mode": True}, "GRADIO_VIBE_MODE"),
        ({"analytics_enabled": True}, "analytics"),
        ({"mcp_server": True}, "GRADIO_MCP_SERVER"),
        ({"app": SimpleNamespace(middleware_stack=_echo)}, "filter"),
    ],
)
def test_each_wrong_setting_is_named(change: dict[str, Any], word: str) -> None:
    (fault,) = faults(built(**change), has_analytics=False, has_mcp=False)
    assert word in fault


def test_the_filter_lies_outside_of_all_others() -> None:
    app = Starlette(middleware=[Middleware(GZipMiddleware)])
    rules = CallRules(cast("Any", SimpleNamespace(fns={})))
    with pytest.raises(RuntimeError, match="not being started"):
        hang_doors(app, PUBLIC, rules)
    app.middleware_stack = app.build_middleware_stack()
    hang_doors(app, PUBLIC, rules)
    assert isinstance(app.middleware_stack, Doors)


def test_a_public_start_is_refused_when_something_is_wrong(tmp_path: Path) -> None:
    open_to_strangers: dict[str, Any] = {"GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_VIBE_MODE": "1"}
    with pytest.raises(AssertionError, match="GRADIO_VIBE_MODE"), running_app(tmp_path, **open_to_strangers):
        pass


# who pays where


@pytest.mark.parametrize("place", ["private", "share", "space"])
@pytest.mark.parametrize("has_key", [False, True])
@pytest.mark.parametrize("has_limit", [False, True])
@pytest.mark.parametrize("has_code", [False, True])
async def test_money_moves_only_where_the_owner_allowed_it(
    tmp_path: Path, place: str, has_key: bool, has_limit: bool, has_code: bool
) -> None:
    settings = Settings(
        data_dir=tmp_path / "data",
        api_key=Secret(KEY) if has_key else None,
        share=place == "share",
        is_space=place == "space",
        daily_limit_usd=50.0 if has_limit else None,
        access_code=Secret(CODE) if has_code else None,
        poll_interval_s=0.05,
    )
    service = FakeService()
    runner = build_runner(
        settings,
        client=service.client(),
        download=service.download,
        folder=DataFolder(settings.data_dir, min_free_bytes=0),
    )
    await runner.start()
    stranger = Visitor.from_token("a" * 32, is_owner=not settings.is_public)
    payer, code = "", ""
    try:
        job = await runner.submit(new_id(), VideoRequest.parse({"prompt": PROMPT}), stranger)
        payer = job.payer
        await runner.wait(job.id, stranger, 10)
    except Exception as error:  # noqa: BLE001 - its code is what is looked at
        code = getattr(error, "code", type(error).__name__)
    finally:
        await runner.stop()
    if not has_key:
        assert payer == "nobody"
    elif place == "private" or (has_limit and not has_code):
        assert payer == "owner"
    else:
        assert code == ("access_code_needed" if has_limit else "owner_key_not_shared")
        assert service.asked == []


# the real app


@pytest.fixture(scope="module")
def paid() -> Iterator[PaidEndpoint]:
    with paid_endpoint(seconds=0.3) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def unlimited(paid: PaidEndpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """A public app whose owner has set no daily limit, so that nothing may be paid for."""
    with running_app(tmp_path_factory.mktemp("open"), **paid.settings, GRADIO_SERVER_NAME="0.0.0.0") as app:
        yield app


@asynccontextmanager
async def caller(app: RunningApp, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    # The server closes a connection on which Gradio has failed, without saying so.
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
    """Call a public endpoint with named values and return what came of it."""
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
                assert answer.status_code == 403, file
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


def test_the_page_names_no_secret_in_its_own_log(limited: tuple[RunningApp, PaidEndpoint]) -> None:
    app, _ = limited
    lines = [json.loads(line) for line in app.output.splitlines() if line.startswith("{")]
    assert {line["event"] for line in lines} >= {"runner.started", "job.queued"}
    assert PROMPT not in app.output
