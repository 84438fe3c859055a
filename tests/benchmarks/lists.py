"""A list of a thousand prompts, from the page's request to the table with every row's time and price."""

from __future__ import annotations

import json
import time
from statistics import median

import httpx

from hunyuan_ui.prompt_list import MOST_BYTES, MOST_ROWS
from hunyuan_ui.request import VideoRequest
from tests.benchmarks.clip import clip_in, workspace
from tests.benchmarks.processes import app_with, child, service_settings
from tests.benchmarks.stored import TOKEN, WORDS, fill
from tests.benchmarks.table import Row, bound

CHECK = "gradio_api/hunyuan/lists/check"


def measure(is_short: bool) -> list[Row]:
    """Check a list with every value in every row, in a folder whose finished videos have calibrated prices."""
    turns = 3 if is_short else 15
    with workspace() as folder, child("service", str(clip_in(folder))) as url:
        fill(folder / "data", clip_in(folder), done=100)
        with app_with(folder, **service_settings(url)) as app:
            took = median(_seconds(app.url, turn) for turn in range(turns))
    return [bound(f"list of {MOST_ROWS:,} prompts: read, checked and priced", took, "s", at_most=1.0)]


def _seconds(url: str, turn: int) -> float:
    rows = [_row(f"{' '.join(WORDS)} {turn} {number}") for number in range(MOST_ROWS)]
    text = "\n".join(json.dumps(row) for row in rows)
    assert 0.3 * MOST_BYTES < len(text) <= MOST_BYTES
    wish = {"prompts": text, "name": f"list {turn}", "form": VideoRequest.model_construct().model_dump()}
    began = time.perf_counter()
    answer = httpx.post(f"{url}{CHECK}", json=wish, headers={"x-hunyuan-visitor": TOKEN}, timeout=60)
    took = time.perf_counter() - began
    told = answer.json()
    assert (told["to_make"], len(told["table"]), told["faults"]) == (MOST_ROWS, MOST_ROWS, [])
    return took


def _row(prompt: str) -> dict[str, object]:
    return VideoRequest.parse({"prompt": prompt, "seed": 7}).model_dump()
