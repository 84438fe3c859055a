"""What a list of prompts is to whoever sends it: its rows with their jobs, what it costs, and how it stands."""

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
    """A row with the job that it is; None for a job that is not stored yet."""

    row: Row
    job_id: str
    request: VideoRequest
    job: Job | None = None
    is_deleted: bool = False

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will be done for it."""
        return self.job is not None and not self.job.is_active

    @property
    def state(self) -> str:
        """Its job's status, or `not_sent`, or `deleted`."""
        if self.job is None:
            return NOT_SENT
        return DELETED if self.is_deleted else self.job.status.value


@dataclass(frozen=True)
class Order:
    """How a list is sent.

    Args:
        visitor: Who sends it.
        budget_usd: Most that it may spend, with what it has spent at earlier runs.
        payer: Whom they chose to pay; None for what is usual here.
        own_key: Their own key, kept in memory only.
        shown_usd: The most that was shown for what is still to be made; None compares nothing.
        is_confirmed: They accept videos above the limit for one.
        is_logged_in: They have logged in with Hugging Face.
        retry_failed: Rows that failed without a charge are made once more.
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
    """A list that was checked and priced; nothing is sent.

    Args:
        list_id: Of the list.
        name: Of the list.
        payer: Who would pay.
        entries: Its rows.
        prices: Of each row that is still to be made, by its number.
        spent_usd: What the list has spent or reserved at earlier runs.
        at_once: How many are made side by side.
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
        """How long the rest takes."""
        longest = max((price.seconds for price in self.prices.values()), default=0.0)
        return max(longest, sum(price.seconds for price in self.prices.values()) / self.at_once)

    @property
    def about_usd(self) -> float:
        """What the rest is expected to cost."""
        return 0.0 if self.payer == "nobody" else sum(price.cost_usd for price in self.prices.values())

    @property
    def most_usd(self) -> float:
        """What the rest costs at most."""
        return 0.0 if self.payer == "nobody" else sum(price.high_usd for price in self.prices.values())

    @property
    def facts(self) -> dict[str, str | int | float]:
        """What programs are told of it."""
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
    """How a list stands. Money in US dollars; `spent_usd` holds what is reserved.

    `entries` are all rows that are known here: after a restart, those that were stored. `is_feeding` is true while more
    of them are to be stored.
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
        """Whether anything of it is still to be sent."""
        return self.is_feeding or self.count(JobStatus.QUEUED) > 0

    def count(self, *statuses: JobStatus) -> int:
        """Return how many rows have one of these statuses."""
        return sum(entry.job is not None and entry.job.status in statuses for entry in self.entries)

    @property
    def done(self) -> int:
        """Rows whose video is made."""
        return self.count(JobStatus.DONE)
