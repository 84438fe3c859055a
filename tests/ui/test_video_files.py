"""Video files as the routes serve them: ranges, downloads, exports, deletion."""

from __future__ import annotations

import asyncio
import builtins
import errno
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import httpx
import pytest
from PIL import Image

from hunyuan_ui.job import JobStatus, Visitor
from hunyuan_ui.media import check_mp4
from hunyuan_ui.settings import Settings
from hunyuan_ui.ui.served_files import served_path
from hunyuan_ui.ui.video_files import FILE_HEADERS
from tests.shelves import put_video
from tests.stored_jobs import in_status, opened_ledger
from tests.tags import settings_of
from tests.ui.one_shelf import ALICE, BASE, BOB, Shelf, opened
from tests.ui.one_shelf import settings as settings
from tests.ui.one_shelf import shelf as shelf
from tests.videos import hold_animation, mp4_bytes

pytestmark = pytest.mark.anyio


async def test_a_job_that_is_not_done_has_no_files(settings: Settings) -> None:
    settings.data_dir.mkdir(parents=True)
    ledger = opened_ledger(settings.data_dir)
    waiting = in_status(ledger, JobStatus.UNKNOWN, visitor=Visitor.from_token(ALICE).id, created_at=1.0)
    ledger.close()
    async with opened(settings) as shelf:
        video = {"id": waiting.id, "code": shelf.runner.videos.signature(waiting)}
        assert (await shelf.file(video)).status_code == 404
        assert (await shelf.ask(f"videos/{waiting.id}", method="DELETE")).status_code == 404


async def test_a_video_is_served_in_ranges_and_asked_for_again_each_time(shelf: Shelf) -> None:
    video = (await shelf.listed())[0]
    whole = await shelf.file(video)
    assert (whole.status_code, whole.headers["content-type"]) == (200, "video/mp4")
    assert whole.headers["cache-control"] == "private, no-cache"
    assert whole.headers["x-content-type-options"] == "nosniff"
    assert whole.headers["cross-origin-resource-policy"] == "same-origin"
    part = await shelf.file(video, headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert (await shelf.file(video, headers={"range": "bytes=99999999-"})).status_code == 416
    again = await shelf.file(video, headers={"if-none-match": whole.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert {name: again.headers[name] for name in FILE_HEADERS} == FILE_HEADERS
    head = await shelf.http.head(f"{BASE}/videos/{video['id']}.mp4", params={"k": video["code"]})
    assert (head.status_code, head.headers["accept-ranges"]) == (200, "bytes")


@pytest.mark.parametrize(("end", "asked"), [(".mp4", {"plain": "1"}), ("/export.png", {}), ("/export.gif", {})])
async def test_an_unchanged_export_is_not_sent_again_however_often_it_was_used(
    shelf: Shelf, end: str, asked: dict[str, str]
) -> None:
    video = (await shelf.listed())[0]
    first = await shelf.file(video, end, **asked)
    await asyncio.sleep(0.02)
    again = await shelf.file(video, end, headers={"if-none-match": first.headers["etag"]}, **asked)
    assert (first.status_code, again.status_code) == (200, 304)
    held = {"range": "bytes=4-7", "if-range": first.headers["last-modified"]}
    part = await shelf.file(video, end, headers=held, **asked)
    assert (part.status_code, part.content) == (206, first.content[4:8])


async def test_a_downloads_name_says_size_and_seed_and_nothing_of_the_prompt(shelf: Shelf) -> None:
    video = (await shelf.listed())[0]
    for end, suffix in ((".mp4", "mp4"), ("/export.gif", "gif"), ("/export.png", "png")):
        saved = await shelf.file(video, end, download=1)
        wanted = f'attachment; filename="hunyuan-video-32x16-seed-7.{suffix}"'
        assert saved.headers["content-disposition"] == wanted
    assert (await shelf.file(video)).headers["content-disposition"].startswith("inline")


async def test_a_download_carries_its_settings_and_a_plain_copy_does_not(shelf: Shelf, tmp_path: Path) -> None:
    video = (await shelf.listed())[0]
    kept, plain = tmp_path / "kept.mp4", tmp_path / "plain.mp4"
    kept.write_bytes((await shelf.file(video, download=1)).content)
    plain.write_bytes((await shelf.file(video, download=1, plain=1)).content)
    assert settings_of(kept).prompt == video["settings"]["prompt"]
    assert b"fox" not in plain.read_bytes()
    check_mp4(plain)


async def test_a_poster_is_a_webp_and_a_missing_one_is_drawn_again(shelf: Shelf) -> None:
    video = (await shelf.listed())[0]
    path = shelf.runner.settings.data_dir / "videos" / f"{video['id']}.webp"
    for _ in range(2):
        answer = await shelf.file(video, ".webp")
        assert (answer.status_code, answer.content[8:12]) == (200, b"WEBP")
        path.unlink()


async def test_a_missing_sidecar_changes_nothing_and_a_missing_video_is_named(shelf: Shelf) -> None:
    video = (await shelf.listed())[0]
    folder = shelf.runner.settings.data_dir / "videos"
    (folder / f"{video['id']}.json").unlink()
    assert (await shelf.file(video)).status_code == 200
    (folder / f"{video['id']}.mp4").unlink()
    (folder / f"{video['id']}.webp").unlink()
    for end in (".mp4", ".webp", "/export.gif", "/export.png"):
        answer = await shelf.file(video, end)
        assert (answer.status_code, answer.json()["code"]) == (404, "video_missing")
    assert len(await shelf.listed()) == 3


@pytest.mark.parametrize(("end", "kind"), [("/export.gif", "GIF"), ("/export.webp", "WEBP"), ("/export.png", "PNG")])
async def test_an_export_is_a_picture_of_its_kind(shelf: Shelf, tmp_path: Path, end: str, kind: str) -> None:
    answer = await shelf.file((await shelf.listed())[0], end, side="320", fps="8", at="0.1")
    assert answer.status_code == 200
    (tmp_path / "picture").write_bytes(answer.content)
    with Image.open(tmp_path / "picture") as picture:
        assert picture.format == kind


@pytest.mark.parametrize("end", ["/export.mp4", "/export.svg", "/export.html", "/export.json", "/export.gif.exe"])
async def test_there_are_no_other_exports(shelf: Shelf, end: str) -> None:
    assert (await shelf.file((await shelf.listed())[0], end)).status_code == 404


async def test_a_second_export_at_the_same_time_is_asked_to_wait(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    began, may_end = hold_animation(monkeypatch)
    first, second, _ = await shelf.listed()
    under_way = asyncio.create_task(shelf.file(first, "/export.gif"))
    await began.wait()
    refused = await shelf.file(second, "/export.png")
    may_end.set()
    assert (refused.status_code, refused.json()["code"]) == (429, "export_busy")
    assert (await under_way).status_code == 200


async def test_a_full_disk_during_an_export_is_a_sentence_and_the_video_stays(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    video = (await shelf.listed())[0]
    answer = await shelf.file(video, "/export.gif")
    assert answer.status_code == 507
    assert "disk is full" in answer.json()["problem"]
    assert (await shelf.file(video)).status_code == 200


async def test_a_deleted_video_is_gone_with_all_its_files_and_exports(shelf: Shelf) -> None:
    video, *others = await shelf.listed()
    for end in ("/export.gif", "/export.png"):
        await shelf.file(video, end)
    await shelf.file(others[0], "/export.png")
    etag = (await shelf.file(video)).headers["etag"]
    answer = await shelf.ask(f"videos/{video['id']}", method="DELETE")
    assert (answer.status_code, answer.json()["deleted"]) == (200, video["id"])
    assert [one["id"] for one in await shelf.listed()] == [one["id"] for one in others]
    data_dir = shelf.runner.settings.data_dir
    assert not [path for path in data_dir.rglob("*") if video["id"] in path.name]
    assert len(list((data_dir / "exports").iterdir())) == 1
    for end in (".mp4", ".webp", "/export.gif"):
        assert (await shelf.file(video, end)).status_code == 404
    assert (await shelf.file(video, headers={"if-none-match": etag})).status_code == 404
    assert (await shelf.ask(f"videos/{video['id']}", method="DELETE")).status_code == 404


async def test_a_video_is_served_where_gradio_names_it_and_nobody_serves_a_deleted_one(shelf: Shelf) -> None:
    video, other, *_ = await shelf.listed()
    whose = Visitor.from_token(ALICE)
    jobs = [(await shelf.runner.videos.one(one["id"], whose)) for one in (video, other)]
    paths = [served_path(job, shelf.runner.videos.signature(job), ".mp4") for job in jobs]

    async def ask(path: str, **headers: str) -> httpx.Response:
        return await shelf.http.get(f"/gradio_api/file={path}", headers=headers)

    whole = await ask(paths[0])
    assert whole.content[4:8] == b"ftyp"
    assert "cross-origin-resource-policy" not in whole.headers  # in public other pages may show it
    part = await ask(f"/elsewhere{paths[0]}", Range="bytes=4-7")
    assert (part.status_code, part.content) == (206, b"ftyp")
    assert (await ask(paths[0].replace(jobs[0].id, jobs[1].id))).status_code == 404
    assert (await ask(str(shelf.runner.settings.data_dir / "videos" / f"{jobs[0].id}.mp4"))).status_code == 404
    assert (await shelf.ask(f"videos/{video['id']}", BOB, "DELETE")).status_code == 404
    assert (await shelf.ask(f"videos/{video['id']}", method="DELETE")).status_code == 200
    assert [(await ask(path)).status_code for path in paths] == [404, 200]


async def test_a_download_under_way_ends_whole_although_the_video_is_deleted(settings: Settings) -> None:
    padding = (3_000_008).to_bytes(4, "big") + b"uuid" + bytes(3_000_000)
    put_video(settings.data_dir, ALICE, data=mp4_bytes() + padding)
    async with opened(settings) as shelf:
        video = (await shelf.listed())[0]
        whole = (settings.data_dir / "videos" / f"{video['id']}.mp4").read_bytes()
        path = f"{BASE}/videos/{video['id']}.mp4"
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "headers": [],
            "query_string": f"k={video['code']}".encode(),
            "http_version": "1.1",
            "scheme": "http",
        }
        body = bytearray()
        deleted: list[int] = []

        async def send(message: dict[str, Any]) -> None:
            body.extend(message.get("body", b""))
            if body and not deleted:
                deleted.append((await shelf.ask(f"videos/{video['id']}", method="DELETE")).status_code)

        async def receive() -> dict[str, Any]:
            await asyncio.Event().wait()
            return {}

        await shelf.app(scope, receive, send)  # pyright: ignore[reportArgumentType]
        assert deleted == [200]
        assert bytes(body) == whole
        assert await shelf.listed() == []


async def test_an_export_counts_for_its_own_visitor_and_is_wanted_while_its_video_is_there(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = AsyncMock(side_effect=lambda video, *_, **__: video)
    monkeypatch.setattr(shelf.runner.videos.exports, "make", make)
    for token in (ALICE, BOB):
        video = (await shelf.listed(token))[0]
        assert (await shelf.file(video, "/export.gif")).status_code == 200
        whose = make.call_args.kwargs
        assert whose["visitor_id"] == Visitor.from_token(token).id
        assert whose["is_wanted"]()
        await shelf.ask(f"videos/{video['id']}", token, "DELETE")
        assert not whose["is_wanted"]()


@pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "denied"), OSError(errno.EIO, "Input/output error")])
@pytest.mark.parametrize("way", ["played", "downloaded", "in ranges", "asked for its head"])
async def test_a_file_that_cannot_be_read_is_named_in_place_of_an_answer_that_breaks_off(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, error: OSError, way: str
) -> None:
    video = (await shelf.listed())[0]
    opens = builtins.open

    def closed(path: Any, *how: Any, **more: Any) -> Any:
        if str(path).endswith(f"{video['id']}.mp4"):
            raise error
        return opens(path, *how, **more)

    # In Python 3.10 the last one does not go through the first two.
    for opener in ("builtins.open", "io.open", "pathlib.Path.open"):
        monkeypatch.setattr(opener, closed)
    if way == "asked for its head":
        refused = await shelf.http.head(f"{BASE}/videos/{video['id']}.mp4", params={"k": video["code"]})
        assert refused.status_code == 503
        return
    headers = {"range": "bytes=0-9"} if way == "in ranges" else {}
    refused = await shelf.file(video, headers=headers, **({"download": "1"} if way == "downloaded" else {}))
    assert refused.status_code == 503
    assert "not lost" in refused.text
