from __future__ import annotations

import pytest

from hunyuan_ui.prompt_help import presets
from hunyuan_ui.prompt_help.examples import EXAMPLES, Example
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.words import words


def test_there_are_twelve_examples_with_their_own_keys_seeds_and_titles() -> None:
    assert len(EXAMPLES) == 12
    assert len({example.key for example in EXAMPLES}) == 12
    assert len({example.request.seed for example in EXAMPLES}) == 12
    assert len({words()[f"example.{example.key}"] for example in EXAMPLES}) == 12


def test_the_first_example_is_one_short_sentence() -> None:
    prompt = EXAMPLES[0].request.prompt
    assert len(prompt.split()) < 15
    assert prompt.count(".") == 1


@pytest.mark.parametrize("example", EXAMPLES[1:], ids=lambda example: example.key)
def test_an_example_is_as_long_as_the_model_reads_well(example: Example) -> None:
    assert 25 <= len(example.request.prompt.split()) <= 90


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.key)
def test_an_example_stands_for_a_preset_shape_size_and_quality(example: Example) -> None:
    request = example.request
    assert None not in presets.shape_and_size(request.width, request.height)
    assert presets.quality(request.infer_steps) is not None


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.key)
def test_an_example_survives_its_own_cleaning(example: Example) -> None:
    assert VideoRequest.parse(example.request.model_dump()) == example.request


def test_a_view_from_above_is_not_also_unwanted() -> None:
    drone = next(example for example in EXAMPLES if "drone" in example.request.prompt.lower())
    assert "aerial" not in drone.request.negative_prompt.lower()


def test_the_examples_cover_shapes_and_lengths() -> None:
    shapes = {presets.shape_and_size(example.request.width, example.request.height)[0] for example in EXAMPLES}
    assert shapes >= {"16:9", "9:16", "1:1", "4:3"}
    assert {example.request.video_length for example in EXAMPLES} >= {49, 65, 77, 129}
