"""Jobs whose ids follow from another one: the variations of one click, and what is tried again."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from hunyuan_ui.request import MAX_SEED, RANDOM_SEED, VideoRequest

COUNTS: Final = ("1", "2", "3", "4")


def count_in(chosen: object) -> int:
    """Return how many videos the control asks for; one where it says nothing that can be chosen."""
    return int(str(chosen)) if str(chosen) in COUNTS else 1


def variations(job_id: str, wish: VideoRequest, count: int) -> list[tuple[str, VideoRequest]]:
    """Return the jobs of one click: their ids and requests, the first as it was asked for.

    Args:
        job_id: Made by the browser. The other ids follow from it, so that a repeated click names the same jobs.
        wish: With a seed of -1 each video draws its own; else the next seeds follow.
        count: 1 to 4.
    """
    jobs = [(job_id, wish)]
    for index in range(1, count):
        seed = wish.seed if wish.seed == RANDOM_SEED else (wish.seed + index) % (MAX_SEED + 1)
        own_id = sha256(f"{job_id}/{index}".encode()).hexdigest()[:32]
        jobs.append((own_id, wish.model_copy(update={"seed": seed})))
    return jobs


def again_id(job_id: str) -> str:
    """Return the id of the job that a job becomes when it is tried again; the same however often that is pressed."""
    return sha256(f"{job_id}/again".encode()).hexdigest()[:32]
