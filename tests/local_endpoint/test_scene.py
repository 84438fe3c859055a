from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hunyuan_ui.local_endpoint.scene.mood import mood_of
from hunyuan_ui.local_endpoint.scene.render import frames
from hunyuan_ui.request import VideoRequest


def draw(prompt: str = "A red fox in the snow", **settings: Any) -> list[NDArray[np.uint8]]:
    request = VideoRequest.parse({"prompt": prompt, "width": 320, "height": 192, "video_length": 5, **settings})
    return [planes.copy() for planes in frames(request)]


def difference(first: list[NDArray[np.uint8]], second: list[NDArray[np.uint8]]) -> float:
    """Mean difference of brightness above the caption, whose words differ anyway."""
    pairs = zip(first, second, strict=True)
    return float(np.mean([np.abs(a[24:120].astype(int) - b[24:120]).mean() for a, b in pairs]))


def test_equal_requests_draw_equal_frames() -> None:
    assert np.array_equal(draw(seed=7), draw(seed=7))


@pytest.mark.parametrize("other", [{"seed": 8}, {"prompt": "A red fox in the snow."}])
def test_another_seed_or_prompt_draws_another_scene(other: dict[str, Any]) -> None:
    assert difference(draw(seed=7), draw(**{"seed": 7, **other})) > 2


@pytest.mark.parametrize(
    "other",
    [{"infer_steps": 5}, {"embedded_guidance_scale": 1}, {"flow_shift": 1.0}],
    ids=lambda other: next(iter(other)),
)
def test_settings_change_the_look_but_keep_the_composition(other: dict[str, Any]) -> None:
    first, second = draw("mountains at dawn"), draw("mountains at dawn", **other)
    assert 0.1 < difference(first, second) < 20
    blurred = [np.array([planes[0][:192].reshape(12, 16, 20, 16).mean((1, 3)).ravel() for planes in (first, second)])]
    assert np.corrcoef(blurred[0])[0, 1] > 0.9


def test_the_picture_moves() -> None:
    pictures = draw("hills at noon", video_length=13)
    assert all(not np.array_equal(a, b) for a, b in pairwise(pictures))


@pytest.mark.parametrize("word", ["sea", "city", "forest", "desert", "mountains", "meadow"])
@pytest.mark.parametrize("weather", ["clear noon", "rainy dusk", "snowy dawn", "misty midnight", "clear sunset"])
def test_every_place_and_weather_stays_within_legal_levels(word: str, weather: str) -> None:
    for planes in draw(f"{weather} {word}", video_length=9):
        assert planes[:192].min() >= 16
        assert planes[:192].max() <= 235
        assert planes[192:].min() >= 16
        assert planes[192:].max() <= 240
        assert planes[:192].std() > 4


@pytest.mark.parametrize("size", [(1, 1), (16, 1280), (1280, 16), (100, 60), (853, 479), (480, 854), (1280, 1280)])
@pytest.mark.parametrize("prompt", ["night city in the rain", "snow over the sea", "a sunny forest"])
def test_every_size_is_drawn_as_the_service_rounds_it(size: tuple[int, int], prompt: str) -> None:
    request = VideoRequest.parse({"prompt": prompt, "width": size[0], "height": size[1], "video_length": 1})
    width, height = request.real_size
    (planes,) = (planes.copy() for planes in frames(request))
    assert planes.shape == (height * 3 // 2, width)
    assert planes.dtype == np.uint8


@pytest.mark.parametrize("frames_asked", [1, 5, 129])
def test_exactly_the_asked_frames_are_drawn(frames_asked: int) -> None:
    assert len(draw(video_length=frames_asked, width=64, height=64)) == frames_asked


def test_the_label_is_in_every_frame() -> None:
    for planes in draw("a moonless night over the hills", width=640, height=368, video_length=9):
        label = planes[8:26, 12:90]
        assert label.max() > 190
        assert (label > 150).sum() > 40  # strokes of letters, not a star


def test_a_frame_too_small_for_words_has_none() -> None:
    # Another step changes only the words.
    first, second = (draw("hills", width=48, height=48, video_length=1, infer_steps=steps) for steps in (40, 41))
    assert np.array_equal(first, second)
    first, second = (draw("hills", width=480, height=272, video_length=1, infer_steps=steps) for steps in (40, 41))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("prompt", ["雪の森", "Снег над морем", "🦊 in the ❄", "a" * 2000, "word " * 300])
def test_prompts_of_any_script_and_length_are_drawn(prompt: str) -> None:
    assert len(draw(prompt)) == 5


@pytest.mark.parametrize(
    ("prompt", "place", "hour", "weather"),
    [
        ("A ship on the ocean at sunset, storm", "sea", "golden", "rain"),
        ("Neon city street at midnight in the rain", "city", "night", "rain"),
        ("A misty forest at dawn", "forest", "dawn", "mist"),
        ("Snow on a mountain peak, noon", "mountains", "day", "snow"),
        ("沙漠 夕阳", "desert", "golden", None),
    ],
)
def test_words_choose_place_hour_and_weather(prompt: str, place: str, hour: str, weather: str | None) -> None:
    moods = [mood_of(prompt, np.random.default_rng(seed)) for seed in range(20)]
    assert {(mood.place, mood.hour) for mood in moods} == {(place, hour)}
    if weather:
        assert {mood.weather for mood in moods} == {weather}


def test_a_prompt_without_such_words_leaves_them_to_the_seed() -> None:
    moods = [mood_of("Two robots play chess", np.random.default_rng(seed)) for seed in range(60)]
    assert len({mood.place for mood in moods}) == 6
    assert len({mood.hour for mood in moods}) == 5


def test_camera_words_choose_the_direction() -> None:
    def directions(prompt: str) -> set[int]:
        return {mood_of(prompt, np.random.default_rng(seed)).direction for seed in range(20)}

    assert directions("pan left over hills") == {-1}
    assert directions("pan right over hills") == {1}
    assert directions("hills") == {-1, 1}
