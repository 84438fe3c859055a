"""Copies of finished videos in Gradio's cache, from which its player and its API serve them."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from gradio.processing_utils import hash_file
from gradio.utils import get_upload_folder

from hunyuan_ui.job import Job, new_id

KEPT_S: Final = 86_400.0  # after the last time somebody was shown it
_NAME: Final = "hunyuan-video-{width}x{height}-seed-{seed}{suffix}"


def download_name(job: Job, suffix: str = ".mp4") -> str:
    """Return a name for a downloaded file; never a word of the prompt."""
    width, height, *_ = job.made
    return _NAME.format(width=width, height=height, seed=job.request.seed, suffix=suffix)


def served_copy(job: Job, video: Path) -> str:
    """Copy a finished video to where Gradio serves files from, and return the copy's path.

    The library itself is never served. The copy's folder is named by Gradio's own salted hash, which nobody can guess.
    """
    copy = _copy_of(job, video)
    if copy.exists():
        os.utime(copy)
        return str(copy)
    _drop_old_ones()
    copy.parent.mkdir(parents=True, exist_ok=True)
    part = copy.with_suffix(f".{new_id()}")
    shutil.copyfile(video, part)
    part.replace(copy)
    return str(copy)


def drop_copy(job: Job, video: Path) -> None:
    """Remove the copy of a video that is about to be deleted."""
    with suppress(OSError):
        _copy_of(job, video).unlink(missing_ok=True)


def _copy_of(job: Job, video: Path) -> Path:
    return Path(get_upload_folder()) / hash_file(video) / download_name(job, video.suffix)


def _drop_old_ones() -> None:
    oldest = time.time() - KEPT_S
    for copy in Path(get_upload_folder()).glob(f"*/{_NAME.format(width='*', height='*', seed='*', suffix='.*')}"):
        with suppress(OSError):  # another program with the same cache may be at it too
            if copy.stat().st_mtime < oldest:
                copy.unlink()
