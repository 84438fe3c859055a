"""Camera, light, style and shot terms that can be added to and removed from a prompt (pure).

Source: the model's own handbook vocabulary (docs/facts/users.md 4.3, docs/facts/segmind-api.md 6.2). The words stay
English in every language of the page, because English is what the text encoders read best (docs/facts/users.md 4.1).
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final, Literal, NamedTuple

Group = Literal["camera", "light", "style", "shot"]


class Word(NamedTuple):
    """One term: the key of its name in the locale files, its group, and the clause it adds."""

    key: str
    group: Group
    clause: str


def _words(group: Group, clauses: dict[str, str]) -> tuple[Word, ...]:
    return tuple(Word(f"{group}.{name}", group, clause) for name, clause in clauses.items())


VOCABULARY: Final[dict[Group, tuple[Word, ...]]] = {
    "camera": _words(
        "camera",
        {
            "forward": "the camera moves slowly forward",
            "back": "the camera moves slowly back",
            "pan_left": "the camera pans to the left",
            "pan_right": "the camera pans to the right",
            "tilt_up": "the camera tilts up",
            "tilt_down": "the camera tilts down",
            "rise": "the camera rises smoothly",
            "left": "the camera moves sideways to the left",
            "right": "the camera moves sideways to the right",
            "circle": "the camera circles around the subject",
            "follow": "the camera follows the subject",
            "static": "the camera remains static",
        },
    ),
    "light": _words(
        "light",
        {
            "daylight": "soft natural daylight",
            "golden": "warm golden hour light from the side",
            "blue": "cool blue light of dusk",
            "window": "soft window light from one side",
            "overcast": "even light under an overcast sky",
            "back": "strong backlight with a bright rim",
            "neon": "neon light with wet reflections",
            "lamps": "small warm lamps glow in the dark",
            "moon": "pale moonlight with long shadows",
        },
    ),
    "style": _words(
        "style",
        {
            "natural": "realistic, natural colours",
            "documentary": "documentary look with fine detail",
            "film": "cinematic film look with gentle grain",
            "monochrome": "black and white photography",
            "watercolour": "watercolour painting on rough paper",
            "ink": "ink-wash painting with soft edges",
            "anime": "hand-drawn animation with clean lines",
            "clay": "stop-motion clay animation",
            "render": "stylised 3D render with matte surfaces",
        },
    ),
    "shot": _words(
        "shot",
        {
            "wide": "wide shot",
            "medium": "medium shot",
            "close": "close-up",
            "macro": "macro shot with shallow depth of field",
            "low": "low angle from below",
            "high": "high angle looking down",
            "drone": "drone view",
            "shoulder": "over-the-shoulder view",
            "eyes": "first-person view",
        },
    ),
}

# A clip of a few seconds supports one move and one framing (docs/facts/users.md 4.3), so a new one replaces the old.
ONE_OF: Final[frozenset[Group]] = frozenset({"camera", "shot"})

BY_KEY: Final = {word.key: word for words in VOCABULARY.values() for word in words}

_LOOSE_END: Final = " \t\n,;:"
_SENTENCE_END: Final = (".", "!", "?", "…", "。", "！", "？")  # noqa: RUF001 - Chinese marks
_CLOSING: Final = "\"'”’)]»」』"  # noqa: RUF001 - quotation marks as people type them
_ENDED: Final = rf"(?<=[{re.escape(''.join(_SENTENCE_END) + _CLOSING)}])"


def chosen(prompt: str) -> list[str]:
    """Return the keys of the terms in a prompt, in the vocabulary's order."""
    return [key for key in BY_KEY if _standing(key).search(prompt)]


def add(prompt: str, key: str) -> str:
    """Return the prompt with a term's clause at its end, once.

    It becomes a sentence if the prompt ends as one, and follows a comma otherwise. Of camera moves and of shots only
    the newest is kept.

    Args:
        prompt: Any text; trailing spaces and commas are dropped when something is added.
        key: Of a word in `VOCABULARY`.
    """
    word = BY_KEY[key]
    if key in chosen(prompt):
        return prompt
    if word.group in ONE_OF:
        for other in VOCABULARY[word.group]:
            prompt = remove(prompt, other.key)
    return append(prompt, word.clause)


def append(prompt: str, clause: str) -> str:
    """Return the prompt with a clause at its end, as a sentence or after a comma, matching the prompt's style."""
    prompt = prompt.rstrip(_LOOSE_END)
    if not prompt:
        return _sentence(clause)
    if prompt.rstrip(_CLOSING).endswith(_SENTENCE_END):
        return f"{prompt} {_sentence(clause)}"
    return f"{prompt}, {clause}"


def remove(prompt: str, key: str) -> str:
    """Return the prompt without a term's clause; everything else is unchanged."""
    left = _standing(key).sub("", prompt)
    return left if left == prompt or prompt[:1] == left[:1] else left.lstrip()


def toggle(prompt: str, key: str) -> str:
    """Return the prompt with the term removed if it is there, else added."""
    return remove(prompt, key) if key in chosen(prompt) else add(prompt, key)


def _sentence(clause: str) -> str:
    return f"{clause[0].upper()}{clause[1:]}."


@cache
def _standing(key: str) -> re.Pattern[str]:
    """Return a pattern for a clause as `append` writes it, or as a person would."""
    clause = re.escape(BY_KEY[key].clause)
    return re.compile(rf",\s+{clause}(?!\w)|(?:^|{_ENDED}\s+){clause}(?:\.|(?!\w))", re.IGNORECASE)
