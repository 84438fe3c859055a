"""The frame that a scene is rendered for, and the effect of the request's settings on it."""

# numpy leaves the types of many operators partly unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
from dataclasses import astuple, dataclass
from functools import cached_property

import numpy as np

from hunyuan_ui.local_endpoint.scene.mood import Colour, Mood, Palette, mix
from hunyuan_ui.request import FPS, VideoRequest


@dataclass(frozen=True)
class View:
    """Size, length and look of one video."""

    request: VideoRequest
    mood: Mood

    @property
    def width(self) -> int:
        """Pixels, as the service rounds them."""
        return self.request.real_size[0]

    @property
    def height(self) -> int:
        """Pixels, as the service rounds them."""
        return self.request.real_size[1]

    @property
    def unit(self) -> float:
        """Base length in px for all dimensions, so that a scene looks alike in every shape."""
        return min(1.15 * self.width, self.height)

    @property
    def horizon(self) -> int:
        """The row of the horizon, even."""
        share = {"city": 0.74, "forest": 0.62, "desert": 0.56, "sea": 0.56}.get(self.mood.place, 0.6)
        return round(self.height * share) // 2 * 2

    @property
    def octaves(self) -> int:
        """Levels of detail in the ground: more steps give finer rock and sand."""
        return 2 + round(self.request.infer_steps / 17)

    @property
    def haze(self) -> float:
        """How much distant layers fade into the sky: flow shift settles composition before detail."""
        base = 0.26 + 0.022 * self.request.flow_shift
        return min(base + (0.25 if self.mood.weather in ("mist", "snow", "rain") else 0), 0.85)

    @cached_property
    def palette(self) -> Palette:
        """The mood's colours with the contrast set by the guidance."""
        strength = np.float32(0.8 + 0.04 * self.request.embedded_guidance_scale)
        return Palette(*(_graded(part, strength) for part in astuple(self.mood.palette)))

    @cached_property
    def light_at(self) -> tuple[float, float]:
        """Position of sun or moon in px."""
        rise = {"day": 0.3, "night": 0.4, "golden": 0.78, "dawn": 0.74, "dusk": 0.86}[self.mood.hour]
        return self.mood.light_x * self.width, rise * self.horizon

    def speed(self, depth: float) -> float:
        """Speed of a layer in px per second; depth is 0 at the horizon and 1 in front."""
        return self.mood.pace * self.unit * (0.008 + 0.1 * depth**1.6)

    def strip_width(self, speed: float) -> int:
        """Width in px, even, of a strip that scrolls at `speed` for the whole video."""
        return self.width + 2 * math.ceil((speed * self.request.video_length / FPS + 4) / 2)

    def shift(self, speed: float, time_s: float) -> float:
        """Scroll position of a layer at a given time, in px."""
        moved = speed * time_s
        return moved if self.mood.direction > 0 else speed * self.request.duration_s - moved

    def layer_colours(self, depth: float) -> tuple[Colour, Colour]:
        """Return the colour of a layer, and of the air at its foot; depth is 0 at the horizon and 1 in front."""
        palette = self.palette
        far = mix(palette.middle, palette.horizon, 0.35) * np.float32(0.86)
        body = mix(far, palette.near, min(1.0, 0.16 + depth**0.75 * (1.1 - 0.3 * self.haze)))
        return body, mix(body, palette.horizon, self.haze * (1 - depth) ** 0.7)


def _graded(part: Colour, strength: np.float32) -> Colour:
    grey = part.mean()
    vivid = grey + (part - grey) * strength
    graded: Colour = np.clip((vivid - np.float32(0.4)) * strength + np.float32(0.4), 0, 1)
    return graded
