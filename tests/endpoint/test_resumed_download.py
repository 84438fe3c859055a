"""A download over a line that breaks is continued, and only with the same file."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from hunyuan_ui import media
from hunyuan_ui.endpoint import resumed_download
from hunyuan_ui.endpoint.download import fetch
from hunyuan_ui.errors import DownloadError
from tests.endpoint.calls import only_uncut
from tests.endpoint.test_download import left_at
from tests.raw_service import RawService, Received, Reply, Wire, answer
from tests.videos import mp4_bytes

pytestmark = pytest.mark.anyio

VIDEO = mp4_bytes()
OTHER = mp4_bytes(shade=200)
STEP = len(VIDEO) // 4 + 1


def _sent(
    video: bytes, received: Received, changed: Mapping[str, str] = MappingProxyType({})
) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of the whole file or of the part that was asked for."""
    asked = re.fullmatch(r"bytes=(\d+)-", received.headers.get("range", ""))
    begin = int(asked[1]) if asked else 0
    headers = {"ETag": '"a"', **changed}
    if asked and begin >= len(video):
        return 416, {"Content-Range": f"bytes */{len(video)}", **headers}, b""
    if asked:
        headers = {"Content-Range": f"bytes {begin}-{len(video) - 1}/{len(video)}", **headers}
    return 206 if asked else 200, headers, video[begin:]


def _breaking(video: bytes = VIDEO, *, step: int = STEP, changed: Mapping[str, str] = MappingProxyType({})) -> Reply:
    """Send some bytes of what was asked for, announce all of it, and close."""

    def act(wire: Wire, received: Received) -> None:
        status, headers, body = _sent(video, received, changed)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        wire.send(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode() + body[:step])
        wire.close()

    return Reply(act)


async def _fetch(service: RawService, part: Path) -> bytes:
    await fetch(f"{service.origin}/v.mp4", part, own_origin=service.origin, check=media.check_mp4)
    return left_at(part) or b""


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "v.part"


async def test_a_line_that_breaks_every_time_still_brings_the_whole_file(service: RawService, part: Path) -> None:
    service.on("GET", "/v.mp4", _breaking())
    assert await _fetch(service, part) == VIDEO
    asked = [one.headers.get("range") for one in service.requests]
    assert asked == [None, *(f"bytes={at}-" for at in range(STEP, len(VIDEO), STEP))]
    assert {one.headers.get("if-range") for one in service.requests[1:]} == {'"a"'}


async def test_a_compressed_file_is_continued_in_its_own_bytes(service: RawService, part: Path) -> None:
    packed = gzip.compress(VIDEO)
    service.on("GET", "/v.mp4", _breaking(packed, step=len(packed) // 3, changed={"Content-Encoding": "gzip"}))
    assert await _fetch(service, part) == VIDEO


async def test_a_file_whose_announced_length_is_wrong_is_taken_if_the_server_has_no_more(
    service: RawService, part: Path
) -> None:
    def act(wire: Wire, received: Received) -> None:
        status, headers, body = _sent(VIDEO, received)
        answer(status, body, headers=headers if received.headers.get("range") else {"Content-Length": "999999"}).act(
            wire, received
        )
        wire.close()

    service.on("GET", "/v.mp4", Reply(act))
    assert await _fetch(service, part) == VIDEO


def _overstated(video: bytes, end: str) -> Reply:
    """Send a whole file under too large a length, whatever part is asked for."""

    def act(wire: Wire, _: Received) -> None:
        more = b"Transfer-Encoding: chunked" if end == "chunk" else b"Content-Length: 999999"
        size = f"{len(video) + 9:x}\r\n".encode() if end == "chunk" else b""
        wire.send(b"HTTP/1.1 200 OK\r\n" + more + b"\r\n\r\n" + size + video)
        wire.reset() if end == "reset" else wire.close()

    return Reply(act)


@pytest.mark.parametrize("end", ["close", "reset", "chunk"])
async def test_a_file_that_is_whole_by_its_own_index_is_taken_where_the_server_sends_no_parts(
    service: RawService, part: Path, end: str
) -> None:
    service.on("GET", "/v.mp4", _overstated(VIDEO, end))
    assert await _fetch(service, part) == VIDEO


@pytest.mark.parametrize("missing", [1, 100, len(VIDEO) - 40])
async def test_a_file_that_lacks_its_end_is_not(service: RawService, part: Path, missing: int) -> None:
    service.on("GET", "/v.mp4", _overstated(VIDEO[:-missing], "close"))
    with pytest.raises(DownloadError) as caught:
        await _fetch(service, part)
    assert (caught.value.retryable, left_at(part)) == (True, None)


CHANGED: dict[str, Callable[[], Any]] = {
    "another version": lambda: _breaking(OTHER, changed={"ETag": '"b"'}),
    "another length": lambda: _breaking(VIDEO + b"\0\0\0\x08free"),
    "the whole file": lambda: answer(200, VIDEO),
    "an error": lambda: answer(503),
    "another part": lambda: answer(206, VIDEO, headers={"Content-Range": f"bytes 0-{len(VIDEO) - 1}/{len(VIDEO)}"}),
    "a part with a gap before it": lambda: answer(
        206,
        VIDEO[STEP + 1 :],
        headers={"ETag": '"a"', "Content-Range": f"bytes {STEP + 1}-{len(VIDEO) - 1}/{len(VIDEO)}"},
    ),
    "a shorter file": lambda: answer(416, headers={"Content-Range": f"bytes */{STEP - 1}"}),
    "another encoding": lambda: _breaking(changed={"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("change", CHANGED)
async def test_parts_of_different_files_are_never_joined(service: RawService, part: Path, change: str) -> None:
    service.on("GET", "/v.mp4", [_breaking(), CHANGED[change]()])
    with pytest.raises(DownloadError):
        await _fetch(service, part)
    assert left_at(part) is None


@pytest.mark.parametrize("change", ["another part", "a part with a gap before it", "a shorter file"])
async def test_where_no_length_was_announced_a_part_begins_where_the_line_broke(
    service: RawService, part: Path, change: str
) -> None:
    def cut(wire: Wire, _: Received) -> None:
        head = b'HTTP/1.1 200 OK\r\nETag: "a"\r\nTransfer-Encoding: chunked\r\n\r\n'
        wire.send(head + f"{STEP:x}\r\n".encode() + VIDEO[:STEP] + b"\r\n")
        wire.close()

    service.on("GET", "/v.mp4", [Reply(cut), CHANGED[change]()])
    with pytest.raises(DownloadError):
        await fetch(f"{service.origin}/v.mp4", part, own_origin=service.origin, check=only_uncut)


async def test_a_server_that_sends_nothing_more_is_not_asked_without_an_end(service: RawService, part: Path) -> None:
    service.on("GET", "/v.mp4", [_breaking(), *[_breaking(step=0)] * 9])
    with pytest.raises(DownloadError):
        await _fetch(service, part)
    assert len(service.requests) == 2


async def test_a_file_that_comes_byte_by_byte_is_given_up(
    service: RawService, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resumed_download, "_MOST_PARTS", 5)
    service.on("GET", "/v.mp4", _breaking(step=1))
    with pytest.raises(DownloadError):
        await _fetch(service, part)
    assert len(service.requests) <= 6
