"""Fake self-hosted engines: one for each column of docs/facts/engines.md 1, with all its quirks."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from email.parser import BytesParser
from typing import Any

from tests.raw_service import Received, Reply, answer

VIDEOS = "/v1/videos"
HEALTH = "/health"
TOOK_S = 211

_KNOWN = {
    *("prompt", "model", "size", "num_frames", "fps", "seed", "num_inference_steps", "negative_prompt", "seconds"),
    *("guidance_scale", "width", "height"),
}


@dataclass(frozen=True)
class Quirks:
    """Peculiarities of one kind of engine: a column of the table.

    Args:
        new_id: Generates a job id.
        words: A job's status words, from the first poll to the last.
        moves: Whether its progress changes; None if it reports none.
        has_prompts: Its list of jobs contains the prompts.
        stops: Its DELETE stops a run.
        leak: Field in which its jobs contain a path of its machine.
        created: HTTP status of an accepted job.
        failed: HTTP status of a job that failed.
        early: HTTP status of content before the end; with 200 half of the file is returned.
        refuses: Returns why a create is refused, from its content type and its values.
        is_flat: Its errors are not nested.
    """

    new_id: Callable[[], str]
    words: tuple[str, ...]
    moves: bool | None = False
    has_prompts: bool = False
    stops: bool = False
    leak: str | None = None
    created: int = 200
    failed: int = 200
    early: int = 404
    refuses: Callable[[str, dict[str, str]], str | None] = lambda *_: None
    is_flat: bool = False


KINDS = {
    "sglang": Quirks(
        new_id=lambda: str(uuid.uuid4()),
        words=("queued", "in_progress", "in_progress", "completed"),
        moves=True,
        leak="file_path",
    ),
    "vllm": Quirks(
        new_id=lambda: f"video_gen_{uuid.uuid4().hex}",
        words=("queued", "in_progress", "completed"),
        has_prompts=True,
        stops=True,
        failed=500,
        refuses=lambda kind, _: None if kind.startswith("multipart/") else "multipart only",
    ),
    "fastvideo": Quirks(
        new_id=lambda: uuid.uuid4().hex,
        words=("queued", "queued", "completed"),
        leak="file_path",
        early=200,
        refuses=lambda _, values: None if "size" in values else "size only",
    ),
    "tensorrt": Quirks(
        new_id=lambda: f"video_{uuid.uuid4().hex}",
        words=("queued", "generating", "postprocessing", "completed"),
        moves=None,
        has_prompts=True,
        leak="output_path",
        created=202,
        early=400,
        refuses=lambda _, values: "Extra inputs are not permitted" if set(values) - _KNOWN else None,
        is_flat=True,
    ),
}


@dataclass
class FakeEngine:
    """Responds as one kind of engine; each job advances by one status word per poll.

    Args:
        kind: One of `KINDS`.
        video_of: Returns the video of a prompt.
        key: The required bearer token, if any.
        forgets: Whether it was restarted: it knows no job any more.
        fails: What each job's `error` is, in place of a video.
        created_at: The jobs' reported creation time; now if None.
    """

    kind: str
    video_of: Callable[[str], bytes]
    key: str | None = None
    fails: object = None
    is_warm: bool = True
    lists: bool = True
    created_at: float | None = None
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict[str, Any])
    asked: Counter[str] = field(default_factory=Counter[str])
    deleted: list[str] = field(default_factory=list[str])
    took_s: int = TOOK_S
    is_busy: bool = False  # no job ends
    tells_failed_times: bool = False
    content_type: str = "video/mp4"  # that a finished video is served with
    progress: int | None = None  # reported progress in place of a changing number

    @property
    def quirks(self) -> Quirks:
        """Of its kind."""
        return KINDS[self.kind]

    def restart(self) -> None:
        """Delete every job, as a restart does in each engine."""
        self.jobs.clear()

    def behave(self, received: Received) -> Reply:
        """Return the answer to a request."""
        path, _, query = received.path.partition("?")
        if path == HEALTH:
            return answer(200 if self.is_warm else 503, {"status": "ok" if self.is_warm else "starting"})
        if self.key is not None and received.headers.get("authorization") != f"Bearer {self.key}":
            return answer(401, {"error": "Unauthorized"})
        if path == VIDEOS:
            return self._create(received) if received.method == "POST" else self._list(query)
        request_id = path.removeprefix(VIDEOS + "/").partition("/")[0]
        job = self.jobs.get(request_id)
        if job is None:
            return self._error(404, f"Video {request_id} not found")
        if received.method == "DELETE":
            return self._delete(request_id)
        return self._content(job) if path.endswith("/content") else self._get(job)

    # internal

    def _create(self, received: Received) -> Reply:
        values = parts_in(received.body)
        if (why := self.quirks.refuses(received.headers["content-type"], values)) is not None:
            return self._error(422, why)
        request_id = self.quirks.new_id()
        self.jobs[request_id] = {
            "id": request_id,
            "object": "video",
            "model": "hunyuan",
            "size": values["size"],
            "created_at": int(self.created_at or time.time()),
            "values": values,
        }
        return answer(self.quirks.created, self._shown(self.jobs[request_id], "queued"))

    def _shown(self, job: dict[str, Any], word: str) -> dict[str, Any]:
        is_done = word == self.quirks.words[-1]
        shown = {name: value for name, value in job.items() if name != "values"} | {"status": word}
        if self.quirks.moves is not None:
            moves = self.quirks.moves and word == "in_progress"
            told = 30 * self.asked[job["id"]] % 100 if self.progress is None else self.progress
            shown["progress"] = 100 if is_done else told if moves else 0
        if self.quirks.has_prompts:
            shown["prompt"] = job["values"]["prompt"]
        leak = self.quirks.leak
        if leak:
            shown |= {leak: f"/srv/secret/{job['id']}.mp4", f"{leak}s": [f"/srv/secret/{job['id']}.mp4"]}
        return shown | ({"completed_at": job["created_at"] + self.took_s} if is_done else {})

    def _get(self, job: dict[str, Any]) -> Reply:
        words = self.quirks.words
        word = words[min(self.asked[job["id"]], len(words) - (2 if self.is_busy else 1))]
        self.asked[job["id"]] += 1
        if word == self.quirks.words[-1] and self.fails is not None:
            times = {"completed_at": job["created_at"] + self.took_s} if self.tells_failed_times else {}
            return answer(self.quirks.failed, {**self._shown(job, "failed"), **times, "error": self.fails})
        return answer(200, self._shown(job, word))

    def _content(self, job: dict[str, Any]) -> Reply:
        video = self.video_of(job["values"]["prompt"])
        is_done = self.asked[job["id"]] >= len(self.quirks.words)
        if is_done:
            return answer(200, video, content_type=self.content_type)
        if self.quirks.early == 200:
            return answer(200, video[: len(video) // 2], content_type="video/mp4")
        return self._error(self.quirks.early, "not ready")

    def _delete(self, request_id: str) -> Reply:
        self.deleted.append(request_id)
        del self.jobs[request_id]
        return answer(200, {"id": request_id, "deleted": True})

    def _list(self, query: str) -> Reply:
        assert query
        rows = [self._shown(job, "queued") for job in reversed(self.jobs.values())] if self.lists else []
        return answer(200, {"object": "list", "data": rows})

    def _error(self, status: int, text: str) -> Reply:
        flat = {"message": text, "type": "invalid_request_error", "code": status}
        return answer(status, flat if self.quirks.is_flat else {"detail": text})


def parts_in(body: bytes) -> dict[str, str]:
    """Parse the values of a create, multipart or JSON."""
    if body.startswith(b"{"):
        return {name: str(value) for name, value in json.loads(body).items()}
    boundary = re.match(rb"--(\S+)\r\n", body)
    assert boundary
    head = b"Content-Type: multipart/form-data; boundary=" + boundary[1] + b"\r\n\r\n"
    found: dict[str, str] = {}
    for part in BytesParser().parsebytes(head + body).walk():
        if not part.is_multipart():
            assert part.get_filename() is None, "a text, not a file"
            payload = part.get_payload(decode=True)
            assert isinstance(payload, bytes)
            found[str(part.get_param("name", header="content-disposition"))] = payload.decode("utf-8")
    return found
