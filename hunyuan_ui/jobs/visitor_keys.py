"""API keys in memory: the owner's, and visitors' own for a limited time. They are never written to disk."""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from hunyuan_ui.cancellation import shielded
from hunyuan_ui.credential_attempts import AttemptLimiter
from hunyuan_ui.endpoint.contract import is_key
from hunyuan_ui.endpoint.segmind import EndpointClient
from hunyuan_ui.errors import AuthenticationError
from hunyuan_ui.job import Job, Visitor
from hunyuan_ui.setting_values import entered
from hunyuan_ui.settings import Secret

KEPT_S: Final = 3600.0  # after its last use
KEPT_AFTER_LEAVING_S: Final = 120.0  # a reload closes the page and opens it again
GOOD_FOR_S: Final = 600.0  # a valid key is not checked again within this time
_MOST_GOOD: Final = 10_000
_MOST_PAGES: Final = 10_000
_PREVIEW_KEY: Final = "local-preview"  # the local endpoint accepts any


@dataclass(slots=True)
class _Remembered:
    key: Secret
    until: float  # by the ring's clock


@dataclass(frozen=True, slots=True)
class _Known:
    credits_usd: float
    until: float  # by the clock of the keys


class KeyRing:
    """Selects the key for sending and polling a job.

    Args:
        engine: The key of the owner's own engine, which may be empty; None without an engine.
        now: A monotonic clock in seconds.
    """

    def __init__(
        self,
        owner: Secret | None,
        now: Callable[[], float] = time.monotonic,
        *,
        engine: Secret | None = None,
    ) -> None:
        self._owner = owner
        self._engine = engine
        self._now = now
        self._by_visitor: dict[str, _Remembered] = {}
        self._by_job: dict[str, Secret] = {}

    def use_for_job(self, job: Job, key: Secret) -> None:
        """Use a visitor's own key for one job until it has ended."""
        self._by_job[job.id] = key

    def use_latest(self, job: Job) -> None:
        """Use the key that a job's visitor entered last, since the service refuses the one in use."""
        if job.payer == "visitor" and (remembered := self.remembered(job.visitor)) is not None:
            self._by_job[job.id] = remembered

    def remember(self, visitor_id: str, key: Secret) -> None:
        """Use a visitor's own key for all their jobs that lack one, for example after a restart."""
        now = self._now()
        self._by_visitor = {
            known: remembered for known, remembered in self._by_visitor.items() if remembered.until > now
        }
        self._by_visitor[visitor_id] = _Remembered(key, now + KEPT_S)

    def remembered(self, visitor_id: str) -> Secret | None:
        """Return a visitor's own key, if it is still kept."""
        remembered = self._by_visitor.get(visitor_id)
        if remembered is not None and remembered.until <= self._now():
            del self._by_visitor[visitor_id]
            return None
        return None if remembered is None else remembered.key

    def renew(self, visitor_id: str, for_s: float = KEPT_S) -> None:
        """Keep a visitor's own key for this many seconds from now, if it is still kept."""
        if self.remembered(visitor_id) is not None:
            self._by_visitor[visitor_id].until = self._now() + for_s

    def forget_visitor(self, visitor_id: str) -> None:
        """Drop a visitor's own key."""
        self._by_visitor.pop(visitor_id, None)

    def forget_job(self, job_id: str) -> None:
        """Drop the key of a job that has ended."""
        self._by_job.pop(job_id, None)

    def for_job(self, job: Job) -> str | None:
        """Return the key for sending and polling a job; None if its visitor must enter it again."""
        if job.is_preview:
            return _PREVIEW_KEY
        if job.is_at_engine:
            return None if self._engine is None else self._engine.reveal()
        if job.payer == "owner":
            return self.owner_key()
        if job.id not in self._by_job and (remembered := self.remembered(job.visitor)) is not None:
            self._by_job[job.id] = remembered
        key = self._by_job.get(job.id)
        return None if key is None else key.reveal()

    def for_job_elsewhere(self, job: Job) -> str | None:
        """Return the key that another process's job would get here; None if there is none."""
        if job.payer != "visitor":
            return self.for_job(job)
        remembered = self.remembered(job.visitor)
        return None if remembered is None else remembered.reveal()

    def jobs_on(self, key: Secret) -> list[str]:
        """Return the ids of the jobs that a visitor's own key pays for and that have not ended."""
        return [job_id for job_id, known in self._by_job.items() if known.reveal() == key.reveal()]

    def engine_key(self) -> str:
        """Return the key of the owner's engine; empty if it needs none."""
        return "" if self._engine is None else self._engine.reveal()

    def owner_key(self) -> str | None:
        """Return the owner's key, if any."""
        return None if self._owner is None else self._owner.reveal()


class VisitorKeys:
    """Stores, checks and drops visitors' own keys.

    Args:
        on_change: Called when jobs that waited for a key may continue.
    """

    def __init__(
        self, keys: KeyRing, client: EndpointClient, attempts: AttemptLimiter, on_change: Callable[[], None]
    ) -> None:
        self._keys = keys
        self._client = client
        self._attempts = attempts
        self._on_change = on_change
        self._now = time.monotonic
        self._salt = secrets.token_bytes(32)
        self._good: OrderedDict[bytes, _Known] = OrderedDict()  # by digests of valid keys
        self._asked: dict[bytes, asyncio.Task[float]] = {}
        self._pages: OrderedDict[str, str] = OrderedDict()  # open pages of visitors with an own key

    async def remember(self, key: str, visitor: Visitor) -> float:
        """Store a valid key; return the account's balance in US dollars, and raise, as `check` does."""
        text = entered(key)
        credits_usd = await self.check(text, visitor)
        self._keys.remember(visitor.id, Secret(text))
        self._on_change()
        return credits_usd

    async def check(self, key: str, visitor: Visitor) -> float:
        """Return the balance of a key's account in US dollars, by a free call; a valid key's is kept for a while.

        Raises:
            AuthenticationError: The service does not know it, or it is malformed.
            SpendLimitError: There were too many attempts.
            EndpointError: The key cannot be checked with the service.
        """
        check_key(key)
        digest = hmac.new(self._salt, key.encode(), sha256).digest()
        known = self._good.get(digest)
        if known is not None and known.until > self._now():
            return known.credits_usd
        if digest not in self._asked:
            # Valid keys count as well: otherwise a pile of stolen keys could be tested here at any speed.
            await self._attempts.take(visitor, "key_attempts")
        if digest not in self._asked:
            asked = self._asked[digest] = asyncio.create_task(self._ask(key, digest), name="key check")
            asked.add_done_callback(lambda _: self._asked.pop(digest))
        return await shielded(self._asked[digest])

    def has(self, visitor: Visitor) -> bool:
        """Whether the visitor's own key is kept."""
        return self._keys.remembered(visitor.id) is not None

    def forget(self, visitor: Visitor) -> None:
        """Drop the visitor's own key; jobs already sent with it keep it until they end."""
        self._keys.forget_visitor(visitor.id)

    def renew(self, visitor: Visitor) -> None:
        """Cancel the pending removal of the visitor's own key, if it is still kept: they have opened a page."""
        self._keys.renew(visitor.id)

    def page_opened(self, page_id: str, visitor: Visitor) -> None:
        """Register an open page of a visitor whose own key is kept; `page_id` identifies the page."""
        if self.has(visitor):
            self._keys.renew(visitor.id)
            self._pages[page_id] = visitor.id
        if len(self._pages) > _MOST_PAGES:
            self._pages.popitem(last=False)

    def page_closed(self, page_id: str, visitor: Visitor) -> None:
        """Schedule the removal of the visitor's own key, unless another page of theirs is open."""
        if self._pages.get(page_id, visitor.id) == visitor.id:
            self._pages.pop(page_id, None)
        if visitor.id not in self._pages.values():
            self._keys.renew(visitor.id, KEPT_AFTER_LEAVING_S)

    async def _ask(self, key: str, digest: bytes) -> float:
        credits_usd = await self._client.credits(key)
        self._good[digest] = _Known(credits_usd, self._now() + GOOD_FOR_S)
        self._good.move_to_end(digest)
        if len(self._good) > _MOST_GOOD:
            self._good.popitem(last=False)
        return credits_usd


def check_key(text: str) -> None:
    """Reject a string that cannot be a key."""
    if not is_key(text):
        raise AuthenticationError("not_a_key")
