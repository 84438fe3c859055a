"""Parts of the page that are drawn by their own scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import gradio as gr

from hunyuan_ui.ui.text import languages, words

PARTS: Final = Path(__file__).parent / "parts"


def part(name: str, *, prefixes: tuple[str, ...] = (), **looks: Any) -> Any:
    """Return a part of the page drawn by its own script from a template that never changes.

    A value in a template would be run as code (gradio6.md 4.8); the scripts put text into the page as text.

    Args:
        name: Of its files in the folder `parts`.
        prefixes: Of the words its script says; none for those that all parts share.
        looks: Further properties of the component.
    """
    said = {language: _said(language, prefixes) for language in languages()}
    return gr.HTML(
        value={},
        html_template=(PARTS / f"{name}.html").read_text(encoding="utf-8"),
        js_on_load=script(name),
        words=said,
        apply_default_css=False,
        elem_id=f"part-{name}",
        **looks,
    )


def script(name: str) -> str:
    """Return the text of a script in the folder `parts`."""
    return (PARTS / f"{name}.js").read_text(encoding="utf-8")


def _said(language: str, prefixes: tuple[str, ...]) -> dict[str, str]:
    say = words(language)
    return say.starting(*prefixes) if prefixes else say.page_words()
