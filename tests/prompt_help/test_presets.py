from __future__ import annotations

import pytest

from hunyuan_ui.prompt_help import presets
from hunyuan_ui.request import SIZE_MULTIPLE, VideoRequest, parameters

EVERY: list[tuple[presets.Shape, presets.Size]] = [(shape, size) for shape in presets.SHAPES for size in presets.SIZES]
WIDE = {size: presets.pixels("16:9", size) for size in presets.SIZES}


@pytest.mark.parametrize(("shape", "size"), EVERY)
def test_every_preset_is_a_legal_request_of_its_shape_and_area(shape: presets.Shape, size: presets.Size) -> None:
    width, height = presets.pixels(shape, size)
    request = VideoRequest.parse({"prompt": "x", "width": width, "height": height})
    across, down = (int(part) for part in shape.split(":"))
    assert width / height == pytest.approx(across / down, rel=0.02)
    assert width * height == pytest.approx(WIDE[size][0] * WIDE[size][1], rel=0.02)
    # Only the service's own default is rounded up; every other pair is what it says.
    assert request.real_size == (width, height) or {width, height} == {854, 480}


@pytest.mark.parametrize(("shape", "size"), EVERY)
def test_pixels_are_recognised_as_the_preset_they_came_from(shape: presets.Shape, size: presets.Size) -> None:
    assert presets.shape_and_size(*presets.pixels(shape, size)) == (shape, size)


@pytest.mark.parametrize("pixels", [(853, 480), (1, 1), (None, None), ("854", "480")])
def test_a_size_of_ones_own_is_no_preset(pixels: tuple[object, object]) -> None:
    assert presets.shape_and_size(*pixels) == (None, None)


def test_the_default_request_is_standard_quality_and_wide() -> None:
    default = VideoRequest.parse({"prompt": "x"})
    assert presets.shape_and_size(default.width, default.height) == ("16:9", "480")
    assert presets.quality(default.infer_steps) == "standard"


def test_qualities_are_legal_numbers_of_steps_in_growing_order() -> None:
    steps = next(field for field in parameters() if field.name == "infer_steps")
    found = list(presets.STEPS.values())
    assert found == sorted(found)
    assert steps.low is not None
    assert steps.high is not None
    assert all(steps.low <= count <= steps.high for count in found)
    assert [presets.quality(count) for count in found] == list(presets.STEPS)
    assert presets.quality(41) is None


def test_the_sizes_of_the_models_own_table_need_no_rounding() -> None:
    sides = [side for shape, size in EVERY if size != "480" for side in presets.pixels(shape, size)]
    assert all(side % SIZE_MULTIPLE == 0 for side in sides)
