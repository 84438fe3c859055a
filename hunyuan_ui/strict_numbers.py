"""Numbers as people write them; what Python also takes for one (`1_000`, `nan`, ` 5 `) is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

_NUMBER: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_MOST_DIGITS: Final = 9


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return what reads a whole number within these bounds, or raises a ValueError that says what it must be."""

    def read(text: str) -> int:
        is_plain = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
        if not is_plain or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}, written in digits alone")
        return int(text)

    return read


def number(low: float, high: float, unit: str) -> Callable[[str], float]:
    """Return what reads a number of some unit within these bounds, or raises a ValueError that says what it must be."""

    def read(text: str) -> float:
        if not _NUMBER.fullmatch(text) or not low <= float(text) <= high:
            raise ValueError(f"must be a number of {unit} from {low:.10g} to {high:.10g}, written like 5 or 2.50")
        return float(text)

    return read
