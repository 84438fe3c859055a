"""The ZIP of a long list through the server: it has every video, and none of it stays in memory."""

from __future__ import annotations

import csv
import io
import sqlite3
import struct
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.app_process import RunningApp, running_app
from tests.benchmarks.processes import forget_peak, peak_bytes, resident_bytes
from tests.benchmarks.stored import TOKEN, fill
from tests.videos import mp4_bytes

LIST_ID = "ab" * 16
VIDEOS = 200
MIB = 1024 * 1024
VIDEO_BYTES = 2 * MIB
MOST_ABOVE_IDLE = 32 * MIB

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak is read from /proc")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """A private app with a list of 200 videos from an earlier run."""
    folder = tmp_path_factory.mktemp("zip")
    video = mp4_bytes()
    free = VIDEO_BYTES - len(video)
    clip = folder / "clip.mp4"
    clip.write_bytes(video + struct.pack(">I4s", free, b"free") + bytes(free - 8))
    fill(folder / "data", clip, done=VIDEOS)
    with closing(sqlite3.connect(folder / "data" / "ledger.sqlite3")) as ledger, ledger:
        ledger.execute("UPDATE jobs SET list_id = ?", (LIST_ID,))
    ledger.close()
    with running_app(folder) as started:
        yield started


def link_of(app: RunningApp) -> str:
    url, headers = f"{app.url}gradio_api/hunyuan/lists/{LIST_ID}", {"x-hunyuan-visitor": TOKEN}
    told = httpx.get(url, headers=headers, timeout=60).json()
    assert (told["done"], told["rows"]) == (VIDEOS, VIDEOS)
    return app.url.rstrip("/") + told["zip"]


def fetched(url: str, target: Path | None, pause_s: float = 0.0) -> int:
    """Download a ZIP, optionally with a pause in the middle; return its size in bytes."""
    count = 0
    with httpx.stream("GET", url, timeout=120) as answer:
        assert answer.headers.get("content-encoding") is None
        for piece in answer.iter_raw(MIB):
            if pause_s and count == 0:
                time.sleep(pause_s)
            count += len(piece)
            if target is not None:
                with target.open("ab") as file:
                    file.write(piece)
    return count


@pytest.mark.slow
def test_two_hundred_videos_leave_the_server_no_larger(app: RunningApp, tmp_path: Path) -> None:
    url, pid = link_of(app), app.process.pid
    httpx.get(url.replace(LIST_ID, "0" * 32))  # memory loaded by the first request is not the ZIP's
    idle = resident_bytes(pid)
    forget_peak(pid)
    assert fetched(url, tmp_path / "list.zip", pause_s=1.0) > VIDEOS * VIDEO_BYTES
    assert peak_bytes(pid) - idle < MOST_ABOVE_IDLE
    with zipfile.ZipFile(tmp_path / "list.zip") as archive:
        videos = [one for one in archive.infolist() if one.filename.endswith(".mp4")]
        assert len(videos) == len({one.filename for one in videos}) == VIDEOS
        assert {one.file_size for one in videos} == {VIDEO_BYTES}
        assert archive.read("list.csv").count(b"\n") == VIDEOS + 1


@pytest.mark.slow
def test_several_who_fetch_it_at_once_stay_below_it_too(app: RunningApp) -> None:
    url, pid = link_of(app), app.process.pid
    idle = resident_bytes(pid)
    forget_peak(pid)
    with ThreadPoolExecutor(3) as pool:
        counts = list(pool.map(lambda pause: fetched(url, None, pause), (0.0, 0.5, 1.0)))
    assert min(counts) > VIDEOS * VIDEO_BYTES
    assert peak_bytes(pid) - idle < MOST_ABOVE_IDLE


def test_what_is_deleted_while_a_zip_is_on_its_way_is_not_in_the_rest_of_it(app: RunningApp, tmp_path: Path) -> None:
    url, mine = link_of(app), {"x-hunyuan-visitor": TOKEN}
    videos = f"{app.url}gradio_api/hunyuan/videos"
    with httpx.stream("GET", url, timeout=120) as answer, (tmp_path / "list.zip").open("wb") as file:
        pieces = answer.iter_raw(MIB)
        file.write(next(pieces))
        with sqlite3.connect(app.data_dir / "ledger.sqlite3") as ledger:
            deleted, prompt = ledger.execute("SELECT id, prompt FROM jobs ORDER BY created_at DESC LIMIT 1").fetchone()
        ledger.close()
        assert httpx.delete(f"{videos}/{deleted}", headers=mine).status_code == 200
        for piece in pieces:
            file.write(piece)
    with zipfile.ZipFile(tmp_path / "list.zip") as archive:
        rows = list(csv.DictReader(io.StringIO(archive.read("list.csv").decode("utf-8-sig"))))
        names = archive.namelist()
    assert len(names) == VIDEOS
    [row] = [row for row in rows if row["job_id"] == deleted]
    assert (row["state"], row["file"], row["prompt"]) == ("deleted", "", "")
    assert prompt
    assert len(rows) == VIDEOS
