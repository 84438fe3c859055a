"""What an answer says that a request costs, wherever and however it says it.

Source: docs/facts/segmind-api.md 1.2 and 3.3: accounting fields moved between captures, so every place is read that may
hold a cost. A cost that was named and not counted would let a public page spend more than its owner allowed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final, cast

MOST_USD: Final = 1e9  # what a larger one counts as: as implausible, and a sum of them still fits a ledger

_METRICS: Final = "metrics"
# Without case, spaces and dashes. What was charged, and never a price that something else would have, or what is left.
_NAME: Final = re.compile(
    r"(total|final|actual)?costs?(in)?(usd|dollars?|credits?|cents)?|credits?(used|consumed|spent|deducted|deduction)"
    r"|(amount|credits?|usd)?(charged?|billed)(amount|credits?|usd)?|billing"
)
_SUMS: Final = ("amount", "value", "total", "usd")  # names of the number in an object that is a cost
_DEEPEST: Final = 4
_LONGEST: Final = 80  # characters of a number
_NUMBER: Final = re.compile(r"-?\d[\d.,]*")
_THOUSANDS: Final = re.compile(r"-?\d{1,3}((,\d{3})+|(\.\d{3}){2,})")


def named_cost(body: object, header: str | None = None) -> float | None:
    """Return the cost that an answer names in US dollars.

    Args:
        body: The JSON value of its body.
        header: What its header for the cost holds.

    Returns:
        The largest of those that stand where a cost belongs, else of those elsewhere in the body; zero only where no
        place names more, None where none names any.
    """
    fields: dict[str, object] = cast("dict[str, object]", body) if isinstance(body, dict) else {}
    official = [*_costs_in(_read(fields.get(_METRICS))), *_dollars(header)]
    others = [*_costs_in(cast("object", body))]
    return max(official, default=0.0) or max(others, default=0.0) or (0.0 if official or others else None)


def cost_header(headers: Mapping[str, str]) -> str | None:
    """Return what the header for the cost holds, by whichever name it goes."""
    named = (text for name, text in headers.items() if _is_cost(name.lower().removeprefix("x-")))
    return next(named, None)


def _costs_in(value: object, depth: int = 0) -> Iterator[float]:
    """Yield what is called a cost; texts are not looked into, because a prompt may be among them."""
    if depth > _DEEPEST:
        return
    if isinstance(value, list):
        for item in cast("list[object]", value):
            yield from _costs_in(item, depth + 1)
    elif isinstance(value, dict):
        for name, item in cast("dict[str, object]", value).items():
            yield from _dollars(item) if _is_cost(name) else _costs_in(item, depth + 1)


def _dollars(value: object, depth: int = 0) -> Iterator[float]:
    if isinstance(value, bool) or depth > _DEEPEST:
        return
    if isinstance(value, list):
        for item in cast("list[object]", value):
            yield from _dollars(item, depth + 1)
    elif isinstance(value, dict):
        for name, item in cast("dict[str, object]", value).items():
            if _plain(name) in _SUMS or _is_cost(name):
                yield from _dollars(item, depth + 1)
    elif isinstance(value, (int, float, str)):
        # A header that came twice stands as one, with a comma between.
        for part in value.split(", ") if isinstance(value, str) else (value,):
            number = _number(part)
            if number is not None and number >= 0:
                yield min(number, MOST_USD)


def _number(value: float | str) -> float | None:
    """Return a number, also one with a sign of money, or with the commas of any country."""
    try:
        return float(value)
    except OverflowError:
        return MOST_USD
    except ValueError:
        pass
    if not (found := _NUMBER.search(str(value)[:_LONGEST])):
        return None
    digits = found[0].rstrip(".,")
    if _THOUSANDS.fullmatch(digits):
        return float(re.sub("[.,]", "", digits))
    whole, _, cents = digits.replace(",", ".").rpartition(".")
    return float(f"{whole.replace('.', '')}.{cents}" if whole else cents)


def _read(metrics: object) -> object:
    """Return metrics that came as JSON text as what they are."""
    if not isinstance(metrics, str):
        return metrics
    try:
        return json.loads(metrics)
    except (ValueError, RecursionError):
        return None


def _is_cost(name: object) -> bool:
    return _NAME.fullmatch(_plain(name)) is not None


def _plain(name: object) -> str:
    return re.sub(r"[^a-z]", "", str(name)[:_LONGEST].lower())
