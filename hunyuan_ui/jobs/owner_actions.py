"""OwnerActions: what only the owner may see and decide."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from hunyuan_ui import log
from hunyuan_ui.access_code import AccessCode, Tries
from hunyuan_ui.errors import AccessError, EndpointError, InvalidRequestError, StorageError
from hunyuan_ui.job import Job, JobStatus, Visitor
from hunyuan_ui.jobs.history import SpendingHistory
from hunyuan_ui.jobs.job_view import HistoryState
from hunyuan_ui.jobs.queue import Dispatcher
from hunyuan_ui.jobs.services import Services
from hunyuan_ui.ledger import NAMED, confirm_review, needs_review
from hunyuan_ui.limits import BREAKER_AFTER, Day, Totals
from hunyuan_ui.request import clean_text
from hunyuan_ui.settings import Settings

DAY_S: Final = 86_400
MOST_USD: Final = 1_000_000
_LONGEST_NOTE: Final = 500


class OwnerActions:
    """Settles what no program can know: whether a job without an answer was charged.

    Args:
        services: Ledger, client and folder.
        settings: Of this run.
        dispatcher: Woken when the queue may go on.
        history: What the account's history knows.
        tries: How fast the owner's key may be guessed.
    """

    def __init__(
        self, services: Services, settings: Settings, dispatcher: Dispatcher, history: SpendingHistory, tries: Tries
    ) -> None:
        self._services = services
        self._history = history
        self._settings = settings
        self._dispatcher = dispatcher
        # Who knows the key can spend it anyway, so nobody gains by it what they did not have.
        self._proof = AccessCode(settings.api_key, tries, wrong="owner_key_wrong")

    @property
    def can_be_proven(self) -> bool:
        """Whether this is a public run that has an owner's key to know."""
        return self._settings.is_public and self._settings.api_key is not None

    async def prove(self, visitor: Visitor, key: str) -> Visitor:
        """Return the visitor as the owner, from now on, for knowing the key this public run was started with.

        Raises:
            SpendLimitError: It is another key, or too many were tried lately.
            AccessError: There is nothing to prove here.
        """
        if not self.can_be_proven:
            raise AccessError("not_yours")
        await self._proof.enter(visitor, key)
        return self.seen_as(visitor)

    def seen_as(self, visitor: Visitor) -> Visitor:
        """Return the visitor as the owner where that was proven; in private everybody is."""
        is_owner = visitor.is_owner or (self.can_be_proven and self._proof.knows(visitor.id))
        return replace(visitor, is_owner=is_owner)

    async def is_paused(self, visitor: Visitor) -> bool:
        """Whether spending waits for the owner's word.

        Raises:
            AccessError: The visitor is not the owner.
        """
        _require_owner(visitor)
        totals: Totals = await self._services.reads(self._services.ledger.totals, "")
        return totals.bad_streak >= BREAKER_AFTER or needs_review(self._services.folder.path)

    async def unknown(self, visitor: Visitor) -> list[Job]:
        """Return the jobs that wait for the owner's word, oldest first.

        Raises:
            AccessError: The visitor is not the owner.
        """
        _require_owner(visitor)
        return await self._services.reads(self._services.ledger.unknown)

    async def everything(self, visitor: Visitor, *, limit: int = 200) -> list[Job]:
        """Return everybody's jobs newest first.

        Raises:
            AccessError: The visitor is not the owner.
        """
        _require_owner(visitor)
        return await self._services.reads(self._services.ledger.jobs, None, limit=limit)

    async def days(self, visitor: Visitor, *, count: int = 30) -> list[Day]:
        """Return what the last days (UTC) cost, oldest first; days without a job are left out.

        Raises:
            AccessError: The visitor is not the owner.
        """
        _require_owner(visitor)
        now = self._services.ledger.now()
        return await self._services.reads(self._services.ledger.days, now - now % DAY_S - (count - 1) * DAY_S)

    async def settle(self, job_id: str, visitor: Visitor, *, was_charged: bool) -> Job:
        """Record the owner's word on an unknown job: charged counts as spent and lost, not charged is released.

        Raises:
            AccessError: The visitor is not the owner, or the job is not unknown.
        """
        _require_owner(visitor)
        settled = await self._services.writes.soon(
            self._services.ledger.settle_unknown, job_id, was_charged=was_charged
        )
        if settled is None:
            raise AccessError("not_yours")
        log.event("job.settled", job=job_id, was_charged=was_charged)
        return settled

    async def doubtful(self, visitor: Visitor) -> list[Job]:
        """Return the jobs whose named cost could not be meant, oldest first; they count as their estimate.

        What the service named stands in the notes as `named_usd`.

        Raises:
            AccessError: The visitor is not the owner.
        """
        _require_owner(visitor)
        return await self._services.reads(self._services.ledger.doubtful)

    async def correct(self, job_id: str, visitor: Visitor, *, cost_usd: float, note: str = "") -> Job:
        """Put right what an ended job cost; the note stays with it.

        Args:
            job_id: Of a job that was sent and has ended.
            visitor: The owner.
            cost_usd: What it really cost, from 0 to 1,000,000 US dollars.
            note: Why, at most 500 characters.

        Raises:
            AccessError: The visitor is not the owner, or the job is not one that can be put right.
            InvalidRequestError: The amount is none.
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
        self._dispatcher.wake()
        return corrected

    async def confirm(self, job_id: str, visitor: Visitor) -> Job:
        """Take a cost that could not be meant as the real one.

        Raises:
            AccessError: The visitor is not the owner, or no cost is in doubt.
        """
        _require_owner(visitor)
        named = next((job.notes[NAMED] for job in await self.doubtful(visitor) if job.id == job_id), None)
        if named is None:
            raise AccessError("not_yours")
        return await self.correct(job_id, visitor, cost_usd=named, note="confirmed")

    def waiting_for_visitor(self, visitor: Visitor) -> list[Job]:
        """Return the jobs that cannot go on until their visitor brings their key again.

        Raises:
            AccessError: The visitor is not the owner.
        """
        _require_owner(visitor)
        return [live.job for live in self._dispatcher.waiting_for_visitor()]

    async def end_waiting(self, visitor: Visitor) -> int:
        """Remove the jobs that wait for their visitor's key and were not sent; return how many.

        Raises:
            AccessError: The visitor is not the owner.
        """
        _require_owner(visitor)
        ended = 0
        for live in self._dispatcher.waiting_for_visitor():
            cancelled = await self._services.writes.soon(self._services.ledger.cancel, live.job.id)
            if cancelled is not None:
                self._dispatcher.let_go(cancelled)
                ended += 1
        log.event("owner.ended_waiting", jobs=ended)
        return ended

    async def resume(self, visitor: Visitor) -> None:
        """Let spending go on after three jobs in a row without a video, or after the ledger was damaged.

        Raises:
            AccessError: The visitor is not the owner.
        """
        _require_owner(visitor)
        bad = frozenset({JobStatus.UNKNOWN, JobStatus.LOST})
        for job in await self._services.reads(self._services.ledger.jobs, None, statuses=bad, limit=50):
            await self._services.writes.soon(self._services.ledger.note, job.id, reviewed=True)
        confirm_review(self._services.folder.path)
        log.event("owner.resumed")
        self._dispatcher.wake()

    def history_state(self, visitor: Visitor) -> HistoryState:
        """Return whether past spending had to be asked for, and how that stands.

        Raises:
            AccessError: The visitor is not the owner.
        """
        _require_owner(visitor)
        return self._history.state()

    async def find_videos(self, visitor: Visitor) -> int:
        """Go on with what the account's history has of seven days and the ledger has not; return how much that is.

        Raises:
            AccessError: The visitor is not the owner.
            EndpointError: The history cannot be read; what there is stays to be found.
            StorageError: The ledger cannot be written.
        """
        _require_owner(visitor)
        return await self._history.find()

    async def say_spent(self, visitor: Visitor, usd: float) -> None:
        """Count what the account was charged today (UTC), and let spending go on although no history tells it.

        Args:
            visitor: The owner.
            usd: All of today in US dollars, from 0 to 1,000,000; the latest word on a day holds.

        Raises:
            AccessError: The visitor is not the owner.
            InvalidRequestError: That is no such amount.
            StorageError: The ledger cannot be written, so nothing was counted and the key rests.
        """
        _require_owner(visitor)
        await self._history.say_spent(usd)

    def clock_ahead_s(self, visitor: Visitor) -> float:
        """Return how many seconds the newest stored time lies ahead of this machine's clock if more than a day, else 0.

        Raises:
            AccessError: The visitor is not the owner.
        """
        _require_owner(visitor)
        return self._services.ledger.ahead_s

    async def set_clock_right(self, visitor: Visitor) -> int:
        """Take the machine's clock, once it is right, for every time stored ahead of it; return of how many jobs.

        What counted for a day ahead counts for today, so that nothing is spent twice. Does nothing unless
        `clock_ahead_s` says that something is wrong.

        Raises:
            AccessError: The visitor is not the owner.
            StorageError: The ledger cannot be written; nothing was changed.
        """
        _require_owner(visitor)
        if (refusal := self._services.folder.problem) is not None:
            raise StorageError(refusal.code, **refusal.facts)
        jobs = await self._services.writes.soon(self._services.ledger.set_clock_right)
        self._dispatcher.date_back(self._services.ledger.now())
        log.event("owner.set_clock_right", jobs=jobs)
        self._dispatcher.wake()
        return jobs

    async def credits(self, visitor: Visitor) -> float | None:
        """Return the account's credits in US dollars by the free call, or None when they cannot be had.

        Raises:
            AccessError: The visitor is not the owner.
        """
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
