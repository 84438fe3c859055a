"""My videos with ten thousand videos, compared with a hundred: the responses that the gallery waits for."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from tests.benchmarks.clip import clip_in, workspace
from tests.benchmarks.processes import Caller, app_with, child, service_settings
from tests.benchmarks.stored import COMMON, RARE, TOKEN, fill
from tests.benchmarks.table import Row, alternate, bound, ratio

VIDEOS = "/gradio_api/hunyuan/videos"
FEW, MANY = 100, 10_000


def measure(is_short: bool) -> list[Row]:
    """Request the newest page, a word in many prompts, and a word in the oldest video's prompt only."""
    rounds = 15 if is_short else 61
    with workspace() as folder, child("service", str(clip_in(folder))) as url:
        settings = service_settings(url)
        for count in (FEW, MANY):
            fill(folder / str(count) / "data", clip_in(folder), done=count)
        with app_with(folder / str(FEW), **settings) as few, app_with(folder / str(MANY), **settings) as many:
            small, large = Caller(few.url), Caller(many.url)
            questions = {"first page": "", "search": f"?search={COMMON}", "search for the oldest": f"?search={RARE}"}
            rows: list[Row] = []
            for what, question in questions.items():
                path, name = VIDEOS + question, f"library of {MANY:,}: {what}"
                assert len(_found(small, path)) == len(_found(large, path)), what
                ours, reference = alternate(rounds, partial(_ms, large, path), partial(_ms, small, path))
                if RARE in question:  # reads all prompts
                    rows.append(bound(name, ours, "ms", at_most=25.0, reference=reference))
                else:
                    rows.append(ratio(name, ours, reference, "ms", at_most=1.5))
    return rows


def _ms(caller: Caller, path: str) -> float:
    return 1000 * caller.seconds(path, x_hunyuan_visitor=TOKEN)


def _found(caller: Caller, path: str) -> list[Any]:
    return json.loads(caller.get(path, x_hunyuan_visitor=TOKEN))["videos"]
