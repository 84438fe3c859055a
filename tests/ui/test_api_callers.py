"""API callers: ids grant no access, and no caller blocks the answers to others."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import httpx
import pytest

from hunyuan_ui.data_folder import DataFolder
from hunyuan_ui.errors import DownloadError, HunyuanUIError, SpendLimitError
from hunyuan_ui.job import JobStatus, Visitor, new_id
from hunyuan_ui.jobs import JobRunner, build_runner, endings
from hunyuan_ui.settings import Secret, Settings
from hunyuan_ui.ui.api import ApiCalls
from hunyuan_ui.ui.batch import BatchCalls
from hunyuan_ui.ui.error_boundary import page_event
from hunyuan_ui.ui.form import FIELDS
from hunyuan_ui.ui.waiting_calls import (
    ASKING,
    ASKING_OF_ONE_ADDRESS,
    WAITING_CALLS,
    WAITING_FOR_ONE_JOB,
    WAITING_OF_ONE_ADDRESS,
    WAITING_OF_ONE_VISITOR,
    Call,
    WaitingCalls,
)
from hunyuan_ui.words import words
from tests.fake_service import FakeService, answer, failure
from tests.faults.rig import until
from tests.jobs.one_page import OWN_KEY
from tests.jobs.one_page import impatient as impatient
from tests.jobs.one_page import service as service
from tests.seen import seen

pytestmark = pytest.mark.anyio

HANDLE = re.compile(r"[0-9a-f]{32}\.[0-9a-f]{32}")
NO_SUCH = "There is no such video for you."
DEFAULT: dict[str, Any] = {
    "negative_prompt": "",
    "width": 64,
    "height": 64,
    "video_length": 5,
    "infer_steps": 2,
    "flow_shift": 7,
    "embedded_guidance_scale": 6,
    "seed": 5,
}


@pytest.fixture
def public(tmp_path: Path) -> Settings:
    key = Secret("SG_00112233aabbccdd")
    return Settings(
        data_dir=tmp_path / "data",
        api_key=key,
        share=True,
        daily_limit_usd=1000.0,
        visitor_daily_videos=99,
        poll_interval_s=0.002,
    )


@asynccontextmanager
async def running(
    settings: Settings, service: FakeService, **options: Any
) -> AsyncIterator[tuple[JobRunner, ApiCalls]]:
    folder = DataFolder(settings.data_dir, min_free_bytes=0)
    runner = build_runner(settings, client=service.client(), download=service.download, folder=folder, **options)
    await runner.start()
    try:
        yield runner, ApiCalls(runner)
    finally:
        await runner.stop()


def caller(address: str = "203.0.113.5", **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return SimpleNamespace(headers=named, client=SimpleNamespace(host=address), cookies={})


def values(job_id: str = "", who: Any = None, **fields: Any) -> list[Any]:
    asked = {"prompt": "a fox", **DEFAULT, **fields}
    return [*(asked[name] for name in FIELDS), job_id, None, who or caller()]


async def said(asked: Awaitable[Any]) -> str:
    """Return the sentence of a refused call."""

    async def wait() -> Any:
        return await asked

    with pytest.raises(gr.Error) as caught:
        await page_event(wait)()
    return str(caught.value.message)


async def refused(calls: ApiCalls, job_id: str, who: Any) -> bool:
    """Whether a caller has no access to a job."""
    sentences = [await said(calls.status(who, job_id)), await said(calls.result(who, job_id))]
    assert all(sentence.startswith(NO_SUCH) for sentence in sentences), sentences
    return True


# access to a job


async def test_a_caller_without_a_name_gets_what_opens_their_job_and_the_id_alone_opens_nothing(
    public: Settings, service: FakeService
) -> None:
    async with running(public, service) as (runner, calls):
        sent = await calls.submit(*values())
        handle = sent["job_id"]
        assert HANDLE.fullmatch(handle)
        job_id, secret = handle.split(".")
        told = await calls.status(caller("198.51.100.1"), handle, 10)
        assert (told["job_id"], told["status"], told["made"]["job_id"]) == (handle, "done", handle)
        video, made = await calls.result(caller(), handle)
        assert video["path"].endswith(".mp4")
        assert made["job_id"] == handle
        for shown in (job_id, f"{job_id}.{job_id}", f"{job_id}.{new_id()}", f"{job_id}.", f"{secret}.{job_id}", secret):
            assert await refused(calls, shown, caller())
        for header in (job_id, job_id.upper(), new_id()):
            assert await refused(calls, job_id, caller(x_hunyuan_visitor=header))
        assert await refused(calls, job_id, caller(x_api_key=job_id))
        assert NO_SUCH in await said(calls.submit(*values(job_id)))  # also to whom the request is known
        assert (await runner.jobs(Visitor.from_token(job_id))) == []
        assert (await runner.jobs(Visitor.from_token(secret))) != []


async def test_generate_tells_what_opens_its_job(public: Settings, service: FakeService) -> None:
    async with running(public, service) as (_, calls):
        _, made = await calls.generate(*values())
        _, again = await calls.result(caller(), made["job_id"])
        assert again == made


async def test_an_id_of_a_deleted_video_is_not_called_done(public: Settings, service: FakeService) -> None:
    handle = f"{new_id()}.{new_id()}"
    async with running(public, service) as (runner, calls):
        await calls.generate(*values(handle))
        await runner.delete(handle[:32], Visitor.from_token(handle[33:]))
        for asked in (calls.submit, calls.generate):
            assert NO_SUCH in await said(asked(*values(handle)))
    assert service.posts == 1


@pytest.mark.parametrize("fields", [{}, {"seed": -1}, {"prompt": "  a   fox "}, {"flow_shift": 7.0}])
async def test_the_same_call_with_an_id_of_ones_own_is_one_job_and_still_opens_it(
    public: Settings, service: FakeService, fields: dict[str, Any]
) -> None:
    job_id = new_id()
    async with running(public, service) as (_, calls):
        first = await calls.submit(*values(job_id, **fields))
        again = await calls.submit(*values(job_id, caller("198.51.100.9"), **fields))
        assert first["job_id"] == again["job_id"]
        assert first["request"] == again["request"]
        await calls.status(caller(), again["job_id"], 10)
    async with running(public, service) as (_, calls):  # and after a restart
        _, made = await calls.generate(*values(job_id, **fields))
        assert made["job_id"] == first["job_id"]
    assert service.posts == 1


async def test_who_learns_an_id_of_somebodys_own_choice_gets_at_nothing(public: Settings, service: FakeService) -> None:
    job_id = new_id()
    async with running(public, service) as (_, calls):
        await calls.submit(*values(job_id))
        assert await refused(calls, job_id, caller())
        for other in ({"prompt": "a hare"}, {"seed": 6}, {"infer_steps": 3}, {"negative_prompt": "x"}):
            for call in (calls.submit, calls.generate):
                assert (await said(call(*values(job_id, **other)))).startswith(NO_SUCH)
    assert service.posts == 1


async def test_a_handle_of_ones_own_names_the_job_whatever_else_the_call_says(
    public: Settings, service: FakeService
) -> None:
    handle = f"{new_id()}.{new_id()}"
    async with running(public, service) as (runner, calls):
        for who in (caller(), caller(x_api_key=OWN_KEY), caller(x_hunyuan_visitor=new_id())):
            assert (await calls.submit(*values(handle, who)))["job_id"] == handle
        assert (await calls.submit(*values(handle, prompt="a hare")))["request"]["prompt"] == "a fox"
        assert (await calls.status(caller(x_api_key=OWN_KEY), handle, 10))["status"] == "done"
        job_id, secret = handle.split(".")
        other = f"{job_id}.{new_id()}"
        assert (await said(calls.submit(*values(other)))).startswith(NO_SUCH)
        assert await refused(calls, other, caller())
        assert [job.id for job in (await runner.jobs(Visitor.from_token(secret)))] == [job_id]
    assert service.posts == 1


@pytest.mark.parametrize("name", ["x_api_key", "x_hunyuan_visitor"])
async def test_a_caller_with_a_name_needs_the_id_alone(public: Settings, service: FakeService, name: str) -> None:
    token = OWN_KEY if name == "x_api_key" else new_id()
    who = caller(**{name: token})
    async with running(public, service) as (_, calls):
        sent = await calls.submit(*values("", who))
        assert re.fullmatch(r"[0-9a-f]{32}", sent["job_id"])
        assert (await calls.status(who, sent["job_id"], 10))["status"] == "done"
        other = caller(**{name: token[::-1] if name == "x_hunyuan_visitor" else "SG_0000ffff0000ffff"})
        assert await refused(calls, sent["job_id"], other)
        assert await refused(calls, sent["job_id"], caller())


async def test_in_private_an_id_is_enough_for_its_owner(public: Settings, service: FakeService) -> None:
    job_id = new_id()
    async with running(replace(public, share=False), service) as (_, calls):
        for prompt in ("a fox", "a hare"):
            assert (await calls.submit(*values(job_id, prompt=prompt)))["job_id"] == job_id
        assert (await calls.status(caller(), job_id, 10))["made"]["prompt"] == "a fox"
        handle = f"{new_id()}.{new_id()}"
        assert (await calls.submit(*values(handle)))["job_id"] == handle


@pytest.mark.parametrize("is_public", [False, True])
async def test_an_id_cannot_be_made_to_open_its_own_job(
    public: Settings, service: FakeService, is_public: bool
) -> None:
    one = new_id()
    async with running(replace(public, share=is_public), service) as (_, calls):
        assert "ids are shown" in await said(calls.submit(*values(f"{one}.{one}")))
        assert "ids are shown" in await said(calls.submit(*values(one, caller(x_hunyuan_visitor=one))))
    assert service.posts == 0


@pytest.mark.parametrize(
    "handle", ["x", "x.y", f"{'a' * 32}.", f"{'a' * 32}.x", f".{'a' * 32}", f"{'A' * 32}", "a" * 64]
)
async def test_what_is_no_id_names_no_new_job(public: Settings, service: FakeService, handle: str) -> None:
    async with running(public, service) as (_, calls):
        assert "32 hexadecimal digits" in await said(calls.submit(*values(handle)))
        assert await refused(calls, handle, caller())
    assert service.posts == 0


# a lost video


GONE: list[Exception | bytes] = [DownloadError("video_lost", retryable=False, expired=True, request_id="unknown")]


@pytest.fixture
def soon_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a video be lost after three responses."""
    monkeypatch.setattr(endings, "PROOFS", {ending: endings.Proof(3, 0.0) for ending in endings.Ending})


async def lost(calls: ApiCalls, service: FakeService, *, is_expired: bool = False, **headers: str) -> str:
    """Make a video whose file is missing, or whose request is unknown; return the handle of its job."""
    if is_expired:
        service.script("status", *[answer(404, {"error": "not found"})] * 3)
    else:
        service.downloads = GONE * 3
    handle = (await calls.submit(*values(who=caller(**headers))))["job_id"]
    assert (await calls.status(caller(**headers), handle, 10))["status"] == "lost"
    return handle


@pytest.mark.usefixtures("soon_sure")
@pytest.mark.parametrize("is_expired", [False, True])
@pytest.mark.parametrize("headers", [{}, {"x_api_key": OWN_KEY}, {"x_hunyuan_visitor": "5" * 32}], ids=str)
async def test_a_lost_video_is_looked_for_again_when_its_caller_asks(
    public: Settings, service: FakeService, headers: dict[str, str], is_expired: bool
) -> None:
    async with running(public, service) as (_, calls):
        handle = await lost(calls, service, is_expired=is_expired, **headers)
        for asked in (False, None):
            assert (await calls.status(caller(**headers), handle, 0, cast("Any", asked)))["status"] == "lost"
        told = await calls.status(caller(**headers), handle, 10, True)
        assert (told["status"], told["made"]["job_id"]) == ("done", handle)
        again = await calls.status(caller(**headers), handle, 0, True)
        assert (again["status"], again["video"]) == ("done", told["video"])
    assert service.posts == 1


@pytest.mark.usefixtures("soon_sure")
async def test_a_video_that_is_still_gone_is_lost_again(public: Settings, service: FakeService) -> None:
    async with running(public, service) as (_, calls):
        handle = await lost(calls, service)
        service.downloads = GONE * 3
        assert (await calls.status(caller(), handle, 0, True))["is_active"]
        assert (await calls.status(caller(), handle, 10))["status"] == "lost"
        assert len(service.fetched) == 6


@pytest.mark.usefixtures("soon_sure")
async def test_callers_who_look_again_at_once_are_all_answered(public: Settings, service: FakeService) -> None:
    async with running(public, service) as (_, calls):
        handle = await lost(calls, service)
        told = await asyncio.gather(*(calls.status(caller(), handle, 10, True) for _ in range(5)))
        assert {one["status"] for one in told} == {"done"}
        assert len(service.fetched) == 4


@pytest.mark.usefixtures("soon_sure")
async def test_nobody_else_looks_again(public: Settings, service: FakeService) -> None:
    async with running(public, service) as (_, calls):
        handle = await lost(calls, service)
        job_id, secret = handle.split(".")
        for shown in (job_id, f"{job_id}.{new_id()}", f"{secret}.{job_id}"):
            for who in (caller(), caller(x_api_key=OWN_KEY)):
                assert (await said(calls.status(who, shown, 0, True))).startswith(NO_SUCH)
        assert "wait_s" in await said(calls.status(caller(), handle, cast("Any", "long"), True))
        assert (await calls.status(caller(), handle))["status"] == "lost"
        assert len(service.fetched) == 3


async def test_a_job_that_is_not_lost_is_told_as_ever(public: Settings, service: FakeService) -> None:
    async with running(public, service) as (runner, calls):
        service.script("submit", answer(422, {"error": "no"}))
        failed = (await calls.submit(*values()))["job_id"]
        assert (await calls.status(caller(), failed, 10, True))["status"] == "failed"
        service.script("submit", failure(httpx.ReadError))
        unknown = (await calls.submit(*values()))["job_id"]
        assert (await calls.status(caller(), unknown, 10, True))["status"] == "unknown"
        endless(service)
        active = (await calls.submit(*values()))["job_id"]
        job_id, _, secret = active.partition(".")
        await until(lambda: seen(runner, job_id, Visitor.from_token(secret)).job.status is JobStatus.RUNNING)
        for asked in (False, True):
            told = await calls.status(caller(), active, 0, asked)
            assert (told["status"], told["is_active"]) == ("running", True)


@pytest.mark.usefixtures("soon_sure")
async def test_after_seven_days_a_lost_video_is_told_as_ever(public: Settings, service: FakeService) -> None:
    clock = [1_000_000_000.0]
    async with running(public, service, now=lambda: clock[0]) as (_, calls):
        handle = await lost(calls, service)
        clock[0] += 7 * 86_400 + 1
        assert (await calls.status(caller(), handle, 0, True))["status"] == "lost"
        assert len(service.fetched) == 3


# waiting callers


def endless(service: FakeService) -> None:
    """Let sent jobs run for ever."""
    service.script("status", *[answer(200, {"status": "PROCESSING"})] * 100_000)


@asynccontextmanager
async def waiting(*calls: Awaitable[Any]) -> AsyncIterator[list[asyncio.Task[Any]]]:
    """Begin calls and let each come as far as it can; they are cancelled at the end."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    await asyncio.sleep(0.3)
    yield tasks
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def sentences(tasks: list[asyncio.Task[Any]]) -> Iterator[str]:
    yield from (words().sentence(cast("HunyuanUIError", task.exception())) for task in tasks if task.done())


async def test_one_caller_cannot_keep_the_next_one_waiting_for_an_answer(
    public: Settings, service: FakeService
) -> None:
    endless(service)
    handle = f"{new_id()}.{new_id()}"
    async with running(public, service) as (_, calls):
        await calls.submit(*values(handle))
        async with waiting(*(calls.generate(*values(handle)) for _ in range(WAITING_CALLS + 1))) as tasks:
            assert sum(not task.done() for task in tasks) == WAITING_FOR_ONE_JOB
            for sentence in sentences(tasks):
                assert handle in sentence
                assert "/status" in sentence
            assert (await calls.status(caller(), handle))["is_active"]
            service.scripts["status"] = []
            _, made = await calls.generate(*values(who=caller(x_api_key=OWN_KEY)))
            assert made["job_id"]
        _, made = await calls.generate(*values(handle))
        assert made["job_id"] == handle
    assert service.posts == 2


async def test_a_call_that_has_no_place_sends_nothing(public: Settings, service: FakeService) -> None:
    endless(service)
    who = caller(x_api_key=OWN_KEY)
    async with running(public, service) as (_, calls):
        begun = [calls.generate(*values(new_id(), who)) for _ in range(WAITING_OF_ONE_VISITOR + 3)]
        async with waiting(*begun) as tasks:
            assert sum(not task.done() for task in tasks) == WAITING_OF_ONE_VISITOR
            told = list(sentences(tasks))
            assert len(told) == 3
            assert service.posts <= WAITING_OF_ONE_VISITOR


async def test_places_are_given_back_however_a_call_ends(public: Settings, service: FakeService) -> None:
    async with running(public, service) as (_, calls):
        for number in range(WAITING_CALLS * 2):
            who = caller(x_api_key=OWN_KEY)
            if number % 2:
                await calls.generate(*values(who=who))
            else:
                assert "Steps" in await said(calls.generate(*values(who=who, infer_steps=99)))
        assert calls.slots._taken == {}


def call(job: int = 0, visitor: int = 0, address: str = "203.0.113.5") -> Call:
    return Call(f"{job}", Visitor.from_token(f"{visitor}", address=address), "")


@pytest.mark.parametrize(
    ("is_public", "calls", "most"),
    [
        (True, (call() for _ in count()), WAITING_FOR_ONE_JOB),
        (False, (call() for _ in count()), WAITING_FOR_ONE_JOB),
        (True, (call(number) for number in count()), WAITING_OF_ONE_VISITOR),
        (True, (call(number, number) for number in count()), WAITING_OF_ONE_ADDRESS),
        (True, (call(number, number, f"{number}") for number in count()), WAITING_CALLS),
        (False, (call(number) for number in count()), WAITING_CALLS),
    ],
)
def test_so_many_wait_of_each_kind(is_public: bool, calls: Iterator[Call], most: int) -> None:
    slots, held = WaitingCalls(is_public=is_public), list[Any]()
    while slots.has_room(asked := next(calls)):
        held.append(slots.taken(asked))
        held[-1].__enter__()
    assert len(held) == most
    held.pop().__exit__(None, None, None)
    assert slots.has_room(asked)


async def test_a_job_that_waits_for_its_turn_can_be_waited_for_by_its_own_caller_only(
    public: Settings, service: FakeService
) -> None:
    endless(service)
    async with running(public, service) as (runner, calls):
        sent = await calls.submit(*values())
        assert (await runner.jobs(Visitor.from_token(sent["job_id"].partition(".")[2])))[0].status is not JobStatus.DONE
        assert (await said(calls.generate(*values(sent["job_id"].partition(".")[0])))).startswith(NO_SUCH)


def test_who_does_not_wait_takes_no_place_of_those_who_do() -> None:
    slots, visitor = WaitingCalls(is_public=True), Visitor.from_token(new_id())
    with ExitStack() as quick:
        for _ in range(2 * ASKING):
            assert quick.enter_context(slots.asking(visitor, 0.0)) == 0.0
        with slots.asking(visitor, 5.0) as wait_s:
            assert wait_s == 5.0


async def test_who_asks_how_a_job_stands_waits_in_a_place_or_not_at_all(public: Settings, service: FakeService) -> None:
    endless(service)
    async with running(public, service) as (_, calls):
        lists = BatchCalls(calls._runner, calls.slots)
        handle = (await calls.submit(*values()))["job_id"]
        job_id, _, token = handle.partition(".")
        who = caller(x_hunyuan_visitor=token)
        asked = [calls.status(caller(), handle, 25.0) for _ in range(WAITING_CALLS + 1)]
        async with waiting(*asked) as tasks:
            assert sum(not task.done() for task in tasks) == ASKING_OF_ONE_ADDRESS
            assert await asyncio.wait_for(calls.status(who, job_id, 25.0), 5)
            others = [calls.status(caller(f"198.51.100.{n}"), handle, 25.0) for n in range(WAITING_CALLS)]
            async with waiting(*others) as theirs:
                assert sum(not task.done() for task in [*tasks, *theirs]) == ASKING
        sent = await lists.submit_many(who, "a crow", "n", 5.0, "auto", 0, 0, False, False)
        asked = [lists.status_many(who, sent["list_id"], 25.0) for _ in range(WAITING_CALLS + 1)]
        async with waiting(*asked) as tasks:
            assert sum(not task.done() for task in tasks) == ASKING_OF_ONE_ADDRESS


async def test_a_refusal_that_is_not_about_a_price_is_told_as_it_is(public: Settings, service: FakeService) -> None:
    async with running(public, service) as (_, calls):
        told = await said(calls.submit(*values(who=caller(x_payer="visitor"))))
    assert told == words().sentence(SpendLimitError("no_key"))
    assert service.posts == 0
