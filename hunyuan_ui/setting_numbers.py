"""Strict number parsing; forms that only Python accepts (`1_000`, `nan`, ` 5 `) are refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from hunyuan_ui.errors import Reason

_NUMBER: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_MOST_DIGITS: Final = 9


class UnfitError(Exception):
    """A text is invalid for a setting or option.

    Args:
        code: Suffix of the key "setting." in the words, which says what is valid.
        facts: Values for its placeholders.
    """

    def __init__(self, code: str, /, **facts: Any) -> None:
        super().__init__(code)
        self.must = Reason(key=f"setting.{code}", facts=facts)


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return a parser for an integer within these bounds, which raises UnfitError."""

    def read(text: str) -> int:
        is_plain = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
        if not is_plain or not low <= int(text) <= high:
            raise UnfitError("whole", low=low, high=high)
        return int(text)

    return read


def number(low: float, high: float, unit: Reason) -> Callable[[str], float]:
    """Return a parser for a number of some unit within these bounds, which raises UnfitError."""

    def read(text: str) -> float:
        if not _NUMBER.fullmatch(text) or not low <= float(text) <= high:
            raise UnfitError("number", unit=unit, low=low, high=high)
        return float(text)

    return read
