from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from hunyuan_ui.ui.prompt_panel import PROMPT, advice_on, build_prompt_route
from hunyuan_ui.words import words


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(Starlette(routes=[build_prompt_route()])) as client:
        yield client


def look(client: TestClient, cookies: str = "", **wish: Any) -> dict[str, Any]:
    answer = client.post(PROMPT, json=wish, headers={"cookie": cookies})
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


def test_a_prompt_is_looked_at_in_the_visitors_language(client: TestClient) -> None:
    found = look(client, prompt="A red apple on a table.", negative_prompt="")
    assert found["hints"] == ["What moves, and how?"]
    assert {piece["name"]: piece["is_present"] for piece in found["pieces"]} == {
        "subject": True,
        "motion": False,
        "scene": True,
    }
    assert found["improved"].startswith("A red apple on a table. ")
    assert found["additions"][0] == {"piece": "Motion", "clause": "it moves slowly and naturally"}
    assert look(client, "hunyuan_language=zh", prompt="A red apple on a table.")["hints"] == ["什么在动，怎么动？"]


def test_a_word_is_switched_on_and_off(client: TestClient) -> None:
    added = look(client, prompt="A fox runs.", toggle="shot.wide")
    assert added["prompt"] == "A fox runs. Wide shot."
    assert added["chosen"] == ["shot.wide"]
    assert look(client, prompt=added["prompt"], toggle="shot.wide")["prompt"] == "A fox runs."
    assert look(client, prompt="A fox runs.", toggle="shot.unheard_of")["prompt"] == "A fox runs."


def test_an_empty_box_is_left_in_peace() -> None:
    found = advice_on("", "", words())
    assert (found["hints"], found["tokens"], found["pieces"], found["additions"]) == ([], "", [], [])


@pytest.mark.parametrize("body", ["", "null", "[]", "1", '"x"', "{", "\xff"])
def test_what_is_not_a_json_object_is_refused(client: TestClient, body: str) -> None:
    assert client.post(PROMPT, content=body.encode("latin-1")).status_code == 400


def test_wrong_types_and_endless_text_do_no_harm(client: TestClient) -> None:
    assert look(client, prompt=5, negative_prompt=[], toggle={})["prompt"] == ""
    assert client.get(PROMPT).status_code == 405


@pytest.mark.parametrize("toggle", ["", "shot.wide"])
def test_a_prompt_that_cannot_be_sent_is_never_cut_and_its_length_is_the_only_advice(
    client: TestClient, toggle: str
) -> None:
    prompt = f"{'A fox runs over the snow. ' * 1000}The end."
    found = look(client, prompt=prompt, toggle=toggle)
    assert found["prompt"] == found["improved"] == prompt
    assert found["hints"] == [found["problem"]]
    assert found["problem"] == f"Prompt: {len(prompt)} characters are too many; at most 2000 fit. Shorten it."
    assert (found["pieces"], found["chosen"], found["additions"], found["tokens"]) == ([], [], [], "")
    assert look(client, prompt=f"{'snow ' * 400}   ")["hints"] != [found["problem"]]


def test_half_a_character_is_answered_as_a_question_mark(client: TestClient) -> None:
    body = b'{"prompt": "a fox \\ud83d runs \\ud83e\\udd8a", "\\udfff": 1}'
    answer = client.post(PROMPT, content=body)
    assert answer.status_code == 200
    assert answer.json()["prompt"] == "a fox ? runs \N{FOX FACE}"
