"""An interrupted deletion: after the next start the video exists completely, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from hunyuan_ui.errors import AccessError
from hunyuan_ui.job import JobStatus
from hunyuan_ui.jobs import JobRunner
from hunyuan_ui.library.exports import Export
from tests.faults.rig import OWNER, Rig, click, ended, kill, next_job_works, until
from tests.faults.service import PaidService

pytestmark = [pytest.mark.anyio, pytest.mark.faults, pytest.mark.usefixtures("database")]


class Killed(BaseException):
    """Simulates SIGKILL at a step."""


class Steps:
    """Counts the commits and file removals of a deletion, and aborts at the nth."""

    def __init__(self, die_at: int = -1) -> None:
        self.names: list[str] = []
        self.deleting = ""  # the job's id; the ledger is copied meanwhile, which creates and removes files
        self._die_at = die_at

    def __call__(self, name: str) -> None:
        if not self.deleting or not (name.startswith("ledger.hide") or self.deleting in name):
            return
        # A killed process does nothing more in its other threads either.
        if len(self.names) != self._die_at:
            self.names.append(name)
        if len(self.names) == self._die_at:
            raise Killed


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Steps], None]]:
    """Makes each removal of a file a step."""
    steps: list[Steps] = []
    unlink = Path.unlink

    def counted(self: Path, missing_ok: bool = False) -> None:
        for one in steps:
            one(f"unlink {self.name}")
        unlink(self, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", counted)

    def begin(one: Steps) -> None:
        steps[:] = [one]

    yield begin
    steps.clear()


async def by_nobody_else(runner: JobRunner) -> None:
    """Keep the background completion of deletions from interfering with the tested one."""
    if runner._replicas is not None:
        await runner._replicas._deletions.stop()
        runner._replicas._deletions.tick = lambda: None


async def broken_off(rig: Rig, steps: Steps) -> str:
    """Make a video and an export of it, delete it, and abort midway; return its id."""
    runner = replace(rig, checkpoint=steps).open()
    # The test machine's disk may be nearly full.
    runner.videos.exports._min_free_bytes = 0
    await runner.start()
    job = await ended(runner, await click(runner))
    assert job.status is JobStatus.DONE
    await runner.videos.export(job, Export("png"))
    await by_nobody_else(runner)
    await until(lambda: runner._dispatcher.is_idle(job.id))  # what follows its end may remove a part of its download
    steps.deleting = job.id
    with suppress(Killed):
        await runner.delete(job.id, OWNER)
    steps.deleting = ""
    await kill(runner)
    return job.id


def left_of(folder: Path, job_id: str) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if job_id in path.name)


async def is_shown(runner: JobRunner, job_id: str) -> bool:
    try:
        await runner.view(job_id, OWNER)
    except AccessError:
        return False
    return True


@pytest.mark.slow
async def test_a_deletion_broken_off_at_any_step_is_finished_or_was_not_begun(
    rig: Rig, service: PaidService, watch: Callable[[Steps], None]
) -> None:
    clean = Steps()
    watch(clean)
    job_id = await broken_off(replace(rig, folder=rig.folder.with_name("clean")), clean)
    assert left_of(rig.folder.with_name("clean"), job_id) == []
    assert clean.names[0] == "ledger.hide.begin"
    removed = [name for name in clean.names if name.startswith("unlink")]
    assert {name.rpartition(".")[2] for name in removed} >= {"mp4", "webp", "json", "png"}
    # What else removes files at that moment may add a step, so the rounds end with the first that was not broken off.
    for step in count(1):
        one = replace(rig, folder=rig.folder.with_name(f"step-{step}"))
        service.bill.clear()
        steps = Steps(step)
        watch(steps)
        job_id = await broken_off(one, steps)
        watch(Steps())
        async with one.running() as runner:
            spent = (await runner.spending()).spent_total_usd
            shown = await is_shown(runner, job_id)
            assert shown == ("ledger.hide.committed" not in steps.names), steps.names
            left = left_of(one.folder, job_id)
            if shown:
                assert {f"{job_id}.mp4", f"{job_id}.webp", f"{job_id}.json"} <= set(left), steps.names
                await runner.delete(job_id, OWNER)
                left = left_of(one.folder, job_id)
            assert left == [], steps.names
            assert (await runner.spending()).spent_total_usd == spent > 0
            await next_job_works(runner)
        async with one.running() as runner:
            assert not await is_shown(runner, job_id)
        if len(steps.names) < step:
            break
    assert step > len(removed)
