"""The client's blocking call: a video as bytes, as JSON, or truncated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from hunyuan_ui.endpoint.contract import GENERATE_V1, Metrics
from hunyuan_ui.endpoint.download import SaveLimits
from hunyuan_ui.endpoint.segmind import EndpointClient
from hunyuan_ui.errors import DownloadError, reason
from hunyuan_ui.media import check_video
from tests import raw_service
from tests.endpoint.calls import (
    ID,
    KEY,
    REQUEST,
    failure_of,
    generate,
    only_uncut,
)
from tests.raw_service import RawService, answer
from tests.videos import mp4_bytes

pytestmark = pytest.mark.anyio


VIDEO = mp4_bytes()
BYTES_TYPES = ["video/mp4", "application/octet-stream", "text/html", "application/json", ""]


@pytest.mark.parametrize("content_type", BYTES_TYPES)
async def test_row11_raw_bytes_are_a_video_whatever_they_call_themselves(
    service: RawService, client: EndpointClient, tmp_path: Path, content_type: str
) -> None:
    headers = {"x-request-id": ID, "x-cost": "1.46", "x-generation-time": "205.1"}
    service.on("POST", GENERATE_V1, answer(200, VIDEO, content_type=content_type, headers=headers))
    async with client.generate(REQUEST, KEY) as found:
        assert (found.url, found.request_id) == (None, ID)
        assert found.metrics == Metrics(cost=1.46, inference_time=205.1)
        await found.save(tmp_path / "a.part", check=only_uncut)
    assert (tmp_path / "a.part").read_bytes() == VIDEO
    assert len(service.bill) == 1


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "video/mp4"])
@pytest.mark.parametrize(
    "body",
    [
        {"output": "https://x.test/1.mp4"},
        {"output": ["https://x.test/1.mp4"]},
        {"output": {"url": "https://x.test/1.mp4"}},
        {"video": {"url": "https://x.test/1.mp4"}},
        {"video_url": "https://x.test/1.mp4"},
    ],
)
async def test_row11_json_names_the_video(
    service: RawService, client: EndpointClient, body: dict[str, Any], content_type: str
) -> None:
    service.on("POST", GENERATE_V1, answer(200, body, content_type=content_type))
    async with client.generate(REQUEST, KEY) as found:
        assert found.url == "https://x.test/1.mp4"
        with pytest.raises(ValueError, match="address"):
            await found.save(Path("never"), check=only_uncut)


async def test_the_cost_may_stand_in_the_json(service: RawService, client: EndpointClient) -> None:
    body = {"output": "https://x.test/1.mp4", "metrics": {"cost": 1.46}}
    service.on("POST", GENERATE_V1, [answer(200, body), answer(200, body, headers={"x-cost": "1.5"})])
    costs: list[float | None] = []
    for _ in range(2):
        async with client.generate(REQUEST, KEY) as found:
            costs.append(found.metrics.cost)
    assert costs == [1.46, 1.5]


async def test_a_v1_videos_id_is_kept_from_a_header_that_a_gateway_repeats(
    service: RawService, client: EndpointClient
) -> None:
    headers = {"x-request-id": f"{ID}, gateway-0001"}
    service.on("POST", GENERATE_V1, answer(200, VIDEO, content_type="video/mp4", headers=headers))
    async with client.generate(REQUEST, KEY) as found:
        assert found.request_id == ID


async def test_row12_a_v1_error_with_200_keeps_its_words_id_and_cost(
    service: RawService, client: EndpointClient
) -> None:
    headers = {"x-request-id": ID, "x-cost": "0.5"}
    service.on("POST", GENERATE_V1, answer(200, {"error": "worker lost"}, headers=headers))
    error = await failure_of(generate, client)
    assert error.facts == {"reason": "worker lost", "request_id": ID, "cost": 0.5}


async def test_a_v1_answer_that_breaks_off_may_only_be_found_in_the_history(
    service: RawService, client: EndpointClient, tmp_path: Path
) -> None:
    service.on("POST", GENERATE_V1, raw_service.cut(VIDEO, 200, content_type="video/mp4"))
    async with client.generate(REQUEST, KEY) as found:
        with pytest.raises(DownloadError) as caught:
            await found.save(tmp_path / "a.part", check=only_uncut)
    assert (caught.value.retryable, caught.value.expired) == (False, True)
    assert not (tmp_path / "a.part").exists()


async def test_a_v1_answer_that_announces_too_many_bytes_is_a_video_all_the_same(
    service: RawService, client: EndpointClient, tmp_path: Path
) -> None:
    service.on("POST", GENERATE_V1, raw_service.cut(VIDEO + bytes(2000), len(VIDEO), content_type="video/mp4"))
    async with client.generate(REQUEST, KEY) as found:
        await found.save(tmp_path / "a.part", check=check_video)
    assert (tmp_path / "a.part").read_bytes() == VIDEO


async def test_the_bytes_may_come_slower_than_the_first_ones(
    service: RawService, client: EndpointClient, tmp_path: Path
) -> None:
    service.on("POST", GENERATE_V1, raw_service.slow_body(200, VIDEO, content_type="video/mp4"))
    limits = SaveLimits(slow_after_s=0.3)
    async with client.generate(REQUEST, KEY) as found:
        with pytest.raises(DownloadError) as caught:
            await found.save(tmp_path / "a.part", check=only_uncut, limits=limits)
    assert caught.value.facts["reason"] == reason("too_slow")


async def test_leaving_a_v1_answer_unread_closes_its_connection(service: RawService, client: EndpointClient) -> None:
    service.on("POST", GENERATE_V1, raw_service.huge(start=VIDEO))
    async with client.generate(REQUEST, KEY) as found:
        assert found.url is None
    await anyio.to_thread.run_sync(service.wait_until_closed)


async def test_a_v1_video_is_saved_once(service: RawService, client: EndpointClient, tmp_path: Path) -> None:
    service.serve_v1(VIDEO)
    async with client.generate(REQUEST, KEY) as found:
        await found.save(tmp_path / "a.part", check=only_uncut)
        assert (tmp_path / "a.part").read_bytes() == VIDEO
        with pytest.raises(ValueError, match="already"):
            await found.save(tmp_path / "b.part", check=only_uncut)
