"""Two real processes on one database and one folder: however one dies, the other finishes its work."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hunyuan_ui.job import Job, JobProblem, JobStatus, new_id
from hunyuan_ui.ledger import Ledger
from tests.faults import oracle
from tests.faults.kill import ForkServer, Program, fork_server
from tests.faults.rig import Dialect, prompt_of
from tests.faults.service import PaidService
from tests.postgres_server import PostgresServer
from tests.raw_service import Received
from tests.stored_jobs import database_in

pytestmark = [pytest.mark.faults, pytest.mark.usefixtures("on_postgres")]

Point = tuple[str, int]
WITHIN_S = 60.0


@pytest.fixture
def on_postgres(postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Open every ledger of a test in PostgreSQL."""
    monkeypatch.setattr("tests.stored_jobs.server", postgres_server)


@dataclass
class Pair:
    """A process that survives a test, and another one that is started as often as needed."""

    forks: ForkServer
    service: PaidService
    folder: Path
    dialect: Dialect
    survivor: Program
    ledger: Ledger  # stays open: a connection for each look would cost the server more than all jobs
    others: list[Program] = field(default_factory=list[Program])

    def other(self, jobs: int = 2) -> Program:
        """Return a program that will make some jobs beside the survivor."""
        ids = [new_id() for _ in range(jobs)]
        self.others.append(
            Program(self.forks, self.service, self.folder, self.dialect, ids, name=f"-other-{len(self.others)}")
        )
        return self.others[-1]

    def rows(self) -> dict[str, Job]:
        """Return all jobs by id."""
        return {job.id: job for job in self.ledger.jobs(None, limit=100_000)}

    def until_ended(self, program: Program) -> None:
        """Wait until a program has no unfinished jobs."""
        give_up_at = time.monotonic() + WITHIN_S
        while any(job.is_active for job in self.rows().values() if job.id in program.jobs):
            assert time.monotonic() < give_up_at, self.survivor.log[-3000:]
            time.sleep(0.05)

    def check(self) -> list[Job]:
        """Assert every invariant."""
        return oracle.check(self.folder, self.service, self.survivor.log, *(other.log for other in self.others))


@contextmanager
def pair(folder: Path, dialect: Dialect = "v2") -> Iterator[Pair]:
    """Start the survivor, and end it when all jobs have ended."""
    end = folder.with_suffix(".end")
    with PaidService() as service, fork_server() as forks, fork_server() as beside, ThreadPoolExecutor() as pool:
        survivor = Program(beside, service, folder, dialect, [], name="-survivor")
        ran: Future[int] = pool.submit(survivor.run, until=str(end))
        try:
            while not survivor.beside.with_suffix(".passed").exists() or "runner.started" not in survivor.log:
                assert not ran.done(), survivor.log
                time.sleep(0.02)
            with closing(Ledger(database_in(folder, can_write=False))) as ledger:
                made = Pair(forks, service, folder, dialect, survivor, ledger)
                yield made
        finally:
            end.touch()
        assert ran.result(WITHIN_S) == 0, survivor.log
        made.check()


@pytest.mark.slow
@pytest.mark.parametrize("dialect", ["v2", "v1"])
def test_a_kill_of_one_at_any_point_leaves_nothing_that_the_other_does_not_end(
    tmp_path: Path, dialect: Dialect
) -> None:
    with pair(tmp_path / "clean", dialect) as clean:
        assert clean.other().run() == 0, clean.others[0].log
    passed = clean.others[0].passed
    points = sorted({(name, hit) for name in set(passed) for hit in (1, passed.count(name))})
    assert len(points) > 40
    with ThreadPoolExecutor(2) as pool:
        sweeps = [pool.submit(_sweep, tmp_path / f"lane{lane}", dialect, points[lane::2]) for lane in range(2)]
        assert [wrong for sweep in sweeps for wrong in sweep.result()] == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sglang", "vllm"])
def test_what_one_leaves_at_an_engine_the_other_ends(tmp_path: Path, kind: str) -> None:
    with pair(tmp_path / "data", "openai") as made:
        made.service.engine.kind = kind
        for point in [("journey.accepted", 1), ("journey.running", 2), ("journey.downloading", 1)]:
            program = made.other()
            assert program.run(point) == -signal.SIGKILL, program.log
            before = made.rows()
            made.until_ended(program)
            after = made.rows()
            arrived = made.service.posts()
            for job_id in before.keys() & set(program.jobs):
                # Found only if it arrived, and only by an engine that lists its jobs with their prompts.
                is_listed = kind == "vllm" and prompt_of(job_id) in arrived
                in_doubt = before[job_id].status is JobStatus.SUBMITTING and not is_listed
                assert after[job_id].status is (JobStatus.UNKNOWN if in_doubt else JobStatus.DONE), point
        assert set(made.service.posts().values()) == {1}
        assert made.service.engine.deleted == []


def _sweep(folder: Path, dialect: Dialect, points: list[Point]) -> list[str]:
    wrong: list[str] = []
    with pair(folder, dialect) as made:
        for point in points:
            program = made.other()
            if program.run(point) != -signal.SIGKILL:
                wrong.append(f"{point}: did not pass there")
            before = made.rows()
            made.until_ended(program)
            wrong += _wrong(str(point), program, before, made.rows())
    return wrong


def _wrong(name: str, program: Program, before: dict[str, Job], after: dict[str, Job]) -> list[str]:
    """Return the deviations from the expected state: unknown if the POST was in flight, else done."""
    wrong: list[str] = []
    for job_id in program.jobs:
        if job_id not in before:
            continue  # it was not stored, so it was not sent
        in_doubt = before[job_id].status in (JobStatus.SUBMITTING, JobStatus.UNKNOWN)  # the other may have been quick
        expected = JobStatus.UNKNOWN if in_doubt else JobStatus.DONE
        if after[job_id].status is not expected:
            wrong.append(f"{name}: {after[job_id].status.value} instead of {expected.value}")
    return wrong


def test_one_that_stood_still_while_it_sent_records_the_answer_although_its_job_was_taken(tmp_path: Path) -> None:
    with pair(tmp_path / "data") as made:
        program = made.other(jobs=1)

        def stop(received: Received) -> None:
            if received.method == "POST" and prompt_of(program.jobs[0]) in received.body.decode():
                program.signal(signal.SIGSTOP)

        made.service.on_request = stop
        with ThreadPoolExecutor() as pool:
            ran = pool.submit(program.run)
            _until(lambda: made.service.posts()[prompt_of(program.jobs[0])] == 1)
            _until(lambda: made.rows()[program.jobs[0]].status is JobStatus.UNKNOWN)
            program.signal(signal.SIGCONT)
            assert ran.result(WITHIN_S) == 0, program.log
        _until(lambda: made.rows()[program.jobs[0]].status is JobStatus.DONE)
        assert made.service.posts()[prompt_of(program.jobs[0])] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "where", ["journey.running", "journey.downloading", "library.poster", "ledger.claim.committed"]
)
def test_one_that_stood_still_past_its_lease_does_nothing_to_what_was_taken(tmp_path: Path, where: str) -> None:
    with pair(tmp_path / "data") as made:
        program = made.other(jobs=3)
        with ThreadPoolExecutor() as pool:
            ran = pool.submit(program.run, stop_at=[where, 2])
            _until(lambda: program.beside.with_suffix(".stopped").exists())
            try:
                taken = [job_id for job_id, job in made.rows().items() if job_id in program.jobs]
                _until(lambda: not any(made.rows()[job_id].is_active for job_id in taken))
            finally:
                program.signal(signal.SIGCONT)
            assert ran.result(WITHIN_S) == 0, program.log
        _until(lambda: all(_is_right(job, made.service.posts()) for job in made.rows().values()))
    assert set(made.service.posts().values()) == {1}


def _is_right(job: Job, posts: Mapping[str, int]) -> bool:
    """Whether a job of a stopped process was made, or its connection was not ready in time and it says so."""
    if posts.get(job.request.prompt):
        return job.status is JobStatus.DONE
    return job.status is JobStatus.FAILED and job.problem == JobProblem.from_code("stood_still")


def _until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)
