"""A prompt with its missing pieces added, by rules and never by itself (pure).

Nothing the user wrote is changed, moved or left out: the pieces come after it, each named, each a clause that can be
taken out again. Source: the rule of the model's own rewriter to keep everything and to add only what is absent
(docs/facts/users.md 4.1), and the order of pieces in its handbook (docs/facts/users.md 4.2).
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from hunyuan_ui.prompt_help.analysis import Piece, any_of, is_english, pieces
from hunyuan_ui.prompt_help.hints import LLM_TOKENS, token_estimate
from hunyuan_ui.prompt_help.vocabulary import BY_KEY, append

_ORDER: Final[tuple[Piece, ...]] = ("motion", "scene", "shot", "camera", "light", "style")


class Addition(NamedTuple):
    """One named change: which piece was missing, and the clause that stands for it now."""

    piece: Piece
    clause: str


class Improvement(NamedTuple):
    """A prompt before and after; `additions` is empty where there was nothing to add."""

    before: str
    after: str
    additions: tuple[Addition, ...]


def improve(prompt: str) -> Improvement:
    """Return a prompt with the pieces it does not speak of, as far as they can be added without inventing a story.

    Left as it is: an empty prompt, one without a subject, one that is not English, and one whose additions the model
    would no longer read.

    Args:
        prompt: As it stands in the box.
    """
    found = pieces(prompt)
    if "subject" not in found or not is_english(prompt):
        return Improvement(prompt, prompt, ())
    # One clause can speak of two pieces, so each is looked for again in what has been written so far.
    after, additions = _ended(prompt), list[Addition]()
    for piece in _ORDER:
        if piece in pieces(after):
            continue
        clause = _clause_for(piece, prompt)
        longer = append(after, clause)
        if token_estimate(longer) > LLM_TOKENS:
            break
        after = longer
        additions.append(Addition(piece, clause))
    return Improvement(prompt, after if additions else prompt, tuple(additions))


def _ended(prompt: str) -> str:
    """Return the prompt as a sentence, so that what follows is one of its own."""
    text = prompt.rstrip(" \t\n,;:")
    return f"{text}." if re.search(r"\w$", text) else text


def _clause_for(piece: Piece, prompt: str) -> str:
    return next(clause for told, clause in _CLAUSES[piece] if told is None or told.search(prompt))


def _word(key: str) -> str:
    return BY_KEY[key].clause


_NIGHT: Final = any_of("night", "midnight", "stars?", "dark")
_INDOORS: Final = any_of(
    *("rooms?", "kitchen", "table", "desk", "indoors?", "inside", "studio", "workshop", "window", "bed", "sofa", "cafe")
)
_TRAVELS: Final = any_of(
    r"(?:walk|run|trot|gallop|rid|driv|swim|fl[yi]|rac|chas|skat|surf|sail|cycl|glid)(?:e|es|s|ing|ning)?", "bicycle"
)
_TOWN: Final = any_of("city", "cities", "town", "streets?", "skyline", "downtown")
_WIDE: Final = any_of(
    *("mountains?", "valley", "sea", "ocean", "desert", "city", "skyline", "fields?", "landscape", "forest", "coast"),
    *("hills?", "sky", "lake", "river", "beach"),
)
_CLAUSES: Final[dict[Piece, tuple[tuple[re.Pattern[str] | None, str], ...]]] = {
    "motion": (
        (_TOWN, "people and cars pass by"),
        (_WIDE, "clouds drift slowly overhead"),
        (None, "it moves slowly and naturally"),
    ),
    "scene": ((_INDOORS, "a quiet room in the background"), (None, "a simple background, softly out of focus")),
    "shot": ((_WIDE, _word("shot.wide")), (None, _word("shot.medium"))),
    "camera": ((_TRAVELS, _word("camera.follow")), (None, _word("camera.forward"))),
    "light": ((_NIGHT, _word("light.lamps")), (_INDOORS, _word("light.window")), (None, _word("light.daylight"))),
    "style": ((None, _word("style.natural")),),
}
