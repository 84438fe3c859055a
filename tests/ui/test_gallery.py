"""My videos over HTTP: lists, files, exports, deletion, settings from a file, and neighbours."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import av
import httpx
import pytest

from hunyuan_ui.errors import AccessError
from hunyuan_ui.job import OWNER, JobProblem, JobStatus, Visitor, is_id, new_id
from hunyuan_ui.jobs import my_videos
from hunyuan_ui.jobs.my_videos import PAGE_SIZE
from hunyuan_ui.settings import Secret, Settings
from hunyuan_ui.ui import gallery
from hunyuan_ui.words import words
from tests.shelves import put_video
from tests.stored_jobs import file_of, in_status, opened_ledger
from tests.ui.one_shelf import ALICE, BASE, BOB, Shelf, opened
from tests.ui.one_shelf import settings as settings
from tests.ui.one_shelf import shelf as shelf
from tests.videos import mp4_bytes

pytestmark = pytest.mark.anyio

OWNERS_WORD = "the owner of the key"  # used in place of a browser's token
UI = Path(gallery.__file__).parent


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
    ledger = opened_ledger(settings.data_dir)
    sample = in_status(ledger, JobStatus.DONE, created_at=1.0)
    ledger.close()
    with closing(sqlite3.connect(settings.data_dir / "ledger.sqlite3")) as database, database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(jobs)")]
        names, places = ", ".join(columns), ", ".join(f":{name}" for name in columns)
        values = database.execute(f"SELECT {names} FROM jobs WHERE id = ?", (sample.id,)).fetchone()
        row = dict(zip(columns, values, strict=True))
        alice, bob = Visitor.from_token(ALICE).id, Visitor.from_token(BOB).id
        # Five at a time share a timestamp, so that the id has to break ties between pages.
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


# ownership


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
    # The only such place: it inserts the folder's template before the page has any data.
    only = 'given.element.innerHTML = window.hunyuanTemplates[name] ?? "";'
    assert only in sources["page.js"]
    sources["page.js"] = sources["page.js"].replace(only, "")
    for name, source in sources.items():
        if name.endswith(".js"):
            assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", source), name
        elif name.endswith(".html") and name != "link_preview.html":  # the server fills that one in, and escapes
            assert not re.search(r"\$\{|\{\{", source), name


async def test_a_filter_looks_behind_as_many_videos_as_it_leaves_out(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(my_videos, "_READ_AT_ONCE", 1)
    oldest = (await shelf.listed())[-1]
    await shelf.ask(f"videos/{oldest['id']}/favourite", method="POST", json={"is_favourite": True})
    assert [video["id"] for video in await shelf.listed(favourites=1)] == [oldest["id"]]
    await shelf.ask(f"videos/{oldest['id']}/favourite", method="POST", json={"is_favourite": False})
    assert await shelf.listed(favourites=1) == []


@pytest.mark.parametrize(("code", "status"), [("still_under_way", 409), ("not_yours", 404)])
async def test_what_is_still_being_made_is_not_told_as_gone(shelf: Shelf, code: str, status: int) -> None:
    video = (await shelf.listed())[0]
    with patch.object(shelf.runner, "delete", side_effect=AccessError(code)):  # begun again since it was listed
        told = await shelf.ask(f"videos/{video['id']}", method="DELETE")
    assert (told.status_code, told.json()["code"]) == (status, code)


async def deleted(shelf: Shelf, ids: object, token: str = ALICE) -> httpx.Response:
    return await shelf.ask("videos/delete", token, "POST", json={"ids": ids})


async def test_one_request_deletes_several_and_one_that_stays_stops_no_other(shelf: Shelf) -> None:
    mine, bobs = [video["id"] for video in await shelf.listed()], (await shelf.listed(BOB))[0]["id"]
    delete = shelf.runner.delete

    async def refuse_first(job_id: str, visitor: Visitor) -> None:
        if job_id == mine[0]:
            raise AccessError("still_under_way")
        await delete(job_id, visitor)

    nobodys = new_id()
    with patch.object(shelf.runner, "delete", refuse_first):
        told = await deleted(shelf, [mine[0], bobs, nobodys, mine[1], mine[1], mine[2]])
    assert told.status_code == 200
    # What is a neighbour's is told like what nobody has.
    assert told.json()["gone"] == [bobs, nobodys, mine[1], mine[2]]
    assert told.json()["problem"] == words().sentence(JobProblem.from_code("still_under_way"))
    assert [video["id"] for video in await shelf.listed()] == mine[:1]
    assert [video["id"] for video in await shelf.listed(BOB)] == [bobs]
    assert (await deleted(shelf, mine)).json() == {**told.json(), "gone": mine, "problem": None}
    assert await shelf.listed() == []


async def test_what_no_page_sends_deletes_nothing(shelf: Shelf) -> None:
    mine = [video["id"] for video in await shelf.listed()]
    many = [new_id() for _ in range(gallery.MOST_DELETED + 1 - len(mine))]
    for ids in (None, [], {mine[0]: 1}, mine[0], [*mine, 5], [*mine, [mine[0]]], [*mine, "../x"], [*mine, *many]):
        assert (await deleted(shelf, ids)).status_code == 400
    assert (await shelf.ask("videos/delete", method="POST", content=b"[]")).status_code == 400
    for token in ("", "x", mine[0]):
        answer = await deleted(shelf, mine, token)
        assert answer.status_code == 404 or answer.json()["gone"] == mine
    assert len(await shelf.listed()) == len(mine)
    assert (await deleted(shelf, [*mine, *many[1:]])).json()["problem"] is None
    assert await shelf.listed() == []


@pytest.mark.parametrize(
    ("storage", "videos_url", "is_wiped"),
    [("kept", None, False), ("lax", None, False), ("wiped", None, True), ("wiped", "s3://videos/here", False)],
)
async def test_the_page_knows_whether_a_restart_takes_its_videos(
    shelf: Shelf, storage: Any, videos_url: str | None, is_wiped: bool
) -> None:
    there = replace(shelf.runner.settings, storage=storage, videos_url=videos_url)
    with patch.object(shelf.runner, "settings", there):
        assert gallery.build_gallery(shelf.runner).grid.value["is_wiped"] is is_wiped
