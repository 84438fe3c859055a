from __future__ import annotations

import ast
import inspect
import re
import string
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from hunyuan_ui import errors
from hunyuan_ui.errors import SENTENCES, HunyuanUIError, InvalidRequestError, RateLimitError, SettingsError

PACKAGE = Path(errors.__file__).parent
TREE = {name: kind for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, HunyuanUIError)}
FACTS_OF_ITS_OWN = {"SettingsError": {"name", "problem"}, "RateLimitError": {"seconds"}}
NO_MONEY = {"cannot_look_again"}  # its job has said what became of the money
NOT_FACTS = {"field", "retryable", "expired"}


class Use(NamedTuple):
    place: str
    code: str
    facts: set[str]
    is_whole: bool


def uses() -> Iterator[Use]:
    """Every place in the package that names a code as the first argument of an error or a JobProblem."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            called = ast.unparse(node.func).rpartition(".")[2]
            if called not in TREE.keys() - FACTS_OF_ITS_OWN.keys() and called != "from_code":
                continue
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                facts = {keyword.arg for keyword in node.keywords if keyword.arg is not None}
                is_whole = all(keyword.arg is not None for keyword in node.keywords)
                yield Use(f"{path.name}:{node.lineno}", first.value, facts - NOT_FACTS, is_whole)


def places(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


def test_every_code_raised_in_the_package_has_a_sentence() -> None:
    found = list(uses())
    assert len(found) > 30
    assert [use for use in found if use.code not in SENTENCES] == []


def test_every_raise_fills_every_place_of_its_sentence() -> None:
    short = [
        use for use in uses() if use.code in SENTENCES and use.is_whole and places(SENTENCES[use.code]) - use.facts
    ]
    assert short == []


@pytest.mark.parametrize("code", SENTENCES)
def test_a_sentence_can_be_filled_and_ends_like_one(code: str) -> None:
    sentence = SENTENCES[code]
    filled = str(HunyuanUIError(code, **{name: f"<{name}>" for name in places(sentence)}))
    assert "{" not in filled
    assert re.search(r"[.>]$", filled), filled
    assert all(f"<{name}>" in filled for name in places(sentence))


@pytest.mark.parametrize(
    "code", [code for code, sentence in SENTENCES.items() if "service" in sentence and code not in NO_MONEY]
)
def test_a_sentence_about_the_service_says_what_became_of_the_money(code: str) -> None:
    told = ("charged", "Nothing was sent", "Nothing is lost")
    assert any(words in SENTENCES[code] for words in told), SENTENCES[code]


def test_the_tree_in_the_docstring_is_the_tree_of_classes() -> None:
    drawn: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"^([\s│├└─]*)(\w+Error)\b", line):
            depth = len(match[1])
            above = [parent for parent in above if parent[0] < depth]
            drawn[match[2]] = above[-1][1] if above else "Exception"
            above.append((depth, match[2]))
    assert drawn == {name: kind.__bases__[0].__name__ for name, kind in TREE.items()}


def test_facts_with_braces_are_shown_as_they_are() -> None:
    assert "{detail}" in str(HunyuanUIError("job_failed", detail="{detail}"))


def test_a_settings_error_names_the_variable() -> None:
    assert str(SettingsError("HUNYUAN_UI_API", "must be v1 or v2")) == "HUNYUAN_UI_API: must be v1 or v2"


def test_an_invalid_request_knows_its_field() -> None:
    assert InvalidRequestError("prompt_empty", field="prompt").field == "prompt"


@pytest.mark.parametrize(("wait_s", "said"), [(0.0, 1), (0.4, 1), (1.0, 1), (1.2, 2), (90.0, 90)])
def test_a_rate_limit_never_tells_people_to_come_back_too_early(wait_s: float, said: int) -> None:
    error = RateLimitError(wait_s)
    assert error.retry_after_s == wait_s
    assert f"wait {said} s" in str(error)
