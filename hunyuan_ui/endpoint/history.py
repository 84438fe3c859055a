"""Parses the account's request history, for one request or the whole list, in any envelope.

Source: docs/facts/segmind-api.md 3.3, which leaves the envelope open: rows are searched at every level. An incomplete
or unrecognised list is an error and never an empty list, because a request that it omits would count as not spent.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta, timezone
from hashlib import sha256
from typing import Any, Final, cast
from urllib.parse import urlencode

from hunyuan_ui.endpoint import contract
from hunyuan_ui.endpoint.contract import HistoryRow, RemoteState, bare_id
from hunyuan_ui.endpoint.history_envelope import ROW, Envelope, envelope_of
from hunyuan_ui.endpoint.named_cost import DEEPEST, is_cost, named_cost
from hunyuan_ui.endpoint.responses import Answer, plain, raise_unless_success
from hunyuan_ui.endpoint.retry_after import MILLISECONDS, YEAR_2001, moment
from hunyuan_ui.errors import InvalidRequestError, UnexpectedResponseError, reason
from hunyuan_ui.request import VideoRequest

PER_PAGE: Final = 100  # the service's maximum
MOST_PAGES: Final = 50
UNKNOWN_PROMPT: Final = "(not in the account's history)"

# An empty list means that nothing was spent, so it is accepted only under a name for a list of requests.
_NAME_OF_ROWS: Final = re.compile(r"data|item|result|row|record|request|histor|generation|list|content|doc|entr|log")
_NOT_OF_ROWS: Final = re.compile(r"error|warn|filter|messag")
# The list is filtered by a part of a model's name: a longer name that contains ours is another model, not an error.
_OURS: Final = re.sub(r"[^a-z0-9]", "", contract.MODEL)
_OUR_NAME: Final = re.compile(_OURS + r"(13b|t2v|texttovideo|v[0-9]{1,2}|latest)*")
_OWN_PARAMETERS: Final = frozenset({"video_length", "infer_steps", "flow_shift", "embedded_guidance_scale"})
_PAST_THE_END: Final = (400, 404, 422)  # responses of some lists to a page after the last
_BEGUN: Final = re.compile(r"creat|submit|request(ed)?_?(at|time|date)|start|queue|timestamp|^time$|^date$", re.I)
_ENDED: Final = re.compile(r"complet|updat|finish|end", re.I)
_NO_ROW: Final = re.compile(r"not[\s_-]?found|(not|n't) exist|\bno (such )?(request|row|record|data|result)", re.I)
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_YEAR_9999: Final = 2.5e11
_MOST_AHEAD_S: Final = 86_400.0


def history_row(answer: Answer, request_id: str) -> HistoryRow | None:
    """Return the row of the account's history for a request, or None."""
    if answer.status == 404 and not answer.is_html:
        return None
    raise_unless_success(answer)
    if answer.value is None:
        raise UnexpectedResponseError("bad_answer", reason=answer.problem or answer.detail)
    rows = [row for row in _rows_in(answer.value, request_id) if row.url or row.cost is not None or row.status]
    told = answer.detail
    # An error in a success is no proof that there is no row, unless it says so.
    if not rows and envelope_of(answer.value).is_refused and isinstance(told, str) and not _NO_ROW.search(told):
        raise UnexpectedResponseError("bad_answer", reason=told)
    return max(rows, key=lambda row: (row.url is not None, row.cost is not None, row.status is not None), default=None)


def _rows_in(value: object, request_id: str, depth: int = 0) -> list[HistoryRow]:
    """Return a request's rows at every level; one of several must have its id, a single one must have no other id."""
    if depth > DEEPEST + 1:
        return []
    if isinstance(value, list):
        items = cast("list[object]", value)
        if sum(map(_is_row_like, items)) > 1:
            items = [item for item in items if contract.names(cast("dict[str, object]", item), request_id)]
        return [row for item in items for row in _rows_in(item, request_id, depth + 1)]
    if not isinstance(value, dict):
        return []
    fields = cast("dict[str, object]", value)
    if contract.names_another(fields, request_id) or not _is_ours(fields):
        return []
    below = [row for item in fields.values() for row in _rows_in(item, request_id, depth + 1)]
    return [_row(fields), *below] if _is_row(fields) else below


def _is_row(fields: Mapping[str, object]) -> bool:
    return any(name in fields for name in ROW)


def _row(fields: Mapping[str, object]) -> HistoryRow:
    status = fields.get("model_status") or fields.get("status")
    # Not at every level: a row may contain the request's fields, and the costs of other requests.
    cost = named_cost({name: value for name, value in fields.items() if name == "metrics" or is_cost(name)})
    return HistoryRow(_url(fields), cost, plain(status)[:40] if isinstance(status, str) else None)


def _url(fields: Mapping[str, object]) -> str | None:
    return contract.video_url({"output": fields.get("generation_url")}) or contract.video_url(fields)


# --- the list


@dataclass(frozen=True, slots=True)
class PastRequest:
    """One request of this model in the account's history.

    Args:
        identity: The same for all rows of one request, however its id is written.
        request_id: For calls to the service; None if the row has no valid one.
        state: COMPLETED or FAILED; PROCESSING for any other status, since polling it gives the real one.
        cost: US dollars, or None if not named.
        url: Of the video, or None.
        request: The original request as far as it can be read, or None.
        at: When it was sent, UTC seconds, or None.
    """

    identity: str
    request_id: str | None
    state: RemoteState
    cost: float | None
    url: str | None
    request: VideoRequest | None
    at: float | None


def list_query(page: int, since: float, now: float) -> str:
    """Return path and query of a page of the list, below the history base URL.

    Args:
        page: From 1.
        since: UTC seconds; the list includes that whole day.
        now: UTC seconds; the query names the day after the next, because it is undocumented whether the last day is
            included, and because the service's clock may be ahead by up to a day.
    """
    first, last = (datetime.fromtimestamp(at, timezone.utc).date() for at in (since, now))
    asked = {
        "page": page,
        "per_page": PER_PAGE,
        "from_date": first - timedelta(days=1),  # its clock may also be behind
        "to_date": last + timedelta(days=2),
    }
    return f"{contract.HISTORY_LIST}?{urlencode({**asked, 'model_name': contract.MODEL})}"


class PastRequests:
    """Combines the list's pages in order, and detects when they are complete.

    Args:
        now: Returns UTC seconds by this machine's clock, to which all times are converted.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._ahead_s: float | None = None  # how far this machine's clock is ahead of the service's
        self._requests: dict[str, PastRequest] = {}
        self._seen: set[tuple[str, str | None]] = set()
        self._rows = 0
        self._pages = 0
        self._total: int | None = None
        self._counted = 0
        self._is_short = False
        self._goes_on = False
        self._are_others = False  # whether there were rows of models that were not requested

    @property
    def next_page(self) -> int:
        """The number of the next page to pass to `take`, from 1."""
        return self._pages + 1

    def take(self, answer: Answer) -> bool:
        """Add the next page; return whether there may be another.

        Raises:
            EndpointError: Refused, an unexpected response, an incomplete list, or a clock that is wrong by days.
        """
        if self._is_short and answer.status in _PAST_THE_END and not answer.is_html:
            return self._end()
        rows, about = _page(answer)
        if self._ahead_s is None:
            # Read now: a slow response would otherwise date its rows back, some to the day before.
            self._ahead_s = _ahead_s(answer, self._now())
        self._total = about.total if self._total is None else self._total  # what is added meanwhile is not waited for
        self._counted = max(self._counted, about.counted)
        self._pages += 1
        # A row of an earlier page, which has moved down since, does not make up for one that is missing.
        found = [(identity, row) for identity, row in _identified(rows) if (identity, _url(row)) not in self._seen]
        if not found:
            self._goes_on |= about.goes_on
            return self._end()  # empty, or the previous page again
        self._seen |= {(identity, _url(row)) for identity, row in found}
        self._rows += len(found)
        for identity, row in found:
            self._sort_in(identity, row)
        self._is_short = len(rows) < PER_PAGE
        # Some claim on every full page that there is another.
        self._goes_on = about.goes_on and self._is_short
        if self._is_short and not self._goes_on and self._total is not None and self._rows >= self._total:
            return self._end()
        if self._pages >= MOST_PAGES:
            raise UnexpectedResponseError("bad_answer", reason=reason("list_without_end"))
        return True

    def all(self) -> list[PastRequest]:
        """Return each request once, in the list's order."""
        return list(self._requests.values())

    def _end(self) -> bool:
        if self._goes_on or self._rows < max(self._total or 0, self._counted):
            raise UnexpectedResponseError("bad_answer", reason=reason("list_cut_short"))
        # Then the filter was ignored, or this model has another name there.
        if self._are_others and not self._requests:
            raise UnexpectedResponseError("bad_answer", reason=reason("list_of_others"))
        return False

    def _sort_in(self, identity: str, row: Mapping[str, object]) -> None:
        if _is_ours(row):
            past = _past_request(identity, row)
            self._add(past if past.at is None else replace(past, at=past.at + (self._ahead_s or 0.0)))
        elif _OURS not in _letters(_model_of(row)):
            self._are_others = True

    def _add(self, row: PastRequest) -> None:
        """Merge the rows of one request, one per output, each of which names the total cost."""
        known = self._requests.setdefault(row.identity, row)
        states = {known.state, row.state}
        order = (RemoteState.COMPLETED, RemoteState.PROCESSING, RemoteState.FAILED)
        self._requests[row.identity] = replace(
            known,
            state=next(state for state in order if state in states),
            cost=max((cost for cost in (known.cost, row.cost) if cost is not None), default=None),
            url=known.url or row.url,
            request=known.request or row.request,
            at=known.at or row.at,
        )


def _ahead_s(answer: Answer, now: float) -> float:
    """Return how many seconds a clock is ahead of the service's; 0 if a response does not name its time."""
    there = moment(answer.headers.get("date", ""))
    ahead_s = 0.0 if there is None else now - there
    if abs(ahead_s) > _MOST_AHEAD_S:
        raise UnexpectedResponseError("bad_answer", reason=reason("clocks_differ"))
    return ahead_s


def _page(answer: Answer) -> tuple[list[dict[str, object]], Envelope]:
    """Return the rows of all models on a page, and its envelope."""
    raise_unless_success(answer)
    value = answer.value
    about = envelope_of(value)
    if value is None or about.is_refused:
        raise UnexpectedResponseError("bad_answer", reason=answer.problem or answer.detail)
    lists = list(_lists_in(value))
    rows = [row for _, items in lists if any(map(_is_row_like, items)) for row in items]
    if not rows:
        named = [items for name, items in lists if _NAME_OF_ROWS.search(name) and not _NOT_OF_ROWS.search(name)]
        if not named or any(named):
            raise UnexpectedResponseError("bad_answer", reason=reason("no_list"))
        if about.is_doubted:
            raise UnexpectedResponseError("bad_answer", reason=answer.detail)
    if not all(map(_is_row_like, rows)):
        raise UnexpectedResponseError("bad_answer", reason=reason("list_of_others"))
    return [cast("dict[str, object]", row) for row in rows], about


def _is_row_like(item: object) -> bool:
    return isinstance(item, dict) and _is_row(cast("dict[str, object]", item))


def _lists_in(value: object, name: str = "list", depth: int = 0) -> Iterator[tuple[str, list[object]]]:
    if isinstance(value, list):
        yield name.lower(), cast("list[object]", value)
    elif isinstance(value, dict) and depth < DEEPEST:
        fields = cast("dict[str, object]", value)
        if sum(known in fields for known in ROW) > 1:
            return  # a row; its nested lists are no rows
        for key, item in fields.items():
            yield from _lists_in(item, key, depth + 1)


# --- one row


def _identified(rows: Iterable[dict[str, object]]) -> list[tuple[str, dict[str, object]]]:
    """Return each row of a page with an identity of its request."""
    found: list[tuple[str, dict[str, object]]] = []
    equal: Counter[str] = Counter()
    for row in rows:
        identity = _id_of(row)
        if identity is None:
            identity = _content_of(row)
            equal[identity] += 1
            # This model has one output per request, so that equal rows are separate requests.
            identity += f" {equal[identity]}" if equal[identity] > 1 else ""
        found.append((identity, row))
    return found


def _id_of(row: Mapping[str, object]) -> str | None:
    return next((text for one in contract.own_ids_in(row) if (text := bare_id(one))), None)


def _content_of(row: Mapping[str, object]) -> str:
    """Return the constant fields of a request as text."""
    fixed = ""
    with suppress(RecursionError):
        fixed = json.dumps([row.get("request_body"), _moment_of(row)], sort_keys=True)
    return "row " + sha256(fixed.encode()).hexdigest()


def _is_ours(row: Mapping[str, object]) -> bool:
    """Whether a row is of this model; a row without a name matched the query's filter."""
    name = _model_of(row)
    if not name or any(_OUR_NAME.fullmatch(_letters(piece)) for piece in (name, *re.split(r"[/:@]", name))):
        return True
    # Another model whose name contains ours may take the same parameters.
    return _OURS not in _letters(name) and _body_of(row).keys() >= _OWN_PARAMETERS


def _model_of(row: Mapping[str, object]) -> str:
    name = row.get("model_name")
    return name.strip() if isinstance(name, str) else ""


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _past_request(identity: str, row: Mapping[str, object]) -> PastRequest:
    about = _row(row)
    state = RemoteState.FAILED if about.state is RemoteState.FAILED else RemoteState.PROCESSING
    # A video's address is stronger evidence than any status word.
    is_made = about.state is RemoteState.COMPLETED or about.url is not None
    return PastRequest(
        identity=identity,
        request_id=next(filter(contract.is_request_id, contract.own_ids_in(row)), None),
        state=RemoteState.COMPLETED if is_made else state,
        cost=about.cost,
        url=about.url,
        request=_request_in(row),
        at=_moment_of(row),
    )


def _request_in(row: Mapping[str, object]) -> VideoRequest | None:
    """Return the original request; an unreadable value gets its default, which suffices for the price."""
    body = _body_of(row)
    prompt = body.get("prompt") or row.get("prompt")
    known = {name: _number(body[name]) for name in VideoRequest.model_fields if body.get(name) is not None}
    if not known and not prompt:
        return None
    values: dict[str, Any] = {"prompt": UNKNOWN_PROMPT}
    for name, value in {**known, "prompt": prompt, "negative_prompt": body.get("negative_prompt")}.items():
        with suppress(InvalidRequestError, OverflowError):
            VideoRequest.parse({**values, name: value})
            values[name] = value
    return VideoRequest.parse(values)


def _body_of(row: Mapping[str, object]) -> dict[str, object]:
    body = _object(row.get("request_body")) or _object(row.get("parameters")) or {}
    if "prompt" in body:
        return body
    return next((inner for inner in map(_object, body.values()) if inner and "prompt" in inner), body)


def _object(value: object) -> dict[str, object] | None:
    if isinstance(value, str):
        value = contract.read_json(value)
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


def _number(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,12}(\.[0-9]{1,9})?", value.strip()):
        return float(value) if "." in value else int(value)
    return value


def _moment_of(row: Mapping[str, object]) -> float | None:
    """Return the latest time in a row at which its request was sent, else ended; UTC seconds."""
    for kind in (_BEGUN, _ENDED):
        named = [value for name, value in row.items() if kind.search(name)]
        for read in (_moment, _noon):  # a date alone says less than a time beside it
            if known := [at for at in map(read, named) if at is not None]:
                return max(known)
    return None


def _noon(value: object) -> float | None:
    """Return noon of a date: from midnight a second between two clocks would lead to the day before."""
    if isinstance(value, str) and _DAY.fullmatch(value.strip()):
        with suppress(ValueError):
            return datetime.combine(date.fromisoformat(value.strip()), time(12), timezone.utc).timestamp()
    return None


def _moment(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    if isinstance(value, str) and _DAY.fullmatch(value.strip()):
        return None
    at = moment(value[:80]) if isinstance(value, str) else _seconds(value)
    return at if at is not None and YEAR_2001 <= at < _YEAR_9999 else None


def _seconds(number: float) -> float | None:
    with suppress(OverflowError):
        at = float(number)
        while MILLISECONDS < at < math.inf:
            at /= 1000  # milli-, micro- or nanoseconds
        return at
    return None
