"""The page's error boundary: what goes wrong inside is told by a reference, and its text by nobody."""

from __future__ import annotations

import io
import json

import gradio as gr
import pytest

from hunyuan_ui.ui.error_boundary import page_event

pytestmark = pytest.mark.anyio


async def test_the_text_of_an_unforeseen_error_reaches_neither_the_visitor_nor_the_log(lines: io.StringIO) -> None:
    async def fail() -> None:
        raise ValueError("a prompt about a fox")

    with pytest.raises(gr.Error) as caught:
        await page_event(fail)()
    (line,) = map(json.loads, lines.getvalue().splitlines())
    assert (line["event"], line["kind"]) == ("page.internal_error", "ValueError")
    assert line["reference"] in str(caught.value.message)
    assert "fox" not in lines.getvalue() + str(caught.value.message)
