"""Finds the cost that a response names for a request, in any field and format.

Source: docs/facts/segmind-api.md 1.2 and 3.3: accounting fields moved between captures, so every possible field is
read. Missing a named cost would let a public page spend more than its owner allowed.
"""

from __future__ import annotations

import json
import math
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final, TypeVar, cast

_T = TypeVar("_T")
MOST_USD: Final = 1e9  # cap for larger amounts: still implausible, and sums of it fit the ledger

_METRICS: Final = "metrics"
_NOT_KNOWN: Final = -1.0  # some programs write it for a missing number
# Normalised: no case, spaces or dashes. Charges only, never prices of other things or remaining balances.
_OF: Final = (
    "(x|total|final|actual|net|request|job|run|task|video|generation|inference|prediction|gpu|compute|usage|api|segmind"
    "|usd|dollars?|credits?)*"
)
_UNIT: Final = (
    "(in|usd|us|dollars?|credits?|cents?|micros?|millis?|nanos?|units?|eur|euros?|gbp|inr|amount"
    "|total|value|charged|details?|breakdown|info|summary)*"
)
_TAKEN: Final = "(charge[ds]?|billed|billable|deducted|deductions?|debit|debited)"
_NAME: Final = re.compile(
    rf"{_OF}(costs?|fees?){_UNIT}|{_OF}(amount|balance)?{_TAKEN}{_UNIT}"
    rf"|x?(total)?(credits?|amount|usd|dollars?)(used|consumed|spent|paid|due)|(used|consumed|spent|spend)(credits?|usd|dollars?)"
    "|billing"
)
_SUMS: Final = ("amount", "value", "total", "sum", "usd", "credits", "price")  # names of the number in a cost object
# Names of other numbers in one; what is left are its parts.
_NO_PARTS: Final = re.compile(
    "remain|balance|left|limit|rate|per|count|quantity|number|second|time|duration|date|day|start|end|at$|id$"
)
_ALONE: Final = re.compile(r"\s*[$€]?\s*-?[\d.,]+\s*")  # a text that is nothing but an amount
_UNIT_NAMES: Final = ("unit", "units", "currency")  # names of the unit in a cost object
_PARTS: Final = (
    (re.compile("(?<![a-z])cents?(?![a-z])|cents$|¢"), 1e-2),
    (re.compile("milli(?!on)"), 1e-3),
    (re.compile("micro|µ"), 1e-6),
    (re.compile("nanos?(?![a-z])|nanos?usd"), 1e-9),
)
DEEPEST: Final = 4  # levels of a response that are searched
_LONGEST: Final = 80  # maximum characters of a number
_LONGEST_LIST: Final = 8_000  # and of a text with several
_MOST_FIELDS: Final = 2_000  # searched at each end of a level
_MOST_VALUES: Final = 50_000  # within all cost fields together
_NUMBER: Final = re.compile(r"-?\d[\d.,]*")
_GAPS: Final = re.compile(r"(?<=\d)[\s'\u2019](?=\d{3}(?!\d))")  # other separators of thousands
_THOUSANDS: Final = re.compile(r"-?\d{1,3}((,\d{3})+|(\.\d{3}){2,})")


def named_cost(body: object, header: str | None = None) -> float | None:
    """Return the cost in US dollars that a response names.

    Returns:
        The largest cost in the expected fields, else the largest elsewhere in the body; zero only if no field names
        more. If all are negative, the amount deducted. None if no field names any.
    """
    # An amount of its own outweighs numbers that are only added up.
    return _largest(body, header) or _largest(body, header, in_parts=True)


def _largest(body: object, header: str | None, *, in_parts: bool = False) -> float | None:
    fields: dict[str, object] = cast("dict[str, object]", body) if isinstance(body, dict) else {}
    official = [*_costs_in(_read(fields.get(_METRICS)), in_parts=in_parts), *_dollars(header)]
    others = [*_costs_in(cast("object", body), in_parts=in_parts)]
    if any(one >= 0 for one in (*official, *others)):
        return max([0.0, *official]) or max([0.0, *others])
    return max((-one for one in (*official, *others) if one != _NOT_KNOWN), default=None)


def cost_header(headers: Mapping[str, str]) -> str | None:
    """Return the values of all cost headers, under any of their names, joined as those of a repeated one."""
    found = [(text, _part_of_dollar(name)) for name, text in headers.items() if is_cost(name)]
    return ", ".join(text if part == 1 else str(max(_dollars(text, part), default=0)) for text, part in found) or None


def _costs_in(value: object, *, in_parts: bool) -> Iterator[float]:
    """Yield the values of cost fields; texts are not parsed, because a prompt may be among them.

    Of a level with too many fields only the first and the last ones are searched: a body may have millions, for which
    the whole program would stand still.

    Args:
        in_parts: Whether to add up an object's numbers if none of them is named as its amount.
    """
    level, spare = [value], _MOST_VALUES
    for _ in range(DEEPEST + 1):
        fields = list(first_and_last(field for item in level for field in _fields_of(item)))
        for name, item in fields:
            if is_cost(name) and spare > 0:
                spare -= _size(item, spare)
                if spare > 0:
                    yield from _dollars(item, _part_of_dollar(name), in_parts=in_parts)
        level = [item for name, item in fields if not is_cost(name)]


def _fields_of(value: object) -> Iterable[tuple[str, object]]:
    """Return a container's values with their names, which are empty in a list."""
    if isinstance(value, list):
        return (("", item) for item in cast("list[object]", value))
    return cast("dict[str, object]", value).items() if isinstance(value, dict) else ()


def first_and_last(fields: Iterable[_T]) -> Iterator[_T]:
    """Yield the first and the last fields of a level with very many."""
    left = iter(fields)
    yield from islice(left, _MOST_FIELDS)
    yield from deque(left, maxlen=_MOST_FIELDS)


def _size(value: object, most: int) -> int:
    """Return how many values a JSON value consists of, counted up to `most`."""
    count, left = 0, [value]
    while left and count < most:
        count += 1
        left += [item for _, item in islice(_fields_of(left.pop()), most)]
    return count


def _part_of_dollar(text: object) -> float:
    """Return the dollars of the unit that a name or a text names; 1 if it names none."""
    return next((part for unit, part in _PARTS if unit.search(str(text)[:_LONGEST].lower())), 1.0)


def _dollars(value: object, part: float = 1.0, depth: int = 0, *, in_parts: bool = False) -> Iterator[float]:
    if isinstance(value, bool) or depth > DEEPEST:
        return
    if isinstance(value, list):
        for item in cast("list[object]", value):
            yield from _dollars(item, part, depth + 1, in_parts=in_parts)
    elif isinstance(value, dict):
        fields = {_plain(name): item for name, item in cast("dict[str, object]", value).items()}
        part = min([part, *(_part_of_dollar(fields[name]) for name in _UNIT_NAMES if name in fields)])
        named = {name: item for name, item in fields.items() if name in _SUMS or is_cost(name)}
        parts = {name: item for name, item in fields.items() if in_parts and not named and _is_part(name, item)}
        found = [
            [*_dollars(item, min(part, _part_of_dollar(name)), depth + 1, in_parts=in_parts)]
            for name, item in (named or parts).items()
        ]
        yield from (one for amounts in found for one in amounts) if named else _sum(found)
    elif isinstance(value, (int, float, str)):
        # A repeated header arrives as one, joined by commas.
        for one in value[:_LONGEST_LIST].split(", ") if isinstance(value, str) else (value,):
            number = _number(one)
            if number is not None and not math.isnan(number):
                dollars = number * min(part, _part_of_dollar(one))
                yield max(-MOST_USD, min(dollars, MOST_USD))


def _is_part(name: str, item: object) -> bool:
    return not _NO_PARTS.search(name) and (not isinstance(item, str) or _ALONE.fullmatch(item[:_LONGEST]) is not None)


def _sum(amounts: list[list[float]]) -> Iterator[float]:
    """Yield the sum of a cost's parts, if it has any."""
    if any(amounts):
        yield min(sum(max(one, default=0.0) for one in amounts), MOST_USD)


def _number(value: float | str) -> float | None:
    """Parse a number, also with a currency sign or any country's separators."""
    try:
        return float(value)
    except OverflowError:
        return MOST_USD
    except ValueError:
        pass
    if not (found := _NUMBER.search(_GAPS.sub("", str(value)[:_LONGEST]))):
        return None
    digits = found[0].rstrip(".,")
    if _THOUSANDS.fullmatch(digits):
        return float(re.sub("[.,]", "", digits))
    whole, _, cents = digits.replace(",", ".").rpartition(".")
    return float(f"{whole.replace('.', '')}.{cents}" if whole else cents)


def _read(metrics: object) -> object:
    """Decode metrics that arrive as JSON text."""
    if not isinstance(metrics, str):
        return metrics
    try:
        return json.loads(metrics)
    except (ValueError, RecursionError):
        return None


def is_cost(name: object) -> bool:
    """Whether a field or header of this name is a charge."""
    return _NAME.fullmatch(_plain(name)) is not None


def _plain(name: object) -> str:
    return re.sub(r"[^a-z]", "", str(name)[:_LONGEST].lower())
