"""Combines the page's styles into one sheet with a higher specificity than Gradio's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

# Each depends on those before it.
STYLES: Final = (
    "base",
    "components",
    "panel",
    "form",
    "job",
    "examples",
    "dialogs",
    "batch",
    "gallery",
    "payment",
    "print",
)

# The prefix that Gradio adds for specificity; its scripts do so in the browser, twice (docs/facts/gradio6.md 6).
_INSIDE: Final = ".gradio-container.gradio-container .contain "
_OUTSIDE: Final = (".gradio-container", "html", "body", ":root")
_DARK: Final = ".dark "

_COMMENT: Final = re.compile(r"/\*.*?\*/", re.DOTALL)
_SPACE: Final = re.compile(r"\s+")
_FOR_READERS: Final = re.compile(r" ?([{};]) ?")  # these characters occur in no string of ours
_COMMA: Final = re.compile(r",(?=(?:[^()]|\((?:[^()]|\([^()]*\))*\))*$)")  # outside of parentheses
_BLOCK: Final = re.compile(r"([^{}]+)\{|\}")


def style_sheet(folder: Path) -> str:
    """Return all styles of the page, each rule also for elements that Gradio renders.

    Args:
        folder: Of the sheets. They contain rules, media queries and animations; rules are not nested.
    """
    text = "\n".join((folder / f"{name}.css").read_text(encoding="utf-8") for name in STYLES)
    text = _SPACE.sub(" ", _COMMENT.sub("", text))
    depth_of_frames = depth = 0

    def block(found: re.Match[str]) -> str:
        nonlocal depth, depth_of_frames
        if not found[1]:
            depth -= 1
            depth_of_frames = min(depth_of_frames, depth)
            return "}"
        depth += 1
        what = found[1].rpartition(";")[2].strip()
        if what.startswith("@keyframes"):
            depth_of_frames = depth
        is_rule = not what.startswith("@") and not depth_of_frames
        return f"{_weighty(what) if is_rule else what} {{"

    return _FOR_READERS.sub(r"\1", _BLOCK.sub(block, text))


def _weighty(selectors: str) -> str:
    ones = [one.strip() for one in _COMMA.split(selectors)]
    return ", ".join([*ones, *(_inside(one) for one in ones if not one.startswith(_OUTSIDE))])


def _inside(selector: str) -> str:
    dark = _DARK if selector.startswith(_DARK) else ""
    return f"{dark}{_INSIDE}{selector.removeprefix(_DARK)}"
