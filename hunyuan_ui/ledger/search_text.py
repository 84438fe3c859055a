"""Text as a search compares it: without case, accents and the width of letters, the same in every database."""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Final

FOLDED: Final = "folded"  # the function's name in SQL; SQLite's own comparison knows the case of ASCII letters only
# Only these: in other scripts a mark makes another letter, as か and が.
_ACCENTS: Final = dict.fromkeys(range(0x300, 0x370))
_MOST_CASED: Final = 0x20000  # no script beyond has two cases


def folded(text: str) -> str:
    """Return a text in which what a search takes for the same is the same."""
    if text.isascii():
        return text.lower()
    parts = unicodedata.normalize("NFKD", text).translate(_ACCENTS)
    return unicodedata.normalize("NFC", parts.casefold())


@cache
def postgres_function() -> str:
    """Return the statement that makes `folded` in PostgreSQL, whose own `lower` depends on the database's locale."""
    cased = [one for one in map(chr, range(_MOST_CASED)) if len(one.casefold()) == 1 and one.casefold() != one]
    marks = "".join(map(chr, _ACCENTS))  # without a counterpart, `translate` drops them
    before, after = "".join(cased) + "ẞ" + marks, "".join(map(str.casefold, cased)) + "ß"
    parts = f"translate(normalize(prompt, NFKD), '{before}', '{after}')"
    return (
        f"CREATE OR REPLACE FUNCTION {FOLDED}(prompt text) RETURNS text LANGUAGE sql IMMUTABLE STRICT"
        f" AS $$ SELECT replace(normalize({parts}, NFC), 'ß', 'ss') $$"
    )
