"""Job: one requested video as a row of the ledger, its statuses, and what each means for money."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha256
from typing import Any, Final, Literal, NamedTuple

from hunyuan_ui.errors import HunyuanUIError, code_when_sent, limit_of
from hunyuan_ui.request import VideoRequest

MICRO: Final = 1_000_000  # micro-dollars in a dollar
DAY_S: Final = 86_400  # limits and plots use UTC days
_ID: Final = re.compile(r"[0-9a-f]{32}")
_CLICK: Final = "click"  # key in a job's notes
_LIST: Final = "list"  # the same
_BUDGET: Final = "budget_usd"  # key in a list's note

Payer = Literal["owner", "visitor", "nobody"]
Dialect = Literal["v1", "v2", "openai"]


class JobStatus(str, Enum):
    """Status of a job: the ledger's column `status` (docs/architecture.md 4)."""

    QUEUED = "queued"
    SUBMITTING = "submitting"
    RUNNING = "running"
    DOWNLOADING = "downloading"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    LOST = "lost"


SPENT: Final = frozenset({JobStatus.DOWNLOADING, JobStatus.DONE, JobStatus.UNKNOWN, JobStatus.LOST})
AT_SERVICE: Final = (JobStatus.RUNNING, JobStatus.DOWNLOADING)  # accepted by the service: never requeued
ACTIVE: Final = frozenset({JobStatus.QUEUED, JobStatus.SUBMITTING, JobStatus.RUNNING, JobStatus.DOWNLOADING})


class Phase(str, Enum):
    """Activity of an unfinished job as the page shows it; finer than the status, never stored."""

    WAITING = "waiting"  # in this program's queue
    PAUSED = "paused"  # in this program's queue, which waits for credits, a key or a rate limit
    SENT = "sent"  # the POST is in flight
    IN_SERVICE_QUEUE = "in_service_queue"
    RENDERING = "rendering"
    RECONNECTING = "reconnecting"  # the service is unreachable at the moment; the job continues there
    DOWNLOADING = "downloading"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class JobProblem:
    """Why a job did not end with a video: an error's code and values.

    Args:
        code: The error's.
        facts: Its values, JSON-serialisable.
        sentence: From a row of an older version, which may lack values: its English sentence.
    """

    code: str
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    sentence: str = ""

    @classmethod
    def of(cls, error: HunyuanUIError, *, is_sent: bool = False) -> JobProblem:
        """Return the storable form of an error; its sentence about money depends on whether the job was sent."""
        return cls.from_code(code_when_sent(error.code) if is_sent else error.code, **error.facts)

    @classmethod
    def from_code(cls, code: str, /, **facts: object) -> JobProblem:
        """Return a problem that was detected without an exception, for example after a restart."""
        kept = (int, float, list, dict)
        return cls(code, {name: value if isinstance(value, kept) else str(value) for name, value in facts.items()})


class Made(NamedTuple):
    """Actual properties of a video: size in px, number of frames, seconds."""

    width: int
    height: int
    frames: int
    duration_s: float


@dataclass(frozen=True, slots=True)
class Job:
    """One row of the ledger. Times are UTC seconds, money is micro-dollars."""

    id: str
    visitor: str
    status: JobStatus
    request: VideoRequest
    dialect: Dialect
    payer: Payer
    created_at: float
    updated_at: float
    reserved_microusd: int
    predicted_s: float
    sent_at: float | None = None
    ended_at: float | None = None
    not_before: float | None = None
    request_id: str | None = None
    cost_microusd: int | None = None
    inference_s: float | None = None
    queue_s: float | None = None
    result_url: str | None = None
    sha256: str | None = None
    problem: JobProblem | None = None
    notes: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def is_sent(self) -> bool:
        """Whether it was sent, so that it may be charged."""
        return self.status not in (JobStatus.QUEUED, JobStatus.CANCELLED)

    @property
    def made(self) -> Made:
        """Properties read from the file; before that, and for videos of older versions, those of the request."""
        width, height = self.request.real_size
        notes = self.notes
        return Made(
            width=int(notes.get("width", width)),
            height=int(notes.get("height", height)),
            frames=int(notes.get("frames", self.request.video_length)),
            duration_s=float(notes.get("duration_s", self.request.duration_s)),
        )

    @property
    def in_click(self) -> InClick | None:
        """The click of several videos that it belongs to."""
        match self.notes.get(_CLICK):
            case {"id": str(click_id), "place": int(place), **more}:
                return InClick(click_id, place, more.get("count"))
            case _:
                return None

    @property
    def list_budget_usd(self) -> float | None:
        """Maximum that its prompt list may spend; None for a job without a list."""
        budget_usd = self.notes.get(_LIST, {}).get(_BUDGET)
        return None if budget_usd is None else float(budget_usd)

    @property
    def held_by(self) -> str | None:
        """The code of the limit that holds it in the queue; None if it waits for its turn or was sent."""
        return limit_of(self.problem.code) if self.status is JobStatus.QUEUED and self.problem else None

    @property
    def differs(self) -> bool:
        """Whether the video's size or length differs from the request."""
        asked = (*self.request.real_size, self.request.video_length)
        return (self.made.width, self.made.height, self.made.frames) != asked

    @property
    def cost_usd(self) -> float | None:
        """Its named cost in US dollars, if any."""
        return None if self.cost_microusd is None else self.cost_microusd / MICRO

    @property
    def began_at(self) -> float:
        """When it was sent, or else stored, in UTC seconds."""
        return self.sent_at or self.created_at

    @property
    def estimate_microusd(self) -> int:
        """Its expected cost when it was sent."""
        return round(float(self.notes.get("estimate_usd", self.reserved_microusd / MICRO)) * MICRO)

    @property
    def is_preview(self) -> bool:
        """Whether the local endpoint makes it, for free."""
        return self.payer == "nobody"

    @property
    def is_at_engine(self) -> bool:
        """Whether a self-hosted engine makes it."""
        return self.dialect == "openai"

    @property
    def is_unpriced(self) -> bool:
        """Whether a self-hosted engine without an hourly price makes it."""
        return self.is_at_engine and not self.reserved_microusd and not self.cost_microusd

    @property
    def is_active(self) -> bool:
        """Whether the runner still has to work on it."""
        return self.status in ACTIVE

    @property
    def has_correctable_cost(self) -> bool:
        """Whether it was sent and has ended, so that its cost may be corrected."""
        ended = (JobStatus.DONE, JobStatus.LOST, JobStatus.UNKNOWN, JobStatus.FAILED)
        return self.sent_at is not None and self.status in ended

    @property
    def if_interrupted(self) -> JobProblem:
        """Why it is unknown if its process stopped during the POST."""
        return JobProblem.from_code("preview_gone" if self.is_preview else "interrupted")

    @property
    def charged_microusd(self) -> int:
        """Its amount for whoever pays: its cost, else the reservation while it may be charged."""
        if self.is_preview or self.status in (JobStatus.FAILED, JobStatus.CANCELLED):
            return 0
        if self.status in SPENT and self.cost_microusd is not None:
            return self.cost_microusd
        # A cost named before the end may be partial.
        return max(self.reserved_microusd, self.cost_microusd or 0)

    @property
    def counted_microusd(self) -> int:
        """Its amount against the owner's limits."""
        return self.charged_microusd if self.payer == "owner" else 0


@dataclass(frozen=True, slots=True)
class Visitor:
    """A caller. `id` is the hash of the browser's token; `is_owner` is true for everybody in private mode.

    Args:
        id: Hex digest; the token itself is never stored.
        is_owner: May see and settle every job on this installation.
        address: Source address of this call, as the server sees it; it identifies nobody, and only limits how fast keys
            and codes may be tried.
    """

    id: str
    is_owner: bool = False
    address: str = field(default="", compare=False)

    @classmethod
    def from_token(cls, token: str, *, is_owner: bool = False, address: str = "") -> Visitor:
        """Return the visitor with a browser's 128-bit token."""
        return cls(sha256(token.encode()).hexdigest()[:32], is_owner, address)

    def may_see(self, job: Job) -> bool:
        """Whether this visitor may read, cancel or delete the job."""
        return self.is_owner or secrets.compare_digest(self.id, job.visitor)


@dataclass(frozen=True, slots=True)
class InList:
    """Membership of a job in a prompt list.

    Args:
        list_id: Of the list.
        budget_usd: Maximum in US dollars for the whole list, over all its runs.
        row: Its position, from 1.
        rows: Number of rows in the list.
    """

    list_id: str
    budget_usd: float
    row: int
    rows: int

    def note(self, job: Job) -> None:
        """Store it in the job's notes, from which the budget is read when the job is about to be sent."""
        job.notes[_LIST] = {"row": self.row, "rows": self.rows, _BUDGET: self.budget_usd}


def with_budget(notes: dict[str, Any], budget_usd: float) -> dict[str, Any]:
    """Return the notes of a list's row with a new budget, in US dollars."""
    return {**notes, _LIST: {**notes.get(_LIST, {}), _BUDGET: budget_usd}}


@dataclass(frozen=True, slots=True)
class InClick:
    """Membership of a job in a click of several videos; stored with each, so that it survives deletions of the others.

    Args:
        click_id: The id of the click's first job, which may have been deleted.
        place: Its position among them, from 0. A retry takes the position of the failed job.
        count: How many videos the click requested; None in a row of an older version.
    """

    click_id: str
    place: int
    count: int | None

    def note(self, job: Job) -> None:
        """Store it in the job's notes."""
        job.notes[_CLICK] = {"id": self.click_id, "place": self.place, "count": self.count}


# Owner of the jobs restored from the account's history; no browser's token has this hash.
OWNER: Final = Visitor.from_token("the owner of the key", is_owner=True)


def new_id() -> str:
    """Return a random 128-bit id, also used for visitor tokens."""
    return secrets.token_hex(16)


def is_id(text: object) -> bool:
    """Whether this is a well-formed job id or visitor token."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None
