"""A data folder with an earlier run's finished videos."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from hunyuan_ui.job import Job, JobStatus, Visitor, new_id
from hunyuan_ui.library.library import VideoLibrary
from hunyuan_ui.request import VideoRequest
from tests.videos import mp4_bytes


def put_video(data_dir: Path, token: str, *, age_s: float = 60.0, data: bytes | None = None, **settings: Any) -> Job:
    """Put one finished video of a visitor into the library of a data folder; the next start adopts it."""
    now = time.time() - age_s
    job = Job(
        id=new_id(),
        visitor=Visitor.from_token(token).id,
        status=JobStatus.DOWNLOADING,
        request=VideoRequest.parse({"prompt": "a heron at dawn", "seed": 7, "video_length": 5, **settings}),
        dialect="v2",
        payer="nobody",
        created_at=now,
        updated_at=now,
        reserved_microusd=0,
        predicted_s=200.0,
        sent_at=now,
        request_id="request-1",
        cost_microusd=0,
        inference_s=3.0,
    )
    library = VideoLibrary(data_dir / "videos")
    library.part(job.id).write_bytes(data or mp4_bytes())
    return library.store(job, library.part(job.id))
