"""Drawing directly into yuv420p planes: noise, scrolling strips, soft dots.

Static parts are rendered once in RGB; per frame only bytes are copied and blended, which keeps drawing as fast as
encoding.
"""

# numpy leaves the types of many operators partly unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]  # float32; numpy loses the precision in most operations
Bytes = NDArray[np.uint8]

_PHASES: Final = 4  # subpixel positions; fewer would make slow layers visibly step
_LATTICE: Final = 256  # noise repeats after this many cells, which no scene is wide enough to show


@dataclass(frozen=True, slots=True)
class Canvas:
    """One frame: packed planes, and each plane as a view of them."""

    packed: Bytes
    y: Bytes
    u: Bytes
    v: Bytes

    @classmethod
    def blank(cls, width: int, height: int) -> Canvas:
        """Return a canvas of undefined content; both sides are multiples of 4."""
        packed = np.empty((height * 3 // 2, width), np.uint8)
        half = (height // 2, width // 2)
        u, v = packed[height : height + height // 4], packed[height + height // 4 :]
        return cls(packed, packed[:height], u.reshape(half), v.reshape(half))

    @property
    def planes(self) -> tuple[Bytes, Bytes, Bytes]:
        """The luma plane and the two chroma planes of half the size."""
        return self.y, self.u, self.v


class Strip:
    """A scrolling picture with transparency, as high as part of the frame and wider than it.

    Args:
        rgb: Height x width x 3, from 0 to 1; both sides even.
        alpha: Height x width, from 0 to 1.
        top: The frame's row where the strip begins, even.
    """

    def __init__(self, rgb: Floats, alpha: Floats, top: int) -> None:
        clear = int(np.argmax(np.any(alpha > 0, axis=1))) // 2 * 2
        rgb, alpha, top = rgb[clear:], alpha[clear:], top + clear
        half = halved(alpha)
        self._layers = [
            _Layer(plane, cover, top if index == 0 else top // 2)
            for index, (plane, cover) in enumerate(zip(yuv(rgb), (alpha, half, half), strict=True))
        ]

    def draw(self, canvas: Canvas, shift: float) -> None:
        """Blend the part that begins `shift` px from the strip's left edge into the frame."""
        for index, (layer, plane) in enumerate(zip(self._layers, canvas.planes, strict=True)):
            layer.draw(plane, shift if index == 0 else shift / 2)


class _Layer:
    """One plane of a strip, premultiplied by its alpha, at every subpixel position."""

    def __init__(self, plane: Floats, cover: Floats, top: int) -> None:
        opaque = np.all(cover >= 1, axis=1)
        self._top = top
        self._solid_from = len(opaque) - int(np.argmin(opaque[::-1])) if not opaque.all() else 0
        lit, rest = plane * cover, 256 * (1 - cover)
        shares = [phase / _PHASES for phase in range(_PHASES)]
        self._lit = [(between(lit, share) + 0.5).astype(np.uint8) for share in shares]
        self._rest = [(between(rest[: self._solid_from], share) + 0.5).astype(np.uint16) for share in shares]

    def draw(self, plane: Bytes, shift: float) -> None:
        whole, phase = divmod(round(shift * _PHASES), _PHASES)
        columns = slice(whole, whole + plane.shape[1])
        lit, rest = self._lit[phase][:, columns], self._rest[phase][:, columns]
        edge = self._top + self._solid_from
        blended = plane[self._top : edge] * rest
        blended += 128
        blended >>= 8
        np.add(blended, lit[: self._solid_from], out=plane[self._top : edge], casting="unsafe")
        plane[edge : self._top + len(lit)] = lit[self._solid_from :]


def between(plane: Floats, share: float) -> Floats:
    """Return the plane moved left by a fraction of a pixel; its last column is repeated."""
    if not share:
        return plane
    moved = np.concatenate([plane[:, 1:], plane[:, -1:]], axis=1)
    return plane + (moved - plane) * np.float32(share)


def dots(plane: Bytes, x: Floats, y: Floats, radius: float, strength: Floats, *, level: float) -> None:
    """Blend soft round dots into a plane.

    Args:
        plane: The plane to change; it must be contiguous.
        x: Centres in px of this plane; those outside are skipped.
        y: As `x`.
        radius: Of all dots, px.
        strength: Opacity at each centre, 0 to 1.
        level: Value of the dots in the plane, 0 to 255.
    """
    reach = int(np.ceil(1.6 * radius))
    offsets = np.arange(-reach, reach + 1)
    columns, rows = np.floor(x).astype(np.int64)[:, None] + offsets, np.floor(y).astype(np.int64)[:, None] + offsets
    across = np.exp(-(((columns - x[:, None]) / radius) ** 2)).astype(np.float32)
    down = np.exp(-(((rows - y[:, None]) / radius) ** 2)).astype(np.float32)
    across *= (columns >= 0) & (columns < plane.shape[1])
    down *= (rows >= 0) & (rows < plane.shape[0])
    cover = (down * strength[:, None])[:, :, None] * across[:, None, :]
    height, width = plane.shape
    places = np.clip(rows, 0, height - 1)[:, :, None] * width + np.clip(columns, 0, width - 1)[:, None, :]
    seen = cover > 0.02
    places, cover = places[seen], cover[seen]
    flat = plane.reshape(-1)
    under = flat[places].astype(np.float32)
    flat[places] = under + (np.float32(level) - under) * cover


def yuv(rgb: Floats) -> tuple[Floats, Floats, Floats]:
    """Return BT.709 planes of limited range, the chroma planes at half the size.

    Source: ITU-R BT.709-6, items 3.2 to 3.4.
    """
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    light = np.float32(0.2126) * red + np.float32(0.7152) * green + np.float32(0.0722) * blue
    u = halved(blue - light) * np.float32(224 / 1.8556) + np.float32(128)
    v = halved(red - light) * np.float32(224 / 1.5748) + np.float32(128)
    return np.clip(light * np.float32(219) + np.float32(16), 16, 235), np.clip(u, 16, 240), np.clip(v, 16, 240)


def halved(plane: Floats) -> Floats:
    """Return the mean of each 2 x 2 px."""
    rows = plane[::2] + plane[1::2]
    return (rows[:, ::2] + rows[:, 1::2]) * np.float32(0.25)


def smooth(value: Floats) -> Floats:
    """Return 0 below 0, 1 above 1, and a smooth S-curve between."""
    value = np.clip(value, 0, 1)
    return value * value * (3 - 2 * value)


def line_noise(rng: np.random.Generator, x: Floats, octaves: int, roughness: float) -> Floats:
    """Return smooth random values from 0 to 1 along `x`, one hill per unit in the first octave."""
    total, weight, height = np.zeros_like(x), 1.0, 0.0
    for _ in range(octaves):
        lattice = rng.random(_LATTICE, np.float32)
        cell = np.floor(x)
        at = cell.astype(np.int64) % _LATTICE
        left, right = lattice[at], lattice[(at + 1) % _LATTICE]
        total += np.float32(weight) * (left + (right - left) * smooth(x - cell))
        height += weight
        weight *= roughness
        x = x * np.float32(2.03)
    return total / np.float32(height)


def plane_noise(rng: np.random.Generator, x: Floats, y: Floats, octaves: int) -> Floats:
    """Return smooth random values from 0 to 1 on the grid of `x` (columns) and `y` (rows)."""
    total = np.zeros((len(y), len(x)), np.float32)
    for octave in range(octaves):
        lattice = rng.random((64, 64), np.float32)
        scale = np.float32(2.0**octave)
        rows = _resampled(lattice, y * scale)
        total += _resampled(np.ascontiguousarray(rows.T), x * scale).T * np.float32(0.5**octave)
    return total / np.float32(2 - 0.5 ** (octaves - 1))


def _resampled(lattice: Floats, at: Floats) -> Floats:
    """Return the lattice's rows, interpolated smoothly at fractional positions."""
    cell = np.floor(at)
    index = cell.astype(np.int64) % len(lattice)
    share = smooth(at - cell)[:, None]
    first = lattice[index]
    return first + (lattice[(index + 1) % len(lattice)] - first) * share
