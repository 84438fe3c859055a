from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import gradio as gr
import pytest

from hunyuan_ui.ui.gradio_patches import LightBlocks, player_files

pytestmark = pytest.mark.anyio

FRONTEND = Path(gr.__file__).parent / "templates" / "frontend"


def add(first: int, second: int) -> int:
    return first + second


def in_layout(layout: dict[str, Any]) -> set[int]:
    return {layout["id"]}.union(*(in_layout(one) for one in layout.get("children", [])))


async def test_what_programs_call_is_not_drawn_and_stays_callable() -> None:
    with LightBlocks() as demo:
        with gr.Row():
            box = gr.Textbox()
        cast("Any", gr).api(add, api_name="add")  # missing from the names that Gradio exports
    config: Any = demo.get_config_file()
    declared = next(one for one in config["dependencies"] if one["api_name"] == "add")
    unseen = {*declared["inputs"], *declared["outputs"]}
    assert len(unseen) == 3
    assert unseen <= {one["id"] for one in config["components"]}
    for page in (config, *config["page"].values()):
        assert not unseen & in_layout(page["layout"])
        assert box._id in in_layout(page["layout"])
    for page in config["page"].values():
        assert not unseen & set(page["components"])
        assert box._id in page["components"]
    assert len(demo.get_api_info()["named_endpoints"]["/add"]["parameters"]) == 2


def test_the_scripts_of_the_player_are_those_that_gradio_names_for_its_video() -> None:
    files = player_files()
    assert len(files) == len(set(files))
    assert any(name.startswith("assets/video-") and name.endswith(".js") for name in files)
    assert any(name.startswith("assets/video-") and name.endswith(".css") for name in files)
    assert all((FRONTEND / name).is_file() for name in files)
