"""For any sequence of actions on two processes that share a database, the invariants hold, and everything ends."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from hunyuan_ui.errors import StorageError
from hunyuan_ui.jobs import JobRunner, data_folder_watch, dispatcher
from hunyuan_ui.ledger import postgres
from tests import stored_jobs
from tests.faults.rig import be_impatient, kill
from tests.faults.test_stateful import NUMBER, SCRIPT_NAMES, OnePromise, try_sequences
from tests.postgres_server import PostgresServer

pytestmark = pytest.mark.faults

LEASE_S = 1.0  # rig.be_impatient


class OnePromiseOfTwo(OnePromise):
    """The same people and faults; who is called is one of two, of which each may be away or without its lease."""

    other: JobRunner | None = None

    def __init__(self) -> None:
        super().__init__()
        self.whose_tasks: WeakKeyDictionary[asyncio.Future[Any], int] = WeakKeyDictionary()
        self.loop.set_task_factory(self.task_of)

    def task_of(self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Future[Any]:
        """Make a task, and note whose it is: the one's that begins it, or is called."""
        task = asyncio.Task(coro, loop=loop, **options)
        begun_in = asyncio.current_task(loop)
        self.whose_tasks[task] = id(self.runner) if begun_in is None else self.whose_tasks[begun_in]
        return task

    async def kill(self) -> None:
        """Kill the runner that is called, and not the other one on the same loop."""
        dying = id(self.runner)
        await kill(self.runner, lambda task: self.whose_tasks[task] == dying)

    def start(self) -> None:
        super().start()
        if self.other is None:
            self.start_the_other()

    def start_the_other(self) -> None:
        self.other = self.runner
        super().start()

    @rule()
    def go_to_the_other(self) -> None:
        self.swap()

    @rule(scripts=st.lists(st.sampled_from(SCRIPT_NAMES), min_size=1, max_size=3), is_killed=st.booleans())
    def end_in_the_middle(self, scripts: list[str], *, is_killed: bool) -> None:
        for script in scripts:
            self.click_once(script)
        self.do(self.kill() if is_killed else self.runner.stop())
        assert self.other is not None
        self.runner = self.other
        for script in scripts:
            self.click_once(script)
        self.start_the_other()

    @rule(seconds=st.sampled_from([0.3, LEASE_S + 0.5]), scripts=st.lists(st.sampled_from(SCRIPT_NAMES), max_size=3))
    def lose_the_lease(self, seconds: float, scripts: list[str]) -> None:
        """As where it stands still, or reaches no database, for as long."""
        silent = self.runner._replicas
        assert silent is not None
        renew = silent._renew_lease
        silent._renew_lease = lambda: asyncio.sleep(0)  # type: ignore[method-assign]
        for script in scripts:
            self.click_once(script)
        self.do(asyncio.sleep(seconds))
        silent._renew_lease = renew  # type: ignore[method-assign]

    @precondition(lambda self: self.has_begun)
    @rule()
    def cut_all_connections(self) -> None:
        assert stored_jobs.server is not None
        stored_jobs.server.cut()
        self.do(asyncio.sleep(0.1))

    def swap(self) -> None:
        assert self.other is not None
        self.runner, self.other = self.other, self.runner

    @rule(number=NUMBER)
    def ask_the_other(self, number: int) -> None:
        for job_id in self.one_of(number):
            with suppress(StorageError):
                assert self.other is not None
                self.do(self.other.view(job_id, self.whose[job_id]))

    def end_well(self) -> None:
        self.service.get_well()
        self.do(self.come_to_rest())
        assert self.other is not None
        self.do(self.other.stop())
        self.other = self.runner
        super().end_well()

    async def nothing_is_live(self) -> None:
        await super().nothing_is_live()
        self.swap()
        await super().nothing_is_live()


@pytest.mark.slow
def test_the_promise_is_kept_by_two(monkeypatch: pytest.MonkeyPatch, postgres_server: PostgresServer) -> None:
    be_impatient(monkeypatch.setattr)
    monkeypatch.setattr(stored_jobs, "server", postgres_server)
    monkeypatch.setattr(postgres, "REST_S", 0.05)
    monkeypatch.setattr(dispatcher, "LOOK_EVERY_S", 0.1)
    monkeypatch.setattr(data_folder_watch, "LOOK_EVERY_S", 0.1)
    try_sequences(OnePromiseOfTwo, 6, 20)
