"""EngineClient: HTTP client for a self-hosted engine that speaks `/v1/videos`.

The POST is sent once: no engine supports an idempotency key. Differences between engines are in `engines.py`.
Source: docs/facts/engines.md 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
import httpx

from hunyuan_ui.endpoint import engines
from hunyuan_ui.endpoint.calls import Calls, Timeouts
from hunyuan_ui.endpoint.contract import (
    Accepted,
    HistoryRow,
    RemoteResult,
    RemoteState,
    RemoteStatus,
    is_gone,
    is_same_id,
)
from hunyuan_ui.endpoint.download import Check, FetchLimits, fetch
from hunyuan_ui.endpoint.embedded_video import MOST_BYTES
from hunyuan_ui.endpoint.http import REDIRECTS
from hunyuan_ui.endpoint.responses import Answer, raise_unless_success
from hunyuan_ui.endpoint.retry_after import retry_after_s
from hunyuan_ui.endpoint.safe_transport import UrlPolicy
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
from hunyuan_ui.outbound_proxies import DIRECT, Proxies
from hunyuan_ui.request import VideoRequest

_MOST_LISTED: Final = 100


class EngineClient:
    """Client of a self-hosted engine; the key, if it has one, is passed with each call and never stored.

    Errors are those of `EndpointClient`; an engine that was restarted no longer knows its jobs.

    Args:
        base_url: Of the engine, such as `http://gpu.local:30000`; a trailing `/v1` is dropped.
        model: The engine's name of the model; sent only if set, as a wrong one is rejected.
        proxies: The proxy of each host for https; an engine over plain http is reached directly.
    """

    def __init__(
        self,
        base_url: str,
        *,
        model: str | None = None,
        timeouts: Timeouts = Timeouts(),
        fetch_limits: FetchLimits = FetchLimits(),
        proxies: Proxies = DIRECT,
    ) -> None:
        self.base_url = base_url.rstrip("/").removesuffix("/v1")
        url = httpx.URL(self.base_url)
        self._model = model
        self._timeouts = timeouts
        self._fetch_limits = fetch_limits
        self._proxies = proxies if url.scheme == "https" else proxies.without(url.host)
        self._calls = Calls(None, timeouts, self._proxies)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._calls.aclose()

    async def is_ready(self, key: str) -> bool:
        """Return whether the engine accepts jobs: any status but 503, which means that its model is loading."""
        return (await self._get(engines.HEALTH, key)).status != engines.NOT_READY

    async def check(self, key: str) -> None:
        """Request the list of jobs, which is free and reveals a wrong key or an address without an engine.

        Raises:
            AuthenticationError: The engine refused the key.
        """
        answer = await self._get(f"{engines.VIDEOS}?limit=1", key)
        raise_unless_success(answer)
        if engines.listed(answer.value) is None:
            raise UnexpectedResponseError("bad_answer", reason=answer.problem or answer.detail)

    async def submit(self, request: VideoRequest, key: str) -> Accepted:
        """Send a job, once, and return the accepted job."""
        deadline = anyio.current_time() + self._timeouts.submit_s
        url, parts = self.base_url + engines.VIDEOS, engines.parts_of(request, self._model)
        reply = await self._calls.post(url, _bearer(key), key, deadline, parts=parts)
        answer = await reply.read_all(MOST_BYTES)
        request_id = engines.id_in(answer.fields, answer.body)
        if request_id is not None and (answer.is_success or engines.job_in(answer.fields) is not None):
            return Accepted(request_id)
        if answer.is_success and answer.video is not None:
            return Accepted("", video=answer.video)
        raise _post_error(answer)

    async def status(self, request_id: str, key: str) -> RemoteStatus:
        """Return the state of a job."""
        job = await self._job(request_id, key)
        return RemoteStatus(engines.state_in(job), engines.metrics_in(job), engines.progress_in(job))

    async def result(self, request_id: str, key: str) -> RemoteResult:
        """Return the address of a completed job's video, and its running time."""
        job = await self._job(request_id, key)
        # For an unfinished job one engine returns half a file, and 200.
        if engines.state_in(job) is not RemoteState.COMPLETED:
            raise UnexpectedResponseError("bad_answer", reason=reason("not_finished"))
        url = engines.bucket_url_in(job)
        if url is None or not self._may_open(url):
            url = f"{self.base_url}{_path(request_id)}{engines.CONTENT}"
        return RemoteResult(url, engines.metrics_in(job))

    def _may_open(self, url: str) -> bool:
        """Whether an address can be fetched at all: an engine may name the one that it has for itself."""
        try:
            UrlPolicy(self.base_url).check(url)
        except DownloadError:
            return False
        return True

    async def history(self, _request_id: str, _key: str, /) -> HistoryRow | None:
        """Return None: an engine keeps no history besides its jobs."""
        return None

    async def sent(self, request: VideoRequest, key: str, sent_at: float) -> list[str]:
        """Return the ids of the jobs that can only be this request, if the engine lists jobs with their prompts.

        Args:
            sent_at: When, in UTC seconds.
        """
        answer = await self._get(f"{engines.VIDEOS}?limit={_MOST_LISTED}&order=desc", key)
        raise_unless_success(answer)
        items = engines.listed(answer.value) or []
        return [str(item["id"]) for item in items if engines.is_of(item, request, sent_at)]

    async def stop(self, request_id: str, key: str) -> bool:
        """Stop a run and return whether it was stopped; calls only an engine whose DELETE stops runs."""
        engine = engines.engine_of(request_id)
        if engine is None or not engine.stops:
            return False
        answer = await self._get(_path(request_id), key, method="DELETE")
        if answer.status in engines.NOT_STOPPED:
            return False
        raise_unless_success(answer)
        return True

    async def fetch(self, url: str, part: Path, *, key: str, check: Check) -> None:
        """Download a video into a `.part` file, complete and checked or not at all.

        Args:
            url: From `result`.
            key: The engine's, sent to its own origin only.

        Raises:
            DownloadError: The file is incomplete or does not exist.
            StorageError: The disk is full or cannot be written.
        """
        download = partial(
            fetch,
            part=part,
            own_origin=self.base_url,
            check=check,
            limits=self._fetch_limits,
            proxies=self._proxies,
            own_headers=_bearer(key),
        )
        try:
            await download(url)
            return
        except DownloadError as error:
            is_elsewhere = error.expired or error.facts.get("reason") == reason("not_an_mp4")
            if not is_elsewhere or not url.startswith(self.base_url):
                raise
            refusal = error
        link = await self._link_instead(url, key)
        if link is None:
            raise refusal
        await download(link)

    async def _link_instead(self, url: str, key: str) -> str | None:
        """Return the address that an engine names in place of the content, or in the job."""
        path = url.removeprefix(self.base_url)
        with suppress(EndpointError):
            answer = await self._get(path, key)
            fields = answer.fields or {}
            named = (
                engines.link_in(engines.refusal_in(fields) or "") if answer.status == engines.KEPT_ELSEWHERE else None
            )
            if link := named or (engines.url_in(fields, self.base_url) if answer.is_success else None):
                return link
            answer = await self._get(path.removesuffix(engines.CONTENT), key)
            job = engines.job_in(answer.fields)
            return None if job is None else engines.url_in(job, self.base_url)
        return None

    async def _job(self, request_id: str, key: str) -> Mapping[str, Any]:
        answer = await self._get(_path(request_id), key)
        job = engines.job_in(answer.fields, request_id if answer.is_success else None)
        if job is None:
            if answer.status == 404 and not answer.is_html:
                raise RequestExpiredError("engine_forgot", request_id=request_id)
            raise_unless_success(answer)
            raise UnexpectedResponseError("bad_answer", reason=answer.problem or answer.detail)
        if not is_same_id(str(job["id"]), request_id):
            raise UnexpectedResponseError("bad_answer", reason=reason("another_request"))
        if is_gone(job["status"]):
            raise RequestExpiredError("engine_forgot", request_id=request_id)
        if engines.state_in(job) is RemoteState.FAILED:
            sentence = engines.sentence_in(job)
            seconds = engines.metrics_in(job).inference_time
            worked = {} if seconds is None else {"worked_s": seconds}
            if sentence is None:
                raise JobFailedError("engine_failed_unexplained", **worked)
            raise JobFailedError("engine_failed", detail=answer.plain(sentence), **worked)
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
        return AuthenticationError("engine_key_refused", status=status, detail=detail)
    if 400 <= status < 500 and status not in (408, 499):
        return EndpointStatusError("engine_refused", status=status, detail=detail)
    if status >= 400:
        return OutcomeUnknownError("engine_unsure", status=status)
    return OutcomeUnknownError("engine_unreadable", reason=answer.problem or detail)


def _detail(answer: Answer) -> str | Reason:
    sentence = engines.refusal_in(answer.fields) if answer.fields else None
    return answer.detail if sentence is None else answer.plain(sentence).rstrip(" .") or answer.detail


def _path(request_id: str) -> str:
    if engines.job_id(request_id) is None:
        raise ValueError("not a request id")
    return f"{engines.VIDEOS}/{request_id}"


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}
