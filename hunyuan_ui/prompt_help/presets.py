"""Presets: named shapes, sizes and qualities, and the valid numbers that they stand for (pure).

Source: the 540 and 720 classes are the model's own table (docs/facts/users.md 4.4). That table has no 480 class: its
16:9 pair is the service's default (854x480), and the others follow the pattern of the two classes, multiples of 16
with the shape's ratio within 2 % and about the area of the 16:9 pair.
"""

from __future__ import annotations

from typing import Final, Literal

Shape = Literal["16:9", "9:16", "1:1", "4:3", "3:4"]
Size = Literal["480", "540", "720"]
Quality = Literal["draft", "standard", "fine"]

SHAPES: Final[tuple[Shape, ...]] = ("16:9", "9:16", "1:1", "4:3", "3:4")
SIZES: Final[tuple[Size, ...]] = ("480", "540", "720")

_LANDSCAPE: Final[dict[tuple[str, Size], tuple[int, int]]] = {
    ("16:9", "480"): (854, 480),
    ("4:3", "480"): (736, 560),
    ("1:1", "480"): (640, 640),
    ("16:9", "540"): (960, 544),
    ("4:3", "540"): (832, 624),
    ("1:1", "540"): (720, 720),
    ("16:9", "720"): (1280, 720),
    ("4:3", "720"): (1104, 832),
    ("1:1", "720"): (960, 960),
}
_TURNED: Final = {"9:16": "16:9", "3:4": "4:3"}

# Below 30 steps the picture is a draft; the model's own default is 50, the service's 40 (docs/facts/users.md 4.4).
STEPS: Final[dict[Quality, int]] = {"draft": 20, "standard": 40, "fine": 50}


def pixels(shape: Shape, size: Size) -> tuple[int, int]:
    """Return the width and height in px of a shape and a size."""
    if shape in _TURNED:
        width, height = _LANDSCAPE[_TURNED[shape], size]
        return height, width
    return _LANDSCAPE[shape, size]


def shape_and_size(width: object, height: object) -> tuple[Shape, Size] | tuple[None, None]:
    """Return the preset of these exact pixels, or a pair of None for a custom size."""
    for shape in SHAPES:
        for size in SIZES:
            if pixels(shape, size) == (width, height):
                return shape, size
    return None, None


def quality(steps: object) -> Quality | None:
    """Return the quality of this exact number of steps, or None."""
    return next((name for name, preset in STEPS.items() if preset == steps), None)
