"""Jobs with derived ids: the variations of one click, and retries."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Final, NamedTuple, TypedDict

from hunyuan_ui.job import InClick, Job
from hunyuan_ui.request import MAX_SEED, RANDOM_SEED, VideoRequest

COUNTS: Final = ("1", "2", "3", "4")
LOOKED_BACK: Final = 50  # recent jobs of a visitor that are searched for those of one click


def count_in(chosen: object) -> int:
    """Return the number of videos that the control selects; 1 for an invalid value."""
    return int(str(chosen)) if str(chosen) in COUNTS else 1


class JobSpec(NamedTuple):
    """Specification of one job of a click."""

    id: str
    request: VideoRequest
    in_click: InClick | None

    def is_of(self, job: Job) -> bool:
        """Whether a stored job is what this asks for, and its click asked for as many videos."""
        drawn = {"seed": job.request.seed} if self.request.seed == RANDOM_SEED else {}
        is_same = self.request.model_copy(update=drawn) == job.request
        return is_same and _wished(job.in_click) in (None, _wished(self.in_click))


class Click(TypedDict):
    """The videos of one click as the page reads them: the click's id, and its jobs in order."""

    id: str
    jobs: list[str]


def variations(job_id: str, request: VideoRequest, count: int) -> list[JobSpec]:
    """Return the jobs of one click, the first as requested.

    Args:
        job_id: Made by the browser. The other ids are derived from it, so that a repeated click names the same jobs.
        request: With a seed of -1 each video draws its own; else consecutive seeds are used.
        count: 1 to 4.
    """
    jobs = [JobSpec(job_id, request, InClick(job_id, 0, count) if count > 1 else None)]
    for index in range(1, count):
        seed = request.seed if request.seed == RANDOM_SEED else (request.seed + index) % (MAX_SEED + 1)
        again = request.model_copy(update={"seed": seed})
        jobs.append(JobSpec(_follows(job_id, str(index)), again, InClick(job_id, index, count)))
    return jobs


def first_left(specs: Iterable[JobSpec], known: Iterable[Job]) -> tuple[JobSpec, Job] | None:
    """Return the first job of a click that is among a visitor's jobs, with its specification; None if none is."""
    own = {job.id: job for job in known}
    return next(((spec, own[spec.id]) for spec in specs if spec.id in own), None)


def click_of(job_id: str, known: Iterable[Job]) -> Click | None:
    """Return the jobs of one click, each in its latest attempt; None for a single video and for a retry.

    Args:
        job_id: Any of them.
        known: The same visitor's jobs.
    """
    placed = [(job.in_click, job) for job in known if job.in_click is not None]
    own = next((click for click, job in placed if job.id == job_id), None)
    if own is None:
        return None
    of_click = sorted((job.created_at, click.place, job.id) for click, job in placed if click.click_id == own.click_id)
    last = {place: id_ for _, place, id_ in of_click}
    jobs = [last[place] for place in sorted(last)]
    return {"id": own.click_id, "jobs": jobs} if len(jobs) > 1 and job_id in jobs else None


def is_whole(job: Job, known: Iterable[Job]) -> bool:
    """Whether every video of a job's click was stored: a server that is killed may have stored only some.

    Args:
        job: Any of the click's.
        known: The same visitor's jobs.
    """
    click, wished = job.in_click, _wished(job.in_click)
    if click is None or wished is None:
        return True
    placed = [one.in_click for one in known if one.in_click is not None]
    return len({one.place for one in placed if one.click_id == click.click_id}) >= wished


def again_id(job_id: str) -> str:
    """Return the id of a job's retry; the same however often the button is pressed."""
    return _follows(job_id, "again")


def _wished(click: InClick | None) -> int | None:
    return 1 if click is None else click.count


def _follows(job_id: str, what: str) -> str:
    return sha256(f"{job_id}/{what}".encode()).hexdigest()[:32]
