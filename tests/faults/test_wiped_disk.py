"""A public run on a disk that each restart wipes, checked by the service's own bill (docs/architecture.md 5)."""

from __future__ import annotations

import asyncio
import io
import signal
import threading
import time
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from hunyuan_ui import cancellation
from hunyuan_ui.endpoint.history import PastRequest
from hunyuan_ui.errors import SpendLimitError, StorageError
from hunyuan_ui.job import OWNER as ACCOUNT
from hunyuan_ui.job import Job, JobStatus, Phase, new_id
from hunyuan_ui.jobs import history_import
from hunyuan_ui.jobs.history_import import HistoryImport
from hunyuan_ui.jobs.services import KEY as KEY_NOTE
from hunyuan_ui.ledger import Ledger
from tests.faults import oracle
from tests.faults.kill import Program, fork_server
from tests.faults.rig import KEY, SHORT_GETS, Rig, prompt_of, until
from tests.faults.service import COST_USD, LIST, STATUS, Envelope, PaidService, pictures, video_of
from tests.faults.wiped import (
    DAY_S,
    LIMIT_USD,
    PUBLIC,
    at_rest,
    done,
    killed,
    refusal,
    service_again,
    spent_usd,
    visit,
    wipe,
)
from tests.faults.wiped import wiped as wiped
from tests.raw_service import Received, Reply, answer, cut, html, silence
from tests.seen import seen

pytestmark = [pytest.mark.anyio, pytest.mark.faults]

ENVELOPES: dict[str, Envelope] = {
    "list": lambda rows, _: rows,
    "data": lambda rows, _: {"data": rows},
    "items": lambda rows, about: {"status": "success", "results": {"items": rows, "pagination": about}},
    "history": lambda rows, about: {"request_history": rows, "pagination": {**about, "has_next": False}, "errors": []},
}
UNREADABLE: dict[str, Reply] = {
    "404": answer(404, {"error": "not found"}),
    "401": answer(401, {"error": "Unauthorized."}),
    "429": answer(429, {"error": "rate_limit_exceeded"}),
    "500": answer(500, {"error": "x"}),
    "html": html(200),
    "html 404": html(404),
    "nothing": answer(200, b""),
    "null": answer(200, "null", content_type="application/json"),
    "{}": answer(200, {}),
    "text": answer(200, "no requests", content_type="text/plain"),
    "null data": answer(200, {"data": None}),
    "an error under 200": answer(200, {"error": "try later", "data": []}),
    "no success": answer(200, {"success": False, "data": []}),
    "errors only": answer(200, {"errors": []}),
    "rows without ids": answer(200, {"data": [{"id": 1}]}),
    "fewer than it says": answer(200, {"data": [], "total": 2}),
    "cut": cut({"data": [{"request_id": "2c7f59ea-13f1-402c-9353-915a2b5a2124"}]}, 40),
    "half a list": cut(b'{"data": []}', 8, framing="none", content_type="application/json"),
}


# the history can be read


async def live_and_be_wiped(rig: Rig, service: PaidService, clicks: int) -> dict[str, Any]:
    """Start, click as far as the limit allows, and lose the folder; return the videos that were there."""
    async with rig.running() as runner:
        for _ in range(clicks):
            with suppress(SpendLimitError):
                await visit(runner)
        await at_rest(runner)
        videos = await done(runner)
        assert (await runner.spending()).spent_today_usd == pytest.approx(spent_usd(service))
    wipe(rig)
    return videos


@pytest.mark.parametrize("envelope", ENVELOPES)
async def test_three_lives_of_a_wiped_folder_stay_under_the_limit_and_lose_no_video(
    rig: Rig, service: PaidService, envelope: str
) -> None:
    service.envelope = ENVELOPES[envelope]
    for _ in range(3):
        videos = await live_and_be_wiped(rig, service, clicks=2)
    assert 2 * COST_USD <= spent_usd(service) <= LIMIT_USD
    assert videos == {prompt: pictures(video_of(prompt)) for prompt in service.posts()}


async def test_a_request_that_the_history_tells_of_late_counts_all_the_same(
    rig: Rig, service: PaidService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_import, "AGAIN_S", (0.02,) * 50)
    await live_and_be_wiped(rig, service, clicks=2)
    empty, failing = answer(200, {"data": []}), answer(500, {"error": "x"})
    service.on("GET", LIST, [empty, failing, empty])
    async with rig.running() as runner:
        await until(lambda: len(runner._services.ledger.jobs(None, limit=9)) == 2)
        await at_rest(runner)
        assert await refusal(runner) == "over_daily_limit"
        assert runner.owner.history_state(ACCOUNT).problem is None
    assert spent_usd(service) == 2 * COST_USD


async def test_a_history_that_cannot_be_read_once_more_leaves_the_key_in_use(
    rig: Rig, service: PaidService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_import, "AGAIN_S", (0.01,) * 3)
    service.on("GET", LIST, [answer(200, {"data": []}), *[answer(500, {"error": "x"})] * 3])
    async with rig.running() as runner:
        task = runner._history._task
        assert task is not None
        await until(task.done)
        state = runner.owner.history_state(ACCOUNT)
        assert (state.is_read, state.is_key_paused, state.problem) == (True, False, None)


async def test_a_stop_whose_cancellation_is_lost_ends_the_reading_all_the_same(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def deaf(_: HistoryImport) -> int:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(60)  # the next page
        return 0

    monkeypatch.setattr(cancellation, "AGAIN_S", 0.01)
    monkeypatch.setattr(HistoryImport, "_find", deaf)
    monkeypatch.setattr(history_import, "FIRST_TRY_S", 0.01)
    async with rig.running() as runner:
        pass
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("history")]
    assert not runner._dispatcher.live


async def test_a_clock_that_is_ahead_dates_no_spending_back_to_the_day_before(rig: Rig, service: PaidService) -> None:
    began = time.time()
    ahead_s = min(DAY_S - began % DAY_S + 60, DAY_S - 60)  # here the next day has begun
    rig.now = lambda: time.time() + ahead_s
    for _ in range(2):
        await live_and_be_wiped(rig, service, clicks=4)
    assert 2 * COST_USD <= spent_usd(service) <= LIMIT_USD


async def test_a_ledger_that_was_once_far_ahead_keeps_no_key_from_being_used(rig: Rig, service: PaidService) -> None:
    rig.now = lambda: time.time() + 400 * DAY_S
    rig.settings = {**PUBLIC, "storage": "kept"}
    async with rig.running() as runner:
        await visit(runner)
        await at_rest(runner)
    rig.now, rig.settings = None, PUBLIC
    async with rig.running() as runner:
        await visit(runner)
        await at_rest(runner)
        assert len(await done(runner)) == 2
        assert (await runner.spending()).spent_today_usd == pytest.approx(spent_usd(service)) == 2 * COST_USD


async def test_what_was_spent_elsewhere_counts_for_today_in_a_ledger_that_was_once_far_ahead(
    rig: Rig, service: PaidService
) -> None:
    rig.now = lambda: time.time() + 400 * DAY_S
    rig.settings = {**PUBLIC, "storage": "kept"}
    for one in (rig, replace(rig, folder=rig.folder.with_name("elsewhere"), now=None)):
        async with one.running() as runner:
            await visit(runner)
            await at_rest(runner)
    rig.now, rig.settings = None, PUBLIC
    async with rig.running() as runner:
        await until(lambda: runner._services.pause.history_problem is None)
        await at_rest(runner)
        assert (await runner.spending()).spent_today_usd == pytest.approx(spent_usd(service)) == 2 * COST_USD
    asked = [parse_qs(urlsplit(one.path).query) for one in service.requests if "from_date=" in one.path]
    assert asked
    assert all(days["from_date"] < days["to_date"] for days in asked)


async def test_what_still_renders_when_the_folder_is_wiped_is_counted_and_fetched(
    rig: Rig, service: PaidService
) -> None:
    service.on("GET", STATUS, answer(200, {"status": "PROCESSING"}))
    async with killed(rig) as runner:
        first = await visit(runner)
        await until(lambda: seen(runner, first, ACCOUNT).phase is Phase.RENDERING)
    wipe(rig)
    async with rig.running() as runner:
        (job,) = await runner.owner.all_jobs(ACCOUNT)
        assert (job.status, job.request.prompt, job.visitor) == (JobStatus.RUNNING, prompt_of(first), ACCOUNT.id)
        assert job.counted_microusd == job.reserved_microusd > COST_USD * 1e6
        assert job.notes[KEY_NOTE] == runner._services.key_mark(KEY)
        await visit(runner)  # two at the high bound are 4.39
        assert await refusal(runner) == "over_daily_limit"
        service.on("GET", STATUS, answer(200, {"status": "COMPLETED"}))
        await at_rest(runner)
        assert (await done(runner)) == {prompt: pictures(video_of(prompt)) for prompt in service.posts()}
    assert spent_usd(service) == 2 * COST_USD


async def test_a_restart_that_did_not_wipe_adopts_nothing_twice(rig: Rig, service: PaidService) -> None:
    for number in range(3):
        async with rig.running() as runner:
            if number == 0:
                await visit(runner)
                await at_rest(runner)
            assert await runner.owner.find_videos(ACCOUNT) == 0
            assert len(await runner.owner.all_jobs(ACCOUNT)) == 1
            assert (await runner.spending()).spent_today_usd == COST_USD


async def test_a_deleted_video_does_not_come_back(rig: Rig, service: PaidService) -> None:
    async with rig.running() as runner:
        job_id = await visit(runner)
        await at_rest(runner)
        await runner.delete(job_id, ACCOUNT)
        assert await runner.owner.find_videos(ACCOUNT) == 0
    async with rig.running() as runner:
        assert (await runner.owner.all_jobs(ACCOUNT)) == []
        assert (await runner.spending()).spent_today_usd == COST_USD


async def test_what_is_just_being_sent_when_the_list_is_read_is_not_one_more(rig: Rig, service: PaidService) -> None:
    gate = threading.Event()

    def hold(received: Received) -> None:
        if received.method == "POST":
            gate.wait(30)

    service.on_request = hold
    async with rig.running() as runner:
        await visit(runner)
        await until(lambda: service.rows())
        assert await runner.owner.find_videos(ACCOUNT) == 0
        gate.set()
        await at_rest(runner)
        assert [job.status for job in (await runner.owner.all_jobs(ACCOUNT))] == [JobStatus.DONE]


async def test_a_job_without_an_answer_is_given_its_request(rig: Rig, service: PaidService) -> None:
    async with rig.running() as runner:
        service.drop_connections(1)
        job_id = await visit(runner)
        await at_rest(runner)
        job = (await runner.view(job_id, ACCOUNT)).job
        assert job.status is JobStatus.UNKNOWN
        request_id = str(new_id())
        service._keys[request_id], service._prompts[request_id] = KEY, job.request.prompt
        now = datetime.now(timezone.utc).isoformat()
        service.past[request_id] = {"request_body": job.request.model_dump(), "created_at": now}
        assert await runner.owner.find_videos(ACCOUNT) == 1
        await at_rest(runner)
        found = (await runner.view(job_id, ACCOUNT)).job
        assert (found.status, found.request_id, found.visitor) == (JobStatus.DONE, request_id, job.visitor)
        assert len(await runner.owner.all_jobs(ACCOUNT)) == 1
        assert (await runner.spending()).spent_today_usd == COST_USD


@pytest.mark.parametrize("pages_of", [1, 2, 3])
async def test_a_list_in_many_pages_is_read_to_its_end(rig: Rig, service: PaidService, pages_of: int) -> None:
    rig.settings = {**PUBLIC, "daily_limit_usd": 50.0}
    service.pages_of = pages_of
    service.envelope = ENVELOPES["list"]
    async with rig.running() as runner:
        for _ in range(5):
            await visit(runner)
        await at_rest(runner)
    wipe(rig)
    async with rig.running() as runner:
        assert (await runner.spending()).spent_today_usd == pytest.approx(5 * COST_USD)


async def test_what_was_charged_on_another_day_is_fetched_and_not_counted_today(rig: Rig, service: PaidService) -> None:
    async with rig.running() as runner:
        await visit(runner)
        await at_rest(runner)
    wipe(rig)
    (request_id,) = service.past
    service.past[request_id]["created_at"] = round((time.time() - 2 * DAY_S) * 1000)
    async with rig.running() as runner:
        await at_rest(runner)
        assert len(await done(runner)) == 1
        assert (await runner.spending()).spent_today_usd == 0
        assert (await runner.spending()).spent_total_usd == COST_USD
    wipe(rig)
    service.past[request_id]["created_at"] = round((time.time() - 7.5 * DAY_S) * 1000)
    async with rig.running() as runner:
        assert (await runner.owner.all_jobs(ACCOUNT)) == []


@pytest.mark.parametrize(
    ("row", "counted_usd", "status"),
    [
        ({"model_status": "FAILED", "credits_deduction": 1.46, "generation_url": None}, 1.46, JobStatus.LOST),
        ({"model_status": "FAILED", "credits_deduction": 0, "generation_url": None}, 0.0, None),
        ({"model_status": "FAILED", "credits_deduction": None, "generation_url": None}, 0.0, None),
        ({"model_status": "COMPLETED", "credits_deduction": 0}, "cost_usd", JobStatus.DONE),
        ({"credits_deduction": None}, "high_usd", JobStatus.DONE),
        ({"credits_deduction": 1e8}, "cost_usd", JobStatus.DONE),
        ({"credits_deduction": "1.46"}, 1.46, JobStatus.DONE),
        ({"created_at": None, "model_name": None}, 1.46, JobStatus.DONE),
        ({"created_at": "2099-01-01T00:00:00Z"}, 1.46, JobStatus.DONE),
        ({"request_body": None}, 1.46, JobStatus.DONE),
        ({"request_body": '{"prompt": "a heron", "width": "wide"}'}, 1.46, JobStatus.DONE),
        ({"model_name": "hunyuan-video-i2v"}, 0.0, None),
    ],
)
async def test_a_row_counts_what_it_names_if_that_can_be_meant(
    rig: Rig, service: PaidService, row: dict[str, Any], counted_usd: float | str, status: JobStatus | None
) -> None:
    named = [row["credits_deduction"]] if counted_usd == "cost_usd" else []
    async with rig.running() as runner:
        await visit(runner)
        await at_rest(runner)
    wipe(rig)
    (request_id,) = service.past
    service.past[request_id] |= row
    for other in ("/v2/*", f"{LIST}/*"):  # only the list has it
        service.on("GET", other, answer(500, {"error": "x"}))
    async with rig.running() as runner:
        await at_rest(runner)
        found = await runner.owner.all_jobs(ACCOUNT)
        assert [job.status for job in found] == ([] if status is None else [status])
        if isinstance(counted_usd, str):
            counted_usd = getattr(runner.estimate(found[0].request), counted_usd)
        assert (await runner.spending()).spent_today_usd == pytest.approx(counted_usd)
        assert [job.notes.get("named_usd") for job in (await runner.owner.doubtful(ACCOUNT))] == named


@pytest.mark.slow
async def test_a_kill_in_the_middle_of_adopting_is_made_good(rig: Rig, service: PaidService, tmp_path: Path) -> None:
    async with rig.running() as runner:
        for _ in range(2):
            await visit(runner)
        await at_rest(runner)
    with fork_server() as forks:

        def life(name: str, kill_at: tuple[str, int] | None = None) -> tuple[Program, int]:
            program = Program(forks, service, tmp_path / name, jobs=[], settings=PUBLIC)
            return program, program.run(kill_at)

        def wrong_after(point: tuple[str, int]) -> str | None:
            program, status = life(f"{point[0]}-{point[1]}", point)
            is_killed, is_good = status == -signal.SIGKILL, program.run() == 0
            jobs = oracle.stored_jobs(program.folder)
            found = sorted((job.request.prompt, job.status, job.cost_microusd) for job in jobs)
            return None if is_killed and is_good and found == expected else f"{point}: {found}"

        clean, status = await asyncio.to_thread(life, "clean")
        assert status == 0, clean.log
        expected = sorted((prompt, JobStatus.DONE, round(COST_USD * 1e6)) for prompt in service.posts())
        points = sorted({(name, hit) for name in set(clean.passed) for hit in (1, clean.passed.count(name))})
        assert ("ledger.import_history.commit", 1) in points
        assert len(points) > 20
        assert [wrong for point in points if (wrong := await asyncio.to_thread(wrong_after, point))] == []
    assert spent_usd(service) == 2 * COST_USD


# the history cannot be read


@pytest.mark.parametrize("reply", UNREADABLE)
async def test_while_the_history_cannot_be_read_the_key_rests_and_all_else_works(
    rig: Rig, service: PaidService, reply: str
) -> None:
    service.on("GET", LIST, UNREADABLE[reply])
    async with rig.running() as runner:
        assert await refusal(runner) == "history_unread"
        preview = await visit(runner, payer="nobody")
        own = await visit(runner, own_key="canary-of-a-visitor-0001")
        await at_rest(runner)
        assert (await runner.view(preview, ACCOUNT)).job.status is JobStatus.DONE
        assert (await runner.view(own, ACCOUNT)).job.status is JobStatus.DONE
        state = runner.owner.history_state(ACCOUNT)
        assert (state.is_needed, state.is_read, state.is_key_paused) == (True, False, True)
        assert state.problem is not None
        assert state.tried_s_ago is not None
        assert spent_usd(service) == 0
        service.on("GET", LIST, service_again(service))
        await until(lambda: not runner.owner.history_state(ACCOUNT).is_key_paused)
        await visit(runner)
        await at_rest(runner)
    assert spent_usd(service) == COST_USD


async def test_a_ledger_that_cannot_be_read_after_the_history_leaves_the_key_resting_until_it_can(
    rig: Rig, service: PaidService, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig.running() as runner:
        await visit(runner)
        await at_rest(runner)
    wipe(rig)
    monkeypatch.setattr("hunyuan_ui.jobs.history_import.RETRY_S", 0.05)
    failures = [True, True]
    active = Ledger.active

    def unreadable_twice(ledger: Ledger) -> list[Job]:
        found = active(ledger)
        if found and failures:
            failures.pop()
            raise StorageError("ledger_busy")
        return found

    monkeypatch.setattr(Ledger, "active", unreadable_twice)
    async with rig.running() as runner:
        await until(lambda: not failures)
        await until(lambda: not runner.owner.history_state(ACCOUNT).is_key_paused)
        await at_rest(runner)
        assert len(await done(runner)) == 1
    assert spent_usd(service) == COST_USD


async def test_a_history_that_never_answers_holds_up_nothing(
    rig: Rig, service: PaidService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hunyuan_ui.jobs.history_import.FIRST_TRY_S", 0.01)
    rig.timeouts = SHORT_GETS
    service.on("GET", LIST, silence())
    async with rig.running() as runner:
        assert runner.is_healthy
        assert await refusal(runner) == "history_unread"
        await until(lambda: runner.owner.history_state(ACCOUNT).problem)
    assert spent_usd(service) == 0


async def test_a_reading_that_dies_is_begun_again(
    rig: Rig, service: PaidService, lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, deaths = HistoryImport._ask, iter(range(2))

    async def die_at_first(self: HistoryImport) -> list[PastRequest]:
        if next(deaths, None) is not None:
            raise ZeroDivisionError
        return await original(self)

    monkeypatch.setattr(HistoryImport, "_ask", die_at_first)
    async with rig.running() as runner:
        assert await refusal(runner) == "history_unread"
        await until(lambda: runner.owner.history_state(ACCOUNT).is_read)
        await visit(runner)
    assert lines.getvalue().count('"history.died"') == 2


async def test_a_list_that_never_ends_is_not_read(rig: Rig, service: PaidService) -> None:
    def more(rows: list[dict[str, Any]], about: dict[str, int]) -> object:
        return [{"request_id": new_id(), "model_name": "hunyuan-video"} for _ in range(100)]

    service.envelope = more
    async with rig.running() as runner:
        await until(lambda: runner.owner.history_state(ACCOUNT).problem)
        assert await refusal(runner) == "history_unread"
        assert service.count("GET", "&model_name=hunyuan-video") < 200


async def test_what_waits_in_a_ledger_that_is_still_there_is_not_sent_before_the_history_is_read(
    rig: Rig, service: PaidService
) -> None:
    service.on("GET", STATUS, answer(200, {"status": "PROCESSING"}))
    rig.settings = {**PUBLIC, "concurrency": 1}
    async with killed(rig) as runner:
        first = await visit(runner)
        await until(lambda: seen(runner, first, ACCOUNT).phase is Phase.RENDERING)
        waiting = await visit(runner)
    service.on("GET", LIST, html(502))
    service.on("GET", STATUS, answer(200, {"status": "COMPLETED"}))
    async with rig.running() as runner:
        await until(lambda: seen(runner, first, ACCOUNT).job.status is JobStatus.DONE)
        view = await runner.view(waiting, ACCOUNT)
        assert (view.phase, view.note.code if view.note else "") == (Phase.PAUSED, "history_unread")
        assert spent_usd(service) == COST_USD
        service.on("GET", LIST, service_again(service))
        await at_rest(runner)
        assert (await runner.view(waiting, ACCOUNT)).job.status is JobStatus.DONE
    assert spent_usd(service) == 2 * COST_USD
