"""Starts the app with a Gradio that raises on each text from the page, and prints it."""

from __future__ import annotations

import runpy
from typing import Any

import gradio as gr


def fail(_: gr.Textbox, payload: Any) -> None:
    raise ValueError(payload)


if __name__ == "__main__":
    gr.Textbox.preprocess = fail  # pyright: ignore[reportAttributeAccessIssue]
    runpy.run_path("app.py", run_name="__main__")
