"""The local endpoint's `/v1/videos`, driven by OpenAI's own client and by ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from hunyuan_ui.endpoint.contract import RemoteState
from hunyuan_ui.endpoint.openai_videos import EngineClient
from hunyuan_ui.local_endpoint.app import create_app
from hunyuan_ui.local_endpoint.serving import serve
from hunyuan_ui.media import check_video, facts
from hunyuan_ui.request import VideoRequest

# The vendor's own service was shut down; its API lives on in these engines (docs/facts/engines.md 1).
pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")

KEY = "engine-key"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = serve(create_app(seconds=0.6, credits=0.0, keys=[KEY]), "127.0.0.1", 0)
    yield server.url
    server.close()


@pytest.fixture
def sdk(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


def test_the_official_client_makes_lists_fetches_and_deletes_a_video(sdk: openai.OpenAI, tmp_path: Path) -> None:
    extra = {"num_frames": 5, "num_inference_steps": 4, "seed": 7}
    made = sdk.videos.create(prompt="a heron", model="any", size="64x48", extra_body=extra)  # type: ignore[arg-type]
    assert made.status in ("queued", "in_progress")
    with pytest.raises(openai.NotFoundError):
        sdk.videos.download_content(made.id)
    done = sdk.videos.poll(made.id, poll_interval_ms=50)
    assert (done.status, done.progress, done.size) == ("completed", 100, "64x48")
    (tmp_path / "x.mp4").write_bytes(sdk.videos.download_content(done.id, variant="video").read())
    check_video(tmp_path / "x.mp4")
    found = facts(tmp_path / "x.mp4")
    assert (found.width, found.height, found.frames) == (64, 48, 5)
    assert made.id in [video.id for video in sdk.videos.list(limit=1)]
    assert sdk.videos.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        sdk.videos.retrieve(made.id)


@pytest.mark.parametrize(
    "wrong", [{"size": "big"}, {"num_frames": "6"}, {"num_inference_steps": "x"}, {"size": "64x99999"}, {"prompt": ""}]
)
def test_what_cannot_be_made_is_refused(sdk: openai.OpenAI, wrong: dict[str, str]) -> None:
    with pytest.raises(openai.UnprocessableEntityError):
        sdk.videos.create(prompt="a heron", extra_body=wrong)


def test_another_key_sees_nothing(url: str) -> None:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="another", max_retries=0)
    with client, pytest.raises(openai.AuthenticationError):
        client.videos.list()


@pytest.mark.anyio
async def test_our_own_client_gets_its_video_from_there(url: str, tmp_path: Path) -> None:
    client = EngineClient(url)
    assert await client.is_ready(KEY)
    request = VideoRequest(prompt="a heron", width=64, height=48, video_length=5, infer_steps=4, seed=7)
    request_id = (await client.submit(request, KEY)).request_id
    while (status := await client.status(request_id, KEY)).state is not RemoteState.COMPLETED:
        assert status.progress is None or 0 < status.progress < 100
    result = await client.result(request_id, KEY)
    assert result.url is not None
    await client.fetch(result.url, tmp_path / "x.part", key=KEY, check=check_video)
    assert (tmp_path / "x.part").stat().st_size > 500
    await client.aclose()
