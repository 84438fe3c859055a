"""Adds missing parts to a prompt, by rules and only on request (pure).

The user's text is not changed, moved or shortened: the additions follow it, each named, each a removable clause.
Source: the rule of the model's own rewriter to keep everything and to add only what is absent
(docs/facts/users.md 4.1), and the order of pieces in its handbook (docs/facts/users.md 4.2).
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from hunyuan_ui.prompt_help.analysis import Piece, any_of, is_english, pieces
from hunyuan_ui.prompt_help.hints import LLM_TOKENS, token_estimate
from hunyuan_ui.prompt_help.vocabulary import BY_KEY, append

_ORDER: Final[tuple[Piece, ...]] = ("motion", "scene", "shot", "camera", "light", "style")


class Improvement(NamedTuple):
    """A prompt with additions: the name and the clause of each missing part."""

    after: str
    additions: list[tuple[Piece, str]]


def improve(prompt: str) -> Improvement:
    """Return a prompt with its missing parts added, as far as that needs no invented story.

    Unchanged: an empty prompt, one without a subject, one that is not English, and one whose additions would exceed the
        model's token limit.

    Args:
        prompt: Content of the prompt box.
    """
    found = pieces(prompt)
    if "subject" not in found or not is_english(prompt):
        return Improvement(prompt, [])
    # One clause can cover two parts, so each is checked again in the text so far.
    after, additions = _ended(prompt), list[tuple[Piece, str]]()
    for piece in _ORDER:
        if piece in pieces(after):
            continue
        clause = _clause_for(piece, prompt)
        longer = append(after, clause)
        if token_estimate(longer) > LLM_TOKENS:
            break
        after = longer
        additions.append((piece, clause))
    return Improvement(after if additions else prompt, additions)


def _ended(prompt: str) -> str:
    """Return the prompt ending as a sentence, so that the next clause is a new one."""
    text = prompt.rstrip(" \t\n,;:")
    return f"{text}." if re.search(r"\w$", text) else text


def _clause_for(piece: Piece, prompt: str) -> str:
    return next(clause for pattern, clause in _CLAUSES[piece] if pattern is None or pattern.search(prompt))


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
