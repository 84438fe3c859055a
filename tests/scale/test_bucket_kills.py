"""SIGKILL at every checkpoint from the download to the end, with a bucket, and with a disk that is wiped each time."""

from __future__ import annotations

import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from hunyuan_ui.job import Job, JobStatus
from hunyuan_ui.library.bucket import Digest
from tests.bucket_server import BucketServer
from tests.faults import oracle
from tests.faults.kill import ForkServer, Program, fork_server, wrong_after_restart
from tests.faults.service import PaidService

pytestmark = pytest.mark.faults

Point = tuple[str, int]
_AFTER_THE_POST = ("part_", "library.", "bucket", "journey.d", "journey.stored", "ledger.mark_do")


@pytest.mark.slow
def test_a_kill_on_the_way_to_the_bucket_loses_and_doubles_nothing(
    tmp_path: Path, bucket: BucketServer, database: str
) -> None:
    is_wiped = database == "postgres"  # otherwise the spending record is wiped too

    def program(forks: ForkServer, service: PaidService, name: str) -> Program:
        # A prefix of its own, as every ledger has.
        settings = {"videos_url": f"{bucket.url}/{name}"}
        kept = partial(content_of, name)
        return Program(forks, service, tmp_path / name, settings=settings, kept=kept)

    def content_of(name: str, job: Job) -> bytes:
        return bucket.files(f"{name}/")[f"{job.id}.mp4"]

    with PaidService() as service, fork_server() as forks:
        clean = program(forks, service, "clean")
        assert clean.run() == 0, clean.log
    passed = [name for name in clean.passed if name.startswith(_AFTER_THE_POST)]
    points = sorted({(name, hit) for name in set(passed) for hit in (1, passed.count(name))})
    assert {"bucket.written", "bucket.webp", "bucket.json", "bucket.mp4", "bucket.shelved"} < {
        name for name, _ in points
    }

    def wrong_after(forks: ForkServer, point: Point) -> str | None:
        name = f"{point[0]}-{point[1]}"
        with PaidService() as service:
            killed = program(forks, service, name)
            if killed.run(point) != -signal.SIGKILL:
                return f"{point}: did not pass there"

            def wipe() -> None:
                if is_wiped:
                    shutil.rmtree(killed.folder)

            return wrong_after_restart(killed, name, wipe) or wrong_in_bucket(killed, name)

    def wrong_in_bucket(killed: Program, name: str) -> str | None:
        done = {job.id: job.sha256 for job in oracle.stored_jobs(killed.folder) if job.status is JobStatus.DONE}
        files = bucket.files(f"{name}/")
        found = {file[:32]: Digest.of(content).sha256 for file, content in files.items() if file.endswith(".mp4")}
        expected = {f"{job_id}{suffix}" for job_id in done for suffix in (".mp4", ".webp", ".json")}
        return None if found == done and set(files) == expected else f"{name}: {sorted(files)} and {done}"

    def sweep(share: list[Point]) -> list[str]:
        with fork_server() as forks:
            return [wrong for point in share if (wrong := wrong_after(forks, point))]

    with ThreadPoolExecutor() as pool:
        wrong = pool.map(sweep, (points[::3], points[1::3], points[2::3]))
        assert [text for texts in wrong for text in texts] == []
