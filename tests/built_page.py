"""The page as built for a start, without serving it, and values as it would send them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import gradio as gr
from gradio.routes import App

from hunyuan_ui.jobs import build_runner
from hunyuan_ui.settings import Settings
from hunyuan_ui.ui.page import build_page
from hunyuan_ui.ui.routes import build_routes


class BuiltPage:
    """A page, its own routes, and Gradio's application of both.

    Args:
        settings: Of the start; its data folder is not used.
    """

    def __init__(self, settings: Settings) -> None:
        self.runner = build_runner(settings)
        self.routes = build_routes(self.runner)
        self.blocks: Any = build_page(self.runner)
        self.app = App.create_app(self.blocks, app_kwargs={"routes": self.routes}, mcp_server=settings.has_mcp)

    def every_route(self) -> Iterator[Any]:
        """Yield each route of the application with `path`, `path_regex` and `methods`, nested ones included."""
        for route in self.app.routes:
            inner = getattr(route, "effective_candidates", None)
            yield from inner() if inner is not None else [route]

    def functions(self) -> Iterator[tuple[int, Any, list[Any]]]:
        """Yield each function that the server runs, with its number and values as the page would send them."""
        for number, fn in self.blocks.fns.items():
            if fn.fn is not None:
                yield number, fn, [value_of(block) for block in fn.inputs]

    @property
    def takes_a_text(self) -> int:
        """Return the number of one of the page's functions that accepts one text."""
        return next(
            number
            for number, fn, _ in self.functions()
            if not fn.queue and [type(block) for block in fn.inputs] == [gr.Textbox]
        )


def built_page(settings: Settings) -> BuiltPage:
    """Return a page built while a loop runs; without one Gradio creates a loop and leaves it open."""

    async def build() -> BuiltPage:
        page = BuiltPage(settings)
        await page.runner.stop()  # lets go of the data folder
        return page

    return asyncio.run(build())


def value_of(block: Any) -> Any:
    """Return a value of a component as the page would send it."""
    if isinstance(block, gr.HTML):
        return {"chosen": "nobody", "choices": [{"payer": "nobody", "label": "x", "help": "y"}], "has_key": False}
    if type(block).__name__ == "Api":
        return {"string": "x", "integer": 5, "number": 5.5, "boolean": True}[block._api_info["type"]]
    return block.value if block.value is not None else ("x" if isinstance(block, gr.Textbox) else None)
