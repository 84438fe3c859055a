"""VideoLibrary: finished videos on disk, each an MP4, a poster and a JSON sidecar, none of them ever half there."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from hunyuan_ui import media, tags
from hunyuan_ui.checkpoint import Checkpoint, no_checkpoint
from hunyuan_ui.errors import MediaError
from hunyuan_ui.folder import sync_folder
from hunyuan_ui.job import Job, JobStatus, is_id
from hunyuan_ui.request import VideoRequest

_SIDECAR_VERSION: Final = 1
_CHUNK_BYTES: Final = 1024 * 1024


class VideoLibrary:
    """The folder `videos` of a data folder; every path is built from a checked job id.

    Args:
        folder: Created when missing and possible.
        checkpoint: Called by name at each step of a write, so that tests can fail or kill there.
    """

    def __init__(self, folder: Path, *, checkpoint: Checkpoint = no_checkpoint) -> None:
        self.folder = folder
        self._checkpoint = checkpoint
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)

    def part(self, job_id: str) -> Path:
        """Return where a download is written until it is whole."""
        return self._path(job_id, ".mp4.part")

    def video(self, job_id: str) -> Path:
        """Return the MP4's path.

        Raises:
            MediaError: It is not there.
        """
        path = self._path(job_id, ".mp4")
        if not path.is_file():
            raise MediaError("video_missing")
        return path

    def poster(self, job_id: str) -> Path | None:
        """Return the poster's path, drawing it again when it is missing; None when that cannot be done."""
        path = self._path(job_id, ".webp")
        if not path.is_file():
            with suppress(MediaError, OSError):
                media.write_poster(self.video(job_id), path)
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
        # One that cannot take its settings, or for which there is no room twice, is kept as it came.
        with suppress(MediaError, OSError):
            tags.write(part, part, job.request)
        done = replace(
            job,
            status=JobStatus.DONE,
            sha256=file_sha256(part),
            problem=None,
            notes={**job.notes, **facts, "size_bytes": part.stat().st_size},
        )
        with suppress(MediaError):
            media.write_poster(part, self._path(job.id, ".webp"))
        self._checkpoint("library.poster")
        self._write_sidecar(done)
        self._checkpoint("library.sidecar")
        part.replace(self._path(job.id, ".mp4"))
        self._checkpoint("library.renamed")
        sync_folder(self.folder)
        self._checkpoint("library.synced")
        return done

    def finished(self, job_id: str) -> Job | None:
        """Return the job a sidecar describes if its MP4 is there, whole and the one described; else None."""
        job = self._read_sidecar(job_id)
        path = self._path(job_id, ".mp4")
        if job is None or not path.is_file():
            return None
        try:
            media.check_mp4(path)
        except MediaError:
            return None
        return job if file_sha256(path) == job.sha256 else None

    def finish(self, job: Job) -> Job | None:
        """Go on with a store that was broken off; None when nothing whole is there.

        Raises:
            OSError: The disk is full or cannot be written; the part is kept.
        """
        part = self.part(job.id)
        if (done := self.finished(job.id)) is None and part.is_file():
            with suppress(MediaError):
                media.check_mp4(part)
                done = self.store(job, part)
        part.unlink(missing_ok=True)
        return done

    def ids(self) -> set[str]:
        """Return the ids of all videos in the folder, without opening any."""
        with suppress(OSError):
            return {path.stem for path in self.folder.iterdir() if path.suffix == ".mp4" and is_id(path.stem)}
        return set()

    def sweep(self, keep: set[str]) -> list[str]:
        """Remove half-written files of jobs that are not in `keep`; return their names."""
        removed: list[str] = []
        with suppress(OSError):
            for path in self.folder.glob("*.part"):
                if path.name[:32] not in keep:
                    path.unlink(missing_ok=True)
                    removed.append(path.name)
        return removed

    def delete(self, job_id: str) -> None:
        """Remove all files of a video."""
        # The MP4 last: while it is there, a start after a kill still sees that something is left.
        for suffix in (".mp4.part", ".webp", ".json", ".mp4"):
            self._path(job_id, suffix).unlink(missing_ok=True)
        sync_folder(self.folder)

    def _path(self, job_id: str, suffix: str) -> Path:
        if not is_id(job_id):
            raise MediaError("video_missing")
        return self.folder / f"{job_id}{suffix}"

    def _write_sidecar(self, job: Job) -> None:
        path = self._path(job.id, ".json")
        part = path.with_suffix(".json.part")
        with part.open("w", encoding="utf-8") as file:
            json.dump(_sidecar(job), file, ensure_ascii=False, indent=1)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)

    def _read_sidecar(self, job_id: str) -> Job | None:
        try:
            facts = json.loads(self._path(job_id, ".json").read_text(encoding="utf-8"))
            return _job(facts) if facts["id"] == job_id else None
        except (OSError, ValueError, KeyError, TypeError):
            return None


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


def _sidecar(job: Job) -> dict[str, Any]:
    facts = {name: getattr(job, name) for name in _KEPT}
    return {"version": _SIDECAR_VERSION, "model": tags.MODEL, "request": job.request.model_dump(), **facts}


def _job(sidecar: dict[str, Any]) -> Job:
    kept = {name: sidecar[name] for name in _KEPT}
    return Job(
        **kept,
        status=JobStatus.DONE,
        request=VideoRequest.model_validate(sidecar["request"]),
        updated_at=sidecar["created_at"],
        ended_at=sidecar["created_at"],
    )
