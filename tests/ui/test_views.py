"""My videos over HTTP: lists, files, exports, deletion, settings from a file, and neighbours."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
from PIL import Image
from starlette.applications import Starlette

from hunyuan_ui import media
from hunyuan_ui.files import DataFolder
from hunyuan_ui.job import OWNER, JobProblem, JobStatus, Visitor, is_id, new_id
from hunyuan_ui.jobs import JobRunner, build_runner
from hunyuan_ui.jobs.my_videos import PAGE_SIZE
from hunyuan_ui.media import check_mp4
from hunyuan_ui.settings import Secret, Settings
from hunyuan_ui.ui import views as routes
from hunyuan_ui.ui.served_files import served_copy
from hunyuan_ui.ui.views import build_video_routes
from hunyuan_ui.words import words
from tests.shelves import put_video
from tests.stored_jobs import file_of, in_status, open_book
from tests.tags import settings_of
from tests.videos import mp4_bytes

pytestmark = pytest.mark.anyio

ALICE, BOB = "a1" * 16, "b2" * 16
OWNERS_WORD = "the owner of the key"  # what stands where a browser's token stands else
BASE = "/gradio_api/hunyuan"
UI = Path(routes.__file__).parent


class Shelf:
    """A started runner with the routes of My videos in front of it."""

    def __init__(self, runner: JobRunner, http: httpx.AsyncClient, app: Starlette) -> None:
        self.runner = runner
        self.http = http
        self.app = app

    async def ask(self, path: str, token: str = ALICE, method: str = "GET", **options: Any) -> httpx.Response:
        return await self.http.request(method, f"{BASE}/{path}", headers={"x-hunyuan-visitor": token}, **options)

    async def listed(self, token: str = ALICE, **query: Any) -> list[dict[str, Any]]:
        answer = await self.ask("videos", token, params=query)
        assert answer.status_code == 200
        return answer.json()["videos"]

    async def file(self, video: dict[str, Any], end: str = ".mp4", **options: Any) -> httpx.Response:
        headers = options.pop("headers", {})
        params = {"k": video["code"], **options}
        return await self.http.get(f"{BASE}/videos/{video['id']}{end}", params=params, headers=headers)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Shelf]:
    runner = build_runner(settings, folder=DataFolder(settings.data_dir, min_free_bytes=0))
    runner.videos.exports._min_free_bytes = 0  # pyright: ignore[reportPrivateUsage]
    await runner.start()
    app = Starlette(routes=build_video_routes(runner))
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
            yield Shelf(runner, http, app)
    finally:
        await runner.stop()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a public run: in private mode everybody is the owner."""
    return Settings(data_dir=tmp_path / "data", server_name="0.0.0.0")


@pytest.fixture
async def shelf(settings: Settings) -> AsyncIterator[Shelf]:
    for age_s, prompt in ((300, "an old fox"), (200, "a heron at dawn"), (100, "a new fox in the snow")):
        put_video(settings.data_dir, ALICE, age_s=age_s, prompt=prompt)
    put_video(settings.data_dir, BOB, prompt="a secret of Bob's")
    async with opened(settings) as opened_shelf:
        yield opened_shelf


# lists


async def test_a_visitor_sees_their_own_finished_videos_newest_first(shelf: Shelf) -> None:
    mine, bobs = await shelf.listed(), await shelf.listed(BOB)
    assert [video["settings"]["prompt"] for video in mine] == ["a new fox in the snow", "a heron at dawn", "an old fox"]
    assert [video["settings"]["prompt"] for video in bobs] == ["a secret of Bob's"]
    assert await shelf.listed(new_id()) == []


async def test_a_listed_video_says_what_a_card_and_a_comparison_need(shelf: Shelf) -> None:
    video = (await shelf.listed())[0]
    assert set(video) == {
        *("id", "code", "created_at", "length", "duration_s", "width", "height", "facts", "settings", "is_favourite"),
    }
    assert (video["length"], video["width"], video["settings"]["seed"]) == ("0.2 s", 32, 7)


@pytest.mark.parametrize(
    ("search", "count"), [("fox", 2), ("FOX snow", 1), ("heron", 1), ("secret", 0), ("%", 0), ("' OR 1=1 --", 0)]
)
async def test_search_looks_in_the_visitors_own_prompts(shelf: Shelf, search: str, count: int) -> None:
    assert len(await shelf.listed(search=search)) == count


async def test_the_folder_alone_gives_the_same_gallery_back(settings: Settings) -> None:
    put_video(settings.data_dir, ALICE, age_s=300)
    put_video(settings.data_dir, ALICE, age_s=200)
    async with opened(settings) as shelf:
        before = await shelf.listed()
    for path in settings.data_dir.glob("ledger.sqlite3*"):
        path.unlink()
    async with opened(settings) as shelf:
        assert await shelf.listed() == before
        assert (await shelf.file(before[0])).status_code == 200
    assert len(before) == 2


@pytest.fixture
def ten_thousand(settings: Settings) -> Settings:
    """A ledger with 10,000 finished videos of Alice's among 2,000 of others; rows only, no files."""
    settings.data_dir.mkdir(parents=True)
    ledger = open_book(settings.data_dir)
    sample = in_status(ledger, JobStatus.DONE, created_at=1.0)
    ledger.close()
    with sqlite3.connect(settings.data_dir / "ledger.sqlite3") as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(jobs)")]
        names, places = ", ".join(columns), ", ".join(f":{name}" for name in columns)
        values = database.execute(f"SELECT {names} FROM jobs WHERE id = ?", (sample.id,)).fetchone()
        row = dict(zip(columns, values, strict=True))
        alice, bob = Visitor.from_token(ALICE).id, Visitor.from_token(BOB).id
        # Five at a time share a moment, so that the id has to break the tie between pages.
        rows = (
            {**row, "id": f"{n:032x}", "visitor": alice if n % 6 else bob, "created_at": n // 5 + 10.5}
            for n in range(12_000)
        )
        database.executemany(f"INSERT INTO jobs ({names}) VALUES ({places})", rows)
    database.close()
    return settings


async def test_a_page_of_ten_thousand_videos_is_bounded_and_pages_neither_repeat_nor_skip(
    ten_thousand: Settings,
) -> None:
    async with opened(ten_thousand) as shelf:
        seen: list[str] = []
        before = ""
        for _ in range(6):
            answer = (await shelf.ask("videos", params={"before": before, "limit": 100_000})).json()
            assert len(answer["videos"]) == PAGE_SIZE
            seen += [video["id"] for video in answer["videos"]]
            before = answer["before"]
    expected = [f"{n:032x}" for n in range(11_999, 0, -1) if n % 6][: 6 * PAGE_SIZE]
    assert sorted(seen, reverse=True) == expected
    assert len(set(seen)) == len(seen)


async def test_a_page_reads_an_index_and_never_sorts_or_scans_the_table(ten_thousand: Settings) -> None:
    async with opened(ten_thousand) as shelf:
        connection = file_of(shelf.runner._services.ledger).reader  # pyright: ignore[reportPrivateUsage]
        asked: list[str] = []
        connection.set_trace_callback(asked.append)
        cursor = f"900.5,{5000:032x}"
        for query in ({}, {"before": cursor}, {"search": "fox"}, {"search": "fox", "before": cursor}):
            await shelf.listed(**query)
        connection.set_trace_callback(None)
        lists = [statement for statement in asked if "LIMIT" in statement]
        assert len(lists) == 4
        for statement in lists:
            plan = " | ".join(row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}"))
            assert "USING INDEX jobs_by_visitor (visitor=?" in plan
            assert "SCAN" not in plan
            assert "TEMP B-TREE" not in plan
            assert ("(created_at,id)<(?,?)" in plan) == ("900.5" in statement)


@pytest.mark.parametrize("before", ["", "x", "1e400,", "nan", "5,../../etc", f"1,{'0' * 33}", f"1e400,{'0' * 32}"])
async def test_a_malformed_place_to_go_on_from_begins_at_the_start(shelf: Shelf, before: str) -> None:
    assert len(await shelf.listed(before=before)) == 3


@pytest.mark.parametrize("before", [f"nan,{'0' * 32}", f"0,{'f' * 32}", f"-1e400,{'0' * 32}"])
async def test_nothing_goes_on_from_a_place_behind_everything(shelf: Shelf, before: str) -> None:
    assert await shelf.listed(before=before) == []


# whose they are


def test_no_browsers_token_makes_a_visitor_of_the_account() -> None:
    assert Visitor.from_token(OWNERS_WORD).id == OWNER.id
    assert not is_id(OWNERS_WORD)


async def test_everybodys_videos_are_for_the_owner_of_a_private_run_only(settings: Settings, shelf: Shelf) -> None:
    assert len(await shelf.listed(everybody=1)) == 3


async def test_a_private_owner_finds_videos_of_a_browser_whose_storage_was_cleared(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    put_video(settings.data_dir, ALICE)
    put_video(settings.data_dir, BOB)
    async with opened(settings) as shelf:
        nobody = new_id()
        assert await shelf.listed(nobody) == []
        found = await shelf.listed(nobody, everybody=1)
        assert len(found) == 2
        assert (await shelf.file(found[0])).status_code == 200


async def test_who_proved_to_be_the_owner_has_what_came_back_from_the_account_beside_their_own(
    settings: Settings,
) -> None:
    public = replace(settings, api_key=Secret("SG_0123456789abcdef"), daily_limit_usd=5.0)
    owners = [
        put_video(public.data_dir, OWNERS_WORD, age_s=10.0 * n, prompt=f"came back {n}") for n in range(PAGE_SIZE)
    ]
    put_video(public.data_dir, ALICE, age_s=35.0, prompt="the owner's own")
    bobs = put_video(public.data_dir, BOB)
    async with opened(public) as shelf:
        assert len(await shelf.listed()) == 1
        await shelf.runner.owner.prove(Visitor.from_token(ALICE), "SG_0123456789abcdef")
        first = (await shelf.ask("videos", params={"everybody": "1"})).json()
        rest = (await shelf.ask("videos", params={"before": first["before"]})).json()
        prompts = [video["settings"]["prompt"] for video in first["videos"] + rest["videos"]]
        assert prompts == [f"came back {n}" for n in range(4)] + ["the owner's own"] + [
            f"came back {n}" for n in range(4, PAGE_SIZE)
        ]
        assert rest["before"] is None
        assert (await shelf.file(first["videos"][0])).status_code == 200
        assert (await shelf.ask(f"videos/{owners[0].id}", BOB)).status_code == 404
        for method in ("GET", "DELETE"):
            assert (await shelf.ask(f"videos/{bobs.id}", method=method)).status_code == 404
            assert (await shelf.ask(f"videos/{owners[0].id}", method=method)).status_code == 200
        assert len(await shelf.listed(BOB)) == 1


@pytest.mark.parametrize("token", ["", "x", "A1" * 16, "0" * 31, "0" * 33, "' OR 1=1"])
async def test_without_a_well_formed_token_there_is_nothing(shelf: Shelf, token: str) -> None:
    mine = (await shelf.listed())[0]["id"]
    for path, method in (
        ("videos", "GET"),
        (f"videos/{mine}", "GET"),
        (f"videos/{mine}", "DELETE"),
        ("settings", "POST"),
    ):
        assert (await shelf.ask(path, token, method)).status_code == 404


async def test_a_neighbour_can_neither_see_nor_fetch_nor_delete_and_cannot_tell_it_is_there(shelf: Shelf) -> None:
    alices, bobs = (await shelf.listed())[0], (await shelf.listed(BOB))[0]
    for method in ("GET", "DELETE"):
        there = await shelf.ask(f"videos/{alices['id']}", BOB, method)
        nowhere = await shelf.ask(f"videos/{new_id()}", BOB, method)
        assert (there.status_code, there.json()) == (404, nowhere.json())
    codes = ("", bobs["code"], "0" * 32, alices["code"][:-1], alices["code"] + "0", BOB, "é")
    for end in (".mp4", ".webp", "/export.gif", "/export.webp", "/export.png"):
        for code in codes:
            answer = await shelf.file({**alices, "code": code}, end)
            nowhere = await shelf.file({"id": new_id(), "code": code}, end)
            assert (answer.status_code, answer.content) == (404, nowhere.content)
        assert (await shelf.http.get(f"{BASE}/videos/{alices['id']}{end}")).status_code == 404
    assert not shelf.runner.videos.exports.folder.exists()
    assert (await shelf.file(alices)).status_code == 200


async def test_a_job_that_is_not_done_has_no_files(settings: Settings) -> None:
    settings.data_dir.mkdir(parents=True)
    ledger = open_book(settings.data_dir)
    waiting = in_status(ledger, JobStatus.UNKNOWN, visitor=Visitor.from_token(ALICE).id, created_at=1.0)
    ledger.close()
    async with opened(settings) as shelf:
        video = {"id": waiting.id, "code": shelf.runner.videos.signature(waiting)}
        assert (await shelf.file(video)).status_code == 404
        assert (await shelf.ask(f"videos/{waiting.id}", method="DELETE")).status_code == 404


# files


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
    head = await shelf.http.head(f"{BASE}/videos/{video['id']}.mp4", params={"k": video["code"]})
    assert (head.status_code, head.headers["accept-ranges"]) == (200, "bytes")


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


# exports


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
    began, may_end, loop = asyncio.Event(), threading.Event(), asyncio.get_running_loop()
    real = media.write_animation

    def slow(video: Path, target: Path, **options: Any) -> None:
        loop.call_soon_threadsafe(began.set)
        assert may_end.wait(20)
        real(video, target, **options)

    monkeypatch.setattr(media, "write_animation", slow)
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


# deleting


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


async def test_a_deleted_video_is_served_by_nobody_not_even_gradio(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(cache))
    video, other, *_ = await shelf.listed()
    whose = Visitor.from_token(ALICE)
    jobs = [(await shelf.runner.videos.one(one["id"], whose)) for one in (video, other)]
    served = [Path(served_copy(job, await shelf.runner.videos.video(job), lambda: True)) for job in jobs]
    assert sorted(cache.rglob("*.mp4")) == sorted(served)
    assert (await shelf.ask(f"videos/{video['id']}", BOB, "DELETE")).status_code == 404
    assert served[0].exists()
    assert (await shelf.ask(f"videos/{video['id']}", method="DELETE")).status_code == 200
    assert list(cache.rglob("*.mp4")) == served[1:]


async def test_a_download_under_way_ends_whole_although_the_video_is_deleted(settings: Settings) -> None:
    padding = (3_000_008).to_bytes(4, "big") + b"uuid" + bytes(3_000_000)
    put_video(settings.data_dir, ALICE, data=mp4_bytes() + padding)
    async with opened(settings) as shelf:
        video = (await shelf.listed())[0]
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
        assert len(body) > 3_000_000
        assert await shelf.listed() == []
        assert b"heron" in body[-500:]


# settings from a file


async def posted(shelf: Shelf, body: bytes | str | dict[str, Any], token: str = ALICE) -> httpx.Response:
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    return await shelf.ask("settings", token, "POST", content=data)


async def test_the_text_of_a_downloaded_file_brings_its_settings_back(shelf: Shelf, tmp_path: Path) -> None:
    video = (await shelf.listed())[0]
    (tmp_path / "clip.mp4").write_bytes((await shelf.file(video)).content)
    with av.open(tmp_path / "clip.mp4") as container:
        text = container.metadata["comment"]
    answer = await posted(shelf, {"text": text})
    assert (answer.status_code, answer.json()["settings"]) == (200, video["settings"])
    assert not shelf.runner.videos.exports.folder.exists()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "no_settings_in_video"),
        (b"\xff\xfe", "no_settings_in_video"),
        (b"[" * 60_000, "no_settings_in_video"),
        (b"[]", "no_settings_in_video"),
        (mp4_bytes()[:60_000], "no_settings_in_video"),
        ({"text": 5}, "no_settings_in_video"),
        ({"text": "Lavf61"}, "no_settings_in_video"),
        ({"file": "/etc/passwd"}, "no_settings_in_video"),
        ({"text": '{"hunyuan_ui": 1'}, "bad_settings_in_video"),
        ({"text": '{"hunyuan_ui": 1, "settings": {"prompt": "x", "width": 9e99}}'}, "bad_settings_in_video"),
        ({"text": '{"hunyuan_ui": 1, "settings": {"prompt": "x", "key": "y"}}'}, "bad_settings_in_video"),
    ],
)
async def test_any_other_text_gets_a_sentence(shelf: Shelf, body: bytes | dict[str, Any], code: str) -> None:
    answer = await posted(shelf, body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert len(answer.json()["problem"]) > 20
    assert (await posted(shelf, body, "nobody")).status_code == 404


async def test_sentences_are_in_the_visitors_language_where_there_is_one(shelf: Shelf) -> None:
    answer = await shelf.http.get(f"{BASE}/videos/{new_id()}.mp4", headers={"accept-language": "xx,en"})
    assert answer.json()["problem"] == words().sentence(JobProblem.from_code("not_yours"))


def test_no_script_builds_html_from_text_and_no_template_runs_any() -> None:
    sources = {path.name: path.read_text("utf-8") for path in (UI / "web").glob("*.[!p]*")}
    assert len(sources) > 30
    for name, source in sources.items():
        if name.endswith(".js"):
            assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", source), name
        elif name.endswith(".html") and name != "link_preview.html":  # the server fills that one in, and escapes
            assert not re.search(r"\$\{|\{\{", source), name
