"""Starts the app in forks of a process that has imported the common modules, which saves seconds per start.

    python -m tests.forks

Each line on its input is one JSON object: {"start": [script, arguments ...], "environment", "output"} is answered by
the process's id, {"ended": id} by its exit status, or null while it runs.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.thrift import be_thrifty

ROOT: Final = Path(__file__).parents[1]
LOOK_EVERY_S: Final = 0.02
PREVIEW_S: Final = 2.0  # long enough to look at a waiting page
# Variables that Gradio and its libraries may read once, on import; a start with other values is not forked.
READ_ONCE: Final = ("GRADIO_", "HF_", "OAUTH_", "OPENID_", "PYTHON", "SPACE", "SSL_", "SYSTEM")
SPACE: Final = {"SYSTEM": "spaces"}  # several tests start a Space, so a second process with it pays off
READ_AT_EACH_START: Final = ("GRADIO_MCP_SERVER", "GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT", "GRADIO_TEMP_DIR")


class Fork:
    """A started program, with the subset of `subprocess.Popen` that the tests use.

    Args:
        pid: Process id.
        script: The script it runs.
        is_space: Whether its parent is the process of the Spaces.
    """

    def __init__(self, pid: int, script: str, *, is_space: bool) -> None:
        self.pid = pid
        self._is_space = is_space
        self.args = script
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status; None while it runs."""
        if self.returncode is None:
            self.returncode = _ask({"ended": self.pid}, is_space=self._is_space)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end with a timeout in seconds.

        Raises:
            subprocess.TimeoutExpired: It is still running.
        """
        give_up_at = time.monotonic() + (timeout or 3600)
        while (status := self.poll()) is None:
            if time.monotonic() > give_up_at:
                raise subprocess.TimeoutExpired(self.args, timeout or 3600)
            time.sleep(LOOK_EVERY_S)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


def can_fork(environment: Mapping[str, str]) -> bool:
    """Whether a program with this environment may start in a fork; only on Linux, where it is safe."""
    others = (_read_once({**_environment(), **more}) for more in ({}, SPACE))
    return sys.platform == "linux" and _read_once(environment) in others


def fork(script: str, environment: Mapping[str, str], output: Path) -> Fork:
    """Start a script with its output in a file."""
    is_space = SPACE.items() <= environment.items()
    question = {"start": [script], "environment": dict(environment), "output": str(output)}
    return Fork(_ask(question, is_space=is_space), script, is_space=is_space)


def _read_once(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: text
        for name, text in environment.items()
        if name.startswith(READ_ONCE) and name not in READ_AT_EACH_START
    }


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


@cache
def _server(*, is_space: bool) -> subprocess.Popen[str]:
    """Start the forking process; it exits with this one, when its input closes."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    environment = {**_environment(), **(SPACE if is_space else {})}
    return subprocess.Popen([sys.executable, "-m", "tests.forks"], cwd=ROOT, env=environment, **pipes)


def _ask(question: dict[str, Any], *, is_space: bool) -> Any:
    server = _server(is_space=is_space)
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(json.dumps(question) + "\n")
    server.stdin.flush()
    return json.loads(server.stdout.readline())


def prepare_to_fork() -> None:
    """Load what the program itself loads only when it needs it, and let no fork look through what is there."""
    import anyio._backends._asyncio  # noqa: F401
    import av  # noqa: F401
    import httpx
    from PIL import Image

    from hunyuan_ui.endpoint.http import shared_ssl_context

    Image.init()
    shared_ssl_context()
    httpx.Client().close()
    gc.freeze()


def _import_all() -> None:
    import hunyuan_ui.jobs
    import hunyuan_ui.startup
    import hunyuan_ui.ui.asset_cache
    import hunyuan_ui.ui.page
    import hunyuan_ui.ui.request_filter
    import hunyuan_ui.ui.routes  # noqa: F401
    from hunyuan_ui.local_endpoint.app import create_app

    create_app.__kwdefaults__ = {**(create_app.__kwdefaults__ or {}), "seconds": PREVIEW_S}
    prepare_to_fork()


def _serve() -> None:
    """Answer questions until there are no more, or return in a fork what is left of one: to run its script."""
    for line in sys.stdin:
        question = json.loads(line)
        if "start" in question:
            answer: object = os.fork()
            if answer == 0:
                _become(question["start"], question["environment"], question["output"])
                return
        else:
            pid, status = os.waitpid(question["ended"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _become(command: list[str], environment: dict[str, str], output: str) -> None:
    os.environ.clear()
    os.environ.update(environment)
    with open(os.devnull, "rb") as nothing, open(output, "ab", buffering=0) as log:  # noqa: PTH123 - file descriptors
        os.dup2(nothing.fileno(), 0)
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    for name, module in list(sys.modules.items()):
        if name.startswith("gradio") and hasattr(module, "DEFAULT_TEMP_DIR"):
            module.DEFAULT_TEMP_DIR = environment["GRADIO_TEMP_DIR"]  # pyright: ignore[reportAttributeAccessIssue]
    sys.argv = command
    runpy.run_path(command[0], run_name="__main__")


if __name__ == "__main__":
    be_thrifty()
    _import_all()
    _serve()
