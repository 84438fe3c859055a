"""The client and the local endpoint, two implementations of one contract, over a real socket and in one process."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest

from hunyuan_ui import media
from hunyuan_ui.endpoint.contract import RemoteState
from hunyuan_ui.endpoint.download import fetch
from hunyuan_ui.endpoint.http import InProcessTransport
from hunyuan_ui.endpoint.segmind import EndpointClient
from hunyuan_ui.errors import (
    AuthenticationError,
    EndpointStatusError,
    JobFailedError,
    OutOfCreditsError,
    RateLimitError,
    RequestExpiredError,
)
from hunyuan_ui.estimate import estimate
from hunyuan_ui.local_endpoint.app import create_app
from hunyuan_ui.local_endpoint.serving import serve
from hunyuan_ui.request import VideoRequest

pytestmark = pytest.mark.anyio

KEY = "SG_0123456789abcdef"
REQUEST = VideoRequest.parse({"prompt": "a lighthouse in a storm", "width": 99, "height": 64, "video_length": 5})
IMPOSSIBLE = REQUEST.model_copy(update={"video_length": 6})


@pytest.fixture
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Options of the local endpoint, by indirect parametrisation."""
    return getattr(request, "param", {})


class Place(NamedTuple):
    """The local endpoint's address, and its transport if it is not the default."""

    origin: str
    transport: InProcessTransport | None = None


@pytest.fixture(params=["over a port", "in this process"])
def place(request: pytest.FixtureRequest, options: dict[str, Any], tmp_path: Path) -> Iterator[Place]:
    app = create_app(**{"seconds": 0, "work_dir": tmp_path, **options})
    if request.param == "in this process":
        yield Place("http://local.invalid", InProcessTransport(app))
        return
    server = serve(app)
    yield Place(server.url)
    server.close()


@pytest.fixture
async def client(place: Place) -> AsyncIterator[EndpointClient]:
    made = EndpointClient(place.origin, f"{place.origin}/inference-request", transport=place.transport)
    yield made
    await made.aclose()


async def fetched(place: Place, url: str | None, part: Path) -> None:
    assert url is not None
    await fetch(url, part, own_origin=place.origin, check=media.check_mp4, transport=place.transport)


async def finished(client: EndpointClient, request_id: str) -> None:
    with anyio.fail_after(30):
        while (await client.status(request_id, KEY)).state is not RemoteState.COMPLETED:  # noqa: ASYNC110 - polls
            await anyio.sleep(0.02)


def assert_is_the_video(part: Path) -> None:
    found = media.facts(part)
    assert (found.width, found.height, found.frames) == (112, 64, 5)


async def test_v2_from_submit_to_file(client: EndpointClient, place: Place, tmp_path: Path) -> None:
    before = await client.credits(KEY)
    request_id = (await client.submit(REQUEST, KEY)).request_id
    await finished(client, request_id)
    result = await client.result(request_id, KEY)
    part = tmp_path / "a.part"
    await fetched(place, result.url, part)
    assert_is_the_video(part)
    assert result.metrics.cost
    assert await client.credits(KEY) == pytest.approx(before - result.metrics.cost)
    row = await client.history(request_id, KEY)
    assert row
    assert (row.url, row.cost, row.status) == (result.url, result.metrics.cost, "COMPLETED")


async def test_v1_answers_with_the_bytes(client: EndpointClient, tmp_path: Path) -> None:
    async with client.generate(REQUEST, KEY) as answer:
        assert answer.url is None
        assert answer.metrics.cost
        assert answer.request_id
        await answer.save(tmp_path / "a.part", check=media.check_mp4)
    assert_is_the_video(tmp_path / "a.part")
    row = await client.history(answer.request_id, KEY)
    assert row
    assert row.cost == answer.metrics.cost


@pytest.mark.parametrize("options", [{"v1_answer": "url"}], indirect=True)
async def test_v1_answers_with_an_address(client: EndpointClient, place: Place, tmp_path: Path) -> None:
    async with client.generate(REQUEST, KEY) as answer:
        assert answer.url
        await fetched(place, answer.url, tmp_path / "a.part")
    assert_is_the_video(tmp_path / "a.part")


async def test_both_dialects_make_the_same_video(client: EndpointClient, place: Place, tmp_path: Path) -> None:
    request_id = (await client.submit(REQUEST, KEY)).request_id
    await finished(client, request_id)
    url = (await client.result(request_id, KEY)).url
    await fetched(place, url, tmp_path / "a.part")
    async with client.generate(REQUEST, KEY) as answer:
        await answer.save(tmp_path / "b.part", check=media.check_mp4)
    assert (tmp_path / "a.part").read_bytes() == (tmp_path / "b.part").read_bytes()


async def test_a_job_that_fails_there_says_why(client: EndpointClient) -> None:
    request_id = (await client.submit(IMPOSSIBLE, KEY)).request_id
    with pytest.raises(JobFailedError):
        await finished(client, request_id)
    with pytest.raises(JobFailedError):
        await client.result(request_id, KEY)
    with pytest.raises(EndpointStatusError) as caught:
        async with client.generate(IMPOSSIBLE, KEY):
            pass
    assert caught.value.code == "service_failed"


async def test_an_unknown_request_is_expired(client: EndpointClient) -> None:
    for ask in (client.status, client.result):
        with pytest.raises(RequestExpiredError):
            await ask("0" * 32, KEY)
    assert await client.history("0" * 32, KEY) is None


@pytest.mark.parametrize("options", [{"record_life_s": 0}], indirect=True)
async def test_a_record_that_expired_is_still_in_the_history(
    client: EndpointClient, place: Place, tmp_path: Path
) -> None:
    request_id = (await client.submit(REQUEST, KEY)).request_id
    with anyio.fail_after(30):
        while not (row := await client.history(request_id, KEY)) or row.url is None:  # noqa: ASYNC110 - polls
            await anyio.sleep(0.02)
    for ask in (client.status, client.result):
        with pytest.raises(RequestExpiredError):
            await ask(request_id, KEY)
    assert (row.status, bool(row.cost)) == ("COMPLETED", True)
    await fetched(place, row.url, tmp_path / "a.part")
    assert_is_the_video(tmp_path / "a.part")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"history_envelope": lambda rows, _: rows},
        {"history_envelope": lambda rows, about: {"result": {"requests": rows}, "pagination": about}},
    ],
    indirect=True,
    ids=["usual", "list", "nested"],
)
async def test_all_requests_of_some_days_are_listed(client: EndpointClient) -> None:
    now = time.time()
    assert await client.past_requests(KEY, since=now - 7 * 86_400, now=time.time) == []
    done, failed = [(await client.submit(request, KEY)).request_id for request in (REQUEST, IMPOSSIBLE)]
    await finished(client, done)
    with pytest.raises(JobFailedError):
        await finished(client, failed)
    found = await client.past_requests(KEY, since=now - 7 * 86_400, now=time.time)
    by_id = {one.request_id: one for one in found}
    assert by_id.keys() == {done, failed}
    assert (by_id[done].state, by_id[done].request) == (RemoteState.COMPLETED, REQUEST)
    assert by_id[done].cost == pytest.approx(estimate(REQUEST).cost_usd, abs=1e-6)
    assert by_id[done].url
    assert by_id[done].at == pytest.approx(now, abs=60)
    assert (by_id[failed].state, by_id[failed].cost) == (RemoteState.FAILED, 0)
    assert await client.past_requests("SG_another", since=now, now=time.time) == []
    assert await client.past_requests(KEY, since=now + 3 * 86_400, now=time.time) == []


@pytest.mark.parametrize("options", [{"keys": ["SG_ffffffffffffffff"]}], indirect=True)
async def test_a_wrong_key_is_refused_everywhere(client: EndpointClient) -> None:
    for ask in (
        client.submit(REQUEST, KEY),
        client.status("0" * 32, KEY),
        client.result("0" * 32, KEY),
        client.history("0" * 32, KEY),
        client.past_requests(KEY, since=0, now=lambda: 86_400),
        client.credits(KEY),
    ):
        with pytest.raises(AuthenticationError) as caught:
            await ask
        assert caught.value.code == "key_refused"


@pytest.mark.parametrize("options", [{"credits": 0.0}], indirect=True)
async def test_without_credits_both_dialects_refuse(client: EndpointClient) -> None:
    with pytest.raises(OutOfCreditsError, match="out_of_credits"):
        await client.submit(REQUEST, KEY)
    with pytest.raises(OutOfCreditsError, match="out_of_credits"):
        async with client.generate(REQUEST, KEY):
            pass


@pytest.mark.parametrize("options", [{"requests_per_minute": 1}], indirect=True)
async def test_a_rate_limit_names_its_end(client: EndpointClient) -> None:
    await client.submit(REQUEST, KEY)
    with pytest.raises(RateLimitError) as caught:
        await client.submit(REQUEST, KEY)
    assert 1 <= caught.value.retry_after_s <= 62  # a minute, and the seconds that both sides round up
