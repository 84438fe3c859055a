"""Example prompts, each a complete request, so that a click fills every setting (pure).

Source: the prompting facts in docs/facts/users.md 4. Titles are in the locale files, under `example.<key>`.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from hunyuan_ui.prompt_help.presets import STEPS, Shape, pixels
from hunyuan_ui.request import VideoRequest


class Example(NamedTuple):
    """One example: a key for its title and tile, and the request it fills in."""

    key: str
    request: VideoRequest


def _example(key: str, prompt: str, shape: Shape = "16:9", **settings: Any) -> Example:
    width, height = pixels(shape, "480")
    return Example(key, VideoRequest.parse({"prompt": prompt, "width": width, "height": height, **settings}))


EXAMPLES: Final[tuple[Example, ...]] = (
    # The service's documented sample, with every documented default (docs/facts/segmind-api.md 0).
    Example("starter", VideoRequest.parse({"prompt": "A cat walks on the grass, realistic style."})),
    _example(
        "fox",
        "A fox trots along the edge of a frosted meadow, its breath showing in the cold air. It pauses, ears "
        "turning, then bounds over a fallen birch branch and lands in powder snow. The camera follows from the side "
        "at the height of the fox. Low winter sun from behind draws a warm rim on its fur. Natural documentary look.",
        seed=48_213,
    ),
    _example(
        "portrait",
        "An elderly clockmaker lifts a brass gear to the light and slowly smiles, the corners of his eyes creasing. "
        "Behind him shelves of wooden clocks fall out of focus. Soft window light from the left leaves half of his "
        "face in shade. The camera moves slowly forward into a close-up. Muted colours, shallow depth of field.",
        "9:16",
        video_length=65,
        seed=730_114,
    ),
    _example(
        "honey",
        "Thick golden honey falls from a wooden dipper onto a stack of three small pancakes, folds over itself "
        "and runs down the sides. A single crumb is carried along by the stream. Macro shot with a dark brown "
        "background. One soft studio light from behind makes the honey glow, and the plate reflects it faintly.",
        "1:1",
        video_length=65,
        seed=5_150,
    ),
    _example(
        "storm",
        "Rain curtains drift across a wide valley of terraced rice fields while the setting sun breaks through on "
        "the right. Cloud shadows slide over the terraces, water in the paddies flashes gold, and thin mist rises "
        "between the hills. A wide shot that pans slowly to the right. Golden hour, hazy air, calm and grand.",
        video_length=129,
        seed=88_061,
    ),
    _example(
        "coast",
        "White surf rolls against black basalt columns on an empty coast and drains back in bright threads. Two "
        "seabirds cross below, small against the water. Turquoise shallows turn to deep blue farther out. A drone "
        "view that moves forward along the cliff line. Clear noon light, crisp shadows, vivid natural colours.",
        negative_prompt="Overexposed, low quality, deformation",
        seed=610_900,
    ),
    _example(
        "night",
        "A cyclist in a yellow raincoat rides through a narrow market street at night, past steaming food stalls "
        "and closed shutters. Rain streaks through the light of pink and blue signs, and the wet asphalt mirrors "
        "them. The camera moves left beside the bicycle. Medium shot, neon reflections, soft bloom.",
        seed=24_017,
    ),
    _example(
        "climber",
        "A climber in a red shirt hangs from an orange hold on an indoor wall. First she swings her legs to the "
        "left, then she leaps, catches the next hold with one hand and steadies herself as chalk dust falls. A "
        "low angle from below that follows her upward. Bright arena lights, clean shadows on the grey wall.",
        "9:16",
        seed=391_442,
    ),
    _example(
        "ink",
        "An ink-wash painting in motion: a fisherman in a narrow boat drifts past tall misty cliffs, and rings "
        "spread from his pole. Ink bleeds softly into the paper as the cliffs appear, a crane lifts from the "
        "reeds on the right. A slow pan to the left across flat cream paper. Grey and black tones with one small "
        "touch of vermilion.",
        "4:3",
        video_length=65,
        seed=7_702,
    ),
    _example(
        "island",
        "A tiny low-poly island floats in a pale sky, with a crooked lighthouse, three round trees and a "
        "waterfall that spills off its edge. The lighthouse lamp turns, and small paper-like clouds drift "
        "beneath. The camera circles around the island. Stylised 3D render, soft volumetric light, pastel "
        "colours, matte surfaces.",
        "1:1",
        video_length=65,
        seed=160_033,
    ),
    _example(
        "teapot",
        "A hand-thrown ceramic teapot with a crackled celadon glaze stands on a slate turntable. The camera "
        "circles around it while a thin white rim light travels along the handle and the spout. Fine steam leaves "
        "the lid. Dark seamless background, product photography, sharp detail.",
        "1:1",
        video_length=49,
        infer_steps=STEPS["fine"],
        seed=902_155,
    ),
    _example(
        "silk",
        "A sheet of crimson silk falls through dark air in slow motion, opens like a wave, then folds inward and "
        "twists. Fine dust scatters from its edges and hangs in the light. A strong backlight turns the cloth "
        "into a glowing silhouette with bright seams. Medium shot, black background.",
        video_length=65,
        flow_shift=9,
        seed=55_808,
    ),
)

# Shown in the place of the video: as many as the page has room for (ui/web/watch.html).
SHOWCASE: Final = EXAMPLES[:6]
