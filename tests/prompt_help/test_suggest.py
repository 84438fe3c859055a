from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hunyuan_ui.prompt_help.analysis import pieces
from hunyuan_ui.prompt_help.examples import EXAMPLES
from hunyuan_ui.prompt_help.hints import LLM_TOKENS, hints, token_estimate
from hunyuan_ui.prompt_help.suggest import improve
from hunyuan_ui.prompt_help.vocabulary import BY_KEY, chosen, remove

SUBJECTS = st.sampled_from(["a red apple", "An old man", "two dogs", "a city", "Mountains", "a lighthouse", "the sea"])
REST = st.sampled_from(
    [
        "",
        " runs",
        " at night",
        " in a kitchen",
        ", watercolour",
        ". Close-up",
        " spins on a table.",
        " under neon light!",
    ]
)


def test_a_bare_subject_gets_every_missing_piece_by_name() -> None:
    improved = improve("a red apple")
    assert improved.after == (
        "a red apple. It moves slowly and naturally. A simple background, softly out of focus. Medium shot. "
        "The camera moves slowly forward. Soft natural daylight. Realistic, natural colours."
    )
    assert [piece for piece, _ in improved.additions] == ["motion", "scene", "shot", "camera", "light", "style"]


def test_only_what_is_missing_is_added() -> None:
    improved = improve("A fox runs through a forest at night. The camera pans left.")
    assert {piece for piece, _ in improved.additions} == {"shot", "style"}


@pytest.mark.parametrize("key", ["portrait", "coast"])
def test_a_full_prompt_is_left_alone(key: str) -> None:
    prompt = next(example.request.prompt for example in EXAMPLES if example.key == key)
    assert improve(prompt) == (prompt, [])


@pytest.mark.parametrize(
    "prompt", ["", "   ", "一只狐狸在雪地里奔跑", "The camera moves slowly forward.", "beautiful cinematic 4k"]
)
def test_what_cannot_be_judged_is_left_alone(prompt: str) -> None:
    assert improve(prompt) == (prompt, [])


def test_light_and_camera_suit_the_scene() -> None:
    assert "Small warm lamps glow in the dark." in improve("A city street under the stars, a car stops").after
    assert "The camera follows the subject." in improve("A cyclist rides past shops").after
    assert "Soft window light from one side." in improve("A cat sleeps on a sofa").after


@settings(deadline=None, max_examples=50)
@given(SUBJECTS, REST, REST)
def test_every_word_stays_first_and_in_order_and_once_is_enough(subject: str, rest: str, more: str) -> None:
    prompt = subject + rest + more
    improved = improve(prompt)
    assert improved.after.startswith(prompt.rstrip(" ,"))
    assert improve(improved.after).additions == []
    assert not {piece for piece, _ in improved.additions} & pieces(prompt)
    assert pieces(improved.after) >= {piece for piece, _ in improved.additions}
    assert {hint.code for hint in hints(improved.after)} <= {hint.code for hint in hints(prompt)}


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=400))
def test_any_text_keeps_its_own_words(prompt: str) -> None:
    improved = improve(prompt)
    assert improved.after.startswith(prompt.rstrip(" \t\n,;:"))
    assert improved.additions or improved.after == prompt


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 300))
def test_nothing_is_added_that_the_model_would_not_read(count: int) -> None:
    prompt = "A fox" + " snow" * count
    improved = improve(prompt)
    assert (improved.after == prompt) == (not improved.additions)
    assert token_estimate(improved.after) <= max(LLM_TOKENS, token_estimate(prompt))
    assert improved.additions or count > 150


def test_what_comes_from_the_vocabulary_can_be_taken_out_again() -> None:
    improved = improve("a red apple falls from a table.")
    left = improved.after
    for key in chosen(improved.after):
        left = remove(left, key)
    assert {BY_KEY[key].group for key in chosen(improved.after)} == {"shot", "camera", "light", "style"}
    assert left == "a red apple falls from a table."
