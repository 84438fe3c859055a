"""Exports: GIFs, WebPs, stills and copies without settings, created on demand and kept for a while."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import floor
from pathlib import Path
from typing import Final, Literal

from hunyuan_ui import media
from hunyuan_ui.cancellation import in_thread
from hunyuan_ui.errors import MediaError, reason
from hunyuan_ui.file_writes import is_disk_full
from hunyuan_ui.library.bounded_folder import is_older, make_room, mark_used
from hunyuan_ui.media import settings_tag
from hunyuan_ui.request import FPS

ExportKind = Literal["gif", "webp", "png", "mp4"]

SIDES: Final = (320, 480, 640)  # px of an animation's longer side
RATES: Final = (8, 12, FPS)  # frames per second; all divide the model's own rate
MIN_FREE_BYTES: Final = 512 * 1024 * 1024  # the rest is reserved for paid videos
KEPT_BYTES: Final = 256 * 1024 * 1024
KEPT_S: Final = 24 * 3600.0
AT_ONCE: Final = 2  # for all visitors together: each keeps a core busy
_SIDE: Final = 480
_RATE: Final = 12
_LAST_FRAME: Final = 9_999


@dataclass(frozen=True, slots=True)
class Export:
    """An export format.

    Args:
        kind: `gif` and `webp` are animations, `png` is a still in full size, `mp4` a copy without settings.
        side: Longer side of an animation in px.
        fps: Rate of an animation in frames per second.
        frame: Number of a still's frame, from 0.
    """

    kind: ExportKind
    side: int = _SIDE
    fps: int = _RATE
    frame: int = 0

    @classmethod
    def parse(cls, kind: ExportKind, side: str, fps: str, at_s: str) -> Export:
        """Return the nearest possible export for the values in a URL; invalid ones get their default."""
        return cls(
            kind,
            side=_nearest(side, SIDES, _SIDE) if kind in ("gif", "webp") else _SIDE,
            fps=_nearest(fps, RATES, _RATE) if kind in ("gif", "webp") else _RATE,
            frame=min(_LAST_FRAME, max(0, floor(_number(at_s, 0.0) * FPS + 0.01))) if kind == "png" else 0,
        )

    @property
    def file_name(self) -> str:
        """Suffix of its file name, the same for equal exports."""
        return f"{self.side}-{self.fps}-{self.frame}.{self.kind}"


class Exports:
    """The folder of exports.

    Args:
        folder: Created with the first export; everything in it can be recreated.
        min_free_bytes: With less free space nothing is created.
    """

    def __init__(self, folder: Path, *, min_free_bytes: int = MIN_FREE_BYTES) -> None:
        self.folder = folder
        self._min_free_bytes = min_free_bytes
        self._makers: set[str] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def make(
        self,
        video: Path,
        job_id: str,
        export: Export,
        *,
        visitor_id: str,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> Path:
        """Return the file of an export, created now unless it exists.

        Args:
            job_id: Of the video; a validated id.
            visitor_id: Each visitor may have one export running.
            is_wanted: Called in another thread when the file exists: whether its video was not deleted meanwhile.

        Raises:
            MediaError: The video is unreadable or missing, the disk is full, or the visitor's last export still runs.
        """
        path = self.folder / f"{job_id}-{export.file_name}"
        if path.is_file():
            mark_used(path)
            return path
        if visitor_id in self._makers:
            raise MediaError("export_busy")
        self._makers.add(visitor_id)
        try:
            await self._slots.acquire()
        except asyncio.CancelledError:
            self._makers.discard(visitor_id)
            raise
        await in_thread(partial(self._make, video, path, export, is_wanted), partial(self._ended, visitor_id))
        return path

    def forget(self, job_ids: set[str]) -> None:
        """Remove all exports of these videos."""
        _remove(path for path in self.folder.glob("*-*") if path.name.partition("-")[0] in job_ids)

    def sweep(self, job_ids: set[str], older_than_s: float = 0.0) -> None:
        """Remove half-made and old exports, the oldest of too many, and those of videos that no longer exist.

        Args:
            older_than_s: Seconds without a write after which a half-made one counts as abandoned.
        """
        _remove(path for path in self.folder.glob(".*.part") if is_older(path, older_than_s))
        # A deletion may have been interrupted between a video and its exports.
        made = (path for path in self.folder.glob("*") if path.suffix != ".part")
        _remove(path for path in made if path.name.partition("-")[0] not in job_ids)
        make_room(self.folder, KEPT_BYTES, kept_s=KEPT_S)

    def _ended(self, visitor_id: str) -> None:
        self._slots.release()
        self._makers.discard(visitor_id)

    def _make(self, video: Path, path: Path, export: Export, is_wanted: Callable[[], bool]) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            make_room(self.folder, KEPT_BYTES, kept_s=KEPT_S)
            if shutil.disk_usage(self.folder).free < self._min_free_bytes:
                raise MediaError("export_failed", problem=reason("disk_nearly_full"))
            _write(video, path, export)
            keep_if(is_wanted, path)
        except OSError as error:
            problem = reason("disk_full" if is_disk_full(error) else "file_not_written")
            raise MediaError("export_failed", problem=problem) from error


def keep_if(is_wanted: Callable[[], bool], path: Path) -> None:
    """Remove an export of a video that was deleted meanwhile.

    To be called when the file exists: a later deletion removes the file itself.

    Raises:
        MediaError: It was deleted.
    """
    is_kept = False
    try:
        is_kept = is_wanted()
    finally:
        if not is_kept:
            _remove([path])
    if not is_kept:
        raise MediaError("video_missing")


def _write(video: Path, path: Path, export: Export) -> None:
    writers: dict[ExportKind, Callable[[], None]] = {
        "gif": lambda: media.write_animation(video, path, kind="gif", side=export.side, fps=export.fps),
        "webp": lambda: media.write_animation(video, path, kind="webp", side=export.side, fps=export.fps),
        "png": lambda: media.write_still(video, path, export.frame / FPS),
        "mp4": lambda: settings_tag.strip(video, path),
    }
    writers[export.kind]()


def _remove(paths: Iterable[Path]) -> None:
    for path in list(paths):
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _nearest(text: str, choices: tuple[int, ...], default: int) -> int:
    wanted = _number(text, default)
    return min(choices, key=lambda choice: abs(choice - wanted))


def _number(text: str, default: float) -> float:
    try:
        number = float(text)
    except ValueError:
        return default
    return number if abs(number) < 1e6 else default
