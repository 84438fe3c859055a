"""The reference: the least Gradio app there is, or one whose button posts with httpx and shows the file.

python -m tests.benchmarks.bare_app [SERVICE]
"""

from __future__ import annotations

import sys
import tempfile

import gradio as gr


def one_button() -> gr.Blocks:
    """Return a page with a button."""
    with gr.Blocks() as demo:
        gr.Button("Generate")
    return demo


def one_call(url: str) -> gr.Blocks:
    """Return a page whose button fetches a video, as the first thing anybody would write does."""
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
    page = one_call(sys.argv[1]) if len(sys.argv) > 1 else one_button()
    page.launch(ssr_mode=False, quiet=True)
