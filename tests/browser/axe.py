"""What axe finds on a page."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page


def broken_rules(page: Page, options: dict[str, Any] | None = None) -> dict[str, list[str]]:
    """Return the rules of any impact that a page breaks, each with the elements that break it.

    Args:
        page: As it is shown.
        options: Axe's, such as the only rules to run.
    """
    # Otherwise each element that keeps a rule is named too: 640 KB, which take as long as the search itself.
    options = {"resultTypes": ["violations"], **(options or {})}
    violations = Axe().run(page, options=options).response["violations"]
    return {rule["id"]: [f"{node['target']} {node['html'][:200]}" for node in rule["nodes"]] for rule in violations}
