"""The sky: a gradient with sun or moon, drifting clouds, and twinkling stars."""

# numpy leaves the types of many operators partly unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import numpy as np

from hunyuan_ui.local_endpoint.scene.mood import Colour, mix
from hunyuan_ui.local_endpoint.scene.paint import Canvas, Floats, Strip, dots, plane_noise, smooth, yuv
from hunyuan_ui.local_endpoint.scene.view import View


def paint_sky(view: View, rng: np.random.Generator) -> Canvas:
    """Return the static part of the sky, which is also the background of everything else."""
    rows = np.arange(view.height, dtype=np.float32)
    columns = np.arange(view.width, dtype=np.float32)
    gradient = _gradient(view, np.clip(rows / view.horizon, 0, 1))
    x, y = view.light_at
    distance = np.hypot((columns - np.float32(x))[None, :], (rows - np.float32(y))[:, None]) / np.float32(view.unit)
    rgb = np.repeat(gradient[:, None, :], view.width, axis=1)
    _shine(view, rng, rgb, distance)
    canvas = Canvas.blank(view.width, view.height)
    # Slight grain prevents banding at eight bits.
    grain = rng.random((view.height, view.width), np.float32) * np.float32(1.6)
    for plane, values in zip(canvas.planes, yuv(rgb), strict=True):
        noise = grain if plane is canvas.y else np.float32(0.5)
        plane[:] = np.clip(values + noise, 16, 240)
    return canvas


def clouds(view: View, rng: np.random.Generator) -> tuple[Strip, float]:
    """Return drifting clouds and their speed in px per second."""
    palette, weather = view.palette, view.mood.weather
    speed = view.unit * 0.018 * view.mood.pace
    width, height = view.strip_width(speed), view.horizon
    rows = np.arange(height, dtype=np.float32) / np.float32(view.horizon)
    x = np.arange(width, dtype=np.float32) / np.float32(view.unit)
    # Clouds are flatter and closer together towards the horizon.
    stretched = np.float32(1.1) / (np.float32(1.25) - rows) * np.float32(2.6)
    density = plane_noise(rng, x * np.float32(2.1) + np.float32(rng.random() * 40), stretched, view.octaves)
    threshold = {"clear": 0.5, "mist": 0.46, "snow": 0.4, "rain": 0.36}[weather] + 0.05 * rng.random()
    alpha = smooth((density - np.float32(threshold)) * np.float32(3.6)) * np.float32(0.8)
    alpha *= smooth(rows * np.float32(5) + np.float32(0.4))[:, None] * smooth((1 - rows) * np.float32(4))[:, None]
    bright = mix(palette.horizon, palette.light, 0.6)
    shade = mix(palette.middle, palette.zenith, 0.45)
    if view.mood.hour == "night":
        bright, shade = mix(palette.middle, palette.light, 0.16), palette.zenith
    if weather == "rain":
        bright = mix(bright, palette.zenith, 0.55)
    lit = smooth((density - np.float32(threshold)) * np.float32(2.2))[..., None]
    low = (np.float32(0.35) + np.float32(0.65) * rows)[:, None, None]
    rgb = shade + (bright - shade) * np.clip(lit * np.float32(0.55) + low * np.float32(0.45), 0, 1)
    return Strip(rgb, alpha, 0), speed


class Stars:
    """Fixed stars, each twinkling at its own rate; none if the time of day or the weather hides them."""

    def __init__(self, view: View, rng: np.random.Generator) -> None:
        shown = {"night": 240, "dusk": 60}.get(view.mood.hour, 0)
        count = 0 if view.mood.weather in ("rain", "snow") else shown
        self._x = rng.random(count, np.float32) * np.float32(view.width)
        self._y = rng.random(count, np.float32) ** np.float32(1.3) * np.float32(view.horizon * 0.9)
        self._size = rng.random(count, np.float32) ** 3
        self._pace = rng.uniform(1.5, 5, count).astype(np.float32)
        self._radius = max(0.62, view.unit / 720)

    def draw(self, canvas: Canvas, time_s: float) -> None:
        """Draw the stars at a given time."""
        if not len(self._x):
            return
        glow = np.float32(0.75) + np.float32(0.25) * np.sin(self._pace * np.float32(time_s) + self._x)
        strength = (np.float32(0.25) + np.float32(0.75) * self._size) * glow
        dots(canvas.y, self._x, self._y, self._radius, strength, level=232)


def _gradient(view: View, height: Floats) -> Floats:
    palette = view.palette
    first, second = smooth(height / np.float32(0.62))[:, None], smooth((height - np.float32(0.42)) / np.float32(0.6))
    upper = palette.zenith + (palette.middle - palette.zenith) * first
    return upper + (palette.horizon - upper) * second[:, None]


def _shine(view: View, rng: np.random.Generator, rgb: Floats, distance: Floats) -> None:
    """Light the sky by sun or moon, in place; `distance` from it is in units of the view."""
    mood = view.mood
    is_hidden = mood.weather in ("rain", "snow")
    radius = {"day": 0.045, "night": 0.05, "golden": 0.078, "dawn": 0.066, "dusk": 0.07}[mood.hour]
    radius *= 1.5 if mood.place == "desert" and mood.hour != "day" else 1
    wide, near = (0.16, 0.34) if mood.hour == "night" else (0.46, 0.62)
    glow = np.exp(-distance / np.float32(0.36)) * np.float32(wide)
    glow += (
        (1 - glow) * np.exp(-((distance / np.float32(radius * 2)) ** 2)) * np.float32(near * (0.25 if is_hidden else 1))
    )
    tint: Colour = mix(view.palette.light, view.palette.horizon, 0.35)
    rgb += (tint - rgb) * glow[..., None]
    if is_hidden:
        return
    disc = smooth((np.float32(radius) - distance) * np.float32(view.unit / 2) + np.float32(0.5))
    if mood.hour == "night":
        disc *= _seas_of_the_moon(view, rng)
    rgb += (view.palette.light - rgb) * disc[..., None]


def _seas_of_the_moon(view: View, rng: np.random.Generator) -> Floats:
    x = np.arange(view.width, dtype=np.float32) / np.float32(view.unit * 0.045)
    y = np.arange(view.height, dtype=np.float32) / np.float32(view.unit * 0.045)
    return 1 - np.float32(0.3) * smooth((plane_noise(rng, x, y, 2) - np.float32(0.42)) * 4)
