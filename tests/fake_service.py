"""A video service inside the test: speaks both API versions through httpx's mock transport and keeps its own bill."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx

from hunyuan_ui.endpoint.segmind import EndpointClient
from hunyuan_ui.errors import DownloadError
from tests.videos import mp4_bytes

Answer = Callable[[httpx.Request], httpx.Response]
PRICE_USD = 1.25


class _Body(httpx.AsyncByteStream):
    def __init__(self, data: bytes) -> None:
        self._data = data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._data


def answer(status: int, body: object = None, *, content: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
    """Return a response to be queued; `body` becomes JSON."""
    data = content if body is None else json.dumps(body).encode()
    return lambda _: httpx.Response(status, headers=headers, stream=_Body(data))


def failure(error: type[httpx.TransportError]) -> Answer:
    """Return a broken connection to be queued."""

    def fail(request: httpx.Request) -> httpx.Response:
        raise error("broken", request=request)

    return fail


class FakeService:
    """Finishes every job in three polls or more, unless scripted otherwise for the next request to a path.

    Attributes:
        bill: Request bodies of the POSTs it charged for.
        posts: All received POSTs.
        scripts: Responses by kind (`submit`, `generate`, `status`, `result`, `history`, `past_requests`,
            `credits`), used in order.
        asked: Kinds of all requests but those for past ones.
        downloads: Outcomes of the next downloads: an error to raise, or the bytes to write.

    Args:
        polls_needed: Polls until a job is finished, at least three.
    """

    def __init__(self, *, polls_needed: int = 3) -> None:
        self._polls_needed = polls_needed
        self.bill: list[dict[str, Any]] = []
        self.posts = 0
        self.polls: dict[str, int] = {}
        self.scripts: dict[str, list[Answer]] = {}
        self.downloads: list[Exception | bytes] = []
        self.fetched: list[str] = []
        self.asked: list[str] = []

    def client(self) -> EndpointClient:
        """Return a client that talks to this service."""
        transport = httpx.MockTransport(self._answer)
        return EndpointClient("https://service.test", "https://service.test/history", transport=transport)

    async def download(self, url: str, part: Path) -> None:
        """Replace the download of a result file."""
        self.fetched.append(url)
        outcome = self.downloads.pop(0) if self.downloads else mp4_bytes()
        if isinstance(outcome, Exception):
            raise outcome
        part.write_bytes(outcome)  # noqa: ASYNC240 - a test's few bytes

    def script(self, kind: str, *answers: Answer) -> None:
        """Script the responses to the next requests of a kind."""
        self.scripts.setdefault(kind, []).extend(answers)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        kind = _kind(request)
        if kind != "past_requests":  # read at the start of each new public page
            self.asked.append(kind)
        self.posts += request.method == "POST"
        if script := self.scripts.get(kind):
            response = script.pop(0)(request)
            if request.method == "POST" and response.status_code == 200:
                self.bill.append(json.loads(request.content))
            return response
        return getattr(self, f"_{kind}")(request)

    def _submit(self, request: httpx.Request) -> httpx.Response:
        self.bill.append(json.loads(request.content))
        return answer(200, {"request_id": f"request-{len(self.bill):04d}", "status": "QUEUED"})(request)

    def _generate(self, request: httpx.Request) -> httpx.Response:
        self.bill.append(json.loads(request.content))
        headers = {"content-type": "video/mp4", "x-cost": str(PRICE_USD), "x-request-id": f"v1-{len(self.bill):06d}"}
        return answer(200, content=mp4_bytes(), headers=headers)(request)

    def _status(self, request: httpx.Request) -> httpx.Response:
        seen = self.polls[request.url.path] = self.polls.get(request.url.path, 0) + 1
        state = "COMPLETED" if seen >= self._polls_needed else "QUEUED" if seen == 1 else "PROCESSING"
        return answer(200, {"status": state, "metrics": {}})(request)

    def _result(self, request: httpx.Request) -> httpx.Response:
        url = f"https://files.test{request.url.path}.mp4"
        metrics = {"cost": PRICE_USD, "inference_time": 190.0, "queue_time": 2.0}
        return answer(200, {"status": "COMPLETED", "output": url, "metrics": metrics})(request)

    def _history(self, request: httpx.Request) -> httpx.Response:
        return answer(404, {"error": "not found"})(request)

    _past_requests = _history

    def _credits(self, request: httpx.Request) -> httpx.Response:
        return answer(200, {"credits": 12.5, "free-credits": 0})(request)


def lost_connection() -> DownloadError:
    """Return a download error that may be retried."""
    return DownloadError("download_failed", reason="the connection broke")


def _kind(request: httpx.Request) -> str:
    path = request.url.path
    if request.method == "POST":
        return "submit" if path.startswith("/v2/") else "generate"
    if path.endswith("/status"):
        return "status"
    if path.startswith("/v2/requests/"):
        return "result"
    if path.endswith("/request-history"):
        return "past_requests"
    return "credits" if path.endswith("credits") else "history"
