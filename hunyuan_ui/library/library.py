"""VideoLibrary: finished videos on disk, each with a poster and a JSON sidecar, none of them ever half there."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from hunyuan_ui import media
from hunyuan_ui.checkpoint import checkpoint
from hunyuan_ui.errors import MediaError, StorageError
from hunyuan_ui.file_type import BY_SUFFIX, MP4, START_BYTES, is_text
from hunyuan_ui.files import sync_folder
from hunyuan_ui.job import Job, JobStatus, is_id
from hunyuan_ui.media import settings_tag as settings_tag
from hunyuan_ui.request import VideoRequest

_SIDECAR_VERSION: Final = 1
_CHUNK_BYTES: Final = 1024 * 1024
_PART: Final = ".mp4.part"
_UNREADABLE: Final = ".unreadable"  # suffix of what came and cannot be played, kept because it was paid for


class VideoLibrary:
    """The folder `videos` of a data folder; every path is built from a checked job id.

    Args:
        folder: Created when missing and possible.
        process: Tells the half-written files of processes apart that share the folder; empty where none does.
    """

    def __init__(self, folder: Path, process: str = "") -> None:
        self.folder = folder
        self._is_shared = process != ""
        self._part = f".{process[:8]}{_PART}" if process else _PART
        self._checked: dict[str, tuple[int, ...]] = {}  # downloads that were found whole, by name, as they were then
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)

    def part(self, job_id: str) -> Path:
        """Return where a download is written until it is whole; its folder is made again if it is gone."""
        with suppress(OSError):
            self.folder.mkdir(exist_ok=True)
        return self._path(job_id, self._part)

    def drop_part(self, job_id: str) -> None:
        """Remove what this process has downloaded of a video that is not its to store."""
        part = self._path(job_id, self._part)
        self._checked.pop(part.name, None)
        with suppress(OSError):
            part.unlink(missing_ok=True)

    def video(self, job_id: str) -> Path:
        """Return the path of the video, which is an MP4 unless the service made something else.

        Raises:
            MediaError: It is not there.
        """
        for suffix in BY_SUFFIX:
            path = self._path(job_id, suffix)
            if path.is_file():
                return path
        raise MediaError("video_missing")

    def check(self, part: Path) -> None:
        """Make sure that a download is a whole video that can be played.

        What came and is neither that nor a text, as an error page is, was paid for: the largest is kept beside it.

        Args:
            part: From `part`.

        Raises:
            MediaError: It is not; `kept` names the file where it is kept.
        """
        try:
            media.check_video(part)
        except MediaError as error:
            if not part.is_file() or _is_text(part):
                raise
            kept = self._path(part.name.partition(".")[0], _UNREADABLE)
            if not kept.is_file() or part.stat().st_size >= kept.stat().st_size:
                part.replace(kept)
            raise MediaError(error.code, **error.facts, kept=kept.name) from None
        self._checked[part.name] = _state(part)

    def unreadable(self, job_id: str) -> Path | None:
        """Return the path of what came for a job and could not be played, if that is all there is."""
        path = self._path(job_id, _UNREADABLE)
        return path if path.is_file() else None

    def poster(self, job_id: str) -> Path | None:
        """Return the poster's path, drawing it again when it is missing; None when that cannot be done."""
        path = self._path(job_id, ".webp")
        if not path.is_file():
            with suppress(MediaError, OSError):
                media.write_poster(self.video(job_id), path)
                self._drop_without_video(path, job_id)
        return path if path.is_file() else None

    def store(self, job: Job, part: Path) -> Job:
        """Put a whole download in its place: settings into the file, poster, sidecar, then the MP4 itself, last.

        Args:
            job: In status downloading.
            part: The checked and synced file, in this folder.

        Returns:
            The job as it is when done, with its sha256 and the video's real facts in its notes.

        Raises:
            MediaError: The file is not a whole MP4.
            OSError: The disk is full or cannot be written; the part is kept.
        """
        facts = asdict(media.facts(part))
        suffix = (media.type_of(part) or MP4).suffix
        with ThreadPoolExecutor(1, "poster") as pool:
            poster = pool.submit(media.write_poster, part, self._path(job.id, ".webp"))
            # One that cannot take its settings, or for which there is no room twice, is kept as it came.
            with suppress(MediaError, OSError):
                settings_tag.write(part, part, job.request)
        done = replace(
            job,
            status=JobStatus.DONE,
            sha256=file_sha256(part),
            problem=None,
            notes={**job.notes, **facts, "size_bytes": part.stat().st_size, "suffix": suffix},
        )
        with suppress(MediaError):
            poster.result()
        checkpoint("library.poster")
        self._write_sidecar(done)
        checkpoint("library.sidecar")
        part.replace(self._path(job.id, suffix))
        checkpoint("library.renamed")
        self._path(job.id, _UNREADABLE).unlink(missing_ok=True)
        sync_folder(self.folder)
        checkpoint("library.synced")
        return done

    def finished(self, job_id: str) -> Job | None:
        """Return the job a sidecar describes if its video is there, whole and the one described; else None."""
        return self._made(job_id)

    def _made(self, job_id: str) -> Job | None:
        job = self._read_sidecar(job_id)
        if job is None:
            return None
        try:
            path = self.video(job_id)
            media.check_video(path)
        except MediaError:
            return None
        return job if file_sha256(path) == job.sha256 else None

    def finish(self, job: Job) -> Job | None:
        """Go on with a store that was broken off; None when nothing whole is there.

        Raises:
            OSError: The disk is full or cannot be written; the part is kept.
        """
        done = self._made(job.id)
        for part in self._parts(job.id):
            if done is None:
                with suppress(MediaError):
                    # What was checked a moment ago and has not changed since is not decoded again.
                    if self._checked.get(part.name) != _state(part):
                        self.check(part)
                    done = self.store(job, part)
            part.unlink(missing_ok=True)
            self._checked.pop(part.name, None)
        if done is not None and self._is_shared:
            for left in self.folder.glob(f".{job.id}*.part"):  # by a process that died while it drew the poster
                left.unlink(missing_ok=True)
        return done

    async def keep(self, job_id: str, made: Job | None) -> Job | None:  # noqa: ARG002 - a library elsewhere needs it
        """Put what was made of a job where it is kept, and return the job as it is when done.

        Args:
            job_id: Of a job in status downloading.
            made: From `finish`; it is in the folder, where this library keeps it.

        Raises:
            StorageError: What is made stays in the folder until it can be put there.
        """
        return made

    async def holds(self, job_id: str) -> bool:  # noqa: ARG002 - as above
        """Whether what was made of a job still waits to be kept, so that no other download is needed."""
        return False

    def unreadables(self) -> list[str]:
        """Return the names of all files that came and could not be played."""
        return sorted(path.name for path in self.folder.glob(f"*{_UNREADABLE}"))

    def sidecar(self, job: Job) -> bytes:
        """Return the sidecar of a finished job; one that is lost, or of an older version, is made from the job."""
        video = self.video(job.id)
        with suppress(OSError):
            text = self._path(job.id, ".json").read_bytes()
            if (told := job_of(text, job.id)) is not None and {"suffix", "size_bytes"} <= told.notes.keys():
                return text
        facts = {"size_bytes": video.stat().st_size, "suffix": video.suffix}
        return sidecar_of(replace(job, sha256=file_sha256(video), notes={**job.notes, **facts}))

    def may_have(self, job_id: str) -> bool:
        """Return whether a video can be expected to be there, without asking anything that is far away."""
        with suppress(MediaError):
            return self.video(job_id).is_file()
        return False

    async def bring(self, job: Job, *, poster: bool = False) -> None:
        """Copy a video or its poster to this machine if it is kept elsewhere.

        Raises:
            StorageError: It cannot be reached.
            MediaError: There is no room for it here.
        """

    def bring_now(self, job: Job) -> None:
        """Do the same for a video, in a thread."""

    def prepare(self, known: Callable[[], set[str]]) -> None:
        """Read at a start, before anybody waits, what is kept elsewhere.

        Args:
            known: Returns the ids of all jobs in the ledger.

        Raises:
            SettingsError: That cannot be used.
        """

    @property
    def problem(self) -> StorageError | None:
        """Why videos cannot be kept just now; None if they can."""
        return None

    def close(self) -> None:
        """End what is under way."""

    def ids(self) -> set[str]:
        """Return the ids of all videos in the folder, without opening any."""
        with suppress(OSError):
            return {path.stem for path in self.folder.iterdir() if path.suffix in BY_SUFFIX and is_id(path.stem)}
        return set()

    def sweep(self, keep: set[str], older_than_s: float = 0.0) -> list[str]:
        """Remove half-written files of jobs that are not in `keep`; return their names.

        Args:
            keep: Ids of jobs.
            older_than_s: Seconds without a write after which they are half-written for good.
        """
        removed: list[str] = []
        with suppress(OSError):
            for path in self.folder.glob("*.part"):
                if path.name[:32] not in keep and time.time() - path.stat().st_mtime >= older_than_s:
                    path.unlink(missing_ok=True)
                    removed.append(path.name)
        return removed

    def delete(self, job_id: str) -> None:
        """Remove all files of a video."""
        for part in self._parts(job_id):
            part.unlink(missing_ok=True)
        # The video last: while it is there, a start after a kill still sees that something is left.
        for suffix in (".webp", ".json", _UNREADABLE, *reversed(BY_SUFFIX)):
            self._path(job_id, suffix).unlink(missing_ok=True)
        # Once more: it may have been drawn again while the video was still there.
        self._path(job_id, ".webp").unlink(missing_ok=True)
        sync_folder(self.folder)

    async def delete_elsewhere(self, job_id: str) -> None:
        """Remove the files of a video from where they are kept, if that is not this machine, now or not at all.

        Raises:
            StorageError: That cannot be reached.
        """

    def forget_copies(self, deleted: set[str]) -> None:
        """Remove what was brought here of videos that another process has deleted."""

    def left_of(self, deleted: set[str]) -> set[str]:
        """Return which of these ids have a file of any kind here."""
        with suppress(OSError):
            return deleted & {path.name.lstrip(".")[:32] for path in self.folder.iterdir()}
        return set()

    def _parts(self, job_id: str) -> list[Path]:
        """Return the downloads of a job that were not put in their place; this process's own first."""
        own = self.part(job_id)
        others = sorted(self.folder.glob(f"{job_id}*{_PART}")) if self._is_shared else []
        return [path for path in (own, *(path for path in others if path != own)) if path.is_file()]

    def _drop_without_video(self, path: Path, job_id: str) -> None:
        try:
            self.video(job_id)
        except MediaError:
            path.unlink(missing_ok=True)

    def _path(self, job_id: str, suffix: str) -> Path:
        if not is_id(job_id):
            raise MediaError("video_missing")
        return self.folder / f"{job_id}{suffix}"

    def _write_sidecar(self, job: Job) -> None:
        path = self._path(job.id, ".json")
        part = path.with_suffix(".json.part")
        with part.open("wb") as file:
            file.write(sidecar_of(job))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)

    def _read_sidecar(self, job_id: str) -> Job | None:
        try:
            return job_of(self._path(job_id, ".json").read_bytes(), job_id)
        except OSError:
            return None


def job_of(sidecar: bytes, job_id: str) -> Job | None:
    """Return the finished job that a sidecar describes; None if it is no sidecar, or another job's."""
    try:
        facts = json.loads(sidecar)
        is_its = facts["id"] == job_id and all(_fits(name, facts[name]) for name in _KEPT)
        return _job(facts) if is_its else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _is_text(path: Path) -> bool:
    with path.open("rb") as file:
        return is_text(file.read(START_BYTES))


def _state(path: Path) -> tuple[int, ...]:
    """Return what changes when somebody writes to a file."""
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def file_sha256(path: Path) -> str:
    """Return the hex digest of a file."""
    digest = sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


_KEPT: Final = (
    "id",
    "visitor",
    "dialect",
    "payer",
    "created_at",
    "sent_at",
    "reserved_microusd",
    "predicted_s",
    "request_id",
    "cost_microusd",
    "inference_s",
    "queue_s",
    "sha256",
    "notes",
)


_NUMBERS: Final = ("created_at", "reserved_microusd", "predicted_s")
_NUMBERS_OR_NONE: Final = ("sent_at", "cost_microusd", "inference_s", "queue_s")
_TEXTS_OR_NONE: Final = ("request_id", "sha256")
_MOST: Final = 2**53  # what JSON holds exactly, and a database takes


def _fits(name: str, value: object) -> bool:
    """Whether a value of a sidecar, which somebody may have edited, is of its kind."""
    if name == "notes":
        return isinstance(value, dict)
    if value is None:
        return name in _NUMBERS_OR_NONE + _TEXTS_OR_NONE
    if name in _NUMBERS + _NUMBERS_OR_NONE:
        return isinstance(value, (int, float)) and abs(value) < _MOST
    return isinstance(value, str)


def sidecar_of(job: Job) -> bytes:
    """Return the sidecar of a finished job."""
    facts = {name: getattr(job, name) for name in _KEPT}
    whole = {"version": _SIDECAR_VERSION, "model": settings_tag.MODEL, "request": job.request.model_dump(), **facts}
    return json.dumps(whole, ensure_ascii=False, indent=1).encode()


def _job(sidecar: dict[str, Any]) -> Job:
    kept = {name: sidecar[name] for name in _KEPT}
    return Job(
        **kept,
        status=JobStatus.DONE,
        request=VideoRequest.model_validate(sidecar["request"]),
        updated_at=sidecar["created_at"],
        ended_at=sidecar["created_at"],
    )
