"""My videos: its parts on the page, and a finished video as their scripts read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hunyuan_ui.export import RATES, SIDES
from hunyuan_ui.job import Job
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.runner import JobRunner
from hunyuan_ui.ui.jobs import facts_of
from hunyuan_ui.ui.part import part
from hunyuan_ui.ui.text import Words


@dataclass(frozen=True)
class Gallery:
    """The grid of posters, the dialog of one video, and the dialog of two."""

    grid: Any
    viewer: Any
    compare: Any


def build_gallery(runner: JobRunner) -> Gallery:
    """Place My videos and its two dialogs.

    Args:
        runner: Of this page; on a private run its owner may see everybody's videos.
    """
    grid = part("gallery")
    grid.value = {"is_owner": not runner.settings.is_public}
    viewer = part("viewer")
    viewer.value = {"sides": SIDES, "rates": RATES, "fields": list(VideoRequest.model_fields)}
    compare = part("compare")
    compare.value = {"fields": list(VideoRequest.model_fields)}
    return Gallery(grid, viewer, compare)


def video_json(job: Job, code: str, say: Words) -> dict[str, Any]:
    """Return a finished video as the page's scripts read it, in the visitor's language.

    Args:
        job: A job that is done.
        code: Opens its files.
        say: The visitor's words.
    """
    made = job.made
    return {
        "id": job.id,
        "code": code,
        "created_at": job.created_at,
        "length": say("result.seconds", seconds=f"{made.duration_s:.1f}"),
        "duration_s": made.duration_s,
        "width": made.width,
        "height": made.height,
        "facts": facts_of(job, say),
        "settings": job.request.model_dump(),
    }
