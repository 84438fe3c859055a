"""A program that makes some jobs and kills itself where told to; `kill.py` starts it.

    python -m tests.faults.program

Each line on its input is one start, as JSON: {"folder", "origin", "dialect", "jobs", "settings", "environment",
"kill_at": [name, hit] or null}. Without jobs it waits for those that it finds under way; with "list" and "budget_usd"
it sends that list of prompts and waits for its end; with "until" it works on what is there until that file exists and
nothing is under way. It is run in a process of its own, forked so that a start does not cost the imports again; its
exit status is answered in a line. Beside the folder, or the path "beside", stand `.passed` (a line for each
checkpoint), `.pid` and `.log`. Without `kill_at` it ends when every job has ended; on SIGTERM it stops as the app does.
At "stop_at", as at `kill_at`, it stands still until somebody lets it go on, and leaves a file `.stopped`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
import traceback
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from hunyuan_ui import log
from hunyuan_ui.errors import StorageError
from hunyuan_ui.jobs import Order
from hunyuan_ui.prompt_list import read_list
from hunyuan_ui.settings import Secret
from tests.faults.rig import OWNER, Rig, be_impatient, click, ended
from tests.forks import prepare_to_fork


class _Checkpoint:
    """Notes each point that is passed, and kills or stops this process at the one that was named."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._kill_at, self._stop_at = options.get("kill_at"), options.get("stop_at")
        self._passed = _beside(options).with_suffix(".passed")
        self._hits: Counter[str] = Counter()
        self._lock = threading.Lock()  # two jobs may be stored at once, each in its thread

    def __call__(self, name: str) -> None:
        with self._lock, self._passed.open("a", encoding="ascii") as file:
            self._hits[name] += 1
            hit = self._hits[name]
            file.write(f"{name}\n")
        if [name, hit] == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if [name, hit] == self._stop_at:
            self._passed.with_suffix(".stopped").touch()
            os.kill(os.getpid(), signal.SIGSTOP)


async def _run(options: dict[str, Any]) -> None:
    settings: dict[str, Any] = options.get("settings") or {}
    if url := options.get("database_url"):
        settings["database_url"] = Secret(url)
    rig = Rig(
        Path(options["folder"]),
        options["origin"],
        options["dialect"],
        settings=settings,
        checkpoint=_Checkpoint(options),
    )
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with rig.running() as runner:
        assert (await runner.spending()).problem is None
        if "list" in options:
            making = _make_list(runner, options["list"], options["budget_usd"])
        elif "until" in options:
            making = _make_all(runner, Path(options["until"]))
        else:
            making = _make(runner, options["jobs"])
        work = asyncio.ensure_future(making)
        await asyncio.wait({work, asyncio.ensure_future(stop.wait())}, return_when=asyncio.FIRST_COMPLETED)
    # The runner has stopped below it, or the server has ended what stood still.
    if stop.is_set() or options.get("stop_at"):
        with suppress(StorageError, AssertionError):
            await work
    else:
        await work


async def _make(runner: Any, job_ids: list[str]) -> None:
    for job_id in job_ids:
        await click(runner, job_id)
    under_way = [job.id for job in await asyncio.to_thread(runner._services.ledger.active)]
    for job_id in job_ids or under_way:
        await ended(runner, job_id)


async def _make_all(runner: Any, end: Path) -> None:
    def is_under_way() -> bool:
        return not end.exists() or bool(runner._services.ledger.active())

    while await asyncio.to_thread(is_under_way):  # noqa: ASYNC110 - another process does all of it
        await asyncio.sleep(0.02)


async def _make_list(runner: Any, text: str, budget_usd: float) -> None:
    sent = await runner.batches.start(read_list(text, "campaign"), Order(OWNER, budget_usd))
    while (await runner.batches.view(sent.list_id, OWNER, wait_s=60)).is_running:
        pass


def _beside(options: dict[str, Any]) -> Path:
    return Path(options.get("beside") or options["folder"])


def _child(options: dict[str, Any]) -> int:
    os.environ.clear()
    os.environ.update(options["environment"])  # a bucket's keys are read there
    folder = _beside(options)
    with folder.with_suffix(".log").open("a", encoding="utf-8") as stream:
        log.configure(stream=stream)
        os.dup2(stream.fileno(), sys.stderr.fileno())
        folder.with_suffix(".pid").write_text(str(os.getpid()), encoding="ascii")
        try:
            asyncio.run(_run(options))
        except (Exception, SystemExit):  # noqa: BLE001 - the parent reads it in the log
            traceback.print_exc()
            return 1
    return 0


if __name__ == "__main__":
    be_impatient()
    prepare_to_fork()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(_child(json.loads(line)))
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()
