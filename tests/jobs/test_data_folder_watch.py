"""A data folder that is removed, replaced or restored while the program runs: detection and recovery."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import os
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from hunyuan_ui import checkpoint
from hunyuan_ui.data_folder import DataFolder
from hunyuan_ui.errors import StorageError
from hunyuan_ui.job import Job, JobStatus, Phase, Visitor, new_id
from hunyuan_ui.jobs import JobRunner, build_runner, data_folder_watch, dispatcher, job_run
from hunyuan_ui.ledger import Ledger, open_ledger, sqlite
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.settings import Secret, Settings
from tests.fake_service import FakeService
from tests.seen import seen

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows lets nobody take away what is open"),
]

VISITOR = Visitor.from_token("a" * 32, is_owner=True)
FOR_EVER = 10**9


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check often, and shorten the waits that protect a real service."""
    for module in (data_folder_watch, dispatcher):
        monkeypatch.setattr(module, "LOOK_EVERY_S", 0.01)
    for module in (job_run, dispatcher):
        monkeypatch.setattr(module, "backoff_s", lambda *_, **__: 0.01)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def service() -> FakeService:
    return FakeService(polls_needed=FOR_EVER)


@asynccontextmanager
async def running(folder: Path, service: FakeService, **options: Any) -> AsyncIterator[JobRunner]:
    settings = Settings(data_dir=folder, api_key=Secret("SG_00112233aabbccdd"), poll_interval_s=0.002, concurrency=1)
    held = DataFolder(folder, min_free_bytes=0)
    runner = build_runner(settings, client=service.client(), download=service.download, folder=held, **options)
    await runner.start()
    try:
        yield runner
    finally:
        await runner.stop()


async def clicked(runner: JobRunner) -> str:
    job_id = new_id()
    await runner.submit(job_id, VideoRequest(prompt="a heron"), VISITOR)
    return job_id


async def rendering(runner: JobRunner) -> str:
    """Return a paid job that is rendering until `finish`."""
    job_id = await clicked(runner)
    await until(lambda: seen(runner, job_id, VISITOR).job.request_id)
    return job_id


def finish(service: FakeService) -> None:
    service._polls_needed = 3


async def ended(runner: JobRunner, job_id: str) -> Job:
    job = await runner.wait(job_id, VISITOR, 20)
    assert not job.is_active, job.status
    return job


async def until(condition: Callable[[], object]) -> None:
    async def hold() -> None:
        while not condition():  # noqa: ASYNC110 - the runner has no event for every state
            await asyncio.sleep(0.002)

    await asyncio.wait_for(hold(), 20)


async def refusal(runner: JobRunner) -> str | None:
    try:
        await clicked(runner)
    except StorageError as error:
        return error.code
    return None


def events(lines: io.StringIO, name: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in lines.getvalue().splitlines()]
    return [line for line in found if line["event"] == name]


def stored(folder: Path) -> dict[str, JobStatus]:
    ledger = Ledger(open_ledger(folder, can_write=False).database)
    jobs = ledger.jobs(None, limit=1000)
    ledger.close()
    return {job.id: job.status for job in jobs}


def copies(folder: Path) -> list[Path]:
    return list(folder.glob("ledger.backup-*.sqlite3"))


def move(folder: Path, to: Path) -> None:
    folder.rename(to)


# ways to lose it


def ledger_deleted(folder: Path) -> None:
    for path in folder.glob("ledger.sqlite3*"):
        path.unlink()


def ledger_replaced(folder: Path) -> None:
    other = folder.with_name("other")
    other.mkdir()
    open_ledger(other).database.close()
    (other / "ledger.sqlite3").replace(folder / "ledger.sqlite3")


def log_deleted(folder: Path) -> None:
    (folder / "ledger.sqlite3-wal").unlink()


def lock_deleted(folder: Path) -> None:
    (folder / "ledger.lock").unlink()


def lock_replaced(folder: Path) -> None:
    lock_deleted(folder)
    (folder / "ledger.lock").touch()


def folder_deleted(folder: Path) -> None:
    shutil.rmtree(folder)


def folder_made_again(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def folder_renamed(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


def folder_restored(folder: Path) -> None:
    """As an owner would restore yesterday's copy."""
    shutil.copytree(folder, folder.with_name("copy"))
    shutil.rmtree(folder)
    folder.with_name("copy").rename(folder)


OF_THE_LEDGER = [ledger_deleted, ledger_replaced, log_deleted]
OF_THE_LOCK = [lock_deleted, lock_replaced]
OF_THE_FOLDER = [folder_deleted, folder_made_again, folder_renamed, folder_restored]
EVERY_WAY = [*OF_THE_LEDGER, *OF_THE_LOCK, *OF_THE_FOLDER]


def name_of(way: Callable[[Path], None]) -> str:
    return way.__name__


@pytest.mark.parametrize("way", EVERY_WAY, ids=name_of)
async def test_nothing_more_is_sent_and_what_was_sent_is_named(
    folder: Path, service: FakeService, lines: io.StringIO, way: Callable[[Path], None]
) -> None:
    async with running(folder, service) as runner:
        sent = await rendering(runner)
        waits = await clicked(runner)
        way(folder)
        assert await refusal(runner) == "folder_replaced"
        assert not runner.is_healthy
        problem = (await runner.spending()).problem
        assert problem is not None
        assert problem.code == "folder_replaced"
        await until(lambda: events(lines, "folder.replaced"))
        request_id = (await runner.view(sent, VISITOR)).job.request_id
        named = [(line["job"], line["request_id"]) for line in events(lines, "job.at_risk")]
        assert named == [(sent, request_id)]
        finish(service)
        if way not in (folder_deleted, folder_renamed):  # there is no place for its file then
            assert (await ended(runner, sent)).status is JobStatus.DONE
        await until(lambda: seen(runner, waits, VISITOR).note)
        view = await runner.view(waits, VISITOR)
        assert view.note is not None
        assert (view.phase, view.job.status, view.note.code) == (Phase.PAUSED, JobStatus.QUEUED, "folder_replaced")
        assert service.posts == 1
    assert service.posts == 1


async def test_many_that_wait_are_not_tried_again_and_again(
    folder: Path, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "LOOK_EVERY_S", 0.1)
    async with running(folder, service) as runner:
        sent = await rendering(runner)
        for _ in range(30):
            await clicked(runner)
        folder_made_again(folder)
        finish(service)
        await ended(runner, sent)
        await until(lambda: all(live.note for live in runner._dispatcher.waiting()))
        looks: list[None] = []
        look = runner._dispatcher._folder_watch.look

        async def counted() -> Any:
            looks.append(None)
            return await look()

        monkeypatch.setattr(runner._dispatcher._folder_watch, "look", counted)
        await until(lambda: len(looks) == 3)
        assert len(runner._dispatcher.waiting()) == 30
        assert runner._dispatcher._tasks == {}
        assert service.posts == 1


async def test_a_folder_that_is_put_back_is_used_again_by_itself(
    folder: Path, service: FakeService, lines: io.StringIO
) -> None:
    away = folder.with_name("away")
    async with running(folder, service) as runner:
        sent = await rendering(runner)
        waits = await clicked(runner)
        for _ in range(2):
            move(folder, away)
            assert await refusal(runner) == "folder_replaced"
            await until(lambda: seen(runner, waits, VISITOR).note)
            move(away, folder)
            await until(lambda: seen(runner, waits, VISITOR).note is None)
        assert runner.is_healthy
        assert len(events(lines, "folder.put_back")) == 2
        finish(service)
        for job_id in (sent, waits, await clicked(runner)):
            assert (await ended(runner, job_id)).status is JobStatus.DONE
    assert set(stored(folder).values()) == {JobStatus.DONE}
    assert service.posts == 3


async def test_a_link_that_leads_to_another_folder_pays_into_neither(tmp_path: Path, service: FakeService) -> None:
    link, first, second = tmp_path / "data", tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    link.symlink_to(first)
    async with running(link, service) as runner:
        link.unlink()
        link.symlink_to(second)
        assert await refusal(runner) == "folder_replaced"
        link.unlink()
        link.symlink_to(first)
        assert await refusal(runner) is None


@pytest.mark.parametrize("way", [*OF_THE_LOCK, folder_made_again, folder_renamed, folder_restored], ids=name_of)
async def test_of_two_programs_on_a_path_only_the_one_that_holds_what_lies_there_pays(
    folder: Path, service: FakeService, way: Callable[[Path], None]
) -> None:
    other = FakeService()
    async with running(folder, service) as first:
        sent = await rendering(first)
        await clicked(first)
        way(folder)
        async with running(folder, other) as second:
            assert second.is_healthy
            made = await clicked(second)
            assert await refusal(first) == "folder_replaced"
            if way in OF_THE_LOCK:  # the same ledger: it takes over
                finish(service)
            assert (await ended(second, made)).status is JobStatus.DONE
            assert other.posts in ((2,) if way in (*OF_THE_LOCK, folder_restored) else (1,))
            assert service.posts == 1
        assert await refusal(first) == "folder_replaced" or way is folder_renamed
    after = stored(folder)
    assert after[made] is JobStatus.DONE
    assert (sent in after) == (way in (*OF_THE_LOCK, folder_restored))


async def test_the_last_look_is_between_the_claim_and_the_post(folder: Path, service: FakeService) -> None:
    def lose(name: str) -> None:
        if name == "ledger.claim.committed":
            ledger_deleted(folder)

    checkpoint.hook = lose
    async with running(folder, service) as runner:
        job_id = await clicked(runner)
        await until(lambda: seen(runner, job_id, VISITOR).note)
        assert (await runner.view(job_id, VISITOR)).job.status is JobStatus.QUEUED
        assert service.posts == 0


# nothing paid is lost


@pytest.mark.parametrize("has_copies", [False, True])
@pytest.mark.parametrize("way", [ledger_deleted, log_deleted], ids=name_of)
async def test_a_kill_after_a_deleted_ledger_was_noticed_forgets_no_paid_job(
    folder: Path, service: FakeService, lines: io.StringIO, way: Callable[[Path], None], has_copies: bool
) -> None:
    killed = folder.with_name("killed")
    async with running(folder, service) as runner:
        if has_copies:
            service._polls_needed = 3
            await ended(runner, await clicked(runner))
            await until(lambda: copies(folder))
            service._polls_needed = FOR_EVER
        sent = await rendering(runner)
        waits = await clicked(runner)
        way(folder)
        await until(lambda: events(lines, "ledger.saved"))
        shutil.copytree(folder, killed)
    finish(service)
    async with running(killed, service) as runner:
        assert (await ended(runner, sent)).status is JobStatus.DONE
        if way is log_deleted:
            assert (await ended(runner, waits)).status is JobStatus.DONE
        else:
            # A copy may be old, so its queued jobs count as sent until its owner decides.
            assert (await runner.view(waits, VISITOR)).job.status is JobStatus.UNKNOWN
            assert await refusal(runner) == "ledger_damaged"
            await runner.owner.resume(VISITOR)
        assert (await ended(runner, await clicked(runner))).status is JobStatus.DONE
    assert service.posts == 2 + has_copies + (way is log_deleted)


async def test_a_ledger_that_is_deleted_after_its_log_is_copied_as_well(
    folder: Path, service: FakeService, lines: io.StringIO
) -> None:
    async with running(folder, service) as runner:
        await rendering(runner)
        log_deleted(folder)
        await until(lambda: events(lines, "ledger.saved"))
        ledger_deleted(folder)
        await until(lambda: copies(folder))


@pytest.mark.parametrize("way", [ledger_deleted, log_deleted], ids=name_of)
async def test_what_ends_after_it_was_noticed_is_saved_as_well(
    folder: Path, service: FakeService, way: Callable[[Path], None]
) -> None:
    async with running(folder, service) as runner:
        sent = await rendering(runner)
        for _ in range(7):
            (folder / f"ledger.backup-{new_id()[:8]}.sqlite3").touch()
        way(folder)
        finish(service)
        assert (await ended(runner, sent)).status is JobStatus.DONE
    async with running(folder, service) as runner:
        assert (await runner.view(sent, VISITOR)).job.status is JobStatus.DONE
        assert (await runner.spending()).spent_total_usd > 0


async def test_what_nobody_had_noticed_yet_is_saved_by_a_stop(
    folder: Path, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "LOOK_EVERY_S", 3600.0)
    async with running(folder, service) as runner:
        sent = await rendering(runner)
        ledger_deleted(folder)
    finish(service)
    async with running(folder, service) as runner:
        assert (await ended(runner, sent)).status is JobStatus.DONE
    assert service.posts == 1


async def test_copies_of_one_trouble_push_no_good_ones_out(
    folder: Path, service: FakeService, lines: io.StringIO
) -> None:
    async with running(folder, service) as runner:
        sent = await rendering(runner)
        ledger_deleted(folder)
        await until(lambda: events(lines, "ledger.saved"))
        for number in range(6):
            before = len(events(lines, "ledger.saved"))
            await runner._services.writes(runner._services.ledger.note, sent, number=number)
            await until(lambda: len(events(lines, "ledger.saved")) > before)  # noqa: B023 - used at once
        assert len(copies(folder)) == 1


async def test_a_ledger_that_cannot_be_saved_is_tried_again(
    folder: Path, service: FakeService, lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(folder, service) as runner:
        await rendering(runner)
        real = runner._services.ledger.database.back_up

        def refuse(folder: Path) -> Path:
            raise StorageError("disk_full", free="0 MB")

        monkeypatch.setattr(runner._services.ledger.database, "back_up", refuse)
        ledger_deleted(folder)
        await until(lambda: len(events(lines, "ledger.not_saved")) > 2)
        monkeypatch.setattr(runner._services.ledger.database, "back_up", real)
        await until(lambda: events(lines, "ledger.saved"))


async def test_a_video_that_came_after_the_folder_was_made_again_is_kept_and_counted(
    folder: Path, service: FakeService
) -> None:
    async with running(folder, service) as runner:
        sent = await rendering(runner)
        folder_made_again(folder)
        finish(service)
        job = await ended(runner, sent)
        assert job.status is JobStatus.DONE
    async with running(folder, service) as runner:
        assert (await runner.video_path(sent, VISITOR)).is_file()
        assert (await runner.spending()).spent_total_usd == pytest.approx((job.cost_microusd or 0) / 1e6)


async def test_a_program_that_ends_takes_nothing_from_the_one_that_came_after_it(
    folder: Path, service: FakeService
) -> None:
    async with running(folder, service) as first:
        await rendering(first)
        folder_made_again(folder)
        other = FakeService(polls_needed=FOR_EVER)
        async with running(folder, other) as second:
            sent = await rendering(second)
            await first.stop()
            assert second.is_healthy
            assert list(stored(folder)) == [sent]
            assert not copies(folder)
            finish(other)
            assert (await ended(second, sent)).status is JobStatus.DONE


# what every click would be told, told before one


async def test_a_lock_that_another_program_keeps_is_told_without_a_click_and_passes_with_it(
    folder: Path, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.02)
    monkeypatch.setattr(sqlite, "HELD_S", 0.1)
    async with running(folder, service) as runner:
        with closing(sqlite3.connect(folder / "ledger.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await until(lambda: (problem := runner.problem) and problem.code == "ledger_held")
            assert not runner.is_healthy
            assert await refusal(runner) == "ledger_held"
            other.execute("ROLLBACK")
        await until(lambda: runner.problem is None)
        assert runner.is_healthy
        assert await refusal(runner) is None


async def test_a_lock_of_a_moment_is_no_trouble(
    folder: Path, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.02)
    async with running(folder, service) as runner:
        with closing(sqlite3.connect(folder / "ledger.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await asyncio.sleep(0.2)
            assert runner.problem is None
            assert await refusal(runner) == "ledger_busy"


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.EIO])
async def test_a_folder_that_takes_no_write_is_told_without_a_click_and_passes_with_it(
    folder: Path, service: FakeService, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(data_folder_watch, "WRITE_EVERY_S", 0.0)
    async with running(folder, service) as runner:
        with monkeypatch.context() as broken:
            broken.setattr(os, "utime", refuse)
            await until(lambda: (problem := runner.problem) and problem.code == "disk_read_only")
            assert not runner.is_healthy
            assert await refusal(runner) == "disk_read_only"
        await until(lambda: runner.problem is None)
        assert await refusal(runner) is None
