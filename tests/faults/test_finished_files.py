"""Delivered files of every form: compressed, of another format, damaged."""

from __future__ import annotations

import bz2
import gzip
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from hunyuan_ui.endpoint.contract import COST_HEADER, REQUEST_ID_HEADER
from hunyuan_ui.job import JobStatus
from hunyuan_ui.jobs import dispatcher, job_run
from hunyuan_ui.words import words
from tests.faults import oracle
from tests.faults.rig import OWNER, Rig, click, ended, prompt_of, until
from tests.faults.service import COST_USD, FILE, PaidService, pictures, video_of
from tests.raw_service import Reply, answer
from tests.seen import seen
from tests.videos import encoded_bytes

pytestmark = [pytest.mark.faults, pytest.mark.anyio]


PACKED: dict[str, Any] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "Deflate ": lambda data: zlib.compressobj(wbits=-15).compress(data) + b"",
    "gzip, deflate": lambda data: zlib.compress(gzip.compress(data)),
    "br": lambda data: __import__("brotli").compress(data),
}


@pytest.mark.parametrize("encoding", PACKED)
async def test_a_compressed_file_is_taken(rig: Rig, service: PaidService, encoding: str) -> None:
    def act(wire: Any, received: Any) -> None:
        video = video_of(service._prompts[received.path.rpartition("/")[2].removesuffix(".mp4")])
        packed = _bare(video) if encoding == "Deflate " else PACKED[encoding](video)
        answer(200, packed, content_type="video/mp4", headers={"Content-Encoding": encoding}).act(wire, received)

    service.on("GET", FILE, Reply(act))
    async with rig.running() as runner:
        assert (await ended(runner, await click(runner))).status is JobStatus.DONE
    oracle.check(rig.folder, service)


def _bare(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(data) + deflate.flush()


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate"])
async def test_a_file_that_is_only_called_compressed_is_taken(rig: Rig, service: PaidService, encoding: str) -> None:
    def act(wire: Any, received: Any) -> None:
        video = video_of(service._prompts[received.path.rpartition("/")[2].removesuffix(".mp4")])
        answer(200, video, content_type="video/mp4", headers={"Content-Encoding": encoding}).act(wire, received)

    service.on("GET", FILE, Reply(act))
    async with rig.running() as runner:
        assert (await ended(runner, await click(runner))).status is JobStatus.DONE


async def test_a_compressed_file_that_is_cut_short_is_fetched_again(rig: Rig, service: PaidService) -> None:
    half = gzip.compress(video_of("x"))[:-20]
    service.on("GET", FILE, [answer(200, half, headers={"Content-Encoding": "gzip"})])
    async with rig.running() as runner:
        assert (await ended(runner, await click(runner))).status is JobStatus.DONE
    oracle.check(rig.folder, service)


async def test_a_file_that_cannot_be_fetched_now_leaves_its_slot_to_the_next_job_at_once(
    rig: Rig, service: PaidService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "LOOK_EVERY_S", 3600.0)  # nothing but the free slot itself wakes the queue
    monkeypatch.setattr(job_run, "backoff_s", lambda *_, **__: 3600.0)
    service.on("GET", FILE, [answer(503, "not yet")])
    rig.settings["concurrency"] = 1
    async with rig.running() as runner:
        held, free = await click(runner), await click(runner)
        assert (await ended(runner, free)).status is JobStatus.DONE
        assert seen(runner, held, OWNER).job.status is JobStatus.DOWNLOADING
        await runner.retry_lost(held, OWNER)
        assert (await ended(runner, held)).status is JobStatus.DONE
    oracle.check(rig.folder, service)


@pytest.mark.parametrize("dialect", ["v1", "v2"])
@pytest.mark.parametrize("kind", ["webm", "matroska"])
async def test_a_whole_file_that_is_no_mp4_is_kept_as_it_is(
    rig: Rig, service: PaidService, dialect: Any, kind: str
) -> None:
    rig.dialect = dialect
    file = encoded_bytes(kind)
    service.on("GET", FILE, answer(200, file, content_type="video/webm"))
    headers = {COST_HEADER: str(COST_USD), REQUEST_ID_HEADER: "v1-request"}
    service.on("POST", "/v1/*", answer(200, file, content_type="video/webm", headers=headers))
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
        suffix = {"webm": ".webm", "matroska": ".mkv"}[kind]
        assert (job.status, job.notes["suffix"]) == (JobStatus.DONE, suffix)
        path = await runner.video_path(job.id, OWNER)
        assert (path.suffix, path.read_bytes()) == (suffix, file)
        assert (await runner.videos.poster(job)).is_file()
        assert job.made.width == 32
    async with rig.running() as runner:
        assert (await runner.video_path(job.id, OWNER)).read_bytes() == file
        await runner.delete(job.id, OWNER)
        assert [found.name for found in (rig.folder / "videos").iterdir()] == []


async def test_what_was_really_made_is_read_from_the_file(rig: Rig, service: PaidService) -> None:
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
        assert tuple(job.made)[:3] == (32, 16, 5)
        assert job.differs


def _blank(mp4: bytes) -> bytes:
    at = mp4.index(b"mdat") + 4
    size = int.from_bytes(mp4[at - 8 : at - 4], "big") - 8
    return mp4[:at] + bytes(size) + mp4[at + size :]


async def test_a_whole_file_that_does_not_decode_is_kept_named_and_fetched_again(
    rig: Rig, service: PaidService
) -> None:
    blank = _blank(video_of("anything"))
    service.on("GET", FILE, [answer(200, blank)])
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
        assert job.status is JobStatus.DONE
        assert not list((rig.folder / "videos").glob("*.unreadable"))
        service.on("GET", FILE, answer(200, blank))
        job = await ended(runner, await click(runner))
        assert job.problem is not None
        assert (job.status, job.problem.code) == (JobStatus.LOST, "video_unreadable")
        assert (rig.folder / "videos" / f"{job.id}.unreadable").read_bytes() == blank
        service.on("GET", FILE, answer(200, video_of(prompt_of(job.id))))
        await runner.retry_lost(job.id, OWNER)
        assert (await ended(runner, job.id)).status is JobStatus.DONE
    oracle.check(rig.folder, service)


def _film(mp4: bytes) -> bytes:
    """Return an MP4 like older QuickTime files: without its first box, and with all offsets adjusted."""
    size = int.from_bytes(mp4[:4], "big")
    return struct.pack(">I4s", size, b"wide") + bytes(size - 8) + mp4[size:]


PADDED: dict[str, Callable[[bytes], bytes]] = {
    "a line's end": lambda mp4: mp4 + b"\n",
    "seven bytes": lambda mp4: mp4 + bytes(7),
    "padding that was cut": lambda mp4: mp4 + struct.pack(">I4s", 1000, b"free") + b"x" * 10,
    "an older film": _film,
}


@pytest.mark.parametrize("dialect", ["v1", "v2"])
@pytest.mark.parametrize("change", PADDED.values(), ids=PADDED.keys())
async def test_a_video_that_players_open_is_taken_as_it_came(
    rig: Rig, service: PaidService, dialect: Any, change: Callable[[bytes], bytes]
) -> None:
    rig.dialect = dialect
    file = change(video_of("anything"))
    service.on("GET", FILE, answer(200, file))
    service.on("POST", "/v1/*", answer(200, file, headers={COST_HEADER: str(COST_USD)}))
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
        assert job.status is JobStatus.DONE, job.problem
        assert pictures((await runner.video_path(job.id, OWNER)).read_bytes()) == pictures(file)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (201, {}),
        (202, {}),
        (203, {}),
        (299, {}),
        (206, {"Content-Range": "bytes 0-{last}/{size}"}),
        (206, {"Content-Range": "BYTES 0-{last}/{size} "}),
    ],
)
async def test_a_whole_file_under_another_status_is_taken(
    rig: Rig, service: PaidService, status: int, headers: dict[str, str]
) -> None:
    file = video_of("anything")
    told = {name: value.format(last=len(file) - 1, size=len(file)) for name, value in headers.items()}
    service.on("GET", FILE, answer(status, file, headers=told))
    async with rig.running() as runner:
        assert (await ended(runner, await click(runner))).status is JobStatus.DONE


@pytest.mark.parametrize(
    "told", ["", "bytes 0-99/*", "bytes 0-{last}/9999999", "bytes 1-{last}/{size}", "bytes */{size}"]
)
async def test_a_part_of_a_file_is_not_taken_for_it(rig: Rig, service: PaidService, told: str) -> None:
    file = video_of("anything")
    header = told.format(last=len(file) - 1, size=len(file))
    service.on("GET", FILE, [answer(206, file, headers={"Content-Range": header} if header else {})])
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
        assert job.status is JobStatus.DONE
    assert service.count("GET", ".mp4") == 2


UNKNOWN_KINDS = {
    "WebP": b"RIFF\x00\x10\x00\x00WEBPVP8X" + b"x" * 4000,
    "JPEG": b"\xff\xd8\xff\xe0" + b"x" * 4000,
    "a ZIP": b"PK\x03\x04\x14\x00\x00\x00\x08\x00" + b"x" * 4000,
    "compressed": bz2.compress(b"x" * 4000),
    "raw H.264": b"\x00\x00\x00\x01\x67\x42" + b"x" * 4000,
    "cut short": video_of("anything")[:-200],
}


@pytest.mark.parametrize("file", UNKNOWN_KINDS.values(), ids=UNKNOWN_KINDS.keys())
async def test_what_came_for_money_is_kept_whatever_it_is(rig: Rig, service: PaidService, file: bytes) -> None:
    service.on("GET", FILE, answer(200, file))
    async with rig.running() as runner:
        job_id = await click(runner)
        await until(lambda: seen(runner, job_id, OWNER).note)
        note = seen(runner, job_id, OWNER).note
        assert note is not None
        assert f"{job_id}.unreadable" in words().sentence(note)
        assert (rig.folder / "videos" / f"{job_id}.unreadable").read_bytes() == file
        service.on("GET", FILE, answer(200, video_of(prompt_of(job_id))))
        assert (await ended(runner, job_id)).status is JobStatus.DONE
        assert not list((rig.folder / "videos").glob("*.unreadable"))


@pytest.mark.parametrize("file", UNKNOWN_KINDS.values(), ids=UNKNOWN_KINDS.keys())
async def test_bytes_that_come_only_once_are_kept_whatever_they_are(
    rig: Rig, service: PaidService, file: bytes
) -> None:
    rig.dialect = "v1"
    service.on("POST", "/v1/*", answer(200, file, content_type="video/mp4", headers={COST_HEADER: str(COST_USD)}))
    async with rig.running() as runner:
        job = await ended(runner, await click(runner))
        assert job.problem is not None
        assert (job.status, job.problem.code, job.cost_microusd) == (JobStatus.LOST, "video_unreadable", 1_460_000)
        assert (rig.folder / "videos" / f"{job.id}.unreadable").read_bytes() == file


@pytest.mark.parametrize("page", [b"", b"<html>busy</html>", b'{"error": "busy"}', '{"e": "b"}'.encode("utf-16")])
async def test_an_error_page_is_not_kept(rig: Rig, service: PaidService, page: bytes) -> None:
    service.on("GET", FILE, [answer(200, page)])
    async with rig.running() as runner:
        job_id = await click(runner)
        await until(lambda: seen(runner, job_id, OWNER).note or not seen(runner, job_id, OWNER).job.is_active)
        assert not list((rig.folder / "videos").glob("*.unreadable"))
        assert (await ended(runner, job_id)).status is JobStatus.DONE
    assert service.count("GET", ".mp4") == 2
