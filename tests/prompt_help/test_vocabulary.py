from __future__ import annotations

import re
from itertools import permutations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hunyuan_ui.prompt_help.vocabulary import BY_KEY, ONE_OF, VOCABULARY, add, append, chosen, remove, toggle
from hunyuan_ui.words import languages, words

KEYS = st.sampled_from(sorted(BY_KEY))
PROMPTS = st.text(max_size=200).map(lambda text: text.rstrip(" \t\n,;:")).filter(lambda text: not chosen(text))
ENDS = st.sampled_from(["A fox runs", "A fox runs.", 'It says "now!"', "一只狐狸在跑。", "一只狐狸在跑", "", "A fox…"])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "Wide shot."),
        ("A fox runs.", "A fox runs. Wide shot."),
        ("A fox runs", "A fox runs, wide shot"),
        ("A fox runs, ", "A fox runs, wide shot"),
        ("A fox runs!\n", "A fox runs! Wide shot."),
        ('A child calls "now!"', 'A child calls "now!" Wide shot.'),
        ("一只狐狸在跑。", "一只狐狸在跑。 Wide shot."),
        ("A fox runs. wide shot", "A fox runs. wide shot"),
    ],
)
def test_a_word_is_appended_as_the_prompt_is_written(before: str, after: str) -> None:
    assert add(before, "shot.wide") == after


@settings(deadline=None)
@given(PROMPTS, KEYS)
def test_a_word_is_added_once(prompt: str, key: str) -> None:
    once = add(prompt, key)
    assert chosen(once) == [key]
    assert add(once, key) == once


@settings(deadline=None)
@given(PROMPTS | ENDS, KEYS)
def test_what_was_added_is_taken_out_without_a_trace(prompt: str, key: str) -> None:
    assert remove(add(prompt, key), key) == prompt
    assert toggle(toggle(prompt, key), key) == prompt


@settings(deadline=None)
@given(ENDS, KEYS, KEYS)
def test_of_two_words_either_can_be_taken_out(prompt: str, first: str, second: str) -> None:
    both = add(add(prompt, first), second)
    if first == second or BY_KEY[first].group == BY_KEY[second].group in ONE_OF:
        assert both == add(prompt, second)
    else:
        assert remove(both, first) == add(prompt, second)
        assert remove(both, second) == add(prompt, first)


def letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.lower()))


@settings(deadline=None)
@given(ENDS, st.lists(KEYS, min_size=1, max_size=4), KEYS, st.sampled_from(["", ", in the snow", " It rests."]))
def test_nothing_but_the_word_is_taken_out(start: str, held: list[str], key: str, end: str) -> None:
    prompt = start
    for one in held:
        prompt = append(prompt, BY_KEY[one].clause)
    prompt += end
    assert set(held) <= set(chosen(prompt))
    for one in {key, held[0], held[-1]}:
        left = remove(prompt, one)
        assert chosen(left) == [other for other in chosen(prompt) if other != one]
        clause = letters(BY_KEY[one].clause) if one in held else ""
        assert letters(left) == letters(prompt).replace(clause, "")
        assert left == prompt or one in held


@settings(deadline=None)
@given(st.text(max_size=200), KEYS)
def test_a_word_is_added_behind_all_that_stands_there(prompt: str, key: str) -> None:
    assume(not chosen(prompt))
    assert remove(prompt, key) == prompt
    kept = prompt.rstrip(" \t\n,;:")
    assert add(prompt, key).startswith(kept)
    assert letters(add(prompt, key)) == letters(kept) + letters(BY_KEY[key].clause)


def test_a_new_camera_movement_takes_the_old_ones_place() -> None:
    moved = add(add("A fox runs.", "camera.forward"), "camera.pan_left")
    assert moved == "A fox runs. The camera pans to the left."


def test_a_word_in_the_middle_of_a_sentence_is_left_alone() -> None:
    assert chosen("A wide shot of a hill") == []
    assert remove("A wide shot of a hill", "shot.wide") == "A wide shot of a hill"


def test_a_full_stop_typed_after_a_clause_stays() -> None:
    assert remove("A fox runs, wide shot.", "shot.wide") == "A fox runs."
    assert remove("A fox runs, wide shot, at dawn", "shot.wide") == "A fox runs, at dawn"


def test_no_clause_hides_another() -> None:
    assert not [pair for pair in permutations(BY_KEY.values(), 2) if pair[0].clause in pair[1].clause]
    assert [word.clause for word in BY_KEY.values() if not re.fullmatch(r"[a-z][\w ,-]+\w", word.clause)] == []


@pytest.mark.parametrize("language", languages())
def test_every_word_has_a_name_of_its_own_in_its_group(language: str) -> None:
    for group, entries in VOCABULARY.items():
        assert words(language)[f"word.{group}"]
        assert len({words(language)[f"word.{word.key}"] for word in entries}) == len(entries)


def test_a_clause_of_ones_own_is_appended_the_same_way() -> None:
    assert append("A fox runs.", "leaves drift past") == "A fox runs. Leaves drift past."
