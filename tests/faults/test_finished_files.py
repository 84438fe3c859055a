"""Files of every shape that a service delivers: packed, of another kind, damaged."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import pytest

from hunyuan_ui.endpoint.contract import COST_HEADER, REQUEST_ID_HEADER
from hunyuan_ui.job import JobStatus
from tests.faults import oracle
from tests.faults.rig import OWNER, Rig, click, ended, prompt_of
from tests.faults.service import COST_USD, FILE, PaidService, video_of
from tests.raw_service import Reply, answer
from tests.videos import webm_bytes

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


@pytest.mark.parametrize("dialect", ["v1", "v2"])
@pytest.mark.parametrize("kind", ["webm", "matroska"])
async def test_a_whole_file_that_is_no_mp4_is_kept_as_it_is(
    rig: Rig, service: PaidService, dialect: Any, kind: str
) -> None:
    rig.dialect = dialect
    file = webm_bytes(kind)
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
        await runner.look_again(job.id, OWNER)
        assert (await ended(runner, job.id)).status is JobStatus.DONE
    oracle.check(rig.folder, service)
