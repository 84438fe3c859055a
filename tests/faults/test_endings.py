"""Strange responses: nothing ends on one response, every named cost counts, everything paid is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from hunyuan_ui.endpoint.contract import COST_HEADER, REQUEST_ID_HEADER, SUBMIT_V2
from hunyuan_ui.endpoint.segmind import Timeouts
from hunyuan_ui.errors import AccessError, MediaError
from hunyuan_ui.job import MICRO, JobStatus, Phase, Visitor, new_id
from hunyuan_ui.jobs import endings
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.words import words
from tests.faults import oracle
from tests.faults.rig import OWNER, Rig, click, ended, prompt_of, until
from tests.faults.service import (
    COMPLETED,
    COST_USD,
    FAILED,
    FILE,
    HISTORY,
    NOT_FOUND,
    RESULT,
    STATUS,
    PaidService,
    video_of,
)
from tests.raw_service import Received, Reply, Wire, answer, html
from tests.seen import seen

pytestmark = [pytest.mark.faults, pytest.mark.anyio]
ON_BOTH = pytest.mark.usefixtures("database")  # if it depends on the ledger

FLIPS: dict[str, dict[str, list[Reply]]] = {
    "result failed once": {RESULT: [FAILED]},
    "result failed twice with 200": {RESULT: [answer(200, {"status": "FAILED"})] * 2},
    "status failed once, then completed": {STATUS: [FAILED]},
    "status failed between": {
        STATUS: [answer(200, {"status": "PROCESSING"}), FAILED, answer(200, {"status": "QUEUED"})]
    },
    "result expired once": {RESULT: [NOT_FOUND]},
    "result without a video": {RESULT: [answer(200, {"status": "COMPLETED", "output": None})] * 2},
    "file not there yet": {FILE: [answer(404), answer(404), answer(403)]},
    "file gone for a moment": {FILE: [answer(410)] * 2},
    "a link that leads inwards, once": {
        RESULT: [answer(200, {"status": "COMPLETED", "output": "http://169.254.169.254/x.mp4"})]
    },
}


@pytest.mark.parametrize("name", FLIPS)
async def test_one_strange_answer_ends_nothing(rig: Rig, service: PaidService, name: str) -> None:
    for path, replies in FLIPS[name].items():
        service.on("GET", path, list(replies))
    if RESULT in FLIPS[name]:
        service.on("GET", STATUS, COMPLETED)  # which the pattern of results would match too
    service.on("GET", HISTORY, NOT_FOUND)
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
        assert (job.status, job.cost_microusd) == (JobStatus.DONE, round(COST_USD * MICRO))
    oracle.check(rig.folder, service)


@pytest.mark.parametrize("is_listed", [True, False], ids=["listed", "not listed"])
@pytest.mark.parametrize("named", ["header", "body", "nowhere"])
@pytest.mark.parametrize("gone", [[answer(404)], [answer(403), answer(404), answer(410)], [answer(404)] * 3])
async def test_the_address_of_a_blocking_call_is_asked_more_than_once(
    rig: Rig, service: PaidService, named: str, gone: list[Reply], is_listed: bool
) -> None:
    link = f"{service.origin}/files/same.mp4"
    body = {"output": link, "cost": COST_USD, **({"request_id": "b" * 32} if named == "body" else {})}
    headers = {REQUEST_ID_HEADER: "b" * 32} if named == "header" else {}
    service.on("POST", "/v1/*", answer(200, body, headers=headers, bills=True))
    service.on("GET", FILE, [*gone, *[answer(200, video_of("any"))] * 3])
    row = answer(200, {"request_id": "b" * 32, "generation_url": link})
    service.on("GET", HISTORY, row if is_listed else NOT_FOUND)
    rig.dialect = "v1"
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
    assert (job.status, job.cost_microusd) == (JobStatus.DONE, round(COST_USD * MICRO))
    assert job.request_id == (None if named == "nowhere" else "b" * 32)


async def test_a_blocking_call_is_waited_for_as_long_as_its_video_takes(rig: Rig, service: PaidService) -> None:
    def act(wire: Wire, received: Received) -> None:
        wire.pause(0.8)
        service.behave(received).act(wire, received)

    service.on("POST", "/v1/*", Reply(act))
    rig.dialect, rig.timeouts = "v1", Timeouts(generate_s=0.4)
    job_id = new_id()
    long = {"prompt": prompt_of(job_id), "video_length": 129, "infer_steps": 70}  # three times what is usual
    async with rig.running() as runner:
        await runner.submit(job_id, VideoRequest.parse(long), OWNER, is_confirmed=True)
        assert (await ended(runner, job_id)).status is JobStatus.DONE
    oracle.check(rig.folder, service)


@pytest.mark.parametrize("status", [402, 500, 503])
async def test_a_video_is_kept_whatever_the_status_of_a_blocking_call(
    rig: Rig, service: PaidService, status: int
) -> None:
    service.on("POST", "/v1/*", answer(status, video_of("any"), content_type="video/mp4", bills=True))
    rig.dialect = "v1"
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
    assert (job.status, job.counted_microusd) == (JobStatus.DONE, job.reserved_microusd)


@pytest.mark.parametrize("status", [400, 402, 500, 503])
@ON_BOTH
async def test_a_refusal_with_a_cost_and_an_id_is_asked_about(rig: Rig, service: PaidService, status: int) -> None:
    taken: list[str] = []

    def act(wire: Any, received: Any) -> None:
        good = service.behave(received)
        recorder = _Recorder(wire.socket, wire.stopped)
        good.act(recorder, received)
        request_id = json.loads(recorder.sent.partition(b"\r\n\r\n")[2])["request_id"]
        taken.append(request_id)
        headers = {COST_HEADER: str(COST_USD), REQUEST_ID_HEADER: request_id}
        answer(status, {"error": "sorry"}, headers=headers).act(wire, received)

    service.on("POST", SUBMIT_V2, [Reply(act)])
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
        assert (job.status, job.request_id) == (JobStatus.DONE, taken[0])
    oracle.check(rig.folder, service)


class _Recorder(Wire):
    sent = b""

    def send(self, data: bytes) -> None:
        self.sent += data


@pytest.mark.parametrize("status", [409, 500])
@pytest.mark.parametrize("is_known", [True, False])
@ON_BOTH
async def test_a_refusal_that_names_a_request_is_asked_about(
    rig: Rig, service: PaidService, is_known: bool, status: int
) -> None:
    def act(wire: Any, received: Any) -> None:
        recorder = _Recorder(wire.socket, wire.stopped)
        service.behave(received).act(recorder, received)
        request_id = json.loads(recorder.sent.partition(b"\r\n\r\n")[2])["request_id"]
        body = {"error": "duplicate", "request_id": request_id if is_known else "c" * 32}
        answer(status, body).act(wire, received)

    service.on("POST", SUBMIT_V2, [Reply(act)])
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
        assert job.status is (JobStatus.DONE if is_known else JobStatus.UNKNOWN)


@pytest.mark.parametrize("word", ["success", "OK", "Succeeded", " completed "])
async def test_an_address_says_more_than_a_word(rig: Rig, service: PaidService, word: str) -> None:
    link = f"{service.origin}/files/same.mp4"
    service.on("GET", RESULT, answer(200, [{"status": word, "output": link, "metrics": {"cost": COST_USD}}]))
    service.on("GET", STATUS, answer(200, {"status": "COMPLETED "}))
    service.on("GET", FILE, answer(200, video_of("any")))
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
    assert (job.status, job.cost_microusd) == (JobStatus.DONE, round(COST_USD * MICRO))


@pytest.mark.parametrize("headers", [{}, {REQUEST_ID_HEADER: "b" * 32}], ids=["nameless", "named"])
@ON_BOTH
async def test_a_submit_that_is_answered_with_the_finished_videos_address_is_done(
    rig: Rig, service: PaidService, headers: dict[str, str]
) -> None:
    body = {"status": "COMPLETED", "output": f"{service.origin}/files/x.mp4", "metrics": {"cost": COST_USD}}
    service.on("POST", SUBMIT_V2, answer(200, body, headers=headers))
    service.on("GET", FILE, [answer(404), answer(200, video_of("any"))])
    service.on("GET", HISTORY, NOT_FOUND)
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
    assert (job.status, job.cost_microusd) == (JobStatus.DONE, round(COST_USD * MICRO))
    assert job.request_id == headers.get(REQUEST_ID_HEADER)


@ON_BOTH
async def test_an_id_of_a_gateways_own_leaves_the_outcome_unknown(rig: Rig, service: PaidService) -> None:
    service.on("POST", SUBMIT_V2, [Reply(html(504, headers={REQUEST_ID_HEADER: "gateway-0001"}).act, bills=True)])
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
        assert job.problem is not None
        assert (job.status, job.problem.code) == (JobStatus.UNKNOWN, "gateway_failed")
        assert job.counted_microusd == job.reserved_microusd


@pytest.mark.parametrize("name", ["task_id", "jobId", "uuid"])
async def test_a_taken_request_whose_id_has_another_name_is_followed(rig: Rig, service: PaidService, name: str) -> None:
    taken = "a-name-that-is-long-" * 10  # as long as a signed id
    service.on("POST", SUBMIT_V2, answer(200, {name: taken, "status": "QUEUED"}, bills=True))
    service.on("GET", RESULT, answer(200, {"status": "COMPLETED", "output": f"{service.origin}/files/x.mp4"}))
    service.on("GET", STATUS, [answer(200, {"status": "PROCESSING"}), COMPLETED])
    service.on("GET", FILE, answer(200, video_of("any")))
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
    assert (job.status, job.request_id) == (JobStatus.DONE, taken)


@pytest.mark.parametrize("same", ["one-and-the-same-id", "ONE-AND-THE-SAME-ID", "oneandthesameid"])
@ON_BOTH
async def test_a_request_id_of_another_job_shows_nobody_the_others_video(
    rig: Rig, service: PaidService, same: str
) -> None:
    service.on("POST", SUBMIT_V2, [answer(200, {"request_id": text}) for text in ("one-and-the-same-id", same)])
    service.on("GET", STATUS, answer(200, {"status": "COMPLETED"}))
    link = f"{service.origin}/files/x.mp4"
    service.on("GET", RESULT, answer(200, {"status": "COMPLETED", "output": link, "metrics": {"cost": COST_USD}}))
    service.on("GET", FILE, answer(200, video_of("first")))
    alice, bob = Visitor.from_token("a" * 32), Visitor.from_token("b" * 32)
    async with rig.running() as runner:
        first = await ended(runner, await click(runner, visitor=alice))
        second = await ended(runner, await click(runner, visitor=bob))
        assert first.status is JobStatus.DONE
        assert second.problem is not None
        assert (second.status, second.problem.code, second.request_id) == (
            JobStatus.UNKNOWN,
            "request_id_reused",
            None,
        )
        assert second.counted_microusd > 0
        with pytest.raises(MediaError):
            await runner.video_path(second.id, bob)
    again = Rig(rig.folder, rig.origin)
    async with again.running() as runner:
        assert (await runner.view(second.id, bob)).job.status is JobStatus.UNKNOWN


@ON_BOTH
async def test_a_finished_video_of_another_jobs_request_is_shown_to_nobody(rig: Rig, service: PaidService) -> None:
    link = f"{service.origin}/files/x.mp4"
    body = {"request_id": "one-and-the-same-id", "status": "COMPLETED", "output": link}
    service.on("POST", SUBMIT_V2, [answer(200, body)] * 2)
    service.on("GET", FILE, answer(200, video_of("first")))
    alice, bob = Visitor.from_token("a" * 32), Visitor.from_token("b" * 32)
    async with rig.running() as runner:
        assert (await ended(runner, await click(runner, visitor=alice))).status is JobStatus.DONE
        second = await ended(runner, await click(runner, visitor=bob))
        assert second.problem is not None
        assert (second.status, second.problem.code) == (JobStatus.UNKNOWN, "request_id_reused")
        assert second.counted_microusd > 0
        with pytest.raises(MediaError):
            await runner.video_path(second.id, bob)


@ON_BOTH
async def test_a_lost_video_can_be_looked_for_again(rig: Rig, service: PaidService) -> None:
    gone = [answer(404)] * 500
    service.on("GET", FILE, gone)
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
        assert job.status is JobStatus.LOST
        assert (job.request_id is not None, job.result_url is not None) == (True, True)
        assert (await runner.view(job.id, OWNER)).can_look_again
        spent = (await runner.spending()).spent_total_usd
        with pytest.raises(AccessError):
            await runner.retry_lost(job.id, Visitor.from_token("b" * 32))
        service.on("GET", FILE, answer(200, video_of(prompt_of(job.id))))
        await runner.retry_lost(job.id, OWNER)
        assert (await ended(runner, job.id)).status is JobStatus.DONE
        assert (await runner.spending()).spent_total_usd == spent
        # A page that still called it lost is not told that it cannot be looked for: it is there.
        assert (await runner.retry_lost(job.id, OWNER)).status is JobStatus.DONE
    oracle.check(rig.folder, service)


@ON_BOTH
async def test_an_expired_request_can_be_looked_for_again_until_its_seven_days_are_over(
    rig: Rig, service: PaidService
) -> None:
    clock = [1_000_000.0]
    rig.now = lambda: clock[0]
    service.on("GET", STATUS, NOT_FOUND)
    service.on("GET", HISTORY, NOT_FOUND)
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
        assert (job.status, job.result_url) == (JobStatus.LOST, None)
        await runner.retry_lost(job.id, OWNER)
        assert (await ended(runner, job.id)).status is JobStatus.LOST
        clock[0] += 7 * 86_400 + 1
        assert not (await runner.view(job.id, OWNER)).can_look_again
        with pytest.raises(AccessError):
            await runner.retry_lost(job.id, OWNER)


async def test_a_status_that_stands_still_is_looked_up_in_the_history(rig: Rig, service: PaidService) -> None:
    clock = [1_000_000.0]
    rig.now = lambda: clock[0]
    service.on("GET", STATUS, answer(200, {"status": "ARCHIVED"}))
    async with rig.running() as runner:
        job_id = await click(runner)
        await until(lambda: service.count("GET", "/status") > 3)
        assert (await runner.view(job_id, OWNER)).job.status is JobStatus.RUNNING
        clock[0] += 3601
        assert (await ended(runner, job_id)).status is JobStatus.DONE
    oracle.check(rig.folder, service)


UNUSABLE = {
    "broken": answer(500, {"error": "internal"}),
    "a gateway's page": html(502),
    "no json": answer(200, "x"),
    "limited": answer(429, {"error": "later"}, headers={"Retry-After": "0"}),
    "the key refused": answer(401, {"error": "Unauthorized"}),
}


@pytest.mark.parametrize("name", UNUSABLE)
@pytest.mark.parametrize("is_made", [True, False], ids=["made", "failed"])
async def test_a_status_that_cannot_be_read_for_an_hour_is_looked_up_in_the_history(
    rig: Rig, service: PaidService, monkeypatch: pytest.MonkeyPatch, name: str, is_made: bool
) -> None:
    monkeypatch.setattr("hunyuan_ui.jobs.job_run.LATE_LOOK_S", 0.02)
    clock = [1_000_000.0]
    rig.now = lambda: clock[0]
    service.on("GET", STATUS, UNUSABLE[name])
    if not is_made:
        service.on("GET", HISTORY, answer(200, {"request_id": "a" * 32, "model_status": "Cancelled"}))
        service.on("POST", SUBMIT_V2, answer(200, {"request_id": "a" * 32}))
    async with rig.running() as runner:
        job_id = await click(runner)
        await until(lambda: service.count("GET", "/status") > 5)
        assert (await runner.view(job_id, OWNER)).job.status is JobStatus.RUNNING
        clock[0] += 3601
        assert (await ended(runner, job_id)).status is (JobStatus.DONE if is_made else JobStatus.FAILED)


@pytest.mark.parametrize("result", [answer(500, {"error": "x"}), answer(302, headers={"Location": "/x"}), html(200)])
async def test_a_result_that_cannot_be_read_is_looked_up_in_the_history(
    rig: Rig, service: PaidService, result: Reply
) -> None:
    service.on("GET", RESULT, result)
    service.on("GET", STATUS, COMPLETED)
    async with rig.running() as runner:
        assert (await ended(runner, await click(runner))).status is JobStatus.DONE


@pytest.mark.parametrize("status", [404, 410, 422, 500])
async def test_a_completed_result_is_taken_whatever_its_http_status(
    rig: Rig, service: PaidService, status: int
) -> None:
    link = f"{service.origin}/files/same.mp4"
    body = {"status": "COMPLETED", "output": link, "metrics": {"cost": COST_USD}}
    service.on("GET", RESULT, answer(status, body))
    service.on("GET", STATUS, answer(status, {"status": "COMPLETED"}))
    service.on("GET", FILE, answer(200, video_of("any")))
    service.on("GET", HISTORY, NOT_FOUND)
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
    assert (job.status, job.cost_microusd) == (JobStatus.DONE, round(COST_USD * MICRO))


@pytest.mark.parametrize("word", ["CANCELLED", "Error", "failed", "TIMED_OUT", "success"])
async def test_a_request_that_is_over_in_the_history_holds_no_place_for_ever(
    rig: Rig, service: PaidService, word: str
) -> None:
    service.on("POST", SUBMIT_V2, answer(200, {"request_id": "a" * 32}))
    service.on("GET", STATUS, NOT_FOUND)
    service.on("GET", HISTORY, answer(200, {"request_id": "a" * 32, "model_status": word}))
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
    assert job.status is (JobStatus.LOST if word == "success" else JobStatus.FAILED)


NAMED: dict[str, Callable[[str, str], Reply]] = {
    "in another spelling": lambda name, _: answer(200, {"requestId": name}),
    "with spaces": lambda name, _: answer(200, {"request_id": f" {name}\n"}),
    "inside": lambda name, _: answer(200, {"data": {"requestId": name}}),
    "plainly": lambda name, _: answer(200, {"id": name, "status": "QUEUED"}),
    "in addresses alone": lambda name, at: answer(200, {"status_url": f"{at}/v2/requests/{name}/status"}),
    "in a header": lambda name, _: answer(202, headers={"Location": f"/v2/requests/{name}"}, bills=True),
    "in a redirect": lambda name, _: answer(303, headers={"Location": f"/v2/requests/{name}"}),
    "in a redirect of a gateway with an id": lambda name, _: answer(
        307, headers={"Location": f"/v2/requests/{name}/status", REQUEST_ID_HEADER: "gateway-0001"}
    ),
    "under a limit": lambda name, _: answer(429, {"request_id": name, "status": "QUEUED"}),
    "under a refusal": lambda name, _: answer(402, {"data": {"requestId": name, "status": "in progress"}}),
    "under a word for a failure": lambda name, _: answer(
        422, {"error": "late", "request_id": name, "status": "PENDING"}
    ),
    "behind a gateway's": lambda name, _: answer(
        504, {"error": "late", "requestId": name}, headers={REQUEST_ID_HEADER: "gateway-0001"}, bills=True
    ),
}


@pytest.mark.parametrize("name", NAMED)
async def test_a_request_id_is_read_wherever_the_taking_answer_has_it(
    rig: Rig, service: PaidService, name: str
) -> None:
    def act(wire: Any, received: Any) -> None:
        recorder = _Recorder(wire.socket, wire.stopped)
        service.behave(received).act(recorder, received)
        request_id = json.loads(recorder.sent.partition(b"\r\n\r\n")[2])["request_id"]
        NAMED[name](request_id, service.origin).act(wire, received)

    service.on("POST", SUBMIT_V2, [Reply(act)])
    async with rig.running() as runner:
        assert (await ended(runner, await click(runner))).status is JobStatus.DONE
    oracle.check(rig.folder, service)


async def test_a_failing_download_gives_its_place_back(
    rig: Rig, service: PaidService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hunyuan_ui.jobs.job_run.backoff_s", lambda *_, **__: 30.0)
    rig.settings = {"concurrency": 2}
    service.on("GET", FILE, [html(502), html(502)])
    async with rig.running() as runner:
        stuck = [await click(runner), await click(runner)]
        await until(lambda: all(seen(runner, job_id, OWNER).retry_in_s is not None for job_id in stuck))
        assert all(seen(runner, job_id, OWNER).phase is Phase.DOWNLOADING for job_id in stuck)
        assert (await ended(runner, await click(runner))).status is JobStatus.DONE
        for job_id in stuck:
            await runner.retry_lost(job_id, OWNER)
            assert (await ended(runner, job_id)).status is JobStatus.DONE
    oracle.check(rig.folder, service)


@ON_BOTH
async def test_jobs_that_wait_for_their_visitors_key_hold_no_place(rig: Rig, service: PaidService) -> None:
    rig.settings = {"server_name": "0.0.0.0", "concurrency": 1}
    service.on("POST", SUBMIT_V2, answer(429, {"error": "later"}, headers={"Retry-After": "3600"}, bills=False))
    async with rig.running() as runner:
        for number in range(20):
            visitor = Visitor.from_token(f"{number:032x}", address=f"203.0.113.{number}")
            await click(runner, visitor=visitor, own_key=f"SG_{number:016x}")
    service.on("POST", SUBMIT_V2, [])
    async with rig.running() as runner:
        assert await runner.waiting_for_visitor() == 20
        visitor = Visitor.from_token("f" * 32)
        assert await click(runner, visitor=visitor, own_key="SG_ffffffffffffffff")
        assert len(await runner.owner.waiting_for_visitor(OWNER)) == 20
        assert await runner.owner.end_waiting(OWNER) == 20
        assert await runner.waiting_for_visitor() == 0


async def test_money_sentences_follow_the_phase(rig: Rig, service: PaidService) -> None:
    service.on("GET", STATUS, answer(200, {"status": "PROCESSING"}))
    async with rig.running() as runner:
        job_id = await click(runner)
        await until(lambda: seen(runner, job_id, OWNER).phase is Phase.RENDERING)
        service.refuse()
        service.hang_up()
        await until(lambda: (note := seen(runner, job_id, OWNER).note) is not None and "unreachable" in note.code)
        view = await runner.view(job_id, OWNER)
        assert view.note is not None
        assert "Nothing was charged" not in words().sentence(view.note)
        assert "counts as charged" in words().sentence(view.note)
        assert view.retry_in_s is not None
        service.on("GET", STATUS, COMPLETED)
        service.listen()
        assert (await ended(runner, job_id)).status is JobStatus.DONE


async def test_a_failure_that_is_not_sure_yet_does_not_say_that_nothing_was_charged(
    rig: Rig, service: PaidService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hunyuan_ui.jobs.job_run.backoff_s", lambda *_, **__: 30.0)
    service.on("GET", STATUS, [FAILED])
    async with rig.running() as runner:
        job_id = await click(runner)
        await until(lambda: seen(runner, job_id, OWNER).note is not None)
        note = (await runner.view(job_id, OWNER)).note
        assert note is not None
        assert "Nothing was charged" not in words().sentence(note)
        await runner.retry_lost(job_id, OWNER)
        assert (await ended(runner, job_id)).status is JobStatus.DONE


@pytest.mark.parametrize("up_s", [0.0, 1e6], ids=["just started", "up for days"])
def test_an_ending_needs_answers_and_time_since_the_first_of_them(up_s: float) -> None:
    clock = [up_s]
    seen = endings.Endings(now=lambda: clock[0])
    gone = endings.Ending.FILE_GONE
    assert not any(seen.confirm(gone) for _ in range(100)), "time is needed"
    clock[0] += 61.0
    assert seen.confirm(gone)
    seen.clear()
    assert not any(seen.confirm(gone) for _ in range(100)), "the time begins anew"
    seen.clear()
    assert not seen.confirm(gone)
    clock[0] += 400.0
    assert not seen.confirm(gone), "answers are needed"
    assert not any(seen.confirm(endings.Ending.EXPIRED) for _ in range(100)), "each ending has a time of its own"
    assert endings.Endings(is_free=True).confirm(gone)
