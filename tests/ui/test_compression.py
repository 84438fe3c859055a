"""The page goes over the wire compressed, and nothing else is touched."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from hunyuan_ui.ui.asset_cache import PageCompression

PAGE = "<!doctype html>" + "<p>the same again</p>" * 200


@pytest.fixture
def client() -> TestClient:
    async def page(_: Request) -> HTMLResponse:
        return HTMLResponse(PAGE)

    routes = [Route(path, page) for path in ("/", "/config", "/gradio_api/queue/data")]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(PageCompression)]))


@pytest.mark.parametrize("path", ["/", "/config"])
def test_the_page_is_compressed_for_who_takes_it(client: TestClient, path: str) -> None:
    answer = client.get(path, headers={"Accept-Encoding": "gzip, deflate, br"})
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) < len(PAGE) / 10
    assert answer.text == PAGE


def test_the_page_is_sent_plain_to_who_does_not(client: TestClient) -> None:
    answer = client.get("/", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in answer.headers
    assert answer.text == PAGE


def test_an_event_stream_is_left_alone(client: TestClient) -> None:
    assert "content-encoding" not in client.get("/gradio_api/queue/data", headers={"Accept-Encoding": "gzip"}).headers
