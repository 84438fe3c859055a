"""Clients of local endpoints."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx

KEY = "SG_0123456789abcdef"
SMALL = {"prompt": "A lighthouse in the snow", "width": 64, "height": 48, "video_length": 5}
Start = Callable[..., httpx.Client]


def until_ended(client: httpx.Client, request_id: str, **options: Any) -> httpx.Response:
    """Return the last status of a request."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        answer = client.get(f"/v2/requests/{request_id}/status", **options)
        if answer.json().get("status") not in ("QUEUED", "PROCESSING"):
            return answer
    raise AssertionError("the job did not end")


def made(client: httpx.Client, **values: Any) -> dict[str, Any]:
    """Submit, wait, and return the result's body."""
    request_id = client.post("/v2/hunyuan-video", json={**SMALL, **values}).json()["request_id"]
    assert until_ended(client, request_id).json()["status"] == "COMPLETED"
    return client.get(f"/v2/requests/{request_id}").json()
