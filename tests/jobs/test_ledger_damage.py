"""A ledger file that is cut or damaged while the program runs: health tells it, and a restart repairs it."""

from __future__ import annotations

import io
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from hunyuan_ui.errors import StorageError
from hunyuan_ui.job import JobProblem, JobStatus
from hunyuan_ui.jobs import services
from hunyuan_ui.ledger import Opened
from tests.fake_service import FakeService
from tests.jobs.test_data_folder_watch import (
    FOR_EVER,
    VISITOR,
    clicked,
    copies,
    ended,
    events,
    finish,
    name_of,
    refusal,
    rendering,
    running,
    until,
)
from tests.jobs.test_data_folder_watch import folder as folder
from tests.jobs.test_data_folder_watch import impatient as impatient
from tests.jobs.test_data_folder_watch import service as service
from tests.seen import seen

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows lets nobody change what is open"),
]


def cut_to_nothing(ledger: Path) -> None:
    with ledger.open("r+b") as file:
        file.truncate(0)


def cut_in_half(ledger: Path) -> None:
    with ledger.open("r+b") as file:
        file.truncate(ledger.stat().st_size // 2)


def overwritten(ledger: Path) -> None:
    ledger.write_bytes(b"\0" * ledger.stat().st_size)


def without_its_table(ledger: Path) -> None:
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute("DROP TABLE jobs")


@pytest.mark.parametrize("way", [cut_to_nothing, cut_in_half], ids=name_of)
async def test_a_ledger_that_was_cut_is_noticed_before_anything_is_sent_and_told_in_health(
    folder: Path, service: FakeService, lines: io.StringIO, way: Callable[[Path], None]
) -> None:
    async with running(folder, service) as runner:
        sent = await rendering(runner)
        way(folder / "ledger.sqlite3")
        assert (runner.is_healthy, runner.problem.code if runner.problem else None) == (False, "folder_replaced")
        assert await refusal(runner) in ("folder_replaced", "ledger_unreadable")
        await until(lambda: events(lines, "ledger.saved"))
        assert events(lines, "job.at_risk")[0]["job"] == sent
    assert service.posts == 1
    finish(service)
    async with running(folder, service) as runner:
        assert (await ended(runner, sent)).status is JobStatus.DONE


@pytest.mark.parametrize("way", [overwritten, without_its_table], ids=name_of)
async def test_damage_that_a_running_program_meets_is_told_in_health_with_its_cure_until_a_restart_has_repaired_it(
    folder: Path, service: FakeService, way: Callable[[Path], None]
) -> None:
    async with running(folder, service) as runner:
        service._polls_needed = 3
        await ended(runner, await clicked(runner))
        await until(lambda: copies(folder))
        service._polls_needed = FOR_EVER
        await rendering(runner)
        way(folder / "ledger.sqlite3")
        assert await refusal(runner) == "ledger_unreadable"
        assert (runner.is_healthy, runner.problem.code if runner.problem else None) == (False, "ledger_unreadable")
    assert service.posts == 2
    finish(service)
    async with running(folder, service) as runner:
        assert await refusal(runner) == "ledger_damaged"
        assert await runner.owner.is_paused(VISITOR)
        await runner.owner.resume(VISITOR)
        assert not await runner.owner.is_paused(VISITOR)
        assert (await ended(runner, await clicked(runner))).status is JobStatus.DONE
        assert runner.is_healthy


async def test_a_job_that_was_sent_before_the_damage_is_told_that_it_was(folder: Path, service: FakeService) -> None:
    async with running(folder, service) as runner:
        sent = await rendering(runner)
        without_its_table(folder / "ledger.sqlite3")
        finish(service)
        await until(lambda: seen(runner, sent, VISITOR).note)
        assert seen(runner, sent, VISITOR).note == JobProblem.from_code("ledger_unreadable_sent")


async def test_a_ledger_that_grows_and_a_log_that_is_emptied_are_no_damage(folder: Path, service: FakeService) -> None:
    service._polls_needed = 1
    async with running(folder, service) as runner:
        for _ in range(3):
            job_id = await clicked(runner)
            await ended(runner, job_id)
            await runner.delete(job_id, VISITOR)
            assert runner.problem is None
        assert runner.is_healthy


async def test_a_log_that_was_taken_away_is_noticed_before_anything_is_sent(folder: Path, service: FakeService) -> None:
    async with running(folder, service) as runner:
        sent = await rendering(runner)
        (folder / "ledger.sqlite3-wal").unlink()
        assert await refusal(runner) == "folder_replaced"
    assert service.posts == 1
    finish(service)
    async with running(folder, service) as runner:
        assert (await ended(runner, sent)).status is JobStatus.DONE


async def test_a_start_on_a_full_disk_makes_room_with_what_was_kept_for_that(
    folder: Path, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_ledger, reserve = services.open_ledger, folder / "ballast"

    def open_while_full(path: Path, *, can_write: bool = True) -> Opened:
        if can_write and reserve.exists():
            raise StorageError("disk_full")
        return open_ledger(path, can_write=can_write)

    async with running(folder, service):
        assert reserve.exists()
    monkeypatch.setattr(services, "open_ledger", open_while_full)
    async with running(folder, service) as runner:
        assert runner.problem is None
