"""The wait after a rate limit, as a response's headers name it, and the dates in responses."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Final

from hunyuan_ui.endpoint.contract import RATE_LIMIT_RESET_HEADER

SHORTEST_S: Final = 1.0
LONGEST_S: Final = 3600.0
GUESS_S: Final = (15.0, 60.0)  # if the response gives no usable time

_ISO: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(:\d\d)?(?:[.,]\d+)? ?(?:Z|UTC|GMT|([+-])(\d\d)(?::?(\d\d))?)?",
    re.IGNORECASE | re.ASCII,
)
_NUMBER: Final = re.compile(r"\d{1,15}(?:\.\d{1,9})?", re.ASCII)
_LATE_S: Final = 2.0  # a limit that ended so long before is not the one that was met
YEAR_2001: Final = 1e9  # a smaller number cannot be a timestamp, so it is a duration
MILLISECONDS: Final = 1e11  # a larger one is a timestamp in milliseconds


def retry_after_s(headers: Mapping[str, str], now: float | None = None) -> float:
    """Return the seconds to wait after a 429, from 1 to 3600.

    A reset timestamp is compared with the server's own clock, because this machine's may be wrong.

    Args:
        headers: Of the response, with case-insensitive lookup.
        now: UTC seconds, used if the response has no `Date`; None reads the clock.

    Source: docs/facts/segmind-api.md 1.2: the reset header is sent, in a form not yet seen; `Retry-After` is not.
    """
    named = named_wait_s(headers, now)
    return random.uniform(*GUESS_S) if named is None else named


def named_wait_s(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Return the same if the response names it; else None."""
    own_clock = time.time() if now is None else now
    sent_at = moment(headers.get("date", "")) or own_clock
    for name in (RATE_LIMIT_RESET_HEADER, "retry-after"):
        wait = _wait(headers.get(name, ""), sent_at)
        if wait is not None:
            return min(max(wait, SHORTEST_S), LONGEST_S)
    return None


def _wait(text: str, sent_at: float) -> float | None:
    text = text.strip()
    if _NUMBER.fullmatch(text) and float(text) < YEAR_2001:
        return float(text)
    at = moment(text)
    return None if at is None or at < sent_at - _LATE_S else at - sent_at


def moment(text: str) -> float | None:
    """Return the UTC seconds of an ISO 8601 or HTTP date or a number of (milli)seconds, or None."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        number = float(text)
        return number / 1000 if number > MILLISECONDS else number
    try:
        named = _iso(text) or parsedate_to_datetime(text)
        return (named if named.tzinfo else named.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _iso(text: str) -> datetime | None:
    found = _ISO.fullmatch(text)
    if found is None:
        return None
    day, clock, seconds, sign, hours, minutes = found.groups()
    here = datetime.strptime(f"{day} {clock}{seconds or ':00'}", "%Y-%m-%d %H:%M:%S")
    if sign is None:
        return here
    offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
    return here - offset if sign == "+" else here + offset
