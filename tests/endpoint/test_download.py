"""Downloading and saving a finished video: docs/facts/faults-and-security.md rows 34 to 41 and 44."""

from __future__ import annotations

import asyncio
import base64
import errno
import gc
import io
import os
import random
import shutil
import threading
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from hunyuan_ui import checkpoint, media
from hunyuan_ui.endpoint import download
from hunyuan_ui.endpoint.download import FetchLimits, SaveLimits, fetch, save, save_bytes
from hunyuan_ui.errors import DownloadError, HunyuanUIError, MediaError, StorageError, reason
from hunyuan_ui.words import words
from tests import raw_service
from tests.endpoint.calls import only_uncut
from tests.raw_service import RawService, Received, Reply, Wire, answer, html, redirect
from tests.videos import mp4_bytes

pytestmark = pytest.mark.anyio

VIDEO = mp4_bytes()
HASTY = FetchLimits(answer_s=0.3, save=SaveLimits(slow_after_s=0.3))


@pytest.fixture
def service() -> Iterator[RawService]:
    with RawService() as running:
        yield running


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "job.part"


def left_at(path: Path) -> bytes | None:
    """The file's content, or None."""
    return path.read_bytes() if path.exists() else None


async def fetched(service: RawService, part: Path, path: str = "/1.mp4", **options: Any) -> int:
    """Download, and return the file's size."""
    options = {"check": media.check_mp4, **options}
    await fetch(f"{service.origin}{path}", part, own_origin=service.origin, **options)
    return len(left_at(part) or b"")


async def failure_of(service: RawService, part: Path, **options: Any) -> HunyuanUIError:
    with pytest.raises(HunyuanUIError) as caught:
        await fetched(service, part, **options)
    assert left_at(part) is None
    return caught.value


async def test_a_video_is_fetched_whole_and_without_the_key(service: RawService, part: Path) -> None:
    service.on("GET", "/1.mp4", answer(200, VIDEO, content_type="video/mp4"))
    await fetched(service, part)
    assert left_at(part) == VIDEO
    headers = service.requests[0].headers
    assert headers["accept-encoding"] == "identity"
    assert not {"x-api-key", "authorization", "cookie", "referer"} & headers.keys()


@pytest.mark.parametrize("framing", ["length", "chunked", "none"])
async def test_every_framing_of_a_whole_body_is_taken(service: RawService, part: Path, framing: str) -> None:
    reply = raw_service.cut(VIDEO, len(VIDEO), framing=framing)
    if framing == "chunked":
        reply = raw_service.chunked(VIDEO)
    service.on("GET", "/1.mp4", reply)
    assert await fetched(service, part) == len(VIDEO)


@pytest.fixture
def older_part(part: Path) -> Path:
    part.write_bytes(b"x" * 2 * len(VIDEO))
    return part


@pytest.mark.parametrize("framing", ["length", "chunked", "more than announced"])
async def test_a_large_body_is_stored_byte_for_byte(service: RawService, part: Path, framing: str) -> None:
    body = random.Random(1).randbytes(5 * 1024 * 1024 + 12_345)
    replies = {
        "length": answer(200, body),
        "chunked": raw_service.chunked(body, 100_000),
        "more than announced": answer(200, body + b"x" * 300_000, headers={"Content-Length": str(len(body))}),
    }
    service.on("GET", "/1.mp4", replies[framing])
    await fetch(f"{service.origin}/1.mp4", part, own_origin=service.origin, check=only_uncut)
    assert left_at(part) == body


async def test_row34_a_connection_that_breaks_within_the_body_is_tried_again(service: RawService, part: Path) -> None:
    opened = threading.Event()

    def break_off(wire: Wire, _: Received) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + VIDEO[:-1])
        assert opened.wait(10)
        wire.reset()

    service.on("GET", "/1.mp4", [Reply(break_off), answer(200, VIDEO)])
    checkpoint.hook = lambda _: opened.set()
    error = await failure_of(service, part)
    assert isinstance(error, DownloadError)
    assert error.retryable
    assert "broke" in words().sentence(error)
    assert await fetched(service, part) == len(VIDEO)


async def test_an_older_part_file_is_replaced(service: RawService, part: Path, older_part: Path) -> None:
    service.on("GET", "/1.mp4", answer(200, VIDEO))
    await fetched(service, part)
    assert left_at(part) == VIDEO


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        pytest.param(raw_service.cut(VIDEO, 500, framing="length"), "closed", id="row34-cut-length"),
        pytest.param(raw_service.cut(VIDEO, 500, framing="chunked"), "closed", id="row34-cut-chunked"),
        pytest.param(raw_service.cut(VIDEO, 500, framing="none"), "", id="row35-cut-without-length"),
        pytest.param(raw_service.cut(VIDEO, len(VIDEO) - 1, framing="none"), "", id="row35-one-byte-short"),
        pytest.param(answer(200, VIDEO[:-1]), "", id="row35-cut-at-the-service"),
        pytest.param(answer(200), "not an MP4", id="row36-empty"),
        pytest.param(html(200), "not an MP4", id="row36-html"),
        pytest.param(answer(200, {"error": "x"}, content_type="video/mp4"), "not an MP4", id="row36-json"),
        pytest.param(answer(200, bytes(5000), content_type="video/mp4"), "not an MP4", id="row36-zeros"),
        pytest.param(raw_service.gzip_bomb(), "not an MP4", id="row27-gzip"),
        pytest.param(raw_service.slow_body(200, VIDEO[:100]), "too slowly", id="row41-drip"),
        pytest.param(raw_service.slow_body(200, b""), "too slowly", id="row41-drip-from-the-start"),
        pytest.param(raw_service.silence(), "no answer in time", id="row41-silence"),
        pytest.param(raw_service.slow_headers(), "no answer in time", id="row41-slow-headers"),
        pytest.param(raw_service.reset(), "broke", id="row34-reset"),
        pytest.param(raw_service.close(), "closed", id="row34-close"),
        pytest.param(raw_service.garbage(), "not HTTP", id="row34-garbage"),
        pytest.param(answer(500, {"error": "x"}), "HTTP 500", id="row34-500"),
        pytest.param(html(503), "HTTP 503", id="row34-503"),
        pytest.param(answer(429), "HTTP 429", id="row34-429"),
        pytest.param(answer(206, VIDEO[:100]), "HTTP 206", id="row34-206"),
    ],
)
async def test_what_is_not_the_whole_video_is_fetched_again(
    service: RawService, part: Path, reply: Reply, told: str
) -> None:
    service.on("GET", "/1.mp4", [reply, answer(200, VIDEO)])
    error = await failure_of(service, part, limits=HASTY if reply.stalls else FetchLimits())
    assert isinstance(error, DownloadError)
    assert (error.code, error.retryable, error.expired) == ("download_failed", True, False)
    assert told in words().sentence(error)
    assert await fetched(service, part) == len(VIDEO)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
async def test_row37_an_address_that_ran_out_asks_for_a_fresh_one(service: RawService, part: Path, status: int) -> None:
    service.on("GET", "/1.mp4", html(status))
    error = await failure_of(service, part)
    assert isinstance(error, DownloadError)
    assert (error.code, error.retryable, error.expired) == ("download_failed", False, True)


async def test_row34_a_service_that_is_away_is_tried_again(service: RawService, part: Path) -> None:
    service.refuse()
    error = await failure_of(service, part)
    assert isinstance(error, DownloadError)
    assert error.retryable
    assert "refused" in words().sentence(error)


# --- redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_row38_three_redirects_are_followed(service: RawService, part: Path, status: int) -> None:
    service.on("GET", "/1.mp4", redirect("/2.mp4", status))
    service.on("GET", "/2.mp4", redirect("3.mp4", status))
    service.on("GET", "/3.mp4", redirect(f"{service.origin}/4.mp4", status))
    service.on("GET", "/4.mp4", answer(200, VIDEO))
    assert await fetched(service, part) == len(VIDEO)


async def test_row38_a_fourth_redirect_is_too_many(service: RawService, part: Path) -> None:
    service.on("GET", "*", redirect("/1.mp4"))
    assert "too often" in words().sentence(await failure_of(service, part))
    assert len(service.requests) == 4


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:1/",
        "https://127.0.0.1/1.mp4",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/1.mp4",
        "file:///etc/passwd",
        "//10.0.0.1/1.mp4",
        "https://user@files.example/1.mp4",
        "https://files.example:8443/1.mp4",
        "http://files.example/1.mp4",
    ],
)
async def test_row39_a_redirect_is_held_to_the_same_rules(service: RawService, part: Path, location: str) -> None:
    service.on("GET", "/1.mp4", redirect(location))
    error = await failure_of(service, part)
    assert (error.code, getattr(error, "retryable", None)) == ("link_refused", False)
    assert len(service.requests) == 1


async def test_row38_a_redirect_to_nowhere_is_an_error(service: RawService, part: Path) -> None:
    service.on("GET", "/1.mp4", answer(302, headers={"Location": "https://[broken"}))
    assert (await failure_of(service, part)).code == "download_failed"


# --- limits


@pytest.mark.parametrize("announced", [True, False])
async def test_row40_a_file_over_the_cap_is_not_stored(service: RawService, part: Path, announced: bool) -> None:
    service.on("GET", "/1.mp4", raw_service.huge(size=4 * 1024 * 1024, announced=announced))
    reached: list[str] = []
    checkpoint.hook = reached.append
    error = await failure_of(service, part, limits=FetchLimits(save=SaveLimits(max_bytes=1024 * 1024)))
    assert isinstance(error, DownloadError)
    assert (error.retryable, error.expired) == (False, False)
    assert "too large" in words().sentence(error)
    assert reached == ([] if announced else ["part_opened"])


async def test_row41_a_body_that_keeps_its_rate_but_never_ends_hits_the_wall(part: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536
            await anyio.sleep(0.005)

    limits = SaveLimits(wall_s=0.3, slow_after_s=0.1)
    with pytest.raises(DownloadError) as caught:
        await save(endless(), part, check=media.check_mp4, limits=limits)
    assert caught.value.facts["reason"] == reason("too_slow")
    assert left_at(part) is None


async def test_row41_the_rate_counts_only_after_its_grace(part: Path) -> None:
    async def late() -> AsyncIterator[bytes]:
        yield VIDEO[:100]
        await anyio.sleep(0.15)
        yield VIDEO[100:]

    limits = SaveLimits(slow_after_s=5, min_bytes_per_s=10**9)
    await save(late(), part, check=media.check_mp4, limits=limits)
    assert left_at(part) == VIDEO


async def test_row41_a_body_that_came_quickly_may_pause(part: Path) -> None:
    async def pausing() -> AsyncIterator[bytes]:
        yield VIDEO[:-1]
        await anyio.sleep(0.3)
        yield VIDEO[-1:]

    limits = SaveLimits(slow_after_s=0.1, min_bytes_per_s=len(VIDEO) // 20)
    await save(pausing(), part, check=media.check_mp4, limits=limits)
    assert left_at(part) == VIDEO


# --- the disk


@pytest.mark.parametrize("free", [3 * 1024 * 1024, 8 * 1024 * 1024 + len(VIDEO) - 1])
async def test_row40_too_little_room_is_noticed_before_the_file_is_opened(
    service: RawService, part: Path, monkeypatch: pytest.MonkeyPatch, free: int
) -> None:
    service.on("GET", "/1.mp4", answer(200, VIDEO))
    usage = shutil.disk_usage(part.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=free))
    reached: list[str] = []
    checkpoint.hook = reached.append
    error = await failure_of(service, part)
    assert (type(error), error.code) == (StorageError, "no_room_for_video")
    assert f"{free // 1024**2} MiB" in words().sentence(error)
    assert reached == []


@pytest.mark.parametrize("point", ["part_opened", "part_written", "part_synced"])
@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.ENOSPC, "no_room_for_video"), (errno.EDQUOT, "no_room_for_video"), (errno.EIO, "video_not_written")],
)
async def test_row44_a_disk_that_fails_anywhere_leaves_no_part(
    service: RawService, part: Path, point: str, number: int, code: str
) -> None:
    def fail(name: str) -> None:
        if name == point:
            raise OSError(number, os.strerror(number))

    service.on("GET", "/1.mp4", answer(200, VIDEO))
    checkpoint.hook = fail
    error = await failure_of(service, part)
    assert (type(error), error.code) == (StorageError, code)
    assert "was charged" in words().sentence(error)


async def test_row44_a_write_that_fails_leaves_no_part(
    service: RawService, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:  # noqa: ARG002
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(download, "_new_file", lambda _: Full())
    service.on("GET", "/1.mp4", answer(200, VIDEO))
    assert (await failure_of(service, part)).code == "no_room_for_video"


async def test_the_event_loop_goes_on_while_the_disk_is_slow(
    service: RawService, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, may_go_on = threading.Event(), threading.Event()

    class Slow(io.FileIO):
        def write(self, data: Any) -> int:
            asked.set()
            assert may_go_on.wait(10)
            return super().write(data)

    monkeypatch.setattr(download, "_new_file", lambda path: Slow(path, "wb"))
    service.on("GET", "/1.mp4", answer(200, VIDEO))
    fetching = asyncio.ensure_future(fetched(service, part))
    while not asked.is_set():  # noqa: ASYNC110 - a thread sets it
        await asyncio.sleep(0.001)
    assert not fetching.done()
    may_go_on.set()
    assert await fetching == len(VIDEO)
    assert left_at(part) == VIDEO


async def test_small_pieces_are_written_together(part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each write is a thread call, which takes longer than the write itself."""
    written = list[int]()

    class Noted(io.FileIO):
        def write(self, data: Any) -> int:
            written.append(len(data))
            return super().write(data)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3 * 1024 + 5):
            yield b"x" * 1024

    monkeypatch.setattr(download, "_new_file", lambda path: Noted(path, "wb"))
    await save(pieces(), part, check=only_uncut, start=b"0123")
    assert left_at(part) == b"0123" + b"x" * (3 * 1024 + 5) * 1024
    assert len(written) == 4
    assert max(written) <= 1024 * 1024 + 1024


async def test_a_fetch_that_is_cancelled_waits_for_its_last_write(
    service: RawService, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, may_go_on, order = threading.Event(), threading.Event(), list[str]()

    class Slow(io.FileIO):
        def write(self, data: Any) -> int:
            asked.set()
            assert may_go_on.wait(10)
            order.append("written")
            return super().write(data)

        def close(self) -> None:
            order.append("closed")
            super().close()

    monkeypatch.setattr(download, "_new_file", lambda path: Slow(path, "wb"))
    service.on("GET", "/1.mp4", answer(200, VIDEO))
    fetching = asyncio.ensure_future(fetched(service, part))
    while not asked.is_set():  # noqa: ASYNC110 - a thread sets it
        await asyncio.sleep(0.001)
    fetching.cancel()
    await asyncio.sleep(0)
    may_go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert order[:2] == ["written", "closed"]
    assert left_at(part) is None


async def test_a_fetch_that_is_cancelled_while_its_file_is_refused_ends_without_a_word(
    service: RawService, part: Path
) -> None:
    checking, may_go_on, reported = threading.Event(), threading.Event(), list[dict[str, Any]]()

    def refuse(_: Path, **_how: object) -> None:
        checking.set()
        assert may_go_on.wait(10)
        raise MediaError("not_a_video")

    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: reported.append(context))
    service.on("GET", "/1.mp4", answer(200, VIDEO))
    fetching = asyncio.ensure_future(fetched(service, part, check=refuse))
    while not checking.is_set():  # noqa: ASYNC110 - a thread sets it
        await asyncio.sleep(0.001)
    fetching.cancel()
    may_go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    del fetching
    gc.collect()
    loop.set_exception_handler(before)
    assert reported == []
    assert left_at(part) is None


async def test_a_folder_that_is_gone_is_a_storage_error(service: RawService, part: Path) -> None:
    service.on("GET", "/1.mp4", answer(200, VIDEO))
    assert (await failure_of(service, part.parent / "gone" / "job.part")).code == "video_not_written"


async def test_the_file_is_on_the_disk_before_it_is_checked(
    service: RawService, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda _: order.append("fsync"))

    def note(name: str) -> None:
        order.append(name)
        assert left_at(part) == (b"" if name == "part_opened" else VIDEO)

    def check(path: Path, **_: object) -> None:
        order.append("check")
        assert path.read_bytes() == VIDEO
        assert threading.current_thread() is not threading.main_thread()

    service.on("GET", "/1.mp4", answer(200, VIDEO))
    checkpoint.hook = note
    await fetch(f"{service.origin}/1.mp4", part, own_origin=service.origin, check=check)
    assert order == ["part_opened", "part_written", "fsync", "part_synced", "check"]


async def test_a_video_within_a_text_is_on_the_disk_before_it_is_checked(
    part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[bytes | None] = []
    monkeypatch.setattr(os, "fsync", lambda _: order.append(left_at(part)))
    text = b'{"video": "data:video/mp4;base64,%b"}' % base64.b64encode(VIDEO)
    await save_bytes(text, part, check=lambda _, **_how: order.append(b"check"))
    assert order == [text, VIDEO, b"check"]


async def test_a_cancelled_fetch_leaves_no_part_and_no_connection(service: RawService, part: Path) -> None:
    service.on("GET", "/1.mp4", raw_service.slow_body(200, VIDEO[:100]))
    opened = anyio.Event()

    def note(name: str) -> None:
        opened.set()

    async with anyio.create_task_group() as group:
        checkpoint.hook = note
        group.start_soon(partial(fetched, service, part))
        await opened.wait()
        group.cancel_scope.cancel()
    assert left_at(part) is None
    await anyio.to_thread.run_sync(service.wait_until_closed)


async def test_a_large_download_never_holds_up_the_event_loop(service: RawService, part: Path) -> None:
    size = 64 * 1024 * 1024
    service.on("GET", "/1.mp4", raw_service.huge(size=size))
    lags: list[float] = []

    async def watch() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.005)
            lags.append(time.perf_counter() - before - 0.005)

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        await fetch(f"{service.origin}/1.mp4", part, own_origin=service.origin, check=only_uncut)
        group.cancel_scope.cancel()
    assert len(left_at(part) or b"") == size
    assert len(lags) > 5
    assert sorted(lags)[len(lags) * 95 // 100] < 0.1  # the rest is tolerated on a busy machine
