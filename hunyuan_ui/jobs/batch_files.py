"""Files of a prompt list: video names, a CSV of its rows, and a streamed ZIP of both."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final
from zipfile import ZipFile, ZipInfo

from hunyuan_ui.csv_text import csv_text
from hunyuan_ui.job import Job, JobStatus
from hunyuan_ui.jobs.batch_view import Entry
from hunyuan_ui.request import VideoRequest

CSV_NAME: Final = "list.csv"
_CHUNK_BYTES: Final = 256 * 1024
# The times that ZIP can represent, in UTC seconds; a clock may be ahead of them.
_OLDEST: Final = 315_532_800  # 1980-01-01 00:00:00
_NEWEST: Final = 4_354_819_198  # 2107-12-31 23:59:58


def file_name(entry: Entry, suffix: str) -> str:
    """Return the file name of a row's video: its position in the list, and a part that makes it unique."""
    return f"{entry.row.number:04d}-{entry.job_id[:8]}{suffix}"


def csv_of(
    entries: Iterable[Entry], files: Mapping[str, str], problem_of: Callable[[Job], str | None], left_out: str
) -> bytes:
    """Return a list's rows as CSV in UTF-8 with a byte order mark, which spreadsheets need.

    Args:
        files: Names of the videos in the same folder, by job id.
        problem_of: Returns the sentence of a job's problem.
        left_out: The problem of a finished video that is not among the files.
    """
    names = list(VideoRequest.model_fields)
    rows: list[list[object]] = [
        ["row", "state", "file", *names, "cost_usd", "inference_s", "job_id", "request_id", "problem"]
    ]
    for entry in entries:
        job = entry.job
        settings = ["" if entry.is_deleted else getattr(entry.request, name) for name in names]
        cost = None if job is None else job.cost_usd
        is_left_out = entry.state == JobStatus.DONE.value and entry.job_id not in files
        problem = left_out if is_left_out else None if job is None else problem_of(job)
        facts = [cost, job and job.inference_s, entry.job_id, job and job.request_id, problem]
        rows.append([entry.row.number, entry.state, files.get(entry.job_id), *settings, *facts])
    return csv_text(rows).encode("utf-8-sig")


def zip_of(
    videos: Iterable[tuple[Entry, Path]],
    table: Callable[[Mapping[str, str]], bytes],
    *,
    chunk_bytes: int = _CHUNK_BYTES,
) -> Iterator[bytes]:
    """Yield a ZIP of videos and their CSV in chunks, with at most about one chunk in memory.

    Args:
        videos: Rows with their files; those that cannot be read are left out.
        table: Returns the CSV for the file names in the ZIP, by job id.

    Raises:
        OSError: A file changed while it was read; the ZIP must then not look complete.
    """
    sink = _Sink()
    names: dict[str, str] = {}
    with ZipFile(sink, "w") as archive:
        for entry, path in videos:
            if not _is_readable(path, chunk_bytes):
                continue
            with path.open("rb") as source:
                size = os.fstat(source.fileno()).st_size
                names[entry.job_id] = file_name(entry, path.suffix)
                with archive.open(_info(names[entry.job_id], entry, size), "w") as target:
                    left = size
                    for chunk in iter(partial(source.read, chunk_bytes), b""):
                        target.write(chunk)
                        left -= len(chunk)
                        yield sink.taken()
                if left:
                    raise OSError(path.name)
        archive.writestr(ZipInfo(CSV_NAME, _date(time.time())), table(names))
    yield sink.taken()


def _is_readable(path: Path, chunk_bytes: int) -> bool:
    """Whether a whole file can be read; its place in the ZIP cannot be taken back once it has begun."""
    try:
        with path.open("rb") as source:
            for _ in iter(partial(source.read, chunk_bytes), b""):
                pass
    except OSError:
        return False
    return True


def _info(name: str, entry: Entry, size: int) -> ZipInfo:
    ended_at = entry.job.ended_at if entry.job is not None else None
    info = ZipInfo(name, _date(ended_at or 0.0))
    info.file_size = size  # determines whether ZIP64 is needed
    return info


def _date(at: float) -> tuple[int, int, int, int, int, int]:
    return time.gmtime(min(max(at, _OLDEST), _NEWEST))[:6]


class _Sink(io.RawIOBase):
    """Unseekable buffer that the ZIP is written to and drained from."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes, /) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        self._parts.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)
