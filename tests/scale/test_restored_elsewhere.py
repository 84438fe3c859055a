"""A database restored to an older state: a process that sent nothing of what is missing must not spend it again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hunyuan_ui.errors import StorageError
from hunyuan_ui.job import JobStatus
from hunyuan_ui.jobs import JobRunner, data_folder_watch
from tests.faults.conftest import impatient as impatient
from tests.faults.conftest import service as service
from tests.faults.rig import OWNER, Rig, click, ended, until
from tests.faults.service import PaidService
from tests.postgres_server import load_rows, rows_of
from tests.scale.separate_folders import rig as rig
from tests.scale.separate_folders import url as url

pytestmark = [pytest.mark.anyio, pytest.mark.faults]


@pytest.fixture(autouse=True)
def written_to_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_folder_watch, "WRITE_EVERY_S", 0.1)


def problem(runner: JobRunner) -> str | None:
    return runner.problem and runner.problem.code


async def pay(runner: JobRunner) -> None:
    """Pay for a video, and delete it, so that no file in the library gives it back."""
    job = await ended(runner, await click(runner))
    assert job.status is JobStatus.DONE
    await runner.delete(job.id, OWNER)


async def test_what_one_process_notices_holds_the_owners_key_at_all(
    rig: Callable[[str], Rig], service: PaidService, url: str
) -> None:
    async with rig("payer").running() as payer, rig("other").running() as other:
        before = rows_of(url)
        await pay(payer)
        newer = rows_of(url)
        load_rows(url, before)
        await until(lambda: problem(payer) == "database_set_back")
        await until(lambda: problem(other) == "ledger_damaged")
        with pytest.raises(StorageError, match="ledger_damaged"):
            await click(other)
        load_rows(url, newer)
        await until(lambda: problem(other) is None)
        load_rows(url, before)
        await until(lambda: problem(other) == "ledger_damaged")
        assert await other.owner.is_paused(OWNER)
        await other.owner.resume(OWNER)
        assert problem(other) is None
        await ended(other, await click(other))
        assert problem(payer) == "database_set_back"
    assert len(service.bill) == 2


@pytest.mark.parametrize("at", ["payer", "other"])
async def test_the_owners_word_at_any_process_is_enough(at: str, rig: Callable[[str], Rig], url: str) -> None:
    async with rig("payer").running() as payer:
        before = rows_of(url)
        await pay(payer)
    load_rows(url, before)
    async with rig("other").running() as other:
        assert problem(other) is None
        async with rig("payer").running() as payer, rig("late").running() as late:
            await until(lambda: [problem(each) for each in (payer, other)] == ["ledger_damaged"] * 2)
            await until(lambda: problem(late) == "ledger_damaged")
            await {"payer": payer, "other": other}[at].owner.resume(OWNER)
            await until(lambda: [problem(each) for each in (payer, other, late)] == [None] * 3)
    async with rig("payer").running() as payer, rig("late").running() as late:
        assert [problem(payer), problem(late)] == [None] * 2


async def test_all_that_start_after_one_has_noticed_wait_for_the_owners_word(
    rig: Callable[[str], Rig], url: str
) -> None:
    async with rig("payer").running() as payer:
        before = rows_of(url)
        await pay(payer)
    load_rows(url, before)
    async with rig("payer").running() as payer:
        await until(lambda: problem(payer) == "ledger_damaged")
        review = payer._services.ledger.review
        assert review is not None
        await until(lambda: review.is_wanted)
    for name in ("late", "later"):  # each the only one of its time, which begins without the pauses of before
        async with rig(name).running() as one:
            assert problem(one) == "ledger_damaged"
