"""A prompt list as its sender sees it: rows with their jobs, cost, and state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hunyuan_ui.estimate import Estimate
from hunyuan_ui.job import Job, JobProblem, JobStatus, Payer, Visitor
from hunyuan_ui.prompt_list import Row
from hunyuan_ui.request import VideoRequest

NOT_SENT: Final = "not_sent"
DELETED: Final = "deleted"


@dataclass
class Entry:
    """A row with its job; None for a job that is not stored yet."""

    row: Row
    job_id: str
    request: VideoRequest
    job: Job | None = None
    is_deleted: bool = False

    @property
    def has_ended(self) -> bool:
        """Whether the row is finished, successfully or not."""
        return self.job is not None and not self.job.is_active

    @property
    def state(self) -> str:
        """Its job's status, or `not_sent`, or `deleted`."""
        if self.job is None:
            return NOT_SENT
        return DELETED if self.is_deleted else self.job.status.value


@dataclass(frozen=True)
class Order:
    """Options with which a list is submitted.

    Args:
        budget_usd: The most that it may spend, including what earlier runs have spent.
        payer: The chosen payer; None for the default.
        own_key: The sender's own key, kept in memory only.
        shown_usd: The maximum that was shown for the remaining rows; None skips the comparison.
        is_confirmed: The sender accepts videos above the per-video limit.
        retry_failed: Rows that failed without a charge are tried again.
    """

    visitor: Visitor
    budget_usd: float = 0.0
    payer: Payer | None = None
    own_key: str | None = None
    shown_usd: float | None = None
    is_confirmed: bool = False
    is_logged_in: bool = False
    retry_failed: bool = False


@dataclass(frozen=True)
class Plan:
    """A validated and priced list; nothing is sent.

    Args:
        prices: Of each remaining row, by its number.
        spent_usd: What the list has spent or reserved in earlier runs.
    """

    list_id: str
    name: str
    payer: Payer
    entries: list[Entry]
    prices: Mapping[int, Estimate]
    spent_usd: float
    at_once: int

    @property
    def seconds(self) -> float:
        """Expected seconds for the remaining rows."""
        longest = max((price.seconds for price in self.prices.values()), default=0.0)
        return max(longest, sum(price.seconds for price in self.prices.values()) / self.at_once)

    @property
    def about_usd(self) -> float:
        """Expected cost of the remaining rows."""
        return 0.0 if self.payer == "nobody" else sum(price.cost_usd for price in self.prices.values())

    @property
    def most_usd(self) -> float:
        """Maximum cost of the remaining rows."""
        return 0.0 if self.payer == "nobody" else sum(price.high_usd for price in self.prices.values())

    @property
    def facts(self) -> dict[str, str | int | float]:
        """The plan for programs, as JSON values."""
        return {
            "list_id": self.list_id,
            "name": self.name,
            "rows": len(self.entries),
            "to_make": len(self.prices),
            "seconds": round(self.seconds, 1),
            "about_usd": round(self.about_usd, 4),
            "most_usd": round(self.most_usd, 4),
            "spent_usd": round(self.spent_usd, 6),
        }


@dataclass(frozen=True)
class BatchView:
    """State of a list. Money in US dollars; `spent_usd` includes reservations.

    `entries` are all rows known here; after a restart, those that were stored. `is_feeding` is true while more of them
        are to be stored.
    """

    list_id: str
    name: str
    rows: int
    entries: list[Entry]
    spent_usd: float
    budget_usd: float | None
    left_s: float
    is_running: bool
    problem: JobProblem | None = None
    is_feeding: bool = False

    @property
    def can_stop(self) -> bool:
        """Whether any row is still to be sent."""
        return self.is_feeding or self.count(JobStatus.QUEUED) > 0

    @property
    def latest(self) -> Job | None:
        """The newest job of its rows, whose maker is the list's."""
        made = [entry.job for entry in self.entries if entry.job]
        return max(made, key=lambda job: job.created_at, default=None)

    def count(self, *statuses: JobStatus) -> int:
        """Return how many rows have one of these statuses."""
        return sum(entry.job is not None and entry.job.status in statuses for entry in self.entries)

    @property
    def done(self) -> int:
        """Number of rows whose video is finished."""
        return self.count(JobStatus.DONE)

    @property
    def missed(self) -> dict[str, int]:
        """Number of sent rows that ended without a video, by status."""
        return {status.value: self.count(status) for status in (JobStatus.FAILED, JobStatus.UNKNOWN, JobStatus.LOST)}
