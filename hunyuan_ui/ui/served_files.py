"""Addresses of finished videos in the form of Gradio's file serving, and the folders that this would serve."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import gradio as gr
from gradio.utils import get_cache_folder, get_upload_folder
from starlette.convertors import Convertor, register_url_convertor

from hunyuan_ui.job import Job
from hunyuan_ui.startup import Served

_NAME: Final = "hunyuan-video-{width}x{height}-seed-{seed}{suffix}"
_SERVED: Final = re.compile(r"(?:.*[\\/])?(?P<id>[0-9a-f]{32})(?P<code>[0-9a-f]{32})[\\/][^\\/]*", re.DOTALL)


class _ServedPath(Convertor[str]):
    """Path converter for these paths; no other path is served."""

    # Without a dot in the name: each place where the suffix could begin would be tried to the end of a long path.
    regex = r"(?:[\s\S]*[\\/])?[0-9a-f]{64}[\\/][^\\/.]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("served", _ServedPath())


def download_name(job: Job, suffix: str) -> str:
    """Return a download's file name; it contains no word of the prompt."""
    width, height, *_ = job.made
    return _NAME.format(width=width, height=height, seed=job.request.seed, suffix=suffix)


def served_path(job: Job, code: str, suffix: str) -> str:
    """Return the path by which Gradio and its clients address a finished video.

    No file exists there: every process serves it from the library, so that nothing remains of a deleted video.

    Args:
        job: Of the video.
        code: Signature that grants access to its files.
        suffix: Of the file in the library.
    """
    return str(Path(get_upload_folder()) / f"{job.id}{code}" / download_name(job, suffix))


def named_by(path: str) -> tuple[str, str]:
    """Return the job id and the code in a path from `served_path`, of any process; empty for any other path."""
    found = _SERVED.fullmatch(path)
    return (found["id"], found["code"]) if found else ("", "")


def served_folders(variables: Mapping[str, str]) -> list[Served]:
    """Return all folders that Gradio would serve by path to everybody (its `file_fetch`), each with its variable.

    The filter closes that route: this refuses a folder that only one rule would keep closed. The first is Gradio's own.

    Args:
        variables: Of the environment.
    """
    examples, allowed = "GRADIO_EXAMPLES_CACHE", variables.get("GRADIO_ALLOWED_PATHS", "")
    return [
        Served("GRADIO_TEMP_DIR", Path(get_upload_folder())),
        # Without the variable it is in the working directory, and nothing is ever written there.
        Served(examples, get_cache_folder(), may_lie_inside=examples not in variables),
        # An empty entry between two commas means the working directory.
        *(Served("GRADIO_ALLOWED_PATHS", Path(path.strip())) for path in allowed.split(",") if allowed),
        Served("HUNYUAN_UI_DATA_DIR", Path(str(cast("Any", gr).__file__)).parent, may_lie_inside=True),
    ]
