"""From submit to the downloaded file through the API, compared with calling the service by httpx."""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path

import httpx

from tests.benchmarks.clip import REQUEST, clip_in, workspace
from tests.benchmarks.processes import app_with, child, service_settings
from tests.benchmarks.table import Row, alternate, difference


def measure(is_short: bool) -> list[Row]:
    """Make and save videos both ways, alternately."""
    with (
        workspace() as folder,
        child("service", str(clip_in(folder))) as url,
        app_with(folder / "app", **service_settings(url, dialect="v1")) as app,
        httpx.Client(timeout=60) as client,
    ):
        target = folder / "got.mp4"
        ours, bare = partial(_by_api, client, app.url, target), partial(_by_post, client, url, target)
        for warm_up in (ours, bare):
            warm_up()
        here, there = alternate(5 if is_short else 21, ours, bare)
    return [difference("API: submit to file, service answers at once", 1000 * here, 1000 * there, "ms", at_most=150)]


def _by_api(client: httpx.Client, url: str, target: Path) -> float:
    began = time.perf_counter()
    call = f"{url}gradio_api/call/generate"
    event = client.post(call, json={"data": [*REQUEST.model_dump().values(), None, None]}).raise_for_status().json()
    link = ""
    with client.stream("GET", f"{call}/{event['event_id']}") as answer:
        name = ""
        for line in answer.iter_lines():
            field, _, text = line.partition(": ")
            if field == "event":
                name = text
            elif field == "data" and name in ("complete", "error"):
                link = json.loads(text)[0]["path"]
                break
    _save(client, "GET", f"{url}gradio_api/file={link}", target)
    return time.perf_counter() - began


def _by_post(client: httpx.Client, url: str, target: Path) -> float:
    began = time.perf_counter()
    _save(client, "POST", f"{url}/v1/hunyuan-video", target)
    return time.perf_counter() - began


def _save(client: httpx.Client, method: str, url: str, target: Path) -> None:
    body = REQUEST.model_dump() if method == "POST" else None
    with client.stream(method, url, json=body) as answer, target.open("wb") as file:
        answer.raise_for_status()
        for chunk in answer.iter_bytes():
            file.write(chunk)
