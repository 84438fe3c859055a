"""Hunyuan UI: settings -> services -> page -> launch. Its options are in startup.py."""

from __future__ import annotations

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Until the program can end in order, Ctrl+C ends it at once, without a traceback of what is being imported.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import asyncio
import concurrent.futures
import os
import sys
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

if (own_folder := str(Path(__file__).parent)) not in sys.path:
    sys.path.insert(0, own_folder)  # which `python -P` and PYTHONSAFEPATH leave out

from fastapi import FastAPI
from starlette.middleware import Middleware

from hunyuan_ui import log
from hunyuan_ui.errors import SettingsError
from hunyuan_ui.jobs import build_runner
from hunyuan_ui.startup import (
    EndSignal,
    addresses,
    check_served,
    check_temporary_folder,
    check_writable,
    describe,
    read_settings,
    say,
    stop,
)
from hunyuan_ui.ui.gradio_import import without_stubs

arguments = sys.argv[1:] if __name__ == "__main__" else []
# Before the import of Gradio, which then reads some of the same variables, and crashes if one is invalid.
settings = read_settings(arguments, Path(__file__).parent)
check_temporary_folder(os.environ)
without_stubs()

from hunyuan_ui.ui.asset_cache import AssetMemory, PageCompression
from hunyuan_ui.ui.call_values import CallRules
from hunyuan_ui.ui.connections import bound_connections
from hunyuan_ui.ui.gradio_patches import listen_on, wait_for_server
from hunyuan_ui.ui.page import build_page, launch_faults, launch_options
from hunyuan_ui.ui.replica_answers import build_answer_routes
from hunyuan_ui.ui.request_filter import install_request_filter
from hunyuan_ui.ui.routes import build_routes
from hunyuan_ui.ui.served_files import served_folders
from hunyuan_ui.words import words

END_CALLS_WITHIN_S: Final = 1.0
END_WITHIN_S: Final = 10.0  # a container is killed soon after


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
    """Run the runner exactly as long as the server, and refuse to serve with settings that are unsafe in public."""
    log.take_over()
    install_request_filter(app, settings, CallRules(demo), routes=routes)
    if settings.is_public and (found := launch_faults(demo, has_analytics=has_analytics, has_mcp=settings.has_mcp)):
        log.free_prints()
        say(words()["start.unsafe"], *found)
        os._exit(2)  # Gradio would react to an exception by trying a hundred other ports
    await runner.start()
    loops.append(asyncio.get_running_loop())
    try:
        yield
    finally:
        await runner.stop()
        has_ended.set()


has_ended = threading.Event()
loops: list[asyncio.AbstractEventLoop] = []  # the server's
folders = served_folders(os.environ)
check_served(settings, folders)
check_writable(folders[0])
log.configure(*settings.secrets)
try:
    runner = build_runner(settings)
except SettingsError as error:
    stop(error)
has_analytics = os.environ.get("GRADIO_ANALYTICS_ENABLED") == "True"
demo = build_page(runner, has_analytics=has_analytics)
routes = build_routes(runner)


def main() -> None:
    """Serve the page until Ctrl+C or SIGTERM, then stop the runner in order."""
    end_signal = EndSignal()
    log.guard_prints()
    spending = runner.read_spending()
    say(*describe(settings, spent_today_usd=spending.spent_today_usd, spent_total_usd=spending.spent_total_usd))
    listen_on(settings.server_name)
    wait_for_server(end_signal.has_come)
    bound_connections()
    filters = [Middleware(PageCompression), Middleware(AssetMemory)]
    app = {"lifespan": lifespan, "routes": [*routes, *build_answer_routes(runner)], "middleware": filters}
    try:
        demo.launch(app_kwargs=app, prevent_thread_lock=True, quiet=True, **launch_options(settings))
    except SettingsError as error:
        stop(error)
    say(*addresses(str(demo.local_url), demo.share_url, mcp_error=demo.mcp_error))
    end_signal.wait()
    with suppress(concurrent.futures.TimeoutError):  # no builtin one in Python 3.10
        asyncio.run_coroutine_threadsafe(demo.end_calls(), loops[0]).result(END_CALLS_WITHIN_S)
    demo.close()
    has_ended.wait(END_WITHIN_S)


if __name__ == "__main__":
    main()
