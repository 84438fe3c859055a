"""VideoLibrary: finished videos on disk, each with a poster and a JSON sidecar, written atomically."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, cast, get_args

from hunyuan_ui import media
from hunyuan_ui.checkpoint import checkpoint
from hunyuan_ui.errors import MediaError, StorageError, reason
from hunyuan_ui.file_type import BY_SUFFIX, MP4, START_BYTES, is_text
from hunyuan_ui.file_writes import sync_folder
from hunyuan_ui.job import Dialect, Job, JobStatus, Payer, is_id
from hunyuan_ui.library.bounded_folder import is_older
from hunyuan_ui.media import settings_tag as settings_tag
from hunyuan_ui.request import VideoRequest

_SIDECAR_VERSION: Final = 1
_CHUNK_BYTES: Final = 1024 * 1024
_PART: Final = ".mp4.part"
POSTER: Final = ".webp"
SIDECAR: Final = ".json"
_UNREADABLE: Final = ".unreadable"  # suffix of an unplayable download, kept because it was paid for


class VideoLibrary:
    """The folder `videos` of a data folder; every path is built from a validated job id.

    Args:
        folder: Created if missing and possible.
        process: Distinguishes the half-written files of processes that share the folder; empty if it is not shared.
    """

    def __init__(self, folder: Path, process: str = "") -> None:
        self.folder = folder
        self._is_shared = process != ""
        self._part = f".{process[:8]}{_PART}" if process else _PART
        self._checked: dict[str, tuple[int, ...]] = {}  # state of downloads that were checked and complete, by name
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)

    def part(self, job_id: str) -> Path:
        """Return the path for a download in progress; its folder is recreated if missing."""
        with suppress(OSError):
            self.folder.mkdir(exist_ok=True)
        return self._path(job_id, self._part)

    def drop_part(self, job_id: str) -> None:
        """Remove this process's download of a video that it must not store."""
        with suppress(OSError):
            self._path(job_id, self._part).unlink(missing_ok=True)

    def video(self, job_id: str) -> Path:
        """Return the path of the video, which is an MP4 unless the service delivered another format.

        Raises:
            MediaError: It does not exist.
            StorageError: Nobody can tell, as on a disk that is not connected.
        """
        for suffix in BY_SUFFIX:
            path = self._path(job_id, suffix)
            try:
                if path.is_file():
                    return path
            except OSError as error:
                raise StorageError("video_closed", reason=error.strerror or reason("input_output")) from None
        raise MediaError("video_missing")

    def check(self, part: Path, *, is_cut: bool = False) -> None:
        """Check that a download is a complete, playable video.

        Any other file that is not text, as an error page is, was paid for: the largest is kept beside it.

        Args:
            is_cut: The file may lack its end, and is not kept if it does.

        Raises:
            MediaError: It is not; `kept` names the file that it was kept as.
        """
        try:
            media.check_video(part, is_cut=is_cut)
        except MediaError as error:
            if is_cut or not part.is_file() or _is_text(part):
                raise
            kept = self._path(part.name.partition(".")[0], _UNREADABLE)
            if not kept.is_file() or part.stat().st_size >= kept.stat().st_size:
                part.replace(kept)
            raise MediaError(error.code, **error.facts, kept=kept.name) from None
        self._checked[part.name] = _state(part)

    def unreadable(self, job_id: str) -> Path | None:
        """Return the path of a job's unplayable download if there is nothing else."""
        path = self._path(job_id, _UNREADABLE)
        return path if path.is_file() else None

    def poster(self, job_id: str) -> Path | None:
        """Return the poster's path, rendering it again if missing or spoiled; None if that fails."""
        path = self._path(job_id, POSTER)
        with suppress(MediaError, StorageError, OSError):
            if not _begins_as_poster(path):
                media.write_poster(self.video(job_id), path)
                if not VideoLibrary.may_have(self, job_id):  # deleted meanwhile
                    path.unlink(missing_ok=True)
            return path if path.is_file() else None
        return None

    def store(self, job: Job, part: Path) -> Job:
        """Store a complete download: settings into the file, poster, sidecar, then the MP4 itself, last.

        Args:
            job: In status downloading.
            part: The checked and synced file, in this folder.

        Returns:
            The done job, with its sha256 and the video's real properties in its notes.

        Raises:
            MediaError: The file is not a complete MP4.
            OSError: The disk is full or cannot be written; the part file is kept.
        """
        facts = asdict(media.facts(part))
        with ThreadPoolExecutor(1, "poster") as pool:
            poster = pool.submit(media.write_poster, part, self._path(job.id, POSTER))
            # If settings cannot be added, or there is no room for a second copy, the file is kept as downloaded.
            with suppress(MediaError, OSError):
                settings_tag.write(part, part, job.request)
        suffix = (media.type_of(part) or MP4).suffix  # with settings, a QuickTime file is an MP4 too
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
        """Return the job in a sidecar if its video exists and is the one described; else None."""
        job = job_of(self._sidecar_text(job_id), job_id)
        if job is None:
            return None
        with suppress(MediaError):
            path = self.video(job_id)
            media.check_video(path)
            return job if file_sha256(path) == job.sha256 else None
        return None

    def finish(self, job: Job) -> Job | None:
        """Resume an interrupted `store`, and raise as it does; None if there is no complete file."""
        done = VideoLibrary.finished(self, job.id)  # in the folder, also where videos are stored elsewhere
        for part in self._parts(job.id):
            if done is None:
                with suppress(MediaError):
                    # A file that was just checked and has not changed since is not decoded again.
                    if self._checked.get(part.name) != _state(part):
                        self.check(part)
                    done = self.store(job, part)
            part.unlink(missing_ok=True)
            self._checked.pop(part.name, None)
        if done is not None and self._is_shared:
            for left in self.folder.glob(f".{job.id}*.part"):  # left by a process that died while rendering the poster
                left.unlink(missing_ok=True)
        return done

    async def keep(self, job_id: str, made: Job | None) -> Job | None:  # noqa: ARG002 - a library elsewhere needs it
        """Move a job's prepared files to their storage, and return the done job.

        Args:
            made: From `finish`; its files are in the folder, which is this library's storage.

        Raises:
            StorageError: The files stay in the folder until they can be moved.
        """
        return made

    async def holds(self, job_id: str) -> bool:  # noqa: ARG002 - as above
        """Whether a job's file waits to be stored, so that no further download is needed."""
        return False

    def unreadables(self) -> list[str]:
        """Return the names of all unplayable downloads."""
        return sorted(path.name for path in self.folder.glob(f"*{_UNREADABLE}"))

    def sidecar(self, job: Job) -> bytes:
        """Return the sidecar of a finished job; a missing or outdated one is rebuilt from the job."""
        video = self.video(job.id)
        text = self._sidecar_text(job.id)
        if (stored := job_of(text, job.id)) is not None and {"suffix", "size_bytes"} <= stored.notes.keys():
            return text
        facts = {"size_bytes": video.stat().st_size, "suffix": video.suffix}
        return sidecar_of(replace(job, sha256=file_sha256(video), notes={**job.notes, **facts}))

    def may_have(self, job_id: str) -> bool:
        """Return whether a video can be expected to exist, without a request to remote storage."""
        with suppress(MediaError, StorageError):
            return self.video(job_id).is_file()
        return False

    async def bring(self, job: Job, *, poster: bool = False) -> None:
        """Download a video or its poster to this machine if it is stored remotely.

        Raises:
            StorageError: The storage is unreachable.
            MediaError: There is no room for it here.
        """

    def bring_now(self, job: Job) -> None:
        """Do the same for a video; blocks, so call it in a thread."""

    def prepare(self, known: Callable[..., set[str]]) -> None:
        """List remote storage at startup, before anybody waits for it.

        Raises:
            SettingsError: The storage cannot be used.
        """

    @property
    def problem(self) -> StorageError | None:
        """Why videos cannot be stored at the moment; None if they can."""
        return None

    def close(self) -> None:
        """Cancel running calls."""

    def ids(self) -> set[str]:
        """Return the ids of all videos in the folder, without opening any."""
        with suppress(OSError):
            return video_ids(path.name for path in self.folder.iterdir())
        return set()

    def sweep(self, keep: set[str], older_than_s: float = 0.0) -> list[str]:
        """Remove half-written files of jobs that are not in `keep`; return their names.

        Args:
            older_than_s: Seconds without a write after which a file counts as abandoned.
        """
        removed: list[str] = []
        with suppress(OSError):
            for path in self.folder.glob("*.part"):
                if path.name[:32] not in keep and is_older(path, older_than_s):
                    path.unlink(missing_ok=True)
                    removed.append(path.name)
        return removed

    def delete(self, job_id: str) -> None:
        """Remove all files of a video.

        Raises:
            OSError: One cannot be removed.
        """
        for part in self._parts(job_id):
            part.unlink(missing_ok=True)
        # The video last: while it exists, a start after a crash still finds something to delete.
        for suffix in (POSTER, SIDECAR, _UNREADABLE, *reversed(BY_SUFFIX)):
            self._path(job_id, suffix).unlink(missing_ok=True)
        # Again: it may have been rendered once more while the video still existed.
        self._path(job_id, POSTER).unlink(missing_ok=True)
        sync_folder(self.folder)

    async def delete_elsewhere(self, job_id: str) -> None:
        """Remove the files of a video from remote storage, if any, immediately; StorageError if it is unreachable."""

    def forget_copies(self, deleted: set[str]) -> None:
        """Remove local copies of videos that another process has deleted."""

    def left_of(self, deleted: set[str]) -> set[str]:
        """Return those of these ids that have a file of any kind here."""
        with suppress(OSError):
            return deleted & {path.name.lstrip(".")[:32] for path in self.folder.iterdir()}
        return set()

    def _parts(self, job_id: str) -> list[Path]:
        """Return a job's downloads that were not stored; this process's own first."""
        own = self.part(job_id)
        others = sorted(self.folder.glob(f"{job_id}*{_PART}")) if self._is_shared else []
        return [path for path in (own, *(path for path in others if path != own)) if path.is_file()]

    def _path(self, job_id: str, suffix: str) -> Path:
        if not is_id(job_id):
            raise MediaError("video_missing")
        return self.folder / f"{job_id}{suffix}"

    def _write_sidecar(self, job: Job) -> None:
        path = self._path(job.id, SIDECAR)
        part = path.with_suffix(f"{SIDECAR}.part")
        with part.open("wb") as file:
            file.write(sidecar_of(job))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)

    def _sidecar_text(self, job_id: str) -> bytes:
        """Return a sidecar's content; empty if there is no such file."""
        path = self._path(job_id, SIDECAR)
        with suppress(OSError):
            if path.is_file():  # a pipe would block
                return path.read_bytes()
        return b""


def video_ids(names: Iterable[str]) -> set[str]:
    """Return the ids of the videos among files of these names."""
    return {path.stem for path in map(Path, names) if path.suffix in BY_SUFFIX and is_id(path.stem)}


def job_of(sidecar: bytes, job_id: str) -> Job | None:
    """Return the finished job in a sidecar; None if it is invalid, or another job's."""
    try:
        facts = json.loads(sidecar)
        is_its = facts["id"] == job_id and all(_fits(name, facts[name]) for name in _KEPT)
        return _job(facts) if is_its else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _begins_as_poster(path: Path) -> bool:
    """Whether a poster is there, and not the empty or zeroed file that a power cut leaves in its place."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(12)[8:] == b"WEBP"


def _is_text(path: Path) -> bool:
    with path.open("rb") as file:
        return is_text(file.read(START_BYTES))


def _state(path: Path) -> tuple[int, ...]:
    """Return values that change when a file is written."""
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def file_sha256(path: Path) -> str:
    """Return the SHA-256 hex digest of a file."""
    digest = sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


_KEPT: Final = (
    *("id", "visitor", "dialect", "payer", "created_at", "sent_at", "reserved_microusd", "predicted_s"),
    *("request_id", "cost_microusd", "inference_s", "queue_s", "sha256", "notes"),
)
_NUMBERS: Final = ("created_at", "reserved_microusd", "predicted_s")
_NUMBERS_OR_NONE: Final = ("sent_at", "cost_microusd", "inference_s", "queue_s")
_WHOLE: Final = ("reserved_microusd", "cost_microusd")
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {"payer": get_args(Payer), "dialect": get_args(Dialect)}
_TEXTS_OR_NONE: Final = ("request_id", "sha256")
_MOST: Final = 2**53  # the largest that JSON represents exactly, within a database's range
# Notes that are read as numbers or objects, by name.
_SIZES: Final = ("width", "height", "frames", "fps", "duration_s", "size_bytes", "attempts")
_AMOUNTS: Final = ("estimate_usd", "named_usd", "said_usd")
_PLACES: Final[Mapping[str, tuple[str, ...]]] = {"list": ("row", "rows", "budget_usd"), "click": ("place", "count")}
_CORRECTIONS: Final = "corrections"
_STATUSES: Final = tuple(status.value for status in JobStatus)


def _fits(name: str, value: object) -> bool:
    """Whether a value of a sidecar, which may have been edited, is one; less than nothing would raise the limits."""
    if name == "notes":
        return isinstance(value, dict)
    if value is None:
        return name in _NUMBERS_OR_NONE + _TEXTS_OR_NONE
    if name in _NUMBERS + _NUMBERS_OR_NONE:
        return _is_amount(value) and not (name in _WHOLE and isinstance(value, float))
    if name in _CHOICES:
        return value in _CHOICES[name]
    return isinstance(value, str) and value.isascii() and "\0" not in value  # as databases and comparisons take them


def _is_amount(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < _MOST


def _is_readable(name: str, value: Any) -> bool:
    """Whether a note of a sidecar can be read; one that cannot would break each list that its video is in."""
    try:
        # PostgreSQL reads none of these in JSON, SQLite not the first: one such row fails every query.
        if rb"\u0000" in json.dumps({name: value}, ensure_ascii=False, allow_nan=False).encode():
            return False
    except ValueError:
        return False
    if name in _SIZES + _AMOUNTS:
        return _is_amount(value) and (value > 0 or name in _AMOUNTS)
    if name in _PLACES:
        return isinstance(value, dict) and all(
            _is_amount(place) or (part == "count" and place is None)
            for part, place in cast("dict[str, Any]", value).items()
            if part in _PLACES[name]
        )
    if name == _CORRECTIONS:
        return isinstance(value, list) and all(map(_is_correction, cast("list[object]", value)))
    return name != "suffix" or value in tuple(BY_SUFFIX)


def _is_correction(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    entry = cast("dict[str, Any]", value)
    was, has_status = entry.get("from_microusd"), entry.get("status") in _STATUSES
    has_amounts = all(map(_is_amount, (entry.get("at"), entry.get("to_microusd"), 0 if was is None else was)))
    return has_status and has_amounts and isinstance(entry.get("note"), str)


def sidecar_of(job: Job) -> bytes:
    """Return the sidecar of a finished job."""
    facts = {name: getattr(job, name) for name in _KEPT}
    whole = {"version": _SIDECAR_VERSION, "model": settings_tag.MODEL, "request": job.request.model_dump(), **facts}
    return json.dumps(whole, ensure_ascii=False, indent=1).encode()


def _job(sidecar: dict[str, Any]) -> Job:
    kept = {name: sidecar[name] for name in _KEPT}
    kept["notes"] = {name: value for name, value in sidecar["notes"].items() if _is_readable(name, value)}
    return Job(
        **kept,
        status=JobStatus.DONE,
        request=VideoRequest.model_validate(sidecar["request"]),
        updated_at=sidecar["created_at"],
        ended_at=sidecar["created_at"],
    )
