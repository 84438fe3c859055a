from __future__ import annotations

import math
import time
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hunyuan_ui.errors import InvalidRequestError
from hunyuan_ui.request import MAX_SEED, RANDOM_SEED, VideoRequest, clean_text, parameters, round_up
from hunyuan_ui.words import words

PARAMETERS = {parameter.name: parameter for parameter in parameters()}
NUMBERS = [parameter for parameter in PARAMETERS.values() if not parameter.is_text]
WHOLE = [parameter for parameter in NUMBERS if parameter.name != "flow_shift"]
HIDDEN = [
    0,
    7,
    27,
    127,
    0x9B,
    0x61C,
    0x200B,
    0x200E,
    0x200F,
    *range(0x202A, 0x202F),
    0x2060,
    *range(0x2066, 0x206A),
    0xFEFF,
]


def made(**values: Any) -> VideoRequest:
    return VideoRequest.parse({"prompt": "a fox", **values})


def refused(**values: Any) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        made(**values)
    (field,) = values
    assert caught.value.field == field
    return caught.value


def by_name(parameter: Any) -> str:
    return parameter.name


def test_the_defaults_are_those_of_the_hosted_model() -> None:
    assert made().model_dump() == {
        "prompt": "a fox",
        "negative_prompt": "Aerial view, overexposed, low quality, deformation",
        "width": 854,
        "height": 480,
        "video_length": 77,
        "infer_steps": 40,
        "flow_shift": 7.0,
        "embedded_guidance_scale": 6,
        "seed": 96501778,
    }


def test_the_parameters_come_in_the_order_of_the_table_with_their_ranges() -> None:
    ranges = {parameter.name: (parameter.low, parameter.high) for parameter in parameters()}
    assert ranges == {
        "prompt": (None, 2000),
        "negative_prompt": (None, 1000),
        "width": (1, 1280),
        "height": (1, 1280),
        "video_length": (1, 129),
        "infer_steps": (1, 70),
        "flow_shift": (1, 15),
        "embedded_guidance_scale": (1, 10),
        "seed": (-1, 2**32 - 1),
    }
    assert list(ranges) == list(VideoRequest.model_fields)


def test_every_parameter_can_be_shown() -> None:
    assert [parameter.name for parameter in parameters() if parameter.default is None] == ["prompt"]
    assert PARAMETERS["video_length"].step == 4
    assert PARAMETERS["flow_shift"].step == 0.5


# numbers


@pytest.mark.parametrize("parameter", NUMBERS, ids=by_name)
def test_the_ends_of_a_range_are_in_it(parameter: Any) -> None:
    for value in (parameter.low, parameter.high):
        assert getattr(made(**{parameter.name: value}), parameter.name) == value


@pytest.mark.parametrize("parameter", NUMBERS, ids=by_name)
def test_a_number_outside_its_range_is_refused_with_value_and_cure(parameter: Any) -> None:
    for value in (parameter.low - 1, parameter.high + 1, 10**30, -(10**30), 1e300):
        said = words().sentence(refused(**{parameter.name: value}))
        assert said.startswith(words().label(parameter.name))
        assert str(value) in said
        assert str(parameter.high) in said


@pytest.mark.parametrize("parameter", NUMBERS, ids=by_name)
def test_a_number_too_large_to_print_is_refused_in_words(parameter: Any) -> None:
    for value in (10**5000, -(10**5000)):
        error = refused(**{parameter.name: value})
        assert error.code in ("out_of_range", "seed_out_of_range")
        assert "a number that large" in words().sentence(error)


@pytest.mark.parametrize("parameter", NUMBERS, ids=by_name)
@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, "77", "", "seven", True, False, [1], {"a": 10**5000}, b"7"]
)
def test_what_is_not_a_number_is_refused(parameter: Any, value: object) -> None:
    error = refused(**{parameter.name: value})
    assert error.code == "not_a_number"
    assert words().sentence(error).startswith(words().label(parameter.name))
    assert str(parameter.high) in words().sentence(error)


@pytest.mark.parametrize("parameter", WHOLE, ids=by_name)
def test_a_fraction_is_refused_where_only_whole_numbers_make_sense(parameter: Any) -> None:
    assert refused(**{parameter.name: 5.5}).code == "not_whole"
    assert "5.5" in words().sentence(refused(**{parameter.name: 5.5}))


def test_a_slider_that_sends_a_whole_number_as_a_float_is_understood() -> None:
    assert made(width=640.0).width == 640
    assert isinstance(made(width=640.0).width, int)


@pytest.mark.parametrize("field", [*PARAMETERS])
def test_an_emptied_field_is_called_missing(field: str) -> None:
    assert refused(**{field: None}).code == "field_missing"


@pytest.mark.parametrize(
    ("frames", "choices"), [(2, "1 or 5"), (4, "1 or 5"), (76, "73 or 77"), (78, "77 or 81"), (128, "125 or 129")]
)
def test_impossible_frames_are_refused_with_the_two_nearest_values(frames: int, choices: str) -> None:
    said = words().sentence(refused(video_length=frames))
    assert f" {frames} " in said
    assert f"Use {choices}." in said


@given(st.integers(1, 129))
def test_the_frames_that_are_offered_are_possible(frames: int) -> None:
    if frames % 4 == 1:
        assert made(video_length=frames).video_length == frames
        return
    low, high = refused(video_length=frames).facts["choices"]
    assert low < frames < high
    assert made(video_length=low).video_length + 4 == made(video_length=high).video_length


def test_a_seed_outside_its_range_is_refused_with_the_word_for_random() -> None:
    assert "-1 for a random one" in words().sentence(refused(seed=MAX_SEED + 1))
    assert "-1 for a random one" in words().sentence(refused(seed=-2))


def test_a_random_seed_is_drawn_once_and_a_chosen_one_stays() -> None:
    drawn = made(seed=RANDOM_SEED).with_drawn_seed()
    assert 0 <= drawn.seed <= MAX_SEED
    assert drawn.with_drawn_seed() is drawn
    assert len({made(seed=RANDOM_SEED).with_drawn_seed().seed for _ in range(8)}) > 1
    assert made(seed=0).with_drawn_seed().seed == 0


# text


def test_text_becomes_nfc() -> None:
    assert made(prompt="cafe\u0301").prompt == "café"


@pytest.mark.parametrize("hidden", HIDDEN, ids=hex)
def test_characters_that_hide_or_reorder_text_are_removed(hidden: int) -> None:
    assert made(prompt=f"a{chr(hidden)}fox").prompt == "afox"


def test_lone_surrogates_are_removed() -> None:
    assert made(prompt="a \ud800fox\udfff").prompt == "a fox"


def test_line_breaks_and_tabs_are_kept_and_all_breaks_are_one_kind() -> None:
    assert made(prompt=" a\r\nb\rc\td\n").prompt == "a\nb\nc\td"


@pytest.mark.parametrize("text", ["👩‍🚀 on 🌙", "🏳️‍🌈", "👍🏽", "🇩🇪", "می‌خواهم", "क्‍ष", "狐狸在雪地里奔跑", "ไทย"])
def test_emoji_and_the_worlds_scripts_are_kept(text: str) -> None:
    assert made(prompt=text).prompt == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    "prompt", ["", "   ", "\n\t", "\u200b\u202e\0", "\u200d", "\u3164 \u2800", "\u00ad\ufe0f", "\u180e\U000e0041"]
)
def test_a_prompt_without_words_is_refused(prompt: str) -> None:
    assert refused(prompt=prompt).code == "prompt_empty"


def test_a_negative_prompt_may_be_empty() -> None:
    assert made(negative_prompt=" ").negative_prompt == ""


@pytest.mark.parametrize(("field", "limit"), [("prompt", 2000), ("negative_prompt", 1000)])
def test_text_is_measured_after_cleaning(field: str, limit: int) -> None:
    assert len(getattr(made(**{field: "x" * limit + "\0 "}), field)) == limit
    said = words().sentence(refused(**{field: "x" * (limit + 1) + "\0 "}))
    assert words().label(field) in said
    assert str(limit + 1) in said
    assert f"at most {limit} " in said


def test_text_that_takes_long_to_normalize_is_refused_at_once() -> None:
    hostile = "a" + "\u0315\u0300" * 100_000
    begin = time.perf_counter()
    assert refused(prompt=hostile).code == "text_too_long"
    assert refused(width=hostile).code == "not_a_number"
    assert time.perf_counter() - begin < 5  # 23 s and more when it is normalized


@pytest.mark.parametrize("field", ["prompt", "negative_prompt"])
@pytest.mark.parametrize("value", [5, 5.5, True, ["a fox"], {"text": "a fox"}, b"a fox"])
def test_what_is_not_text_is_refused(field: str, value: object) -> None:
    error = refused(**{field: value})
    assert error.code == "not_text"
    assert words().sentence(error).startswith(words().label(field))


@pytest.mark.parametrize("mark", ["\v", "\f", "\x1c", "\x1f", "\x85"])
@pytest.mark.parametrize("text", ["a fox{}runs", "a fox.{}A river", "狐狸{}跑"])
def test_a_text_processors_own_line_break_joins_no_words(mark: str, text: str) -> None:
    assert clean_text(text.format(mark)) == text.format(" ")
    assert clean_text(mark + text.format(mark) + mark) == text.format(" ")


@given(st.text())
def test_cleaning_is_done_after_one_time(text: str) -> None:
    cleaned = clean_text(text)
    assert clean_text(cleaned) == cleaned
    assert unicodedata.is_normalized("NFC", cleaned)
    assert not {ord(character) for character in cleaned} & set(HIDDEN)
    cleaned.encode()


# the whole request


def test_a_missing_prompt_is_named() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        VideoRequest.parse({"width": 640})
    assert (caught.value.code, caught.value.field) == ("field_missing", "prompt")


@pytest.mark.parametrize("name", ["fps", "Width", "prompt ", "model_config", "x" * 500, "\u202eevil", 5])
def test_a_field_that_does_not_exist_is_refused(name: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        VideoRequest.parse({"prompt": "a fox", name: 1})
    assert caught.value.code == "field_unknown"
    assert "\u202e" not in words().sentence(caught.value)
    assert len(words().sentence(caught.value)) < 120


def test_the_first_wrong_field_in_the_order_of_the_form_is_named() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        VideoRequest.parse({"seed": -5, "width": 0, "prompt": "a fox", "fps": 24})
    assert caught.value.field == "width"


def test_a_refused_value_is_shown_short_and_harmless() -> None:
    said = words().sentence(refused(width="\u202e\0" + "9" * 500))
    assert "\u202e" not in said
    assert "\0" not in said
    assert len(said) < 130


def test_a_request_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        made().width = 5


def test_a_request_survives_its_json() -> None:
    request = made(prompt='狐狸 👩‍🚀 \\ "quoted" {braces}', flow_shift=2.5)
    assert VideoRequest.model_validate_json(request.model_dump_json()) == request


_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.lists(st.integers())
)


@given(st.dictionaries(st.one_of(st.sampled_from([*PARAMETERS]), st.text()), _VALUES))
def test_any_values_make_a_request_within_all_ranges_or_one_sentence(values: dict[str, Any]) -> None:
    try:
        request = VideoRequest.parse(values)
    except InvalidRequestError as error:
        assert words().sentence(error).endswith(".")  # noqa: PT017 - which of the two comes depends on the values
        return
    assert request.video_length % 4 == 1
    for parameter in NUMBERS:
        assert parameter.low <= getattr(request, parameter.name) <= parameter.high
    assert 1 <= len(request.prompt) <= 2000


@pytest.mark.parametrize(("side", "made_px"), [(1, 16), (16, 16), (17, 32), (480, 480), (854, 864), (1280, 1280)])
def test_a_side_is_rounded_up_to_a_multiple_of_16(side: int, made_px: int) -> None:
    assert round_up(side) == made_px


def test_the_real_size_and_length_are_those_of_the_made_video() -> None:
    assert made().real_size == (864, 480)
    assert made().duration_s == pytest.approx(3.208, abs=1e-3)
