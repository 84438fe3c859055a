"""What a user would write instead, each version as in the samples of the provider and of Gradio.

python -m tests.benchmarks.peer_app handler|sdk|interface SERVICE
"""

from __future__ import annotations

import sys
import tempfile
import time
from typing import Any

import gradio as gr
import httpx
from segmind import SegmindClient

KEY = "SG_peer"
POLL_EVERY_S = 0.5


def handler(service: str) -> gr.Blocks:
    """Return a page whose button submits, polls and downloads, as the provider's sample does."""
    headers = {"x-api-key": KEY}

    def generate(prompt: str) -> str:
        body = {"prompt": prompt}
        begun = httpx.post(f"{service}/v2/hunyuan-video", json=body, headers=headers, timeout=60)
        job = f"{service}/v2/requests/{begun.raise_for_status().json()['request_id']}"
        while _asked(f"{job}/status", headers)["status"] not in ("COMPLETED", "FAILED"):
            time.sleep(POLL_EVERY_S)
        return _fetched(_asked(job, headers)["output"])

    return _button(generate)


def sdk(service: str) -> gr.Blocks:
    """Return the same page with the provider's own client."""
    client = SegmindClient(KEY, base_url=f"{service}/v1")

    def generate(prompt: str) -> str:
        return _fetched(client.run("hunyuan-video", prompt=prompt)["output"])

    return _button(generate)


def interface(service: str) -> gr.Interface:
    """Return a function with one blocking call, wrapped by Gradio, as `gr.load` wraps a hosted model."""

    def generate(prompt: str) -> str:
        answer = httpx.post(
            f"{service}/v1/hunyuan-video", json={"prompt": prompt}, headers={"x-api-key": KEY}, timeout=600
        )
        return _saved(answer.raise_for_status().content)

    return gr.Interface(generate, gr.Textbox(label="Prompt"), gr.Video(autoplay=True), submit_btn="Generate")


def _asked(url: str, headers: dict[str, str]) -> dict[str, Any]:
    return httpx.get(url, headers=headers, timeout=60).raise_for_status().json()


def _fetched(link: str) -> str:
    return _saved(httpx.get(link, timeout=60).raise_for_status().content)


def _saved(video: bytes) -> str:
    with tempfile.NamedTemporaryFile(suffix=".mp4", delete=False) as file:
        file.write(video)
    return file.name


def _button(generate: Any) -> gr.Blocks:
    with gr.Blocks() as page:
        prompt = gr.Textbox(label="Prompt")
        video = gr.Video(autoplay=True)
        gr.Button("Generate").click(generate, prompt, video)
    return page


if __name__ == "__main__":
    made = {"handler": handler, "sdk": sdk, "interface": interface}[sys.argv[1]](sys.argv[2])
    made.launch(ssr_mode=False, quiet=True)
