"""The page is transferred compressed, and nothing else is changed."""

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
def root(request: pytest.FixtureRequest) -> str:
    return getattr(request, "param", "")


@pytest.fixture
def client(root: str) -> TestClient:
    async def page(_: Request) -> HTMLResponse:
        return HTMLResponse(PAGE)

    routes = [Route(path, page) for path in ("/", "/config", "/config/", "/gradio_api/queue/data")]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(PageCompression)]), root_path=root)


@pytest.mark.parametrize(
    ("root", "path"),
    [
        ("", "/"),
        ("", "/config"),
        ("", "/config/"),
        ("", "/%63onfig"),
        ("/video", "/"),
        ("/video", "/config"),
        ("/video", "/video/"),
        ("/video", "/video/config"),
        ("/a/b", "/a/b/%63onfig/"),
    ],
    indirect=["root"],
)
@pytest.mark.parametrize(("accepted", "encoding"), [("gzip, deflate, br", "br"), ("gzip, deflate", "gzip")])
def test_the_page_is_compressed_for_who_takes_it_by_each_path_that_leads_there(
    client: TestClient, path: str, accepted: str, encoding: str
) -> None:
    answer = client.get(path, headers={"Accept-Encoding": accepted})
    assert answer.headers["content-encoding"] == encoding
    assert answer.headers["vary"] == "Accept-Encoding"
    assert int(answer.headers["content-length"]) < len(PAGE) / 10
    assert answer.text == PAGE


def test_the_page_is_sent_plain_to_who_does_not(client: TestClient) -> None:
    answer = client.get("/", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in answer.headers
    assert answer.text == PAGE


@pytest.mark.parametrize("root", ["", "/video", "/config"], indirect=True)
def test_an_event_stream_is_left_alone(client: TestClient, root: str) -> None:
    answer = client.get(f"{root}/gradio_api/queue/data", headers={"Accept-Encoding": "gzip"})
    assert answer.status_code == 200
    assert "content-encoding" not in answer.headers
