from __future__ import annotations

import csv
import io
import json
import random
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hunyuan_ui.errors import InvalidRequestError
from hunyuan_ui.prompt_list import (
    KINDS,
    MOST_BYTES,
    MOST_ROWS,
    Kind,
    PromptList,
    Reading,
    content_of,
    job_id,
    list_id,
    read_list,
    seeded,
    text_of,
)
from hunyuan_ui.request import MAX_SEED, VideoRequest, clean_text
from hunyuan_ui.wildcards import MOST_DEPTH, Text
from hunyuan_ui.words import words

LIST = list_id("owner", "campaign")
# Quotes, separators, line ends and letters of several scripts, but nothing that cleaning changes.
PROMPTS = st.text(st.sampled_from("abz ,;\"'\t\n|猫é#=-{}\\"), min_size=1, max_size=30).filter(
    lambda text: clean_text(text) == text and text != ""
)
ROWS = st.fixed_dictionaries(
    {"prompt": PROMPTS},
    optional={
        "width": st.integers(1, 1280),
        "video_length": st.integers(0, 32).map(lambda n: 4 * n + 1),
        "flow_shift": st.integers(2, 30).map(lambda n: n / 2),
        "seed": st.integers(-1, MAX_SEED),
    },
)


def read(text: str, **reading: Any) -> PromptList:
    return read_list(text, "campaign", Reading(**reading))


def prompts(found: PromptList) -> list[str]:
    assert found.faults == ()
    return [row.request.prompt for row in found.rows]


def faults(found: PromptList) -> list[tuple[int, str]]:
    return [(fault.line, fault.error.code) for fault in found.faults]


def ids(found: PromptList) -> list[str]:
    return [job_id(LIST, row) for row in found.rows]


def escaped(prompt: str) -> str:
    return "".join("\\" + sign if sign in "{}|\\" else sign for sign in prompt)


# formats


def test_each_line_is_a_prompt_with_the_defaults_given() -> None:
    found = read("a fox\r\n\r\n# not a prompt\n  a crow, at dawn \r", defaults={"video_length": 25})
    assert prompts(found) == ["a fox", "a crow, at dawn"]
    assert [row.line for row in found.rows] == [1, 4]
    assert {row.request.video_length for row in found.rows} == {25}
    assert {row.request.infer_steps for row in found.rows} == {40}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_csv_is_seen_by_its_first_line(separator: str, mark: str) -> None:
    lines = [["Width", "prompt", "flow_shift", ""], ["640", 'a "fox"\nin the rain', "7.5"], [], ["", "a crow"]]
    text = io.StringIO()
    csv.writer(text, delimiter=separator).writerows(lines)
    found = read(mark + text.getvalue())
    assert prompts(found) == ['a "fox"\nin the rain', "a crow"]
    assert [(row.line, row.request.width, row.request.flow_shift) for row in found.rows] == [(2, 640, 7.5), (5, 854, 7)]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_a_first_line_that_names_the_separator_is_no_row(separator: str) -> None:
    lines = [["prompt", "width"], ["a fox", "640"], ["a crow", ""]]
    text = "\r\n".join(map(separator.join, lines))
    for head in (f"sep={separator}\r\n", f"\ufeff\n SEP={separator}\n", f'"sep={separator}"\n'):
        found = read(head + text)
        assert prompts(found) == ["a fox", "a crow"]
        assert ids(found) == ids(read(text.replace(separator, ",")))
    assert faults(read(f"sep={separator}\nwidth{separator}prompt\nwide{separator}a fox")) == [(3, "not_a_number")]
    assert faults(read(f"sep={separator}\na fox")) == [(2, "field_unknown")]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("# my list\nprompt,width\na fox,640", 2),
        ("My list,\n\nprompt;width\na fox;640", 3),
        ("prompt|width\na fox|640", 1),
        ("width,height\n640,480", 1),
        ("prompts\na fox", 1),
        ("Text\na fox", 1),
        ("a fox\nseed , prompt", 2),
        ("- prompt: a fox\n  width: 640", 1),
        ("width: 640\nprompt: a fox", 1),
        ('[{"prompt": "a fox"}]', 1),
        ('["a fox", "a crow"]', 1),
        ('[\n  {\n    "prompt": "a fox"\n  }\n]', 1),
        ('a fox\n{"prompt": "a crow"}', 2),
        ("<!DOCTYPE html>\n<html><body>502</body></html>", 1),
        ('<?xml version="1.0"?>\n<prompts/>', 1),
        ("{'prompt': 'a fox'}", 1),
        ("{prompt: a fox}", 1),
        ("['a fox', 'a crow']", 1),
        ('prompts = [\n  "a fox",\n]', 1),
        ("[video]\nprompt = a fox\nseed = 5", 1),
        ("a fox\nseed=5", 2),
        ('[[prompt]]\ntext = "a fox"', 1),
        ("| prompt | seed |\n|---|---|\n| a fox | 5 |", 1),
        ("```\na fox\n```", 1),
        ("a fox\nNegative prompt: blurry\nSteps: 20, Sampler: Euler, Seed: 5", 2),
        ("1\n00:00:01,000 --> 00:00:02,000\na fox", 2),
        ("%PDF-1.7\na fox", 1),
        ("{\\rtf1\\ansi a fox}", 1),
    ],
)
def test_a_file_of_another_kind_is_not_paid_as_prompts(text: str, line: int) -> None:
    found = read(text)
    assert faults(found)[0] == (line, "list_not_prompts")
    assert all(words(language).sentence(found.faults[0].error) for language in ("en", "zh"))
    assert "list_not_prompts" not in [code for _, code in faults(read(text, kind="text"))]


@pytest.mark.parametrize("word", ["text", "prompt", "seed"])
def test_a_parameters_name_alone_is_a_prompt_like_any_word_but_on_the_first_line(word: str) -> None:
    assert [row.request.prompt for row in read(f"a fox\n{word}").rows] == ["a fox", word]
    assert word not in [row.request.prompt for row in read(f"{word}\na fox").rows]


def test_a_prompt_may_hold_the_words_of_a_table() -> None:
    written = [
        "text, seen through a width of glass",
        "A prompt, a seed and a fox",
        "[a fox], sepia",
        "sep=, written on a wall",
        "<3 a fox in love",
        "- a fox: at dawn",
        "Prompt: a fox",
        "a fox\twidth",
        "[a fox] | [a crow]",
        "E = mc2 on a board, seed of an idea",
        "a sign | an arrow --> and a fox",
    ]
    assert prompts(read("\n".join(written))) == [clean_text(line) for line in written]


def test_json_lines_take_values_as_they_are() -> None:
    found = read('{"prompt": "a fox", "seed": 7, "width": null}\n\n{"prompt": "a {red|blue} crow"}')
    assert prompts(found) == ["a fox", "a red crow", "a blue crow"]
    assert [row.request.seed for row in found.rows][:2] == [7, 96501778]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", [(0, "list_empty")]),
        ("\n# nothing\n", [(0, "list_empty")]),
        ("prompt,width\n", [(0, "list_empty")]),
        ("prompt,width\na fox,wide\na crow,640", [(2, "not_a_number")]),
        ("prompt,width\na fox,1_000", [(2, "not_a_number")]),
        ("prompt,width\na fox,nan\na crow,64.5\n", [(2, "not_a_number"), (3, "not_whole")]),
        ("prompt,colour\na fox,red", [(1, "field_unknown")]),
        ("prompt,Prompt\na fox,red", [(1, "list_name_twice")]),
        ("prompt\na fox, in the rain", [(2, "list_cells")]),
        ("prompt,,width\na fox,64,80\na crow,,80\n", [(2, "list_cells")]),
        (",prompt\n0,a fox\n,a crow\n", [(2, "list_cells")]),
        ("prompt,width,\na fox,64,\na crow,64,48\n", [(3, "list_cells")]),
        ('prompt\n"a fox" runs\na crow', [(2, "list_not_csv")]),
        ('prompt\n"a fox', [(2, "list_not_csv")]),
        ("prompt,width\n,64", [(2, "field_missing")]),
        ('{"prompt": "a fox"\n{"prompt": "a crow"}', [(1, "list_not_json")]),
        ('{"prompt": "a fox"}\n["a crow"]', [(2, "list_not_json")]),
        ('{"prompt": "a fox", "prompt": "a crow"}', [(1, "list_name_twice")]),
        ('{"prompt": "a fox", "width": NaN}', [(1, "not_a_number")]),
        ('{"prompt": "a fox", "width": "640"}', [(1, "not_a_number")]),
        ('{"prompt": 5}', [(1, "not_text")]),
        ('{"prompt": "a fox", "x": ' + "[" * 5000, [(1, "list_not_json")]),
        ('{"prompt": "a fox", "seed": ' + "9" * 50 + "}", [(1, "seed_out_of_range")]),
        ("a fox\na {red|blue crow\na }", [(2, "wildcard_brace"), (3, "wildcard_brace")]),
        ("{" * 20 + "a|b" + "}" * 20, [(1, "wildcard_depth")]),
        ("{" * (MOST_DEPTH + 1) + "a|b" + "}" * (MOST_DEPTH + 1), [(1, "wildcard_depth")]),
        ("{a|b}" * 10, [(1, "wildcard_many")]),
        ("{a|b}" * 700, [(1, "wildcard_many")]),
        ("{a|b}" * 900, [(1, "text_too_long")]),
        ("x" * 2001, [(1, "text_too_long")]),
        ("a fox\n" * (MOST_ROWS + 1), [(0, "list_too_many")]),
        ("{a|b}\n" * (MOST_ROWS // 2 + 1), [(0, "list_too_many")]),
        ("猫" * (MOST_BYTES // 3 + 1), [(0, "list_too_large")]),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, told: list[tuple[int, str]]) -> None:
    found = read(text)
    assert faults(found) == told
    for language in ("en", "zh"):
        assert all(words(language).sentence(fault.error) for fault in found.faults)


@pytest.mark.parametrize(
    ("name", "code"), [("", "list_without_name"), (" \u200b", "list_without_name"), ("x" * 101, "text_too_long")]
)
def test_a_list_needs_a_name(name: str, code: str) -> None:
    assert faults(read_list("a fox", name)) == [(0, code)]


def test_files_of_spreadsheets_are_read_and_others_refused() -> None:
    assert text_of("\ufeffprompt\n猫".encode()) == "prompt\n猫"
    assert text_of("prompt\n猫".encode("utf-16")) == "prompt\n猫"
    marked = [("prompt\na fox".encode(name), "list_not_text") for name in ("utf-16-le", "utf-16-be", "utf-32")]
    for data, code in (*marked, ("视频".encode("gbk"), "list_not_text"), (b"x" * (MOST_BYTES + 1), "list_too_large")):
        with pytest.raises(InvalidRequestError) as refused:
            text_of(data)
        assert refused.value.code == code


@given(st.lists(ROWS, min_size=1, max_size=8), st.sampled_from(",;\t"), st.sampled_from(["\n", "\r\n"]))
def test_csv_json_and_the_values_themselves_are_the_same_list(
    rows: list[dict[str, Any]], separator: str, end: str
) -> None:
    wished = [VideoRequest.parse(row) for row in rows]
    written = [{**row, "prompt": escaped(row["prompt"])} for row in rows]
    text = io.StringIO()
    names = ["seed", "prompt", "width", "video_length", "flow_shift"]
    writer = csv.DictWriter(text, names, delimiter=separator, lineterminator=end)
    writer.writeheader()
    writer.writerows(written)
    by_csv, by_json = read(text.getvalue()), read("\n".join(map(json.dumps, written)), kind="jsonl")
    assert by_csv.faults == by_json.faults == ()
    assert [row.request for row in by_csv.rows] == [row.request for row in by_json.rows] == wished
    assert ids(by_csv) == ids(by_json)


@given(st.text(max_size=200), st.sampled_from(["auto", "text", "csv", "jsonl"]), st.integers(-2, 5))
def test_any_text_is_rows_or_faults(text: str, kind: Any, picks: int) -> None:
    found = read(text, kind=kind, picks=picks)
    assert found.rows or found.faults
    assert len({*ids(found)}) == len(found.rows)
    assert all(words().sentence(fault.error) for fault in found.faults)


@given(st.text(st.sampled_from('prompt,;"\n{}|\\:123 '), max_size=80))
def test_any_text_of_the_signs_that_mean_something_is_rows_or_faults(text: str) -> None:
    for start in ("", "prompt,width\n", '{"prompt": "x"}\n'):
        found = read(start + text)
        assert found.rows or found.faults


# wildcards


@given(st.lists(st.lists(st.text("ab ", max_size=3), min_size=2, max_size=4), min_size=1, max_size=4))
def test_every_combination_is_made_once(choices: list[list[str]]) -> None:
    text = "x" + "-".join("{" + "|".join(of) + "}" for of in choices)
    wished = ["x"]
    for index, of in enumerate(choices):
        wished = [f"{begun}{'-' if index else ''}{one}" for begun in wished for one in of]
    assert prompts(read(text)) == [clean_text(one) for one in wished]


@given(st.integers(1, 40), st.integers(0, 2**32))
def test_some_are_picked_by_the_seed(picks: int, seed: int) -> None:
    text = "{1|2|3} {1|2|3} {1|2|{3|4}}"
    every = prompts(read(text))
    some = prompts(read(text, picks=picks, picks_seed=seed))
    assert some == prompts(read(text, picks=picks, picks_seed=seed))
    assert len(some) == min(picks, 36)
    assert [one for one in every if one in some] == some


def test_picks_of_more_combinations_than_can_be_counted_differ_everywhere() -> None:
    found = prompts(read("{a|b}" * 500, picks=100))
    assert len({*found}) == 100
    assert all(len({prompt[place] for prompt in found}) == 2 for place in range(500))


def test_other_seeds_pick_others() -> None:
    text = "{1|2|3|4|5|6|7|8} {1|2|3|4|5|6|7|8}"
    assert len({tuple(prompts(read(text, picks=5, picks_seed=seed))) for seed in range(20)}) == 20


def test_a_bar_outside_of_braces_is_a_sign_like_any_other() -> None:
    assert prompts(read("a fox | a crow, {red|blue} | slow")) == [
        "a fox | a crow, red | slow",
        "a fox | a crow, blue | slow",
    ]


@given(PROMPTS)
def test_a_backslash_takes_what_means_something_as_it_is(prompt: str) -> None:
    assert prompts(read(json.dumps({"prompt": escaped(prompt)}))) == [prompt]


# ids


def test_the_ids_of_released_lists_stay() -> None:
    """A change here would charge again for every resubmitted list."""
    found = read("a fox\na fox", defaults={"seed": -1})
    assert LIST == "02797fa2852245c8f9d11e2a91cd6879"
    assert ids(found) == ["cf5457e35fa2b404bd2dafae6b3b67cc", "f48537d81ce04510b46d07deb5b4e9f8"]
    assert [seeded(LIST, row).seed for row in found.rows] == [1705729049, 145473261]


@given(st.lists(ROWS, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_ids_follow_from_content_and_not_from_the_order(rows: list[dict[str, Any]], shuffler: random.Random) -> None:
    lines = [json.dumps({**row, "prompt": escaped(row["prompt"])}) for row in rows]
    before = ids(read("\n".join(lines), kind="jsonl"))
    shuffler.shuffle(lines)
    after = ids(read("\n".join(lines), kind="jsonl"))
    assert sorted(before) == sorted(after)
    assert len({*before}) == len(lines)


def test_a_changed_row_another_name_another_owner_or_attempt_is_another_job() -> None:
    row = read("a fox").rows[0]
    changed = read("a fox", defaults={"seed": 5}).rows[0]
    others = [list_id("owner", "campaigN"), list_id("else", "campaign")]
    found = [job_id(LIST, row), job_id(LIST, changed), job_id(LIST, row, 1), *(job_id(other, row) for other in others)]
    assert len({*found}) == len(found)
    assert list_id("a", "bc") != list_id("ab", "c")


def test_the_same_row_written_otherwise_is_the_same_job() -> None:
    written = ["prompt,flow_shift\na fox,7", "prompt,flow_shift\n a fox ,7.0", '{"flow_shift": 7.0, "prompt": "a fox"}']
    assert len({*(ids(read(text))[0] for text in written), ids(read("a fox"))[0]}) == 1


def test_a_random_seed_is_drawn_once_for_each_row() -> None:
    rows = read("a fox\na fox\na crow", defaults={"seed": -1}).rows
    drawn = [seeded(LIST, row).seed for row in rows]
    assert drawn == [seeded(LIST, row).seed for row in rows]
    assert len({*drawn}) == 3
    assert content_of(rows[0].request) == content_of(rows[1].request)


@pytest.mark.parametrize(
    "text",
    [
        "{a|b}" * 700,
        ("{" * 7 + "a|b" + "}" * 7) * 200,
        "{a|b|{c|d}}\n" * 80_000,
        "prompt\n" + '"' * (MOST_BYTES - 10),
        '{"a":' * 150_000,
        "\n" * (MOST_BYTES - 1),
    ],
)
def test_no_text_takes_long(text: str) -> None:
    begun = time.process_time()
    read(text, picks=1000)
    assert time.process_time() - begun < 3.0


def test_of_picks_that_cannot_be_only_the_first_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    at = Text.at
    monkeypatch.setattr(Text, "at", lambda text, index: (made.append(index), at(text, index))[1])
    found = read("\n".join(["{|}" * 300] * 20), kind="text", picks=1000)  # each of them is an empty prompt
    assert len(found.faults) == 20
    assert len(made) <= 20 * (1 + 300)


def test_what_a_row_with_choices_leaves_out_is_the_forms_as_in_any_other() -> None:
    defaults = {"width": 64, "infer_steps": 9, "negative_prompt": "fog"}
    rows = read_list("a {red|blue} fox\na crow", "mine", Reading(defaults=defaults)).rows
    assert [row.request.prompt for row in rows] == ["a red fox", "a blue fox", "a crow"]
    assert {(row.request.width, row.request.infer_steps, row.request.negative_prompt) for row in rows} == {
        (64, 9, "fog")
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["prompt,seed\na fox,5", '{"prompt": "a fox"}', "a fox’s den\na crow"])
def test_utf_16_that_was_read_as_another_text_is_no_list(text: str, kind: Kind) -> None:
    misread = text.encode("utf-16-le").decode("utf-8", "replace")
    found = read_list(misread, "foxes", Reading(kind=kind))
    assert not found.rows
    assert [(fault.line, fault.error.code) for fault in found.faults] == [(0, "list_not_text")]
