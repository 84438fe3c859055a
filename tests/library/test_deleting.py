"""Deleted data is removed everywhere: ledger with log and copies, library, exports and served copies."""

from __future__ import annotations

import asyncio
import errno
import io
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from hunyuan_ui import media
from hunyuan_ui.data_folder import DataFolder
from hunyuan_ui.job import JobProblem, JobStatus, Visitor, new_id
from hunyuan_ui.jobs import JobRunner, build_runner, job_run
from hunyuan_ui.ledger.backups import BACKUPS_KEPT
from hunyuan_ui.library import exports
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.settings import Settings
from hunyuan_ui.ui.api import ApiCalls
from hunyuan_ui.ui.gallery import build_video_routes
from tests.fake_service import FakeService
from tests.shelves import put_video
from tests.stored_jobs import added, back_up, file_of, finished, in_status, opened_ledger

pytestmark = pytest.mark.anyio

ALICE = "a1" * 16
BASE = "/gradio_api/hunyuan"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of served copies."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(job_run, "backoff_s", lambda *_, **__: 0.001)
    return tmp_path / "cache"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", server_name="0.0.0.0", poll_interval_s=0.002)


@asynccontextmanager
async def opened(settings: Settings, service: FakeService | None = None) -> AsyncIterator[tuple[JobRunner, Any]]:
    """Yield a started runner and a client of the routes of My videos."""
    service = service or FakeService()
    folder = DataFolder(settings.data_dir, min_free_bytes=0)
    runner = build_runner(settings, client=service.client(), download=service.download, folder=folder)
    runner.videos.exports._min_free_bytes = 0
    await runner.start()
    transport = httpx.ASGITransport(Starlette(routes=build_video_routes(runner)))
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            yield runner, http
    finally:
        await runner.stop()


async def until(condition: Callable[[], bool]) -> None:
    async def hold() -> None:
        while not condition():  # noqa: ASYNC110 - a file or a thread has no event to wait for
            await asyncio.sleep(0.005)

    await asyncio.wait_for(hold(), 20)


async def delete(http: Any, job_id: str) -> None:
    answered = await http.delete(f"{BASE}/videos/{job_id}", headers={"x-hunyuan-visitor": ALICE})
    assert answered.status_code == 200, answered.text


def holding(folder: Path, words: str) -> list[str]:
    """Return the names of all files below a folder that contain these words."""
    names: list[str] = []
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError, IsADirectoryError):  # a copy with deleted words may be removed meanwhile
            names += [path.name] if words.encode() in path.read_bytes() else []
    return names


def of(job_id: str, *folders: Path) -> list[str]:
    return [path.name for folder in folders for path in folder.rglob("*") if job_id in path.name]


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


# prompts


async def test_words_that_were_deleted_stand_nowhere_on_the_disk(settings: Settings) -> None:
    """With rows of every length, some of which were moved within the file."""
    said = {
        new_id(): (f"heron {n:03d} " + "reeds " * (n * 11 % 90), f"fog {n:03d} " + "mist " * (n * 7 % 60))
        for n in range(24)
    }
    async with opened(settings) as (runner, http):
        for job_id, (prompt, negative) in said.items():
            wish = VideoRequest.parse({"prompt": prompt, "negative_prompt": negative})
            await runner.submit(job_id, wish, Visitor.from_token(f"{job_id}"[::-1]), payer="nobody")
            mine = file_of(runner._services.ledger).connection
            mine.execute("UPDATE jobs SET visitor = ? WHERE id = ?", (Visitor.from_token(ALICE).id, job_id))
            await until(lambda job_id=job_id: job_id not in runner._dispatcher.live)
        gone = list(said)[::2]
        for job_id in gone:
            await delete(http, job_id)
        data = settings.data_dir
        for number, job_id in enumerate(said):
            words = [f"{kind} {number:03d}" for kind in ("heron", "fog")]
            if job_id in gone:
                await until(lambda words=words: not any(holding(data, word) for word in words))
            else:
                assert all(holding(data, word) for word in words)
        assert list(data.glob("ledger.backup-*"))


@pytest.mark.parametrize("negative", ["", "a secret fog"])
@pytest.mark.parametrize("status", [JobStatus.DONE, JobStatus.FAILED, JobStatus.LOST, JobStatus.CANCELLED])
def test_a_deleted_row_keeps_its_money_and_nothing_that_tells_of_the_video(
    tmp_path: Path, status: JobStatus, negative: str
) -> None:
    wish = VideoRequest.parse({"prompt": "a secret heron", "negative_prompt": negative})
    problem = JobProblem.from_code("value_refused", detail="a secret heron is not allowed")
    facts = {"problem": problem, "result_url": "https://files.test/secret.mp4", "cost_microusd": 7}
    with closing(opened_ledger(tmp_path)) as ledger:
        stored = in_status(ledger, status, request=wish, **facts)
        counted = ledger.totals("").total_microusd
        assert holding(tmp_path, "secret")
        ledger.hide(stored.id)
        assert holding(tmp_path, "secret") == []
        assert ledger.get(stored.id) is None
        assert ledger.totals("").total_microusd == counted


def test_who_reads_meanwhile_puts_it_off_to_the_next_commit(tmp_path: Path) -> None:
    with closing(opened_ledger(tmp_path)) as ledger:
        stored = finished(ledger, prompt="a secret heron")
        with closing(sqlite3.connect(tmp_path / "ledger.sqlite3", isolation_level=None)) as reader:
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM jobs").fetchone() == (1,)
            ledger.hide(stored.id)
            assert holding(tmp_path, "secret")  # the reader still sees the old row
            reader.execute("ROLLBACK")
        assert file_of(ledger).connection.execute("PRAGMA busy_timeout").fetchone()[0] == 5000
        added(ledger, "another one")
        assert holding(tmp_path, "secret") == []


def test_a_stop_right_after_the_commit_leaves_the_words_to_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed, kept = tmp_path / "killed", tmp_path / "kept"
    with monkeypatch.context() as stopped, closing(opened_ledger(killed)) as ledger:
        stopped.setattr("hunyuan_ui.ledger.sqlite.truncate_log", lambda _: False)
        ledger.hide(finished(ledger, prompt="a secret heron").id)
        kept.mkdir()
        for path in killed.iterdir():
            (kept / path.name).write_bytes(path.read_bytes())
    assert holding(kept, "secret") == ["ledger.sqlite3-wal"]
    with closing(opened_ledger(kept)):
        assert holding(kept, "secret") == []


def test_copies_of_the_ledger_that_hold_deleted_words_go_at_the_next_turn_and_no_others(tmp_path: Path) -> None:
    with closing(opened_ledger(tmp_path)) as ledger:
        first, second = (in_status(ledger, JobStatus.DONE, prompt=words) for words in ("a secret heron", "an open fox"))
        for _ in range(3):
            back_up(tmp_path)
        ledger.hide(first.id)
        clean = [back_up(tmp_path) for _ in range(2)]
        assert sorted(tmp_path.glob("ledger.backup-*")) == sorted(clean)
        assert holding(tmp_path, "secret") == []
        added(ledger, "a third one")
        for _ in range(BACKUPS_KEPT + 2):
            latest = back_up(tmp_path)
        assert len(list(tmp_path.glob("ledger.backup-*"))) == BACKUPS_KEPT
        ledger.hide(second.id)
        (tmp_path / "ledger.backup-00000000000000000001.sqlite3").write_bytes(b"an open fox, but no ledger")
        back_up(tmp_path)
        assert not latest.exists()
        assert holding(tmp_path, "open fox") == []
        others = {path.name for path in tmp_path.iterdir() if not path.name.startswith("ledger.backup-")}
        assert others <= {f"ledger.sqlite3{end}" for end in ("", "-wal", "-shm")}
        assert len(list(tmp_path.glob("ledger.backup-*"))) == 1


# files


class Gate:
    """Blocks a function at a point until the test releases it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, *, after: bool) -> None:
        self.reached, self._open = threading.Event(), threading.Event()
        real = getattr(owner, name)

        def held(*values: Any, **named: Any) -> Any:
            answer = real(*values, **named) if after else None
            self.reached.set()
            assert self._open.wait(20)
            return answer if after else real(*values, **named)

        monkeypatch.setattr(owner, name, held)

    async def is_reached(self) -> None:
        await until(self.reached.is_set)

    def open(self) -> None:
        self._open.set()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("end", ["export.gif", "export.webp", "export.png", "plain"])
async def test_an_export_under_way_leaves_nothing_of_a_deleted_video(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, end: str, after: bool
) -> None:
    stored = put_video(settings.data_dir, ALICE)
    async with opened(settings) as (runner, http):
        gate = Gate(monkeypatch, exports, "_write", after=after)
        path = f"{stored.id}.mp4" if end == "plain" else f"{stored.id}/{end}"
        params = {"k": runner.videos.signature(stored), "plain": "1"}
        asked = asyncio.ensure_future(http.get(f"{BASE}/videos/{path}", params=params))
        await gate.is_reached()
        await delete(http, stored.id)
        gate.open()
        assert (await asked).status_code in (404, 422)
        assert of(stored.id, settings.data_dir) == []


async def test_who_goes_away_leaves_no_export_of_a_deleted_video_behind(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = put_video(settings.data_dir, ALICE)
    async with opened(settings) as (runner, http):
        gate = Gate(monkeypatch, exports, "_write", after=True)
        asked = asyncio.ensure_future(runner.videos.export(stored, exports.Export("gif")))
        await gate.is_reached()
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        await delete(http, stored.id)
        gate.open()
        await until(lambda: of(stored.id, settings.data_dir) == [])


@pytest.mark.parametrize("after", [False, True])
async def test_a_poster_that_is_drawn_again_leaves_nothing_of_a_deleted_video(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    stored = put_video(settings.data_dir, ALICE)
    (settings.data_dir / "videos" / f"{stored.id}.webp").unlink(missing_ok=True)
    async with opened(settings) as (runner, http):
        gate = Gate(monkeypatch, media, "write_poster", after=after)
        params = {"k": runner.videos.signature(stored)}
        asked = asyncio.ensure_future(http.get(f"{BASE}/videos/{stored.id}.webp", params=params))
        await gate.is_reached()
        await delete(http, stored.id)
        gate.open()
        assert (await asked).status_code == 404
        assert of(stored.id, settings.data_dir) == []


async def test_whatever_runs_beside_a_delete_leaves_nothing(settings: Settings, cache: Path) -> None:
    stored = [put_video(settings.data_dir, ALICE) for _ in range(30)]
    caller: Any = SimpleNamespace(headers={"x-hunyuan-visitor": ALICE})
    async with opened(settings) as (runner, http):
        calls = ApiCalls(runner)
        for number, video in enumerate(stored):
            params = {"k": runner.videos.signature(video), "plain": "1"}
            beside = [
                lambda video=video: calls.result(caller, video.id),
                lambda video=video, params=params: http.get(f"{BASE}/videos/{video.id}.mp4", params=params),
                lambda video=video, params=params: http.get(f"{BASE}/videos/{video.id}/export.png", params=params),
                lambda video=video, params=params: http.get(f"{BASE}/videos/{video.id}.webp", params=params),
                lambda video=video: delete(http, video.id),
            ]
            turn = number % len(beside)
            begun = [asyncio.ensure_future(call()) for call in (*beside[turn:], *beside[:turn])]
            ended = await asyncio.gather(*begun, return_exceptions=True)
            assert not any(isinstance(error, AssertionError) for error in ended), ended
            assert of(video.id, settings.data_dir) == []
            assert files(cache) == []


@pytest.mark.parametrize("left", [".mp4", ".webp", ".json", ".unreadable", ".mp4.part"])
async def test_what_a_stop_in_the_middle_left_goes_at_the_next_start(settings: Settings, left: str) -> None:
    stored = put_video(settings.data_dir, ALICE)
    async with opened(settings) as (runner, _):
        runner._services.ledger.hide(stored.id)
        runner._services.library.delete(stored.id)
        (settings.data_dir / "exports").mkdir()
        (settings.data_dir / "exports" / f"{stored.id}-480-12-0.gif").write_bytes(b"a gif")
        (settings.data_dir / "videos" / f"{stored.id}{left}").write_bytes(b"what is left")
    async with opened(settings):
        assert of(stored.id, settings.data_dir) == []


async def test_a_file_that_cannot_be_removed_is_told_and_removed_by_the_next_start(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, lines: io.StringIO
) -> None:
    job_id, real = new_id(), Path.unlink

    def refused(path: Path, **options: Any) -> None:
        if path.name == f"{job_id}.mp4":
            raise PermissionError(errno.EACCES, "Permission denied")
        real(path, **options)

    async with opened(settings) as (runner, http):
        await runner.submit(job_id, VideoRequest(prompt="a heron"), Visitor.from_token(ALICE), payer="nobody")
        await until(lambda: job_id not in runner._dispatcher.live)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", refused)
            told = await http.delete(f"{BASE}/videos/{job_id}", headers={"x-hunyuan-visitor": ALICE})
        assert (told.status_code, told.json()["code"]) == (503, "files_not_deleted")
        assert of(job_id, settings.data_dir) == [f"{job_id}.mp4"]
        assert "library.not_deleted" in lines.getvalue()
    async with opened(settings):
        assert of(job_id, settings.data_dir) == []
