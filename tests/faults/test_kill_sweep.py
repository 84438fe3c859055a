"""SIGKILL at every checkpoint of a job's run, in a real process; then a start that must restore everything."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.kill import ForkServer, Program, fork_server, wrong_after_restart
from tests.faults.rig import Dialect
from tests.faults.service import PaidService
from tests.raw_service import Received, Reply, Wire

pytestmark = [pytest.mark.faults, pytest.mark.usefixtures("database")]

Point = tuple[str, int]


# v1 on PostgreSQL is killed at each point in tests/scale/test_replicas.py, with another process running.
SWEEPS = [("sqlite", "v2"), ("sqlite", "v1"), ("sqlite", "openai"), ("postgres", "v2"), ("postgres", "openai")]


@pytest.mark.slow
@pytest.mark.parametrize(("database", "dialect"), SWEEPS, indirect=["database"])
def test_nothing_is_lost_or_paid_twice_by_a_kill(tmp_path: Path, dialect: Dialect) -> None:
    with PaidService() as service, fork_server() as forks:
        clean = Program(forks, service, tmp_path / "clean", dialect)
        assert clean.run() == 0, clean.log
    points = sorted({(name, hit) for name in set(clean.passed) for hit in (1, clean.passed.count(name))})
    assert len(points) > 40

    def sweep(share: list[Point]) -> list[str]:
        with fork_server() as forks:
            return [wrong for point in share if (wrong := _wrong_after(forks, tmp_path, dialect, point))]

    with ThreadPoolExecutor() as pool:
        wrong = pool.map(sweep, (points[::3], points[1::3], points[2::3]))
        assert [text for texts in wrong for text in texts] == []


def _wrong_after(forks: ForkServer, folder: Path, dialect: Dialect, point: Point) -> str | None:
    """Kill at a point, restart, and return what is wrong then."""
    with PaidService() as service:
        program = Program(forks, service, folder / f"{point[0]}-{point[1]}", dialect)
        if program.run(point) != -signal.SIGKILL:
            return f"{point}: did not pass there"
        return wrong_after_restart(program, str(point))


@pytest.mark.slow
@pytest.mark.parametrize("dialect", ["v2", "v1"])
@pytest.mark.parametrize("ending", ["hunyuan-video", "/status", ".mp4"])
def test_a_kill_while_the_service_answers_is_made_good(tmp_path: Path, dialect: Dialect, ending: str) -> None:
    with PaidService() as service, fork_server() as forks:
        program = Program(forks, service, tmp_path / "data", dialect)

        def kill(received: Received) -> None:
            if received.path.endswith(ending):
                service.on_request = lambda _: None
                program.signal(signal.SIGKILL)

        service.on_request = kill
        is_asked = dialect == "v2" or ending == "hunyuan-video"
        assert program.run() == (-signal.SIGKILL if is_asked else 0)
        assert wrong_after_restart(program, ending) is None


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["/health", "/videos", "/content"])
@pytest.mark.parametrize("kind", ["sglang", "vllm"])
def test_a_kill_while_an_engine_answers_is_made_good(tmp_path: Path, kind: str, ending: str) -> None:
    with PaidService() as service, fork_server() as forks:
        service.engine.kind = kind
        program = Program(forks, service, tmp_path / "data", "openai")

        def kill(received: Received) -> None:
            if received.path.endswith(ending):
                service.on_request = lambda _: None
                program.signal(signal.SIGKILL)

        service.on_request = kill
        assert program.run() == -signal.SIGKILL
        is_known = kind == "vllm"  # the other job may just be sent, whichever answer is cut off
        assert wrong_after_restart(program, ending, is_known=is_known) is None


@pytest.mark.slow
@pytest.mark.parametrize("dialect", ["v2", "v1"])
def test_a_kill_in_the_middle_of_the_videos_bytes_is_made_good(tmp_path: Path, dialect: Dialect) -> None:
    with PaidService() as service, fork_server() as forks:
        program = Program(forks, service, tmp_path / "data", dialect)
        way = ("GET", "/files/*") if dialect == "v2" else ("POST", "/v1/*")

        def act(wire: Wire, received: Received) -> None:
            all_but_the_end = _AllButTheEnd(wire.socket, wire.stopped)
            service.behave(received).act(all_but_the_end, received)
            while not list(program.folder.glob("videos/*.mp4.part")) and wire.pause(0.01):
                pass
            program.signal(signal.SIGKILL)

        service.on(*way, [Reply(act)])
        assert program.run() == -signal.SIGKILL
        assert wrong_after_restart(program, "body") is None


class _AllButTheEnd(Wire):
    def send(self, data: bytes) -> None:
        super().send(data[:-500])
