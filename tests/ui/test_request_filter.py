"""All entry points from outside: Gradio's own routes, every event by name and by number, and their possible cost."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware

from hunyuan_ui.data_folder import DataFolder
from hunyuan_ui.job import Visitor, new_id
from hunyuan_ui.jobs import build_runner
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.settings import Secret, Settings
from hunyuan_ui.ui import request_filter
from hunyuan_ui.ui.call_values import CallRules
from hunyuan_ui.ui.page import launch_faults
from hunyuan_ui.ui.request_filter import MOST_BYTES, RequestFilter, install_request_filter
from tests.app_process import running_app
from tests.built_page import BuiltPage, built_page
from tests.fake_service import FakeService
from tests.shut_paths import SHUT

pytestmark = pytest.mark.anyio

Behind = Callable[[Settings], httpx.AsyncClient]

KEY = "SG_c0ffee00c0ffee00"
OWN_KEY = "SG_ca0a41e5ca0a41e5"
CODE = "marzipan-hedgehog"
PRIVATE = Settings(data_dir=Path("data"), api_key=Secret(KEY))
PUBLIC = replace(PRIVATE, server_name="0.0.0.0")
PROMPT = "A canary on a branch."
FILE = f"/gradio_api/file=/tmp/gradio/{new_id()}{new_id()}/fox.mp4"
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
    """A client of an application behind the filter of a start."""

    def client(settings: Settings) -> httpx.AsyncClient:
        request_filter = RequestFilter(_echo, settings, CallRules(page_built.blocks), routes=page_built.routes)
        return httpx.AsyncClient(transport=httpx.ASGITransport(request_filter), base_url="http://127.0.0.1:7860")

    return client


@pytest.mark.parametrize("path", SHUT)
async def test_what_the_page_does_not_use_is_shut(behind: Behind, path: str) -> None:
    async with behind(PUBLIC) as client:
        for method in ("GET", "POST"):
            assert (await client.request(method, path)).status_code == 404


@pytest.mark.parametrize("path", ["/", "/config", FILE, "/gradio_api/hunyuan/videos"])
async def test_what_the_page_uses_is_open(behind: Behind, path: str) -> None:
    async with behind(PUBLIC) as client:
        assert (await client.get(path)).status_code == 200


async def test_what_gradio_has_is_open_by_its_longest_name(behind: Behind) -> None:
    frontend = Path(gr.__file__).parent / "templates" / "frontend"
    names = [path.relative_to(frontend).as_posix() for path in frontend.rglob("*") if path.is_file()]
    names = [name for name in names if name.startswith(("assets/", "static/"))]
    longest = max(names, key=len)
    async with behind(PUBLIC) as client:
        for path in (f"/{longest}", "/assets/", "/svelte/svelte.js", "/pwa_icon", "/?page=", "/config?page="):
            assert (await client.get(path)).status_code == 200


@pytest.mark.parametrize(
    "path", ["mcp/sse", "call/estimate/0f", "call/v2/generate/0f", "queue/data?session_hash=0f", "heartbeat/0f"]
)
async def test_a_stream_has_no_head_which_would_take_its_answer(behind: Behind, path: str) -> None:
    async with behind(replace(PUBLIC, has_mcp=True)) as client:
        assert (await client.head(f"/gradio_api/{path}")).status_code == 404
        assert (await client.get(f"/gradio_api/{path}")).status_code == 200


async def test_a_body_is_bounded_whatever_its_header_says(behind: Behind) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(2 * MOST_BYTES // 4096):
            yield b"x" * 4096

    path = "/gradio_api/hunyuan/prompt"
    async with behind(PUBLIC) as client:
        assert (await client.post(path, content=b"x" * MOST_BYTES)).text == str(MOST_BYTES)
        assert (await client.post(path, content=b"x" * (MOST_BYTES + 1))).status_code == 413
        assert (await client.post(path, content=endless())).status_code == 413
        for length in ("-1", "1e3", "", "9" * 400, "9" * 5000):  # Python reads no number that long
            assert (await client.post(path, headers={"content-length": length})).status_code == 413


async def test_a_body_that_came_in_pieces_is_passed_on_with_its_length_alone(page_built: BuiltPage) -> None:
    seen = dict[str, str]()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.update((name.decode(), value.decode()) for name, value in scope["headers"])
        await _echo(scope, receive, send)

    async def pieces() -> AsyncIterator[bytes]:
        body = json.dumps(SMALL).encode()
        for piece in (body[:9], body[9:]):
            yield piece

    request_filter = RequestFilter(application, PUBLIC, CallRules(page_built.blocks), routes=page_built.routes)
    transport = httpx.ASGITransport(request_filter)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7860") as client:
        json_type = {"content-type": "application/json"}
        answer = await client.post("/gradio_api/call/v2/submit", content=pieces(), headers=json_type)
    assert (seen["content-length"], "transfer-encoding" in seen) == (answer.text, False)


async def test_the_longest_request_fits(behind: Behind) -> None:
    """Every character of both prompts as six escaped ones, twice for characters that a browser writes as surrogates."""
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
        (replace(PRIVATE, is_space=True), "frame-ancestors 'self' https://huggingface.co", None),
    ):
        transport = httpx.ASGITransport(RequestFilter(html, settings, CallRules(page_built.blocks)))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7860") as client:
            refused = {"accept": "text/html", "origin": "null"}
            for answer in (await client.get("/"), await client.get("/", headers=refused)):
                assert answer.headers["content-security-policy"] == frames
                assert answer.headers.get("x-frame-options") == older
                # A tab that is restored or gone back to must not run an older program's page from the browser's cache.
                assert answer.headers["cache-control"] == "no-store"


async def test_a_link_of_another_site_opens_the_page_and_what_names_its_origin_does_not(behind: Behind) -> None:
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    async with behind(PRIVATE) as client:
        assert (await client.get("/", headers=link)).status_code == 200
        for origin in ("https://other.example", "null"):
            assert (await client.get("/", headers={**link, "origin": origin})).status_code == 403


async def test_a_file_is_never_kept_by_what_lies_between(behind: Behind) -> None:
    async with behind(PUBLIC) as client:
        for path in (FILE, f"/gradio_api/hunyuan/videos/{new_id()}.mp4?k=x"):
            answer = await client.get(path)
            assert answer.headers["cache-control"] == "private, no-cache"
            assert answer.headers["x-content-type-options"] == "nosniff"


async def test_only_what_the_page_looks_like_may_be_kept_by_what_lies_between(behind: Behind) -> None:
    """An answer to a call names prompts and the addresses of videos, which nobody else must find in a proxy."""
    async with behind(replace(PUBLIC, has_mcp=True)) as client:
        for path in ("call/submit/ab12", "call/v2/result/ab12", "queue/data?session_hash=a", "info", "mcp/sse"):
            assert (await client.get(f"/gradio_api/{path}")).headers["cache-control"] == "no-store", path
        for path in ("/config", "/gradio_api/nowhere"):
            assert (await client.get(path)).headers["cache-control"] == "no-store", path
        assert "cache-control" not in (await client.get("/assets/index.js")).headers


async def test_a_page_is_kept_nowhere_whatever_the_application_says(page_built: BuiltPage) -> None:
    """The numbers of its events change with the version."""

    async def page(_scope: Any, _receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/html; charset=utf-8"), (b"cache-control", b"max-age=3600")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"<!doctype html>"})

    shown = RequestFilter(page, PUBLIC, CallRules(page_built.blocks), routes=page_built.routes)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(shown), base_url="http://127.0.0.1:7860") as client:
        assert (await client.get("/")).headers["cache-control"] == "no-store"


# the self-check


def built(**changes: Any) -> SimpleNamespace:
    request_filter = RequestFilter(_echo, PUBLIC, CallRules(cast("Any", SimpleNamespace(fns={}))))
    app = SimpleNamespace(middleware_stack=request_filter)
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
    assert launch_faults(built(), has_analytics=False, has_mcp=False) == []
    chosen = built(analytics_enabled=True, mcp_server=True)
    assert launch_faults(chosen, has_analytics=True, has_mcp=True) == []


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
    (fault,) = launch_faults(built(**change), has_analytics=False, has_mcp=False)
    assert word in fault


def test_the_filter_lies_outside_of_all_others() -> None:
    app = Starlette(middleware=[Middleware(GZipMiddleware)])
    rules = CallRules(cast("Any", SimpleNamespace(fns={})))
    with pytest.raises(RuntimeError, match="not being started"):
        install_request_filter(app, PUBLIC, rules)
    app.middleware_stack = app.build_middleware_stack()
    install_request_filter(app, PUBLIC, rules)
    assert isinstance(app.middleware_stack, RequestFilter)


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


async def test_of_a_body_whose_sender_has_gone_nothing_is_passed_on() -> None:
    scope = {"type": "http", "headers": []}
    for has_more, last, expected in ((True, "http.disconnect", b""), (True, "http.request", b"{}"), (False, "", b"{}")):
        messages = iter([{"type": "http.request", "body": b"{}", "more_body": has_more}, {"type": last}])

        async def receive(messages: Any = messages) -> Any:
            return next(messages)

        assert await request_filter._read(scope, receive, MOST_BYTES) == expected
