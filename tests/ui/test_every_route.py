"""Every route of the application and every function of the page, requested by every kind of client and start.

The application behind the filter only records that it was reached; its routes are read from the real one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette._utils import get_route_path

from hunyuan_ui.settings import Secret, Settings
from hunyuan_ui.ui.call_values import CallRules
from hunyuan_ui.ui.request_filter import RequestFilter, route_path
from tests.built_page import BuiltPage, built_page

pytestmark = pytest.mark.anyio

PRIVATE = Settings(data_dir=Path("data"), has_mcp=True)
MODES = {
    "private": PRIVATE,
    "public": replace(PRIVATE, server_name="0.0.0.0"),
    "share": replace(PRIVATE, share=True),
    "space": replace(PRIVATE, is_space=True),
}
LOGIN = replace(PRIVATE, is_space=True, login_secret=Secret("x"))
HOST = "127.0.0.1:7860"

# Every allowed route, by its template; all others must be closed, whatever Gradio adds.
PAGE = {"/"}
LOOKS = {
    *("/svelte/{path:path}", "/static/{path:path}", "/assets/{path:path}", "/favicon.ico", "/theme.css", "/robots.txt"),
    *("/pwa_icon", "/manifest.json", "/gradio_api/theme.css"),
}
OWN = {
    *("/config", "/config/", "/gradio_api/app_id", "/gradio_api/app_id/", "/gradio_api/startup-events"),
    *("/gradio_api/login_check", "/gradio_api/login_check/", "/gradio_api/queue/status", "/gradio_api/queue/data"),
    *("/gradio_api/heartbeat/{session_hash}", "/gradio_api/queue/join", "/gradio_api/cancel"),
    *("/gradio_api/run/{api_name}", "/gradio_api/run/{api_name}/"),
    *("/gradio_api/api/{api_name}", "/gradio_api/api/{api_name}/", "/gradio_api/mcp"),
    *("/gradio_api/hunyuan/jobs", "/gradio_api/hunyuan/jobs/{id}", "/gradio_api/hunyuan/prompt"),
    *("/gradio_api/hunyuan/price", "/gradio_api/hunyuan/allowance", "/gradio_api/hunyuan/examples/{name}"),
    *("/gradio_api/hunyuan/videos", "/gradio_api/hunyuan/videos/{id}", "/gradio_api/hunyuan/settings"),
    *("/gradio_api/hunyuan/lists/check", "/gradio_api/hunyuan/lists/send", "/gradio_api/hunyuan/lists/{id}"),
    *("/gradio_api/hunyuan/videos/{id}/favourite", "/gradio_api/hunyuan/lists/{id}/stop", "/gradio_api/healthz"),
    *("/gradio_api/hunyuan/pages/{id}", "/gradio_api/hunyuan/videos/delete"),
}
FOR_ALL = {  # in public, and only without a login
    *("/gradio_api/info", "/gradio_api/info/", "/gradio_api/openapi.json"),
    *("/gradio_api/call/{api_name}", "/gradio_api/call/{api_name}/"),
    *("/gradio_api/call/v2/{api_name}", "/gradio_api/call/v2/{api_name}/"),
    *("/gradio_api/call/{api_name}/{event_id}", "/gradio_api/call/v2/{api_name}/{event_id}"),
    "/gradio_api/file={path:served}.{kind}",
    "/gradio_api/hunyuan/videos/{id}.mp4",
    *("/gradio_api/hunyuan/videos/{id}.webp", "/gradio_api/hunyuan/videos/{id}/export.{kind}"),
    "/gradio_api/hunyuan/lists/{id}.zip",
    *("/gradio_api/hunyuan/looks/preview.png", "/gradio_api/hunyuan/looks/touch-icon.png"),
    *("/gradio_api/hunyuan/looks/icon-192.png", "/gradio_api/hunyuan/looks/icon-512.png"),
    "/gradio_api/hunyuan/looks/manifest.json",
}
NEEDS_A_CHANGE = {"/gradio_api/component_server", "/gradio_api/component_server/"}  # no component has a function
OPEN = PAGE | LOOKS | OWN | FOR_ALL

SAMPLES = {
    "api_name": "estimate",
    "event_id": "ab" * 16,
    "session_hash": "abc123",
    "id": "cd" * 16,
    "name": "fox.mp4",
    "path_or_url:path": "/tmp/gradio/ab/x.mp4",
    "path:served": f"/tmp/gradio/{'ab' * 32}/x",
}


class Asker(NamedTuple):
    """A client: the headers by which a browser or a program is recognised."""

    name: str
    headers: dict[str, str]
    is_foreign: bool


ASKERS = [
    Asker("program", {}, False),
    Asker("own page", {"origin": f"http://{HOST}", "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}, False),
    Asker("old own page", {"origin": f"http://{HOST}"}, False),
    Asker("typed", {"sec-fetch-site": "none", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, False),
    Asker("other port", {"origin": "http://127.0.0.1:7861", "sec-fetch-site": "same-site"}, True),
    Asker("other site", {"origin": "http://evil.example", "sec-fetch-site": "cross-site"}, True),
    Asker("old other site", {"origin": "http://evil.example"}, True),
    Asker("sandbox", {"origin": "null", "sec-fetch-site": "cross-site"}, True),
    Asker("picture", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}, True),
]


@pytest.fixture(scope="module")
def page_built(tmp_path_factory: pytest.TempPathFactory) -> BuiltPage:
    return built_page(replace(PRIVATE, data_dir=tmp_path_factory.mktemp("page") / "data"))


def test_an_open_page_asks_for_no_heartbeat(page_built: BuiltPage) -> None:
    """It would hold one of a browser's six connections per host, as long as its tab is open."""
    assert page_built.blocks.get_config_file()["connect_heartbeat"] is False


class Behind:
    """The application behind the filter: records what reaches it."""

    def __init__(self) -> None:
        self.reached: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = (await receive()).get("body", b"") if scope["method"] not in ("GET", "HEAD") else b""
        self.reached.append((scope, body))
        headers = [
            (b"x-reached", b"yes"),
            (b"access-control-allow-origin", b"x"),
            (b"access-control-allow-credentials", b"true"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"reached"})


def is_in(answer: httpx.Response) -> bool:
    return "x-reached" in answer.headers


class Start:
    """A start in one mode, with the real rules and routes."""

    def __init__(self, built: BuiltPage, mode: str, root_path: str = "") -> None:
        self.behind = Behind()
        request_filter = RequestFilter(
            self.behind, LOGIN if mode == "login" else MODES[mode], CallRules(built.blocks), routes=built.routes
        )
        self._transport = httpx.ASGITransport(request_filter, root_path=root_path)

    async def ask(self, method: str, path: str, asker: Asker, body: object = None, **headers: str) -> httpx.Response:
        """Send one request, and check that it has reached the application if that was its answer."""
        self.behind.reached.clear()
        sent = {"content-type": "application/json", **asker.headers, **headers}
        content = None if body is None else json.dumps(body).encode()
        # Without a client, which takes longer for a request than what is tested here.
        answer = await self._transport.handle_async_request(
            httpx.Request(method, f"http://{HOST}{path}", headers=sent, content=content)
        )
        await answer.aread()
        assert is_in(answer) == bool(self.behind.reached)
        return answer


def filled(template: str) -> str:
    return re.sub(r"\{([^}]+)\}", lambda match: SAMPLES.get(match[1], "x"), template)


def body_for(built: BuiltPage, template: str) -> object:
    """Return a body for the function `estimate` in this route's format."""
    if "/call/v2/" in template:
        return {"prompt": "x"}
    if template.startswith(("/gradio_api/call/", "/gradio_api/run/", "/gradio_api/api/")):
        return {"data": ["x", "", 64, 64, 5, 2, 7, 6, 1]}
    if template == "/gradio_api/queue/join":
        return {"data": ["x"], "fn_index": built.takes_a_text, "session_hash": "a"}
    if template == "/gradio_api/cancel":
        return {"event_id": "a", "session_hash": "a", "fn_index": built.takes_a_text}
    if template.startswith("/gradio_api/component_server"):
        return {"data": None, "component_id": 1, "session_hash": "a", "fn_name": "postprocess"}
    return {"jsonrpc": "2.0", "id": 1, "method": "ping"} if "/mcp" in template else {}


def every_door(built: BuiltPage) -> Iterator[tuple[str, str]]:
    for route in built.every_route():
        for method in sorted(route.methods or {"GET", "POST"}) if hasattr(route, "methods") else ("GET", "POST"):
            yield route.path, method


def test_the_table_names_routes_that_there_are(page_built: BuiltPage) -> None:
    there = {template for template, _ in every_door(page_built)}
    assert there >= OPEN
    assert len(there - OPEN) > 30


@pytest.mark.parametrize("prefix", ["", "/app", "/app of mine/ü"])
@pytest.mark.parametrize("mode", MODES)
async def test_every_route_opens_to_whom_it_should(page_built: BuiltPage, mode: str, prefix: str) -> None:
    start = Start(page_built, mode, prefix)
    for template, method in every_door(page_built):
        # A proxy may keep or strip the prefix.
        for path in {filled(template), prefix + filled(template)}:
            for asker in ASKERS:
                answer = await start.ask(method, path, asker, body_for(page_built, template))
                what = (mode, path, method, asker.name, answer.status_code)
                is_for_all = template in FOR_ALL and mode != "private"
                if asker.is_foreign and not is_for_all:
                    assert answer.status_code == 403, what
                elif template in OPEN:
                    assert is_in(answer), what
                else:
                    assert answer.status_code == 404, what
                cors = {name: value for name, value in answer.headers.items() if name.startswith("access-control")}
                if asker.is_foreign and is_for_all:
                    assert cors.pop("access-control-allow-origin") == "*", what
                    assert cors.pop("access-control-expose-headers"), what
                assert cors == {}, what


@pytest.mark.parametrize("mode", MODES)
async def test_every_function_is_called_by_whom_it_should(page_built: BuiltPage, mode: str) -> None:
    start = Start(page_built, mode)
    public = 0
    for number, fn, values in page_built.functions():
        join = {"data": values, "fn_index": number, "session_hash": "a"}
        named = {"data": values}
        for asker in ASKERS:
            is_own = not asker.is_foreign
            for path in ("queue/join", "run/predict", "api/predict", f"run/{fn.api_name}"):
                answer = await start.ask("POST", f"/gradio_api/{path}", asker, join)
                is_past_the_queue = fn.queue and path != "queue/join"
                assert is_in(answer) == (is_own and not is_past_the_queue), (asker.name, path)
            is_open = is_own or (mode != "private" and fn.api_visibility == "public")
            public += is_open and not is_own
            answer = await start.ask("POST", f"/gradio_api/call/{fn.api_name}", asker, named)
            assert is_in(answer) == is_open, (asker.name, fn.api_name)
            event = await start.ask("GET", f"/gradio_api/call/{fn.api_name}/ab12", asker)
            assert is_in(event) == is_open, (asker.name, fn.api_name)
    assert public == (0 if mode == "private" else 7 * sum(asker.is_foreign for asker in ASKERS))


@pytest.mark.parametrize("mode", ["public", "share", "space"])
async def test_others_come_without_the_visitors_login(page_built: BuiltPage, mode: str) -> None:
    start = Start(page_built, mode)
    login = {"cookie": "session=abc; access-token=x", "authorization": "Basic x", "x-api-key": "SG_x"}
    for asker in ASKERS:
        answer = await start.ask("POST", "/gradio_api/call/v2/estimate", asker, {"prompt": "x"}, **login)
        assert is_in(answer), asker.name
        kept = {name.decode() for name, _ in start.behind.reached[0][0]["headers"]}
        assert "origin" not in kept
        assert "x-api-key" in kept
        assert ("cookie" in kept) == ("authorization" in kept) == (not asker.is_foreign), asker.name
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("mode", MODES)
async def test_a_preflight_is_answered_for_the_api_in_public_alone(page_built: BuiltPage, mode: str) -> None:
    start = Start(page_built, mode)
    wish = {"access-control-request-method": "POST", "access-control-request-headers": "content-type,x-api-key,cookie"}
    for template in {template for template, _ in every_door(page_built)}:
        for asker in [one for one in ASKERS if "origin" in one.headers]:
            answer = await start.ask("OPTIONS", filled(template), asker, **wish)
            assert not start.behind.reached
            is_open = asker.is_foreign and mode != "private" and template in FOR_ALL
            assert (answer.status_code == 204) == is_open, (template, asker.name)
            assert ("access-control-allow-origin" in answer.headers) == is_open
            if is_open:
                allowed = answer.headers["access-control-allow-headers"].split(", ")
                assert allowed == ["content-type", "x-api-key", "x-access-code", "x-payer"]
                assert "DELETE" not in answer.headers["access-control-allow-methods"]
                assert "access-control-allow-credentials" not in answer.headers


# links and frames


@pytest.mark.parametrize("mode", MODES)
async def test_a_link_opens_the_page_and_nothing_else(page_built: BuiltPage, mode: str) -> None:
    start = Start(page_built, mode)
    link = Asker(
        "link", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, True
    )
    for template, method in every_door(page_built):
        answer = await start.ask(method, filled(template), link, body_for(page_built, template))
        is_open = (template in PAGE and method in ("GET", "HEAD")) or (template in FOR_ALL and mode != "private")
        assert is_in(answer) == is_open, (template, method)
    form = link._replace(headers={**link.headers, "origin": "http://evil.example"})
    assert (await start.ask("POST", "/", form)).status_code == 403


@pytest.mark.parametrize("dest", ["iframe", "frame", "embed", "object", "fencedframe"])
async def test_only_a_spaces_host_may_frame_the_page(page_built: BuiltPage, dest: str) -> None:
    for mode in MODES:
        start = Start(page_built, mode)
        for site in ("cross-site", "same-site", "same-origin"):
            headers = {"sec-fetch-site": site, "sec-fetch-mode": "navigate", "sec-fetch-dest": dest}
            answer = await start.ask("GET", "/", Asker("frame", headers, True))
            is_open = mode == "space" or (mode != "private" and site == "same-origin")
            assert is_in(answer) == is_open, (mode, site)


async def test_a_login_comes_back_to_a_space_alone(page_built: BuiltPage) -> None:
    back = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}
    for mode in (*MODES, "login"):
        start = Start(page_built, mode)
        for path in ("/login/huggingface", "/login/callback?code=x&state=y"):
            answer = await start.ask("GET", path, Asker("login", back, True), cookie="session=x")
            assert is_in(answer) == (mode == "login")
            if mode == "login":
                assert b"cookie" in {name for name, _ in start.behind.reached[0][0]["headers"]}
        assert (await start.ask("GET", "/logout", ASKERS[0])).status_code == (200 if mode == "login" else 404)
        assert (await start.ask("GET", "/logout", Asker("logout", back, True))).status_code == 403


# the path that the application sees


def routes_to(built: BuiltPage, path: str, method: str) -> set[str]:
    """Return the templates of the real routes that may match a path."""
    found: set[str] = set()
    for route in built.every_route():
        methods = getattr(route, "methods", None)
        if route.path_regex.match(path) and (methods is None or method in methods):
            found.add(route.path)
    return found


SPELLINGS = ["/", "//", "/./", "/x/../", "\\", "%2f", "%252f", "%5c", ";a=b", "\n", "%0a", "%00", " ", "?", "#", "/app"]


@settings(max_examples=600)
@given(data=st.data())
def test_no_spelling_opens_what_is_shut(page_built: BuiltPage, data: st.DataObject) -> None:
    templates = sorted({template for template, _ in every_door(page_built)})
    path = filled(data.draw(st.sampled_from(templates)))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(path)))
        path = path[:at] + data.draw(st.sampled_from(SPELLINGS)) + path[at:]
    path = data.draw(st.sampled_from([path, path.upper(), path.title(), path.swapcase()]))
    root = data.draw(st.sampled_from(["", "/app", "/app/", "https://x.example/app"]))
    method = data.draw(st.sampled_from(["GET", "POST", "HEAD", "DELETE"]))
    request_filter = RequestFilter(Behind(), MODES["public"], CallRules(page_built.blocks), routes=page_built.routes)
    for seen in (unquote(path), root + unquote(path)):
        scope = {"type": "http", "path": seen, "root_path": root, "method": method, "query_string": b""}
        found = request_filter._found(scope)
        if found is not None and method in found[0].methods:
            reached = routes_to(page_built, get_route_path(scope), method)
            # The first matching route of Gradio is used; an allowed one that matches first hides later ones.
            shut = reached - OPEN - NEEDS_A_CHANGE - {"/gradio_api/mcp"}
            assert not shut or reached & OPEN, (seen, root, shut)


@given(path=st.text("/ab"), root=st.text("/ab"))
def test_the_path_is_the_one_by_which_the_application_chooses(path: str, root: str) -> None:
    scope = {"type": "http", "path": path, "root_path": root}
    assert route_path(scope) == get_route_path(scope)


@pytest.mark.parametrize("prefix", ["", "/app", "/gradio_api", "/gradio_api/file="])
async def test_what_is_shut_stays_shut_below_a_prefix(page_built: BuiltPage, prefix: str) -> None:
    for mode in MODES:
        start = Start(page_built, mode, prefix)
        shut = [(template, method) for template, method in every_door(page_built) if template not in OPEN]
        for template, method in shut:
            for path in (filled(template), prefix + filled(template)):
                if routes_to(page_built, route_path({"path": path, "root_path": prefix}), method) & OPEN:
                    continue  # with this prefix the same path matches another route
                answer = await start.ask(method, path, ASKERS[0], body_for(page_built, template))
                assert answer.status_code == 404, (mode, prefix, path)


async def test_a_link_to_somebodys_values_is_shut_however_it_is_written(page_built: BuiltPage) -> None:
    start = Start(page_built, "public")
    for query in ("deep_link=x", "deep_link=", "a=b&deep_link=x", "deep%5Flink=x", "%64eep_link=x"):
        for path in ("/", "/config", "/config/"):
            assert (await start.ask("GET", f"{path}?{query}", ASKERS[0])).status_code == 404
    assert is_in(await start.ask("GET", "/?other=deep_link", ASKERS[0]))


# other entry points


@pytest.mark.parametrize("kind", ["websocket", "something"])
async def test_nothing_but_http_comes_in(page_built: BuiltPage, kind: str) -> None:
    reached: list[Any] = []
    sent: list[Any] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        reached.append(scope)

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    request_filter = RequestFilter(app, MODES["public"], CallRules(page_built.blocks))
    await request_filter({"type": kind, "path": "/", "headers": []}, receive, send)
    assert reached == []
    assert [message["type"] for message in sent] == ["websocket.close"]
