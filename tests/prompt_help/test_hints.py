from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hunyuan_ui.prompt_help.analysis import moves, pieces
from hunyuan_ui.prompt_help.examples import EXAMPLES, Example
from hunyuan_ui.prompt_help.hints import CLIP_TOKENS, LLM_TOKENS, NEEDED, hints, token_estimate
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.words import languages, words

DEFAULT_NEGATIVE = VideoRequest.model_construct().negative_prompt
GOOD = "A fox runs through a forest."

# Every hint, with a prompt and a negative prompt that earn it.
EARNED = {
    "too_long": ("A fox runs through a forest, " + "and then it jumps over a log, " * 40, ""),
    "past_clip": ("A fox runs through a forest. " + "The trees sway in the wind. " * 11, ""),
    "contradiction": ("A drone view of a river that flows through a canyon.", DEFAULT_NEGATIVE),
    "many_moves": ("A fox runs through a forest. The camera pans left and then zooms in.", ""),
    "writing": ('A neon sign reads "OPEN" and flickers in a window.', ""),
    "static_camera": ("A fox runs through a forest. The camera remains static.", ""),
    "sound": ("A band plays in a garden, with the sound of rain.", ""),
    "not_english": ("一只红色的狐狸在雪地里奔跑", ""),
    "no_subject": ("The camera moves slowly forward.", ""),
    "no_motion": ("A red apple on a table.", ""),
    "no_scene": ("A red apple falls.", ""),
}


def codes(prompt: str, negative_prompt: str = "") -> list[str]:
    return [hint.code for hint in hints(prompt, negative_prompt)]


@pytest.mark.parametrize("code", EARNED)
def test_a_hint_is_given_where_it_is_earned(code: str) -> None:
    assert code in codes(*EARNED[code])


def test_a_plain_good_prompt_and_an_empty_one_get_no_hint() -> None:
    assert codes(GOOD, DEFAULT_NEGATIVE) == []
    assert codes("", DEFAULT_NEGATIVE) == codes(" \n", DEFAULT_NEGATIVE) == []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.key)
def test_an_example_needs_no_advice_on_what_it_says(example: Example) -> None:
    request = example.request
    assert codes(request.prompt, request.negative_prompt) == []
    assert pieces(request.prompt) >= set(NEEDED)
    assert len(moves(request.prompt)) <= 1


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        ("The camera pans slowly to the left.", ["pan"]),
        ("The camera moves forward, then tilts up.", ["forward", "tilt"]),
        ("A tracking shot of a cyclist", ["follow"]),
        ("Dolly in on a face while the camera orbits", ["forward", "circle"]),
        ("A drone view that moves forward along the cliff", ["forward"]),
        ("A dog follows a boy and circles a tree", []),
        ("A cook tilts a pan over a flame", []),
        ("Tracks lead left into the snow", []),
    ],
)
def test_only_the_cameras_movements_are_counted(prompt: str, asked: list[str]) -> None:
    assert moves(prompt) == asked


@pytest.mark.parametrize(
    ("prompt", "negative_prompt", "wished", "avoided"),
    [
        ("A drone flies over a coast", DEFAULT_NEGATIVE, "drone", "aerial view"),
        ("Bird's-eye view of a field", "aerial", "bird's-eye", "aerial"),
        ("A face, soft focus, bokeh", "blurry", "soft focus", "blurry"),
        ("A watercolour painting of a boat", "cartoon, painting", "watercolour", "cartoon"),
        ("航拍海岸线", DEFAULT_NEGATIVE, "航拍", "aerial view"),
    ],
)
def test_a_contradiction_names_both_sides(prompt: str, negative_prompt: str, wished: str, avoided: str) -> None:
    found = next(hint for hint in hints(prompt, negative_prompt) if hint.code == "contradiction")
    assert found.facts == {"wished": wished, "avoided": avoided}


def test_a_word_inside_another_is_no_contradiction() -> None:
    assert codes("A darkroom lamp swings over a table", "dark") == []
    assert "contradiction" not in codes("Ice melts on a table", DEFAULT_NEGATIVE)


def test_chinese_is_not_judged_by_english_rules() -> None:
    assert codes("一只红色的狐狸在雪地里奔跑，镜头跟随") == ["not_english"]
    assert "too_long" in codes("狐狸" * 200)


@pytest.mark.parametrize("text", ["a", "extraordinarily", "12345", "狐狸", "a-b", "🙂", "naïve"])
def test_tokens_are_estimated_for_every_script(text: str) -> None:
    assert 3 <= token_estimate(text) <= 2 + 3 * len(text)


@settings(deadline=None)
@given(st.text(max_size=300), st.text(max_size=100))
def test_any_text_gets_hints_that_every_language_can_say(prompt: str, negative_prompt: str) -> None:
    for hint in hints(prompt, negative_prompt):
        assert hint.code in EARNED
        assert all(words(language)(f"hint.{hint.code}", **hint.facts) for language in languages())


@given(st.text(max_size=200), st.text(max_size=200))
def test_more_text_is_never_fewer_tokens(first: str, second: str) -> None:
    assert token_estimate(f"{first} {second}") >= max(token_estimate(first), token_estimate(second))


@settings(deadline=None)
@given(st.integers(1, 400))
def test_only_one_of_the_two_lengths_is_spoken_of(count: int) -> None:
    found = set(codes(GOOD + " snow" * count)) & {"too_long", "past_clip"}
    tokens = token_estimate(GOOD + " snow" * count)
    assert found == ({"too_long"} if tokens > LLM_TOKENS else {"past_clip"} if tokens > CLIP_TOKENS else set())


def test_a_hundred_english_words_fit_the_larger_encoder() -> None:
    written = " ".join(example.request.prompt for example in EXAMPLES).split()
    assert len(written) > 300
    for start in range(len(written) - 100):
        hundred = " ".join(written[start : start + 100])
        assert CLIP_TOKENS < token_estimate(hundred) <= LLM_TOKENS
        assert "too_long" not in codes(hundred)
