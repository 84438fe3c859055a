from __future__ import annotations

import asyncio
from typing import Any

import gradio as gr
import pytest

from hunyuan_ui.errors import InvalidRequestError
from hunyuan_ui.estimate import estimate
from hunyuan_ui.prompts import EXAMPLES
from hunyuan_ui.request import Parameter, VideoRequest, parameters
from hunyuan_ui.ui.form import (
    FIELDS,
    RequestForm,
    advice,
    build_request_form,
    filled,
    in_range,
    request_from,
    signature_of,
)
from hunyuan_ui.ui.text import words

DEFAULTS = [field.default for field in parameters()]


@pytest.fixture(scope="module")
def form() -> RequestForm:
    async def place() -> RequestForm:
        with gr.Blocks(analytics_enabled=False):
            return build_request_form("Generate")

    # Outside a running event loop Gradio makes one for every Blocks and never closes it.
    return asyncio.run(place())


def test_the_form_has_one_control_for_each_field_in_order(form: RequestForm) -> None:
    assert [control.elem_id for control in form.controls] == [f"field-{name.replace('_', '-')}" for name in FIELDS]
    assert len({id(control) for control in form.controls}) == len(VideoRequest.model_fields)


@pytest.mark.parametrize("field", parameters(), ids=lambda field: field.name)
def test_a_control_takes_its_numbers_from_its_parameter(form: RequestForm, field: Parameter) -> None:
    control: Any = getattr(form, field.name)
    assert control.value == field.default
    if field.is_text:
        assert control.max_length == field.high
    elif field.name != "seed":
        assert (control.minimum, control.maximum, control.step) == (field.low, field.high, field.step)


def test_what_is_advanced_is_out_of_the_way(form: RequestForm) -> None:
    for field in parameters():
        parents = _parents(getattr(form, field.name))
        assert any(isinstance(parent, gr.Accordion) for parent in parents) == field.is_advanced


def test_the_controls_become_the_request_they_show() -> None:
    for example in EXAMPLES:
        values = filled(example.request, is_random=False)
        assert request_from(values[: len(FIELDS)]) == example.request


def test_a_random_seed_is_asked_for_whatever_the_box_shows() -> None:
    values = ["a fox", *DEFAULTS[1:]]
    assert request_from(values).seed == 96501778
    assert request_from(values, is_random=True).seed == -1
    assert request_from([*values[:-1], None], is_random=True).seed == -1


@pytest.mark.parametrize(
    ("field", "value", "words_of_the_sentence"),
    [
        ("prompt", "   ", "Prompt: nothing is written there"),
        ("prompt", "x" * 2001, "2001 characters"),
        ("video_length", 78, "77 or 81"),
        ("width", None, "Width: the value is missing"),
        ("width", "wide", "Width: wide is not a number"),
        ("height", 1281, "Height: 1281"),
        ("infer_steps", float("nan"), "Steps: nan"),
        ("seed", 2**32, "Seed: 4294967296"),
    ],
)
def test_a_bad_value_is_named_with_its_field(field: str, value: object, words_of_the_sentence: str) -> None:
    values = ["a fox", *DEFAULTS[1:]]
    values[FIELDS.index(field)] = value
    with pytest.raises(InvalidRequestError) as caught:
        request_from(values)
    assert caught.value.field == field
    assert words_of_the_sentence in str(caught.value)


def test_presets_follow_the_numbers() -> None:
    request = VideoRequest.parse({"prompt": "x", "width": 720, "height": 720, "infer_steps": 20})
    assert filled(request, is_random=True)[len(FIELDS) :] == ["1:1", "540", "draft", True]
    own = VideoRequest.parse({"prompt": "x", "width": 721, "infer_steps": 33})
    assert filled(own, is_random=True)[len(FIELDS) :] == [None, None, None, True]


def test_the_line_above_the_button_tells_what_is_really_made() -> None:
    request = VideoRequest.parse({"prompt": "x"})
    assert advice(request, estimate(request), words()) == "854x480 is made as 864x480 · 3.2 s"
    draft = request.model_copy(update={"infer_steps": 20, "width": 864})
    assert "864x480 · 3.2 s" in advice(draft, estimate(draft), words())
    assert words()["form.draft_line"] in advice(draft, estimate(draft), words())


def test_a_job_that_would_outlive_its_record_is_warned_of() -> None:
    huge = VideoRequest.parse({"prompt": "x", "width": 1280, "height": 1280, "video_length": 129, "infer_steps": 70})
    assert words()["form.too_long_line"] in advice(huge, estimate(huge), words())


def test_the_signature_holds_the_fields_by_their_wire_names_and_defaults() -> None:
    found = signature_of({"caller": gr.Request}, dict).parameters
    assert list(found) == [*FIELDS, "caller"]
    assert [found[name].default for name in FIELDS[1:]] == DEFAULTS[1:]
    assert found["prompt"].default is found["prompt"].empty
    assert found["width"].annotation is int


def test_numbers_past_the_end_of_a_slider_count_as_the_end() -> None:
    values = ["-", *DEFAULTS[1:]]
    values[FIELDS.index("width")], values[FIELDS.index("infer_steps")] = 2000, 0
    request = request_from(in_range(values))
    assert (request.width, request.infer_steps) == (1280, 1)


def _parents(block: Any) -> list[Any]:
    return [] if block.parent is None else [block.parent, *_parents(block.parent)]
