"""Hunyuan UI: settings -> services -> page -> launch. Start it with `python app.py [--share]`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from fastapi import FastAPI

from hunyuan_ui import log
from hunyuan_ui.errors import SettingsError
from hunyuan_ui.preview import service_for
from hunyuan_ui.runner import open_runner
from hunyuan_ui.settings import Settings
from hunyuan_ui.ui.page import build_page, launch_options
from hunyuan_ui.ui.routes import build_routes

END_WITHIN_S: Final = 10.0  # a container is killed soon after


def read_settings(arguments: Sequence[str]) -> Settings:
    """Return the settings of the environment and the command line, or end with a sentence and status 2."""
    parser = argparse.ArgumentParser(description="Make videos from text with hosted HunyuanVideo.")
    parser.add_argument("--share", action="store_true", help="also open a public link; see README, Sharing")
    options = parser.parse_args(arguments)
    try:
        return Settings.from_environ(share=options.share, home=Path(__file__).parent)
    except SettingsError as error:
        parser.error(str(error))


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None, None]:
    """Let the runner live exactly as long as the server."""
    await runner.start()
    try:
        yield
    finally:
        await runner.stop()
        has_ended.set()


has_ended = threading.Event()
services = ExitStack()
settings = services.enter_context(service_for(read_settings(sys.argv[1:] if __name__ == "__main__" else [])))
log.configure(settings.api_key, settings.access_code)
runner = open_runner(settings)
demo = build_page(runner, has_analytics=os.environ.get("GRADIO_ANALYTICS_ENABLED") == "True")


def main() -> None:
    """Serve the page until Ctrl+C or SIGTERM, then let the runner end what it must."""
    should_end = threading.Event()

    def end(*_: object) -> None:
        should_end.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    with services:
        app = {"lifespan": lifespan, "routes": build_routes(runner)}
        demo.launch(app_kwargs=app, prevent_thread_lock=True, **launch_options(settings))
        # A wait without a time limit keeps Windows from seeing Ctrl+C.
        while not should_end.wait(1.0):
            pass
        demo.close()
        has_ended.wait(END_WITHIN_S)


if __name__ == "__main__":
    main()
