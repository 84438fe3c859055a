"""Formats the API's results for MCP tools: JSON text with absolute addresses."""

from __future__ import annotations

import functools
import json
from typing import Any, Final, cast
from urllib.parse import quote

import gradio as gr
from gradio.route_utils import get_root_url

from hunyuan_ui.ui.error_boundary import Event
from hunyuan_ui.ui.visitor import headers_of

MCP_PATH: Final = "/gradio_api/mcp"
NO_TOOL: Final = "not a tool"  # Gradio lists only functions marked as a tool


class _AgentError(gr.Error):
    """Shows its sentence as is; Gradio's own error puts it in quotes."""

    def __str__(self) -> str:
        return str(self.message)


def readable_by_agents(call: Event) -> Event:
    """Wrap an API function to return JSON text to agents, in place of values that Gradio would format as Python."""

    @functools.wraps(call)
    async def spoken(*values: Any) -> Any:
        caller = next((value for value in values if hasattr(value, "headers")), None)
        if caller is None or not _is_agent(caller):
            return await call(*values)
        try:
            return _as_text(await call(*values), caller)
        except gr.Error as error:
            raise _AgentError(error.message, print_exception=False) from None

    return spoken


def _is_agent(caller: gr.Request) -> bool:
    # A queued tool call comes through Gradio's own client, with this header; others with the agent's own request.
    return headers_of(caller).get("x-gradio-user") == "mcp" or MCP_PATH in str(cast("Any", caller).url)


def _as_text(answer: Any, caller: gr.Request) -> Any:
    if isinstance(answer, tuple):
        video, facts = cast("tuple[Any, Any]", answer)
        return video, json.dumps(facts)
    facts = cast("dict[str, Any]", answer)
    if video := facts.get("video"):
        root = get_root_url(cast("Any", caller), MCP_PATH, None)
        facts = {**facts, "video": f"{root}/gradio_api/file={quote(video['path'])}"}
    return json.dumps(facts)
