"""Working times that a service reports: one that cannot be teaches no price, because every limit would refuse it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import pytest

from hunyuan_ui.estimate import believable_s
from hunyuan_ui.job import JobStatus
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.settings import Settings
from tests.fake_service import FakeService, answer
from tests.jobs.one_runner import impatient as impatient
from tests.jobs.one_runner import made, running
from tests.jobs.one_runner import settings as settings
from tests.videos import mp4_bytes

USUAL = VideoRequest(prompt="a heron")


@pytest.mark.anyio
@pytest.mark.parametrize("dialect", ["v1", "v2"])
@pytest.mark.parametrize("seconds", [211_320, 211_320_000.0, "211320", 1e8])
async def test_a_time_in_another_unit_teaches_no_price_and_no_duration(
    settings: Settings, dialect: Literal["v1", "v2"], seconds: float | str
) -> None:
    service = FakeService()
    named = {"status": "COMPLETED", "output": "https://files.test/v.mp4", "metrics": {"inference_time": seconds}}
    service.script("result", answer(200, named))
    headers = {"content-type": "video/mp4", "x-generation-time": str(seconds)}
    service.script("generate", answer(200, content=mp4_bytes(), headers=headers))
    async with running(replace(settings, dialect=dialect), service) as runner:
        before = runner.estimate(USUAL)
        job = await made(runner)
        assert (job.status, job.inference_s) == (JobStatus.DONE, None)
        assert runner.estimate(USUAL) == before


@pytest.mark.anyio
@pytest.mark.parametrize("metrics", [{"inference_time": 400.0}, {"inference_time": 100.0, "cost": 1.0}])
async def test_a_time_that_can_be_is_learnt(settings: Settings, metrics: dict[str, Any]) -> None:
    service = FakeService()
    named = {"status": "COMPLETED", "output": "https://files.test/v.mp4", "metrics": metrics}
    service.script("result", answer(200, named))
    async with running(settings, service) as runner:
        job = await made(runner)
        assert job.inference_s == metrics["inference_time"]
        assert runner.estimate(USUAL).seconds == pytest.approx(metrics["inference_time"])


@pytest.mark.parametrize(
    ("seconds", "predicted_s", "passed_s", "believed"),
    [
        (None, 200.0, 300.0, None),
        (2000.0, 200.0, 300.0, 2000.0),
        (2001.0, 200.0, 300.0, None),
        (2001.0, 200.0, 2001.0, 2001.0),
        (0.0, 200.0, 300.0, 0.0),
        (50.0, 0.0, 60.0, 50.0),  # a request of the history that could not be read
    ],
)
def test_seconds_that_have_passed_are_believed_and_up_to_ten_times_the_expected(
    seconds: float | None, predicted_s: float, passed_s: float, believed: float | None
) -> None:
    assert believable_s(seconds, predicted_s, passed_s) == believed
