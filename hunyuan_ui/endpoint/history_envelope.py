"""Parses the envelope of a request list: whether it is refused, partial or continued, and the total count.

Source: docs/facts/segmind-api.md 3.3, which leaves the envelope open. An empty list means that nothing was spent, so it
is accepted only if nothing in its envelope contradicts that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple, cast

from hunyuan_ui.endpoint.named_cost import DEEPEST

ROW: Final = ("request_id", "generation_url", "model_status", "credits_deduction")

_Field = tuple[str, object]

_TOTALS: Final = re.compile(
    r"(total|num|numberof)(count|items|records|results|rows|hits|found|requests|entries|elements)?"
)
_COUNTS: Final = re.compile(r"count|(row|item|result|record)s?count")  # of all, or of this page
_FLAGS: Final = re.compile(r"(is)?(success(ful|fully)?|ok)")
_CODES: Final = re.compile(r"(http|response|error)?(status|code|statuscode)")
_STATES: Final = re.compile(r"status|statustext|state|result")
_ERRORS: Final = re.compile(r"error.*|.*errors?|exceptions?|faults?|failures?")
_PARTIAL: Final = re.compile(r"(is|was)?(partial|truncated|incomplete|timedout|timeout|terminatedearly|degraded)\w*")
_MORE: Final = re.compile(
    r"(has|is|have)?(more|next)(page|results|items|rows|data|available|url|link|uri|href|cursor|token|pagetoken)?"
    r"|continuation\w*|lastevaluatedkey"
)
_MESSAGES: Final = re.compile(r"\w*(messages?|msg|details?|warnings?|notices?|notes?|reasons?|info|title|description)")
_ASKED: Final = re.compile(r"filter|query|param|sort|search|user|account|model")  # echoes of the query and its account

_UNSAID: Final = ("", "false", "none", "null", "0", "n/a", "[]", "{}")
_ILL: Final = re.compile(r"\b(err\w*|fail\w*|partial\w*|incomplete|timeout|timed|unavailable|unauthori\w+|forbidden)\b")
_WELL: Final = re.compile(r"|ok(ay)?|true|success(ful|fully)?|succeeded|completed?|done|finished|fetched|found|empty")
_DOUBT: Final = re.compile(r"\b(not?|un\w+|in\w+|fail\w*|err\w*|part\w*|exceed\w*|limit\w*|time\w*|but|except)\b")
_NOTHING: Final = re.compile(
    r"no ((more|matching|past|such) )?(data|requests?|records?|results?|rows?|items?|entries|history|pages?)"
    r"( (was|were|is|are))?( (found|available|yet|left))?"
)


class Envelope(NamedTuple):
    """Facts in the envelope of a list.

    Args:
        is_refused: It reports an error or a partial result.
        is_doubted: It contains something that is not known to occur with a list that is really empty.
        goes_on: It announces another page.
        total: Total number of rows; None if not given.
        counted: Its count field, which may be of all rows or of its page; 0 if there is none.
    """

    is_refused: bool
    is_doubted: bool
    goes_on: bool
    total: int | None
    counted: int


def envelope_of(value: object) -> Envelope:
    """Return the envelope of the list in a response's JSON value."""
    fields = list(_fields_in(value))
    totals = [number for name, item in fields if _TOTALS.fullmatch(name) and (number := _whole(item)) is not None]
    counts = [number for name, item in fields if _COUNTS.fullmatch(name) and (number := _whole(item)) is not None]
    return Envelope(
        is_refused=any(map(_refuses, fields)),
        is_doubted=any(map(_is_doubtful, fields)),
        goes_on=any(_MORE.fullmatch(name) and _is_said(item) for name, item in fields),
        total=next(iter(totals), None),
        counted=max(counts, default=0),
    )


def _fields_in(value: object, depth: int = 0) -> Iterator[_Field]:
    """Yield each field of the envelope, its name as lowercase letters only; none of the rows or the echoed query."""
    if not isinstance(value, dict) or depth > DEEPEST:
        return
    fields = cast("dict[str, object]", value)
    if sum(known in fields for known in ROW) > 1:
        return
    for name, item in fields.items():
        letters = re.sub(r"[^a-z0-9]", "", name.lower())
        if not _ASKED.search(letters):
            yield letters, item
            yield from _fields_in(item, depth + 1)


def _refuses(field: _Field) -> bool:
    name, item = field
    if _FLAGS.fullmatch(name):
        return item is not None and (not _is_said(item) or str(item).lower() == "no")
    if _ERRORS.fullmatch(name) or _PARTIAL.fullmatch(name):
        return _is_said(item)
    number = _whole(item)
    if _CODES.fullmatch(name) and number is not None:
        return 400 <= number < 600
    return _STATES.fullmatch(name) is not None and isinstance(item, str) and _ILL.search(item[:80].lower()) is not None


def _is_doubtful(field: _Field) -> bool:
    name, item = field
    number = _whole(item)
    if _CODES.fullmatch(name) and number is not None:
        return not (number == 0 or (name == "status" and number == 1) or 200 <= number < 300)
    if _STATES.fullmatch(name) and isinstance(item, (str, bool)):
        return _WELL.fullmatch(str(item)[:80].strip().lower()) is None
    return _MESSAGES.fullmatch(name) is not None and any(map(_reports_trouble, _texts_in(item)))


def _reports_trouble(message: str) -> bool:
    normalised = " ".join(re.findall(r"\w+", message[:300].lower()))
    if _NOTHING.fullmatch(normalised):
        return False
    is_good = any(word in ("ok", "okay", "done") or word.startswith("success") for word in normalised.split())
    return bool(message.strip()) and (not is_good or _DOUBT.search(normalised) is not None)


def _texts_in(item: object) -> Iterator[str]:
    """Yield a message's texts; an object's fields are visited separately, but not those of objects in a list."""
    if isinstance(item, list):
        yield from map(str, cast("list[object]", item))
    elif isinstance(item, str):
        yield item


def _is_said(item: object) -> bool:
    """Whether a value is more than a form of empty or zero."""
    return item.strip().lower() not in _UNSAID if isinstance(item, str) else bool(item)


def _whole(item: object) -> int | None:
    """Return a non-negative integer in the range of row counts and HTTP statuses, also from text."""
    if isinstance(item, bool) or not isinstance(item, (int, float, str)):
        return None
    found = re.fullmatch(r"([0-9]{1,9})(\.0*)?", str(item)[:20].strip(), re.ASCII)
    return int(found[1]) if found else None
