"""All sentences are in the language files, every code that can be raised has one, and no key is unused."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from string import Formatter
from typing import NamedTuple

import pytest

import hunyuan_ui
from hunyuan_ui import errors
from hunyuan_ui.errors import ALSO_WHEN_QUEUED, ALSO_WHEN_SENT, code_when_queued, limit_of
from hunyuan_ui.words import languages, words

PACKAGE = Path(hunyuan_ui.__file__).parent
WEB = PACKAGE / "ui" / "web"
# Exceptions: a stand-in for another service, and texts that become part of a prompt.
ELSEWHERE = ("local_endpoint", "prompt_help")
SAYS_MONEY = ("charged", "Nothing was sent", "Nothing is lost")
NO_MONEY = {"cannot_look_again"}  # its job has reported what happened to the money

ERRORS = {name for name in vars(errors) if name.endswith("Error")}
NOT_FACTS = {"retryable", "expired"}
# Where a code is: the prefix of its key, and the number of its argument.
RAISES = {"SettingsError": ("setting.", 1), "UnfitError": ("setting.", 0), "from_code": ("error.", 0)}
RAISES |= dict.fromkeys(("reason", "cut_short", "_refused"), ("reason.", 0)) | {"BadCallError": ("call.", 0)}
RAISES |= dict.fromkeys(ERRORS - RAISES.keys() - {"RateLimitError"}, ("error.", 0))
SAYS = ("_failed", "_say", "print", "say", "stop")  # functions that accept a text, a reason or an error
OF_ITSELF = {"BadCallError": {"count"}}


@cache
def trees() -> list[tuple[str, ast.Module]]:
    files = (*sorted(PACKAGE.rglob("*.py")), PACKAGE.parent / "app.py")
    return [(path.name, ast.parse(path.read_text("utf-8"))) for path in files if path.parent.name not in ELSEWHERE]


class Use(NamedTuple):
    """A place where an error or a reason is created.

    Args:
        place: File and line.
        key: Of its text.
        facts: Its given values.
        is_whole: Whether these are all, or a mapping may add more.
    """

    place: str
    key: str
    facts: set[str]
    is_whole: bool


@cache
def uses() -> list[Use]:
    calls = [(name, node) for name, tree in trees() for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [use for name, call in calls for use in uses_in(call, name)]


def uses_in(call: ast.Call, file: str) -> Iterator[Use]:
    called = ast.unparse(call.func).rpartition(".")[2]
    prefix, at = RAISES.get(called, ("", 0))
    if not prefix or len(call.args) <= at:
        return
    facts = {keyword.arg for keyword in call.keywords if keyword.arg is not None} - NOT_FACTS
    facts |= OF_ITSELF.get(called, set())
    is_whole = all(keyword.arg is not None for keyword in call.keywords)
    for code in constants(call.args[at]):
        yield Use(f"{file}:{call.lineno}", prefix + code, facts, is_whole)


def constants(node: ast.expr) -> Iterator[str]:
    """Yield the possible texts of an argument: a constant, or either of two."""
    if isinstance(node, ast.IfExp):
        yield from constants(node.body)
        yield from constants(node.orelse)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_every_code_that_is_raised_has_a_text_in_every_language() -> None:
    found = uses()
    assert len(found) > 150
    for language in languages():
        assert [use for use in found if use.key not in words(language)] == []


def test_every_raise_fills_every_place_of_its_text() -> None:
    for language in languages():
        say = words(language)
        assert [use for use in uses() if use.is_whole and places(say[use.key]) - use.facts] == []


@pytest.mark.parametrize("code", sorted(key for key in words() if key.startswith("error.")))
def test_a_sentence_ends_like_one(code: str) -> None:
    assert re.search(r"[.}]$", words()[code]), words()[code]
    assert re.search(r"[。}]$", words("zh")[code]), words("zh")[code]


@pytest.mark.parametrize("code", sorted(key for key in words() if key.startswith("error.")))
def test_a_sentence_about_the_service_says_what_became_of_the_money(code: str) -> None:
    if "service" in words()[code] and code.removeprefix("error.") not in NO_MONEY:
        assert any(told in words()[code] for told in SAYS_MONEY), words()[code]


def test_what_is_also_met_after_sending_is_said_for_both() -> None:
    told = {key.removeprefix("error.").removesuffix("_sent") for key in words() if re.search(r"^error\..*_sent$", key)}
    assert told == ALSO_WHEN_SENT
    for code in ALSO_WHEN_SENT:
        assert places(words()[f"error.{code}_sent"]) == places(words()[f"error.{code}"]), code


def test_what_is_also_met_in_the_queue_is_said_for_both() -> None:
    told = {
        key.removeprefix("error.").removesuffix("_queued") for key in words() if re.search(r"^error\..*_queued$", key)
    }
    assert told == ALSO_WHEN_QUEUED
    for code in ALSO_WHEN_QUEUED:
        assert places(words()[f"error.{code}_queued"]) == places(words()[f"error.{code}"]), code
        assert (limit_of(code_when_queued(code)), limit_of(code)) == (code, None)


# unused keys


def code_texts() -> tuple[set[str], list[re.Pattern[str]]]:
    """Return every text in the code, and a pattern for each that is built from a key's prefix."""
    plain: set[str] = set()
    made: list[re.Pattern[str]] = []
    for _, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                plain.add(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = [re.escape(part.value) if isinstance(part, ast.Constant) else r"\w*" for part in node.values]  # type: ignore[arg-type]
                if re.match(r"[a-z]+\\\.", parts[0]):
                    made.append(re.compile("".join(parts)))
    return plain, made


def test_no_key_is_unused() -> None:
    plain, made = code_texts()
    web = "\n".join(path.read_text("utf-8") for path in WEB.iterdir() if path.suffix in (".js", ".html"))
    in_scripts = set(re.findall(r"\bwords\.([a-z_]+)\b|[\"'`]([a-z_]+(?:\.[a-z0-9_]+)*)[\"'`]", web))
    in_scripts = {name for pair in in_scripts for name in pair}
    begun = set(re.findall(r"[`\"']([a-z_]+\.)[`\"']? *(?:\$\{|\+)", web))
    by_code = tuple(sorted({prefix for prefix, _ in RAISES.values()} | {"hint."}))

    def is_used(key: str) -> bool:
        key = key.removeprefix("public.").removeprefix("engine.").removeprefix("preview.")  # replaces it
        if key in plain or any(pattern.fullmatch(key) for pattern in made):
            return True
        if key.startswith(by_code):
            code = key.partition(".")[2]
            is_also = (code.removesuffix("_sent") in ALSO_WHEN_SENT, code.removesuffix("_queued") in ALSO_WHEN_QUEUED)
            return code in plain or any(is_also)
        return key.removeprefix("page.") in in_scripts or key.startswith(tuple(begun))

    assert [key for key in words() if not is_used(key)] == []


# no sentence elsewhere


def texts_for_people(tree: ast.Module) -> Iterator[ast.Constant]:
    """Yield every text in the code that looks like a sentence, except docstrings and the help of settings."""
    silent = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "_variable":
            silent |= {id(part) for argument in node.args for part in ast.walk(argument)}
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    for text in texts:
        if id(text) not in silent and re.search(r"[a-z]{2,},? [a-z]{2,}.*[.;:!?]( |$)", str(text.value)):
            yield text


def arguments_for_people(tree: ast.Module) -> Iterator[ast.Constant]:
    """Yield every text of more than one word that is passed to an error, a reason or a print."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in (*RAISES, *SAYS):
            for part in (*node.args, *(keyword.value for keyword in node.keywords)):
                for text in ast.walk(part):
                    if isinstance(text, ast.Constant) and re.search(r"\w \w", str(text.value)):
                        yield text


def test_no_sentence_lies_outside_the_language_files() -> None:
    found = [f"{name}:{text.lineno} {text.value!r}" for name, tree in trees() for text in texts_for_people(tree)]
    assert [
        text
        for text in found
        if not re.search(r"SELECT|CREATE|UPDATE|<!doctype|frame-ancestors|\{ element, props|\(\(\) =>", text)
    ] == []
    assert [f"{name}:{text.lineno}" for name, tree in trees() for text in arguments_for_people(tree)] == []


@pytest.mark.parametrize(
    "source",
    [
        'say("Nothing was sent.")',
        'f"The video is at {path}. Copy it."',
        'lines.append("Your key rests: it is asked again.")',
        'raise MediaError("export_failed", problem="the disk is full")',
        'reason("no_list", what=f"its list {name}")',
    ],
)
def test_a_sentence_in_the_code_is_found(source: str) -> None:
    tree = ast.parse(f"x = [{source}]" if not source.startswith("raise") else source)
    assert [*texts_for_people(tree), *arguments_for_people(tree)] != []
