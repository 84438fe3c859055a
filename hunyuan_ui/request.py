"""VideoRequest: the nine parameters, and the only definition of their names, ranges and defaults."""

from __future__ import annotations

import math
import secrets
import unicodedata
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from hunyuan_ui.errors import InvalidRequestError, Reason, reason

FPS: Final = 24  # the model's frame rate; not a parameter (docs/facts/segmind-api.md 6)
SIZE_MULTIPLE: Final = 16  # the VAE's factor 8 times the transformer's patch size 2 (docs/facts/segmind-api.md 6)
RANDOM_SEED: Final = -1
MAX_SEED: Final = 2**32 - 1

# Format characters that reorder or hide text; a prompt with them would not read as displayed. The joiners U+200C and
# U+200D are kept: emoji and several scripts need them.
_HIDDEN: Final = {0x061C, 0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF}
_BLANK_LETTERS: Final = "\u115f\u1160\u2800\u3164\uffa0"  # fillers, which are no spaces to Unicode
# Other line breaks and separators, as text processors copy them: they must not join two words.
_BREAKS: Final = {0x0D: "\n", **dict.fromkeys((0x0B, 0x0C, *range(0x1C, 0x20), 0x85), " ")}
_NORMALIZED_AT_MOST: Final = 20_000  # characters; NFC takes quadratic time on hostile text; longer ones are refused


def clean_text(text: str) -> str:
    """Return the text as NFC, without control or bidi-override characters and outer space; "" if none is visible."""
    kept = text
    if not text.isprintable():  # most prompts are, and ten thousand are read at startup
        kept = "".join(filter(_is_shown, text.replace("\r\n", "\n").translate(_BREAKS)))
    if len(kept) <= _NORMALIZED_AT_MOST:
        kept = unicodedata.normalize("NFC", kept)
    return kept.strip() if any(map(_is_drawn, kept)) else ""


def _is_drawn(character: str) -> bool:
    return unicodedata.category(character)[0] not in "CMZ" and character not in _BLANK_LETTERS


def _is_shown(character: str) -> bool:
    if character in "\n\t":
        return True
    return unicodedata.category(character) not in ("Cc", "Cs") and ord(character) not in _HIDDEN


class Parameter(NamedTuple):
    """Metadata of one field for the form, the API and the documents; `words` has its label and help."""

    name: str
    unit: str
    low: int | float | None
    high: int | float | None
    step: int | float
    default: Any
    is_text: bool
    is_advanced: bool


class VideoRequest(BaseModel):
    """One text-to-video request, exactly as the endpoint receives it.

    Source: the parameter table of the hosted model (docs/facts/segmind-api.md 6) and docs/architecture.md 2.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    prompt: str = Field(min_length=1, max_length=2000, json_schema_extra={"unit": "characters"})
    """Cleaned by `clean_text`; the text encoders read about 256 tokens."""

    negative_prompt: str = Field(
        default="Aerial view, overexposed, low quality, deformation",
        max_length=1000,
        json_schema_extra={"unit": "characters", "advanced": True},
    )
    """Accepted by the service, but the model is guidance-distilled: it may have no visible effect."""

    width: int = Field(default=854, ge=1, le=1280, json_schema_extra={"unit": "px", "advanced": True})
    """The service rounds up to a multiple of 16: 854 is made as 864."""

    height: int = Field(default=480, ge=1, le=1280, json_schema_extra={"unit": "px", "advanced": True})
    """The service rounds up to a multiple of 16."""

    video_length: int = Field(default=77, ge=1, le=129, json_schema_extra={"unit": "frames", "step": 4})
    """4n + 1, because the video encoder packs four frames into one; `FPS` of them a second."""

    infer_steps: int = Field(default=40, ge=1, le=70, json_schema_extra={"unit": "steps", "advanced": True})
    """Denoising steps."""

    flow_shift: float = Field(default=7.0, ge=1, le=15, json_schema_extra={"unit": "", "step": 0.5, "advanced": True})
    """Shift of the noise schedule: higher spends more steps on the composition, lower on the detail."""

    embedded_guidance_scale: int = Field(default=6, ge=1, le=10, json_schema_extra={"unit": "", "advanced": True})
    """Guidance that the distilled model takes as an input."""

    seed: int = Field(default=96501778, ge=RANDOM_SEED, le=MAX_SEED, json_schema_extra={"unit": ""})
    """Start of the randomness; -1 is drawn before the job is stored."""

    @field_validator("prompt", "negative_prompt", mode="before")
    @classmethod
    def _clean(cls, value: object) -> object:
        if not isinstance(value, str):
            # pydantic would decode bytes, bypassing the cleaning.
            raise PydanticCustomError("not_text", "not text")
        return clean_text(value)

    @field_validator(
        "width", "height", "video_length", "infer_steps", "embedded_guidance_scale", "seed", "flow_shift", mode="before"
    )
    @classmethod
    def _number(cls, value: object) -> object:
        # pydantic would accept True for 1 and "77" for 77; a paid call requires an explicit number.
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise PydanticCustomError("not_a_number", "not a number")
        if isinstance(value, float) and not math.isfinite(value):
            raise PydanticCustomError("not_a_number", "not a number")
        return value

    @field_validator("video_length")
    @classmethod
    def _packable(cls, value: int) -> int:
        if value % 4 != 1:
            raise PydanticCustomError("frames_not_possible", "not 4n + 1")
        return value

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> VideoRequest:
        """Build a request from loose values.

        Args:
            values: Wire names to values; missing ones get their default.

        Raises:
            InvalidRequestError: The first invalid field, with its value and the valid range.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise _error(error.errors(include_url=False), values) from None

    def with_drawn_seed(self) -> VideoRequest:
        """Return the same request with a random seed in place of -1."""
        if self.seed != RANDOM_SEED:
            return self
        return self.model_copy(update={"seed": secrets.randbelow(MAX_SEED + 1)})

    @property
    def real_size(self) -> tuple[int, int]:
        """Width and height in px that the service makes."""
        return round_up(self.width), round_up(self.height)

    @property
    def duration_s(self) -> float:
        """Length of the video in seconds."""
        return self.video_length / FPS


def round_up(side: int) -> int:
    """Round a side in px up to a size that the model can make."""
    return -(-side // SIZE_MULTIPLE) * SIZE_MULTIPLE


def parameters() -> list[Parameter]:
    """Return the nine parameters in order, with all metadata for a form, an API or a table."""
    return [_parameter(name) for name in VideoRequest.model_fields]


def _parameter(name: str) -> Parameter:
    field = VideoRequest.model_fields[name]
    names = ("ge", "le", "max_length")
    bounds = {key: getattr(rule, key) for rule in field.metadata for key in names if hasattr(rule, key)}
    extra = cast("dict[str, Any]", field.json_schema_extra)
    return Parameter(
        name=name,
        unit=extra["unit"],
        low=bounds.get("ge"),
        high=bounds.get("le", bounds.get("max_length")),
        step=extra.get("step", 1),
        default=None if field.is_required() else field.default,
        is_text=field.annotation is str,
        is_advanced=extra.get("advanced", False),
    )


def _error(details: list[ErrorDetails], values: Mapping[str, Any]) -> InvalidRequestError:
    first = details[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    if name not in VideoRequest.model_fields:
        return InvalidRequestError("field_unknown", field=name, name=name[:40])
    field = _parameter(name)
    value = values.get(name)
    if value is None:
        return InvalidRequestError("field_missing", field=name)
    if field.is_text:
        return _text_error(field, first["type"], value)
    if first["type"] == "frames_not_possible":
        return _frames_error(int(value))
    code = {"not_a_number": "not_a_number", "int_from_float": "not_whole"}.get(first["type"], "out_of_range")
    if name == "seed" and code == "out_of_range":
        return InvalidRequestError("seed_out_of_range", field=name, value=_shown(value), high=MAX_SEED)
    return InvalidRequestError(code, field=name, value=_shown(value), low=field.low, high=field.high)


def _text_error(field: Parameter, kind: str, value: Any) -> InvalidRequestError:
    if kind == "string_too_short":
        return InvalidRequestError("prompt_empty", field=field.name)
    if kind == "string_too_long":
        length = len(clean_text(value))
        return InvalidRequestError("text_too_long", field=field.name, length=length, limit=field.high)
    return InvalidRequestError("not_text", field=field.name, value=_shown(value))


def _frames_error(frames: int) -> InvalidRequestError:
    below = (frames - 1) // 4 * 4 + 1
    return InvalidRequestError("frames_not_possible", field="video_length", value=frames, choices=[below, below + 4])


def _shown(value: object) -> str | Reason:
    if isinstance(value, int) and abs(value) > 10**40:
        return reason("large_number")
    if not isinstance(value, (int, float, str)):
        return reason("kind", kind=type(value).__name__)
    text = clean_text(str(value)[:80])
    return text if len(text) <= 40 else text[:39] + "…"
