"""Keys in memory: the owner's for all, a visitor's for as long as they need it. Nothing here is ever written."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hunyuan_ui.access import KEYS_TRIED_A_MINUTE, Attempts
from hunyuan_ui.endpoint.client import EndpointClient
from hunyuan_ui.errors import AuthenticationError
from hunyuan_ui.job import Job, Visitor
from hunyuan_ui.settings import Secret, is_key

KEPT_S: Final = 3600.0  # after its last use
KEPT_AFTER_LEAVING_S: Final = 120.0  # a reload closes the page and opens it again
_PREVIEW_KEY: Final = "local-preview"  # the local endpoint takes any


@dataclass(slots=True)
class _Lent:
    key: Secret
    until: float  # by the ring's clock


class KeyRing:
    """Which key a job is sent and polled with.

    Args:
        owner: The owner's key, if there is one.
        now: A clock in seconds that never jumps.
    """

    def __init__(self, owner: Secret | None, now: Callable[[], float] = time.monotonic) -> None:
        self._owner = owner
        self._now = now
        self._by_visitor: dict[str, _Lent] = {}
        self._by_job: dict[str, Secret] = {}

    def bring(self, job: Job, key: Secret) -> None:
        """Use a visitor's own key for one job, until it has ended."""
        self._by_job[job.id] = key

    def lend(self, visitor_id: str, key: Secret) -> None:
        """Use a visitor's own key for all their jobs that lack one, as after a restart."""
        now = self._now()
        self._by_visitor = {known: lent for known, lent in self._by_visitor.items() if lent.until > now}
        self._by_visitor[visitor_id] = _Lent(key, now + KEPT_S)

    def lent(self, visitor_id: str) -> Secret | None:
        """Return a visitor's own key, if it is still here."""
        lent = self._by_visitor.get(visitor_id)
        if lent is not None and lent.until <= self._now():
            del self._by_visitor[visitor_id]
            return None
        return None if lent is None else lent.key

    def keep(self, visitor_id: str, for_s: float = KEPT_S) -> None:
        """Keep a visitor's own key so long from now, if it is still here."""
        if self.lent(visitor_id) is not None:
            self._by_visitor[visitor_id].until = self._now() + for_s

    def forget_visitor(self, visitor_id: str) -> None:
        """Drop what a visitor lent."""
        self._by_visitor.pop(visitor_id, None)

    def forget_job(self, job_id: str) -> None:
        """Drop the key of a job that has ended."""
        self._by_job.pop(job_id, None)

    def for_job(self, job: Job) -> str | None:
        """Return the key a job is sent and polled with; None when its visitor must bring it again."""
        if job.payer == "nobody":
            return _PREVIEW_KEY
        if job.payer == "owner":
            return self.owner_key()
        if job.id not in self._by_job and (lent := self.lent(job.visitor)) is not None:
            self._by_job[job.id] = lent
        key = self._by_job.get(job.id)
        return None if key is None else key.reveal()

    def owner_key(self) -> str | None:
        """Return the owner's key, if there is one."""
        return None if self._owner is None else self._owner.reveal()


class KeyDesk:
    """Where a visitor brings their own key and takes it back.

    Args:
        keys: Where it is kept.
        client: Of the service it is for.
        on_change: Called when jobs that waited for a key may go on.
    """

    def __init__(self, keys: KeyRing, client: EndpointClient, on_change: Callable[[], None]) -> None:
        self._keys = keys
        self._client = client
        self._on_change = on_change
        self._tried = Attempts(KEYS_TRIED_A_MINUTE)

    async def bring(self, key: str, visitor: Visitor) -> None:
        """Take a key that the service knows, asked by its free balance call.

        Raises:
            AuthenticationError: The service does not know it, or no key looks like that.
            SpendLimitError: Too many keys were tried in the last minute.
            EndpointError: The service cannot be asked.
        """
        text = key.strip()
        check_key(text)
        self._tried.check("key_attempts")
        self._tried.count()
        await self._client.credits(text)
        self._keys.lend(visitor.id, Secret(text))
        self._on_change()

    def has(self, visitor: Visitor) -> bool:
        """Whether the visitor's own key is here."""
        return self._keys.lent(visitor.id) is not None

    def forget(self, visitor: Visitor) -> None:
        """Drop the visitor's own key; jobs already sent with it keep it until they end."""
        self._keys.forget_visitor(visitor.id)

    def leave(self, visitor: Visitor) -> None:
        """Drop the visitor's own key soon: their page was closed, or is being loaded again."""
        self._keys.keep(visitor.id, KEPT_AFTER_LEAVING_S)

    def come_back(self, visitor: Visitor) -> None:
        """Keep the visitor's own key after all."""
        self._keys.keep(visitor.id)


def check_key(text: str) -> None:
    """Refuse what cannot be a key.

    Raises:
        AuthenticationError: No key looks like that.
    """
    if not is_key(text):
        raise AuthenticationError("key_refused", detail="it holds a space or a character that no key has")
