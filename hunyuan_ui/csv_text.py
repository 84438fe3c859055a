"""CSV without cells that a spreadsheet would evaluate as formulas."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable
from typing import Final

_FORMULA: Final = ("=", "+", "-", "@", "\N{MINUS SIGN}")  # first characters of a formula, also in full-width form


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Return rows as CSV; None is an empty cell."""
    text = io.StringIO()
    csv.writer(text).writerows([_cell_of(value) for value in row] for row in rows)
    return text.getvalue()


def _cell_of(value: object) -> object:
    """Return a cell without formulas, whatever characters a spreadsheet treats as separators or quotes."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return value
    disarmed, before = list[str](), ""
    for sign in value:
        # A character that is neither letter nor digit may act as a separator, or be dropped before the formula.
        if not before.isalnum() and unicodedata.normalize("NFKC", sign)[:1] in _FORMULA:
            disarmed.append("'")
        disarmed.append(sign)
        before = sign
    text = "".join(disarmed)
    return f"'{text}" if text[:1].isspace() else text
