"""Wildcards in a prompt: `{a|b|c}` stands for one of its choices, which may be nested.

Braces without a bar between them are literal, and a backslash escapes a brace, a bar or a backslash.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import shake_256
from math import prod
from typing import Final

from hunyuan_ui.errors import InvalidRequestError

MOST_DEPTH: Final = 8
MOST_TEXT: Final = 4000  # characters; twice the longest prompt
_EVEN: Final = 16  # extra random bytes, so that no combination is likelier than another
_ESCAPED: Final = "{}|\\"


class Choice:
    """One of several alternative texts.

    Args:
        texts: The alternatives.
    """

    def __init__(self, texts: list[Text]) -> None:
        self._texts = texts
        self.count = sum(text.count for text in texts)

    def at(self, index: int) -> str:
        """Return the text of one selection, from 0 and below `count`."""
        for text in self._texts:
            if index < text.count:
                return text.at(index)
            index -= text.count
        raise IndexError(index)


class Text:
    """A sequence of words and choices.

    Args:
        pieces: In order.
    """

    def __init__(self, pieces: list[str | Choice]) -> None:
        self.pieces = pieces
        self.count = prod(piece.count for piece in pieces if isinstance(piece, Choice))

    def at(self, index: int) -> str:
        """Return one combination, from 0 and below `count`; the last choice changes fastest."""
        parts: list[str] = []
        for piece in reversed(self.pieces):
            if isinstance(piece, Choice):
                index, own = divmod(index, piece.count)
                parts.append(piece.at(own))
            else:
                parts.append(piece)
        return "".join(reversed(parts))


def read_wildcards(prompt: str) -> Text:
    """Parse a prompt with wildcards.

    Raises:
        InvalidRequestError: A brace is unmatched, the nesting is too deep, or the text is too long.
    """
    if len(prompt) > MOST_TEXT:
        raise InvalidRequestError("text_too_long", field="prompt", length=len(prompt), limit=MOST_TEXT)
    reader = _Reader(prompt)
    text, end = reader.choices(0)
    if end:
        raise InvalidRequestError("wildcard_brace", field="prompt", brace=end)
    return text[0]


def picked(text: Text, picks: int, seed: int) -> Iterator[str]:
    """Yield every combination, or a random selection, without repetition and in order.

    Args:
        text: Of a prompt.
        picks: Number of combinations; 0 for all.
        seed: The same seed selects the same combinations on every machine and version.
    """
    count = text.count
    if not 0 < picks < count:
        yield from map(text.at, range(count))
        return
    # More than half is selected by drawing the excluded ones, so that few draws repeat.
    wanted = min(picks, count - picks)
    drawn: set[int] = set()
    tries = 0
    while len(drawn) < wanted:
        digest = shake_256(f"{seed}/{tries}".encode()).digest(count.bit_length() // 8 + _EVEN)
        drawn.add(int.from_bytes(digest, "big") % count)
        tries += 1
    chosen = sorted(drawn) if wanted == picks else [index for index in range(count) if index not in drawn]
    yield from map(text.at, chosen)


class _Reader:
    def __init__(self, prompt: str) -> None:
        self._prompt = prompt
        self._place = 0

    def choices(self, depth: int) -> tuple[list[Text], str]:
        """Parse the alternatives between bars; return them and the closing brace, empty at the end of the prompt."""
        if depth > MOST_DEPTH:
            raise InvalidRequestError("wildcard_depth", field="prompt", most=MOST_DEPTH)
        texts: list[Text] = []
        pieces: list[str | Choice] = []
        while sign := self._next():
            if sign == "}":
                break
            if sign == "|" and depth:
                texts.append(Text(pieces))
                pieces = []
            elif sign == "{":
                pieces += self._group(depth)
            elif sign == "\\" and self._prompt[self._place : self._place + 1] in tuple(_ESCAPED):
                pieces.append(self._next())
            else:
                pieces.append(sign)
        return [*texts, Text(pieces)], sign

    def _group(self, depth: int) -> list[str | Choice]:
        texts, end = self.choices(depth + 1)
        if not end:
            raise InvalidRequestError("wildcard_brace", field="prompt", brace="{")
        return [Choice(texts)] if len(texts) > 1 else ["{", *texts[0].pieces, "}"]

    def _next(self) -> str:
        sign = self._prompt[self._place : self._place + 1]
        self._place += 1
        return sign
