"""The form: one control for each field of VideoRequest, and presets that set several at once.

The page's own script (web/form.js) applies a choice immediately, and a click sends the values that it reads.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import gradio as gr

from hunyuan_ui.prompt_help import presets
from hunyuan_ui.request import RANDOM_SEED, Parameter, VideoRequest, parameters
from hunyuan_ui.ui.html_part import part
from hunyuan_ui.ui.labels import label
from hunyuan_ui.ui.prompt_panel import build_prompt_panel
from hunyuan_ui.ui.variations import COUNTS, count_in
from hunyuan_ui.words import words

FIELDS: Final = tuple(VideoRequest.model_fields)
# Fields that time, price and the line above the button depend on; text and seed do not affect them.
PRICED: Final = ("width", "height", "video_length", "infer_steps")


@dataclass(frozen=True)
class RequestForm:
    """The components of the form; the first nine are named after the request's fields."""

    prompt: gr.Textbox
    negative_prompt: gr.Textbox
    width: gr.Slider
    height: gr.Slider
    video_length: gr.Slider
    infer_steps: gr.Slider
    flow_shift: gr.Slider
    embedded_guidance_scale: gr.Slider
    seed: gr.Number
    shape: gr.Radio
    size: gr.Radio
    quality: gr.Radio
    is_random: gr.Checkbox
    variations: gr.Radio
    reuse_seed: gr.Button
    keeper: Any
    generate: gr.Button

    @property
    def controls(self) -> list[Any]:
        """The nine controls in the order of the request's fields."""
        return [getattr(self, name) for name in FIELDS]

    @property
    def held(self) -> list[Any]:
        """All values that a choice sets and a click sends, in the order of `HELD`."""
        return [getattr(self, name) for name in HELD]


# Names of the form's components, by which its script accesses their values.
HELD: Final = (*FIELDS, "shape", "size", "quality", "is_random", "variations")


@dataclass(frozen=True)
class Sent:
    """The content of one click: the form as displayed, and the price displayed with it.

    Args:
        request: With a seed of -1 if each click is to draw a new one.
        count: Videos to make.
        payer: The payer that the page named; not checked.
        shown_usd: Maximum for all these videos in US dollars; 0 if no price was shown.
        is_confirmed: The person has accepted a price above the per-video limit.
    """

    request: VideoRequest
    count: int
    payer: object
    shown_usd: float
    is_confirmed: bool


def sent_in(text: str) -> Sent:
    """Parse the JSON that a click has sent.

    Raises:
        InvalidRequestError: The first invalid field; the prompt, if nothing can be parsed.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    payload = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    held = payload.get("form")
    fields = cast("dict[str, Any]", held) if isinstance(held, dict) else {}
    return Sent(
        # A field missing from the page's data would otherwise silently get its default.
        request=request_from([fields.get(name) for name in FIELDS], is_random=fields.get("is_random") is True),
        count=count_in(fields.get("variations")),
        payer=payload.get("payer"),
        shown_usd=amount(payload.get("shown_usd")),
        is_confirmed=payload.get("is_confirmed") is True,
    )


def build_request_form(*, has_variations: bool = True, set_elsewhere: Sequence[str] = ()) -> RequestForm:
    """Place the controls, each built from its parameter, and return them.

    Args:
        has_variations: Whether one click may make several videos here.
        set_elsewhere: Fields that are not part of a request here, because they are set when the engine starts.
    """
    fields = {field.name: field for field in parameters()}
    initial, default = _initial_values(), VideoRequest.model_construct()
    placed: dict[str, Any] = {}
    part("several")
    placed["prompt"] = _control(
        fields["prompt"], lines=3, max_lines=12, placeholder=label("form.placeholder"), info=label("form.prompt_help")
    )
    build_prompt_panel()
    with gr.Row(elem_classes="choices"):
        placed["shape"] = _choice("shape", presets.SHAPES, initial["shape"])
        placed["size"] = _choice("size", [(f"{lines}p", lines) for lines in presets.SIZES], initial["size"])
    with gr.Row(elem_classes="choices"):
        qualities = [(label(f"form.quality.{name}"), name) for name in presets.STEPS]
        placed["quality"] = _choice("quality", qualities, initial["quality"])
        length = words().length(default.video_length, default.duration_s)
        placed["video_length"] = _control(fields["video_length"], label=words()("form.frames", length=length))
    with gr.Row(elem_classes="choices seed-row"):
        placed["seed"] = _control(fields["seed"])
        placed["is_random"] = gr.Checkbox(
            value=initial["is_random"], label=label("form.randomise"), container=False, elem_id="is-random"
        )
        placed["reuse_seed"] = gr.Button(label("form.reuse_seed"), size="sm", elem_id="reuse-seed")
    with gr.Accordion(label("form.advanced"), open=False, elem_id="advanced"):
        for field in parameters():
            if field.is_advanced:
                is_set = field.name in set_elsewhere
                info = label("form.set_at_engine" if is_set else f"field.{field.name}.help")
                placed[field.name] = _control(field, info=info, **({"interactive": False} if is_set else {}))
    with gr.Row(elem_classes="choices sending"):
        placed["keeper"] = part("form", "collect", "send", "fill", "say", "keep", "attach", facts=script_facts())
        placed["variations"] = _choice("variations", COUNTS, initial["variations"], visible=has_variations)
    # Its price comes with the first response: one computed at startup may be outdated.
    placed["generate"] = gr.Button(label("page.pricing"), variant="primary", size="lg", elem_id="generate")
    return RequestForm(**placed)


def script_facts() -> dict[str, Any]:
    """Return the constants for the form's script: names, initial values, and those of shapes, sizes and qualities."""
    sizes = {shape: {size: presets.pixels(shape, size) for size in presets.SIZES} for shape in presets.SHAPES}
    names = {"held": HELD, "fields": FIELDS, "priced": PRICED}
    return {**names, "initial": _initial_values(), "sizes": sizes, "steps": presets.STEPS}


def _initial_values() -> dict[str, Any]:
    # A text box without a value has an empty one in the browser.
    fields = {field.name: "" if field.default is None else field.default for field in parameters()}
    shape, size = presets.shape_and_size(fields["width"], fields["height"])
    choices = {"shape": shape, "size": size, "quality": presets.quality(fields["infer_steps"])}
    return {**fields, **choices, "is_random": True, "variations": COUNTS[0]}


def request_from(values: Sequence[Any], *, is_random: bool = False) -> VideoRequest:
    """Return the request from the values of the nine controls.

    Args:
        values: In the order of the request's fields.
        is_random: Draw a seed, whatever the box shows.

    Raises:
        InvalidRequestError: The first invalid field.
    """
    loose: dict[str, Any] = dict(zip(FIELDS, values, strict=True))
    return VideoRequest.parse({**loose, "seed": RANDOM_SEED} if is_random else loose)


def signature_of(extra: Mapping[str, Any], returns: Any) -> inspect.Signature:
    """Return the signature of a function that takes the request's fields by their wire names.

    Args:
        extra: Further parameters and their types, after the fields.
        returns: The return type.
    """
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    fields = [
        inspect.Parameter(
            field.name,
            kind,
            default=inspect.Parameter.empty if field.default is None else field.default,
            annotation=VideoRequest.model_fields[field.name].annotation,
        )
        for field in parameters()
    ]
    # A parameter that Gradio fills in follows those with defaults, so it needs one too.
    others = [inspect.Parameter(name, kind, default=None, annotation=type_) for name, type_ in extra.items()]
    return inspect.Signature([*fields, *others], return_annotation=returns)


def amount(value: object) -> float:
    """Parse US dollars from a page; 0 if invalid."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0.0
    try:
        return max(0.0, float(value)) if math.isfinite(value) else 0.0
    except OverflowError:
        return 0.0


def _control(field: Parameter, **looks: Any) -> Any:
    shared: dict[str, Any] = {
        "label": label(f"field.{field.name}"),
        "value": field.default,
        "elem_id": f"field-{field.name.replace('_', '-')}",
        **looks,
    }
    if field.is_text:
        shared.setdefault("lines", 2)
        # Gradio would silently truncate pasted text; the request's own sentence names the limit.
        return gr.Textbox(**shared)
    if field.name == "seed":
        # The request checks the range, with a better sentence than Gradio's.
        return gr.Number(precision=0, **shared)
    return gr.Slider(minimum=field.low or 0, maximum=field.high or 0, step=field.step, **shared)


def _choice(name: str, choices: Sequence[Any], value: str | None, *, visible: bool = True) -> gr.Radio:
    looks: dict[str, Any] = {"elem_id": name, "elem_classes": "segmented", "visible": visible}
    return gr.Radio(choices=list(choices), value=value, label=label(f"form.{name}"), **looks)
