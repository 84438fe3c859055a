"""Selects test files by `-k` from their text: most need not be imported to run one test."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
_NAME: Final = re.compile(r"[\w.\[\]-]+")
_JOINT: Final = re.compile(r"[\[\]-]+")  # between the values in a test's name
_IMPORTED: Final = re.compile(r"^from (tests[\w.]*) import ([\w, ]+)", re.MULTILINE)


def may_hold(path: Path, expression: str) -> bool:
    """Whether a test file may contain a test that an expression of `-k` selects.

    A name is searched for in the file, its path, and the test files that it imports, which may contain its parameters.
    An expression with "not" or brackets may select every file.
    """
    ways = [way.split(" and ") for way in expression.lower().split(" or ")]
    if any(not _NAME.fullmatch(name.strip()) for way in ways for name in way):
        return True
    if path.suffix != ".py" or not path.is_file():
        return True
    text = _text_about(path)
    return any(all(part in text for name in way for part in _JOINT.split(name.strip())) for way in ways)


@cache
def _text_about(path: Path) -> str:
    own = path.read_text("utf-8")
    near = [folder / "conftest.py" for folder in path.parents if folder.is_relative_to(ROOT / "tests")]
    for module, names in _IMPORTED.findall(own):
        place = ROOT.joinpath(*module.split("."))
        near += [place.with_suffix(".py"), *(place / f"{name.strip()}.py" for name in names.split(","))]
    texts = [each.read_text("utf-8") for each in near if each.is_file()]
    return "\n".join([path.as_posix(), own, *texts]).lower()
