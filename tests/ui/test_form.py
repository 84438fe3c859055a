from __future__ import annotations

import asyncio
import json
from typing import Any

import gradio as gr
import pytest

from hunyuan_ui.errors import InvalidRequestError
from hunyuan_ui.prompt_help import presets
from hunyuan_ui.prompt_help.examples import EXAMPLES
from hunyuan_ui.request import Parameter, VideoRequest, parameters
from hunyuan_ui.ui.form import (
    FIELDS,
    HELD,
    RequestForm,
    build_request_form,
    request_from,
    script_facts,
    sent_in,
    signature_of,
)
from hunyuan_ui.words import words

DEFAULTS = [field.default for field in parameters()]


@pytest.fixture(scope="module")
def form() -> RequestForm:
    async def place() -> RequestForm:
        with gr.Blocks(analytics_enabled=False):
            return build_request_form()

    # Outside a running event loop Gradio creates one for every Blocks and never closes it.
    return asyncio.run(place())


def test_the_form_has_one_control_for_each_field_in_order(form: RequestForm) -> None:
    assert [control.elem_id for control in form.controls] == [f"field-{name.replace('_', '-')}" for name in FIELDS]
    assert len({id(control) for control in form.controls}) == len(VideoRequest.model_fields)


@pytest.mark.parametrize("field", parameters(), ids=lambda field: field.name)
def test_a_control_takes_its_numbers_from_its_parameter(form: RequestForm, field: Parameter) -> None:
    control: Any = getattr(form, field.name)
    assert control.value == field.default
    if field.is_text:
        assert control.max_length is None  # Gradio would silently truncate pasted text
    elif field.name != "seed":
        assert (control.minimum, control.maximum, control.step) == (field.low, field.high, field.step)


def test_what_is_advanced_is_out_of_the_way(form: RequestForm) -> None:
    for field in parameters():
        parents = _parents(getattr(form, field.name))
        assert any(isinstance(parent, gr.Accordion) for parent in parents) == field.is_advanced


def test_the_controls_become_the_request_they_show() -> None:
    for example in EXAMPLES:
        assert request_from([getattr(example.request, name) for name in FIELDS]) == example.request


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
    assert words_of_the_sentence in words().sentence(caught.value)


def test_the_script_is_told_every_preset_and_no_other() -> None:
    facts = json.loads(json.dumps(script_facts()))
    assert {
        (shape, size): tuple(pixels) for shape, sizes in facts["sizes"].items() for size, pixels in sizes.items()
    } == {(shape, size): presets.pixels(shape, size) for shape in presets.SHAPES for size in presets.SIZES}
    assert facts["steps"] == presets.STEPS


def test_no_two_presets_stand_for_the_same_numbers() -> None:
    sizes = script_facts()["sizes"].values()
    pixels = [pair for size in sizes for pair in size.values()]
    assert len(set(pixels)) == len(pixels)
    assert len(set(presets.STEPS.values())) == len(presets.STEPS)


def test_the_script_knows_the_values_of_the_form_by_the_names_of_their_components(form: RequestForm) -> None:
    assert [form.held[HELD.index(name)] for name in FIELDS] == form.controls
    initial = script_facts()["initial"]
    assert [initial[name] for name in HELD] == [control.value or "" for control in form.held]
    assert form.held[-5:] == [form.shape, form.size, form.quality, form.is_random, form.variations]


def clicked(**changes: Any) -> str:
    held = {name: getattr(EXAMPLES[0].request, name) for name in FIELDS}
    held |= {"is_random": False, "variations": "1", "shape": "16:9", **changes}
    return json.dumps({"form": held, "payer": "owner", "shown_usd": 2.2, "is_confirmed": False})


def test_a_click_sends_the_form_and_the_price_that_were_shown() -> None:
    sent = sent_in(clicked(variations="3"))
    assert (sent.request, sent.count, sent.payer) == (EXAMPLES[0].request, 3, "owner")
    assert (sent.shown_usd, sent.is_confirmed) == (2.2, False)


def test_a_click_with_a_seed_left_to_chance_asks_for_one() -> None:
    assert sent_in(clicked(is_random=True, seed=None)).request.seed == -1


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("value", [None, [], {"path": "/etc/passwd"}, True, float("nan")])
def test_nothing_strange_in_a_click_takes_a_default_or_breaks_it(name: str, value: object) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        sent_in(clicked(**{name: value}))
    assert caught.value.field == name


@pytest.mark.parametrize("text", ["", "null", "[]", "{", '{"form": 3}', "[" * 100_000, '"' + "x" * 10_000])
def test_a_click_that_cannot_be_read_names_the_first_field(text: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        sent_in(text)
    assert caught.value.field == "prompt"


@pytest.mark.parametrize("shown", ["null", "-1", '"9"', "true", "[9]", "NaN", "Infinity", "9" * 400])
def test_a_price_that_is_none_was_not_shown(shown: str) -> None:
    text = clicked().replace('"shown_usd": 2.2', f'"shown_usd": {shown}')
    assert sent_in(text).shown_usd == 0


def test_the_signature_holds_the_fields_by_their_wire_names_and_defaults() -> None:
    found = signature_of({"caller": gr.Request}, dict).parameters
    assert list(found) == [*FIELDS, "caller"]
    assert [found[name].default for name in FIELDS[1:]] == DEFAULTS[1:]
    assert found["prompt"].default is found["prompt"].empty
    assert found["width"].annotation is int


def _parents(block: Any) -> list[Any]:
    return [] if block.parent is None else [block.parent, *_parents(block.parent)]
