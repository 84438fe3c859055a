"""The caption in every frame: "local preview", the prompt's first words and the settings, as far as they fit."""

# numpy leaves the types of many operators partly unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from hunyuan_ui.local_endpoint.scene.paint import Canvas, Strip
from hunyuan_ui.request import VideoRequest

LABEL: Final = "local preview"
_SMALLEST: Final = 9  # px; below this the letters of Pillow's font run together


class Caption:
    """The caption of one video, rendered once and blended into each frame.

    Args:
        request: Provides prompt and settings.
        is_brief: Omit all but "local preview".
    """

    def __init__(self, request: VideoRequest, *, is_brief: bool) -> None:
        self._parts: list[Strip] = []
        width, height = request.real_size
        size = round(min(max(min(width, height) / 34, 11), 30))
        margin = round(size * 1.35)
        room = width - 2 * margin
        label = ImageFont.load_default(max(size * 0.92, _SMALLEST))
        if label.getlength(LABEL) + size > width or height < 3 * size:
            return
        has_lines = not is_brief and height >= 10 * size and room > 12 * size
        lines = _lines(request, size, room) if has_lines else []
        self._parts = [_block([(LABEL, label, 0.86)], width, margin, bottom=None)]
        if lines:
            self._parts.append(_block(lines, width, margin, bottom=height))

    def draw(self, canvas: Canvas) -> None:
        """Blend the caption into a frame."""
        for part in self._parts:
            part.draw(canvas, 0)


_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_Line = tuple[str, _Font, float]


def _lines(request: VideoRequest, size: int, room: int) -> list[_Line]:
    width, height = request.real_size
    settings = [
        f"{width} x {height}",
        _counted(request.video_length, "frame"),
        _counted(request.infer_steps, "step"),
        f"guidance {request.embedded_guidance_scale}",
        f"shift {request.flow_shift:g}",
        f"seed {request.seed}",
    ]
    small = ImageFont.load_default(max(size * 0.86, _SMALLEST))
    rows: list[str] = []
    for setting in settings:
        joined = f"{rows[-1]}  ·  {setting}" if rows else setting
        if rows and small.getlength(joined) <= room:
            rows[-1] = joined
        else:
            rows.append(setting)
    lines: list[_Line] = [(row, small, 0.74) for row in rows]
    large = ImageFont.load_default(size * 1.12)
    prompt = _shortened(" ".join(request.prompt.split()), large, min(room, 34 * size))
    return [(prompt, large, 0.95), *lines] if prompt else lines


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _shortened(text: str, font: _Font, room: float) -> str:
    """Return as many whole words as fit, or nothing if the font lacks one of their letters."""
    words = text[:200].split(" ")
    while words:
        shown = " ".join(words) + ("" if " ".join(words) == text else " …")
        if font.getlength(shown) <= room:
            return shown if _has_every_letter(font, shown) else ""
        words.pop()
    return ""


def _has_every_letter(font: _Font, text: str) -> bool:
    missing = _drawn(font, "\uffff")
    return all(_drawn(font, letter) != missing for letter in set(text) - {" "})


def _block(lines: list[_Line], width: int, margin: int, *, bottom: int | None) -> Strip:
    """Draw left-aligned lines with a soft shadow; at the bottom of the frame, or at its top for None."""
    heights = [round(font.size * 1.5) if isinstance(font, ImageFont.FreeTypeFont) else 15 for _, font, _ in lines]
    height = (sum(heights) + 2 * margin + 1) // 2 * 2
    words, shadow = (Image.new("L", (width, height)) for _ in range(2))
    y = height - margin - sum(heights) if bottom is not None else margin * 3 // 4
    for (text, font, strength), step in zip(lines, heights, strict=True):
        ImageDraw.Draw(words).text((margin, y), text, fill=round(255 * strength), font=font)
        ImageDraw.Draw(shadow).text((margin, y + 1), text, fill=255, font=font)
        y += step
    blurred = shadow.filter(ImageFilter.GaussianBlur(heights[0] / 6))
    light = np.asarray(words, np.float32) / 255
    dark = np.clip(np.asarray(blurred, np.float32) / 255 * 1.1, 0, 0.62)
    if bottom is not None:
        dark = np.maximum(dark, np.linspace(0, 0.42, height, dtype=np.float32)[:, None] ** np.float32(1.2))
    alpha = 1 - (1 - light) * (1 - dark)
    level = np.divide(light, alpha, out=np.zeros_like(light), where=alpha > 0)
    return Strip(np.repeat(level[..., None], 3, axis=2), alpha, (bottom - height) if bottom is not None else 0)


def _drawn(font: _Font, letter: str) -> bytes:
    image = Image.new("L", (24, 24))
    ImageDraw.Draw(image).text((4, 4), letter, fill=255, font=font)
    return image.tobytes()
