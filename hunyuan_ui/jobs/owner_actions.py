"""OwnerActions: queries and actions that are reserved for the owner."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from hunyuan_ui import log
from hunyuan_ui.access_code import AccessCode
from hunyuan_ui.credential_attempts import AttemptLimiter
from hunyuan_ui.errors import AccessError, EndpointError, InvalidRequestError, StorageError
from hunyuan_ui.job import DAY_S, Job, Visitor
from hunyuan_ui.jobs.dispatcher import Dispatcher
from hunyuan_ui.jobs.history_import import HistoryImport
from hunyuan_ui.jobs.job_view import MOST_USD, EngineState, HistoryState
from hunyuan_ui.jobs.job_watch import JobWatch
from hunyuan_ui.jobs.services import Services
from hunyuan_ui.ledger import NAMED, Replica
from hunyuan_ui.limits import BREAKER_AFTER, Day, Totals
from hunyuan_ui.request import clean_text
from hunyuan_ui.settings import Settings

_LONGEST_NOTE: Final = 500
_LOOKED_BACK: Final = 50  # recent jobs searched for the latest one at the engine


class OwnerActions:
    """The owner's reads and decisions, such as whether a job without a response was charged.

    Every method but `prove` and `seen_as` raises AccessError if its visitor is not the owner.
    """

    def __init__(
        self,
        services: Services,
        settings: Settings,
        dispatcher: Dispatcher,
        history: HistoryImport,
        attempts: AttemptLimiter,
        *,
        watch: JobWatch,
    ) -> None:
        self._watch = watch
        self._services = services
        self._history = history
        self._settings = settings
        self._dispatcher = dispatcher
        # Whoever knows the key can spend it anyway, so this grants no further right.
        self.proof = AccessCode(settings.owner_secret, attempts, wrong="owner_key_wrong")

    @property
    def can_be_proven(self) -> bool:
        """Whether this is a public run with an owner's key that can be proven."""
        return self._settings.is_public and self._settings.owner_secret is not None

    async def prove(self, visitor: Visitor, key: str) -> Visitor:
        """Return the visitor as the owner, from now on, if they know the owner's key of this public run.

        Raises:
            SpendLimitError: The key is wrong, or there were too many attempts.
            AccessError: This run is private or has no owner's key.
        """
        if not self.can_be_proven:
            raise AccessError("not_yours")
        await self.proof.enter(visitor, key)
        return self.seen_as(visitor)

    def seen_as(self, visitor: Visitor) -> Visitor:
        """Return the visitor as the owner if they have proven it; on a private run everybody is."""
        is_owner = visitor.is_owner or (self.can_be_proven and self.proof.knows(visitor.id))
        return replace(visitor, is_owner=is_owner)

    async def is_paused(self, visitor: Visitor) -> bool:
        """Whether spending is paused until the owner resumes it."""
        _require_owner(visitor)
        totals: Totals = await self._services.reads(self._services.ledger.totals, "")
        return totals.bad_streak >= BREAKER_AFTER or self._services.needs_review

    async def unknown(self, visitor: Visitor) -> list[Job]:
        """Return the unknown jobs that the owner must settle, oldest first."""
        _require_owner(visitor)
        return await self._services.reads(self._services.ledger.unknown)

    async def all_jobs(self, visitor: Visitor, *, limit: int = 200) -> list[Job]:
        """Return the jobs of all visitors, newest first."""
        _require_owner(visitor)
        return await self._services.reads(self._services.ledger.jobs, None, limit=limit)

    async def days(self, visitor: Visitor, *, count: int = 30) -> list[Day]:
        """Return the cost of the last days (UTC), oldest first; days without a job are left out."""
        _require_owner(visitor)
        now = self._services.ledger.now()
        return await self._services.reads(self._services.ledger.days, now - now % DAY_S - (count - 1) * DAY_S)

    async def settle(self, job_id: str, visitor: Visitor, *, was_charged: bool) -> Job:
        """Record the owner's decision on an unknown job: charged makes it lost, not charged releases it.

        Raises:
            AccessError: The job is not unknown.
        """
        _require_owner(visitor)
        settled = await self._services.writes.soon(
            self._services.ledger.settle_unknown, job_id, was_charged=was_charged
        )
        if settled is None:
            raise AccessError("not_yours")
        log.event("job.settled", job=job_id, was_charged=was_charged)
        self._dispatcher.recheck_limits()
        return settled

    async def doubtful(self, visitor: Visitor) -> list[Job]:
        """Return the jobs with an implausible cost, oldest first; they count as their estimate.

        The named cost is in the notes as `named_usd`.
        """
        _require_owner(visitor)
        return await self._services.reads(self._services.ledger.doubtful)

    async def correct(self, job_id: str, visitor: Visitor, *, cost_usd: float, note: str = "") -> Job:
        """Correct what an ended job cost; the note is kept.

        Args:
            job_id: Of a job that was sent and has ended.
            cost_usd: What it really cost, from 0 to 1,000,000 US dollars.
            note: Why, at most 500 characters.

        Raises:
            AccessError: The job cannot be corrected.
            InvalidRequestError: The amount is invalid.
        """
        _require_owner(visitor)
        if not (math.isfinite(cost_usd) and 0 <= cost_usd <= MOST_USD):
            raise InvalidRequestError("bad_amount", field="cost_usd", high=MOST_USD)
        note = clean_text(note)[:_LONGEST_NOTE]
        corrected = await self._services.writes.soon(self._services.ledger.correct_cost, job_id, cost_usd, note)
        if corrected is None:
            raise AccessError("not_yours")
        log.event("job.corrected", job=job_id, cost_microusd=corrected.cost_microusd)
        await self._services.estimates.reload()
        self._dispatcher.recheck_limits()
        return corrected

    async def confirm(self, job_id: str, visitor: Visitor) -> Job:
        """Accept an implausible cost as the real one.

        Raises:
            AccessError: The job's cost is not in doubt.
        """
        _require_owner(visitor)
        named = next((job.notes[NAMED] for job in await self.doubtful(visitor) if job.id == job_id), None)
        if named is None:
            raise AccessError("not_yours")
        return await self.correct(job_id, visitor, cost_usd=named, note="confirmed")

    async def waiting_for_visitor(self, visitor: Visitor) -> list[Job]:
        """Return the jobs that wait until their visitor enters their key again."""
        _require_owner(visitor)
        return await self._watch.waiting_for_visitor()

    async def end_waiting(self, visitor: Visitor) -> int:
        """Cancel the queued jobs that wait for their visitor's key; return how many."""
        _require_owner(visitor)
        ended = 0
        for job in await self._watch.waiting_for_visitor():
            cancelled = await self._services.writes.soon(self._services.ledger.cancel, job.id)
            if cancelled is not None:
                self._dispatcher.remove_ended(cancelled)
                ended += 1
        log.event("owner.ended_waiting", jobs=ended)
        return ended

    async def resume(self, visitor: Visitor) -> None:
        """Resume spending after three jobs in a row without a video, or after the ledger was damaged."""
        _require_owner(visitor)
        await self._services.writes.soon(self._services.ledger.mark_reviewed)
        await self._services.confirm_review()
        log.event("owner.resumed")
        self._dispatcher.recheck_limits()

    async def replicas(self, visitor: Visitor) -> list[Replica]:
        """Return the processes that share the ledger and their numbers of jobs; none with a single process."""
        _require_owner(visitor)
        return await self._services.reads(self._services.ledger.replicas)

    def history_state(self, visitor: Visitor) -> HistoryState:
        """Return whether the history is needed and whether it was read."""
        _require_owner(visitor)
        return self._history.state()

    async def find_videos(self, visitor: Visitor) -> int:
        """Continue the requests of the last seven days that the ledger lacks; return how many."""
        _require_owner(visitor)
        return await self._history.find()

    async def declare_spending(self, visitor: Visitor, usd: float) -> None:
        """Count what the account was charged today (UTC), and resume spending without the history.

        Args:
            usd: All of today in US dollars, from 0 to 1,000,000; the latest amount of a day counts.

        Raises:
            StorageError: The ledger cannot be written; nothing was counted.
        """
        _require_owner(visitor)
        await self._history.declare_spending(usd)

    def clock_ahead_s(self, visitor: Visitor) -> float:
        """Return the seconds that the newest stored time is ahead of the machine's clock if more than a day, else 0."""
        _require_owner(visitor)
        return self._services.ledger.ahead_s

    async def set_clock_right(self, visitor: Visitor) -> int:
        """Set every stored time that is ahead of the machine's clock to the present; return the number of jobs.

        Costs that counted for a later day then count for today. Does nothing while `clock_ahead_s` is 0.

        Raises:
            StorageError: The ledger cannot be written; nothing was changed.
        """
        _require_owner(visitor)
        if (refusal := self._services.folder.problem) is not None:
            raise StorageError(refusal.code, **refusal.facts)
        jobs = await self._services.writes.soon(self._services.ledger.set_clock_right)
        self._dispatcher.date_back(self._services.ledger.now())
        log.event("owner.set_clock_right", jobs=jobs)
        self._dispatcher.recheck_limits()
        return jobs

    async def engine(self, visitor: Visitor) -> EngineState | None:
        """Return the state of the owner's engine, by its free health endpoint; None without an engine."""
        _require_owner(visitor)
        service, key = self._services.engine, self._settings.engine_key
        if service is None:
            return None
        from hunyuan_ui.endpoint.engines import engine_of

        jobs = await self._services.reads(self._services.ledger.jobs, None, limit=_LOOKED_BACK)
        ids = [job.request_id for job in jobs if job.is_at_engine and job.request_id]
        known = engine_of(ids[0]) if ids else None
        seconds = await self._services.reads(self._services.ledger.engine_seconds)
        try:
            is_ready = await service.client.is_ready(key.reveal() if key else "")
        except EndpointError:
            is_ready = None
        return EngineState(service.client.base_url, known.name if known else "", is_ready, seconds / 3600)

    async def credits(self, visitor: Visitor) -> float | None:
        """Return the account's credits in US dollars by the free call, or None if that fails."""
        _require_owner(visitor)
        key = self._services.keys.owner_key()
        if key is None:
            return None
        try:
            return await self._services.hosted.client.credits(key)
        except EndpointError:
            return None


def _require_owner(visitor: Visitor) -> None:
    if not visitor.is_owner:
        raise AccessError("not_yours")
