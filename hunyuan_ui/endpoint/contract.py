"""The HTTP contract shared by the client and the local endpoint: paths, headers, statuses and bodies.

Source: docs/facts/segmind-api.md 0 to 3. This module does no I/O.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from pathlib import PurePosixPath
from typing import Any, Final, cast
from urllib.parse import urljoin, urlsplit

from hunyuan_ui.endpoint.named_cost import DEEPEST, cost_header, first_and_last, named_cost
from hunyuan_ui.file_type import BY_SUFFIX

MODEL: Final = "hunyuan-video"
GENERATE_V1: Final = f"/v1/{MODEL}"
SUBMIT_V2: Final = f"/v2/{MODEL}"
CREDITS: Final = "/v1/get-user-credits"
HISTORY: Final = "/inference-request"
HISTORY_LIST: Final = "/request-history"  # below the history base URL

KEY_HEADER: Final = "x-api-key"
_LONGEST_KEY: Final = 512  # characters
REQUEST_ID_HEADER: Final = "x-request-id"
COST_HEADER: Final = "x-cost"
REMAINING_HEADER: Final = "x-remaining-credits"
GENERATION_TIME_HEADER: Final = "x-generation-time"
SEED_HEADER: Final = "x-seed-value"
METADATA_HEADER: Final = "x-output-metadata"
RATE_LIMIT_RESET_HEADER: Final = "x-rate-limit-reset-at-utc"

USUAL_S: Final = 211.32  # what a call takes on average (docs/facts/segmind-api.md 0)
RECORD_LIFE_S: Final = 3600  # status and result are 404 about an hour after submission (docs/facts/segmind-api.md 2.6)
FILE_LIFE_S: Final = 7 * 86400  # output files are kept seven days (docs/facts/segmind-api.md 2.6)

_PLACES: Final = (  # with a video's address
    *("output", "video", "video_url", "videos", "video_urls", "result", "data"),
    *("outputs", "output_url", "generation_url", "files", "artifacts", "assets"),
)
_URL_NAMES: Final = ("url", "uri", "file", "href", "download_url", "file_url", *_PLACES)  # inside those
_PICTURES: Final = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif")
# Fields that echo or describe the request: an address in them is not a generated video.
_NOT_MADE: Final = re.compile(
    r"prompt|input|body|param|argument|error|message|detail|hook|callback|source|example", re.IGNORECASE
)
_LINK: Final = re.compile(r"https?://[^\s\"'<>()\[\]\\]+", re.IGNORECASE)
_MORE: Final = re.compile(r"[{\[\"]|://")  # of more JSON, such as further lines, or an address
_MOST_DIGITS: Final = 400  # Python refuses to read a number of thousands
_MOST_SIGNS: Final = 200_000  # that part the values of JSON: those of 3000 requests, if they come as one page
_MOST_URLS: Final = 1_000  # of a place that are compared
_MOST_TEXTS: Final = 20_000  # of a body that are searched: it may have millions
_LONGEST_TEXT: Final = 4096  # characters of a text that are searched for an address

ENVELOPES: Final = ("data", "result", "request", "response", "job", "task", "body")
# Names without case and signs.
_ID_NAMES: Final = ("requestid",)
_ROW_IDS: Final = ("id",)
_LIKELY_ID: Final = re.compile(
    "(req|request|task|job|video|generation|prediction|inference|run|process|queue)?(id|uuid|guid)"
)
_STATUS_NAMES: Final = ("status", "state", "requeststatus", "modelstatus", "jobstatus", "taskstatus", "videostatus")

# The id is opaque: dashed in the documentation, 32 hex in a capture (docs/facts/segmind-api.md 2.1).
# Each of its characters stands for itself in a path; one shorter than six is only taken as a number.
ID_CHARACTERS: Final = "A-Za-z0-9_.:~=+-"
_IN_ADDRESS: Final = re.compile(rf"/requests/([{ID_CHARACTERS}]+)")
_REQUEST_ID: Final = re.compile(rf"[A-Za-z0-9][{ID_CHARACTERS}]{{5,511}}|[1-9][0-9]{{2,4}}")


class RemoteState(str, Enum):
    """The states of a v2 request."""

    QUEUED = "QUEUED"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


# "success" and "error" are missing because an envelope uses them for the response, not for the request.
_OTHER_WORDS: Final[Mapping[str, RemoteState]] = {
    **dict.fromkeys(("COMPLETE", "SUCCEEDED", "SUCCESSFUL", "DONE", "FINISHED", "READY"), RemoteState.COMPLETED),
    **dict.fromkeys(
        (
            *("FAILURE", "CANCELLED", "CANCELED", "ABORTED", "REJECTED", "TIMEOUT", "TIMED_OUT", "TERMINATED"),
            *("ERRORED", "KILLED", "CRASHED", "STOPPED", "REVOKED", "BLOCKED", "MODERATED", "DECLINED", "DENIED"),
            *("REFUSED", "FAULTED", "DEAD", "UNSUCCESSFUL"),
        ),
        RemoteState.FAILED,
    ),
}
# Of an answer to a POST, beside the states: that the service has the request.
_TAKEN: Final = frozenset(
    (
        *("ACCEPTED", "CREATED", "ENQUEUED", "GENERATING", "IN_PROGRESS", "IN_QUEUE", "PENDING", "RECEIVED"),
        *("RENDERING", "RUNNING", "SCHEDULED", "STARTED", "STARTING", "SUBMITTED", "WAITING"),
    )
)
_GONE: Final = frozenset(("EXPIRED", "DELETED", "REMOVED", "PURGED", "GONE", "NOT_FOUND", "MISSING"))
_WORDS_OF_ROWS: Final = {"SUCCESS": RemoteState.COMPLETED, "ERROR": RemoteState.FAILED}


@dataclass(frozen=True, slots=True)
class Metrics:
    """Cost and times that the service reports; every field may be absent. Cost is US dollars, times are seconds."""

    cost: float | None = None
    inference_time: float | None = None
    queue_time: float | None = None

    @classmethod
    def of(cls, headers: Mapping[str, str], body: object) -> Metrics:
        """Read the accounting of any response, dropping everything but finite non-negative numbers.

        Args:
            headers: Of the response; used where its `metrics` lack a value.
        """
        named: object = cast("Mapping[str, Any]", body).get("metrics") if isinstance(body, Mapping) else None
        metrics: Mapping[str, Any] = cast("Mapping[str, Any]", named) if isinstance(named, Mapping) else {}

        def metric(name: str, header: str = "") -> float | None:
            inside = amount(metrics.get(name))
            return amount(headers.get(header)) if inside is None else inside

        return cls(
            cost=named_cost(cast("object", body), cost_header(headers)),
            inference_time=metric("inference_time", GENERATION_TIME_HEADER),
            queue_time=metric("queue_time"),
        )


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted job: its id at the service, empty if the response has only the finished video or its address.

    `cost` is US dollars, if already named.
    """

    request_id: str
    cost: float | None = None
    url: str | None = None
    video: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class RemoteStatus:
    """State of a request; `progress` is in percent, and None unless the service reports it.

    `url` is the address of a completed one's video, if the response names it.
    """

    state: RemoteState
    metrics: Metrics
    progress: float | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class RemoteResult:
    """A finished v2 request: the video's address, or the video itself if it has none, its cost and times.

    `others` are further addresses in the response, which may have the video if the first one does not.
    """

    url: str | None
    metrics: Metrics = Metrics()
    video: bytes | None = field(default=None, repr=False)
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One request in the account's history; cost is US dollars."""

    url: str | None = None
    cost: float | None = None
    status: str | None = None

    @property
    def state(self) -> RemoteState | None:
        """The state that its status word means; None if it is missing or unknown."""
        return state_of_row(self.status)

    @property
    def goes_on(self) -> bool:
        """Whether the history lists the request as unfinished."""
        is_over = self.state in (RemoteState.COMPLETED, RemoteState.FAILED) or is_gone(self.status)
        return self.status is not None and not is_over


def is_key(text: str) -> bool:
    """Whether a text could be an API key: valid in a header, and of limited length."""
    return 0 < len(text) <= _LONGEST_KEY and text.isascii() and text.isprintable() and " " not in text


def is_request_id(text: object) -> bool:
    """Whether this can be a request id and is safe inside a URL path."""
    return isinstance(text, str) and _REQUEST_ID.fullmatch(text) is not None


def status_path(request_id: str) -> str:
    """Return the path of a request's status."""
    return f"/v2/requests/{request_id}/status"


def result_path(request_id: str) -> str:
    """Return the path of a request's result."""
    return f"/v2/requests/{request_id}"


def history_path(request_id: str) -> str:
    """Return the path of one row of the request history, below the history base URL."""
    return f"{HISTORY_LIST}/{request_id}"


def amount(value: object) -> float | None:
    """Return a number from a JSON value or header text, or None unless it is finite and not negative."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number < 1e9 else None


def state_of(word: object) -> RemoteState | None:
    """Return the state for a status word of the service; None for an unknown one."""
    text = _plain_word(word)
    return RemoteState.__members__.get(text) or _OTHER_WORDS.get(text)


def state_of_row(word: object) -> RemoteState | None:
    """Return the state for a status word that describes a request and nothing else."""
    return state_of(word) or _WORDS_OF_ROWS.get(_plain_word(word))


def is_gone(word: object) -> bool:
    """Whether a status word means that the service has dropped the request or its video."""
    return _plain_word(word) in _GONE


def _plain_word(word: object) -> str:
    return re.sub(r"[\s-]+", "_", word.strip()).upper() if isinstance(word, str) else ""


def status_words(fields: Mapping[str, object]) -> list[str]:
    """Return the texts in which a response names a status, outermost first."""
    named = [value for place in _levels(fields) for name, value in place.items() if _bare(name) in _STATUS_NAMES]
    inner = [_names_in(cast("Mapping[str, object]", one), _STATUS_NAMES) for one in named if isinstance(one, Mapping)]
    return [one for one in named if isinstance(one, str)] + [word for words in inner for word in words]


def state_in(fields: Mapping[str, object]) -> RemoteState | None:
    """Return the state that a response names first of those that are known; an envelope's own word is none."""
    return next(filter(None, map(state_of, status_words(fields))), None)


def names_another(fields: Mapping[str, object], request_id: str) -> bool:
    """Whether a response or a row names a request, and nowhere the expected one.

    Args:
        fields: Its JSON object; the id may be in a nested object, below the id of the call itself.
    """
    named = [one for place in _levels(fields) for one in _names_in(place, _ID_NAMES)]
    return bool(named) and not any(is_same_id(one, request_id) for one in named)


def names(fields: Mapping[str, object], request_id: str) -> bool:
    """Whether a row of a list has this id, which may be in the row's plain `id`."""
    return any(is_same_id(one, request_id) for one in _names_in(fields, (*_ID_NAMES, *_ROW_IDS)))


def _levels(fields: Mapping[str, object]) -> list[Mapping[str, object]]:
    outer = dict(first_and_last(fields.items()))
    inner = filter(None, (_object(value) for name, value in outer.items() if _bare(name) in ENVELOPES))
    return [outer, *(dict(first_and_last(one.items())) for one in inner)]


def _object(value: object) -> Mapping[str, object] | None:
    """Return a JSON object, also one that arrives as text."""
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        value = read_json(value)
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else None


def read_json(text: str | bytes) -> object:
    """Return a JSON value, also an object that was encoded more than once; None if there is none, or if it is huge."""
    if _has_too_many_values(text):
        return None
    try:
        value = json.loads(text)
    except RecursionError:
        return None
    except ValueError:
        value = _read_spoilt_json(text)
    return read_json(value) if isinstance(value, str) and value.lstrip()[:1] == "{" else value


def _read_spoilt_json(text: str | bytes) -> object:
    """Return a JSON object that is followed by what names nothing, or has a very long number; else None."""
    with suppress(ValueError, RecursionError):
        text = (text.decode("utf-8") if isinstance(text, bytes) else text).lstrip()
        value, end = json.JSONDecoder(parse_int=_whole_number).raw_decode(text)
        if isinstance(value, dict) and not _MORE.search(text, end):
            return cast("object", value)
    return None


def _whole_number(digits: str) -> float:
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)


def _has_too_many_values(text: str | bytes) -> bool:
    """Whether a text would be JSON of more values than any response has, for which the whole program stood still."""
    if len(text) <= _MOST_SIGNS:
        return False
    counts = map(text.count, b",:[{") if isinstance(text, bytes) else map(text.count, ",:[{")
    return sum(counts) > _MOST_SIGNS


def is_same_id(one: str, other: str) -> bool:
    """Whether two request ids are equal, ignoring dashes."""
    return bare_id(one) == bare_id(other)


def bare_id(request_id: str) -> str:
    """Return a request id in the normal form for comparisons."""
    return request_id.strip().replace("-", "").lower()


def _names_in(fields: Mapping[str, object], names_: tuple[str, ...]) -> list[str]:
    return _texts_of(value for name, value in fields.items() if _bare(name) in names_)


def _texts_of(values: Iterable[object]) -> list[str]:
    named = [value for value in values if isinstance(value, (str, int)) and not isinstance(value, bool)]
    return [text for value in named if (text := str(value).strip())]


def _bare(name: str) -> str:
    return re.sub(r"[^a-z]", "", name[:40].lower())


def own_ids_in(fields: Mapping[str, object]) -> list[str]:
    """Return the request ids that a row itself names, valid or not."""
    return _names_in(fields, _ID_NAMES)


def ids_in_header(headers: Mapping[str, str]) -> list[str]:
    """Return the request ids in a response's header, which arrives joined by commas if a gateway repeats it."""
    return list(filter(is_request_id, map(str.strip, headers.get(REQUEST_ID_HEADER, "").split(","))))


def ids_in(fields: Mapping[str, object]) -> list[str]:
    """Return the request ids named in a response, outermost first."""
    return [one for place in _levels(fields) for one in _names_in(place, _ID_NAMES) if is_request_id(one)]


def says_taken(fields: Mapping[str, object]) -> bool:
    """Whether an answer names a state in which the service has the request, or its address, which no refusal does."""
    states = [(_plain_word(word), state_of(word)) for word in status_words(fields)]
    has_it = any(word in _TAKEN or state not in (None, RemoteState.FAILED) for word, state in states)
    return has_it or bool(addressed_ids_in(fields))


def addressed_ids_in(fields: Mapping[str, object]) -> list[str]:
    """Return the request ids in the service's addresses of a response."""
    return [one for text in texts_in(fields) if (one := id_in_address(text))]


def likely_ids_in(fields: Mapping[str, object]) -> list[str]:
    """Return other possible request ids in a response: a plain `id`, or the id of a task, a job and the like."""
    fields_ = (field for place in _levels(fields) for field in place.items())
    return list(filter(is_request_id, _texts_of(value for name, value in fields_ if _LIKELY_ID.fullmatch(_bare(name)))))


def id_in_address(address: str) -> str | None:
    """Return the request id in an address of the service, or None; a word without a digit is a page's name."""
    found = _IN_ADDRESS.search(address)
    return found[1] if found and is_request_id(found[1]) and re.search(r"[0-9]", found[1]) else None


def video_url(body: object, base: str = "") -> str | None:
    """Return the likeliest address of the video in a response, or None; see `video_urls`."""
    return next(iter(video_urls(body, base)), None)


def video_urls(body: object, base: str = "") -> list[str]:
    """Find the video's addresses in a response, in any shape (docs/facts/segmind-api.md 1.1 and 2.4).

    Args:
        base: URL that relative addresses are resolved against.

    Returns:
        Those with a video's file extension, then those without a picture's, then the others.
    """
    if not isinstance(body, Mapping):
        return []
    fields = cast("Mapping[str, Any]", body)
    # One with a control character or half a surrogate is useless, and no database stores it.
    found = [url for name in _PLACES for url in islice(_urls_in(fields.get(name), base), _MOST_URLS)]
    return sorted(dict.fromkeys(filter(str.isprintable, found)), key=_rank)


def _urls_in_text(text: str, base: str, depth: int) -> Iterator[str]:
    """Yield the addresses in JSON, Markdown, a tag or a sentence."""
    inner = read_json(text) if text[:1] in ("{", "[") else None
    if inner is None:
        yield from _LINK.findall(text[:_LONGEST_TEXT])
    else:
        yield from _urls_in(inner, base, depth + 1)


def lone_video_url(body: object) -> str | None:
    """Return the only address with a video's file extension in a response, in any field; None if there are more."""
    addresses = (text.strip() for text in texts_in(body) if _is_web(text.strip()))
    found = {url for url in addresses if _rank(url) == 0 and url.isprintable()}
    return found.pop() if len(found) == 1 else None


def texts_in(value: object) -> Iterator[str]:
    """Yield the texts of a JSON value, the first ones of very many, except those that echo or describe the request."""
    return islice(_texts_within(value), _MOST_TEXTS)


def _texts_within(value: object, depth: int = 0) -> Iterator[str]:
    if depth > DEEPEST:
        return
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in first_and_last(cast("list[object]", value)):
            yield from _texts_within(item, depth + 1)
    elif isinstance(value, Mapping):
        for name, item in first_and_last(cast("Mapping[str, object]", value).items()):
            if not _NOT_MADE.search(name):
                yield from _texts_within(item, depth + 1)


def is_address(value: object) -> bool:
    """Whether a value is a web address and nothing else."""
    return isinstance(value, str) and len(text := value.strip()) <= _LONGEST_TEXT and bool(_LINK.fullmatch(text))


def is_video_address(value: object) -> bool:
    """Whether a value is a web address with a video's file extension."""
    return is_address(value) and _rank(cast("str", value).strip()) == 0


def _is_web(text: str) -> bool:
    return text[:8].lower().startswith(("http://", "https://"))


def _rank(url: str) -> int:
    with suppress(ValueError):
        ending = PurePosixPath(urlsplit(url).path).suffix.lower()
        return 2 if ending in _PICTURES else 0 if ending in BY_SUFFIX else 1
    return 3


def _urls_in(value: object, base: str, depth: int = 0) -> Iterator[str]:
    if depth > DEEPEST:
        return
    if isinstance(value, str):
        text = value.strip().strip("<>\"'")
        if _is_web(text):
            yield text
        elif text.startswith("/") and base:
            yield urljoin(f"{base}/", text)
        else:
            yield from _urls_in_text(text, base, depth)
    elif isinstance(value, list):
        for item in first_and_last(cast("list[object]", value)):
            yield from _urls_in(item, base, depth + 1)
    elif isinstance(value, Mapping):
        inner = cast("Mapping[str, Any]", value)
        for name in _URL_NAMES:
            yield from _urls_in(inner.get(name), base, depth + 1)
