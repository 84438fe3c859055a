from __future__ import annotations

import asyncio
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest
from gradio.server_messages import ProcessCompletedMessage

from hunyuan_ui.ui import gradio_patches
from hunyuan_ui.ui.gradio_patches import MOST_WAITING, QUEUE_CHECK_S, LightBlocks, drawing_files, player_files

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


@pytest.mark.parametrize("components", [[], ["textbox"], ["slider", "html"]])
def test_what_is_needed_to_draw_a_page_is_named_once_and_there(components: list[str]) -> None:
    files = drawing_files(components)
    assert len(files) == len(set(files))
    assert all((FRONTEND / name).is_file() for name in files)
    page = (FRONTEND / "index.html").read_text("utf-8")
    assert [name for name in files if name in page] == []
    drawn = [(FRONTEND / name).read_text("utf-8") for name in files if name.endswith(".js")]
    fetched = {match for text in drawn for match in re.findall(r'(?:from|import)\s?"\./([^"]+)"', text)}
    main = next(name for name in re.findall(r'src="\./assets/([^"]+)"', page))
    assert fetched <= {Path(name).name for name in files} | {main}


def test_a_component_that_gradio_does_not_know_has_no_scripts() -> None:
    with pytest.raises(RuntimeError, match="Gradio"):
        drawing_files(["no such one"])


async def test_what_is_hidden_or_for_programs_is_not_drawn_at_first() -> None:
    with LightBlocks() as demo:
        gr.Textbox()
        gr.Video(visible=False)
        cast("Any", gr).api(add, api_name="add")
    assert demo.drawn == ["form", "textbox"]


async def test_the_queue_is_shut_and_bounded_from_the_first_on() -> None:
    with LightBlocks() as demo:
        gr.Textbox()
    queue = cast("Any", demo)._queue
    assert not demo.api_open
    assert queue.max_size == MOST_WAITING
    assert queue.sleep_when_free == QUEUE_CHECK_S
    assert queue.default_concurrency_limit is None
    assert type(queue.pending_event_ids_session) is not dict


async def test_unread_answers_have_a_size_together_and_the_newest_is_always_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gradio_patches, "MOST_UNREAD_BYTES", 100_000)
    with LightBlocks() as demo:
        gr.Textbox()
    queue = cast("Any", demo)._queue
    unread = queue.pending_messages_per_session

    def answer(session: str, letters: int) -> None:
        if session not in unread:
            unread[session] = asyncio.Queue()
        queue.pending_event_ids_session.setdefault(session, set()).add("a call")
        event: Any = SimpleNamespace(alive=True, _id=session, session_hash=session)
        output = {"data": [{"rows": [{"prompt": "x" * letters}], "faults": ()}]}
        queue.send_message(event, ProcessCompletedMessage(output=output, success=True))

    for session in "abc":
        answer(session, 40_000)
    assert list(unread) == ["b", "c"] == list(queue.pending_event_ids_session)
    unread["b"].get_nowait()
    answer("b", 40_000)  # what was read counts no more
    assert list(unread) == ["b", "c"]
    queue.event_ids_to_events["d"] = SimpleNamespace(session_hash="c")
    answer("e", 200_000)
    assert list(unread) == ["c", "e"]  # one that waits for another answer keeps what it has
    answer("f", 10)
    assert list(unread) == ["c", "f"]


async def test_no_session_keeps_the_values_of_its_last_call() -> None:
    with LightBlocks() as demo:
        box = gr.Textbox()
        box.change(lambda text: text, box, box, api_name="same")
    session = gradio_patches.SessionState(cast("Any", demo))
    await cast("Any", demo).process_api(demo.fns[0], ["a secret"], state=session)
    assert "a secret" not in repr(session.config_values)
