"""A service that is an ASGI app in this process: its lifespan, its files, and no connections to the outside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from fastapi import FastAPI
from fastapi.responses import FileResponse, RedirectResponse, Response

from hunyuan_ui import media
from hunyuan_ui.endpoint.download import FetchLimits, SaveLimits, fetch
from hunyuan_ui.endpoint.http import InProcessTransport
from hunyuan_ui.endpoint.segmind import EndpointClient
from hunyuan_ui.errors import DownloadError, OutcomeUnknownError, UnexpectedResponseError
from hunyuan_ui.request import VideoRequest
from tests.videos import mp4_bytes

pytestmark = pytest.mark.anyio

ORIGIN = "http://local.invalid"
KEY = "SG_0123456789abcdef"
REQUEST = VideoRequest.parse({"prompt": "a lighthouse in a storm"})


@pytest.fixture
def lived() -> list[str]:
    """What the app noted, in order."""
    return []


@pytest.fixture
def app(lived: list[str], tmp_path: Path) -> FastAPI:
    video = tmp_path / "served.mp4"
    video.write_bytes(mp4_bytes())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        lived.append("startup")
        await asyncio.sleep(0.02)
        lived.append("ready")
        yield
        lived.append("shutdown")

    async def credits() -> dict[str, float]:
        lived.append("asked")
        return {"credits": 3.0}

    async def broken() -> None:
        raise ZeroDivisionError

    async def away(to: str) -> Response:
        return RedirectResponse(to)

    made = FastAPI(lifespan=lifespan)
    made.add_api_route("/v1/get-user-credits", credits)
    made.add_api_route("/v2/hunyuan-video", broken, methods=["POST"])
    made.add_api_route("/v2/requests/{request_id}", broken)
    made.add_api_route("/video.mp4", lambda: FileResponse(video))
    made.add_api_route("/away", away)
    return made


@pytest.fixture
async def transport(app: FastAPI) -> AsyncIterator[InProcessTransport]:
    made = InProcessTransport(app)
    yield made
    await made.aclose()


@pytest.fixture
def client(transport: InProcessTransport) -> EndpointClient:
    return EndpointClient(ORIGIN, ORIGIN, transport=transport)


async def test_the_lifespan_lasts_from_the_first_call_to_the_end(client: EndpointClient, lived: list[str]) -> None:
    assert lived == []
    assert await asyncio.gather(*[client.credits(KEY) for _ in range(5)]) == [3.0] * 5
    assert await client.credits(KEY) == 3.0
    assert lived == ["startup", "ready", *["asked"] * 6]
    await client.aclose()
    assert lived[-2:] == ["asked", "shutdown"]
    await client.aclose()
    assert lived.count("shutdown") == 1


async def test_an_app_that_is_never_asked_never_starts(client: EndpointClient, lived: list[str]) -> None:
    await client.aclose()
    assert lived == []


async def test_a_first_caller_who_gives_up_leaves_the_app_to_the_next(client: EndpointClient, lived: list[str]) -> None:
    with anyio.move_on_after(0.001):
        await client.credits(KEY)
    assert await client.credits(KEY) == 3.0
    assert lived.count("startup") == 1


async def test_an_app_that_breaks_is_a_service_that_breaks(client: EndpointClient) -> None:
    with pytest.raises(OutcomeUnknownError):
        await client.submit(REQUEST, KEY)
    with pytest.raises(UnexpectedResponseError):
        await client.result("0" * 32, KEY)


async def test_its_file_is_fetched_and_checked_like_any_other(transport: InProcessTransport, tmp_path: Path) -> None:
    part = tmp_path / "a.part"
    url = f"{ORIGIN}/video.mp4"
    await fetch(url, part, own_origin=ORIGIN, check=media.check_mp4, transport=transport)
    assert part.read_bytes() == mp4_bytes()
    small = FetchLimits(save=SaveLimits(max_bytes=100))
    with pytest.raises(DownloadError) as caught:
        await fetch(url, part, own_origin=ORIGIN, check=media.check_mp4, transport=transport, limits=small)
    assert caught.value.facts["reason"]["key"] == "reason.too_large"
    await fetch(f"{ORIGIN}/away?to=/video.mp4", part, own_origin=ORIGIN, check=media.check_mp4, transport=transport)


@pytest.mark.parametrize(
    "url",
    [
        "https://images.segmind.com/1.mp4",
        "http://127.0.0.1:8010/1.mp4",
        "https://local.invalid/video.mp4",
        "http://local.invalid:8010/video.mp4",
        "http://user@local.invalid/video.mp4",
        f"{ORIGIN}/away?to=https://images.segmind.com/1.mp4",
    ],
)
async def test_nothing_leads_out_of_it(transport: InProcessTransport, tmp_path: Path, url: str) -> None:
    with pytest.raises(DownloadError) as caught:
        await fetch(url, tmp_path / "a.part", own_origin=ORIGIN, check=media.check_mp4, transport=transport)
    assert (caught.value.code, caught.value.retryable) == ("link_refused", False)


@pytest.mark.parametrize("own_origin", ["https://api.segmind.com", "http://127.0.0.1:8010"])
async def test_nothing_leads_into_it_from_outside(own_origin: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError) as caught:
        await fetch(f"{ORIGIN}/video.mp4", tmp_path / "a.part", own_origin=own_origin, check=media.check_mp4)
    assert caught.value.code == "link_refused"
