"""What Gradio serves: copies of finished videos in its cache, and the folders that hold nothing else of ours."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, cast

import gradio as gr
from gradio.processing_utils import hash_file
from gradio.utils import get_cache_folder, get_upload_folder

from hunyuan_ui.job import Job, new_id
from hunyuan_ui.library.conversions import keep_if
from hunyuan_ui.startup import Served

KEPT_S: Final = 86_400.0  # after the last time somebody was shown it
_CHUNK_BYTES: Final = 1024 * 1024
_NAME: Final = "hunyuan-video-{width}x{height}-seed-{seed}{suffix}"


def download_name(job: Job, suffix: str = ".mp4") -> str:
    """Return a name for a downloaded file; never a word of the prompt."""
    width, height, *_ = job.made
    return _NAME.format(width=width, height=height, seed=job.request.seed, suffix=suffix)


def served_copy(job: Job, video: Path, is_wanted: Callable[[], bool]) -> str:
    """Copy a finished video to where Gradio serves files from, and return the copy's path.

    The library itself is never served. The copy's folder is named by Gradio's own salted hash, which nobody can guess.

    Args:
        job: Whose video it is.
        video: The file in the library.
        is_wanted: Asked when the copy is there: whether the job was not deleted meanwhile.

    Raises:
        MediaError: It was deleted.
    """
    copy = Path(get_upload_folder()) / hash_file(video) / download_name(job, video.suffix)
    if copy.exists():
        os.utime(copy)
        return str(copy)
    _drop_old_ones()
    copy.parent.mkdir(parents=True, exist_ok=True)
    part = copy.with_suffix(f".{new_id()}")
    try:
        shutil.copyfile(video, part)
        part.replace(copy)
    finally:
        part.unlink(missing_ok=True)
    keep_if(is_wanted, copy)
    return str(copy)


def drop_copies(job: Job) -> None:
    """Remove the copies of a video that was deleted; its file need not be there any more."""
    for copy in Path(get_upload_folder()).glob(f"*/{download_name(job, '.*')}"):
        with suppress(OSError):
            if _sha256(copy) == job.sha256:
                copy.unlink()


def served_folders(variables: Mapping[str, str]) -> list[Served]:
    """Return all that Gradio serves by its path to everybody (its `file_fetch`), each with the variable that names it.

    The first is where copies are put.

    Args:
        variables: Of the environment.
    """
    examples, allowed = "GRADIO_EXAMPLES_CACHE", variables.get("GRADIO_ALLOWED_PATHS", "")
    return [
        Served("GRADIO_TEMP_DIR", Path(get_upload_folder())),
        # Without the variable it lies in the working directory, and nothing is ever written there.
        Served(examples, get_cache_folder(), may_lie_inside=examples not in variables),
        # Nothing between two commas is the working directory.
        *(Served("GRADIO_ALLOWED_PATHS", Path(path.strip())) for path in allowed.split(",") if allowed),
        Served("HUNYUAN_UI_DATA_DIR", Path(str(cast("Any", gr).__file__)).parent, may_lie_inside=True),
    ]


def _sha256(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _drop_old_ones() -> None:
    oldest = time.time() - KEPT_S
    for copy in Path(get_upload_folder()).glob(f"*/{_NAME.format(width='*', height='*', seed='*', suffix='.*')}"):
        with suppress(OSError):  # another program with the same cache may be at it too
            if copy.stat().st_mtime < oldest:
                copy.unlink()
