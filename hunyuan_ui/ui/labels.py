"""Labels of Gradio's own controls, in the browser's language."""

from __future__ import annotations

from typing import Final, cast

import gradio as gr
from gradio.i18n import I18nData

from hunyuan_ui.words import languages, words

_LABELS: Final = ("form.", "field.", "app.duplicate", "page.player", "page.pricing")


def label(key: str) -> str:
    """Return a label that the browser shows in its own language.

    Raises:
        KeyError: There is no such text; the browser would show the key itself.
    """
    if key not in words():
        raise KeyError(key)
    return cast("str", I18nData(key))  # Gradio declares its label parameters as str


def translations() -> gr.I18n:
    """Return the texts of Gradio's controls in every language, for `launch(i18n=...)`; every page includes them."""
    return gr.I18n(
        **{name: {key: words(name)[key] for key in words(name) if key.startswith(_LABELS)} for name in languages()}
    )
