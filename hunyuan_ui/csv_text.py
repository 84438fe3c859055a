"""Cells of a CSV file from which no spreadsheet computes anything."""

from __future__ import annotations

import unicodedata
from typing import Final

_FORMULA: Final = ("=", "+", "-", "@", "\N{MINUS SIGN}")  # what a spreadsheet computes, however wide it is written


def cell_of(value: object) -> object:
    """Return a cell in which nothing is computed, whichever separator or quotes a spreadsheet takes for such."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return value
    disarmed, before = list[str](), ""
    for sign in value:
        # Whatever is neither letter nor digit may separate two cells, or be dropped in front of one.
        if not before.isalnum() and unicodedata.normalize("NFKC", sign)[:1] in _FORMULA:
            disarmed.append("'")
        disarmed.append(sign)
        before = sign
    text = "".join(disarmed)
    return f"'{text}" if text[:1].isspace() else text
