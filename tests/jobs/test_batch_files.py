"""The ZIP of a list: complete, streamed in pieces, and never mistaken for complete if it is not."""

from __future__ import annotations

import csv
import errno
import io
import os
import tracemalloc
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hunyuan_ui.job import DAY_S, Job, JobProblem, JobStatus
from hunyuan_ui.jobs.batch_files import CSV_NAME, csv_of, file_name, zip_of
from hunyuan_ui.jobs.batch_view import Entry
from hunyuan_ui.prompt_list import job_id, read_list
from tests.stored_jobs import NOON, job

MIB = 2**20


def entries(count: int) -> list[Entry]:
    rows = read_list("\n".join(f"a fox, take {number}" for number in range(count)), "x").rows
    done = [
        job(id=job_id("0" * 32, row), status=JobStatus.DONE, ended_at=NOON, cost_microusd=1_460_000) for row in rows
    ]
    return [Entry(row, one.id, row.request, one) for row, one in zip(rows, done, strict=True)]


def stored(folder: Path, listed: list[Entry], size: int) -> list[tuple[Entry, Path]]:
    videos = [(entry, folder / f"{entry.job_id}.mp4") for entry in listed]
    for entry, path in videos:
        with path.open("wb") as file:
            file.write(entry.job_id.encode())
            file.truncate(size)
    return videos


def table(names: Mapping[str, str]) -> bytes:
    return "\n".join(names.values()).encode()


def test_two_hundred_videos_are_zipped_in_pieces(tmp_path: Path) -> None:
    listed = entries(200)
    videos = stored(tmp_path, listed, MIB)
    largest, target = 0, tmp_path / "list.zip"
    tracemalloc.start()
    with target.open("wb") as file:
        for piece in zip_of(videos, table):
            largest = max(largest, len(piece))
            file.write(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert largest < MIB
    assert peak < 4 * MIB
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [*(file_name(entry, ".mp4") for entry in listed), CSV_NAME]
        for entry, path in videos[::40]:
            assert archive.read(file_name(entry, ".mp4")) == path.read_bytes()


def test_a_video_that_is_gone_is_left_out_and_one_that_is_cut_short_breaks_it_off(tmp_path: Path) -> None:
    listed = entries(3)
    videos = stored(tmp_path, listed, MIB)
    videos[1][1].unlink()
    whole = io.BytesIO(b"".join(zip_of(videos, table)))
    with zipfile.ZipFile(whole) as archive:
        names = [file_name(listed[0], ".mp4"), file_name(listed[2], ".mp4")]
        assert archive.namelist() == [*names, CSV_NAME]
        assert archive.read(CSV_NAME).decode().split("\n") == names
    pieces = zip_of(stored(tmp_path, listed, MIB), table, chunk_bytes=MIB // 4)
    next(pieces)
    with videos[0][1].open("r+b") as file:
        file.truncate(MIB // 2)
    with pytest.raises(OSError, match=listed[0].job_id):
        list(pieces)


class _Failing(io.FileIO):
    """A file on a broken disk: an error after its first chunk."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell():
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().read(size) or b""


@pytest.mark.parametrize("how", ["closed", "a folder", "broken at its middle"])
def test_a_video_that_cannot_be_read_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    listed = entries(3)
    videos = stored(tmp_path, listed, MIB)
    bad = videos[1][1]
    opened = Path.open

    def open_(path: Path, *args: Any, **options: Any) -> Any:
        if path == bad and how == "closed":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return _Failing(path) if path == bad and how != "a folder" else opened(path, *args, **options)

    if how == "a folder":
        bad.unlink()
        bad.mkdir()
    monkeypatch.setattr(Path, "open", open_)
    data = io.BytesIO(b"".join(zip_of(videos, table, chunk_bytes=MIB // 4)))
    with zipfile.ZipFile(data) as archive:
        assert archive.testzip() is None
        names = [file_name(listed[0], ".mp4"), file_name(listed[2], ".mp4")]
        assert archive.namelist() == [*names, CSV_NAME]
        assert archive.read(CSV_NAME).decode().split("\n") == names


@pytest.mark.parametrize(
    ("ended_at", "date"),
    [
        (None, (1980, 1, 1, 0, 0, 0)),
        (-1e10, (1980, 1, 1, 0, 0, 0)),
        (NOON + 100 * 365.25 * DAY_S, (2107, 12, 31, 23, 59, 58)),
        (2.0**53, (2107, 12, 31, 23, 59, 58)),
        (1e18, (2107, 12, 31, 23, 59, 58)),
    ],
)
def test_a_wrong_clock_spoils_no_zip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended_at: float | None, date: tuple[int, ...]
) -> None:
    (made,) = entries(1)
    assert made.job is not None
    made.job = replace(made.job, ended_at=ended_at)
    monkeypatch.setattr("time.time", lambda: ended_at or 0.0)
    data = b"".join(zip_of(stored(tmp_path, [made], 100), table))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert [info.date_time for info in archive.infolist()] == [date, date]


def test_a_zip_that_nobody_reads_to_its_end_closes_its_file(tmp_path: Path) -> None:
    pieces = zip_of(stored(tmp_path, entries(2), MIB), table)
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]  # a warning about an open file would fail this test


def test_the_table_says_what_became_of_each_row_and_computes_nothing() -> None:
    made, failed, unsent, deleted, unread = entries(5)
    assert failed.job is not None
    failed.job = replace(failed.job, status=JobStatus.FAILED, cost_microusd=None, problem=JobProblem.from_code("x"))
    unsent.job = None
    unsent.request = unsent.request.model_copy(update={"prompt": "=HYPERLINK(1)"})
    deleted.is_deleted = True

    def problem_of(job: Job) -> str | None:
        return None if job.problem is None else f"because {job.problem.code}"

    data = csv_of([made, failed, unsent, deleted, unread], {made.job_id: "a.mp4"}, problem_of, "left out")
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    assert [row["state"] for row in rows] == ["done", "failed", "not_sent", "deleted", "done"]
    assert [row["file"] for row in rows] == ["a.mp4", "", "", "", ""]
    assert [row["cost_usd"] for row in rows] == ["1.46", "", "", "1.46", "1.46"]
    assert [row["problem"] for row in rows] == ["", "because x", "", "", "left out"]
    assert rows[2]["prompt"] == "'=HYPERLINK(1)"
    assert (rows[3]["prompt"], rows[3]["seed"]) == ("", "")
    assert rows[0]["seed"] == "96501778"
