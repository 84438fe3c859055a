"""Maps a prompt's words to a scene: landscape, time of day, weather, motion and colours."""

# numpy leaves the types of many operators partly unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

Place = Literal["mountains", "hills", "sea", "city", "forest", "desert"]
Hour = Literal["dawn", "day", "golden", "dusk", "night"]
Weather = Literal["clear", "rain", "snow", "mist"]
_T = TypeVar("_T")
Colour = NDArray[Any]  # red, green, blue from 0 to 1; float32


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours of one scene, from the top of the sky to the nearest ground."""

    zenith: Colour
    middle: Colour
    horizon: Colour
    light: Colour
    near: Colour


@dataclass(frozen=True, slots=True)
class Mood:
    """Parameters of a scene. `direction` is 1 for a camera moving right, `pace` is 1 for a normal pan.

    `light_x` is the position of sun or moon, as a fraction of the width.
    """

    place: Place
    hour: Hour
    weather: Weather
    direction: int
    pace: float
    light_x: float
    palette: Palette
    has_neon: bool


_PLACES: Final[dict[Place, str]] = {
    "sea": "sea ocean beach wave waves coast boat ship sail island lake water surf whale harbour river 海 湖 船 浪",
    "city": "city street skyline tokyo neon building buildings tower urban car traffic cyberpunk robot 城 街 都市",
    "forest": "forest tree trees wood woods jungle fox deer bear owl leaf leaves cabin panda fern 森 林 树",
    "desert": "desert dune dunes sand sahara camel mars canyon cactus 沙漠",
    "mountains": "mountain mountains peak alps cliff glacier volcano eagle dragon climber ski 山 峰",
    "hills": "hill hills meadow field farm grass flower flowers village horse dog cat garden child 草 花 田",
}
_HOURS: Final[dict[Hour, str]] = {
    "night": "night midnight moon moonlight stars starry dark neon aurora cyberpunk 夜 月 星",
    "dawn": "dawn sunrise morning pastel 晨 黎明 日出",
    "golden": "sunset golden gold warm autumn evening amber 夕阳 日落 黄昏 秋",
    "dusk": "dusk twilight purple violet pink magenta 暮",
    "day": "day noon sunny sunlight bright blue summer spring daylight 白天 阳光",
}
_WEATHERS: Final[dict[Weather, str]] = {
    "snow": "snow snowy snowing snowfall winter blizzard ice frozen christmas ski 雪 冬",
    "rain": "rain rainy raining storm stormy drizzle thunder wet 雨",
    "mist": "mist misty fog foggy haze hazy smoke steam 雾",
    "clear": "clear cloudless 晴",
}
_NEON: Final = {"neon", "cyberpunk", "tokyo", "futuristic"}
_HUES: Final = {  # a colour in the prompt tints the whole picture
    "red": "c8323c", "crimson": "b0203a", "orange": "f08a3c", "yellow": "f4cf58", "green": "4f9d69",
    "teal": "2b9c9c", "turquoise": "40c0c0", "blue": "3f7fd6", "purple": "7b4fb5", "violet": "7b4fb5", "pink": "ec86b4",
    "magenta": "c83c96", "emerald": "2f9b74",
}  # fmt: skip
_SKIES: Final[dict[Hour, tuple[str, str, str, str]]] = {  # zenith, middle, horizon, light
    "dawn": ("44548c", "c092b4", "fbd3ac", "fff0d8"),
    "day": ("2a6fc0", "76b2e4", "dceef4", "fffbea"),
    "golden": ("3d5590", "dc8c66", "ffd688", "fff2c8"),
    "dusk": ("1c1d50", "7c3f80", "f27c62", "ffdcb8"),
    "night": ("060a1e", "10224a", "2e4d7e", "eef2ff"),
}
_GROUNDS: Final[dict[Hour, str]] = {
    "dawn": "1f2747", "day": "1d4638", "golden": "2a1c2c", "dusk": "150f2a", "night": "03060f",
}  # fmt: skip
_SANDS: Final[dict[Hour, str]] = {
    "dawn": "7c5048", "day": "b5703a", "golden": "8a4526", "dusk": "4a2238", "night": "161426",
}  # fmt: skip


def mood_of(prompt: str, rng: np.random.Generator) -> Mood:
    """Derive the mood from a prompt's words; unspecified parts are drawn from `rng`."""
    text = prompt.casefold()
    words = set(re.findall(r"[a-z]+", text))
    place = _matching(_PLACES, words, text) or _drawn(_PLACES, rng)
    weather = _matching(_WEATHERS, words, text) or ("mist" if rng.random() < 0.2 else "clear")
    hour = _matching(_HOURS, words, text) or _drawn(_HOURS, rng)
    direction = 1 if rng.random() < 0.5 else -1
    direction = {(True, False): -1, (False, True): 1}.get(("left" in words, "right" in words), direction)
    pace = 1.8 if words & {"fast", "racing", "running", "speeding", "drone"} else 1.0
    pace = 0.45 if words & {"slow", "slowly", "static", "calm", "still", "gentle"} else pace
    is_neon = bool(words & _NEON) and hour in ("night", "dusk")
    light_x = 0.5 + math.copysign(rng.uniform(0.1, 0.28), rng.random() - 0.5)
    return Mood(place, hour, weather, direction, pace, light_x, _palette(place, hour, weather, words, rng), is_neon)


def colour(code: str) -> Colour:
    """Parse a colour of six hexadecimal digits."""
    return np.array([int(code[at : at + 2], 16) / 255 for at in (0, 2, 4)], np.float32)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Return the colour at fraction `share` between the first and the second."""
    return (first + (second - first) * np.float32(share)).astype(np.float32)


def _palette(place: Place, hour: Hour, weather: Weather, words: set[str], rng: np.random.Generator) -> Palette:
    zenith, middle, horizon, light = (colour(code) for code in _SKIES[hour])
    near = colour((_SANDS if place == "desert" else _GROUNDS)[hour])
    wobble = rng.uniform(-0.035, 0.035, (2, 3)).astype(np.float32)
    zenith, middle = zenith * (1 + 2 * wobble[0]), middle * (1 + 3 * wobble[1])
    for word in sorted(words & _HUES.keys()):
        hue = colour(_HUES[word])
        zenith, middle, near = mix(zenith, hue * 0.55, 0.35), mix(middle, hue, 0.4), mix(near, hue * 0.3, 0.4)
    if place == "city" and hour in ("night", "dusk"):
        lamps = colour("b0559a" if words & _NEON else "a8724e")
        middle, horizon = mix(middle, lamps, 0.2), mix(horizon, lamps, 0.5)
    if weather in ("rain", "snow"):
        grey = colour("8d99ab" if weather == "rain" else "c2cfdf") * np.float32(0.34 if hour == "night" else 0.9)
        share = 0.3 if place == "city" else 0.6
        zenith, middle, horizon = (
            mix(zenith, grey * 0.62, share),
            mix(middle, grey * 0.85, share),
            mix(horizon, grey, share),
        )
    if weather == "snow":
        near = mix(near, colour("8fa3c4"), 0.12 if hour == "night" else 0.3)
    return Palette(*(np.clip(part, 0, 1).astype(np.float32) for part in (zenith, middle, horizon, light, near)))


def _matching(table: Mapping[_T, str], words: set[str], text: str) -> _T | None:
    """Return the entry with the most of its words in the prompt, or None if there are none."""

    def hits(known: str) -> int:
        return sum(word in words if word.isascii() else word in text for word in known.split())

    best = max(table, key=lambda name: hits(table[name]))
    return best if hits(table[best]) else None


def _drawn(table: Mapping[_T, str], rng: np.random.Generator) -> _T:
    return list(table)[int(rng.integers(len(table)))]
