"""Data folders with thousands of jobs, written by bulk inserts."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg

from hunyuan_ui import media
from hunyuan_ui.job import Job, JobStatus, Visitor
from hunyuan_ui.ledger import open_ledger
from hunyuan_ui.ledger.schema import COLUMNS, to_row
from hunyuan_ui.request import VideoRequest

_WORDS = """
fox lighthouse dancer harbour glacier market neon rain forest train heron desert kitchen violin storm orchid
astronaut paper lantern river temple mountain coral engine snow mirror bakery falcon tram garden comet
"""
WORDS = _WORDS.split()
RARE = "zeppelin"  # occurs only in the oldest video's prompt
COMMON = WORDS[0]  # occurs in many
TOKEN = "c0ffee00" * 4


def token_of(number: int) -> str:
    """Return the token of one of many visitors."""
    return f"{number:032x}"


def fill(folder: Path, clip: Path, *, done: int = 0, running: int = 0, visitors: int = 1) -> None:
    """Write a data folder.

    Args:
        folder: Created.
        clip: The MP4 used for every finished video.
        done: Number of finished videos with their files, all of `TOKEN`'s visitor.
        running: Number of jobs at the service, under request ids that it keeps running.
        visitors: Number of visitors who share the running jobs.
    """
    videos = folder / "videos"
    videos.mkdir(parents=True)
    rng = random.Random(7)
    jobs = [_done(number, done, rng) for number in range(done)] + running_jobs(running, visitors)
    places = ", ".join(f":{name}" for name in COLUMNS)
    with closing(open_ledger(folder).database) as database, database.transaction("fill") as connection:
        connection.executemany(f"INSERT INTO jobs ({', '.join(COLUMNS)}) VALUES ({places})", map(to_row, jobs))
    if done:
        _write_files(videos, clip, [job.id for job in jobs[:done]])


def running_jobs(count: int, visitors: int) -> list[Job]:
    """Return jobs at the service, under request ids that it keeps running."""
    return [_running(number, token_of(number % visitors)) for number in range(count)]


def insert(connection: psycopg.Connection[Any], jobs: Sequence[Job]) -> None:
    """Insert jobs without a process into PostgreSQL, all at once."""
    places = ", ".join(f"%({name})s" for name in COLUMNS)
    statement = f"INSERT INTO jobs ({', '.join(COLUMNS)}) VALUES ({places})".encode()
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(statement, list(map(to_row, jobs)))


def _write_files(videos: Path, clip: Path, ids: list[str]) -> None:
    kept = videos.parent
    (kept / "one.mp4").write_bytes(clip.read_bytes())
    media.write_poster(clip, kept / "one.webp")
    (kept / "one.json").write_text("{}")
    for job_id in ids:
        for suffix in (".mp4", ".webp", ".json"):
            os.link(kept / f"one{suffix}", videos / f"{job_id}{suffix}")


def _done(number: int, count: int, rng: random.Random) -> Job:
    at = time.time() - 300 * (count - number)
    prompt = f"{' '.join(rng.choices(WORDS, k=20))}, take {number}{f' {RARE}' if number == 0 else ''}"
    return replace(
        _running(number, TOKEN),
        id=f"{number:08x}{rng.getrandbits(96):024x}",
        status=JobStatus.DONE,
        request=VideoRequest.parse({"prompt": prompt, "seed": number}),
        created_at=at,
        updated_at=at + 211,
        sent_at=at,
        ended_at=at + 211,
        request_id=f"done-{number:06d}",
        cost_microusd=1_460_000,
        inference_s=211.0,
        sha256="0" * 64,
        notes={"width": 864, "height": 480, "fps": 24.0, "frames": 77, "duration_s": 77 / 24, "size_bytes": 1_000_000},
    )


def _running(number: int, token: str) -> Job:
    at = time.time() - 60  # long enough ago to be polled at the regular interval
    return Job(
        id=f"ffffffff{number:024x}",
        visitor=Visitor.from_token(token).id,
        status=JobStatus.RUNNING,
        request=VideoRequest.parse({"prompt": f"{' '.join(WORDS[:20])}, take {number}", "seed": number}),
        dialect="v2",
        payer="owner",
        created_at=at,
        updated_at=at,
        reserved_microusd=1_460_000,
        predicted_s=211.3,
        sent_at=at,
        request_id=f"running-{number:06d}",
    )
