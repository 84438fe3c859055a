"""The job that a request of the account's history becomes; the reading itself is in tests/faults/test_wiped_disk.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hunyuan_ui.endpoint.contract import FILE_LIFE_S, RemoteState
from hunyuan_ui.endpoint.history import PastRequest
from hunyuan_ui.estimate import estimate
from hunyuan_ui.job import MICRO, Job
from hunyuan_ui.jobs.history_import import job_of
from hunyuan_ui.ledger import NAMED
from hunyuan_ui.request import VideoRequest
from tests.stored_jobs import NOON, job

FOX = VideoRequest(prompt="a fox")
PAST = PastRequest("request-1", "request-1", RemoteState.COMPLETED, 1.46, "https://x.test/1.mp4", FOX, NOON - 60)
DEAREST_USD = estimate(VideoRequest(prompt="-", width=1280, height=1280, video_length=129, infer_steps=70)).cost_usd


def new_job(job_id: str, request: VideoRequest) -> Job:
    price = estimate(request)
    reserved = round(price.high_usd * MICRO)
    return replace(job(), id=job_id, request=request, predicted_s=price.seconds, reserved_microusd=reserved)


def job_from(**changes: Any) -> Job:
    found = job_of(replace(PAST, **changes), NOON, new_job)
    assert found is not None
    return found


def test_a_time_ahead_of_this_machines_clock_is_now() -> None:
    ahead = job_from(at=NOON + 3600)
    assert (ahead.created_at, ahead.sent_at) == (NOON, NOON)
    assert job_from().sent_at == NOON - 60


def test_what_is_older_than_any_file_is_left_out() -> None:
    assert job_of(replace(PAST, at=NOON - FILE_LIFE_S - 1), NOON, new_job) is None
    assert job_of(replace(PAST, at=NOON - FILE_LIFE_S + 1), NOON, new_job) is not None


def test_an_unknown_request_calibrates_no_estimate() -> None:
    assert job_from().predicted_s > 0
    assert job_from(request=None).predicted_s == 0


@pytest.mark.parametrize(
    ("request_", "cost_usd", "is_named"),
    [
        (None, DEAREST_USD, True),  # it may have been the dearest one
        (None, DEAREST_USD + 0.01, False),
        (FOX, DEAREST_USD, False),
        (FOX, 1.46, True),
    ],
)
def test_a_cost_counts_as_named_up_to_what_the_request_can_have_cost(
    request_: VideoRequest | None, cost_usd: float, is_named: bool
) -> None:
    found = job_from(request=request_, cost=cost_usd)
    assert (found.cost_microusd == pytest.approx(cost_usd * MICRO, abs=1)) == is_named
    assert found.notes.get(NAMED) == (None if is_named else cost_usd)


def test_a_zero_of_what_still_renders_is_not_its_cost() -> None:
    assert job_from(state=RemoteState.PROCESSING, cost=0.0).cost_microusd is None
