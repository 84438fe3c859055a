"""The raw service for the fault tests: it identifies jobs by their prompts and names each one's cost."""

from __future__ import annotations

import json
import struct
import time
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from hunyuan_ui.endpoint import contract
from tests.engines import HEALTH, VIDEOS, FakeEngine, parts_in
from tests.raw_service import RawService, Received, Reply, answer
from tests.videos import mp4_bytes

COST_USD = 1.46
STATUS = "/v2/requests/*/status"
RESULT = "/v2/requests/*"
FILE = "/files/*"
HISTORY = "/inference-request/*"
LIST = "/inference-request/request-history"
_STATES = ("QUEUED", "PROCESSING", "COMPLETED")
_VIDEOS = 5
Envelope = Callable[[list[dict[str, Any]], dict[str, int]], object]

NOT_FOUND = answer(404, {"error": "not found"})
FAILED = answer(422, {"status": "FAILED", "error": "CUDA out of memory"})
COMPLETED = answer(200, {"status": "COMPLETED"})


class PaidService(RawService):
    """Behaves well in all APIs until scripted otherwise.

    Attributes:
        cost_usd: What each job costs.
        forgiven: Prompts of jobs that it accepted and then did not charge for.
        envelope: Wraps a page of the history's list into its response.
        history_key: The key whose requests are listed; all if None.
        engine: Responds as a self-hosted engine.
        pages_of: Rows per page of the list, if fewer than requested.
        on_request: Called with each request before it is answered.
        is_held: Whether all polled jobs wait in the service's queue.
        now: Returns the time that the history's responses name, UTC seconds.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.cost_usd = COST_USD
        self.forgiven: set[str] = set()
        self.on_request: Callable[[Received], None] = lambda _: None
        self.envelope: Envelope = lambda rows, about: {"data": rows, **about}
        self.history_key: str | None = None
        self.pages_of: int | None = None
        self.past: dict[str, dict[str, Any]] = {}
        self._keys: dict[str, str] = {}
        self._prompts: dict[str, str] = {}
        self._polls: Counter[str] = Counter()
        self.engine = FakeEngine("sglang", video_of)
        self.is_held = False
        self.now: Callable[[], float] = time.time
        self._flow = self.behave

    def __enter__(self) -> PaidService:
        self.listen()
        return self

    def billed(self) -> Counter[str]:
        """Return how often each prompt was charged for."""
        prompts = [parts_in(body)["prompt"] for _, body in list(self.bill)]
        return Counter(prompt for prompt in prompts if prompt not in self.forgiven)

    def posts(self) -> Counter[str]:
        """Return how many POSTs were received for each prompt."""
        return Counter(parts_in(one.body)["prompt"] for one in list(self.requests) if one.method == "POST")

    def count(self, method: str, ending: str) -> int:
        """Return how many requests to such a path were received."""
        return sum(one.method == method and one.path.endswith(ending) for one in list(self.requests))

    def asked_of_jobs(self) -> int:
        """Return how often an engine's jobs were polled."""
        return sum(one.method == "GET" and one.path.startswith(f"{VIDEOS}/") for one in list(self.requests))

    def _reply_to(self, received: Received) -> Reply:
        reply = super()._reply_to(received)
        self.on_request(received)
        return reply

    def behave(self, received: Received) -> Reply:
        """Return the response of a working service."""
        path = received.path
        if path.startswith((VIDEOS, HEALTH)):
            return self.engine.behave(received)
        if received.method == "POST":
            return self._take(path, received)
        if path == contract.CREDITS:
            return answer(200, {"credits": 100.0, "free-credits": 0.0})
        if path.startswith(LIST + "?"):
            return self._list(dict(parse_qsl(urlsplit(path).query)))
        request_id = path.removesuffix("/status").rpartition("/")[2].removesuffix(".mp4")
        prompt = self._prompts.get(request_id)
        if prompt is None:
            return answer(404, {"error": f"Request {request_id} not found"})
        if path.startswith("/files/"):
            return answer(200, video_of(prompt), content_type="video/mp4")
        link = f"{self.origin}/files/{request_id}.mp4"
        if "/request-history/" in path:
            return answer(200, {"request_id": request_id, "generation_url": link, "credits_deduction": self.cost_usd})
        return self._tell(path, request_id, link)

    def rows(self) -> list[dict[str, Any]]:
        """Return the history's rows, newest first."""
        whose = [one for one in self.past if self.history_key in (None, self._keys[one])]
        return [self._row(request_id) for request_id in reversed(whose)]

    def _row(self, request_id: str) -> dict[str, Any]:
        is_done = self._polls[request_id] >= len(_STATES)
        made = {
            "model_status": "COMPLETED" if is_done else "PENDING",
            "credits_deduction": self.cost_usd if is_done else None,
            "generation_url": f"{self.origin}/files/{request_id}.mp4" if is_done else None,
        }
        return {"request_id": request_id, "model_name": contract.MODEL, **made, **self.past[request_id]}

    def _list(self, asked: dict[str, str]) -> Reply:
        rows = self.rows()
        page, size = int(asked["page"]), min(int(asked["per_page"]), self.pages_of or 100)
        about = {"page": page, "per_page": size, "total": len(rows)}
        body = json.dumps(self.envelope(rows[(page - 1) * size : page * size], about))
        return answer(200, body, date=self.now())

    def _take(self, path: str, received: Received) -> Reply:
        request_id, body = str(uuid.uuid4()), json.loads(received.body)
        prompt = self._prompts[request_id] = body["prompt"]
        self._keys[request_id] = received.headers[contract.KEY_HEADER]
        at = datetime.now(timezone.utc).isoformat()
        self.past[request_id] = {"request_body": body, "created_at": at}
        if path == contract.SUBMIT_V2:
            return answer(200, {"request_id": request_id, "status": "QUEUED"})
        headers = {contract.REQUEST_ID_HEADER: request_id, contract.COST_HEADER: str(self.cost_usd)}
        return answer(200, video_of(prompt), content_type="video/mp4", headers=headers)

    def _tell(self, path: str, request_id: str, link: str) -> Reply:
        metrics = {"cost": self.cost_usd, "inference_time": 211.0, "queue_time": 1.0}
        if not path.endswith("/status"):
            return answer(200, {"status": "COMPLETED", "output": link, "metrics": metrics})
        if self.is_held:
            return answer(200, {"status": _STATES[0], "request_id": request_id, "metrics": {}})
        state = _STATES[min(self._polls[request_id], len(_STATES) - 1)]
        self._polls[request_id] += 1
        told: dict[str, Any] = metrics if state == "COMPLETED" else {}
        return answer(200, {"status": state, "request_id": request_id, "metrics": told})


def video_of(prompt: str) -> bytes:
    """Return the video that this service makes of a prompt; adjacent ones differ."""
    return mp4_bytes(shade=40 + 30 * (sum(prompt.encode()) % _VIDEOS))


def pictures(mp4: bytes) -> bytes:
    """Return the content of an MP4's `mdat` boxes, which no tag may change."""
    found, at = b"", 0
    while at + 8 <= len(mp4):
        size, kind = struct.unpack_from(">I4s", mp4, at)
        found += mp4[at + 8 : at + size] if kind == b"mdat" else b""
        at += size
    return found
