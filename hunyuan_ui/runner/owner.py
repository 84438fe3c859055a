"""OwnerDesk: what only the owner may see and decide, in private mode."""

from __future__ import annotations

from collections.abc import Callable

from hunyuan_ui import log
from hunyuan_ui.errors import AccessError, EndpointError
from hunyuan_ui.job import Job, JobStatus, Visitor
from hunyuan_ui.ledger import confirm_review
from hunyuan_ui.runner.means import Means


class OwnerDesk:
    """Settles what no program can know: whether a job without an answer was charged.

    Args:
        means: Ledger, client and folder.
        on_change: Called when the queue may go on.
    """

    def __init__(self, means: Means, on_change: Callable[[], None]) -> None:
        self._means = means
        self._on_change = on_change

    def unknown(self, visitor: Visitor) -> list[Job]:
        """Return the jobs that wait for the owner's word, oldest first.

        Raises:
            AccessError: The visitor is not the owner.
        """
        _require_owner(visitor)
        return self._means.ledger.unknown()

    def everything(self, visitor: Visitor, *, limit: int = 200) -> list[Job]:
        """Return everybody's jobs newest first.

        Raises:
            AccessError: The visitor is not the owner.
        """
        _require_owner(visitor)
        return self._means.ledger.jobs(None, limit=limit)

    async def settle(self, job_id: str, visitor: Visitor, *, was_charged: bool) -> Job:
        """Record the owner's word on an unknown job: charged counts as spent and lost, not charged is released.

        Raises:
            AccessError: The visitor is not the owner, or the job is not unknown.
        """
        _require_owner(visitor)
        settled = await self._means.in_ledger(self._means.ledger.settle_unknown, job_id, was_charged=was_charged)
        if settled is None:
            raise AccessError("not_yours")
        log.event("job.settled", job=job_id, was_charged=was_charged)
        return settled

    async def resume(self, visitor: Visitor) -> None:
        """Let spending go on after three jobs in a row without a video, or after the ledger was damaged.

        Raises:
            AccessError: The visitor is not the owner.
        """
        _require_owner(visitor)
        bad = frozenset({JobStatus.UNKNOWN, JobStatus.LOST})
        for job in self._means.ledger.jobs(None, statuses=bad, limit=50):
            await self._means.in_ledger(self._means.ledger.note, job.id, reviewed=True)
        confirm_review(self._means.folder.path)
        log.event("owner.resumed")
        self._on_change()

    async def credits(self, visitor: Visitor) -> float | None:
        """Return the account's credits in US dollars by the free call, or None when they cannot be had.

        Raises:
            AccessError: The visitor is not the owner.
        """
        _require_owner(visitor)
        key = self._means.keys.owner_key()
        if key is None:
            return None
        try:
            return await self._means.hosted.client.credits(key)
        except EndpointError:
            return None


def _require_owner(visitor: Visitor) -> None:
    if not visitor.is_owner:
        raise AccessError("not_yours")
