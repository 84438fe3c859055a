"""Runs a program that kills itself, and restarts it until every job has ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from hunyuan_ui.job import Job, JobStatus, new_id
from tests.faults import oracle
from tests.faults.rig import Dialect
from tests.faults.service import PaidService
from tests.stored_jobs import url_in

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class ForkServer:
    """A process that forks one program after another."""

    process: subprocess.Popen[str]

    def run(self, **options: object) -> int:
        """Run the program once, in this process's environment, and return its exit status."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"environment": dict(os.environ), **options}) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def end(self) -> None:
        """Let it run what it has begun, and end it."""
        with self.process:
            assert self.process.stdin is not None
            self.process.stdin.close()
            self.process.wait(60)


_idle: defaultdict[str, list[ForkServer]] = defaultdict(list)


@contextmanager
def fork_server(program: str = "tests.faults.program") -> Iterator[ForkServer]:
    """Lend the forking process of a program with that one's input format.

    Another test gets it afterwards, unless this one fails; it exits with this process, when its input closes.
    """
    try:
        server = _idle[program].pop()
    except IndexError:
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        server = ForkServer(subprocess.Popen([sys.executable, "-m", program], cwd=ROOT, **pipes))
    try:
        yield server
    except BaseException:
        server.end()
        raise
    _idle[program].append(server)


@dataclass
class Program:
    """The program of one data folder, started as often as needed."""

    fork_server: ForkServer
    service: PaidService
    folder: Path
    dialect: Dialect = "v2"
    jobs: list[str] = field(default_factory=lambda: [new_id(), new_id()])
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    kept: Callable[[Job], bytes] | None = None  # see `oracle.check`
    name: str = ""  # distinguishes it from others on the same folder

    def run(self, kill_at: tuple[str, int] | None = None, **options: object) -> int:
        """Run it to its end and return its exit status; it kills itself at the nth passing of a named checkpoint."""
        return self.fork_server.run(
            folder=str(self.folder),
            origin=self.service.origin,
            dialect=self.dialect,
            jobs=self.jobs,
            settings=self.settings,
            database_url=None if (url := url_in(self.folder)) is None else url.reveal(),
            kill_at=kill_at,
            beside=str(self.beside),
            **options,
        )

    @property
    def beside(self) -> Path:
        """Path prefix of its notes."""
        return self.folder.with_name(f"{self.folder.name}{self.name}")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; called while it runs."""
        os.kill(int(self.beside.with_suffix(".pid").read_text("ascii")), number)

    @property
    def passed(self) -> list[str]:
        """The passed checkpoints, in order, over all starts."""
        return self.beside.with_suffix(".passed").read_text("ascii").split()

    @property
    def log(self) -> str:
        """Its whole output, over all starts."""
        return self.beside.with_suffix(".log").read_text("utf-8")


def wrong_after_restart(
    program: Program, name: str, between: Callable[[], object] = lambda: None, *, is_known: bool = False
) -> str | None:
    """Restart a program that was killed, and return what is wrong then.

    Args:
        program: The killed program.
        name: Of the checkpoint.
        between: What happens before the second start.
        is_known: The service can report what was being sent.
    """
    if is_known:
        httpx.get(program.service.origin)  # once this is answered, everything sent before has been accepted
        program.service.wait_until_closed()
    arrived = program.service.posts()  # of two that were being sent, one may not have left
    try:
        before = oracle.check(program.folder, program.service, program.log, at_rest=False, kept=program.kept)
        between()
        if program.run() != 0:
            return f"{name}: no second start\n{program.log}"
        after = oracle.check(program.folder, program.service, program.log, kept=program.kept)
    except AssertionError as error:
        return f"{name}: {error}"
    # An engine that lists its jobs with their prompts has what was being sent.
    known = arrived if is_known else {}
    in_doubt = {job.id for job in before if job.status is JobStatus.SUBMITTING and job.request.prompt not in known}
    expected = {job: JobStatus.UNKNOWN if job in in_doubt else JobStatus.DONE for job in program.jobs}
    found = {job.id: job.status for job in after}
    return None if found == expected else f"{name}: {found} instead of {expected}"
