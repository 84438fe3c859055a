"""Hints on what a prompt lacks, overloads or contradicts; they never block anything (pure).

Rules of thumb, no model: a hint may be wrong, so it only advises.
Source: docs/facts/users.md 4 and docs/facts/segmind-api.md 6.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from hunyuan_ui.prompt_help.analysis import Piece, any_of, asks_for_a_still_camera, is_english, moves, pieces

CLIP_TOKENS: Final = 77  # limit of each of the two text encoders; the rest is dropped (docs/facts/users.md 4.1)
LLM_TOKENS: Final = 256
NEEDED: Final[tuple[Piece, ...]] = ("subject", "motion", "scene")

_LETTERS_A_TOKEN: Final = 6


class Hint(NamedTuple):
    """One hint: its code, and values for the placeholders in its sentence, which is in the locale files."""

    code: str
    facts: Mapping[str, Any]


def hints(prompt: str, negative_prompt: str = "") -> list[Hint]:
    """Return possible improvements of a prompt, the most important first; nothing for an empty one.

    Args:
        prompt: Content of the prompt box.
        negative_prompt: Content of the negative prompt box.
    """
    text = prompt.strip()
    if not text:
        return []
    tokens = token_estimate(text)
    found = [Hint("too_long", {"tokens": tokens, "limit": LLM_TOKENS})] if tokens > LLM_TOKENS else []
    found += [*_contradictions(text, negative_prompt), *_unmanageable(text), *_missing(text)]
    if CLIP_TOKENS < tokens <= LLM_TOKENS:
        found.append(Hint("past_clip", {"limit": CLIP_TOKENS}))
    return found


def token_estimate(text: str) -> int:
    """Return an approximate number of tokens of a text, rather too high than too low.

    Without the encoders' own tables this counts one per started six letters of a word, one per digit and punctuation
    mark, and two per character of a script without spaces.
    """
    runs = re.findall(r"[^\W\d_]+|\d|[^\w\s]|_", text)
    return 2 + sum(map(_tokens_of, runs)) if runs else 0  # each encoder adds a start and an end


def _tokens_of(run: str) -> int:
    wide = sum(character > "\u2e7f" for character in run)
    return 2 * wide + -(-(len(run) - wide) // _LETTERS_A_TOKEN)


def _contradictions(text: str, negative_prompt: str) -> Iterator[Hint]:
    for wished, unwished in _OPPOSED:
        wish, avoided = wished.search(text), unwished.search(negative_prompt)
        if wish and avoided:
            yield Hint("contradiction", {"wished": wish[0].lower(), "avoided": avoided[0].lower()})


def _unmanageable(text: str) -> Iterator[Hint]:
    asked = moves(text)
    if len(asked) > 1:
        yield Hint("many_moves", {"count": len(asked)})
    if _WRITING.search(text):
        yield Hint("writing", {})
    if asks_for_a_still_camera(text):
        yield Hint("static_camera", {})
    if _SOUND.search(text):
        yield Hint("sound", {})


def _missing(text: str) -> Iterator[Hint]:
    if not is_english(text):
        yield Hint("not_english", {})
        return
    found = pieces(text)
    yield from (Hint(f"no_{piece}", {}) for piece in NEEDED if piece not in found)


_WRITING: Final = any_of(
    r"(?:sign|banner|poster|screen|label|book|card|shirt|text|letter|title|word)s?"
    r"(?: \w+){0,2} (?:reads?|reading|says?|saying|spells?|spelling)",
    r"(?:with|and) (?:the )?(?:words?|text|letters|captions?|title)",
    r"(?:says|reads|spells)(?: out)?[:,]? [\"“'‘]\w+",  # noqa: RUF001 - quotation marks as people type them
    *("subtitles?", "captions?", "lettering", "typography", "the words?", r"written (?:on|in|across)", "logos?"),
    also="字幕|文字|写着",
)
_SOUND: Final = any_of(
    *("sounds? of", "background music", "soundtrack", "voice-?over", "narrat(?:or|ion)", "with music"),
    also="音乐|配音|旁白",
)

# Wishes in a prompt, and words in the negative prompt that would contradict them.
_OPPOSED: Final = (
    (
        any_of(
            "aerial", "drone", r"bird'?s[ -]eye", "from (?:high )?above", "overhead", "top-down", also="航拍|俯瞰|鸟瞰"
        ),
        any_of("aerial(?: view| shot)?", "drone(?: view| shot)?", r"bird'?s[ -]eye(?: view)?", "overhead", "top-down"),
    ),
    (any_of("over-?exposed", "blown[ -]out", "high[ -]key", "blinding"), any_of("over-?expos(?:ed|ure)", "bright")),
    (
        any_of("silhouettes?", "low[ -]key", "pitch dark", "darkness", "moonlight"),
        any_of("dark", "darkness", "under-?exposed", "low[ -]key"),
    ),
    (
        any_of("blur(?:red|ry)?", "bokeh", "out of focus", "soft focus", "shallow (?:depth of field|focus)"),
        any_of("blur(?:red|ry)?", "bokeh", "out of focus", "soft focus"),
    ),
    (
        any_of("vhs", "lo-?fi", "pixelated", "found footage"),
        any_of("noise", "low quality", "low resolution", "pixelated"),
    ),
    (any_of("grain(?:y)?"), any_of("grain(?:y)?", "noise")),
    (
        any_of("cartoon", "anime", "animation", "hand-drawn", "illustration", "painting", "watercolou?r", "ink-wash"),
        any_of("cartoon", "anime", "animation", "drawing", "illustration", "painting"),
    ),
    (any_of("3d", "rendered", "low-poly", "cgi"), any_of("3d(?: render)?", "cgi", "render")),
    (any_of("black and white", "monochrome", "gr[ae]yscale"), any_of("black and white", "monochrome", "gr[ae]yscale")),
    (any_of("slow[ -]motion"), any_of("slow[ -]motion")),
    (any_of("static", "motionless"), any_of("static", "still image", "motionless")),
    (any_of("crowds?", "people"), any_of("crowds?", "people")),
)
