"""Spending limits: pure rules, applied by the ledger inside the transactions that store and that send a job.

Source: docs/architecture.md 5 and docs/facts/faults-and-security.md 6.5.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from hunyuan_ui.errors import SpendLimitError
from hunyuan_ui.job import MICRO, Job, Payer
from hunyuan_ui.settings import Settings

BREAKER_AFTER: Final = 3  # consecutive paid jobs without a video
SECONDS_BETWEEN_SUBMITS: Final = 10  # public only, one visitor
_SHOWN_TOLERANCE_MICROUSD: Final = 10_000  # prices are shown in whole cents
MOST_ACTIVE_OF_ONE: Final = 2  # public only, one visitor: one is running, the next one waits
MOST_WAITING: Final = 20  # public only, jobs in this program's queue
MOST_WAITING_OF_ONE: Final = 4  # public only: of one visitor, or on one visitor's own key
MOST_WAITING_PRIVATE: Final = 200


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums of the ledger when a job is to be stored or sent; money in micro-dollars, spent or reserved.

    `reserved_microusd` is the part of today's sum reserved by jobs that are queued, being sent or running, and
    `queued_microusd` the part of that for queued jobs.
    """

    today_microusd: int = 0
    total_microusd: int = 0
    visitor_today: int = 0
    visitor_active: int = 0
    seconds_since_visitor: float | None = None
    waiting: int = 0
    bad_streak: int = 0
    visitor_waiting: int = 0
    reserved_microusd: int = 0
    queued_microusd: int = 0
    list_microusd: int = 0  # of the job's prompt list
    visitor_queued: int = 0  # the part of `visitor_today` for queued jobs
    waiting_on_key: int = 0  # queued jobs of all processes on the job's key, if that is a visitor's own


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """Facts about queued jobs that the runner knows and the ledger does not."""

    parked: int = 0  # all jobs that wait for their visitor's key and occupy no slot
    own_parked: int = 0  # this visitor's among them
    on_key: int = 0  # other queued jobs of this process on the same key, of any visitor


NO_QUEUE_FACTS: Final = QueueFacts()


@dataclass(frozen=True, slots=True)
class Allowance:
    """Remaining quota of a visitor of a public page.

    `left_today` and `limit` are videos on the owner's key; `is_next_queued` means that another one would wait for the
    visitor's own, `is_full` that it would be refused.
    """

    left_today: int
    limit: int
    is_next_queued: bool
    is_full: bool


@dataclass(frozen=True, slots=True)
class Day:
    """What the owner's key has spent, or may have spent, on one UTC day."""

    begins_at: float  # UTC seconds
    spent_microusd: int
    videos: int


class SpendLimits:
    """The limits of one run.

    Args:
        settings: Of this run.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def payers(self) -> tuple[Payer, ...]:
        """The possible payers for a video here, the default first; nobody pays for a local preview."""
        settings = self._settings
        choices: tuple[tuple[Payer, bool], ...] = (
            ("owner", settings.may_spend_owner_key),
            ("nobody", settings.offers_preview),
            ("visitor", settings.engine_url is None and (settings.is_public or settings.is_preview)),
        )
        return tuple(payer for payer, is_offered in choices if is_offered)

    def payer(
        self, wanted: Payer | None = None, *, has_own_key: bool, knows_code: bool = True, is_logged_in: bool = False
    ) -> Payer:
        """Return the payer of a job.

        Args:
            wanted: The visitor's choice; None selects their own key if they have one, else the owner's or nobody.
            has_own_key: The visitor has entered a key.
            knows_code: The visitor has entered the access code, or there is none.
            is_logged_in: The visitor has logged in with Hugging Face.

        Raises:
            SpendLimitError: No payer is available, or this visitor may not use the owner's key.
        """
        has_own_key = has_own_key and self._settings.engine_url is None
        payer = wanted or self.default_payer(has_own_key=has_own_key)
        if payer == "owner":
            self._check_owner_key(knows_code=knows_code, is_logged_in=is_logged_in)
        elif payer == "visitor" and not has_own_key:
            raise SpendLimitError("no_key")
        elif payer == "nobody" and not self._settings.offers_preview:
            raise SpendLimitError("no_preview")
        return payer

    def default_payer(self, *, has_own_key: bool) -> Payer:
        """Return the payer of a job for which none is named, allowed or not."""
        if has_own_key and self._settings.engine_url is None:  # it is a key for the hosted service
            return "visitor"
        return "nobody" if self._settings.is_preview else "owner"

    def check(
        self,
        job: Job,
        totals: Totals,
        *,
        shown_usd: float | None = None,
        is_confirmed: bool = False,
        queue_facts: QueueFacts = NO_QUEUE_FACTS,
        budget_usd: float | None = None,
    ) -> None:
        """Refuse a job that would exceed a limit.

        Args:
            job: The job to be stored, with its reservation.
            totals: Computed in the same transaction.
            shown_usd: The displayed maximum in US dollars for this job, 0 for none; None skips the comparison.
            is_confirmed: The person has seen and accepted a price above the per-video limit (private only).
            queue_facts: Facts about queued jobs that only the runner knows.
            budget_usd: Maximum in US dollars for the job's prompt list, over all its runs; None for a job without a
                list.

        Raises:
            SpendLimitError: Names the limit, the remaining amount and the job's price.
        """
        if self._settings.is_public:
            # Not per address: all clients behind one router, a Space's proxy or a share link have the same.
            own = totals.visitor_waiting - queue_facts.own_parked
            if max(own, queue_facts.on_key, totals.waiting_on_key) >= MOST_WAITING_OF_ONE:
                raise SpendLimitError("visitor_places", count=MOST_WAITING_OF_ONE)
        waiting = totals.waiting - queue_facts.parked
        if waiting >= (MOST_WAITING if self._settings.is_public else MOST_WAITING_PRIVATE):
            raise SpendLimitError("queue_full", count=waiting)
        if shown_usd is not None:
            check_shown(job.reserved_microusd, shown_usd, "price_changed" if shown_usd else "price_not_shown")
        if budget_usd is not None:
            _check_within("over_list_budget", budget_usd, totals.list_microusd, job.reserved_microusd)
        if job.payer == "owner":
            self._check_breaker(totals)
            if self._settings.is_public or not is_confirmed:
                code = "over_video_limit" if self._settings.is_public else "confirm_price"
                self._check_video_limit(job.reserved_microusd, code)
            self._check_budget(job.reserved_microusd, totals)
        if self._settings.is_public and job.payer != "visitor":
            self._check_fairness(job, totals)

    def check_sending(self, job: Job, totals: Totals, most_usd: float) -> int:
        """Refuse to send a stored job that would exceed a current limit.

        A restart may change the limits, and billing the price. Other queued jobs are not counted: each is checked
            itself, and they would otherwise block the whole queue.

        Args:
            job: As stored, queued.
            totals: Computed in the sending transaction; for the job's list only what was sent.
            most_usd: Its maximum cost by the current calibration.

        Returns:
            Its new reservation, in micro-dollars.

        Raises:
            SpendLimitError: As `check`.
        """
        if job.is_preview:
            return job.reserved_microusd
        price_microusd = max(job.reserved_microusd, round(most_usd * MICRO))
        if (budget_usd := job.list_budget_usd) is not None:
            _check_within("over_list_budget", budget_usd, totals.list_microusd, price_microusd)
        if job.payer == "owner":
            if not self._settings.may_spend_owner_key:
                raise SpendLimitError("owner_key_not_shared")
            self._check_breaker(totals)
            # In private a person has accepted the price of the click, but no higher one.
            if self._settings.is_public or price_microusd > job.reserved_microusd:
                self._check_video_limit(price_microusd, "over_video_limit")
            if self._settings.is_public:
                self._check_videos_today(totals.visitor_today - totals.visitor_queued)
            today, total = (sum_ - totals.queued_microusd for sum_ in (totals.today_microusd, totals.total_microusd))
            self._check_budget(price_microusd, replace(totals, today_microusd=today, total_microusd=total))
        return price_microusd

    def allowance(self, totals: Totals) -> Allowance:
        """Return the remaining quota of a visitor of a public page; the same rules as `check`."""
        limit, active = self._settings.visitor_daily_videos, totals.visitor_active
        left = max(0, limit - totals.visitor_today)
        return Allowance(left, limit, 0 < active < MOST_ACTIVE_OF_ONE, active >= MOST_ACTIVE_OF_ONE)

    def _check_owner_key(self, *, knows_code: bool, is_logged_in: bool) -> None:
        settings = self._settings
        if settings.is_preview:
            raise SpendLimitError("no_key")
        if not settings.may_spend_owner_key:
            raise SpendLimitError("owner_key_not_shared")
        if settings.is_public and not knows_code:
            raise SpendLimitError("access_code_needed")
        if settings.requires_login and not is_logged_in:
            raise SpendLimitError("login_needed")

    def _check_breaker(self, totals: Totals) -> None:
        if totals.bad_streak >= BREAKER_AFTER and self._settings.is_public:
            raise SpendLimitError("breaker_open", count=totals.bad_streak)

    def _check_video_limit(self, price_microusd: int, code: str) -> None:
        limit_usd = self._settings.video_limit_usd
        if price_microusd > round(limit_usd * MICRO):
            raise SpendLimitError(code, price=price_microusd / MICRO, limit=limit_usd)

    def _check_budget(self, price_microusd: int, totals: Totals) -> None:
        settings = self._settings
        for code, limit_usd, counted_microusd in (
            ("over_daily_limit", settings.daily_limit_usd, totals.today_microusd),
            ("over_total_limit", settings.total_limit_usd, totals.total_microusd),
        ):
            if limit_usd is not None:
                _check_within(code, limit_usd, counted_microusd, price_microusd)

    def _check_fairness(self, job: Job, totals: Totals) -> None:
        if totals.visitor_active >= MOST_ACTIVE_OF_ONE:
            raise SpendLimitError("visitor_busy")
        if job.payer == "owner":
            self._check_videos_today(totals.visitor_today)
        since = totals.seconds_since_visitor
        if since is not None and since < SECONDS_BETWEEN_SUBMITS:
            raise SpendLimitError("too_soon", seconds=round(SECONDS_BETWEEN_SUBMITS - since) or 1)

    def _check_videos_today(self, count: int) -> None:
        limit = self._settings.visitor_daily_videos
        if count >= limit:
            raise SpendLimitError("visitor_daily_videos", count=count, limit=limit)


def _check_within(code: str, limit_usd: float, counted_microusd: int, price_microusd: int) -> None:
    limit_microusd = round(limit_usd * MICRO)
    if counted_microusd + price_microusd > limit_microusd:
        left_microusd = max(0, limit_microusd - counted_microusd)
        raise SpendLimitError(code, limit=limit_usd, left=left_microusd / MICRO, price=price_microusd / MICRO)


def check_shown(price_microusd: int, shown_usd: float, code: str) -> None:
    """Refuse a price that is higher than the displayed one, with error code `code`."""
    shown_microusd = round(shown_usd * MICRO)
    if price_microusd > shown_microusd + _SHOWN_TOLERANCE_MICROUSD:
        raise SpendLimitError(code, price=price_microusd / MICRO, shown=shown_microusd / MICRO)
