"""For any sequence of actions, the invariants hold after every step and everything ends eventually."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from hunyuan_ui.endpoint.contract import FILE_LIFE_S, GENERATE_V1, SUBMIT_V2
from hunyuan_ui.errors import AccessError, EndpointError, SpendLimitError
from hunyuan_ui.job import OWNER as ACCOUNT
from hunyuan_ui.job import JobStatus, Phase, Visitor, new_id
from hunyuan_ui.jobs import JobRunner
from hunyuan_ui.ledger import FROM_HISTORY
from tests import stored_jobs
from tests.faults import oracle
from tests.faults.fickle import DAY_S, FickleService, JobScript, states
from tests.faults.rig import END_S, OWNER, STRANGER, Dialect, Rig, be_impatient, click, ended, kill, prompt_of, until
from tests.faults.service import COST_USD, FILE, HISTORY, LIST, RESULT, STATUS, video_of
from tests.raw_service import Reply, answer, close, cut, garbage, html, rate_limited, redirect, reset

pytestmark = pytest.mark.faults

NOON = 20_000 * DAY_S + DAY_S / 2
IN_CI = bool(os.environ.get("CI"))
HALF = cut(video_of("anything"), 700, framing="none", content_type="video/mp4")

# Faults at the next request of a kind. A 404 for a status is checked against the history at once.
FAULTS: dict[str, tuple[str, str, Callable[[], Reply]]] = {
    "POST reset": ("POST", "/v*", reset),
    "POST close": ("POST", "/v*", close),
    "POST garbage": ("POST", "/v*", garbage),
    "POST refused": ("POST", "/v*", lambda: answer(422, {"error": "no"})),
    "POST out of credits": ("POST", "/v*", lambda: answer(402, {"error": "Insufficient credits"})),
    "POST limited": ("POST", "/v*", lambda: rate_limited("neither")),
    "POST gateway": ("POST", "/v*", lambda: html(504)),
    "POST failed": ("POST", "/v*", lambda: answer(500, {"error": "CUDA"})),
    "POST moved": ("POST", "/v*", lambda: redirect("/elsewhere")),
    "POST half a video": ("POST", GENERATE_V1, lambda: HALF),
    "POST no id": ("POST", SUBMIT_V2, lambda: answer(200, {"status": "QUEUED"})),
    "status reset": ("GET", STATUS, reset),
    "status gateway": ("GET", STATUS, lambda: html(502)),
    "status forgotten": ("GET", STATUS, lambda: answer(404, {"error": "not found"})),
    "result empty": ("GET", RESULT, lambda: answer(200, {"status": "COMPLETED"})),
    "history away": ("GET", HISTORY, lambda: html(503)),
    "file half": ("GET", FILE, lambda: HALF),
    "file ran out": ("GET", FILE, lambda: answer(403)),
    "file gateway": ("GET", FILE, lambda: html(502)),
}


# A job's faults before all works, or its ending. Three consecutive failures are not confirmed yet (rig.be_impatient).
OUT_OF_MEMORY = {"status": "FAILED", "error": "out of memory"}
SCRIPTS: dict[str, JobScript] = {
    "status goes back": JobScript(statuses=states("PROCESSING", "QUEUED", "PROCESSING", "QUEUED")),
    "status goes back from completed": JobScript(
        statuses=states("COMPLETED", "PROCESSING"), results=states("PROCESSING")
    ),
    "status unheard of": JobScript(statuses=states("QUEUED", "MOVED_TO_ANOTHER_REGION", "PROCESSING")),
    "failed once": JobScript(statuses=states("QUEUED", "FAILED", "PROCESSING")),
    "failed three times": JobScript(statuses=states("FAILED", "FAILED", "FAILED", "PROCESSING", "FAILED", "QUEUED")),
    "failed as 422": JobScript(statuses=[answer(422, OUT_OF_MEMORY)] * 2, results=[answer(422, OUT_OF_MEMORY)]),
    "failed after completed": JobScript(results=states("FAILED", "FAILED", "FAILED")),
    "failed with its cost, then made": JobScript(statuses=states("FAILED", "PROCESSING", cost=COST_USD)),
    "failed with no cost that can be meant": JobScript(statuses=states("FAILED", "PROCESSING", cost=1e8)),
    "failed, free": JobScript(end="free"),
    "failed, charged": JobScript(end="charged"),
    "failed after a while, charged": JobScript(statuses=states("QUEUED", "FAILED", "PROCESSING"), end="charged"),
    **{
        f"cost on a {status} of its status": JobScript(
            statuses=[answer(status, {"error": "no", "metrics": {"cost": COST_USD}})] * 2
        )
        for status in (404, 422, 429, 500)
    },
    **{
        f"cost on a {status} of its POST": JobScript(refusal=status, has_id=has_id, named=named)
        for status, has_id, named in (
            (404, True, COST_USD),
            (422, False, COST_USD),
            (429, True, COST_USD),
            (429, False, 1e-9),
            (500, True, 1e8),
            (504, False, COST_USD),
        )
    },
    "file late by 404": JobScript(files=[answer(404)] * 3),
    "file late by 403, 404, 410": JobScript(files=[answer(403), answer(404), answer(410)]),
    "file very late": JobScript(files=[answer(404)] * 12),
}
SCRIPT_NAMES = ["well", *sorted(SCRIPTS)]
NUMBER = st.integers(0, 7)
SPACE = {"share": True, "storage": "wiped"}  # a disk that each start may have wiped


class OnePromise(RuleBasedStateMachine):
    """People, a stranger, a service with faults, a jumping clock, a program that is stopped, killed and wiped."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.home = Path(mkdtemp(prefix="one-promise-"))
        self.service = FickleService()
        self.service.__enter__()
        self.clock = NOON
        self.whose: dict[str, Visitor] = {}
        self.ended: dict[str, JobStatus] = {}
        self.has_begun = False
        self.wiped: set[str] = set()  # prompts of jobs that only the service's history has

    @initialize(
        dialect=st.sampled_from(["v2", "v1"]),
        is_space=st.booleans(),
        limit_usd=st.sampled_from([5.0, 20.0]),
        scripts=st.lists(st.sampled_from(SCRIPT_NAMES), min_size=1, max_size=4),
    )
    def begin(self, dialect: Dialect, scripts: list[str], limit_usd: float, *, is_space: bool) -> None:
        is_space = is_space and stored_jobs.server is None  # a server loses nothing when a disk is wiped
        self.rig = Rig(self.home / "data", self.service.origin, dialect, now=lambda: self.clock)
        self.service.now = lambda: self.clock
        self.is_space, self.limit_usd = is_space, limit_usd
        self.rig.settings = {"concurrency": 2, "daily_limit_usd": limit_usd, **(SPACE if is_space else {})}
        self.start()
        self.has_begun = True
        for script in scripts:
            self.click_once(script)

    # people

    @rule(script=st.sampled_from(SCRIPT_NAMES))
    def click(self, script: str) -> None:
        self.click_once(script)

    def click_once(self, script: str) -> None:
        job_id = new_id()
        self.service.job_scripts.append(SCRIPTS.get(script, JobScript()))
        # In public a visitor has one job at a time.
        visitor = Visitor.from_token(new_id()) if self.is_space else OWNER
        with suppress(SpendLimitError):
            self.do(click(self.runner, job_id, visitor))
            self.whose[job_id] = visitor

    @rule(number=NUMBER)
    def click_again(self, number: int) -> None:
        for job_id in self.one_of(number):
            self.do(self.same_click_twice(job_id))

    @rule(number=NUMBER)
    def a_stranger_guesses(self, number: int) -> None:
        for job_id in self.one_of(number):
            for ask in (self.runner.view, self.runner.video_path):
                with pytest.raises(AccessError):
                    self.do(ask(job_id, STRANGER))
            for act in (self.runner.cancel(job_id, STRANGER), self.runner.retry_lost(job_id, STRANGER)):
                with pytest.raises(AccessError):
                    self.do(act)
            with pytest.raises((AccessError, SpendLimitError)):
                self.do(click(self.runner, job_id, STRANGER))

    @rule(number=NUMBER)
    def cancel(self, number: int) -> None:
        for job_id in self.one_of(number):
            with suppress(AccessError):
                assert self.do(self.runner.cancel(job_id, self.whose[job_id])).status is JobStatus.CANCELLED
                assert not self.service.billed()[prompt_of(job_id)]

    @rule(number=NUMBER)
    def look_again(self, number: int) -> None:
        for job_id in self.one_of(number):
            with suppress(AccessError):
                self.do(self.runner.retry_lost(job_id, self.whose[job_id]))

    @rule()
    def find_videos(self) -> None:
        with suppress(EndpointError):
            self.do(self.runner.owner.find_videos(ACCOUNT))

    @rule()
    def reload(self) -> None:
        for job_id, visitor in self.whose.items():
            newest = self.do(self.runner.newest(visitor))
            assert newest is not None
            assert self.whose[newest.id] == visitor
            view = self.do(self.runner.view(job_id, visitor))
            assert (view.phase is Phase.ENDED) == (not view.job.is_active)

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.05]))
    def wait(self, seconds: float) -> None:
        self.do(asyncio.sleep(seconds))

    @rule(number=NUMBER)
    def wait_for_one(self, number: int) -> None:
        if self.knows_the_past:
            for job_id in self.one_of(number):
                self.do(ended(self.runner, job_id, self.whose[job_id]))

    # faults

    @rule(name=st.sampled_from(sorted(FAULTS)))
    def misbehave_once(self, name: str) -> None:
        method, path, reply = FAULTS[name]
        self.service.on(method, path, [reply()])

    @rule()
    def drop_a_connection(self) -> None:
        self.service.drop_connections()

    @rule(is_readable=st.booleans())
    def show_the_history(self, *, is_readable: bool) -> None:
        works = Reply(lambda wire, asked: self.service.behave(asked).act(wire, asked))
        self.service.on("GET", LIST, works if is_readable else html(503))

    @rule(days=st.sampled_from([-40.0, -1.0, -0.01, 0.01, 1.0, 40.0]))
    def jump(self, days: float) -> None:
        # Nothing holds back a clock while the past is not known yet.
        if days > 0 or self.knows_the_past:
            self.do(until(lambda: not self.is_sending()))
            self.clock += days * DAY_S

    @rule(
        is_killed=st.booleans(),
        disk=st.sampled_from(["kept", "wiped", "wiped, history unreadable"]),
        scripts=st.lists(st.sampled_from(SCRIPT_NAMES), max_size=3),
    )
    def start_again(self, disk: str, scripts: list[str], *, is_killed: bool) -> None:
        self.do(self.kill() if is_killed else self.runner.stop())
        if self.is_space and disk != "kept":
            self.wipe()
            self.show_the_history(is_readable=disk == "wiped")
        self.start()
        for script in scripts:
            self.click_once(script)

    async def kill(self) -> None:
        await kill(self.runner)

    def wipe(self) -> None:
        self.do(asyncio.to_thread(self.service.wait_until_closed))
        shutil.rmtree(self.rig.folder)
        # Jobs that the page has lost cannot be clicked again; a new machine's clock is right.
        self.whose, self.ended = {}, {}
        self.wiped = set(self.service.sent_at)
        self.clock = max([self.clock, *self.service.sent_at.values()])

    # invariants

    @invariant()
    def promise_is_kept(self) -> None:
        if not self.whose and not self.service.sent_at:
            return
        today = self.runner._services.ledger.now() // DAY_S
        billed_usd = self.service.billed_on(today) * COST_USD
        reserved_usd = self.do(self.runner.spending()).reserved_today_usd
        assert billed_usd <= self.limit_usd + reserved_usd
        beside = self.unknown()
        jobs = {job.id: job for job in oracle.check(self.rig.folder, self.service, at_rest=False, beside=beside)}
        assert self.whose.keys() <= jobs.keys()
        assert all(FROM_HISTORY in job.notes for job in jobs.values() if job.id not in self.whose)
        for job_id, status in self.ended.items():
            assert jobs[job_id].status is status, "what has ended stays as it is"
        # Unknown and lost jobs may still be recovered.
        final = {JobStatus.DONE, JobStatus.FAILED, JobStatus.CANCELLED}
        self.ended = {job.id: job.status for job in jobs.values() if job.status in final}

    def teardown(self) -> None:
        try:
            if self.has_begun:
                self.end_well()
        finally:
            self.service.__exit__()
            self.loop.close()
            shutil.rmtree(self.home, ignore_errors=True)

    def end_well(self) -> None:
        self.service.get_well()
        self.do(self.come_to_rest())
        self.check_the_library()
        self.do(self.runner.stop())
        if self.service.sent_at:
            oracle.check(self.rig.folder, self.service, beside=self.unknown())

    def check_the_library(self) -> None:
        """Assert that each paid video of seven days is in the library, or is listed with its charge."""
        found: dict[str, set[JobStatus]] = {}
        for job in self.do(self.runner.owner.all_jobs(ACCOUNT)):
            found.setdefault(job.request.prompt, set()).add(job.status)
        for prompt in self.service.billed():
            if prompt in self.service.sent_at and not self.is_old(prompt):
                status = JobStatus.LOST if self.service.ends_charged(prompt) else JobStatus.DONE
                assert status in found[prompt], f"{prompt}: {found[prompt]}"

    # internal

    def do(self, step: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(step)

    def start(self) -> None:
        self.runner: JobRunner = self.rig.open()
        self.service.clock = self.runner._services.ledger.now
        self.do(self.runner.start())
        assert self.runner.problem is None

    def one_of(self, number: int) -> list[str]:
        """Return an existing job, if any; the draw must not depend on the progress of anything."""
        jobs = list(self.whose)
        return [jobs[number % len(jobs)]] if jobs else []

    @property
    def knows_the_past(self) -> bool:
        return not self.is_space or self.runner.owner.history_state(ACCOUNT).is_read

    def is_sending(self) -> bool:
        return any(live.job.status is JobStatus.SUBMITTING for live in self.runner._dispatcher.live.values())

    def is_old(self, prompt: str) -> bool:
        return self.service.sent_at[prompt] < self.runner._services.ledger.now() - FILE_LIFE_S + 1

    def unknown(self) -> set[str]:
        """Return the prompts that the ledger may lack: of jobs that it has lost and the history does not list."""
        return {prompt for prompt in self.wiped if not self.knows_the_past or self.is_old(prompt)}

    async def come_to_rest(self) -> None:
        await until(lambda: self.knows_the_past)
        await self.nothing_is_under_way()
        await self.runner.owner.find_videos(ACCOUNT)
        await self.nothing_is_under_way()
        for job in await self.runner.owner.all_jobs(ACCOUNT):
            with suppress(AccessError):
                await self.runner.retry_lost(job.id, ACCOUNT)
        await self.nothing_is_under_way()

    async def nothing_is_under_way(self) -> None:
        """Wait for every job; on a server those of a killed process are taken over when its lease expires."""
        ledger = self.runner._services.ledger

        async def hold() -> None:
            while await asyncio.to_thread(ledger.active):  # noqa: ASYNC110 - a database is asked
                await asyncio.sleep(0.05)

        await self.nothing_is_live()
        await asyncio.wait_for(hold(), END_S)
        await self.nothing_is_live()

    async def nothing_is_live(self) -> None:
        """Wait for every job of this process; jobs held by a limit are continued by the owner, or cancelled."""
        live = self.runner._dispatcher.live
        while live:
            await until(lambda: all(entry.job.held_by for entry in live.values()))
            for job in [entry.job for entry in live.values()]:
                if job.held_by == "breaker_open":
                    await self.runner.owner.resume(ACCOUNT)
                else:
                    with suppress(AccessError):
                        await self.runner.cancel(job.id, ACCOUNT)
            await asyncio.sleep(0.003)

    async def same_click_twice(self, job_id: str) -> None:
        visitor = self.whose[job_id]
        await asyncio.gather(click(self.runner, job_id, visitor), click(self.runner, job_id, visitor))


def try_sequences(machine: type[OnePromise], count: int, steps: int) -> None:
    """Try random sequences of steps; in CI the same ones each time."""
    chosen = settings(
        max_examples=count,
        stateful_step_count=steps,
        deadline=None,
        derandomize=IN_CI,
        print_blob=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    run_state_machine_as_test(machine, settings=chosen)


@pytest.mark.slow
def test_the_promise_is_kept_whatever_happens(monkeypatch: pytest.MonkeyPatch, database: str) -> None:
    be_impatient(monkeypatch.setattr)
    try_sequences(OnePromise, 80 if database == "sqlite" else 12, 25)
