"""EngineClient: an engine of one's own that speaks `/v1/videos`, over HTTP, and nothing else.

The POST goes out once: no engine knows an idempotency key. What engines differ in is in `engines.py`.
Source: docs/facts/engines.md 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import anyio
import httpx

from hunyuan_ui.endpoint import engines
from hunyuan_ui.endpoint.calls import CALM, Calls, Timeouts
from hunyuan_ui.endpoint.contract import (
    Accepted,
    HistoryRow,
    RemoteResult,
    RemoteState,
    RemoteStatus,
    is_same_id,
)
from hunyuan_ui.endpoint.download import Check, FetchLimits, fetch
from hunyuan_ui.endpoint.http import REDIRECTS, retry_after_s
from hunyuan_ui.endpoint.responses import Answer, raise_unless_success
from hunyuan_ui.errors import (
    AuthenticationError,
    DownloadError,
    EndpointError,
    EndpointStatusError,
    JobFailedError,
    OutcomeUnknownError,
    RateLimitError,
    Reason,
    RequestExpiredError,
    UnexpectedResponseError,
    reason,
)
from hunyuan_ui.proxies import DIRECT, Proxies
from hunyuan_ui.request import VideoRequest

_MOST_LISTED: Final = 100
_CALM_FETCH: Final = FetchLimits()


class EngineClient:
    """Speaks to an engine of one's own; the key, if it has one, comes with each call and is never kept.

    Args:
        base_url: Where the engine is, such as `http://gpu.local:30000`; an ending `/v1` is dropped.
        model: What the engine calls the model; sent only where it is set, as a wrong one is refused.
        transport: In place of real connections; closed with the client.
        timeouts: Wall-clock limits.
        fetch_limits: How far, how much and how slowly a video may come.
        proxies: Through which a host is reached; an engine over plain http is reached directly, as they are for https.
    """

    def __init__(
        self,
        base_url: str,
        *,
        model: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        timeouts: Timeouts = CALM,
        fetch_limits: FetchLimits = _CALM_FETCH,
        proxies: Proxies = DIRECT,
    ) -> None:
        self.base_url = base_url.rstrip("/").removesuffix("/v1")
        url = httpx.URL(self.base_url)
        self._model = model
        self._transport = transport
        self._timeouts = timeouts
        self._fetch_limits = fetch_limits
        self._proxies = proxies if url.scheme == "https" else proxies.without(url.host)
        self._calls = Calls(transport, timeouts, self._proxies)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._calls.aclose()

    async def is_ready(self, key: str) -> bool:
        """Return whether the engine takes jobs: everything but 503, which says that its model is being loaded.

        Raises:
            EndpointError: Not reachable.
        """
        return (await self._get(engines.HEALTH, key)).status != engines.NOT_READY

    async def check(self, key: str) -> None:
        """Ask for the list of jobs, which costs nothing and tells a wrong key and a place where no engine is.

        Raises:
            AuthenticationError: The engine refused the key.
            EndpointError: Not reachable, refused, or answered with something else.
        """
        answer = await self._get(f"{engines.VIDEOS}?limit=1", key)
        raise_unless_success(answer)
        if not engines.is_list(answer.value):
            raise UnexpectedResponseError("bad_answer", reason=answer.problem or answer.detail)

    async def submit(self, request: VideoRequest, key: str) -> Accepted:
        """Send a job, once, and return what the engine took it as.

        Raises:
            EndpointUnreachableError: It was never sent.
            EndpointStatusError: The engine refused it.
            OutcomeUnknownError: It was sent and no usable answer came.
        """
        deadline = anyio.current_time() + self._timeouts.submit_s
        url, parts = self.base_url + engines.VIDEOS, engines.parts_of(request, self._model)
        reply = await self._calls.post(url, _bearer(key), key, deadline, parts=parts)
        answer = await reply.read_all()
        request_id = engines.id_in(answer.fields, answer.body)
        if request_id is not None and (answer.is_success or engines.job_in(answer.fields) is not None):
            return Accepted(request_id)
        raise _post_error(answer)

    async def status(self, request_id: str, key: str) -> RemoteStatus:
        """Return where a job is.

        Raises:
            JobFailedError: It failed there.
            RequestExpiredError: The engine does not know it: it was restarted.
            EndpointError: Not reachable, refused, or answered with something else; ask again.
        """
        job = await self._job(request_id, key)
        word = str(job["status"])[:40]
        return RemoteStatus(engines.state_in(job), engines.metrics_in(job), word, engines.progress_in(job))

    async def result(self, request_id: str, key: str) -> RemoteResult:
        """Return where the video of a completed job is, and how long it took.

        Raises:
            JobFailedError: It failed there.
            RequestExpiredError: The engine does not know it.
            EndpointError: Not reachable, refused, not completed, or answered with something else; ask again.
        """
        job = await self._job(request_id, key)
        # Before the end one engine answers with half a file, and 200.
        if engines.state_in(job) is not RemoteState.COMPLETED:
            raise UnexpectedResponseError("bad_answer", reason=reason("not_finished"))
        url = engines.url_in(job) or f"{self.base_url}{_path(request_id)}{engines.CONTENT}"
        return RemoteResult(url, engines.metrics_in(job))

    async def history(self, _request_id: str, _key: str, /) -> HistoryRow | None:
        """Return None: an engine keeps no record beside its jobs."""
        return None

    async def sent(self, request: VideoRequest, key: str, sent_at: float) -> list[str]:
        """Return the ids of the jobs that can only be this request, where the engine lists jobs with their prompts.

        Args:
            request: What was sent.
            key: The engine's, if it has one.
            sent_at: When, in UTC seconds.

        Raises:
            EndpointError: Not reachable, refused, or answered with something else.
        """
        answer = await self._get(f"{engines.VIDEOS}?limit={_MOST_LISTED}&order=desc", key)
        raise_unless_success(answer)
        items = engines.listed(answer.value)
        return [str(item["id"]) for item in items if engines.is_of(item, request, sent_at)]

    async def stop(self, request_id: str, key: str) -> bool:
        """Stop a run and return whether it was stopped; asks only an engine whose DELETE does that.

        Raises:
            EndpointError: Not reachable, refused, or answered with something else.
        """
        engine = engines.engine_of(request_id)
        if engine is None or not engine.stops:
            return False
        answer = await self._get(_path(request_id), key, method="DELETE")
        if answer.status in engines.NOT_STOPPED:
            return False
        raise_unless_success(answer)
        return True

    async def fetch(self, url: str, part: Path, *, key: str, check: Check) -> None:
        """Fetch a video into a `.part` file, whole and checked or not at all.

        Args:
            url: From `result`.
            part: Where to.
            key: The engine's, sent to its own origin alone.
            check: Raises MediaError unless the file is a whole video.

        Raises:
            DownloadError: Not all of it came, or it is not there.
            StorageError: The disk is full or cannot be written.
        """
        try:
            await self._fetch(url, part, key, check)
            return
        except DownloadError as error:
            if not error.expired or not url.startswith(self.base_url):
                raise
            refusal = error
        link = await self._link_instead(url, key)
        if link is None:
            raise refusal
        await self._fetch(link, part, key, check)

    async def _fetch(self, url: str, part: Path, key: str, check: Check) -> None:
        await fetch(
            url,
            part,
            own_origin=self.base_url,
            check=check,
            limits=self._fetch_limits,
            proxies=self._proxies,
            transport=self._transport,
            own_headers=_bearer(key),
        )

    async def _link_instead(self, url: str, key: str) -> str | None:
        """Return the address of the bucket that an engine names in its refusal to give the content."""
        try:
            answer = await self._get(url.removeprefix(self.base_url), key)
        except EndpointError:
            return None
        fields = answer.fields if answer.status == engines.KEPT_ELSEWHERE else None
        return engines.link_in(engines.refusal_in(fields) or "") if fields else None

    async def _job(self, request_id: str, key: str) -> Mapping[str, Any]:
        answer = await self._get(_path(request_id), key)
        job = engines.job_in(answer.fields)
        if job is None:
            if answer.status == 404 and not answer.is_html:
                raise RequestExpiredError("engine_forgot", request_id=request_id)
            raise_unless_success(answer)
            raise UnexpectedResponseError("bad_answer", reason=answer.problem or answer.detail)
        if not is_same_id(str(job["id"]), request_id):
            raise UnexpectedResponseError("bad_answer", reason=reason("another_request"))
        if engines.state_in(job) is RemoteState.FAILED:
            said = engines.sentence_in(job)
            seconds = engines.metrics_in(job).inference_time
            worked = {} if seconds is None else {"worked_s": seconds}
            if said is None:
                raise JobFailedError("engine_failed_unexplained", **worked)
            raise JobFailedError("engine_failed", detail=answer.plain(said), **worked)
        return job

    async def _get(self, path: str, key: str, *, method: str = "GET") -> Answer:
        answer = await self._calls.get(self.base_url + path, _bearer(key), key, method=method)
        if answer.status in (401, 403):
            raise AuthenticationError("engine_key_refused", detail=_detail(answer))
        return answer


def _post_error(answer: Answer) -> EndpointError:
    status, detail = answer.status, _detail(answer)
    if status == 429:
        return RateLimitError(retry_after_s(answer.headers))
    if status in REDIRECTS:
        return EndpointStatusError("service_moved", status=status)
    if status in (401, 403):
        return AuthenticationError("engine_key_refused", detail=detail)
    if 400 <= status < 500 and status not in (408, 499):
        return EndpointStatusError("engine_refused", status=status, detail=detail)
    if status >= 400:
        return OutcomeUnknownError("engine_unsure", status=status)
    return OutcomeUnknownError("engine_unreadable", reason=answer.problem or detail)


def _detail(answer: Answer) -> str | Reason:
    said = engines.refusal_in(answer.fields) if answer.fields else None
    return answer.detail if said is None else answer.plain(said).rstrip(" .") or answer.detail


def _path(request_id: str) -> str:
    if engines.job_id(request_id) is None:
        raise ValueError("not a request id")
    return f"{engines.VIDEOS}/{request_id}"


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}
