"""Costs that a service names: counted wherever and whenever they are named, and doubted if implausible."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from hunyuan_ui.endpoint.contract import COST_HEADER, SUBMIT_V2
from hunyuan_ui.errors import AccessError, InvalidRequestError, SpendLimitError
from hunyuan_ui.job import MICRO, JobStatus, Visitor, new_id
from hunyuan_ui.jobs import JobRunner
from hunyuan_ui.jobs.owner_actions import MOST_USD
from hunyuan_ui.request import VideoRequest
from tests.faults.rig import OWNER, Rig, click, ended, until
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
from tests.raw_service import Reply, answer
from tests.seen import seen

pytestmark = [pytest.mark.faults, pytest.mark.anyio]
ON_BOTH = pytest.mark.usefixtures("database")  # if it depends on the ledger
LIMIT_USD = 5.0


@pytest.fixture
async def limited(rig: Rig) -> AsyncIterator[JobRunner]:
    """A public run whose owner allows $5 a day."""
    rig.settings = {"server_name": "0.0.0.0", "daily_limit_usd": LIMIT_USD, "visitor_daily_videos": 100}
    async with rig.running() as runner:
        yield runner


async def spend_all(runner: JobRunner) -> list[str]:
    """Click as often as 20 strangers would; return the accepted jobs, all of them ended."""
    made: list[str] = []
    for number in range(20):
        job_id = new_id()
        try:
            await click(runner, job_id, Visitor.from_token(f"{number:032x}"))
        except SpendLimitError:
            continue
        made.append(job_id)
        await ended(runner, job_id)
    return made


def check_bill(service: PaidService, runner: JobRunner) -> None:
    billed = sum(service.billed().values()) * service.cost_usd
    assert 0 < billed <= LIMIT_USD
    assert runner.read_spending().spent_total_usd >= min(billed, LIMIT_USD) - 1e-6


def _named(**metrics: Any) -> Reply:
    return answer(422, {"status": "FAILED", "error": "late", "metrics": metrics})


COSTS: dict[str, list[tuple[str, str, Reply]]] = {
    "failed with a cost": [("GET", STATUS, _named(cost=COST_USD))],
    "failed with a cost as text": [("GET", STATUS, _named(cost=str(COST_USD)))],
    "failed with a cost in the header": [
        ("GET", STATUS, answer(200, {"status": "FAILED", "error": "x"}, headers={COST_HEADER: str(COST_USD)}))
    ],
    "failed with a cost in words": [("GET", STATUS, _named(cost=f"${COST_USD} (USD)"))],
    "failed with a cost beyond all bounds": [("GET", STATUS, _named(cost=1e12))],
    "failed with a cost taken off": [("GET", STATUS, _named(cost=-COST_USD))],
    "failed with a cost behind a zero": [
        ("GET", STATUS, answer(422, {"status": "FAILED", "metrics": {"cost": 0}}, headers={COST_HEADER: str(COST_USD)}))
    ],
    "completed, then failed for ever": [("GET", RESULT, FAILED), ("GET", STATUS, COMPLETED)],
    "a post refused with a cost": [
        ("POST", "/v*", answer(400, {"error": "no"}, headers={COST_HEADER: str(COST_USD)}, bills=True))
    ],
    "a limited post with a cost": [
        ("POST", "/v*", answer(429, {"error": "no"}, headers={COST_HEADER: str(COST_USD)}, bills=True))
    ],
    "a failed post with a cost in the body": [
        ("POST", "/v*", answer(500, {"error": "no", "metrics": {"cost": COST_USD}}, bills=True))
    ],
    "no cost": [("GET", RESULT, NOT_FOUND), ("GET", STATUS, COMPLETED)],
    "expired after a cost was named": [
        ("GET", STATUS, answer(404, {"error": "gone", "metrics": {"cost": COST_USD}})),
    ],
}


@pytest.mark.parametrize("name", COSTS)
@ON_BOTH
async def test_a_named_cost_is_counted_whatever_the_status_says(
    limited: JobRunner, service: PaidService, name: str
) -> None:
    for method, path, reply in COSTS[name]:
        service.on(method, path, reply)
    service.on("GET", HISTORY, NOT_FOUND)
    made = await spend_all(limited)
    assert made
    check_bill(service, limited)
    assert all(seen(limited, job_id, OWNER).job.counted_microusd >= COST_USD * MICRO for job_id in made)
    assert await limited.owner.is_paused(OWNER) == (len(made) >= 3), "the breaker counts them"


GROWING: dict[str, list[Reply]] = {
    "a meter": [answer(200, {"status": "PROCESSING", "metrics": {"cost": usd}}) for usd in (0.3, 0.9, COST_USD)],
    "too little, then what is meant": [
        answer(200, {"status": "QUEUED", "metrics": {"cost": 0.001}}),
        answer(200, {"status": "PROCESSING", "metrics": {"cost": 2.0}}),
    ],
    "answers that go back in time": [
        answer(200, {"status": "PROCESSING", "metrics": {"cost": COST_USD}}),
        answer(422, {"status": "FAILED", "metrics": {"cost": 0.3}}),
    ],
    "the failure names the most": [
        answer(200, {"status": "PROCESSING", "metrics": {"cost": 0.3}}),
        _named(cost=COST_USD),
    ],
}


@pytest.mark.parametrize("name", GROWING)
@ON_BOTH
async def test_a_cost_that_grows_while_a_job_runs_counts_as_it_was_last(
    rig: Rig, service: PaidService, name: str
) -> None:
    service.on("GET", STATUS, FAILED)
    service.on("GET", STATUS, GROWING[name])
    service.on("GET", HISTORY, NOT_FOUND)
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
    assert (job.status, job.counted_microusd) == (JobStatus.LOST, round((2.0 if "meant" in name else COST_USD) * MICRO))


@pytest.mark.parametrize("at_the_end", [{}, {"cost": 0}, {"cost": 1e-9}])
@ON_BOTH
async def test_a_part_that_was_named_while_a_job_ran_is_not_its_price(
    limited: JobRunner, service: PaidService, at_the_end: dict[str, float]
) -> None:
    link = f"{service.origin}/files/same.mp4"
    service.on("GET", RESULT, answer(200, {"status": "COMPLETED", "output": link, "metrics": at_the_end}))
    service.on("GET", FILE, answer(200, video_of("any")))
    service.on("GET", HISTORY, NOT_FOUND)
    made: list[str] = []
    for number in range(4):
        part = answer(200, {"status": "PROCESSING", "metrics": {"cost": 0.3}})
        service.on("GET", STATUS, COMPLETED)
        service.on("GET", STATUS, [part, COMPLETED])
        with suppress(SpendLimitError):
            made.append(await click(limited, None, Visitor.from_token(f"{number:032x}")))
            assert (await ended(limited, made[-1])).status is JobStatus.DONE
    assert len(made) == 2
    check_bill(service, limited)
    assert [job.id for job in await limited.owner.doubtful(OWNER)] == made


async def test_a_part_is_not_the_price_of_a_completed_video_that_is_lost(rig: Rig, service: PaidService) -> None:
    service.on("GET", RESULT, NOT_FOUND)
    service.on("GET", HISTORY, NOT_FOUND)
    service.on("GET", STATUS, COMPLETED)
    service.on("GET", STATUS, [answer(200, {"status": "PROCESSING", "metrics": {"cost": 0.3}})])
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
    assert (job.status, job.cost_microusd) == (JobStatus.LOST, job.estimate_microusd)


@pytest.mark.parametrize("later", [0.3, "0.2 USD"])
async def test_a_result_that_names_less_than_an_answer_before_it_takes_nothing_back(
    rig: Rig, service: PaidService, later: object
) -> None:
    service.on("GET", RESULT, answer(200, {"status": "COMPLETED", "output": f"{service.origin}/files/x.mp4"}))
    service.on("GET", STATUS, answer(200, {"status": "COMPLETED", "metrics": {"cost": later}}))
    service.on("GET", FILE, answer(200, video_of("anything"), content_type="video/mp4"))
    service.on("GET", STATUS, [answer(200, {"status": "PROCESSING", "metrics": {"cost": COST_USD}})])
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
    assert (job.status, job.cost_microusd) == (JobStatus.DONE, COST_USD * MICRO)


async def test_a_result_that_names_zero_does_not_hide_the_cost_of_the_status(rig: Rig, service: PaidService) -> None:
    metrics = {"cost": 0}
    link = f"{service.origin}/files/same.mp4"
    service.on("GET", RESULT, answer(200, {"status": "COMPLETED", "output": link, "metrics": metrics}))
    service.on("GET", STATUS, answer(200, {"status": "COMPLETED", "metrics": {"cost": 2.9}}))
    service.on("GET", FILE, answer(200, video_of("any")))
    service.on("GET", HISTORY, NOT_FOUND)
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
    assert (job.status, job.counted_microusd) == (JobStatus.DONE, 2_900_000)


@pytest.mark.parametrize("headers", [{}, {COST_HEADER: str(COST_USD)}], ids=["body", "header"])
@ON_BOTH
async def test_a_cost_that_is_named_when_a_job_is_taken_is_counted(
    rig: Rig, service: PaidService, headers: dict[str, str]
) -> None:
    taken = {"request_id": "a" * 32, "status": "QUEUED", **({} if headers else {"metrics": {"cost": COST_USD}})}
    service.on("POST", SUBMIT_V2, answer(200, taken, headers=headers, bills=True))
    service.on("GET", STATUS, FAILED)
    service.on("GET", HISTORY, NOT_FOUND)
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
    assert (job.status, job.counted_microusd) == (JobStatus.LOST, round(COST_USD * MICRO))


@pytest.mark.parametrize("status", [403, 429, 500, 503])
@ON_BOTH
async def test_a_cost_in_an_answer_that_is_none_is_counted(rig: Rig, service: PaidService, status: int) -> None:
    service.on("GET", STATUS, FAILED)
    service.on("GET", STATUS, [answer(status, {"error": "x", "metrics": {"cost": COST_USD}})])
    service.on("GET", HISTORY, NOT_FOUND)
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
    assert (job.status, job.counted_microusd) == (JobStatus.LOST, round(COST_USD * MICRO))


@pytest.mark.parametrize("cost", [0, 1e-9, 0.01, 1e8, 999.0])
@ON_BOTH
async def test_a_cost_that_cannot_be_meant_counts_as_the_estimate_until_the_owner_knows(
    limited: JobRunner, service: PaidService, cost: float
) -> None:
    before = limited.estimate(VideoRequest.parse({"prompt": "x"}))
    metrics = {"cost": cost, "inference_time": 211.0}
    link = f"{service.origin}/files/same.mp4"
    service.on("GET", RESULT, answer(200, {"status": "COMPLETED", "output": link, "metrics": metrics}))
    service.on("GET", STATUS, answer(200, {"status": "COMPLETED"}))
    service.on("GET", FILE, answer(200, video_of("any")))
    service.on("GET", HISTORY, NOT_FOUND)
    made = await spend_all(limited)
    assert len(made) == 2
    check_bill(service, limited)
    after = limited.estimate(VideoRequest.parse({"prompt": "x"}))
    assert (after.cost_usd, after.high_usd) == (before.cost_usd, before.high_usd)
    assert [(job.id, job.notes["named_usd"]) for job in await limited.owner.doubtful(OWNER)] == [
        (job_id, cost) for job_id in made
    ]
    right = await limited.owner.correct(made[0], OWNER, cost_usd=1.4, note="seen in the account")
    assert (right.status, right.cost_microusd) == (JobStatus.DONE, 1_400_000)
    assert right.notes["corrections"][0]["note"] == "seen in the account"
    if cost > MOST_USD:
        with pytest.raises(InvalidRequestError):
            await limited.owner.confirm(made[1], OWNER)
        return
    taken = await limited.owner.confirm(made[1], OWNER)
    assert taken.cost_microusd == round(cost * MICRO)
    assert await limited.owner.doubtful(OWNER) == []
    with pytest.raises(AccessError):
        await limited.owner.correct(made[0], Visitor.from_token("c" * 32), cost_usd=0.0)


@pytest.mark.parametrize(
    ("believed", "said"),
    [
        ({"inference_time": 0.5}, 0),
        ({"inference_time": 1e-6}, 0.01),
        ({"cost": 0.15, "inference_time": 211.0}, 0.0147),
        ({"cost": 0.15, "inference_time": 0.5}, 1e-9),
    ],
)
@ON_BOTH
async def test_low_prices_that_were_believed_make_no_lower_one_believable(
    limited: JobRunner, service: PaidService, believed: dict[str, float], said: float
) -> None:
    def made(metrics: dict[str, float]) -> Reply:
        return answer(200, {"status": "COMPLETED", "output": f"{service.origin}/files/same.mp4", "metrics": metrics})

    listed = limited.estimate(VideoRequest.parse({"prompt": "x"})).cost_usd
    service.on("GET", RESULT, made({"cost": said, "inference_time": 211.0}))
    service.on("GET", RESULT, [made(believed)])
    service.on("GET", STATUS, answer(200, {"status": "COMPLETED"}))
    service.on("GET", FILE, answer(200, video_of("any")))
    service.on("GET", HISTORY, NOT_FOUND)
    late = (await spend_all(limited))[1:]
    counted = [(await limited.view(job_id, OWNER)).job.cost_microusd for job_id in late]
    assert 1 <= len(late) <= LIMIT_USD / listed
    assert counted == [round(listed * MICRO)] * len(late)
    assert len(await limited.owner.doubtful(OWNER)) == len(late)


@pytest.mark.parametrize(("said", "counted", "is_settled"), [(1.5, 1.5, True), (0.002, 0.002, True), (0, None, False)])
@ON_BOTH
async def test_the_history_puts_a_cost_right_that_cannot_be_meant(
    rig: Rig, service: PaidService, said: float, counted: float | None, is_settled: bool
) -> None:
    service.cost_usd = 0.002
    service.on("GET", HISTORY, answer(200, {"request_id": "any", "credits_deduction": said}))
    seen: list[str] = []

    def as_asked(received: Any) -> None:
        seen.append(received.path)

    service.on_request = as_asked
    async with rig.running() as runner:
        service.on("GET", HISTORY, Reply(lambda wire, received: _row(received.path, said).act(wire, received)))
        job = await ended(runner, await click(runner))
        assert job.status is JobStatus.DONE
        assert ((await runner.owner.doubtful(OWNER)) == []) is is_settled
        expected = job.estimate_microusd if counted is None else round(counted * MICRO)
        assert job.cost_microusd == expected


def _row(path: str, cost: float) -> Reply:
    return answer(200, {"request_id": path.rpartition("/")[2], "credits_deduction": cost, "model_status": "COMPLETED"})


@ON_BOTH
async def test_a_cost_that_a_status_named_outlives_a_restart(rig: Rig, service: PaidService) -> None:
    service.on("GET", RESULT, answer(503, {"error": "x"}))
    service.on("GET", STATUS, answer(200, {"status": "COMPLETED", "metrics": {"cost": COST_USD}}))
    service.on("GET", HISTORY, answer(503, {"error": "x"}))
    async with rig.running() as runner:
        job_id = await click(runner)
        await until(lambda: bool(seen(runner, job_id, OWNER).job.cost_microusd))
    service.on("GET", STATUS, FAILED)
    service.on("GET", HISTORY, NOT_FOUND)
    async with Rig(rig.folder, rig.origin, url=rig.url).running() as runner:
        job = await ended(runner, job_id)
    assert (job.status, job.counted_microusd) == (JobStatus.LOST, round(COST_USD * MICRO))


@ON_BOTH
async def test_an_odd_cost_stays_shown_to_the_owner_when_the_result_names_none(rig: Rig, service: PaidService) -> None:
    service.on("GET", HISTORY, NOT_FOUND)
    service.on("GET", RESULT, answer(200, {"status": "COMPLETED", "output": f"{service.origin}/files/same.mp4"}))
    service.on("GET", STATUS, [answer(200, {"status": "PROCESSING", "metrics": {"cost": 1e8}}), COMPLETED])
    service.on("GET", FILE, answer(200, video_of("any")))
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
    assert (job.status, job.cost_microusd) == (JobStatus.DONE, job.estimate_microusd)
    assert job.notes["named_usd"] == 1e8
