"""Jobs whose ids follow from another one: the variations of one click, and what is tried again."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from hunyuan_ui.request import MAX_SEED, RANDOM_SEED, VideoRequest

COUNTS: Final = ("1", "2", "3", "4")
LOOKED_BACK: Final = 50  # jobs of a visitor among which those of one click are looked for


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
        jobs.append((_id_of(job_id, index), wish.model_copy(update={"seed": seed})))
    return jobs


def click_of(job_id: str, known: Iterable[str]) -> list[str]:
    """Return the ids of the jobs of one click in their order, each as it was last tried; of a single one, none.

    Args:
        job_id: Any of them.
        known: Ids of the same visitor's jobs.
    """
    ids = set(known)
    for first in ids:
        members = [_last_try(own, ids) for own in (first, *(_id_of(first, index) for index in range(1, len(COUNTS))))]
        found = [member for member in members if member]
        if len(found) > 1 and job_id in found:
            return found
    return []


def _id_of(first_id: str, index: int) -> str:
    return sha256(f"{first_id}/{index}".encode()).hexdigest()[:32]


def _last_try(job_id: str, known: set[str]) -> str:
    last = ""
    while job_id in known:
        last, job_id = job_id, again_id(job_id)
    return last


def again_id(job_id: str) -> str:
    """Return the id of the job that a job becomes when it is tried again; the same however often that is pressed."""
    return sha256(f"{job_id}/again".encode()).hexdigest()[:32]
