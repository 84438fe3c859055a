"""Parts of the page that are drawn by their own scripts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import gradio as gr

from hunyuan_ui.words import languages, words

WEB: Final = Path(__file__).parent / "web"


def part(name: str, **looks: Any) -> Any:
    """Return a part of the page drawn by its own script from a template that never changes.

    A value in a template would be run as code (docs/facts/gradio6.md 4.8); the scripts put text into the page as text.

    Args:
        name: Of its files in the folder `web`.
        looks: Further properties of the component.
    """
    return gr.HTML(
        value={},
        html_template=(WEB / f"{name}.html").read_text(encoding="utf-8"),
        js_on_load=script(name),
        apply_default_css=False,
        elem_id=f"part-{name}",
        **looks,
    )


def script(name: str) -> str:
    """Return the text of a script in the folder `web`."""
    return (WEB / f"{name}.js").read_text(encoding="utf-8")


def words_of_scripts() -> str:
    """Return the element of the page's head that holds what the scripts say, once for all of them."""
    tables = json.dumps({language: words(language).of_scripts() for language in languages()}, ensure_ascii=False)
    # Inside a script element only this character could end it.
    return (WEB / "words.html").read_text(encoding="utf-8").replace("{}", tables.replace("<", "\\u003c"))
