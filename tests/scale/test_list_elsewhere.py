"""What one process does with a list is known to the others, also while it begins, and when it stood still."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hunyuan_ui.errors import SpendLimitError, StorageError
from hunyuan_ui.jobs import Order, replica_stores, replicas
from hunyuan_ui.prompt_list import list_id, read_list
from tests.faults.conftest import impatient as impatient
from tests.faults.conftest import service as service
from tests.faults.rig import OWNER, STRANGER, Rig
from tests.faults.service import PaidService
from tests.postgres_server import PostgresServer
from tests.scale.test_two_runners import two, until

pytestmark = [pytest.mark.anyio, pytest.mark.faults, pytest.mark.slow]

ROWS = 4
CAMPAIGN = read_list("\n".join(f"a heron, take {number}" for number in range(ROWS)), "campaign")


@pytest.fixture
def rig(tmp_path: Path, service: PaidService, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Opens runners on one folder and one database."""
    monkeypatch.setattr("tests.stored_jobs.server", postgres_server)
    monkeypatch.setattr(replica_stores, "STOPS_WITHIN_S", 0.5)
    return Rig(tmp_path / "data", service.origin, settings={"daily_limit_usd": 1000.0, "concurrency": 2})


@pytest.mark.parametrize(("budget_usd", "made"), [(3.0, 1), (0.5, 0), (31.0, ROWS)])
@pytest.mark.parametrize("nth", [1, 2])
async def test_a_row_is_not_stored_under_the_budget_from_before_it_was_taken_over(
    rig: Rig, budget_usd: float, made: int, nth: int
) -> None:
    wakes, stands = threading.Event(), threading.Event()
    async with two(rig) as (one, other):
        add, calls = one._services.ledger.add, list[str]()

        def late(job: Any, *more: Any) -> Any:
            calls.append(job.id)
            if len(calls) == nth:
                stands.set()
                assert wakes.wait(30)
            return add(job, *more)

        one._services.ledger.add = late  # pyright: ignore[reportAttributeAccessIssue]
        sent = await one.batches.start(CAMPAIGN, Order(OWNER, 30.0))

        async def stands_still() -> bool:
            return stands.is_set()

        await until(stands_still)
        await other.batches.start(CAMPAIGN, Order(OWNER, budget_usd))
        known = {job.id for job in other._services.ledger.of_list(sent.list_id)}
        wakes.set()

        async def is_left() -> bool:
            batch = one.batches._batches.get(sent.list_id)
            return batch is None or not batch.is_running

        await until(is_left)
        view = await other.batches.view(sent.list_id, OWNER, wait_s=60)
        jobs = other._services.ledger.of_list(sent.list_id)
        assert {job.list_budget_usd for job in jobs if job.id not in known} <= {budget_usd}
        assert len(calls) == nth
        assert view.done >= made
        assert (view.budget_usd, view.is_running) == (budget_usd, False)
        seen = await one.batches.view(sent.list_id, OWNER)
        assert (seen.budget_usd, seen.done) == (budget_usd, view.done)


@pytest.fixture
def begins(rig: Rig) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Events of a list that begins at the first process: set where it does, and where it may go on."""
    rig.settings = {"share": True, "daily_limit_usd": 100.0, "visitor_daily_videos": 100}
    begins, goes_on = threading.Event(), threading.Event()
    yield begins, goes_on
    goes_on.set()


@pytest.mark.parametrize("fails", [False, True])
async def test_a_list_that_begins_at_one_process_is_under_way_for_the_other(
    rig: Rig, begins: tuple[threading.Event, threading.Event], monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    has_begun, goes_on = begins
    async with two(rig) as (one, other):
        join = one._services.ledger.join_list

        def late(*values: Any) -> None:
            has_begun.set()
            assert goes_on.wait(30)
            if fails:
                raise StorageError("ledger_busy")
            join(*values)

        one._services.ledger.join_list = late  # pyright: ignore[reportAttributeAccessIssue]
        starting = asyncio.create_task(one.batches.start(CAMPAIGN, Order(STRANGER, 30.0)))
        assert await asyncio.to_thread(has_begun.wait, 10)
        await asyncio.sleep(0.3)  # a tick, which publishes its state once that can be written
        monkeypatch.setattr(replicas, "TICK_S", 10.0)
        if not fails:
            goes_on.set()
            assert (await starting).is_running
        with pytest.raises(SpendLimitError, match="lists_running"):
            await other.batches.start(read_list("a crow", "more"), Order(STRANGER, 30.0))
        monkeypatch.setattr(replicas, "TICK_S", 0.05)
        if not fails:
            return
        goes_on.set()
        with pytest.raises(StorageError, match="ledger_busy"):
            await starting
        own_id = list_id(STRANGER.id, "campaign")
        assert not (await asyncio.wait_for(one.batches.stop(own_id, STRANGER), 10)).is_running

        async def is_known() -> bool:
            return not (await other.batches.view(own_id, STRANGER)).is_running

        await until(is_known)
