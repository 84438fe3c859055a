"""The baseline: a minimal Gradio app, with the form only, or a button that posts with httpx and shows the file.

python -m tests.benchmarks.bare_app [form | SERVICE]
"""

from __future__ import annotations

import sys
import tempfile
from typing import TYPE_CHECKING

import gradio as gr

if TYPE_CHECKING:
    from hunyuan_ui.request import Parameter

FORM = "form"


def one_button() -> gr.Blocks:
    """Return a page with a button."""
    with gr.Blocks() as demo:
        gr.Button("Generate")
    return demo


def form_only() -> gr.Blocks:
    """Return a page with this app's nine controls as Gradio renders them, and a button without a handler."""
    from hunyuan_ui.request import parameters

    with gr.Blocks() as demo:
        for field in parameters():
            _control(field)
        gr.Checkbox(label="New seed each time")
        gr.Button("Generate")
    return demo


def _control(field: Parameter) -> None:
    if field.is_text:
        gr.Textbox(label=field.name, value=str(field.default or ""))
    elif field.name == "seed":
        gr.Number(label=field.name, value=0)
    else:
        gr.Slider(field.low or 0, field.high or 0, label=field.name)


def one_call(url: str) -> gr.Blocks:
    """Return a page whose button downloads a video in the most straightforward way."""
    import httpx

    client = httpx.AsyncClient(timeout=300)

    async def generate(prompt: str) -> str:
        with tempfile.NamedTemporaryFile(suffix=".mp4", delete=False) as file:
            async with client.stream("POST", f"{url}/v1/hunyuan-video", json={"prompt": prompt}) as answer:
                async for chunk in answer.aiter_bytes():
                    file.write(chunk)
        return file.name

    with gr.Blocks() as demo:
        prompt = gr.Textbox(label="Prompt")
        video = gr.Video(autoplay=True)
        gr.Button("Generate").click(generate, prompt, video)
    return demo


if __name__ == "__main__":
    wish = sys.argv[1] if len(sys.argv) > 1 else ""
    page = form_only() if wish == FORM else one_call(wish) if wish else one_button()
    page.launch(ssr_mode=False, quiet=True)
