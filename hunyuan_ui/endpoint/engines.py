"""Differences between engines that speak `/v1/videos`: the only module to change for another engine.

This module does no I/O. `openai_videos.py` calls these functions and knows no engine by name. Source:
docs/facts/engines.md 1, column by column, and 2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from hunyuan_ui.endpoint import contract
from hunyuan_ui.endpoint.contract import Metrics, RemoteState
from hunyuan_ui.endpoint.retry_after import MILLISECONDS, moment
from hunyuan_ui.request import FPS, VideoRequest

VIDEOS: Final = "/v1/videos"
HEALTH: Final = "/health"
NOT_READY: Final = 503  # of HEALTH: the model is loading
CONTENT: Final = "/content"  # appended to a job's path
NOT_STOPPED: Final = (404, 409)  # of a DELETE: the job has ended, or is already being stopped
KEPT_ELSEWHERE: Final = 400  # of CONTENT: the error may name the video's address

# Request fields that no engine accepts per request; their values are set when the engine starts.
SET_AT_ENGINE: Final = ("flow_shift", "embedded_guidance_scale")

_LEAKS: Final = ("file_path", "file_paths", "output_path", "output_paths")
_TEXTS: Final = ("message", "detail", "msg", "error", "code", "type")  # fields of an error with its message, best first
_LINK: Final = re.compile(r"https?://[^\s\"'<>\\)\]]+")
_CLOCKS_APART_S: Final = 60.0  # possible clock difference between two machines of one owner
_ZONE: Final = re.compile(r"(?:Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)$", re.IGNORECASE)
_JOB_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:~-]{0,255}")
_IDS: Final = ("id", "video_id", "task_id", "job_id")
_ENVELOPES: Final = (*contract.ENVELOPES, "video")
_CUT_ID: Final = re.compile(rb'"(?:%s)"\s*:\s*"([A-Za-z0-9._:~-]+)"' % "|".join(_IDS).encode())


@dataclass(frozen=True, slots=True)
class Engine:
    """One kind of engine.

    Args:
        name: The official spelling.
        ids: Pattern of its job ids, which identifies the engine.
        stops: Whether DELETE stops a run; elsewhere it only deletes the result.
    """

    name: str
    ids: re.Pattern[str]
    stops: bool = False


_HEX: Final = "[0-9a-f]"
ENGINES: Final = (
    Engine("SGLang-Diffusion", re.compile(rf"{_HEX}{{8}}(-{_HEX}{{4}}){{3}}-{_HEX}{{12}}")),
    Engine("vLLM-Omni", re.compile(rf"video_gen_{_HEX}{{32}}"), stops=True),
    Engine("FastVideo", re.compile(rf"{_HEX}{{32}}")),
    Engine("TensorRT-LLM VisualGen", re.compile(rf"video_{_HEX}{{32}}")),
)


def engine_of(request_id: str) -> Engine | None:
    """Return the engine whose ids have this form, or None if unknown."""
    return next((engine for engine in ENGINES if engine.ids.fullmatch(request_id)), None)


def parts_of(request: VideoRequest, model: str | None) -> dict[str, str]:
    """Return the multipart fields that every engine accepts; the owner's model only if set."""
    width, height = request.real_size
    parts = {
        "prompt": request.prompt,
        "size": f"{width}x{height}",
        "num_frames": str(request.video_length),
        "fps": str(FPS),
        "seed": str(request.seed),
        "num_inference_steps": str(request.infer_steps),
        "negative_prompt": request.negative_prompt,
    }
    # Some engines reject an empty part, others read it as a value.
    parts = {name: text for name, text in parts.items() if text}
    return parts if model is None else {**parts, "model": model}


def job_in(fields: Mapping[str, Any] | None, asked: str | None = None) -> Mapping[str, Any] | None:
    """Return the job in a body, with its `id` and `status`, whatever the HTTP status was; None if there is none.

    Args:
        asked: The id that was asked about, if a body without one is about it.
    """
    places = _places(fields)
    is_about_it = asked is not None and not any(map(_id_of, places)) and contract.state_in(fields or {}) is not None
    for place in places:
        found, word = asked if is_about_it else _id_of(place), next(iter(contract.status_words(place)), None)
        if found is not None and word is not None:
            return {**place, "id": found, "status": word}
    return None


def job_id(named: object) -> str | None:
    """Return an id as text; None for a value that is not safe inside a path."""
    text = str(named) if isinstance(named, (str, int)) and not isinstance(named, bool) else ""
    return text if _JOB_ID.fullmatch(text) else None


def id_in(fields: Mapping[str, Any] | None, body: bytes) -> str | None:
    """Return the id in the response to a create, even if the response is truncated after it."""
    found = next(filter(None, map(_id_of, _places(fields))), None)
    if fields is None and (cut := _CUT_ID.search(body)):
        found = job_id(cut[1].decode("ascii"))
    return found


def _places(fields: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """Return where a body may have its job: at the top, else in an envelope."""
    inner = [] if fields is None else [fields.get(name) for name in _ENVELOPES]
    return [one for one in (fields, *inner) if isinstance(one, Mapping)]


def _id_of(fields: Mapping[str, Any]) -> str | None:
    return next(filter(None, (job_id(fields.get(name)) for name in _IDS)), None)


def state_in(job: Mapping[str, Any]) -> RemoteState:
    """Return the state of a job; an unknown status word means that it is still running."""
    return contract.state_of_row(job["status"]) or RemoteState.PROCESSING


def progress_in(job: Mapping[str, Any]) -> float | None:
    """Return a job's progress in percent once it moves: most engines report 0 until they report 100."""
    progress = contract.amount(job.get("progress"))
    return progress if progress is not None and 0 < progress < 100 else None


def metrics_in(job: Mapping[str, Any]) -> Metrics:
    """Return a job's running time in seconds; no engine names a price."""
    began, ended = _moment(job.get("created_at")), _moment(job.get("completed_at"))
    seconds = None if began is None or ended is None else ended - began
    return Metrics(inference_time=seconds if seconds is not None and seconds > 0 else None)


def bucket_url_in(job: Mapping[str, Any]) -> str | None:
    """Return the address of a job's video if the engine stores it in a bucket."""
    url = job.get("url")
    return url if isinstance(url, str) and _LINK.fullmatch(url) else None


def url_in(fields: Mapping[str, Any], base: str) -> str | None:
    """Return an address of the video in a job, in any field; it may be wrong, so that the content is asked first."""
    return contract.video_url({"output": fields.get("url")}, base) or contract.video_url(fields, base)


def link_in(text: str) -> str | None:
    """Return the address in an error for the content: the video is stored there."""
    found = _LINK.search(text)
    return found[0].rstrip(".,;") if found else None


def sentence_in(fields: Mapping[str, Any], name: str = "error") -> str | None:
    """Return an error's message, without paths: a text, an object with or without a code, or a list of them."""
    text = next(_texts(fields.get(name)), None)
    return None if text is None else without_paths(text, fields)


def refusal_in(fields: Mapping[str, Any]) -> str | None:
    """Return the message of an error response: in `error`, in `detail`, or at the top level."""
    return next(
        (text for name in ("error", "detail") if (text := sentence_in(fields, name))), next(_texts(fields), None)
    )


def without_paths(text: str, job: Mapping[str, Any]) -> str:
    """Return a text without the paths on the engine's machine that the job names."""
    for name in _LEAKS:
        value = job.get(name)
        for path in cast("list[object]", value) if isinstance(value, list) else [value]:
            if isinstance(path, str) and path:
                text = text.replace(path, "…")
    return text


def listed(body: object) -> list[Mapping[str, Any]] | None:
    """Return the jobs in a response to a list request, in any order; None for any other response."""
    if isinstance(body, Mapping):
        body = cast("Mapping[str, Any]", body).get("data")
    if not isinstance(body, list):
        return None
    return [cast("Mapping[str, Any]", item) for item in cast("list[object]", body) if isinstance(item, Mapping)]


def is_of(item: Mapping[str, Any], request: VideoRequest, sent_at: float) -> bool:
    """Whether a listed job can only be a certain request: its prompt matches, and nothing contradicts.

    Args:
        item: From `listed`; without a prompt it matches nothing.
        sent_at: UTC seconds.
    """
    width, height = request.real_size
    sent = {
        "prompt": request.prompt,
        "seed": request.seed,
        "size": f"{width}x{height}",
        "num_frames": request.video_length,
        "num_inference_steps": request.infer_steps,
    }
    same = all(str(item[name]) == str(value) for name, value in sent.items() if item.get(name) is not None)
    told = item.get("created_at")
    created = None if _is_local(told) else _moment(told)
    is_young = created is None or created > sent_at - _CLOCKS_APART_S
    return item.get("prompt") is not None and job_id(item.get("id")) is not None and same and is_young


def _moment(value: object) -> float | None:
    """Return UTC seconds of a number of (milli)seconds or of a date, taken as UTC if it names no zone; or None."""
    if isinstance(value, str):
        return moment(value[:80])
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1000 * MILLISECONDS:
        return None
    return value / 1000 if value >= MILLISECONDS else float(value)


def _is_local(value: object) -> bool:
    """Whether a date names no zone, and so may be of any clock."""
    return isinstance(value, str) and not value.strip().replace(".", "").isdigit() and not _ZONE.search(value.strip())


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str) and value.strip():
        yield value.strip()
    elif isinstance(value, Mapping):
        for name in _TEXTS:
            yield from _texts(cast("Mapping[str, Any]", value).get(name))
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            yield from _texts(item)
