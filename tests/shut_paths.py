"""Paths of Gradio that the page does not use."""

from __future__ import annotations

SHUT = [
    "/monitoring",
    "/monitoring/summary",
    "/gradio_api/file=https://example.com/x.mp4",
    "/gradio_api/file=HTTP://example.com/x.mp4",
    "/gradio_api/file%3Dhttps://example.com/x.mp4",
    "/gradio_api/file/https://example.com/x.mp4",
    "/gradio_api/proxy=https://x.hf.space/x",
    "/gradio_api/deep_link?session_hash=a",
    "/gradio_api/runs/",
    "/gradio_api/run-history/records",
    "/gradio_api/upload",
    "/gradio_api/upload/",
    "/gradio_api/upload_progress",
    "/gradio_api/process_recording",
    "/gradio_api/vibe-edit",
    "/gradio_api/vibe-code/",
    "/gradio_api/undo-vibe-edit",
    "/gradio_api/dev/reload",
    "/gradio_api/profiling/traces",
    "/pwa_icon/192",
    "/pwa_icon/99999999",
    f"/assets/{'a' * 300}",
    f"/static/{'a/' * 3_000}",
    f"/svelte/{'%C3%BC' * 150}",
    "/?page=other",
    "/config?%70age=other",
    "/?deep_link=abc",
    "/config?deep_link=",
]
