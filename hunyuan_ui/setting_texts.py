"""Validation of texts in settings, and of keys and codes as visitors enter them."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Final

from hunyuan_ui.setting_numbers import UnfitError

LONGEST_ENTERED: Final = 600  # characters of a key or code that the page takes
_LONGEST_MODEL: Final = 200  # characters
_LONGEST_CLEANED: Final = 1_000  # characters; normalising hostile text takes quadratic time
_VARIABLE: Final = re.compile(r"\$\{|\$\w|%\w+%")  # an unexpanded shell variable


def model(text: str) -> str:
    """Return a model's name, or raise UnfitError."""
    if not text.isprintable() or len(text) > _LONGEST_MODEL:
        raise UnfitError("model")
    return text


def path(text: str) -> Path:
    """Return the path of a folder or file without its links, or raise UnfitError."""
    if _VARIABLE.search(text):
        raise UnfitError("folder_variable")
    try:
        return Path(text).expanduser().resolve()
    except (OSError, RuntimeError, ValueError):
        raise UnfitError("folder") from None


def dialect(text: str) -> str:
    """Return the name of one of the service's dialects, or raise UnfitError."""
    if text not in ("v1", "v2"):
        raise UnfitError("dialect")
    return text


def yes_or_no(text: str) -> bool:
    """Return an answer to a yes-or-no setting, or raise UnfitError."""
    answers = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if text.lower() not in answers:
        raise UnfitError("yes_or_no")
    return answers[text.lower()]


def entered(text: str) -> str:
    """Return an entered key or code without what copying may add: invisible characters, full-width letters, space."""
    if len(text) > _LONGEST_CLEANED:
        return text.strip()
    kept = (one for one in unicodedata.normalize("NFKC", text) if unicodedata.category(one) != "Cf")
    return "".join(kept).strip()


def can_be_entered(code: str) -> bool:
    """Whether a visitor can type a code into the page's field, which takes one line."""
    typed = entered(code)
    return typed != "" and typed.isprintable() and max(len(code), len(typed)) <= LONGEST_ENTERED
