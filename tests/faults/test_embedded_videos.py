"""Answers that contain the video itself in place of its address: it was paid for and is kept."""

from __future__ import annotations

import base64
import json

import pytest

from hunyuan_ui.endpoint.contract import COST_HEADER, GENERATE_V1, SUBMIT_V2
from hunyuan_ui.job import JobStatus
from tests.engines import VIDEOS
from tests.faults.rig import OWNER, Dialect, Rig, click, ended
from tests.faults.service import COMPLETED, FILE, HISTORY, NOT_FOUND, RESULT, STATUS, PaidService, video_of
from tests.raw_service import Reply, answer

pytestmark = [pytest.mark.faults, pytest.mark.anyio]

MP4 = video_of("anything")
B64 = base64.b64encode(MP4).decode()
POST: dict[Dialect, str] = {"v2": SUBMIT_V2, "v1": GENERATE_V1, "openai": VIDEOS}
JSON = answer(200, {"status": "COMPLETED", "output": {"b64_json": B64}}, headers={COST_HEADER: "1.46"})
BODIES: dict[str, Reply] = {
    "bytes": answer(200, MP4, content_type="video/mp4"),
    "json": JSON,
    "a data address": answer(200, [{"video": f"data:video/mp4;base64,{B64}"}]),
    "json as a video": answer(200, json.dumps({"outputs": [{"data": B64}]}).encode(), content_type="video/mp4"),
    "text": answer(200, B64),
}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("dialect", POST)
async def test_a_video_in_the_answer_to_a_post_is_kept(
    rig: Rig, service: PaidService, dialect: Dialect, body: str
) -> None:
    rig.dialect = dialect
    service.on("POST", POST[dialect], [BODIES[body]])
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
        assert job.status is JobStatus.DONE
        assert (await runner.view(job.id, OWNER)).job.notes["suffix"] == ".mp4"


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("is_cut_first", [True, False])
async def test_a_video_in_the_result_is_kept(rig: Rig, service: PaidService, body: str, *, is_cut_first: bool) -> None:
    cut = answer(200, {"status": "COMPLETED", "output": B64[: len(B64) // 8 * 4]})
    service.on("GET", RESULT, BODIES[body])
    service.on("GET", RESULT, [cut, cut] if is_cut_first else [])
    service.on("GET", STATUS, COMPLETED)
    service.on("GET", HISTORY, NOT_FOUND)
    async with rig.running() as runner:
        assert (await ended(runner, await click(runner))).status is JobStatus.DONE


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("dialect", ["v2", "openai"])
async def test_a_video_in_text_at_its_address_is_kept(
    rig: Rig, service: PaidService, dialect: Dialect, body: str
) -> None:
    rig.dialect = dialect
    service.on("GET", FILE if dialect == "v2" else f"{VIDEOS}/*/content", BODIES[body])
    async with rig.running() as runner:
        assert (await ended(runner, await click(runner))).status is JobStatus.DONE


async def test_half_a_video_in_an_answer_is_kept_as_what_it_is(rig: Rig, service: PaidService) -> None:
    rig.dialect = "v1"
    service.on("POST", GENERATE_V1, [answer(200, {"video": B64[: len(B64) // 8 * 4]})])
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
    assert (job.status, job.problem.code if job.problem else "") == (JobStatus.LOST, "video_unreadable")
    assert job.counted_microusd > 0
