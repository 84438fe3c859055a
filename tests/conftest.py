"""Common setup: a quiet Gradio, an empty environment, a data folder per test, and no connections to other machines."""

from __future__ import annotations

import io
import ipaddress
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from hunyuan_ui import checkpoint, log
from hunyuan_ui.words import select_texts
from tests import stored_jobs
from tests.bucket_server import BucketServer
from tests.chosen import may_hold
from tests.postgres_server import PostgresServer, installed
from tests.thrift import be_thrifty

# How long an example takes depends on the machine's other load.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

_gradio_files = tempfile.TemporaryDirectory(prefix="hunyuan-ui-tests-", ignore_cleanup_errors=True)


_READ_BY_SOMETHING = ("SEGMIND_", "HUNYUAN_UI_", "GRADIO_", "SPACE_", "AWS_", "AZURE_", "GOOGLE_")


def _clear_environment() -> None:
    for name in list(os.environ):
        if name.startswith(_READ_BY_SOMETHING) or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ.pop("SYSTEM", None)  # "spaces" makes Gradio believe it runs on one
    os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_OFFLINE="1", GRADIO_TEMP_DIR=_gradio_files.name)
    os.environ["HUNYUAN_UI_ENV_FILE"] = os.devnull  # never the developer's own, with a key in it


def _listen_to_signals() -> None:
    """Undo a shell's setting that makes background jobs, and their children, ignore Ctrl+C."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP) if os.name == "posix" else ():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


_listen_to_signals()

# Gradio and huggingface_hub read these once, on import, so this precedes all test modules.
_clear_environment()
be_thrifty()

_refused: list[str] = []


@pytest.fixture(autouse=True)
def speaks_as_a_start_without_an_engine() -> Iterator[None]:
    """Undo the choice of texts that a start in another test has made."""
    yield
    select_texts()


def is_on_this_machine(address: object) -> bool:
    """Whether a socket address stays here: a unix socket, or a loopback or unspecified IP address."""
    if not isinstance(address, tuple):
        return True
    if address[0] == "localhost":
        return True
    try:
        host = ipaddress.ip_address(str(address[0]).partition("%")[0])
    except ValueError:
        return False
    return host.is_loopback or host.is_unspecified


def _refuse_to_leave(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto") and not is_on_this_machine(arguments[1]):
        _refused.append(f"{event} {arguments[1]!r}")
        raise ConnectionRefusedError("tests do not leave this machine")


sys.addaudithook(_refuse_to_leave)


@pytest.fixture
def refused_connections() -> list[str]:
    """This test's attempts to reach other machines; a test that intends one clears the list."""
    return _refused


@pytest.fixture(autouse=True)
def stays_on_this_machine(refused_connections: list[str]) -> Iterator[None]:
    """Fail a test that tried to reach another machine, even if the program handled the refusal."""
    refused_connections.clear()
    yield
    assert not refused_connections, "tried to leave this machine"


@pytest.fixture(autouse=True)
def own_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test, and each program it starts, a separate data folder instead of the developer's."""
    folder = tmp_path / "data"
    monkeypatch.setenv("HUNYUAN_UI_DATA_DIR", str(folder))
    return folder


@pytest.fixture(autouse=True)
def no_hook_is_left() -> Iterator[None]:
    """Remove a test's hook from the program's checkpoints."""
    yield
    checkpoint.hook = None


@pytest.fixture
def own_environment() -> Iterator[None]:
    """Restore this process's environment."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this test process."""
    server = PostgresServer(installed())
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test on both databases: `opened_ledger` and `build_runner` use this one."""
    if request.param == "postgres":
        monkeypatch.setattr(stored_jobs, "server", request.getfixturevalue("postgres_server"))
    return request.param


@pytest.fixture(scope="session")
def bucket_server() -> Iterator[BucketServer]:
    """A stand-in for S3 of this test process."""
    server = BucketServer()
    yield server
    server.stop()


@pytest.fixture
def bucket(bucket_server: BucketServer, monkeypatch: pytest.MonkeyPatch) -> BucketServer:
    """A bucket of this test, with the store's own variables set."""
    bucket_server.begin()
    for name, value in bucket_server.environment.items():
        monkeypatch.setenv(name, value)
    return bucket_server


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """The program's log, without any named secret that it could redact."""
    stream = io.StringIO()
    logger, root = logging.getLogger("hunyuan_ui"), logging.getLogger()
    before, others = (logger.handlers[:], logger.level, logger.propagate), root.handlers[:]
    log.configure(stream=stream)
    yield stream
    logger.handlers[:], logger.level, logger.propagate = before
    root.handlers[:] = others


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, as the app does."""
    return "asyncio"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Skip test files that `-k` cannot select: one test then starts in a second or two."""
    return None if may_hold(collection_path, config.getoption("keyword") or "") else True


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slow tests at the start of each worker's share, and browser tests at the end.

    Playwright keeps an event loop in the main thread, where async tests need theirs. Those of one file share a page.
    """
    browser = [item for item in items if item.get_closest_marker("browser")]
    plain = [item for item in items if not item.get_closest_marker("browser")]
    slow = [item for item in plain if item.get_closest_marker("slow")]
    others = [item for item in plain if not item.get_closest_marker("slow")] + browser
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    share = -(-len(others) // workers)  # initial number of tests per worker
    items[:] = [
        item
        for worker in range(workers)
        for item in (*slow[worker::workers], *others[worker * share : (worker + 1) * share])
    ]
