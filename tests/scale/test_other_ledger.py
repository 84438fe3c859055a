"""A start with another ledger than the last one, uncopied, spends nothing before the owner has confirmed the budget."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from hunyuan_ui.cli_output import Exit
from hunyuan_ui.errors import StorageError
from hunyuan_ui.job import JobStatus
from hunyuan_ui.jobs import JobRunner
from hunyuan_ui.settings import Secret
from tests.faults.conftest import impatient as impatient
from tests.faults.conftest import service as service
from tests.faults.rig import OWNER, Rig, click, ended, kill, until
from tests.faults.service import PaidService
from tests.postgres_server import PostgresServer
from tests.scale.one_copy import Said
from tests.scale.one_copy import move as move
from tests.scale.one_copy import quick as quick
from tests.scale.one_copy import rig as rig
from tests.scale.one_copy import target as target
from tests.seen import seen

pytestmark = [pytest.mark.anyio, pytest.mark.faults]


@pytest.fixture
def database(target: str) -> Secret:
    """The address of an empty database."""
    return Secret(target)


async def is_asked(runner: JobRunner) -> bool:
    """Whether a click is refused until the owner has confirmed the budget, which page and health say."""
    problem = runner.problem
    if problem is None:
        await ended(runner, await click(runner))
        return False
    assert problem.code == "ledger_damaged"
    assert await runner.owner.is_paused(OWNER)
    with pytest.raises(StorageError, match="ledger_damaged"):
        await click(runner)
    return True


async def spend(rig: Rig) -> None:
    """Pay for a video, and delete it, so that no file in the library gives it back."""
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
        assert job.status is JobStatus.DONE
        await runner.delete(job.id, OWNER)


@pytest.mark.parametrize("first", ["file", "database"])
async def test_another_ledger_waits_for_the_owners_word_and_is_not_asked_about_again(
    rig: Rig, database: Secret, first: str
) -> None:
    ways = (None, database) if first == "file" else (database, None)
    rig.url = ways[0]
    await spend(rig)
    rig.url = ways[1]
    for _ in range(2):
        async with rig.running() as runner:
            assert await is_asked(runner)
    async with rig.running() as runner:
        await runner.owner.resume(OWNER)
        assert not await is_asked(runner)
    for _ in range(2):
        async with rig.running() as runner:
            assert not await is_asked(runner)


async def test_two_databases_one_after_the_other_are_told_apart(
    rig: Rig, database: Secret, postgres_server: PostgresServer
) -> None:
    rig.url = database
    await spend(rig)
    rig.url = Secret(postgres_server.url(rig.folder.with_name("other")))
    async with rig.running() as runner:
        assert await is_asked(runner)
    rig.url = database
    async with rig.running() as runner:
        assert not await is_asked(runner)


async def test_what_waits_in_the_other_ledger_is_sent_after_the_owners_word(
    rig: Rig, service: PaidService, database: Secret
) -> None:
    rig.settings["concurrency"] = 1
    service.is_held = True
    dying = rig.open()
    await dying.start()
    first, waiting = [await click(dying) for _ in range(2)]
    await until(lambda: bool(seen(dying, first, OWNER).job.request_id))
    await kill(dying)
    service.is_held = False
    rig.url = database
    async with rig.running() as runner:
        await runner.owner.resume(OWNER)
    await spend(rig)
    rig.url = None
    posts = len(service.posts())
    async with rig.running() as runner:
        assert (await ended(runner, first)).status is JobStatus.DONE
        await asyncio.sleep(0.3)
        assert len(service.posts()) == posts
        note = seen(runner, waiting, OWNER).note
        assert note is not None
        assert note.code == "ledger_damaged"
        await runner.owner.resume(OWNER)
        assert (await ended(runner, waiting)).status is JobStatus.DONE


async def test_videos_that_the_folder_gives_back_need_no_word(rig: Rig, database: Secret) -> None:
    async with rig.running() as runner:
        assert not await is_asked(runner)
    rig.url = database
    async with rig.running() as runner:
        assert runner.read_spending().spent_total_usd > 0
        assert not await is_asked(runner)


async def test_copying_the_ledger_answers_the_question(rig: Rig, database: Secret, move: Callable[..., Said]) -> None:
    await spend(rig)
    rig.url = database
    async with rig.running() as runner:
        assert await is_asked(runner)
    assert move().code == Exit.DONE
    async with rig.running() as runner:
        assert not await is_asked(runner)
