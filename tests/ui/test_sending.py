"""Clicks on the page: limits as notes, missing credentials, and retries."""

from __future__ import annotations

import json
import math
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from starlette.requests import Request

from hunyuan_ui.data_folder import DataFolder
from hunyuan_ui.errors import AccessError
from hunyuan_ui.estimate import estimate
from hunyuan_ui.job import JobStatus, Visitor, new_id
from hunyuan_ui.jobs import JobRunner, build_runner
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.settings import Secret, Settings
from hunyuan_ui.ui import events
from hunyuan_ui.ui.events import PageEvents
from hunyuan_ui.ui.variations import COUNTS, again_id, variations
from tests.fake_service import FakeService, answer
from tests.stored_jobs import job

pytestmark = pytest.mark.anyio

TOKEN = "a" * 32
OTHER = "b" * 32
DEAR_USD = 1000.0
PRIVATE: dict[str, Any] = {}
PUBLIC: dict[str, Any] = {"share": True, "daily_limit_usd": 10.0}


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
async def runner(request: pytest.FixtureRequest, tmp_path: Path, service: FakeService) -> AsyncIterator[JobRunner]:
    settings = Settings(data_dir=tmp_path / "data", api_key=Secret("SG_00112233aabbccdd"), poll_interval_s=0.002)
    settings = replace(settings, **getattr(request, "param", PRIVATE))
    folder = DataFolder(settings.data_dir, min_free_bytes=0)
    opened = build_runner(settings, client=service.client(), download=service.download, folder=folder)
    await opened.start()
    yield opened
    await opened.stop()


def asking() -> gr.Request:
    request = Request({"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": []})
    return gr.Request(request=request, session_hash="s1")


async def tried(runner: JobRunner, old_id: str, most_usd: object = DEAR_USD, token: str = TOKEN) -> tuple[Any, Any]:
    event = gr.EventData(None, {"job": old_id, "most_usd": most_usd})  # type: ignore[arg-type]
    watched, notice = await PageEvents(runner).try_again(asking(), event, token)
    return watched, notice


def failed(runner: JobRunner, **changes: Any) -> str:
    visitor = Visitor.from_token(TOKEN).id
    stored = job(**{"visitor": visitor, "status": JobStatus.FAILED, **changes})
    runner._services.ledger.adopt(stored)
    return stored.id


@pytest.mark.parametrize("status", [JobStatus.FAILED, JobStatus.LOST, JobStatus.UNKNOWN, JobStatus.CANCELLED])
async def test_what_ended_is_sent_once_more_with_its_settings_and_once_only(
    runner: JobRunner, service: FakeService, status: JobStatus
) -> None:
    old_id = failed(runner, status=status, prompt="a fox that was not made")
    answers = [await tried(runner, old_id) for _ in range(3)]  # in a hurry, or in three tabs
    watched, notice = answers[0]
    assert (watched["job"], watched["again_of"], watched["is_new"]) == (again_id(old_id), old_id, True)
    assert notice == {}
    visitor = Visitor.from_token(TOKEN)
    made = await runner.wait(again_id(old_id), visitor, 10)
    assert made.status is JobStatus.DONE
    assert made.request == (await runner.view(old_id, visitor)).job.request
    await tried(runner, old_id)  # after its end, too
    assert [body["prompt"] for body in service.bill] == ["a fox that was not made"]


async def test_a_second_failure_can_be_tried_again_as_well(runner: JobRunner, service: FakeService) -> None:
    old_id = failed(runner)
    service.script("submit", answer(422, {"error": "no"}))
    for _ in range(2):
        await tried(runner, old_id)
        ended = await runner.wait(again_id(old_id), Visitor.from_token(TOKEN), 10)
        old_id = ended.id
    assert ended.status is JobStatus.DONE
    assert len(service.bill) == 1


@pytest.mark.parametrize("seen_usd", [0, 0.5, "2", None, True, float("nan"), -3])
async def test_nothing_is_sent_above_the_price_that_was_seen(
    runner: JobRunner, service: FakeService, seen_usd: object
) -> None:
    old_id = failed(runner)
    _, notice = await tried(runner, old_id, seen_usd)
    assert "Nothing was sent" in notice["text"]
    assert (notice["again"], notice["is_confirmable"]) == (old_id, True)
    assert service.posts == 0
    watched, notice = await tried(runner, old_id, notice["most_usd"])  # confirmed
    assert (watched["job"], notice) == (again_id(old_id), {})


async def test_a_page_on_which_an_own_key_was_chosen_spends_none_of_the_owners_money_after_a_restart(
    runner: JobRunner, service: FakeService
) -> None:
    assert "visitor" not in runner.payers  # as after a start in private with the owner's key
    form = {**VideoRequest(prompt="a heron").model_dump(), "variations": "1"}
    for is_confirmed in (False, True):
        sent = json.dumps({"form": form, "payer": "visitor", "shown_usd": 9.0, "is_confirmed": is_confirmed})
        _, notice = await PageEvents(runner).send(asking(), new_id(), TOKEN, sent)
        assert "There is no API key to pay with" in notice["text"]
    assert service.posts == 0


@pytest.mark.parametrize("stored", [1, 2, 3])
async def test_the_same_click_again_starts_those_videos_that_a_killed_server_has_not_stored(
    runner: JobRunner, service: FakeService, stored: int
) -> None:
    click_id, wish, visitor = new_id(), VideoRequest(prompt="a heron", seed=7), Visitor.from_token(TOKEN)
    for spec in variations(click_id, wish, 4)[:stored]:
        await runner.submit(spec.id, spec.request, visitor, in_click=spec.in_click)
    form = {**wish.model_dump(), "variations": "4"}
    sent = json.dumps({"form": form, "payer": "owner", "shown_usd": DEAR_USD, "is_confirmed": False})
    for _ in range(2):
        watched, notice = await PageEvents(runner).send(asking(), click_id, TOKEN, sent)
        assert (len(watched["click"]["jobs"]), notice["text"]) == (4, "")
    for spec in variations(click_id, wish, 4):
        await runner.wait(spec.id, visitor, 10)
    assert sorted(body["seed"] for body in service.bill) == [7, 8, 9, 10]


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize(("seen_usd", "code"), [(1.5, "{shown}"), (0, "not shown")])
async def test_several_videos_are_refused_by_the_price_of_all_of_them(
    runner: JobRunner, service: FakeService, count: int, seen_usd: float, code: str
) -> None:
    form = {**VideoRequest(prompt="a heron").model_dump(), "variations": str(count)}
    events, click_id = PageEvents(runner), new_id()
    sent = json.dumps({"form": form, "shown_usd": seen_usd, "is_confirmed": False})
    _, notice = await events.send(asking(), click_id, TOKEN, sent)
    one_usd = estimate(VideoRequest(prompt="a heron")).high_usd
    shown_usd = count * math.ceil(one_usd * 100) / 100
    assert notice["most_usd"] == pytest.approx(one_usd if count == 1 else shown_usd, abs=0.001)
    assert f"${shown_usd:.2f}" in notice["text"]
    assert code.format(shown=f"${seen_usd:.2f}") in notice["text"]
    assert (f"These {count} videos" in notice["text"] or f"of these {count} videos" in notice["text"]) == (count > 1)
    assert (notice["is_confirmable"], service.posts) == (True, 0)
    sent = json.dumps({"form": form, "shown_usd": notice["most_usd"], "is_confirmed": True})
    watched, _ = await events.send(asking(), click_id, TOKEN, sent)
    assert len(watched["told"]) == count


@pytest.mark.parametrize("seed", [-1, 7])
@pytest.mark.parametrize(
    "changed", [{"prompt": "a crow"}, {"negative_prompt": "fog"}, {"infer_steps": 21}, {"seed": 8}, {"width": 704}]
)
async def test_a_press_that_finds_another_forms_click_says_so_and_sends_nothing(
    runner: JobRunner, service: FakeService, seed: int, changed: dict[str, Any]
) -> None:
    first = {"prompt": "a fox", "video_length": 9, "seed": seed}
    job_id = new_id()

    async def pressed(form: dict[str, Any], count: str = "1") -> tuple[str, str]:
        sent = json.dumps({"form": {**VideoRequest(**form).model_dump(), "variations": count}, "shown_usd": DEAR_USD})
        watched, notice = await PageEvents(runner).send(asking(), job_id, TOKEN, sent)
        return watched["job"], notice["text"]

    assert await pressed(first) == (job_id, "")
    assert await pressed(first) == (job_id, "")
    found, text = await pressed({**first, **changed}, "3")
    assert found == job_id
    assert "Nothing new was sent" in text
    await runner.wait(job_id, Visitor.from_token(TOKEN), 10)
    assert [one.id for one in await runner.jobs(Visitor.from_token(TOKEN), limit=9)] == [job_id]
    assert [body["prompt"] for body in service.bill] == ["a fox"]


@pytest.mark.parametrize("seed", [-1, 7])
@pytest.mark.parametrize(("before", "after"), [("1", "3"), ("3", "1"), ("2", "3"), ("4", "2")])
async def test_a_press_for_another_number_of_videos_is_another_click(
    runner: JobRunner, service: FakeService, seed: int, before: str, after: str
) -> None:
    form = VideoRequest(prompt="a fox", video_length=9, seed=seed).model_dump()
    job_id = new_id()

    async def pressed(count: str) -> tuple[int, str]:
        sent = json.dumps({"form": {**form, "variations": count}, "shown_usd": DEAR_USD})
        watched, notice = await PageEvents(runner).send(asking(), job_id, TOKEN, sent)
        return len(watched["told"]), notice["text"]

    assert await pressed(before) == (int(before), "")
    assert await pressed(before) == (int(before), "")
    told, text = await pressed(after)
    assert told == int(before)
    assert "Nothing new was sent" in text
    assert len(await runner.jobs(Visitor.from_token(TOKEN), limit=9)) == int(before)


async def test_a_neighbours_job_is_not_tried_again(runner: JobRunner, service: FakeService) -> None:
    settings = replace(runner.settings, share=True)
    old_id = failed(runner)
    runner.settings = settings
    _, notice = await tried(runner, old_id, token=OTHER)
    assert "no such video for you" in notice["text"]
    for nothing in ("", "x", new_id(), "a" * 10_000):
        _, notice = await tried(runner, nothing)
        assert "no such video for you" in notice["text"]
    assert service.posts == 0


@pytest.mark.parametrize("runner", [{**PUBLIC, "access_code": Secret("open sesame")}], indirect=True)
async def test_a_missing_code_is_asked_for_and_named_as_what_it_is(runner: JobRunner) -> None:
    old_id = failed(runner)
    _, notice = await tried(runner, old_id)
    assert (notice["needs"], notice["is_limit"], notice["again"]) == ("code", True, old_id)
    assert notice["most_usd"] == DEAR_USD  # the displayed price, for when the code is entered
    await runner.access.enter(Visitor.from_token(TOKEN), "open sesame")
    watched, _ = await tried(runner, old_id)
    assert watched["job"] == again_id(old_id)


@pytest.mark.parametrize("runner", [PUBLIC], indirect=True)
async def test_a_forgotten_key_is_asked_for(runner: JobRunner) -> None:
    old_id = failed(runner, payer="visitor")
    _, notice = await tried(runner, old_id)
    assert (notice["needs"], notice["is_limit"]) == ("key", True)


@pytest.mark.parametrize(
    ("runner", "ends_with"),
    [
        ({"daily_limit_usd": 1.0}, ["ended", "day", "priced-anew"]),
        ({"total_limit_usd": 1.0}, ["priced-anew"]),
        ({**PUBLIC, "video_limit_usd": 1.0}, ["priced-anew"]),
        ({"video_limit_usd": 1.0}, ["priced-anew"]),
        ({**PUBLIC, "access_code": Secret("open sesame")}, []),
    ],
    indirect=["runner"],
)
async def test_what_is_refused_for_its_price_is_refused_until_that_is_another(
    runner: JobRunner, ends_with: list[str]
) -> None:
    form = {**VideoRequest(prompt="a heron").model_dump(), "variations": "1"}
    sent = json.dumps({"form": form, "payer": "owner", "shown_usd": DEAR_USD, "is_confirmed": False})
    _, notice = await PageEvents(runner).send(asking(), new_id(), TOKEN, sent)
    assert "Nothing was sent" in notice["text"]
    assert notice["ends_with"] == ends_with


@pytest.mark.parametrize(
    ("sent", "is_limit"),
    [
        ('{"form": {"prompt": ""}}', False),  # an error in the form is an error, not a limit
        ("nonsense", False),
    ],
)
async def test_a_mistake_is_no_limit(runner: JobRunner, sent: str, is_limit: bool) -> None:
    _, notice = await PageEvents(runner).send(asking(), new_id(), TOKEN, sent)
    assert notice["is_limit"] is is_limit
    assert notice["needs"] is None


async def test_a_server_that_stops_sends_nothing_and_says_so(runner: JobRunner, service: FakeService) -> None:
    old_id = failed(runner)
    runner._is_open = False
    _, notice = await tried(runner, old_id)
    assert "about to restart" in notice["text"]
    assert not notice["is_limit"]
    assert service.posts == 0
    runner._is_open = True
    await runner.submit(new_id(), VideoRequest(prompt="a"), Visitor.from_token(TOKEN))


async def test_of_several_jobs_those_that_wait_are_cancelled_and_what_was_sent_goes_on(runner: JobRunner) -> None:
    ids = [new_id() for _ in range(3)]
    cancelled: list[str] = []

    async def cancel(job_id: str, _visitor: Visitor) -> None:
        if job_id == ids[1]:
            raise AccessError("cannot_cancel")
        cancelled.append(job_id)

    runner.cancel = cancel  # type: ignore[method-assign,assignment]
    events = PageEvents(runner)
    await events.cancel(asking(), gr.EventData(None, {"jobs": ids}), TOKEN)  # type: ignore[arg-type]
    assert cancelled == [ids[0], ids[2]]
    for alone in ({"jobs": [ids[1]]}, {"job": ids[1]}):
        with pytest.raises(AccessError):
            await events.cancel(asking(), gr.EventData(None, alone), TOKEN)  # type: ignore[arg-type]
    await events.cancel(asking(), gr.EventData(None, {"jobs": [new_id()] * 100}), TOKEN)  # type: ignore[arg-type]
    assert len(cancelled) == 2 + len(COUNTS)


@pytest.mark.parametrize("runner", [PUBLIC], indirect=True)
@pytest.mark.parametrize("who", [None, "", "not a token", {"a": 1}])
async def test_a_browser_without_a_token_is_one_visitor_from_the_click_to_its_video(
    runner: JobRunner, who: object
) -> None:
    sent = json.dumps({"form": VideoRequest(prompt="a heron").model_dump(), "shown_usd": DEAR_USD})
    click_id = new_id()
    watched, _ = await PageEvents(runner).send(asking(), click_id, who, sent)
    assert [one["id"] for one in watched["told"]] == [watched["job"]] == [click_id]
    visitor = runner.visitor(watched["token"])
    assert (await runner.wait(click_id, visitor, 10)).status is JobStatus.DONE
    assert await runner.jobs(visitor, limit=5)


async def test_an_opening_page_does_not_tell_again_what_was_cancelled(runner: JobRunner) -> None:
    events, visitor, job_id = PageEvents(runner), Visitor.from_token(TOKEN), new_id()
    runner._services.pause.for_seconds(60.0)  # nothing is sent
    await runner.submit(job_id, VideoRequest(prompt="a heron"), visitor)
    assert (await events.attach(asking(), TOKEN))[1]["job"] == job_id
    await runner.cancel(job_id, visitor)
    assert (await events.attach(asking(), TOKEN))[1]["job"] is None


async def test_the_videos_of_one_click_are_told_together_although_the_first_is_deleted(runner: JobRunner) -> None:
    form = {**VideoRequest(prompt="a heron").model_dump(), "variations": "3"}
    sent = json.dumps({"form": form, "shown_usd": DEAR_USD, "is_confirmed": True})
    events, visitor, click_id = PageEvents(runner), Visitor.from_token(TOKEN), new_id()
    watched, _ = await events.send(asking(), click_id, TOKEN, sent)
    assert watched["click"] == {"id": click_id, "jobs": [one["id"] for one in watched["told"]]}
    ids = watched["click"]["jobs"]
    for job_id in ids:
        assert (await runner.wait(job_id, visitor, 10)).status is JobStatus.DONE
    await runner.submit(new_id(), VideoRequest(prompt="a crane"), Visitor.from_token(OTHER))
    await runner.delete(click_id, visitor)
    together = (await events.attach(asking(), TOKEN))[2]
    assert together["click"] == {"id": click_id, "jobs": ids[1:]}
    assert [one["id"] for one in together["jobs"]] == ids[1:]


@pytest.mark.parametrize("deleted", [[0], [0, 2], [1], [2], [1, 2], [1, 2, 3]])
@pytest.mark.parametrize("stored", [2, 4])
async def test_a_click_that_is_pressed_again_goes_on_past_a_video_that_was_deleted(
    runner: JobRunner, service: FakeService, deleted: list[int], stored: int
) -> None:
    form = {**VideoRequest(prompt="a heron", seed=7).model_dump(), "variations": "4"}
    sent = json.dumps({"form": form, "shown_usd": DEAR_USD, "is_confirmed": True})
    page, visitor, click_id = PageEvents(runner), Visitor.from_token(TOKEN), new_id()
    specs = variations(click_id, VideoRequest(prompt="a heron", seed=7), 4)
    for spec in specs[:stored]:  # of 4, as where the server was killed
        await runner.submit(spec.id, spec.request, visitor, in_click=spec.in_click)
        assert (await runner.wait(spec.id, visitor, 10)).status is JobStatus.DONE
    gone = [specs[place].id for place in deleted if place < stored]
    for job_id in gone:
        await runner.delete(job_id, visitor)
    watched, notice = await page.send(asking(), click_id, TOKEN, sent)
    assert notice["text"] == ""
    left = [spec.id for spec in specs if spec.id not in gone]
    assert [one["id"] for one in watched["told"]] == left
    for job_id in left:
        assert (await runner.wait(job_id, visitor, 10)).status is JobStatus.DONE
    assert len(service.bill) == 4


@pytest.mark.parametrize("variations_", ["1", "3"])
async def test_a_click_of_which_no_video_is_left_or_of_a_neighbour_sends_nothing(
    runner: JobRunner, service: FakeService, variations_: str
) -> None:
    form = {**VideoRequest(prompt="a heron", seed=7).model_dump(), "variations": variations_}
    sent = json.dumps({"form": form, "shown_usd": DEAR_USD, "is_confirmed": True})
    page, visitor, click_id = PageEvents(runner), Visitor.from_token(TOKEN), new_id()
    watched, _ = await page.send(asking(), click_id, TOKEN, sent)
    for one in watched["told"]:
        assert (await runner.wait(one["id"], visitor, 10)).status is JobStatus.DONE
    assert "no such video for you" in (await page.send(asking(), click_id, OTHER, sent))[1]["text"]
    for one in watched["told"]:
        await runner.delete(one["id"], visitor)
    assert "no such video for you" in (await page.send(asking(), click_id, TOKEN, sent))[1]["text"]
    assert len(service.bill) == int(variations_)


async def test_what_failed_just_now_is_told_to_a_page_that_opens_however_long_ago_it_was_begun(
    runner: JobRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_id, page = failed(runner), PageEvents(runner)
    assert (await page.attach(asking(), TOKEN))[1]["job"] == old_id
    monkeypatch.setattr(events, "RECENT_S", 0.0)
    assert (await page.attach(asking(), TOKEN))[1]["job"] is None


async def test_a_page_that_opens_is_told_of_every_lost_video_that_can_be_looked_for(runner: JobRunner) -> None:
    now, lost = time.time(), {"status": JobStatus.LOST, "request_id": "r"}
    older, newer = (failed(runner, created_at=at, updated_at=at, **lost) for at in (now - 7200, now - 3600))
    failed(runner, created_at=now - 9 * 86400, **lost)
    failed(runner, created_at=now - 60, updated_at=now, status=JobStatus.DONE)
    assert (await PageEvents(runner).attach(asking(), TOKEN))[1]["lost"] == [older, newer]


async def test_a_page_that_opens_plays_no_video_whose_file_is_not_there(runner: JobRunner) -> None:
    failed(runner, status=JobStatus.DONE)
    assert (await PageEvents(runner).attach(asking(), TOKEN))[6:8] == [{}, {}]
    job_id, visitor = new_id(), Visitor.from_token(TOKEN)
    await runner.submit(job_id, VideoRequest(prompt="a heron"), visitor)
    assert (await runner.wait(job_id, visitor, 10)).status is JobStatus.DONE
    assert [one["id"] for one in (await PageEvents(runner).attach(asking(), TOKEN))[6:8]] == [job_id, job_id]
