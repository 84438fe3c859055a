"""Gradio's scripts and styles are compressed once, cached within limits, and left alone if incomplete."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from hunyuan_ui.ui import asset_cache
from hunyuan_ui.ui.asset_cache import AssetMemory

SCRIPT = "export const value = 'the same again';\n" * 200
BROWSER = {"Accept-Encoding": "gzip, deflate, br, zstd"}


class Asked:
    """An app with assets behind the filter, and how often each was read."""

    def __init__(self, root: str = "") -> None:
        self.times: Counter[str] = Counter()
        routes = [
            Route("/assets/missing.js", self.missing),
            Route("/assets/{name:path}", self.asset),
            Route("/{name}", self.asset),
        ]
        self.client = TestClient(Starlette(routes=routes, middleware=[Middleware(AssetMemory)]), root_path=root)

    async def asset(self, request: Request) -> Response:
        self.times[request.url.path] += 1
        return PlainTextResponse(SCRIPT, media_type="text/javascript")

    async def missing(self, request: Request) -> Response:
        self.times[request.url.path] += 1
        return PlainTextResponse("no", 404)


@pytest.fixture
def asked() -> Asked:
    return Asked()


def test_an_asset_is_read_once_and_comes_the_same_each_time(asked: Asked) -> None:
    answers = [asked.client.get("/assets/a.js", headers=BROWSER) for _ in range(3)]
    assert asked.times["/assets/a.js"] == 1
    for answer in answers:
        assert answer.text == SCRIPT
        assert answer.headers["content-encoding"] == "br"
        assert answer.headers["vary"] == "Accept-Encoding"
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers == answers[0].headers


def test_an_asset_is_kept_by_the_path_that_the_application_sees() -> None:
    asked = Asked("/video")
    for path in ("/video/assets/a.js", "/assets/a.js", "/video/assets/%61.js", "/%61ssets/a.js"):
        answer = asked.client.get(path, headers=BROWSER)
        assert (answer.text, answer.headers["content-encoding"]) == (SCRIPT, "br")
    assert asked.times.total() == 1


@pytest.mark.parametrize("path", ["//assets/a.js", "/video//assets/a.js", "/Assets/a.js", "/videos/assets/a.js"])
def test_what_is_no_asset_for_the_application_is_left_to_it(path: str) -> None:
    asked = Asked("/video")
    answer = asked.client.get(f"http://testserver{path}", headers=BROWSER)
    assert (answer.status_code, asked.times.total()) == (404, 0)
    assert "cache-control" not in answer.headers


@pytest.mark.parametrize(("takes", "encoding"), [("gzip", "gzip"), ("identity", None), ("", None)])
def test_who_takes_something_else_gets_that(asked: Asked, takes: str, encoding: str | None) -> None:
    asked.client.get("/assets/a.js", headers=BROWSER)
    for _ in range(2):
        answer = asked.client.get("/assets/a.js", headers={"Accept-Encoding": takes})
        assert answer.headers.get("content-encoding") == encoding
        assert answer.text == SCRIPT
    assert asked.times["/assets/a.js"] == (2 if encoding else 3)


def test_what_else_a_header_says_makes_no_further_copy(asked: Asked) -> None:
    for number in range(20):
        answer = asked.client.get("/assets/a.js", headers={"Accept-Encoding": f"gzip, br, x-{number}"})
        assert answer.text == SCRIPT
    assert asked.times["/assets/a.js"] == 1


def test_what_an_outer_filter_adds_to_an_answer_is_not_kept() -> None:
    asked = Asked()

    async def marking(scope: Scope, receive: Receive, send: Send) -> None:
        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"x-mark", b"1"))
            await send(message)

        await asked.client.app(scope, receive, marked)

    client = TestClient(marking)
    for _ in range(3):
        assert client.get("/assets/a.js", headers=BROWSER).headers.get_list("x-mark") == ["1"]


def test_nothing_but_whole_assets_is_kept(asked: Asked) -> None:
    for path, headers in (
        ("/page.js", BROWSER),
        ("/assets/missing.js", BROWSER),
        ("/assets/a.js", {**BROWSER, "Range": "bytes=0-9"}),
        ("/assets/b.js", {**BROWSER, "If-None-Match": '"x"'}),
    ):
        for _ in range(2):
            assert "cache-control" not in asked.client.get(path, headers=headers).headers
        assert asked.times[path] == 2
    assert asked.client.get("/assets/missing.js", headers=BROWSER).status_code == 404


def test_no_more_is_kept_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked()
    kept_bytes = int(asked.client.get("/assets/c.js", headers=BROWSER).headers["content-length"])
    monkeypatch.setattr(asset_cache, "MOST_KEPT_BYTES", kept_bytes + 10)
    asked = Asked()
    for name in ("a", "b", "a", "b"):
        assert asked.client.get(f"/assets/{name}.js", headers=BROWSER).text == SCRIPT
    assert (asked.times["/assets/a.js"], asked.times["/assets/b.js"]) == (1, 2)


@pytest.mark.parametrize(
    ("path", "takes"), [("{}.js", "identity"), ("{}.js", ""), ("%2e/{}/a.js", "br"), ("deep%2f{}.js", "gzip")]
)
def test_no_stranger_takes_the_room_of_what_browsers_ask_for(
    path: str, takes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asset_cache, "MOST_KEPT_BYTES", len(SCRIPT))
    asked = Asked()
    for number in range(200):
        asked.client.get(f"/assets/{path.format(number)}", headers={"Accept-Encoding": takes})
    for _ in range(2):
        assert asked.client.get("/assets/a.js", headers=BROWSER).headers["content-encoding"] == "br"
    assert asked.times["/assets/a.js"] == 1


def test_a_file_is_sent_as_gradio_sends_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("assets") / "picture.png"
    path.write_bytes(bytes(range(256)) * 100)

    async def picture(_: Request) -> Response:
        return FileResponse(path)

    routes = [Route("/assets/picture.png", picture)]
    client = TestClient(Starlette(routes=routes, middleware=[Middleware(AssetMemory)]))
    for _ in range(2):
        answer = client.get("/assets/picture.png", headers=BROWSER)
        assert answer.content == path.read_bytes()
        assert "content-encoding" not in answer.headers


@pytest.mark.parametrize("leaves_after", [0, 1, 3])
def test_who_leaves_in_the_middle_of_the_first_answer_spoils_it_for_nobody(tmp_path: Path, leaves_after: int) -> None:
    path = tmp_path / "script.js"
    path.write_text("".join(f"export const value{number} = {number};\n" for number in range(40_000)), "utf-8")

    async def script(_: Request) -> Response:
        return FileResponse(path)

    app = Starlette(routes=[Route("/assets/script.js", script)], middleware=[Middleware(AssetMemory)])

    async def leave() -> None:
        # As Gradio's server does: the application receives a disconnect event.
        scope = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1"}
        scope |= {"method": "GET", "scheme": "http", "path": "/assets/script.js", "raw_path": b"/assets/script.js"}
        scope |= {"query_string": b"", "root_path": "", "headers": [(b"accept-encoding", b"br")], "state": {}}

        async def receive() -> Message:
            for _ in range(leaves_after):
                await asyncio.sleep(0)
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            pass

        await app(scope, receive, send)

    asyncio.run(leave())
    answer = TestClient(app).get("/assets/script.js", headers=BROWSER)
    assert answer.text == path.read_text("utf-8")
