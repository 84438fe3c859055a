"""Animated elements: water, rain, snow, birds, fireflies, traffic."""

# numpy leaves the types of many operators partly unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hunyuan_ui.local_endpoint.scene.mood import mix
from hunyuan_ui.local_endpoint.scene.paint import Bytes, Canvas, Floats, dots, plane_noise, smooth, yuv
from hunyuan_ui.local_endpoint.scene.view import View


def moving(view: View, rng: np.random.Generator) -> list[Moving]:
    """Return the animated elements in front of the land, in drawing order."""
    mood = view.mood
    things: list[Moving] = [Water(view, rng)] if mood.place == "sea" else []
    if mood.place == "city":
        things.append(Traffic(view, rng))
    if mood.weather in ("clear", "mist"):
        if mood.hour != "night" and mood.place != "city":
            things.append(Birds(view, rng))
        elif mood.hour == "night" and mood.place in ("forest", "hills"):
            things.append(Fireflies(view, rng))
    if mood.weather == "snow":
        things += [Snow(view, rng, depth) for depth in (0.3, 0.6, 1.0)]
    if mood.weather == "rain":
        things.append(Rain(view, rng))
    return things


class Water:
    """A sea that mirrors the sky, with two crossing wave trains and a path of glitter."""

    def __init__(self, view: View, rng: np.random.Generator) -> None:
        self._view = view
        self._top = view.horizon
        rows, columns = view.height - view.horizon, view.width
        self._speeds = view.unit * 0.05 * view.mood.pace, view.unit * 0.09 * view.mood.pace
        down = (np.arange(rows, dtype=np.float32) + 1) / np.float32(rows)
        self._trains = [self._train(rng, view.strip_width(speed), down) for speed in self._speeds]
        palette = view.palette
        near = mix(palette.zenith, palette.near, 0.45) * np.float32(0.8)
        far = mix(palette.horizon, palette.middle, 0.55) * np.float32(0.86)
        rgb = far + (near - far) * (smooth(down / np.float32(1.1)) ** np.float32(0.6))[:, None]
        body = np.repeat(rgb[:, None, :], columns, axis=1)
        y, u, v = (plane.astype(np.uint8) for plane in yuv(body))
        self._base, self._u, self._v = np.clip(y, 30, 165), u, v
        waves = (np.arange(256, dtype=np.float32) - 128) / 128
        self._swell = np.clip(waves * 26 + 26, 0, 52).astype(np.uint8)
        self._spark = (smooth((waves - np.float32(0.1)) * np.float32(2.6)) * 255).astype(np.uint16)
        self._path = self._glitter(down)

    def _train(self, rng: np.random.Generator, width: int, down: Floats) -> Bytes:
        # Waves seen from low above the water: short and dense far away, long and high in front.
        x = np.arange(width, dtype=np.float32) / np.float32(self._view.unit)
        depth = np.log(down * 40 + 1) * np.float32(5.5)
        noise = plane_noise(rng, x * 7, depth * np.float32(2.4), min(self._view.octaves, 4))
        spread = smooth((noise - np.float32(0.5)) * np.float32(1.5) + np.float32(0.5))
        return (spread * 127).astype(np.uint8)

    def _glitter(self, down: Floats) -> NDArray[np.uint16]:
        view = self._view
        columns = np.arange(view.width, dtype=np.float32)
        reach = np.float32(view.unit) * (np.float32(0.05) + np.float32(0.2) * down)
        path = np.exp(-(((columns - np.float32(view.light_at[0]))[None, :] / reach[:, None]) ** 2))
        bright = {"day": 70, "golden": 105, "dawn": 90, "dusk": 80, "night": 90}[view.mood.hour]
        bright = bright * (0.3 if view.mood.weather in ("rain", "snow") else 1)
        fade = np.float32(0.35) + np.float32(0.65) * np.exp(-down * np.float32(1.6))
        everywhere = np.float32(0.14)
        return ((path + everywhere) / (1 + everywhere) * fade[:, None] * np.float32(bright)).astype(np.uint16)

    def draw(self, canvas: Canvas, time_s: float) -> None:
        """Draw the waves at a given time over everything below the horizon."""
        view, (first, second) = self._view, self._trains
        left, right = (round(speed * time_s) for speed in self._speeds)
        back = second.shape[1] - view.width - right
        height = first[:, left : left + view.width] + second[:, back : back + view.width]
        spark = self._spark[height]
        spark *= self._path
        spark >>= 8
        spark += self._base
        spark += self._swell[height]
        spark -= 26
        np.clip(spark, 16, 235, out=spark)
        canvas.y[self._top :] = spark
        canvas.u[self._top // 2 :], canvas.v[self._top // 2 :] = self._u, self._v


class Snow:
    """Flakes at one distance, falling and swaying."""

    def __init__(self, view: View, rng: np.random.Generator, depth: float) -> None:
        count = round(190 - 130 * depth)
        self._size = np.array([view.width, view.height], np.float32) * np.float32(1.1)
        self._start = rng.random((count, 2), np.float32) * self._size
        self._turn = rng.random(count, np.float32) * 6
        self._fall = np.float32(view.unit * (0.05 + 0.13 * depth))
        self._wind = np.float32(-view.mood.direction * view.unit * 0.04 * view.mood.pace * depth)
        self._radius = max(0.6, view.unit * (0.0016 + 0.0034 * depth))
        self._strength = rng.uniform(0.45, 0.95, count).astype(np.float32)

    def draw(self, canvas: Canvas, time_s: float) -> None:
        """Draw the flakes at a given time."""
        time = np.float32(time_s)
        sway = np.sin(self._turn + time * 2) * np.float32(self._radius * 2)
        x = (self._start[:, 0] + self._wind * time + sway) % self._size[0]
        y = (self._start[:, 1] + self._fall * time) % self._size[1]
        dots(canvas.y, x, y, self._radius, self._strength, level=235)
        for plane in (canvas.u, canvas.v):
            dots(plane, x / 2, y / 2, max(0.6, self._radius / 2), self._strength * np.float32(0.6), level=128)


class Rain:
    """Slanted streaks."""

    def __init__(self, view: View, rng: np.random.Generator) -> None:
        count, points = 100, 10
        self._size = np.array([view.width, view.height], np.float32) * np.float32(1.25)
        self._start = rng.random((count, 2), np.float32) * self._size
        near = rng.uniform(0.5, 1, count).astype(np.float32)
        self._speed = near * np.float32(view.unit * 1.7)
        self._slant = np.float32(-0.16 * view.mood.direction)
        along = np.linspace(0, 1, points, dtype=np.float32)
        self._tail = along[None, :] * near[:, None] * np.float32(view.unit * 0.055)
        self._strength = (along[None, :] * near[:, None] * np.float32(0.34)).astype(np.float32)
        self._radius = max(0.6, view.unit / 760)

    def draw(self, canvas: Canvas, time_s: float) -> None:
        """Draw the streaks at a given time."""
        y = (self._start[:, 1] + self._speed * np.float32(time_s)) % self._size[1]
        x = (self._start[:, 0] + self._slant * self._speed * np.float32(time_s)) % self._size[0]
        rows, columns = y[:, None] + self._tail, x[:, None] + self._slant * self._tail
        dots(canvas.y, columns.ravel(), rows.ravel(), self._radius, self._strength.ravel(), level=225)


class Birds:
    """A loose flock of gliding birds."""

    def __init__(self, view: View, rng: np.random.Generator) -> None:
        count = int(rng.integers(4, 9))
        self._span = np.float32(view.unit) * rng.uniform(0.010, 0.022, count).astype(np.float32)
        spread = np.array([view.unit * 0.34, view.unit * 0.12], np.float32)
        centre = np.array([view.width * rng.uniform(0.25, 0.6), view.horizon * rng.uniform(0.28, 0.5)], np.float32)
        self._at = centre + rng.normal(0, 0.45, (count, 2)).astype(np.float32) * spread
        self._turn = rng.random(count, np.float32) * 6
        self._heading = np.float32(-view.mood.direction * view.unit * 0.045)
        self._radius = max(0.62, view.unit * 0.0019)
        self._dark = 20.0 + 219 * 0.45 * float(view.palette.near.mean())

    def draw(self, canvas: Canvas, time_s: float) -> None:
        """Draw the birds at a given time."""
        time = np.float32(time_s)
        flap = np.sin(self._turn + time * 9) * np.float32(0.55) + np.float32(0.25)
        along = np.linspace(-1, 1, 33, dtype=np.float32)
        out = np.abs(along)
        rise = flap[:, None] * (out * np.float32(1.5) - out**2) * self._span[:, None]
        x = self._at[:, :1] + self._heading * time + along * self._span[:, None]
        y = self._at[:, 1:] + np.sin(self._turn + time)[:, None] * self._span[:, None] * np.float32(0.3) - rise
        strength = np.broadcast_to(np.float32(0.6) - np.float32(0.25) * out, x.shape)
        dots(canvas.y, x.ravel(), y.ravel(), self._radius, strength.ravel(), level=self._dark)


class Fireflies:
    """Warm points that wander and glow in turn."""

    def __init__(self, view: View, rng: np.random.Generator) -> None:
        count = 46
        x = rng.random(count, np.float32) * np.float32(view.width)
        low = rng.random(count, np.float32) ** np.float32(0.7)
        self._at = np.stack([x, view.horizon * np.float32(0.9) + low * np.float32(view.height - view.horizon)], 1)
        self._turn = rng.random((count, 3), np.float32) * np.float32(math.tau)
        self._roam = np.float32(view.unit * 0.03)
        self._radius = max(0.8, view.unit * 0.0042)

    def draw(self, canvas: Canvas, time_s: float) -> None:
        """Draw the fireflies at a given time."""
        time = np.float32(time_s)
        x = self._at[:, 0] + np.sin(self._turn[:, 0] + time * np.float32(0.9)) * self._roam
        y = self._at[:, 1] + np.sin(self._turn[:, 1] + time * np.float32(0.7)) * self._roam
        glow = smooth(np.sin(self._turn[:, 2] + time * np.float32(1.7)) * np.float32(0.8) + np.float32(0.3))
        dots(canvas.y, x, y, self._radius * 2.4, glow * np.float32(0.16), level=170)
        dots(canvas.y, x, y, self._radius, glow * np.float32(0.85), level=218)
        for plane, level in ((canvas.u, 78), (canvas.v, 142)):
            dots(plane, x / 2, y / 2, self._radius, glow, level=level)


class Traffic:
    """Head and tail lights along the street, mirrored where it is wet."""

    def __init__(self, view: View, rng: np.random.Generator) -> None:
        count = 26
        self._width = np.float32(view.width * 1.2)
        self._is_tail = np.arange(count) % 2 == 0
        lane = np.where(self._is_tail, 0.3, 0.4).astype(np.float32)
        self._y = np.float32(view.horizon) + np.float32(view.height - view.horizon) * lane
        self._x = rng.random(count, np.float32) * self._width
        pace = rng.uniform(0.16, 0.3, count) * view.unit * view.mood.pace * np.where(self._is_tail, 1, -1)
        self._speed = pace.astype(np.float32)
        self._radius = max(0.7, view.unit * 0.0038)
        self._glow = np.float32({"night": 1.0, "dusk": 0.9}.get(view.mood.hour, 0.45))
        self._mirrors = 7 if view.mood.weather == "rain" else 2

    def draw(self, canvas: Canvas, time_s: float) -> None:
        """Draw the lights at a given time."""
        x = (self._x + self._speed * np.float32(time_s)) % self._width
        for is_tail, level, u, v in ((True, 150, 100, 205), (False, 235, 112, 136)):
            chosen = self._is_tail == is_tail
            self._light(canvas, x[chosen], self._y[chosen], (level, u, v))

    def _light(self, canvas: Canvas, x: Floats, y: Floats, levels: tuple[int, int, int]) -> None:
        radius, full = self._radius, np.full(len(x), self._glow, np.float32)
        down = np.arange(1, self._mirrors + 1, dtype=np.float32)
        below = (y[:, None] + down * np.float32(radius * 2.1)).ravel()
        faded = np.tile(self._glow * np.float32(0.3) * (1 - down / (self._mirrors + 1)), len(x))
        across = np.repeat(x, self._mirrors)
        dots(canvas.y, across, below, radius * 1.25, faded, level=levels[0])
        dots(canvas.y, x, y, radius * 3.2, full * np.float32(0.2), level=levels[0])
        dots(canvas.y, x, y, radius, full, level=levels[0])
        for plane, level in zip((canvas.u, canvas.v), levels[1:], strict=True):
            dots(plane, x / 2, y / 2, radius * 1.3, full, level=level)
            dots(plane, across / 2, below / 2, radius, faded * 2, level=level)


Moving: TypeAlias = Water | Traffic | Birds | Fireflies | Snow | Rain
