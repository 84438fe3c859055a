"""A caller that disconnects at any await of a submit leaves nothing, or a stored job that is followed to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import pytest

from hunyuan_ui.data_folder import DataFolder
from hunyuan_ui.job import JobStatus, Visitor, new_id
from hunyuan_ui.jobs import JobRunner, build_runner, job_run
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.settings import Secret, Settings
from tests.fake_service import FakeService

pytestmark = pytest.mark.anyio

OWN_KEY = "SG_aabbccdd00112233"
Moment = Literal["while it waits", "when the answer is there"]


class Leaving:
    """Awaits a call and aborts it at one of its suspensions, as a task that is cancelled there does.

    Args:
        call: The awaitable.
        at: Number of the suspension, from 1.
        moment: Before the result it waits for, or between the result and the next step.
    """

    def __init__(self, call: Coroutine[Any, Any, Any], at: int, moment: Moment) -> None:
        self._call = call
        self._at = at
        self._moment = moment
        self.suspensions = 0

    def __await__(self) -> Generator[Any, None, Any]:
        step: Callable[[], Any] = partial(self._call.send, None)
        while True:
            try:
                awaited = step()
            except StopIteration as ended:
                return ended.value
            self.suspensions += 1
            if self.suspensions == self._at:
                self._go_away(awaited)
            try:
                yield awaited
                step = partial(self._call.send, None)
            except BaseException as error:  # noqa: BLE001 - handed on
                step = partial(self._call.throw, error)

    def _go_away(self, awaited: asyncio.Future[Any] | None) -> None:
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        if self._moment == "while it waits" or awaited is None:
            task.cancel()
        else:
            awaited.add_done_callback(lambda _: task.cancel())


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the waits that protect a real service."""
    monkeypatch.setattr(job_run, "backoff_s", lambda *_, **__: 0.001)


@asynccontextmanager
async def running(folder: Path, service: FakeService) -> AsyncIterator[JobRunner]:
    settings = Settings(
        data_dir=folder,
        api_key=Secret("SG_00112233aabbccdd"),
        share=True,
        daily_limit_usd=1000.0,
        visitor_daily_videos=999,
        poll_interval_s=0.002,
    )
    kept = DataFolder(folder, min_free_bytes=0)
    runner = build_runner(settings, client=service.client(), download=service.download, folder=kept)
    await runner.start()
    try:
        yield runner
    finally:
        await runner.stop()


async def leave(call: Coroutine[Any, Any, Any], at: int, moment: Moment) -> bool:
    """Make a call and abort it at a suspension; return whether it had that many."""
    leaving = Leaving(call, at, moment)

    async def wait() -> None:
        await leaving

    with suppress(asyncio.CancelledError):
        await asyncio.create_task(wait())
    return leaving.suspensions >= at


async def at_rest(runner: JobRunner) -> None:
    """Wait until the ledger's thread and its waiters have finished."""
    await runner._services.writes(lambda: None)
    await asyncio.sleep(0.01)


@pytest.mark.parametrize("moment", ["while it waits", "when the answer is there"])
@pytest.mark.parametrize("own_key", [None, OWN_KEY], ids=["owner's key", "own key"])
async def test_whoever_leaves_a_submit_leaves_nothing_or_a_job_that_ends_with_its_video(
    tmp_path: Path, moment: Moment, own_key: str | None
) -> None:
    service = FakeService()
    stored: list[bool] = []
    async with running(tmp_path / "data", service) as runner:
        for at in range(1, 100):
            job_id, visitor = new_id(), Visitor.from_token(new_id())
            submit = partial(runner.submit, job_id, VideoRequest(prompt=job_id), visitor, own_key=own_key)
            runner.keys._good.clear()  # so that each visitor's key is checked
            if not await leave(submit(), at, moment):
                break
            await at_rest(runner)
            stored.append(runner._services.ledger.get(job_id) is not None)
            if stored[-1]:
                assert (await runner.wait(job_id, visitor, 10)).status is JobStatus.DONE
            assert job_id not in runner._services.keys._by_job
            assert job_id not in runner._dispatcher.live
            assert sent(service, job_id) == stored[-1]
            # A caller that returns with the same id gets the same single job.
            await submit()
            assert (await runner.wait(job_id, visitor, 10)).status is JobStatus.DONE
            assert sent(service, job_id) == 1
    assert {True, False} == set(stored)


def sent(service: FakeService, prompt: str) -> int:
    """Return how often a prompt was paid for."""
    return [body["prompt"] for body in service.bill].count(prompt)
