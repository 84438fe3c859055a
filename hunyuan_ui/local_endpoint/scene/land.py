"""The land: layers of mountains, hills, forest, dunes or houses that move at different speeds (parallax)."""

# numpy leaves the types of many operators partly unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from hunyuan_ui.local_endpoint.scene.mood import colour, mix
from hunyuan_ui.local_endpoint.scene.paint import Floats, Strip, line_noise, plane_noise, smooth
from hunyuan_ui.local_endpoint.scene.view import View


class _Outline(NamedTuple):
    """One layer before it is painted: px per second, and the row of its skyline at each `x`."""

    depth: float
    speed: float
    x: Floats
    crest: Floats


class _Slope(NamedTuple):
    """One layer: its picture, px below the skyline, and the positions of columns and rows."""

    rgb: Floats
    below: Floats
    x: Floats
    y: Floats
    depth: float


def land(view: View, rng: np.random.Generator) -> list[tuple[Strip, float]]:
    """Return the layers from far to near, each with its speed in px per second."""
    depths = {
        "mountains": (0.0, 0.22, 0.48, 0.76, 1.0),
        "hills": (0.0, 0.3, 0.62, 1.0),
        "forest": (0.0, 0.28, 0.6, 1.0),
        "desert": (0.0, 0.25, 0.58, 1.0),
        "city": (0.0, 0.35, 0.75),
        "sea": (0.0, 0.12),
    }[view.mood.place]
    outlines = [_outline(view, rng, depth) for depth in depths]
    bottoms = [math.ceil(nearer.crest.max() / 2) * 2 + 2 for nearer in outlines[1:]]  # lower rows are hidden
    bottoms.append(view.horizon if view.mood.place == "sea" else view.height)
    return [
        (_layer(view, rng, outline, min(bottom, bottoms[-1])), outline.speed)
        for outline, bottom in zip(outlines, bottoms, strict=True)
    ]


def _outline(view: View, rng: np.random.Generator, depth: float) -> _Outline:
    speed = view.speed(depth)
    x = np.arange(view.strip_width(speed), dtype=np.float32) / np.float32(view.unit) + np.float32(rng.random() * 200)
    return _Outline(depth, speed, x, _crest(view, rng, depth, x))


def _layer(view: View, rng: np.random.Generator, outline: _Outline, bottom: int) -> Strip:
    depth, crest, x = outline.depth, outline.crest, outline.x
    if view.mood.place == "city":
        return _houses(view, rng, outline, bottom)
    is_planted = view.mood.place == "forest" or (view.mood.place in ("mountains", "hills") and depth > 0.5)
    top = max(0, min(int(crest.min()), bottom) - (round(0.34 * view.unit) if is_planted else 2)) // 2 * 2
    rows = np.arange(top, bottom, dtype=np.float32)
    below = rows[:, None] - crest[None, :]
    alpha = np.clip(below + np.float32(0.5), 0, 1)
    body, air = view.layer_colours(depth if view.mood.place != "sea" else 0.12 + depth)
    share = smooth(below / np.float32(view.unit * (0.16 + 0.2 * depth)))
    rgb = body + (air - body) * share[..., None]
    _texture(view, rng, _Slope(rgb, below, x, (rows - top) / np.float32(view.unit), depth))
    if is_planted:
        _plant(view, rng, depth, (rgb, alpha), crest - np.float32(top))
    return Strip(rgb, alpha, top)


def _crest(view: View, rng: np.random.Generator, depth: float, x: Floats) -> Floats:
    """Return the row of the skyline in each column."""
    place, unit = view.mood.place, np.float32(view.unit)
    base = np.float32(view.horizon + (view.height - view.horizon) * depth**1.4 * 0.72)
    near = np.float32(depth)
    if place == "city":
        return np.full_like(x, round(view.horizon + unit * np.float32(0.08) * near))  # base line of the houses
    if place == "sea":
        island = smooth((line_noise(rng, x * np.float32(0.9), 2, 0.4) - np.float32(0.52)) * 3)
        ridge = line_noise(rng, x * 6, view.octaves, 0.5)
        return np.float32(view.horizon) + 2 - unit * island * (np.float32(0.03) + np.float32(0.13) * ridge)
    if place == "mountains" and depth < 0.7:
        peaks = 1 - np.abs(2 * line_noise(rng, x * (np.float32(1.5) + near), 1, 0.5) - 1)
        rough = line_noise(rng, x * 7, view.octaves, 0.55) - np.float32(0.5)
        return base - unit * (np.float32(0.34) - np.float32(0.26) * near) * (peaks + np.float32(0.28) * rough)
    if place == "desert":
        dune = line_noise(rng, x * (np.float32(1.0) + near * np.float32(0.5)), 2, 0.3)
        return base - unit * np.float32(0.16) * dune * (np.float32(0.75) + near * np.float32(0.6))
    hills = line_noise(rng, x * (np.float32(1.6) + near), min(view.octaves, 3), 0.35)
    return base - unit * (np.float32(0.2) - np.float32(0.07) * near) * hills


def _texture(view: View, rng: np.random.Generator, slope: _Slope) -> None:
    """Add light and surface texture to the layer, in place."""
    if view.mood.place == "mountains" and slope.depth < 0.7:
        _rock_and_snow(view, rng, slope)
    elif view.mood.place == "desert":
        _sand(view, rng, slope)
    else:
        _grass(view, rng, slope)


def _rock_and_snow(view: View, rng: np.random.Generator, slope: _Slope) -> None:
    rgb, below, palette = slope.rgb, slope.below, view.palette
    facets = plane_noise(rng, slope.x * 9, slope.y * 6, view.octaves) - np.float32(0.5)
    fade = np.exp(-np.clip(below, 0, None) / np.float32(view.unit * 0.12))
    rgb += (facets * fade * np.float32(0.34 * (1 - 0.5 * slope.depth)))[..., None] * (palette.light * np.float32(0.9))
    heights = below[-1].max() - below[-1]
    tall = np.float32(heights.max() * (0.75 if view.mood.weather == "snow" else 0.42))
    line = tall - heights + np.float32(view.unit * 0.2) * facets
    snow = smooth((line - below) / np.float32(view.unit * 0.016)) * np.float32(0.6 - 0.4 * slope.depth)
    rgb += (mix(palette.light, palette.horizon, 0.45) - rgb) * snow[..., None]


def _sand(view: View, rng: np.random.Generator, slope: _Slope) -> None:
    below, x = slope.below, slope.x
    side = 1 if view.light_at[0] < view.width / 2 else -1
    lit = smooth(np.float32(0.5) + np.gradient(below[-1]).astype(np.float32) * np.float32(side * 1.6))
    near = np.exp(-np.clip(below, 0, None) / np.float32(view.unit * 0.2))
    ripples = np.sin(below * np.float32(90 / view.unit) + x * 7 + 18 * plane_noise(rng, x * 2, slope.y * 2, 2))
    gain = lit * near * np.float32(0.42) + ripples * np.float32(0.018 + 0.02 * slope.depth) * smooth(below / 24)
    rgb = slope.rgb
    rgb += gain[..., None] * mix(view.palette.light, view.palette.horizon, 0.5)


def _grass(view: View, rng: np.random.Generator, slope: _Slope) -> None:
    mottled = plane_noise(rng, slope.x * 14, slope.y * 30, view.octaves) - np.float32(0.5)
    rim = np.exp(-np.clip(slope.below, 0, None) / np.float32(view.unit * 0.012)) * np.float32(0.1)
    gain = rim + mottled * np.float32(0.1 * slope.depth + 0.02)
    rgb = slope.rgb
    rgb += gain[..., None] * mix(view.palette.horizon, view.palette.middle, 0.3)


def _plant(view: View, rng: np.random.Generator, depth: float, picture: tuple[Floats, Floats], crest: Floats) -> None:
    """Draw conifers along the skyline of a layer, in place."""
    rgb, alpha = picture
    body, _ = view.layer_colours(depth)
    is_forest = view.mood.place == "forest"
    size = view.unit * ((0.09 + 0.22 * depth) if is_forest else 0.05 + 0.08 * depth)
    spacing = size * (0.2 if is_forest else 0.55)
    sprites = [conifer(rng, max(6, round(size * scale))) for scale in (0.55, 0.7, 0.85, 1.0)]
    groves = line_noise(rng, np.arange(len(crest), dtype=np.float32) / np.float32(size * 5), 1, 0.5)
    at = 0.0
    while at < len(crest):
        at += spacing * rng.uniform(0.5, 1.5)
        sprite = sprites[int(rng.integers(len(sprites)))]
        column = int(at) - sprite.shape[1] // 2
        if int(at) < len(crest) and (is_forest or groves[int(at)] > 0.55):
            foot = int(crest[int(at)]) + max(2, len(sprite) // 12)
            _stamp(alpha, rgb, sprite, (foot - len(sprite), column), body * np.float32(rng.uniform(0.82, 0.98)))


def _stamp(alpha: Floats, rgb: Floats, sprite: Floats, at: tuple[int, int], tint: Floats) -> None:
    top, left = at
    rows = slice(max(0, top), min(len(alpha), top + sprite.shape[0]))
    columns = slice(max(0, left), min(alpha.shape[1], left + sprite.shape[1]))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    part = sprite[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    # Only the tree above the ground is tinted; its foot fades into the layer.
    share = part * np.linspace(1, 0.35, len(part), dtype=np.float32)[:, None]
    rgb[rows, columns] += (tint - rgb[rows, columns]) * share[..., None]
    alpha[rows, columns] = np.maximum(alpha[rows, columns], part)


def conifer(rng: np.random.Generator, height: int) -> Floats:
    """Return the alpha of a fir of this height in px: tiers of branches that widen downwards."""
    width = max(5, round(height * 0.46)) // 2 * 2 + 1
    down = (np.arange(height, dtype=np.float32) + np.float32(0.5)) / np.float32(height)
    tiers = np.float32(rng.uniform(5, 9))
    saw = (down * tiers) % 1
    half = down ** np.float32(0.85) * (np.float32(0.62) + np.float32(0.38) * saw) * np.float32(width / 2)
    side = np.abs(np.arange(width, dtype=np.float32) - width // 2)
    ragged = rng.uniform(-0.12, 0.12, (height, 2)).astype(np.float32) * half[:, None]
    offset = np.where(np.arange(width)[None, :] < width // 2, ragged[:, :1], ragged[:, 1:])
    return np.clip(half[:, None] + offset - side[None, :] + np.float32(0.5), 0, 1).astype(np.float32)


def _houses(view: View, rng: np.random.Generator, outline: _Outline, bottom: int) -> Strip:
    """Return a row of buildings with lit windows."""
    depth, width = outline.depth, len(outline.x)
    unit, is_dark = view.unit, view.mood.hour in ("night", "dusk")
    body, air = view.layer_colours(0.2 + 0.75 * depth)
    top = max(0, round(view.horizon - unit * 0.62)) // 2 * 2
    height = bottom - top
    rows = np.arange(height, dtype=np.float32)
    rgb = np.empty((height, width, 3), np.float32)
    alpha = np.zeros((height, width), np.float32)
    ground = int(outline.crest[0]) - top
    left = -round(unit * 0.05)
    while left < width:
        wide = max(4, round(unit * rng.uniform(0.045, 0.12) * (0.75 + 0.6 * depth)))
        tall = unit * (0.12 + 0.34 * rng.random() ** 1.7) * (1.15 - 0.35 * depth)
        roof = max(0, round(ground - tall))
        span = slice(max(0, left), min(width, left + wide))
        if span.stop > span.start:
            share = smooth((rows[roof:] - roof) / np.float32(unit * 0.4))[:, None, None]
            tone = body * np.float32(rng.uniform(0.82, 1.1))
            rgb[roof:, span], alpha[roof:, span] = tone + (air - tone) * share, 1
            _windows(view, rng, rgb[roof:ground, span], depth=depth, is_dark=is_dark)
            _mast(rng, rgb, alpha, (roof, (span.start + span.stop) // 2), tone)
        left += wide + (round(unit * rng.uniform(0, 0.03)) if rng.random() < 0.4 else 0)
    street = mix(body, view.palette.near, 0.7)
    rgb[ground:], alpha[ground:] = street, 1
    rgb[alpha == 0] = body
    return Strip(rgb, alpha, top)


def _windows(view: View, rng: np.random.Generator, wall: Floats, *, depth: float, is_dark: bool) -> None:
    pitch = max(3, round(view.unit * (0.009 + 0.012 * depth)))
    size = max(1, round(pitch * 0.5))
    across, down = (wall.shape[1] - 2) // pitch, (wall.shape[0] - pitch) // pitch
    if across < 1 or down < 1:
        return
    codes = ("ffd58a", "ffe9b8", "ffc266", "bfe3ff", *(("ff6ac8", "5fe4ff", "b58cff") if view.mood.has_neon else ()))
    warm = [colour(code) for code in codes]
    lit = rng.random((down, across)) < (0.46 if is_dark else 0.12) * rng.uniform(0.35, 1.4)
    tint = warm[int(rng.integers(len(warm)))]
    margin = (wall.shape[1] - across * pitch + pitch - size) // 2
    for row, column in zip(*np.nonzero(lit), strict=True):
        y, x = pitch // 2 + row * pitch, margin + column * pitch
        glow = np.float32(rng.uniform(0.45, 1) * (0.55 + 0.6 * depth if is_dark else 0.35))
        pane = wall[y : y + size, x : x + max(1, size - (size > 2))]
        pane += (tint - pane) * glow


def _mast(rng: np.random.Generator, rgb: Floats, alpha: Floats, at: tuple[int, int], tone: Floats) -> None:
    roof, column = at
    if rng.random() > 0.22:
        return
    tall = min(roof, round(len(alpha) * rng.uniform(0.03, 0.09)))
    rgb[roof - tall : roof, column], alpha[roof - tall : roof, column] = tone, 0.8
