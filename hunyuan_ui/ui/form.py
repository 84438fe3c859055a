"""The form: one control for each field of VideoRequest, and the presets that set several at once."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import gradio as gr

from hunyuan_ui import presets
from hunyuan_ui.estimate import Estimate
from hunyuan_ui.request import RANDOM_SEED, Parameter, VideoRequest, parameters
from hunyuan_ui.ui.coach import build_coach
from hunyuan_ui.ui.part import part
from hunyuan_ui.ui.text import Words, label, seconds_text, words
from hunyuan_ui.ui.variations import COUNTS

FIELDS: Final = tuple(VideoRequest.model_fields)


@dataclass(frozen=True)
class RequestForm:
    """The components of the form; the first nine carry the names of the request's fields."""

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
    coach: Any
    made_as: Any
    generate: gr.Button

    @property
    def controls(self) -> list[Any]:
        """The nine controls in the order of the request's fields."""
        return [getattr(self, name) for name in FIELDS]

    @property
    def presets(self) -> list[Any]:
        """Shape, size and quality: what follows the exact numbers."""
        return [self.shape, self.size, self.quality]

    @property
    def all(self) -> list[Any]:
        """Everything that shows a request: what `filled` sets, in its order, the line above the button, the button."""
        return [*self.controls, *self.presets, self.is_random, self.made_as, self.generate]


def build_request_form(generate_label: str, *, has_variations: bool = True) -> RequestForm:
    """Place the controls, each drawn from its parameter, and return them.

    Args:
        generate_label: First text of the button; it follows the form from then on.
        has_variations: Whether one click may make several videos here.
    """
    fields = {field.name: field for field in parameters()}
    default = VideoRequest.model_construct()
    shape, size = presets.shape_and_size(default.width, default.height)
    placed: dict[str, Any] = {}
    placed["prompt"] = _control(
        fields["prompt"], lines=3, max_lines=12, placeholder=label("form.placeholder"), info=label("form.prompt_help")
    )
    placed["coach"] = build_coach()
    with gr.Row(elem_classes="choices"):
        placed["shape"] = _choice("shape", presets.SHAPES, shape)
        placed["size"] = _choice("size", presets.SIZES, size)
    with gr.Row(elem_classes="choices"):
        placed["quality"] = _choice("quality", _quality_choices(), presets.quality(default.infer_steps))
        seconds = words()("form.frames", seconds=seconds_text(default))
        placed["video_length"] = _control(fields["video_length"], label=seconds)
    with gr.Row(elem_classes="choices seed-row"):
        placed["seed"] = _control(fields["seed"])
        placed["is_random"] = gr.Checkbox(
            value=True, label=label("form.randomise"), container=False, elem_id="is-random"
        )
        placed["reuse_seed"] = gr.Button(label("form.reuse_seed"), size="sm", elem_id="reuse-seed")
    with gr.Accordion(label("form.advanced"), open=False, elem_id="advanced"):
        for field in parameters():
            if field.is_advanced:
                placed[field.name] = _control(field, info=label(f"field.{field.name}.help"))
    with gr.Row(elem_classes="choices sending"):
        placed["made_as"] = part("made_as")
        placed["made_as"].value = words().size_line(default)
        placed["variations"] = _choice("variations", COUNTS, COUNTS[0], visible=has_variations)
    placed["generate"] = gr.Button(generate_label, variant="primary", size="lg", elem_id="generate")
    return RequestForm(**placed)


def request_from(values: Sequence[Any], *, is_random: bool = False) -> VideoRequest:
    """Return the request that the nine controls hold.

    Args:
        values: In the order of the request's fields.
        is_random: A seed is to be drawn, whatever the box shows.

    Raises:
        InvalidRequestError: The first field that is wrong.
    """
    loose: dict[str, Any] = dict(zip(FIELDS, values, strict=True))
    return VideoRequest.parse({**loose, "seed": RANDOM_SEED} if is_random else loose)


def in_range(values: Sequence[Any]) -> list[Any]:
    """Return the nine values with too small and too large numbers at the end of their range, as sliders leave them."""
    return [_clipped(field, value) for field, value in zip(parameters(), values, strict=True)]


def filled(request: VideoRequest, *, is_random: bool) -> list[Any]:
    """Return values for the controls, the presets and the choice of a random seed that show a request."""
    return [*(getattr(request, name) for name in FIELDS), *presets_of(request), is_random]


def presets_of(request: VideoRequest) -> list[str | None]:
    """Return the shape, size and quality that a request's numbers stand for; None where they are one's own."""
    return [*presets.shape_and_size(request.width, request.height), presets.quality(request.infer_steps)]


def advice(request: VideoRequest, estimate: Estimate, say: Words) -> str:
    """Return the line above the button: what will really be made, and what to know before paying for it."""
    lines = [say.size_line(request)]
    if presets.quality(request.infer_steps) == "draft":
        lines.append(say["form.draft_line"])
    if estimate.may_outlive_record:
        lines.append(say["form.too_long_line"])
    return "\n".join(lines)


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


def _clipped(field: Parameter, value: Any) -> Any:
    if field.is_text or not isinstance(value, (int, float)) or field.low is None or field.high is None:
        return value
    return min(max(value, field.low), field.high)


def _control(field: Parameter, **looks: Any) -> Any:
    shared: dict[str, Any] = {
        "label": label(f"field.{field.name}"),
        "value": field.default,
        "elem_id": f"field-{field.name.replace('_', '-')}",
        **looks,
    }
    if field.is_text:
        shared.setdefault("lines", 2)
        return gr.Textbox(max_length=int(field.high or 0), **shared)
    if field.name == "seed":
        # The range is checked by the request, whose sentence says more than Gradio's.
        return gr.Number(precision=0, **shared)
    return gr.Slider(minimum=field.low or 0, maximum=field.high or 0, step=field.step, **shared)


def _choice(name: str, choices: Sequence[Any], value: str | None, *, visible: bool = True) -> gr.Radio:
    looks: dict[str, Any] = {"elem_id": name, "elem_classes": "segmented", "visible": visible}
    return gr.Radio(choices=list(choices), value=value, label=label(f"form.{name}"), **looks)


def _quality_choices() -> list[tuple[str, str]]:
    return [(label(f"form.quality.{name}"), name) for name in presets.STEPS]
