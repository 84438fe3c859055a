"""A small procedural scene: its landscape, light, weather and motion depend on prompt and seed."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from hunyuan_ui.local_endpoint.scene.caption import Caption
from hunyuan_ui.local_endpoint.scene.land import land
from hunyuan_ui.local_endpoint.scene.mood import mood_of
from hunyuan_ui.local_endpoint.scene.moving import moving
from hunyuan_ui.local_endpoint.scene.paint import Canvas
from hunyuan_ui.local_endpoint.scene.sky import Stars, clouds, paint_sky
from hunyuan_ui.local_endpoint.scene.view import View
from hunyuan_ui.request import FPS, VideoRequest


def frames(request: VideoRequest, *, is_brief: bool = False) -> Iterator[NDArray[np.uint8]]:
    """Render the video of a request; equal requests give equal frames.

    Each frame is packed yuv420p (BT.709, limited range) in the size that the service would make. The array is reused
    for the next frame: use it immediately or copy it.

    Args:
        request: The request to render.
        is_brief: Write only "local preview" into the frames, neither prompt nor settings.
    """
    digest = sha256(f"{request.seed}\n{request.prompt}".encode()).digest()
    rngs = [np.random.default_rng([index, *digest]) for index in range(6)]
    view = View(request, mood_of(request.prompt, rngs[0]))
    sky, stars, drifting = paint_sky(view, rngs[1]), Stars(view, rngs[2]), clouds(view, rngs[3])
    layers, things, caption = land(view, rngs[4]), moving(view, rngs[5]), Caption(request, is_brief=is_brief)
    canvas = Canvas.blank(view.width, view.height)
    for index in range(request.video_length):
        time_s = index / FPS
        np.copyto(canvas.packed, sky.packed)
        stars.draw(canvas, time_s)
        for strip, speed in (drifting, *layers):
            strip.draw(canvas, view.shift(speed, time_s))
        for thing in things:
            thing.draw(canvas, time_s)
        caption.draw(canvas)
        yield canvas.packed
