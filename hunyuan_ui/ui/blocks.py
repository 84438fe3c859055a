"""Gradio's Blocks, with a page that does not carry what only other programs use."""

from __future__ import annotations

from typing import Any, Final, cast

import gradio as gr

_API: Final = "api"  # the type of what `gr.api` declares for each parameter and result


class LightBlocks(gr.Blocks):
    """Blocks that leaves the parameters of `gr.api` out of what a browser draws.

    Gradio puts one component for each into the page's layout, where it is built like any other and looked up in
    every event. Callers find them by their ids in the list of components, which stays whole.
    """

    def get_config_file(self) -> Any:
        """Return the page's description."""
        config = cast("dict[str, Any]", super().get_config_file())
        unseen = {one["id"] for one in config["components"] if one["type"] == _API}
        for page in (config, *config["page"].values()):
            drawn = [one for one in page["layout"]["children"] if one["id"] not in unseen]
            page["layout"] = {**page["layout"], "children": drawn}
        for page in config["page"].values():
            page["components"] = [one for one in page["components"] if one not in unseen]
        return config
