"""Moves data folders and kills itself where told to; started by `tests.faults.kill.fork_server`.

Each line on its input is one run, as JSON: {"arguments", "environ", "kill_at": [name, hit] or null, "passed": a file
that gets a line for each checkpoint}. A run is a process of its own, and its exit status is answered in a line.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hunyuan_ui import checkpoint, cli_copy
from hunyuan_ui.library import copy_to_bucket as of_videos


def _hook(options: dict[str, Any]) -> Callable[[str], None]:
    hits: Counter[str] = Counter()
    lock = threading.Lock()
    passed = Path(options["passed"])

    def hook(name: str) -> None:
        with lock, passed.open("a", encoding="ascii") as file:
            hits[name] += 1
            file.write(f"{name}\n")
            if [name, hits[name]] == options["kill_at"]:
                file.flush()
                os.kill(os.getpid(), signal.SIGKILL)

    return hook


def _child(options: dict[str, Any]) -> int:
    checkpoint.hook = _hook(options)
    with passed_to(options).open("ab") as said:
        os.dup2(said.fileno(), sys.stdout.fileno())
        os.dup2(said.fileno(), sys.stderr.fileno())
    os.environ |= options["environ"]  # obstore reads a bucket's keys there
    return cli_copy.main(options["arguments"], options["environ"])


def passed_to(options: dict[str, Any]) -> Path:
    """Return the file for a run's output."""
    return Path(options["passed"]).with_suffix(".said")


if __name__ == "__main__":
    of_videos._AT_ONCE = 1  # so that the checkpoints are passed in a fixed order
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = _child(json.loads(line))
            sys.stdout.flush()
            os._exit(code)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()
