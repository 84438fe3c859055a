"""The videos of the local endpoint: exactly as requested, and deterministic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest

from hunyuan_ui.local_endpoint.scene.render import frames
from hunyuan_ui.media import VideoFacts, check_mp4, facts
from hunyuan_ui.request import VideoRequest
from tests.local_endpoint.clients import SMALL, Start


def video(client: httpx.Client, path: Path, **values: Any) -> bytes:
    answer = client.post("/v1/hunyuan-video", json={**SMALL, **values})
    assert answer.status_code == 200
    path.write_bytes(answer.content)
    return answer.content


@pytest.mark.parametrize(
    ("width", "height", "frames"),
    [(1, 1, 1), (1, 1, 129), (853, 479, 5), (854, 480, 77), (480, 854, 9), (1280, 1280, 5), (1280, 720, 1)],
)
def test_a_video_has_exactly_what_was_asked(start: Start, tmp_path: Path, width: int, height: int, frames: int) -> None:
    path = tmp_path / "video.mp4"
    data = video(start(), path, width=width, height=height, video_length=frames)
    check_mp4(path)
    size = -(-width // 16) * 16, -(-height // 16) * 16
    assert facts(path) == VideoFacts(*size, 24.0, frames, frames / 24)
    with av.open(path, format="mp4") as container:
        stream = container.streams.video[0]
        decoded = [frame.to_ndarray() for frame in container.decode(stream)]
        assert len(decoded) == frames
        assert stream.average_rate == 24
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.codec_context.width, stream.codec_context.height) == size
    assert data.index(b"moov") < data.index(b"mdat")
    if frames > 4:
        assert not np.array_equal(decoded[0], decoded[4])


def test_equal_requests_give_equal_bytes_and_others_do_not(start: Start, tmp_path: Path) -> None:
    clients = start(), start()
    path = tmp_path / "video.mp4"
    first = video(clients[0], path, width=320, height=192)
    assert video(clients[1], path, width=320, height=192) == first
    for other in ({"seed": 1}, {"prompt": "A lighthouse in the rain"}, {"infer_steps": 12}):
        assert video(clients[0], path, width=320, height=192, **other) != first


def test_the_video_is_the_scene_of_the_request(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    video(start(), path, width=320, height=192)
    request = VideoRequest.parse({**SMALL, "width": 320, "height": 192})
    drawn = [planes[:192].astype(int) for planes in frames(request)]
    with av.open(path, format="mp4") as container:
        decoded = [frame.to_ndarray()[:192].astype(int) for frame in container.decode(video=0)]
    assert max(np.abs(a - b).mean() for a, b in zip(drawn, decoded, strict=True)) < 2.5
