"""Whatever is done in whatever order, the invariants hold after every step and everything ends at last."""

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
    precondition,
    rule,
    run_state_machine_as_test,
)

from hunyuan_ui.endpoint.contract import GENERATE_V1, SUBMIT_V2
from hunyuan_ui.errors import AccessError
from hunyuan_ui.job import JobStatus, Phase, new_id
from hunyuan_ui.jobs import JobRunner
from tests.faults import oracle
from tests.faults.rig import OWNER, STRANGER, Dialect, Rig, be_impatient, click, ended, kill, prompt_of
from tests.faults.service import FILE, HISTORY, RESULT, STATUS, PaidService, video_of
from tests.raw_service import Reply, answer, close, cut, garbage, html, rate_limited, redirect, reset

pytestmark = pytest.mark.faults

DAY_S = 86_400.0
NOON = 20_000 * DAY_S + DAY_S / 2
IN_CI = bool(os.environ.get("CI"))
HALF = cut(video_of("anything"), 700, framing="none", content_type="video/mp4")

# What goes wrong at the next request of a kind. A 404 for a status is tried against the history at once.
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


class OnePromise(RuleBasedStateMachine):
    """A person, a stranger, a service with faults, a clock that jumps, and a program that is stopped and killed."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.home = Path(mkdtemp(prefix="one-promise-"))
        self.service = PaidService().__enter__()
        self.clock = NOON
        self.ids: list[str] = []
        self.ended: dict[str, JobStatus] = {}

    @initialize(dialect=st.sampled_from(["v2", "v1"]))
    def begin(self, dialect: Dialect) -> None:
        self.rig = Rig(self.home / "data", self.service.origin, dialect, now=lambda: self.clock)
        self.rig.settings = {"concurrency": 2}
        self.start()

    # people

    @rule()
    def click(self) -> None:
        self.ids.append(new_id())
        self.do(click(self.runner, self.ids[-1]))

    @precondition(lambda self: self.ids)
    @rule(data=st.data())
    def click_again(self, data: st.DataObject) -> None:
        self.do(self.same_click_twice(data.draw(st.sampled_from(self.ids))))

    @precondition(lambda self: self.ids)
    @rule(data=st.data())
    def a_stranger_guesses(self, data: st.DataObject) -> None:
        job_id = data.draw(st.sampled_from(self.ids))
        for ask in (self.runner.view, self.runner.video_path):
            with pytest.raises(AccessError):
                self.do(ask(job_id, STRANGER))
        for act in (self.runner.cancel(job_id, STRANGER), click(self.runner, job_id, STRANGER)):
            with pytest.raises(AccessError):
                self.do(act)

    @precondition(lambda self: self.ids)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job_id = data.draw(st.sampled_from(self.ids))
        with suppress(AccessError):
            assert self.do(self.runner.cancel(job_id, OWNER)).status is JobStatus.CANCELLED
            assert not self.service.billed()[prompt_of(job_id)]

    @precondition(lambda self: self.ids)
    @rule()
    def reload(self) -> None:
        newest = self.do(self.runner.newest(OWNER))
        assert newest is not None
        assert newest.id in self.ids
        for job_id in self.ids:
            view = self.do(self.runner.view(job_id, OWNER))
            assert (view.phase is Phase.ENDED) == (not view.job.is_active)

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.05]))
    def wait(self, seconds: float) -> None:
        self.do(asyncio.sleep(seconds))

    @precondition(lambda self: self.ids)
    @rule(data=st.data())
    def wait_for_one(self, data: st.DataObject) -> None:
        self.do(ended(self.runner, data.draw(st.sampled_from(self.ids))))

    # faults

    @rule(name=st.sampled_from(sorted(FAULTS)))
    def misbehave_once(self, name: str) -> None:
        method, path, reply = FAULTS[name]
        self.service.on(method, path, [reply()])

    @rule()
    def drop_a_connection(self) -> None:
        self.service.drop_connections()

    @rule(days=st.sampled_from([-40.0, -1.0, -0.01, 0.01, 1.0, 40.0]))
    def jump(self, days: float) -> None:
        self.clock += days * DAY_S

    @rule()
    def kill(self) -> None:
        self.do(kill(self.runner))
        self.start()

    @rule()
    def restart(self) -> None:
        self.do(self.runner.stop())
        self.start()

    # what must be true

    @invariant()
    def promise_is_kept(self) -> None:
        if not self.ids:
            return
        jobs = {job.id: job for job in oracle.check(self.rig.folder, self.service, at_rest=False)}
        assert set(jobs) == set(self.ids)
        for job_id, status in self.ended.items():
            assert jobs[job_id].status is status, "what has ended stays as it is"
        self.ended = {job.id: job.status for job in jobs.values() if not job.is_active}

    def teardown(self) -> None:
        try:
            for job_id in self.ids:
                self.do(ended(self.runner, job_id))
            self.do(self.runner.stop())
            if self.ids:
                oracle.check(self.rig.folder, self.service)
        finally:
            self.service.__exit__()
            self.loop.close()
            shutil.rmtree(self.home)

    # inside

    def do(self, step: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(step)

    def start(self) -> None:
        self.runner: JobRunner = self.rig.open()
        self.do(self.runner.start())
        assert self.runner.problem is None

    async def same_click_twice(self, job_id: str) -> None:
        await asyncio.gather(click(self.runner, job_id), click(self.runner, job_id))


def test_the_promise_is_kept_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    be_impatient(monkeypatch.setattr)
    chosen = settings(
        max_examples=50,
        stateful_step_count=25,
        deadline=None,
        derandomize=IN_CI,
        print_blob=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    run_state_machine_as_test(OnePromise, settings=chosen)
