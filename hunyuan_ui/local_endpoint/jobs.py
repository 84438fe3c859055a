"""Jobs of the local endpoint: request, state, cost, and rendering of the video."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import tempfile
import threading
import time
import uuid
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from hunyuan_ui.endpoint.contract import FILE_LIFE_S, MODEL, RECORD_LIFE_S, RemoteState
from hunyuan_ui.estimate import estimate
from hunyuan_ui.media import encode_mp4
from hunyuan_ui.request import FPS, VideoRequest

_T = TypeVar("_T")
_QUEUE_SHARE: Final = 0.1  # of a job's time; clients must handle a queued state, as the real service has a queue
_AT_ONCE: Final = 16  # jobs that are processed; the others wait in the queue
_RENDERERS: Final = 2  # threads; drawing and encoding release the GIL for most of their time


@dataclass(frozen=True, slots=True)
class Terms:
    """How jobs are run and billed.

    Args:
        seconds: Wall time of a job from submission to its end.
        is_free: Nothing is charged and nothing refused for lack of credits.
        record_life_s: Seconds after submission until polling answers 404.
        most_jobs: Finished jobs that are kept, with their files.
    """

    seconds: float
    is_free: bool
    record_life_s: float = RECORD_LIFE_S
    most_jobs: int = 200


@dataclass
class RemoteJob:
    """One accepted job. Times are in seconds of the monotonic clock, except `submitted_at`, which is UTC."""

    values: dict[str, Any]
    owner: str
    price: float
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    state: RemoteState = RemoteState.QUEUED
    submitted_at: float = field(default_factory=time.time)
    queued_at: float = field(default_factory=time.monotonic)
    started_at: float | None = None
    ended_at: float | None = None
    request: VideoRequest | None = None
    file: Path | None = None
    error: str | None = None
    cost: float | None = None
    remaining_credits: float | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """The service's `metrics`: empty while queued, without a cost after a failure."""
        if self.started_at is None or self.ended_at is None:
            return {}
        metrics = {
            "inference_time": round(self.ended_at - self.started_at, 6),
            "queue_time": round(self.started_at - self.queued_at, 6),
            "total_time": round(self.ended_at - self.queued_at, 6),
        }
        if self.cost is not None and self.remaining_credits is not None:
            metrics |= {"cost": self.cost, "remaining_credits": self.remaining_credits}
        return metrics

    @property
    def output_metadata(self) -> str:
        """Value of the service's `x-output-metadata` header."""
        assert self.request is not None
        width, height = self.request.real_size
        return json.dumps({"width": width, "height": height, "frames": self.request.video_length, "fps": FPS})


class InsufficientCreditsError(Exception):
    """The balance, minus the reservations of running jobs, is below the price."""


class Jobs:
    """All jobs of one local endpoint, and the account that they are charged to.

    Args:
        terms: How jobs are run and billed.
        credits: The account's balance in US dollars.
        work_dir: Parent of the folder for the videos; the system's folder for temporary files if None.
    """

    def __init__(self, terms: Terms, credits: float, work_dir: Path | None) -> None:
        self.credits = credits
        self._terms = terms
        self._work_dir = work_dir
        self._jobs: OrderedDict[str, RemoteJob] = OrderedDict()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._is_closing = threading.Event()

    def submit(self, values: Mapping[str, Any], key: str, *, is_free: bool = False) -> RemoteJob:
        """Accept a job and start it; its values are validated when it runs, as the service does.

        Args:
            values: By the wire names of the request's fields.
            key: The caller's.
            is_free: This job costs nothing, whatever the terms say.

        Raises:
            InsufficientCreditsError: The credits do not cover its estimated price.
        """
        job = RemoteJob(dict(values), _owner(key), 0.0 if is_free else self._price(values))
        reserved = sum(other.price for other in self._jobs.values() if other.ended_at is None)
        if self.credits - reserved < job.price:
            raise InsufficientCreditsError
        self._forget_old()
        self._jobs[job.id] = job
        task = asyncio.get_running_loop().create_task(self._run(job))
        self._tasks[job.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(job.id, None))
        return job

    async def finished(self, job: RemoteJob) -> RemoteJob:
        """Wait until a job has ended."""
        task = self._tasks.get(job.id)
        if task:
            await asyncio.wait([task])
        return job

    def find(self, request_id: str, key: str, *, expired: bool = False) -> RemoteJob | None:
        """Return this key's job, or None if there is none or its record has expired for polling.

        Args:
            request_id: As returned on submission.
            key: The caller's key; other keys' jobs are not found.
            expired: Whether to include jobs whose record has expired, as the history does.
        """
        job = self._jobs.get(request_id)
        if job is None or not secrets.compare_digest(job.owner, _owner(key)):
            return None
        is_expired = time.time() - job.submitted_at > self._terms.record_life_s
        return job if expired or not is_expired else None

    def of(self, key: str) -> list[RemoteJob]:
        """Return this key's jobs, newest first."""
        return [job for job in reversed(self._jobs.values()) if secrets.compare_digest(job.owner, _owner(key))]

    def drop(self, job: RemoteJob) -> None:
        """Delete a job; its finished file is removed immediately, one being rendered at its end."""
        self._jobs.pop(job.id, None)
        if job.file:
            job.file.unlink(missing_ok=True)

    def file(self, name: str) -> Path | None:
        """Return a finished video by the unguessable name in its address."""
        for job in self._jobs.values():
            if job.file and secrets.compare_digest(job.file.name.encode(), name.encode()):
                return job.file if time.time() - job.submitted_at <= FILE_LIFE_S else None
        return None

    async def aclose(self) -> None:
        """Cancel running jobs and remove every file."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if "_renderers" in self.__dict__:
            self._is_closing.set()
            await asyncio.to_thread(self._renderers.shutdown, cancel_futures=True)
            del self._renderers
        if "_folder" in self.__dict__:
            shutil.rmtree(self._folder, ignore_errors=True)
            del self._folder

    async def _run(self, job: RemoteJob) -> None:
        due = job.queued_at + self._terms.seconds
        try:
            await asyncio.sleep(self._terms.seconds * _QUEUE_SHARE)
            async with self._slots:
                job.state, job.started_at = RemoteState.PROCESSING, time.monotonic()
                await self._process(job)
                if job.file:
                    await asyncio.sleep(due - time.monotonic())
        finally:
            job.started_at = job.started_at or time.monotonic()
            job.ended_at = time.monotonic()
            if job.file:
                self.credits -= job.price
                job.cost, job.remaining_credits = job.price, self.credits
                job.state = RemoteState.COMPLETED
            else:
                job.state, job.error = RemoteState.FAILED, job.error or "Internal error"

    async def _process(self, job: RemoteJob) -> None:
        try:
            request = VideoRequest.model_validate(_known(job.values)).with_drawn_seed()
        except ValidationError as error:
            job.error = _sentence(error, job.values)
            return
        path = self._folder / f"{secrets.token_hex(24)}.mp4"
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._renderers, _render, request, path, self._is_closing)
        job.request, job.file = request, path

    def _price(self, values: Mapping[str, Any]) -> float:
        if self._terms.is_free:
            return 0.0
        try:
            return round(estimate(VideoRequest.model_validate(_known(values))).cost_usd, 6)
        except ValidationError:
            return 0.0  # it will fail, and failures are not charged

    def _forget_old(self) -> None:
        ended = [job for job in self._jobs.values() if job.ended_at is not None]
        for job in ended[: max(0, len(ended) - self._terms.most_jobs + 1)]:
            del self._jobs[job.id]
            if job.file:
                job.file.unlink(missing_ok=True)

    @cached_property
    def _renderers(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(_RENDERERS, thread_name_prefix="local-endpoint")

    @cached_property
    def _folder(self) -> Path:
        folder = tempfile.mkdtemp(prefix="local-endpoint-", dir=self._work_dir)
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)


class _ClosingError(Exception):
    """The endpoint is closing while a video is rendered."""


def _render(request: VideoRequest, path: Path, is_closing: threading.Event) -> None:
    # Imported with the first video: Pillow and numpy are not needed to start.
    from hunyuan_ui.local_endpoint.scene.render import frames

    encode_mp4(path, *request.real_size, FPS, _until(is_closing, frames(request)))


def _until(is_closing: threading.Event, items: Iterable[_T]) -> Iterator[_T]:
    for item in items:
        if is_closing.is_set():
            raise _ClosingError
        yield item


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in VideoRequest.model_fields}


def _sentence(error: ValidationError, values: Mapping[str, Any]) -> str:
    """Format a validation error in the style of the service's worker; the prompt's text is never repeated."""
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0])
    if first["type"] == "frames_not_possible":
        return f"`video_length-1` must be multiple of 4, got {values.get(name)}"
    if name == "prompt" and first["type"] == "string_too_short":
        return "Prompt is required for video generation."
    if name == "prompt" and not isinstance(values.get(name), str):
        return "Prompt is Mandatory and must be string"
    return f"{MODEL}: {name}: {first['msg']}"


def _owner(key: str) -> str:
    return sha256(key.encode()).hexdigest()
