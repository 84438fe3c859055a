"""Axe finds nothing of any impact in any state of the page, light, dark and in forced colours."""

from __future__ import annotations

from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.axe import broken_rules
from tests.browser.states import WALKS
from tests.browser.steps import put_on

pytestmark = pytest.mark.slow

LIGHT: Final[dict[str, Any]] = {"color_scheme": "light", "forced_colors": "none"}
# These differ from it in their colours only.
OTHERS: Final[list[dict[str, Any]]] = [
    {"color_scheme": "dark", "forced_colors": "none"},
    {"color_scheme": "dark", "forced_colors": "active"},
]
COLOURS: Final = {"runOnly": ["color-contrast", "link-in-text-block"]}


def found(page: Page) -> dict[str, list[str]]:
    """Return the rules that a page breaks in any look, each with what breaks it."""
    broken: dict[str, list[str]] = {}
    for look, options in ((LIGHT, None), *((one, COLOURS) for one in OTHERS)):
        put_on(page, **look)
        broken |= {f"{rule} {look}": elements for rule, elements in broken_rules(page, options).items()}
    put_on(page, **LIGHT)
    return broken


@pytest.mark.parametrize("walk", WALKS)
def test_axe_finds_nothing_in_any_state(whole_browser: Browser, walk: str) -> None:
    broken: dict[str, dict[str, list[str]]] = {}

    def look(page: Page, state: str) -> None:
        if in_state := found(page):
            broken[state] = in_state

    WALKS[walk](whole_browser, {"reduced_motion": "reduce"}, look)
    assert broken == {}
