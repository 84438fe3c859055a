"""A data folder with a bucket (moto's S3 on loopback, a stand-in)."""

from __future__ import annotations

from pathlib import Path

import pytest

from hunyuan_ui.job import Job, JobStatus, Phase
from hunyuan_ui.jobs import JobRunner
from hunyuan_ui.library import bucket as door
from hunyuan_ui.library.bucket import BucketLimits
from hunyuan_ui.words import words
from tests.bucket_server import BucketServer
from tests.faults.rig import OWNER, Rig, click, ended, until
from tests.faults.service import PaidService
from tests.seen import seen

QUICK = BucketLimits(connect_s=1.0, answer_s=2.0, rest_s=0.05)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten a bucket's timeouts."""
    monkeypatch.setattr(door, "LIMITS", QUICK)


@pytest.fixture
def rig(tmp_path: Path, service: PaidService, bucket: BucketServer) -> Rig:
    """Opens runners on one data folder with a bucket."""
    return Rig(tmp_path / "data", service.origin, settings={"videos_url": bucket.url, "daily_limit_usd": 1000.0})


def here(rig: Rig) -> set[str]:
    """Return the names of the files that wait in the folder."""
    return {path.name for path in (rig.folder / "videos").iterdir()}


def cached(rig: Rig) -> set[str]:
    return {path.name for path in (rig.folder / "cache").iterdir()}


async def made(runner: JobRunner) -> Job:
    job = await ended(runner, await click(runner))
    assert job.status is JobStatus.DONE, job.problem
    return job


async def waits(runner: JobRunner, job_id: str, code: str) -> None:
    """Wait until a job waits for the bucket, and says why."""

    def has_said() -> bool:
        note = seen(runner, job_id, OWNER).note
        return note is not None and note.code == code

    await until(has_said)
    view = seen(runner, job_id, OWNER)
    assert (view.job.status, view.phase) == (JobStatus.DOWNLOADING, Phase.DOWNLOADING)
    assert view.note is not None
    assert "{" not in words().sentence(view.note)
