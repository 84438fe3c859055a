"""Axe finds nothing of any impact in any state of the page, light, dark and in forced colours."""

from __future__ import annotations

from typing import Any, Final

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.browser.states import WALKS

LIGHT: Final[dict[str, Any]] = {"color_scheme": "light", "forced_colors": "none"}
# These differ from it in their colours only.
OTHERS: Final[list[dict[str, Any]]] = [
    {"color_scheme": "dark", "forced_colors": "none"},
    {"color_scheme": "dark", "forced_colors": "active"},
]
COLOURS: Final = {"runOnly": ["color-contrast", "link-in-text-block"]}


def found(page: Page) -> dict[str, list[str]]:
    """Return the rules that a page breaks in any look, each with what breaks it."""
    broken = _broken(page, LIGHT, None)
    for look in OTHERS:
        broken |= _broken(page, look, COLOURS)
    page.emulate_media(**LIGHT)
    return broken


def _broken(page: Page, look: dict[str, Any], options: Any) -> dict[str, list[str]]:
    page.emulate_media(**look)
    violations = Axe().run(page, options=options).response["violations"]
    return {f"{rule['id']} {look}": [node["html"][:200] for node in rule["nodes"]] for rule in violations}


@pytest.mark.long
@pytest.mark.parametrize("walk", WALKS)
def test_axe_finds_nothing_in_any_state(browser: Browser, walk: str) -> None:
    broken: dict[str, dict[str, list[str]]] = {}

    def look(page: Page, state: str) -> None:
        if in_state := found(page):
            broken[state] = in_state

    WALKS[walk](browser, {"reduced_motion": "reduce"}, look)
    assert broken == {}
