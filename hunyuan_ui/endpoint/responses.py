"""Converts responses of the service to values or an EndpointError, for every status and body; no I/O.

Source: docs/facts/segmind-api.md 1.4, 2.1 to 2.4 and 3.2; docs/facts/faults-and-security.md, rows 9 to 32.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import Any, Final, cast
from urllib.parse import quote

from hunyuan_ui.endpoint import contract
from hunyuan_ui.endpoint.contract import Accepted, Metrics, RemoteResult, RemoteState, RemoteStatus
from hunyuan_ui.endpoint.embedded_video import embedded_video
from hunyuan_ui.endpoint.http import REDIRECTS
from hunyuan_ui.endpoint.named_cost import first_and_last, is_cost
from hunyuan_ui.endpoint.retry_after import retry_after_s
from hunyuan_ui.errors import (
    AuthenticationError,
    EndpointError,
    EndpointStatusError,
    JobFailedError,
    OutcomeUnknownError,
    OutOfCreditsError,
    RateLimitError,
    Reason,
    RequestExpiredError,
    UnexpectedResponseError,
    reason,
)
from hunyuan_ui.file_type import START_BYTES, is_text, video_type
from hunyuan_ui.request import clean_text

DETAIL_LIMIT: Final = 300  # characters of the service's own text that are shown
_KEY_SHAPE: Final = re.compile(r"SG_[0-9A-Za-z]{4,}", re.IGNORECASE)
_MARKUP: Final = re.compile(r"<\s*(!doctype|html|head|body|script|style|title|center|h1|div|p|iframe|img|svg)\b", re.I)
_SPEND_LIMIT: Final = re.compile(r"spend(ing)?[\s-]+limit", re.I)
_SEARCHED: Final = 64 * 1024  # bytes at either end of a body that are searched: each match may cost half a kilobyte
# In JSON that is cut off after it, and in what is no JSON; its end must be there, or it may be half an id.
_CUT_ID: Final = re.compile(
    (
        rf"""request[_-]?id["']?\s{{0,99}}[:=>]\s{{0,99}}["']?\s{{0,99}}([{contract.ID_CHARACTERS}]{{1,512}})"""
        rf"""\s{{0,99}}["'<&,;}}\s]"""
    ).encode(),
    re.I,
)
# The fields of JSON that is cut off or in lines; a prompt in it has its quotes escaped, so that it is none of them.
_FIELD: Final = re.compile(
    rb"""(?<!\\)"([A-Za-z][\w .-]{0,59})"\s{0,99}:\s{0,99}(?:"([^"\\]{1,600})"|(-?\d[\d.,eE+-]*)(?=[,}\]\s]|\Z))"""
)
_JSON_BEGUN: Final = re.compile(rb"""\[?\s{0,99}\{\s{0,99}\"""")
_EVENT: Final = re.compile(rb"^data: ?(\[?\{.*)$", re.M)  # of a stream of server-sent events
_ID_ALONE: Final = re.compile(rb'"?([0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12})"?', re.I)
# This request, unlike those of a limit ("5 requests are running", "a request is already in progress").
_HAS_IT: Final = re.compile(
    r"\b(?:(?:your|this|the(?:\ssame)?)\s(?:request|job|task|generation|video)\b"
    r"|an?\s(?:request|job|task|generation|video)\swith\sthe\ssame\b)[^.!?]{0,60}?"
    r"\b(?:is|was|has\sbeen)(?:\s(?:already|been|now|still))*"
    r"\s(?:accepted|queued|enqueued|in\sprogress|being\s(?:processed|generated|rendered)|processing|running|started)\b",
    re.I,
)
_STOPS: Final = " .!?;:,\u3002\uff01\uff1f\uff1b"  # Latin and Chinese
_REDIRECT_IS_PROMPT_S: Final = 10.0  # a later one may follow billed work (docs/facts/faults-and-security.md row 24)


@dataclass(frozen=True)
class Answer:
    """One complete response.

    Args:
        headers: With case-insensitive lookup.
        body: The received bytes of the body, without any text decoding.
        problem: Why the body is incomplete or unusable; None if it is not.
        elapsed_s: Seconds from sending to the headers.
        key: Key of the request; `plain` and `detail` redact it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    problem: Reason | None = None
    elapsed_s: float = 0.0
    key: str = field(default="", repr=False)

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @cached_property
    def value(self) -> object:
        """The body's JSON value, or None if it has none."""
        return None if self.problem is not None else contract.read_json(self.body)

    @cached_property
    def fields(self) -> Mapping[str, Any] | None:
        """The body's JSON object, also as the only element of a list; None for anything else.

        An address alone is the output of a completed request, and so is a file that the response redirects to.
        """
        link = self.headers.get("location") if self.status in REDIRECTS else None
        if contract.is_video_address(link):
            return {"status": RemoteState.COMPLETED.value, "output": link}
        value = self.value
        if value is None and self.problem is None and len(self.body) <= _SEARCHED:
            value = self.body.decode("utf-8", "replace")
        items = cast("list[object]", value) if isinstance(value, list) else [value]
        value = items[0] if len(items) == 1 else None
        if contract.is_address(value):
            return {"output": value}
        return cast("Mapping[str, Any]", value) if isinstance(value, dict) else None

    @cached_property
    def objects(self) -> list[Mapping[str, Any]]:
        """The body's JSON object, the first and last of a list of several, or each field of what is no whole JSON."""
        if self.fields is not None:
            return [self.fields]
        value = self._parsed
        items = first_and_last(cast("list[object]", value)) if isinstance(value, list) else ()
        return [cast("Mapping[str, Any]", item) for item in items if isinstance(item, dict)]

    @property
    def _parsed(self) -> object:
        return self._pieces if self.value is None else self.value

    @cached_property
    def _pieces(self) -> list[Mapping[str, Any]]:
        """The fields of JSON that is cut off, or that consists of lines or events."""
        body = _both_ends(self.body)
        body = body if _JSON_BEGUN.match(body.lstrip()) else b"\n".join(_EVENT.findall(body))
        found: list[Mapping[str, Any]] = []
        for field_ in first_and_last(_FIELD.finditer(body)):
            name, text, number = ((part or b"").decode("utf-8", "replace") for part in field_.groups())
            # A number at the very end may be cut off: too little for an id, while a cost is compared with the expected.
            if text or field_.end() < len(body) or is_cost(name):
                found.append({name: text or number})
        return found

    def found(self, names: Callable[[Mapping[str, Any]], list[str]]) -> list[str]:
        """Return what a function finds in each of its objects."""
        return [one for fields in self.objects for one in names(fields)]

    @cached_property
    def video(self) -> bytes | None:
        """The video itself, if the body is or contains one."""
        if self.problem is not None:
            return None
        value = self.fields or (self.body.decode("ascii", "ignore") if self.value is None else self.value)
        return embedded_video(self.body, contract.texts_in(value))

    @cached_property
    def metrics(self) -> Metrics:
        """Cost and times named in the response, in any field."""
        return Metrics.of(self.headers, self._parsed if self.fields is None else self.fields)

    @property
    def cost_usd(self) -> float | None:
        """The charge that the response names, in US dollars; None if it names none or zero."""
        return self.metrics.cost or None

    @property
    def is_html(self) -> bool:
        """Whether this is an HTML page, and so from a proxy or gateway."""
        if self.fields is not None:
            return False
        declared = "html" in self.headers.get("content-type", "").lower()
        return declared or _MARKUP.search(self.body[:_SEARCHED].decode("utf-8", "replace")) is not None

    def plain(self, text: str) -> str:
        """Clean a text of this response as `plain` does, and redact the key."""
        return plain(text, self.key)

    @property
    def detail(self) -> str | Reason:
        """The service's own message as plain text of at most 300 characters; markup is named, not shown."""
        if self.is_html:
            return reason("html_page")
        if self.fields is not None:
            text = _sentence_in(self.fields) or ""
        else:
            is_shown = self.value is None and is_text(self.body[:START_BYTES])
            text = self.body[:_SEARCHED].decode("utf-8", "replace") if is_shown else ""
        # Our sentences continue after it with their own full stop.
        return reason("html_page") if _MARKUP.search(text) else self.plain(text).rstrip(_STOPS) or _phrase(self)


# --- the paid POST


def accepted(answer: Answer, base: str = "") -> Accepted:
    """Return the accepted job of a v2 submit."""
    url = finished_url(answer, base)
    video = answer.video if url is None else None  # the finished video, as the other dialect answers
    is_made = url is not None or video is not None
    if not answer.is_success and not is_made:
        raise post_error(answer)
    request_id = next(filter(contract.is_request_id, _ids_of_accepted(answer)), None)
    is_open = request_id is not None and contract.state_in(answer.fields or {}) is not RemoteState.COMPLETED
    if is_made and not is_open:
        request_id = request_id or next(iter(contract.ids_in_header(answer.headers)), "")
        return Accepted(request_id, answer.cost_usd, url, video)
    if request_id is not None:
        return Accepted(request_id, answer.cost_usd)
    raise unreadable(answer)


def _ids_of_accepted(answer: Answer) -> list[str]:
    # The status is accepted and the id is legible: neither another format nor truncation must lose a paid job.
    body = _both_ends(answer.body) + (b"\n" if answer.problem is None else b"")
    alone = _ID_ALONE.fullmatch(answer.body.strip())
    cut = [*_CUT_ID.findall(body), *([alone[1]] if alone else [])]
    return [*contract.ids_in(answer.fields or {}), *(found.decode("ascii") for found in cut)]


def _both_ends(body: bytes) -> bytes:
    """Return a body without its middle if it is long, as with a video in it."""
    # What the cut halves is followed by no sign that ends a number or an id.
    return body if len(body) <= 2 * _SEARCHED else body[:_SEARCHED] + b"|" + body[-_SEARCHED:]


def finished_url(answer: Answer, base: str) -> str | None:
    """Return the finished video's address in the response to a POST, whatever its status, or None."""
    fields = answer.fields or {}
    is_made = answer.is_success or contract.state_in(fields) is RemoteState.COMPLETED
    url = contract.video_url(fields, base) or (contract.lone_video_url(fields) if is_made else None)
    return url if is_made or contract.is_video_address(url) else None


def post_error(answer: Answer) -> EndpointError:
    """Return the error for a paid POST's response that is not a success."""
    error = _post_error(answer)
    if isinstance(error, EndpointStatusError) and "request_id" in (traces := _traces(answer)):
        why = reason("http", status=answer.status)
        error.in_doubt = OutcomeUnknownError("unreadable_answer", reason=why, **traces)
    return error


def _post_error(answer: Answer) -> EndpointError:
    status, detail = answer.status, answer.detail
    if answer.cost_usd is not None:
        return OutcomeUnknownError("refused_but_charged", status=status, detail=detail, **_traces(answer))
    says_so = isinstance(detail, str) and _HAS_IT.search(detail) is not None
    if says_so or any(map(contract.says_taken, answer.objects)) or _id_in_location(answer) is not None:
        return OutcomeUnknownError("unreadable_answer", reason=reason("http", status=status), **_traces(answer))
    if status == 429:
        return RateLimitError(retry_after_s(answer.headers))
    if status in REDIRECTS and answer.elapsed_s <= _REDIRECT_IS_PROMPT_S:
        return EndpointStatusError("service_moved", status=status)
    if status in (409, 500) and answer.found(contract.ids_in):
        # The service itself names a request: it may have been accepted, and polling it is free.
        return OutcomeUnknownError("gateway_failed", status=status, **_traces(answer))
    if status == 500 and isinstance((answer.fields or {}).get("error"), str):  # its own envelope
        return EndpointStatusError("service_failed", detail=detail)
    # A gateway timeout reveals nothing about the job behind it.
    if status >= 500 or status in (408, 499):
        return OutcomeUnknownError("gateway_failed", status=status, **_traces(answer))
    if status < 400:
        return OutcomeUnknownError("unreadable_answer", reason=reason("http", status=status), **_traces(answer))
    return _refusal(status, detail)


def unreadable(answer: Answer) -> OutcomeUnknownError:
    """Return the error for a 2xx with an unusable body; 2xx is the billed status."""
    why = answer.problem or answer.detail
    return OutcomeUnknownError("unreadable_answer", reason=why, **_traces(answer))


def _refusal(status: int, detail: str | Reason) -> EndpointStatusError:
    words = _lower(detail)
    if status == 401:
        code = "key_missing" if words.startswith("missing") else "key_refused"
        return AuthenticationError(code, detail=detail, status=status)
    if status == 403:
        return AuthenticationError("not_allowed", detail=detail, status=status)
    if status in (402, 406) and _SPEND_LIMIT.search(words):
        return OutOfCreditsError("team_spend_limit", detail=detail, status=status)
    if status == 402 or (status == 406 and "credit" in words):
        return OutOfCreditsError("out_of_credits", detail=detail, status=status)
    if status == 406:
        code = "wrong_content_type" if "content type" in words or "content-type" in words else "value_refused"
    else:
        code = _REFUSALS.get(status, "refused")
    return EndpointStatusError(code, detail=detail, status=status)


_REFUSALS: Final = {
    400: "bad_body",
    404: "model_unknown",
    405: "wrong_method",
    410: "model_retired",
    422: "refused_before_run",
}


def _traces(answer: Answer) -> dict[str, object]:
    """Return what identifies the call in the owner's account: its id and cost, if given."""
    # A gateway may put its own id into the header, and into the body of an error.
    header, likely = contract.ids_in_header(answer.headers), answer.found(contract.likely_ids_in)
    last = (*likely, *header) if answer.is_success else (*header, *likely)
    named = (*answer.found(contract.ids_in), _id_in_location(answer), *answer.found(contract.addressed_ids_in), *last)
    request_id = next(filter(contract.is_request_id, named), None)
    found: dict[str, object] = {} if request_id is None else {"request_id": request_id}
    return found if answer.cost_usd is None else {**found, "cost": answer.cost_usd}


def _id_in_location(answer: Answer) -> str | None:
    return contract.id_in_address(answer.headers.get("location", ""))


# --- the free GETs


def remote_status(answer: Answer, request_id: str, base: str = "") -> RemoteStatus:
    """Return the state of a request, and its video's address if it has one.

    Raises:
        JobFailedError: It failed there.
        RequestExpiredError: It is no longer known.
    """
    if answer.is_success and video_type(answer.body[:START_BYTES]) is not None:
        return RemoteStatus(RemoteState.COMPLETED, answer.metrics)  # the file itself; the history has its address
    fields = _request_fields(answer, request_id)
    url, state = contract.video_url(fields, base), _state_in(fields)
    if not (next(iter(contract.status_words(fields)), "") or url):
        raise UnexpectedResponseError("bad_answer", reason=reason("no_status"), **_cost(answer))
    if state is None and url is not None:
        state = RemoteState.COMPLETED  # an address is stronger evidence than an unknown status word
    is_made = state is RemoteState.COMPLETED
    return RemoteStatus(state or RemoteState.PROCESSING, answer.metrics, url=url if is_made else None)


def remote_result(answer: Answer, request_id: str, base: str = "") -> RemoteResult:
    """Return a finished request's video address, or the video.

    Raises:
        JobFailedError: It failed there.
        RequestExpiredError: It is no longer known.
        UnexpectedResponseError: `no_video_in_result` if it is done but names no video, else an unexpected response.
    """
    if answer.is_success and answer.fields is None and answer.video is not None:
        return RemoteResult(None, answer.metrics, answer.video)
    fields = _request_fields(answer, request_id)
    urls, state = contract.video_urls(fields, base), _state_in(fields)
    url = next(iter(urls), None)
    if url is None and state is RemoteState.COMPLETED:
        url = contract.lone_video_url(fields)
    video = answer.video if url is None else None
    # A video or its address is stronger evidence than an unknown status word.
    is_made = url is not None or video is not None
    is_known = state is not None or (not is_made and ("status" in fields or bool(contract.status_words(fields))))
    if is_known and state is not RemoteState.COMPLETED:
        raise UnexpectedResponseError("bad_answer", reason=reason("not_finished"), **_cost(answer))
    if not is_made:
        raise UnexpectedResponseError("no_video_in_result", request_id=request_id, **_cost(answer))
    return RemoteResult(url, answer.metrics, video, tuple(urls[1:]))


def balance(answer: Answer) -> float:
    """Return the account's credits in US dollars, paid and free together; it may be negative."""
    if answer.status == 404 and "no credits" in _lower(answer.detail):
        return 0.0
    fields = _fields_of_get(answer)
    return _dollars(fields.get("credits")) + _dollars(fields.get("free-credits", 0.0))


def _dollars(value: object) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e9:
        return float(value)
    raise UnexpectedResponseError("bad_answer", reason=reason("no_credits"))


def _request_fields(answer: Answer, request_id: str) -> Mapping[str, Any]:
    fields = answer.fields or {}
    # Whatever the HTTP status, as in the official client; a failed call itself never uses these words.
    state = _state_in(fields)
    is_completed = state is RemoteState.COMPLETED
    is_unknown = answer.status in (404, 410) and not answer.is_html and state in (None, RemoteState.FAILED)
    words = contract.status_words(fields)
    is_dropped = answer.is_success and state is None and any(map(contract.is_gone, words))
    if is_unknown or (is_dropped and contract.video_url(fields) is None):
        raise RequestExpiredError("request_expired", request_id=request_id, **_cost(answer))
    if answer.status != 422 and not is_completed:
        fields = _fields_of_get(answer)
    if contract.names_another(fields, request_id):
        raise UnexpectedResponseError("bad_answer", reason=reason("another_request"))
    # 422 on these paths means only "ran and failed", so an error without a status means it too.
    is_failed_call = answer.status == 422 and not words and isinstance(fields.get("error"), str)
    if not is_completed and (state is RemoteState.FAILED or is_failed_call):
        if _sentence_in(fields) is None:
            raise JobFailedError("job_failed_unexplained", **_cost(answer))
        raise JobFailedError("job_failed", detail=answer.detail, **_cost(answer))
    if not is_completed:
        raise_unless_success(answer)
    return fields


def _cost(answer: Answer) -> dict[str, float]:
    return {} if answer.cost_usd is None else {"cost": answer.cost_usd}


def _state_in(fields: Mapping[str, Any]) -> RemoteState | None:
    """Return the state of a request; the address of a video file is stronger evidence than a failure."""
    state = contract.state_in(fields)
    is_open = state in (RemoteState.QUEUED, RemoteState.PROCESSING)
    return RemoteState.COMPLETED if not is_open and contract.is_video_address(contract.video_url(fields)) else state


def _fields_of_get(answer: Answer) -> Mapping[str, Any]:
    raise_unless_success(answer)
    fields = answer.fields
    if fields is None:
        raise UnexpectedResponseError("bad_answer", reason=answer.problem or answer.detail, **_cost(answer))
    return fields


def raise_unless_success(answer: Answer) -> None:
    """Raise the error for a GET's status unless it is a success."""
    if answer.is_success:
        return
    if answer.status == 429:
        error: EndpointError = RateLimitError(retry_after_s(answer.headers))
    elif answer.status in (401, 403):
        error = _refusal(answer.status, answer.detail)
    else:
        why = reason("http_detail", status=answer.status, detail=answer.detail)
        error = UnexpectedResponseError("bad_answer", reason=why)
    error.facts.update(_cost(answer))
    raise error


# --- texts of the service


def _lower(detail: str | Reason) -> str:
    """Return the service's own text in lower case; empty if there is none."""
    return detail.lower() if isinstance(detail, str) else ""


def plain(text: str, key: str = "") -> str:
    """Return foreign text on one line, without control characters and keys, of at most 300 characters."""
    # The key is removed twice: before the first cut, which could halve it, and after cleaning, which could join it.
    text = _without(key, text)[: 8 * DETAIL_LIMIT]
    text = _KEY_SHAPE.sub("***", _without(key, " ".join(clean_text(text).split())))
    return text if len(text) <= DETAIL_LIMIT else text[: DETAIL_LIMIT - 1] + "…"


def _without(key: str, text: str) -> str:
    for secret in {key, quote(key, safe="")} - {""}:
        text = text.replace(secret, "***")
    return text


def _sentence_in(fields: Mapping[str, Any]) -> str | None:
    for name in ("error", "message", "detail", "error_description", *contract.ENVELOPES):
        value = fields.get(name)
        if isinstance(value, dict):
            value = _sentence_in(cast("Mapping[str, Any]", value))
        if isinstance(value, str) and value.strip():
            return value
    return None


def _phrase(answer: Answer) -> str | Reason:
    if answer.is_success:
        return reason("not_as_agreed" if answer.body else "empty")
    try:
        return HTTPStatus(answer.status).phrase
    except ValueError:
        return reason("http", status=answer.status)
