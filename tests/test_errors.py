from __future__ import annotations

import inspect
import re
import traceback

import pytest

from hunyuan_ui import errors
from hunyuan_ui.errors import HunyuanUIError, InvalidRequestError, RateLimitError, SettingsError
from hunyuan_ui.words import words

TREE = {name: kind for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, HunyuanUIError)}


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


def test_a_traceback_shows_no_value() -> None:
    error = InvalidRequestError("out_of_range", field="width", value="a secret wish", low=1, high=1280)
    assert "".join(traceback.format_exception_only(error)).strip().endswith("InvalidRequestError: out_of_range")


def test_facts_with_braces_are_shown_as_they_are() -> None:
    assert "{detail}" in words().sentence(HunyuanUIError("job_failed", detail="{detail}"))


def test_a_settings_error_names_the_variable() -> None:
    error = SettingsError("HUNYUAN_UI_API", "dialect")
    assert words().sentence(error) == "HUNYUAN_UI_API: must be v1 or v2"
    assert words("zh").sentence(error) == "HUNYUAN_UI_API：必须是 v1 或 v2"


def test_an_invalid_request_knows_its_field() -> None:
    assert InvalidRequestError("prompt_empty", field="prompt").field == "prompt"


@pytest.mark.parametrize(("wait_s", "said"), [(0.0, 1), (0.4, 1), (1.0, 1), (1.2, 2), (90.0, 90)])
def test_a_rate_limit_never_tells_people_to_come_back_too_early(wait_s: float, said: int) -> None:
    error = RateLimitError(wait_s)
    assert error.retry_after_s == wait_s
    assert f"wait {said} s" in words().sentence(error)
