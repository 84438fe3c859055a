"""Endings: decide when a sent job has ended without a video. One response is never enough.

Each kind of ending needs several responses in a row and elapsed monotonic time. JobRun then decides between failed and
lost (docs/architecture.md 3 and 4). A missing POST response is no ending: `JobRun` marks the job unknown, and so do
`recovery` at startup and `SharedLedger` for a dead process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Final, NamedTuple

from hunyuan_ui.errors import DownloadError, HunyuanUIError, JobFailedError, MediaError, RequestExpiredError, reason
from hunyuan_ui.job import Job, JobProblem


class Ending(str, Enum):
    """How a response says that a job has ended."""

    FAILED = "failed"  # the service failed to make it
    TAKEN_BACK = "taken_back"  # completed before, failed now
    EXPIRED = "expired"  # the request id is no longer known
    NO_VIDEO = "no_video"  # completed, but without an address
    FILE_GONE = "file_gone"  # the address answers 404, 403, 410 and the like
    LINK_REFUSED = "link_refused"  # the address is unsafe to open, or its content exceeds the limits
    UNREADABLE = "unreadable"  # a complete video was downloaded but cannot be decoded


class Proof(NamedTuple):
    """How many responses in a row, over how many seconds, confirm an ending."""

    answers: int
    seconds: float


# A content network may answer 404 for half a minute until a new file is distributed; a failed status is more reliable
# and needs three ordinary polls.
_SLOW: Final = Proof(4, 60.0)
PROOFS: Final[Mapping[Ending, Proof]] = dict.fromkeys(Ending, _SLOW) | {Ending.FAILED: Proof(3, 10.0)}
_AT_ONCE: Final = Proof(1, 0.0)  # the local preview runs in this process: its first response is final


class Endings:
    """The endings reported for one job since the last response that contradicts them.

    Args:
        is_free: Nobody pays for the job, so that one response is enough.
        now: A monotonic clock in seconds.
    """

    def __init__(self, *, is_free: bool = False, now: Callable[[], float] = time.monotonic) -> None:
        self._is_free = is_free
        self._now = now
        self._seen: dict[Ending, list[float]] = {}  # when each was reported

    def confirm(self, ending: Ending) -> bool:
        """Count a response with this ending; return whether the ending is now confirmed."""
        seen = self._seen.setdefault(ending, [])
        seen.append(self._now())
        proof = _AT_ONCE if self._is_free else PROOFS[ending]
        return len(seen) >= proof.answers and seen[-1] - seen[0] >= proof.seconds

    def clear(self) -> None:
        """Reset: a response contradicts all endings."""
        self._seen.clear()


def ending_of(error: HunyuanUIError, *, was_completed: bool = False) -> Ending | None:
    """Return the ending that an error suggests for a sent job; None if it says nothing about the video.

    Args:
        error: Of a poll, a download, or a check of the file.
        was_completed: The service reported the video as finished before.
    """
    match error:
        case JobFailedError():
            return Ending.TAKEN_BACK if was_completed else Ending.FAILED
        case RequestExpiredError():
            return Ending.EXPIRED
        case DownloadError(expired=True):
            return Ending.FILE_GONE
        case DownloadError(retryable=False):
            return Ending.LINK_REFUSED
        case MediaError(code="video_undecodable"):
            return Ending.UNREADABLE
        case _:
            return Ending.NO_VIDEO if error.code == "no_video_in_result" else None


def gone() -> DownloadError:
    """Return the error for a video that no response names an address of."""
    return DownloadError("video_lost", retryable=False, expired=True, request_id=reason("unknown"))


def problem_of_lost(job: Job, error: HunyuanUIError, kept: Path | None) -> JobProblem:
    """Return the problem of a job whose video cannot be obtained.

    Args:
        kept: The downloaded file that could not be played, if any.
    """
    problem, request_id = JobProblem.of(error), job.request_id or "unknown"
    if job.is_preview:
        return JobProblem.from_code("preview_gone")
    if kept is not None:
        return JobProblem.from_code("video_unreadable", request_id=request_id, file=kept.name)
    if problem.code in ("request_expired", "no_video_in_result", "link_refused", "engine_forgot"):
        return problem
    return JobProblem.from_code("video_lost", request_id=request_id)
