"""Proofs and attempts of visitors, shared by all processes on one ledger."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from hunyuan_ui.access_code import AccessCode
from hunyuan_ui.attempts import Change, Limiter, Rate
from hunyuan_ui.errors import StorageError
from hunyuan_ui.jobs.services import Services
from hunyuan_ui.ledger.access_store import AccessStore, Limit


class ReplicaAttempts:
    """Rate limiters in the ledger; see `AttemptStore`."""

    def __init__(self, store: AccessStore, services: Services) -> None:
        self._store = store
        self._services = services

    async def change(self, names: dict[str, Rate], change: Change) -> float:
        """Update limiters for all processes at once.

        Raises:
            StorageError: The ledger cannot be written.
        """
        result = 0.0

        def changed(now: float, known: list[Limit | None]) -> list[Limit]:
            nonlocal result
            limiters = [Limiter(rate, *(state or ())) for rate, state in zip(names.values(), known, strict=True)]
            result = change(now, limiters)
            return [limiter.state for limiter in limiters]

        hidden = [self._services.links.hidden(name) for name in names]  # addresses are stored only as hashes
        await self._services.writes.soon(self._store.change_attempts, hidden, changed)
        return result


class ReplicaGrants:
    """The visitors who have entered a code at any process."""

    def __init__(self, store: AccessStore, services: Services) -> None:
        self._store = store
        self._services = services
        self._codes: dict[str, AccessCode] = {}
        self._since = 0.0
        self._reading = asyncio.Lock()

    def share(self, code: AccessCode) -> None:
        """Share a code's grants with the other processes, in both directions."""
        gate = self._services.links.hidden(code.gate)

        async def keep(visitor_id: str) -> None:
            await self._services.writes.soon(self._store.grant, gate, visitor_id)

        code.keep = keep
        self._codes[gate] = code

    async def recall(self) -> None:
        """Admit visitors who have entered a code at another process since the last call; none if unreadable."""
        async with self._reading:
            with suppress(StorageError):
                granted, self._since = await self._services.reads(self._store.granted, self._since)
                for gate, visitor_id in granted:
                    if gate in self._codes:
                        self._codes[gate].admit(visitor_id)
