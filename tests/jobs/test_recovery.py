"""What a start does with half-written files, videos and previews that an earlier run, or another process, has left."""

from __future__ import annotations

import errno
import io
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from hunyuan_ui.data_folder import DataFolder
from hunyuan_ui.job import Job, JobStatus, new_id
from hunyuan_ui.jobs.recovery import recover
from hunyuan_ui.jobs.services import Services, build_services
from hunyuan_ui.ledger.shared_ledger import SharedLedger
from hunyuan_ui.settings import Secret, Settings
from tests.postgres_server import PostgresServer
from tests.stored_jobs import added, in_status, job
from tests.videos import mp4_bytes

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def opened(folder: Path, url: str | None = None, **options: Any) -> AsyncIterator[Services]:
    settings = Settings(data_dir=folder, database_url=Secret(url) if url else None, **options)
    services = build_services(settings, folder=DataFolder(folder, min_free_bytes=0, is_shared=url is not None))
    try:
        yield services
    finally:
        await services.close()


def put_video(services: Services, job: Job, **edited: object) -> Job:
    """Store a job's video in the library as its run does before the last commit; its sidecar may be edited."""
    services.library.part(job.id).write_bytes(mp4_bytes())
    done = services.library.store(job, services.library.part(job.id))
    path = services.library.folder / f"{job.id}.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **edited}), encoding="utf-8")
    return done


def half_written(services: Services, job_id: str, *, age_s: float = 0.0) -> Path:
    part = services.library.part(job_id)
    part.write_bytes(b"half of it")
    written = time.time() - age_s
    os.utime(part, (written, written))
    return part


async def test_what_is_half_written_goes_at_once_where_no_other_process_can_be_writing_it(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as services:
        part = half_written(services, new_id())
        recover(services)
        assert not part.exists()


async def test_what_another_process_may_be_writing_stays_for_an_hour(
    tmp_path: Path, postgres_server: PostgresServer
) -> None:
    async with opened(tmp_path / "data", postgres_server.url(tmp_path)) as services:
        young, old = (half_written(services, new_id(), age_s=age_s) for age_s in (3500.0, 3700.0))
        recover(services)
        assert young.exists()
        assert not old.exists()


async def test_what_came_of_a_video_that_is_being_fetched_stays(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as services:
        ledger = services.ledger
        running, loading = added(ledger), added(ledger)
        for sent in (running, loading):
            ledger.claim(sent.id)
            ledger.mark_running(sent.id, f"request of {sent.id}")
        ledger.mark_downloading(loading.id, request_id="r", result_url=None, cost_usd=1.46, inference_s=None)
        gone, kept = half_written(services, running.id), half_written(services, loading.id)
        assert {found.id for found in recover(services)} == {running.id, loading.id}
        assert kept.exists()
        assert not gone.exists()


@pytest.mark.parametrize(
    ("begun", "ended"), [(JobStatus.RUNNING, JobStatus.FAILED), (JobStatus.DOWNLOADING, JobStatus.LOST)]
)
async def test_a_preview_ends_where_none_is_offered_however_far_it_was(
    tmp_path: Path, begun: JobStatus, ended: JobStatus
) -> None:
    async with opened(tmp_path / "data") as services:
        preview = in_status(services.ledger, begun, payer="nobody")
    async with opened(tmp_path / "data", api_key=Secret("SG_00112233aabbccdd")) as services:
        assert recover(services) == []
        stored = services.ledger.get(preview.id)
        assert stored is not None
        assert (stored.status, stored.problem and stored.problem.code) == (ended, "preview_gone")
        assert recover(services) == []


async def test_a_video_that_another_process_is_about_to_store_is_left_to_it(
    tmp_path: Path, postgres_server: PostgresServer
) -> None:
    folder, url = tmp_path / "data", postgres_server.url(tmp_path)
    async with opened(folder, url) as other, opened(folder, url) as services:
        for ledger in (other.ledger, services.ledger):
            assert isinstance(ledger, SharedLedger)
            ledger.renew_lease()
        sent = added(other.ledger)
        other.ledger.claim(sent.id)
        other.ledger.mark_running(sent.id, "request-1")
        loading = other.ledger.mark_downloading(
            sent.id, request_id="request-1", result_url=None, cost_usd=1.46, inference_s=None
        )
        done = put_video(other, loading)
        assert recover(services) == []
        assert other.ledger.mark_done(sent.id, sha256=done.sha256 or "", notes=done.notes).status is JobStatus.DONE


async def test_a_video_that_is_deleted_at_that_moment_is_no_fault(
    tmp_path: Path, lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path / "data") as services:
        ended = in_status(services.ledger, JobStatus.LOST, request_id="request-1")
        put_video(services, ended)

        def left_of(_: set[str]) -> set[str]:  # another process deletes right after this process has looked
            services.ledger.hide(ended.id)
            return set()

        monkeypatch.setattr(services.library, "left_of", left_of)
        assert recover(services) == []
        assert services.ledger.get(ended.id) is None
    assert "library.not_adopted" not in lines.getvalue()


@pytest.mark.parametrize("name", ["visitor", "request_id"])
async def test_a_video_whose_sidecar_says_what_no_ledger_can_store_stays_and_holds_no_start(
    name: str, tmp_path: Path, lines: io.StringIO
) -> None:
    async with opened(tmp_path / "data") as services:
        stranger = put_video(services, job(request_id="request-1"), **{name: "half a picture sign \ud83e"})
        known = put_video(services, job(request_id="request-2"))
        assert recover(services) == []
        assert [found.id for found in services.ledger.jobs(None)] == [known.id]
        assert services.library.video(stranger.id).is_file()
    assert lines.getvalue().count("library.not_adopted") == 1


@contextmanager
def forbidden(monkeypatch: pytest.MonkeyPatch, path: Path, name: str) -> Iterator[None]:
    """Have one of a path's methods fail for one file, as for another user's."""
    real = getattr(Path, name)

    def refused(self: Path, *values: Any, **named: Any) -> Any:
        if self == path:
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(self, *values, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Path, name, refused)
        yield


async def test_a_video_that_cannot_be_read_is_not_adopted_and_holds_no_start(
    tmp_path: Path, lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path / "data") as services:
        closed, known = (
            put_video(services, job(request_id="request-1")),
            put_video(services, job(request_id="request-2")),
        )
        with forbidden(monkeypatch, services.library.video(closed.id), "open"):
            assert recover(services) == []
        assert [found.id for found in services.ledger.jobs(None)] == [known.id]
        assert lines.getvalue().count("library.not_adopted") == 1
        recover(services)
        assert {found.id for found in services.ledger.jobs(None)} == {known.id, closed.id}


@pytest.mark.parametrize("suffix", [".mp4", ".webp", ".json"])
async def test_a_deleted_videos_file_that_cannot_be_removed_holds_no_start_and_no_other_deletion(
    tmp_path: Path, lines: io.StringIO, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    async with opened(tmp_path / "data") as services:
        deleted = [in_status(services.ledger, JobStatus.LOST, request_id=f"request-{number}") for number in range(3)]
        for ended in deleted:
            put_video(services, ended)
            services.ledger.hide(ended.id)
        kept = services.library.folder / f"{deleted[0].id}{suffix}"
        with forbidden(monkeypatch, kept, "unlink"):
            assert recover(services) == []
        assert {path.name[:32] for path in services.library.folder.iterdir()} == {deleted[0].id}
        assert kept.exists()
        assert lines.getvalue().count("library.not_deleted") == 1
        recover(services)
        assert list(services.library.folder.iterdir()) == []
