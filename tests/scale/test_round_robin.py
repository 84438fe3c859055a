"""API clients through an nginx that balances round robin: no call needs the page that began it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client

from hunyuan_ui.job import new_id
from tests.browser.paid_endpoint import PaidEndpoint, paid_endpoint
from tests.nginx import needs_nginx
from tests.scale.fleet import Fleet
from tests.scale.fleet import pages as pages

pytestmark = needs_nginx

SMALL: dict[str, Any] = {"video_length": 5, "width": 64, "height": 64}


@pytest.fixture(scope="module")
def service() -> Iterator[PaidEndpoint]:
    with paid_endpoint(seconds=0.3, credits=1000.0) as running:
        yield running


def answered_by(pages: Fleet, part: str) -> set[str]:
    return {page for page, request in pages.answered if part in request}


def call(pages: Fleet, name: str, visitor: str, **values: Any) -> Any:
    url, headers = f"{pages.url}gradio_api/call", {"x-hunyuan-visitor": visitor}
    begun = httpx.post(f"{url}/v2/{name}", json=values, headers=headers, timeout=60).json()
    told = httpx.get(f"{url}/{name}/{begun['event_id']}", headers=headers, timeout=60).text
    return json.loads(re.findall(r"event: complete\ndata: (.*)", told)[0])


def test_a_call_is_answered_by_the_page_that_did_not_take_it(pages: Fleet, service: PaidEndpoint) -> None:
    visitor = new_id()
    (begun,) = call(pages, "submit", visitor, prompt="a heron", **SMALL)
    told: dict[str, Any] = {"is_active": True}
    while told["is_active"]:
        (told,) = call(pages, "status", visitor, job_id=begun["job_id"], wait_s=2)
    assert told["status"] == "done"
    for _ in range(2):
        assert httpx.get(told["video"]["url"]).content[4:8] == b"ftyp"
    assert service.posts["a heron"] == 1
    asked = [page for page, request in pages.answered if "/gradio_api/call/" in request]
    assert all(began != told for began, told in zip(asked[::2], asked[1::2], strict=True))
    assert len(answered_by(pages, "/file=")) == 2


def test_gradios_own_client_makes_a_video_in_one_call(pages: Fleet, service: PaidEndpoint) -> None:
    client = Client(pages.url, headers={"x-hunyuan-visitor": new_id()}, verbose=False)
    with ThreadPoolExecutor() as pool:
        # Several at once, on one stream of answers.
        asked = [
            pool.submit(client.predict, prompt=f"fox {number}", **SMALL, api_name="/estimate") for number in range(6)
        ]
        assert {one.result(60)["width"] for one in asked} == {64}
    video, made = client.predict(prompt="a fox", **SMALL, api_name="/generate")
    assert Path(video).read_bytes()[4:8] == b"ftyp"
    assert made["width"] == 64
    assert service.posts["a fox"] == 1
    assert len(answered_by(pages, "/queue/join")) == 2
    with pytest.raises(Exception, match="Prompt"):
        client.predict(prompt="", **SMALL, api_name="/submit")
